import { randomUUID } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { inspect } from 'node:util';
import { keyOf } from './backends.js';
import { needsHttp } from './needs-http.js';
import { isObject, isText, KINDS, own, type Rules, rules } from './option-rules.js';
import {
  type BreakerOptions,
  DEFAULTS,
  type LogFormat,
  type LogOptions,
  type ResolvedOptions,
  type ResolvedTarget,
  type RetryOptions,
  type Target,
  type TinyProxyOptions,
  type TraceOptions,
  type WeightedTarget,
} from './options.js';

/** Checks every option once, at mount, and puts the defaults in place. */

const RULES = rules<TinyProxyOptions>({
  function: ['isFailure', 'director', 'modifyResponse'],
  group: ['retry', 'breaker', 'trace'],
  ms: ['connectTimeout', 'queueTimeout', 'attemptTimeout', 'requestTimeout', 'idleTimeout'],
  count: ['maxConnections'],
  boolean: [
    'xfwd',
    'ejectPlugins',
    'changeOrigin',
    'secure',
    'prependPath',
    'ignorePath',
    'autoRewrite',
    'preserveHeaderKeyCase',
    'http2',
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
const EVENTS = 'error proxyReq proxyReqWs proxyRes open close start end econnreset';
const ON: Rules = Object.fromEntries(EVENTS.split(' ').map((name) => [name, KINDS.function]));
const TARGET = rules<WeightedTarget>({
  count: ['weight'],
  socketPath: ['socketPath'],
  address: ['address'],
});

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
  const known = path === '' ? ['target', ...Object.keys(rules)] : Object.keys(rules);
  if (rules === TARGET) known.unshift('url');
  const written = option.slice(path.length).toLowerCase();
  const near = known.filter((name) => isNear(written, name.toLowerCase()));
  const names = (near.length > 0 ? near : known).map((name) => `"${path}${name}"`).join(', ');
  const shown = inspect(value, { depth: 0 });
  return new TypeError(`unknown option "${option}" (${shown}); try ${names}`);
}

/** Both begin alike, or they have the same letters but for two at most: misspelt. */
function isNear(written: string, name: string): boolean {
  const missing = [...written].reduce((rest, letter) => rest.replace(letter, ''), name).length;
  const added = written.length - (name.length - missing);
  return name.startsWith(written.slice(0, 4)) || added + missing <= 2;
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
    transport,
    ...given
  } = checked('', others, RULES);
  const { connectTimeout, queueTimeout, attemptTimeout, requestTimeout, idleTimeout } = DEFAULTS;
  checked('on.', given.on ?? {}, ON);
  checkTls(given.ssl);
  const targets = resolveTargets(target);
  if (targets.length === 0) throw wrong('target', target, A_TARGET);
  return {
    ...{ balance: 'round-robin', isFailure: (status) => status >= 500, xfwd: true, http2: false },
    ...{ connectTimeout, queueTimeout, attemptTimeout, requestTimeout, idleTimeout },
    ...{ errors: 'respond', ...given, targets },
    ...resolveTransport(options, targets),
    retry: retry === false ? null : resolveRetry(retry === true ? {} : retry),
    breaker: breaker && {
      ...DEFAULTS.breaker,
      ...checked('breaker.', breaker === true ? {} : breaker, BREAKER),
    },
    trace: trace && resolveTrace(trace === true ? {} : trace),
    log: log && resolveLog(typeof log === 'object' ? log : log === true ? {} : { format: log }),
  };
}

/** @throws {TypeError} that shows no key. */
function checkTls(ssl: TinyProxyOptions['ssl']): void {
  if (ssl === undefined || 'secureContext' in ssl) return;
  try {
    createSecureContext(ssl);
  } catch (thrown) {
    const why = (thrown as Error).message.replace(/ Received .*/s, ''); // a passphrase, say
    throw wrong('ssl', why, "what tls.connect() takes, such as { ca: readFileSync('ca.pem') }");
  }
}

/** @throws {TypeError} for a transport that cannot do what another option asks. */
function resolveTransport(options: TinyProxyOptions, targets: readonly ResolvedTarget[]) {
  const { transport = 'auto', http2 = false } = options;
  const reason = needsHttp(options);
  if (transport === 'undici' && reason !== null)
    throw wrong('transport', transport, `'auto' or 'http' beside ${reason}, which needs node:http`);
  if (http2 && (transport === 'http' || reason !== null))
    throw wrong('http2', http2, `false with node:http (${reason ?? "transport: 'http'"})`);
  if (http2 && targets.every(({ url }) => url.protocol === 'http:'))
    throw wrong('http2', http2, 'false without a target such as https://10.0.0.1:8443');
  const chosen = transport === 'http' || reason !== null ? 'http' : 'undici';
  return { transport: chosen, needsHttp: transport === 'http' ? null : reason } as const;
}

/** @throws {TypeError} for what is no list of targets. */
export function resolveTargets(target: TinyProxyOptions['target']): ResolvedTarget[] {
  const list = (Array.isArray(target) ? target : [target]) as Target[];
  const seen = new Set<string>();
  return list.map((item) => {
    const resolved = resolveTarget(item);
    const { key, label } = resolved;
    if (seen.has(key)) throw wrong('target', label, 'listed once; a weight gives it more');
    seen.add(key);
    return resolved;
  });
}

const A_TARGET =
  "a URL such as 'http://127.0.0.1:8081', { url, weight }, { url, address }, { socketPath }, or a list of these";
const LOCALHOST = 'http://localhost/';

function resolveTarget(item: Target): ResolvedTarget {
  const plain = typeof item === 'string' || item instanceof URL || !isObject(item);
  const { url: given, ...others } = (plain ? { url: item } : item) as WeightedTarget;
  const { weight = 1, socketPath, address } = checked('target.', others, TARGET);
  const unnamed = given === undefined && socketPath !== undefined;
  const text = unnamed ? LOCALHOST : given instanceof URL ? given.href : given;
  if (!isText(text) || !URL.canParse(text)) throw wrong('target', item, A_TARGET);
  const url = new URL(text);
  if (!/^https?:$/.test(url.protocol) || url.hostname.includes(',') || url.port === '0')
    throw wrong('target', text, A_TARGET);
  const shown = `${url.protocol}//...@${url.host}`;
  if (url.username || url.password) throw wrong('target', shown, 'without a password; use auth');
  if (url.hash !== '') throw wrong('target', text, 'a URL without a fragment');
  if (socketPath !== undefined && address !== undefined)
    throw wrong('target.address', address, 'left out beside a socketPath');
  const label = labelOf(text, url, socketPath, address);
  return { url, socketPath, address, label, key: keyOf(label), weight };
}

/** Where a backend is, and behind a `#` who: it need not be alone there. */
function labelOf(text: string, url: URL, socketPath?: string, address?: string): string {
  const bare = (href: string): string => href.replace(/^(\w+:\/\/[^/]+)\/$/, '$1');
  if (socketPath !== undefined)
    return url.href === LOCALHOST ? `unix:${socketPath}` : `unix:${socketPath}#${url.href}`;
  if (address === undefined) return bare(text);
  const [ip = '', zone = ''] = address.split(/(?=%)/);
  const at = new URL(url);
  at.hostname = ip.includes(':') ? `[${ip}]` : ip;
  const who = (at.hostname === url.hostname ? '' : url.hostname) + zone;
  return who === '' ? bare(at.href) : `${bare(at.href)}#${who}`;
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
