import type { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { describe, warn } from './errors.js';
import { type Exchange, type Hop, type NoRetryReason, sentStatus } from './exchange.js';

/** About one attempt. */
export interface AttemptEvent {
  requestId: string;
  /** `host:port` */
  backend: string;
  /** From 1. */
  attempt: number;
}

export interface FailureEvent extends AttemptEvent {
  outcome: number | string;
}

export interface RetryEvent extends FailureEvent {
  /** The backend of the next attempt; null where a backoff comes first. */
  next: string | null;
  delayMs: number;
}

export interface GiveUpEvent extends FailureEvent {
  noRetry: NoRetryReason;
}

export interface DoneEvent {
  requestId: string;
  /** The last one that was tried. */
  backend: string | null;
  /** How many attempts there were. */
  attempt: number;
  /** Null where the client left before a head. */
  status: number | null;
  ms: number;
  bytes: number;
  hops: readonly Hop[];
  noRetry: NoRetryReason | null;
}

export interface BreakEvent {
  backend: string;
  /** In a row. */
  failures: number;
  /** ISO time of the next probe. */
  openUntil: string | null;
}

/** What a proxy tells while it works. */
export interface TinyProxyEvents {
  /** An attempt starts. */
  attempt: [AttemptEvent];
  /** An attempt has failed, and another one follows. */
  retry: [RetryEvent];
  /** The last attempt of a replayable request has failed. */
  'give-up': [GiveUpEvent];
  /** A request is over. */
  done: [DoneEvent];
  /** A breaker has opened. */
  break: [BreakEvent];
  /** A breaker lets its probe through. */
  'half-open': [{ backend: string }];
  /** A breaker has closed. */
  reset: [{ backend: string }];
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

/** A request is over; `last` is the attempt that was its last. */
export function tellDone(
  events: ProxyEvents,
  exchange: Exchange,
  res: ServerResponse,
  last: { readonly about: AttemptEvent } | null,
): void {
  const { id, hops, bytes, noRetry, startedAt } = exchange;
  const { backend = null, attempt = 0 } = last?.about ?? {};
  tell(events, 'done', {
    ...{ requestId: id, backend, attempt, bytes, hops, noRetry },
    status: sentStatus(exchange, res),
    ms: performance.now() - startedAt,
  });
}
