// Chunks (RFC 9112 7.1), whole and broken. The backend gets them framed anew, or never to their end.
import {
  behind,
  chunked,
  get,
  passes,
  post,
  type RawRequestRow,
  reached,
  refused,
  SMUGGLED,
} from './row.js';

const TE = 'Transfer-Encoding: chunked';
const helloChunked = reached('POST /a', ['transfer-encoding: chunked'], 'hello');

/** A message of chunks that is not well formed; its head may have gone on. */
const broken = (name: string, chunks: string): RawRequestRow => ({
  ...refused(name, post(TE) + chunks),
  begun: true,
});

const LAST = '0\r\n\r\n';

const chunks: RawRequestRow[] = [
  passes(
    'chunks of many sizes',
    `${post(TE)}1\r\nh\r\n003\r\nell\r\n01\r\no\r\n000\r\n\r\n`,
    helloChunked,
  ),
  passes(
    'chunks with extensions, which stay behind',
    `${post(TE)}5;a;b=c;d="e"\r\nhello\r\n0;f\r\n\r\n`,
    helloChunked,
  ),
  passes(
    'a request within chunks',
    post(TE) + chunked(SMUGGLED) + get('/b'),
    reached('POST /a', ['transfer-encoding: chunked'], SMUGGLED),
    reached('GET /b'),
  ),
  ...behind('bytes behind the last chunk', post(TE) + chunked('hello'), 'garbage', helloChunked),
  broken('a size in C notation', `0x5\r\nhello\r\n${LAST}`),
  broken('a size with a plus', `+5\r\nhello\r\n${LAST}`),
  broken('a size with a minus', `-5\r\nhello\r\n${LAST}`),
  broken('a size with a space before it', ` 5\r\nhello\r\n${LAST}`),
  broken('a size with an underscore', `0_5\r\nhello\r\n${LAST}`),
  broken('a size that is none', `five!\r\nhello\r\n${LAST}`),
  broken('no size', `\r\nhello\r\n${LAST}`),
  broken('an extension without a size', `;a=b\r\nhello\r\n${LAST}`),
  broken('a size of 2^64 + 5', `10000000000000005\r\nhello\r\n${LAST}`),
  broken('a size of 2^68', `100000000000000000\r\nhello\r\n${LAST}`),
  broken('a size ended by a bare LF', `5\nhello\r\n${LAST}`),
  broken('a size ended by a bare CR', `5\rhello\r\n${LAST}`),
  broken('an extension ended by a bare LF', `5;a\nhello\r\n${LAST}`),
  broken(
    'an extension with a bare LF',
    `2;\nxx\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${LAST}`,
  ),
  broken('an extension with a bare CR', `5;a\rb\r\nhello\r\n${LAST}`),
  broken('an extension with a NUL', `5;a\0b\r\nhello\r\n${LAST}`),
  broken('no CRLF behind a chunk', `5\r\nhello${LAST}`),
  broken('a bare LF behind a chunk', `5\r\nhello\n${LAST}`),
  broken('a bare CR behind a chunk', `5\r\nhello\r${LAST}`),
  broken('other bytes behind a chunk', `5\r\nhello!!${LAST}`),
  broken('a chunk that is longer than its size', `5\r\nhello, world\r\n${LAST}`),
  broken('a last chunk that is ended by a bare LF', '5\r\nhello\r\n0\n\r\n'),
  broken('chunks that are ended by a bare LF', '5\r\nhello\r\n0\r\n\n'),
  broken('chunks that are ended by two bare LF', '5\r\nhello\r\n0\n\n'),
  {
    ...broken('an extension of 20 KB', `5;${'a'.repeat(20_000)}\r\nhello\r\n${LAST}`),
    answers: [[400, 413]],
  },
];

/** What is wrong comes when the backend has the beginning: it must not get an end. */
const later: RawRequestRow[] = [
  ...[
    '0x5\r\nhello\r\n',
    '\r\n',
    '5\nhello\r\n',
    '-1\r\n',
    '5\r\nhello!!\r\n',
    'HTTP/1.1 200 OK\r\n',
  ],
  ...['0\n\n', '0\r\nno field\r\n\r\n', '0\r\nX: \0\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n'],
].map((rest) => ({
  ...broken(JSON.stringify(rest), ''),
  send: [`${post(TE)}5\r\nhello\r\n`, rest],
  whenReached: 'hello',
}));

const unfinished: RawRequestRow[] = [
  { ...broken('chunks', ''), send: `${post(TE)}5\r\nhello\r\n`, ends: true },
  { ...broken('a chunk', ''), send: `${post(TE)}5\r\nhel`, ends: true },
  { ...broken('the last chunk', ''), send: `${post(TE)}5\r\nhello\r\n0\r\n`, ends: true },
  { ...broken('a length', ''), send: `${post('Content-Length: 9')}hello`, ends: true },
  {
    ...broken('a length, the backend has part of it', ''),
    send: [`${post('Content-Length: 9')}hello`, 'h'],
    whenReached: 'hello',
    ends: true,
  },
  { ...broken('a head', ''), send: post(TE).slice(0, -2), ends: true },
  { ...broken('a line', ''), send: 'GET / HT', ends: true },
];

export const CHUNKS = [
  { group: 'chunks', rows: chunks },
  { group: 'chunks that go wrong later,', rows: later },
  { group: 'the end in the middle of', rows: unfinished },
];
