// A row of the table of raw responses: what a backend sends, and what has to come of it.
import type { TinyProxyOptions } from '../../../src/index.js';
import type { RawScript } from '../raw.js';

/** A response as the client must get it. What the server adds is left out: Date, Connection, the id. */
export interface Passed {
  /** As in the first line: `200 OK`. */
  status: string;
  /** `name: value`, in order, the framing included. */
  fields: string[];
  /** Latin1, without its framing. */
  body: string;
  trailers: string[];
  /** The 1xx before it. */
  informational: number[];
}

/** `502` and `504` are the proxy's own; `cut`: the connection ends, with no whole response on it. */
export type Outcome = Passed | 502 | 504 | 'cut';

/** `answered`: the client has its answer; `asked`: the proxy has the next request. */
export type Timed = (answered: Promise<void>, asked: Promise<void>) => RawScript;

export interface RawResponseRow {
  name: string;
  /** What the backend does when it has the request. */
  sends: RawScript | Timed;
  outcome: Outcome;
  /** Or this, where Nodes differ and both is right. */
  or?: Outcome;
  /** How many failures the breaker has counted for it. */
  failures: number;
  /** `GET` */
  method?: 'HEAD' | 'POST';
  version?: '1.0';
  /** It waits for the next request, which is not to wait for it. */
  untilAsked?: boolean;
  /** The backend does so as soon as it is connected to. */
  atOnce?: boolean;
  options?: Partial<TinyProxyOptions>;
}

export interface RawResponseGroup {
  group: string;
  rows: RawResponseRow[];
}

/** A response: lines, each ended by CRLF, an empty one, and a body as it is. */
export function response(status: string, fields: string[] = [], body = ''): string {
  return `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n${body}`;
}

/** With the body `ok`. */
export const ok = (...fields: string[]): string =>
  response('200 OK', [...fields, 'Content-Length: 2'], 'ok');

export const chunks = (body: string, ...fields: string[]): string =>
  response('200 OK', [...fields, 'Transfer-Encoding: chunked'], body);

/** What no client must ever see. */
export const POISON = response('200 OK', ['X-Poison: 1', 'Content-Length: 6'], 'poison');

export function passed(
  status: string,
  fields: string[],
  body = '',
  more: Partial<Pick<Passed, 'trailers' | 'informational'>> = {},
): Passed {
  return { status, fields, body, trailers: [], informational: [], ...more };
}

export const passedOk = (...fields: string[]): Passed =>
  passed('200 OK', [...fields, 'content-length: 2'], 'ok');

/** A 5xx is passed on, and counted. */
export function passes(
  name: string,
  sends: RawResponseRow['sends'],
  outcome: Passed = passedOk(),
): RawResponseRow {
  return { name, sends, outcome, failures: outcome.status >= '500' ? 1 : 0 };
}

export function invalid(name: string, sends: RawResponseRow['sends']): RawResponseRow {
  return { name, sends, outcome: 502, failures: 1 };
}

export function cut(name: string, sends: RawResponseRow['sends']): RawResponseRow {
  return { name, sends, outcome: 'cut', failures: 1 };
}
