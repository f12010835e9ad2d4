import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { inspect } from 'node:util';
import { checkedHeaders } from './headers.js';
import {
  type BreakerOptions,
  DEFAULTS,
  type LogFormat,
  type LogOptions,
  type ResolvedOptions,
  type RetryOptions,
  type Target,
  type TinyProxyOptions,
  type TraceOptions,
  type WeightedTarget,
} from './options.js';

/** Checks every option once, at mount, and puts the defaults in place. */
type Kind = readonly [holds: (value: unknown) => boolean, expected: string];

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isFunction = (value: unknown): boolean => typeof value === 'function';
const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isToken = (value: unknown): boolean => isText(value) && /^[\w!#$%&'*+.^`|~-]+$/.test(value);
const isListOf = (value: unknown, holds: Kind[0]): boolean =>
  Array.isArray(value) && value.length > 0 && value.every(holds);
const isMapOf = (value: unknown, holds: Kind[0]): boolean =>
  isObject(value) && Object.values(value).every((item) => item === undefined || holds(item));
const isAtLeast = (value: unknown, least: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least;
const isNumber = (value: unknown, most: number): boolean =>
  typeof value === 'number' && value >= 0 && value <= most;

const KINDS = {
  boolean: [(v) => typeof v === 'boolean', 'true or false'],
  function: [isFunction, 'a function'],
  object: [isObject, 'an object'],
  text: [isText, 'a string'],
  address: [(v) => isText(v) && isIP(v) !== 0, "an IP address such as '10.0.0.7'"],
  token: [isToken, "a header name such as 'X-Request-ID'"],
  ms: [(v) => isNumber(v, 2 ** 31 - 1), 'milliseconds from 0 to 2147483647, for example 3000'],
  count: [(v) => isAtLeast(v, 1), 'a positive integer, for example 3'],
  bytes: [(v) => isAtLeast(v, 0), 'a number of bytes, for example 262144'],
  share: [(v) => isNumber(v, Number.MAX_VALUE), 'a finite number >= 0, for example 0.2'],
  group: [(v) => typeof v === 'boolean' || isObject(v), 'true, false or an object of options'],
  balance: [
    (v) => isFunction(v) || ['round-robin', 'least-pending', 'random-two'].includes(v as string),
    "'round-robin', 'least-pending', 'random-two' or a function (req, backends) => backend",
  ],
  budget: [(v) => v === false || isObject(v), 'false or { ratio: 0.2, minPerSecond: 10 }'],
  methods: [(v) => Array.isArray(v) && v.every(isToken), "a list such as ['GET', 'HEAD', 'PUT']"],
  log: [
    (v) => typeof v === 'boolean' || isText(v) || isObject(v),
    "true, false, 'text', 'json', a morgan format string or { format, stream, skip }",
  ],
  stream: [(v) => isFunction((v as LogOptions['stream'])?.write), 'a stream: process.stdout, say'],
  errors: [(v) => v === 'respond' || v === 'next', "'respond' or 'next'"],
  transport: [
    (v) => v === 'auto' || v === 'http',
    "'auto' or 'http' (no 'undici' in this version)",
  ],
  ws: [
    (v) => typeof v === 'boolean' || (isText(v) && v.startsWith('/')),
    "true, false or the mount path, for example '/api'",
  ],
  via: [(v) => v === false || isToken(v), "false or a name such as 'edge-1'"],
  pathFilter: [
    (v) => typeof v === 'string' || isFunction(v) || isListOf(v, isText),
    "a path such as '/users', a glob, a list of either, or (pathname, req) => boolean",
  ],
  pathRewrite: [
    (v) => isFunction(v) || (isMapOf(v, (to) => typeof to === 'string') && areRegExps(v as object)),
    "regular expressions such as { '^/old': '/new' } or (path, req) => path",
  ],
  on: [
    // By its name: http-proxy-middleware hands out an anonymous wrapper.
    (v) => isMapOf(v, (f) => isFunction(f) && !/ResponseInterceptor$/.test((f as Kind[0]).name)),
    'functions such as { proxyReq: (proxyReq, req) => {} }, and no responseInterceptor()',
  ],
  plugins: [(v) => Array.isArray(v) && v.every(isFunction), 'a list of functions'],
  logger: [
    (v) => isObject(v) && ['info', 'warn', 'error'].every((name) => isFunction(v[name])),
    'an object with info, warn and error, for example console',
  ],
  headers: [isHeaders, "header values such as { 'x-tier': 'web' }"],
  auth: [(v) => isText(v) && v.includes(':'), "'user:password'"],
  agent: [(v) => v === false || isObject(v), 'an http.Agent, or false'],
  protocol: [(v) => v === 'http' || v === 'https', "'http' or 'https'"],
  cookie: [
    (v) => v === false || typeof v === 'string' || isMapOf(v, (to) => typeof to === 'string'),
    "a string, false or an object such as { 'old.example': 'new.example' }",
  ],
} satisfies Record<string, Kind>;

type Rules = Record<string, Kind>;

/** Options by their kind. */
function rules<T>(byKind: { [K in keyof typeof KINDS]?: readonly (keyof T & string)[] }): Rules {
  const kinds = Object.entries(byKind) as [keyof typeof KINDS, readonly string[]][];
  return Object.fromEntries(kinds.flatMap(([kind, names]) => names.map((n) => [n, KINDS[kind]])));
}

/** The kinds that are named after the one option that they are for. */
function own<K extends keyof typeof KINDS>(...names: K[]): { [N in K]: N[] } {
  return Object.fromEntries(names.map((name) => [name, [name]])) as { [N in K]: N[] };
}

const RULES = rules<TinyProxyOptions>({
  function: ['isFailure', 'director', 'modifyResponse'],
  group: ['retry', 'breaker', 'trace'],
  ms: ['connectTimeout', 'attemptTimeout', 'requestTimeout', 'idleTimeout'],
  boolean: [
    'xfwd',
    'ejectPlugins',
    'changeOrigin',
    'secure',
    'prependPath',
    'ignorePath',
    'autoRewrite',
    'preserveHeaderKeyCase',
  ],
  text: ['hostRewrite'],
  address: ['localAddress'],
  object: ['ssl'],
  protocol: ['protocolRewrite'],
  cookie: ['cookieDomainRewrite', 'cookiePathRewrite'],
  ...own('balance', 'log', 'errors', 'transport', 'ws', 'via', 'pathFilter', 'pathRewrite', 'on'),
  ...own('plugins', 'logger', 'headers', 'auth', 'agent'),
});
const RETRY = rules<RetryOptions>({
  methods: ['methods'],
  function: ['replayable'],
  boolean: ['unsent'],
  count: ['attempts'],
  object: ['backoff'],
  budget: ['budget'],
  bytes: ['maxBodyBytes', 'maxTotalBytes'],
});
const BREAKER = rules<BreakerOptions>({ count: ['failures'], ms: ['cooldown'] });
const BACKOFF: Rules = { initialDelay: KINDS.ms, maxDelay: KINDS.ms };
const BUDGET: Rules = { ratio: KINDS.share, minPerSecond: KINDS.share };
const TRACE = rules<TraceOptions>({
  token: ['header'],
  boolean: ['trust'],
  function: ['generate'],
});
const LOG = rules<LogOptions>({ text: ['format'], stream: ['stream'], function: ['skip'] });
const TARGET = rules<WeightedTarget>({ count: ['weight'] });

/** http-proxy-middleware's options that cannot work beside retry, and what to use instead. */
const REFUSED: Record<string, string> = {
  router: 'use target: [...] with balance: (req, backends) => backend',
  selfHandleResponse:
    'use modifyResponse for the head; rewriting bodies (responseInterceptor) stays with plain http-proxy-middleware',
  buffer: 'bodies are kept for replay by retry.maxBodyBytes',
  timeout: 'use idleTimeout, and server.requestTimeout for the client',
  proxyTimeout: 'use attemptTimeout',
  upgradeTimeout: 'use attemptTimeout',
  followRedirects: 'the client follows redirects; autoRewrite keeps it on this host',
  forward: 'use target',
  toProxy: 'a forward proxy as a backend is not supported; use agent',
  http2: 'it is about http-proxy-middleware as a server; create your own server',
};

function wrong(option: string, value: unknown, expected: string): TypeError {
  const shown = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY }).slice(0, 120);
  return new TypeError(`option "${option}" must be ${expected}; got ${shown}`);
}

/** The members that are given (`undefined` is not), each checked. */
function checked<T extends object>(path: string, value: T, rules: Rules): T {
  const given = Object.entries(value).filter(([, member]) => member !== undefined);
  for (const [name, member] of given) {
    const option = path + name;
    if (path === '' && Object.hasOwn(REFUSED, name)) {
      throw new TypeError(`option "${name}" does not work with retries: ${REFUSED[name]}`);
    }
    if (!Object.hasOwn(rules, name)) throw unknown(option, member, path, rules);
    const [holds, expected] = rules[name]!;
    if (!holds(member)) throw wrong(option, member, expected);
  }
  return Object.fromEntries(given) as T;
}

function unknown(option: string, value: unknown, path: string, rules: Rules): TypeError {
  const known = Object.keys(rules);
  if (path === '') known.unshift('target');
  if (rules === TARGET) known.unshift('url');
  const start = option.slice(path.length).toLowerCase().slice(0, 4);
  const near = known.filter((name) => name.toLowerCase().startsWith(start));
  const names = (near.length > 0 ? near : known).map((name) => `"${path}${name}"`).join(', ');
  return new TypeError(
    `unknown option "${option}" (${inspect(value, { depth: 0 })}); try ${names}`,
  );
}

/** @throws {TypeError} that names the option, its value and a right one. */
export function resolveOptions(options: TinyProxyOptions): ResolvedOptions {
  const example = "an object such as { target: 'http://127.0.0.1:8081' }";
  if (!isObject(options)) throw wrong('options', options, example);
  const { target, ...others } = options as TinyProxyOptions;
  const {
    retry = true,
    breaker = true,
    trace = true,
    log = true,
    ...given
  } = checked('', others, RULES);
  const { connectTimeout, attemptTimeout, requestTimeout, idleTimeout } = DEFAULTS;
  return {
    ...{ balance: 'round-robin', isFailure: (status) => status >= 500, xfwd: true },
    ...{ connectTimeout, attemptTimeout, requestTimeout, idleTimeout, errors: 'respond' },
    ...given,
    targets: resolveTargets(target),
    retry: retry === false ? null : resolveRetry(retry === true ? {} : retry),
    breaker: breaker && {
      ...DEFAULTS.breaker,
      ...checked('breaker.', breaker === true ? {} : breaker, BREAKER),
    },
    trace: trace && resolveTrace(trace === true ? {} : trace),
    log: log && resolveLog(typeof log === 'object' ? log : log === true ? {} : { format: log }),
  };
}

function resolveTargets(target: TinyProxyOptions['target']): ResolvedOptions['targets'] {
  const list = (Array.isArray(target) ? target : [target]) as Target[];
  const expected = "a URL such as 'http://127.0.0.1:8081', { url, weight }, or a list of these";
  if (list.length === 0) throw wrong('target', target, expected);
  const seen = new Set<string>();
  return list.map((item) => {
    const plain = typeof item === 'string' || item instanceof URL || !isObject(item);
    const { url: given, ...others } = plain ? { url: item } : (item as WeightedTarget);
    const { weight = 1 } = checked<{ weight?: number }>('target.', others, TARGET);
    const text = given instanceof URL ? given.href : given;
    if (!isText(text) || !URL.canParse(text)) throw wrong('target', item, expected);
    const url = new URL(text);
    if (!/^https?:$/.test(url.protocol) || url.hostname.includes(','))
      throw wrong('target', text, expected);
    const shown = `${url.protocol}//...@${url.host}`;
    if (url.username || url.password) throw wrong('target', shown, 'without a password; use auth');
    if (url.hash !== '') throw wrong('target', text, 'a URL without a fragment');
    if (seen.has(url.href)) throw wrong('target', text, 'listed once; a weight gives it more');
    seen.add(url.href);
    return { url, label: text.replace(/^(\w+:\/\/[^/]+)\/$/, '$1'), weight };
  });
}

function resolveRetry(options: RetryOptions): NonNullable<ResolvedOptions['retry']> {
  const { methods, backoff, budget, ...given } = checked('retry.', options, RETRY);
  const defaults = DEFAULTS.retry;
  return {
    ...defaults,
    ...given,
    methods: new Set((methods ?? defaults.methods).map((method) => method.toUpperCase())),
    backoff: {
      ...defaults.backoff,
      ...checked('retry.backoff.', backoff ?? {}, BACKOFF),
    },
    budget: budget !== false && {
      ...defaults.budget,
      ...checked('retry.budget.', budget ?? {}, BUDGET),
    },
  };
}

/** @throws {TypeError} */
export function resolveTrace(options: TraceOptions): Required<TraceOptions> {
  if (!isObject(options)) throw wrong('trace', options, 'an object such as { trust: false }');
  return { ...DEFAULTS.trace, generate: () => randomUUID(), ...checked('trace.', options, TRACE) };
}

/** @throws {TypeError} */
export function resolveLog(options: LogOptions): LogOptions & { format: LogFormat } {
  return { format: 'text', ...checked('log.', options, LOG) };
}

function areRegExps(rules: object): boolean {
  try {
    return Object.keys(rules).every((pattern) => new RegExp(pattern));
  } catch {
    return false; // the one thing RegExp throws is that the pattern is none
  }
}

/** A getter is read for every request, and what it answers is checked then. */
function isHeaders(value: unknown): boolean {
  if (!isObject(value)) return false;
  const plain = Object.entries(Object.getOwnPropertyDescriptors(value)).filter(([, d]) => !d.get);
  const values = Object.fromEntries(plain.map(([name, { value: item }]) => [name, item]));
  if (!isMapOf(values, (item) => typeof item === 'string' || isListOf(item, isText))) return false;
  try {
    return Object.keys(checkedHeaders(values)).length >= 0;
  } catch {
    return false; // the one thing it throws is that something is no header
  }
}
