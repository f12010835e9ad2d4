// What is asked for, and of whom: request targets and Host. No form of them can choose another
// server, or leave the base path of the configured one.
import { declined, get, head, passes, type RawRequestRow, reached, refused } from './row.js';

const BASE = '/base';
const under = (row: RawRequestRow): RawRequestRow => ({ ...row, base: BASE });

/** Sent on byte by byte, behind the base path. */
const kept = (target: string): RawRequestRow =>
  under(passes(JSON.stringify(target), get(target), reached(`GET ${BASE}${target}`)));

const refusedTarget = (target: string): RawRequestRow =>
  under(refused(JSON.stringify(target), get(target)));

const declinedTarget = (target: string): RawRequestRow =>
  under(declined(JSON.stringify(target), get(target)));

const verbatim = [
  '/?',
  '/a?b=c&d',
  '/a#b',
  '/#',
  '/a?b#c',
  '/a?b#/../..',
  '/a//b',
  '/a/',
  '/%2f%2fevil.example/x',
  '/a%00',
  '/a%0d%0aX-Evil:%201',
  '/%',
  '/%zz',
  '/%c0%ae%c0%ae/',
  '/a\\b',
  '/a?b=//evil.example',
  '/a?b=/../..',
  '/a?http://evil.example/',
  '/http://evil.example/',
  '/a:b@evil.example',
  '/!$&\'()*+,;=:@|^`{}<>"~',
  '/...',
  '/..a',
  '/a..',
  '/.',
  '/a/..',
  '/a/../b',
  '/a/b/../../c',
  '/a/%2e%2e/b',
  `/${'a'.repeat(8000)}`,
].map(kept);

const root = under(passes('"/"', get('/'), reached('GET /base')));

/** Bytes that a URL has only encoded: Node refuses them. If one lets them pass, they stay as they are. */
const raw = ['/caf\xe9', '/\xe2\x82\xac?\xff', '/a?\xe9'].map((target) => ({
  ...kept(target),
  orRefused: 400,
}));

const climbing = [
  '/..',
  '/../x',
  '/../base/x',
  '/a/../../x',
  '/./../x',
  '/a/./../../x',
  '//../x',
  '/a//../../x',
  '/%2e%2e/x',
  '/%2E%2e/x',
  '/.%2e/x',
  '/%2e./x',
  '/..%2fx',
  '/..%2Fx',
  '/%2e%2e%2fx',
  '/a%2f..%2f..%2fx',
  '/a/%2e%2e%2f%2e%2e/x',
  '/..\\x',
  '/a/..\\..\\x',
  '/..%5cx',
  '/%2e%2e%5Cx',
  '/..;/x',
  '/..;a=b/x',
  '/%2e%2e;/x',
  '/..%3b/x',
  '/..?x',
  '/a/../..?x',
  '/a#/../../x',
  '/..#x',
  '/a/../..#',
  '/..#/..',
  '/..;#x',
].map(declinedTarget);

const elsewhere = [
  'http://evil.example/x',
  'https://evil.example/x',
  'HTTP://evil.example/x',
  'http://h/x',
  'http://user@evil.example/x',
  '//evil.example/x',
  '///evil.example/x',
  '/\\evil.example/x',
  '/\\/evil.example/x',
  '//',
  '*',
].map(declinedTarget);

const invalid = [
  ...[
    '\\\\evil.example/x',
    'evil.example:80',
    'x',
    '?x',
    '#x',
    '@evil.example',
    '',
    '/a b',
    '/a\0b',
  ],
  ...['/a\x01b', '/a\x7fb', '/a\tb', '/a\rb'],
].map((target) => under({ ...refusedTarget(target), closes: false }));

const requestLines: RawRequestRow[] = [
  refused('a space before it', ` ${get('/')}`),
  refused('a lower-case method', head('get / HTTP/1.1', 'Host: h')),
  refused('no target', head('GET HTTP/1.1', 'Host: h')),
  refused('no space behind the method', head('GET/ HTTP/1.1', 'Host: h')),
  refused('a space behind the version', head('GET / HTTP/1.1 ', 'Host: h')),
  refused('a tab before the version', head('GET /\tHTTP/1.1', 'Host: h')),
  refused('a tab behind the method', head('GET\t/ HTTP/1.1', 'Host: h')),
  refused('four words', head('GET / x HTTP/1.1', 'Host: h')),
  refused('a NUL', head('GET /\0 HTTP/1.1', 'Host: h')),
  refused('a target of 20 KB', get(`/${'a'.repeat(20_000)}`), [431, 414]),
];

const others: RawRequestRow[] = [
  passes('OPTIONS *', head('OPTIONS * HTTP/1.1', 'Host: h'), reached('OPTIONS *')),
  under(
    passes(
      'OPTIONS * under a base path',
      head('OPTIONS * HTTP/1.1', 'Host: h'),
      reached('OPTIONS /base/*'),
    ),
  ),
  declined('OPTIONS of another server', head('OPTIONS http://evil.example HTTP/1.1', 'Host: h')),
  ...['evil.example:80', '/', 'http://evil.example/', '*'].map((target) => ({
    ...refused(`CONNECT ${target}`, head(`CONNECT ${target} HTTP/1.1`, 'Host: h')),
    answers: [],
  })),
];

const atHost = (host: string): RawRequestRow =>
  passes(
    JSON.stringify(host),
    head('GET / HTTP/1.1', `Host: ${host}`),
    reached('GET /', [], '', { host }),
  );

const hosts: RawRequestRow[] = [
  ...['shop.example', 'SHOP.Example:8080', '[::1]:80', '127.0.0.1', 'h:', 'h%20', '0'].map(atHost),
  refused('none', head('GET / HTTP/1.1')),
  declined('two', head('GET / HTTP/1.1', 'Host: h', 'Host: evil.example')),
  declined('the same twice', head('GET / HTTP/1.1', 'Host: h', 'host: h')),
  passes('none in HTTP/1.0', head('GET / HTTP/1.0'), reached('GET /', [], '', { host: null })),
  declined('two in HTTP/1.0', head('GET / HTTP/1.0', 'Host: h', 'Host: evil.example')),
  refused('a folded one', head('GET / HTTP/1.1', 'Host:', ' h')),
  refused('a space before its colon', head('GET / HTTP/1.1', 'Host : h')),
  ...[
    'user@evil.example',
    'h/x',
    'h?x',
    'h#x',
    'h\\x',
    'h, evil.example',
    'h evil.example',
    'h:port',
    'h:80:80',
    'h:+80',
    '[::1',
    '[h]',
    '::1',
    'caf\xe9.example',
    '<h>',
    '"h"',
  ].map((host) => declined(JSON.stringify(host), head('GET / HTTP/1.1', `Host: ${host}`))),
  // An authority may be empty (RFC 9112 3.2): the backend gets its own.
  passes('an empty one', head('GET / HTTP/1.1', 'Host:'), reached('GET /', [], '', { host: '' })),
];

export const TARGETS = [
  { group: 'a target that goes on as it is', rows: [root, ...verbatim, ...raw] },
  { group: 'a target that climbs', rows: climbing },
  { group: 'a target that names a server', rows: elsewhere },
  { group: 'a target that is none', rows: invalid },
  { group: 'a request line', rows: requestLines },
  { group: 'a target of another form', rows: others },
  { group: 'a Host', rows: hosts },
];
