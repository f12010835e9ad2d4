// @ts-check
/** The demo's own client: it sends real requests to the proxy, over connections of their own. */
import { request } from 'node:http';

/** So many are on their way at most. */
const MOST_AT_ONCE = 400;
const BURST = 100;

/** @typedef {import('./page/feed.js').Answer} Answer */
/** @typedef {import('./page/feed.js').Burst} Burst */

export class Client {
  /** @type {Set<import('node:http').ClientRequest>} */
  #underWay = new Set();
  /** @type {Map<string, number>} */
  #numbers = new Map();
  #ended = false;
  #origin;
  #paths;

  /**
   * @param {string} origin
   * @param {{ GET: string, POST: string }} paths what it asks for
   */
  constructor(origin, paths) {
    this.#origin = origin;
    this.#paths = paths;
  }

  get underWay() {
    return this.#underWay.size;
  }

  /**
   * Sends one request, its id made of `name` and a number. Null where too many are on their way.
   *
   * @param {'GET' | 'POST'} method
   * @param {string} name
   * @returns {Promise<Answer | null>}
   */
  async send(method, name) {
    if (this.#ended || this.#underWay.size >= MOST_AT_ONCE) return null;
    return this.#exchange(method, this.#nextId(name));
  }

  /**
   * Sends many GETs at once. Null where too many are on their way.
   *
   * @returns {Promise<Burst | null>}
   */
  async burst() {
    if (this.#ended || this.#underWay.size + BURST > MOST_AT_ONCE) return null;
    const id = this.#nextId('burst');
    const started = performance.now();
    const answers = await Promise.all(
      Array.from({ length: BURST }, (_, i) => this.#exchange('GET', `${id}.${i + 1}`)),
    );
    /** @type {Record<string, number>} */
    const outcomes = {};
    for (const { status, problem } of answers) {
      const outcome = String(problem ?? status);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    return { id, ms: performance.now() - started, outcomes };
  }

  /** Leaves all that is on its way, and sends no more. */
  end() {
    this.#ended = true;
    for (const underWay of this.#underWay) underWay.destroy();
  }

  /** @param {string} name */
  #nextId(name) {
    const number = (this.#numbers.get(name) ?? 0) + 1;
    this.#numbers.set(name, number);
    return `${name}-${number}`;
  }

  /**
   * @param {'GET' | 'POST'} method
   * @param {string} id
   * @returns {Promise<Answer>}
   */
  #exchange(method, id) {
    const started = performance.now();
    return new Promise((resolve) => {
      /** @type {Omit<Answer, 'problem' | 'ms'>} */
      let head = { id, method, status: null, retryAfter: null };
      /** @param {string | null} problem */
      const end = (problem) => resolve({ ...head, problem, ms: performance.now() - started });
      const body = method === 'POST' ? 'n=1' : '';
      const sent = request(this.#origin + this.#paths[method], {
        method,
        agent: false,
        headers: {
          'X-Request-ID': id,
          ...(body && {
            'Content-Type': 'application/x-www-form-urlencoded',
            'Content-Length': body.length,
          }),
        },
      });
      this.#underWay.add(sent);
      sent.on('response', (response) => {
        const { statusCode = 0, headers } = response;
        head = { id, method, status: statusCode, retryAfter: headers['retry-after'] ?? null };
        response.resume();
        response.on('error', () => {}); // 'close' tells of it
        response.on('close', () => end(response.complete ? null : 'cut in mid-body'));
      });
      sent.on('error', (error) => {
        if (head.status === null) end(error.message);
      });
      sent.on('close', () => this.#underWay.delete(sent));
      sent.end(body);
    });
  }
}
