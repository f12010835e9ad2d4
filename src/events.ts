import type { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Request } from 'express';
import { describe, warn } from './errors.js';
import { type Exchange, type Hop, type NoRetryReason, sentStatus } from './exchange.js';
import type { HeaderMap } from './headers.js';

/**
 * The request that an event is about: for what is to be told apart, or found again, by its identity
 * (a request id may come twice). It is no own member: JSON and `structuredClone()` leave it out.
 */
export interface AboutRequest {
  /** Express's request. */
  readonly req: Request;
}

/** A request has begun. */
export interface RequestEvent extends AboutRequest {
  /** `''` with `trace: false`. */
  requestId: string;
}

/** About one attempt. */
export interface AttemptEvent {
  /** `''` with `trace: false`. */
  requestId: string;
  /** `host:port`, or `unix:path`. */
  backend: string;
  /** From 1. */
  attempt: number;
}

/** An attempt as it starts. No own members, as `req`: `target`, `url` and `headers`. */
export interface AttemptStartEvent extends AttemptEvent, AboutRequest {
  /** The backend, as `status()` names it. */
  readonly target: string;
  /** What is asked, with its query; `director` may change it yet. */
  readonly url: string;
  /**
   * What is sent, names in lower case, before `director` has the last word. A listener may change
   * it; framing and hop-by-hop fields stay as they are.
   */
  readonly headers: HeaderMap;
}

/** An attempt, and what it has come to. */
export interface FailureEvent extends AttemptEvent {
  /** A status, or a code such as `'ECONNREFUSED'`. */
  outcome: number | string;
}

/** An attempt that is over. No own members, as `req`: `target` and `url`. */
export interface HopEvent extends FailureEvent, AboutRequest {
  /** Of the backend's head; null where there was none. */
  status: number | null;
  /** Milliseconds to that head, or to the failure. */
  ms: number;
  /** It counts as a failure of its backend. */
  failed: boolean;
  /** The backend, as `status()` names it. */
  readonly target: string;
  /** What was asked, with its query. */
  readonly url: string;
}

/** An attempt has failed, and another one follows. */
export interface RetryEvent extends FailureEvent {
  /** The backend of the next attempt; null where a backoff comes first. */
  next: string | null;
  /** Milliseconds of backoff before it. */
  delayMs: number;
}

/** The last attempt of a replayable request has failed. */
export interface GiveUpEvent extends FailureEvent {
  /** Why no other one follows. */
  noRetry: NoRetryReason;
}

/** A request is over. */
export interface DoneEvent extends AboutRequest {
  /** `''` with `trace: false`. */
  requestId: string;
  /** The last one that was tried. */
  backend: string | null;
  /** How many attempts there were. */
  attempt: number;
  /** Null where the client left before a head. */
  status: number | null;
  /** Milliseconds from its beginning to the end of its response. */
  ms: number;
  /** Of the response's body, as far as the client was sent it. */
  bytes: number;
  /** Its attempts. */
  hops: readonly Hop[];
  /** Why no further attempt was made after a failure; null where the log has `-`. */
  noRetry: NoRetryReason | null;
}

/** A breaker has changed its state. */
export interface BreakerEvent {
  /** `host:port`, or `unix:path`. */
  backend: string;
  /** As `status()` names it, and `drain()` takes it. */
  target: string;
  /** Where no attempt of this proxy has decided: what `holdOpen()` or `closeBreaker()` was given. */
  reason?: string;
}

/** A breaker has opened. */
export interface BreakEvent extends BreakerEvent {
  /** In a row. */
  failures: number;
  /** ISO time of the next probe. */
  openUntil: string | null;
}

/** Backends have come, gone, or changed their weight: by their `url` in `status()`. */
export interface TargetsEvent {
  /** Those that were not there before. */
  added: string[];
  /** Those that get no new attempt. */
  removed: string[];
  /** All that are there now. */
  backends: string[];
}

/** A backend's health has changed. */
export interface HealthEvent {
  /** `host:port`, or `unix:path`. */
  backend: string;
  /** As `setHealthy()` was told; `''` where it was not. */
  reason: string;
}

/** `close()` was called. */
export interface CloseEvent {
  /** What the requests in flight have to end. */
  graceMs: number;
}

/** What a proxy tells while it works. */
export interface TinyProxyEvents {
  /** A request begins. `done` will follow. */
  request: [RequestEvent];
  /** An attempt starts. */
  attempt: [AttemptStartEvent];
  /** An attempt is over: it has failed, or its response has ended. */
  hop: [HopEvent];
  /** An attempt has failed, and another one follows. */
  retry: [RetryEvent];
  /** The last attempt of a replayable request has failed. */
  'give-up': [GiveUpEvent];
  /** A request is over. */
  done: [DoneEvent];
  /** A breaker has opened. */
  break: [BreakEvent];
  /** A breaker lets its probe through. */
  'half-open': [BreakerEvent];
  /** A breaker has closed. */
  reset: [BreakerEvent];
  /** `setTargets()` has changed the list. */
  targets: [TargetsEvent];
  /** `setHealthy()` has changed a backend's health. */
  unhealthy: [HealthEvent];
  healthy: [HealthEvent];
  /** `close()` was called: new requests are refused. Once. */
  close: [CloseEvent];
}

export type ProxyEvents = EventEmitter<TinyProxyEvents>;

/**
 * Emits; a listener that throws can harm neither the request that it hears about nor the listeners
 * behind it, as it would by `emit()`.
 */
export function tell<K extends keyof TinyProxyEvents>(
  events: ProxyEvents,
  event: K,
  told: TinyProxyEvents[K][0],
): void {
  for (const listener of (events as EventEmitter).rawListeners(event)) {
    try {
      Reflect.apply(listener, events, [told]);
    } catch (thrown) {
      warn('TINY_PROXY_LISTENER', `a listener of "${event}" threw: ${describe(thrown)}`);
    }
  }
}

/**
 * What is told. `req` and the like stand behind getters: they are no own members, so that JSON and
 * `structuredClone()` leave them out. Classes, because `Object.defineProperty()` would cost 15 us an
 * event (Node 20).
 */
class ToldRequest implements RequestEvent {
  readonly requestId: string;
  readonly #req: Request;

  constructor({ id, req }: Exchange) {
    this.requestId = id;
    this.#req = req;
  }

  get req(): Request {
    return this.#req;
  }
}

/** What the events tell about an attempt. */
interface Attempted {
  readonly exchange: Exchange;
  readonly backend: { readonly name: string; readonly label: string };
  readonly number: number;
  readonly url: string;
  readonly status: number | null;
  readonly failed: boolean;
}

class ToldAttempt extends ToldRequest {
  readonly backend: string;
  readonly attempt: number;
  readonly #target: string;
  readonly #url: string;

  constructor({ exchange, backend, number, url }: Attempted) {
    super(exchange);
    this.backend = backend.name;
    this.attempt = number;
    this.#target = backend.label;
    this.#url = url;
  }

  get target(): string {
    return this.#target;
  }

  get url(): string {
    return this.#url;
  }
}

class ToldStart extends ToldAttempt implements AttemptStartEvent {
  readonly #headers: HeaderMap;

  constructor(attempt: Attempted, headers: HeaderMap) {
    super(attempt);
    this.#headers = headers;
  }

  get headers(): HeaderMap {
    return this.#headers;
  }
}

class ToldHop extends ToldAttempt implements HopEvent {
  readonly outcome: number | string;
  readonly status: number | null;
  readonly ms: number;
  readonly failed: boolean;

  constructor(attempt: Attempted, { outcome, ms }: Hop) {
    super(attempt);
    this.outcome = outcome;
    this.status = attempt.status;
    this.ms = ms;
    this.failed = attempt.failed;
  }
}

class ToldDone extends ToldRequest implements DoneEvent {
  readonly backend: string | null;
  readonly attempt: number;
  readonly status: number | null;
  readonly ms: number;
  readonly bytes: number;
  readonly hops: readonly Hop[];
  readonly noRetry: NoRetryReason | null;

  constructor(exchange: Exchange, res: ServerResponse, last: AttemptEvent | undefined) {
    super(exchange);
    this.backend = last?.backend ?? null;
    this.attempt = last?.attempt ?? 0;
    this.status = sentStatus(exchange, res);
    this.ms = performance.now() - exchange.startedAt;
    this.bytes = exchange.bytes;
    this.hops = exchange.hops;
    this.noRetry = exchange.noRetry;
  }
}

export function tellRequest(events: ProxyEvents, exchange: Exchange): void {
  tell(events, 'request', new ToldRequest(exchange));
}

export function tellAttempt(events: ProxyEvents, attempt: Attempted, headers: HeaderMap): void {
  tell(events, 'attempt', new ToldStart(attempt, headers));
}

export function tellHop(events: ProxyEvents, attempt: Attempted, hop: Hop): void {
  tell(events, 'hop', new ToldHop(attempt, hop));
}

/** A request is over; `last` is the attempt that was its last. */
export function tellDone(
  events: ProxyEvents,
  exchange: Exchange,
  res: ServerResponse,
  last: { readonly about: AttemptEvent } | null,
): void {
  tell(events, 'done', new ToldDone(exchange, res, last?.about));
}
