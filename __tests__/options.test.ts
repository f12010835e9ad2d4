// What tinyProxy() accepts, what it refuses at mount and in which words.
import { createSecureContext } from 'node:tls';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { accessLog, requestId, type TinyProxyOptions, tinyProxy } from '../src/index.js';
import { reply, startBackend } from './support/backend.js';
import { impostorCertificate } from './support/certificates.js';
import { get, quietProxy, startProxyWith } from './support/proxy.js';

const A = 'http://10.0.0.1:8081';
const B = 'http://10.0.0.2:8081';

/** Mounts what TypeScript would not let through. */
function mount(options: object): () => unknown {
  return () => tinyProxy({ target: A, log: false, ...options } as TinyProxyOptions);
}

function errorOf(wrong: () => unknown): Error {
  try {
    wrong();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

/** The option, its wrong value, what of a right one the message must show; how it shows the value. */
const WRONG: [path: string, value: unknown, right: string, shown?: string][] = [
  ['target', undefined, 'http://127.0.0.1:8081'],
  ['target', [], 'http://127.0.0.1:8081'],
  ['target', null, 'http://127.0.0.1:8081'],
  ['target', 8081, 'http://127.0.0.1:8081'],
  ['target', 'localhost:8081', 'http://127.0.0.1:8081'],
  ['target', '//10.0.0.1', 'http://127.0.0.1:8081'],
  ['target', 'ftp://10.0.0.1', 'http://127.0.0.1:8081'],
  ['target', 'http://10.0.0.1:0', 'http://127.0.0.1:8081'],
  ['target', 'ws://10.0.0.1', 'http://127.0.0.1:8081'],
  ['target', 'http://10.0.0.1,10.0.0.2', 'http://127.0.0.1:8081'],
  ['target', [A, 7], 'http://127.0.0.1:8081', '7'],
  ['target', [A, { weight: 2 }], 'http://127.0.0.1:8081', '{ weight: 2 }'],
  ['target', `${A}/#top`, 'without a fragment'],
  ['target.weight', 0, 'positive integer'],
  ['target.weight', 1.5, 'positive integer'],
  ['target.weight', '2', 'positive integer'],
  ['balance', 'fastest', "'round-robin'"],
  ['isFailure', 500, 'function'],
  ['retry', 3, 'true, false'],
  ['retry', null, 'true, false'],
  ['retry.methods', 'GET', "['GET', 'HEAD', 'PUT']"],
  ['retry.methods', ['GET', 'P T'], "['GET', 'HEAD', 'PUT']"],
  ['retry.replayable', true, 'function'],
  ['retry.unsent', 'yes', 'true or false'],
  ['retry.attempts', 0, 'positive integer'],
  ['retry.attempts', 2.5, 'positive integer'],
  ['retry.attempts', Number.POSITIVE_INFINITY, 'positive integer'],
  ['retry.backoff', 50, 'object'],
  ['retry.backoff.initialDelay', -1, 'milliseconds'],
  ['retry.backoff.maxDelay', '1s', 'milliseconds'],
  ['retry.budget', true, '{ ratio: 0.2, minPerSecond: 10 }'],
  ['retry.budget.ratio', Number.NaN, '0.2'],
  ['retry.budget.minPerSecond', -1, '>= 0'],
  ['retry.maxBodyBytes', -1, '262144'],
  ['retry.maxTotalBytes', '64mb', 'bytes'],
  ['breaker', 5, 'true, false'],
  ['breaker.failures', 0, 'positive integer'],
  ['breaker.cooldown', Number.NaN, 'milliseconds'],
  ['connectTimeout', '3s', '3000'],
  ['connectTimeout', -1, '3000'],
  ['attemptTimeout', Number.POSITIVE_INFINITY, 'milliseconds'],
  ['requestTimeout', null, 'milliseconds'],
  ['idleTimeout', Number.NaN, 'milliseconds'],
  ['trace', 'X-Request-ID', 'true, false'],
  ['trace.header', 'X Request', "'X-Request-ID'"],
  ['trace.header', '', "'X-Request-ID'"],
  ['trace.trust', 'loopback', 'true or false'],
  ['trace.generate', 'uuid', 'function'],
  ['log', '', "'json'"],
  ['log', 1, "'json'"],
  ['log', ['json'], "'json'"],
  ['log.format', 7, 'string'],
  ['log.stream', 'access.log', 'process.stdout'],
  ['log.skip', true, 'function'],
  ['errors', 'throw', "'respond' or 'next'"],
  ['transport', 'https', "'auto', 'http' or 'undici'"],
  ['http2', 'h2', 'true or false'],
  ['maxConnections', 0, 'positive integer'],
  ['queueTimeout', -1, 'milliseconds'],
  ['director', {}, 'function'],
  ['modifyResponse', true, 'function'],
  ['via', true, "'edge-1'"],
  ['via', 'edge 1', "'edge-1'"],
  ['ws', 'api', '/api'],
  ['ws', 1, 'true'],
  ['xfwd', 'yes', 'true or false'],
  ['pathFilter', [], "'/users'"],
  ['pathFilter', /users/, "'/users'"],
  ['pathRewrite', { '(': '' }, "'^/old': '/new'"],
  ['pathRewrite', '/new', "'^/old': '/new'"],
  ['on', { proxyReq: true }, 'proxyReq'],
  ['plugins', [true], 'functions'],
  ['ejectPlugins', 1, 'true or false'],
  ['logger', { info() {} }, 'console'],
  ['headers', { 'x tier': 'web' }, "'x-tier': 'web'"],
  ['headers', { 'x-tier': 'web€' }, "'x-tier': 'web'"],
  ['changeOrigin', 'true', 'true or false'],
  ['auth', 'user', 'user:password'],
  ['secure', 0, 'true or false'],
  ['ssl', 'ca.pem', 'object'],
  ['agent', true, 'http.Agent'],
  ['localAddress', 7, '10.0.0.7'],
  ['localAddress', 'eth0', '10.0.0.7'],
  ['prependPath', 'no', 'true or false'],
  ['ignorePath', 'no', 'true or false'],
  ['preserveHeaderKeyCase', 'no', 'true or false'],
  ['autoRewrite', 'no', 'true or false'],
  ['hostRewrite', true, 'string'],
  ['protocolRewrite', 'ftp', "'http' or 'https'"],
  ['cookieDomainRewrite', 7, 'new.example'],
  ['cookiePathRewrite', { '/a': 7 }, 'string'],
];

/** `nested('retry.budget', 1)` is `{ retry: { budget: 1 } }`. */
function nested(path: string, value: unknown): object {
  if (path === 'target.weight') return { target: [{ url: A, weight: value }] };
  return path
    .split('.')
    .reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object;
}

describe('TLS options that cannot be used', () => {
  it('are refused at mount, without a word of the key', () => {
    const error = errorOf(mount({ ssl: { cert: 'no certificate', key: 'secret' } }));

    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(`option "ssl" must be what tls.connect() takes`);
    expect(error.message).toContain('no start line');
    expect(error.message).not.toContain('secret');
  });

  it.each([
    { passphrase: 12_345 },
    { key: [{ pem: impostorCertificate.key, passphrase: 12_345 }] },
    { ticketKeys: 'a secret 12345' },
  ])('are named without their value: %#', (options) => {
    const error = errorOf(mount({ ssl: { ...impostorCertificate, ...options } }));

    expect(error.message).toContain('option "ssl"');
    expect(error.message).not.toMatch(/12[_,]?345/);
  });

  it('are left alone beside a secureContext, which stands for all of them', () => {
    const secureContext = createSecureContext(impostorCertificate);
    expect(mount({ ssl: { secureContext, key: 'not looked at' } })).not.toThrow();
  });
});

describe('a wrong value', () => {
  it.each(WRONG)('of %s, %p, is refused at mount by name, value and a right one', (...row) => {
    const [path, value, right, shown = inspect(value)] = row;

    const error = errorOf(mount(nested(path, value)));

    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(`"${path}"`);
    expect(error.message).toContain(right);
    expect(error.message).toContain(`got ${shown}`);
  });

  it.each([
    ['nothing', undefined],
    ['a string', A],
    ['null', null],
    ['a list', [A]],
  ])('in place of all options, %s, is refused with an example', (_what, options) => {
    const error = errorOf(() => tinyProxy(options as unknown as TinyProxyOptions));

    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain("{ target: 'http://127.0.0.1:8081' }");
    expect(error.message).toContain(inspect(options));
  });

  it('is refused in requestId() and accessLog() as well', () => {
    const wrongTrace = errorOf(() => requestId({ header: 'X Request' }));
    const wrongLog = errorOf(() => accessLog('json', { stream: 'out' } as never));

    expect(wrongTrace).toBeInstanceOf(TypeError);
    expect(wrongTrace.message).toContain('"trace.header"');
    expect(errorOf(() => requestId('X-Id' as never)).message).toContain("got 'X-Id'");
    expect(wrongLog).toBeInstanceOf(TypeError);
    expect(wrongLog.message).toContain('"log.stream"');
  });
});

describe('an unknown name', () => {
  it.each([
    ['retries', { retries: 3 }, '"retry"'],
    ['targets', { targets: [A] }, '"target"'],
    ['timeouts', { timeouts: 3 }, 'requestTimeout'],
    ['Breaker', { Breaker: {} }, '"breaker"'],
    ['retry.attempt', { retry: { attempt: 3 } }, '"retry.attempts"'],
    ['retry.backoff.initial', { retry: { backoff: { initial: 3 } } }, 'retry.backoff.initialDelay'],
    ['retry.budget.min', { retry: { budget: { min: 3 } } }, 'retry.budget.minPerSecond'],
    ['breaker.threshold', { breaker: { threshold: 3 } }, 'breaker.failures'],
    ['trace.headers', { trace: { headers: 'X-Id' } }, '"trace.header"'],
    ['log.formats', { log: { formats: 'json' } }, '"log.format"'],
    ['on.proxyreq', { on: { proxyreq() {} } }, '"on.proxyReq"'],
    ['target.wait', { target: { url: A, wait: 2 } }, 'target.weight'],
    ['toString', { toString: 1 }, 'changeOrigin'],
  ])('such as %s is refused, and a known one is named', (name, options, known) => {
    const error = errorOf(mount(options));

    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(`unknown option "${name}"`);
    expect(error.message).toContain(known);
  });

  it.each([
    ['atemptTimeout', '"attemptTimeout"'], // a letter is missing
    ['conectTimeout', '"connectTimeout"'],
    ['iddleTimeout', '"idleTimeout"'], // one too many
    ['idelTimeout', '"idleTimeout"'], // two in the wrong order
    ['tagret', '"target"'],
    ['brekaer', '"breaker"'],
    ['blance', '"balance"'],
    ['xwfd', '"xfwd"'],
    ['changeHost', '"changeOrigin"'], // it begins alike,
  ])('%s gets no other suggestion than %s', (name, known) => {
    const { message } = errorOf(mount({ [name]: 1 }));

    expect(message).toBe(`unknown option "${name}" (1); try ${known}`);
  });
});

describe('an option of http-proxy-middleware that cannot work here', () => {
  it.each([
    ['router', { '/a': A }, 'balance'],
    ['selfHandleResponse', true, 'modifyResponse'],
    ['selfHandleResponse', true, 'plain http-proxy-middleware'],
    ['buffer', {}, 'retry.maxBodyBytes'],
    ['timeout', 1000, 'idleTimeout'],
    ['proxyTimeout', 1000, 'attemptTimeout'],
    ['upgradeTimeout', 1000, 'attemptTimeout'],
    ['followRedirects', true, 'autoRewrite'],
    ['forward', A, 'target'],
    ['toProxy', true, 'agent'],
  ])('(%s: %p) is refused with what to use instead: %s', (name, value, instead) => {
    const error = errorOf(mount({ [name]: value }));

    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(`"${name}"`);
    expect(error.message).toContain(instead);
  });
});

describe('target', () => {
  it.each([
    ['a string', [A, A]],
    ['a string with and without its slash', [A, `${A}/`]],
    ['a URL', [A, new URL(A)]],
    ['a weighted one', [A, { url: A, weight: 2 }]],
    ['another spelling of the host', ['http://h.example', 'http://H.example:80/']],
  ])('may not be listed twice, not as %s', (_as, target) => {
    const error = errorOf(mount({ target }));

    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain('listed once');
    expect(error.message).toContain('weight');
  });

  it.each(['http://user:s3cret@10.0.0.1', 'http://s3cret@10.0.0.1'])(
    'may not hold credentials (%s), and the error does not show them',
    (target) => {
      const error = errorOf(mount({ target }));

      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain('auth');
      expect(error.message).not.toContain('s3cret');
    },
  );

  it('is a string, a URL, a weighted one, or a list of all of these', () => {
    const target = [
      A,
      new URL(B),
      { url: 'https://10.0.0.3/base' },
      { url: new URL(`${B}/x`), weight: 3 },
    ];

    const { backends } = quietProxy({ target }).status();

    expect(backends.map(({ url, weight }) => [url, weight])).toEqual([
      [A, 1],
      [B, 1],
      ['https://10.0.0.3/base', 1],
      [`${B}/x`, 3],
    ]);
  });
});

describe('a value that says no more than the default', () => {
  it('is explicit undefined, for every option, nested ones too', () => {
    const names = WRONG.map(([path]) => path).filter((path) => !path.startsWith('target'));

    for (const path of names) expect(mount(nested(path, undefined))).not.toThrow();
  });

  it('is true for retry, breaker and trace', async () => {
    const backend = await startBackend(reply(500));
    const proxy = { target: backend.url, retry: true, breaker: true, trace: true };
    const { url, proxy: running } = await startProxyWith(proxy);

    const response = await get(url);

    expect(backend.received).toHaveLength(3);
    expect(response.headers).toHaveProperty('x-request-id');
    await get(url);
    expect(running.status().backends[0]?.breaker).toBe('open');
  });

  it('is true for log', () => {
    expect(mount({ log: true })).not.toThrow();
  });
});
