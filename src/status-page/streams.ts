import type { ServerResponse } from 'node:http';

/** So often all viewers are told how things stand, whatever has happened: the heartbeat. */
const TICK_MS = 1000;
/** What should be seen at once is told after this time, together with what comes meanwhile. */
const SOON_MS = 50;
const MOST_VIEWERS = 100;
/** A viewer that has not read for so long is cut. */
const MOST_BLOCKED_MS = 30_000;
/** Then a viewer has to come again, and to be let in again. */
const LONGEST_MS = 15 * 60_000;

/** compression() adds `flush`. */
type Response = ServerResponse & { flush?: () => void };

interface Viewer {
  readonly res: Response;
  readonly since: number;
  /** Since when it has not read what was sent; null: it has. */
  blockedSince: number | null;
  /** It was left out meanwhile: the next message must be a whole one. */
  missed: boolean;
}

/** The reports that go out. */
export interface Source {
  /** A whole report. */
  state(): object;
  /** What is new since the last one. */
  tick(): object;
}

/** The event streams of a page. A timer runs while somebody looks, and no longer. */
export class Streams {
  readonly #viewers = new Set<Viewer>();
  #ticking: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(private readonly source: Source) {}

  get size(): number {
    return this.#viewers.size;
  }

  /** Answers with the stream; 204 where nothing will come any more: the browser does not come again. */
  open(res: Response, isHead: boolean): void {
    if (this.#ended) return void res.writeHead(204).end();
    if (this.size >= MOST_VIEWERS) return void res.writeHead(503, { 'Retry-After': '10' }).end();
    res.shouldKeepAlive = false; // a server that closes need not wait for it
    res.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'X-Accel-Buffering': 'no',
    });
    if (isHead || res.destroyed) return void res.end();
    this.#begin({ res, since: performance.now(), blockedSince: null, missed: false });
  }

  /** Something that should be seen at once. */
  news(): void {
    if (this.size === 0) return;
    this.#soon ??= setTimeout(() => this.#tell(), SOON_MS).unref();
  }

  /** All streams end: there is nothing more to come. */
  end(): void {
    this.#ended = true;
    if (this.size > 0) this.#tell();
    for (const viewer of this.#viewers) {
      if (viewer.blockedSince !== null) viewer.res.destroy();
      else viewer.res.end('event: end\ndata: {}\n\n');
      this.#forget(viewer);
    }
  }

  #begin(viewer: Viewer): void {
    const { res } = viewer;
    res.on('error', () => {}); // it has gone in the midst of a write; 'close' follows
    res.on('close', () => this.#forget(viewer));
    res.on('drain', () => {
      viewer.blockedSince = null;
    });
    this.#viewers.add(viewer);
    this.#ticking ??= setInterval(() => this.#tell(), TICK_MS).unref();
    send(viewer, `retry: 2000\n${message('state', this.source.state())}`);
  }

  #tell(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    const tick = message('tick', this.source.tick());
    const now = performance.now();
    for (const viewer of this.#viewers) {
      if (viewer.blockedSince !== null) {
        viewer.missed = true;
        if (now - viewer.blockedSince > MOST_BLOCKED_MS) viewer.res.destroy();
      } else if (now - viewer.since > LONGEST_MS) {
        viewer.res.end();
        this.#forget(viewer);
      } else send(viewer, viewer.missed ? message('state', this.source.state()) : tick);
    }
  }

  #forget(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.size > 0) return;
    clearInterval(this.#ticking);
    clearTimeout(this.#soon);
    this.#ticking = undefined;
    this.#soon = undefined;
  }
}

const message = (event: string, data: object): string =>
  `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

/** No more than this one message is kept for a viewer that does not read. */
function send(viewer: Viewer, text: string): void {
  viewer.missed = false;
  if (!viewer.res.write(text)) viewer.blockedSince ??= performance.now();
  viewer.res.flush?.();
}
