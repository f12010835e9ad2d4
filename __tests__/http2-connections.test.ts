// Connections to HTTP/2 backends: one for many requests, and HTTP/1.1 where a backend has no other.
import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import express from 'express';
import { impostorCertificate, localhostCertificate } from './support/certificates.js';
import { expectNothingBut, openHandles } from './support/handles.js';
import {
  answer,
  type Http2Handler,
  startHttp2Backend,
  startHttp2Proxy,
} from './support/http2-backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get, open } from './support/proxy.js';
import { blackHole, refusedPort, startRawBackend } from './support/raw.js';
import { gate, until } from './support/wait.js';

const CANCEL = 8;

/** Answers when the gate opens. */
function held(): { handler: Http2Handler; open: () => void } {
  const { opened, open: openGate } = gate();
  const handler: Http2Handler = (stream, request) =>
    void opened.then(() => answer(200, 'held')(stream, request));
  return { handler, open: openGate };
}

const silent: Http2Handler = () => {};

describe('a connection over HTTP/2', () => {
  it('is closed after 4 s without a request, and keeps no process alive before', async () => {
    const backend = await startHttp2Backend(answer(200));
    const { url } = await startHttp2Proxy(backend.url);
    const before = openHandles(); // of a file whose first test this is
    await get(url);

    // The backend's own end of it.
    await expectNothingBut([...before, 'TCPSocketWrap']);
    const since = performance.now();
    await until(() => backend.openSockets() === 0, 'the close', 8000);

    expect(performance.now() - since).toBeGreaterThan(3500);
    expect((await get(url)).status).toBe(200);
    expect(backend.connections).toBe(2);
  });

  it('is one for all requests, at a time and one after the other', async () => {
    const { handler, open: release } = held();
    const backend = await startHttp2Backend(handler);
    const { url, proxy } = await startHttp2Proxy(backend.url);

    const answers = Array.from({ length: 50 }, () => get(url));
    await until(() => backend.requests.length === 50);
    release();
    await Promise.all(answers);
    for (const method of ['POST', 'PUT', 'HEAD']) await get(url, { method });

    expect(backend.connections).toBe(1);
    expect(proxy.status()).toMatchObject({ transport: 'undici', backends: [{ failures: 0 }] });
  });

  it('is followed by others where the backend takes no more streams on it', async () => {
    const { handler, open: release } = held();
    const settings = { maxConcurrentStreams: 3 };
    const backend = await startHttp2Backend(handler, { settings });
    const { url, log } = await startHttp2Proxy(backend.url);

    const answers = Array.from({ length: 10 }, () => get(url));
    await until(() => backend.requests.length === 10);
    release();

    expect((await Promise.all(answers)).every(({ text }) => text === 'held')).toBe(true);
    expect(backend.connections).toBe(4);
    const perSession = [1, 2, 3, 4].map(
      (session) => backend.requests.filter((request) => request.session === session).length,
    );
    expect(perSession.sort()).toEqual([1, 3, 3, 3]);
    expect(outcomes(await requestLine(log, 10))).toEqual([200]);
  });

  it('is closed by close(), also one that is dialled or in use', async () => {
    const backend = await startHttp2Backend(silent);
    const mute = await startRawBackend(() => {});
    const target = [backend.url, mute.url.replace('http:', 'https:')];
    const { url, proxy } = await startHttp2Proxy(target);
    open(url);
    open(url);
    await until(() => backend.requests.length === 1 && mute.openSockets() === 1);

    await proxy.close(0);

    await until(() => backend.openSockets() === 0 && mute.openSockets() === 0, 'the ends', 1500);
  });

  it('goes on when a request is given up: its stream alone is reset', async () => {
    const backend = await startHttp2Backend((stream, request) => {
      if (request.headers[':path'] === '/ok') answer(200, 'ok')(stream, request);
    });
    const { url, proxy, log } = await startHttp2Proxy(backend.url, { attemptTimeout: 200 });
    await get(`${url}/ok`);

    expect((await get(`${url}/late`, { method: 'POST' })).status).toBe(504);
    const { request } = open(`${url}/left`);
    await until(() => backend.requests.length === 3);
    request.destroy();

    await until(
      () => backend.requests.filter(({ resetCode }) => resetCode === CANCEL).length === 2,
    );
    expect((await get(`${url}/ok`)).text).toBe('ok');
    expect(backend.connections).toBe(1);
    expect(outcomes(await requestLine(log, 3))).toEqual(['CLIENT_GONE']);
    expect(proxy.status().backends).toMatchObject([{ failures: 1, inFlight: 0 }]);
  });

  it('that dies as it is used again is the race that nobody lost: nothing is counted', async () => {
    let requests = 0;
    const backend = await startHttp2Backend((stream, request) => {
      requests += 1;
      if (requests % 2 === 0) backend.cutSockets();
      else answer(200, 'fresh')(stream, request);
    });
    const { url, proxy, log } = await startHttp2Proxy(backend.url, {
      retry: { budget: { ratio: 0, minPerSecond: 0 } },
      breaker: { failures: 1 },
    });
    await get(url);

    expect((await get(url)).text).toBe('fresh');
    expect((await get(url, { method: 'POST' })).status).toBe(502);

    expect(outcomes(await requestLine(log, 2))).toEqual(['ECONNRESET', 200]);
    expect(await requestLine(log, 3)).toMatchObject({ noRetry: 'method' });
    expect(backend.connections).toBe(2);
    expect(proxy.status().backends).toMatchObject([{ failures: 0, breaker: 'closed' }]);
  });

  it('that dies at its first request is a failure', async () => {
    const backend = await startHttp2Backend(() => backend.cutSockets());
    const { url, proxy, log } = await startHttp2Proxy(backend.url, { retry: false });

    expect((await get(url)).status).toBe(502);
    expect(outcomes(await requestLine(log))).toEqual(['ECONNRESET']);
    expect(proxy.status().backends).toMatchObject([{ failures: 1 }]);
  });

  it('that has ended just before a request is not used for it', async () => {
    const backend = await startHttp2Backend(answer(200));
    const app = express().use((_req, _res, next) => {
      backend.cutSockets(); // the proxy has not read it yet
      next();
    });
    const { url, log } = await startHttp2Proxy(backend.url, {}, { app });

    for (let i = 0; i < 10; i += 1) expect((await get(url, { method: 'POST' })).status).toBe(200);

    expect(outcomes(await requestLine(log, 10))).toEqual([200]);
  });

  it('that the backend has closed while it was idle is not used again', async () => {
    const backend = await startHttp2Backend(answer(200));
    const { url, log } = await startHttp2Proxy(backend.url);

    for (const method of ['GET', 'POST', 'POST']) {
      expect((await get(url, { method })).status).toBe(200);
      backend.sessions.at(-1)?.close();
      await until(() => backend.openSockets() === 0);
    }

    expect(outcomes(await requestLine(log, 3))).toEqual([200]);
    expect(backend.connections).toBe(3);
  });
});

describe('a connection to an HTTP/2 backend that does not stand', () => {
  it('is a failure that has sent nothing: with retry.unsent a POST goes on', async () => {
    const backend = await startHttp2Backend(answer(200, 'ok'));
    const refused = `https://127.0.0.1:${await refusedPort()}`;
    for (const unsent of [true, false]) {
      const { url, log } = await startHttp2Proxy([refused, backend.url], { retry: { unsent } });
      const body = new PassThrough();
      const response = get(url, { method: 'POST', body });
      body.end('hello');

      expect((await response).status).toBe(unsent ? 200 : 502);
      expect(outcomes(await requestLine(log))).toEqual(['ECONNREFUSED', ...(unsent ? [200] : [])]);
    }
    expect(backend.requests.map(({ body }) => String(body))).toEqual(['hello']);
  });

  it('has connectTimeout for TCP and TLS', async () => {
    const { port } = await blackHole();
    const mute = await startRawBackend(() => {});
    for (const target of [`https://127.0.0.1:${port}`, `https://127.0.0.1:${mute.port}`]) {
      const { url, log } = await startHttp2Proxy(target, { connectTimeout: 150, retry: false });
      expect((await get(url, { method: 'POST', body: 'x' })).status).toBe(504);
      expect(outcomes(await requestLine(log))).toEqual(['ETIMEDOUT']);
    }
    await until(() => mute.openSockets() === 0);
  });

  it('is given up with the last request that waits for it', async () => {
    const mute = await startRawBackend(() => {});
    const { url } = await startHttp2Proxy(mute.url.replace('http:', 'https:'));
    const { request } = open(url);
    await until(() => mute.openSockets() === 1);

    request.destroy();

    await until(() => mute.openSockets() === 0, 'the end', 1500);
  });

  it.each([
    ['nobody has signed', {}, localhostCertificate, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    [
      'is that of another',
      { ssl: { ca: impostorCertificate.cert } },
      impostorCertificate,
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
  ])('has a certificate that %s', async (_whose, options, certificate, lastError) => {
    const backend = await startHttp2Backend(answer(200), certificate);
    const { url, proxy } = await startHttp2Proxy(backend.url, {
      ssl: {},
      retry: false,
      ...options,
    });

    expect((await get(url)).status).toBe(502);
    expect(proxy.status().backends).toMatchObject([{ failures: 1, lastError }]);
    const unverified = await startHttp2Proxy(backend.url, { ssl: {}, secure: false });
    expect((await get(unverified.url)).status).toBe(200);
  });
});
