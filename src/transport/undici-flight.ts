import { HOP_BY_HOP, invalid, readHead } from '../headers.js';
import { DroppedBody, isBodiless, PassedBody } from './pass-body.js';
import type { StatusLine } from './status-line.js';
import type { Attempt, AttemptEvents, Flight, Head, Outcome } from './transport.js';

/** What carries a flight: see `undici.ts`. */
export interface Carrier {
  readonly bytesRead: number;
  /** The flight is not the first on this socket. */
  readonly reused: boolean;
  readonly statusLine: StatusLine;
  /** Part of the request is on its way still. */
  readonly sending: boolean;
  /** Something is about to be written. */
  begin(): void;
  pause(): void;
  resume(flight: UndiciFlight): void;
  /** The response has come whole; the connection goes on where it is not `spoilt`. */
  release(spoilt: boolean): void;
  /** Closes the connection, at whatever stage. */
  destroy(): void;
}

/** One attempt under way: undici's handler of its request. */
export class UndiciFlight implements Flight {
  connected = false;
  over = false;
  #head: Head | null = null;
  #body: PassedBody | null = null;
  #dropped: DroppedBody | null = null;
  #bytesBefore = 0;

  constructor(
    readonly attempt: Attempt,
    private readonly events: AttemptEvents,
    private readonly carrier: Carrier,
  ) {}

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.carrier.destroy();
  }

  /** undici: the connection stands, and the request is about to be written. */
  onConnect(): void {
    const { carrier } = this;
    carrier.begin();
    this.connected = true;
    this.#bytesBefore = carrier.bytesRead;
  }

  /** undici: a head. Answers whether the body may follow: always, as it is the socket that waits. */
  onHeaders(status: number, fields: Buffer[]): boolean {
    if (this.over) return true;
    const rawHeaders = texts(fields);
    fields.length = 0; // made while the connection was idle, it is old: it would hold all that is in it
    if (status < 200) return this.#inform(status, rawHeaders);
    const { httpVersion, reason, tooLong } = this.carrier.statusLine;
    const raw = { status, rawHeaders, httpVersion, reason };
    let head: Head;
    try {
      if (tooLong) throw invalid('a status line without end');
      head = { ...raw, headers: readHead(raw), runHooks() {} };
    } catch (error) {
      this.fail(error as Error);
      return true;
    }
    this.#head = head;
    const length = head.headers['content-length'];
    if (this.events.onHead(head) === 'drop') this.#drop(length);
    else if (isBodiless(status) || isBodiless(this.attempt.res.statusCode))
      this.#endBodiless(status, length);
    else this.#pass(head);
    return true;
  }

  #pass(head: Head): void {
    const resume = (): void => this.carrier.resume(this);
    this.#body = new PassedBody(this.attempt, head, this.events, resume);
  }

  #inform(status: number, rawHeaders: string[]): boolean {
    if (this.carrier.statusLine.was100()) return true;
    try {
      const raw = { status: 200, reason: '', httpVersion: '1.1', rawHeaders };
      this.events.onInformational(status, readHead(raw));
    } catch {
      // A hint may be left out.
    }
    return true;
  }

  /** modifyResponse may have made it so; and undici takes a 304's Content-Length at its word. */
  #endBodiless(status: number, length: Head['headers'][string]): void {
    this.attempt.res.end();
    this.#settle({ kind: 'complete' });
    if (!isBodiless(status)) this.#drop(length);
  }

  #drop(length: Head['headers'][string]): void {
    this.over = true;
    if (this.carrier.sending) return this.carrier.destroy();
    this.#dropped = new DroppedBody(length, () => this.carrier.destroy());
  }

  /** undici: a part of the body. */
  onData(chunk: Buffer): boolean {
    this.#dropped?.write(chunk);
    if (this.over || this.#body === null) return true;
    if (!this.#body.write(chunk)) this.carrier.pause();
    return true;
  }

  /** undici: the response has come whole. */
  onComplete(trailers: readonly unknown[] | null): void {
    const rawTrailers = trailers?.length ? texts(trailers as readonly Buffer[]) : NONE;
    this.#dropped?.end();
    // Some of these its parser heeds: the next response would be none.
    this.carrier.release(rawTrailers.some((name) => HOP_BY_HOP.has(name.toLowerCase())));
    if (this.over) return;
    this.#body!.end(rawTrailers, rawTrailers === NONE ? undefined : this.#connectionField());
    this.#settle({ kind: 'complete' });
  }

  #connectionField(): string {
    const { rawHeaders } = this.#head!;
    const isConnection = (_: string, i: number): boolean =>
      i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === 'connection';
    return rawHeaders.filter(isConnection).join();
  }

  /** undici: it will not come. */
  onError(error: Error): void {
    this.#dropped?.end();
    this.fail(error);
    this.carrier.destroy(); // what has failed may be a dropped response
  }

  fail(error: Error): void {
    if (this.over) return;
    const code = codeOf(error, this.#head !== null);
    const { connected, carrier } = this;
    const untouched = connected && carrier.reused && carrier.bytesRead === this.#bytesBefore;
    const stale = untouched && (code === 'ECONNRESET' || code === 'EPIPE');
    this.over = true;
    carrier.destroy(); // first: the next attempt may want its place
    this.#settle({ kind: 'failed', code, error, connected, stale });
  }

  #settle(outcome: Outcome): void {
    this.over = true;
    this.events.onEnd(outcome);
  }
}

const NONE: readonly string[] = [];

/** Node's parser has the same bytes as text. Made of all at once, where they lie together: half the time. */
function texts(fields: readonly Buffer[]): string[] {
  const last = fields.at(-1);
  if (last === undefined) return [];
  const { buffer, byteOffset: from } = fields[0]!;
  const length = last.byteOffset + last.length - from;
  if (last.buffer !== buffer || length < 0) return fields.map(text);
  const whole = text(Buffer.from(buffer, from, length));
  const out = new Array<string>(fields.length);
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]!;
    const at = field.byteOffset - from;
    const isInside = field.buffer === buffer && at >= 0 && at + field.length <= length;
    out[i] = isInside ? whole.slice(at, at + field.length) : text(field);
  }
  return out;
}

const text = (bytes: Buffer): string => bytes.toString('latin1');

/** undici's own codes by the names that ours have; its parser's errors have none (Node's: `HPE_...`). */
function codeOf(error: Error, inBody: boolean): string {
  const { code = 'EPROTO', name, message } = error as NodeJS.ErrnoException;
  // Refused before anything is sent: bytes of the client's, or of the app's.
  if (code === 'UND_ERR_INVALID_ARG') return 'ERR_INVALID_CHAR';
  // Its name for whatever its parser has met in a head, behind a Content-Length.
  const mismatch = !inBody && code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH';
  // An unasked 100 or 101, a byte that answers no request; or what is no HTTP.
  const isBad = mismatch || name === 'HTTPParserError' || /^bad (response|upgrade)$/.test(message);
  if (isBad) return 'INVALID_RESPONSE';
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return 'HPE_HEADER_OVERFLOW';
  return code.startsWith('UND_ERR_') ? 'ECONNRESET' : code;
}
