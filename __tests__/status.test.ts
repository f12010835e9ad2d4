// status(): a plain snapshot of what a proxy and its backends do. drain().
import { describe, expect, it } from '@jest/globals';
import type { ProxyStatus } from '../src/index.js';
import {
  controlled,
  failTimes,
  hang,
  heldUntil,
  reply,
  resetConnection,
  startBackend,
} from './support/backend.js';
import {
  get,
  open,
  quietProxy,
  readBody,
  startProxy,
  startProxyWith,
  TRANSPORT,
} from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { gate, until } from './support/wait.js';

const A = 'http://10.0.0.1:8081';
const B = 'https://10.0.0.2/base';

const firstOf = ({ backends }: ProxyStatus) => backends[0]!;

describe('status()', () => {
  it('of a proxy that has done nothing has every key of the contract, and no other', () => {
    const status = quietProxy({ target: [A, { url: B, weight: 3 }] }).status();

    const idle = {
      breaker: 'closed',
      drained: false,
      healthy: true,
      openUntil: null,
      consecutiveFailures: 0,
      inFlight: 0,
      attempts: 0,
      failures: 0,
      lastError: null,
      latency: null,
    };
    expect(status).toStrictEqual({
      transport: TRANSPORT === 'http' ? 'http' : 'undici',
      closed: false,
      inFlight: 0,
      requests: 0,
      retries: 0,
      budget: { left: 10 },
      backends: [
        { url: A, weight: 1, ...idle },
        { url: B, weight: 3, ...idle },
      ],
    });
  });

  it('counts requests, attempts, retries and failures, each backend its own', async () => {
    const sick = await startBackend(reply(500));
    const well = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target: [sick.url, well.url] });

    await get(url); // sick, then well
    await get(url); // sick again: its turn
    await get(url, { method: 'POST' });

    const { requests, retries, backends } = proxy.status();
    const attempts = sick.started + well.started;
    expect({ requests, retries }).toEqual({ requests: 3, retries: attempts - 3 });
    expect(backends).toMatchObject([
      { attempts: sick.started, failures: sick.started },
      { attempts: well.started, failures: 0, lastError: null },
    ]);
    expect(sick.started).toBeGreaterThan(0);
  });

  it.each([
    ['a status', () => startBackend(reply(503)), '503'],
    ['a reset', () => startBackend(resetConnection()), 'ECONNRESET'],
    ['a timeout', () => startBackend(hang()), 'ETIMEDOUT'],
    ['a refusal', async () => ({ url: await refusedUrl() }), 'ECONNREFUSED'],
  ])('names the last error: %s', async (_what, start, error) => {
    const { url: target } = await start();
    const attemptTimeout = error === 'ETIMEDOUT' ? 50 : 15_000;
    const { url, proxy } = await startProxyWith({ target, retry: false, attemptTimeout });

    await get(url);

    expect(firstOf(proxy.status()).lastError).toContain(error);
    expect(firstOf(proxy.status())).toMatchObject({ failures: 1, consecutiveFailures: 1 });
  });

  it('counts failures in a row, back to 0 at a success', async () => {
    const backend = await startBackend(failTimes(2, reply(200)));
    const { url, proxy } = await startProxyWith({ target: backend.url, retry: false });

    const seen: number[] = [];
    for (let i = 0; i < 3; i += 1) {
      await get(url);
      await until(() => proxy.status().inFlight === 0);
      seen.push(firstOf(proxy.status()).consecutiveFailures);
    }

    expect(seen).toEqual([1, 2, 0]);
    expect(firstOf(proxy.status())).toMatchObject({ failures: 2, lastError: 'status 500' });
  });

  it('tells what is in flight until its body has ended', async () => {
    const body = controlled();
    const backend = await startBackend(body.handler);
    const { url, proxy } = await startProxyWith({ target: backend.url });

    const incoming = await open(url).response;
    expect(proxy.status()).toMatchObject({ inFlight: 1, backends: [{ inFlight: 1 }] });
    body.end();
    await readBody(incoming);

    await until(() => proxy.status().inFlight === 0);
    expect(firstOf(proxy.status()).inFlight).toBe(0);
  });

  it('counts nothing against a backend whose client has left', async () => {
    const backend = await startBackend(hang());
    const { url, proxy } = await startProxyWith({ target: backend.url });

    const { request } = open(url);
    await until(() => backend.started === 1);
    request.destroy();

    await until(() => proxy.status().inFlight === 0);
    expect(firstOf(proxy.status())).toMatchObject({
      inFlight: 0,
      attempts: 1,
      failures: 0,
      consecutiveFailures: 0,
      lastError: null,
    });
  });

  it('has the latency to the heads, in ms, where there were some', async () => {
    const held = gate();
    const quick = await startBackend(heldUntil(held.opened, reply(200)));
    const { url, proxy } = await startProxyWith({ target: [quick.url, await refusedUrl()] });

    const slow = get(url);
    await until(() => quick.started === 1);
    const startedAt = performance.now();
    await until(() => performance.now() - startedAt > 30);
    held.open();
    await slow;
    for (let i = 0; i < 9; i += 1) await get(url);

    const [reached, refused] = proxy.status().backends;
    expect(refused?.latency).toBeNull();
    expect(Object.keys(reached!.latency!)).toEqual(['p50', 'p99']);
    expect(reached!.latency!.p99).toBeGreaterThanOrEqual(30);
    expect(reached!.latency!.p50).toBeGreaterThan(0);
    expect(reached!.latency!.p50).toBeLessThan(reached!.latency!.p99);
  });

  it('says until when a breaker is open, in ISO, and half-open afterwards', async () => {
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      breaker: { failures: 1, cooldown: 700 },
    });
    const before = Date.now();
    await get(url, { method: 'POST' });

    const { breaker, openUntil } = firstOf(proxy.status());
    expect(breaker).toBe('open');
    expect(openUntil).toBe(new Date(openUntil!).toISOString());
    expect(Date.parse(openUntil!)).toBeGreaterThanOrEqual(before + 700);
    expect(Date.parse(openUntil!)).toBeLessThanOrEqual(Date.now() + 700);

    await until(() => firstOf(proxy.status()).breaker === 'half-open');
    expect(Date.now()).toBeGreaterThanOrEqual(before + 700);
    expect(firstOf(proxy.status()).openUntil).toBeNull();
  });

  it('tells how many retries the budget has left, and null where there is none', async () => {
    const backend = await startBackend(reply(500));
    const target = backend.url;
    const retry = { budget: { ratio: 0, minPerSecond: 5 }, backoff: { initialDelay: 0 } };
    const { url, proxy } = await startProxyWith({ target, retry });
    expect(proxy.status().budget).toEqual({ left: 5 });

    await get(url);

    expect(proxy.status().budget).toEqual({ left: 3 });
    expect(quietProxy({ target, retry: false }).status().budget).toBeNull();
    expect(quietProxy({ target, retry: { budget: false } }).status().budget).toBeNull();
  });

  it('is plain JSON, and does not change once it is taken', async () => {
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({
      target: [backend.url, B],
      breaker: { failures: 1 },
    });
    proxy.drain(B);
    const before = proxy.status();
    const copy = structuredClone(before);

    await get(url, { method: 'POST' });

    expect(before).toEqual(copy);
    const after = proxy.status();
    expect(after.requests).toBe(1);
    expect(JSON.parse(JSON.stringify(after))).toEqual(after);
  });

  it('counts no request that pathFilter passes on', async () => {
    const backend = await startBackend(reply(200));
    const proxy = quietProxy({ target: backend.url, pathFilter: '/ours' });
    const { url } = await startProxy((app) => app.use(proxy));

    await get(`${url}/theirs`);
    await get(`${url}/ours`);

    expect(proxy.status().requests).toBe(1);
  });
});

describe('drain()', () => {
  it('takes a backend out until the function that it answers is called', async () => {
    const [first, second] = await Promise.all([startBackend(reply(200)), startBackend(reply(200))]);
    const { url, proxy } = await startProxyWith({ target: [first.url, second.url] });

    const undrain = proxy.drain(first.url);
    expect(proxy.status().backends.map(({ drained }) => drained)).toEqual([true, false]);
    for (let i = 0; i < 4; i += 1) await get(url);
    expect([first.started, second.started]).toEqual([0, 4]);

    undrain();
    expect(proxy.status().backends.map(({ drained }) => drained)).toEqual([false, false]);
    for (let i = 0; i < 4; i += 1) await get(url);
    expect(first.started).toBeGreaterThan(0);
  });

  it('is undone by each function once, and for its own drain only', () => {
    const proxy = quietProxy({ target: A });
    const drained = (): boolean => firstOf(proxy.status()).drained;

    const [one, other] = [proxy.drain(A), proxy.drain(new URL(A))];
    one();
    one();
    expect(drained()).toBe(true);
    other();
    expect(drained()).toBe(false);
    proxy.drain(A);
    one();
    other();
    expect(drained()).toBe(true);
  });

  it.each(['http://10.0.0.9', 'nonsense', `${A}/x`])(
    'of %s, which is no backend, is a TypeError',
    (url) => {
      const proxy = quietProxy({ target: [A, B] });

      expect(() => proxy.drain(url)).toThrow(TypeError);
      expect(() => proxy.drain(url)).toThrow(url);
      expect(() => proxy.drain(url)).toThrow(A);
    },
  );
});
