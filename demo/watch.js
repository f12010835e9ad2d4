// @ts-check
/** What the proxy's events have told of each backend. */

const RECENT = 20;

/** @typedef {{ recent: string, probing: boolean, probe: 'failed' | 'answered' | null }} Seen */

export class Watch {
  /** @type {Map<string, Seen>} by `host:port` */
  #seen = new Map();

  /** @param {import('express-tiny-proxy').TinyProxy['events']} events */
  constructor(events) {
    events.on('hop', ({ backend, failed, outcome }) => {
      if (outcome === 'CLIENT_GONE') return;
      const seen = this.of(backend);
      seen.recent = (seen.recent + (failed ? 'x' : 'o')).slice(-RECENT);
    });
    events.on('half-open', ({ backend }) => {
      this.of(backend).probing = true;
    });
    events.on('break', ({ backend }) => this.#change(backend, 'failed'));
    events.on('reset', ({ backend }) => this.#change(backend, 'answered'));
  }

  /**
   * @param {string} backend
   * @returns {Seen}
   */
  of(backend) {
    const known = this.#seen.get(backend);
    if (known !== undefined) return known;
    /** @type {Seen} */
    const fresh = { recent: '', probing: false, probe: null };
    this.#seen.set(backend, fresh);
    return fresh;
  }

  /**
   * @param {string} backend
   * @param {'failed' | 'answered'} outcome
   */
  #change(backend, outcome) {
    const seen = this.of(backend);
    seen.probe = seen.probing ? outcome : null;
    seen.probing = false;
  }
}
