import type { BudgetOptions } from './options.js';

/**
 * Retries as a share of requests. A fixed number of retries multiplies the load on a backend by
 * that number just when it is least able to bear it; a budget adds at most `ratio` of it, whatever
 * the number of clients, and a floor so that a quiet proxy can retry at all. (Finagle's
 * RetryBudget, and "Handling Overload" in Google's SRE book, tell the same.)
 */
const BUCKET_MS = 100;
const BUCKETS = 100; // 10 s
const FLOOR_BUCKETS = 10; // 1 s

export class RetryBudget {
  readonly #requests = new Uint32Array(BUCKETS);
  readonly #retries = new Uint32Array(BUCKETS);
  #requestsInWindow = 0;
  #retriesInWindow = 0;
  #tick = 0;

  constructor(private readonly options: Required<BudgetOptions>) {}

  /** A request has come. */
  deposit(now: number): void {
    this.#requests[this.#advance(now)]!++;
    this.#requestsInWindow++;
  }

  /** Takes one retry, if there is one left. */
  withdraw(now: number): boolean {
    const bucket = this.#advance(now);
    if (this.#left() <= 0) return false;
    this.#retries[bucket]!++;
    this.#retriesInWindow++;
    return true;
  }

  /** How many retries would be allowed now. */
  left(now: number): number {
    this.#advance(now);
    return this.#left();
  }

  #left(): number {
    const byRatio = Math.ceil(this.options.ratio * this.#requestsInWindow - this.#retriesInWindow);
    let lastSecond = 0;
    for (let i = 0; i < FLOOR_BUCKETS; i++) {
      lastSecond += this.#retries[(this.#tick - i + BUCKETS) % BUCKETS]!;
    }
    const byFloor = Math.ceil(this.options.minPerSecond - lastSecond);
    return Math.max(0, byRatio, byFloor);
  }

  /** Forgets the buckets that have left the window; answers the current one's index. */
  #advance(now: number): number {
    const tick = Math.floor(now / BUCKET_MS);
    const passed = Math.min(tick - this.#tick, BUCKETS);
    for (let i = 1; i <= passed; i++) {
      const bucket = (this.#tick + i) % BUCKETS;
      this.#requestsInWindow -= this.#requests[bucket]!;
      this.#retriesInWindow -= this.#retries[bucket]!;
      this.#requests[bucket] = 0;
      this.#retries[bucket] = 0;
    }
    if (tick > this.#tick) this.#tick = tick;
    return this.#tick % BUCKETS;
  }
}
