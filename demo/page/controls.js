// @ts-check
/** Buttons ask for what their `data-post` names, one path after the other. */
import { byId, setText } from './dom.js';

/** @typedef {import('./feed.js').Answer} Answer */
/** @typedef {import('./feed.js').Burst} Burst */

const NEEDS_ROOM = 'Too many requests are on their way: wait a moment.';

/**
 * @param {string} path
 * @returns {Promise<void>}
 */
export async function post(path) {
  const sends = path.startsWith('send/');
  if (sends) byId('answer').textContent = 'On its way …';
  try {
    const response = await fetch(path, { method: 'POST' });
    if (sends) byId('answer').textContent = describe(await response.json());
  } catch {
    // The demo has ended: the page says so by itself.
    if (sends) byId('answer').textContent = 'The demo has ended.';
  }
}

export function connectControls() {
  document.addEventListener('click', async ({ target }) => {
    const button = target instanceof Element ? target.closest('button') : null;
    for (const path of button?.dataset.post?.split(' ') ?? []) await post(path);
  });
  const [on, rate] = loadSwitches();
  on.addEventListener('change', () => post(on.checked ? 'load/run' : 'load/pause'));
  rate.addEventListener('change', () => post(`load/${rate.value}`));
}

/** @param {import('./feed.js').DemoState} state */
export function showLoad({ load, requests, retries, retriesLeft }) {
  const [on, rate] = loadSwitches();
  on.checked = !load.paused;
  // Its list is open while it has the focus: then only the user changes it.
  if (document.activeElement !== rate) rate.value = String(load.perSecond);
  setText(byId('count-requests'), String(requests));
  setText(byId('count-retries'), String(retries));
  setText(byId('count-left'), retriesLeft === null ? '–' : String(retriesLeft));
}

/** @returns {[HTMLInputElement, HTMLSelectElement]} */
function loadSwitches() {
  const [on, rate] = [byId('load-on'), byId('load-rate')];
  return [/** @type {HTMLInputElement} */ (on), /** @type {HTMLSelectElement} */ (rate)];
}

/** @param {Answer | Burst | null} got */
function describe(got) {
  if (got === null) return NEEDS_ROOM;
  if ('outcomes' in got) {
    const counts = Object.entries(got.outcomes).map(([outcome, count]) => `${count} × ${outcome}`);
    return `${got.id}: ${counts.join(', ')}, the last after ${time(got.ms)}`;
  }
  const { id, status, problem, retryAfter, ms } = got;
  const what = [status, problem].filter((part) => part !== null).join(', ');
  const later = retryAfter === null ? '' : `, Retry-After: ${retryAfter} s`;
  return `${id}: ${what}${later}, after ${time(ms)}`;
}

/** @param {number} ms */
function time(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
