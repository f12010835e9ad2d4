// A retry budget does what a list of every request and retry would do, to within a tenth of a second.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { BudgetOptions } from '../src/options.js';
import { RetryBudget } from '../src/retry-budget.js';
import { propertySettings, TEST_LIMIT_MS } from './support/fuzz-settings.js';

/** Of its window, which moves on by so much at a time. */
const RESOLUTION_MS = 100;

/** What the README says: when each has come, and a count of those that are young enough. */
class Model {
  now: number;
  readonly requests: number[] = [];
  readonly retries: number[] = [];

  constructor(
    readonly options: Required<BudgetOptions>,
    startMs: number,
  ) {
    this.now = startMs;
  }

  /** How many of the last so many milliseconds. */
  private count(moments: number[], ms: number): number {
    return moments.filter((moment) => moment > this.now - ms).length;
  }

  /** Retries that would be allowed now, if those older than `retriesMs` were forgotten, ... */
  left(requestsMs: number, retriesMs: number, secondMs: number): number {
    const most = this.options.ratio * this.count(this.requests, requestsMs);
    const retries = this.count(this.retries, retriesMs);
    const lastSecond = this.count(this.retries, secondMs);
    let left = 0;
    while (retries + left < most || lastSecond + left < this.options.minPerSecond) left++;
    return left;
  }

  get exact(): number {
    return this.left(10_000, 10_000, 1000);
  }

  /** Requests forgotten too soon, and retries too late: as late as they have come, or as soon. */
  get least(): number {
    return this.left(10_000 - RESOLUTION_MS, 10_000, 1000);
  }

  get most(): number {
    return this.left(10_000, 10_000 - RESOLUTION_MS, 1000 - RESOLUTION_MS);
  }
}

type Command = fc.Command<Model, RetryBudget>;

/** How far it may be off. On the grid of its resolution it must not be off at all. */
type Check = (model: Model, left: number) => void;

const exactly: Check = (model, left) => {
  if (left !== model.exact) expect(left).toBe(model.exact);
};

const nearly: Check = (model, left) => {
  if (left >= model.least && left <= model.most) return;
  expect({ left, least: model.least, most: model.most }).toBe('between these');
};

function command(name: string, run: (model: Model, budget: RetryBudget) => void): Command {
  return { check: () => true, run, toString: () => name };
}

function commandsOf(ms: fc.Arbitrary<number>, check: Check) {
  const deposit = (count: number): Command =>
    command(`${count} requests`, (model, budget) => {
      for (let i = 0; i < count; i++) {
        budget.deposit(model.now);
        model.requests.push(model.now);
      }
      check(model, budget.left(model.now));
    });
  const withdraw = (count: number): Command =>
    command(`${count} retries asked for`, (model, budget) => {
      for (let i = 0; i < count; i++) {
        const left = budget.left(model.now);
        check(model, left);
        const granted = budget.withdraw(model.now);
        if (granted !== left > 0) expect({ left }).toBe(`granted: ${granted}`);
        if (granted) model.retries.push(model.now);
      }
      check(model, budget.left(model.now));
    });
  const pass = (passed: number): Command =>
    command(`${passed} ms pass`, (model, budget) => {
      model.now += passed;
      check(model, budget.left(model.now));
    });
  return fc.commands(
    [fc.nat(30).map(deposit), fc.nat(15).map(withdraw), ms.map(pass), ms.map(pass)],
    { maxCommands: 50, size: 'max' },
  );
}

/** Short waits for the most part, and each edge of what is remembered. */
const waits = (unit: number): fc.Arbitrary<number> =>
  fc
    .oneof(
      fc.nat(4 * RESOLUTION_MS),
      fc.nat(1500),
      fc.constantFrom(900, 1000, 1100, 9000, 9800, 9900, 10_000, 10_100, 20_000, 1_000_000),
    )
    .map((ms) => Math.round(ms / unit) * unit);

const options = fc.record({
  ratio: fc.constantFrom(0, 0.07, 0.1, 0.2, 0.5, 1, 2),
  minPerSecond: fc.constantFrom(0, 0.5, 1, 3, 10),
});

function holds(unit: number, check: Check): void {
  const start = fc.nat(30_000).map((ms) => Math.round(ms / unit) * unit);
  const property = fc.property(options, start, commandsOf(waits(unit), check), (given, ms, steps) =>
    fc.modelRun(() => ({ model: new Model(given, ms), real: new RetryBudget(given) }), steps),
  );
  fc.assert(property, propertySettings(1000));
}

describe('a retry budget', () => {
  it(
    'is what a list of all moments says, where these are on its grid',
    () => holds(RESOLUTION_MS, exactly),
    TEST_LIMIT_MS,
  );

  it(
    'is so to within its resolution at any moment, and grants what it says is left',
    () => holds(0.25, nearly),
    TEST_LIMIT_MS,
  );

  it('loses nothing where somebody has read the clock a little earlier', () => {
    const budget = new RetryBudget({ ratio: 1, minPerSecond: 0 });
    budget.deposit(1000);

    expect([budget.left(899), budget.left(1000), budget.left(1100)]).toEqual([1, 1, 1]);
  });
});
