// @ts-check
// The page: it listens to the event stream and shows each report.
import { showProxies } from './backends.js';
import { byId, setAttribute, setText } from './dom.js';
import { addExchanges, forgetExchanges } from './exchanges.js';
import { addIncidents, forgetIncidents } from './incidents.js';
import { showVerdict } from './verdict.js';
import { clock, judge } from './words.js';

/** @typedef {import('../report.js').StatusReport} Report */
/** @typedef {import('./words.js').Backend} Backend */
/** @typedef {import('./words.js').Proxy} Proxy */

/** A report comes every second: after so long without one, what is shown is old. */
const OLD_MS = 4000;
const LOOK_MS = 500;
const AGAIN_MS = 3000;

/** @type {Report | null} */
let report = null;
let cameAt = 0;
let ended = false;

/**
 * @param {string} data
 * @param {boolean} isWhole
 */
function take(data, isWhole) {
  /** @type {Report} */
  const taken = JSON.parse(data);
  report = taken;
  cameAt = performance.now();
  ended = false;
  if (isWhole) {
    forgetExchanges();
    forgetIncidents();
  }
  addExchanges(taken.exchanges, taken.proxies.length);
  addIncidents(taken.incidents, taken.proxies.length > 1, !isWhole);
  show();
}

/** Countdowns go on between two reports. */
function show() {
  if (report !== null) {
    const elapsedMs = Math.min(performance.now() - cameAt, OLD_MS);
    showVerdict(report, elapsedMs);
    showProxies(report, elapsedMs, act);
  }
  showConnection();
}

function showConnection() {
  const connection = byId('connection');
  const isOld = performance.now() - cameAt > OLD_MS;
  const last = report && clock(report.time);
  if (ended) setText(connection, `The proxy has closed; last report ${last}`);
  else if (report === null) setText(connection, 'Connecting…');
  else if (isOld) setText(connection, `No connection; last report ${last}`);
  else setText(connection, `Live · ${last}`);
  const state = ended || isOld ? 'old' : 'live';
  setAttribute(connection, 'data-state', report === null ? 'waiting' : state);
  document.documentElement.toggleAttribute('data-old', report !== null && state === 'old');
}

function connect() {
  const source = new EventSource('events');
  source.addEventListener('state', ({ data }) => take(data, true));
  source.addEventListener('tick', ({ data }) => take(data, false));
  source.addEventListener('end', () => {
    ended = true;
    source.close();
    show();
    setTimeout(connect, AGAIN_MS); // where the process is started again
  });
  source.addEventListener('error', () => {
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    source.close();
    setTimeout(connect, AGAIN_MS);
  });
}

/**
 * @param {'drain' | 'undrain'} action
 * @param {Proxy} proxy
 * @param {Backend} backend
 */
async function act(action, proxy, backend) {
  const isIn = (/** @type {Backend} */ other) =>
    other.url !== backend.url && judge(other, 1).level !== 'off' && other.breaker !== 'open';
  const isLast = action === 'drain' && !proxy.backends.some(isIn);
  const question = `No other backend takes requests. Drain ${backend.name} all the same?`;
  if (isLast && !confirm(question)) return;
  const query = new URLSearchParams({ proxy: proxy.name, backend: backend.url });
  const failed = await fetch(`${action}?${query}`, {
    method: 'POST',
    headers: { 'X-Status-Page-Action': action },
  }).then(
    (response) => (response.ok ? null : `answered ${response.status}`),
    () => 'no connection',
  );
  setText(byId('notice'), failed === null ? '' : `${action} ${backend.name}: ${failed}`);
}

connect();
setInterval(show, LOOK_MS);
