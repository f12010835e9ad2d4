// The request id: where it comes from, and where it goes.
import { describe, expect, it } from '@jest/globals';
import type express from 'express';
import type { Request, Response } from 'express';
import { pinoHttp } from 'pino-http';
import { type ProxyError, requestId, type TraceOptions } from '../src/index.js';
import { echo, failTimes, reply, resetConnection, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { refusedUrl, sendRaw, valuesOf } from './support/raw.js';
import { memoryStream } from './support/wait.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const LONGEST = 'a'.repeat(128);

/** An echo behind a proxy: what the backend got and what the client got. */
async function traced(trace: boolean | TraceOptions = true) {
  const backend = await startBackend(echo());
  const { url, port, proxy } = await startProxyWith({ target: backend.url, trace });
  return { backend, url, port, proxy };
}

describe("a client's X-Request-ID", () => {
  it.each(['a', 'night-1', 'AZaz09._~:/+=@-', LONGEST])('%s is kept', async (id) => {
    const { backend, url } = await traced();

    const response = await get(url, { headers: { 'X-Request-ID': id } });

    expect(response.headers['x-request-id']).toBe(id);
    expect(backend.received[0]?.headers['x-request-id']).toBe(id);
  });

  it.each([
    ['is empty', ''],
    ['is longer than 128 characters', `${LONGEST}a`],
    ['has a space', 'a b'],
    ['has a quote', 'a"b'],
    ['has a comma', 'a,b'],
    ['has a percent sign', 'a%0ab'],
    ['has a byte over 0x7f', 'caf\xe9'],
    ['has a tab', 'a\tb'],
  ])('is replaced by a UUID when it %s', async (_why, id) => {
    const { backend, url } = await traced();

    const response = await get(url, { headers: { 'X-Request-ID': id } });

    expect(response.headers['x-request-id']).toMatch(UUID);
    expect(backend.received[0]?.headers['x-request-id']).toBe(response.headers['x-request-id']);
  });

  it('is replaced when it comes twice', async () => {
    const { backend, port } = await traced();

    const response = await sendRaw(
      port,
      'GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: one\r\nX-Request-ID: two\r\n\r\n',
    );

    const [id, ...others] = valuesOf(response, 'x-request-id');
    expect(id).toMatch(UUID);
    expect(others).toEqual([]);
    expect(backend.received[0]?.headers['x-request-id']).toBe(id);
  });

  it('is replaced with trust: false', async () => {
    const { backend, url } = await traced({ trust: false });

    const response = await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    expect(response.headers['x-request-id']).toMatch(UUID);
    expect(backend.received[0]?.headers['x-request-id']).toBe(response.headers['x-request-id']);
  });

  it('is missing: each request gets a UUID of its own', async () => {
    const { url } = await traced();

    const ids = [await get(url), await get(url)].map(({ headers }) => headers['x-request-id']);

    expect(ids[0]).toMatch(UUID);
    expect(ids[1]).toMatch(UUID);
    expect(ids[0]).not.toBe(ids[1]);
  });

  it('goes on though the Connection header names it', async () => {
    const { backend, url } = await traced();

    await get(url, { headers: { 'X-Request-ID': 'night-1', Connection: 'X-Request-ID' } });

    expect(backend.received[0]?.headers['x-request-id']).toBe('night-1');
  });
});

describe('generate', () => {
  it('makes the id of a request that has none', async () => {
    let count = 0;
    const { backend, url } = await traced({ generate: () => `night:${++count}` });

    const made = await get(url);
    const kept = await get(url, { headers: { 'X-Request-ID': 'mine' } });

    expect(made.headers['x-request-id']).toBe('night:1');
    expect(backend.received[0]?.headers['x-request-id']).toBe('night:1');
    expect(kept.headers['x-request-id']).toBe('mine');
  });

  it.each([
    ['answers no valid id', () => 'a b'],
    ['answers a number', () => 7 as unknown as string],
    ['answers a promise', () => Promise.resolve('a') as unknown as string],
    [
      'throws',
      () => {
        throw new Error('no entropy');
      },
    ],
  ])('that %s is a bug: 500 HOOK_FAILED, and nothing is sent', async (_what, generate) => {
    const { backend, url, proxy } = await traced({ generate });

    const response = await get(url);

    expect(response.status).toBe(500);
    expect(JSON.parse(response.text)).toMatchObject({ code: 'HOOK_FAILED', status: 500 });
    expect(response.headers).not.toHaveProperty('x-request-id');
    expect(backend.started).toBe(0);
    expect(proxy.status()).toMatchObject({ inFlight: 0, backends: [{ failures: 0 }] });
  });
});

describe('header', () => {
  it('is another one: X-Request-ID is a header like any other then', async () => {
    const { backend, url } = await traced({ header: 'X-Trace' });
    const own = { 'X-Request-ID': 'not mine', 'X-Trace': 'night-1' };
    backend.answerWith(reply(200, '', { 'X-Request-ID': 'theirs', 'X-Trace': 'doubled' }));

    const response = await get(url, { headers: own });

    expect(backend.received[0]?.headers).toMatchObject({
      'x-request-id': 'not mine',
      'x-trace': 'night-1',
    });
    expect(response.headers).toMatchObject({ 'x-request-id': 'theirs', 'x-trace': 'night-1' });
    expect(response.rawHeaders).toContain('X-Trace');
  });
});

describe('the id of a request', () => {
  it('is the same on every attempt, whatever became of the one before', async () => {
    const sick = await startBackend(resetConnection());
    const worse = await startBackend(reply(500));
    const well = await startBackend(echo());
    const { url } = await startProxyWith({ target: [sick.url, worse.url, well.url] });

    const response = await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    const backends = [sick, worse, well];
    const ids = backends.map(({ received }) => received[0]?.headers['x-request-id']);
    expect(ids).toEqual(['night-1', 'night-1', 'night-1']);
    expect(response.headers['x-request-id']).toBe('night-1');
  });

  it('is on errors that the proxy makes, and in their body', async () => {
    const { url } = await startProxyWith({ target: await refusedUrl(), retry: false });

    const response = await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    expect(response.status).toBe(502);
    expect(response.headers['x-request-id']).toBe('night-1');
    expect(JSON.parse(response.text)).toMatchObject({ requestId: 'night-1' });
  });

  it("is not doubled or replaced by a backend's own", async () => {
    const backend = await startBackend(reply(200, '', { 'x-request-id': ['theirs', 'too'] }));
    const { port } = await startProxyWith({ target: backend.url });

    const response = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: mine\r\n\r\n');

    expect(valuesOf(response, 'x-request-id')).toEqual(['mine']);
  });

  it('is on req.id, with the attempts on req.hops, for the rest of the app', async () => {
    const backend = await startBackend(failTimes(1, reply(200)));
    const seen: { before?: string; req?: Request } = {};
    const { url } = await startProxy((app) => {
      app.use(requestId());
      app.use((req, _res, next) => {
        seen.before = req.id;
        seen.req = req;
        next();
      });
      app.use(quietProxy({ target: backend.url }));
    });

    await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    expect([seen.before, seen.req?.id]).toEqual(['night-1', 'night-1']);
    expect(seen.req?.hops).toEqual([
      { attempt: 1, backend: backend.host, outcome: 500, ms: expect.any(Number) },
      { attempt: 2, backend: backend.host, outcome: 200, ms: expect.any(Number) },
    ]);
  });
});

describe('requestId()', () => {
  const tellId = (req: Request, res: Response): unknown => res.send(`id ${req.id}`);

  it('works alone in an app, with the options of trace', async () => {
    const options = { header: 'X-Trace', trust: false, generate: () => 'made-1' };
    const { url } = await startProxy((app) => app.use(requestId(options)).use(tellId));

    const response = await get(url, { headers: { 'X-Trace': 'mine' } });

    expect(response.text).toBe('id made-1');
    expect(response.headers['x-trace']).toBe('made-1');
  });

  it('gives an id that a proxy behind it keeps, though it would not have trusted it', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxy((app) =>
      app
        .use(requestId())
        .use(quietProxy({ target: backend.url, trace: { trust: false, generate: () => 'new' } })),
    );

    const response = await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    expect(response.headers['x-request-id']).toBe('night-1');
    expect(backend.received[0]?.headers['x-request-id']).toBe('night-1');
  });

  it('hands a generate that throws to Express', async () => {
    const failures: ProxyError[] = [];
    const generate = () => {
      throw new Error('no entropy');
    };
    const { url } = await startProxy((app) => {
      app.use(requestId({ generate }));
      app.use((error: ProxyError, _req: Request, res: Response, _next: express.NextFunction) => {
        failures.push(error);
        res.sendStatus(error.status);
      });
    });

    expect((await get(url)).status).toBe(500);
    expect(failures[0]).toMatchObject({ code: 'HOOK_FAILED', cause: new Error('no entropy') });
  });
});

describe('an id that another middleware has set', () => {
  it.each([
    ['a valid string', 'pino-1', 'pino-1'],
    ['a number', 7, 'from-client'],
    ['an object', { id: 7 }, 'from-client'],
    ['an invalid string', 'a b', 'from-client'],
  ])('(%s, %p) makes it %s', async (_what, set, id) => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxy((app) => {
      app.use((req, _res, next) => {
        Object.assign(req, { id: set });
        next();
      });
      app.use(quietProxy({ target: backend.url }));
    });

    const response = await get(url, { headers: { 'X-Request-ID': 'from-client' } });

    expect(response.headers['x-request-id']).toBe(id);
    expect(backend.received[0]?.headers['x-request-id']).toBe(id);
  });

  it('(by pino-http) stays when it is a string', async () => {
    const backend = await startBackend(reply(200));
    const pino = pinoHttp({ genReqId: () => 'pino-1' }, memoryStream());
    const { url } = await startProxy((app) => app.use(pino, quietProxy({ target: backend.url })));

    expect((await get(url)).headers['x-request-id']).toBe('pino-1');
  });
});

describe('trace: false', () => {
  it('leaves the header alone, both ways', async () => {
    const { backend, url } = await traced(false);
    backend.answerWith(reply(200, '', { 'X-Request-ID': 'theirs' }));

    const response = await get(url, { headers: { 'X-Request-ID': 'not "valid"' } });
    await get(url);

    expect(response.headers['x-request-id']).toBe('theirs');
    expect(backend.received[0]?.headers['x-request-id']).toBe('not "valid"');
    expect(backend.received[1]?.headers).not.toHaveProperty('x-request-id');
  });

  it('makes no id for an error', async () => {
    const { url } = await startProxyWith({ target: await refusedUrl(), trace: false });

    const response = await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    expect(response.headers).not.toHaveProperty('x-request-id');
    expect(JSON.parse(response.text)).not.toHaveProperty('requestId');
  });
});
