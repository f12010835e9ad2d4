import { EventEmitter } from 'node:events';
import express, { type NextFunction, type Request, type Response, type Router } from 'express';
import { type AccessLog, createLog, registerTokens } from './access-log.js';
import { BackendPool, type BackendStatus, type OnBreakerChange } from './backends.js';
import type { Context } from './context.js';
import { noBackend, type ProxyError } from './errors.js';
import { type ProxyEvents, type TinyProxyEvents, tell } from './events.js';
import { Exchange, recordExchange } from './exchange.js';
import { Forward } from './forward.js';
import { createHpm } from './hpm.js';
import { InFlight } from './in-flight.js';
import type { TinyProxyOptions } from './options.js';
import { KeptBytes } from './replay-body.js';
import { Retries } from './retry.js';
import { RetryBudget } from './retry-budget.js';
import { compileRewrite } from './rewrite.js';
import { assignRequestId, compileTrace, isRequestId } from './tracing.js';
import { httpTransport } from './transport/http.js';
import { resolveOptions } from './validate-options.js';

export interface ProxyStatus {
  transport: 'http' | 'undici';
  /** Requests that are not over. */
  inFlight: number;
  /** Since the start. */
  requests: number;
  retries: number;
  /** How many retries the budget would allow now; null without a budget. */
  budget: { left: number } | null;
  backends: BackendStatus[];
}

/** An Express router, and what can be seen and done from outside while it works. */
export interface TinyProxy extends Router {
  /** A snapshot; plain JSON. */
  status(): ProxyStatus;
  readonly events: EventEmitter<TinyProxyEvents>;
  /**
   * Takes a backend out of rotation; answers the function that puts it back.
   *
   * @throws {TypeError} for a URL that is no backend of this proxy.
   */
  drain(url: string | URL): () => void;
  /** New requests get 503, those in flight `graceMs` (default 10000) to end; then all is cut. Always resolves. */
  close(graceMs?: number): Promise<void>;
}

/**
 * A reverse proxy as an Express router: `app.use('/api', tinyProxy({ target: [...] }))`.
 *
 * @throws {TypeError} that names a wrong option, its value and a right one.
 */
export function tinyProxy(options: TinyProxyOptions): TinyProxy {
  const resolved = resolveOptions(options);
  registerTokens(); // for the app's own morgan, too
  const log = resolved.log ? createLog(resolved.log) : null;
  const events: ProxyEvents = new EventEmitter();
  const pool = new BackendPool(resolved, breakerNotices(events, log));
  const { retry } = resolved;
  const budget = retry?.budget ? new RetryBudget(retry.budget) : null;
  const hpm = createHpm(resolved);
  const transport = httpTransport(resolved, hpm, pool.all);
  const inFlight = new InFlight();
  const context: Context = {
    options: resolved,
    pool,
    retries: new Retries(retry, pool, budget),
    keptBytes: new KeptBytes(retry?.maxTotalBytes ?? 0),
    transport,
    trace: resolved.trace ? compileTrace(resolved.trace) : null,
    rewrite: compileRewrite(resolved),
    events,
    inFlight,
    noteBug: bugNotices(log),
  };
  let requests = 0;

  /** One request: the path filter first, for what it leaves out is not ours. */
  function proxyRequest(req: Request, res: Response, next: NextFunction): void {
    hpm.route(req, res, next, (routeError, path) => {
      requests++;
      const { exchange, idError } = open(req, res);
      const error = inFlight.closing
        ? noBackend('the proxy is closing', 0)
        : (routeError ?? idError);
      function begin(): void {
        const forward = new Forward(context, req, res, next, exchange);
        if (error === null) forward.start(path);
        else forward.fail(error);
      }
      // A pipelined request waits for its turn, as RFC 9112 9.3.2 allows: of a response that has no
      // socket yet, Node does not tell when its client leaves.
      if (res.socket === null) res.once('socket', begin);
      else begin();
    });
  }

  /** Its id, its record and its line in the log. */
  function open(req: Request, res: Response): { exchange: Exchange; idError: ProxyError | null } {
    let id = isRequestId(req.id) ? req.id : '';
    let idError: ProxyError | null = null;
    try {
      if (context.trace !== null) id = assignRequestId(req, res, context.trace);
    } catch (thrown) {
      idError = thrown as ProxyError;
    }
    req.hops ??= [];
    const exchange = new Exchange(id, req.hops);
    recordExchange(req, exchange);
    budget?.deposit(exchange.startedAt);
    log?.record(req, res);
    return { exchange, idError };
  }

  const router = express.Router().use(proxyRequest);
  return Object.assign(router, {
    events,
    status(): ProxyStatus {
      const now = performance.now();
      return {
        transport: transport.name,
        inFlight: inFlight.size,
        requests,
        retries: context.retries.count,
        budget: budget && { left: budget.left(now) },
        backends: pool.all.map((backend) => backend.status(now)),
      };
    },
    drain: (url: string | URL) => pool.drain(url),
    async close(graceMs = 10_000): Promise<void> {
      await inFlight.end(graceMs);
      transport.close();
    },
  });
}

/** Each change of a breaker's state is an event, and a line in the log. */
function breakerNotices(events: ProxyEvents, log: AccessLog | null): OnBreakerChange {
  return function onBreakerChange(backend, change) {
    const { name, breaker } = backend;
    const openUntil = backend.openUntil(performance.now());
    const failures = breaker?.failures ?? 0;
    if (change === 'break') tell(events, change, { backend: name, failures, openUntil });
    else tell(events, change, { backend: name });
    const message = {
      break: `breaker open after ${failures} failures in a row, next probe at ${openUntil}`,
      'half-open': 'breaker half-open, probing',
      reset: 'breaker closed',
    }[change];
    log?.note({ event: change, backend: name, message });
  };
}

const BUGS = new Set(['HOOK_FAILED', 'BALANCE_FAILED', 'BODY_CONSUMED']);

/** Errors that somebody must mend get a line of their own: the client is not told the cause. */
function bugNotices(log: AccessLog | null): Context['noteBug'] {
  return function noteBug({ code, requestId, message }) {
    if (BUGS.has(code)) log?.note({ event: code, requestId, message });
  };
}
