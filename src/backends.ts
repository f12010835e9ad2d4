import { type Balance, compileBalance } from './balance.js';
import { Breaker, type BreakerChange, type BreakerState, type Ticket } from './breaker.js';
import type { ResolvedOptions, ResolvedTarget } from './options.js';
import type { BasePath } from './request-target.js';
import { ConnectionLimit } from './transport/connection-limit.js';

/** Milliseconds to the response's head. */
export interface Latency {
  /** The median. */
  p50: number;
  /** Of 100 attempts, 99 were no slower. */
  p99: number;
}

/** One backend of `status()`. */
export interface BackendStatus {
  /** As it was configured; for `drain(url)`. With an `address`, that in place of the host, which follows a `#`. */
  url: string;
  /** Its share of the requests. */
  weight: number;
  /** `'half-open'` from the end of the cooldown on. */
  breaker: BreakerState;
  /** Out of rotation by `drain()`. */
  drained: boolean;
  /** `false`: `setHealthy()` has said so, a health check, say. It is skipped as long as another may be tried. */
  healthy: boolean;
  /** ISO time of the next probe while open. */
  openUntil: string | null;
  /** Failures in a row; `breaker.failures` of them open the breaker. */
  consecutiveFailures: number;
  /** Attempts that run there now. */
  inFlight: number;
  /** Since the start. */
  attempts: number;
  /** Attempts that counted against it, since the start. */
  failures: number;
  /** What the last of these was: `'ECONNREFUSED'`, `'status 503'`; null where there was none. */
  lastError: string | null;
  /** Of the last 512 attempts that got a head; null where none did. */
  latency: Latency | null;
}

const LATENCIES = 512;

/** Of a label: the same for all its spellings. */
export const keyOf = (label: string): string => (URL.canParse(label) ? new URL(label).href : label);

export class Backend {
  readonly url: URL;
  /** What tells it from every other, over all lists of targets. */
  readonly key: string;
  /** As configured; with an `address`, that in place of the host, which follows a `#`. */
  readonly label: string;
  /** `host:port`, or `unix:path` */
  readonly name: string;
  readonly socketPath: string | undefined;
  /** To be dialled instead of the URL's host. */
  readonly address: string | undefined;
  weight: number;
  readonly base: BasePath;
  readonly breaker: Breaker | null;
  /** `maxConnections` */
  readonly limit: ConnectionLimit | null;
  inFlight = 0;
  attempts = 0;
  failures = 0;
  lastError: string | null = null;
  /** How many drains are in force. */
  drains = 0;
  healthy = true;
  /** Smooth weighted round-robin's running credit. */
  credit = 0;
  /** It is no target any more; called when its last attempt is over. */
  #forget: (() => void) | null = null;
  readonly #latencies = new Float64Array(LATENCIES);
  #heads = 0;

  constructor(target: ResolvedTarget, options: ResolvedOptions, onChange: OnBreakerChange) {
    const { url, label } = target;
    this.url = url;
    this.key = target.key;
    this.label = label;
    this.socketPath = target.socketPath;
    this.address = target.address;
    const { hostname } = this.socketPath === undefined ? new URL(label) : url;
    const port = url.port || (url.protocol === 'https:' ? 443 : 80);
    this.name = this.socketPath === undefined ? `${hostname}:${port}` : `unix:${this.socketPath}`;
    this.weight = target.weight;
    const [path, search] = options.prependPath === false ? ['/', ''] : [url.pathname, url.search];
    this.base = { path, stem: path.replace(/\/$/, ''), search };
    const { breaker, maxConnections: most, queueTimeout } = options;
    this.limit = most === undefined ? null : new ConnectionLimit(most, queueTimeout);
    this.breaker = !breaker
      ? null
      : new Breaker(breaker.failures, breaker.cooldown, (change, reason) =>
          onChange(this, change, reason),
        );
  }

  available(now: number): boolean {
    return this.drains === 0 && (this.breaker === null || this.breaker.available(now));
  }

  enter(): Ticket {
    this.inFlight++;
    this.attempts++;
    return this.breaker?.enter() ?? 0;
  }

  headAfter(ms: number): void {
    this.#latencies[this.#heads++ % LATENCIES] = ms;
  }

  /** An attempt is over. */
  leave(ticket: Ticket): void {
    this.inFlight--;
    this.breaker?.leave(ticket);
    if (this.inFlight === 0) this.#forget?.();
  }

  /** No attempt goes there any more; `forget` is called when none is left, at once or later. */
  retire(forget: () => void): void {
    this.drains++;
    this.#forget = forget;
    this.limit?.sendAway();
    if (this.inFlight === 0) forget();
  }

  get retired(): boolean {
    return this.#forget !== null;
  }

  fail(ticket: Ticket, error: string, now: number): void {
    this.failures++;
    this.lastError = error;
    this.breaker?.failure(ticket, now);
    if (this.limit !== null && this.breaker?.stateAt(now) === 'open') this.limit.sendAway();
  }

  /** ISO time of the next probe while open. */
  openUntil(now: number): string | null {
    if (this.breaker?.stateAt(now) !== 'open') return null;
    return new Date(Date.now() + this.breaker.waitMs(now)).toISOString();
  }

  status(now: number): BackendStatus {
    return {
      url: this.label,
      weight: this.weight,
      breaker: this.breaker?.stateAt(now) ?? 'closed',
      drained: this.drains > 0,
      healthy: this.healthy,
      openUntil: this.openUntil(now),
      consecutiveFailures: this.breaker?.failures ?? 0,
      inFlight: this.inFlight,
      attempts: this.attempts,
      failures: this.failures,
      lastError: this.lastError,
      latency: this.#latency(),
    };
  }

  #latency(): BackendStatus['latency'] {
    const count = Math.min(this.#heads, LATENCIES);
    if (count === 0) return null;
    const sorted = this.#latencies.slice(0, count).sort();
    const at = (share: number): number =>
      Math.round(sorted[Math.ceil(share * count) - 1]! * 1000) / 1000;
    return { p50: at(0.5), p99: at(0.99) };
  }
}

/** `reason`: on whose word, null where attempts have decided. */
export type OnBreakerChange = (
  backend: Backend,
  change: BreakerChange,
  reason: string | null,
) => void;

export interface Replaced {
  readonly added: Backend[];
  readonly removed: Backend[];
}

/** The pool: who may be tried, and who of them is next. */
export class BackendPool {
  all: readonly Backend[];
  /** Throws a ProxyError, `BALANCE_FAILED`. */
  readonly choose: Balance;
  readonly #limited: boolean;

  constructor(
    private readonly options: ResolvedOptions,
    private readonly onChange: OnBreakerChange,
  ) {
    this.all = options.targets.map((target) => new Backend(target, options, onChange));
    this.choose = compileBalance(options.balance);
    this.#limited = options.maxConnections !== undefined;
  }

  /**
   * The backends that may be tried now, `tried` ones left out; full ones too, unless all are. Of the
   * unhealthy ones any, where no healthy one may be tried: that is never worse than not to know.
   */
  candidates(now: number, leftOut?: ReadonlySet<Backend>): Backend[] {
    let found = this.all.filter((backend) => backend.healthy && backend.available(now));
    if (found.length === 0) found = this.all.filter((backend) => backend.available(now));
    if (leftOut !== undefined) {
      const left = [...leftOut]; // and who has left the list, and come back, is no other
      found = found.filter(({ key }) => !left.some((each) => each.key === key));
    }
    if (!this.#limited) return found;
    const free = found.filter(({ limit }) => limit?.full === false);
    return free.length > 0 ? free : found;
  }

  /**
   * Those that are in both lists stay as they are, but for their weight; `forget` is called for each
   * that leaves, when its last attempt is over. Answers what has changed, null where nothing has.
   */
  replace(targets: readonly ResolvedTarget[], forget: (backend: Backend) => void): Replaced | null {
    const leaving = new Map(this.all.map((backend) => [backend.key, backend]));
    const added: Backend[] = [];
    let reweighted = false;
    this.all = targets.map((target) => {
      const known = leaving.get(target.key);
      const backend = known ?? new Backend(target, this.options, this.onChange);
      if (!leaving.delete(target.key)) added.push(backend);
      reweighted ||= backend.weight !== target.weight;
      backend.weight = target.weight;
      return backend;
    });
    const removed = [...leaving.values()];
    for (const backend of removed) backend.retire(() => forget(backend));
    if (!reweighted && added.length + removed.length === 0) return null;
    // What was a turn by the old weights may be a thousand by the new ones.
    for (const backend of this.all) backend.credit = 0;
    return { added, removed };
  }

  /** Milliseconds until the first probe of an open backend that is not drained. */
  waitMs(now: number): number {
    const waits = this.all
      .filter((backend) => backend.drains === 0)
      .map((backend) => backend.breaker?.waitMs(now) ?? 0);
    return waits.length === 0 ? 0 : Math.min(...waits);
  }

  /** @throws {TypeError} that names the `caller` for a URL that is no target, or not one alone. */
  find(caller: string, url: string | URL): Backend {
    const wanted = keyOf(String(url));
    const found = this.all.filter(({ key }) => `${key}#`.startsWith(`${wanted}#`));
    const exact = found.length === 1 ? found[0] : found.find(({ key }) => key === wanted);
    if (exact !== undefined) return exact;
    const what = found.length === 0 ? 'no backend' : `${found.length} backends`;
    const known = (found.length === 0 ? this.all : found).map(({ label }) => label).join(', ');
    throw new TypeError(
      `${caller}: "${url}" is ${what} of this proxy; they are ${known || 'none'}`,
    );
  }

  /** @throws {TypeError} for a URL that is no target. */
  drain(url: string | URL): () => void {
    const backend = this.find('drain', url);
    backend.drains++;
    backend.limit?.sendAway();
    let inForce = true;
    return function undrain() {
      if (inForce) backend.drains--;
      inForce = false;
    };
  }
}
