import type { IncomingMessage } from 'node:http';
import { ProxyError } from './errors.js';
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
 * The body's bytes; its type and coding headers are set in `headers` to fit them.
 *
 * @throws {ProxyError} `BODY_CONSUMED` when it cannot be made again.
 */
export function parsedBody(req: IncomingMessage, headers: HeaderMap): Buffer {
  // Ended without a byte: `Transfer-Encoding: chunked` around nothing.
  if (req.readableEnded && !req.readableDidRead) return Buffer.alloc(0);
  if (!req.readableEnded) {
    throw consumed(req, 'was read in part');
  }
  const { body, rawBody } = req as IncomingMessage & { body?: unknown; rawBody?: unknown };
  // What the parsers hand on is inflated.
  delete headers['content-encoding'];
  if (Buffer.isBuffer(rawBody)) return rawBody;
  if (Buffer.isBuffer(body)) return body;
  const type = String(req.headers['content-type'] ?? '').toLowerCase();
  const text = serialise(body, type.split(';', 1)[0]!.trim());
  if (text === null) throw consumed(req, 'was read by a parser whose work cannot be undone');
  return encode(text, type, headers);
}

function serialise(body: unknown, type: string): string | null {
  if (/^application\/(?:.+\+)?json$/.test(type)) {
    // text() may have read it; json() leaves a string only of a JSON string, with `strict: false`.
    if (typeof body === 'string' && isJson(body)) return body;
    return body === undefined ? null : JSON.stringify(body);
  }
  if (typeof body === 'string') return body;
  if (type !== 'application/x-www-form-urlencoded') return null;
  if (typeof body !== 'object' || body === null) return null;
  const pairs: string[] = [];
  for (const [key, value] of Object.entries(body)) appendField(pairs, key, value);
  return pairs.join('&');
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // the one thing it throws is that the text is none
  }
}

/** The inverse of `urlencoded()`, plain and extended: repeated keys where both read them alike. */
function appendField(pairs: string[], key: string, value: unknown): void {
  if (Array.isArray(value)) {
    const plain = value.every((item) => typeof item !== 'object');
    value.forEach((item, i) => {
      if (plain && value.length > 1) appendField(pairs, key, item);
      else appendField(pairs, plain ? `${key}[]` : `${key}[${i}]`, item);
    });
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) appendField(pairs, `${key}[${name}]`, item);
  } else {
    pairs.push(`${formEncode(key)}=${formEncode(String(value ?? ''))}`);
  }
}

/** application/x-www-form-urlencoded, WHATWG URL 5.2. */
function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}

/** In the charset that the type names, where Node has it; else in UTF-8, and the type says so. */
function encode(text: string, type: string, headers: HeaderMap): Buffer {
  const charset = /;\s*charset="?([^\s;"]+)/.exec(type)?.[1] ?? 'utf-8';
  if (charset === 'iso-8859-1' || charset === 'latin1') return Buffer.from(text, 'latin1');
  if (charset === 'utf-16le') return Buffer.from(text, 'utf16le');
  if (charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
    headers['content-type'] = String(headers['content-type']).replace(
      /(;\s*charset=)"?[^\s;"]+"?/i,
      '$1utf-8',
    );
  }
  return Buffer.from(text, 'utf8');
}

function consumed(req: IncomingMessage, what: string): ProxyError {
  const type = String(req.headers['content-type'] ?? 'no content type');
  return new ProxyError('BODY_CONSUMED', {
    message:
      `the body (${type}) ${what}: move that reader behind the proxy, ` +
      'or keep the bytes in req.rawBody (the verify option of express.json and its kin)',
  });
}
