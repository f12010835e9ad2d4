import { maxHeaderSize } from 'node:http';
import type { Socket } from 'node:net';

/** As much as Node takes for a whole head. */
const MOST_BYTES = maxHeaderSize;
const LINE_FEED = 10;
const DIGIT_ONE = 49;
const CONTINUE =
  /HTTP\/1\.[01] 100(?: [\t\x20-\x7e\x80-\xff]*)?\r\n(?:[\t\x20-\x7e\x80-\xff]+\r\n)*\r\n/y;

/**
 * What undici does not tell of a response: its version, and the bytes of its reason phrase. It makes
 * UTF-8 of these, and keeps the last part alone of one that comes in two. And what it takes for no
 * HTTP: a 100 that was not asked for.
 */
export class StatusLine {
  #bytes: Buffer | null = null;
  #whole = false;
  #done = false;
  #parts = 0;
  #held: Buffer | null = null;
  /** What is being parsed, and how much of it is known to be 1xx heads. */
  #chunk: Buffer | null = null;
  #offset = 0;
  /** `'1.1'`, say. */
  httpVersion = '1.1';
  tooLong = false;

  /** Looks at what is read from the socket. */
  watch(socket: Socket): void {
    const read = socket.read.bind(socket);
    socket.read = (size) => {
      const chunk: Buffer | null = read(size);
      if (this.#done || chunk === null) return chunk;
      const passed = this.#whole || this.#bytes !== null ? chunk : this.#without100(chunk);
      this.#chunk = passed;
      this.#offset = 0;
      if (!this.#whole && passed !== null) this.#add(passed);
      return passed;
    };
  }

  /** The final head has come: what follows is not looked at, nor kept. */
  done(): void {
    this.#done = true;
    this.#bytes = null;
    this.#chunk = null;
  }

  /** RFC 9110 15.2.1: "the client can simply discard it". */
  #without100(chunk: Buffer): Buffer | null {
    const bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = null;
    if (bytes.length > 9 && bytes[9] !== DIGIT_ONE) return bytes;
    const text = bytes.toString('latin1');
    let end = 0;
    CONTINUE.lastIndex = 0;
    while (CONTINUE.test(text)) end = CONTINUE.lastIndex;
    const rest = bytes.subarray(end);
    const start = text.slice(end, end + 12);
    const goesOn = 'HTTP/1.1 100'.startsWith(start) || 'HTTP/1.0 100'.startsWith(start);
    if (!goesOn || rest.length > MOST_BYTES || rest.includes('\r\n\r\n')) return rest;
    this.#held = rest.length > 0 ? rest : null;
    return null;
  }

  /** A response is waited for. */
  expect(): void {
    this.#done = false;
    this.#bytes = null;
    this.#parts = 0;
    this.#held = null;
    this.#whole = false;
  }

  /** A 1xx has been parsed: the final head follows, in the same chunk or in one to come. */
  next(): void {
    const end = this.#chunk?.indexOf('\r\n\r\n', this.#offset) ?? -1;
    this.#bytes = null;
    if (end < 0) return; // it has come in parts
    this.#offset = end + 4;
    const rest = this.#chunk!.subarray(this.#offset);
    this.#parts = 0;
    this.#whole = false;
    if (rest.length > 0) this.#add(rest);
  }

  #add(chunk: Buffer): void {
    this.#bytes = this.#bytes === null ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#parts++;
    const end = this.#bytes.indexOf(LINE_FEED);
    this.#whole = end >= 0 || this.#bytes.length > MOST_BYTES;
    if (this.#whole) this.httpVersion = this.#bytes.toString('latin1', 5, 8);
    this.tooLong = (end < 0 ? this.#bytes.length : end) > MOST_BYTES;
  }

  /** `text` is what undici has made of it. */
  reason(text: string): string {
    if (this.#bytes === null || (this.#parts === 1 && /^[\t\x20-\x7e]*$/.test(text))) return text;
    const end = this.#bytes.indexOf(LINE_FEED);
    return this.#bytes.toString('latin1', 'HTTP/1.1 200 '.length, end).replace(/\r$/, '');
  }
}
