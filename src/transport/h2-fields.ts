import { maxHeaderSize, STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import { coded } from '../errors.js';
import { type HeaderMap, invalid, readHead } from '../headers.js';
import type { Attempt, Head } from './transport.js';

/** What node:http takes in no target. */
const UNSENDABLE = /[^!-\xff]/;

/** RFC 9113 8.2.2; the other ones are gone already. `Host` is `:authority`. */
const NOT_SENT = new Set(['host', 'http2-settings']);

/** @throws {Error} for what node:http would refuse as well: on Node 20 it would end the connection. */
export function fieldsOf({ method, path, headers, backend }: Attempt): HeaderMap {
  if (UNSENDABLE.test(path)) throw coded('ERR_UNESCAPED_CHARACTERS', 'invalid request path');
  const fields: HeaderMap = {
    ':method': method,
    ':scheme': 'https',
    ':authority': String(headers.host ?? backend.url.host),
    ':path': path,
  };
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || NOT_SENT.has(name)) continue;
    // Cookies go as one: crumbs (8.2.3) are no must, and each would count against a limit of fields.
    const text = typeof value === 'string' ? value : value.join(name === 'cookie' ? '; ' : ', ');
    validateHeaderName(name);
    validateHeaderValue(name, text);
    fields[name] = text;
  }
  return fields;
}

/** Checked already; one line a name. */
export function trailersOf(pairs: readonly (readonly [string, string])[]): HeaderMap {
  const fields: HeaderMap = {};
  for (const [written, value] of pairs) {
    const name = written.toLowerCase();
    if (NOT_SENT.has(name)) continue;
    const before = fields[name];
    fields[name] = typeof before === 'string' ? `${before}, ${value}` : value;
  }
  return fields;
}

/**
 * nghttp2 has seen to it that `:status` comes first, and once, and that no field is for one
 * connection alone. A field with a control byte it has left out.
 *
 * @throws {Error} `INVALID_RESPONSE`, for a head that cannot be passed on as it is.
 */
export function headOf(raw: readonly string[]): Head {
  const status = Number(raw[1]);
  const reason = STATUS_CODES[status] ?? '';
  const rawHeaders = raw.slice(2);
  let bytes = 0;
  for (const text of rawHeaders) bytes += text.length;
  if (bytes > maxHeaderSize) throw invalid(`a head of ${bytes} bytes`); // as node:http has it
  const headers = readHead({ status, reason, rawHeaders, httpVersion: '1.1' });
  return { status, reason, headers, rawHeaders, runHooks() {} };
}
