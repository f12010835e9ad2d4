import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { RetryBudget } from '../src/retry-budget.js';
import { failTimes, heldUntil, reply, startBackend, startBackends } from './support/backend.js';
import { get, open, startProxyWith } from './support/proxy.js';
import { gate, once, until } from './support/wait.js';

const noWait = { initialDelay: 0, maxDelay: 0 };

/** How many of `count` requested retries a budget allows at a moment. */
function withdrawals(budget: RetryBudget, now: number, count: number): number {
  return Array.from({ length: count }, () => budget.withdraw(now)).filter(Boolean).length;
}

function deposits(budget: RetryBudget, now: number, count: number): void {
  for (let i = 0; i < count; i += 1) budget.deposit(now);
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe('RetryBudget', () => {
  it.each([
    { ratio: 0.2, requests: 100, retries: 20 },
    { ratio: 0.2, requests: 6, retries: 2 }, // 1 < 1.2
    { ratio: 0.2, requests: 5, retries: 1 }, // 1 is not < 1
    { ratio: 0.1, requests: 1, retries: 1 }, // 0 < 0.1
    { ratio: 1, requests: 7, retries: 7 },
    { ratio: 2, requests: 7, retries: 14 },
    { ratio: 0.2, requests: 0, retries: 0 },
    { ratio: 0, requests: 100, retries: 0 },
  ])('allows $retries retries for $requests requests at a ratio of $ratio', (row) => {
    const budget = new RetryBudget({ ratio: row.ratio, minPerSecond: 0 });
    deposits(budget, 1000, row.requests);

    expect(budget.left(1000)).toBe(row.retries);
    expect(withdrawals(budget, 1000, 200)).toBe(row.retries);
    expect(budget.left(1000)).toBe(0);
  });

  it('allows minPerSecond retries in a second whatever the ratio says', () => {
    const budget = new RetryBudget({ ratio: 0, minPerSecond: 3 });

    expect(withdrawals(budget, 5000, 9)).toBe(3);
    expect(withdrawals(budget, 5500, 9)).toBe(0);
    expect(withdrawals(budget, 6100, 9)).toBe(3);
  });

  it('allows the larger of the two, not their sum', () => {
    const budget = new RetryBudget({ ratio: 0.5, minPerSecond: 3 });
    deposits(budget, 1000, 10);

    expect(withdrawals(budget, 1000, 99)).toBe(5);
  });

  it('counts what the floor has allowed against the ratio as well', () => {
    const budget = new RetryBudget({ ratio: 0.5, minPerSecond: 2 });
    expect(withdrawals(budget, 1000, 99)).toBe(2);
    deposits(budget, 3000, 6);

    // 2 of 3 are taken by ratio; the floor of this second is still whole.
    expect(withdrawals(budget, 3000, 99)).toBe(2);
  });

  it('forgets requests and retries after ten seconds', () => {
    const budget = new RetryBudget({ ratio: 0.2, minPerSecond: 0 });
    deposits(budget, 1000, 50);
    expect(withdrawals(budget, 1000, 4)).toBe(4);

    expect(budget.left(10_800)).toBe(6);
    expect(budget.left(11_100)).toBe(0);
    deposits(budget, 11_100, 50);
    expect(budget.left(11_100)).toBe(10);
  });

  it.each([10_100, 60_000, 3_600_000, 86_400_000 * 40])(
    'starts anew after %s ms in which nothing came',
    (quietMs) => {
      const budget = new RetryBudget({ ratio: 0.2, minPerSecond: 1 });
      deposits(budget, 1000, 50);
      withdrawals(budget, 1000, 10);

      expect(budget.left(1000 + quietMs)).toBe(1);
    },
  );
});

describe('the budget of a proxy', () => {
  it('adds a fifth of the requests of all clients together, not of each', async () => {
    const released = gate();
    const failing = heldUntil(released.opened, reply(500));
    const backends = await startBackends(failing, failing);
    const { url, proxy } = await startProxyWith({
      target: backends.map((backend) => backend.url),
      retry: { budget: { ratio: 0.2, minPerSecond: 0 } },
      breaker: false,
    });
    const started = (): number => backends.reduce((sum, each) => sum + each.started, 0);

    const clients = [1, 2, 3, 4, 5].map((n) => `127.0.0.${n}`);
    const answers = clients.flatMap((localAddress) =>
      Array.from({ length: 8 }, () => get(url, { localAddress })),
    );
    await until(() => started() === 40);
    released.open();

    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses).toEqual(Array(40).fill(500));
    expect(started()).toBe(48);
    expect(proxy.status()).toMatchObject({ requests: 40, retries: 8, budget: { left: 0 } });
  });

  it('never goes below its floor, so that a quiet proxy can retry', async () => {
    const released = gate();
    const backends = await startBackends(heldUntil(released.opened, reply(500)), reply(200));
    const { url } = await startProxyWith({
      target: backends.map((backend) => backend.url),
      balance: (_req, candidates) => candidates[0]!,
      retry: { budget: { ratio: 0, minPerSecond: 3 } },
      breaker: false,
    });

    const answers = Array.from({ length: 10 }, () => get(url));
    await until(() => backends[0].started === 10);
    released.open();

    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(3);
  });

  it('counts a retry when it is decided, before its backoff is over', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.9);
    const backend = await startBackend(failTimes(1, reply(200)));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: {
        backoff: { initialDelay: 30_000, maxDelay: 30_000 },
        budget: { ratio: 0, minPerSecond: 10 },
      },
    });
    expect(proxy.status().budget).toEqual({ left: 10 });

    const { request } = open(url);
    await once(proxy.events, 'retry');

    expect(proxy.status()).toMatchObject({ retries: 1, budget: { left: 9 } });
    expect(backend.started).toBe(1);
    request.destroy();
  });

  it('is told to whoever asks for the status, and is null without one', async () => {
    const target = 'http://127.0.0.1:9';
    const budgets = [
      await startProxyWith({ target }),
      await startProxyWith({ target, retry: { budget: { minPerSecond: 4 } } }),
      await startProxyWith({ target, retry: { budget: false } }),
      await startProxyWith({ target, retry: false }),
    ].map(({ proxy }) => proxy.status().budget);

    expect(budgets).toEqual([{ left: 10 }, { left: 4 }, null, null]);
  });

  it('is no limit at all when it is false', async () => {
    const backends = await startBackends(reply(500), reply(500));
    const { url, proxy } = await startProxyWith({
      target: backends.map((backend) => backend.url),
      retry: { budget: false, attempts: 5, backoff: noWait },
      breaker: false,
    });

    await Promise.all(Array.from({ length: 20 }, () => get(url)));

    expect(backends[0].started + backends[1].started).toBe(100);
    expect(proxy.status().retries).toBe(80);
  });
});
