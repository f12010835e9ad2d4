// A row of the table of raw requests: bytes in, and what has to come of them.

/** A request as the backend must get it. What the proxy itself adds is not repeated: see `host`. */
export interface Reached {
  /** Its first line. */
  line: string;
  /** `name: value`, in order, all but what the proxy sets itself on every request. */
  fields: string[];
  /** Latin1, without its framing. */
  body: string;
  trailers: string[];
  /** Of `Host` and `X-Forwarded-Host`; null: the client has named none, and the backend's own is sent. */
  host: string | null;
  /** The client's own `X-Request-ID`; else it is a new one. */
  id?: string;
}

export interface RawRequestRow {
  name: string;
  /** All that the client sends, as latin1: in one piece, or each piece when the one before was answered. */
  send: string | string[];
  /** The statuses that come back, in order; a list where any of several will do. */
  answers: (number | number[])[];
  /** What arrives at the backend, whole, in order. Each is answered 200, with its first line as body. */
  reached: Reached[];
  /** Each further piece is sent when the backend has got this, and not when there is an answer. */
  whenReached?: string;
  /** The client ends its side as soon as all is sent. */
  ends?: boolean;
  /** The proxy closes the connection by itself; else it goes on until the client has closed it. */
  closes: boolean;
  /** The 1xx before the first answer; none. */
  informational?: number[];
  /** Or it is refused with this, the backend sees nothing: where Nodes differ, and both is right. */
  orRefused?: number;
  /** The proxy may have begun to forward a message that then turned out to be broken. */
  begun?: boolean;
  /** The base path of the target; none. */
  base?: string;
}

export interface RawRequestGroup {
  group: string;
  rows: RawRequestRow[];
}

/** A head: lines, each ended by CRLF, and an empty one. */
export function head(...lines: string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

export const get = (target: string, ...fields: string[]): string =>
  head(`GET ${target} HTTP/1.1`, 'Host: h', ...fields);

export const post = (...fields: string[]): string => head('POST /a HTTP/1.1', 'Host: h', ...fields);

/** What must never be seen as a request of its own. */
export const SMUGGLED = get('/smuggled');

/** In chunks: one, and the last. */
export const chunked = (body: string, ...trailers: string[]): string =>
  `${body.length.toString(16)}\r\n${body}\r\n0\r\n${trailers.map((line) => `${line}\r\n`).join('')}\r\n`;

export function reached(
  line: string,
  fields: string[] = [],
  body = '',
  more: Partial<Pick<Reached, 'host' | 'id' | 'trailers'>> = {},
): Reached {
  return { line: `${line} HTTP/1.1`, fields, body, trailers: [], host: 'h', ...more };
}

/** Refused, by Node's parser or by the proxy; the backend sees nothing, the connection is closed. */
export function refused(
  name: string,
  send: string,
  status: number | number[] = 400,
): RawRequestRow {
  return { name, send, answers: [status], reached: [], closes: true };
}

/** Refused by the proxy, which knows where the message ends: the connection goes on. */
export function declined(name: string, send: string, status = 400): RawRequestRow {
  return { name, send, answers: [status], reached: [], closes: false };
}

/** Forwarded, each with an answer of its own. */
export function passes(name: string, send: string, ...requests: Reached[]): RawRequestRow {
  return { name, send, answers: requests.map(() => 200), reached: requests, closes: false };
}

/** Bytes behind a whole request that are no other: alone, and together with it. */
export function behind(
  name: string,
  request: string,
  rest: string,
  first: Reached,
): RawRequestRow[] {
  const row = passes(name, request, first);
  return [
    { ...row, send: [request, rest], answers: [200, 400], closes: true },
    // Node drops the request as well, and answers once.
    { ...refused(`${name}, in one piece`, request + rest), begun: true },
  ];
}
