import { describe, expect, it } from '@jest/globals';
import type { Express } from 'express';
import { closeConnection, reply, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { refusedUrl, sendRaw, startRawBackend, valuesOf } from './support/raw.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';

/** What a raw backend got, its head in lower case. */
function headOf(received: Buffer | undefined): string {
  return String(received?.toString('latin1').split('\r\n\r\n')[0]).toLowerCase();
}

describe('hop-by-hop headers of a request', () => {
  it.each([
    'Keep-Alive: timeout=9',
    'Proxy-Connection: keep-alive',
    'Proxy-Authenticate: Basic',
    'Proxy-Authorization: Basic c2VjcmV0',
    'TE: gzip',
    'Trailer: X-Checksum',
    'Upgrade: h2c',
  ])('stay behind: %s', async (field) => {
    const backend = await startRawBackend(OK);
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(port, `GET / HTTP/1.1\r\nHost: h\r\n${field}\r\nX-Kept: 1\r\n\r\n`);

    const head = headOf(backend.received[0]);
    expect(head).toContain('x-kept: 1');
    expect(head).not.toContain(`\n${field.split(':')[0]?.toLowerCase()}:`);
  });

  it('are whatever Connection names, in any case and place', async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(
      port,
      'GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-One ,x-TWO\r\nX-One: 1\r\n' +
        'X-Two: 2\r\nConnection: Cookie\r\nCookie: a=1\r\nX-Three: 3\r\n\r\n',
    );

    const headers = backend.received[0]?.headers ?? {};
    expect(headers).toMatchObject({ 'x-three': '3', connection: 'keep-alive' });
    for (const name of ['x-one', 'x-two', 'cookie']) expect(headers).not.toHaveProperty(name);
  });

  it.each([
    ['TE: trailers', 'trailers'],
    ['TE: deflate;q=0.5, trailers', 'trailers'],
    ['Connection: TE\r\nTE: trailers', 'trailers'],
    ['TE: trailersque', undefined],
  ])('but a wish for trailers goes on: %s', async (fields, sent) => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(port, `GET / HTTP/1.1\r\nHost: h\r\n${fields}\r\n\r\n`);

    expect(backend.received[0]?.headers.te).toBe(sent);
  });

  it('are not those that the proxy itself sets, though Connection names them', async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url }, { mount: '/api' });

    await sendRaw(
      port,
      'GET /api HTTP/1.1\r\nHost: h\r\nX-Request-ID: night-1\r\nConnection: X-Request-ID, ' +
        'X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Prefix, Host\r\n\r\n',
    );

    expect(backend.received[0]?.headers).toMatchObject({
      host: 'h',
      'x-request-id': 'night-1',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'h',
      'x-forwarded-prefix': '/api',
    });
  });

  const smuggled = 'GET /admin HTTP/1.1\r\nHost: h\r\n\r\n';
  const framings = [
    ['Content-Length', `Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`],
    [
      'Transfer-Encoding',
      `Transfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
    ],
  ] as const;
  const methods = ['GET', 'DELETE', 'OPTIONS', 'HEAD', 'POST'];
  it.each(methods.flatMap((method) => framings.map((framing) => [method, ...framing] as const)))(
    'are never those that frame a body: %s with Connection: %s',
    async (method, name, rest) => {
      const backend = await startRawBackend(OK);
      const { port } = await startProxyWith({ target: backend.url });

      await sendRaw(port, `${method} / HTTP/1.1\r\nHost: h\r\nConnection: ${name}\r\n${rest}`);

      expect(headOf(backend.received[0])).toContain(`\n${name.toLowerCase()}:`);
      expect(backend.received[0]?.toString('latin1')).toContain(smuggled);
      expect(backend.requests).toBe(1);
    },
  );

  it('that the proxy sends to the backend name nothing of the client’s', async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-A\r\nX-A: 1\r\n\r\n');

    expect(backend.received[0]?.headers.connection).toBe('keep-alive');
  });
});

describe('the headers that the proxy adds to a request', () => {
  it('are its id, who the client is, and the connection’s own', async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n');

    expect(Object.keys(backend.received[0]?.headers ?? {}).sort()).toEqual([
      'accept',
      'connection',
      'host',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'x-request-id',
    ]);
  });
});

describe('hop-by-hop headers of a response', () => {
  it('stay behind, and so does what Connection names', async () => {
    const backend = await startRawBackend(
      'HTTP/1.1 200 OK\r\nConnection: X-Secret, keep-alive, Content-Length\r\nX-Secret: 1\r\n' +
        'Keep-Alive: timeout=77\r\nProxy-Authenticate: Basic\r\nProxy-Connection: x\r\n' +
        'TE: x\r\nTrailer: X-T\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n' +
        'X-Kept: 1\r\nContent-Length: 4\r\n\r\nbody',
    );
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');

    expect(answer.body.toString()).toBe('body');
    expect(valuesOf(answer, 'content-length')).toEqual(['4']);
    expect(valuesOf(answer, 'x-kept')).toEqual(['1']);
    expect(valuesOf(answer, 'connection')).toEqual(['keep-alive']);
    expect(answer.rawText).not.toMatch(/x-secret|timeout=77|proxy-|^(te|trailer|upgrade):/im);
  });

  it.each(['', 'Connection: X-Request-ID\r\n'])(
    'leave the id of the request as it is: "%s"',
    async (connection) => {
      const backend = await startRawBackend(
        `HTTP/1.1 200 OK\r\n${connection}X-Request-ID: theirs\r\nContent-Length: 0\r\n\r\n`,
      );
      const { port } = await startProxyWith({ target: backend.url });

      const answer = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID: ours\r\n\r\n');

      expect(valuesOf(answer, 'x-request-id')).toEqual(['ours']);
    },
  );
});

describe('headers that the app has set before the proxy', () => {
  const withHeaders = (app: Express): void => {
    app.use((_req, res, next) => {
      res.append('Set-Cookie', 'app=1').append('Set-Cookie', 'app=2');
      res.set({ Vary: 'Origin', 'X-App': 'app', 'X-Both': 'app', ETag: '"app"' });
      next();
    });
  };

  it('stay; the backend’s replace them, but for Set-Cookie and Vary, which are joined', async () => {
    const backend = await startBackend(
      reply(200, 'ok', {
        'Set-Cookie': ['backend=1', 'backend=2'],
        Vary: 'Accept',
        'X-Both': 'backend',
        'X-Powered-By': 'steam',
      }),
    );
    const { port } = await startProxy((app) => {
      withHeaders(app);
      app.use(quietProxy({ target: backend.url }));
    });

    const answer = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');

    expect(valuesOf(answer, 'set-cookie')).toEqual(['app=1', 'app=2', 'backend=1', 'backend=2']);
    expect(valuesOf(answer, 'vary').join(', ')).toBe('Origin, Accept');
    expect(valuesOf(answer, 'x-app')).toEqual(['app']);
    expect(valuesOf(answer, 'x-both')).toEqual(['backend']);
    expect(valuesOf(answer, 'x-powered-by')).toEqual(['steam']);
  });

  it('stay where the backend says nothing of the kind', async () => {
    const backend = await startBackend(reply(200, 'ok'));
    const { port } = await startProxy((app) => {
      withHeaders(app);
      app.use(quietProxy({ target: backend.url }));
    });

    const answer = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');

    expect(valuesOf(answer, 'set-cookie')).toEqual(['app=1', 'app=2']);
    expect(valuesOf(answer, 'vary')).toEqual(['Origin']);
    expect(valuesOf(answer, 'x-powered-by')).toEqual(['Express']);
  });

  it('do not frame a body that the app has not made', async () => {
    const backend = await startBackend((request, response) => {
      if (request.url === '/chunked') response.write('a longer ');
      response.end('body');
    });
    const { port } = await startProxy((app) => {
      app.use((req, res, next) => {
        if (req.url === '/chunked') res.setHeader('Content-Length', 2);
        else res.setHeader('Transfer-Encoding', 'chunked');
        next();
      });
      app.use(quietProxy({ target: backend.url }));
    });
    const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;

    const { responses } = await sendRaw(port, request('/chunked') + request('/'), { until: 2 });

    expect(responses.map(({ body }) => body.toString())).toEqual(['a longer body', 'body']);
    for (const response of responses) {
      const frames = [
        ...valuesOf(response, 'content-length'),
        ...valuesOf(response, 'transfer-encoding'),
      ];
      expect(frames).toHaveLength(1);
    }
  });

  it('stay on an error of the proxy', async () => {
    const target = await refusedUrl();
    const { port } = await startProxy((app) => {
      withHeaders(app);
      app.use(quietProxy({ target, retry: false }));
    });

    const answer = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');

    expect(answer.status).toBe(502);
    expect(valuesOf(answer, 'set-cookie')).toEqual(['app=1', 'app=2']);
    expect(valuesOf(answer, 'vary')).toEqual(['Origin']);
    expect(valuesOf(answer, 'x-app')).toEqual(['app']);
  });
});

describe('headers of a response that was not passed on', () => {
  it('are on no error that comes after it', async () => {
    const failure = reply(500, 'no', {
      'Set-Cookie': 'backend=1',
      'Cache-Control': 'max-age=60',
      'Content-Encoding': 'gzip',
      'Content-Type': 'image/png',
      'X-Backend': '1',
    });
    const backend = await startBackend((request, response, body) => {
      backend.answerWith(closeConnection());
      return failure(request, response, body);
    });
    const { url } = await startProxyWith({
      target: backend.url,
      retry: { attempts: 2, backoff: { initialDelay: 1, maxDelay: 1 } },
    });

    const { status, headers, text } = await get(url);

    expect(status).toBe(502);
    expect(headers).toMatchObject({
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
    });
    for (const name of ['set-cookie', 'content-encoding', 'x-backend']) {
      expect(headers).not.toHaveProperty(name);
    }
    expect(JSON.parse(text)).toMatchObject({ status: 502, code: 'BAD_GATEWAY' });
  });
});
