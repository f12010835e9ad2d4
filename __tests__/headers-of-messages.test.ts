// Heads of messages, checked and made ready by themselves. What goes over the wire is in headers.test.ts
// and in the tables of raw messages.
import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import {
  forwardableHeaders,
  framingOf,
  type HeaderMap,
  isFieldValue,
  nominated,
} from '../src/headers.js';
import { request } from './support/read-request.js';

const forwarded = (...lines: string[]): HeaderMap => forwardableHeaders(request(lines));

const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `a${i}: 1`);

describe('the framing of a request', () => {
  it('is as the client has sent it', () => {
    expect(framingOf(request(['Content-Length: 5']))).toEqual({ length: '5', coding: undefined });
    expect(framingOf(request(['Transfer-Encoding: Chunked']))).toMatchObject({ coding: 'Chunked' });
    expect(framingOf(request(['X-A: 1']))).toEqual({ length: undefined, coding: undefined });
    expect(framingOf(request(['Content-Length: 0']))).toMatchObject({ length: '0' });
    expect(framingOf(request(['Content-Length: 0010']))).toMatchObject({ length: '10' });
    expect(framingOf(request(['Content-Length: 000']))).toMatchObject({ length: '0' });
    expect(framingOf(request(['Content-Length: 1001']))).toMatchObject({ length: '1001' });
  });

  it('is so where a middleware has taken it away', () => {
    const taken = (...lines: string[]): IncomingMessage => {
      const message = request(['X-Fourteen-xxx: 9', 'X-Seventeen-xxxxx: 9', ...lines]);
      delete message.headers['content-length'];
      delete message.headers['transfer-encoding'];
      return message;
    };

    expect(framingOf(taken('CONTENT-LENGTH: 07'))).toEqual({ length: '7', coding: undefined });
    expect(framingOf(taken('Transfer-Encoding: chunked'))).toEqual({
      length: undefined,
      coding: 'chunked',
    });
    expect(framingOf(taken())).toEqual({ length: undefined, coding: undefined });
    expect(() => framingOf(taken('Transfer-Encoding: gzip'))).toThrow(/chunked/);
  });

  it('may have no other coding than chunked, and none in HTTP/1.0', () => {
    const refusal = { status: 400, code: 'BAD_REQUEST', headers: { connection: 'close' } };
    for (const [coding, version] of [
      ['gzip, chunked', '1.1'],
      ['xchunked', '1.1'],
      ['chunked', '1.0'],
    ] as const) {
      const lines = [`Transfer-Encoding: ${coding}`];
      expect(() => framingOf(request(lines, version))).toThrow(
        expect.objectContaining({
          ...refusal,
          message: 'the only transfer coding taken is chunked',
        }),
      );
    }
    expect(framingOf(request(['Content-Length: 1'], '1.0'))).toMatchObject({ length: '1' });
  });
});

describe('a field value', () => {
  it.each(['', 'a b', 'a\tb', '\x80\xff', '~', ' '])('may be %j', (value) => {
    expect(isFieldValue(value)).toBe(true);
  });

  it.each(['\0', 'a\nb', 'a\rb', '\x7f', '\x1f', '\u0100', 'a\0', '\na'])(
    'may not be %j',
    (value) => {
      expect(isFieldValue(value)).toBe(false);
    },
  );
});

describe('the names that a Connection field nominates', () => {
  it('are none where it says what everybody says', () => {
    for (const value of [undefined, 'keep-alive', 'close']) expect(nominated(value)).toBeNull();
  });

  it('are without spaces, in lower case, and never the framing or the Host', () => {
    expect([...nominated('X-A ,\tx-b,Content-Length,HOST, transfer-encoding,close')!]).toEqual([
      'x-a',
      'x-b',
      'close',
    ]);
    expect([...nominated(['X-A', 'X-B'])!]).toEqual(['x-a', 'x-b']);
    expect([...nominated('Keep-Alive')!]).toEqual(['keep-alive']);
  });
});

describe('the headers of a request that go on', () => {
  const HOP = [
    'Connection: keep-alive',
    'Keep-Alive: 1',
    'Proxy-Authenticate: 1',
    'Proxy-Authorization: 1',
    'Proxy-Connection: 1',
    'TE: gzip',
    'Trailer: 1',
    'Transfer-Encoding: chunked',
    'Upgrade: 1',
    'Content-Length: 1',
    'Expect: 100-continue',
    'X-Request-Attempt: 3',
  ];

  it('are all but those of its connection, its framing and its attempts', () => {
    expect(forwarded('Host: h', 'X-A: 1', 'x-a: 2', ...HOP)).toEqual({ host: 'h', 'x-a': '1, 2' });
  });

  it('are without what Connection nominates and the client has sent', () => {
    const lines = [
      'Connection: X-A, X-B, Cookie, Host',
      'X-A: 1',
      'X-A: 2',
      'Cookie: a',
      'Cookie: b',
    ];
    expect(forwarded('Host: h', 'X-C: 3', ...lines)).toEqual({ host: 'h', 'x-c': '3' });
  });

  it('are with what Connection nominates and the app has set', () => {
    for (const sent of [[], ['X-User: mallory'], ['X-User:'], ['X-User: alice', 'X-User: x']]) {
      const message = request(['Connection: X-User, X-B', 'X-B: 1', ...sent]);
      message.headers['x-user'] = 'alice';
      expect(forwardableHeaders(message)).toEqual({ 'x-user': 'alice' });
    }
    const message = request(['Connection: X-User']);
    message.headers['x-user'] = '';
    expect(forwardableHeaders(message)).toEqual({ 'x-user': '' });
  });

  it('are without what Connection nominates of a list that Node keeps apart', () => {
    const lines = ['Connection: Set-Cookie', 'Set-Cookie: a=1', 'Set-Cookie: b=2'];
    const message = request(lines);
    message.headers['set-cookie'] = ['a=1', 'b=2'];
    expect(forwardableHeaders(message)).toEqual({});
  });

  it.each([
    'X_Forwarded_For',
    'X-Forwarded_Host',
    'X_Real_IP',
    'X-Real_IP',
    'X_Request_ID',
    'X_Request-Attempt',
    'X_Forwarded-Anything',
  ])('are without a name that some take for ours: %s', (name) => {
    expect(forwarded(`${name}: 1`, 'X-A: 1')).toEqual({ 'x-a': '1' });
  });

  it.each([
    'X-Forwarded-For',
    'Forwarded',
    'X-Real-IP',
    'Y_X_Real_IP',
    'X_Real_IPs',
    'X_Forwarded_',
    'X_Forwarded',
    'X_Request_IDs',
    'X_A',
  ])('may have a name that is not: %s', (name) => {
    expect(forwarded(`${name}: 1`)).toEqual({ [name.toLowerCase()]: '1' });
  });

  it('are without an empty Host', () => {
    expect(forwarded('Host:')).toEqual({});
  });

  it.each([
    ['trailers', true],
    ['Trailers', true],
    ['gzip;q=0.5, trailers', true],
    ['trailers;q=1', true],
    ['a ,trailers , b', true],
    ['trailers ', true],
    ['xtrailers', false],
    ['trailersx', false],
    ['x trailers', false],
    ['gzip', false],
  ])('have trailers left of a TE of %p: %p', (te, stays) => {
    const message = request(['X-A: 1']);
    message.headers.te = te;
    expect(forwardableHeaders(message)).toEqual({ 'x-a': '1', ...(stays && { te: 'trailers' }) });
  });

  it('are 999 at most, or fewer where the server has it so', () => {
    const refusal = (most: number) =>
      expect.objectContaining({ status: 431, message: `${most} header fields or more` });
    const within = (count: number, most?: number) => () =>
      forwardableHeaders(request(many(count), '1.1', { maxHeadersCount: most }));

    expect(Object.keys(within(999)())).toHaveLength(999);
    expect(within(1000)).toThrow(refusal(1000));
    expect(Object.keys(within(9, 10)())).toHaveLength(9);
    expect(within(10, 10)).toThrow(refusal(10));
    expect(within(1000, 0)).toThrow(refusal(1000));
    expect(within(1000, 5000)).toThrow(refusal(1000));
  });

  it('may not have a single field twice', () => {
    expect(() => forwarded('Host: h', 'Authorization: a', 'X-A: 1', 'AUTHORIZATION: b')).toThrow(
      expect.objectContaining({ status: 400, message: 'two authorization fields' }),
    );
    expect(forwarded('X-A: 1', 'X-A: 1', 'Host: h')).toEqual({ 'x-a': '1, 1', host: 'h' });
  });
});
