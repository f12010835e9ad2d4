import type { EventEmitter } from 'node:events';
import type { Request } from 'express';
import type { Hop, NoRetryReason } from './exchange.js';
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
export interface DoneEvent extends RequestEvent {
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
export interface HealthEvent extends BreakerEvent {
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
  /** `setHealthy()` has said that a backend is not well. */
  unhealthy: [HealthEvent];
  /** `setHealthy()` has taken that back. */
  healthy: [HealthEvent];
  /** `close()` was called: new requests are refused. Once. */
  close: [CloseEvent];
}

export type ProxyEvents = EventEmitter<TinyProxyEvents>;
