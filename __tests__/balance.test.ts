import { describe, expect, it } from '@jest/globals';
import type { ErrorRequestHandler } from 'express';
import type { BalanceFunction, Candidate, ProxyError, TinyProxyOptions } from '../src/index.js';
import {
  byPath,
  type Handler,
  hang,
  heldUntil,
  reply,
  resetConnection,
  startBackend,
  startBackends,
} from './support/backend.js';
import { requestLine } from './support/log-lines.js';
import { answerers, counts, startPool } from './support/pool.js';
import { get, open, startProxyWith } from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { gate, until } from './support/wait.js';

describe('round-robin', () => {
  it('is the default, and goes round', async () => {
    const { running } = await startPool([1, 1, 1]);

    expect((await answerers(running.url, 6)).join('')).toBe('012012');
  });

  it('gives each backend its share by weight, in every round', async () => {
    const { running } = await startPool([5, 1, 2], { balance: 'round-robin' });

    for (let round = 0; round < 3; round += 1) {
      expect(counts(await answerers(running.url, 8))).toEqual({ 0: 5, 1: 1, 2: 2 });
    }
  });

  it('spreads the turns of a heavy backend', async () => {
    const { running } = await startPool([3, 3]);

    expect((await answerers(running.url, 6)).join('')).toBe('010101');
  });

  it('leaves out a backend whose breaker is open, and shares among the others', async () => {
    const { backends, running } = await startPool([1, 1, 1], { breaker: { failures: 1 } });
    backends[1]?.answerWith(reply(500));
    await answerers(running.url, 3);

    expect(counts(await answerers(running.url, 6))).toEqual({ 0: 3, 2: 3 });
  });
});

describe('least-pending', () => {
  it('goes where the fewest attempts run', async () => {
    const { backends, running } = await startPool([1, 1, 1], { balance: 'least-pending' });
    for (const backend of backends.slice(0, 2)) backend.answerWith(hang());
    open(running.url);
    open(running.url);
    open(running.url);
    await until(() => backends.every(({ started }) => started === 1));

    expect(await answerers(running.url, 4)).toEqual(['2', '2', '2', '2']);
  });

  it('weighs what runs: a backend of weight 3 may have three times as many', async () => {
    const held = gate();
    const { backends, running } = await startPool([3, 1], { balance: 'least-pending' });
    for (const backend of backends) backend.answerWith(heldUntil(held.opened, reply(200)));

    const answers = Array.from({ length: 8 }, () => get(running.url));
    await until(() => backends[0]!.started + backends[1]!.started === 8);

    expect(backends.map(({ started }) => started)).toEqual([6, 2]);
    expect(running.proxy.status().backends.map(({ inFlight }) => inFlight)).toEqual([6, 2]);
    held.open();
    await Promise.all(answers);
  });

  it('goes round where all are idle', async () => {
    const { running } = await startPool([1, 1], { balance: 'least-pending' });

    expect(counts(await answerers(running.url, 6))).toEqual({ 0: 3, 1: 3 });
  });
});

describe('random-two', () => {
  it('never takes the one backend where most attempts run', async () => {
    const { backends, running } = await startPool([1, 1, 1], { balance: 'random-two' });
    backends[0]?.answerWith(hang());
    const undrains = backends.slice(1).map(({ url }) => running.proxy.drain(url));
    open(running.url);
    await until(() => backends[0]?.started === 1);
    for (const undrain of undrains) undrain();

    expect(await answerers(running.url, 20)).not.toContain('0');
  });

  it('takes every backend now and then', async () => {
    const { running } = await startPool([1, 1, 1, 1], { balance: 'random-two' });

    // One of four is left out of 200 with a probability of 4 * 0.75 ** 200.
    expect(Object.keys(counts(await answerers(running.url, 200)))).toHaveLength(4);
  });

  it('takes the only one where there is only one', async () => {
    const { running } = await startPool([1], { balance: 'random-two' });

    expect(await answerers(running.url, 2)).toEqual(['0', '0']);
  });
});

describe('a balance function', () => {
  it('is given the request and the candidates, and decides', async () => {
    const seen: unknown[] = [];
    const balance: BalanceFunction = (req, candidates) => {
      seen.push([req.originalUrl, structuredClone(candidates)]);
      return candidates[Number(req.query.to)]!;
    };
    const { backends, running } = await startPool([1, 4], { balance });
    const [first, second] = backends.map(({ url }) => url);

    expect((await get(`${running.url}/x?to=1`)).text).toBe('1');
    expect((await get(`${running.url}/x?to=0`)).text).toBe('0');
    expect(seen).toEqual(
      [1, 0].map((to) => [
        `/x?to=${to}`,
        [
          { url: first, weight: 1, inFlight: 0 },
          { url: second, weight: 4, inFlight: 0 },
        ],
      ]),
    );
  });

  it('sees what is in flight, and of a retry only what was not tried', async () => {
    const seen: Candidate[][] = [];
    const [sick, well] = await startBackends(
      byPath({ '/hang': hang(), '/': reply(500) }),
      reply(200),
    );
    const { url } = await startProxyWith({
      target: [sick.url, well.url],
      balance(_req, candidates) {
        seen.push([...candidates]);
        return candidates[0]!;
      },
    });
    open(`${url}/hang`);
    await until(() => sick.started === 1);

    expect((await get(url)).status).toBe(200);

    expect(seen[1]).toEqual([
      { url: sick.url, weight: 1, inFlight: 1 },
      { url: well.url, weight: 1, inFlight: 0 },
    ]);
    expect(seen[2]).toEqual([{ url: well.url, weight: 1, inFlight: 0 }]);
  });

  const wrong: [what: string, balance: () => unknown][] = [
    [
      'throws',
      () => {
        throw new Error('secret 10.0.0.1');
      },
    ],
    ['answers nothing', () => undefined],
    ['answers null', () => null],
    ['answers a url', () => 'http://127.0.0.1:1'],
    ['answers an object of its own', () => ({ url: 'http://127.0.0.1:1', weight: 1, inFlight: 0 })],
    ['answers a promise', () => Promise.resolve()],
  ];
  it.each(wrong)(
    'that %s is told as 500 BALANCE_FAILED, and nothing is sent',
    async (_w, balance) => {
      const backend = await startBackend(reply(200));
      const { url, proxy, log } = await startProxyWith(
        { target: backend.url, balance: balance as BalanceFunction },
        { captureLog: 'json' },
      );

      const response = await get(url);

      expect(JSON.parse(response.text)).toMatchObject({ status: 500, code: 'BALANCE_FAILED' });
      expect(response.text).not.toContain('10.0.0.1');
      expect(await requestLine(log)).toMatchObject({ status: 500, hops: [] });
      expect(log.some((line) => line.includes('BALANCE_FAILED'))).toBe(true);
      expect(backend.started).toBe(0);
      expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
    },
  );

  const failures: [what: string, target: () => Promise<string>, Partial<TinyProxyOptions>?][] = [
    ['has answered 500', () => urlOf(reply(500))],
    ['was reset', () => urlOf(resetConnection())],
    ['was refused', refusedUrl],
    ['has timed out', () => urlOf(hang()), { attemptTimeout: 200 }],
  ];
  it.each(failures)(
    'that throws when the first attempt %s ends in 500',
    async (_w, target, options = {}) => {
      const well = await startBackend(reply(200));
      let calls = 0;
      const { url, proxy } = await startProxyWith({
        target: [await target(), well.url],
        balance(_req, candidates) {
          calls += 1;
          if (calls === 2) throw new Error('not now');
          return candidates[0]!;
        },
        ...options,
      });

      const response = await get(url);

      expect(JSON.parse(response.text)).toMatchObject({ status: 500, code: 'BALANCE_FAILED' });
      expect(proxy.status()).toMatchObject({ backends: [{ inFlight: 0 }, { inFlight: 0 }] });
      expect((await get(url)).status).toBe(200);
    },
  );

  it.each(failures)(
    'that throws when the first attempt %s is told to Express once',
    async (_w, target, options = {}) => {
      const well = await startBackend(reply(200));
      let calls = 0;
      const told: unknown[] = [];
      const { url, app } = await startProxyWith({
        target: [await target(), well.url],
        errors: 'next',
        balance(_req, candidates) {
          calls += 1;
          if (calls === 2) throw new Error('not now');
          return candidates[0]!;
        },
        ...options,
      });
      const answerLater: ErrorRequestHandler = (error, _req, res, _next) => {
        told.push((error as ProxyError).code);
        setImmediate(() => res.status(599).end());
      };
      app.use(answerLater);

      expect((await get(url)).status).toBe(599);
      expect(told).toEqual(['BALANCE_FAILED']);
    },
  );
});

async function urlOf(handler: Handler): Promise<string> {
  return (await startBackend(handler)).url;
}
