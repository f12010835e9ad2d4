/** Width and number of the buckets: the last five minutes. */
export const BUCKET_MS = 5000;
export const BUCKETS = 60;

/** Each bin of the histogram is 6 % wide: from 0.05 ms to two minutes and a half. */
const BINS = 256;
const FIRST_MS = 0.05;
const STEP = Math.log(1.06);

/** The last minutes, oldest first; null where there was nothing to measure. */
export interface History {
  /** Milliseconds to the response's head, within 3 %; null where there was none. */
  p50: (number | null)[];
  /** The same, of the slowest hundredth. */
  p99: (number | null)[];
  /** How many were over. */
  attempts: number[];
  /** How many of these had failed. */
  failures: number[];
}

/**
 * What has come of a backend's attempts in the last minutes: rings of fixed size, whatever the
 * traffic. Time passes when somebody records or looks; there is no timer.
 */
export class Series {
  readonly #attempts = new Uint32Array(BUCKETS);
  readonly #failures = new Uint32Array(BUCKETS);
  readonly #p50 = new Float32Array(BUCKETS).fill(Number.NaN);
  readonly #p99 = new Float32Array(BUCKETS).fill(Number.NaN);
  /** Latencies of the current bucket. */
  readonly #bins = new Uint32Array(BINS);
  #heads = 0;
  #tick: number;

  /** All times are monotonic milliseconds. */
  constructor(now: number) {
    this.#tick = Math.floor(now / BUCKET_MS);
  }

  /** An attempt is over; `ms` to its head, null where it had none. */
  record(now: number, ms: number | null, failed: boolean): void {
    const bucket = this.#advance(now);
    this.#attempts[bucket]!++;
    if (failed) this.#failures[bucket]!++;
    if (ms === null) return;
    const bin = Math.floor(Math.log(Math.max(ms, FIRST_MS) / FIRST_MS) / STEP);
    this.#bins[Math.min(bin, BINS - 1)]!++;
    this.#heads++;
  }

  read(now: number): History {
    const current = this.#advance(now);
    this.#measure(current);
    const oldestFirst = <T>(ring: ArrayLike<number>, as: (value: number) => T): T[] =>
      Array.from(ring, (_, i) => as(ring[(current + 1 + i) % BUCKETS]!));
    const measured = (value: number): number | null =>
      Number.isNaN(value) ? null : Number(value.toPrecision(3));
    return {
      p50: oldestFirst(this.#p50, measured),
      p99: oldestFirst(this.#p99, measured),
      attempts: oldestFirst(this.#attempts, Number),
      failures: oldestFirst(this.#failures, Number),
    };
  }

  #measure(bucket: number): void {
    this.#p50[bucket] = this.#percentile(0.5);
    this.#p99[bucket] = this.#percentile(0.99);
  }

  #percentile(share: number): number {
    let left = Math.ceil(share * this.#heads);
    if (left === 0) return Number.NaN;
    const bin = this.#bins.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    return FIRST_MS * Math.exp((bin + 0.5) * STEP);
  }

  /** Measures what is over, forgets what has left the window; answers the current bucket. */
  #advance(now: number): number {
    const tick = Math.floor(now / BUCKET_MS);
    if (tick > this.#tick) {
      this.#measure(this.#tick % BUCKETS);
      this.#bins.fill(0);
      this.#heads = 0;
      const passed = Math.min(tick - this.#tick, BUCKETS);
      for (let i = 0; i < passed; i++) this.#clear((tick - i) % BUCKETS);
      this.#tick = tick;
    }
    return this.#tick % BUCKETS;
  }

  #clear(bucket: number): void {
    this.#attempts[bucket] = 0;
    this.#failures[bucket] = 0;
    this.#p50[bucket] = Number.NaN;
    this.#p99[bucket] = Number.NaN;
  }
}
