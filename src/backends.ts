import type { Request } from 'express';
import { Breaker, type BreakerChange, type BreakerState, type Ticket } from './breaker.js';
import { atOnce, hookError, ProxyError } from './errors.js';
import type { BalanceFunction, Candidate, ResolvedOptions } from './options.js';
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
  /** As it was configured; for `drain(url)`. */
  url: string;
  /** Its share of the requests. */
  weight: number;
  /** `'half-open'` from the end of the cooldown on. */
  breaker: BreakerState;
  /** Out of rotation by `drain()`. */
  drained: boolean;
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

export class Backend {
  readonly url: URL;
  /** As configured. */
  readonly label: string;
  /** `host:port`, or `unix:path` */
  readonly name: string;
  readonly socketPath: string | undefined;
  readonly weight: number;
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
  /** Smooth weighted round-robin's running credit. */
  credit = 0;
  readonly #latencies = new Float64Array(LATENCIES);
  #heads = 0;

  constructor(
    target: ResolvedOptions['targets'][number],
    options: ResolvedOptions,
    onChange: OnBreakerChange,
  ) {
    const { url } = target;
    this.url = url;
    this.label = target.label;
    this.socketPath = target.socketPath;
    const port = url.port || (url.protocol === 'https:' ? 443 : 80);
    this.name = this.socketPath === undefined ? `${url.hostname}:${port}` : target.label;
    this.weight = target.weight;
    const [path, search] = options.prependPath === false ? ['/', ''] : [url.pathname, url.search];
    this.base = { path, stem: path.replace(/\/$/, ''), search };
    const { breaker, maxConnections: most, queueTimeout } = options;
    this.limit = most === undefined ? null : new ConnectionLimit(most, queueTimeout);
    this.breaker = !breaker
      ? null
      : new Breaker(breaker.failures, breaker.cooldown, (change) => onChange(this, change));
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

export type OnBreakerChange = (backend: Backend, change: BreakerChange) => void;

type Balance = (candidates: readonly Backend[], req: Request) => Backend;

/** The pool: who may be tried, and who of them is next. */
export class BackendPool {
  readonly all: readonly Backend[];
  readonly #balance: Balance;
  readonly #limited: boolean;

  constructor(options: ResolvedOptions, onChange: OnBreakerChange) {
    this.all = options.targets.map((target) => new Backend(target, options, onChange));
    this.#balance = compileBalance(options.balance);
    this.#limited = options.maxConnections !== undefined;
  }

  /** The backends that may be tried now, `tried` ones left out; full ones too, unless all are. */
  candidates(now: number, leftOut?: ReadonlySet<Backend>): Backend[] {
    const available = this.all.filter(
      (backend) => backend.available(now) && (leftOut === undefined || !leftOut.has(backend)),
    );
    if (!this.#limited) return available;
    const free = available.filter(({ limit }) => limit?.full === false);
    return free.length > 0 ? free : available;
  }

  /** @throws {ProxyError} `BALANCE_FAILED` */
  choose(candidates: readonly Backend[], req: Request): Backend {
    return this.#balance(candidates, req);
  }

  /** Milliseconds until the first probe of an open backend that is not drained. */
  waitMs(now: number): number {
    const waits = this.all
      .filter((backend) => backend.drains === 0)
      .map((backend) => backend.breaker?.waitMs(now) ?? 0);
    return waits.length === 0 ? 0 : Math.min(...waits);
  }

  /** @throws {TypeError} for a URL that is no target. */
  drain(url: string | URL): () => void {
    const text = String(url);
    const href = URL.canParse(text) ? new URL(text).href : text;
    const backend = this.all.find(
      ({ label, url, socketPath }) => label === text || (!socketPath && url.href === href),
    );
    if (backend === undefined) {
      const known = this.all.map((candidate) => candidate.label).join(', ');
      throw new TypeError(`drain: "${text}" is no backend of this proxy; they are ${known}`);
    }
    backend.drains++;
    backend.limit?.sendAway();
    let inForce = true;
    return function undrain() {
      if (inForce) backend.drains--;
      inForce = false;
    };
  }
}

function compileBalance(balance: ResolvedOptions['balance']): Balance {
  if (typeof balance === 'function') return byFunction(balance);
  if (balance === 'least-pending') return leastPending;
  return balance === 'random-two' ? randomTwo : roundRobin;
}

/** nginx's smooth weighted round-robin: a heavy backend's turns are spread, not bunched. */
function roundRobin(candidates: readonly Backend[]): Backend {
  let best = candidates[0]!;
  if (candidates.length === 1) return best;
  let total = 0;
  for (const backend of candidates) {
    total += backend.weight;
    backend.credit += backend.weight;
    if (backend.credit > best.credit) best = backend;
  }
  best.credit -= total;
  return best;
}

/** Ties go round, so that an idle pool does not lean on its first backend. */
function leastPending(candidates: readonly Backend[]): Backend {
  const loads = candidates.map(load);
  const least = Math.min(...loads);
  return roundRobin(candidates.filter((_, i) => loads[i] === least));
}

/** The power of two choices: two at random by weight, the less loaded of them. */
function randomTwo(candidates: readonly Backend[]): Backend {
  if (candidates.length === 1) return candidates[0]!;
  const first = randomOne(candidates);
  const second = randomOne(candidates.filter((backend) => backend !== first));
  return load(second) < load(first) ? second : first;
}

function randomOne(candidates: readonly Backend[]): Backend {
  let at = Math.random() * candidates.reduce((sum, backend) => sum + backend.weight, 0);
  for (const backend of candidates) {
    at -= backend.weight;
    if (at < 0) return backend;
  }
  return candidates[0]!;
}

function load(backend: Backend): number {
  return backend.inFlight / backend.weight;
}

function byFunction(balance: BalanceFunction): Balance {
  return function chooseByFunction(candidates, req) {
    const views: Candidate[] = candidates.map(({ label, weight, inFlight }) => ({
      url: label,
      weight,
      inFlight,
    }));
    let chosen: Candidate;
    try {
      chosen = atOnce(balance(req, views));
    } catch (thrown) {
      const { message } = hookError('balance', thrown);
      throw new ProxyError('BALANCE_FAILED', { message, cause: thrown });
    }
    const backend = candidates[views.indexOf(chosen)];
    if (backend !== undefined) return backend;
    throw new ProxyError('BALANCE_FAILED', {
      message: 'balance must answer one of the candidates that it is given',
    });
  };
}
