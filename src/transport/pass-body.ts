import { type OutgoingMessage, ServerResponse } from 'node:http';
import type { Response } from 'express';
import { type HeaderMap, HOP_BY_HOP, isFieldValue, nominated } from '../headers.js';
import type { Attempt, AttemptEvents, Head } from './transport.js';

/**
 * Besides hop-by-hop fields, what is known too late there, or not the sender's to say: framing,
 * routing, authentication, what the proxy sets itself. RFC 9110 6.5.1.
 */
const NOT_IN_TRAILERS =
  /^(?:content-(?:encoding|length|range|type)|host|proxy-.*|authorization|www-authenticate|cookie|set-cookie|cache-control|expect|max-forwards|range|forwarded|x[-_](?:real[-_]ip|forwarded[-_].*|request[-_](?:id|attempt)))$/;

/** RFC 9110 15.3.5, 15.4.5. */
export const isBodiless = (status: number): boolean => status === 204 || status === 304;

const NOTHING = Buffer.alloc(0);
/** Bytes of a body that has come with its head. */
const MOST_HELD = 8192;
/** Whoever has wrapped it gets Buffers, as they come. */
const nodesOwn = ServerResponse.prototype;

/** The body of a response that is passed on, with back pressure, and its trailers. */
export class PassedBody {
  readonly #res: Response;
  // Where there is none, even an empty write may throw (rejectNonStandardBodyWrites).
  readonly #hasBody: boolean;
  readonly #flush: (() => void) | null;
  readonly #mayHold: boolean;
  #held: Buffer | null = null;
  #begun = false;
  #paused = false;
  #listening = false;

  /** `resume` is called when the client has taken what `write()` has answered `false` for. */
  constructor(
    { req, res }: Attempt,
    { headers }: Head,
    private readonly events: AttemptEvents,
    private readonly resume: () => void,
  ) {
    this.#res = res;
    this.#flush = flusher(headers['content-type'], res);
    this.#hasBody = req.method !== 'HEAD' && !isBodiless(res.statusCode);
    this.#mayHold = headers['content-length'] !== undefined && res.end === nodesOwn.end;
    // The head goes out by itself, unless a part of the body is here already to go with it.
    if (this.#hasBody) process.nextTick(() => this.begin());
  }

  /** Not by flushHeaders(): it would write it as UTF-8, and break bytes over 0x7f. */
  begin(): void {
    if (!this.#begun && this.#isOpen) this.#pass(this.#held ?? NOTHING);
  }

  /** Or the app has ended it, and 'close' is on its way. */
  get #isOpen(): boolean {
    return !this.#res.destroyed && !this.#res.writableEnded;
  }

  /** Answers whether more may come. */
  write(chunk: Buffer): boolean {
    if (!this.#hasBody || !this.#isOpen) return true;
    this.events.onData(chunk.length);
    if (this.#begun) return this.#pass(chunk);
    if (this.#held !== null) this.#pass(this.#held);
    else if (this.#mayHold && chunk.length <= MOST_HELD) {
      this.#held = chunk; // for the rest of this turn
      return true;
    }
    return this.#pass(chunk);
  }

  #pass(chunk: Buffer): boolean {
    this.#begun = true;
    this.#held = null;
    const goOn = this.#res.write(chunk);
    this.#flush?.();
    if (goOn !== false) return true; // nothing, of a write() that a middleware has wrapped carelessly
    if (!this.#paused) this.events.onBackPressure(true);
    this.#paused = true;
    // On, not once: compression() hands the listener to its own stream, and takes back none.
    if (!this.#listening) this.#res.on('drain', () => this.#onDrain());
    this.#listening = true;
    return false;
  }

  #onDrain(): void {
    if (!this.#paused || !this.#isOpen) return;
    this.#paused = false;
    this.events.onBackPressure(false);
    this.resume();
  }

  /** It has come whole. */
  end(rawTrailers: readonly string[], connection: HeaderMap[string]): void {
    if (!this.#isOpen) return;
    addTrailers(rawTrailers, connection, this.#res);
    // node:http makes one write of the head and a string, of the head and a Buffer a writev, which
    // costs a small response a third more.
    if (this.#held !== null) this.#res.end(this.#held.toString('latin1'), 'latin1');
    else this.#res.end();
  }
}

/** `compression()` holds chunks back until it is told; an event stream's reader waits for each. */
function flusher(contentType: HeaderMap[string], res: Response): (() => void) | null {
  const { flush } = res as Response & { flush?: () => void };
  if (typeof flush !== 'function') return null;
  if (!/^text\/event-stream\b/i.test(String(contentType))) return null;
  return () => flush.call(res);
}

/** Passes the trailers of one message to the other, before its end. */
export function addTrailers(
  rawTrailers: readonly string[],
  connection: HeaderMap[string],
  to: OutgoingMessage,
): void {
  if (rawTrailers.length === 0 || !to.chunkedEncoding) return;
  to.addTrailers(passableTrailers(rawTrailers, connection));
}

/** Those that may go on. */
export function passableTrailers(
  rawTrailers: readonly string[],
  connection: HeaderMap[string],
): [string, string][] {
  const drop = nominated(connection); // RFC 9110 7.6.1: "header or trailer field(s)"
  const trailers: [string, string][] = [];
  for (let i = 0; i < rawTrailers.length; i += 2) {
    const [written, value] = [rawTrailers[i]!, rawTrailers[i + 1]!];
    const name = written.toLowerCase();
    if (HOP_BY_HOP.has(name) || NOT_IN_TRAILERS.test(name) || drop?.has(name)) continue;
    if (isFieldValue(value)) trailers.push([written, value]);
  }
  return trailers;
}

const DRAIN_BYTES = 65_536;
const DRAIN_MS = 1000;

/** A short rest is read, so that the connection can be used again; else the connection is cut. */
export class DroppedBody {
  #left = DRAIN_BYTES;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(
    length: HeaderMap[string],
    private readonly cut: () => void,
  ) {
    if (Number(length ?? 0) > DRAIN_BYTES) cut();
    else this.#timer = setTimeout(cut, DRAIN_MS);
  }

  write(chunk: Buffer): void {
    this.#left -= chunk.length;
    if (this.#left < 0) this.cut();
  }

  /** It is over, whole or not. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
