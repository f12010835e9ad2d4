import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { warn } from './errors.js';

/** What all kept bodies of one proxy may hold together. */
export class KeptBytes {
  #used = 0;

  constructor(private readonly limit: number) {}

  take(bytes: number): boolean {
    if (this.#used + bytes > this.limit) return false;
    this.#used += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#used -= bytes;
  }
}

const BLOCK = 4096;
/** Far more than another reader makes come by resuming the request: see `#hold`. */
const MOST_UNASKED = 1_048_576;

export interface BodyListener {
  /** The body is wanted, and the client has not sent it yet. */
  onWaiting(): void;
  /** It has. */
  onFlowing(): void;
}

/**
 * A client's body that is read once and can be sent again, up to a limit. Each attempt opens its
 * own stream of it: first what is kept, then what still comes, with back pressure to the client.
 */
export class ReplayBody {
  #kept: Buffer[] = [];
  #keptBytes = 0;
  /** What the last of the kept chunks grows in. */
  #block: Buffer | null = null;
  #blockBytes = 0;
  #keeping: boolean;
  /** How many kept chunks the open stream has had. */
  #replayed = 0;
  /** What came though no stream wanted it: neither sent nor kept yet. */
  readonly #unasked: Buffer[] = [];
  #unaskedBytes = 0;
  /** Counted, of a body that was taken whole. */
  #wholeBytes = 0;
  #stream: Readable | null = null;
  #ended = false;
  /** Part of the body has been sent, and is not kept. */
  #lost = false;
  /** An open stream wants more, and the client has not sent it. */
  waiting = false;

  /** `maxBytes` 0 keeps nothing. */
  constructor(
    private readonly req: IncomingMessage,
    private readonly maxBytes: number,
    private readonly total: KeptBytes,
    private readonly listener: BodyListener,
  ) {
    // A listener in front of us may have set it flowing, or a hook's will: it flows when it is
    // wanted here. What comes all the same is heard, and not lost.
    req.pause();
    for (const [event, listener] of this.#listeners) req.on(event, listener);
    // A body that says it is too long is not kept at all.
    this.#keeping = maxBytes > 0 && !(Number(req.headers['content-length']) > maxBytes);
  }

  /** All that was sent so far can be sent again. */
  get replayable(): boolean {
    return !this.#lost;
  }

  /**
   * All of it, where it is here already: most small ones have come with their head. What it is kept
   * for is the caller's matter; it counts until `release()`. Nothing is left for `open()`.
   */
  takeWhole(length: number): Buffer | null {
    const { req } = this;
    if (this.#unaskedBytes + req.readableLength !== length) return null;
    if (this.#keeping && !this.total.take(length)) return null;
    if (this.#keeping) this.#wholeBytes = length;
    while (req.read() !== null); // 'data' brings it; a chunk at a time from Node 26 on
    return this.#unasked.length === 1 ? this.#unasked[0]! : Buffer.concat(this.#unasked);
  }

  /** The whole body from its start; ends the stream that was open before. */
  open(): Readable {
    this.shut();
    this.#replayed = 0;
    const stream = new Readable({
      // One chunk at a time: `waiting` is to mean that the backend wants it, not a buffer.
      highWaterMark: 0,
      read: () => this.#pull(stream),
    });
    this.#stream = stream;
    return stream;
  }

  /** The attempt is over. What the client sends meanwhile stays in its socket. */
  shut(): void {
    if (this.#stream === null) return;
    this.#flowing();
    this.#stream.destroy();
    this.#stream = null;
    this.req.pause();
  }

  /** No attempt will follow: what was sent need not be kept. */
  release(): void {
    if (!this.#keeping) return;
    this.#keeping = false;
    this.total.giveBack(this.#wholeBytes);
    this.#forget(this.#replayed);
  }

  /** The request is over. The rest is read and dropped, so that the connection can go on. */
  discard(): void {
    this.release();
    this.shut();
    this.#forget(this.#kept.length);
    this.#unasked.length = 0;
    for (const [event, listener] of this.#listeners) this.req.off(event, listener);
    this.req.resume();
  }

  #pull(stream: Readable): void {
    if (stream !== this.#stream) return;
    const kept = this.#kept[this.#replayed];
    if (kept !== undefined) {
      this.#replayed++;
      if (!this.#keeping) this.#forget(this.#replayed);
      return void stream.push(kept);
    }
    const early = this.#unasked.shift();
    if (early !== undefined) {
      this.#unaskedBytes -= early.length;
      return this.#pass(early);
    }
    if (this.#ended) return void stream.push(null);
    this.req.resume();
    if (this.waiting) return;
    this.waiting = true;
    this.listener.onWaiting();
  }

  #pass(chunk: Buffer): void {
    this.#keep(chunk);
    this.#stream?.push(chunk);
  }

  readonly #onData = (chunk: Buffer | string): void => {
    const asked = this.waiting;
    this.#flowing();
    this.req.pause();
    if (typeof chunk === 'string' || this.#unaskedBytes > MOST_UNASKED) {
      // Too late to refuse it, as checkUnread() does; a request must not go on without its bytes.
      warn('TINY_PROXY_BODY', 'a request was cut: another reader has taken the bytes of its body');
      this.req.destroy();
    } else if (asked) {
      this.#pass(chunk);
    } else {
      this.#unasked.push(chunk);
      this.#unaskedBytes += chunk.length;
    }
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    if (!this.waiting) return;
    this.#flowing();
    this.#stream?.push(null);
  };

  /**
   * Somebody else has set it flowing: the 'drain' of another pipe(), say. Node tells it before
   * anything flows, so that all that comes unasked is what one read of the socket has brought
   * already. A reader that calls read() by itself, or lets no pause stand, cannot be held: at
   * MOST_UNASKED its request is cut.
   */
  readonly #hold = (): void => {
    if (this.waiting) return;
    this.req.pause();
    // Or it would be paused and resumed for ever.
    if (this.req.readableFlowing) this.req.off('resume', this.#hold);
  };

  /** Somebody else has stopped it: pipe() does, when the writable that it writes to is gone. */
  readonly #letFlow = (): void => {
    if (this.waiting) this.req.resume();
  };

  readonly #listeners = [
    ['data', this.#onData],
    ['end', this.#onEnd],
    ['resume', this.#hold],
    ['pause', this.#letFlow],
  ] as const;

  #keep(chunk: Buffer): void {
    if (this.#keeping) {
      const fits = this.#keptBytes + chunk.length <= this.maxBytes;
      if (fits && this.total.take(chunk.length)) {
        this.#append(chunk);
        this.#keptBytes += chunk.length;
        this.#replayed = this.#kept.length;
        return;
      }
      this.release();
    }
    this.#lost = true;
  }

  /** Small ones go together: a Buffer for each byte would cost far more than what is counted. */
  #append(chunk: Buffer): void {
    if (chunk.length >= BLOCK / 4) {
      this.#block = null;
      return void this.#kept.push(chunk);
    }
    if (this.#block === null || this.#blockBytes + chunk.length > BLOCK) {
      this.#block = Buffer.allocUnsafeSlow(BLOCK);
      this.#blockBytes = 0;
      this.#kept.push(this.#block);
    }
    chunk.copy(this.#block, this.#blockBytes);
    this.#blockBytes += chunk.length;
    this.#kept[this.#kept.length - 1] = this.#block.subarray(0, this.#blockBytes);
  }

  #forget(chunks: number): void {
    let bytes = 0;
    for (const chunk of this.#kept.splice(0, chunks)) bytes += chunk.length;
    this.#block = null;
    this.#replayed -= Math.min(this.#replayed, chunks);
    this.#keptBytes -= bytes;
    this.total.giveBack(bytes);
    if (chunks > 0) this.#lost = true;
  }

  #flowing(): void {
    if (!this.waiting) return;
    this.waiting = false;
    this.listener.onFlowing();
  }
}
