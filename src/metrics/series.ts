import type { Counter, Histogram } from 'prom-client';

export type Labels = Record<string, string>;

/** Where nobody scrapes. */
const MOST_LEFT = 100;

/**
 * The time series of one proxy. Kept in mind, to be removed where others share the metrics, and where
 * their backend has left: else a proxy whose backends come and go would have ever more of them.
 */
export class Series {
  readonly #known = new Map<Counter | Histogram, Map<string, Labels>>();
  /** By their `host:port`. */
  #backends = new Set<string>();
  /** Backends that have left and have series, and whether a scrape has seen these as they are. */
  readonly #left = new Map<string, boolean>();

  constructor(private readonly proxy: string) {}

  count(counter: Counter, labels: Labels, by = 1): void {
    counter.inc(this.#remembered(counter, labels), by);
  }

  observe(histogram: Histogram, labels: Labels, value: number): void {
    histogram.observe(this.#remembered(histogram, labels), value);
  }

  remove(): void {
    this.#removeWhere(() => true);
  }

  /** Those that are there from now on. */
  setBackends(backends: readonly string[]): void {
    for (const backend of this.#backends) this.#left.set(backend, false);
    this.#backends = new Set(backends);
    for (const backend of backends) this.#left.delete(backend);
    for (const [backend] of this.#left) {
      if (this.#left.size <= MOST_LEFT) break;
      this.#forget(backend);
    }
  }

  /** A scrape: what has left, and was seen by the one before as it is now, is removed. */
  sweep(): void {
    for (const [backend, seen] of this.#left) {
      if (!seen) this.#left.set(backend, true);
      else this.#forget(backend);
    }
  }

  #forget(gone: string): void {
    this.#left.delete(gone);
    this.#removeWhere(({ backend }) => backend === gone);
  }

  #removeWhere(holds: (labels: Labels) => boolean): void {
    for (const [metric, known] of this.#known) {
      for (const [key, labels] of known) {
        if (!holds(labels)) continue;
        metric.remove(labels);
        known.delete(key);
      }
    }
  }

  #remembered(metric: Counter | Histogram, own: Labels): Labels {
    const { backend } = own;
    // An attempt that was under way there.
    if (backend !== undefined && !this.#backends.has(backend)) this.#left.set(backend, false);
    const known = this.#known.get(metric) ?? new Map<string, Labels>();
    const key = Object.values(own).join(' ');
    const labels = known.get(key) ?? { proxy: this.proxy, ...own };
    this.#known.set(metric, known.set(key, labels));
    return labels;
  }
}
