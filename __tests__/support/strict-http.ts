// Reads HTTP/1.1 by the letter of RFC 9112 and takes nothing else: the judge of what a fuzzed proxy
// says, to its clients and to its backends. Text is latin1, one character a byte.

export type Field = [name: string, value: string];

/** A message as far as it has come. */
export interface Message {
  startLine: RegExpExecArray;
  fields: Field[];
  /** Without its chunked framing. */
  body: string;
  trailers: Field[];
  complete: boolean;
  /** With all its framing. */
  length: number;
}

/** These bytes are no HTTP/1.1. */
export class NotHttp extends Error {}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const FIELD = new RegExp(`^(${TOKEN}):([\\t\\x20-\\x7e\\x80-\\xff]*)$`);
export const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([\\x21-\\x7e\\x80-\\xff]+) HTTP/1\\.1$`);
export const STATUS_LINE = /^HTTP\/1\.1 ([1-5]\d\d) ([\t\x20-\x7e\x80-\xff]*)$/;

/** How a message without framing fields ends: `close` for a response, `none` for a request. */
type Unframed = 'none' | 'close';

/** The values of one field, in order. */
export function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
}

/** The values by lower-case name, in the order in which they came. */
export function byName(fields: readonly Field[]): Record<string, string[]> {
  const values: Record<string, string[]> = Object.create(null);
  for (const [name, value] of fields) {
    const key = name.toLowerCase();
    values[key] = [...(values[key] ?? []), value];
  }
  return values;
}

/**
 * The message that these bytes begin with; undefined while its head is not whole. `bodiless`: it
 * has none, whatever its fields say (an answer to HEAD, 204, ...).
 *
 * @throws {NotHttp} for bytes that no message begins with.
 */
export function readMessage(
  text: string,
  startLine: RegExp,
  { unframed, bodiless = false }: { unframed: Unframed; bodiless?: boolean },
): Message | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const start = startLine.exec(first);
  if (start === null) throw new NotHttp(`a start line ${JSON.stringify(first.slice(0, 200))}`);
  const fields = readFields(lines);
  const at = end + 4;
  const framing = framingOf(fields) ?? unframed;
  if (bodiless || framing === 'none') {
    return { startLine: start, fields, body: '', trailers: [], complete: true, length: at };
  }
  const body = readBody(text, at, framing);
  return { startLine: start, fields, ...body };
}

function readFields(lines: readonly string[]): Field[] {
  return lines.map((line) => {
    const match = FIELD.exec(line);
    if (match === null) throw new NotHttp(`a field line ${JSON.stringify(line.slice(0, 200))}`);
    // Not trim(): it would take a 0xa0 away, which is no white space in HTTP.
    return [match[1]!, match[2]!.replace(/^[ \t]+|[ \t]+$/g, '')];
  });
}

/** One framing, said once. */
function framingOf(fields: readonly Field[]): 'chunked' | number | undefined {
  const codings = valuesOf(fields, 'transfer-encoding');
  const lengths = valuesOf(fields, 'content-length');
  if (codings.length + lengths.length > 1) throw new NotHttp('framed more than once');
  const [coding] = codings;
  const [length] = lengths;
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    throw new NotHttp(`the transfer coding ${coding}`);
  }
  if (length !== undefined && !/^\d+$/.test(length)) throw new NotHttp(`the length ${length}`);
  return coding !== undefined ? 'chunked' : length === undefined ? undefined : Number(length);
}

type Body = Pick<Message, 'body' | 'trailers' | 'complete' | 'length'>;

function readBody(text: string, at: number, framing: 'chunked' | 'close' | number): Body {
  if (framing === 'chunked') return readChunks(text, at);
  const length = framing === 'close' ? text.length - at : framing;
  const body = text.slice(at, at + length);
  // Only who sees the connection's end can say whether this is all.
  const complete = framing !== 'close' && body.length === length;
  return { body, trailers: [], complete, length: at + body.length };
}

const CHUNK_SIZE = /([0-9A-Fa-f]+)\r\n/y;

function readChunks(text: string, start: number): Body {
  let body = '';
  let at = start;
  const soFar = (): Body => ({ body, trailers: [], complete: false, length: text.length });
  for (;;) {
    CHUNK_SIZE.lastIndex = at;
    const size = CHUNK_SIZE.exec(text);
    if (size === null) {
      if (!/^[0-9A-Fa-f]*\r?$/.test(text.slice(at))) {
        throw new NotHttp(`a chunk size ${JSON.stringify(text.slice(at, at + 40))}`);
      }
      return soFar();
    }
    at += size[0].length;
    const bytes = Number.parseInt(size[1]!, 16);
    if (bytes === 0) break;
    body += text.slice(at, at + bytes);
    at += bytes;
    if (!'\r\n'.startsWith(text.slice(at, at + 2)))
      throw new NotHttp('a chunk longer than it says');
    if (text.length < at + 2) return soFar();
    at += 2;
  }
  if (text.startsWith('\r\n', at)) return { body, trailers: [], complete: true, length: at + 2 };
  const end = text.indexOf('\r\n\r\n', at);
  if (end < 0) return soFar();
  const trailers = readFields(text.slice(at, end).split('\r\n'));
  return { body, trailers, complete: true, length: end + 4 };
}
