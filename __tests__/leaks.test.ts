// Nothing is left behind: no listener, no timer, no socket. (setup.ts fails a test at a warning.)
import { type EventEmitter, once as nextEvent } from 'node:events';
import { Agent } from 'node:http';
import type { Socket } from 'node:net';
import { runInThisContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import type { TinyProxyOptions } from '../src/index.js';
import { dieInBody, echo, hang, reply, resetConnection, startBackend } from './support/backend.js';
import { closeAll } from './support/cleanup.js';
import { expectNothingBut, openHandles } from './support/handles.js';
import {
  type ClientInit,
  get,
  open,
  quietProxy,
  startProxy,
  startProxyWith,
} from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { delivery, until } from './support/wait.js';

// A test's own `process` is jest's copy: both are looked at.
const realProcess = runInThisContext('process') as NodeJS.Process;

/** How many listeners each event has. */
function listenersOf(emitter: EventEmitter): Record<string, number> {
  const counts = emitter.eventNames().map((event) => [String(event), emitter.listenerCount(event)]);
  return Object.fromEntries(counts.sort());
}

const BODY = 'x'.repeat(1000);

/** Every kind of request, each with what it does to its backend or its client. */
const KINDS: [path: string, init: ClientInit][] = [
  ['/ok', {}],
  ['/ok', { method: 'HEAD' }],
  ['/ok', { method: 'POST', body: BODY }],
  ['/ok', { method: 'PUT', body: BODY }],
  ['/ok', { method: 'TRACE' }],
  ['/500', {}],
  ['/500', { method: 'PUT', body: BODY }],
  ['/500', { method: 'POST', body: BODY }],
  ['/reset', {}],
  ['/reset', { method: 'PUT', body: BODY }],
  ['/%2e%2e/x', {}],
  ['/hang', {}],
];

/** Node's own client gives a connection up after a HEAD without a length. */
const KEEPING = KINDS.filter(([, { method }]) => method !== 'HEAD');

/** A backend that does what the path says, and an app with a proxy to it and to a dead port. */
async function mixed(options: Partial<TinyProxyOptions> = {}) {
  const handlers = { '/500': reply(500), '/reset': resetConnection(), '/hang': hang() };
  const others = { '/die': dieInBody(100) };
  const byPath = new Map(Object.entries({ ...handlers, ...others }));
  const backend = await startBackend((request, response, body) => {
    return (byPath.get(request.url ?? '') ?? echo())(request, response, body);
  });
  const running = await startProxyWith({
    target: options.agent ? backend.url : [backend.url, await refusedUrl()],
    breaker: false,
    attemptTimeout: 50,
    retry: { attempts: 3, backoff: { initialDelay: 1 }, budget: false },
    ...options,
  });
  return { ...running, backend };
}

describe('a server', () => {
  it('has at most one listener per event of twenty proxies of twenty backends each', async () => {
    const backends = await Promise.all(Array.from({ length: 20 }, () => startBackend(reply(200))));
    const target = backends.map((backend) => backend.url);
    const bare = await startProxy(() => {});
    const { url, server } = await startProxy((app) => {
      for (let i = 0; i < 20; i += 1) app.use(`/${i}`, quietProxy({ target }));
    });

    for (let i = 0; i < 20; i += 1) {
      await Promise.all(target.map(() => get(`${url}/${i}`)));
    }

    expect(backends.map(({ received }) => received.length)).toEqual(target.map(() => 20));
    const before = listenersOf(bare.server);
    for (const [event, count] of Object.entries(listenersOf(server))) {
      expect({ event, more: count - (before[event] ?? 0) > 1 }).toEqual({ event, more: false });
    }
  });

  it('has no listener more after two hundred requests of all kinds', async () => {
    const { url, server } = await mixed();
    await get(`${url}/ok`);
    const before = listenersOf(server);

    for (let i = 0; i < 200; i += KINDS.length) {
      await Promise.all(KINDS.map(([path, init]) => get(url + path, init)));
    }

    expect(listenersOf(server)).toEqual(before);
  });
});

describe('the connection of a client', () => {
  it('has no listener more after a hundred requests of all kinds', async () => {
    const { url, server } = await mixed();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const connected = nextEvent(server, 'connection');
    await get(`${url}/ok`, { agent });
    const [socket] = (await connected) as [Socket];
    const before = listenersOf(socket);

    for (let i = 0; i < 100; i += KEEPING.length) {
      for (const [path, init] of KEEPING) await get(url + path, { ...init, agent });
    }

    expect(socket.destroyed).toBe(false);
    expect(listenersOf(socket)).toEqual(before);
    agent.destroy();
  });
});

describe('the connection to a backend', () => {
  it('has no listener more after fifty requests', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { url, backend } = await mixed({ agent, attemptTimeout: 15_000 });
    const idle = (): Socket[] =>
      Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);
    const send = async (path: string, init: ClientInit): Promise<void> => {
      await get(url + path, init);
      await until(() => idle().length === 1);
    };
    const kept = KEEPING.filter(([path]) => path === '/ok' || path === '/500');
    for (const [path, init] of kept) await send(path, init);
    const before = listenersOf(idle()[0]!);

    for (let i = 0; i < 50; i += kept.length) {
      for (const [path, init] of kept) await send(path, init);
    }

    expect(listenersOf(idle()[0]!)).toEqual(before);
    expect(backend.connections).toBe(1);
    agent.destroy();
  });

  it('does not stay behind a client that left, or a body that broke', async () => {
    const { url, proxy, backend } = await mixed({ agent: new Agent({ keepAlive: true }) });

    for (let i = 0; i < 10; i += 1) {
      const { request } = open(`${url}/hang`);
      await until(() => backend.started === i + 1);
      request.destroy();
      await until(() => backend.unfinished === i + 1);
    }
    await get(`${url}/die`);

    await until(() => backend.openSockets() <= 1);
    expect(proxy.status()).toMatchObject({ inFlight: 0, backends: [{ inFlight: 0 }] });
  });
});

describe('a request', () => {
  it('of twelve attempts adds no more listeners than one of two', async () => {
    const backends = await Promise.all(
      Array.from({ length: 12 }, () => startBackend(resetConnection())),
    );
    const counts: object[] = [];
    const { url } = await startProxyWith({
      target: backends.map((backend) => backend.url),
      retry: { attempts: 12, budget: false },
      director: (_outgoing, req) =>
        void counts.push([req, req.res!, req.socket].map((emitter) => listenersOf(emitter))),
    });

    const response = await get(url, { method: 'PUT', body: BODY });

    expect(response.status).toBe(502);
    expect(counts).toHaveLength(12);
    expect(counts[11]).toEqual(counts[1]);
  });

  it('leaves no timer behind once it is over, however it went', async () => {
    const { url, backend, proxy } = await mixed({ attemptTimeout: 15_000 });
    const before = openHandles();

    for (const [path, init] of KINDS.filter(([kind]) => kind !== '/hang')) {
      await get(url + path, init);
    }
    const { request } = open(`${url}/hang`);
    await until(() => proxy.status().inFlight === 1);
    request.destroy();
    await until(() => proxy.status().inFlight === 0);

    backend.cutSockets();
    await expectNothingBut(before);
  });
});

describe('the process', () => {
  it('has the listeners of before, on every event, after proxies and requests', async () => {
    const before = [listenersOf(process), listenersOf(realProcess)];

    for (let i = 0; i < 5; i += 1) {
      const { url } = await mixed();
      await Promise.all(KINDS.map(([path, init]) => get(url + path, init)));
    }

    expect([listenersOf(process), listenersOf(realProcess)]).toEqual(before);
  });

  it('has no open handle that it did not have before, when all is closed', async () => {
    await delivery();
    const before = openHandles();

    const { url, proxy } = await mixed();
    await Promise.all(KINDS.map(([path, init]) => get(url + path, init)));
    open(`${url}/hang`);
    await until(() => proxy.status().inFlight === 1);
    await proxy.close(0);
    await proxy.close();
    await closeAll();

    await expectNothingBut(before);
  });
});
