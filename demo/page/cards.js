// @ts-check
/** A card for each backend: its light, what it has done of late, and its switch. */
import { post } from './controls.js';
import { byId, make, setText, within } from './dom.js';

/** @typedef {import('./feed.js').BackendState} BackendState */

/** @type {Record<string, string>} */
const DOES = {
  ok: 'It answers 200.',
  refuse: 'Its port is closed.',
  500: 'It answers 500.',
  slow: 'It answers after 2 s.',
  hang: 'It never answers; the proxy waits 3 s.',
  die: 'It cuts its answer in the middle.',
};

/** @type {Map<number, HTMLElement>} */
const cards = new Map();
/** @type {Map<number, string>} */
const lights = new Map();

/** @param {import('./feed.js').DemoState} state */
export function showBackends({ backends, failures }) {
  for (const backend of backends) {
    const card = cards.get(backend.number) ?? addCard(backend);
    showLight(card, backend);
    showFailures(card, backend, failures);
    showRecent(card, backend);
    if (backend.told !== null) showSwitch(card, backend.told);
    announce(backend);
  }
}

/** @param {BackendState} backend */
function addCard({ number, name }) {
  const template = /** @type {HTMLTemplateElement} */ (byId('card'));
  const card = within(
    /** @type {DocumentFragment} */ (template.content.cloneNode(true)),
    'article',
  );
  card.dataset.backend = String(number);
  card.setAttribute('aria-label', `Backend ${number}`);
  within(card, '.which').textContent = String(number);
  within(card, '.name').textContent = name;
  within(card, 'legend').textContent = `What backend ${number} does`;
  for (const input of radiosOf(card)) {
    input.name = `backend-${number}`;
    input.addEventListener('change', () => post(`backends/${number}/${input.value}`));
  }
  within(document, '.cards').append(card);
  cards.set(number, card);
  return card;
}

/** @param {HTMLElement} card */
function radiosOf(card) {
  return card.querySelectorAll('input');
}

/**
 * @param {HTMLElement} card
 * @param {BackendState} backend
 */
function showLight(card, { breaker, drained, probeIn, probe }) {
  /** @type {Record<BackendState['breaker'], [means: string, detail: string]>} */
  const words = {
    closed: ['takes requests', probe === 'answered' ? 'its probe was answered' : ''],
    open: [
      'left out',
      `${probe === 'failed' ? 'probe failed, next' : 'probe'} in ${probeIn ?? 0} s`,
    ],
    'half-open': ['one probe', 'the next request is it'],
  };
  const [means, detail] = words[breaker];
  card.dataset.breaker = breaker;
  setText(within(card, '.breaker'), breaker);
  setText(within(card, '.means'), drained ? 'drained' : means);
  setText(within(card, '.detail'), drained ? 'gets no new requests' : detail);
}

/**
 * @param {HTMLElement} card
 * @param {BackendState} backend
 * @param {number} toOpen
 */
function showFailures(card, { failuresInARow }, toOpen) {
  const pips = within(card, '.pips').children;
  [...pips].forEach((pip, i) => {
    pip.classList.toggle('on', i < failuresInARow);
  });
  setText(within(card, '.in-a-row'), `${failuresInARow} of ${toOpen} failed in a row`);
}

/**
 * @param {HTMLElement} card
 * @param {BackendState} backend
 */
function showRecent(card, { recent, attempts, failed }) {
  const strip = within(card, '.recent');
  if (strip.dataset.of !== recent) {
    strip.dataset.of = recent;
    strip.replaceChildren(...[...recent].map((how) => make('i', how === 'x' ? 'bad' : 'good', '')));
  }
  setText(within(card, '.total'), `${attempts} attempts, ${failed} failed`);
}

/**
 * @param {HTMLElement} card
 * @param {string} told
 */
function showSwitch(card, told) {
  card.dataset.told = told;
  for (const input of radiosOf(card)) input.checked = input.value === told;
  setText(within(card, '.does'), DOES[told] ?? told);
}

/** @param {BackendState} backend a change of its light is read aloud, the countdown is not */
function announce({ number, breaker }) {
  const before = lights.get(number);
  lights.set(number, breaker);
  if (before === undefined || before === breaker || breaker === 'half-open') return;
  byId('lights').textContent = `Backend ${number}: breaker ${breaker}`;
}
