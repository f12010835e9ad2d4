// @ts-check
// What has happened: breakers, requests given up, drains.
import { byId, element, setAttribute, setText, showList } from './dom.js';
import { clock } from './words.js';

/** @typedef {import('../report.js').ReportedIncident} Incident */

const SHOWN = 50;
/** @type {Record<Incident['kind'], [level: string, mark: string]>} */
const SIGNS = {
  break: ['bad', '■'],
  'half-open': ['warn', '◐'],
  reset: ['good', '●'],
  'give-up': ['bad', '✕'],
  drain: ['off', '‖'],
  undrain: ['good', '●'],
  unhealthy: ['bad', '✚'],
  healthy: ['good', '●'],
  targets: ['off', '±'],
  close: ['off', '‖'],
};
/** What a screen reader is told of, as it happens. */
const ANNOUNCED = new Set([
  'break',
  'reset',
  'drain',
  'undrain',
  'unhealthy',
  'healthy',
  'targets',
  'close',
]);

/** @type {Map<number, Incident>} */
const all = new Map();
/** @type {Map<string, HTMLElement>} */
const rows = new Map();

export function forgetIncidents() {
  all.clear();
}

/**
 * @param {Incident[]} news
 * @param {boolean} severalProxies
 * @param {boolean} asTheyHappen
 */
export function addIncidents(news, severalProxies, asTheyHappen) {
  const told = news.filter(({ id, kind }) => asTheyHappen && ANNOUNCED.has(kind) && !all.has(id));
  for (const incident of news) all.set(incident.id, incident);
  const shown = [...all.values()].sort((a, b) => b.id - a.id);
  for (const { id } of shown.splice(SHOWN)) all.delete(id);
  showList(byId('incident-rows'), shown, rows, ({ id }) => String(id), makeRow);
  for (const incident of news) fillRow(incident, severalProxies);
  byId('no-incidents').hidden = shown.length > 0;
  if (told.length > 0) setText(byId('announcer'), told.map(sentence).join(' '));
}

function makeRow() {
  const mark = element('span', { class: 'mark', 'aria-hidden': 'true' });
  return element('li', {}, mark, element('time'), element('span'));
}

/**
 * @param {Incident} incident
 * @param {boolean} severalProxies
 */
function fillRow(incident, severalProxies) {
  const row = rows.get(String(incident.id));
  if (row === undefined) return;
  const [mark, time, text] = row.children;
  const [level, sign] = SIGNS[incident.kind];
  setAttribute(row, 'data-level', level);
  if (mark) setText(mark, sign);
  if (time) {
    setText(time, clock(incident.time));
    setAttribute(time, 'datetime', incident.time);
  }
  const whose = severalProxies ? `${incident.proxy}: ` : '';
  if (text) setText(text, whose + sentence(incident));
}

/** @param {Incident} incident */
function sentence({ kind, backend, detail, count }) {
  switch (kind) {
    case 'break':
      return `${backend}: breaker open ${detail}.`;
    case 'half-open':
      return `${backend}: breaker half-open, a probe goes out.`;
    case 'reset':
      return `${backend}: breaker closed, ${detail ?? 'the backend is well again'}.`;
    case 'give-up':
      return `${backend}: ${count === 1 ? 'a request was' : `${count} requests were`} given up (${detail}).`;
    case 'drain':
      return `${backend}: drained on this page.`;
    case 'undrain':
      return `${backend}: back in rotation, by this page.`;
    case 'unhealthy':
      return `${backend}: unhealthy${because(detail)}.`;
    case 'healthy':
      return `${backend}: healthy again${because(detail)}.`;
    case 'targets':
      return `Other backends: ${detail}.`;
    case 'close':
      return 'The proxy is closing.';
  }
}

/** @param {string | null} detail */
const because = (detail) => (detail === null ? '' : ` (${detail})`);
