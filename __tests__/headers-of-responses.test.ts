// Heads of responses, and headers as hooks have left them, by themselves.
import { describe, expect, it } from '@jest/globals';
import {
  checkedHeaders,
  type HeaderMap,
  invalid,
  passableHeaders,
  type RawHead,
  readHead,
} from '../src/headers.js';
import { joinField } from '../src/respond.js';

function head(fields: [string, string][] = [], given: Partial<RawHead> = {}): HeaderMap {
  return readHead({
    status: 200,
    reason: 'OK',
    httpVersion: '1.1',
    rawHeaders: fields.flat(),
    ...given,
  });
}

const refusal = (what: string) =>
  expect.objectContaining({ code: 'INVALID_RESPONSE', message: `invalid response: ${what}` });

const many = (count: number): [string, string][] =>
  Array.from({ length: count }, (_, i) => [`a${i}`, '1']);

describe('the head of a response', () => {
  it.each([200, 599, 204])('may have the status %i', (status) => {
    expect(head([], { status })).toEqual({});
  });

  it.each([0, 99, 100, 103, 199, 600, 999])('may not have the status %i', (status) => {
    expect(() => head([], { status })).toThrow(refusal(`status ${status}`));
  });

  it('switches to a WebSocket, and to nothing else', () => {
    const to = (upgrade: string) => () => head([['Upgrade', upgrade]], { status: 101 });

    expect(to('websocket')()).toEqual({});
    expect(to(' WebSocket ')()).toEqual({});
    expect(to('h2c')).toThrow(refusal('a 101 to something else'));
    expect(() => head([], { status: 101 })).toThrow(refusal('a 101 to something else'));
    expect(
      head([
        ['Upgrade', 'h2c'],
        ['X-A', '1'],
      ]),
    ).toEqual({ 'x-a': '1' });
  });

  it('is of HTTP/1', () => {
    expect(head([], { httpVersion: '1.0' })).toEqual({});
    for (const httpVersion of ['2.0', '0.9', '11.1'])
      expect(() => head([], { httpVersion })).toThrow(
        refusal(`HTTP/${httpVersion} on an HTTP/1 connection`),
      );
  });

  it('has no control byte', () => {
    expect(() => head([], { reason: 'O\x01K' })).toThrow(
      refusal('a control byte in the reason phrase'),
    );
    expect(() => head([['X-A', 'a\0']])).toThrow(refusal('a control byte in x-a'));
    expect(() => head([['Connection', 'a\x7f']])).toThrow(refusal('a control byte in connection'));
    expect(head([['X-A', '\xe9\t']], { reason: '\xe9' })).toEqual({ 'x-a': '\xe9\t' });
  });

  it('has 999 fields at most', () => {
    expect(Object.keys(head(many(999)))).toHaveLength(999);
    expect(() => head(many(1000))).toThrow(refusal('1000 header fields or more'));
  });

  it('has its lists joined, its cookies apart, and what is single once', () => {
    const fields: [string, string][] = [
      ['Vary', 'A'],
      ['SET-COOKIE', 'a'],
      ['vary', 'B'],
      ['Set-Cookie', 'b'],
      ['Set-Cookie', 'c'],
      ['constructor', '1'],
      ['ETag', '"a"'],
    ];
    expect(head(fields)).toEqual({
      vary: 'A, B',
      'set-cookie': ['a', 'b', 'c'],
      constructor: '1',
      etag: '"a"',
    });
    expect(() => head([...fields, ['etag', '"a"']])).toThrow(refusal('two etag fields'));
  });

  it.each(
    (
      'age authorization content-length content-location content-range content-type date etag ' +
      'expires from host if-modified-since if-range if-unmodified-since last-modified location ' +
      'max-forwards referer retry-after server user-agent proxy-authorization'
    ).split(' '),
  )('has one %s at most', (name) => {
    expect(() =>
      head([
        [name, '1'],
        [name, '1'],
      ]),
    ).toThrow(refusal(`two ${name} fields`));
  });

  it.each([
    'Connection',
    'Keep-Alive',
    'Proxy-Authenticate',
    'Proxy-Authorization',
    'Proxy-Connection',
    'TE',
    'Trailer',
    'Upgrade',
  ])('keeps %s for itself', (name) => {
    expect(
      head([
        [name, 'x'],
        ['X-A', '1'],
      ]),
    ).toEqual({ 'x-a': '1' });
  });

  it('may be chunked, once, and not in HTTP/1.0', () => {
    const coding =
      (value: string, httpVersion = '1.1') =>
      () =>
        head([['Transfer-Encoding', value]], { httpVersion });

    expect(coding('CHUNKED')()).toEqual({});
    for (const wrong of [
      coding('gzip'),
      coding('chunked, chunked'),
      coding(''),
      coding('chunked', '1.0'),
    ])
      expect(wrong).toThrow(refusal('an unknown transfer coding'));
  });

  it('is without what its Connection nominates, but for its length', () => {
    const fields: [string, string][] = [
      ['X-A', '1'],
      ['Connection', 'x-a, Content-Length'],
      ['Content-Length', '007'],
      ['X-B', '2'],
    ];
    expect(head(fields)).toEqual({ 'content-length': '7', 'x-b': '2' });
  });
});

describe('headers that are an object', () => {
  it('go on without those of a connection, and with a plain length', () => {
    expect(
      passableHeaders({
        connection: 'X-A',
        'x-a': '1',
        'keep-alive': 'x',
        'set-cookie': ['a'],
        'content-length': '00',
      }),
    ).toEqual({ 'set-cookie': ['a'], 'content-length': '0' });
    expect(passableHeaders({ 'x-a': '1' })).toEqual({ 'x-a': '1' });
  });

  it('are joined, ours first', () => {
    expect(joinField('a', 'b')).toEqual(['a', 'b']);
    expect(joinField(7, ['b', 'c'])).toEqual(['7', 'b', 'c']);
    const ours = ['a', 'b'];
    expect(joinField(ours, ['c'])).toEqual(['a', 'b', 'c']);
    expect(ours).toEqual(['a', 'b']);
  });
});

describe('headers that a hook has left', () => {
  it('have their names in lower case, and no say about the framing', () => {
    const left = {
      'X-A': 'a',
      'x-n': 7 as never,
      'X-List': ['a', 8 as never],
      'X-None': undefined,
      Connection: 'close',
      'Content-Length': '99',
      EXPECT: 'x',
    };
    const checked = { 'x-a': 'a', 'x-n': '7', 'x-list': ['a', '8'] };

    expect(checkedHeaders(left)).toStrictEqual(checked);
    expect(checkedHeaders(left, '5')).toEqual({ ...checked, 'content-length': '5' });
  });

  it.each([{ 'x a': '1' }, { '': '1' }, { 'x:': '1' }])('have good names, unlike %p', (headers) => {
    expect(() => checkedHeaders(headers)).toThrow(/must be a valid HTTP token/);
  });

  it.each([{ 'X-A': 'a\nb' }, { 'X-A': ['a', '\x01'] }, { 'X-A': ['\u0100', 'a'] }])(
    'have good values, unlike %p',
    (headers) => {
      expect(() => checkedHeaders(headers)).toThrow(
        new TypeError('header "x-a" has an invalid character'),
      );
    },
  );
});

it('what is invalid has a code', () => {
  expect(invalid('x')).toMatchObject({ code: 'INVALID_RESPONSE', message: 'invalid response: x' });
});
