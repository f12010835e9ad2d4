// @ts-check
/**
 * What the tour leads to, by the names that the page has for it: each is seen when an event of the
 * proxy shows it, and never by a click alone.
 */
const STEPS = [['helped'], ['opened'], ['once', 'again'], ['refused'], ['closed', 'budget']];

/** @typedef {import('express-tiny-proxy').TinyProxy} TinyProxy */
/** @typedef {import('express-tiny-proxy').TinyProxyEvents['done'][0]} DoneEvent */

export class Tour {
  /** @type {Map<string, string>} */
  #seen = new Map();
  /** @type {Set<string>} backends whose breaker has let its probe through */
  #probing = new Set();
  /** Requests from before are left out: those of the last tour may not be over yet. */
  #since = 0;
  #numberOf;

  /**
   * @param {TinyProxy} proxy
   * @param {(backend: string) => number} numberOf
   */
  constructor(proxy, numberOf) {
    this.#numberOf = numberOf;
    const { events } = proxy;
    events.on('done', (done) => this.#onDone(done));
    events.on('half-open', ({ backend }) => this.#probing.add(backend));
    events.on('break', ({ backend, failures }) => {
      this.#probing.delete(backend);
      this.#see('opened', `backend ${numberOf(backend)}: ${failures} failures in a row`);
    });
    events.on('reset', ({ backend }) => {
      if (!this.#probing.delete(backend)) return;
      if (proxy.status().backends.some(({ breaker }) => breaker !== 'closed')) return;
      this.#see('closed', `backend ${numberOf(backend)} was the last to answer its probe`);
    });
  }

  /** @returns {Record<string, string>} */
  get seen() {
    return Object.fromEntries(this.#seen);
  }

  again() {
    this.#seen.clear();
    this.#since = performance.now();
  }

  /** @param {DoneEvent} done */
  #onDone({ req, requestId, status, ms, hops, noRetry }) {
    if (performance.now() - ms < this.#since) return;
    const way = () => `${requestId}: ${this.#describe(hops)}`;
    if (status === 200 && hops.length > 1) this.#see('helped', way());
    if (req.method === 'POST' && hops.length === 1 && noRetry === 'method')
      this.#see('once', way());
    if (req.method === 'GET' && hops.length === 3) this.#see('again', way());
    if (noRetry === 'budget') this.#see('budget', `${way()}, no retry: budget`);
    const retryAfter = req.res?.getHeader('Retry-After');
    if (status === 503 && hops.length === 0 && retryAfter !== undefined) {
      this.#see(
        'refused',
        `${requestId}: 503 after ${ms.toFixed(1)} ms, Retry-After: ${retryAfter}`,
      );
    }
  }

  /** @param {DoneEvent['hops']} hops */
  #describe(hops) {
    return hops
      .map(({ backend, outcome }) => `backend ${this.#numberOf(backend)} ${outcome}`)
      .join(', then ');
  }

  /**
   * One step after the other: what comes before its turn is to be seen once more.
   *
   * @param {string} goal
   * @param {string} evidence
   */
  #see(goal, evidence) {
    const step = STEPS.findIndex((goals) => goals.includes(goal));
    const isItsTurn = STEPS.slice(0, step)
      .flat()
      .every((earlier) => this.#seen.has(earlier));
    if (isItsTurn && !this.#seen.has(goal)) this.#seen.set(goal, evidence);
  }
}
