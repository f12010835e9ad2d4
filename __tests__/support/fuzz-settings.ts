// How many cases, and from which seed: jest.config.js for `npm test`, jest.fuzz.config.js for
// `npm run fuzz`. A failure tells its seed.
import type fc from 'fast-check';

declare const FUZZ: { seed: number; cases: number };

/** Of `npm test`. */
const CASES = 2000;

/** For jest. */
export const TEST_LIMIT_MS = 60_000 + 8 * FUZZ.cases;

/** What is left of it when a failure is made no smaller any more, but told. */
const LEFT_MS = 20_000;

/** How many runs that are, which are `ofATest` in `npm test`. */
export function runs(ofATest: number): number {
  return Math.max(1, Math.round((ofATest * FUZZ.cases) / CASES));
}

type Settings = Pick<
  fc.Parameters<unknown>,
  'seed' | 'numRuns' | 'interruptAfterTimeLimit' | 'markInterruptAsFailure'
>;

/** For `fc.assert`, of fuzz cases: so many runs in `npm test`. */
export function settings(ofATest: number): Settings {
  return {
    seed: FUZZ.seed,
    numRuns: runs(ofATest),
    interruptAfterTimeLimit: TEST_LIMIT_MS - LEFT_MS,
    markInterruptAsFailure: true,
  };
}

/** For `fc.assert`, of a property: one request after the other, of which not that many are needed. */
export function propertySettings(ofATest: number): Settings {
  return { ...settings(ofATest), numRuns: Math.max(ofATest, Math.round(runs(ofATest) / 4)) };
}
