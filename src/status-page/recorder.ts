import type { EventEmitter } from 'node:events';
import type { Hop, NoRetryReason, TinyProxy, TinyProxyEvents } from '../index.js';
import { eventName } from './names.js';
import { Series } from './series.js';

/** How many exchanges and how many incidents are kept. */
export const KEPT = 50;
const LONGEST_PATH = 200;
const MOST_HOPS = 20;
/** Of a list of targets that has changed. */
const MOST_NAMED = 6;
/** Alike within this time, they are one incident. */
const ALIKE_MS = 10_000;

/** A request that is over. Times are wall-clock milliseconds. */
export interface Exchange {
  readonly seq: number;
  readonly at: number;
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly status: number | null;
  readonly ms: number;
  readonly hops: readonly Hop[];
  readonly noRetry: NoRetryReason | null;
}

/** What has happened: an event of a proxy, by its name, and the `drain` and `undrain` of a backend. */
export type IncidentKind =
  | 'break'
  | 'half-open'
  | 'reset'
  | 'give-up'
  | 'drain'
  | 'undrain'
  | 'unhealthy'
  | 'healthy'
  | 'targets'
  | 'close';

export interface Incident {
  readonly id: number;
  /** Higher where it has changed. */
  seq: number;
  at: number;
  readonly kind: IncidentKind;
  /** As the events name it; null where it is about the whole proxy. */
  readonly backend: string | null;
  /** Why, or how many. */
  readonly detail: string | null;
  count: number;
}

/** What the events tell about a backend. */
export interface BackendRecord {
  readonly series: Series;
  retries: number;
  /** Of the present run of failures. */
  failingSince: number | null;
  openSince: number | null;
  lastFailureAt: number | null;
}

/** Orders all that is recorded, of whatever proxy. */
let seq = 0;

export const lastSeq = (): number => seq;

const recorders = new WeakMap<TinyProxy, Recorder>();

/**
 * What a proxy has told lately: bounded, whatever the traffic. Any number of pages share one, so
 * that they cost the proxy one listener an event.
 */
export class Recorder {
  readonly exchanges: Exchange[] = [];
  /** Those that have failed or were retried: in `exchanges`, good ones soon drive them out. */
  readonly troubled: Exchange[] = [];
  readonly incidents: Incident[] = [];
  closed: boolean;
  readonly #backends = new Map<string, BackendRecord>();
  readonly #followers = new Set<() => void>();
  readonly #listeners: Listeners;

  /** `onNews` is called for what should be seen at once. `unfollow` must be called in the end. */
  static follow(proxy: TinyProxy, onNews: () => void): { recorder: Recorder; unfollow(): void } {
    const recorder = recorders.get(proxy) ?? new Recorder(proxy);
    recorders.set(proxy, recorder);
    const follower = (): void => onNews();
    recorder.#followers.add(follower);
    return {
      recorder,
      unfollow() {
        recorder.#followers.delete(follower);
        if (recorder.#followers.size > 0) return;
        recorder.#stop();
        recorders.delete(proxy);
      },
    };
  }

  private constructor(private readonly proxy: TinyProxy) {
    this.#listeners = this.#recording();
    this.closed = proxy.status().closed;
    if (this.closed) return;
    const events = proxy.events as EventEmitter;
    for (const [event, listener] of Object.entries(this.#listeners)) events.on(event, listener);
  }

  backend(name: string): BackendRecord {
    const known = this.#backends.get(name);
    if (known !== undefined) return known;
    // Those that are no longer the proxy's make room.
    const names = new Set(this.proxy.status().backends.map(({ url }) => eventName(url)));
    for (const old of this.#backends.keys()) if (!names.has(old)) this.#backends.delete(old);
    const record: BackendRecord = {
      series: new Series(performance.now()),
      ...{ retries: 0, failingSince: null, openSince: null, lastFailureAt: null },
    };
    this.#backends.set(name, record);
    return record;
  }

  tell(kind: IncidentKind, backend: string | null, detail: string | null = null): void {
    const at = Date.now();
    const alike = this.incidents.find(
      (each) => each.kind === kind && each.backend === backend && each.detail === detail,
    );
    seq++;
    if (kind === 'give-up' && alike !== undefined && at - alike.at < ALIKE_MS) {
      Object.assign(alike, { seq, at, count: alike.count + 1 });
      return; // there may be thousands: they wait for the next look
    }
    keep(this.incidents, { id: seq, seq, at, kind, backend, detail, count: 1 });
    for (const onNews of this.#followers) onNews();
  }

  #recording(): Listeners {
    return {
      hop: (told) => this.#hop(told),
      retry: ({ backend }) => {
        this.backend(backend).retries++;
      },
      done: (told) => this.#done(told),
      'give-up': ({ backend, outcome, noRetry }) =>
        this.tell('give-up', backend, `${outcome}, ${noRetry}`),
      break: ({ backend, failures, reason }) => {
        const record = this.backend(backend);
        const inRow = failures === 1 ? 'a failure' : `${failures} failures in a row`;
        const own = `after ${record.openSince === null ? inRow : 'a failed probe'}`;
        this.tell('break', backend, reason ?? own);
        record.openSince ??= Date.now();
      },
      'half-open': ({ backend }) => this.tell('half-open', backend),
      reset: ({ backend, reason }) => {
        Object.assign(this.backend(backend), { openSince: null, failingSince: null });
        this.tell('reset', backend, reason);
      },
      unhealthy: ({ backend, reason }) => this.tell('unhealthy', backend, reason || null),
      healthy: ({ backend, reason }) => this.tell('healthy', backend, reason || null),
      targets: ({ added, removed }) => {
        const all = [
          ...added.map((url) => `+${eventName(url)}`),
          ...removed.map((url) => `−${eventName(url)}`),
        ];
        const more = all.length > MOST_NAMED ? `, and ${all.length - MOST_NAMED} more` : '';
        this.tell('targets', null, all.slice(0, MOST_NAMED).join(', ') + more || 'other weights');
      },
      close: () => {
        this.closed = true;
        this.#stop(); // nobody will be looking
        this.tell('close', null);
      },
    };
  }

  #hop({ backend, status, ms, failed }: TinyProxyEvents['hop'][0]): void {
    const record = this.backend(backend);
    record.series.record(performance.now(), status === null ? null : ms, failed);
    if (failed) {
      record.lastFailureAt = Date.now();
      record.failingSince ??= record.lastFailureAt;
    } else if (status !== null) record.failingSince = null;
  }

  #done({ req, requestId, status, ms, hops, noRetry }: TinyProxyEvents['done'][0]): void {
    const exchange: Exchange = {
      seq: ++seq,
      at: Date.now(),
      requestId,
      method: req.method,
      path: pathOf(req.originalUrl),
      status,
      ms,
      hops: hops.slice(-MOST_HOPS),
      noRetry,
    };
    keep(this.exchanges, exchange);
    const isFine = noRetry === null && hops.length < 2 && status !== null && status < 500;
    if (!isFine) keep(this.troubled, exchange);
  }

  #stop(): void {
    const events = this.proxy.events as EventEmitter;
    for (const [event, listener] of Object.entries(this.#listeners)) events.off(event, listener);
  }
}

type Listeners = { [E in keyof TinyProxyEvents]?: (told: TinyProxyEvents[E][0]) => void };

function keep<T>(kept: T[], one: T): void {
  if (kept.push(one) > KEPT) kept.shift();
}

/** Without its query, which may hold secrets. */
function pathOf(url: string): string {
  const path = url.split('?', 1)[0]!;
  return path.length > LONGEST_PATH ? `${path.slice(0, LONGEST_PATH)}…` : path;
}
