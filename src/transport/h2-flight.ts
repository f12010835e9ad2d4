import { type ClientHttp2Stream, constants } from 'node:http2';
import { badRequest, coded } from '../errors.js';
import { type HeaderMap, invalid, passableHeaders } from '../headers.js';
import { checkUnread } from '../parsed-body.js';
import { ReplayBody } from '../replay-body.js';
import { fieldsOf, headOf, trailersOf } from './h2-fields.js';
import { DroppedBody, isBodiless, PassedBody, passableTrailers } from './pass-body.js';
import type { Attempt, AttemptEvents, Flight, Head, Outcome } from './transport.js';

type Coded = NodeJS.ErrnoException;

/** The HTTP/2 connection of a flight: see `h2.ts`. */
export interface Carrier {
  /** A response has come on it. */
  proven: boolean;
  readonly bytesRead: number;
  /** The connection is closed, or about to be. */
  readonly over: boolean;
  /** The GOAWAY that the backend has sent. */
  readonly goaway: { readonly code: number; readonly lastStreamId: number } | null;
  request(fields: HeaderMap, options: object): ClientHttp2Stream;
  /** It waits no longer. */
  leave(flight: Http2Flight): void;
  /** On another connection. */
  sendElsewhere(attempt: Attempt, events: AttemptEvents): Flight;
  /** An attempt was given up in vain: is the backend still there? */
  probe(): void;
}

const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } =
  constants;
/** More than Node's server takes (128, with three that are none here) it refuses by ENHANCE_YOUR_CALM. */
const MOST_FIELDS = 125;

/** One attempt under way: a stream of HTTP/2, or what carries it where the backend has not that. */
export class Http2Flight implements Flight {
  #carrier: Carrier | null = null;
  #stream: ClientHttp2Stream | null = null;
  #successor: Flight | null = null;
  #body: PassedBody | null = null;
  #error: Coded | null = null;
  #rawTrailers: readonly string[] = [];
  /** END_STREAM has come. */
  #whole = false;
  #hasHead = false;
  #over = false;
  #isReset = false;
  /** Of an upload. */
  #aborter: AbortController | null = null;
  #wasProven = false;
  #bytesBefore = 0;

  constructor(
    readonly attempt: Attempt,
    readonly events: AttemptEvents,
  ) {}

  get connected(): boolean {
    return this.#successor?.connected ?? this.#stream !== null;
  }

  abort(): void {
    if (this.#successor !== null) return this.#successor.abort();
    if (this.#over) return;
    this.#end();
    if (this.#stream === null) return this.#carrier!.leave(this);
    this.#reset();
    if (!this.#hasHead || !this.attempt.res.closed) this.#carrier!.probe();
  }

  leaveQueue(): boolean {
    return this.#successor?.leaveQueue?.() ?? false;
  }

  waitFor(carrier: Carrier): void {
    this.#carrier = carrier;
  }

  /** Another one carries the attempt: the backend has chosen HTTP/1.1, or closed the connection. */
  hand(successor: Flight): void {
    this.#successor = successor;
  }

  /** Answers the stream, null where the request is none that can be sent. */
  begin(carrier: Carrier): ClientHttp2Stream | null {
    const { body, req } = this.attempt;
    const upload = body instanceof ReplayBody ? body : null;
    let stream: ClientHttp2Stream;
    try {
      if (upload !== null) {
        checkUnread(req); // a hook may be a reader by now
        this.#aborter = new AbortController();
      }
      stream = carrier.request(fieldsOf(this.attempt), {
        endStream: body === null,
        // Costs a frame, and Node's asserts are not all right about it: only for those announced.
        waitForTrailers: upload !== null && req.headers.trailer !== undefined,
        signal: this.#aborter?.signal,
      });
    } catch (error) {
      this.fail(error as Error);
      return null;
    }
    this.#carrier = carrier;
    this.#stream = stream;
    this.#wasProven = carrier.proven;
    this.#bytesBefore = carrier.bytesRead;
    this.#watch(stream);
    if (upload !== null) this.#upload(stream, upload);
    else if (body !== null) stream.end(body);
    return stream;
  }

  #watch(stream: ClientHttp2Stream): void {
    const push = stream.push;
    // Node ends a body that a reset has cut as if it were whole; but only END_STREAM does so before
    // the stream is closed. The rest is then read at once: it would be lost with the connection.
    stream.push = (chunk, encoding) => {
      const isEnd = chunk === null && !stream.closed;
      if (isEnd) this.#whole = true;
      const more = push.call(stream, chunk, encoding);
      if (isEnd && this.#body !== null) stream.resume();
      return more;
    };
    stream.on('headers', ({ ':status': status, ...headers }) => {
      if (this.#over || this.#hasHead) return;
      this.events.onInformational(Number(status), passableHeaders(headers));
    });
    stream.once('response', (_, _flags, raw: string[]) => this.#onResponse(stream, raw));
    stream.on('trailers', (_, _flags, raw: string[]) => {
      this.#rawTrailers = raw;
    });
    stream.on('end', () => this.#onEnd(stream));
    stream.on('error', (error) => {
      this.#error ??= error;
    });
    stream.on('close', () => this.#onCut(stream));
  }

  /** The head goes at once, the body as it comes. */
  #upload(stream: ClientHttp2Stream, body: ReplayBody): void {
    const source = body.open();
    source.on('data', (chunk: Buffer) => {
      if (stream.writableEnded || stream.write(chunk)) return;
      source.pause();
      stream.once('drain', () => source.resume());
    });
    source.on('end', () => stream.end());
    stream.on('wantTrailers', () => {
      const { rawTrailers, headers } = this.attempt.req;
      stream.sendTrailers(trailersOf(passableTrailers(rawTrailers, headers.connection)));
    });
  }

  #onResponse(stream: ClientHttp2Stream, raw: readonly string[]): void {
    if (this.#over) return;
    let head: Head;
    try {
      head = headOf(raw);
    } catch (error) {
      this.fail(error as Error);
      return this.#reset();
    }
    this.#hasHead = true;
    this.#carrier!.proven = true;
    const { status } = head;
    const length = head.headers['content-length'];
    if (this.events.onHead(head) === 'drop') return this.#drop(stream, length);
    const { res } = this.attempt;
    if (isBodiless(status) || !isBodiless(res.statusCode)) return this.#pass(stream, head);
    // modifyResponse has made it so.
    res.end();
    this.#settle({ kind: 'complete' });
    this.#drop(stream, length);
  }

  #pass(stream: ClientHttp2Stream, head: Head): void {
    const body = new PassedBody(this.attempt, head, this.events, () => stream.resume());
    this.#body = body;
    stream.on('data', (chunk: Buffer) => {
      if (!this.#over && !body.write(chunk) && !this.#whole) stream.pause();
    });
  }

  #drop(stream: ClientHttp2Stream, length: HeaderMap[string]): void {
    this.#end();
    if (!stream.writableFinished) return this.#reset();
    const body = new DroppedBody(length, () => this.#reset());
    stream.on('data', (chunk: Buffer) => body.write(chunk));
    stream.on('close', () => body.end());
  }

  #onEnd(stream: ClientHttp2Stream): void {
    if (!this.#whole) this.#onCut(stream);
    else if (!this.#over) {
      this.#body!.end(this.#rawTrailers, undefined);
      this.#settle({ kind: 'complete' });
    }
    // RFC 9113 8.1: an answer that did not wait for the whole request, whose rest nobody wants.
    if (!stream.writableFinished) this.#reset();
  }

  /**
   * The stream alone; the connection goes on. Not at once: inside of nghttp2 Node puts it off, and
   * may destroy its stream before.
   */
  #reset(): void {
    if (this.#isReset) return;
    this.#isReset = true;
    setImmediate(() => {
      const stream = this.#stream!;
      if (stream.closed) stream.destroy();
      // close() would first end the upload, and make a part of it look whole.
      else if (!stream.writableEnded) this.#aborter!.abort();
      else stream.close(NGHTTP2_CANCEL);
    });
  }

  /** The stream is closed, and the response was not whole. */
  #onCut({ id = 0, rstCode }: ClientHttp2Stream): void {
    if (this.#over) return;
    const { over, goaway, bytesRead } = this.#carrier!;
    // RFC 9113 8.7: these were not processed.
    if (goaway !== null && id > goaway.lastStreamId) {
      const stale = this.#wasProven && goaway.code === NGHTTP2_NO_ERROR;
      if (stale && this.#canBeSentAgain) return this.#sendAgain();
      return this.#fail(coded('GOAWAY', 'GOAWAY before the request'), false, stale);
    }
    const isTooMuch = rstCode === NGHTTP2_ENHANCE_YOUR_CALM && !this.#hasHead && goaway === null;
    if (isTooMuch && Object.keys(this.attempt.headers).length > MOST_FIELDS)
      return this.fail(badRequest('more header fields than the backend takes', 431));
    const isRefused = rstCode === NGHTTP2_REFUSED_STREAM;
    const error = reasonOf(this.#error, over, goaway?.code || rstCode);
    const isReset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
    const untouched = over && this.#wasProven && bytesRead === this.#bytesBefore;
    this.#fail(error, !isRefused, isReset && untouched);
  }

  get #canBeSentAgain(): boolean {
    const { body } = this.attempt;
    return !(body instanceof ReplayBody) || body.replayable;
  }

  /**
   * A backend closes each connection in good order after so many requests (nginx: 1000), and some are
   * on their way then. It guarantees that it has not seen these: the attempt is still the same one.
   */
  #sendAgain(): void {
    this.#end();
    this.hand(this.#carrier!.sendElsewhere(this.attempt, this.events));
  }

  /** Nothing was sent. */
  fail(error: Error): void {
    this.#fail(error, this.#stream !== null, false);
  }

  #fail(error: Coded, connected: boolean, stale: boolean): void {
    if (this.#over) return;
    this.#settle({ kind: 'failed', code: error.code ?? 'EPROTO', error, connected, stale });
  }

  #settle(outcome: Outcome): void {
    this.#end();
    this.events.onEnd(outcome);
  }

  #end(): void {
    this.#over = true;
    const { body } = this.attempt;
    if (body instanceof ReplayBody) body.shut();
  }
}

/** RFC 9113 7, by their numbers. */
const CODES = (
  'NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED ' +
  'FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM ' +
  'INADEQUATE_SECURITY HTTP_1_1_REQUIRED'
).split(' ');

/** Why a stream was closed: the connection's error, or the code of a RST_STREAM or a GOAWAY. */
function reasonOf(error: Coded | null, connectionOver: boolean, code: number): Coded {
  if (error?.code === 'ERR_HTTP2_ERROR') return invalid(error.message);
  if (error !== null && !error.code?.startsWith('ERR_HTTP2_')) return error;
  const name = CODES[code] ?? 'INTERNAL_ERROR';
  // Node closes the streams of a connection that has ended as if we had cancelled them.
  const isEnd = code === NGHTTP2_NO_ERROR || (error === null && connectionOver);
  return isEnd ? coded('ECONNRESET', 'aborted') : coded(name, error?.message ?? name);
}
