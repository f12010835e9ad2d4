import type { Agent as HttpAgent, IncomingMessage, ServerResponse } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import type { Request, Response } from 'express';
import type { Options as HpmOptions } from 'http-proxy-middleware';
import type { CookieRewrite } from './rewrite.js';

/** A backend's URL, `http:` or `https:`; a path in it is prepended to what is forwarded. */
export type Target = string | URL | WeightedTarget;

/** At least one of `url` and `socketPath`; an `address` goes with a `url`. */
export interface WeightedTarget {
  /** Beside a `socketPath` it says the base path, the TLS identity and what `changeOrigin` sends. Default then `http://localhost`. */
  url?: string | URL;
  /** A Unix socket to connect to. */
  socketPath?: string;
  /** An IP address to connect to instead of what `url`'s host resolves to; TLS identity, port and all else are those of `url`. */
  address?: string;
  /** Its share of the requests, a positive integer. Default 1. */
  weight?: number;
}

/** A backend as a `balance` function sees it. */
export interface Candidate {
  /** As it was configured. */
  readonly url: string;
  /** Its share of the requests. */
  readonly weight: number;
  /** Attempts that run there now. */
  readonly inFlight: number;
}

/** Answers one of `backends`, the candidates that may be tried now. */
export type BalanceFunction = (req: Request, backends: readonly Candidate[]) => Candidate;

/** The waits before a backend that a request has tried already, milliseconds. */
export interface BackoffOptions {
  /** The longest first wait; each next one may be twice as long. Default 50. */
  initialDelay?: number;
  /** No wait is longer. Default 1000. */
  maxDelay?: number;
}

/** How many retries there may be, of all requests together. */
export interface BudgetOptions {
  /** Retries for each request, over the last 10 s. Default 0.2. */
  ratio?: number;
  /** This many in a second are allowed whatever the ratio says. Default 10. */
  minPerSecond?: number;
}

/** When, where and how often a failed request is sent again. */
export interface RetryOptions {
  /** Methods that are replayed; every other is sent once and fails fast. Default `['GET', 'HEAD', 'PUT']`: idempotent (RFC 9110 9.2.2) and usual. */
  methods?: readonly string[];
  /** Overrides the method list for one request: a POST with an `Idempotency-Key`, say. */
  replayable?: (req: Request) => boolean;
  /** `true`: an attempt that failed before its connection stood has sent nothing and may go to the next backend whatever its method. Default `false`. */
  unsent?: boolean;
  /** Tries in all, the first included. Default 3. */
  attempts?: number;
  /** Milliseconds, exponential with full jitter; only before a backend that this request has tried already. Default `{ initialDelay: 50, maxDelay: 1000 }`. */
  backoff?: BackoffOptions;
  /** A retry is allowed while retries(10 s) < ratio x requests(10 s), or retries(1 s) < minPerSecond. Default `{ ratio: 0.2, minPerSecond: 10 }`; `false`: no limit. */
  budget?: false | BudgetOptions;
  /** A body is kept for replay up to this size; a longer one streams on and is not replayed once part of it was sent. Default 262144. */
  maxBodyBytes?: number;
  /** All kept bodies of this proxy together. Default 67108864. */
  maxTotalBytes?: number;
}

/** When a backend is left out, and for how long. */
export interface BreakerOptions {
  /** Failures in a row that open it. Default 5. */
  failures?: number;
  /** Milliseconds open, then one probe. Default 10000. */
  cooldown?: number;
}

/** Request ids. */
export interface TraceOptions {
  /** Default `'X-Request-ID'`. */
  header?: string;
  /** Take a client's id if it is 1 to 128 characters of `A-Z a-z 0-9 . _ ~ : / + = @ -`. Default `true`. */
  trust?: boolean;
  /** Makes an id. Default: a random UUID. */
  generate?: () => string;
}

/** `'text'`, `'json'`, or a format string or name of morgan's. */
export type LogFormat = 'text' | 'json' | (string & {});

/** Where log lines go. */
export interface LogStream {
  /** Gets one line, its line feed included. */
  write(line: string): unknown;
}

/** The log. */
export interface LogOptions {
  /** Default `'text'`. */
  format?: LogFormat;
  /** Gets a call for each line. Default: standard output, which gets those of one turn of the event loop at once. */
  stream?: LogStream;
  /** Requests to leave out. */
  skip?: (req: IncomingMessage, res: ServerResponse) => boolean;
}

/** What one attempt sends, for `director` to change. */
export interface Outgoing {
  /** `host:port` */
  readonly backend: string;
  /** With its query, the backend's base path included. */
  path: string;
  /** Names in lower case. Framing headers are ignored. */
  headers: Record<string, string | string[] | undefined>;
}

/** What the client gets, for `modifyResponse` to change. */
export interface OutgoingResponse {
  /** From 200 to 599. */
  status: number;
  /** Names in lower case. Framing headers are ignored. */
  headers: Record<string, string | string[] | undefined>;
}

/** Node's, for `tls.connect()`. */
export interface TlsOptions extends SecureContextOptions {
  /** The name to ask for and to check. Default: the backend's host. */
  servername?: string;
}

type Hpm = HpmOptions<Request, Response>;

/** Every option. Times are milliseconds. What is not described here means what it means in http-proxy-middleware. */
export interface TinyProxyOptions {
  /** One backend or a list. Required. */
  target: Target | readonly Target[];
  /** Who is next. Default `'round-robin'` (weighted); `'random-two'` is the power of two choices. */
  balance?: 'round-robin' | 'least-pending' | 'random-two' | BalanceFunction;
  /** What counts as a failed attempt, for retry and breaker alike. Default `status >= 500`. */
  isFailure?: (status: number) => boolean;
  /** Default `true`: the defaults of {@link RetryOptions}. */
  retry?: boolean | RetryOptions;
  /** One per backend. Default `true`: the defaults of {@link BreakerOptions}. */
  breaker?: boolean | BreakerOptions;
  /** Until the connection to the backend stands, TLS and HTTP/2's SETTINGS each in their turn. Default 3000; `0`: none. */
  connectTimeout?: number;
  /** One attempt, from its start to its response headers. Stands still while the client's body is waited for. Default 15000; `0`: none. */
  attemptTimeout?: number;
  /** All attempts and the waits between them, to the response headers. Stands still as attemptTimeout does. Default 60000; `0`: none. */
  requestTimeout?: number;
  /** Without a byte in a body, the backend's or the client's. Default 300000; `0`: none. */
  idleTimeout?: number;
  /** Default `true`: the defaults of {@link TraceOptions}. */
  trace?: boolean | TraceOptions;
  /** One line a request. Default `'text'`. */
  log?: boolean | LogFormat | LogOptions;
  /** `'next'`: hand the ProxyError to Express. Default `'respond'`: `application/problem+json`. */
  errors?: 'respond' | 'next';
  /** `'http'`: http-proxy-middleware on node:http. `'undici'`: the fast lane. Default `'auto'`: undici, unless an option needs node:http (`agent`, `localAddress`, `logger`, `plugins`, `on.proxyReq`, `on.proxyRes`, ...). */
  transport?: 'auto' | 'http' | 'undici';
  /** HTTP/2 to `https:` backends that offer it (ALPN); not on node:http. Default `false`. */
  http2?: boolean;
  /** Connections of HTTP/1.1 to one backend at a time, WebSockets and idle ones included. Default: no bound. */
  maxConnections?: number;
  /** Milliseconds that an attempt waits for one of `maxConnections`; then the next backend is tried, whatever `retry` says, and where there is none, 503. Default 1000; `0`: no wait. */
  queueTimeout?: number;
  /** The last word on what one attempt sends; hop-by-hop headers are gone already. */
  director?: (outgoing: Outgoing, req: Request) => void;
  /** The last word on what the client gets. A ProxyError thrown here fails the attempt. */
  modifyResponse?: (response: OutgoingResponse, req: Request) => void;
  /** A name: `Via: 1.1 name` goes along (RFC 9110 7.6.3), and a request that bears it already is a loop: 508. Default `false`. */
  via?: false | string;
  /** WebSockets, without `server.on('upgrade', proxy.upgrade)`: the server of the first request is subscribed by itself. A string: the mount path (`'/api'`), for an app that cannot be looked at. Default `false`. */
  ws?: boolean | string;
  /** `X-Forwarded-For`, `-Proto`, `-Host`, `-Prefix` by Express's `trust proxy`. Default `true`; `false`: none set, none taken away. */
  xfwd?: boolean;
  /** The requests to take, by their path under the mount; others go on to the next handler. */
  pathFilter?: NonNullable<Hpm['pathFilter']>;
  /** Applied once a request; every attempt sends the same path. */
  pathRewrite?: NonNullable<Hpm['pathRewrite']>;
  /** `start` and `proxyReq` run for every attempt, `proxyRes` and `end` for the response that is passed on, `error` once, when the exchange has failed. */
  on?: NonNullable<Hpm['on']>;
  /** http-proxy-middleware's plugins; node:http carries all then. */
  plugins?: NonNullable<Hpm['plugins']>;
  /** Leaves out http-proxy-middleware's own plugins, `on` and `logger` among them. Default `false`. */
  ejectPlugins?: boolean;
  /** For http-proxy-middleware's own messages; node:http carries all then. Default: none. */
  logger?: NonNullable<Hpm['logger']>;
  /** Headers to add to every attempt. */
  headers?: Record<string, string | string[]>;
  /** Send the backend's host as `Host`. Default `false`: the client's. */
  changeOrigin?: boolean;
  /** `user:password` for the backend, where the client has sent no `Authorization`. */
  auth?: string;
  /** Verify the backend's certificate. Default `true`. */
  secure?: boolean;
  /** TLS settings towards the backends: `ca`, `cert`, `key`, ... */
  ssl?: TlsOptions;
  /** Your own pool; `false`: a connection an attempt. Default: one pool a backend. */
  agent?: HttpAgent | HttpsAgent | false;
  /** The local address to connect from; node:http carries all then. */
  localAddress?: string;
  /** Prepend the path of `target`. Default `true`. */
  prependPath?: boolean;
  /** Send the path of `target` alone. Default `false`. */
  ignorePath?: boolean;
  /** Write response header names as the backend does. Default `false`: in lower case. */
  preserveHeaderKeyCase?: boolean;
  /** Rewrite the host of redirects to the client's `Host`. Default `false`. */
  autoRewrite?: boolean;
  /** Rewrite the host of redirects to this one. */
  hostRewrite?: string;
  /** Rewrite the protocol of redirects. */
  protocolRewrite?: 'http' | 'https';
  /** Rewrite the `Domain` of `Set-Cookie`. */
  cookieDomainRewrite?: CookieRewrite;
  /** Rewrite the `Path` of `Set-Cookie`. */
  cookiePathRewrite?: CookieRewrite;
}

/** What has a default is there. */
type Resolved<T, K extends keyof T> = Omit<T, K> & Required<Pick<T, K>>;
type Grouped = 'target' | 'transport' | 'retry' | 'breaker' | 'trace' | 'log';
type Timeouts = `${'connect' | 'queue' | 'attempt' | 'request' | 'idle'}Timeout`;
type WithDefaults = 'balance' | 'isFailure' | 'errors' | 'xfwd' | 'http2' | Timeouts;

/** The options with their defaults in place: what the code reads. */
export interface ResolvedOptions extends Resolved<Omit<TinyProxyOptions, Grouped>, WithDefaults> {
  targets: ResolvedTarget[];
  transport: 'http' | 'undici';
  /** Why it is node:http, where nobody has asked for it: `'option "agent"'`. */
  needsHttp: string | null;
  retry: null | ResolvedRetry;
  breaker: false | Required<BreakerOptions>;
  trace: false | Required<TraceOptions>;
  log: false | (LogOptions & { format: LogFormat });
}

export interface ResolvedTarget {
  url: URL;
  socketPath: string | undefined;
  address: string | undefined;
  /** As it was written; an address in place of the host, which follows a `#`. */
  label: string;
  /** No two of a list have the same. */
  key: string;
  weight: number;
}

export interface ResolvedRetry
  extends Resolved<
    Omit<RetryOptions, 'methods' | 'backoff' | 'budget'>,
    'unsent' | 'attempts' | 'maxBodyBytes' | 'maxTotalBytes'
  > {
  methods: ReadonlySet<string>;
  backoff: Required<BackoffOptions>;
  budget: false | Required<BudgetOptions>;
}

/** The defaults, in one place; README's table is checked against them. */
export const DEFAULTS = {
  retry: {
    methods: ['GET', 'HEAD', 'PUT'],
    unsent: false,
    attempts: 3,
    backoff: { initialDelay: 50, maxDelay: 1000 },
    budget: { ratio: 0.2, minPerSecond: 10 },
    maxBodyBytes: 262_144,
    maxTotalBytes: 67_108_864,
  },
  breaker: { failures: 5, cooldown: 10_000 },
  connectTimeout: 3000,
  queueTimeout: 1000,
  attemptTimeout: 15_000,
  requestTimeout: 60_000,
  idleTimeout: 300_000,
  trace: { header: 'X-Request-ID', trust: true },
} as const;
