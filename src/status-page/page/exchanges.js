// @ts-check
// The last requests with their hops, filtered.
import { byId, element, setAttribute, setText, showList } from './dom.js';
import { clock, duration } from './words.js';

/** @typedef {import('../report.js').ReportedExchange} Exchange */

const SHOWN = 50;
/** 50 of each proxy, twice: the last ones, and those that failed. */
const KEPT_OF_EACH = 100;

/** @type {Map<number, Exchange>} */
const all = new Map();
/** @type {Map<string, HTMLElement>} */
const rows = new Map();
/** What is shown while the list is held. @type {Exchange[] | null} */
let held = null;
let proxies = 1;

const input = /** @type {HTMLInputElement} */ (byId('request-id'));
const trouble = /** @type {HTMLInputElement} */ (byId('trouble'));
const hold = byId('hold');

/** @param {Exchange} exchange */
function isTroubled({ status, hops, noRetry }) {
  return status === null || status >= 500 || hops.length > 1 || noRetry !== null;
}

export function forgetExchanges() {
  all.clear();
}

/**
 * @param {Exchange[]} news
 * @param {number} ofProxies how many there are
 */
export function addExchanges(news, ofProxies) {
  proxies = ofProxies;
  for (const exchange of news) all.set(exchange.seq, exchange);
  const kept = [...all.keys()].sort((a, b) => a - b);
  const isOld = (/** @type {number} */ seq) => {
    const exchange = all.get(seq);
    return exchange !== undefined && !isTroubled(exchange);
  };
  // Good ones go first: of those that failed there are others to come only when more fail.
  for (const droppable of [kept.filter(isOld), kept]) {
    for (const seq of droppable) {
      if (all.size <= KEPT_OF_EACH * proxies) break;
      all.delete(seq);
    }
  }
  showExchanges();
}

function showExchanges() {
  const wanted = input.value.trim().toLowerCase();
  const source = held ?? [...all.values()];
  const found = source
    .filter(
      (each) =>
        each.requestId.toLowerCase().includes(wanted) && (!trouble.checked || isTroubled(each)),
    )
    .sort((a, b) => b.seq - a.seq)
    .slice(0, SHOWN);
  showList(byId('exchange-rows'), found, rows, ({ seq }) => String(seq), makeRow);
  const none = byId('no-exchanges');
  none.hidden = found.length > 0;
  setText(none, source.length === 0 ? 'No request yet.' : 'None of the kept exchanges matches.');
  const filtered = wanted !== '' || trouble.checked;
  const what = filtered ? `${found.length} found` : `last ${found.length}`;
  setText(byId('exchanges-count'), held === null ? what : `${what}, held`);
}

/** @param {Exchange} exchange */
function makeRow(exchange) {
  const { time, requestId, proxy, method, path, status, ms, hops, noRetry } = exchange;
  const cell = (/** @type {string} */ kind, /** @type {string} */ label) =>
    element('td', { role: 'cell', class: kind, 'data-label': label });
  const when = cell('', 'Time');
  when.append(element('time', { datetime: time }, clock(time)));
  const what = cell('request', 'Request');
  const whose = proxies > 1 ? [element('span', { class: 'quiet' }, `${proxy} `)] : [];
  what.append(element('code', { class: 'id' }, requestId || 'no id'), ' ');
  what.append(...whose, element('span', { class: 'target' }, `${method} ${path}`));
  const answer = cell('status', 'Status');
  answer.append(status === null ? 'none' : String(status));
  setAttribute(answer, 'data-class', status === null ? 'none' : String(Math.trunc(status / 100)));
  const took = cell('number', 'Duration');
  took.append(duration(ms));
  const tried = cell('', 'Hops');
  tried.append(element('ol', { class: 'hops', role: 'list' }, ...hops.map(makeHop)));
  if (noRetry !== null) tried.append(element('span', { class: 'quiet' }, `no retry: ${noRetry}`));
  const row = element('tr', { role: 'row' }, when, what, answer, took, tried);
  setAttribute(row, 'data-trouble', isTroubled(exchange) ? '' : null);
  return row;
}

/** @param {Exchange['hops'][number]} hop */
function makeHop({ backend, outcome, ms }) {
  const isBad = typeof outcome === 'string' || outcome >= 500;
  const mark = element('span', { class: 'mark', 'aria-hidden': 'true' }, isBad ? '✕' : '✓');
  const text = element(
    'span',
    {},
    `${backend} `,
    element('b', { class: 'outcome' }, String(outcome)),
  );
  return element(
    'li',
    { class: 'hop', 'data-level': isBad ? 'bad' : 'good' },
    mark,
    text,
    element('span', { class: 'quiet' }, ` ${duration(ms)}`),
  );
}

/** @param {boolean} on */
function setHold(on) {
  held = on ? [...all.values()] : null;
  setAttribute(hold, 'aria-pressed', String(on));
  showExchanges();
}

input.addEventListener('input', showExchanges);
trouble.addEventListener('change', showExchanges);
byId('filter').addEventListener('submit', (event) => event.preventDefault());
hold.addEventListener('click', () => setHold(held === null));
