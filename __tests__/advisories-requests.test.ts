// What clients have done to other servers and proxies, by the advisory that tells of it: where a
// message ends, and whom it is for. docs/advisories.md has them all.
import { describe, expect, it } from '@jest/globals';
import { tinyProxy } from '../src/index.js';
import { valuesOf } from './support/raw.js';
import { chunked, get as getLine, head, post, SMUGGLED } from './support/raw-requests/row.js';
import { startWatched } from './support/watched.js';

const TE = 'Transfer-Encoding: chunked';
const LENGTH = `Content-Length: ${SMUGGLED.length}`;

/** Refused, and nothing behind it is taken for a request. */
const REFUSED: [advisory: string, what: string, bytes: string][] = [
  [
    'CVE-2019-15605, CVE-2022-1705',
    'a transfer coding that is malformed',
    post('Transfer-Encoding: \x0bchunked', LENGTH) + SMUGGLED,
  ],
  [
    'CVE-2020-8287',
    'two transfer codings, of which the second is another',
    post(TE, 'Transfer-Encoding: eee') + chunked('x') + SMUGGLED,
  ],
  [
    'CVE-2021-22959, CVE-2019-16276',
    'a space before the colon of a length',
    post(`Content-Length : ${SMUGGLED.length}`) + SMUGGLED,
  ],
  [
    'CVE-2021-22959, CVE-2019-16276',
    'a space before the colon of a coding',
    post(LENGTH, 'Transfer-Encoding : chunked') + SMUGGLED,
  ],
  [
    'CVE-2022-32213',
    'a coding that only begins as chunked does',
    post('Transfer-Encoding: chunkedchunked', LENGTH) + SMUGGLED,
  ],
  [
    'CVE-2022-32213',
    'a coding before chunked, which not everybody undoes',
    post('Transfer-Encoding: identity, chunked') + chunked('x') + SMUGGLED,
  ],
  [
    'CVE-2022-32214, CVE-2022-35256',
    'fields that end by LF alone',
    `POST / HTTP/1.1\r\nHost: h\r\nX: y\n${LENGTH}\r\n\r\n${SMUGGLED}`,
  ],
  [
    'CVE-2022-32215',
    'a coding that goes on in the next line',
    post('Transfer-Encoding: chunked', ' , identity', LENGTH) + SMUGGLED,
  ],
  [
    'CVE-2023-30589',
    'fields that end by CR alone',
    `POST / HTTP/1.1\r\nHost: h\r\nX: y\r${LENGTH}\r\n\r\n${SMUGGLED}`,
  ],
  [
    'CVE-2024-27982',
    'a space before the name of a length',
    head('POST / HTTP/1.1', 'Host: h', ` ${LENGTH}`) + SMUGGLED,
  ],
  [
    'CVE-2025-23167',
    'a head that ends by CR LF CR and another byte',
    `POST / HTTP/1.1\r\nHost: h\r\n${LENGTH}\r\n\rX${SMUGGLED}`,
  ],
  [
    'CVE-2025-22871',
    'a chunk size that ends by LF alone',
    `${post(TE)}2;\nxx\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
  ],
  ['RFC 9112 6.3', 'both a length and chunks', post(LENGTH, TE) + chunked('x') + SMUGGLED],
];

describe('a message whose end is in doubt', () => {
  it.each(REFUSED)('is refused with the connection: %s: %s', async (_advisory, _what, bytes) => {
    const send = await startWatched();

    const { statuses, requests, answer } = await send(bytes);

    expect(statuses).toEqual([400]);
    // Its beginning may have gone on before Node saw what is wrong: never its end, nor what follows.
    expect(requests).toEqual([]);
    expect(answer.closedBy).not.toBe('open');
    expect((await send(getLine('/next'))).requests.map(({ line }) => line)).toEqual([
      'GET /next HTTP/1.1',
    ]);
  });

  it('leaves the extensions of its chunks behind: CVE-2021-22960, CVE-2023-39326', async () => {
    const send = await startWatched();

    const { requests, bytes } = await send(`${post(TE)}5;a="\t0"\r\nhello\r\n0;b\r\n\r\n`);

    expect(requests.map(({ body }) => body.toString())).toEqual(['hello']);
    expect(bytes).not.toMatch(/;/);
  });

  it('may not have extensions without an end: CVE-2024-22019', async () => {
    const send = await startWatched();

    const { statuses, requests } = await send(
      `${post(TE)}5;${'a'.repeat(1_000_000)}\r\nhello\r\n0\r\n\r\n`,
    );

    expect([[], [400], [413]]).toContainEqual(statuses);
    expect(requests).toEqual([]);
  });

  it('cannot hide its length behind 1000 fields: CVE-2026-58044', async () => {
    const send = await startWatched();
    const many = Array.from({ length: 1500 }, (_, i) => `a${i}: 1`);

    const { statuses, requests } = await send(post(...many, LENGTH) + SMUGGLED);

    expect(statuses).toEqual([431]);
    expect(requests).toEqual([]);
  });

  it('has its values without the spaces behind them: CVE-2019-15606', async () => {
    const send = await startWatched();

    const { requests } = await send(getLine('/', 'X-A: 1 \t ', 'Connection: X-B \t', 'X-B: 2'));

    expect(valuesOf(requests[0]!, 'x-a')).toEqual(['1']);
    expect(valuesOf(requests[0]!, 'x-b')).toEqual([]);
  });
});

describe('a target', () => {
  it.each([
    '/../x',
    '/a/../../x',
    '/%2e%2e/x',
    '/..%2fx',
    '/a/%2E%2E%2f..%2fx',
    '/..\\x',
    '/..;/x',
  ])(
    'cannot leave the base path: CVE-2021-21321, CVE-2021-21322, CVE-2025-66415: %s',
    async (target) => {
      const send = await startWatched({ base: '/public' } as object);

      const { statuses, bytes } = await send(getLine(target));

      expect(statuses).toEqual([400]);
      expect(bytes).toBe('');
    },
  );

  it.each(['//evil.example/x', '/\\evil.example/x', 'http://evil.example/x', '///evil.example/x'])(
    'cannot choose a server, nor be redirected to one: CVE-2022-35949, CVE-2024-29041: %s',
    async (target) => {
      const send = await startWatched();

      const { statuses, bytes, answer } = await send(getLine(target));

      expect(statuses).toEqual([400]);
      expect(bytes).toBe('');
      expect(answer.rawText).not.toContain('evil.example');
    },
  );

  it('cannot choose a server as it asks for a WebSocket: CVE-2026-44578', async () => {
    const send = await startWatched({ ws: '/' });
    await send(getLine('/first')); // which makes the proxy known to the server

    const { answer, requests } = await send(
      getLine(
        'http://evil.example/x',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      ),
    );

    expect(answer.rawText).toMatch(/^HTTP\/1.1 400 /);
    expect(requests).toHaveLength(1);
  });

  it.each(['//x@x', '/\\x@x', '//[', '//%', '/%'])(
    'that no URL can be made of ends no process by a pathFilter: CVE-2024-21536: %s',
    async (target) => {
      const send = await startWatched({ pathFilter: ['/**', '!/secret/**'] });

      const { statuses } = await send(getLine(target));

      expect([200, 400, 404]).toContain(statuses[0]);
    },
  );

  it('that a hook has made cannot hold another request: CVE-2018-12116, CVE-2022-31150', async () => {
    for (const path of ['/a HTTP/1.1\r\nX: y\r\n\r\nGET /smuggled', '/\u010d\u010asmuggled']) {
      const send = await startWatched({
        director: (outgoing) => {
          outgoing.path = path;
        },
      });

      const { statuses, bytes } = await send(getLine('/a'));

      expect(statuses[0]).toBeGreaterThanOrEqual(400);
      expect(bytes).toBe('');
    }
  });

  it('has its query passed byte for byte: CVE-2022-2880, CVE-2026-39825', async () => {
    const send = await startWatched();
    const query = `a=1;b=2&%zz=3&&=&${'p=1&'.repeat(1200)}hidden=y`;

    const { requests } = await send(getLine(`/?${query}`));

    expect(requests[0]?.line).toBe(`GET /?${query} HTTP/1.1`);
  });

  it('is no matter of the Host, as there is no router: CVE-2026-55602', () => {
    const router = { 'localhost:3000/api': 'http://127.0.0.1:1' };

    expect(() => tinyProxy({ target: 'http://127.0.0.1:1', router } as never)).toThrow(/router/);
  });
});

describe('a body of a GET', () => {
  it.each(['Content-Length: 20000', `${TE}`])(
    'ends no process by a hook that sets headers: GHSA-6x33-pw7p-hmpq: %s',
    async (framing) => {
      const send = await startWatched({
        on: { proxyReq: (outgoing) => void outgoing.setHeader('X-Own', '1') },
      });
      const body = 'x'.repeat(20_000);
      const sent = framing === TE ? chunked(body) : body;

      const { statuses, requests } = await send(
        getLine('/', framing, 'Expect: 100-continue') + sent,
      );

      expect(statuses).toEqual([200]);
      expect(requests.map(({ body: arrived }) => arrived.length)).toEqual([20_000]);
      expect(valuesOf(requests[0]!, 'x-own')).toEqual(['1']);
    },
  );
});
