import { Agent } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { tinyProxy } from '../src/index.js';
import { failTimes, reply, startBackend } from './support/backend.js';
import { closeAfterTest } from './support/cleanup.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { refusedUrl, sendRaw, startRawBackend } from './support/raw.js';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

type Options = Parameters<typeof tinyProxy>[0];

describe('pathFilter', () => {
  const accounts = (pathname: string): boolean => pathname === '/accounts/7';
  it.each<[string, NonNullable<Options['pathFilter']>, yes: string, no: string]>([
    ['a path', '/accounts', '/accounts/7?a=1', '/orders/accounts'],
    ['a glob', '/accounts/**/*.json', '/accounts/x/y.json?a=1', '/accounts/x/y.html'],
    ['a list of paths', ['/users', '/accounts'], '/accounts/7', '/orders'],
    ['a list of globs', ['/accounts/**', '!**/*.html'], '/accounts/7.json', '/accounts/7.html'],
    ['a function', accounts, '/accounts/7?a=1', '/accounts/77'],
  ])('takes by %s what lies under the mount, and leaves the rest to the app', async (...row) => {
    const [, pathFilter, yes, no] = row;
    const backend = await startBackend(reply(200, 'proxied'));
    const { url } = await startProxy((app) => {
      app.use('/api', quietProxy({ target: backend.url, pathFilter }));
      app.use((_req, res) => res.send('left to the app'));
    });

    expect((await get(`${url}/api${yes}`)).text).toBe('proxied');
    expect((await get(`${url}/api${no}`)).text).toBe('left to the app');
    expect(backend.received.map((received) => received.url)).toEqual([yes]);
  });

  it('as a function sees the request', async () => {
    const backend = await startBackend(reply(200, 'proxied'));
    const { url } = await startProxyWith({
      target: backend.url,
      pathFilter: (_pathname, req) => req.method === 'POST',
    });

    expect((await get(url, { method: 'POST', body: 'x' })).text).toBe('proxied');
    expect((await get(url)).status).toBe(404);
  });

  it('that mixes paths and globs is refused at mount', () => {
    const options = { target: 'http://127.0.0.1:1', pathFilter: ['/a', '/b/**'] };

    expect(() => tinyProxy(options)).toThrow(TypeError);
    expect(() => tinyProxy(options)).toThrow(/pathFilter/);
  });

  it('leaves what it does not take without a trace', async () => {
    const { url, proxy, log } = await startProxyWith(
      { target: 'http://127.0.0.1:1', pathFilter: '/none' },
      { captureLog: true },
    );

    expect((await get(url)).headers).not.toHaveProperty('x-request-id');
    expect(proxy.status().requests).toBe(0);
    expect(log).toEqual([]);
  });
});

describe('pathRewrite', () => {
  it.each<[string, NonNullable<Options['pathRewrite']>, from: string, to: string]>([
    [
      'the first pattern that fits',
      { '^/old': '/new', '/x': '/y' },
      '/old/x?a=/old',
      '/new/x?a=/old',
    ],
    ['groups of a pattern', { '^/(\\w+)/(\\d+)': '/$2/$1' }, '/orders/7', '/7/orders'],
    ['nothing where no pattern fits', { '^/old': '' }, '/x/old?', '/x/old?'],
    ['a function', (path) => `${path}&b=2`, '/x?a=1', '/x?a=1&b=2'],
    ['a function that answers later', async (path) => `/later${path}`, '/x', '/later/x'],
    ['a function that answers nothing', () => undefined as unknown as string, '/x?a', '/x?a'],
    ['a path without its slash', () => 'x', '/', '/x'],
  ])('applies %s', async (_name, pathRewrite, from, to) => {
    const backend = await startBackend(reply(200));
    const target = `${backend.url}/base`;
    const { url } = await startProxyWith({ target, pathRewrite }, { mount: '/api' });

    await get(`${url}/api${from}`);

    expect(backend.received[0]?.url).toBe(`/base${to}`);
  });

  it('as a function sees the request', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({
      target: backend.url,
      pathRewrite: (path, req) => `/${req.method}${path}`,
    });

    await get(`${url}/x`, { method: 'DELETE' });

    expect(backend.received[0]?.url).toBe('/DELETE/x');
  });

  it('is applied once, for all attempts', async () => {
    let calls = 0;
    const backend = await startBackend(failTimes(2, reply(200)));
    const { url } = await startProxyWith({
      target: backend.url,
      retry: { backoff: { initialDelay: 1, maxDelay: 1 } },
      pathRewrite(path) {
        calls += 1;
        return `/more${path}`;
      },
    });

    expect((await get(`${url}/x`)).status).toBe(200);
    expect(backend.received.map((received) => received.url)).toEqual(Array(3).fill('/more/x'));
    expect(calls).toBe(1);
  });
});

describe('what a backend gets to see', () => {
  it.each([
    [false, 'shop.example'],
    [true, 'the backend’s'],
  ])('with changeOrigin %s is the Host %s', async (changeOrigin, host) => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: backend.url, changeOrigin });

    await get(url, { headers: { Host: 'shop.example' } });

    const { headers } = backend.received[0] ?? {};
    expect(headers?.host).toBe(changeOrigin ? backend.host : host);
    expect(headers?.['x-forwarded-host']).toBe('shop.example');
  });

  it('are the headers of `headers`, at every attempt, in place of the client’s', async () => {
    const backend = await startBackend(failTimes(1, reply(200)));
    const { url } = await startProxyWith({
      target: backend.url,
      retry: { backoff: { initialDelay: 1, maxDelay: 1 } },
      headers: { 'X-Tier': 'web', 'X-Many': ['a', 'b'], Authorization: 'Bearer ours' },
    });

    await get(url, { headers: { 'X-Tier': 'client', Authorization: 'Bearer theirs' } });

    const expected = { 'x-tier': 'web', 'x-many': 'a, b', authorization: 'Bearer ours' };
    expect(backend.received.map(({ headers }) => headers)).toMatchObject([expected, expected]);
  });

  it('is the user and password of `auth`, unless the client has its own', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: backend.url, auth: 'night:s3cr\u00e9t' });

    await get(url);
    await get(url, { headers: { Authorization: 'Bearer theirs' } });

    const basic = `Basic ${Buffer.from('night:s3cr\u00e9t').toString('base64')}`;
    const sent = backend.received.map(({ headers }) => headers.authorization);
    expect(sent).toEqual([basic, 'Bearer theirs']);
  });

  it('is the local address', async () => {
    const backend = await startBackend((request, response) => {
      response.end(request.socket.remoteAddress);
    });
    const { url } = await startProxyWith({ target: backend.url, localAddress: '127.0.0.5' });

    expect((await get(url)).text).toBe('127.0.0.5');
  });
});

describe('agent', () => {
  it('of the user carries the requests, and is left open', async () => {
    const agent = new Agent({ keepAlive: true });
    closeAfterTest(() => agent.destroy());
    const backend = await startBackend(reply(200, 'ok'));
    const { url, proxy } = await startProxyWith({ target: backend.url, agent });

    for (let i = 0; i < 3; i += 1) expect((await get(url)).text).toBe('ok');
    await proxy.close();

    expect(backend.connections).toBe(1);
    expect(Object.values(agent.freeSockets).flat()).toHaveLength(1);
    expect(backend.openSockets()).toBe(1);
  });

  it('false is a connection an attempt', async () => {
    const backend = await startBackend(failTimes(1, reply(200, 'ok')));
    const { url } = await startProxyWith({
      target: backend.url,
      agent: false,
      retry: { backoff: { initialDelay: 1, maxDelay: 1 } },
    });

    for (let i = 0; i < 2; i += 1) expect((await get(url)).text).toBe('ok');

    expect(backend.connections).toBe(3);
    expect(backend.received.map(({ headers }) => headers.connection)).toEqual(
      Array(3).fill('close'),
    );
  });
});

describe('preserveHeaderKeyCase', () => {
  it.each([
    [false, ['x-own-name', 'set-cookie', 'etag']],
    [true, ['X-OWN-name', 'SET-Cookie', 'ETag']],
  ])('%s writes the names of a response so', async (preserveHeaderKeyCase, names) => {
    const backend = await startRawBackend(
      'HTTP/1.1 200 OK\r\nX-OWN-name: 1\r\nSET-Cookie: a=1\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n',
    );
    const { port } = await startProxyWith({ target: backend.url, preserveHeaderKeyCase });

    const answer = await sendRaw(port, GET);

    const written = answer.headers.map(([name]) => name);
    expect(written.filter((name) => /own|cookie|etag/i.test(name))).toEqual(names);
  });
});

describe('plugins', () => {
  it('get http-proxy-middleware’s proxy server and the options', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({
      target: backend.url,
      plugins: [
        (server) => {
          server.on('proxyReq', (proxyReq) => proxyReq.setHeader('X-Plugin', 'yes'));
        },
      ],
    });

    await get(url);

    expect(backend.received[0]?.headers['x-plugin']).toBe('yes');
  });

  it('of http-proxy-middleware, `on` among them, are left out with ejectPlugins', async () => {
    const heard: string[] = [];
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({
      target: backend.url,
      ejectPlugins: true,
      on: { proxyReq: () => heard.push('on') },
      logger: { info: () => heard.push('log'), warn: () => {}, error: () => {} },
      plugins: [(server) => server.on('proxyReq', () => heard.push('plugin'))],
    });

    expect((await get(url)).status).toBe(200);
    expect(heard).toEqual(['plugin']);
  });
});

describe('logger', () => {
  it('hears what http-proxy-middleware would tell it', async () => {
    const heard: string[] = [];
    const note = (...args: unknown[]): void => {
      heard.push(args.join(' '));
    };
    const logger = { info: note, warn: note, error: note };
    const backend = await startBackend(reply(201));
    const refused = await refusedUrl();
    const { url } = await startProxy((app) => {
      app.use('/up', quietProxy({ target: `${backend.url}/base`, logger }));
      app.use('/down', quietProxy({ target: refused, logger, retry: false }));
    });

    await get(`${url}/up/x`);
    await get(`${url}/down`);

    expect(heard[0]).toContain('GET /up/x -> ');
    expect(heard[0]).toContain('[201]');
    expect(heard[1]).toContain('ECONNREFUSED');
  });
});

describe('a handler that is added to the proxy, which is a router', () => {
  it('gets what the pathFilter leaves out, and only that', async () => {
    const backend = await startBackend(reply(200, 'backend'));
    const proxy = quietProxy({ target: backend.url, pathFilter: '/mine' });
    const { url } = await startProxy((app) => app.use('/api', proxy));
    expect((await get(`${url}/api/other/7`)).status).toBe(404);

    proxy.get('/other/:id', (req, res) => void res.send(`${req.baseUrl} ${req.params.id}`));

    expect((await get(`${url}/api/other/7`)).text).toBe('/api 7');
    expect((await get(`${url}/api/mine`)).text).toBe('backend');
    expect((await get(`${url}/api/nobodys`)).status).toBe(404);
  });
});
