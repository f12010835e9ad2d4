import type { IncomingMessage } from 'node:http';
import { describe, ProxyError } from './errors.js';
import type { HeaderMap } from './headers.js';

/**
 * A body that a parser in front of the proxy has read already, made again from what it left:
 * `req.rawBody` where a `verify` hook kept it, else the inverse of the parser. That a body was read
 * is told by the stream, never by `req.body`: Express 4 sets `{}` where nothing was parsed.
 */
export function wasRead(req: IncomingMessage): boolean {
  return req.readableDidRead || req.readableEnded || req.destroyed;
}

/**
 * Another reader in front may have made the stream one that bytes cannot be had from.
 *
 * @throws {ProxyError} `BODY_CONSUMED`
 */
export function checkUnread(req: IncomingMessage): void {
  if (req.readableEncoding !== null) throw consumed(req, 'was made text by req.setEncoding()');
  if (req.listenerCount('readable') > 0) throw consumed(req, "is read by a 'readable' listener");
}

/**
 * The body's bytes; its type and coding headers are set in `headers` to fit them. `length` is what
 * the client has announced.
 *
 * @throws {ProxyError} `BODY_CONSUMED` when it cannot be made again.
 */
export function parsedBody(
  req: IncomingMessage,
  length: string | undefined,
  headers: HeaderMap,
): Buffer {
  // Ended without a byte: `Transfer-Encoding: chunked` around nothing.
  if (req.readableEnded && !req.readableDidRead) return Buffer.alloc(0);
  if (!req.readableEnded) {
    req.resume(); // its rest stands before the next request
    throw consumed(req, 'was read in part');
  }
  const { body, rawBody } = req as IncomingMessage & { body?: unknown; rawBody?: unknown };
  const bytes = [rawBody, body].find(Buffer.isBuffer);
  const coding = req.headers['content-encoding']?.toLowerCase();
  // What the parsers hand on is inflated. A reader of the app's own may have kept what came.
  if (coding !== 'gzip' || !isGzip(bytes, length)) delete headers['content-encoding'];
  if (bytes !== undefined) return bytes;
  const type = String(req.headers['content-type'] ?? '').toLowerCase();
  try {
    return serialise(body, type, coding === undefined ? Number(length) : Number.NaN, headers);
  } catch (thrown) {
    const why = describe(thrown);
    throw consumed(req, `was read by a parser whose work cannot be undone (${why})`);
  }
}

/** RFC 1952 2.3.1 */
function isGzip(bytes: Buffer | undefined, length: string | undefined): boolean {
  return (
    bytes?.[0] === 0x1f && bytes[1] === 0x8b && bytes.length === Number(length ?? bytes.length)
  );
}

/** JSON has no Infinity, but `1e999`, which is parsed to it: it must not become null. */
function finite(_key: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`it has ${value}`);
  return value;
}

/** The inverse of a parser that has read so many bytes; NaN where that is not known. */
function serialise(body: unknown, type: string, bytes: number, headers: HeaderMap): Buffer {
  // Express 4 leaves {} for what it has not parsed, too; but for spaces, {} is not that long.
  if (isObject(body) && Object.keys(body).length === 0 && bytes > 8) {
    throw new TypeError('it has left {}');
  }
  const isJson = /[/+]json\s*(?:;|$)/.test(type);
  if (typeof body === 'string') {
    // text() may have read it, or, with `strict: false`, json(): the length tells.
    const text = encode(body, type, headers);
    if (!isJson || text.length === bytes) return text;
    const json = encode(JSON.stringify(body), type, headers);
    if (json.length === bytes) return json;
    throw new TypeError('it has left a string');
  }
  if (isJson) return encode(JSON.stringify(body, finite), type, headers);
  if (!isObject(body) || !/^application\/x-www-form-urlencoded\s*(?:;|$)/.test(type)) {
    throw new TypeError('it is not known');
  }
  const pairs: string[] = [];
  for (const [key, value] of Object.entries(body)) appendField(pairs, checkName(key, /^\[/), value);
  return toUtf8(pairs.join('&'), headers);
}

/** The inverse of `urlencoded()`, plain and extended: repeated keys where both read them alike. */
function appendField(pairs: string[], key: string, value: unknown): void {
  if (Array.isArray(value)) {
    const plain = value.every((item) => typeof item !== 'object');
    value.forEach((item, i) => {
      if (plain && value.length > 1) appendField(pairs, key, item);
      else appendField(pairs, plain ? `${key}[]` : `${key}[${i}]`, item);
    });
  } else if (isObject(value)) {
    for (const [name, item] of Object.entries(value)) {
      appendField(pairs, `${key}[${checkName(name, /[[\]]/)}]`, item);
    }
  } else {
    pairs.push(`${formEncode(key)}=${formEncode(String(value ?? ''))}`);
  }
}

/** qs has no way to write brackets in a name: it would read others. */
function checkName(name: string, brackets: RegExp): string {
  if (brackets.test(name)) throw new TypeError('it has left a name with a bracket');
  return name;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** application/x-www-form-urlencoded, WHATWG URL 5.2. */
function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}

/** In the charset that the type names, where Node has it. */
function encode(text: string, type: string, headers: HeaderMap): Buffer {
  const charset = /;\s*charset="?([^\s;"]+)/.exec(type)?.[1];
  if (charset === 'iso-8859-1' || charset === 'latin1') return Buffer.from(text, 'latin1');
  if (charset === 'utf-16le') return Buffer.from(text, 'utf16le');
  return toUtf8(text, headers);
}

/** A type that names another charset says so. */
function toUtf8(text: string, headers: HeaderMap): Buffer {
  headers['content-type'] &&= String(headers['content-type']).replace(
    /(;\s*charset=)"?(?!utf-?8\b|us-ascii\b)[^\s;"]+"?/i,
    '$1utf-8',
  );
  return Buffer.from(text);
}

function consumed(req: IncomingMessage, what: string): ProxyError {
  const type = String(req.headers['content-type'] ?? 'no content type');
  return new ProxyError('BODY_CONSUMED', {
    message:
      `the body (${type}) ${what}: move that reader behind the proxy, ` +
      'or keep the bytes in req.rawBody (the verify option of express.json and its kin)',
  });
}
