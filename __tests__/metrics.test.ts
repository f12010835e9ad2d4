// collectMetrics(): what is counted, and what is read when the register is asked.
import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import type { TinyProxyOptions } from '../src/index.js';
import { collectMetrics } from '../src/metrics/index.js';
import {
  dieInBody,
  failTimes,
  hang,
  heldUntil,
  reply,
  startBackend,
  startBackends,
} from './support/backend.js';
import { idle, startMetered } from './support/metered.js';
import { get, open, startProxyWith } from './support/proxy.js';
import { refusedPort } from './support/raw.js';
import { samplesOf, scrape } from './support/samples.js';
import { gate, until } from './support/wait.js';
import {
  closed,
  openWebSocket,
  startUpgradeProxy,
  startWebSocketBackend,
} from './support/websocket.js';

const QUICK = { backoff: { initialDelay: 1, maxDelay: 1 } };
const proxy = 'default';

describe('counters', () => {
  it('tell requests, attempts, failures by cause, and retries', async () => {
    const port = await refusedPort();
    const well = await startBackend(reply(200));
    const running = await startMetered({
      target: [`http://127.0.0.1:${port}`, well.url],
      retry: true,
    });
    const refusing = `127.0.0.1:${port}`;

    await get(running.url);
    await get(running.url, { method: 'POST' });
    await get(running.url, { method: 'POST' });
    await idle(running);

    expect(await running.samples('requests_total')).toEqual([
      [{ proxy, method: 'GET', status: '200' }, 1],
      [{ proxy, method: 'POST', status: '200' }, 1],
      [{ proxy, method: 'POST', status: '502' }, 1],
    ]);
    expect(await running.samples('attempts_total')).toEqual([
      [{ proxy, backend: refusing, outcome: 'ECONNREFUSED' }, 2],
      [{ proxy, backend: well.host, outcome: '200' }, 2],
    ]);
    expect(await running.samples('failures_total')).toEqual([
      [{ proxy, backend: refusing, cause: 'ECONNREFUSED' }, 2],
    ]);
    expect(await running.samples('retries_total')).toEqual([
      [{ proxy, backend: refusing }, 1],
      [{ proxy, backend: well.host }, 0],
    ]);
    expect(await running.samples('no_retry_total')).toEqual([[{ proxy, reason: 'method' }, 1]]);
  });

  it.each<[string, Parameters<typeof startBackend>[0], Partial<TinyProxyOptions>, string[]]>([
    ['a status', reply(503), {}, ['503']],
    ['a status that is no failure', reply(404), {}, []],
    ['a timeout', hang(), { attemptTimeout: 1 }, ['ETIMEDOUT']],
    ['a body that breaks', dieInBody(10), {}, ['ECONNRESET']],
  ])('have as the cause of a failure: %s', async (_what, handler, options, causes) => {
    const { url: target, host: backend } = await startBackend(handler);
    const running = await startMetered({ target, retry: false, ...options });

    await get(running.url);
    await idle(running);

    expect(await running.samples('failures_total')).toEqual(
      causes.map((cause) => [{ proxy, backend, cause }, 1]),
    );
  });

  it('tell of a client that leaves, and count no failure', async () => {
    const backend = await startBackend(hang());
    const running = await startMetered({ target: backend.url });

    const { request } = open(running.url);
    await until(() => backend.started === 1);
    request.destroy();
    await idle(running);

    expect(await running.samples('requests_total')).toEqual([
      [{ proxy, method: 'GET', status: 'none' }, 1],
    ]);
    expect(await running.samples('attempts_total')).toEqual([
      [{ proxy, backend: backend.host, outcome: 'CLIENT_GONE' }, 1],
    ]);
    expect(await running.samples('no_retry_total')).toEqual([
      [{ proxy, reason: 'client-gone' }, 1],
    ]);
    expect(await running.samples('failures_total')).toEqual([]);
    expect(await running.samples('attempt_duration_seconds_count')).toEqual([]); // it has none
  });

  it('tell how often a breaker has opened, from 0 on', async () => {
    const backend = await startBackend(reply(500));
    const running = await startMetered({
      target: backend.url,
      retry: false,
      breaker: { failures: 2 },
    });
    const opens = () => running.samples('breaker_opens_total');

    expect(await opens()).toEqual([[{ proxy, backend: backend.host }, 0]]);
    for (let i = 0; i < 3; i += 1) await get(running.url);
    expect(await opens()).toEqual([[{ proxy, backend: backend.host }, 1]]);
  });

  it('count a WebSocket when it is over', async () => {
    const { url: target, sockets } = await startWebSocketBackend();
    const running = await startUpgradeProxy({ target });
    const register = new Registry();
    collectMetrics(running.proxy, { register });
    const socket = await openWebSocket(running.url);
    expect(await scrape(register, 'tiny_proxy_requests_total')).toEqual([]);
    expect(await scrape(register, 'tiny_proxy_requests_in_flight')).toEqual([[{ proxy }, 1]]);

    sockets[0]!.close(1000);
    await closed(socket);
    await idle(running);

    expect(await scrape(register, 'tiny_proxy_requests_total')).toEqual([
      [{ proxy, method: 'GET', status: '101' }, 1],
    ]);
  });
});

describe('histograms', () => {
  it('are of seconds: of a request to its end, of an attempt to its head or failure', async () => {
    const port = await refusedPort();
    const well = await startBackend(reply(200));
    const running = await startMetered({ target: [`http://127.0.0.1:${port}`, well.url] });
    const ms = { request: 0, refused: 0, well: 0 };
    running.proxy.events.on('done', (done) => {
      ms.request = done.ms;
      [ms.refused = 0, ms.well = 0] = done.hops.map((hop) => hop.ms);
    });

    await get(running.url);
    await idle(running);

    const text = await running.register.metrics();
    expect(samplesOf(text, 'tiny_proxy_request_duration_seconds_sum')).toEqual([
      [{ proxy, status: '2xx' }, ms.request / 1000],
    ]);
    expect(samplesOf(text, 'tiny_proxy_attempt_duration_seconds_sum')).toEqual([
      [{ proxy, backend: `127.0.0.1:${port}`, failed: 'true' }, ms.refused / 1000],
      [{ proxy, backend: well.host, failed: 'false' }, ms.well / 1000],
    ]);
    const buckets = samplesOf(text, 'tiny_proxy_request_duration_seconds_bucket');
    expect(buckets.map(([{ le }]) => le).slice(0, 3)).toEqual(['0.001', '0.0025', '0.005']);
    expect(buckets.at(-1)).toEqual([{ proxy, status: '2xx', le: '+Inf' }, 1]);
  });

  it('have the buckets that are asked for', async () => {
    const { url: target } = await startBackend(reply(200));
    const running = await startProxyWith({ target });
    const register = new Registry();
    collectMetrics(running.proxy, { register, buckets: [0.5, 2] });

    await get(running.url);
    await idle(running);

    const buckets = await scrape(register, 'tiny_proxy_attempt_duration_seconds_bucket');
    expect(buckets.map(([{ le }]) => le)).toEqual(['0.5', '2', '+Inf']);
  });
});

describe('gauges are read when the register is asked', () => {
  it('in flight', async () => {
    const { opened, open: letGo } = gate();
    const [one, two] = await startBackends(heldUntil(opened, reply(200)), reply(200));
    const running = await startMetered({ target: [one.url, two.url] });
    const inFlight = async () => [
      await running.samples('requests_in_flight'),
      await running.samples('attempts_in_flight'),
    ];
    const counts = (count: number) => [
      [[{ proxy }, count]],
      [
        [{ proxy, backend: one.host }, count],
        [{ proxy, backend: two.host }, 0],
      ],
    ];

    expect(await inFlight()).toEqual(counts(0));
    const answer = get(running.url);
    await until(() => one.started === 1);
    expect(await inFlight()).toEqual(counts(1));
    letGo();
    await answer;
    await idle(running);
    expect(await inFlight()).toEqual(counts(0));
  });

  it("a breaker's state, and a drain", async () => {
    const backend = await startBackend(failTimes(1, reply(200)));
    const running = await startMetered({
      target: backend.url,
      retry: false,
      breaker: { failures: 1, cooldown: 200 },
    });
    const state = async (): Promise<string> => {
      const samples = await running.samples('breaker_state');
      expect(samples.map(([{ state }]) => state)).toEqual(['closed', 'open', 'half-open']);
      expect(samples.reduce((sum, [, value]) => sum + value, 0)).toBe(1);
      return samples.find(([, value]) => value === 1)?.[0].state ?? '';
    };
    const drained = () => running.samples('backend_drained');

    expect(await state()).toBe('closed');
    await get(running.url);
    expect(await state()).toBe('open');
    await until(() => running.proxy.status().backends[0]?.breaker === 'half-open');
    expect(await state()).toBe('half-open');
    await get(running.url);
    expect(await state()).toBe('closed');

    expect(await drained()).toEqual([[{ proxy, backend: backend.host }, 0]]);
    const undrain = running.proxy.drain(backend.url);
    expect(await drained()).toEqual([[{ proxy, backend: backend.host }, 1]]);
    undrain();
    expect(await drained()).toEqual([[{ proxy, backend: backend.host }, 0]]);
  });

  it('what is left of the budget, where there is one', async () => {
    const { url: target } = await startBackend(failTimes(1, reply(200)));
    const budget = { ratio: 0, minPerSecond: 7 };
    const limited = await startMetered({ target, retry: { ...QUICK, budget } });
    const unlimited = await startMetered({ target, retry: { budget: false } });
    const left = () => limited.samples('retry_budget_left');

    expect(await left()).toEqual([[{ proxy }, 7]]);
    await get(limited.url);
    const { budget: now } = limited.proxy.status();
    expect(await left()).toEqual([[{ proxy }, now?.left]]);
    expect(await unlimited.samples('retry_budget_left')).toEqual([]);
  });

  it('by one status() for all of them', async () => {
    const running = await startProxyWith({ target: 'http://10.0.0.1' });
    const { status } = running.proxy;
    let asked = 0;
    running.proxy.status = () => {
      asked += 1;
      return status();
    };
    const register = new Registry();
    collectMetrics(running.proxy, { register });
    asked = 0;

    await register.metrics();
    expect(asked).toBe(1);
    await register.metrics();
    expect(asked).toBe(2);
  });

  it('added up for backends that differ in their path alone', async () => {
    const running = await startMetered({ target: ['http://10.0.0.1/a', 'https://10.0.0.1:80/b'] });
    const backend = '10.0.0.1:80';

    expect(await running.samples('breaker_state')).toEqual([
      [{ proxy, backend, state: 'closed' }, 2],
      [{ proxy, backend, state: 'open' }, 0],
      [{ proxy, backend, state: 'half-open' }, 0],
    ]);
  });
});
