// The simulation of a fleet is the same every time, loses nothing, and knows what it must come to.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { BREAKERS, BUDGETS, table } from '../bench/fleet/scenarios.js';
import { type Outcome, type Scenario, simulate } from '../bench/fleet/simulation.js';
import { BackendPool } from '../src/backends.js';
import { Retries, SENT, Trail } from '../src/retry.js';
import { RetryBudget } from '../src/retry-budget.js';
import { resolveOptions } from '../src/validate-options.js';

const parts = { BackendPool, Retries, SENT, Trail, RetryBudget, resolveOptions };

/** A small fleet, one of whose three backends always fails. */
function run(given: Partial<Scenario> = {}): Outcome {
  return simulate(parts, {
    replicas: 5,
    backends: 3,
    sick: 1,
    sickness: 1,
    breakers: true,
    shared: false,
    budget: true,
    perSecond: 300,
    seconds: 15,
    seed: 1,
    ...given,
  });
}

const SCENARIOS: Partial<Scenario>[] = [
  {},
  { shared: true },
  { sickness: 0.5 },
  { sickness: 0.5, shared: true, replicas: 20 },
  { budget: false, sickness: 0.5 },
  { replicas: 1, backends: 2, sick: 2, sickness: 0.5 },
  { breakers: false, sick: 3, sickness: 0.7, replicas: 1, perSecond: 2000, seconds: 3 },
];

describe('the simulation of a fleet', () => {
  it('comes to the same for the same seed, and to something else for another', () => {
    const { random } = Math;

    expect(run({ sickness: 0.5 })).toEqual(run({ sickness: 0.5 }));
    expect(run({ sickness: 0.5, seed: 2 })).not.toEqual(run({ sickness: 0.5 }));
    expect(Math.random).toBe(random);
  });

  it.each(SCENARIOS)('loses no request and no attempt with %p', (given) => {
    const outcome = run(given);
    const { requests, attempts, retries, answered, failedRequests, failedAttempts } = outcome;

    expect(requests).toBeGreaterThan(2000);
    expect(answered + failedRequests).toBe(requests);
    // Each attempt is the first of a request or a retry; one that found every breaker open has none.
    expect(attempts - retries).toBeLessThanOrEqual(requests);
    if ((given.sick ?? 1) === 1) expect(attempts).toBe(requests + retries);
    // Each ends well, and answers its request, or it fails.
    expect(attempts).toBe(answered + failedAttempts);
    expect(failedAttempts).toBeLessThanOrEqual(outcome.sickAttempts);
    expect(outcome.failedUntilSafe).toBeLessThanOrEqual(failedAttempts);
  });

  it('has a replica that is alone trip after five failures, and probe every ten seconds', () => {
    const { trips, failedUntilSafe, failedAttempts, safeAfterMs } = run({ replicas: 1 });

    expect(trips).toBe(1);
    expect(safeAfterMs).toBeLessThan(500);
    expect(failedUntilSafe).toBeGreaterThanOrEqual(5);
    expect(failedUntilSafe).toBeLessThan(12); // those under way
    expect(failedAttempts).toBeLessThanOrEqual(failedUntilSafe + 5 + 1); // and one probe in 12 s
  });

  it('has each replica learn it by itself, unless the first tells the others', () => {
    const alone = run({ replicas: 50 });
    const shared = run({ replicas: 50, shared: true });

    expect(alone.failedUntilSafe).toBeGreaterThanOrEqual(50 * 5);
    // Not five: the first to trip has to see five by itself, and the others see some meanwhile.
    expect(shared.failedUntilSafe).toBeLessThan(0.7 * alone.failedUntilSafe);
    expect(shared.safeAfterMs).toBeLessThan(alone.safeAfterMs!);
  });

  it('has no more retries than the budget says, and without one as many as there are failures', () => {
    const all = { breakers: false, sick: 3, sickness: 0.9, replicas: 1, perSecond: 2000 };
    const bounded = run(all);
    const unbounded = run({ ...all, budget: false });

    expect(bounded.retries).toBeLessThanOrEqual(0.2 * bounded.requests + 20);
    expect(bounded.refusedRetries).toBeGreaterThan(0);
    // Nine of ten requests may be sent again, and nine of ten attempts fail: .9 x (.9 + .81).
    expect(unbounded.retries / unbounded.requests).toBeCloseTo(1.539, 1);
    expect(unbounded.refusedRetries).toBe(0);
  });

  it.each([
    ['one sick backend', BREAKERS],
    ['no well one', BUDGETS],
  ])('is what docs/fleet.md tells of %s', (_what, scenarios) => {
    const doc = readFileSync(new URL('../docs/fleet.md', import.meta.url), 'utf8');
    const rows = new Set(doc.split('\n').map(cells));
    const quickest = scenarios.filter(({ replicas, backends }) => replicas === 1 && backends === 3);

    expect(quickest).toHaveLength(2);
    for (const scenario of quickest.slice(0, 1)) {
      const [titles, , row] = table([{ scenario, outcome: simulate(parts, scenario) }], []).split(
        '\n',
      );
      const shown = [...rows].filter((each) => isPartOf(each, cells(row!)));
      expect(cells(titles!)).toContain('replicas');
      expect(shown).toHaveLength(1); // if not, `npm run fleet` writes it anew
    }
  });
});

const cells = (line: string): string =>
  line
    .split('|')
    .map((cell) => cell.trim())
    .join('|');

/** Some of the columns, in their order, and more than a few. */
function isPartOf(some: string, all: string): boolean {
  const rest = all.split('|');
  const asked = some.split('|');
  return (
    asked.length > 6 && asked.every((cell) => rest.splice(0, rest.indexOf(cell) + 1).length > 0)
  );
}
