// Around traceRequests(): its end, other listeners and hooks, an API without an SDK, what is refused.
import { afterEach, describe, expect, it } from '@jest/globals';
import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { ErrorRequestHandler } from 'express';
import { traceRequests } from '../src/traces/index.js';
import { hang, heldUntil, reply, startBackend, startBackends } from './support/backend.js';
import { get, open, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { sendRaw } from './support/raw.js';
import { ended, provider, registerSdk, spans, startTraced } from './support/traced.js';
import { gate, until } from './support/wait.js';

const CLIENT = {
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'rojo=00f067aa0ba902b7',
};
const [, TRACE_ID] = CLIENT.traceparent.split('-');

describe('with the SDK', () => {
  registerSdk();

  it('requests of one id are told apart', async () => {
    const [one, two] = await startBackends(reply(200), reply(200));
    const { url } = await startTraced({ target: [one.url, two.url] });

    const headers = { 'X-Request-ID': 'night-1' };
    await Promise.all([get(`${url}/1`, { headers }), get(`${url}/2`, { headers })]);

    const all = await spans(4);
    for (const path of ['/1', '/2']) {
      const request = all.find(({ attributes }) => attributes['url.path'] === path)!;
      const [attempt] = all.filter(({ parentId }) => parentId === request.spanId);
      expect(attempt?.attributes['url.full']).toMatch(new RegExp(`${path}$`));
    }
  });

  it('the director has the last word, and url.full is what was asked', async () => {
    const backend = await startBackend(reply(200));
    let seen: unknown;
    const { url } = await startTraced({
      target: backend.url,
      director(outgoing) {
        seen = outgoing.headers.traceparent;
        outgoing.headers['x-trace'] = seen as string;
        delete outgoing.headers.traceparent;
        outgoing.path += '/more?key=s3cret';
      },
    });

    await get(`${url}/x`, { headers: CLIENT });

    const [attempt] = (await ended(1)).attempts;
    expect(seen).toBe(attempt?.traceparent);
    expect(backend.received[0]?.headers).not.toHaveProperty('traceparent');
    expect(attempt?.attributes['url.full']).toBe(`${backend.url}/x/more?key=REDACTED`);
  });

  it('a request id of none is left out, and baggage goes on', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startTraced({ target: backend.url, trace: false });

    await get(url, { headers: { ...CLIENT, baggage: 'tenant=a' } });

    const { request } = await ended(1);
    expect(request.attributes).not.toHaveProperty(['tiny_proxy.request_id']);
    expect(backend.received[0]?.headers.baggage).toBe('tenant=a');
  });

  it('a proxy that an error handler calls once more has a span for each call', async () => {
    const { url: target } = await startBackend(reply(200));
    const proxy = quietProxy({ target, errors: 'next' });
    traceRequests(proxy);
    const undrain = proxy.drain(target);
    const { url } = await startProxy((app) => {
      app.use(proxy);
      const again: ErrorRequestHandler = (_error, req, res, next) => {
        undrain();
        proxy(req, res, next);
      };
      app.use(again);
    });

    expect((await get(url)).status).toBe(200);

    const all = await spans(3);
    const kinds = all.map(({ kind }) => kind);
    expect(kinds).toEqual([SpanKind.SERVER, SpanKind.CLIENT, SpanKind.SERVER]);
    expect(all[1]?.parentId).toBe(all[2]?.spanId);
  });

  it('who the client is, and what it called, goes by trust proxy', async () => {
    const { url: target } = await startBackend(reply(200));
    const { url } = await startTraced({ target }, { trustProxy: true });

    const headers = {
      'X-Forwarded-For': '10.1.2.3',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Host': 'shop.example',
    };
    await get(url, { headers });

    const { attributes } = (await ended(1)).request;
    expect(attributes).toMatchObject({
      'client.address': '10.1.2.3',
      'server.address': 'shop.example',
      'url.scheme': 'https',
    });
    expect(attributes).not.toHaveProperty(['server.port']);
  });

  it.each([
    ['/x', '[::1]:8080', { 'url.path': '/x', 'server.address': '::1', 'server.port': 8080 }],
    ['/x', 'shop.example', { 'url.path': '/x', 'server.address': 'shop.example' }],
    ['http://u:secret@evil.example/x?a', 'shop.example', { 'url.path': '/x' }],
    ['http://u:secret@evil.example', 'shop.example', { 'url.path': '/' }],
  ])('GET %s of Host %s', async (path, host, told) => {
    const { url: target } = await startBackend(reply(200));
    const { port } = await startTraced({ target });

    await sendRaw(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);

    const { attributes } = (await ended(path.startsWith('/') ? 1 : 0)).request;
    expect(attributes).toMatchObject(told);
    expect(JSON.stringify(attributes)).not.toContain('secret');
  });

  it.each([
    ['a=1&b=2', 'a=REDACTED&b=REDACTED'],
    ['s3cret', 'REDACTED'],
    ['a=', 'a=REDACTED'],
    ['=x&&a=b=c', '=REDACTED&&a=REDACTED'],
    ['a=1?b=2', 'a=REDACTED'],
    ['', ''],
  ])('a query holds secrets: ?%s', async (query, told) => {
    const { url: target } = await startBackend(reply(200));
    const { port } = await startTraced({ target });

    await sendRaw(port, `GET /x?${query} HTTP/1.1\r\nHost: h\r\n\r\n`);

    const { request, attempts } = await ended(1);
    expect(request.attributes['url.query']).toBe(told);
    expect(attempts[0]?.attributes['url.full']).toBe(`${target}/x?${told}`);
  });

  it('OPTIONS * is about the whole server', async () => {
    const { url: target } = await startBackend(reply(200));
    const { port } = await startTraced({ target });

    await sendRaw(port, 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n');

    expect((await ended(1)).attempts[0]?.attributes['url.full']).toBe(target);
  });

  describe('methods', () => {
    const variable = 'OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS';
    afterEach(() => {
      delete process.env[variable];
    });

    it.each([
      [undefined, 'PURGE', 'HTTP', { method: '_OTHER', method_original: 'PURGE' }],
      ['', 'PATCH', 'PATCH', { method: 'PATCH' }],
      ['GET, PURGE', 'PURGE', 'PURGE', { method: 'PURGE' }],
      ['GET, PURGE', 'PATCH', 'HTTP', { method: '_OTHER', method_original: 'PATCH' }],
    ])('known: %s; %s', async (known, method, name, told) => {
      if (known !== undefined) process.env[variable] = known;
      const { url: target } = await startBackend(reply(200));
      const { port } = await startTraced({ target });

      await sendRaw(port, `${method} / HTTP/1.1\r\nHost: h\r\n\r\n`);

      for (const span of await spans(2)) {
        expect(span.name).toBe(name);
        const attributes = Object.entries(told).map(([key, value]) => [
          `http.request.${key}`,
          value,
        ]);
        expect(span.attributes).toMatchObject(Object.fromEntries(attributes));
        expect('http.request.method_original' in span.attributes).toBe(name === 'HTTP');
      }
    });
  });

  it('its end leaves no listener, ends the spans that are open, and lets headers be', async () => {
    const backend = await startBackend(hang());
    const { url, proxy, stop } = await startTraced({ target: backend.url });
    open(url);
    await until(() => backend.started === 1);

    stop();
    stop();

    expect(proxy.events.eventNames()).toEqual([]);
    const { request, attempts } = await ended(1);
    expect([request.attributes, attempts[0]!.attributes]).not.toContainEqual(
      expect.objectContaining({ 'http.response.status_code': expect.anything() }),
    );
    backend.answerWith(reply(200));
    await get(url, { headers: CLIENT });
    expect(backend.received.at(-1)?.headers).toMatchObject(CLIENT);
    expect(await spans(2)).toHaveLength(2);
  });

  it('a request that began before it is left alone', async () => {
    const { opened, open: fail } = gate();
    const [failing, well] = await startBackends(heldUntil(opened, reply(500)), reply(200));
    const { url, proxy } = await startProxyWith({ target: [failing.url, well.url] });
    const answer = get(url, { headers: CLIENT });
    await until(() => failing.started === 1);

    traceRequests(proxy);
    fail();

    expect((await answer).status).toBe(200);
    expect(well.received[0]?.headers).toMatchObject(CLIENT);
    await until(() => proxy.status().inFlight === 0);
    expect(await spans(0)).toEqual([]);
  });
});

describe('with the API alone', () => {
  afterEach(() => {
    for (const api of [context, propagation, trace]) api.disable();
  });

  it("nothing is changed: the client's trace goes on as it came", async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startTraced({ target: backend.url });

    await get(url, { headers: CLIENT });

    expect(backend.received[0]?.headers).toMatchObject(CLIENT);
  });

  it('and a propagator, what it cannot read goes on as it came', async () => {
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    const backend = await startBackend(reply(200));
    const { url } = await startTraced({ target: backend.url });
    const nonsense = { traceparent: '00-ZZZ', tracestate: 'a=1' };

    await get(url, { headers: nonsense });

    expect(backend.received[0]?.headers).toMatchObject(nonsense);
  });

  it('an SDK that is registered later is heard', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startTraced({ target: backend.url });
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    trace.setGlobalTracerProvider(provider);

    await get(url, { headers: CLIENT });

    const { request, attempts } = await ended(1);
    expect(request.traceId).toBe(TRACE_ID);
    expect(backend.received[0]?.headers.traceparent).toBe(attempts[0]?.traceparent);
  });

  it('a provider of its own makes the spans', async () => {
    const { url: target } = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target });
    traceRequests(proxy, { tracerProvider: provider });

    await get(url);

    expect((await ended(1)).attempts).toHaveLength(1);
  });
});

describe('what cannot be traced is refused', () => {
  const proxy = quietProxy({ target: 'http://10.0.0.1' });

  it.each<[string, () => unknown, RegExp]>([
    [
      'no proxy',
      () => traceRequests({} as never),
      /first argument must be a proxy that tinyProxy\(\) has made; got \{\}/,
    ],
    [
      'options that are none',
      () => traceRequests(proxy, null as never),
      /second argument .*\{ tracerProvider \}; got null/,
    ],
    [
      'an unknown option',
      () => traceRequests(proxy, { tracer: 1 } as never),
      /unknown option "tracer" \(1\); try "tracerProvider"/,
    ],
    [
      'no provider',
      () => traceRequests(proxy, { tracerProvider: {} as never }),
      /"tracerProvider" must be a TracerProvider, .*; got \{\}/,
    ],
  ])('%s', (_what, make, message) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
    expect(proxy.events.eventNames()).toEqual([]);
  });
});
