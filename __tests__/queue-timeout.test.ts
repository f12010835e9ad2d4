// What becomes of an attempt that waits in vain for one of maxConnections: it is the next backend's
// turn, or there is a 503; nothing is held against the backend. And who is chosen in the first place.
import { describe, expect, it } from '@jest/globals';
import type { ErrorRequestHandler } from 'express';
import type { Candidate, Hop, ProxyError, TinyProxyOptions } from '../src/index.js';
import { hang, reply, startBackend, streamForever } from './support/backend.js';
import { fullBackends, KINDS, only, UPLOAD_BYTES } from './support/full-backends.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { type ClientInit, get, open, startProxyWith } from './support/proxy.js';
import { until } from './support/wait.js';
import { openWebSocket, startWebSocketBackend } from './support/websocket.js';

const FULL = { status: 503, code: 'NO_BACKEND' };

describe('an attempt that has waited for queueTimeout', () => {
  it.each(KINDS)('ends as a 503 with Retry-After where nobody else is: %s', async (_kind, init) => {
    for (const retry of [{}, false] as const) {
      const options = { queueTimeout: 30, retry, breaker: { failures: 1 } };
      const { url, proxy, log, backends, letGo } = await fullBackends(1, options);

      const response = await get(url, init());

      expect(JSON.parse(response.text)).toMatchObject(FULL);
      expect(response.headers['retry-after']).toBe('1');
      const line = await requestLine(log);
      expect(line).toMatchObject({ status: 503, noRetry: 'no-backend' });
      expect(line.hops).toMatchObject([{ attempt: 1, outcome: 'QUEUE_TIMEOUT' }]);
      expect(line.hops[0]!.ms).toBeGreaterThanOrEqual(29);
      expect(backends[0]!.started).toBe(1);
      const untouched = { breaker: 'closed', failures: 0, consecutiveFailures: 0, lastError: null };
      expect(proxy.status().backends).toMatchObject([{ ...untouched, inFlight: 1 }]);
      await letGo();
    }
  });

  it('is told in one line of text', async () => {
    const { backend, url: target } = await startWebSocketBackend(() => {});
    const { url, server, proxy, log } = await startProxyWith(
      { target, maxConnections: 1, queueTimeout: 0 },
      { captureLog: true },
    );
    server.on('upgrade', proxy.upgrade);
    const socket = await openWebSocket(url);

    await get(`${url}/orders`, { headers: { 'X-Request-ID': 'night-1' } });

    await until(() => log.length === 1);
    expect(log[0]).toMatch(
      new RegExp(
        `night-1 GET /orders 503 \\d+ [\\d.]+ ms ${backend.host}=QUEUE_TIMEOUT/[\\d.]+ms$`,
      ),
    );
    socket.terminate();
  });

  it('has not waited at all with queueTimeout 0', async () => {
    const { url, letGo } = await fullBackends(1, { queueTimeout: 0 });

    expect(JSON.parse((await get(url)).text)).toMatchObject(FULL);

    await letGo();
    expect((await get(url)).status).toBe(200);
  });

  it('answers a WebSocket as it answers all', async () => {
    const { url, server, proxy, letGo } = await fullBackends(1, { queueTimeout: 30 });
    server.on('upgrade', proxy.upgrade);

    await expect(openWebSocket(url)).rejects.toThrow('503');

    await letGo();
  });

  it.each(KINDS)(
    'goes to the next backend, also where nothing may be retried: %s',
    async (_kind, init) => {
      for (const retry of [
        false,
        { budget: { ratio: 0, minPerSecond: 0 } },
        { attempts: 1 },
      ] as const) {
        const running = await fullBackends(3, { queueTimeout: 60, retry }, reply(200, 'third'));
        const { url, proxy, log, gates, backends, letGo } = running;
        const told: (string | null)[] = [];
        proxy.events.on('retry', ({ next, outcome }) => told.push(`${outcome}>${next}`));
        let tries = 0;
        proxy.events.on('attempt', ({ attempt }) => {
          tries = attempt;
        });

        const answer = get(url, init());
        await until(() => tries === 2);
        gates[2]!.open();

        expect((await answer).text).toBe('third');
        const seen = backends[2]!.received.at(-1)!;
        expect(seen.headers['x-request-attempt']).toBe('3');
        expect(seen.body).toHaveLength(sizeOf(init));
        const line = await requestLine(log, 2);
        expect(line.noRetry).toBe('-');
        const [a, b, c] = backends.map(({ host }) => host);
        expect(line.hops.map(hopOf)).toEqual([
          `${a}=QUEUE_TIMEOUT`,
          `${b}=QUEUE_TIMEOUT`,
          `${c}=200`,
        ]);
        expect(told).toEqual([`QUEUE_TIMEOUT>${b}`, `QUEUE_TIMEOUT>${c}`]);
        expect(backends.slice(0, 2).map(({ started }) => started)).toEqual([1, 1]);
        await letGo();
      }
    },
  );

  it('is a 503 when no backend was free, each waited for once', async () => {
    const { url, log, letGo } = await fullBackends(4, {
      queueTimeout: 20,
      retry: { attempts: 2 },
    });

    expect(JSON.parse((await get(url)).text)).toMatchObject(FULL);

    const { hops, noRetry } = await requestLine(log);
    expect(hops.map(({ outcome }) => outcome)).toEqual(Array(4).fill('QUEUE_TIMEOUT'));
    expect(new Set(hops.map(({ backend }) => backend)).size).toBe(4);
    expect(noRetry).toBe('no-backend');
    await letGo();
  });

  it('is a 503, too, after another attempt has failed', async () => {
    const { url, log, gates, held, backends, letGo } = await fullBackends(
      2,
      { queueTimeout: 30 },
      reply(500),
    );
    gates[0]!.open();
    await held[0];

    const response = await get(url);

    expect(JSON.parse(response.text)).toMatchObject(FULL);
    expect(outcomes(await requestLine(log, 2))).toEqual([500, 'QUEUE_TIMEOUT']);
    expect(backends.map(({ started }) => started)).toEqual([2, 1]);
    await letGo();
  });

  it('is an error of Express, with its headers, where that is asked for', async () => {
    const { url, app, letGo } = await fullBackends(1, { queueTimeout: 0, errors: 'next' });
    const told: unknown[] = [];
    const onError: ErrorRequestHandler = (error: ProxyError, _req, res, _next) => {
      const { code, status, headers, hops } = error;
      told.push([code, status, headers, outcomes({ hops })]);
      res.status(status).end();
    };
    app.use(onError);

    expect((await get(url)).status).toBe(503);

    expect(told).toEqual([['NO_BACKEND', 503, { 'retry-after': '1' }, ['QUEUE_TIMEOUT']]]);
    await letGo();
  });
});

describe('a deadline that passes in the queue', () => {
  it.each<[string, Partial<TinyProxyOptions>, string[], string]>([
    ['attemptTimeout', { attemptTimeout: 500 }, ['QUEUE_TIMEOUT', 'QUEUE_TIMEOUT'], 'no-backend'],
    ['requestTimeout', { requestTimeout: 500 }, ['QUEUE_TIMEOUT'], 'deadline'],
  ])('ends the wait: %s', async (_which, options, outcome, noRetry) => {
    // What holds the connections has its head: no deadline applies to it.
    const backends = await Promise.all([1, 2].map(() => startBackend(streamForever())));
    const { url, proxy, log } = await startProxyWith(
      {
        target: backends.map((each) => each.url),
        maxConnections: 1,
        queueTimeout: 10_000,
        ...options,
      },
      { captureLog: 'json' },
    );
    const streams = [open(url), open(url)];
    await Promise.all(streams.map(({ response }) => response));

    const response = await get(url);

    expect(JSON.parse(response.text)).toMatchObject(FULL);
    const line = await requestLine(log);
    expect([outcomes(line), line.noRetry]).toEqual([outcome, noRetry]);
    const untouched = { failures: 0, breaker: 'closed', inFlight: 1 };
    expect(proxy.status().backends).toMatchObject([untouched, untouched]);
    for (const { request } of streams) request.destroy();
  });
});

describe('the balance', () => {
  it.each(['round-robin', 'least-pending', 'random-two'] as const)(
    'of %s leaves out the full ones while another is not',
    async (balance) => {
      const others = await Promise.all([0, 1].map(() => startBackend(reply(200, 'free'))));
      const slow = await startBackend(only('/hold', hang(), reply(200, 'slow')));
      const { url, proxy } = await startProxyWith({
        target: [slow.url, ...others.map((each) => each.url)],
        maxConnections: 1,
        balance,
      });
      const undrains = others.map((each) => proxy.drain(each.url));
      const holding = open(`${url}/hold`);
      await until(() => slow.started === 1);
      for (const undrain of undrains) undrain();

      for (let i = 0; i < 12; i += 1) expect((await get(url)).text).toBe('free');

      expect(slow.started).toBe(1);
      holding.request.destroy();
    },
  );

  it('of a function is given the others alone; all of them, where all are full', async () => {
    const given: string[][] = [];
    const balance = (_req: unknown, candidates: readonly Candidate[]): Candidate => {
      given.push(candidates.map((each) => each.url));
      return candidates[0]!;
    };
    const { url, backends, letGo } = await fullBackends(2, { queueTimeout: 0, balance });
    const [a, b] = backends.map((each) => each.url);

    expect((await get(url)).status).toBe(503);

    expect(given).toEqual([[a, b], [b], [a, b], [b]]);
    await letGo();
  });

  it('of a retry, too, prefers who is free', async () => {
    const { url, log, gates, backends, held, letGo } = await fullBackends(3, {}, reply(500));
    backends[2]!.answerWith(reply(200, 'free'));
    gates[0]!.open();
    gates[2]!.open();
    await Promise.all([held[0], held[2]]);

    expect((await get(url)).text).toBe('free');

    const { hops } = await requestLine(log, 3);
    const [a, , c] = backends.map(({ host }) => host);
    expect(hops.map(hopOf)).toEqual([`${a}=500`, `${c}=200`]);
    await letGo();
  });
});

const hopOf = ({ backend, outcome }: Hop): string => `${backend}=${outcome}`;

function sizeOf(init: () => ClientInit): number {
  const { body } = init();
  if (body === undefined) return 0;
  return typeof body === 'string' ? body.length : UPLOAD_BYTES;
}
