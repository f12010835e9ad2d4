import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  validateHeaderName,
} from 'node:http';
import type { Request } from 'express';
import { badRequest, coded } from './errors.js';

/** Field names in lower case; a list where a name has come more than once. */
export type HeaderMap = Record<string, string | string[] | undefined>;

/**
 * Meant for one connection only. RFC 9110 7.6.1, with the de-facto Proxy-Connection and the
 * Proxy-* pair of 11.7, which belongs to the proxy that asked for it.
 */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Taking one of these away because `Connection` named it would change where a message ends or whom
 * it is for: request smuggling (RFC 9112 11.2).
 */
const NEVER_NOMINATED = new Set(['content-length', 'host', 'transfer-encoding']);

/** Besides hop-by-hop: framing is made anew, Node has answered Expect, the attempt number is ours. */
const NOT_FROM_CLIENT = new Set([...HOP_BY_HOP, 'content-length', 'expect', 'x-request-attempt']);

/** What a backend that takes `_` for `-` (CGI, WSGI) would believe in place of what is set here. */
const SET_HERE = /^(?:x[-_](?:forwarded[-_].+|real[-_]ip|request[-_](?:id|attempt)))$/;

/**
 * Fields that hold one value (RFC 9110 5.3). Node keeps the first of two and says nothing, so the
 * two sides could each believe another: refused instead.
 */
const SINGLE = new Map(
  (
    'age authorization content-length content-location content-range content-type date etag expires from host ' +
    'if-modified-since if-range if-unmodified-since last-modified location max-forwards ' +
    'proxy-authorization referer retry-after server user-agent'
  )
    .split(' ')
    .map((name, i) => [name, 1 << i]), // a bit each: they are fewer than 31
);

/** Node drops what comes after this many fields without a word, framing fields too (CVE-2026-58044). */
const MAX_FIELDS = 1000;

/** The two fields that ask for a WebSocket, and that grant it. RFC 6455 4.1. */
export const WEBSOCKET = { connection: 'Upgrade', upgrade: 'websocket' } as const;

const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The name of a single field that came twice, or null. */
function doubledField(rawHeaders: readonly string[]): string | null {
  let seen = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const bit = SINGLE.get(name) ?? 0;
    if ((seen & bit) !== 0) return name;
    seen |= bit;
  }
  return null;
}

/** The user's server may drop fields earlier. */
function mostFields({ socket }: IncomingMessage): number {
  const own = (socket as { server?: Server }).server?.maxHeadersCount ?? 0;
  return own > 0 && own < MAX_FIELDS ? own : MAX_FIELDS;
}

/** What announces a request's body (RFC 9112 6.3). */
export interface Framing {
  length: string | undefined;
  coding: string | undefined;
}

/**
 * As the client has sent it: where a middleware has deleted it from `headers`, the body comes all
 * the same.
 *
 * @throws {ProxyError} 400
 */
export function framingOf({ headers, rawHeaders, httpVersion }: IncomingMessage): Framing {
  let { 'content-length': length, 'transfer-encoding': coding } = headers;
  if (length === undefined && coding === undefined) {
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i]!;
      if (name.length !== 14 && name.length !== 17) continue;
      if (name.toLowerCase() === 'content-length') length = rawHeaders[i + 1];
      if (name.toLowerCase() === 'transfer-encoding') coding = rawHeaders[i + 1];
    }
  }
  // RFC 9112 6.1: another coding than chunked would reach the backend without its name; HTTP/1.0 has
  // none. Where somebody may have read another end of the message, nothing follows it.
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || httpVersion === '1.0')) {
    throw badRequest('the only transfer coding taken is chunked', 400, { connection: 'close' });
  }
  return { length: length && plainLength(length), coding };
}

/** A field value that HTTP/1.1 can carry. RFC 9110 5.5. */
export function isFieldValue(value: string): boolean {
  return FIELD_VALUE.test(value);
}

/** The names that a `Connection` field nominates, or null for the two that everybody sends. */
export function nominated(connection: string | string[] | undefined): Set<string> | null {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close')
    return null;
  const names = new Set<string>();
  for (const token of String(connection).split(',')) {
    const name = token.trim().toLowerCase();
    if (!NEVER_NOMINATED.has(name)) names.add(name);
  }
  return names;
}

/** What the app has set itself, a user's name say, is not the client's to take away. */
function isAsSent({ rawHeaders }: IncomingMessage, name: string, value: unknown): boolean {
  const isIts = (_: string, i: number) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === name;
  const sent = rawHeaders.filter(isIts);
  return sent.length > 0 && [', ', '; ', ','].some((comma) => sent.join(comma) === String(value));
}

/**
 * The client's headers as they may go on, framing left out.
 *
 * @throws {ProxyError} 400 or 431 for a head that must not be forwarded.
 */
export function forwardableHeaders(req: IncomingMessage): HeaderMap {
  const { headers, rawHeaders } = req;
  const most = mostFields(req);
  if (rawHeaders.length >= 2 * most) throw badRequest(`${most} header fields or more`, 431);
  const drop = nominated(headers.connection);
  const out: HeaderMap = {};
  // What the app has set comes later, and may be written otherwise: it takes the place of the client's.
  for (const written in headers) {
    const name = written.toLowerCase();
    const value: unknown = headers[written];
    if (NOT_FROM_CLIENT.has(name) || (drop?.has(written) && isAsSent(req, written, value)))
      continue;
    if (name.includes('_') && SET_HERE.test(name)) continue;
    if (typeof value === 'string') out[name] = value;
    else if (Array.isArray(value) && !SINGLE.has(name)) out[name] = value.map(String);
    else if (value != null) out[name] = String(value);
  }
  if (out.host === '') delete out.host; // RFC 9112 3.2: the target has none; the backend's is sent
  const doubled = doubledField(rawHeaders);
  if (doubled !== null) throw badRequest(`two ${doubled} fields`);
  // RFC 9110 10.1.4: the one TE value that says nothing about the connection.
  if (headers.te !== undefined && /(?:^|,)\s*trailers\s*(?:$|[,;])/i.test(String(headers.te))) {
    out.te = 'trailers';
  }
  return out;
}

/** `X-Forwarded-Ssl`, `-User`, ...: there is no list of all that some backend believes. */
const CLAIM = /^(?:forwarded|x-real-ip|x-forwarded-(?!(?:for|proto|host|prefix)$).*)$/;
const BY_APPS = /^x-forwarded-(?!port$)/; // which the app may have set itself
const isClaim = (req: Request, name: string, value: unknown): boolean =>
  CLAIM.test(name) && (!BY_APPS.test(name) || isAsSent(req, name, value));

/**
 * Who the client is, for the backend. What an untrusted peer claims is replaced, by the app's own
 * `trust proxy` setting; a trusted proxy's claims are appended to (For, Prefix) or kept.
 */
export function setForwarded(out: HeaderMap, req: Request): void {
  const peer = req.socket.remoteAddress ?? '';
  const trust = req.app.get('trust proxy fn') as (address: string, hop: number) => boolean;
  const trusted = trust(peer, 0);
  if (!trusted) for (const name in out) if (isClaim(req, name, out[name])) delete out[name];
  const claimed = (name: string): string => (trusted ? String(req.headers[name] ?? '') : '');
  const chain = claimed('x-forwarded-for');
  const addresses = chain && peer ? `${chain}, ${peer}` : chain || peer; // a Unix socket has none
  if (addresses === '') delete out['x-forwarded-for'];
  else out['x-forwarded-for'] = addresses;
  const encrypted = 'encrypted' in req.socket && req.socket.encrypted === true;
  out['x-forwarded-proto'] = claimed('x-forwarded-proto') || (encrypted ? 'https' : 'http');
  const host = claimed('x-forwarded-host') || req.headers.host;
  if (host === undefined) delete out['x-forwarded-host'];
  else out['x-forwarded-host'] = host;
  const prefix = claimed('x-forwarded-prefix') + req.baseUrl;
  if (prefix === '') delete out['x-forwarded-prefix'];
  else out['x-forwarded-prefix'] = prefix;
}

/** Not for a hook to set: our framing, and a promise that Node has kept already. */
const OURS = new Set(['content-length', 'expect']);

/** A backend's head as it came. */
export interface RawHead {
  readonly status: number;
  readonly reason: string;
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
  readonly httpVersion: string;
}

/**
 * A backend's headers as they may go on to the client: its head is checked before anything of it is
 * used. Framing: only Content-Length is left.
 *
 * @throws {Error} `INVALID_RESPONSE`, for a head that cannot be passed on as it is.
 */
export function readHead({ status, reason, rawHeaders, httpVersion }: RawHead): HeaderMap {
  if (status !== 101 && (status < 200 || status > 599)) throw invalid(`status ${status}`);
  if (!httpVersion.startsWith('1.')) throw invalid(`HTTP/${httpVersion} on an HTTP/1 connection`);
  if (!isFieldValue(reason)) throw invalid('a control byte in the reason phrase');
  if (rawHeaders.length >= 2 * MAX_FIELDS) throw invalid(`${MAX_FIELDS} header fields or more`);
  const headers: HeaderMap = {};
  const hop: HeaderMap = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const value = rawHeaders[i + 1]!;
    if (!isFieldValue(value)) throw invalid(`a control byte in ${name}`);
    addField(HOP_BY_HOP.has(name) ? hop : headers, name, value);
  }
  // RFC 9112 7: any other coding, or a second one, would go on without its name.
  const coding = hop['transfer-encoding'] as string | undefined;
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || httpVersion === '1.0'))
    throw invalid('an unknown transfer coding');
  // RFC 6455 4.2.2: whatever else it would switch to was not asked for.
  if (status === 101 && String(hop.upgrade).trim().toLowerCase() !== 'websocket')
    throw invalid('a 101 to something else');
  for (const name of nominated(hop.connection) ?? []) delete headers[name];
  const length = headers['content-length'];
  if (length !== undefined) headers['content-length'] = plainLength(length as string);
  return headers;
}

/** As node:http joins them. */
function addField(to: HeaderMap, name: string, value: string): void {
  const before = to[name];
  if (name === 'set-cookie') {
    if (Array.isArray(before)) before.push(value);
    else to[name] = [value];
  } else if (typeof before !== 'string') {
    to[name] = value;
  } else if (SINGLE.has(name)) {
    throw invalid(`two ${name} fields`);
  } else {
    to[name] = `${before}, ${value}`;
  }
}

export function invalid(what: string): Error {
  return coded('INVALID_RESPONSE', `invalid response: ${what}`);
}

/** The same of headers that are an object: a hook has had them, or they are a 1xx's. */
export function passableHeaders(headers: IncomingHttpHeaders): HeaderMap {
  const drop = nominated(headers.connection);
  const out: HeaderMap = {};
  for (const name in headers) {
    if (HOP_BY_HOP.has(name) || drop?.has(name)) continue;
    out[name] = headers[name];
  }
  if (headers['content-length'] !== undefined)
    out['content-length'] = plainLength(headers['content-length']);
  return out;
}

/** Without the zeros that somebody may take for octal. */
function plainLength(length: string): string {
  return length.replace(/^0+(?=\d)/, '');
}

/**
 * Headers as a hook has left them: names in lower case, hop-by-hop fields ignored, and the framing
 * as it was: `length`, where there was one.
 *
 * @throws {TypeError} for what is no header.
 */
export function checkedHeaders(headers: HeaderMap, length?: HeaderMap[string]): HeaderMap {
  const out: HeaderMap = {};
  for (const [written, value] of Object.entries(headers)) {
    const name = written.toLowerCase();
    if (value === undefined || HOP_BY_HOP.has(name) || OURS.has(name)) continue;
    validateHeaderName(name);
    const values = Array.isArray(value) ? value : [value];
    if (values.length > 1 && SINGLE.has(name)) throw new TypeError(`header "${name}" is no list`);
    for (const item of values) {
      if (!isFieldValue(String(item)))
        throw new TypeError(`header "${name}" has an invalid character`);
    }
    out[name] = Array.isArray(value) && !SINGLE.has(name) ? value.map(String) : String(value);
  }
  if (length !== undefined) out['content-length'] = length;
  return out;
}
