import {
  ExponentialBackoff,
  fullJitterGenerator,
  handleWhenResult,
  type IBackoff,
  type RetryPolicy,
  retry,
} from 'cockatiel';
import type { Request } from 'express';
import type { Backend, BackendPool } from './backends.js';
import type { Ticket } from './breaker.js';
import type { NoRetryReason } from './exchange.js';
import type { ResolvedRetry } from './options.js';
import type { RetryBudget } from './retry-budget.js';

/**
 * May a request be sent again?
 *
 * Once a connection stood, the backend may have received and acted on what was sent, whatever came
 * back: a reset, a timeout and a 500 all leave that open. Sending it again is safe only where a
 * second time changes nothing: the methods that RFC 9110 9.2.2 calls idempotent, or what the user
 * says is so. A POST that is sent twice charges a customer twice. The one exception is an attempt
 * that failed before its connection stood: it has sent nothing (`unsent`). A WebSocket is sent again
 * for that reason alone.
 *
 * A kept-alive connection that was reset as it was used again, before any byte of a response, is a
 * race that nobody lost (RFC 9112 9.3.1); it costs no place in the budget, but it is no proof that
 * nothing was received.
 *
 * Nor is a backend at fault whose `maxConnections` are all in use (`queued`): the bound is our own, and
 * nothing was sent. Whatever its method, `retry` and the budget say, the request goes to the next
 * backend that it has not tried.
 */
export interface Failure {
  /** The connection never stood. */
  readonly unsent: boolean;
  /** A pooled connection that was reset before any byte of a response. */
  readonly stale: boolean;
  /** It has waited in vain for a connection. */
  readonly queued?: boolean | undefined;
}

/** Of an attempt whose connection stood. */
export const SENT: Failure = { unsent: false, stale: false };

/** What the decision looks at. */
export interface RetryCase {
  readonly req: Request;
  readonly failure: Failure;
  readonly replayable: boolean;
  /** A WebSocket, which may go elsewhere as long as nothing was sent. */
  readonly upgrade: boolean;
  readonly bodyReplayable: boolean;
  readonly attempts: number;
  readonly trail: Trail;
  readonly requestLeftMs: number;
  readonly now: number;
}

/** The next attempt. Its backend is entered already, unless there is a wait before it. */
export type RetryPlan =
  | { readonly delayMs: 0; readonly backend: Backend; readonly ticket: Ticket }
  | { readonly delayMs: number; readonly backend: null };

/** How the retry loop hears of an attempt: another one is planned, or the request is settled. */
export type Verdict = 'again' | 'settled';

/** Retries of one proxy: its rules, its budget, its pool. */
export class Retries {
  readonly #loop: RetryPolicy;
  readonly #backoff: ExponentialBackoff<number>;
  /** All retries ever. */
  count = 0;

  constructor(
    private readonly options: ResolvedRetry | null,
    private readonly pool: BackendPool,
    private readonly budget: RetryBudget | null,
  ) {
    this.#loop = retry(
      handleWhenResult((verdict) => verdict === 'again'),
      // Entered with the second attempt. Its own wait is none: it could not be called off when the
      // client leaves. Nor has it a bound: plan() decides, and passes over each full backend once.
      {},
    );
    this.#backoff = new ExponentialBackoff({
      generator: fullJitterGenerator,
      initialDelay: options?.backoff.initialDelay ?? 0,
      maxDelay: options?.backoff.maxDelay ?? 0,
    });
  }

  /** Runs the attempts from the second on. Entered only after a failure: the first is free of it. */
  run(attempt: () => Promise<Verdict>): Promise<Verdict> {
    return this.#loop.execute(attempt);
  }

  /** By its method, or by the user's word. */
  isReplayable(req: Request): boolean {
    if (this.options === null) return false;
    return this.options.replayable?.(req) ?? this.options.methods.has(req.method);
  }

  /** Where and when the next attempt goes, or why there is none. Takes its place in the budget. */
  plan(failed: RetryCase): RetryPlan | NoRetryReason {
    const { options } = this;
    const { failure, now } = failed;
    if (failure.queued) return this.#planElsewhere(failed);
    if (options === null) return 'off';
    const resendable = failure.unsent && (options.unsent || failed.upgrade);
    if (!failed.replayable && !resendable) return 'method';
    if (failed.attempts >= options.attempts) return 'attempts';
    if (!failed.bodyReplayable) return 'body';
    const untried = this.pool.candidates(now, failed.trail.tried);
    const next = untried.length > 0 ? untried : this.pool.candidates(now, failed.trail.barred);
    if (next.length === 0) return 'no-backend';
    const atOnce = untried.length > 0 || failure.stale;
    const delayMs = atOnce ? 0 : failed.trail.nextDelayMs(this.#backoff);
    if (delayMs >= failed.requestLeftMs) return 'deadline';
    const backend = delayMs > 0 ? null : this.pool.choose(next, failed.req);
    if (!failure.stale && this.budget?.withdraw(now) === false) return 'budget';
    this.count++;
    if (backend === null) return { delayMs, backend };
    return { delayMs: 0, backend, ticket: backend.enter() };
  }

  #planElsewhere({ req, trail, requestLeftMs, now }: RetryCase): RetryPlan | NoRetryReason {
    const untried = this.pool.candidates(now, trail.tried);
    if (untried.length === 0) return 'no-backend';
    if (requestLeftMs <= 0) return 'deadline';
    const backend = this.pool.choose(untried, req);
    this.count++;
    return { delayMs: 0, backend, ticket: backend.enter() };
  }
}

/** A failure that asks to be left alone for a while. RFC 9110 10.2.3: seconds or a date. */
export function asksForRest(retryAfter: string | string[] | undefined): boolean {
  if (typeof retryAfter !== 'string') return false;
  return /^\d+$/.test(retryAfter) || !Number.isNaN(Date.parse(retryAfter));
}

/** Where one request has failed. */
export class Trail {
  readonly tried = new Set<Backend>();
  /** They have asked by Retry-After to be left alone. */
  readonly barred = new Set<Backend>();
  #lastWait: IBackoff<unknown> | undefined;

  nextDelayMs(backoff: ExponentialBackoff<number>): number {
    this.#lastWait = (this.#lastWait ?? backoff).next(undefined as never);
    return this.#lastWait.duration;
  }
}
