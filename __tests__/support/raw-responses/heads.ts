// The fields of a response, and its trailers.
import {
  chunks,
  cut,
  invalid,
  ok,
  passed,
  passedOk,
  passes,
  type RawResponseRow,
  response,
} from './row.js';

const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `a${i}: `);

const bytes: RawResponseRow[] = [
  ...['\0', '\x01', '\x08', '\x0b', '\x1f', '\x7f'].map((byte) =>
    invalid(`${JSON.stringify(byte)} in a value`, ok(`X-A: a${byte}b`)),
  ),
  invalid('a bare CR in a value', ok('X-A: a\rX-Evil: b')),
  invalid('two bare CR', ok('X-A: a\r\rX-Evil: b')),
  invalid('a bare LF behind a value', ok('X-A: a\nX-Evil: b')),
  invalid('only bare LF', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'),
  invalid('a bare LF for the empty line', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok'),
  invalid('a space before a colon', ok('X-A : 1')),
  invalid('a tab before a colon', ok('X-A\t: 1')),
  invalid('a space in a name', ok('X A: 1')),
  invalid('a NUL in a name', ok('X\0A: 1')),
  invalid('obs-text in a name', ok('X-\xe9: 1')),
  invalid('a field without a name', ok(': 1')),
  invalid('a line that is no field', ok('what is this')),
  invalid('a space before the first field', ok(' X-A: 1')),
  invalid('a folded field', ok('X-A: 1', ' 2')),
  invalid('a field folded with a tab', ok('X-A: 1', '\t2')),
  invalid('a fold of nothing', ok('X-A: 1', ' ')),
  passes(
    'obs-text in a value',
    ok('X-A: \xe9\xff\x80\xc3\xa4'),
    passedOk('x-a: \xe9\xff\x80\xc3\xa4'),
  ),
  passes('a tab in a value', ok('X-A: a\tb'), passedOk('x-a: a\tb')),
];

const sizes: RawResponseRow[] = [
  passes('999 fields', ok(...many(998)), passedOk(...many(998))),
  invalid('1000 fields', ok(...many(999))),
  invalid('1500 fields', ok(...many(1499))),
  passes(
    'a head of 15 KB',
    ok(`X-A: ${'a'.repeat(15_000)}`),
    passedOk(`x-a: ${'a'.repeat(15_000)}`),
  ),
  invalid('a head of 17 KB', ok(`X-A: ${'a'.repeat(17_000)}`)),
  invalid('a head of 70 KB', ok(`X-A: ${'a'.repeat(70_000)}`)),
  invalid('a head of 70 KB in many fields', ok(...Array(700).fill(`X-A: ${'a'.repeat(94)}`))),
  invalid('a name of 70 KB', ok(`${'a'.repeat(70_000)}: 1`)),
];

const lists: RawResponseRow[] = [
  passes('empty fields', ok('X-A:', 'X-B: '), passedOk('x-a: ', 'x-b: ')),
  passes(
    'repeated fields, in their order',
    ok('X-A: a', 'X-B: 1', 'x-A: b, c'),
    passedOk('x-a: a, b, c', 'x-b: 1'),
  ),
  passes(
    'cookies, apart and in their order',
    ok('Set-Cookie: b=1; Path=/', 'X-A: 1', 'SET-COOKIE: a=2, c', 'Set-Cookie: b=1; Path=/'),
    passedOk('set-cookie: b=1; Path=/', 'set-cookie: a=2, c', 'set-cookie: b=1; Path=/', 'x-a: 1'),
  ),
  passes('Vary twice', ok('Vary: A', 'Vary: B'), passedOk('vary: A, B')),
  passes('Link twice', ok('Link: </a>', 'Link: </b>'), passedOk('link: </a>, </b>')),
  passes(
    'WWW-Authenticate twice',
    ok('WWW-Authenticate: Basic', 'WWW-Authenticate: Bearer'),
    passedOk('www-authenticate: Basic, Bearer'),
  ),
  passes('X-A and X_A, which are two', ok('X-A: 1', 'X_A: 2'), passedOk('x-a: 1', 'x_a: 2')),
  passes(
    'a Date of its own',
    ok('Date: Sun, 06 Nov 1994 08:49:37 GMT'),
    passedOk('date: Sun, 06 Nov 1994 08:49:37 GMT'),
  ),
  passes('an id of its own, which is not the request’s', ok('X-Request-ID: theirs'), passedOk()),
  passes(
    'a redirect, which is the client’s to follow',
    response('302 Found', ['Location: http://evil.example/', 'Content-Length: 0']),
    passed('302 Found', ['location: http://evil.example/', 'content-length: 0']),
  ),
  ...[
    'Age: 1',
    'Content-Location: /x',
    'Content-Range: bytes 0-1/2',
    'Content-Type: text/html',
    'Date: Sun, 06 Nov 1994 08:49:37 GMT',
    'ETag: "a"',
    'Expires: 0',
    'Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT',
    'Location: /a',
    'Retry-After: 1',
    'Server: a',
  ].map((field) => invalid(`${field.split(':')[0]} twice`, ok(field, field.toLowerCase()))),
];

/** RFC 9110 7.6.1 */
const hopByHop: RawResponseRow[] = [
  ...[
    'Keep-Alive: timeout=9',
    'Proxy-Connection: keep-alive',
    'Proxy-Authenticate: Basic',
    'Proxy-Authorization: x',
    'TE: gzip',
    'Trailer: X-Sum',
    'Upgrade: h2c',
    'Connection: keep-alive, \xe9, "X-B"',
    'Connection:',
  ].map((field) => passes(field, ok(field, 'X-A: 1'), passedOk('x-a: 1'))),
  passes(
    'a name that Connection nominates',
    ok('X-A: 1', 'Connection: x-a, Set-Cookie', 'Set-Cookie: a=1', 'X-B: 2'),
    passedOk('x-b: 2'),
  ),
  passes('a length that Connection nominates', ok('Connection: Content-Length'), passedOk()),
  passes(
    'chunks that Connection nominates',
    chunks('2\r\nok\r\n0\r\n\r\n', 'Connection: Transfer-Encoding'),
    passed('200 OK', ['transfer-encoding: chunked'], 'ok'),
  ),
  passes(
    'an id that Connection nominates',
    ok('Connection: X-Request-ID', 'X-Request-ID: theirs'),
    passedOk(),
  ),
];

const OK = '2\r\nok\r\n';
const chunkedOk = (...trailers: string[]) =>
  passed('200 OK', ['transfer-encoding: chunked'], 'ok', { trailers });

const trailers: RawResponseRow[] = [
  passes(
    'good ones',
    chunks(`${OK}0\r\nX-Sum: 1\r\nX-B: \xe9\r\nX-Sum: 2\r\n\r\n`, 'Trailer: X-Sum'),
    chunkedOk('X-Sum: 1', 'X-B: \xe9', 'X-Sum: 2'),
  ),
  passes(
    'ones that are not announced',
    chunks(`${OK}0\r\nX-Sum: 1\r\n\r\n`),
    chunkedOk('X-Sum: 1'),
  ),
  passes('an announcement, and none', chunks(`${OK}0\r\n\r\n`, 'Trailer: X-Sum'), chunkedOk()),
  passes(
    'behind no byte of body',
    chunks('0\r\nX-Sum: 1\r\n\r\n'),
    passed('200 OK', ['transfer-encoding: chunked'], '', { trailers: ['X-Sum: 1'] }),
  ),
  {
    ...passes(
      'to HTTP/1.0, which has none',
      chunks(`${OK}0\r\nX-Sum: 1\r\n\r\n`),
      passed('200 OK', [], 'ok'),
    ),
    version: '1.0',
  },
  ...[
    'Host: evil.example',
    'TE: gzip',
    'Trailer: X-Y',
    'Connection: close',
    'Content-Length: 5',
    'Transfer-Encoding: gzip',
  ].map((field) => ({
    ...passes(
      `one that has no business there, and another: ${field}`,
      chunks(`${OK}0\r\n${field}\r\nX-Sum: 1\r\n\r\n`),
      chunkedOk('X-Sum: 1'),
    ),
    or: 'cut' as const,
  })),
  passes(
    'claims',
    chunks(
      `${OK}0\r\nX-Request-ID: theirs\r\nSet-Cookie: a=1\r\nKeep-Alive: 1\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\nContent-Encoding: gzip\r\nX-Sum: 1\r\n\r\n`,
    ),
    chunkedOk('X-Sum: 1'),
  ),
  passes(
    'ones that Connection nominates',
    chunks(`${OK}0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n`, 'Connection: X-Sum'),
    chunkedOk('X-B: 2'),
  ),
  cut('one with a control byte', chunks(`${OK}0\r\nX-Sum: a\x01b\r\n\r\n`)),
  cut('one with a bare CR', chunks(`${OK}0\r\nX-Sum: a\rX-Evil: b\r\n\r\n`)),
  cut('one that is no field', chunks(`${OK}0\r\nwhat is this\r\n\r\n`)),
  cut('a folded one', chunks(`${OK}0\r\nX-Sum: 1\r\n 2\r\n\r\n`)),
  cut('20 KB of them', chunks(`${OK}0\r\nX-Sum: ${'a'.repeat(20_000)}\r\n\r\n`)),
  cut('some, and the end before they are whole', [
    { write: chunks(`${OK}0\r\nX-Sum: 1\r\n`) },
    { end: true },
  ]),
];

export const HEADS = [
  { group: 'bytes', rows: bytes },
  { group: 'a head of some size', rows: sizes },
  { group: 'fields', rows: lists },
  { group: 'fields of its connection', rows: hopByHop },
  { group: 'trailers', rows: trailers },
];
