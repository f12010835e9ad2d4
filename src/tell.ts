import type { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Request } from 'express';
import { applySafely, describe, warn } from './errors.js';
import type {
  AttemptEvent,
  AttemptStartEvent,
  DoneEvent,
  HopEvent,
  ProxyEvents,
  RequestEvent,
  TinyProxyEvents,
} from './events.js';
import { type Exchange, type Hop, type NoRetryReason, sentBytes, sentStatus } from './exchange.js';
import type { HeaderMap } from './headers.js';

/**
 * Emits; a listener that throws can harm neither the request that it hears about nor the listeners
 * behind it, as it would by `emit()`.
 */
export function tell<K extends keyof TinyProxyEvents>(
  events: ProxyEvents,
  event: K,
  told: TinyProxyEvents[K][0],
): void {
  const failed = (thrown: unknown): void =>
    warn('TINY_PROXY_LISTENER', `a listener of "${event}" threw: ${describe(thrown)}`);
  for (const listener of (events as EventEmitter).rawListeners(event)) {
    applySafely(listener as typeof failed, events, told, failed);
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
    this.bytes = sentBytes(exchange, res);
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
