import {
  Counter,
  Gauge,
  Histogram,
  type OpenMetricsContentType,
  type PrometheusContentType,
  type Registry,
} from 'prom-client';
import type { ProxyStatus, TinyProxy } from '../index.js';
import { backendLabel } from './labels.js';
import type { Labels, Series } from './series.js';

/** A register of either format. */
export type AnyRegistry = Registry<PrometheusContentType> | Registry<OpenMetricsContentType>;

type Metric = Counter | Gauge | Histogram;

const BREAKER_STATES = ['closed', 'open', 'half-open'];

/** The metrics of one register and prefix, which all proxies there share. */
export class Family {
  readonly requests: Counter;
  readonly requestSeconds: Histogram;
  readonly attempts: Counter;
  readonly attemptSeconds: Histogram;
  readonly failures: Counter;
  readonly retries: Counter;
  readonly noRetries: Counter;
  readonly breakerOpens: Counter;
  readonly #metrics = new Map<string, Metric>();
  readonly #proxies = new Map<string, { proxy: TinyProxy; series: Series }>();
  /** Of all proxies, for the gauges of one scrape. */
  #statuses: [proxy: string, status: ProxyStatus][] | null = null;

  constructor(
    private readonly register: AnyRegistry,
    private readonly prefix: string,
    readonly buckets: readonly number[],
  ) {
    this.requests = this.#counter(
      'requests_total',
      'Requests that are over; status "none": it had no response yet.',
      ['method', 'status'],
    );
    this.requestSeconds = this.#histogram(
      'request_duration_seconds',
      'Time from a request to the end of its response, by the class of its status.',
      ['status'],
    );
    this.attempts = this.#counter(
      'attempts_total',
      'Attempts that are over, by their outcome: a status, or the code of an error.',
      ['backend', 'outcome'],
    );
    this.attemptSeconds = this.#histogram(
      'attempt_duration_seconds',
      'Time from an attempt to the head of its response, or to its failure.',
      ['backend', 'failed'],
    );
    this.failures = this.#counter(
      'failures_total',
      'Attempts that have failed for their backend and its breaker.',
      ['backend', 'cause'],
    );
    this.retries = this.#counter(
      'retries_total',
      'Attempts that have failed and were followed by another, by the backend that failed.',
      ['backend'],
    );
    this.noRetries = this.#counter(
      'no_retry_total',
      'Requests whose failure was not followed by another attempt, by the reason.',
      ['reason'],
    );
    this.breakerOpens = this.#counter('breaker_opens_total', 'How often a breaker has opened.', [
      'backend',
    ]);
    this.#addGauges();
    this.#enter();
  }

  /** What is read from `status()` when Prometheus asks. */
  #addGauges(): void {
    this.#gauge('requests_in_flight', 'Requests that are not over.', [], (gauge, proxy, status) =>
      gauge.set({ proxy }, status.inFlight),
    );
    this.#gauge(
      'retry_budget_left',
      'Retries that the budget would allow now; not there without a budget.',
      [],
      (gauge, proxy, { budget }) => budget && gauge.set({ proxy }, budget.left),
    );
    // Added up, not set: two backends may differ in their path alone, and have one name.
    this.#backendGauge('attempts_in_flight', 'Attempts that are not over.', (backend) => [
      [{}, backend.inFlight],
    ]);
    this.#backendGauge('backend_drained', '1: taken out of rotation.', (backend) => [
      [{}, Number(backend.drained)],
    ]);
    this.#backendGauge('backend_healthy', '0: a health check has found it sick.', (backend) => [
      [{}, Number(backend.healthy)],
    ]);
    this.#backendGauge(
      'breaker_state',
      '1 for the state that the breaker is in, 0 for the others.',
      (backend) => BREAKER_STATES.map((state) => [{ state }, Number(backend.breaker === state)]),
      ['state'],
    );
  }

  /** All of them, or, where somebody else has one of the names, none. */
  #enter(): void {
    const register = this.register as Registry;
    for (const name of this.#metrics.keys()) {
      if (register.getSingleMetric(name) === undefined) continue;
      const expected = "another where its metrics are on the register already, for example 'edge_'";
      throw new TypeError(
        `collectMetrics: option "prefix" must be ${expected}; got '${this.prefix}', and there is ${name}`,
      );
    }
    for (const metric of this.#metrics.values()) register.registerMetric(metric);
  }

  /** Nobody has taken them off the register: `register.clear()` does. */
  get isRegistered(): boolean {
    const register = this.register as Registry;
    return [...this.#metrics].every(([name, metric]) => register.getSingleMetric(name) === metric);
  }

  has(proxy: string): boolean {
    return this.#proxies.has(proxy);
  }

  add(name: string, proxy: TinyProxy, series: Series): void {
    this.#proxies.set(name, { proxy, series });
  }

  /** With the last proxy, the metrics leave the register. */
  remove(proxy: string): void {
    this.#proxies.delete(proxy);
    if (this.#proxies.size > 0 || !this.isRegistered) return;
    for (const name of this.#metrics.keys()) this.register.removeSingleMetric(name);
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return this.#add(new Counter(this.#configuration(name, help, labelNames)), name);
  }

  #histogram(name: string, help: string, labelNames: string[]): Histogram {
    const buckets = [...this.buckets];
    return this.#add(
      new Histogram({ ...this.#configuration(name, help, labelNames), buckets }),
      name,
    );
  }

  #gauge(
    name: string,
    help: string,
    labelNames: string[],
    read: (gauge: Gauge, proxy: string, status: ProxyStatus) => void,
  ): void {
    const configuration = this.#configuration(name, help, labelNames);
    const collect = (): void => {
      gauge.reset();
      for (const [proxy, status] of this.#statusesNow()) read(gauge, proxy, status);
    };
    const gauge: Gauge = this.#add(new Gauge({ ...configuration, collect }), name);
  }

  #backendGauge(
    name: string,
    help: string,
    read: (backend: ProxyStatus['backends'][number]) => [labels: Labels, value: number][],
    labelNames: string[] = [],
  ): void {
    this.#gauge(name, help, ['backend', ...labelNames], (gauge, proxy, status) => {
      for (const each of status.backends) {
        const backend = backendLabel(each.url);
        for (const [labels, value] of read(each)) gauge.inc({ proxy, backend, ...labels }, value);
      }
    });
  }

  #configuration(name: string, help: string, labelNames: string[]) {
    const registers: Registry[] = []; // all of them at once, at the end
    return { name: this.prefix + name, help, labelNames: ['proxy', ...labelNames], registers };
  }

  #add<M extends Metric>(metric: M, name: string): M {
    this.#metrics.set(this.prefix + name, metric);
    return metric;
  }

  /** One snapshot for all gauges of a scrape: a register asks them one after the other, at once. */
  #statusesNow(): [proxy: string, status: ProxyStatus][] {
    if (this.#statuses === null) {
      this.#statuses = [...this.#proxies].map(([name, { proxy }]) => [name, proxy.status()]);
      for (const { series } of this.#proxies.values()) series.sweep();
      queueMicrotask(() => {
        this.#statuses = null;
      });
    }
    return this.#statuses;
  }
}
