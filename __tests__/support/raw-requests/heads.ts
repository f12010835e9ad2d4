// What is said beside the framing: fields that lie, fields that collide, fields of the connection.
import { declined, get, passes, type RawRequestRow, reached, refused } from './row.js';

/** A GET with these fields, of which the backend gets those, in this order. */
const becomes = (name: string, fields: string[], kept: string[]): RawRequestRow =>
  passes(name, get('/a', ...fields), reached('GET /a', kept));

const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `a${i}: `);

const values: RawRequestRow[] = [
  becomes('empty fields', ['X-A:', 'X-B: ', 'X-C:\t'], ['x-a: ', 'x-b: ', 'x-c: ']),
  becomes(
    'spaces and tabs around a value, which are none of it',
    ['X-A: \t a \t b \t'],
    ['x-a: a \t b'],
  ),
  becomes('obs-text', ['X-A: \xe9\xff\x80\xc3\xa4'], ['x-a: \xe9\xff\x80\xc3\xa4']),
  becomes(
    'repeated fields, in their order',
    ['X-A: a', 'X-B: 1', 'x-A: b, c'],
    ['x-a: a, b, c', 'x-b: 1'],
  ),
  becomes('repeated fields that are empty', ['X-A:', 'X-A: a', 'X-A:'], ['x-a: , a,']),
  becomes('Cookie twice', ['Cookie: a=1; b=2', 'Cookie: c=3'], ['cookie: a=1; b=2; c=3']),
  becomes(
    'Set-Cookie twice',
    ['Set-Cookie: a=1', 'Set-Cookie: b=2'],
    ['set-cookie: a=1', 'set-cookie: b=2'],
  ),
  becomes('X-A and X_A, which are two', ['X-A: 1', 'X_A: 2', 'x-a: 3'], ['x-a: 1, 3', 'x_a: 2']),
  becomes('all bytes that a name may have', ["!#$%&'*+-.^_`|~0aZ: 1"], ["!#$%&'*+-.^_`|~0az: 1"]),
  becomes(
    'names of things that objects have',
    ['constructor: 2', 'toString: 3', 'hasOwnProperty: 4'],
    ['constructor: 2', 'tostring: 3', 'hasownproperty: 4'],
  ),
  becomes('a long value', [`X-A: ${'a'.repeat(15_000)}`], [`x-a: ${'a'.repeat(15_000)}`]),
  becomes('999 fields', many(998), many(998)),
  refused('a head of 16 KB', get('/a', `X-A: ${'a'.repeat(16_384)}`), 431),
  refused(
    'a head of 16 KB in many fields',
    get('/a', ...Array(200).fill(`X-A: ${'a'.repeat(80)}`)),
    431,
  ),
  declined('1000 fields', get('/a', ...many(999)), 431),
  declined('1500 fields', get('/a', ...many(1499)), 431),
];

/** RFC 9110 5.3: which of the two would a backend believe? */
const doubled: RawRequestRow[] = [
  'Authorization: Basic eA==',
  'Content-Type: text/plain',
  'Content-Location: /x',
  'Content-Range: bytes 0-1/2',
  'Date: Sun, 06 Nov 1994 08:49:37 GMT',
  'From: a@b.example',
  'If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT',
  'If-Range: "a"',
  'If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT',
  'Max-Forwards: 1',
  'Proxy-Authorization: Basic eA==',
  'Referer: http://h/',
  'User-Agent: a',
].map((field) => declined(field.split(':')[0]!, get('/a', field, field.toLowerCase())));

const claims: RawRequestRow[] = [
  becomes(
    'who it is',
    [
      'X-Forwarded-For: 10.0.0.1',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: evil.example',
      'X-Forwarded-Port: 444',
      'X-Forwarded-Prefix: /evil',
      'X-Real-IP: 10.0.0.1',
      'Forwarded: for=10.0.0.1',
      'X-Kept: 1',
    ],
    ['x-kept: 1'],
  ),
  becomes(
    'who it is, twice and in capitals',
    ['X-FORWARDED-FOR: 10.0.0.1', 'x-forwarded-for: 10.0.0.2'],
    [],
  ),
  becomes(
    'that Connection takes away who it is',
    ['Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host'],
    [],
  ),
  becomes('that Connection takes away the Host', ['Connection: Host'], []),
  becomes('that Connection takes away the id', ['Connection: X-Request-ID'], []),
  becomes('an id that is none', ['X-Request-ID: a b'], []),
  becomes('an id of 129 bytes', [`X-Request-ID: ${'a'.repeat(129)}`], []),
  becomes('an id twice', ['X-Request-ID: a', 'X-Request-ID: b'], []),
  becomes('an empty id', ['X-Request-ID:'], []),
  passes(
    'an id, and one of another name',
    get('/a', 'X-Request-ID: night-1', 'X_Request_ID: evil'),
    reached('GET /a', [], '', { id: 'night-1' }),
  ),
  becomes('the number of an attempt', ['X-Request-Attempt: 3'], []),
];

/** RFC 9110 7.6.1 */
const hopByHop: RawRequestRow[] = [
  ...[
    'Connection: close, keep-alive, upgrade',
    'Connection:',
    'Connection: ,, ,',
    'Connection: \xe9, "quoted, X-B", =',
    'Keep-Alive: timeout=9',
    'Proxy-Connection: keep-alive',
    'Proxy-Authenticate: Basic',
    'Proxy-Authorization: Basic eA==',
    'TE: gzip',
    'TE: trailersx',
    'TE: xtrailers',
    'TE:',
    'Trailer: X-Sum',
    'Upgrade: websocket',
  ].map((field) => ({
    ...becomes(field, [field, 'X-A: 1'], ['x-a: 1']),
    closes: field.includes('close'),
  })),
  becomes(
    'names that Connection nominates',
    [
      'Connection: X-A ,x-b,\tX-C',
      'X-A: 1',
      'X-B: 2',
      'X-C: 3',
      'X-D: 4',
      'Connection: Cookie',
      'Cookie: a=1',
    ],
    ['x-d: 4'],
  ),
  becomes(
    'a name nominated before and behind its field',
    ['X-A: 1', 'Connection: X-A', 'X-A: 2'],
    [],
  ),
  ...['trailers', 'Trailers', 'gzip;q=0.5, trailers', 'trailers;q=0.5', 'trailers, deflate'].map(
    (te) => becomes(`TE: ${te}`, [`TE: ${te}`], ['te: trailers']),
  ),
  becomes(
    'TE: trailers that Connection names, as it has to',
    ['Connection: TE', 'TE: trailers'],
    ['te: trailers'],
  ),
];

export const HEADS = [
  { group: 'values', rows: values },
  { group: 'twice what may come once', rows: doubled },
  { group: 'claims', rows: claims },
  { group: 'fields of its connection', rows: hopByHop },
];
