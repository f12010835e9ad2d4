// Several requests on one connection, and what comes behind a body.
import {
  chunked,
  declined,
  get,
  head,
  passes,
  post,
  type RawRequestRow,
  reached,
  refused,
  SMUGGLED,
} from './row.js';

const TE = 'Transfer-Encoding: chunked';
const hello = reached('POST /a', ['content-length: 5'], 'hello');

const pipelines: RawRequestRow[] = [
  passes(
    'three requests',
    get('/a') + get('/b') + get('/c'),
    reached('GET /a'),
    reached('GET /b'),
    reached('GET /c'),
  ),
  passes(
    'bodies between requests',
    `${post('Content-Length: 5')}hello${get('/b')}${post(TE)}${chunked('hello')}${get('/d')}`,
    hello,
    reached('GET /b'),
    reached('POST /a', ['transfer-encoding: chunked'], 'hello'),
    reached('GET /d'),
  ),
  {
    ...passes(
      'a refused request between two',
      get('/a') + get('//evil.example') + get('/c'),
      reached('GET /a'),
      reached('GET /c'),
    ),
    answers: [200, 400, 200],
  },
  {
    ...passes(
      'a refused request with a body between two',
      get('/a') +
        head('TRACE /b HTTP/1.1', 'Host: h', `Content-Length: ${SMUGGLED.length}`) +
        SMUGGLED +
        get('/c'),
      reached('GET /a'),
      reached('GET /c'),
    ),
    answers: [200, 405, 200],
  },
  {
    ...passes(
      'a refused coding between two',
      get('/a') + post('Transfer-Encoding: gzip, chunked') + chunked(SMUGGLED),
      reached('GET /a'),
    ),
    answers: [200, 400],
  },
  // RFC 9112 9.6: nothing behind it is a request. Node drops the first as well, and answers once.
  {
    ...refused('one behind Connection: close', get('/a', 'Connection: close') + get('/smuggled')),
    begun: true,
  },
  {
    ...refused('one behind HTTP/1.0', head('GET /a HTTP/1.0', 'Host: h') + get('/smuggled')),
    begun: true,
  },
  {
    ...passes('a broken one behind an answered one', '', reached('GET /a')),
    send: [get('/a'), post('Content-Length: +5')],
    answers: [200, 400],
    closes: true,
  },
  // What is left of a refused request is read as its body, whenever it comes.
  ...[
    declined('', head('TRACE /a HTTP/1.1', 'Host: h', `Content-Length: ${SMUGGLED.length}`), 405),
    declined('', head('POST //a HTTP/1.1', 'Host: h', `Content-Length: ${SMUGGLED.length}`)),
    declined('', post('Expect: x', `Content-Length: ${SMUGGLED.length}`), 417),
  ].map((row) => ({
    ...passes(`a refused one (${row.answers}) whose body comes later`, '', reached('GET /b')),
    send: [row.send, SMUGGLED + get('/b')].flat(),
    answers: [...row.answers, 200],
  })),
  {
    ...passes('a body that comes in pieces', '', hello, reached('GET /b')),
    send: [`${post('Content-Length: 5')}hello`, get('/b')],
  },
  passes(
    'many',
    Array.from({ length: 20 }, (_, i) => get(`/${i}`)).join(''),
    ...Array.from({ length: 20 }, (_, i) => reached(`GET /${i}`)),
  ),
];

const chunkedHello = (trailers: string[]) =>
  reached('POST /a', ['transfer-encoding: chunked'], 'hello', { trailers });

const trailers: RawRequestRow[] = [
  passes(
    'good ones',
    post(TE, 'Trailer: X-Sum') + chunked('hello', 'X-Sum: 1', 'X-B: \xe9'),
    chunkedHello(['X-Sum: 1', 'X-B: \xe9']),
  ),
  passes(
    'ones that it has not announced',
    post(TE) + chunked('hello', 'X-Sum: 1'),
    chunkedHello(['X-Sum: 1']),
  ),
  passes(
    'an announcement, and none',
    post(TE, 'Trailer: X-Sum') + chunked('hello'),
    chunkedHello([]),
  ),
  passes(
    'an announcement without chunks',
    `${post('Trailer: X-Sum', 'Content-Length: 5')}hello`,
    hello,
  ),
  passes('an announcement without a body', get('/a', 'Trailer: X-Sum'), reached('GET /a')),
  ...[
    'Content-Length: 3',
    'Transfer-Encoding: x',
    'Host: h',
    'TE: x',
    'Trailer: x',
    'Connection: x',
  ].map((field) => ({
    ...passes(
      `one that has no business there, and another: ${field}`,
      post(TE) + chunked('hello', field, 'X-Sum: 1'),
      chunkedHello(['X-Sum: 1']),
    ),
    // Node may refuse it, when its head has gone on.
    orRefused: 400,
    begun: true,
  })),
  passes(
    'claims',
    post(TE) +
      chunked(
        'hello',
        ...[
          'X-Forwarded-For: 6.6.6.6',
          'X-Forwarded-Host: evil',
          'Forwarded: for=6',
          'X-Real-IP: 6',
        ],
        ...['X-Request-ID: evil', 'X-Request-Attempt: 3', 'Authorization: x', 'Cookie: a=1'],
        ...[
          'Keep-Alive: x',
          'Upgrade: h2c',
          'Proxy-Authorization: x',
          'Content-Type: x',
          'X-Sum: 1',
        ],
      ),
    chunkedHello(['X-Sum: 1']),
  ),
  passes(
    'ones that Connection nominates',
    post(TE, 'Connection: X-Sum') + chunked('hello', 'X-Sum: 1', 'X-B: 2'),
    chunkedHello(['X-B: 2']),
  ),
  { ...refused('a broken one', `${post(TE)}5\r\nhello\r\n0\r\nX Sum: 1\r\n\r\n`), begun: true },
  {
    ...refused('one with a control byte', `${post(TE)}5\r\nhello\r\n0\r\nX-Sum: \x01\r\n\r\n`),
    begun: true,
  },
  {
    ...refused('a folded one', `${post(TE)}5\r\nhello\r\n0\r\nX-Sum: 1\r\n 2\r\n\r\n`),
    begun: true,
  },
  {
    ...refused(
      '20 KB of them',
      post(TE) + chunked('hello', `X-Sum: ${'a'.repeat(20_000)}`),
      [431, 400],
    ),
    begun: true,
  },
];

export const CONNECTIONS = [
  { group: 'several requests', rows: pipelines },
  { group: 'trailers', rows: trailers },
];
