// @ts-check
/** The log's last lines, as they are printed; the backends of a line bear their numbers. */
import { byId, make } from './dom.js';

/** @typedef {import('./feed.js').LogLine} LogLine */

const MOST_LINES = 200;
/** `:remote-addr :request-id :method :url :status :res[content-length] :response-time ms :hops` */
const REQUEST = /^(\S+) (\S+) (\S+ \S+) (\d{3}|-) (\S+ \S+ ms) (\S+)$/;
const HOP = /^(.+)=([^=]+)\/([\d.]+ms)$/;

/** @type {Record<string, string>} */
const WHY = {
  method: 'not retried: its method is sent once',
  attempts: 'not retried: 3 attempts were made',
  budget: 'not retried: the budget is used up',
  'no-backend': 'not retried: no backend left',
  committed: 'not retried: the answer had begun',
};

/** Set by `connectLog`. */
let numberOf = (/** @type {string} */ _name) => '';

export function connectLog() {
  numberOf = (name) => {
    const cards = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('article'));
    const card = [...cards].find((one) => one.querySelector('.name')?.textContent === name);
    return card?.dataset.backend ?? '';
  };
  byId('lines').tabIndex = 0; // scrolls by keyboard, in Safari too
  const quiet = /** @type {HTMLInputElement} */ (byId('log-quiet'));
  quiet.addEventListener('change', () => {
    const list = byId('lines');
    list.classList.toggle('quiet', quiet.checked);
    list.scrollTop = list.scrollHeight;
  });
}

/** @param {import('./feed.js').NewLines} told */
export function addLines({ all, lines }) {
  const list = byId('lines');
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  if (all) list.replaceChildren();
  list.append(...lines.map(lineOf));
  while (list.childElementCount > MOST_LINES) list.firstElementChild?.remove();
  if (follows || all) list.scrollTop = list.scrollHeight;
}

/** @param {LogLine} line */
function lineOf({ text, noRetry }) {
  const parts = REQUEST.exec(text);
  if (parts === null) return noticeOf(text);
  const [, address = '', id = '', request = '', status = '', size = '', hops = ''] = parts;
  const item = make('li', kindOf(id, status, hops), '');
  item.append(make('span', 'dim', `${address} `), make('b', 'id', id), ` ${request} `);
  item.append(make('b', `status s${status[0]}`, status), make('span', 'dim', ` ${size} `));
  hops.split(',').forEach((hop, i) => {
    if (i > 0) item.append(',');
    item.append(hopOf(hop));
  });
  const why = noRetry === null ? undefined : WHY[noRetry];
  if (why !== undefined) item.append(' ', make('span', 'why', why));
  return item;
}

/** @param {string} text of a breaker that has changed, or of a switch */
function noticeOf(text) {
  const item = make('li', 'notice', '');
  for (const word of text.split(/(?<= )/)) item.append(...badge(word.trim()), word);
  return item;
}

/** @param {string} name a backend's, or another word */
function badge(name) {
  const number = numberOf(name);
  return number === '' ? [] : [make('span', 'number', number)];
}

/**
 * @param {string} id
 * @param {string} status
 * @param {string} hops
 */
function kindOf(id, status, hops) {
  if (!/^[123]/.test(status)) return 'failed';
  if (hops.includes(',')) return 'retried'; // and that has helped
  return id.startsWith('load-') ? 'plain' : 'own';
}

/** @param {string} text */
function hopOf(text) {
  const [, backend, outcome = '', ms] = HOP.exec(text) ?? [];
  if (backend === undefined) return text;
  const hop = make('span', /^[1-4]/.test(outcome) ? 'hop' : 'hop bad', '');
  hop.append(...badge(backend), make('span', 'dim', `${backend}=`));
  hop.append(make('b', '', outcome), `/${ms}`);
  return hop;
}
