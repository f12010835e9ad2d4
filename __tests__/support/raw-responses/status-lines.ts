// The first line of a response, and the informational ones before it.
import { invalid, ok, passed, passedOk, passes, type RawResponseRow, response } from './row.js';

const L2 = 'Content-Length: 2';

/** Passes with status and reason as they are. */
const kept = (status: string): RawResponseRow =>
  passes(
    JSON.stringify(status),
    response(status, [L2], 'ok'),
    passed(status, ['content-length: 2'], 'ok'),
  );

const good: RawResponseRow[] = [
  ...[
    '200 OK',
    '200 ',
    '200  two  spaces',
    '202 Accepted',
    '226 IM Used',
    '299 Odd',
    '300 Many',
    '404 \t',
    '407 Who?',
  ],
  ...['418 \xe9\xff\x80', '451 a:b', '499 HTTP/1.1 200 OK', `200 ${'a'.repeat(8000)}`],
  ...['500 Oh', '502 Bad Gateway', '503 Later', '504 Late', '508 Loop', '599 Odd'],
].map(kept);

const whole = (line: string): string => `${line}\r\n${L2}\r\n\r\nok`;

const versions: RawResponseRow[] = [
  passes(
    'no reason, and no space for it',
    whole('HTTP/1.1 200'),
    passed('200 ', ['content-length: 2'], 'ok'),
  ),
  passes('HTTP/1.0', whole('HTTP/1.0 200 OK')),
  passes(
    'HTTP/1.0 that keeps its connection',
    `HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n${L2}\r\n\r\nok`,
  ),
  passes(
    'HTTP/1.0 that ends with its connection',
    [{ write: 'HTTP/1.0 200 OK\r\n\r\nok' }, { end: true }],
    passed('200 OK', ['transfer-encoding: chunked'], 'ok'),
  ),
  ...[
    'HTTP/1.2 200 OK',
    'HTTP/2.0 200 OK',
    'HTTP/2 200 OK',
    'HTTP/3.0 200 OK',
    'HTTP/0.9 200 OK',
    'HTTP/1 200 OK',
    'HTTP/01.1 200 OK',
    'HTTP/1.1x 200 OK',
    'http/1.1 200 OK',
    'HTTPS/1.1 200 OK',
    'ICY 200 OK',
    'SIP/2.0 200 OK',
    ' HTTP/1.1 200 OK',
    'HTTP/1.1 200 O\0K',
    'HTTP/1.1 200 O\x01K',
    'HTTP/1.1 200 O\x1b[31mK',
    'HTTP/1.1 200 O\x7fK',
    'HTTP/1.1 200 O\rX-Evil: 1',
    'HTTP/1.1 200O',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1\t200 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 2x0 OK',
    'HTTP/1.1 +200 OK',
    'HTTP/1.1 -200 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 000 OK',
    'HTTP/1.1 042 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 600 OK',
    'HTTP/1.1 999 OK',
    'HTTP/1.1 OK',
    'HTTP/1.1',
    '200 OK',
  ].map((line) => invalid(JSON.stringify(line), whole(line))),
  invalid('none, of HTTP/0.9', [{ write: '<h1>hello</h1>\r\n' }, { end: true }]),
  invalid('a line of 20 KB', whole(`HTTP/1.1 200 ${'a'.repeat(20_000)}`)),
];

const LINK = '</a.css>; rel=preload';
const hint = response('103 Early Hints', [`Link: ${LINK}`]);
const withHints = (count = 1) => with1xx(103, count);
const with1xx = (status: number, count = 1) => ({
  ...passedOk(),
  informational: Array(count).fill(status),
});

const inParts = (...texts: string[]) => texts.map((write) => ({ write }));
const CONTINUE = response('100 Continue');
/** An informational head whose end comes in two parts, the second with what is behind it. */
const ENDS_LATE = [
  { heads: hint, outcome: withHints() },
  { heads: response('102 Processing'), outcome: with1xx(102) },
  { heads: CONTINUE, outcome: passedOk() },
  { heads: hint + CONTINUE + hint, outcome: withHints(2) },
].flatMap(({ heads, outcome }) => {
  const name = JSON.stringify(heads);
  const before = (behind: string) => inParts(heads.slice(0, -1), `\n${behind}`);
  return [
    passes(`a head that ends late, then 200: ${name}`, before(ok()), outcome),
    passes(`a head that ends late, then 100: ${name}`, before(CONTINUE + ok()), outcome),
    passes(
      `a head that ends late, then a reason of odd bytes: ${name}`,
      before(response('200 \xe9', [L2], 'ok')),
      { ...outcome, status: '200 \xe9' },
    ),
    passes(
      `a head that ends late, then a reason in parts: ${name}`,
      [...before('HTTP/1.1 200 O'), ...inParts(`K\r\n${L2}\r\n\r\nok`)],
      outcome,
    ),
    invalid(`a head that ends late, then HTTP/2.0: ${name}`, before(whole('HTTP/2.0 200 OK'))),
    invalid(
      `a head that ends late, then chunks of HTTP/1.0: ${name}`,
      before('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
    ),
  ];
});

/** Both parsers take it: of such short fields, they count less than comes. */
const LONG = Array.from({ length: 980 }, (_, i) => `a${i % 10}: ${'b'.repeat(11)}`);
const longHint = response('103 Early Hints', [...LONG, `Link: ${LINK}`]);

const odd: RawResponseRow[] = [
  passes('an empty line before the first', `\r\n${ok()}`),
  passes('an empty line behind a 103', `${hint}\r\n${ok()}`, withHints()),
  passes(
    'a 103 of 17 KB that ends late',
    inParts(longHint.slice(0, -1), `\n${response('200 Fine', [L2], 'ok')}`),
    { ...withHints(), status: '200 Fine' },
  ),
  invalid(
    'a 103 of 17 KB that ends late, and then HTTP/2.0',
    inParts(longHint.slice(0, -1), `\n${whole('HTTP/2.0 200 OK')}`),
  ),
  ...[
    'HTTP/1.1 1xx foo\r\n',
    'HTTP/1.1 103 C\nX: a',
    'HTTP/1.1 103 C\r\nbad name: x\r\n',
    'HTTP/1.1 1\0\0\0\0',
    'HTTP/1.1 1000 C\r\n',
    'HTTP/1.1 100 C\r\nContent-Length: x\r\n',
    'HTTP/1.1 100 C\r\nbad name: x\r\n\r\n',
    'HTTP/1.1 100 C\r\nno colon\r\n\r\n',
  ].map((start) => invalid(`no head can begin so: ${JSON.stringify(start)}`, start)),
];

const informational: RawResponseRow[] = [
  ...ENDS_LATE,
  ...odd,
  passes('100 behind a 103', hint + CONTINUE + ok(), withHints()),
  passes('100 between two 103', hint + CONTINUE + hint + ok(), withHints(2)),
  passes('100 behind a 103, in a part of its own', inParts(hint, CONTINUE, ok()), withHints()),
  passes(
    '100, 103, 100 and 102, byte by byte',
    inParts(...(CONTINUE + hint + CONTINUE + response('102 Processing') + ok())),
    { ...passedOk(), informational: [103, 102] },
  ),
  passes('100 Continue, which stays behind', response('100 Continue') + ok()),
  ...['103 Early Hints', '104 Upload Resumption Supported', '199 Odd'].map((status) =>
    passes(`${status}, which stays behind`, response(status) + ok()),
  ),
  passes('102', response('102 Processing', ['X-A: 1']) + ok(), with1xx(102)),
  passes('103 with a link', hint + ok(), withHints()),
  passes('103 three times', hint.repeat(3) + ok(), withHints(3)),
  passes(
    '103 with a length, which it cannot have',
    response('103 Early Hints', ['Content-Length: 5', `Link: ${LINK}`]) + ok(),
    withHints(),
  ),
  passes(
    '103 with chunks, which it cannot have',
    response('103 Early Hints', ['Transfer-Encoding: chunked', `Link: ${LINK}`]) + ok(),
    withHints(),
  ),
  passes('103 with a link that is none', response('103 Early Hints', ['Link: what']) + ok()),
  passes(
    '103, byte by byte',
    Array.from(hint + ok(), (write) => ({ write })),
    withHints(),
  ),
  { ...passes('103 to HTTP/1.0', hint + ok()), version: '1.0' },
  passes('a hundred of 100', response('100 Continue').repeat(100) + ok()),
  passes('a hundred of 102', response('102 Processing').repeat(100) + ok(), with1xx(102, 100)),
  invalid('103 and the end', [{ write: hint }, { end: true }]),
  invalid('103 with a body', `${hint}hello`),
  invalid('100 and a reset', [{ write: response('100 Continue') }, { reset: true }]),
  invalid('a 100 with a control byte', `${response('100 \x01')}HTTP/1.1 200 \x01\r\n\r\n`),
  invalid('an unasked 101', response('101 Switching Protocols')),
  invalid(
    'an unasked 101 to a WebSocket',
    response('101 Switching Protocols', ['Connection: Upgrade', 'Upgrade: websocket']),
  ),
  invalid(
    'an unasked 101 to h2c',
    response('101 Switching Protocols', ['Connection: Upgrade', 'Upgrade: h2c']),
  ),
  invalid(
    'an unasked 101 with a length',
    response('101 Switching Protocols', ['Content-Length: 0']),
  ),
  invalid('an unasked 101 before an answer', response('101 Switching Protocols') + ok()),
  invalid('an unasked 101 behind a hint', hint + response('101 Switching Protocols')),
];

export const STATUS_LINES = [
  { group: 'a status', rows: good },
  { group: 'a first line', rows: versions },
  { group: 'an informational response', rows: informational },
];
