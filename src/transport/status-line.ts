import { maxHeaderSize } from 'node:http';
import type { Socket } from 'node:net';

/** As much as Node takes for a whole head. */
const MOST_BYTES = maxHeaderSize;
const [CARRIAGE_RETURN, LINE_FEED, DIGIT_TWO] = [13, 10, 50];
/** RFC 9110 15.2: what comes before the final head. A 101 does not: it would be final. */
const INFORMATIONAL = /^HTTP\/1\.[01] 1(?!01)\d\d/;
const CONTINUE = /^HTTP\/1\.[01] 100/;

/**
 * What undici does not tell of a response: its version, and the bytes of its reason phrase. It makes
 * UTF-8 of these, and keeps the last part alone of one that comes in two. And what it takes for no
 * HTTP, a 100 that was not asked for: it is shown a 102 in its place.
 */
export class StatusLine {
  /** What has come of the line of the head that is being read. */
  #line = '';
  #known = false;
  /** In an informational head, behind its line: how much of the CRLF CRLF has come that ends it. */
  #matched = -1;
  /** Of the informational heads that were shown to undici, and not told by it yet. */
  readonly #are100: boolean[] = [];
  /** `'1.1'`, say. */
  httpVersion = '1.1';
  reason = '';
  tooLong = false;

  /** Looks at what is read from the socket. */
  watch(socket: Socket): void {
    const read = socket.read.bind(socket);
    socket.read = (size) => {
      const chunk: Buffer | null = read(size);
      if (chunk === null) return null;
      for (let at = 0; at < chunk.length && !this.#known; )
        at = this.#matched < 0 ? this.#readLine(chunk, at) : this.#skipFields(chunk, at);
      return chunk;
    };
  }

  /** A response is waited for. */
  expect(): void {
    this.#line = '';
    this.#known = false;
    this.#matched = -1;
    this.#are100.length = 0;
  }

  /** Whether the informational head that undici has told was a 100. RFC 9110 15.2.1: it can be discarded. */
  was100(): boolean {
    return this.#are100.shift() === true;
  }

  /** Answers where it goes on. */
  #readLine(chunk: Buffer, at: number): number {
    const before = this.#line.length;
    // An empty line before the first one is nothing (RFC 9112 2.2).
    if (before === 0 && (chunk[at] === CARRIAGE_RETURN || chunk[at] === LINE_FEED)) return at + 1;
    const end = chunk.indexOf(LINE_FEED, at);
    this.#line += chunk.toString('latin1', at, end < 0 ? chunk.length : end);
    const is100 = this.#line[9] === '1' && CONTINUE.test(this.#line);
    if (is100 && before < 12) chunk[at + 11 - before] = DIGIT_TWO;
    this.tooLong = this.#line.length > MOST_BYTES;
    if (end < 0 && !this.tooLong) return chunk.length;
    if (this.#line[9] === '1' && !this.tooLong && INFORMATIONAL.test(this.#line)) {
      this.#are100.push(is100);
      this.#matched = this.#line.endsWith('\r') ? 2 : 0;
    } else {
      this.#known = true;
      this.httpVersion = this.#line.slice(5, 8);
      this.reason = this.#line.slice('HTTP/1.1 200 '.length).replace(/\r$/, '');
    }
    this.#line = '';
    return end < 0 ? chunk.length : end + 1;
  }

  #skipFields(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const isNext = chunk[at] === (this.#matched % 2 === 0 ? CARRIAGE_RETURN : LINE_FEED);
      if (isNext) this.#matched++;
      else this.#matched = chunk[at] === CARRIAGE_RETURN ? 1 : 0;
      if (this.#matched < 4) continue;
      this.#matched = -1;
      return at + 1;
    }
    return chunk.length;
  }
}
