// The defaults of the contract's table, as they are seen from outside.
import { describe, expect, it, jest } from '@jest/globals';
import type { TinyProxyOptions } from '../src/index.js';
import { type Backend, controlled, hang, reply, startBackend } from './support/backend.js';
import { get, open, startProxyWith } from './support/proxy.js';
import { blackHole } from './support/raw.js';
import { delivery, once, until } from './support/wait.js';

/** Runs with a clock that stands still, at some moment, until it is put forward. */
async function withClock(run: (forward: (ms: number) => void) => Promise<void>): Promise<void> {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
  try {
    jest.advanceTimersByTime(1000);
    await run((ms) => jest.advanceTimersByTime(ms));
  } finally {
    jest.useRealTimers();
  }
}

/** A backend that fails and one that is well; a request goes to the first of them first. */
async function sickAndWell(options: Partial<TinyProxyOptions> = {}) {
  const sick = await startBackend(reply(500, 'sick'));
  const well = await startBackend(reply(200, 'well'));
  const { url } = await startProxyWith({ target: [sick.url, well.url], ...options });
  return { url, sick, well };
}

const attemptsAt = (...backends: Backend[]): number =>
  backends.reduce((sum, { received }) => sum + received.length, 0);

describe('balance', () => {
  it('takes turns', async () => {
    const backends = await Promise.all([1, 2, 3].map(() => startBackend(reply(200))));
    const { url } = await startProxyWith({ target: backends.map((backend) => backend.url) });

    for (let i = 0; i < 6; i += 1) await get(url);

    expect(backends.map(({ received }) => received.length)).toEqual([2, 2, 2]);
  });
});

describe('isFailure', () => {
  it.each([
    [499, 1],
    [500, 2],
    [599, 2],
  ])('with status %i makes %i attempts', async (status, attempts) => {
    const { url, sick, well } = await sickAndWell();
    sick.answerWith(reply(status));

    await get(url);

    expect(attemptsAt(sick, well)).toBe(attempts);
  });
});

describe('retry', () => {
  it.each([
    ['GET', 200],
    ['HEAD', 200],
    ['PUT', 200],
    ['POST', 500],
    ['PATCH', 500],
    ['DELETE', 500],
    ['OPTIONS', 500],
  ])('makes a %s, which a backend has failed, a %i', async (method, status) => {
    const { url } = await sickAndWell();

    expect((await get(url, { method })).status).toBe(status);
  });

  it('makes three attempts in all', async () => {
    const backends = await Promise.all([1, 2, 3, 4].map(() => startBackend(reply(500))));
    const { url } = await startProxyWith({ target: backends.map((backend) => backend.url) });

    await get(url);

    expect(attemptsAt(...backends)).toBe(3);
  });

  it('waits up to 50 ms before it comes back, twice as long each time, 1000 ms at most', async () => {
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: { attempts: 40 },
      breaker: { failures: 100 },
      requestTimeout: 0,
    });
    const waits: number[] = [];
    proxy.events.on('retry', ({ delayMs }) => waits.push(delayMs));

    await withClock(async (forward) => {
      const answer = get(url);
      await until(() => {
        forward(1000);
        return backend.received.length === 40;
      });
      await answer;
    });

    waits.forEach((wait, i) => {
      expect(wait).toBeLessThanOrEqual(Math.min(1000, 50 * 2 ** i));
    });
    expect(Math.max(...waits)).toBeGreaterThan(500);
  });

  it('has a budget of ten a second, or of a fifth of the requests', async () => {
    const backend = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    expect(proxy.status().budget).toEqual({ left: 10 });

    for (let i = 0; i < 60; i += 1) await get(url);

    expect(proxy.status().budget).toEqual({ left: 12 });
  });

  it.each([
    ['262144 bytes', 262_144, {}, 200],
    ['one byte more', 262_145, {}, 500],
    ['67108864 bytes, where each may be as long', 67_108_864, { maxBodyBytes: 2 ** 30 }, 200],
    ['67108865 bytes', 67_108_865, { maxBodyBytes: 2 ** 30 }, 500],
  ])('keeps a body of %s', async (_size, bytes, retry, status) => {
    const { url } = await sickAndWell({ retry });

    const response = await get(url, { method: 'PUT', body: Buffer.alloc(bytes) });

    expect(response.status).toBe(status);
  });

  it('does not send a POST again whose connection never stood', async () => {
    const { url, sick, well } = await sickAndWell();
    await sick.stop();

    expect((await get(url, { method: 'POST' })).status).toBe(502);
    expect(attemptsAt(well)).toBe(0);
  });
});

describe('breaker', () => {
  it('opens at the fifth failure in a row, and probes 10000 ms later', async () => {
    const backend = await startBackend(reply(500));
    const { url } = await startProxyWith({ target: backend.url, retry: false });

    await withClock(async (forward) => {
      for (let i = 0; i < 5; i += 1) expect((await get(url)).status).toBe(500);
      const refused = await get(url);
      expect([refused.status, refused.headers['retry-after']]).toEqual([503, '10']);
      forward(9999);
      expect((await get(url)).status).toBe(503);
      forward(1);
      expect((await get(url)).status).toBe(500);
    });
  });
});

/** Where an attempt never gets on, and how one sees that it has come there. */
async function whereItHangs() {
  const backend = await startBackend(hang());
  return { url: backend.url, reached: () => backend.started === 1 };
}

async function whereNoConnectionStands() {
  const { url } = await blackHole();
  return { url, reached: null };
}

describe('a clock', () => {
  it.each([
    ['connectTimeout', 3000, {}, whereNoConnectionStands],
    ['attemptTimeout', 15_000, {}, whereItHangs],
    ['requestTimeout', 60_000, { attemptTimeout: 0 }, whereItHangs],
  ])('%s, is over after %i ms', async (_name, ms, options, start) => {
    const { url: target, reached } = await start();
    let sent = false;
    const on = {
      proxyReq: () => {
        sent = true;
      },
    };
    const { url, proxy } = await startProxyWith({ target, retry: false, on, ...options });
    const outcomes: object[] = [];
    proxy.events.on('done', ({ hops }) => outcomes.push(...hops));

    await withClock(async (forward) => {
      const answer = get(url);
      await until(reached ?? (() => sent));
      forward(100_000);
      expect((await answer).status).toBe(504);
    });

    expect(outcomes).toMatchObject([{ outcome: 'ETIMEDOUT', ms }]);
  });

  it('idleTimeout, cuts a body after 300000 ms without a byte', async () => {
    const stalled = controlled();
    const backend = await startBackend(stalled.handler);
    const { url } = await startProxyWith({ target: backend.url });

    await withClock(async (forward) => {
      const incoming = await open(url).response;
      incoming.on('error', () => {});
      stalled.send('x');
      await once(incoming, 'data');
      forward(299_999);
      await delivery();
      expect(incoming.destroyed).toBe(false);
      forward(1);
      await until(() => incoming.closed);
      expect(incoming.complete).toBe(false);
    });
  });
});

describe('without a word about them', () => {
  it('ids are trusted, errors answered, addresses forwarded, no Via is added', async () => {
    const backend = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target: backend.url });

    await get(url, { headers: { 'X-Request-ID': 'mine-1' } });
    const { headers } = backend.received[0]!;
    const undrain = proxy.drain(backend.url);
    const refused = await get(url);
    undrain();

    expect(headers['x-request-id']).toBe('mine-1');
    expect(headers['x-forwarded-for']).toBe('127.0.0.1');
    expect(headers).not.toHaveProperty('via');
    expect(refused.headers['content-type']).toBe('application/problem+json');
  });
});
