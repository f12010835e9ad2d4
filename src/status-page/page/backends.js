// @ts-check
// A section for each proxy, a row for each of its backends.
import { drawLatency, drawTraffic, makeChart } from './charts.js';
import { byId, element, setAttribute, setText, showList } from './dom.js';
import { action, clock, count, counted, duration, judge, span } from './words.js';

/** @typedef {import('../report.js').StatusReport} Report */
/** @typedef {import('./words.js').Backend} Backend */
/** @typedef {import('./words.js').Proxy} Proxy */

/** @typedef {{ facts: HTMLElement, body: HTMLElement, rows: Map<string, HTMLElement> }} Section */

/** @type {Map<string, HTMLElement>} */
const sections = new Map();
/** @type {WeakMap<HTMLElement, Section>} */
const parts = new WeakMap();

const COLUMNS = [
  ['Backend', ''],
  ['State', ''],
  ['Last failure', ''],
  ['In flight', 'number'],
  ['Attempts', 'number'],
  ['Failures', 'number'],
  ['Retries', 'number'],
  ['p50', 'number'],
  ['p99', 'number'],
  ['Latency, 5 min', ''],
  ['Attempts and failures, 5 min', ''],
];

/**
 * @param {Report} report
 * @param {number} elapsedMs since it came
 * @param {(action: 'drain' | 'undrain', proxy: Proxy, backend: Backend) => void} act
 */
export function showProxies(report, elapsedMs, act) {
  const nameOf = (/** @type {Proxy} */ { name }) => name;
  const make = (/** @type {Proxy} */ proxy) => makeSection(proxy, report);
  showList(byId('proxies'), report.proxies, sections, nameOf, make);
  for (const proxy of report.proxies) {
    const section = sections.get(proxy.name);
    const own = section && parts.get(section);
    if (own === undefined) continue;
    showFacts(own.facts, proxy, report.bucketMs);
    const keyOf = (/** @type {Backend} */ { url }) => url;
    showList(own.body, proxy.backends, own.rows, keyOf, () => makeRow(report.actions));
    const most = {
      latency: highest(proxy.backends.flatMap(({ history }) => history.p99)),
      attempts: highest(proxy.backends.flatMap(({ history }) => history.attempts)),
    };
    for (const backend of proxy.backends) {
      const row = own.rows.get(backend.url);
      if (row === undefined) continue;
      fillRow(row, backend, report, elapsedMs);
      drawCharts(row, backend, most);
      fillButton(row, proxy, backend, act);
    }
  }
}

/** @param {(number | null)[]} values */
const highest = (values) =>
  values.reduce((/** @type {number} */ most, v) => Math.max(most, v ?? 0), 0);

/**
 * @param {Proxy} proxy
 * @param {Report} report
 */
function makeSection({ name }, { actions }) {
  const id = `proxy-${sections.size}`;
  const headings = COLUMNS.map(([text = '', kind = '']) =>
    element('th', { role: 'columnheader', scope: 'col', class: kind }, text),
  );
  if (actions) headings.push(element('th', { role: 'columnheader', scope: 'col' }, 'Rotation'));
  const body = element('tbody', { role: 'rowgroup' });
  const row = element('tr', { role: 'row' }, ...headings);
  const table = element('table', { role: 'table', 'aria-labelledby': id, class: 'backends' });
  table.append(element('thead', { role: 'rowgroup' }, row), body);
  const facts = element('p', { class: 'facts' });
  const heading = element('h2', { id }, name === 'proxy' ? 'Backends' : name);
  const region = { class: 'scroll', role: 'region', 'aria-labelledby': id, tabindex: '0' };
  const section = element('section', { 'aria-labelledby': id });
  section.append(element('div', { class: 'bar' }, heading, facts), element('div', region, table));
  parts.set(section, { facts, body, rows: new Map() });
  return section;
}

/**
 * @param {HTMLElement} facts
 * @param {Proxy} proxy
 * @param {number} bucketMs
 */
function showFacts(facts, proxy, bucketMs) {
  const { inFlight, requests, retries, budget, transport, closed, backends } = proxy;
  const last = (/** @type {number[]} */ values) => values.at(-2) ?? 0;
  const attempts = backends.reduce((all, { history }) => all + last(history.attempts), 0);
  const said = [
    ...(closed ? ['closed'] : []),
    counted(requests, 'request'),
    `${count(inFlight)} in flight`,
    `${(attempts / (bucketMs / 1000)).toFixed(1)} attempts/s`,
    retries === 1 ? '1 retry' : `${count(retries)} retries`,
    budget === null ? 'no retry budget' : `retry budget: ${count(budget.left)} left`,
    transport === 'http' ? 'node:http' : transport,
  ];
  setText(facts, said.join(' · '));
}

/** @param {boolean} actions */
function makeRow(actions) {
  const cells = COLUMNS.map(([label = '', kind = ''], i) => {
    const attributes = { class: kind, 'data-label': label };
    if (i === 0) return element('th', { role: 'rowheader', scope: 'row', ...attributes });
    return element('td', { role: 'cell', ...attributes });
  });
  cells[1]?.append(
    element(
      'span',
      { class: 'badge' },
      element('span', { class: 'mark', 'aria-hidden': 'true' }),
      element('b'),
    ),
    element('span', { class: 'quiet' }),
  );
  cells[2]?.append(element('b', { class: 'why' }), element('span', { class: 'quiet' }));
  cells[9]?.append(makeChart('latency'));
  cells[10]?.append(makeChart('traffic'));
  const row = element('tr', { role: 'row' }, ...cells);
  if (actions) row.append(element('td', { role: 'cell' }, element('button', { type: 'button' })));
  return row;
}

/**
 * @param {HTMLElement} row
 * @param {Backend} backend
 * @param {Report} report
 * @param {number} elapsedMs
 */
function fillRow(row, backend, { bucketMs, time }, elapsedMs) {
  const { level, mark, label } = judge(backend, bucketMs);
  setAttribute(row, 'data-level', level);
  const [name, state, failure, ...figures] = row.children;
  if (name) {
    setText(name, backend.url.replace(/^http:\/\//, ''));
    setAttribute(name, 'title', `${backend.url}, weight ${backend.weight}`);
  }
  const [shape, text] = state?.querySelectorAll('.mark, b') ?? [];
  if (shape) setText(shape, mark);
  if (text) setText(text, label);
  const doing = state?.lastElementChild;
  if (doing) setText(doing, action(backend, Math.max(0, (backend.probeInMs ?? 0) - elapsedMs)));
  if (failure) setAttribute(failure, 'data-none', backend.lastError === null ? '' : null);
  const [why, when] = failure?.children ?? [];
  if (why) setText(why, backend.lastError ?? '–');
  const at = backend.lastFailureAt;
  const ago = at === null ? '' : span(Date.parse(time) + elapsedMs - Date.parse(at));
  if (when) {
    setText(when, at === null ? '' : `${ago} ago`);
    setAttribute(when, 'title', at === null ? null : clock(at));
  }
  const { inFlight, attempts, failures, retries, latency } = backend;
  const values = [
    ...[inFlight, attempts, failures, retries].map(count),
    ...[latency?.p50 ?? null, latency?.p99 ?? null].map(duration),
  ];
  values.forEach((value, i) => {
    const cell = figures[i];
    if (cell) setText(cell, value);
  });
}

/**
 * Backends of one proxy are drawn to one scale, so that the slow one stands out.
 * @param {HTMLElement} row
 * @param {Backend} backend
 * @param {{ latency: number, attempts: number }} most
 */
function drawCharts(row, { history }, most) {
  const [latency, traffic] = row.querySelectorAll('svg');
  const worst = duration(highest(history.p99) || null);
  const total = (/** @type {number[]} */ values) => values.reduce((all, value) => all + value, 0);
  const failed = counted(total(history.failures), 'failure');
  if (latency) {
    drawLatency(latency, history, most.latency, `Highest p99 of the last 5 minutes: ${worst}`);
  }
  if (traffic) {
    const attempts = counted(total(history.attempts), 'attempt');
    drawTraffic(traffic, history, most.attempts, `Last 5 minutes: ${attempts}, ${failed}`);
  }
}

/**
 * What others have drained is theirs to put back.
 * @param {HTMLElement} row
 * @param {Proxy} proxy
 * @param {Backend} backend
 * @param {(action: 'drain' | 'undrain', proxy: Proxy, backend: Backend) => void} act
 */
function fillButton(row, proxy, backend, act) {
  const button = row.querySelector('button');
  if (button === null) return;
  const verb = backend.drainedHere ? 'undrain' : 'drain';
  const text = verb === 'drain' ? 'Drain' : 'Undrain';
  setText(button, text);
  setAttribute(button, 'aria-label', `${text} ${backend.name}`);
  button.onclick = () => act(verb, proxy, backend);
}
