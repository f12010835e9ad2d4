// ProxyError: made by the proxy for errors: 'next', by a user for a hook; and Retry-After.
import { describe, expect, it } from '@jest/globals';
import type { NextFunction, Request, Response } from 'express';
import { ProxyError, type TinyProxy, type TinyProxyOptions } from '../src/index.js';
import { reply, startBackend } from './support/backend.js';
import { get, open, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { refusedPort, refusedUrl, sendRaw, valuesOf } from './support/raw.js';
import { until } from './support/wait.js';

/** An app that keeps the errors that it gets. */
async function catching(options: TinyProxyOptions) {
  const caught: ProxyError[] = [];
  const proxy = quietProxy({ errors: 'next', ...options });
  const running = await startProxy((app) => {
    app.use(proxy);
    app.use((error: ProxyError, _req: Request, res: Response, _next: NextFunction) => {
      caught.push(error);
      res.status(error.status).send(error.code);
    });
  });
  return { ...running, proxy, caught };
}

/** Two proxies: the first one's backend refuses, the second one's answers. */
async function startTwo(): Promise<[TinyProxy, TinyProxy]> {
  const [nobody, { url }] = [await refusedUrl(), await startBackend(reply(200))];
  const proxyTo = (target: string) => quietProxy({ target, retry: false, errors: 'next' });
  return [proxyTo(nobody), proxyTo(url)];
}

describe("errors: 'next'", () => {
  it('tells the attempts and the cause of the last one', async () => {
    const port = await refusedPort();
    const { url, caught } = await catching({ target: `http://127.0.0.1:${port}` });

    await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    const hop = { backend: `127.0.0.1:${port}`, outcome: 'ECONNREFUSED', ms: expect.any(Number) };
    expect(caught[0]).toMatchObject({
      code: 'BAD_GATEWAY',
      requestId: 'night-1',
      hops: [1, 2, 3].map((attempt) => ({ attempt, ...hop })),
      cause: { code: 'ECONNREFUSED', syscall: 'connect', port },
    });
  });

  it.each<[hook: string, options: Partial<TinyProxyOptions>]>([
    ['director', { director: fail }],
    ['balance', { balance: fail }],
  ])('keeps what %s has thrown as the cause', async (_hook, options) => {
    const backend = await startBackend(reply(200));
    const { url, caught } = await catching({ target: backend.url, ...options });

    await get(url);

    expect(caught[0]?.cause).toBe(thrown);
    expect(caught[0]?.message).toContain('the night is dark');
  });

  it("hands on a ProxyError of a hook's own as it is", async () => {
    const own = new ProxyError('NO_ENTRY', { status: 403, message: 'not you' });
    const backend = await startBackend(reply(200));
    const director = () => {
      throw own;
    };
    const { url, caught } = await catching({ target: backend.url, director });

    const response = await get(url);

    expect(caught).toEqual([own]);
    expect(caught[0]).toBe(own);
    expect([response.status, response.text]).toEqual([403, 'NO_ENTRY']);
    expect(backend.started).toBe(0);
  });

  it('serves the error handler of Express itself: status and Retry-After', async () => {
    const backend = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target: backend.url, errors: 'next' });
    proxy.drain(backend.url);

    const response = await get(url);

    expect([response.status, response.headers['retry-after']]).toEqual([503, '1']);
  });

  it('lets a second proxy answer: each is told the end, once', async () => {
    const [first, second] = await startTwo();
    const done = { first: [] as (number | null)[], second: [] as (number | null)[] };
    first.events.on('done', ({ status }) => done.first.push(status));
    second.events.on('done', ({ status }) => done.second.push(status));
    const { url } = await startProxy((app) => {
      app.use(first);
      app.use((_error: Error, _req: Request, _res: Response, next: NextFunction) => next());
      app.use(second);
    });

    expect((await get(url)).status).toBe(200);

    await until(() => first.status().inFlight + second.status().inFlight === 0);
    expect(done).toEqual({ first: [200], second: [200] });
    expect([first, second].map((proxy) => proxy.status().requests)).toEqual([1, 1]);
  });

  it.each([1, 10_000, 100_000])('lets a second proxy have a body of %i bytes', async (length) => {
    const backend = await startBackend(reply(200));
    const [first, drained, last] = [await refusedUrl(), backend.url, backend.url].map((target) =>
      quietProxy({ target, retry: { unsent: true }, errors: 'next' }),
    ) as [TinyProxy, TinyProxy, TinyProxy];
    drained.drain(backend.url);
    const goOn = (_error: Error, _req: Request, _res: Response, next: NextFunction): void => next();
    const { url } = await startProxy((app) => app.use(first, goOn, drained, goOn, last));
    const body = Buffer.alloc(length, 'x');

    expect((await get(url, { method: 'POST', body })).status).toBe(200);

    expect(backend.received.map((request) => request.body)).toEqual([body]);
  });

  it('has the bytes of what the app has answered in the log and in `done`', async () => {
    const { proxy, url, log } = await startProxyWith(
      { target: await refusedUrl(), errors: 'next', retry: false },
      { captureLog: 'json' },
    );
    const bytes: number[] = [];
    proxy.events.on('done', (done) => bytes.push(done.bytes));

    const { body } = await get(url);

    await until(() => log.length === 1);
    expect(JSON.parse(log[0]!)).toMatchObject({ bytes: body.length });
    expect(bytes).toEqual([body.length]);
  });

  it('counts no bytes of an answer of the app that did not go out', async () => {
    const proxy = quietProxy({ target: await refusedUrl(), errors: 'next', retry: false });
    const bytes: number[] = [];
    proxy.events.on('done', (done) => bytes.push(done.bytes));
    const { url } = await startProxy((app) => {
      app.use(proxy);
      app.use((_error: Error, _req: Request, res: Response, _next: NextFunction) => {
        res.writeHead(502, { 'Content-Length': 1_000_000 }).write('a little');
      });
    });
    const { request, response } = open(url);
    await response;

    request.destroy();

    await until(() => bytes.length === 1);
    expect(bytes).toEqual([0]);
  });

  it('lets one answer that is asked by an app that has removed all listeners', async () => {
    const [first, second] = await startTwo();
    const { url } = await startProxy((app) => {
      app.use(first);
      app.use((_error: Error, _req: Request, res: Response, next: NextFunction) => {
        res.removeAllListeners('close');
        next();
      });
      app.use(second);
    });

    expect((await get(url)).status).toBe(200);

    await until(() => first.status().inFlight + second.status().inFlight === 0);
  });

  it('is not asked when the response has begun: that is cut', async () => {
    const backend = await startBackend((_request, response) => {
      response.writeHead(200, { 'Content-Length': 9 });
      response.write('half', () => response.destroy());
    });
    const { url, caught } = await catching({ target: backend.url });

    const response = await get(url);

    expect(response).toMatchObject({ status: 200, aborted: true });
    expect(caught).toEqual([]);
  });
});

const thrown = new TypeError('the night is dark');
function fail(): never {
  throw thrown;
}

describe('a 503 NO_BACKEND', () => {
  it.each<[why: string, seconds: string, options: Partial<TinyProxyOptions>]>([
    ['a breaker is open for 10 s', '10', {}],
    ['a breaker is open for 1900 ms', '2', { breaker: { failures: 1, cooldown: 1900 } }],
    ['a breaker is open for 900 ms', '1', { breaker: { failures: 1, cooldown: 900 } }],
  ])('while %s says Retry-After: %s', async (_why, seconds, options) => {
    const backend = await startBackend(reply(500));
    const target = backend.url;
    const { url } = await startProxyWith({ target, breaker: { failures: 1 }, ...options });
    await get(url, { method: 'POST' });

    const response = await get(url);

    expect([response.status, response.headers['retry-after']]).toEqual([503, seconds]);
    expect(JSON.parse(response.text)).toMatchObject({ code: 'NO_BACKEND' });
    expect(backend.started).toBe(1);
  });

  it('names the first of several probes, those of drained backends left out', async () => {
    const backends = await Promise.all([1, 2, 3].map(() => startBackend(reply(500))));
    const [first, second, drained] = backends.map((backend) => backend.url) as [
      string,
      string,
      string,
    ];
    const { url, proxy } = await startProxyWith({
      target: [first, second, drained],
      breaker: { failures: 1, cooldown: 5000 },
    });
    proxy.drain(drained);
    await get(url);

    const response = await get(url);

    expect([response.status, response.headers['retry-after']]).toEqual([503, '5']);
  });

  it('has its Retry-After in ProxyError.headers', async () => {
    const backend = await startBackend(reply(200));
    const { url, proxy, caught } = await catching({ target: backend.url });
    proxy.drain(backend.url);

    await get(url);

    expect(caught[0]).toMatchObject({
      code: 'NO_BACKEND',
      status: 503,
      headers: { 'retry-after': '1' },
      hops: [],
    });
  });
});

describe('a 408 CLIENT_TIMEOUT', () => {
  it.each(['respond', 'next'] as const)('closes its connection (errors: %s)', async (errors) => {
    const backend = await startBackend(reply(200));
    const { port, proxy } = await catching({ target: backend.url, errors, idleTimeout: 20 });

    const answer = await sendRaw(
      port,
      'PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf',
      { until: 'close', limitMs: 2000 },
    );

    expect(answer.status).toBe(408);
    expect(valuesOf(answer, 'connection')).toEqual(['close']);
    expect(answer.closedBy).toBe('end');
    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, consecutiveFailures: 0 });
  });
});

describe('new ProxyError()', () => {
  it.each([
    ['BAD_REQUEST', 400],
    ['CLIENT_TIMEOUT', 408],
    ['BODY_CONSUMED', 500],
    ['BALANCE_FAILED', 500],
    ['HOOK_FAILED', 500],
    ['BAD_GATEWAY', 502],
    ['NO_BACKEND', 503],
    ['GATEWAY_TIMEOUT', 504],
    ['LOOP', 508],
    ['A_CODE_OF_MINE', 502],
    ['toString', 502],
  ])('of %s has the status %i', (code, status) => {
    expect(new ProxyError(code).status).toBe(status);
  });

  it('is an Error that has met no request yet, and whose message is its code', () => {
    const error = new ProxyError('BAD_GATEWAY');

    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'ProxyError', message: 'BAD_GATEWAY', headers: {} });
    expect(error).toMatchObject({ requestId: '', hops: [] });
    expect(error).not.toHaveProperty('cause');
  });

  it('takes a status, a message and a cause', () => {
    const cause = new Error('why');

    const error = new ProxyError('MINE', { status: 451, message: 'no', cause });

    expect(error).toMatchObject({ code: 'MINE', status: 451, message: 'no' });
    expect(error.cause).toBe(cause);
  });

  it.each(['transfer-encoding', 'Content-Length'])(
    'may say what headers are sent, but not %s, which would frame another body',
    async (name) => {
      const error = new ProxyError('MINE', { status: 418 });
      Object.assign(error.headers, {
        [name]: name === 'Content-Length' ? '5' : 'chunked',
        'x-a': 'b',
      });
      const backend = await startBackend(reply(200));
      const { port } = await startProxyWith({
        target: backend.url,
        director: () => {
          throw error;
        },
      });

      const answer = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');

      expect(valuesOf(answer, 'x-a')).toEqual(['b']);
      expect(valuesOf(answer, 'transfer-encoding')).toEqual([]);
      expect(valuesOf(answer, 'content-length')).toEqual([String(answer.body.length)]);
    },
  );

  it.each([200, 304, 399, 600, 502.5, Number.NaN, '502'])(
    'of the status %p is a TypeError that shows it',
    (status) => {
      const make = () => new ProxyError('MINE', { status: status as number });

      expect(make).toThrow(TypeError);
      expect(make).toThrow(`got ${status}`);
    },
  );
});
