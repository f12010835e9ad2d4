// Requests and responses over HTTP/2: as they are over HTTP/1.1.
import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import type { TinyProxyOptions } from '../src/index.js';
import { pseudoRandom, sha256 } from './support/bodies.js';
import {
  answer,
  type Http2Backend,
  type Http2Handler,
  type Http2Options,
  startHttp2Backend,
  startHttp2Proxy,
} from './support/http2-backend.js';
import { get, open, type RunningProxy } from './support/proxy.js';
import { sendRaw } from './support/raw.js';
import { standstill, until } from './support/wait.js';

async function start(
  handler: Http2Handler,
  options: Partial<TinyProxyOptions> = {},
  backendOptions: Http2Options = {},
): Promise<RunningProxy & { backend: Http2Backend }> {
  const backend = await startHttp2Backend(handler, backendOptions);
  return { ...(await startHttp2Proxy(backend.url, options)), backend };
}

describe('a request over HTTP/2', () => {
  it.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'PURGE'])(
    'is a %s with its path, query, headers and body',
    async (method) => {
      const { url, backend } = await start(answer(200));
      const headers = { Host: 'shop.example', 'X-Colour': 'blue', Accept: 'text/*' };

      const { status } = await get(`${url}/orders/7?size=2#a`, { method, headers, body: 'hello' });

      expect(status).toBe(200);
      const [request] = backend.requests;
      expect(request?.headers).toMatchObject({
        ':method': method,
        ':scheme': 'https',
        ':authority': 'shop.example',
        ':path': '/orders/7?size=2#a',
        'x-colour': 'blue',
        accept: 'text/*',
        'content-length': '5',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-host': 'shop.example',
      });
      expect(String(request?.body)).toBe('hello');
    },
  );

  it('is its last frame, where it has no body', async () => {
    const { url, backend } = await start(answer(200));

    for (const method of ['GET', 'POST', 'DELETE']) await get(url, { method });

    expect(backend.requests.map(({ headers }) => headers['content-length'])).toEqual([
      undefined,
      '0',
      undefined,
    ]);
    expect(backend.requests.every(({ body }) => body.length === 0)).toBe(true);
  });

  it('has nothing that is for one connection alone, and no Host', async () => {
    const { port, backend } = await start(answer(200));

    await sendRaw(
      port,
      'GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\n' +
        'Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n' +
        'TE: gzip, trailers;q=0.5\r\nCookie: a=1; b=2\r\nCookie: c=3\r\n\r\n',
    );

    const { rawHeaders = [] } = backend.requests[0] ?? {};
    const names = rawHeaders.filter((_, i) => i % 2 === 0).sort();
    expect(names).toEqual([
      ...[':authority', ':method', ':path', ':scheme', 'cookie', 'te'],
      ...['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-request-id'],
    ]);
    expect(backend.requests[0]?.headers).toMatchObject({ te: 'trailers', cookie: 'a=1; b=2; c=3' });
  });

  it('has the backend for its authority where a client has named none, or with changeOrigin', async () => {
    const { port, backend } = await start(answer(200));
    await sendRaw(port, 'GET / HTTP/1.0\r\n\r\n', { until: 'close' });
    const origin = await startHttp2Proxy(backend.url, { changeOrigin: true });
    await get(origin.url);

    const authorities = backend.requests.map(({ headers }) => headers[':authority']);
    expect(authorities).toEqual([backend.host, backend.host]);
  });

  it('takes the lists that a hook makes of fields, each as one line', async () => {
    const director: TinyProxyOptions['director'] = ({ headers }) => {
      Object.assign(headers, { 'if-match': ['"a"', '"b"'], cookie: ['a=1', 'b=2'], 'x-é': 'é' });
      delete headers['x-é'];
    };
    const { url, backend } = await start(answer(200), { director });

    await get(url);

    expect(backend.requests[0]?.headers).toMatchObject({
      'if-match': '"a", "b"',
      cookie: 'a=1; b=2',
    });
  });

  it.each([
    ['path', { path: '/a b' }],
    ['path', { path: '/€' }],
  ])('is refused where a hook has given it a %s that cannot be sent', async (_what, made) => {
    const director: TinyProxyOptions['director'] = (outgoing) => void Object.assign(outgoing, made);
    const { url, backend, proxy } = await start(answer(200), { director });

    expect((await get(url)).status).toBe(400);
    expect(backend.requests).toEqual([]);
    expect(proxy.status().backends).toMatchObject([{ failures: 0 }]);
  });

  it('is not sent where a hook has made its body text', async () => {
    const { url, backend } = await start(answer(200), {
      director: (_outgoing, req) => void req.setEncoding('utf8'),
    });
    const body = new PassThrough();
    const response = get(url, { method: 'PUT', body });
    body.end('hello');

    expect(JSON.parse((await response).text)).toMatchObject({ code: 'BODY_CONSUMED' });
    expect(backend.requests).toEqual([]);
  });

  it.each([0, 1, 65_535, 300_000, 5_000_003])('has a body of %i bytes, byte by byte', async (n) => {
    const { url, backend } = await start(answer(200));
    const body = pseudoRandom(n);

    for (const headers of [{ 'Content-Length': n }, { 'Transfer-Encoding': 'chunked' }])
      expect((await get(url, { method: 'PUT', headers, body: body.stream() })).status).toBe(200);

    expect(backend.requests.map((request) => sha256(request.body))).toEqual(
      Array(2).fill(body.sha256),
    );
    expect(backend.requests.map(({ headers }) => headers['content-length'])).toEqual([
      String(n),
      undefined,
    ]);
  });

  it('goes out before its body comes, and its body as it comes', async () => {
    const echoed: Http2Handler = (stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    };
    const { url } = await start(echoed, {}, { atHead: true });
    const body = new PassThrough();

    const { response } = open(url, { method: 'POST', body });
    const incoming = await response; // not a byte of the body was sent yet
    for (const part of ['one', 'two']) {
      body.write(part);
      const [chunk] = await new Promise<[Buffer]>((resolve) =>
        incoming.once('data', (...args: [Buffer]) => resolve(args)),
      );
      expect(String(chunk)).toBe(part);
    }
    body.end();
    await until(() => incoming.complete);
  });

  it('keeps the trailers that it has announced', async () => {
    const { port, backend } = await start(answer(200));
    const sent =
      'X-Sum: 7\r\nX-Sum: 8\r\nX-Hop: 1\r\nHost: evil\r\nHTTP2-Settings: x\r\nTE: gzip\r\n';

    await sendRaw(
      port,
      'POST / HTTP/1.1\r\nHost: h\r\nConnection: X-Hop\r\nTrailer: X-Sum\r\n' +
        'Transfer-Encoding: chunked\r\n\r\n' +
        `5\r\nhello\r\n0\r\n${sent}\r\n`,
    );

    expect(backend.requests[0]).toMatchObject({ trailers: { 'x-sum': '7, 8' } });
    expect(Object.keys(backend.requests[0]!.trailers)).toEqual(['x-sum']);
    expect(String(backend.requests[0]?.body)).toBe('hello');
  });

  it('waits with its body for a backend that does not read', async () => {
    const { url, backend } = await start((stream) => stream.pause(), {}, { atHead: true });
    const bytes = 50_000_000;
    const body = pseudoRandom(bytes).stream();

    const { request } = open(url, { method: 'POST', body, headers: { 'Content-Length': bytes } });

    expect(await standstill(() => request.socket?.bytesWritten ?? 0)).toBeLessThan(bytes / 2);
    expect(backend.requests).toHaveLength(1);
  });

  it('is asked for with 100 Continue only when an attempt wants its body', async () => {
    const { port, server, app } = await start(answer(200, 'done'));
    server.on('checkContinue', app);

    const { rawText } = await sendRaw(port, [
      { write: 'PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n' },
      { waitFor: (arrived) => arrived.includes('100 Continue') },
      { write: 'hello' },
    ]);

    expect(rawText).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK\r\n/);
  });
});
