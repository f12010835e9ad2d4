// What a server may know, or not: methods, versions, expectations, other protocols.
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

const BODILESS = new Set(['HEAD', 'DELETE', 'OPTIONS']);

/** What Node's parser knows, it gets through; a newer one may know more. */
const methods: RawRequestRow[] = [
  ...[
    'HEAD',
    'POST',
    'PUT',
    'DELETE',
    'OPTIONS',
    'PATCH',
    'PROPFIND',
    'PROPPATCH',
    'MKCOL',
    'COPY',
    'MOVE',
    'LOCK',
    'UNLOCK',
    'REPORT',
    'MERGE',
    'M-SEARCH',
    'NOTIFY',
    'SUBSCRIBE',
    'PURGE',
    'LINK',
    'SEARCH',
    'QUERY',
  ].map((method) => ({
    ...passes(
      method,
      head(`${method} /a HTTP/1.1`, 'Host: h'),
      // RFC 9110 8.6: those that have a body as a rule say that there is none.
      reached(`${method} /a`, BODILESS.has(method) ? [] : ['content-length: 0']),
    ),
    ...(method === 'QUERY' && { orRefused: 400 }),
  })),
  ...['FOO', 'Get', 'GETT', 'X-GET', 'SETUP', 'PRI', 'GET:', 'G\xcbT', 'G\0T', ''].map((method) =>
    refused(JSON.stringify(method), head(`${method} /a HTTP/1.1`, 'Host: h')),
  ),
  declined('TRACE, with cookies', head('TRACE / HTTP/1.1', 'Host: h', 'Cookie: a=smuggled'), 405),
  declined(
    'TRACE with a body',
    `${head('TRACE / HTTP/1.1', 'Host: h', 'Content-Length: 5')}hello`,
    405,
  ),
  declined('TRACE *', head('TRACE * HTTP/1.1', 'Host: h'), 405),
];

const versions: RawRequestRow[] = [
  { ...passes('HTTP/1.0', head('GET /a HTTP/1.0', 'Host: h'), reached('GET /a')), closes: true },
  passes(
    'HTTP/1.0 that keeps its connection',
    head('GET /a HTTP/1.0', 'Host: h', 'Connection: keep-alive') +
      head('GET /b HTTP/1.0', 'Host: h', 'Connection: keep-alive'),
    reached('GET /a'),
    reached('GET /b'),
  ),
  {
    ...passes(
      'HTTP/1.0 with a body',
      `${head('POST /a HTTP/1.0', 'Host: h', 'Content-Length: 5')}hello`,
      reached('POST /a', ['content-length: 5'], 'hello'),
    ),
    closes: true,
  },
  ...[
    'HTTP/1.2',
    'HTTP/1.9',
    'HTTP/3.0',
    'HTTP/0.8',
    'HTTP/1',
    'HTTP/1.',
    'HTTP/.1',
    'HTTP/01.1',
    'HTTP/1.01',
    'HTTP/11.1',
    'HTTP/1.1x',
    'HTTP 1.1',
    'http/1.1',
    'HTTPS/1.1',
    'ICE/1.0',
    'HTTP/1,1',
    'HTTP/-1.1',
    'HTTP/1.1\0',
  ].map((version) =>
    refused(JSON.stringify(version), head(`GET /a ${version}`, 'Host: h'), [400, 505]),
  ),
  ...['HTTP/0.9', 'HTTP/2.0'].map((version) =>
    declined(version, head(`GET /a ${version}`, 'Host: h')),
  ),
  refused('HTTP/0.9 as it was', 'GET /a\r\n\r\n'),
  refused('HTTP/0.9 as it was, with fields', head('GET /a', 'Host: h')),
  refused('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  refused('TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  refused('any bytes', '\x00\xff\r\n\r\n'),
];

const hello = reached('POST /a', ['content-length: 5'], 'hello');

const CONTINUE = 'Expect: 100-continue';
const helloChunked = reached('POST /a', ['transfer-encoding: chunked'], 'hello');

/** Answered by the server in front of the proxy: the backend is never asked. */
const continued = (row: RawRequestRow): RawRequestRow => ({ ...row, informational: [100] });

const expectations: RawRequestRow[] = [
  continued(passes('to go on', `${post('Content-Length: 5', CONTINUE)}hello`, hello)),
  continued(
    passes(
      'to go on, in capitals',
      `${post('Content-Length: 5', CONTINUE.toUpperCase())}hello`,
      hello,
    ),
  ),
  continued(passes('to go on, and chunks', post(TE, CONTINUE) + chunked('hello'), helloChunked)),
  continued(passes('to go on, and no body', get('/a', CONTINUE), reached('GET /a'))),
  // RFC 9110 10.1.1: what is not known may be ignored, or refused.
  {
    ...continued(
      passes('to go on, and more', `${post('Content-Length: 5', `${CONTINUE}, x`)}hello`, hello),
    ),
    orRefused: 417,
  },
  declined('of another kind', `${post('Content-Length: 5', 'Expect: 200-ok')}hello`, 417),
  {
    ...passes('of nothing', `${post('Content-Length: 5', 'Expect:')}hello`, hello),
    orRefused: 417,
  },
  {
    ...passes(
      'from HTTP/1.0, to be ignored',
      `${head('POST /a HTTP/1.0', 'Host: h', 'Content-Length: 5', CONTINUE)}hello`,
      hello,
    ),
    closes: true,
  },
];

const h2c = [
  'Connection: Upgrade, HTTP2-Settings',
  'Upgrade: h2c',
  'HTTP2-Settings: AAMAAABkAAQAAP__',
];

const upgrades: RawRequestRow[] = [
  passes('h2c', get('/a', ...h2c), reached('GET /a')),
  passes(
    'h2c without its settings',
    get('/a', 'Connection: Upgrade', 'Upgrade: h2c'),
    reached('GET /a'),
  ),
  passes('h2c with a body', `${post(...h2c, 'Content-Length: 5')}hello`, hello),
  passes(
    'h2c with a request within its body',
    post(...h2c, `Content-Length: ${SMUGGLED.length}`) + SMUGGLED,
    reached('POST /a', [`content-length: ${SMUGGLED.length}`], SMUGGLED),
  ),
  {
    ...passes('h2c, and later another request', '', reached('GET /a'), reached('GET /b')),
    send: [get('/a', ...h2c), get('/b')],
  },
  passes(
    'h2c with chunks',
    post(...h2c, TE) + chunked(SMUGGLED),
    reached('POST /a', ['transfer-encoding: chunked'], SMUGGLED),
  ),
  passes('Upgrade that Connection does not name', get('/a', 'Upgrade: h2c'), reached('GET /a')),
  passes(
    'Connection: upgrade without Upgrade',
    get('/a', 'Connection: upgrade'),
    reached('GET /a'),
  ),
  passes(
    'another protocol',
    get('/a', 'Connection: upgrade', 'Upgrade: foo/2, bar'),
    reached('GET /a'),
  ),
  passes(
    'a WebSocket, which this proxy does not tunnel',
    get(
      '/a',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ),
    reached('GET /a', ['sec-websocket-version: 13', 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==']),
  ),
];

export const METHODS = [
  { group: 'a method', rows: methods },
  { group: 'a version', rows: versions },
  { group: 'an expectation', rows: expectations },
  { group: 'a wish for another protocol', rows: upgrades },
];
