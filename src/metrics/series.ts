import type { Counter, Histogram } from 'prom-client';

export type Labels = Record<string, string>;

/** The time series of one proxy. Kept in mind, to be removed where others share the metrics. */
export class Series {
  readonly #known = new Map<Counter | Histogram, Map<string, Labels>>();

  constructor(private readonly proxy: string) {}

  count(counter: Counter, labels: Labels, by = 1): void {
    counter.inc(this.#remembered(counter, labels), by);
  }

  observe(histogram: Histogram, labels: Labels, value: number): void {
    histogram.observe(this.#remembered(histogram, labels), value);
  }

  remove(): void {
    for (const [metric, known] of this.#known)
      for (const labels of known.values()) metric.remove(labels);
  }

  #remembered(metric: Counter | Histogram, own: Labels): Labels {
    const known = this.#known.get(metric) ?? new Map<string, Labels>();
    const key = Object.values(own).join(' ');
    const labels = known.get(key) ?? { proxy: this.proxy, ...own };
    this.#known.set(metric, known.set(key, labels));
    return labels;
  }
}
