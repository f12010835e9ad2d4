// Middlewares that hand on a response of their own, or wrap how it is listened to. Whatever they do,
// the end of the response is heard.
import { describe, expect, it } from '@jest/globals';
import express, { type ErrorRequestHandler, type RequestHandler, type Response } from 'express';
import { hang, reply, startBackend } from './support/backend.js';
import { get, open, quietProxy, startProxy } from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { memoryStream, until } from './support/wait.js';

type Wrap = (res: Response) => Response;

/** As tracing agents, session stores and body rewriters do it. */
const WRAPPED: [string, Wrap][] = [
  [
    'whose listeners lose their "this"',
    (res) => {
      const { on } = res;
      res.on = ((event: string, listener: (...args: unknown[]) => void) =>
        on.call(res, event, (...args) => listener(...args))) as Response['on'];
      return res;
    },
  ],
  [
    'that keeps what is set to itself',
    (res) => {
      const own = new Map<string | symbol, unknown>();
      return new Proxy(res, {
        get(target, key) {
          if (own.has(key)) return own.get(key);
          const value = Reflect.get(target, key);
          return typeof value === 'function' ? value.bind(target) : value;
        },
        set: (_target, key, value) => own.set(key, value) !== undefined,
      });
    },
  ],
];

/** Nothing that is written to these arrives, which is Node's own doing; but their clients leave. */
const MUTE: typeof WRAPPED = [
  ['that inherits from the real one', (res) => Object.create(res)],
  ['that is a Proxy of the real one', (res) => new Proxy(res, {})],
];

async function startWrapped(target: string, wrap: Wrap) {
  const stream = memoryStream();
  const proxy = quietProxy({ target, log: { stream } });
  const handOn: RequestHandler = (req, res, next) => proxy(req, wrap(res), next);
  const running = await startProxy((app) => app.use(handOn), { app: express() });
  return { ...running, proxy, log: stream.lines };
}

describe('of a response', () => {
  it.each(WRAPPED)('%s, the end is heard', async (_what, wrap) => {
    const backend = await startBackend(reply(200));
    const { url, proxy, log } = await startWrapped(backend.url, wrap);

    expect(await get(url)).toMatchObject({ status: 200 });

    await until(() => log.length === 1);
    expect(proxy.status()).toMatchObject({ inFlight: 0, backends: [{ inFlight: 0 }] });
  });

  it.each([...WRAPPED, ...MUTE])('%s, it is heard that its client leaves', async (_what, wrap) => {
    const backend = await startBackend(hang());
    const { url, proxy, log } = await startWrapped(backend.url, wrap);
    const { request } = open(url);
    await until(() => backend.started === 1);

    request.destroy();

    await until(() => log.length === 1);
    expect(log[0]).toContain('CLIENT_GONE');
    expect(proxy.status()).toMatchObject({ inFlight: 0, backends: [{ inFlight: 0 }] });
    await proxy.close(); // has nothing to wait for
  });
});

describe('of two requests on such responses', () => {
  it.each(WRAPPED)('%s, the end of one is not that of the other', async (_what, wrap) => {
    const backend = await startBackend((request, response) => {
      if (request.url === '/now') response.end();
    });
    const { url, proxy } = await startWrapped(backend.url, wrap);
    open(`${url}/later`);
    await until(() => backend.started === 1);

    await get(`${url}/now`);

    await until(() => proxy.status().inFlight === 1);
    expect(proxy.status()).toMatchObject({ backends: [{ inFlight: 1 }] });
  });
});

describe('of a response that another proxy has failed to give', () => {
  it.each(WRAPPED)('and %s, the end is heard by both', async (_what, wrap) => {
    const backend = await startBackend(reply(200));
    const first = quietProxy({ target: await refusedUrl(), retry: false, errors: 'next' });
    const second = quietProxy({ target: backend.url });
    const goOn: ErrorRequestHandler = (_error, req, res, next) => second(req, wrap(res), next);
    const { url } = await startProxy((app) => app.use(first, goOn));

    expect(await get(url)).toMatchObject({ status: 200 });

    await until(() => first.status().inFlight + second.status().inFlight === 0);
    expect([first.status().requests, second.status().requests]).toEqual([1, 1]);
  });
});
