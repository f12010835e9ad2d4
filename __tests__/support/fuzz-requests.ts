// Requests as a client may send them, well-made and not, one behind the other.
import fc from 'fast-check';
import { type FuzzCase, ID, spoilt } from './fuzz-case.js';

export const crlf = (lines: readonly string[]): string =>
  lines.map((line) => `${line}\r\n`).join('');

const METHODS = ['GET', 'GET', 'HEAD', 'POST', 'PUT', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'QUERY'];
const ODD_METHODS = ['TRACE', 'CONNECT', 'get', 'PRI', 'M-SEARCH', 'PROPFIND', '', 'G@T', 'GET '];

/** The backend fails the first attempt of the last three. */
const TARGETS = [
  ...[`/${ID}`, `/${ID}?q=1&q`, `/a/${ID}/`, `/${ID}/%e4%20;x=y`],
  ...[`/fail/${ID}`, `/early/${ID}`, `/reset/${ID}`],
];
const ODD_TARGETS = [
  ...['*', `//other/${ID}`, `http://other/${ID}`, `/../${ID}`, `/%2e%2e/${ID}`, `/${ID}/..%5c..`],
  ...[`/${ID} x`, `/${ID}\xff`, `/${ID}\tb`, `/${ID}#f`, '', '?x', 'x', `/\\${ID}`, '/?', '/%zz'],
  ...['other:443', `/${'a'.repeat(9000)}`],
];

const VERSIONS = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'];
const ODD_VERSIONS = ['HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', 'HTTP/1.', 'http/1.1', '', 'HTTP/1.1 '];

/** Fields that change nothing about where the message ends. */
const FIELDS = [
  ...['Connection: close', 'Connection: keep-alive', 'Connection: keep-alive, x-forwarded-for'],
  ...['Connection: content-length', 'Connection: transfer-encoding, host', 'Keep-Alive: 300'],
  ...['Connection: upgrade', 'Upgrade: websocket', 'Upgrade: h2c', 'Proxy-Connection: close'],
  ...['Expect: 100-continue', 'TE: trailers, gzip', 'Trailer: X-T', 'X-Request-ID: ok-1'],
  ...['X-Request-ID: \xe4', 'X-Request-Attempt: 9', 'X-Forwarded-For: 1.1.1.1', 'Via: 1.1 x'],
  ...['Forwarded: for=x', 'Cookie: a=b', 'Cookie: c', 'X-A: \xff\x80', 'X-A:', 'X-A: \t b \t'],
  ...['Accept: */*', 'Range: bytes=0-', 'Max-Forwards: 0', 'Accept-Encoding: gzip', '__proto__: x'],
  ...['constructor: x', 'Content-Type: application/json', `X-Long: ${'l'.repeat(3000)}`],
];
const ODD_FIELDS = [
  ...[
    'Host: a',
    'Host: b',
    'Host:',
    'Content-Length: 3',
    'Content-Length: 03',
    'Content-Length: 0',
  ],
  ...['Content-Length: +3', 'Content-Length: 3, 3', 'Content-Length: 9999999999999999999999'],
  ...['Content-Length : 3', 'Transfer-Encoding: Chunked'],
  ...['Transfer-Encoding: gzip', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding : chunked'],
  ...['Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: identity', 'Expect: more'],
  ...['Transfer-Encoding:\x0bchunked', 'Transfer-Encoding: chunked\r', 'Authorization: a'],
  ...['Authorization: b', ': x', 'x y: z', ' folded', 'X-A: a\0b', 'X-A: a\rb', 'nothing', ''],
];

const token = fc.string({
  unit: fc.constantFrom(...'abcXYZ019-_.!~'),
  minLength: 1,
  maxLength: 6,
});
const value = fc.string({
  unit: fc.constantFrom(...'ab 09,;="\t\xff\x80/\\%'),
  maxLength: 12,
});
export const free = fc.tuple(token, value).map(([name, text]) => `X-${name}: ${text}`);

/** A body with the field that frames it, or neither. */
const FRAMED: [field: string[], body: string][] = [
  [[], ''],
  [[], ''],
  [['Content-Length: 3'], 'abc'],
  [['Content-Length: 0'], ''],
  [['Transfer-Encoding: chunked'], '3\r\nabc\r\n0\r\n\r\n'],
  [['Transfer-Encoding: chunked'], '3;x="y"\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\nHost: e\r\n\r\n'],
  [['Transfer-Encoding: chunked'], '0\r\n\r\n'],
  [['Content-Length: 5000'], 'b'.repeat(5000)],
  [['Transfer-Encoding: chunked'], `1388\r\n${'c'.repeat(5000)}\r\n0\r\n\r\n`],
];
const BODIES = [
  ...[
    '',
    'abc',
    '3\r\nabc',
    '0\r\n\r\n',
    '3\r\nabc\r\n0\r\n\r\n',
    'ffffffffffffffff\r\n',
    '-1\r\n',
  ],
  ...[
    '3;x="\r\n"\r\nabc\r\n0\r\n\r\n',
    '3\r\nabcd\r\n0\r\n\r\n',
    '3\nabc\n0\n\n',
    '0x3\r\nabc\r\n',
  ],
];

const framed = fc.constantFrom(...FRAMED);

/** A request that is as it should be, whatever it says. */
const proper = fc
  .tuple(
    fc.constantFrom(...METHODS),
    fc.constantFrom(...TARGETS),
    fc.constantFrom(...VERSIONS),
    fc.array(fc.oneof(fc.constantFrom(...FIELDS), free), { maxLength: 3, size: 'max' }),
    framed,
  )
  .map(
    ([method, target, version, fields, [framing, body]]) =>
      `${crlf([`${method} ${target} ${version}`, 'Host: h', ...fields, ...framing])}\r\n${body}`,
  );

export const mostly = (usual: readonly string[], odd: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    { arbitrary: fc.constantFrom(...usual), weight: 7 },
    { arbitrary: fc.constantFrom(...odd), weight: 1 },
  );

const odd = fc
  .tuple(
    mostly(METHODS, ODD_METHODS),
    mostly(TARGETS, ODD_TARGETS),
    mostly(VERSIONS, ODD_VERSIONS),
    fc.array(mostly([...FIELDS, 'Content-Length: 3', 'Transfer-Encoding: chunked'], ODD_FIELDS), {
      maxLength: 4,
      size: 'max',
    }),
    fc.constantFrom(...BODIES),
  )
  .map(
    ([method, target, version, fields, body]) =>
      `${crlf([`${method} ${target} ${version}`, 'Host: h', ...fields])}\r\n${body}`,
  );

/** One to four of them on one connection. */
export const requestCase: fc.Arbitrary<FuzzCase> = spoilt(
  fc
    .array(fc.oneof({ arbitrary: proper, weight: 5 }, { arbitrary: odd, weight: 1 }), {
      minLength: 1,
      maxLength: 4,
      size: 'max',
    })
    .map((messages) => messages.join('')),
);
