import { maxHeaderSize } from 'node:http';
import type { Socket } from 'node:net';

/** As much as Node takes for a whole head. */
const MOST_BYTES = maxHeaderSize;
const LINE_FEED = 10;
const DIGIT_ONE = 49;
/** RFC 9110 15.2: what comes before the final head. A 101 does not: it would be final. */
const INFORMATIONAL =
  /HTTP\/1\.[01] (1(?!01)\d\d)(?: [^\r\n]*)?\r\n(?:[\t\x20-\x7e\x80-\xff]+\r\n)*\r\n/gy;
const BEGINNINGS = ['HTTP/1.1 1', 'HTTP/1.0 1'];

/**
 * What undici does not tell of a response: its version, and the bytes of its reason phrase. It makes
 * UTF-8 of these, and keeps the last part alone of one that comes in two. And what it takes for no
 * HTTP: a 100 that was not asked for.
 */
export class StatusLine {
  /** Of the final head, as long as its line is not whole. */
  #bytes: Buffer | null = null;
  #whole = false;
  /** The beginning of an informational head: parsed when it is whole. */
  #held: Buffer | null = null;
  /** `'1.1'`, say. */
  httpVersion = '1.1';
  reason = '';
  tooLong = false;

  /** Looks at what is read from the socket. */
  watch(socket: Socket): void {
    const read = socket.read.bind(socket);
    socket.read = (size) => {
      const chunk: Buffer | null = read(size);
      if (this.#whole || chunk === null) return chunk;
      return this.#bytes === null ? this.#begin(chunk) : this.#add(chunk);
    };
  }

  /** Answers what is to be parsed. RFC 9110 15.2.1 of a 100: "the client can simply discard it". */
  #begin(chunk: Buffer): Buffer | null {
    const bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = null;
    if (bytes.length > 9 && bytes[9] !== DIGIT_ONE) return this.#add(bytes);
    const text = bytes.toString('latin1');
    const passed: Buffer[] = [];
    let at = 0;
    for (const [head, status] of text.matchAll(INFORMATIONAL)) {
      if (status !== '100') passed.push(bytes.subarray(at, at + head.length));
      at += head.length;
    }
    const rest = bytes.subarray(at);
    if (isBeginning(text.slice(at))) this.#held = rest;
    else if (rest.length > 0) passed.push(this.#add(rest));
    return passed.length > 0 ? Buffer.concat(passed) : null;
  }

  /** A response is waited for. */
  expect(): void {
    this.#bytes = null;
    this.#held = null;
    this.#whole = false;
  }

  #add(chunk: Buffer): Buffer {
    const bytes = this.#bytes === null ? chunk : Buffer.concat([this.#bytes, chunk]);
    const end = bytes.indexOf(LINE_FEED);
    this.tooLong = (end < 0 ? bytes.length : end) > MOST_BYTES;
    this.#whole = end >= 0 || this.tooLong;
    this.#bytes = this.#whole ? null : bytes;
    if (!this.#whole || this.tooLong) return chunk;
    const line = bytes.toString('latin1', 0, end);
    this.httpVersion = line.slice(5, 8);
    this.reason = line.slice('HTTP/1.1 200 '.length).replace(/\r$/, '');
    return chunk;
  }
}

/** Whether it may become an informational head. What has an end already is none. */
function isBeginning(text: string): boolean {
  if (text === '' || text.length > MOST_BYTES || /\r?\n\r?\n|^.{9}101/.test(text)) return false;
  return BEGINNINGS.some((beginning) => beginning.startsWith(text.slice(0, 10)));
}
