// What the spans of a request say when it goes wrong, when its client leaves, and of a WebSocket.
import { describe, expect, it } from '@jest/globals';
import { SpanKind } from '@opentelemetry/api';
import { ProxyError } from '../src/index.js';
import { dieInBody, hang, reply, startBackend, startBackends } from './support/backend.js';
import { get, open } from './support/proxy.js';
import { refusedPort } from './support/raw.js';
import { ERROR, ended, OK, registerSdk, spans, startTraced } from './support/traced.js';
import { until } from './support/wait.js';
import { closed, openWebSocket, startWebSocketBackend } from './support/websocket.js';

registerSdk();

describe('a failure', () => {
  it.each<[string, Parameters<typeof startBackend>[0], object, object, object]>([
    [
      '500, passed on',
      reply(500),
      {},
      { 'http.response.status_code': 500, 'error.type': '500', 'tiny_proxy.no_retry': 'off' },
      { 'http.response.status_code': 500, 'error.type': '500' },
    ],
    [
      'a timeout',
      hang(),
      { attemptTimeout: 1 },
      { 'http.response.status_code': 504, 'error.type': '504', 'tiny_proxy.no_retry': 'off' },
      { 'error.type': 'ETIMEDOUT' },
    ],
    [
      'a body that breaks',
      dieInBody(10),
      {},
      { 'http.response.status_code': 200, 'error.type': 'ECONNRESET' },
      { 'http.response.status_code': 200, 'error.type': 'ECONNRESET' },
    ],
    [
      'a response that modifyResponse refuses',
      reply(200),
      {
        modifyResponse() {
          throw new ProxyError('STALE', { status: 502 });
        },
      },
      { 'http.response.status_code': 502, 'error.type': '502' },
      { 'http.response.status_code': 200, 'error.type': 'STALE' },
    ],
  ])('is told of both spans: %s', async (_what, handler, options, ofRequest, ofAttempt) => {
    const { url: target } = await startBackend(handler);
    const { url } = await startTraced({ target, retry: false, ...options });

    await get(url);

    const { request, attempts } = await ended(1);
    expect([request.status, attempts[0]?.status]).toEqual([ERROR, ERROR]);
    expect(request.attributes).toMatchObject(ofRequest);
    expect(attempts[0]?.attributes).toMatchObject(ofAttempt);
    const known = 'http.response.status_code' in ofAttempt;
    expect('http.response.status_code' in attempts[0]!.attributes).toBe(known);
  });

  it('is a 404 for who asks, and none for who answers', async () => {
    const { url: target } = await startBackend(reply(404));
    const { url } = await startTraced({ target });

    await get(url);

    const { request, attempts } = await ended(1);
    expect([request.status, attempts[0]?.status]).toEqual([OK, ERROR]);
    expect(request.attributes).not.toHaveProperty(['error.type']);
    expect(attempts[0]?.attributes).toMatchObject({ 'error.type': '404' });
  });

  it('is what a director has refused for the attempt, and none of a 401', async () => {
    const { url: target } = await startBackend(reply(200));
    const { url } = await startTraced({
      target,
      director() {
        throw new ProxyError('UNAUTHORIZED', { status: 401 });
      },
    });

    await get(url);

    const { request, attempts } = await ended(1);
    expect([request.status, attempts[0]?.status]).toEqual([OK, ERROR]);
    expect(request.attributes).toMatchObject({ 'http.response.status_code': 401 });
    expect(request.attributes).not.toHaveProperty(['error.type']);
    expect(attempts[0]?.attributes).toMatchObject({ 'error.type': 'UNAUTHORIZED' });
  });

  it('without an attempt is a span as well', async () => {
    const { url, proxy } = await startTraced({ target: 'http://10.0.0.1' });
    proxy.drain('http://10.0.0.1');

    await get(url);

    const { request } = await ended(0);
    expect(request.status).toBe(ERROR);
    expect(request.attributes).toMatchObject({
      'http.response.status_code': 503,
      'error.type': '503',
      'tiny_proxy.attempts': 0,
    });
  });

  it('is what close() cuts, before its response and in the middle of it', async () => {
    const [silent, streaming] = await startBackends(hang(), (_request, response) => {
      response.write('begun');
    });
    for (const backend of [silent, streaming]) {
      const { url, proxy } = await startTraced({ target: backend.url });
      const { response } = open(url);
      await (backend === streaming ? response : until(() => silent.started === 1));
      await proxy.close(0);
    }

    const all = await spans(4);
    expect(all.map(({ status }) => status)).toEqual(Array(4).fill(ERROR));
    expect(all.map(({ attributes }) => attributes['error.type'])).toEqual(Array(4).fill('CUT'));
    const statuses = all.map(({ attributes }) => attributes['http.response.status_code']);
    expect(statuses).toEqual([undefined, undefined, 200, 200]);
  });
});

describe('a client that leaves', () => {
  it('ends both spans', async () => {
    const backend = await startBackend(hang());
    const { url } = await startTraced({ target: backend.url });

    const { request: leaving } = open(url);
    await until(() => backend.started === 1);
    leaving.destroy();

    const { request, attempts } = await ended(1);
    for (const span of [request, attempts[0]!]) {
      expect(span.status).toBe(ERROR);
      expect(span.attributes).toMatchObject({ 'error.type': 'CLIENT_GONE' });
      expect(span.attributes).not.toHaveProperty(['http.response.status_code']);
    }
    expect(request.attributes).toMatchObject({ 'tiny_proxy.no_retry': 'client-gone' });
  });
});

describe('a WebSocket', () => {
  it('is two spans, which end with it, and its handshake bears the traceparent', async () => {
    const { url: target, requests, sockets } = await startWebSocketBackend();
    const { url } = await startTraced({ target });

    const socket = await openWebSocket(url);
    expect(await spans(0)).toEqual([]);
    sockets[0]!.close(1000);
    await closed(socket);

    const { request, attempts } = await ended(1);
    expect(request).toMatchObject({ kind: SpanKind.SERVER, status: OK });
    expect(request.attributes).toMatchObject({ 'http.response.status_code': 101 });
    expect(attempts[0]).toMatchObject({ parentId: request.spanId, status: OK });
    expect(requests[0]?.headers.traceparent).toBe(attempts[0]?.traceparent);
  });

  it('that no backend grants is a failure', async () => {
    const port = await refusedPort();
    const { url } = await startTraced({ target: `http://127.0.0.1:${port}`, retry: false });

    await expect(openWebSocket(url)).rejects.toThrow('502');

    const { request, attempts } = await ended(1);
    expect([request.status, attempts[0]?.status]).toEqual([ERROR, ERROR]);
    expect(attempts[0]?.attributes).toMatchObject({ 'error.type': 'ECONNREFUSED' });
  });
});
