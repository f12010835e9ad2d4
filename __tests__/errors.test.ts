// The errors that the proxy makes: what the client gets, and what Express gets with errors: 'next'.
import { describe, expect, it } from '@jest/globals';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { ProxyError, type TinyProxyOptions } from '../src/index.js';
import { hang, reply, resetConnection, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { blackHole, refusedUrl, sendRaw, startRawBackend, valuesOf } from './support/raw.js';

const HOST = 'HTTP/1.1\r\nHost: x\r\nX-Request-ID: night-1\r\n';
const GET = `GET /secret-path ${HOST}`;
const broken = () => {
  throw new Error('secret-message');
};
const consume: RequestHandler = (req, _res, next) => void req.on('end', next).resume();

interface Failing {
  options?: Partial<TinyProxyOptions>;
  target?: () => Promise<{ url: string }>;
  /** The head without its last line, and what follows it. */
  head?: string;
  body?: string;
  before?: RequestHandler;
}

const well = (): Promise<{ url: string }> => startBackend(reply(200));
const raw = (bytes: string) => () => startRawBackend(bytes);
const refused = async () => ({ url: await refusedUrl() });

const ERRORS: [what: string, status: number, code: string, title: string, failing: Failing][] = [
  ['a refused connection', 502, 'BAD_GATEWAY', 'Bad Gateway', { target: refused }],
  ['a reset', 502, 'BAD_GATEWAY', 'Bad Gateway', { target: () => startBackend(resetConnection()) }],
  [
    'an invalid response',
    502,
    'BAD_GATEWAY',
    'Bad Gateway',
    { target: raw('HTTP/9 what\r\n\r\n') },
  ],
  [
    'a status that is none',
    502,
    'BAD_GATEWAY',
    'Bad Gateway',
    { target: raw('HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n') },
  ],
  [
    'a name that is not known',
    502,
    'BAD_GATEWAY',
    'Bad Gateway',
    { target: async () => ({ url: 'http://nothing.invalid:65432' }) },
  ],
  [
    'an attempt timeout',
    504,
    'GATEWAY_TIMEOUT',
    'Gateway Timeout',
    { target: () => startBackend(hang()), options: { attemptTimeout: 20 } },
  ],
  [
    'a request timeout',
    504,
    'GATEWAY_TIMEOUT',
    'Gateway Timeout',
    { target: () => startBackend(hang()), options: { requestTimeout: 20 } },
  ],
  [
    'a connect timeout',
    504,
    'GATEWAY_TIMEOUT',
    'Gateway Timeout',
    { target: blackHole, options: { connectTimeout: 20, retry: false } },
  ],
  ['two Host lines', 400, 'BAD_REQUEST', 'Bad Request', { head: `${GET}Host: y\r\n` }],
  [
    'dot segments',
    400,
    'BAD_REQUEST',
    'Bad Request',
    { head: `GET /secret-path/%2e%2e/%2e%2e/x ${HOST}` },
  ],
  ['TRACE', 405, 'BAD_REQUEST', 'Method Not Allowed', { head: `TRACE /secret-path ${HOST}` }],
  [
    'a thousand fields',
    431,
    'BAD_REQUEST',
    'Request Header Fields Too Large',
    { head: GET + 'a: b\r\n'.repeat(1000) },
  ],
  [
    'a client that stops sending',
    408,
    'CLIENT_TIMEOUT',
    'Request Timeout',
    {
      head: `POST /secret-path ${HOST}Content-Length: 9\r\n`,
      body: 'half',
      options: { idleTimeout: 20 },
    },
  ],
  [
    'a loop',
    508,
    'LOOP',
    'Loop Detected',
    { head: `${GET}Via: 1.1 edge-1\r\n`, options: { via: 'edge-1' } },
  ],
  [
    'a body that was read already',
    500,
    'BODY_CONSUMED',
    'Internal Server Error',
    {
      head: `POST /secret-path ${HOST}Content-Type: secret/type\r\nContent-Length: 4\r\n`,
      body: 'read',
      before: consume,
    },
  ],
  [
    'a balance function that throws',
    500,
    'BALANCE_FAILED',
    'Internal Server Error',
    { options: { balance: broken } },
  ],
  [
    'a balance function that answers a stranger',
    500,
    'BALANCE_FAILED',
    'Internal Server Error',
    { options: { balance: () => ({ url: 'http://h', weight: 1, inFlight: 0 }) } },
  ],
  [
    'a hook that throws',
    500,
    'HOOK_FAILED',
    'Internal Server Error',
    { options: { director: broken } },
  ],
];

/** Sends the request that fails; every app has set some headers before the proxy. */
async function fail({ options, target = well, head = GET, body = '', before }: Failing) {
  const caught: ProxyError[] = [];
  const { url } = await target();
  const proxy = quietProxy({ target: url, ...options });
  const { port, server } = await startProxy((app) => {
    app.disable('x-powered-by');
    app.use((_req, res, next) => {
      res.setHeader('X-Frame-Options', 'DENY');
      res.setHeader('Set-Cookie', ['a=1', 'b=2']);
      res.setHeader('Cache-Control', 'public');
      next();
    });
    if (before !== undefined) app.use(before);
    app.use(proxy);
    app.use((error: ProxyError, _req: Request, res: Response, _next: NextFunction) => {
      caught.push(error);
      res.set(error.headers).status(error.status).send('by the app');
    });
  });
  server.maxHeadersCount = 3000; // newer Nodes would refuse 1000 fields themselves
  const response = await sendRaw(port, `${head}\r\n${body}`);
  const text = response.body.toString();
  const header = (name: string): string | undefined => valuesOf(response, name).join();
  return { response, text, header, error: caught[0], host: new URL(url).host, proxy };
}

describe('an error is application/problem+json', () => {
  it.each(ERRORS)('for %s: %i %s', async (_what, status, code, title, failing) => {
    const { response, text, header } = await fail(failing);

    expect(response.status).toBe(status);
    expect(response.reason).toBe(title);
    expect(text).toBe(
      JSON.stringify({ type: 'about:blank', title, status, code, requestId: 'night-1' }),
    );
    expect(header('content-type')).toBe('application/problem+json');
    expect(header('content-length')).toBe(String(text.length));
    expect(header('cache-control')).toBe('no-store');
    expect(header('x-request-id')).toBe('night-1');
  });

  it.each(ERRORS)('with nothing internal in it, for %s', async (...row) => {
    const { response, host, text } = await fail(row[4]);

    expect(response.rawText).not.toMatch(/secret|E[A-Z]{6,}|\bat |node_modules|\.[jt]s\b/);
    expect(response.rawText).not.toContain(host.split(':').at(-1));
    expect(text).not.toContain('127.0.0.1');
  });

  it('that keeps the headers of the app, and those of no backend', async () => {
    const target = () => startBackend(reply(200, 'x', { ETag: '"1"', 'Content-Language': 'de' }));
    const modifyResponse = () => {
      throw new ProxyError('TEAPOT', { status: 418 });
    };

    const { header, text, response } = await fail({ target, options: { modifyResponse } });

    expect(JSON.parse(text)).toMatchObject({ status: 418, code: 'TEAPOT', title: "I'm a Teapot" });
    expect(header('x-frame-options')).toBe('DENY');
    expect(valuesOf(response, 'set-cookie')).toEqual(['a=1', 'b=2']);
    expect(header('etag')).toBe('');
    expect(header('content-language')).toBe('');
  });

  it('without its body for a HEAD', async () => {
    const { response, header } = await fail({
      target: refused,
      head: `HEAD / ${HOST}`,
    });

    expect(response.status).toBe(502);
    expect(Number(header('content-length'))).toBeGreaterThan(0);
    expect(response.rawText).toMatch(/\r\n\r\n$/);
  });

  it('whose 405 names the methods that are allowed', async () => {
    const { header } = await fail({ head: `TRACE / ${HOST}` });

    expect(header('allow')?.split(', ')).toEqual(expect.arrayContaining(['GET', 'HEAD', 'POST']));
    expect(header('allow')).not.toContain('TRACE');
  });

  it.each(ERRORS.filter(([, status]) => status !== 405))(
    'and has no Retry-After and no Allow for %s',
    async (...row) => {
      const { header } = await fail(row[4]);

      expect([header('retry-after'), header('allow')]).toEqual(['', '']);
    },
  );
});

describe("errors: 'next'", () => {
  it.each(ERRORS)('hands Express a ProxyError for %s: %i %s', async (...row) => {
    const [, status, code, , failing] = row;

    const { error, response, text } = await fail({
      ...failing,
      options: { ...failing.options, errors: 'next' },
    });

    expect(error).toBeInstanceOf(ProxyError);
    expect(error).toMatchObject({ name: 'ProxyError', code, status, requestId: 'night-1' });
    expect(Object.keys(error!.headers)).toEqual(status === 405 ? ['allow'] : []);
    expect([response.status, text]).toEqual([status, 'by the app']);
    expect(valuesOf(response, 'x-request-id')).toEqual(['night-1']);
  });
});

it("answers a hook's own code whole, of whatever letters, in a body that says how long it is", async () => {
  const code = 'GÜNSTIG_価格_\u{1F4B8}';
  const { url } = await startProxyWith({
    target: 'http://127.0.0.1:1',
    director() {
      throw new ProxyError(code, { status: 402 });
    },
  });

  const answers = await Promise.all([get(url), get(url)]);

  for (const { status, text, headers } of answers) {
    expect([status, JSON.parse(text).code]).toEqual([402, code]);
    expect(Number(headers['content-length'])).toBe(Buffer.byteLength(text));
  }
});
