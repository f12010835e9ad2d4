// @ts-check
/** A small steady load: a GET every so often, as long as somebody watches. */

/** How many GETs a second there may be. */
export const RATES = [1, 4, 20];
const SECOND_MS = 1000;
/** Against backends that hang, more would only pile up. */
const MOST_UNDER_WAY = 100;

export class Load {
  perSecond = 4;
  watched = false;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #client;

  /**
   * @param {import('./client.js').Client} client
   * @param {boolean} paused whether it waits to be asked for
   */
  constructor(client, paused) {
    this.#client = client;
    this.paused = paused;
  }

  /** @param {Partial<Pick<Load, 'perSecond' | 'paused' | 'watched'>>} changes */
  set(changes) {
    Object.assign(this, changes);
    clearInterval(this.#timer);
    if (this.paused || !this.watched) return;
    this.#timer = setInterval(() => {
      if (this.#client.underWay < MOST_UNDER_WAY) this.#client.send('GET', 'load');
    }, SECOND_MS / this.perSecond);
  }

  end() {
    this.set({ paused: true });
  }
}
