// The last minutes of a backend: rings of fixed size. Time is an argument.
import { describe, expect, it } from '@jest/globals';
import { BUCKET_MS, BUCKETS, Series } from '../src/status-page/series.js';

const START = 1_000_000;
const last = <T>(values: readonly T[], count: number): T[] => values.slice(-count);

describe('a series', () => {
  it('is empty at first', () => {
    const { p50, p99, attempts, failures } = new Series(START).read(START);

    expect([p50, p99]).toEqual([Array(BUCKETS).fill(null), Array(BUCKETS).fill(null)]);
    expect([attempts, failures]).toEqual([Array(BUCKETS).fill(0), Array(BUCKETS).fill(0)]);
  });

  it('has what was recorded in its bucket, the current one last', () => {
    const series = new Series(START);
    series.record(START, 10, false);
    series.record(START + BUCKET_MS, null, true);
    series.record(START + 3 * BUCKET_MS, 20, true);

    const { attempts, failures, p50 } = series.read(START + 3 * BUCKET_MS);

    expect(last(attempts, 5)).toEqual([0, 1, 1, 0, 1]);
    expect(last(failures, 5)).toEqual([0, 0, 1, 0, 1]);
    expect(last(p50, 5).map((value) => value !== null)).toEqual([false, true, false, false, true]);
  });

  it.each([0.07, 1, 12, 250, 15_000, 60_000])('knows %p ms within 3 %%', (ms) => {
    const series = new Series(START);
    series.record(START, ms, false);

    const { p50, p99 } = series.read(START);

    expect(Math.abs(p50.at(-1)! / ms - 1)).toBeLessThan(0.035);
    expect(p99.at(-1)).toBe(p50.at(-1));
  });

  it('tells the middle from the slowest', () => {
    const series = new Series(START);
    for (let ms = 1; ms <= 200; ms += 1) series.record(START, ms, false);

    const { p50, p99 } = series.read(START + BUCKET_MS); // over now

    expect(p50.at(-2)).toBeCloseTo(100, -1);
    expect(Math.abs(p99.at(-2)! / 198 - 1)).toBeLessThan(0.035);
    expect(p50.at(-1)).toBeNull();
  });

  it.each([0, -1, 1e9, Number.MAX_VALUE])('takes %p ms for the nearest that it knows', (ms) => {
    const series = new Series(START);
    series.record(START, ms, false);

    expect(series.read(START).p50.at(-1)).toBeGreaterThan(0);
    expect(series.read(START).p50.at(-1)).toBeLessThan(200_000);
  });

  it('forgets what is older than its window, and only that', () => {
    const series = new Series(START);
    series.record(START, 5, true);

    const before = series.read(START + (BUCKETS - 1) * BUCKET_MS);
    const after = series.read(START + BUCKETS * BUCKET_MS);

    expect([before.attempts[0], before.failures[0]]).toEqual([1, 1]);
    expect(before.p50[0]).toBeCloseTo(5, 0);
    expect(after.attempts).toEqual(Array(BUCKETS).fill(0));
    expect(after.p50).toEqual(Array(BUCKETS).fill(null));
  });

  it('is empty again after a long silence', () => {
    const series = new Series(START);
    series.record(START, 5, true);

    expect(series.read(START + 1e9).attempts).toEqual(Array(BUCKETS).fill(0));
  });
});
