import type { Response } from 'express';

/** A request that is not over. */
export interface Running {
  /** Its place in the list, -1 when it has none. */
  slot: number;
  /** Of a proxy before, which has left its error to the app: `errors: 'next'`. */
  readonly earlier: Running | undefined;
  readonly res: Response;
  /** The response is over, or its client has left. May be called again. */
  onClose(): void;
  cut(): void;
}

/**
 * On a response: the request that it answers. Instead of a listener for each request: V8 makes
 * Node's lists of listeners old from the start, and with them what one compiled function makes and
 * may put into such a list. Each kept its dead request until a full collection: with 500
 * connections, a third more CPU a request, and 90 MB.
 */
const RUNNING = Symbol('express-tiny-proxy running');

type Answering = Response & { [RUNNING]?: Running };

/** The requests of one proxy that are not over, and its end, which waits for them. */
export class InFlight {
  // A list, not a Set: a Set that is added to and deleted from for every request leaves its old
  // tables behind, full of requests that the garbage collector then keeps for long (8 us each).
  readonly #requests: Running[] = [];
  readonly #waiting: (() => void)[] = [];
  /** Ever. */
  total = 0;
  /** New requests are refused. */
  closing = false;
  readonly #onClose: (this: Answering | undefined) => void;

  constructor() {
    const closed = (res: Answering | undefined): void => this.#closed(res);
    this.#onClose = function onClose() {
      closed(this);
    };
  }

  get size(): number {
    return this.#requests.length;
  }

  /** Answers which request of another proxy the response has had before, for its `earlier`. */
  enter(request: Running, res: Answering): Running | undefined {
    this.total++;
    request.slot = this.#requests.push(request) - 1;
    const earlier = res[RUNNING];
    res[RUNNING] = request;
    res.on('close', this.#onClose);
    return earlier;
  }

  #closed(res: Answering | undefined): void {
    let isOurs = false;
    for (let one = res?.[RUNNING]; one !== undefined; one = one.earlier) {
      isOurs ||= this.#requests[one.slot] === one;
      one.onClose();
    }
    if (isOurs) return;
    // A middleware has wrapped the response, or its listeners: look for what is over.
    const over = this.#requests.filter((one) => one.res.closed || one.res.destroyed);
    for (const one of over) one.onClose();
  }

  /** Answers whether it was still here. */
  leave(request: Running): boolean {
    const { slot } = request;
    if (slot === -1) return false;
    request.slot = -1;
    const last = this.#requests.pop()!;
    if (last !== request) {
      this.#requests[slot] = last;
      last.slot = slot;
    }
    if (this.size === 0) for (const resolve of this.#waiting.splice(0)) resolve();
    return true;
  }

  /** Resolves when all are over; what is not over after `graceMs` is cut. */
  async end(graceMs: number): Promise<void> {
    this.closing = true;
    const cutAll = (): void => {
      for (const request of [...this.#requests]) request.cut();
    };
    const timer = setTimeout(cutAll, Math.min(Math.max(0, graceMs || 0), 2 ** 31 - 1));
    if (this.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    clearTimeout(timer);
  }
}
