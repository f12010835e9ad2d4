import { AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import express, {
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
  type Router,
} from 'express';
import { type AccessLog, createLog } from './access-log.js';
import { BackendPool, type BackendStatus } from './backends.js';
import type { Context } from './context.js';
import { hookError, noBackend, type ProxyError } from './errors.js';
import type { ProxyEvents, TinyProxyEvents } from './events.js';
import { Exchange, recordExchange } from './exchange.js';
import { Forward } from './forward.js';
import { createHpm } from './hpm.js';
import { InFlight } from './in-flight.js';
import { compileMounted } from './mounted.js';
import { createNotices } from './notices.js';
import type { ResolvedOptions, TinyProxyOptions } from './options.js';
import { poolMembers } from './pool-members.js';
import { KeptBytes } from './replay-body.js';
import { Retries } from './retry.js';
import { RetryBudget } from './retry-budget.js';
import { compileRewrite } from './rewrite.js';
import { tell, tellRequest } from './tell.js';
import { assignRequestId, compileTrace, isRequestId, type Trace } from './tracing.js';
import { httpTransport } from './transport/http.js';
import { undiciTransport } from './transport/undici.js';
import { isMissedUpgrade, Subscription, upgradeListener } from './upgrade.js';
import { resolveOptions } from './validate-options.js';

/** The retry budget, in `status()`. */
export interface BudgetStatus {
  /** Retries that it would allow now. */
  left: number;
}

/** What `status()` answers; plain JSON. */
export interface ProxyStatus {
  /** What carries the attempts. */
  transport: 'http' | 'undici';
  /** Why `'auto'` has taken node:http: `'option "agent"'`, say. */
  transportReason?: string;
  /** `close()` was called: requests get 503. */
  closed: boolean;
  /** Requests that are not over. */
  inFlight: number;
  /** Since the start. */
  requests: number;
  /** Failed attempts that another one followed, since the start. */
  retries: number;
  /** How many retries the budget would allow now; null without a budget. */
  budget: BudgetStatus | null;
  /** In the order of `target`. */
  backends: BackendStatus[];
}

/** An Express router, and what can be seen and done from outside while it works. */
export interface TinyProxy extends Router {
  /**
   * For `server.on('upgrade', proxy.upgrade)`: WebSockets whose path lies where the proxy is mounted
   * run through the app and are forwarded; others are left to the server's other listeners.
   */
  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** A snapshot; plain JSON. */
  status(): ProxyStatus;
  /** What it tells while it works. A listener that throws harms no request. */
  readonly events: EventEmitter<TinyProxyEvents>;
  /**
   * Takes a backend out of rotation; answers the function that puts it back.
   *
   * @throws {TypeError} for a URL that is no backend of this proxy.
   */
  drain(url: string | URL): () => void;
  /**
   * The backends from now on, as the option `target` takes them; none at all is allowed here, and
   * means 503. Those that stay keep their breakers, counts, drains and connections. Those that leave
   * get no new attempt; when what runs there has ended, their connections are closed.
   *
   * @throws {TypeError} as the option does; then the list before stays in force.
   */
  setTargets(target: TinyProxyOptions['target']): void;
  /**
   * What a health check has found: an unhealthy backend is skipped as long as a healthy one may be
   * tried. `reason` is for the event and the log.
   *
   * @throws {TypeError} for a URL that is no backend of this proxy, and a `healthy` that is no boolean.
   */
  setHealthy(url: string | URL, healthy: boolean, reason?: string): void;
  /**
   * Opens a connection of the caller's own to a backend, as an attempt would: with its address, its
   * Unix socket or its TLS identity, within `connectTimeout`. `socket` is the caller's to end; `host`
   * is the name of the backend, as `changeOrigin` sends it.
   *
   * @throws {TypeError} for a URL that is no backend of this proxy.
   */
  dial(url: string | URL): { socket: Socket; host: string };
  /**
   * Opens a backend's breaker, or keeps it open, for `ms` from now on, `breaker.cooldown` at most;
   * then comes its probe. One that is running decides by itself. `reason` is for the event and the
   * log.
   *
   * @throws {TypeError} for a URL that is no backend of this proxy, and with `breaker: false`.
   */
  holdOpen(url: string | URL, ms: number, reason?: string): void;
  /**
   * Closes a backend's breaker where it is open. A probe that is running decides by itself.
   *
   * @throws {TypeError} as `holdOpen()` does.
   */
  closeBreaker(url: string | URL, reason?: string): void;
  /** New requests get 503, those in flight `graceMs` (default 10000) to end; then all is cut. Always resolves. */
  close(graceMs?: number): Promise<void>;
}

/**
 * A reverse proxy as an Express router: `app.use('/api', tinyProxy({ target: [...] }))`.
 *
 * @throws {TypeError} that names a wrong option, its value and a right one.
 */
export function tinyProxy(options: TinyProxyOptions): TinyProxy {
  const context = createContext(resolveOptions(options));
  const { pool, transport, inFlight, retries, budget, events } = context;
  const { ws = false, needsHttp } = context.options;
  const router = express.Router();
  const upgrade = upgradeListener({
    takes: compileMounted(router, typeof ws === 'string' ? ws : null, context.hpm.takes),
    refuse(error, req, res) {
      const [request, response] = [req as Request, res as Response];
      assignId(context.trace, request, response);
      const exchange = openExchange(context, request);
      forward(context, response, () => {}, exchange).begin(error, '/');
    },
  });
  const subscription = ws === false ? null : new Subscription(upgrade);
  const handler = requestHandler(context, subscription);
  router.use(handler);
  shortenWay(router as Router & Handling, handler);
  return Object.assign(router, {
    events,
    upgrade,
    status(): ProxyStatus {
      const now = performance.now();
      return {
        transport: transport.name,
        ...(needsHttp === null ? {} : { transportReason: needsHttp }),
        closed: inFlight.closing,
        inFlight: inFlight.size,
        requests: inFlight.total,
        retries: retries.count,
        budget: budget && { left: budget.left(now) },
        backends: pool.all.map((backend) => backend.status(now)),
      };
    },
    ...poolMembers(context),
    async close(graceMs = 10_000): Promise<void> {
      const first = !inFlight.closing;
      const ended = inFlight.end(graceMs);
      if (first) tell(events, 'close', { graceMs });
      await ended;
      subscription?.end();
      transport.close();
    },
  });
}

interface Handling {
  handle: RequestHandler;
}

/**
 * The router's own layer takes every path and leaves all as it is: as long as it is the only one,
 * there is nothing to look for, which costs 3 us a request.
 */
function shortenWay(router: Router & Handling, handler: RequestHandler): void {
  const handle = router.handle.bind(router);
  router.handle = function handleAtOnce(req, res, next) {
    if (router.stack.length === 1) return handler(req, res, next);
    return handle(req, res, next);
  };
}

function createContext(options: ResolvedOptions): Context {
  const { retry, trace, log: logOptions } = options;
  const log = logOptions ? createLog(logOptions) : null;
  const events: ProxyEvents = new EventEmitter();
  const notices = createNotices(events, log);
  const pool = new BackendPool(options, notices.onBreakerChange);
  const budget = retry?.budget ? new RetryBudget(retry.budget) : null;
  const hpm = createHpm(options, ({ code, message }) => log?.note({ event: code, message }));
  const http = httpTransport(options, hpm);
  return {
    ...{ options, pool, budget, hpm, events, log, notices, inFlight: new InFlight() },
    retries: new Retries(retry, pool, budget),
    keptBytes: new KeptBytes(retry?.maxTotalBytes ?? 0),
    transport: options.transport === 'http' ? http : undiciTransport(options, http),
    trace: trace ? compileTrace(trace) : null,
    rewrite: compileRewrite(options),
  };
}

/** What Express calls for a request: the path filter first, for what it leaves out is not ours. */
function requestHandler(context: Context, subscription: Subscription | null): RequestHandler {
  const { inFlight } = context;
  return function proxyRequest(req, res, next) {
    if (subscription !== null && !inFlight.closing) subscription.to(req);
    context.hpm.route(req, res, next, (routeError, path) => {
      const idError = assignId(context.trace, req, res);
      const exchange = openExchange(context, req);
      function begin(): void {
        // Answered by a middleware that has called next() all the same.
        if (res.headersSent) return void logAtEnd(context.log, exchange, req, res);
        const closing = inFlight.closing ? noBackend('the proxy is closing', 0) : null;
        const early = subscription !== null && isMissedUpgrade(req) ? noBackend(MISSED, 0) : null;
        const error = closing ?? routeError ?? idError ?? early;
        forward(context, res, next, exchange).begin(error, path);
      }
      // A pipelined request waits for its turn, as RFC 9112 9.3.2 allows: of a response that has no
      // socket yet, Node does not tell when its client leaves.
      if (res.socket !== null) return begin();
      // Bound: the event comes in the async context of the request before it.
      const inTurn = AsyncResource.bind(begin);
      // A turn later: what Node has kept for the socket, a 100 say, goes out behind this event.
      res.once('socket', () => process.nextTick(inTurn));
    });
  };
}

const MISSED = 'an upgrade that came before its server was subscribed';

/** Gives the request its id; answers why it has none. */
function assignId(trace: Trace | null, req: Request, res: Response): ProxyError | null {
  try {
    if (trace !== null) assignRequestId(req, res, trace);
    return null;
  } catch (thrown) {
    return hookError('trace.generate', thrown);
  }
}

/** The request's record, and its line in the log. */
function openExchange({ budget, log }: Context, req: Request): Exchange {
  req.hops ??= [];
  const exchange = new Exchange(req, isRequestId(req.id) ? req.id : '', req.hops);
  recordExchange(exchange);
  budget?.deposit(exchange.startedAt);
  if (log !== null) exchange.logged = log.begin(req);
  return exchange;
}

function logAtEnd(log: AccessLog | null, { logged }: Exchange, req: Request, res: Response): void {
  if (logged) res.once('close', () => log?.end(req, res));
}

/** What is told to have begun will be told to be done. */
function forward(context: Context, res: Response, next: NextFunction, exchange: Exchange): Forward {
  const begun = new Forward(context, exchange.req, res, next, exchange);
  if (context.events.listenerCount('request') > 0) tellRequest(context.events, exchange);
  return begun;
}
