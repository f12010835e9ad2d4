import { describe, expect, it } from '@jest/globals';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { ProxyError, type TinyProxyOptions } from '../src/index.js';
import { reply, startBackend, startBackends } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { refusedUrl, sendRaw, startRawBackend } from './support/raw.js';
import { until } from './support/wait.js';

type Options = Omit<TinyProxyOptions, 'target'>;

const bug = new RangeError('the hook’s own bug');

function throwBug(): never {
  throw bug;
}

/** Every hook, and how often the backend may be reached before it runs. */
const HOOKS: [name: string, options: Options, mostStarted: number][] = [
  ['pathFilter', { pathFilter: throwBug }, 0],
  ['pathRewrite', { pathRewrite: throwBug }, 0],
  ['pathRewrite', { pathRewrite: async () => throwBug() }, 0],
  ['retry.replayable', { retry: { replayable: throwBug } }, 0],
  ['trace.generate', { trace: { generate: throwBug } }, 0],
  ['director', { director: throwBug }, 0],
  ['on.start', { on: { start: throwBug } }, 0],
  ['on.proxyReq', { on: { proxyReq: throwBug } }, 0],
  ['on.proxyReq', { plugins: [(server) => server.on('proxyReq', throwBug)] }, 0],
  ['isFailure', { isFailure: throwBug }, 1],
  ['on.proxyRes', { on: { proxyRes: throwBug } }, 1],
  ['modifyResponse', { modifyResponse: throwBug }, 1],
];

describe('a hook that throws', () => {
  it.each(HOOKS)('is a 500, named in the log, not retried, not counted: %s', async (...row) => {
    const [name, options, mostStarted] = row;
    const backend = await startBackend(reply(200, 'secret', { 'X-Secret': '1' }));
    const { url, proxy, log } = await startProxyWith(
      { target: backend.url, ...options },
      { captureLog: true },
    );

    const response = await get(url);

    expect(response.status).toBe(500);
    expect(JSON.parse(response.text)).toMatchObject({ status: 500, code: 'HOOK_FAILED' });
    expect(response.text).not.toMatch(/secret|own bug/);
    expect(response.headers).not.toHaveProperty('x-secret');
    expect(backend.started).toBeLessThanOrEqual(mostStarted);
    await until(() => proxy.status().inFlight === 0);
    expect(proxy.status()).toMatchObject({
      retries: 0,
      backends: [{ failures: 0, consecutiveFailures: 0, inFlight: 0 }],
    });
    const notice = log.find((line) => line.includes('HOOK_FAILED')) ?? '';
    expect(notice).toContain(name);
    expect(notice).toContain('RangeError: the hook');
  });

  it.each(HOOKS)('leaves the cause in the ProxyError that the app gets: %s', async (...row) => {
    const [, options] = row;
    const backend = await startBackend(reply(200));
    const errors: unknown[] = [];
    const { url } = await startProxy((app) => {
      app.use(quietProxy({ target: backend.url, errors: 'next', ...options }));
      app.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => {
        errors.push(error);
        res.status(500).send('the app’s');
      });
    });

    expect((await get(url)).text).toBe('the app’s');

    expect(errors).toHaveLength(1);
    expect(errors[0]).toBeInstanceOf(ProxyError);
    expect(errors[0]).toMatchObject({ code: 'HOOK_FAILED', status: 500 });
    expect((errors[0] as ProxyError).cause).toBe(bug);
  });

  it.each([['a string'], [null], [undefined], [{ odd: true }]])(
    'may throw anything: %s',
    async (thrown) => {
      const rejected: Options[] = [
        {
          director() {
            throw thrown;
          },
        },
        { pathRewrite: () => Promise.reject(thrown) as Promise<string> },
      ];
      for (const options of rejected) {
        const backend = await startBackend(reply(200));
        const { url } = await startProxyWith({ target: backend.url, ...options });

        expect((await get(url)).status).toBe(500);
        expect(backend.started).toBe(0);
      }
    },
  );

  it('with a ProxyError of the user’s has decided what the client gets', async () => {
    const backend = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      director() {
        throw new ProxyError('NOT_NOW', { status: 425 });
      },
    });

    const response = await get(url);

    expect(response.status).toBe(425);
    expect(JSON.parse(response.text)).toMatchObject({ status: 425, code: 'NOT_NOW' });
    expect(proxy.status().backends[0]?.failures).toBe(0);
  });
});

describe('a ProxyError that is frozen', () => {
  const DENIED = new ProxyError('DENIED', { status: 403, cause: 'night' });
  DENIED.headers.allow = 'GET';
  Object.freeze(DENIED);
  const deny = (): never => {
    throw DENIED;
  };

  it.each<[string, Options]>([
    ['director', { director: deny }],
    ['modifyResponse', { modifyResponse: deny, retry: false }],
  ])('decides what the client gets: thrown by %s', async (_hook, options) => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: backend.url, ...options });

    const { status, headers, text } = await get(url);

    expect([status, headers.allow, JSON.parse(text).code]).toEqual([403, 'GET', 'DENIED']);
  });

  it('is handed to the app as it is', async () => {
    let caught: ProxyError | null = null;
    const proxy = quietProxy({ target: await refusedUrl(), director: deny, errors: 'next' });
    const { url } = await startProxy((app) => {
      app.use(proxy, (error: ProxyError, _req: Request, res: Response, _next: NextFunction) => {
        caught = error;
        res.sendStatus(error.status);
      });
    });

    expect((await get(url)).status).toBe(403);
    expect(caught).toBe(DENIED);
  });
});

describe('a hook that leaves what cannot be sent', () => {
  it.each<[string, Options]>([
    [
      'a header name in director',
      { director: ({ headers }) => Object.assign(headers, { 'a b': '1' }) },
    ],
    [
      'two of Host in director',
      { director: ({ headers }) => Object.assign(headers, { host: ['a', 'b'] }) },
    ],
    ['a value in director', { director: ({ headers }) => Object.assign(headers, { a: 'x\r\ny' }) }],
    [
      'a status in modifyResponse',
      {
        modifyResponse(response) {
          response.status = 1000;
        },
      },
    ],
    [
      'a value in modifyResponse',
      { modifyResponse: ({ headers }) => Object.assign(headers, { a: 'x\0' }) },
    ],
    [
      'a name in modifyResponse',
      { modifyResponse: ({ headers }) => Object.assign(headers, { ä: '1' }) },
    ],
    [
      'a value in on.proxyReq',
      { on: { proxyReq: (proxyReq) => void proxyReq.setHeader('a', 'x\r\ny') } },
    ],
    [
      'a value in on.proxyRes',
      { on: { proxyRes: ({ headers }) => void Object.assign(headers, { a: 'x\r\ny' }) } },
    ],
    [
      'a name in on.proxyRes',
      { on: { proxyRes: ({ headers }) => void Object.assign(headers, { 'a b': '1' }) } },
    ],
    [
      'a status in on.proxyRes',
      {
        on: {
          proxyRes(proxyRes) {
            proxyRes.statusCode = 77;
          },
        },
      },
    ],
    ['an id', { trace: { generate: () => 'no id\n' } }],
  ])('is a 500, too: %s', async (_name, options) => {
    const backend = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target: backend.url, ...options });

    const response = await get(url);

    expect(response.status).toBe(500);
    expect(JSON.parse(response.text)).toMatchObject({ code: 'HOOK_FAILED' });
    await until(() => proxy.status().inFlight === 0);
    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
  });
});

describe('a ProxyError of a hook’s whose headers cannot be sent', () => {
  const thrown = (headers: object): Options => ({
    director() {
      throw Object.assign(new ProxyError('NOT_NOW', { status: 425 }), {
        headers: { allow: 'GET', ...headers },
      });
    },
  });
  const rows: [what: string, options: Options][] = [
    ['a value', thrown({ 'x-why': 'line\r\nbreak' })],
    ['a name', thrown({ 'x y': '1' })],
    ['no value', thrown({ 'x-why': undefined })],
  ];

  it.each(rows)('is a 500, named in the log: %s', async (_what, options) => {
    const backend = await startBackend(reply(200));
    const { url, log } = await startProxyWith(
      { target: backend.url, ...options },
      { captureLog: true },
    );

    const { status, text, headers } = await get(url);
    expect([status, JSON.parse(text).code]).toEqual([500, 'HOOK_FAILED']);
    expect(headers).not.toHaveProperty('allow');
    expect(log.find((line) => line.includes('HOOK_FAILED'))).toContain('ProxyError');
  });

  it.each(rows)('is one that the app can answer: %s', async (_what, options) => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxy((app) => {
      app.use(quietProxy({ target: backend.url, errors: 'next', ...options }));
      app.use((error: ProxyError, _req: Request, res: Response, _next: NextFunction) => {
        res.set(error.headers).status(error.status).send(error.code);
      });
    });

    expect(await get(url)).toMatchObject({ status: 500, text: 'HOOK_FAILED' });
  });
});

describe('a hook that fails when all is decided', () => {
  it('is still a 500: on.error', async () => {
    const target = await refusedUrl();
    const { url, proxy, log } = await startProxyWith(
      { target, retry: false, on: { error: throwBug } },
      { captureLog: true },
    );

    const response = await get(url);

    expect(response.status).toBe(500);
    expect(JSON.parse(response.text)).toMatchObject({ code: 'HOOK_FAILED' });
    expect(proxy.status().inFlight).toBe(0);
    expect(log.join()).toContain('the hook');
  });

  /** As on-headers has it: what is given is set, then its listener is asked. */
  const askedAtHead =
    (listener: (status: number) => void): RequestHandler =>
    (_req, res, next) => {
      res.set({ 'X-App': 'mine', Vary: 'Origin', 'Set-Cookie': 'app=1' });
      const { writeHead } = res;
      res.writeHead = ((status: number, ...rest: unknown[]) => {
        for (const [name, value] of Object.entries(rest.at(-1) as object)) res.set(name, value);
        listener(status);
        return writeHead.call(res, status);
      }) as typeof writeHead;
      next();
    };
  const OF_BACKEND = { 'X-Internal': '10.0.0.3', Vary: 'Accept', 'Set-Cookie': 'b=2' };

  it("of the response head leaves the app's fields on the error, and none of the backend's", async () => {
    const backend = await startBackend(reply(200, 'whole', { ...OF_BACKEND, Location: '/a' }));
    const proxy = quietProxy({ target: backend.url });
    const fail = (status: number): void => {
      if (status === 200) throw new Error('a bug');
    };
    const { url } = await startProxy((app) => app.use(askedAtHead(fail), proxy));

    const { status, headers, text } = await get(url);

    expect([status, JSON.parse(text).code]).toEqual([500, 'HOOK_FAILED']);
    expect(headers).toMatchObject({ 'x-app': 'mine', vary: 'Origin', 'set-cookie': ['app=1'] });
    expect(headers.date).toBeDefined();
    for (const name of ['location', 'x-internal']) expect(headers).not.toHaveProperty(name);
  });

  it("of the response head leaves the app's fields to the attempt that follows a ProxyError", async () => {
    const [one, two] = await startBackends(
      reply(200, 'one', OF_BACKEND),
      reply(201, 'two', OF_BACKEND),
    );
    const proxy = quietProxy({ target: [one.url, two.url] });
    const refuse = (status: number): void => {
      if (status === 200) throw new ProxyError('NOT_THIS');
    };
    const { url } = await startProxy((app) => app.use(askedAtHead(refuse), proxy));

    const { status, headers } = await get(url);

    expect(status).toBe(201);
    expect(headers).toMatchObject({ vary: 'Origin, Accept', 'set-cookie': ['app=1', 'b=2'] });
  });

  it('does not break the response: on.end', async () => {
    const backend = await startBackend(reply(200, 'whole'));
    const { url, proxy, log } = await startProxyWith(
      { target: backend.url, on: { end: throwBug } },
      { captureLog: true },
    );

    for (let i = 0; i < 2; i += 1) {
      expect(await get(url)).toMatchObject({ status: 200, text: 'whole', aborted: false });
    }

    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
    expect(log.join()).toContain('the hook');
  });
});

describe('an on.error that answers, as plain http-proxy-middleware has it do', () => {
  it('does not make a broken body a whole one', async () => {
    const backend = await startRawBackend([
      { write: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n' },
      { end: true },
    ]);
    const { port } = await startProxyWith({
      target: backend.url,
      on: {
        error: (_error, _req, res) => {
          res.end('Bad gateway');
        },
      },
    });

    const answer = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', { until: 'close' });
    expect(answer.complete).toBe(false);
    expect(answer.rawText).not.toContain('Bad gateway');
  });
});
