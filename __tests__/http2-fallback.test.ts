// `http2: true` and backends of every kind: HTTP/1.1, Unix sockets, WebSockets.
import { rmSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Backend, echo, reply, startBackend } from './support/backend.js';
import { localhostCertificate } from './support/certificates.js';
import { closeAfterTest } from './support/cleanup.js';
import {
  answer,
  Http2Backend,
  startHttp2Backend,
  startHttp2Proxy,
} from './support/http2-backend.js';
import { get, open } from './support/proxy.js';
import {
  message,
  openWebSocket,
  startUpgradeProxy,
  startWebSocketBackend,
} from './support/websocket.js';

afterEach(() => {
  jest.restoreAllMocks();
});

const startHttp1 = (handler = echo()): Promise<Backend> =>
  startBackend(handler, { tls: localhostCertificate });

/** So many milliseconds later. */
function later(ms: number): void {
  const now = performance.now.bind(performance);
  jest.spyOn(performance, 'now').mockImplementation(() => now() + ms);
}

describe('a backend that has HTTP/1.1 alone', () => {
  it('is spoken to by that, over the connection that was dialled to ask it', async () => {
    const backend = await startHttp1();
    const { url } = await startHttp2Proxy(backend.url);

    for (const [method, body] of [['GET'], ['POST', 'hello'], ['PUT', 'x'.repeat(1000)]] as const) {
      const { status, text } = await get(url, { method: method!, ...(body && { body }) });
      expect(status).toBe(200);
      expect(JSON.parse(text)).toMatchObject({ method, body: { length: body?.length ?? 0 } });
    }

    expect(backend.connections).toBe(1);
    expect(backend.received.map(({ httpVersion }) => httpVersion)).toEqual(['1.1', '1.1', '1.1']);
  });

  it('gets all that waited for the answer', async () => {
    const backend = await startHttp1();
    const { url } = await startHttp2Proxy(backend.url);
    const body = new PassThrough();
    const upload = get(url, { method: 'PUT', body });
    const others = Array.from({ length: 10 }, () => get(url));
    const { request } = open(`${url}/left`);
    request.destroy();
    body.end('hello');

    expect(JSON.parse((await upload).text)).toMatchObject({ body: { length: 5 } });
    expect((await Promise.all(others)).every(({ status }) => status === 200)).toBe(true);
  });

  it('is asked again a minute later, by one request', async () => {
    const old = await startHttp1();
    const { url } = await startHttp2Proxy(old.url);
    await get(url);
    await old.stop();
    const backend = new Http2Backend(answer(200, 'by HTTP/2'), { allowHTTP1: true });
    backend.server.on('request', (request, response) => {
      if (request.httpVersion === '1.1') response.end('by HTTP/1.1');
    });
    backend.port = old.port;
    await backend.start();
    const { status, text } = await get(url);
    expect([status, text]).toEqual([200, 'by HTTP/1.1']);

    later(60_000);

    const texts = (await Promise.all([get(url), get(url), get(url)])).map((each) => each.text);
    expect(texts.sort()).toEqual(['by HTTP/1.1', 'by HTTP/1.1', 'by HTTP/2']);
    expect((await get(url)).text).toBe('by HTTP/2');
  });

  it('may be one that had HTTP/2 before', async () => {
    const old = await startHttp2Backend(answer(200, 'by HTTP/2'));
    const { url } = await startHttp2Proxy(old.url);
    expect((await get(url)).text).toBe('by HTTP/2');
    await old.stop();
    const backend = new Backend(reply(200, 'by HTTP/1.1'), { tls: localhostCertificate });
    backend.port = old.port;
    await backend.start();

    expect((await get(url)).text).toBe('by HTTP/1.1');
  });
});

describe('http2: true', () => {
  it('is for the https backends of a list; the others have HTTP/1.1', async () => {
    const [plain, secure] = [await startBackend(reply(200)), await startHttp2Backend(answer(200))];
    const { url } = await startHttp2Proxy([plain.url, secure.url]);

    for (let i = 0; i < 4; i += 1) expect((await get(url)).status).toBe(200);

    expect(plain.received.map(({ httpVersion }) => httpVersion)).toEqual(['1.1', '1.1']);
    expect(secure.requests).toHaveLength(2);
  });

  it('is not meant where it is false: HTTP/1.1 to a backend that has both', async () => {
    const backend = await startHttp2Backend(answer(200), { allowHTTP1: true });
    const versions: string[] = [];
    backend.server.on('request', ({ httpVersion }, response) => {
      versions.push(httpVersion);
      if (httpVersion === '1.1') response.end();
    });
    const { url } = await startHttp2Proxy(backend.url, { http2: false });

    await get(url);
    await get(url, { method: 'PUT', body: Readable.from(['streamed']) });

    expect(versions).toEqual(['1.1', '1.1']);
  });

  it('goes over a Unix socket, with the identity of the url beside it', async () => {
    const socketPath = join(tmpdir(), `express-tiny-proxy-h2-${process.pid}.sock`);
    const server = createSecureServer(localhostCertificate, ({ headers }, response) => {
      response.end(`${headers[':authority']} ${headers[':path']}`);
    });
    const sockets = new Set<TLSSocket>();
    server.on('secureConnection', (socket) => sockets.add(socket));
    await new Promise<void>((listening) => server.listen(socketPath, listening));
    closeAfterTest(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
      rmSync(socketPath, { force: true });
    });
    const target = { url: 'https://localhost/base', socketPath };
    const { url } = await startHttp2Proxy(target, { changeOrigin: true });

    expect((await get(`${url}/a`)).text).toBe('localhost /base/a');
    expect((await get(`${url}/b`)).text).toBe('localhost /base/b');
    expect(sockets.size).toBe(1);
  });

  it('leaves WebSockets to HTTP/1.1', async () => {
    const { url: target } = await startWebSocketBackend(undefined, { tls: localhostCertificate });
    const ssl = { ca: localhostCertificate.cert };
    const { url } = await startUpgradeProxy({ target, http2: true, ssl, transport: 'auto' });

    const socket = await openWebSocket(url);
    socket.send('hello');

    expect(String((await message(socket)).data)).toBe('hello');
    expect((await get(url)).text).toBe('plain');
  });
});
