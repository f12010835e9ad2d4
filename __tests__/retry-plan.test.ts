// Where and when the next attempt goes, or why there is none: the decision by itself, with the time in
// our hands. What a client sees of it is in retry.test.ts and no-retry.test.ts.
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { Request } from 'express';
import { type Backend, BackendPool } from '../src/backends.js';
import type { RetryOptions, TinyProxyOptions } from '../src/index.js';
import { asksForRest, Retries, type RetryCase, SENT, Trail } from '../src/retry.js';
import { RetryBudget } from '../src/retry-budget.js';
import { resolveOptions } from '../src/validate-options.js';

const UNSENT = { unsent: true, stale: false };
const STALE = { unsent: false, stale: true };
const QUEUED = { unsent: true, stale: false, queued: true };
const asks = (method: string): Request => ({ method }) as Request;

/** Three backends, `a` to `c`, of which `a` has just failed, and what decides. */
function setUp(retry: RetryOptions | false = {}, options: Partial<TinyProxyOptions> = {}) {
  const target = ['http://a', 'http://b', 'http://c'];
  const resolved = resolveOptions({ target, log: false, retry, ...options });
  const pool = new BackendPool(resolved, () => {});
  const [a, b, c] = pool.all as [Backend, Backend, Backend];
  const limits = resolved.retry?.budget;
  const budget = limits ? new RetryBudget(limits) : null;
  const retries = new Retries(resolved.retry, pool, budget);
  const trail = new Trail();
  trail.tried.add(a);
  const failed: RetryCase = {
    req: asks('GET'),
    failure: SENT,
    replayable: true,
    upgrade: false,
    bodyReplayable: true,
    attempts: 1,
    trail,
    requestLeftMs: 60_000,
    now: 1000,
  };
  const plan = (given: Partial<RetryCase> = {}) => retries.plan({ ...failed, ...given });
  return { a, b, c, budget, retries, trail, plan };
}

/** Their breakers are open. */
function trip(...backends: Backend[]): void {
  for (const { breaker } of backends) {
    for (let i = 0; i < 5; i += 1) breaker!.failure(breaker!.enter(), 1000);
  }
}

const noBudget = { budget: { ratio: 0, minPerSecond: 0 } };

afterEach(() => {
  jest.restoreAllMocks();
});

describe('the next attempt', () => {
  it('goes at once to a backend that was not tried, and is entered there', () => {
    const { a, b, budget, retries, trail, plan } = setUp();

    expect(plan()).toEqual({ delayMs: 0, backend: b, ticket: expect.any(Number) });
    expect([a.inFlight, b.inFlight, b.attempts, retries.count]).toEqual([0, 1, 1, 1]);
    expect(budget!.left(1000)).toBe(9);
    trail.tried.add(b);
    expect(plan({ attempts: 2 })).toMatchObject({ delayMs: 0, backend: { label: 'http://c' } });
    expect(retries.count).toBe(2);
  });

  it('is the probe of a breaker whose cooldown is over, with its ticket', () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.5); // a wait: by chance it may be 0 ms
    const { b, c, trail, plan } = setUp();
    trail.tried.add(c);
    trip(b);

    expect(plan({ now: 10_999 })).toMatchObject({ backend: null }); // `a` again, after a wait
    const probe = plan({ now: 11_000 }) as { backend: Backend; ticket: number };

    expect(probe.backend).toBe(b);
    expect(b.breaker!.available(11_000)).toBe(false);
    b.breaker!.headArrived(probe.ticket);
    expect(b.breaker!.stateAt(11_000)).toBe('closed');
  });

  it('waits where all were tried, and is not chosen before the wait is over', () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.5);
    const { a, b, c, retries, trail, plan } = setUp();
    trail.tried.add(b).add(c);

    expect(plan()).toEqual({ delayMs: 25, backend: null });
    expect([a, b, c].map(({ inFlight }) => inFlight)).toEqual([0, 0, 0]);
    expect(retries.count).toBe(1);
  });

  it('does not wait after a connection that was stale, and takes no place in the budget', () => {
    const { a, b, c, budget, trail, plan } = setUp(noBudget);
    trail.tried.add(b).add(c);
    trail.barred.add(b).add(c);

    expect(plan({ failure: STALE })).toMatchObject({ delayMs: 0, backend: a });
    expect(budget!.left(1000)).toBe(0);
    expect(plan()).toBe('budget');
  });

  it('is at most one for each that is left, and not one that asked to be left alone', () => {
    const { a, b, c, trail, plan } = setUp();
    trail.tried.add(b).add(c);
    trail.barred.add(a).add(b);

    expect(plan({ failure: STALE })).toMatchObject({ backend: c });
    trail.barred.add(c);
    expect(plan()).toBe('no-backend');
  });
});

describe('there is none', () => {
  it('with retry: false, whatever was sent', () => {
    const { plan, retries } = setUp(false);

    expect(plan()).toBe('off');
    expect(plan({ failure: UNSENT, upgrade: true })).toBe('off');
    expect(retries.isReplayable(asks('GET'))).toBe(false);
  });

  it('where the request may not be sent again, unless nothing was sent', () => {
    const post = { req: asks('POST'), replayable: false };
    const { plan } = setUp();
    const { plan: planUnsent } = setUp({ unsent: true });

    expect(plan(post)).toBe('method');
    expect(plan({ ...post, failure: UNSENT })).toBe('method');
    expect(plan({ ...post, upgrade: true })).toBe('method');
    expect(plan({ ...post, failure: UNSENT, upgrade: true })).toMatchObject({ delayMs: 0 });
    expect(planUnsent(post)).toBe('method');
    expect(planUnsent({ ...post, failure: UNSENT })).toMatchObject({ delayMs: 0 });
  });

  it('when all attempts were made', () => {
    const { plan } = setUp({ attempts: 2 });

    expect(plan({ attempts: 1 })).toMatchObject({ delayMs: 0 });
    expect(plan({ attempts: 2 })).toBe('attempts');
    expect(plan({ attempts: 3 })).toBe('attempts');
  });

  it('when part of the body is gone', () => {
    expect(setUp().plan({ bodyReplayable: false })).toBe('body');
  });

  it('when no breaker lets one through', () => {
    const { a, b, c, plan } = setUp();
    trip(a, b, c);

    expect(plan()).toBe('no-backend');
    expect(plan({ now: 11_000 })).toMatchObject({ delayMs: 0 });
  });

  it('when its wait is not shorter than the time that is left', () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.5); // 25 ms
    const waits = (requestLeftMs: number) => {
      const { b, c, trail, plan, retries } = setUp();
      trail.tried.add(b).add(c);
      return [plan({ requestLeftMs }), retries.count];
    };

    expect(waits(26)).toEqual([{ delayMs: 25, backend: null }, 1]);
    expect(waits(25)).toEqual(['deadline', 0]);
    expect(setUp().plan({ requestLeftMs: 1 })).toMatchObject({ delayMs: 0 });
    expect(setUp().plan({ requestLeftMs: 0 })).toBe('deadline');
  });

  it('when the budget is used up; nothing is entered or counted then', () => {
    const { b, c, plan, retries } = setUp(noBudget);

    expect(plan()).toBe('budget');
    expect([b.inFlight, c.inFlight, retries.count]).toEqual([0, 0, 0]);
  });

  it('never for want of a budget where there is none', () => {
    const { plan } = setUp({ budget: false });

    for (let i = 0; i < 50; i += 1) expect(plan()).toMatchObject({ delayMs: 0 });
  });
});

describe('an attempt that found no free connection', () => {
  const queued = { failure: QUEUED, replayable: false, bodyReplayable: false, attempts: 9 };

  it('goes to each other backend once, whatever its method, retry and the budget say', () => {
    for (const retry of [false, noBudget] as const) {
      const { b, c, trail, plan, retries } = setUp(retry);

      expect(plan(queued)).toEqual({ delayMs: 0, backend: b, ticket: expect.any(Number) });
      trail.tried.add(b);
      expect(plan(queued)).toMatchObject({ backend: c });
      expect([b.inFlight, c.inFlight, retries.count]).toEqual([1, 1, 2]);
      trail.tried.add(c);
      expect(plan(queued)).toBe('no-backend');
    }
  });

  it('goes nowhere when its time is over', () => {
    expect(setUp().plan({ ...queued, requestLeftMs: 0 })).toBe('deadline');
    expect(setUp().plan({ ...queued, requestLeftMs: 0.5 })).toMatchObject({ delayMs: 0 });
  });
});

describe('whether a request is replayable', () => {
  it('its method tells', () => {
    const { retries } = setUp({ methods: ['GET', 'DELETE'] });

    const methods = ['GET', 'DELETE', 'PUT', 'POST'];
    expect(methods.map((method) => retries.isReplayable(asks(method)))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('the user tells', () => {
    const { retries } = setUp({ replayable: ({ method }) => method === 'POST' });

    expect(retries.isReplayable(asks('POST'))).toBe(true);
    expect(retries.isReplayable(asks('GET'))).toBe(false);
  });
});

describe('the loop of retries', () => {
  it('goes on until it is told that all is settled', async () => {
    const verdicts = ['again', 'again', 'settled', 'again'] as const;
    let runs = 0;

    const verdict = await setUp().retries.run(async () => verdicts[runs++]!);

    expect([verdict, runs]).toEqual(['settled', 3]);
  });
});

describe('the waits of a request', () => {
  const backoff = { initialDelay: 100, maxDelay: 350 };

  it('grow up to their limit, and are its own', () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.5);
    const waitsOf = () => {
      const { a, b, c, trail, plan } = setUp({ backoff, attempts: 9, budget: false });
      for (const each of [a, b, c]) trail.tried.add(each);
      return Array.from({ length: 4 }, () => (plan() as { delayMs: number }).delayMs);
    };

    expect(waitsOf()).toEqual([50, 100, 175, 175]);
    expect(waitsOf()).toEqual([50, 100, 175, 175]);
  });
});

it.each([
  ['0', true],
  ['120', true],
  ['86400000000', true],
  ['Wed, 21 Oct 2026 07:28:00 GMT', true],
  ['1x', false],
  ['soon', false],
  ['', false],
  [undefined, false],
  [['1'], false],
])('a Retry-After of %p asks for rest: %p', (value, asked) => {
  expect(asksForRest(value)).toBe(asked);
});
