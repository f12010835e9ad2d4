// @ts-check
// The first thing to read: which backends are sick, since when, why, and what the proxy does.
import { byId, element, setAttribute, setText, showList } from './dom.js';
import { clock, counted, judge, lastMinute, probeIn, span } from './words.js';

/** @typedef {import('../report.js').StatusReport} Report */
/** @typedef {import('./words.js').Backend} Backend */
/** @typedef {import('./words.js').Proxy} Proxy */

/**
 * @typedef {object} Case a backend that is not well
 * @property {string} key
 * @property {string} name
 * @property {import('./words.js').Judgement} judgement
 * @property {string} text
 */

/** @type {Map<string, HTMLElement>} */
const shown = new Map();

/**
 * @param {Report} report
 * @param {number} elapsedMs since it came
 */
export function showVerdict(report, elapsedMs) {
  const several = report.proxies.length > 1;
  /** @type {Case[]} */
  const cases = report.proxies.flatMap((proxy) =>
    proxy.backends
      .map((backend) => ({
        key: `${proxy.name} ${backend.url}`,
        name: several ? `${proxy.name} · ${backend.name}` : backend.name,
        judgement: judge(backend, report.bucketMs),
        text: story(backend, proxy, report, elapsedMs),
      }))
      .filter(({ judgement }) => judgement.level !== 'good'),
  );
  const { level, text } = headline(report.proxies, cases);
  setAttribute(byId('verdict'), 'data-level', level);
  setText(byId('verdict-head'), text);
  showList(byId('verdict-list'), cases, shown, ({ key }) => key, makeLine);
  for (const each of cases) fillLine(each);
  const sick = cases.filter(({ judgement }) => judgement.level === 'bad').length;
  document.title = sick > 0 ? `(${sick} out) Proxy status` : 'Proxy status';
}

function makeLine() {
  const mark = element('span', { class: 'mark', 'aria-hidden': 'true' });
  return element('li', { class: 'case' }, mark, element('b'), ' ', element('span'));
}

/** @param {Case} sick */
function fillLine({ key, name, judgement, text }) {
  const line = shown.get(key);
  if (line === undefined) return;
  const [mark, title, rest] = line.children;
  setAttribute(line, 'data-level', judgement.level);
  if (mark) setText(mark, judgement.mark);
  if (title) setText(title, name);
  if (rest) setText(rest, text);
}

/**
 * @param {Proxy[]} proxies
 * @param {Case[]} cases
 */
function headline(proxies, cases) {
  const backends = proxies.flatMap((proxy) => proxy.backends);
  const out = backends.filter((backend) => !isIn(backend)).length;
  const whose = (/** @type {Proxy} */ { name }) => (proxies.length > 1 ? ` of ${name}` : '');
  const gone = proxies.find((proxy) => !proxy.backends.some(mayBeTried));
  if (gone !== undefined) {
    return { level: 'bad', text: `No backend${whose(gone)} takes requests: clients get 503` };
  }
  const unwell = proxies.find((proxy) => !proxy.backends.some(isIn));
  if (unwell !== undefined) {
    const text = `No backend${whose(unwell)} is healthy: they are tried all the same`;
    return { level: 'bad', text };
  }
  const bad = cases.some(({ judgement }) => judgement.level === 'bad');
  if (out > 0) {
    const verb = out === 1 ? 'is' : 'are';
    const text = `${out} of ${counted(backends.length, 'backend')} ${verb} out of rotation`;
    return { level: bad ? 'bad' : 'off', text };
  }
  if (cases.length > 0) {
    const not = `${cases.length} of ${counted(backends.length, 'backend')}`;
    return { level: 'warn', text: `${not} ${cases.length === 1 ? 'is' : 'are'} not well` };
  }
  return {
    level: 'good',
    text:
      backends.length === 1 ? 'The backend is well' : `All ${backends.length} backends are well`,
  };
}

/** @param {Backend} backend */
const mayBeTried = ({ drained, breaker }) => !drained && breaker !== 'open';

/** @param {Backend} backend */
const isIn = (backend) => mayBeTried(backend) && backend.healthy;

/**
 * @param {Backend} backend
 * @param {Proxy} proxy
 * @param {Report} report
 * @param {number} elapsedMs
 */
function story(backend, { backends }, { bucketMs, time }, elapsedMs) {
  const why = backend.lastError === null ? '' : `: ${backend.lastError}`;
  const now = Date.parse(time) + elapsedMs;
  const since = (/** @type {string | null} */ start) =>
    start === null ? '' : ` since ${clock(start)} (${span(now - Date.parse(start))})`;
  const others = backends.filter((other) => other !== backend && isIn(other)).length;
  const elsewhere =
    others === 0
      ? 'No other backend can take its requests'
      : `Its requests go to the ${others === 1 ? 'other one' : `other ${others}`}`;
  if (backend.drained) {
    return `is drained ${backend.drainedHere ? 'on this page' : 'in code'}. ${elsewhere}.`;
  }
  if (backend.breaker === 'open') {
    const probe = probeIn(Math.max(0, (backend.probeInMs ?? 0) - elapsedMs));
    return `has its breaker open${since(backend.openSince)}${why}. ${elsewhere}; ${probe}.`;
  }
  if (backend.breaker === 'half-open') {
    const next = backend.inFlight > 0 ? 'A probe is under way' : 'The next request is its probe';
    return `has its breaker half-open, sick${since(backend.openSince)}${why}. ${next}.`;
  }
  if (!backend.healthy)
    return `is unhealthy, as a check has found. ${others === 0 ? 'It is tried all the same' : elsewhere}.`;
  const { attempts, failures } = lastMinute(backend, bucketMs);
  return `is failing${since(backend.failingSince)}${why}. ${failures} of ${counted(attempts, 'attempt')} in the last minute; it still takes requests.`;
}
