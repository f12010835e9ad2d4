import type { NextFunction, Request, Response } from 'express';
import { AttemptRecord } from './attempt-record.js';
import type { Backend } from './backends.js';
import type { Ticket } from './breaker.js';
import { commitHead } from './commit.js';
import type { Context } from './context.js';
import { Deadlines, type Expired } from './deadlines.js';
import { atOnce, BUGS, hookError, noBackend, ownError, ProxyError, sendable } from './errors.js';
import type { Exchange } from './exchange.js';
import type { Running } from './in-flight.js';
import { OutgoingRequest } from './outgoing-request.js';
import type { BodyListener } from './replay-body.js';
import { cutShort, respond, write1xx, write100 } from './respond.js';
import { asksForRest, type Failure, SENT } from './retry.js';
import { type Retried, RetryLoop } from './retry-loop.js';
import { tellDone } from './tell.js';
import type { AttemptEvents, Flight, Head, Outcome } from './transport/transport.js';

/** The life of one request: its attempts, one after the other, up to the one that answers. */
export class Forward implements AttemptEvents, BodyListener, Retried {
  readonly deadlines: Deadlines;
  /** There is one where there was an attempt. */
  #outgoing: OutgoingRequest | null = null;
  slot = -1;
  readonly earlier: Running | undefined;
  attempts = 0;
  #attempt: AttemptRecord | null = null;
  #flight: Flight | null = null;
  #retryLoop: RetryLoop | null = null;
  #committedAt = 0;
  /** The response is decided: committed, or an error, or nobody is there to get it. */
  #settled = false;
  #cut = false;

  constructor(
    private readonly context: Context,
    readonly req: Request,
    readonly res: Response,
    private readonly next: NextFunction,
    readonly exchange: Exchange,
  ) {
    this.deadlines = new Deadlines(context.options, this);
    this.earlier = context.inFlight.enter(this, res);
  }

  /** The first attempt. A request that cannot be made, or has no backend, is answered at once. */
  begin(error: ProxyError | null, path: string): void {
    const { context, req, res, exchange } = this;
    if (res.closed || res.destroyed) return this.onClose(); // it has left in a middleware before us
    try {
      if (error !== null) throw error;
      this.#outgoing = new OutgoingRequest(context, req, exchange.id, path, this);
    } catch (thrown) {
      return this.fail(hookError('the request', thrown));
    }
    if (this.#outgoing.isSmall) process.nextTick(() => this.#sendFirst());
    else this.#sendFirst();
  }

  #sendFirst(): void {
    if (this.#settled) return; // its client has left meanwhile
    try {
      const { pool } = this.context;
      const now = performance.now();
      this.#outgoing!.takeWhole();
      const candidates = pool.candidates(now);
      if (candidates.length === 0) throw noBackend('no backend may be tried', pool.waitMs(now));
      const backend = pool.choose(candidates, this.req);
      this.send(backend, backend.enter());
    } catch (thrown) {
      this.fail(hookError('the request', thrown));
    }
  }

  send(backend: Backend, ticket: Ticket): void {
    const { options, transport, events } = this.context;
    const attempt = new AttemptRecord(events, this.exchange, ++this.attempts, backend, ticket);
    this.#attempt = attempt;
    this.deadlines.startAttempt(options.attemptTimeout, attempt.startedAt);
    try {
      const flight = transport.send(this.#outgoing!.attempt(attempt, this.res), this);
      if (!attempt.over) this.#flight = flight;
    } catch (thrown) {
      const error = hookError('director', thrown);
      attempt.settle(error.code);
      this.#endWith(attempt, error);
    }
  }

  onInformational(status: number, headers: Head['headers']): void {
    write1xx(this.req, this.res, status, headers);
  }

  onHead(head: Head): 'pass' | 'drop' {
    const attempt = this.#attempt!;
    const { isFailure } = this.context.options;
    attempt.backend.headAfter(attempt.settle(head.status).ms);
    // Somebody else has answered: a timeout middleware, say.
    if (this.res.headersSent) return this.#yield(attempt);
    try {
      if (head.status !== 101 && atOnce(isFailure(head.status))) {
        attempt.countFailure(`status ${head.status}`);
        if (asksForRest(head.headers['retry-after'])) this.#loop.trail.barred.add(attempt.backend);
        if (this.#retry(attempt, SENT)) return 'drop';
      }
    } catch (thrown) {
      return this.#endWith(attempt, hookError('isFailure', thrown));
    }
    return this.#commit(attempt, head);
  }

  /** The head goes to the client, and with it the choice of another attempt. */
  #commit(attempt: AttemptRecord, head: Head): 'pass' | 'drop' {
    const { context, req, res } = this;
    try {
      if (!commitHead(context, head, attempt.backend, req, res)) return this.#yield(attempt);
    } catch (thrown) {
      return this.#refuse(attempt, thrown as ProxyError);
    }
    attempt.countHead(head.status);
    this.#settled = true;
    this.#committedAt = performance.now();
    this.exchange.upstreamMs = attempt.hop!.ms;
    this.exchange.status = head.status;
    this.#outgoing!.release();
    if (head.status === 101) this.deadlines.stop();
    else this.deadlines.startBody(this.#committedAt);
    return 'pass';
  }

  /** A hook has said, by a ProxyError, that this response is a failure; or it has a bug. */
  #refuse(attempt: AttemptRecord, error: ProxyError): 'drop' {
    if (error.code === 'HOOK_FAILED') return this.#endWith(attempt, error);
    attempt.settle(error.code);
    attempt.countFailure(error.code);
    return this.#retry(attempt, SENT) ? 'drop' : this.#endWith(attempt, error);
  }

  #drop(attempt: AttemptRecord): 'drop' {
    attempt.end();
    this.#flight = null;
    return 'drop';
  }

  /** Somebody else has answered: a timeout middleware, say, or a hook. */
  #yield(attempt: AttemptRecord): 'drop' {
    this.deadlines.stop();
    return this.#drop(attempt);
  }

  #endWith(attempt: AttemptRecord, error: ProxyError): 'drop' {
    this.#drop(attempt);
    this.fail(error);
    return 'drop';
  }

  onWaiting(): void {
    write100(this.res);
    this.deadlines.onWaiting();
    this.#attempt?.waitForClient();
  }

  onFlowing(): void {
    this.deadlines.onFlowing();
  }

  onData(bytes: number): void {
    this.exchange.bytes += bytes;
    this.deadlines.touch(performance.now());
  }

  onBackPressure(waiting: boolean): void {
    if (waiting) this.deadlines.stop();
    else this.deadlines.startBody(performance.now());
  }

  onEnd(outcome: Outcome): void {
    const attempt = this.#attempt!;
    if (outcome.kind === 'complete') {
      attempt.countSuccess();
      this.deadlines.stop();
      return void this.#drop(attempt);
    }
    const { code, error, connected, stale, queued } = outcome;
    const own = ownError(error, code);
    if (own !== null) {
      attempt.settle(own.code);
      return void this.#endWith(attempt, own);
    }
    if (stale) this.context.transport.dropIdle(attempt.backend);
    this.#failAttempt(attempt, code, error, { unsent: !connected, stale, queued });
  }

  /** An attempt that has broken: before its head it may be tried again, after it, it is cut. */
  #failAttempt(attempt: AttemptRecord, code: string, error: Error, failure: Failure): void {
    attempt.settle(code);
    if (!failure.stale && !failure.queued) attempt.countFailure(code);
    this.#drop(attempt); // before the next is chosen: a probe that tells nothing is vacant again
    if (this.#retry(attempt, failure)) return;
    this.#endWith(attempt, this.#loop.errorOf(attempt, failure, error));
  }

  /** Answers whether all is said: another attempt is on its way, or the choice of one has failed. */
  #retry(attempt: AttemptRecord, failure: Failure): boolean {
    if (this.#settled || this.res.headersSent) {
      this.#loop.giveUp(attempt, 'committed');
      return false;
    }
    return this.#loop.goOn(attempt, failure);
  }

  get #loop(): RetryLoop {
    this.#retryLoop ??= new RetryLoop(this.context, this, this.#outgoing!);
    return this.#retryLoop;
  }

  onExpired(expired: Expired): void {
    const attempt = this.#attempt!;
    if (attempt.over) {
      // Between two attempts.
      this.#loop.giveUp(attempt, 'deadline');
      return this.fail(new ProxyError('GATEWAY_TIMEOUT', { message: 'request timeout' }));
    }
    const clientsTurn = expired === 'client-idle' || this.#outgoing!.waitingForClient;
    if (this.#flight?.leaveQueue?.()) return;
    const failure = { unsent: this.#flight?.connected === false, stale: false };
    this.#flight?.abort();
    if (clientsTurn) {
      attempt.settle('CLIENT_TIMEOUT');
      const error = new ProxyError('CLIENT_TIMEOUT', { message: 'the body has stopped' });
      return void this.#endWith(attempt, error);
    }
    this.#failAttempt(attempt, 'ETIMEDOUT', new Error(`${expired} timeout`), failure);
  }

  /** The response is over, or its client has left. */
  onClose(): void {
    const { context, res, exchange } = this;
    if (!context.inFlight.leave(this)) return; // once
    const attempt = this.#attempt;
    if (!res.writableFinished && !this.#cut) {
      exchange.clientGone = true;
      if (!this.#settled) exchange.noRetry ??= 'client-gone';
      const streamedMs = this.#committedAt > 0 ? performance.now() - this.#committedAt : 0;
      if (attempt?.over === false) attempt.leave(streamedMs, context.options.attemptTimeout);
    }
    this.#flight?.abort();
    attempt?.end();
    this.#finish();
    if (exchange.logged) context.log!.end(this.req, res);
    if (context.events.listenerCount('done') > 0) tellDone(context.events, exchange, res, attempt);
  }

  /** Stops all that belongs to the request; the retry loop too. */
  #finish(): void {
    this.#settled = true;
    this.deadlines.stop();
    this.#retryLoop?.stop();
    this.#outgoing?.discard();
  }

  /** The one exit for an error. A response that has begun can only be cut. */
  fail(failure: ProxyError): void {
    const { req, res, exchange, context } = this;
    this.#finish();
    if (this.#committedAt > 0)
      this.cut(); // before a hook can end it in good order
    else if (res.headersSent) return this.onBug(failure); // somebody else's response, which it ends
    const backend = this.#attempt?.backend ?? null;
    const error = sendable(context.transport.reportError(failure, req, res, backend));
    // Not so of a constant of the user's that is frozen.
    Reflect.set(error, 'requestId', exchange.id);
    Reflect.set(error, 'hops', exchange.hops);
    this.onBug(error);
    if (res.headersSent) return;
    // The rest of a body that has stopped coming would be waited for before the next request.
    if (error.code === 'CLIENT_TIMEOUT') res.setHeader('connection', 'close');
    if (context.options.errors === 'next') return this.next(error);
    try {
      exchange.bytes += respond(req, res, error, exchange.id);
    } catch (thrown) {
      this.onBug(hookError('the error response', thrown));
      this.cut();
    }
  }

  /** Errors that somebody must mend get a line of their own: the client is not told the cause. */
  onBug({ code, message }: ProxyError): void {
    const { id: requestId } = this.exchange;
    if (BUGS.has(code)) this.context.log?.note({ event: code, requestId, message });
  }

  /** Never a clean end of a truncated body. */
  cut(): void {
    this.#cut = true;
    if (this.#attempt?.over === false) this.#attempt.settle('CUT');
    this.#flight?.abort();
    if (this.exchange.status !== 101) cutShort(this.res); // a tunnel ends by FIN
  }
}
