// traceRequests() with the real SDK: the spans of a request, and what goes to the backend.
import { describe, expect, it } from '@jest/globals';
import { context, SpanKind, trace } from '@opentelemetry/api';
import { traceRequests } from '../src/traces/index.js';
import { failTimes, heldUntil, reply, startBackend, startBackends } from './support/backend.js';
import { get, quietProxy, startProxy } from './support/proxy.js';
import { refusedPort, sendRaw } from './support/raw.js';
import {
  type EndedSpan,
  ERROR,
  ended,
  OK,
  provider,
  registerSdk,
  spans,
  startTraced,
} from './support/traced.js';
import { gate, until } from './support/wait.js';

registerSdk();

const CLIENT = {
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'rojo=00f067aa0ba902b7',
};
const [, TRACE_ID, CLIENT_SPAN_ID] = CLIENT.traceparent.split('-');

describe('a request that is answered', () => {
  it("is a server's span, its attempt a client's below it, whose traceparent the backend gets", async () => {
    const backend = await startBackend(reply(200, 'well'));
    const { url } = await startTraced({ target: `${backend.url}/base` }, { mount: '/api' });
    const { port } = new URL(url);

    const headers = { ...CLIENT, 'X-Request-ID': 'night-1', 'User-Agent': 'curl/8' };
    const { text } = await get(`${url}/api/orders/7?token=s3cret&page=2&naked`, { headers });

    expect(text).toBe('well');
    const { request, attempts } = await ended(1);
    const [attempt] = attempts as [EndedSpan];
    expect(request).toMatchObject({
      name: 'GET',
      kind: SpanKind.SERVER,
      traceId: TRACE_ID,
      parentId: CLIENT_SPAN_ID,
      status: OK,
    });
    expect(request.attributes).toEqual({
      'http.request.method': 'GET',
      'url.scheme': 'http',
      'url.path': '/api/orders/7',
      'url.query': 'token=REDACTED&page=REDACTED&REDACTED',
      'network.protocol.version': '1.1',
      'server.address': '127.0.0.1',
      'server.port': Number(port),
      'client.address': '127.0.0.1',
      'user_agent.original': 'curl/8',
      'http.response.status_code': 200,
      'tiny_proxy.request_id': 'night-1',
      'tiny_proxy.attempts': 1,
    });
    expect(attempt).toMatchObject({
      name: 'GET',
      kind: SpanKind.CLIENT,
      traceId: TRACE_ID,
      parentId: request.spanId,
      status: OK,
    });
    expect(attempt.attributes).toEqual({
      'http.request.method': 'GET',
      'server.address': '127.0.0.1',
      'server.port': backend.port,
      'url.full': `${backend.url}/base/orders/7?token=REDACTED&page=REDACTED&REDACTED`,
      'http.response.status_code': 200,
    });
    expect(backend.received[0]?.headers).toMatchObject({
      traceparent: attempt.traceparent,
      tracestate: CLIENT.tracestate,
    });
  });

  it.each([
    ['none', {}],
    ['one that is none', { traceparent: '00-0-0-01', tracestate: 'a=1' }],
  ])('begins a trace where the client has sent %s', async (_what, headers) => {
    const backend = await startBackend(reply(200));
    const { url } = await startTraced({ target: backend.url });

    await get(url, { headers });

    const { request, attempts } = await ended(1);
    expect(request.parentId).toBeUndefined();
    expect(backend.received[0]?.headers.traceparent).toBe(attempts[0]?.traceparent);
    expect(backend.received[0]?.headers).not.toHaveProperty('tracestate');
  });

  it('is a child of the active span, whatever the client has sent', async () => {
    const backend = await startBackend(reply(200));
    const proxy = quietProxy({ target: backend.url });
    traceRequests(proxy);
    const server = provider.getTracer('an instrumentation').startSpan('GET /api');
    const { url } = await startProxy((app) => {
      app.use((_req, _res, next) => {
        context.with(trace.setSpan(context.active(), server), next);
      });
      app.use(proxy);
    });

    await get(url, { headers: CLIENT });

    const { request, attempts } = await ended(1);
    const { spanId, traceId } = server.spanContext();
    expect(request).toMatchObject({
      name: 'proxy GET',
      kind: SpanKind.INTERNAL,
      parentId: spanId,
      traceId,
    });
    expect(request.attributes).toEqual({
      'http.request.method': 'GET',
      'url.path': '/',
      'http.response.status_code': 200,
      'tiny_proxy.request_id': expect.any(String),
      'tiny_proxy.attempts': 1,
    });
    expect(backend.received[0]?.headers.traceparent).toBe(attempts[0]?.traceparent);
    // It is of the trace that has been left.
    expect(backend.received[0]?.headers).not.toHaveProperty('tracestate');
  });

  it('has the active span of its own where it is pipelined, or its path is rewritten later', async () => {
    const backend = await startBackend(reply(200));
    const proxy = quietProxy({ target: backend.url, pathRewrite: async (path) => `${path}/new` });
    traceRequests(proxy);
    const tracer = provider.getTracer('an instrumentation');
    const { port } = await startProxy((app) => {
      app.use((req, res, next) => {
        const span = tracer.startSpan(req.url);
        res.on('close', () => span.end());
        context.with(trace.setSpan(context.active(), span), next);
      });
      app.use(proxy);
    });

    const paths = ['/1', '/2', '/3'];
    const requests = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
    await sendRaw(port, requests.join(''), { until: 3 });

    const all = await spans(9);
    for (const path of paths) {
      const server = all.find(({ name }) => name === path)!;
      const [request, ...others] = all.filter(({ parentId }) => parentId === server.spanId);
      expect([request?.attributes['url.path'], others]).toEqual([path, []]);
    }
  });

  it('is not sampled where its parent is not, and the backend is told so', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startTraced({ target: backend.url });

    await get(url, { headers: { traceparent: CLIENT.traceparent.replace(/1$/, '0') } });

    const { traceparent } = backend.received[0]!.headers;
    expect(traceparent).toMatch(new RegExp(`^00-${TRACE_ID}-[0-9a-f]{16}-00$`));
    expect(traceparent).not.toContain(CLIENT_SPAN_ID);
    expect(await spans(0)).toEqual([]);
  });
});

describe('a retry', () => {
  it('is a span of its own, with a traceparent of its own', async () => {
    const port = await refusedPort();
    const [failing, well] = await startBackends(reply(503), reply(200));
    const { url } = await startTraced({
      target: [`http://127.0.0.1:${port}`, failing.url, well.url],
    });

    expect((await get(url, { headers: CLIENT })).status).toBe(200);

    const { request, attempts } = await ended(3);
    expect(request).toMatchObject({ status: OK, attributes: { 'tiny_proxy.attempts': 3 } });
    expect(attempts.map(({ parentId }) => parentId)).toEqual(Array(3).fill(request.spanId));
    expect(attempts.map(({ status }) => status)).toEqual([ERROR, ERROR, OK]);
    const [refused, failed, answered] = attempts.map(({ attributes }) => attributes);
    expect(refused).toMatchObject({ 'server.port': port, 'error.type': 'ECONNREFUSED' });
    expect(refused).not.toHaveProperty(['http.response.status_code']);
    expect(refused).not.toHaveProperty(['http.request.resend_count']);
    expect(failed).toMatchObject({
      'server.port': failing.port,
      'error.type': '503',
      'http.response.status_code': 503,
      'http.request.resend_count': 1,
    });
    expect(answered).toMatchObject({
      'server.port': well.port,
      'http.response.status_code': 200,
      'http.request.resend_count': 2,
    });
    expect(answered).not.toHaveProperty(['error.type']);
    const sent = [failing, well].map(({ received }) => received[0]?.headers.traceparent);
    expect(sent).toEqual(attempts.slice(1).map(({ traceparent }) => traceparent));
  });

  it('begins when the attempt before it has ended', async () => {
    const { opened, open: answer } = gate();
    const backend = await startBackend(failTimes(1, heldUntil(opened, reply(200))));
    const { url } = await startTraced({ target: backend.url });

    const answered = get(url);
    await until(() => backend.started === 2);
    expect(await spans(1)).toMatchObject([{ attributes: { 'error.type': '500' } }]);
    answer();
    await answered;

    expect((await ended(2)).attempts[1]?.attributes).toMatchObject({
      'http.response.status_code': 200,
      'http.request.resend_count': 1,
    });
  });
});
