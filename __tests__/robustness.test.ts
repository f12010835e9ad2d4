import { createServer, get as httpGet } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import express, { type NextFunction, type Request, type Response } from 'express';
import { ProxyError, type TinyProxyOptions } from '../src/index.js';
import { bigBody, echo, reply, startBackend } from './support/backend.js';
import { digest } from './support/bodies.js';
import { closeAfterTest } from './support/cleanup.js';
import { get, open, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { refusedUrl, sendRaw, startRawBackend } from './support/raw.js';
import { delivery, gate, once, until, within } from './support/wait.js';

type Middleware = (req: Request, res: Response, next: NextFunction) => void;

const rejects = async (): Promise<never> => {
  throw new Error('an async hook');
};

describe('a client that has left in a middleware before the proxy', () => {
  it.each<[string, TinyProxyOptions['pathRewrite']]>([
    ['', undefined],
    [', where a hook fails', () => rejects()],
  ])('is over for the proxy at once%s', async (_name, pathRewrite) => {
    const backend = await startBackend(reply(200));
    const held = gate();
    let arrived: Response | undefined;
    const proxy = quietProxy({ target: backend.url, ...(pathRewrite && { pathRewrite }) });
    const { port } = await startProxy((app) =>
      app.use((_req, res, next) => {
        arrived = res;
        void held.opened.then(() => next());
      }, proxy),
    );
    const client = connect(port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => arrived, 'the request');
    client.destroy();
    await once(arrived!, 'close');
    held.open();

    await until(() => proxy.status().requests === 1, 'the proxy to have had it');
    expect(proxy.status().inFlight).toBe(0);
    await within(proxy.close(0), 'close()');
    expect(backend.started).toBe(0);
  });
});

describe('an Expect that a hook sets', () => {
  it.each<[string, Partial<TinyProxyOptions>]>([
    ['director', { director: ({ headers }) => Object.assign(headers, { expect: '100-continue' }) }],
    ['headers', { headers: { expect: '100-continue' } }],
  ])('is ignored: %s', async (_name, options) => {
    const backend = await startBackend(echo());
    const { url } = await startProxyWith({ target: backend.url, ...options });

    expect((await get(url)).status).toBe(200);
    expect((await get(url, { method: 'POST', body: 'x' })).status).toBe(200);
    expect(backend.received[0]?.headers).not.toHaveProperty('expect');
  });
});

describe('a server that throws at a body where none may be', () => {
  it.each([200, 204, 304, 502])('is given none: HEAD, %i', async (status) => {
    const backend = await startBackend(reply(status === 502 ? 200 : status));
    const target = status === 502 ? await refusedUrl() : backend.url;
    const app = express().use(quietProxy({ target }));
    const server = createServer({ rejectNonStandardBodyWrites: true }, app);
    closeAfterTest(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

    const { port } = server.address() as AddressInfo;
    const answer = await get(`http://127.0.0.1:${port}/`, { method: 'HEAD' });
    expect([answer.status, answer.text]).toEqual([status, '']);
  });
});

describe('a head that a middleware spoils', () => {
  const trailer: Middleware = (_req, res, next) => {
    res.setHeader('Trailer', 'Server-Timing');
    next();
  };
  const listener: Middleware = (_req, res, next) => {
    const writeHead = res.writeHead.bind(res) as (...args: unknown[]) => Response;
    let first = true;
    res.writeHead = ((...args: unknown[]) => {
      if (first) {
        first = false;
        throw new Error('a listener of the head');
      }
      return writeHead(...args);
    }) as Response['writeHead'];
    next();
  };
  const always: Middleware = (_req, res, next) => {
    res.writeHead = () => {
      throw new Error('a listener of the head');
    };
    next();
  };

  it('goes on without the Trailer of a body that the app has not made', async () => {
    const backend = await startBackend(reply(200, 'ok'));
    const { url } = await startProxy((app) =>
      app.use(trailer, quietProxy({ target: backend.url })),
    );

    expect((await get(url)).text).toBe('ok');
  });

  it('is answered 500 when its listener throws', async () => {
    const backend = await startBackend(reply(200, 'ok'));
    const proxy = quietProxy({ target: backend.url });
    const { url } = await startProxy((app) => app.use(listener, proxy));

    const answer = await get(url);
    expect([answer.status, JSON.parse(answer.text).code]).toEqual([500, 'HOOK_FAILED']);
    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
  });

  it('is cut when its listener throws at the error, too', async () => {
    const backend = await startBackend(reply(200, 'ok'));
    const proxy = quietProxy({ target: backend.url });
    const { url } = await startProxy((app) => app.use(always, proxy));

    const request = httpGet(url);
    await expect(once(request, 'response')).rejects.toThrow('socket hang up');
    await until(() => proxy.status().inFlight === 0, 'the end of the request');
  });
});

describe('a hook that is async', () => {
  it.each<[string, Partial<TinyProxyOptions>]>([
    ['director', { director: rejects }],
    ['modifyResponse', { modifyResponse: rejects }],
    ['isFailure', { isFailure: rejects as never }],
    ['trace.generate', { trace: { generate: rejects as never } }],
    ['retry.replayable', { retry: { replayable: rejects as never } }],
    ['pathFilter', { pathFilter: rejects as never }],
    ['balance', { balance: rejects as never }],
  ])('is a bug of the user: %s', async (name, options) => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: backend.url, ...options });

    const answer = await get(url);
    expect(answer.status).toBe(500);
    const code = name === 'balance' ? 'BALANCE_FAILED' : 'HOOK_FAILED';
    expect(JSON.parse(answer.text).code).toBe(code);
  });

  it('does not make a POST replayable by being truthy', async () => {
    const backend = await startBackend(reply(500));
    const { url } = await startProxyWith({
      target: backend.url,
      retry: { replayable: (async () => false) as never },
    });

    await get(url, { method: 'POST', body: 'x' });
    expect(backend.started).toBe(0);
  });

  it('is named in the log when it is one of on, which may be async', async () => {
    const backend = await startBackend(reply(200, 'ok'));
    const { url, log } = await startProxyWith(
      { target: backend.url, on: { proxyRes: rejects } },
      { captureLog: true },
    );

    expect((await get(url)).text).toBe('ok');
    await until(() => log.join().includes('on.proxyRes threw: Error: an async hook'), 'the line');
  });
});

describe('a log.skip that throws', () => {
  it('leaves the line in, and is named in the log', async () => {
    const backend = await startBackend(reply(200, 'ok'));
    const lines: string[] = [];
    const { url } = await startProxyWith({
      target: backend.url,
      log: {
        stream: { write: (line: string) => lines.push(line) },
        skip: () => {
          throw new ProxyError('HOOK_FAILED', { message: 'no skip' });
        },
      },
    });

    await get(`${url}/kept`);
    await until(() => lines.length === 2, 'two lines');
    expect(lines.join('')).toContain('HOOK_FAILED no skip');
    expect(lines.join('')).toContain('GET /kept 200');
  });
});

describe('a response that a middleware has destroyed', () => {
  it('is over once', async () => {
    const backend = await startBackend(reply(200));
    const proxy = quietProxy({ target: backend.url });
    let done = 0;
    let closed: Promise<unknown> | undefined;
    proxy.events.on('done', () => done++);
    const { url } = await startProxy((app) =>
      app.use((_req, res, next) => {
        closed = once(res, 'close');
        res.destroy();
        next();
      }, proxy),
    );

    await expect(get(url)).rejects.toThrow('socket hang up');
    await closed;
    expect(done).toBe(1);
  });
});

describe('a client that does not read', () => {
  it('is not sent a flood of early hints', async () => {
    const hint = `HTTP/1.1 103 Early Hints\r\nLink: </${'x'.repeat(12_000)}>\r\n\r\n`;
    let sent = 0;
    const backend = await startRawBackend((socket) => {
      const flood = (): void => {
        while (sent < 2000 && !socket.destroyed) {
          sent++;
          if (!socket.write(hint)) return void socket.once('drain', flood);
        }
      };
      socket.on('error', () => {});
      socket.once('data', flood);
    });
    let client: Response | undefined;
    const proxy = quietProxy({ target: backend.url, attemptTimeout: 0 });
    const { port } = await startProxy((app) =>
      app.use((_req, res, next) => {
        client = res;
        next();
      }, proxy),
    );
    const socket = connect(port, '127.0.0.1').pause();
    closeAfterTest(() => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');

    await until(() => sent === 2000, 'the end of the flood');
    expect(client!.socket!.writableLength).toBeLessThan(100_000);
  });

  it('has one listener for its reading again, however often it stops', async () => {
    const { handler, sha256: expected } = bigBody(24 * 1024 * 1024);
    const backend = await startBackend(handler);
    let drains = 0;
    let waits = 0;
    const { url } = await startProxy((app) =>
      app.use(
        (_req, res, next) => {
          const on = res.on.bind(res);
          const write = res.write.bind(res) as (chunk: Buffer) => boolean;
          res.on = ((event: string, listener: () => void) => {
            if (event === 'drain') drains++;
            return on(event, listener);
          }) as Response['on'];
          res.write = ((chunk: Buffer) => {
            const goOn = write(chunk);
            if (!goOn) waits++;
            return goOn;
          }) as Response['write'];
          next();
        },
        quietProxy({ target: backend.url }),
      ),
    );

    const { sha256 } = await digest(await open(url).response);
    expect(sha256).toBe(expected);
    expect(waits).toBeGreaterThan(1);
    expect(drains).toBe(1);
  });
});

describe('a pipelined request that waits for its turn during close()', () => {
  it('is not forwarded any more', async () => {
    const backend = await startBackend(reply(200));
    const held = gate();
    const proxy = quietProxy({ target: backend.url });
    const { port } = await startProxy((app) =>
      app.get('/slow', (_req, res) => void held.opened.then(() => res.end('slow'))).use(proxy),
    );
    const answers = sendRaw(
      port,
      'GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /late HTTP/1.1\r\nHost: x\r\n\r\n',
      { until: 2 },
    );
    await delivery();
    await proxy.close(0);
    held.open();

    expect((await answers).responses.map(({ status }) => status)).toEqual([200, 503]);
    expect(backend.started).toBe(0);
  });
});

describe('a server on a Unix socket', () => {
  it('lives on when a response to HTTP/1.0 breaks, which cannot be reset there', async () => {
    const path = join(tmpdir(), `express-tiny-proxy-${process.pid}.sock`);
    const backend = await startRawBackend([
      { write: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n' },
      { reset: true },
    ]);
    const { app } = await startProxyWith({ target: backend.url });
    const server = createServer(app).listen(path);
    await once(server, 'listening');
    closeAfterTest(() => server.close());

    for (let i = 0; i < 2; i += 1) {
      const client = connect(path);
      client.resume().write('GET / HTTP/1.0\r\n\r\n');
      await once(client, 'close');
    }

    expect(backend.connections).toBe(2);
  });
});
