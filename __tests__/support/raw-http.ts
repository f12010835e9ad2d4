// Just enough HTTP/1.1 to tell where a message ends. Strict and small: what it cannot read stays
// unread in `raw`, for the test to look at.

/** One answer, as it stood on the wire. */
export interface RawResponse {
  status: number;
  reason: string;
  /** In order, nothing joined, names as they were sent. */
  headers: [name: string, value: string][];
  /** Without its chunked framing. */
  body: Buffer;
  trailers: [name: string, value: string][];
  /** Statuses of the 1xx answers before it. */
  informational: number[];
  /** Whether its body came to its proper end. */
  complete: boolean;
}

/** The values of one header, in order, whatever its case. */
export function valuesOf({ headers }: Pick<RawResponse, 'headers'>, name: string): string[] {
  const wanted = name.toLowerCase();
  return headers.filter(([each]) => each.toLowerCase() === wanted).map(([, value]) => value);
}

/**
 * All answers in these bytes (latin1); only the last may be incomplete. `bodiless`: to HEAD;
 * `closed`: the connection ended properly after them.
 */
export function parseResponses(
  raw: string,
  { bodiless = false, closed = false }: { bodiless?: boolean; closed?: boolean } = {},
): RawResponse[] {
  const responses: RawResponse[] = [];
  let informational: number[] = [];
  let rest = raw;
  for (;;) {
    const head = splitHead(rest);
    const line = head && /^HTTP\/1\.[01] (\d{3}) ?(.*)$/s.exec(head.startLine);
    if (!line) return responses;
    const status = Number(line[1]);
    rest = rest.slice(head.length);
    if (status < 200 && status !== 101) {
      informational.push(status);
      continue;
    }
    const empty = bodiless || status === 101 || status === 204 || status === 304;
    const framed = empty ? NO_BODY : frame(rest, head.headers, closed);
    const { body, trailers, complete } = framed;
    const { headers } = head;
    const reason = line[2] ?? '';
    const bytes = Buffer.from(body, 'latin1');
    responses.push({ status, reason, headers, body: bytes, trailers, informational, complete });
    if (!complete) return responses;
    rest = rest.slice(framed.length);
    informational = [];
  }
}

/** One request, as it stood on the wire. */
export interface RawRequest {
  line: string;
  /** In order, nothing joined, names as they were sent. */
  headers: [name: string, value: string][];
  /** Without its chunked framing. */
  body: Buffer;
  trailers: [name: string, value: string][];
  /** With its head and its framing. */
  length: number;
}

/** The first request in this text (latin1); undefined while it is not whole. */
export function parseRequest(text: string): RawRequest | undefined {
  const head = splitHead(text);
  if (!head) return undefined;
  const { startLine: line, headers } = head;
  const hasBody = ['content-length', 'transfer-encoding'].some((n) => valuesOf(head, n).length > 0);
  const framed = hasBody ? frame(text.slice(head.length), headers, false) : NO_BODY;
  if (!framed.complete) return undefined;
  const body = Buffer.from(framed.body, 'latin1');
  return { line, headers, body, trailers: framed.trailers, length: head.length + framed.length };
}

interface Framed {
  body: string;
  trailers: [name: string, value: string][];
  complete: boolean;
  /** Of the body with its framing. */
  length: number;
}

const NO_BODY: Framed = { body: '', trailers: [], complete: true, length: 0 };

/** RFC 9112 6.3: chunked, else by length, else up to the end of the connection. */
function frame(rest: string, headers: [string, string][], closed: boolean): Framed {
  if (/\bchunked$/i.test(valuesOf({ headers }, 'transfer-encoding').join())) return dechunk(rest);
  const announced = valuesOf({ headers }, 'content-length')[0];
  if (announced === undefined) {
    return { body: rest, trailers: [], complete: closed, length: rest.length };
  }
  const length = Number(announced);
  const body = rest.slice(0, length);
  return { body, trailers: [], complete: body.length === length, length };
}

function dechunk(rest: string): Framed {
  let body = '';
  let at = 0;
  for (;;) {
    const line = /^([0-9a-f]+)[^\r\n]*\r\n/i.exec(rest.slice(at));
    if (!line) return { body, trailers: [], complete: false, length: at };
    const size = Number.parseInt(line[1] ?? '', 16);
    at += line[0].length;
    if (size === 0) break;
    body += rest.slice(at, at + size);
    if (rest.length < at + size + 2) return { body, trailers: [], complete: false, length: at };
    at += size + 2;
  }
  if (rest.startsWith('\r\n', at)) return { body, trailers: [], complete: true, length: at + 2 };
  const end = rest.indexOf('\r\n\r\n', at);
  if (end < 0) return { body, trailers: [], complete: false, length: at };
  const trailers = fields(rest.slice(at, end).split('\r\n'));
  return { body, trailers, complete: true, length: end + 4 };
}

interface Head {
  startLine: string;
  headers: [name: string, value: string][];
  length: number;
}

function splitHead(text: string): Head | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [startLine = '', ...lines] = text.slice(0, end).split('\r\n');
  return { startLine, headers: fields(lines), length: end + 4 };
}

function fields(lines: string[]): [name: string, value: string][] {
  return lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
}
