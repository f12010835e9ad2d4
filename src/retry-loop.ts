import type { Request } from 'express';
import type { AttemptRecord } from './attempt-record.js';
import type { Backend } from './backends.js';
import type { Ticket } from './breaker.js';
import type { Context } from './context.js';
import type { Deadlines } from './deadlines.js';
import { gatewayError, hookError, noBackend, ProxyError } from './errors.js';
import type { Exchange, NoRetryReason } from './exchange.js';
import type { OutgoingRequest } from './outgoing-request.js';
import { type Failure, type RetryPlan, Trail, type Verdict } from './retry.js';
import { tell } from './tell.js';

/** A request as its retries see it. */
export interface Retried {
  readonly req: Request;
  readonly exchange: Exchange;
  readonly deadlines: Deadlines;
  /** How many were made. */
  readonly attempts: number;
  send(backend: Backend, ticket: Ticket): void;
  /** The end of it. */
  fail(error: ProxyError): void;
}

/** The attempts of one request from the second on. Made for its first failure. */
export class RetryLoop {
  readonly trail = new Trail();
  #failed: AttemptRecord | null = null;
  #plan: RetryPlan | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** Tells the loop, once it runs, about the attempt that it has started. */
  #tellLoop: ((verdict: Verdict) => void) | null = null;

  constructor(
    private readonly context: Context,
    private readonly request: Retried,
    private readonly outgoing: OutgoingRequest,
  ) {}

  /** Answers whether all is said: another attempt is on its way, or the choice of one has failed. */
  goOn(attempt: AttemptRecord, failure: Failure): boolean {
    const { retries, events } = this.context;
    const { request, trail } = this;
    const { req, deadlines, attempts } = request;
    const { replayable, bodyReplayable, upgrade } = this.outgoing;
    const now = performance.now();
    const requestLeftMs = deadlines.requestLeft(now);
    const sent = { req, replayable, bodyReplayable, upgrade: upgrade !== undefined, attempts };
    trail.tried.add(attempt.backend);
    let plan: RetryPlan | NoRetryReason;
    try {
      plan = retries.plan({ ...sent, failure, trail, requestLeftMs, now });
    } catch (thrown) {
      attempt.end();
      request.fail(hookError('balance', thrown));
      return true;
    }
    if (typeof plan === 'string') {
      this.giveUp(attempt, plan);
      return false;
    }
    attempt.end();
    this.#failed = attempt;
    const next = plan.backend?.name ?? null;
    const { outcome } = attempt.hop!;
    tell(events, 'retry', { ...attempt.about, outcome, next, delayMs: plan.delayMs });
    this.#plan = plan;
    deadlines.startAttempt(0, now);
    if (this.#tellLoop !== null) this.#tellLoop('again');
    else void retries.run(() => this.#runPlanned());
    return true;
  }

  giveUp(attempt: AttemptRecord, noRetry: NoRetryReason): void {
    const { exchange } = this.request;
    if (exchange.noRetry !== null) return; // said already, about this attempt's head
    exchange.noRetry = noRetry;
    if (!this.outgoing.replayable) return;
    const { outcome } = attempt.hop!;
    tell(this.context.events, 'give-up', { ...attempt.about, outcome, noRetry });
  }

  /** What the client gets where the last attempt has broken. */
  errorOf({ backend, hop }: AttemptRecord, { queued }: Failure, cause: Error): ProxyError {
    const { pool } = this.context;
    if (queued) return noBackend('no connection is free', pool.waitMs(performance.now()));
    const { outcome } = hop!;
    const late = outcome === 'ETIMEDOUT' || this.request.exchange.noRetry === 'deadline';
    return gatewayError(late, `${backend.name}: ${outcome}`, cause);
  }

  stop(): void {
    clearTimeout(this.#timer);
    if (this.#plan?.backend) this.#plan.backend.leave(this.#plan.ticket);
    this.#plan = null;
    this.#tellLoop?.('settled');
  }

  /** One turn of the loop. */
  #runPlanned(): Promise<Verdict> {
    return new Promise((resolve) => {
      const plan = this.#plan;
      if (plan === null) return resolve('settled'); // the client has left meanwhile
      this.#tellLoop = resolve;
      if (plan.backend === null) {
        this.#timer = setTimeout(() => this.#sendToAny(), plan.delayMs);
      } else if (plan.backend.retired) {
        plan.backend.leave(plan.ticket); // it is no target any more: another one
        this.#sendToAny();
      } else {
        this.#plan = null;
        this.request.send(plan.backend, plan.ticket);
      }
    });
  }

  /** After a backoff; or the backend that was chosen is a target no more. */
  #sendToAny(): void {
    const { pool } = this.context;
    const { request } = this;
    this.#plan = null;
    try {
      const now = performance.now();
      const untried = pool.candidates(now, this.trail.tried);
      const candidates = untried.length > 0 ? untried : pool.candidates(now, this.trail.barred);
      if (candidates.length === 0) {
        this.giveUp(this.#failed!, 'no-backend');
        throw new ProxyError('BAD_GATEWAY', { message: 'no backend may be tried any more' });
      }
      const backend = pool.choose(candidates, request.req);
      request.send(backend, backend.enter());
    } catch (thrown) {
      request.fail(hookError('balance', thrown));
    }
  }
}
