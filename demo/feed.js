// @ts-check
/** What the page hears: the state of the whole whenever it has changed, and the lines of the log. */

const TICK_MS = 100;
const LINES_KEPT = 200;
/** A page that reads no longer is not waited for. */
const MOST_UNREAD_BYTES = 1_000_000;

/** @typedef {import('express').Response} Response */
/** @typedef {import('./page/feed.js').DemoState} DemoState */
/** @typedef {import('./page/feed.js').NewLines} NewLines */

export class Feed {
  /** @type {Set<Response>} */
  #streams = new Set();
  /** @type {import('./page/feed.js').LogLine[]} */
  #lines = [];
  /** Of the lines, those at the end that no stream has been told of. */
  #untold = 0;
  #lastState = '';
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #ended = false;
  #stateNow;
  #onWatched;

  /**
   * @param {() => DemoState} stateNow
   * @param {(watched: boolean) => void} onWatched the first page has come, or the last one is gone
   */
  constructor(stateNow, onWatched) {
    this.#stateNow = stateNow;
    this.#onWatched = onWatched;
  }

  /** @param {string} text */
  addLine(text) {
    this.#lines.push({ text, noRetry: null });
    if (this.#lines.length > LINES_KEPT) this.#lines.shift();
    this.#untold = Math.min(this.#untold + 1, LINES_KEPT);
  }

  /**
   * The request that has just been logged was not retried.
   *
   * @param {string} requestId
   * @param {string | null} noRetry
   */
  explainLine(requestId, noRetry) {
    const last = this.#lines.at(-1);
    if (last?.text.split(' ')[1] === requestId) last.noRetry = noRetry;
  }

  /**
   * `GET /feed`
   *
   * @type {import('express').RequestHandler}
   */
  open = (_req, res) => {
    if (this.#ended) return void res.sendStatus(503);
    this.#tick();
    res.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    res.write(`retry: 1000\n\n${told('state', this.#stateNow())}`);
    res.write(told('lines', { all: true, lines: this.#lines }));
    this.#streams.add(res);
    res.once('close', () => this.#forget(res));
    if (this.#streams.size > 1) return;
    this.#untold = 0;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#onWatched(true);
  };

  /** Ends all streams; there will be no others. */
  end() {
    this.#ended = true;
    for (const res of this.#streams) res.end();
  }

  /** @param {Response} res */
  #forget(res) {
    this.#streams.delete(res);
    if (this.#streams.size > 0) return;
    clearInterval(this.#timer);
    this.#onWatched(false);
  }

  #tick() {
    const state = told('state', this.#stateNow());
    if (state !== this.#lastState) this.#tell(state);
    this.#lastState = state;
    const lines = this.#lines.slice(this.#lines.length - this.#untold);
    if (lines.length > 0) this.#tell(told('lines', { all: false, lines }));
    this.#untold = 0;
  }

  /** @param {string} text */
  #tell(text) {
    for (const res of this.#streams) {
      if (res.writableLength > MOST_UNREAD_BYTES) res.destroy();
      else res.write(text);
    }
  }
}

/**
 * An event of the stream. JSON has no line break of its own.
 *
 * @param {'state' | 'lines'} event
 * @param {DemoState | NewLines} data
 */
function told(event, data) {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
