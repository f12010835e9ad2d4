// Compiled, never run: what the public types promise, and what they refuse. `npm run types`.
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import express, { type Request, type RequestHandler, type Router } from 'express';
import {
  type AboutRequest,
  type AttemptEvent,
  type AttemptStartEvent,
  accessLog,
  type BackendStatus,
  type BackoffOptions,
  type BalanceFunction,
  type BreakEvent,
  type BreakerEvent,
  type BreakerOptions,
  type BreakerState,
  type BudgetOptions,
  type BudgetStatus,
  type Candidate,
  type CloseEvent,
  type CookieRewrite,
  type DoneEvent,
  type FailureEvent,
  type GiveUpEvent,
  type HeaderMap,
  type HealthEvent,
  type Hop,
  type HopEvent,
  type Latency,
  type LogFormat,
  type LogOptions,
  type LogStream,
  type NoRetryReason,
  type Outgoing,
  type OutgoingResponse,
  ProxyError,
  type ProxyErrorCode,
  type ProxyErrorInit,
  type ProxyStatus,
  type RequestEvent,
  type RetryEvent,
  type RetryOptions,
  requestId,
  type Target,
  type TargetsEvent,
  type TinyProxy,
  type TinyProxyEvents,
  type TinyProxyOptions,
  type TlsOptions,
  type TraceOptions,
  tinyProxy,
  type WeightedTarget,
} from '../src/index.js';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type IsAny<T> = 0 extends 1 & T ? true : false;

/** Compiles for `true` only. */
function holds<_Claim extends true>(): void {}

const target = 'http://10.0.0.1:8081';
const app = express();

// A proxy is a Router, and goes where one goes.
const proxy = tinyProxy({ target });
const router: Router = proxy;
app.use('/api', proxy);
app.use(requestId(), accessLog('json', { stream: process.stdout }), router);
holds<Equal<ReturnType<typeof tinyProxy>, TinyProxy>>();
holds<Equal<Parameters<typeof tinyProxy>, [options: TinyProxyOptions]>>();
holds<Equal<ReturnType<typeof requestId>, RequestHandler>>();
holds<Equal<ReturnType<typeof accessLog>, RequestHandler>>();
holds<Equal<ReturnType<TinyProxy['status']>, ProxyStatus>>();
holds<Equal<ReturnType<TinyProxy['drain']>, () => void>>();
holds<Equal<ReturnType<TinyProxy['close']>, Promise<void>>>();
holds<Equal<Parameters<TinyProxy['setTargets']>, [target: TinyProxyOptions['target']]>>();
holds<Equal<ReturnType<TinyProxy['setTargets']>, void>>();
holds<Equal<ReturnType<TinyProxy['dial']>, { socket: Socket; host: string }>>();
proxy.setTargets([{ url: 'https://orders.internal:8443', address: '10.0.0.7', weight: 2 }]);
proxy.setHealthy(target, false, 'status 503');
holds<Equal<TinyProxy['events'], EventEmitter<TinyProxyEvents>>>();

// The request of the app.
app.get('/', (req, res) => {
  holds<Equal<typeof req.id, string>>();
  holds<Equal<typeof req.hops, Hop[]>>();
  res.send(`${req.id.toUpperCase()} ${req.hops.length}`);
});

// The shapes that users program against, as the contract has them.
holds<Equal<Hop, { attempt: number; backend: string; outcome: number | string; ms: number }>>();
holds<
  Equal<
    ProxyStatus,
    {
      transport: 'http' | 'undici';
      transportReason?: string;
      closed: boolean;
      inFlight: number;
      requests: number;
      retries: number;
      budget: { left: number } | null;
      backends: BackendStatus[];
    }
  >
>();
holds<
  Equal<
    BackendStatus,
    {
      url: string;
      weight: number;
      breaker: 'closed' | 'open' | 'half-open';
      drained: boolean;
      healthy: boolean;
      openUntil: string | null;
      consecutiveFailures: number;
      inFlight: number;
      attempts: number;
      failures: number;
      lastError: string | null;
      latency: { p50: number; p99: number } | null;
    }
  >
>();
holds<Equal<BreakerState, 'closed' | 'open' | 'half-open'>>();
holds<
  Equal<
    NoRetryReason,
    | 'off'
    | 'method'
    | 'body'
    | 'committed'
    | 'attempts'
    | 'budget'
    | 'deadline'
    | 'client-gone'
    | 'no-backend'
  >
>();

// Events are told with their payloads.
type RequestEventName = 'request' | 'attempt' | 'hop' | 'retry' | 'give-up' | 'done';
type PoolEventName = 'break' | 'half-open' | 'reset' | 'targets' | 'unhealthy' | 'healthy';
type EventName = RequestEventName | PoolEventName | 'close';
holds<Equal<keyof TinyProxyEvents, EventName>>();
proxy.events.on('request', ({ requestId: id, req }) => {
  holds<Equal<typeof id, string>>();
  holds<Equal<typeof req, Request>>();
});
proxy.events.on('attempt', (event) => {
  holds<Equal<typeof event.req, Request>>();
  holds<Equal<typeof event.url, string>>();
  event.headers['x-attempt'] = String(event.attempt);
  // @ts-expect-error: they are changed in their place
  event.headers = {};
});
proxy.events.on('close', (event) => {
  holds<Equal<typeof event, CloseEvent>>();
  holds<Equal<typeof event.graceMs, number>>();
});
proxy.events.on('targets', (event) => {
  holds<Equal<typeof event, TargetsEvent>>();
  event.added.concat(event.removed, event.backends).join();
});
proxy.events.on('unhealthy', (event) => {
  holds<Equal<typeof event, HealthEvent>>();
  `${event.backend} ${event.target} ${event.reason}`;
});
proxy.events.on('hop', ({ req, url, outcome, status, ms, failed }) => {
  holds<Equal<typeof req, Request>>();
  holds<Equal<typeof url, string>>();
  holds<Equal<typeof outcome, number | string>>();
  holds<Equal<typeof status, number | null>>();
  holds<Equal<typeof ms, number>>();
  holds<Equal<typeof failed, boolean>>();
});
proxy.events.on('done', ({ req, requestId: id, backend, status, hops, noRetry }) => {
  holds<Equal<typeof req, Request>>();
  holds<Equal<typeof id, string>>();
  holds<Equal<typeof backend, string | null>>();
  holds<Equal<typeof status, number | null>>();
  holds<Equal<typeof hops, readonly Hop[]>>();
  holds<Equal<typeof noRetry, NoRetryReason | null>>();
});
proxy.events.once('break', ({ backend, openUntil }) => `${backend} ${openUntil}`);
proxy.events.on('reset', ({ target: url, reason }) => {
  holds<Equal<typeof url, string>>();
  holds<Equal<typeof reason, string | undefined>>();
});
proxy.holdOpen(new URL(target), 1000, 'seen by web-3');
proxy.closeBreaker(target);
// @ts-expect-error: for how long?
proxy.holdOpen(target);
proxy.events.on('retry', ({ attempt, outcome }) => `${attempt} ${outcome}`);

// Every option takes what the contract says.
tinyProxy({ target: new URL(target) });
tinyProxy({ target: { url: target, weight: 2 } });
tinyProxy({ target: [target, new URL(target), { url: target }] });
const frozen = [target, 'http://10.0.0.2'] as const;
tinyProxy({ target: frozen });
tinyProxy({
  target,
  balance: (req, backends) => backends.find(({ inFlight }) => inFlight < 3) ?? req.app.get('first'),
  isFailure: (status) => status === 429,
  retry: {
    methods: ['GET', 'DELETE'],
    replayable: (req) => req.get('Idempotency-Key') !== undefined,
    unsent: true,
    attempts: 2,
    backoff: { initialDelay: 10 },
    budget: { ratio: 0.1 },
    maxBodyBytes: 0,
    maxTotalBytes: 0,
  },
  breaker: { failures: 3, cooldown: 1000 },
  trace: { header: 'X-Trace', trust: false, generate: () => 'id' },
  log: { format: 'combined', stream: { write: (line) => line.length }, skip: () => false },
  errors: 'next',
  transport: 'auto',
  director: (outgoing, req) => {
    holds<Equal<typeof outgoing, Outgoing>>();
    outgoing.path = `/x${outgoing.path}`;
    outgoing.headers['x-user'] = req.get('x-user');
    // @ts-expect-error: where an attempt goes is not for the director to say
    outgoing.backend = '10.0.0.9:80';
  },
  modifyResponse: (response) => {
    holds<Equal<typeof response, OutgoingResponse>>();
    if (response.status === 418) throw new ProxyError('TEAPOT', { status: 503 });
    delete response.headers.server;
  },
  on: {
    proxyReq: (proxyReq, req) => void proxyReq.setHeader('x-id', req.id),
    proxyRes: (proxyRes, _req, res) => void res.setHeader('x-was', proxyRes.statusCode ?? 0),
    error: (error) => error.message,
  },
  pathFilter: (pathname, req) => pathname.startsWith('/a') && req.method === 'GET',
  pathRewrite: { '^/old': '/new' },
  headers: { 'x-tier': 'web' },
  agent: false,
  secure: false,
  via: 'edge-1',
  ws: false,
  cookieDomainRewrite: { '*': '' },
});
tinyProxy({ target, retry: true, breaker: true, trace: true, log: true });
tinyProxy({ target, retry: false, breaker: false, trace: false, log: false, via: false });
tinyProxy({ target, retry: { budget: false }, log: 'json' });

// And refuses the rest, before it is mounted.
// @ts-expect-error: a target is required
tinyProxy({});
// @ts-expect-error: misspelt
tinyProxy({ target, retries: 3 });
// @ts-expect-error: misspelt
tinyProxy({ target, retry: { attempt: 3 } });
// @ts-expect-error: not a balance
tinyProxy({ target, balance: 'fastest' });
tinyProxy({ target, transport: 'undici', http2: true, maxConnections: 8, queueTimeout: 100 });
tinyProxy({ target: { socketPath: '/run/app.sock', weight: 2 } });
// @ts-expect-error: no transport
tinyProxy({ target, transport: 'https' });
tinyProxy({ target, ws: true });
tinyProxy({ target, ws: '/api' });
// @ts-expect-error: not a path
tinyProxy({ target, ws: 1 });
// @ts-expect-error: refused
tinyProxy({ target, router: () => target });
// @ts-expect-error: refused
tinyProxy({ target, selfHandleResponse: true });
// @ts-expect-error: refused
tinyProxy({ target, followRedirects: true });
// @ts-expect-error: milliseconds are a number
tinyProxy({ target, connectTimeout: '3s' });
// @ts-expect-error: there is no such event
proxy.events.on('open', () => {});

// ProxyError.
const error = new ProxyError('NO_BACKEND', { status: 503, message: 'none', cause: 1 });
const failure: Error = error;
holds<Equal<typeof error.status, number>>();
holds<Equal<typeof error.code, string>>();
holds<Equal<typeof error.headers, Record<string, string>>>();
holds<Equal<typeof error.requestId, string>>();
holds<Equal<typeof error.hops, readonly Hop[]>>();
holds<Equal<typeof error.cause, unknown>>();
new ProxyError('A_CODE_OF_MINE');
// @ts-expect-error: a status is a number
new ProxyError('MINE', { status: '503' });
failure.message.trim();

// Nothing that a user's function is given is `any`.
type Hook<K extends keyof TinyProxyOptions> = Extract<
  TinyProxyOptions[K],
  // biome-ignore lint/suspicious/noExplicitAny: the one type that every function extends
  (...args: any[]) => unknown
>;
holds<Equal<IsAny<Parameters<Hook<'director'>>[1]>, false>>();
holds<Equal<IsAny<Parameters<Hook<'modifyResponse'>>[1]>, false>>();
holds<Equal<IsAny<Parameters<Hook<'balance'>>[0]>, false>>();
holds<Equal<Parameters<Hook<'balance'>>[1], readonly Candidate[]>>();
holds<Equal<Parameters<Hook<'isFailure'>>, [status: number]>>();
holds<Equal<IsAny<Parameters<NonNullable<LogOptions['skip']>>[0]>, false>>();
holds<Equal<ReturnType<NonNullable<TraceOptions['generate']>>, string>>();
holds<
  Equal<
    { [K in keyof TinyProxyOptions]-?: IsAny<TinyProxyOptions[K]> }[keyof TinyProxyOptions],
    false
  >
>();

// Every other type that an option, an event or the status is made of has its name.
holds<Equal<TinyProxyEvents['request'], [RequestEvent]>>();
holds<Equal<TinyProxyEvents['attempt'], [AttemptStartEvent]>>();
holds<Equal<TinyProxyEvents['hop'], [HopEvent]>>();
holds<Equal<TinyProxyEvents['retry'], [RetryEvent]>>();
holds<Equal<TinyProxyEvents['give-up'], [GiveUpEvent]>>();
holds<Equal<TinyProxyEvents['done'], [DoneEvent]>>();
holds<Equal<TinyProxyEvents['break'], [BreakEvent]>>();
holds<Equal<TinyProxyEvents['half-open'], [BreakerEvent]>>();
holds<Equal<TinyProxyEvents['reset'], [BreakerEvent]>>();
holds<Equal<AboutRequest['req'], Request>>();
holds<Equal<AttemptStartEvent['headers'], HeaderMap>>();
holds<FailureEvent extends AttemptEvent ? true : false>();
holds<HopEvent extends FailureEvent ? true : false>();
holds<Equal<ProxyStatus['budget'], BudgetStatus | null>>();
holds<Equal<BackendStatus['latency'], Latency | null>>();
holds<Equal<TinyProxyOptions['target'], Target | readonly Target[]>>();
holds<WeightedTarget extends Target ? true : false>();
holds<Equal<RetryOptions['backoff'], BackoffOptions | undefined>>();
holds<Equal<RetryOptions['budget'], false | BudgetOptions | undefined>>();
holds<Equal<TinyProxyOptions['breaker'], boolean | BreakerOptions | undefined>>();
holds<Equal<TinyProxyOptions['ssl'], TlsOptions | undefined>>();
holds<Equal<TinyProxyOptions['cookieDomainRewrite'], CookieRewrite | undefined>>();
holds<Equal<LogOptions['format'], LogFormat | undefined>>();
holds<Equal<LogOptions['stream'], LogStream | undefined>>();
const first: BalanceFunction = (_req, backends) => backends[0]!;
tinyProxy({ target, balance: first });
const init: ProxyErrorInit = { status: 503, message: 'closed on Sundays', cause: new Error() };
const code: ProxyErrorCode = 'NO_BACKEND';
holds<Equal<ProxyError['code'], string>>();
holds<Equal<keyof ProxyErrorInit, 'status' | 'message' | 'cause'>>();
new ProxyError(code, init);
// @ts-expect-error: no code of the proxy's own
const unknownCode: ProxyErrorCode = 'NO_IDEA';
void unknownCode;
