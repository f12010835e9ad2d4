// `request`, `attempt`, `hop` and `done`: what they tell of each attempt, and what they hold besides.
import { describe, expect, it } from '@jest/globals';
import {
  ProxyError,
  type TinyProxy,
  type TinyProxyEvents,
  type TinyProxyOptions,
} from '../src/index.js';
import {
  dieInBody,
  hang,
  reply,
  resetWhenReused,
  startBackend,
  startBackends,
} from './support/backend.js';
import { get, open, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { refusedPort, sendRaw } from './support/raw.js';
import { until } from './support/wait.js';
import {
  closed,
  openWebSocket,
  startUpgradeProxy,
  startWebSocketBackend,
} from './support/websocket.js';

const QUICK = { backoff: { initialDelay: 1, maxDelay: 1 } };
const someMs = expect.any(Number);

type Told = TinyProxyEvents['request' | 'attempt' | 'hop' | 'done'][0];
type Heard = [event: keyof TinyProxyEvents, told: Told][];

/** The events of each request, in order. */
function listen(proxy: TinyProxy): Heard {
  const heard: Heard = [];
  for (const event of ['request', 'attempt', 'hop', 'done'] as const) {
    proxy.events.on(event, (told: Told) => heard.push([event, told]));
  }
  return heard;
}

const namesOf = (heard: Heard): string[] => heard.map(([event]) => event);

/** The payloads of one event. */
function toldOf<E extends keyof TinyProxyEvents>(heard: Heard, name: E): TinyProxyEvents[E][0][] {
  return heard.filter(([event]) => event === name).map(([, told]) => told as TinyProxyEvents[E][0]);
}

/** What is told of one request, until it is done. */
async function eventsOf(
  options: TinyProxyOptions,
  path = '/',
  init: Parameters<typeof get>[1] = {},
) {
  const { url, proxy } = await startProxyWith({ retry: QUICK, ...options });
  const heard = listen(proxy);
  const response = await get(url + path, init);
  await until(() => namesOf(heard).includes('done'));
  return { response, heard, hops: toldOf(heard, 'hop') };
}

describe('the events of a request', () => {
  it('begin and end with it, and frame each of its attempts', async () => {
    const port = await refusedPort();
    const well = await startBackend(reply(200, 'well'));
    const target = [`http://127.0.0.1:${port}`, well.url];

    const { heard } = await eventsOf({ target }, '/', { headers: { 'X-Request-ID': 'night-1' } });

    const [refusing, requestId] = [`127.0.0.1:${port}`, 'night-1'];
    const first = { requestId, backend: refusing, attempt: 1 };
    const second = { requestId, backend: well.host, attempt: 2 };
    expect(JSON.parse(JSON.stringify(heard.slice(0, -1)))).toEqual([
      ['request', { requestId }],
      ['attempt', first],
      ['hop', { ...first, outcome: 'ECONNREFUSED', status: null, ms: someMs, failed: true }],
      ['attempt', second],
      ['hop', { ...second, outcome: 200, status: 200, ms: someMs, failed: false }],
    ]);
    expect(namesOf(heard).at(-1)).toBe('done');
  });

  it('hold the same request, which tells those of one id apart', async () => {
    const { url: target } = await startBackend(hang());
    const { url, proxy } = await startProxyWith({ target });
    const heard = listen(proxy);

    const night = { headers: { 'X-Request-ID': 'night-1' } };
    const [one, two] = [open(`${url}/1`, night), open(`${url}/2`, night)];
    await until(() => toldOf(heard, 'attempt').length === 2);
    for (const { request } of [one, two]) request.destroy();

    await until(() => toldOf(heard, 'done').length === 2);
    for (const path of ['/1', '/2']) {
      const its = heard.filter(([, { req }]) => req.url === path);
      expect(namesOf(its)).toEqual(['request', 'attempt', 'hop', 'done']);
      expect(new Set(its.map(([, { req }]) => req)).size).toBe(1);
    }
  });

  it.each([
    ['has no backend', { method: 'GET', path: '/' }, 503],
    ['must not be forwarded', { method: 'GET', path: '/%2e%2e/' }, 400],
  ])('are two where it %s', async (_what, { method, path }, status) => {
    const { url, proxy } = await startProxyWith({ target: 'http://10.0.0.1' });
    proxy.drain('http://10.0.0.1');
    const heard = listen(proxy);

    const response = await get(url + path, { method });

    await until(() => heard.length === 2);
    expect([response.status, ...namesOf(heard)]).toEqual([status, 'request', 'done']);
  });

  it('come in its turn when it is pipelined', async () => {
    const { url: target } = await startBackend(reply(200));
    const { port, proxy } = await startProxyWith({ target });
    const heard = listen(proxy);

    await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(2), { until: 2 });

    await until(() => heard.length === 8);
    const each = ['request', 'attempt', 'hop', 'done'];
    expect(namesOf(heard)).toEqual([...each, ...each]);
  });
});

describe('a hop', () => {
  const stale = new ProxyError('STALE', { status: 502 });
  const unauthorized = new ProxyError('UNAUTHORIZED', { status: 401 });
  const throwing = (error: Error) => () => {
    throw error;
  };

  it.each<[string, Parameters<typeof startBackend>[0], object, object]>([
    ['404', reply(404), {}, { outcome: 404, status: 404, failed: false }],
    ['500', reply(500), {}, { outcome: 500, status: 500, failed: true }],
    [
      'a status that is none, by isFailure',
      reply(500),
      { isFailure: () => false },
      { outcome: 500, status: 500, failed: false },
    ],
    ['a broken body', dieInBody(10), {}, { outcome: 'ECONNRESET', status: 200, failed: true }],
    [
      'a response that modifyResponse has refused',
      reply(200),
      { modifyResponse: throwing(stale) },
      { outcome: 'STALE', status: 200, failed: true },
    ],
    [
      'an attempt that director has refused',
      reply(200),
      { director: throwing(unauthorized) },
      { outcome: 'UNAUTHORIZED', status: null, failed: false },
    ],
    [
      'a timeout',
      hang(),
      { attemptTimeout: 1 },
      { outcome: 'ETIMEDOUT', status: null, failed: true },
    ],
  ])('tells of %s', async (_what, handler, options, told) => {
    const { url: target } = await startBackend(handler);

    const { hops } = await eventsOf({ target, retry: false, ...options });

    expect(hops).toEqual([expect.objectContaining(told)]);
  });

  it('of a client that leaves is no failure', async () => {
    const backend = await startBackend(hang());
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const heard = listen(proxy);

    const { request } = open(url);
    await until(() => backend.started === 1);
    request.destroy();

    await until(() => toldOf(heard, 'done').length === 1);
    expect(toldOf(heard, 'hop')).toMatchObject([
      { outcome: 'CLIENT_GONE', status: null, failed: false },
    ]);
  });

  it('of a connection that was stale is no failure', async () => {
    const backend = await startBackend(resetWhenReused(reply(200)));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    await get(url);
    const heard = listen(proxy);

    expect((await get(url)).status).toBe(200);

    await until(() => toldOf(heard, 'done').length === 1);
    expect(toldOf(heard, 'hop')).toMatchObject([
      { outcome: 'ECONNRESET', failed: false },
      { outcome: 200, failed: false },
    ]);
  });

  it('is told of an attempt whose request a middleware has answered meanwhile', async () => {
    const backend = await startBackend(hang());
    const proxy = quietProxy({ target: backend.url });
    const heard = listen(proxy);
    const { url } = await startProxy((app) => {
      app.use((_req, res, next) => {
        next();
        until(() => backend.started === 1).then(() => res.status(503).end('late'));
      });
      app.use(proxy);
    });

    expect((await get(url)).text).toBe('late');

    await until(() => toldOf(heard, 'done').length === 1);
    expect(toldOf(heard, 'hop')).toMatchObject([{ outcome: 'CUT', status: null, failed: false }]);
  });

  it('of a WebSocket is told when it is over', async () => {
    const { url: target, sockets } = await startWebSocketBackend();
    const { url, proxy } = await startUpgradeProxy({ target });
    const heard = listen(proxy);
    const socket = await openWebSocket(url);
    expect(namesOf(heard)).toEqual(['request', 'attempt']);

    sockets[0]!.close(1000);
    await closed(socket);

    await until(() => toldOf(heard, 'done').length === 1);
    expect(toldOf(heard, 'hop')).toMatchObject([{ outcome: 101, status: 101, failed: false }]);
  });

  it('has the url that was asked, which is the one of the attempt but for the director', async () => {
    const [one, two] = await startBackends(reply(500), reply(200));

    const { heard, hops } = await eventsOf(
      {
        target: [`${one.url}/base`, `${two.url}/base`],
        pathRewrite: { '^/old': '/new' },
        director(outgoing) {
          outgoing.path += '&more=1';
        },
      },
      '/old/x?a=1',
    );

    const urls = [one, two].map(({ url }) => `${url}/base/new/x?a=1`);
    expect(toldOf(heard, 'attempt').map(({ url }) => url)).toEqual(urls);
    expect(hops.map(({ url }) => url)).toEqual(urls.map((url) => `${url}&more=1`));
  });
});
