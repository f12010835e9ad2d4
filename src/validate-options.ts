import { randomUUID } from 'node:crypto';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { inspect } from 'node:util';
import {
  type BreakerOptions,
  DEFAULTS,
  type LogFormat,
  type LogOptions,
  type ResolvedOptions,
  type ResolvedRetry,
  type Target,
  type TinyProxyOptions,
  type TraceOptions,
} from './options.js';

/** Checks every option once, at mount, and puts the defaults in place. */
type Rule = readonly [holds: (value: unknown) => boolean, expected: string];

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isMs = (value: unknown): boolean =>
  typeof value === 'number' && value >= 0 && value <= 2 ** 31 - 1;
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1;
const isToken = (value: unknown): value is string =>
  typeof value === 'string' && /^[\w!#$%&'*+.^`|~-]+$/.test(value);
const isStringMap = (value: unknown): boolean =>
  isObject(value) && Object.values(value).every((item) => typeof item === 'string');

const BOOLEAN: Rule = [(value) => typeof value === 'boolean', 'true or false'];
const FUNCTION: Rule = [(value) => typeof value === 'function', 'a function'];
const STRING: Rule = [(value) => typeof value === 'string' && value !== '', 'a string'];
const MS: Rule = [isMs, 'milliseconds, a number from 0 to 2147483647, for example 3000'];
const COUNT: Rule = [isCount, 'a positive integer, for example 3'];
const BYTES: Rule = [
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  'a number of bytes, for example 262144',
];
const SHARE: Rule = [
  (value) => typeof value === 'number' && value >= 0 && Number.isFinite(value),
  'a finite number >= 0, for example 0.2',
];
const _OBJECT: Rule = [isObject, 'an object'];
const COOKIE: Rule = [
  (value) => value === false || typeof value === 'string' || isStringMap(value),
  "a string, false, or an object such as { 'old.example': 'new.example' }",
];
const oneOf = (...values: string[]): Rule => [
  (value) => values.includes(value as string),
  values.map((value) => `'${value}'`).join(' or '),
];

const RULES: Record<Exclude<keyof TinyProxyOptions, 'target'>, Rule> = {
  balance: [
    (value) =>
      typeof value === 'function' ||
      ['round-robin', 'least-pending', 'random-two'].includes(value as string),
    "'round-robin', 'least-pending', 'random-two' or a function (req, backends) => backend",
  ],
  isFailure: [FUNCTION[0], 'a function such as (status) => status >= 500'],
  retry: [
    (value) => typeof value === 'boolean' || isObject(value),
    'true, false or an object such as { attempts: 3 }',
  ],
  breaker: [
    (value) => typeof value === 'boolean' || isObject(value),
    'true, false or an object such as { failures: 5 }',
  ],
  connectTimeout: MS,
  attemptTimeout: MS,
  requestTimeout: MS,
  idleTimeout: MS,
  trace: [
    (value) => typeof value === 'boolean' || isObject(value),
    "true, false or an object such as { header: 'X-Request-ID' }",
  ],
  log: [
    (value) =>
      typeof value === 'boolean' || (typeof value === 'string' && value !== '') || isObject(value),
    "true, false, 'text', 'json', a morgan format string or { format, stream, skip }",
  ],
  errors: oneOf('respond', 'next'),
  transport: [
    (value) => value === 'auto' || value === 'http',
    "'auto' or 'http' ('undici' is not in this version)",
  ],
  director: FUNCTION,
  modifyResponse: FUNCTION,
  via: [(value) => value === false || isToken(value), "false or a name such as 'edge-1'"],
  ws: [(value) => value === false, 'false (WebSockets are not in this version)'],
  xfwd: BOOLEAN,
  pathFilter: [
    (value) =>
      typeof value === 'string' ||
      typeof value === 'function' ||
      (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string')),
    "a path such as '/users', a glob, a list of either, or a function (pathname, req) => boolean",
  ],
  pathRewrite: [
    (value) => typeof value === 'function' || (isStringMap(value) && areRegExps(value as object)),
    "an object of regular expressions such as { '^/old': '/new' } or a function (path, req) => path",
  ],
  on: [
    (value) =>
      isObject(value) &&
      Object.values(value).every((item) => item === undefined || typeof item === 'function'),
    'an object of functions such as { proxyReq: (proxyReq, req) => {} }',
  ],
  plugins: [
    (value) => Array.isArray(value) && value.every((item) => typeof item === 'function'),
    'a list of functions',
  ],
  ejectPlugins: BOOLEAN,
  logger: [
    (value) =>
      isObject(value) &&
      ['info', 'warn', 'error'].every((name) => typeof value[name] === 'function'),
    'an object with info, warn and error, for example console',
  ],
  headers: [isHeaders, "an object of header values such as { 'x-tier': 'web' }"],
  changeOrigin: BOOLEAN,
  auth: [(value) => typeof value === 'string' && value.includes(':'), "'user:password'"],
  secure: BOOLEAN,
  ssl: [isObject, 'an object of TLS settings such as { ca }'],
  agent: [(value) => value === false || isObject(value), 'an http.Agent or false'],
  localAddress: [STRING[0], "an address such as '10.0.0.7'"],
  prependPath: BOOLEAN,
  ignorePath: BOOLEAN,
  preserveHeaderKeyCase: BOOLEAN,
  autoRewrite: BOOLEAN,
  hostRewrite: [STRING[0], "a host such as 'www.example.org'"],
  protocolRewrite: oneOf('http', 'https'),
  cookieDomainRewrite: COOKIE,
  cookiePathRewrite: COOKIE,
};

/** http-proxy-middleware's options that cannot work beside retry, and what to use instead. */
const REFUSED: Record<string, string> = {
  router: 'use target: [...] with balance: (req, backends) => backend',
  selfHandleResponse:
    'use modifyResponse for the head; rewriting bodies (responseInterceptor) stays with plain http-proxy-middleware',
  buffer: 'bodies are kept for replay by retry.maxBodyBytes',
  timeout: 'use idleTimeout, and server.requestTimeout for the client',
  proxyTimeout: 'use attemptTimeout',
  upgradeTimeout: 'use attemptTimeout',
  followRedirects: 'the client follows redirects; use autoRewrite to keep it on this host',
  forward: 'use target',
  toProxy: 'a forward proxy as a backend is not supported; use agent',
  http2: 'it is for http-proxy-middleware as a server; create your own server',
};

function wrong(option: string, value: unknown, expected: string): TypeError {
  const shown = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY }).slice(0, 120);
  return new TypeError(`option "${option}" must be ${expected}; got ${shown}`);
}

function check(option: string, value: unknown, rule: Rule): void {
  if (!rule[0](value)) throw wrong(option, value, rule[1]);
}

/** @throws {TypeError} that names the option, its value and a right one. */
export function resolveOptions(options: TinyProxyOptions): ResolvedOptions {
  if (!isObject(options)) {
    throw wrong('options', options, "an object such as { target: 'http://127.0.0.1:8081' }");
  }
  const given = withoutUndefined(options);
  for (const [name, value] of Object.entries(given)) {
    if (name === 'target') continue;
    const rule = RULES[name as keyof typeof RULES];
    if (rule !== undefined && Object.hasOwn(RULES, name)) check(name, value, rule);
    else if (Object.hasOwn(REFUSED, name)) {
      throw new TypeError(`option "${name}" does not work with retries; ${REFUSED[name]}`);
    } else throw unknown(name, value, Object.keys(RULES));
  }
  return {
    ...given,
    target: given.target,
    targets: resolveTargets(given.target),
    balance: given.balance ?? 'round-robin',
    isFailure: given.isFailure ?? ((status) => status >= 500),
    retry:
      given.retry === false ? null : resolveRetry(given.retry === true ? {} : (given.retry ?? {})),
    breaker: resolveBreaker(given.breaker ?? true),
    connectTimeout: given.connectTimeout ?? DEFAULTS.connectTimeout,
    attemptTimeout: given.attemptTimeout ?? DEFAULTS.attemptTimeout,
    requestTimeout: given.requestTimeout ?? DEFAULTS.requestTimeout,
    idleTimeout: given.idleTimeout ?? DEFAULTS.idleTimeout,
    trace:
      given.trace === false ? null : resolveTrace(given.trace === true ? {} : (given.trace ?? {})),
    log: resolveLog(given.log ?? true),
    errors: given.errors ?? 'respond',
    xfwd: given.xfwd ?? true,
  };
}

/** An explicit `undefined` means that the option was not given. */
function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as T;
}

function unknown(name: string, value: unknown, known: readonly string[]): TypeError {
  const lower = name.toLowerCase();
  const meant = known.find(
    (option) =>
      option.toLowerCase().startsWith(lower.slice(0, 4)) || lower.startsWith(option.toLowerCase()),
  );
  const hint = meant === undefined ? `known are ${known.join(', ')}` : `did you mean "${meant}"?`;
  return new TypeError(`unknown option "${name}" (${inspect(value, { depth: 0 })}); ${hint}`);
}

/** Checks the members of a nested option. */
function members<T extends object>(option: string, value: T, rules: Record<string, Rule>): T {
  const given = withoutUndefined(value);
  for (const [name, member] of Object.entries(given)) {
    if (!Object.hasOwn(rules, name)) {
      throw unknown(
        `${option}.${name}`,
        member,
        Object.keys(rules).map((known) => `${option}.${known}`),
      );
    }
    check(`${option}.${name}`, member, rules[name]!);
  }
  return given;
}

function resolveTargets(target: TinyProxyOptions['target']): ResolvedOptions['targets'] {
  const list = (Array.isArray(target) ? target : [target]) as Target[];
  const expected = "a URL such as 'http://127.0.0.1:8081', { url, weight }, or a list of these";
  if (target === undefined || list.length === 0) throw wrong('target', target, expected);
  const seen = new Set<string>();
  return list.map((item) => {
    const weighted = isObject(item) && !(item instanceof URL);
    const given = (
      weighted ? members('target', item, { url: [() => true, ''], weight: COUNT }) : { url: item }
    ) as {
      url: unknown;
      weight?: number;
    };
    const text = given.url instanceof URL ? given.url.href : given.url;
    if (typeof text !== 'string' || !URL.canParse(text)) throw wrong('target', given.url, expected);
    const url = new URL(text);
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      throw wrong('target', text, expected);
    if (url.username !== '' || url.password !== '') {
      throw wrong(
        'target',
        `${url.protocol}//...@${url.host}`,
        'a URL without a password; use the option auth',
      );
    }
    if (url.hash !== '') throw wrong('target', text, 'a URL without a fragment');
    if (seen.has(url.href))
      throw wrong('target', text, 'listed once; use { url, weight } for a larger share');
    seen.add(url.href);
    const label =
      given.url instanceof URL && url.pathname === '/' && url.search === '' ? url.origin : text;
    return { url, label, weight: given.weight ?? 1 };
  });
}

function resolveRetry(
  options: Exclude<TinyProxyOptions['retry'], boolean | undefined>,
): ResolvedRetry {
  const given = members('retry', options, {
    methods: [
      (value) => Array.isArray(value) && value.every(isToken),
      "a list of methods such as ['GET', 'HEAD', 'PUT']",
    ],
    replayable: [FUNCTION[0], 'a function (req) => boolean'],
    unsent: BOOLEAN,
    attempts: COUNT,
    backoff: [isObject, 'an object such as { initialDelay: 50, maxDelay: 1000 }'],
    budget: [
      (value) => value === false || isObject(value),
      'false or an object such as { ratio: 0.2, minPerSecond: 10 }',
    ],
    maxBodyBytes: BYTES,
    maxTotalBytes: BYTES,
  });
  const backoff = members('retry.backoff', given.backoff ?? {}, { initialDelay: MS, maxDelay: MS });
  const budget =
    given.budget === false
      ? null
      : members('retry.budget', given.budget ?? {}, { ratio: SHARE, minPerSecond: SHARE });
  const defaults = DEFAULTS.retry;
  return {
    methods: new Set((given.methods ?? defaults.methods).map((method) => method.toUpperCase())),
    replayable: given.replayable,
    unsent: given.unsent ?? defaults.unsent,
    attempts: given.attempts ?? defaults.attempts,
    backoff: { ...defaults.backoff, ...backoff },
    budget: budget && { ...defaults.budget, ...budget },
    maxBodyBytes: given.maxBodyBytes ?? defaults.maxBodyBytes,
    maxTotalBytes: given.maxTotalBytes ?? defaults.maxTotalBytes,
  };
}

function resolveBreaker(options: boolean | BreakerOptions): null | Required<BreakerOptions> {
  if (options === false) return null;
  const given =
    options === true ? {} : members('breaker', options, { failures: COUNT, cooldown: MS });
  return { ...DEFAULTS.breaker, ...given };
}

/** @throws {TypeError} */
export function resolveTrace(options: TraceOptions): Required<TraceOptions> {
  if (!isObject(options))
    throw wrong('trace', options, "an object such as { header: 'X-Request-ID' }");
  const given = members('trace', options, {
    header: [isToken, "a header name such as 'X-Request-ID'"],
    trust: BOOLEAN,
    generate: [FUNCTION[0], 'a function () => string'],
  });
  return { ...DEFAULTS.trace, generate: () => randomUUID(), ...given };
}

function resolveLog(log: boolean | LogFormat | LogOptions): ResolvedOptions['log'] {
  if (log === false) return null;
  if (log === true) return { format: 'text' };
  return typeof log === 'string' ? { format: log } : resolveLogOptions(log);
}

/** @throws {TypeError} */
export function resolveLogOptions(log: LogOptions): LogOptions & { format: LogFormat } {
  const given = members('log', log, {
    format: [STRING[0], "'text', 'json' or a morgan format string"],
    stream: [
      (value) => typeof (value as { write?: unknown } | null)?.write === 'function',
      'a stream, for example process.stdout',
    ],
    skip: [FUNCTION[0], 'a function (req, res) => boolean'],
  });
  return { ...given, format: given.format ?? 'text' };
}

function areRegExps(rules: object): boolean {
  try {
    return Object.keys(rules).every((pattern) => new RegExp(pattern));
  } catch {
    return false; // the one thing RegExp throws is that the pattern is none
  }
}

function isHeaders(value: unknown): boolean {
  if (!isObject(value)) return false;
  try {
    for (const name of Object.keys(value)) {
      validateHeaderName(name);
      // A getter is read for every attempt, and what it answers is checked there.
      if (Object.getOwnPropertyDescriptor(value, name)?.get !== undefined) continue;
      for (const item of [value[name]].flat()) {
        if (typeof item !== 'string') return false;
        validateHeaderValue(name, item);
      }
    }
    return true;
  } catch {
    return false; // the one thing these throw is that it is no header
  }
}
