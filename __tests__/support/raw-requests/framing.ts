// Where a message ends: RFC 9112 6 and 7. A doubt about it is a 400, and the end of the connection.
import {
  behind,
  chunked,
  get,
  head,
  passes,
  post,
  type RawRequestRow,
  reached,
  refused,
  SMUGGLED,
} from './row.js';

const hello = reached('POST /a', ['content-length: 5'], 'hello');
const helloChunked = reached('POST /a', ['transfer-encoding: chunked'], 'hello');
const TE = 'Transfer-Encoding: chunked';
const TWO_TO_64_PLUS_5 = '18446744073709551621';

const lengths: RawRequestRow[] = [
  passes('one length', `${post('Content-Length: 5')}hello`, hello),
  passes(
    'a length with zeros before it, which are not octal',
    `${post('Content-Length: 010')}0123456789`,
    reached('POST /a', ['content-length: 10'], '0123456789'),
  ),
  passes(
    'a length of zeros',
    post('Content-Length: 000'),
    reached('POST /a', ['content-length: 0']),
  ),
  passes('a length with spaces around', `${post('Content-Length:   5  ')}hello`, hello),
  {
    ...passes('a length with tabs around', `${post('Content-Length: \t5\t')}hello`, hello),
    orRefused: 400,
  },
  refused('two lengths', `${post('Content-Length: 5', 'Content-Length: 6')}hello!`),
  refused('the same length twice', `${post('Content-Length: 5', 'Content-Length: 5')}hello`),
  ...[
    '5, 5',
    '5, 6',
    '5,',
    ',5',
    '+5',
    '-5',
    '-0',
    '0x5',
    '5.0',
    '5e0',
    '5_0',
    '5 5',
    '"5"',
    '5;x',
    '5\x0b',
    '\xa05',
    'five',
    TWO_TO_64_PLUS_5,
  ].map((value) =>
    refused(`a length of ${JSON.stringify(value)}`, `${post(`Content-Length: ${value}`)}hello`),
  ),
  refused('an empty length', `${post('Content-Length:')}hello`),
  refused('an empty length of a GET', get('/', 'Content-Length:')),
  refused('a length that is folded', `${post('Content-Length:', ' 5')}hello`),
  refused('a space before the colon of a length', `${post('Content-Length : 5')}hello`),
  passes(
    'bytes behind a length of 0: the next request',
    post('Content-Length: 0') + get('/b'),
    reached('POST /a', ['content-length: 0']),
    reached('GET /b'),
  ),
  passes(
    'a request within a body',
    post(`Content-Length: ${SMUGGLED.length}`) + SMUGGLED,
    reached('POST /a', [`content-length: ${SMUGGLED.length}`], SMUGGLED),
  ),
  ...behind('more bytes than its length', `${post('Content-Length: 5')}hello`, '!!', hello),
  ...behind('bytes behind a GET without a body', get('/a'), 'hello', reached('GET /a')),
];

const both: RawRequestRow[] = [
  refused('both frames', post('Content-Length: 5', TE) + chunked('hello')),
  refused('both frames, chunked first', post(TE, 'Content-Length: 5') + chunked('hello')),
  refused(
    'both frames, with another request behind the end of the chunks',
    `${post(`Content-Length: ${5 + SMUGGLED.length}`, TE)}0\r\n\r\n${SMUGGLED}`,
  ),
  refused(
    'both frames, with another request behind the length',
    `${post('Content-Length: 4', TE)}${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
  ),
  refused('a length of 0 beside chunks', `${post('Content-Length: 0', TE)}${chunked('hello')}`),
  refused('both frames in a GET', get('/', 'Content-Length: 5', TE) + chunked('hello')),
];

const codings: RawRequestRow[] = [
  passes('chunks', post(TE) + chunked('hello'), helloChunked),
  passes('chunks in capitals', post('Transfer-Encoding: CHUNKED') + chunked('hello'), helloChunked),
  passes(
    'chunks with spaces around their name',
    post('Transfer-Encoding:   chunked  ') + chunked('hello'),
    helloChunked,
  ),
  {
    ...passes(
      'chunks with tabs around their name',
      post('Transfer-Encoding: \tchunked\t') + chunked('hello'),
      helloChunked,
    ),
    orRefused: 400,
    begun: true, // Node looks at it again, and more strictly, when the head has gone on
  },
  ...[
    'chunked, chunked',
    'xchunked',
    'chunkedx',
    'chunked;q=1',
    'chunked ;a',
    '"chunked"',
    'chunked,',
    'x chunked',
    '\x0bchunked',
    'chunked\x0c',
    '\xa0chunked',
    'gzip',
    'chunked, gzip',
    'identity',
    'chunked, identity',
  ].map((value) =>
    refused(
      `a coding of ${JSON.stringify(value)}`,
      post(`Transfer-Encoding: ${value}`) + chunked('hello'),
    ),
  ),
  // Chunked comes last: where such a message ends is known, its codings are not taken.
  ...[',chunked', 'gzip, chunked', 'identity, chunked', 'gzip\r\nTransfer-Encoding: chunked'].map(
    (value) =>
      refused(
        `a coding of ${JSON.stringify(value)}`,
        post(`Transfer-Encoding: ${value}`) + chunked('hello'),
      ),
  ),
  ...['', 'Connection: keep-alive\r\n'].map((field) =>
    refused(
      `chunks from HTTP/1.0, which has none: ${field}`,
      head('POST /a HTTP/1.0', 'Host: h', `${field}${TE}`) + chunked('hello'),
    ),
  ),
  refused('an empty coding', post('Transfer-Encoding:') + chunked('hello')),
  refused('chunked twice', post(TE, TE) + chunked('hello')),
  refused('chunked and identity', post(TE, 'Transfer-Encoding: identity') + chunked('hello')),
  refused(
    'identity beside a length',
    `${post('Transfer-Encoding: identity', 'Content-Length: 5')}hello`,
  ),
  refused('a space before the colon', post('Transfer-Encoding : chunked') + chunked('hello')),
  refused('a tab before the colon', post('Transfer-Encoding\t: chunked') + chunked('hello')),
  refused('a NUL before the colon', post('Transfer-Encoding\0: chunked') + chunked('hello')),
  refused('a space before the name', post(' Transfer-Encoding: chunked') + chunked('hello')),
  refused('a coding that is folded', post('Transfer-Encoding:', ' chunked') + chunked('hello')),
  refused('a coding in the fold of a field', post('X-A: 1', ` ${TE}`) + chunked('hello')),
  refused('a coding behind a bare CR', post(`X-A: 1\r${TE}`) + chunked('hello')),
  refused('a coding behind a bare LF', post(`X-A: 1\n${TE}`) + chunked('hello')),
];

const BODY = `Content-Length: ${SMUGGLED.length}`;

/** Methods that seldom have a body: the frame has to go on with it. */
const methods: RawRequestRow[] = ['GET', 'DELETE', 'OPTIONS', 'PUT', 'PATCH'].flatMap((method) => {
  const line = `${method} /a HTTP/1.1`;
  return [
    passes(
      `${method} with a request within its body`,
      head(line, 'Host: h', BODY) + SMUGGLED + get('/b'),
      reached(`${method} /a`, [BODY.toLowerCase()], SMUGGLED),
      reached('GET /b'),
    ),
    passes(
      `${method} with a request within its chunks`,
      head(line, 'Host: h', TE) + chunked(SMUGGLED) + get('/b'),
      reached(`${method} /a`, ['transfer-encoding: chunked'], SMUGGLED),
      reached('GET /b'),
    ),
  ];
});

const nominations: RawRequestRow[] = [
  'Content-Length',
  'Transfer-Encoding',
  'close, CONTENT-LENGTH',
].map((name) => ({
  ...passes(
    `a length that Connection names: ${name}`,
    head('DELETE /a HTTP/1.1', 'Host: h', `Connection: ${name}`, BODY) + SMUGGLED,
    reached('DELETE /a', [BODY.toLowerCase()], SMUGGLED),
  ),
  closes: name.startsWith('close'),
}));

const lines: RawRequestRow[] = [
  refused('only bare LF', 'GET /a HTTP/1.1\nHost: h\n\n'),
  refused('a bare LF behind its first line', 'GET /a HTTP/1.1\nHost: h\r\n\r\n'),
  refused('a bare LF behind a field', 'GET /a HTTP/1.1\r\nHost: h\nX-A: 1\r\n\r\n'),
  refused('a bare LF for the empty line', 'GET /a HTTP/1.1\r\nHost: h\r\n\n'),
  refused('only bare CR', 'GET /a HTTP/1.1\rHost: h\r\r'),
  refused('a bare CR in a value', get('/a', 'X-A: 1\r2')),
  refused('a NUL in a value', get('/a', 'X-A: 1\x002')),
  refused('a NUL in a name', get('/a', 'X\0A: 1')),
  refused('a control byte in a value', get('/a', 'X-A: 1\x012')),
  refused('a DEL in a value', get('/a', 'X-A: 1\x7f2')),
  refused('a line that is no field', get('/a', 'what is this')),
  refused('a field without a name', get('/a', ': 1')),
  refused('a space in a name', get('/a', 'X A: 1')),
  refused('obs-text in a name', get('/a', 'X-\xe9: 1')),
  ...['(', ')', '/', '[', '{', '"', '@', ',', '=', '\\'].map((byte) =>
    refused(`${byte} in a name`, get('/a', `X${byte}A: 1`)),
  ),
  refused('a field that is folded', get('/a', 'X-A: 1', ' 2')),
  refused('a field that is folded with a tab', get('/a', 'X-A: 1', '\t2')),
  refused('a space before its first field', head('GET /a HTTP/1.1', ' Host: h')),
  passes('an empty line before it', `\r\n${get('/a')}`, reached('GET /a')),
  passes(
    'an empty line behind a body',
    `${post('Content-Length: 5')}hello\r\n${get('/b')}`,
    hello,
    reached('GET /b'),
  ),
];

export const FRAMING = [
  { group: 'a length', rows: lengths },
  { group: 'both frames', rows: both },
  { group: 'a transfer coding', rows: codings },
  { group: 'a body of a method that seldom has one', rows: [...methods, ...nominations] },
  { group: 'lines', rows: lines },
];
