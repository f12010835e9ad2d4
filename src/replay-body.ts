import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

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
  #stream: Readable | null = null;
  #listening = false;
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
    // wanted here.
    req.pause();
    // A body that says it is too long is not kept at all.
    this.#keeping = maxBytes > 0 && !(Number(req.headers['content-length']) > maxBytes);
  }

  /** All that was sent so far can be sent again. */
  get replayable(): boolean {
    return !this.#lost;
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
    this.#flowing();
    this.#stream?.destroy();
    this.#stream = null;
    if (this.#listening) this.req.pause();
  }

  /** No attempt will follow: what was sent need not be kept. */
  release(): void {
    if (!this.#keeping) return;
    this.#keeping = false;
    this.#forget(this.#replayed);
  }

  /** The request is over. The rest is read and dropped, so that the connection can go on. */
  discard(): void {
    this.release();
    this.shut();
    this.#forget(this.#kept.length);
    if (this.#listening) {
      this.req.off('data', this.#onData);
      this.req.off('end', this.#onEnd);
    }
    this.req.resume();
  }

  #pull(stream: Readable): void {
    if (stream !== this.#stream) return;
    const kept = this.#kept[this.#replayed];
    if (kept !== undefined) {
      this.#replayed++;
      if (!this.#keeping) this.#forget(this.#replayed);
      stream.push(kept);
      return;
    }
    if (this.#ended) {
      stream.push(null);
      return;
    }
    if (!this.#listening) {
      this.#listening = true;
      this.req.on('data', this.#onData);
      this.req.on('end', this.#onEnd);
    }
    this.req.resume();
    if (!this.waiting) {
      this.waiting = true;
      this.listener.onWaiting();
    }
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#flowing();
    this.req.pause();
    this.#keep(chunk);
    this.#stream?.push(chunk);
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#flowing();
    this.#stream?.push(null);
  };

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
      this.#kept.push(chunk);
      this.#block = null;
      return;
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
