import { describe, expect, it } from '@jest/globals';
import type { BackendStatus } from '../src/index.js';
import {
  byPath,
  type Handler,
  heldUntil,
  reply,
  startBackend,
  startBackends,
} from './support/backend.js';
import { get, startProxyWith } from './support/proxy.js';
import { openBreaker, readyToProbe } from './support/tripped.js';
import { gate, until } from './support/wait.js';

const LONG_MS = 60_000;

describe('an open breaker', () => {
  it('is answered for at once: 503, and when to come again', async () => {
    const { url, status, backend, before } = await openBreaker(LONG_MS);
    const secondsLeft = (): number =>
      Math.ceil((Date.parse(status().openUntil!) - Date.now()) / 1000);

    const most = secondsLeft();
    const response = await get(url);

    expect(JSON.parse(response.text)).toMatchObject({ status: 503, code: 'NO_BACKEND' });
    expect(Number(response.headers['retry-after'])).toBeLessThanOrEqual(most);
    expect(Number(response.headers['retry-after'])).toBeGreaterThanOrEqual(secondsLeft());
    expect(backend.started).toBe(before);
  });

  it('is tried again by the first probe of all that are not drained', async () => {
    const second = await startBackend(reply(500));
    const { url, proxy } = await openBreaker(LONG_MS, [second.url]);
    const leftMs = (index: number): number =>
      Date.parse(proxy.status().backends[index]?.openUntil ?? '') - Date.now();
    await until(() => leftMs(0) < LONG_MS - 1500);
    await get(url);

    const first = Number((await get(url)).headers['retry-after']);
    proxy.drain(proxy.status().backends[0]!.url);
    const other = Number((await get(url)).headers['retry-after']);

    expect(first * 1000).toBeLessThan(leftMs(1));
    expect(other * 1000).toBeGreaterThanOrEqual(leftMs(1));
  });

  it('says 1 second when the rest is less', async () => {
    const { url, status } = await openBreaker(300);

    const response = await get(url);

    expect(status().breaker).toBe('open');
    expect([response.status, response.headers['retry-after']]).toEqual([503, '1']);
  });

  it('says 1 second when all backends are drained', async () => {
    const backend = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    proxy.drain(backend.url);

    const response = await get(url);

    expect([response.status, response.headers['retry-after']]).toEqual([503, '1']);
  });

  it('is skipped, by first attempts and by retries', async () => {
    const [sick, well] = await startBackends(reply(500), reply(200));
    const { url, backend, before } = await openBreaker(LONG_MS, [sick.url, well.url], {
      retry: {},
    });
    const statuses = [await get(url), await get(url)].map((response) => response.status);

    expect(statuses).toEqual([200, 200]);
    expect([backend.started - before, sick.started]).toEqual([0, 1]);
  });

  it('is told by status(), with the time of its next probe', async () => {
    const earliest = Date.now() + LONG_MS;
    const { status } = await openBreaker(LONG_MS);

    const { breaker, openUntil, consecutiveFailures, lastError } = status();

    expect([breaker, consecutiveFailures]).toEqual(['open', 1]);
    expect(lastError).toMatch(/500/);
    expect(new Date(openUntil!).toISOString()).toBe(openUntil);
    expect(Date.parse(openUntil!)).toBeGreaterThanOrEqual(earliest - 50);
    expect(Date.parse(openUntil!)).toBeLessThanOrEqual(Date.now() + LONG_MS + 50);
  });

  it('is told as half-open when its cooldown is over, though nobody has called', async () => {
    const { status, events } = await readyToProbe(reply(200));

    expect(status()).toMatchObject({ breaker: 'half-open', openUntil: null });
    expect(events).toEqual(['break']);
  });
});

describe('the result of an attempt that began before the breaker changed', () => {
  const lateOnes: [what: string, handler: Handler][] = [
    ['failure', reply(500)],
    ['success', reply(200)],
  ];

  it.each(lateOnes)('a late %s does not touch an open one', async (_what, handler) => {
    const { late, status, trip } = await withLate(handler, LONG_MS);
    await trip();
    const { openUntil } = status();

    await late();

    expect(status()).toMatchObject({ breaker: 'open', consecutiveFailures: 1 });
    expect(Math.abs(Date.parse(status().openUntil!) - Date.parse(openUntil!))).toBeLessThan(50);
  });

  it.each(lateOnes)('a late %s does not decide for the probe', async (_what, handler) => {
    const { late, status, trip, probe, events } = await withLate(handler, 30);
    await trip();
    await until(() => status().breaker === 'half-open');
    const finishProbe = await probe();

    await late();

    expect(status().breaker).toBe('half-open');
    expect(await finishProbe()).toBe(200);
    expect(events).toEqual(['break', 'half-open', 'reset']);
  });

  it('a late failure does not open one that has closed again', async () => {
    const { late, status, trip, probe } = await withLate(reply(500), 30);
    await trip();
    await until(() => status().breaker === 'half-open');
    await (await probe())();

    expect(await late()).toBe(500);
    expect(status()).toMatchObject({ breaker: 'closed', consecutiveFailures: 0 });
  });
});

interface Late {
  status(): BackendStatus;
  events: string[];
  /** Lets the attempt end that began first; answers what its client got. */
  late(): Promise<number>;
  trip(): Promise<unknown>;
  /** Starts the probe; the function that it answers lets it end. */
  probe(): Promise<() => Promise<number>>;
}

/** An attempt is on its way that `handler` will answer; then the breaker is opened by another. */
async function withLate(handler: Handler, cooldown: number): Promise<Late> {
  const [lateGate, probeGate] = [gate(), gate()];
  const backend = await startBackend(
    byPath({
      '/late': heldUntil(lateGate.opened, handler),
      '/sick': reply(500),
      '/probe': heldUntil(probeGate.opened, reply(200)),
    }),
  );
  const { url, proxy } = await startProxyWith({
    target: backend.url,
    retry: false,
    breaker: { failures: 1, cooldown },
  });
  const events: string[] = [];
  for (const event of ['break', 'half-open', 'reset'] as const) {
    proxy.events.on(event, () => events.push(event));
  }
  const lateAnswer = get(`${url}/late`);
  await until(() => backend.started === 1);
  return {
    status: () => proxy.status().backends[0]!,
    events,
    async late() {
      lateGate.open();
      return (await lateAnswer).status;
    },
    trip: () => get(`${url}/sick`),
    async probe() {
      const answer = get(`${url}/probe`);
      await until(() => backend.started === 3);
      return async () => {
        probeGate.open();
        return (await answer).status;
      };
    },
  };
}
