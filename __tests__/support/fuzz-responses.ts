// Responses as a backend may send them, well-made and not, and more of them than were asked for.
import fc from 'fast-check';
import { type FuzzCase, ID, spoilt } from './fuzz-case.js';
import { crlf, free, mostly } from './fuzz-requests.js';

const STATUS_LINES = [
  ...['200 OK', '200 OK', '200 ', '201 Made', '204 No Content', '205 Reset', '206 Part', '301 M'],
  ...['304 Not Modified', '404 \xe9\xff', '407 P', '500 Failed', '503 Busy', '599 x'],
].map((line) => `HTTP/1.1 ${line}`);
const ODD_STATUS_LINES = [
  ...['HTTP/1.1 200', 'HTTP/1.0 200 OK', 'HTTP/1.2 200 OK', 'HTTP/2.0 200 OK', 'ICY 200 OK', ''],
  ...['HTTP/1.1 101 Switching Protocols', 'HTTP/1.1 199 x', 'HTTP/1.1 000 x', 'HTTP/1.1 600 x'],
  ...[
    'HTTP/1.1 999 x',
    'HTTP/1.1 20 x',
    'HTTP/1.1 2000 x',
    'HTTP/1.1 200 a\x01b',
    'GET / HTTP/1.1',
  ],
  ...['HTTP/1.1  200 OK', 'http/1.1 200 OK', 'HTTP/1.1 -20 x', 'HTTP/1.1 100 Continue'],
];

/** Fields that change nothing about where the message ends. */
const FIELDS = [
  ...['Connection: close', 'Connection: keep-alive, x-a', 'Keep-Alive: timeout=5, max=3'],
  ...['Keep-Alive: timeout=-1', 'Keep-Alive: timeout=1', 'Trailer: X-T', 'Upgrade: websocket'],
  ...['Connection: Upgrade', 'Connection: content-length', 'Set-Cookie: a=b', 'Set-Cookie: c'],
  ...['Location: http://[::1', 'Retry-After: 1', 'Retry-After: Wed, 21 Oct 2099 07:28:00 GMT'],
  ...['Content-Type: text/event-stream', 'Vary: *', 'X-Request-ID: theirs', 'Date: x', 'X-A:'],
  ...['Content-Encoding: gzip', 'X-A: \xff\xfe', 'Proxy-Authenticate: Basic', 'ETag: "x"'],
  ...['Content-Range: bytes 0-4/5', '__proto__: x', 'constructor: y', 'Link: </a>; rel=preload'],
  ...['Via: 1.1 x', 'Server: x', 'TE: trailers', `X-Long: ${'l'.repeat(3000)}`],
];
const ODD_FIELDS = [
  ...['Content-Length: 05', 'Content-Length: -1', 'Content-Length: 1e3', 'Content-Length: 5, 5'],
  ...['Content-Length : 5', 'Content-Length: 99999999999999999999999', 'Content-Length: 4'],
  ...['Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: identity', 'Content-Length: 5'],
  ...['Transfer-Encoding: chunked, chunked', 'Transfer-Encoding:\x0bchunked', ' folded', ': x'],
  ...['Transfer-Encoding: chunked', 'Server: y', 'ETag: "y"', 'Location: /b', 'x y: z', 'nothing'],
  ...['X-A: a\0b', 'X-A: a\rb', 'Trailer: Content-Length', 'Content-Type: a', 'Content-Type: b'],
];

const FRAMED: [field: string[], body: string][] = [
  [['Content-Length: 5'], 'hello'],
  [['Content-Length: 0'], ''],
  [['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n'],
  [['Transfer-Encoding: chunked'], '5;x="y"\r\nhello\r\n2\r\nde\r\n0\r\nX-T: 1\r\nHost: e\r\n\r\n'],
  [['Transfer-Encoding: chunked', 'Trailer: X-T'], '0\r\nX-T: \xff\r\nSet-Cookie: t\r\n\r\n'],
  [['Content-Length: 20000'], 'b'.repeat(20_000)],
  [['Transfer-Encoding: chunked'], `fa0\r\n${'c'.repeat(4000)}\r\n0\r\n\r\n`],
  [['Connection: close'], 'to the end'],
];
const BODIES = [
  ...['', 'hello', '5\r\nhello\r\n0\r\n\r\n', '5\r\nhello\r\n', 'fffffffff\r\n', '0\r\n\r\n'],
  ...[
    '5\r\nhelloXX0\r\n\r\n',
    'hello and more',
    '5\nhello\n0\n\n',
    '-5\r\nhello',
    '0\r\nX\r\n\r\n',
  ],
];

const INFORMATIONAL = [
  ...['', '', '', '', '', '', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ...['HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n', 'HTTP/1.1 102 P\r\n\r\n'],
  ...['HTTP/1.1 103 Early Hints\r\nLink: </a>;a=b=c"\r\nContent-Length: 5\r\n\r\n'],
];

const proper = fc
  .tuple(
    fc.constantFrom(...INFORMATIONAL),
    fc.constantFrom(...STATUS_LINES),
    fc.array(fc.oneof(fc.constantFrom(...FIELDS), free), { maxLength: 3, size: 'max' }),
    fc.constantFrom(...FRAMED),
  )
  .map(
    ([before, line, fields, [framing, body]]) =>
      `${before}${crlf([line, `X-Case: ${ID}`, ...fields, ...framing])}\r\n${body}`,
  );

const odd = fc
  .tuple(
    mostly(STATUS_LINES, ODD_STATUS_LINES),
    fc.array(mostly([...FIELDS, 'Content-Length: 5', 'Transfer-Encoding: chunked'], ODD_FIELDS), {
      maxLength: 4,
      size: 'max',
    }),
    fc.constantFrom(...BODIES),
  )
  .map(([line, fields, body]) => `${crlf([line, `X-Case: ${ID}`, ...fields])}\r\n${body}`);

const response = fc.oneof({ arbitrary: proper, weight: 3 }, { arbitrary: odd, weight: 1 });

/** What a backend sends for one request, and how the client asked for it. */
export interface ResponseCase {
  method: string;
  response: FuzzCase;
}

/** A response, and sometimes another that nobody has asked for. */
export const responseCase: fc.Arbitrary<ResponseCase> = fc.record({
  method: fc.constantFrom('GET', 'GET', 'HEAD', 'PUT', 'POST'),
  response: spoilt(
    fc.oneof(
      { arbitrary: response, weight: 5 },
      { arbitrary: fc.tuple(response, response).map((both) => both.join('')), weight: 1 },
    ),
  ),
});
