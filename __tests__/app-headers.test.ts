// Header fields that the app's own middleware has set on a request, whatever carries it.
import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import express, { type Request } from 'express';
import type { TinyProxyOptions } from '../src/index.js';
import { reply, startBackend } from './support/backend.js';
import { answer, startHttp2Backend, startHttp2Proxy } from './support/http2-backend.js';
import { get, type RunningProxy, startProxyWith } from './support/proxy.js';
import { sendRaw } from './support/raw.js';

interface Lane extends RunningProxy {
  /** What the backend got under this name, all lines of it. */
  got(name: string): string[];
}

type Start = (set: (headers: Request['headers']) => void, options?: object) => Promise<Lane>;

function appThat(set: Parameters<Start>[0]): express.Express {
  return express().use((req, _res, next) => {
    set(req.headers);
    next();
  });
}

const LANES: [string, Start][] = [
  [
    'HTTP/1.1',
    async (set, options: Partial<TinyProxyOptions> = {}) => {
      const backend = await startBackend(reply(200));
      const running = await startProxyWith(
        { target: backend.url, ...options },
        { app: appThat(set) },
      );
      const got = (name: string): string[] =>
        linesOf(backend.received.at(-1)?.rawHeaders ?? [], name);
      return { ...running, got };
    },
  ],
  [
    'HTTP/2',
    async (set, options = {}) => {
      const backend = await startHttp2Backend(answer(200));
      const running = await startHttp2Proxy(backend.url, options, { app: appThat(set) });
      const got = (name: string): string[] =>
        linesOf(backend.requests.at(-1)?.rawHeaders ?? [], name);
      return { ...running, got };
    },
  ],
];

const linesOf = (rawHeaders: readonly string[], name: string): string[] =>
  rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);

describe.each(LANES)('over %s', (_lane, start) => {
  it.each(['X-User-Id', 'x-user-id', 'X-USER-ID'])(
    "%s takes the place of the client's own",
    async (name) => {
      const { url, got } = await start((headers) => {
        headers[name] = 'bob';
      });

      await get(url, { headers: { 'x-user-id': 'eve', Connection: 'X-User-Id' } });

      expect(got('x-user-id')).toEqual(['bob']);
    },
  );

  it.each(['X-Forwarded-User', 'x-forwarded-user'])(
    "%s, too, of which an untrusted client's own would be removed",
    async (name) => {
      const { url, got } = await start((headers) => {
        headers[name] = 'bob';
      });

      await get(url, { headers: { 'x-forwarded-user': 'root', 'x-forwarded-ssl': 'on' } });

      expect(got('x-forwarded-user')).toEqual(['bob']);
      expect(got('x-forwarded-ssl')).toEqual([]);
    },
  );

  it('so does Authorization, and X-Request-ID stays as it is', async () => {
    const { url, got } = await start((headers) => {
      Object.assign(headers, { Authorization: 'Bearer service', 'X-Request-ID': 'not-this' });
    });

    await get(url, { headers: { authorization: 'Bearer client', 'x-request-id': 'night-1' } });

    expect(got('authorization')).toEqual(['Bearer service']);
    expect(got('x-request-id')).toEqual(['night-1']);
  });

  it.each(['Keep-Alive', 'Transfer-Encoding', 'Expect', 'Upgrade', 'TE', 'Content-Length'])(
    '%s does not go along',
    async (name) => {
      const { url, got, proxy } = await start((headers) => {
        headers[name] = '100';
      });

      expect((await get(url)).status).toBe(200);
      expect(got(name.toLowerCase())).toEqual([]);
      expect(proxy.status().backends[0]?.failures).toBe(0);
    },
  );

  it.each<[unknown, string[]]>([
    [42, ['42']],
    [true, ['true']],
    [
      [1, 2],
      ['1', '2'],
    ],
    [null, []],
    [undefined, []],
  ])('%p goes as text, or not at all', async (value, sent) => {
    const { url, got } = await start((headers) => {
      headers['x-user'] = value as string;
    });

    const streamed = Readable.from(['in', 'chunks']);
    for (const init of [
      {},
      { method: 'POST', body: 'small' },
      { method: 'POST', body: streamed },
    ]) {
      expect((await get(url, init)).status).toBe(200);
      expect(got('x-user').join(', ')).toBe(sent.join(', '));
    }
  });

  it.each(['Łukasz', 'a\nb', 'a\0b'])('%p is a 400, and counts nothing', async (value) => {
    const { url, proxy } = await start((headers) => {
      headers['x-user'] = value;
    });

    for (const method of ['GET', 'POST']) {
      const { status, text } = await get(url, { method });
      expect([status, JSON.parse(text).code]).toEqual([400, 'BAD_REQUEST']);
    }
    expect(proxy.status()).toMatchObject({ retries: 0, backends: [{ failures: 0 }] });
  });

  it.each(['Host: b', 'Authorization: b', 'Content-Type: b'])(
    'one more field hides no second %s',
    async (line) => {
      const { port } = await start((headers) => {
        headers['x-user'] = 'bob';
      });

      const { responses } = await sendRaw(
        port,
        `GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nContent-Type: a\r\n${line}\r\n\r\n`,
      );

      expect(responses.map(({ status }) => status)).toEqual([400]);
    },
  );
});

describe('a client without Host', () => {
  it('asks for the name of the backend, not for its address', async () => {
    const backend = await startBackend(reply(200));
    const { port: at } = new URL(backend.url);
    const target = { url: `http://app.internal:${at}`, address: '127.0.0.1' };
    const { port } = await startProxyWith({ target });

    await sendRaw(port, 'GET / HTTP/1.0\r\n\r\n');

    expect(backend.received[0]?.headers.host).toBe(`app.internal:${at}`);
  });
});
