// Bytes where none belong: before an answer, behind it, or instead of it. None may become part of
// another client's answer.
import {
  chunks,
  invalid,
  ok,
  POISON,
  passed,
  passedOk,
  passes,
  type RawResponseRow,
  response,
} from './row.js';

/** Sent when the client has its answer, and the connection waits for the next request. */
const late =
  (bytes: string | Buffer, first = ok()): RawResponseRow['sends'] =>
  (answered) => [{ write: first }, { waitFor: answered }, { write: bytes }];

const behind: RawResponseRow[] = [
  passes('another response', ok() + POISON),
  passes('three others', ok() + POISON.repeat(3)),
  passes(
    'a hint and another response',
    ok() + response('103 Early Hints', ['Link: </poison>']) + POISON,
  ),
  passes('half of a response', ok() + POISON.slice(0, 30)),
  passes('a line', `${ok()}\r\n`),
  passes('garbage', `${ok()}poison`),
  passes(
    'another response, behind chunks',
    chunks('2\r\nok\r\n0\r\n\r\n') + POISON,
    passed('200 OK', ['transfer-encoding: chunked'], 'ok'),
  ),
  passes(
    'another response, behind a 204',
    response('204 No Content') + POISON,
    passed('204 No Content', []),
  ),
  {
    ...passes(
      'another response, behind a HEAD',
      response('200 OK', ['Content-Length: 6']) + POISON,
      passed('200 OK', ['content-length: 6']),
    ),
    method: 'HEAD',
  },
  { ...passes('another response, to a POST', ok() + POISON), method: 'POST' },
  passes(
    'a second 500',
    response('500 Oh', ['Content-Length: 2'], 'oh') + POISON,
    passed('500 Oh', ['content-length: 2'], 'oh'),
  ),
];

/** In the turn of the event loop in which the connection is to be used again: CVE-2026-105481. */
const inTurn = [
  ['another response', POISON],
  ['half of a response', POISON.slice(0, 30)],
  ['a 500, as a broken handler may', response('500 poison', ['Content-Length: 0'])],
  ['garbage', 'poison'],
].map(([name = '', write = '']): RawResponseRow => {
  const sends: RawResponseRow['sends'] = (_answered, asked) => [
    { write: ok() },
    { waitFor: asked },
    { write },
  ];
  return { ...passes(name, sends), untilAsked: true };
});

const lateOnes: RawResponseRow[] = [
  passes('another response', late(POISON)),
  passes('half of a response', late(POISON.slice(0, 30))),
  passes('one byte', late('H')),
  passes('a line', late('\r\n')),
  passes('garbage', late('poison')),
  passes(
    'a 408, as servers say that they close',
    late(response('408 Request Timeout', ['Connection: close', 'Content-Length: 0'])),
  ),
  passes('100 Continue', late(response('100 Continue'))),
  passes('a response and the end', (answered) => [
    { write: ok() },
    { waitFor: answered },
    { write: POISON },
    { end: true },
  ]),
  passes('the end', (answered) => [{ write: ok() }, { waitFor: answered }, { end: true }]),
  passes('a reset', (answered) => [{ write: ok() }, { waitFor: answered }, { reset: true }]),
];

const atOnce = (row: RawResponseRow): RawResponseRow => ({ ...row, atOnce: true });

const early: RawResponseRow[] = [
  atOnce(passes('an answer', ok('X-A: 1'), passedOk('x-a: 1'))),
  atOnce(passes('two answers', ok('X-A: 1') + POISON, passedOk('x-a: 1'))),
  atOnce(invalid('a greeting', '220 mail.example ESMTP\r\n')),
  atOnce(invalid('a status that is none', response('099 X'))),
];

const others: RawResponseRow[] = [
  invalid('the end', [{ end: true }]),
  invalid('a reset', [{ reset: true }]),
  invalid('an empty line, and the end', [{ write: '\r\n' }, { end: true }]),
  invalid('half of a first line, and the end', [{ write: 'HTTP/1.1 20' }, { end: true }]),
  invalid('a first line, and the end', [{ write: 'HTTP/1.1 200 OK\r\n' }, { end: true }]),
  invalid('half of a head, and the end', [{ write: 'HTTP/1.1 200 OK\r\nX-A: ' }, { end: true }]),
  invalid('a head without its empty line, and the end', [
    { write: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n' },
    { end: true },
  ]),
  invalid('half of a head, and a reset', [{ write: 'HTTP/1.1 200 OK\r\nX-A: ' }, { reset: true }]),
  { ...invalid('nothing', []), outcome: 504, options: { attemptTimeout: 150 } },
  {
    ...invalid('empty lines for ever', [{ write: '\r\n'.repeat(100) }]),
    outcome: 504,
    options: { attemptTimeout: 150 },
  },
  {
    ...invalid('half of a head', 'HTTP/1.1 200 OK\r\nX-A: '),
    outcome: 504,
    options: { attemptTimeout: 150 },
  },
  {
    ...invalid('a flood of 100 Continue, and nothing', response('100 Continue').repeat(5000)),
    outcome: 504,
    options: { attemptTimeout: 300 },
  },
  {
    ...invalid('100 Continue, and nothing', response('100 Continue')),
    outcome: 504,
    options: { attemptTimeout: 150 },
  },
  invalid('a TLS alert', '\x15\x03\x03\x00\x02\x02\x28'),
  invalid('a TLS ServerHello', '\x16\x03\x03\x00\x31\x02\x00\x00\x2d\x03\x03'),
  invalid('HTTP/2', '\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64'),
  invalid('SSH', 'SSH-2.0-OpenSSH_9.2\r\n'),
  invalid('SMTP', '220 mail.example ESMTP\r\n'),
  invalid('Redis', "-ERR unknown command 'GET'\r\n"),
  invalid('a request', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'),
  invalid('a body', '{"ok":true}'),
  invalid('any bytes', '\x00\xff\r\n\r\n'),
  invalid('a byte order mark before its response', `\xef\xbb\xbf${ok()}`),
  invalid('garbage before its response', `garbage\r\n${ok()}`),
  passes('its response in two pieces', [{ write: ok().slice(0, 20) }, { write: ok().slice(20) }]),
  passes(
    'its response byte by byte',
    Array.from(ok(), (write) => ({ write })),
  ),
];

export const CONNECTIONS = [
  { group: 'behind its response', rows: behind },
  { group: 'late', rows: lateOnes },
  { group: 'late, as the next request comes,', rows: inTurn },
  { group: 'before it is asked', rows: early },
  { group: 'in place of a response', rows: others },
];
