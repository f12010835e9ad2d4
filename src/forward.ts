import type { NextFunction, Request, Response } from 'express';
import type { Backend, BackendPool } from './backends.js';
import type { Ticket } from './breaker.js';
import { Deadlines, type Expired } from './deadlines.js';
import { badRequest, hookError, noBackend, ProxyError } from './errors.js';
import type { ProxyEvents } from './events.js';
import type { Exchange, Hop, NoRetryReason } from './exchange.js';
import type { ResolvedOptions } from './options.js';
import { OutgoingRequest } from './outgoing-request.js';
import type { KeptBytes } from './replay-body.js';
import { modifyHead, respond, writeHead } from './respond.js';
import { BackoffState, type Failure, type Retries, type RetryPlan, type Verdict } from './retry.js';
import type { Rewrite } from './rewrite.js';
import type { Trace } from './tracing.js';
import type { AttemptEvents, Flight, Head, Outcome, Transport } from './transport/transport.js';

/** What all requests of one proxy share. */
export interface ProxyContext {
  readonly options: ResolvedOptions;
  readonly pool: BackendPool;
  readonly retries: Retries;
  readonly keptBytes: KeptBytes;
  readonly transport: Transport;
  readonly trace: Trace | null;
  readonly rewrite: Rewrite | null;
  readonly events: ProxyEvents;
  readonly inFlight: Set<Forward>;
  /** A line about an error that somebody must mend. */
  noteBug(error: ProxyError): void;
}

interface CurrentAttempt {
  readonly number: number;
  readonly backend: Backend;
  readonly ticket: Ticket;
  readonly startedAt: number;
  hop: Hop | null;
  /** It has been counted as a failure. */
  failed: boolean;
  over: boolean;
}

/** Errors of node:http about what it is told to send: the client's bytes, not the backend's fault. */
const UNSENDABLE = new Set([
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
  'ERR_HTTP_INVALID_HEADER_VALUE',
  'ERR_UNESCAPED_CHARACTERS',
]);

/** The life of one request: its attempts, one after the other, up to the one that answers. */
export class Forward implements AttemptEvents {
  readonly #proxy: ProxyContext;
  readonly #req: Request;
  readonly #res: Response;
  readonly #next: NextFunction;
  readonly #exchange: Exchange;
  readonly #deadlines: Deadlines;
  readonly #tried = new Set<Backend>();
  readonly #barred = new Set<Backend>();
  readonly #backoff = new BackoffState();
  #outgoing: OutgoingRequest | null = null;
  #attempt: CurrentAttempt | null = null;
  #attempts = 0;
  #flight: Flight | null = null;
  #plan: RetryPlan | null = null;
  #backoffTimer: NodeJS.Timeout | undefined;
  /** Tells the retry loop, once it runs, about the attempt that it has started. */
  #tellLoop: ((verdict: Verdict) => void) | null = null;
  #committedAt = 0;
  /** The response is decided: committed, or an error. */
  #settled = false;
  #cut = false;

  constructor(
    proxy: ProxyContext,
    req: Request,
    res: Response,
    next: NextFunction,
    exchange: Exchange,
  ) {
    this.#proxy = proxy;
    this.#req = req;
    this.#res = res;
    this.#next = next;
    this.#exchange = exchange;
    const { requestTimeout, idleTimeout } = proxy.options;
    this.#deadlines = new Deadlines(requestTimeout, idleTimeout, (expired) =>
      this.#expire(expired),
    );
    proxy.inFlight.add(this);
    res.once('close', () => this.#onClose());
  }

  /** The first attempt. A request that cannot be made, or has no backend, is answered at once. */
  start(path: string): void {
    const { pool } = this.#proxy;
    const now = performance.now();
    try {
      this.#outgoing = new OutgoingRequest(this.#proxy, this.#req, this.#exchange.id, path, {
        onWaiting: () => this.#deadlines.waitForClient(performance.now()),
        onFlowing: () => this.#deadlines.clientSent(performance.now()),
      });
      const candidates = pool.candidates(now);
      if (candidates.length === 0) throw noBackend('no backend may be tried', pool.waitMs(now));
      const backend = pool.choose(candidates, this.#req);
      this.#send(backend, backend.enter());
    } catch (thrown) {
      this.fail(hookError('request', thrown));
    }
  }

  #send(backend: Backend, ticket: Ticket): void {
    const { options, transport, events } = this.#proxy;
    const now = performance.now();
    const number = ++this.#attempts;
    this.#tried.add(backend);
    const attempt = {
      number,
      backend,
      ticket,
      startedAt: now,
      hop: null,
      failed: false,
      over: false,
    };
    this.#attempt = attempt;
    events.emit('attempt', {
      requestId: this.#exchange.id,
      backend: backend.name,
      attempt: number,
    });
    this.#deadlines.startAttempt(options.attemptTimeout, now);
    try {
      const sent = this.#outgoing!.attempt(backend, number, this.#res);
      const flight = transport.send(sent, this);
      if (this.#attempt === attempt && !attempt.over) this.#flight = flight;
    } catch (thrown) {
      this.#endAttempt(attempt, 'HOOK_FAILED');
      this.fail(hookError('director', thrown));
    }
  }

  onInformational(status: number, headers: Head['headers']): void {
    const { link } = headers;
    if (status !== 103 || link === undefined || this.#res.headersSent) return;
    try {
      this.#res.writeEarlyHints({ link });
    } catch {
      // Only a Link field of a shape that Node does not take; a hint may be left out (RFC 8297 2).
    }
  }

  onHead(head: Head): 'pass' | 'drop' {
    const attempt = this.#attempt!;
    const now = performance.now();
    attempt.hop = this.#addHop(attempt, head.status, now);
    attempt.backend.headAfter(attempt.hop.ms);
    if (this.#res.headersSent) {
      // Somebody else has answered: a timeout middleware, say.
      this.#endAttempt(attempt);
      return 'drop';
    }
    try {
      if (this.#proxy.options.isFailure(head.status)) {
        this.#countFailure(attempt, `status ${head.status}`, now);
        if (asksForRest(head)) this.#barred.add(attempt.backend);
        if (this.#retry(attempt, ANSWERED)) return 'drop';
      }
    } catch (thrown) {
      return this.#dropFor(attempt, hookError('isFailure', thrown));
    }
    return this.#commit(attempt, head, now);
  }

  /** The head goes to the client, and with it the choice of another attempt. */
  #commit(attempt: CurrentAttempt, head: Head, now: number): 'pass' | 'drop' {
    const { rewrite, options, trace } = this.#proxy;
    try {
      head.runHooks();
    } catch (thrown) {
      return this.#dropFor(attempt, hookError('on.proxyRes', thrown));
    }
    rewrite?.(head.status, head.headers, attempt.backend.url, this.#req.headers.host);
    try {
      if (options.modifyResponse) modifyHead(options.modifyResponse, head, this.#req);
    } catch (thrown) {
      return this.#refuse(attempt, hookError('modifyResponse', thrown), now);
    }
    if (!attempt.failed) attempt.backend.breaker?.headArrived(attempt.ticket);
    this.#settled = true;
    this.#committedAt = now;
    this.#exchange.upstreamMs = now - this.#exchange.startedAt;
    writeHead(this.#res, head, trace, options.preserveHeaderKeyCase === true);
    this.#outgoing!.release();
    this.#deadlines.startBody(now);
    return 'pass';
  }

  /** `modifyResponse` has said that this response is a failure. */
  #refuse(attempt: CurrentAttempt, error: ProxyError, now: number): 'drop' {
    if (error.code === 'HOOK_FAILED') return this.#dropFor(attempt, error);
    attempt.hop!.outcome = error.code;
    if (!attempt.failed) this.#countFailure(attempt, error.code, now);
    if (!this.#retry(attempt, ANSWERED)) return this.#dropFor(attempt, error);
    return 'drop';
  }

  #dropFor(attempt: CurrentAttempt, error: ProxyError): 'drop' {
    this.#endAttempt(attempt);
    this.fail(error);
    return 'drop';
  }

  onData(bytes: number): void {
    this.#exchange.bytes += bytes;
    this.#deadlines.touch(performance.now());
  }

  onBackPressure(waiting: boolean): void {
    if (waiting) this.#deadlines.pauseBody();
    else this.#deadlines.startBody(performance.now());
  }

  onEnd(outcome: Outcome): void {
    const attempt = this.#attempt!;
    if (outcome.kind === 'complete') {
      if (!attempt.failed) attempt.backend.breaker?.success(attempt.ticket);
      this.#deadlines.stop();
      this.#endAttempt(attempt);
      return;
    }
    const { code, error } = outcome;
    if (error instanceof ProxyError || UNSENDABLE.has(code)) {
      const own = error instanceof ProxyError ? error : badRequest(error.message);
      this.#endAttempt(attempt, own.code);
      return this.fail(own);
    }
    this.#failAttempt(attempt, code, error, { unsent: !outcome.connected, stale: outcome.stale });
  }

  /** An attempt that has broken: before its head it may be tried again, after it, it is cut. */
  #failAttempt(attempt: CurrentAttempt, code: string, error: Error, failure: Failure): void {
    const now = performance.now();
    if (attempt.hop !== null) attempt.hop.outcome = code;
    else attempt.hop = this.#addHop(attempt, code, now);
    if (failure.stale) this.#proxy.transport.dropIdle(attempt.backend);
    else if (!attempt.failed) this.#countFailure(attempt, code, now);
    if (this.#retry(attempt, failure)) return;
    this.#endAttempt(attempt);
    const late = code === 'ETIMEDOUT' || this.#exchange.noRetry === 'deadline';
    const name = late ? 'GATEWAY_TIMEOUT' : 'BAD_GATEWAY';
    const message = `${attempt.backend.name}: ${code}: ${error.message}`;
    this.fail(new ProxyError(name, { message, cause: error }));
  }

  #countFailure(attempt: CurrentAttempt, why: string, now: number): void {
    attempt.failed = true;
    attempt.backend.fail(attempt.ticket, why, now);
  }

  /** Is there another attempt? If so, it is on its way, and the one that failed is over. */
  #retry(attempt: CurrentAttempt, failure: Failure): boolean {
    const { retries, events } = this.#proxy;
    const now = performance.now();
    const plan = this.#settled
      ? 'committed'
      : retries.plan(
          {
            req: this.#req,
            failure,
            replayable: this.#outgoing!.replayable,
            bodyReplayable: this.#outgoing!.bodyReplayable,
            attempts: this.#attempts,
            tried: this.#tried,
            barred: this.#barred,
            requestLeftMs: this.#deadlines.requestLeft(now),
            now,
          },
          this.#backoff,
        );
    if (typeof plan === 'string') {
      this.#giveUp(attempt, plan);
      return false;
    }
    this.#endAttempt(attempt);
    events.emit('retry', {
      requestId: this.#exchange.id,
      backend: attempt.backend.name,
      attempt: attempt.number,
      outcome: attempt.hop!.outcome,
      next: plan.backend?.name ?? null,
      delayMs: plan.delayMs,
    });
    this.#plan = plan;
    this.#deadlines.endAttempt(now);
    if (this.#tellLoop !== null) this.#tellLoop('again');
    else void retries.run(() => this.#runPlanned());
    return true;
  }

  #giveUp(attempt: CurrentAttempt, noRetry: NoRetryReason): void {
    this.#exchange.noRetry = noRetry;
    if (!this.#outgoing!.replayable) return;
    this.#proxy.events.emit('give-up', {
      requestId: this.#exchange.id,
      backend: attempt.backend.name,
      attempt: attempt.number,
      outcome: attempt.hop!.outcome,
      noRetry,
    });
  }

  /** One turn of the retry loop. */
  #runPlanned(): Promise<Verdict> {
    return new Promise((resolve) => {
      const plan = this.#plan;
      if (plan === null) return resolve('settled'); // the client has left meanwhile
      this.#tellLoop = resolve;
      if (plan.backend === null) {
        this.#backoffTimer = setTimeout(() => this.#sendAfterBackoff(), plan.delayMs);
        return;
      }
      this.#plan = null;
      this.#send(plan.backend, plan.ticket);
    });
  }

  #sendAfterBackoff(): void {
    const { pool } = this.#proxy;
    this.#plan = null;
    try {
      const candidates = pool.candidates(performance.now(), this.#barred);
      if (candidates.length > 0) {
        const backend = pool.choose(candidates, this.#req);
        return this.#send(backend, backend.enter());
      }
    } catch (thrown) {
      return this.fail(hookError('balance', thrown));
    }
    this.#giveUp(this.#attempt!, 'no-backend');
    this.fail(
      new ProxyError('BAD_GATEWAY', { message: 'no backend may be tried after the backoff' }),
    );
  }

  #expire(expired: Expired): void {
    const attempt = this.#attempt;
    if (attempt === null || attempt.over) {
      // Between two attempts.
      if (attempt !== null) this.#giveUp(attempt, 'deadline');
      return this.fail(new ProxyError('GATEWAY_TIMEOUT', { message: 'request timeout' }));
    }
    this.#flight?.abort();
    const clientsTurn = expired === 'client-idle' || this.#outgoing?.waitingForClient === true;
    if (clientsTurn) {
      this.#endAttempt(attempt, 'CLIENT_TIMEOUT');
      return this.fail(new ProxyError('CLIENT_TIMEOUT', { message: 'the client stopped sending' }));
    }
    const error = new Error(`${expired} timeout`);
    this.#failAttempt(attempt, 'ETIMEDOUT', error, ANSWERED);
  }

  /** The response is over, or its client has left. */
  #onClose(): void {
    const proxy = this.#proxy;
    const attempt = this.#attempt;
    if (!this.#res.writableFinished && !this.#cut) {
      this.#exchange.clientGone = true;
      if (!this.#settled) this.#exchange.noRetry ??= 'client-gone';
      if (attempt !== null && !attempt.over) this.#leave(attempt);
    }
    this.#flight?.abort();
    if (attempt !== null) this.#endAttempt(attempt);
    this.#finish();
    proxy.inFlight.delete(this);
    proxy.events.emit('done', {
      requestId: this.#exchange.id,
      backend: attempt?.backend.name ?? null,
      attempt: this.#attempts,
      status: this.#res.headersSent ? this.#res.statusCode : null,
      ms: performance.now() - this.#exchange.startedAt,
      bytes: this.#exchange.bytes,
      hops: this.#exchange.hops,
      noRetry: this.#exchange.noRetry,
    });
  }

  /** The client's leaving tells nothing about the backend, unless it had streamed for long. */
  #leave(attempt: CurrentAttempt): void {
    const now = performance.now();
    const { attemptTimeout } = this.#proxy.options;
    const streamed = this.#committedAt > 0 && now - this.#committedAt > attemptTimeout;
    if (streamed && !attempt.failed) attempt.backend.breaker?.success(attempt.ticket);
    if (attempt.hop === null) attempt.hop = this.#addHop(attempt, 'CLIENT_GONE', now);
    else attempt.hop.outcome = 'CLIENT_GONE';
  }

  /** Stops all that belongs to the request; the retry loop too. */
  #finish(): void {
    this.#settled = true;
    this.#deadlines.stop();
    clearTimeout(this.#backoffTimer);
    const plan = this.#plan;
    this.#plan = null;
    if (plan !== null && plan.backend !== null) leaveBackend(plan.backend, plan.ticket);
    this.#outgoing?.discard();
    this.#tellLoop?.('settled');
  }

  #endAttempt(attempt: CurrentAttempt, outcome?: string): void {
    if (attempt.over) return;
    attempt.over = true;
    this.#flight = null;
    if (outcome !== undefined) {
      if (attempt.hop === null) attempt.hop = this.#addHop(attempt, outcome, performance.now());
      else attempt.hop.outcome = outcome;
    }
    leaveBackend(attempt.backend, attempt.ticket);
  }

  #addHop(attempt: CurrentAttempt, outcome: number | string, now: number): Hop {
    const { number, backend, startedAt } = attempt;
    const hop = { attempt: number, backend: backend.name, outcome, ms: now - startedAt };
    this.#exchange.hops.push(hop);
    return hop;
  }

  /** The one exit for an error. A response that has begun can only be cut. */
  fail(error: ProxyError): void {
    const { options, transport, noteBug } = this.#proxy;
    error.requestId = this.#exchange.id;
    error.hops = this.#exchange.hops;
    noteBug(error);
    this.#finish();
    const reported = error.cause instanceof Error ? error.cause : error;
    transport.reportError(reported, this.#req, this.#res, this.#attempt?.backend ?? null);
    if (this.#res.headersSent) {
      if (this.#committedAt > 0) this.cut();
      return;
    }
    if (options.errors === 'next') this.#next(error);
    else this.#exchange.bytes += respond(this.#req, this.#res, error);
  }

  /** Never a clean end of a truncated body. */
  cut(): void {
    this.#cut = true;
    this.#flight?.abort();
    this.#res.destroy();
  }
}

const ANSWERED: Failure = { unsent: false, stale: false };

function leaveBackend(backend: Backend, ticket: Ticket): void {
  backend.inFlight--;
  backend.breaker?.leave(ticket);
}

/** A failure that asks to be left alone for a while. RFC 9110 10.2.3: seconds or a date. */
function asksForRest(head: Head): boolean {
  const value = head.headers['retry-after'];
  return typeof value === 'string' && (/^\d+$/.test(value) || !Number.isNaN(Date.parse(value)));
}
