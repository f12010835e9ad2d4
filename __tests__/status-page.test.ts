// The status page over HTTP: its files, its headers, where it is mounted, and what status.json says.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import express from 'express';
import helmet from 'helmet';
import { failTimes, reply, startBackend, startBackends } from './support/backend.js';
import { get, quietProxy, startProxy } from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { pageOf, startPage } from './support/status-page.js';
import { until } from './support/wait.js';

const TARGET = 'http://10.0.0.1:8081';
const FILES = ['main.js', 'dom.js', 'style.css'];

describe('the page', () => {
  it('is HTML that asks for nothing but its own files', async () => {
    const { at } = await startPage({ target: TARGET });

    const page = await get(at);
    const asked = [...page.text.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, url]) => url!);

    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(asked.filter((url) => !url.startsWith('data:')).sort()).toEqual([
      'main.js',
      'narrow.css',
      'status.json',
      'status.json',
      'style.css',
      'tables.css',
    ]);
    expect(page.text).not.toMatch(/style="|<script>|<style|\son\w+=/);
    for (const file of asked.filter((url) => !url.startsWith('data:'))) {
      expect([file, (await get(at + file)).status]).toEqual([file, 200]);
    }
  });

  it('has every module that its modules import, and no markup is made of text', async () => {
    const { at } = await startPage({ target: TARGET });
    const seen = new Set(['main.js']);
    for (const file of seen) {
      const { status, headers, text } = await get(at + file);
      expect([file, status, headers['content-type']]).toEqual([
        file,
        200,
        'text/javascript; charset=utf-8',
      ]);
      for (const [, name] of text.matchAll(/from '\.\/([\w-]+\.js)'/g)) seen.add(name!);
      expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(/);
    }
    expect(seen.size).toBeGreaterThan(5);
  });

  it.each(['', ...FILES, 'status.json'])('sends %p with headers that keep it in', async (file) => {
    const { at } = await startPage({ target: TARGET });

    const { headers } = await get(at + file);

    const policy = String(headers['content-security-policy']).split('; ');
    expect(policy).toEqual(
      expect.arrayContaining(["default-src 'none'", "script-src 'self'", "style-src 'self'"]),
    );
    expect(policy).toContain("frame-ancestors 'self'");
    expect(policy.join()).not.toMatch(/unsafe|https?:|\*/);
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
    });
  });

  it('has its own headers behind helmet(), too', async () => {
    const { at } = await startPage({ target: TARGET }, {}, (app) => app.use(helmet()));

    const { status, headers } = await get(at);

    expect(status).toBe(200);
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'/);
    expect(headers['strict-transport-security']).toBeDefined(); // helmet's others stay
  });

  it.each(['', ...FILES, 'status.json', 'events'])('answers HEAD of %p', async (file) => {
    const { at } = await startPage({ target: TARGET });
    const head = await get(at + file, { method: 'HEAD' });

    expect([head.status, head.text]).toEqual([200, '']);
    if (file === 'events') expect(head.headers['content-type']).toMatch(/^text\/event-stream/);
    else if (file !== 'status.json') {
      expect(head.headers['content-length']).toBe(String((await get(at + file)).body.length));
    }
  });

  it.each(['', 'status.json', 'events'])('answers POST of %p 405', async (file) => {
    const { at } = await startPage({ target: TARGET });

    const { status, headers } = await get(at + file, { method: 'POST' });

    expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it.each(['nothing', 'page/main.js', 'Main.js', '%2e%2e/package.json', 'drain', 'index.html'])(
    'leaves %p to the app',
    async (file) => {
      const { at } = await startPage({ target: TARGET }, {}, (app) => {
        app.use((_req, res, next) => {
          res.setHeader('X-Before', '1');
          next();
        });
      });

      const { status, headers } = await get(at + file, { method: 'TRACE' });

      // The proxy behind the page has it, and refuses TRACE.
      expect([status, headers['content-security-policy']]).toEqual([405, undefined]);
      expect(headers['content-type']).toMatch('problem+json');
    },
  );
});

describe('mounted', () => {
  const startAt = (mount: string) =>
    startProxy((app) => app.use(mount, pageOf(quietProxy({ target: TARGET }))));

  it.each(['/_proxy', '/_proxy/', '/a/b-c'])(
    'at %p, it is at its path with a slash',
    async (mount) => {
      const { url } = await startAt(mount);
      const path = mount.replace(/\/$/, '');

      const without = await get(`${url}${path}?a=1`);

      expect(without.status).toBe(308);
      const location = new URL(without.headers.location ?? '', `${url}${path}`);
      expect(location.href).toBe(`${url}${path}/?a=1`);
      expect((await get(location.href)).status).toBe(200);
      expect((await get(`${url}${path}/style.css`)).status).toBe(200);
      expect(without.headers['cache-control']).toBe('no-store');
    },
  );

  it('at the root, it is there at once', async () => {
    const { url } = await startAt('/');

    expect((await get(`${url}/`)).status).toBe(200);
    expect((await get(`${url}/else`)).status).toBe(404);
  });

  it('in a router with a parameter', async () => {
    const router = express.Router({ mergeParams: true });
    router.use('/status', pageOf(quietProxy({ target: TARGET })));
    const { url } = await startProxy((app) => app.use('/:team', router));

    expect((await get(`${url}/blue/status`)).headers.location).toBe('./status/');
    expect((await get(`${url}/blue/status/status.json`)).status).toBe(200);
  });
});

describe('status.json', () => {
  it('says of each backend what status() says, and since when and how often', async () => {
    const [sick, well] = await startBackends(failTimes(1, reply(200)), reply(200, 'well'));
    const target = [sick.url, { url: well.url, weight: 3 }];
    const { url, proxy, report } = await startPage({
      target,
      balance: (_req, backends) => backends[0]!,
      breaker: { failures: 1, cooldown: 60_000 },
    });

    await get(`${url}/orders/7?key=secret`, { headers: { 'X-Request-ID': 'night-1' } });
    await until(() => proxy.status().inFlight === 0);
    const { proxies, exchanges, incidents, ...others } = await report();

    expect(others).toEqual({ time: expect.any(String), actions: false, bucketMs: 5000 });
    const { backends, ...status } = proxy.status();
    expect(proxies).toEqual([
      { name: 'proxy', ...status, backends: [expect.anything(), expect.anything()] },
    ]);
    const someTime = expect.stringMatching(/^\d{4}-.*Z$/);
    expect(proxies[0]?.backends[0]).toMatchObject({
      ...{ ...backends[0], openUntil: someTime },
      ...{ name: sick.host, retries: 1, drainedHere: false },
      ...{ failingSince: someTime, openSince: someTime, lastFailureAt: someTime },
      lastError: 'status 500',
    });
    expect(proxies[0]?.backends[0]?.probeInMs).toBeGreaterThan(50_000);
    expect(proxies[0]?.backends[1]).toMatchObject({ ...backends[1], retries: 0, probeInMs: null });
    const sums = proxies[0]?.backends.map(({ history }) => [
      history.attempts.reduce((all, value) => all + value),
      history.failures.reduce((all, value) => all + value),
      history.p50.filter((value) => value !== null).length,
    ]);
    expect(sums).toEqual([
      [1, 1, 1],
      [1, 0, 1],
    ]);
    expect(exchanges).toEqual([
      {
        seq: expect.any(Number),
        proxy: 'proxy',
        time: someTime,
        requestId: 'night-1',
        method: 'GET',
        path: '/orders/7',
        status: 200,
        ms: expect.any(Number),
        hops: [
          { attempt: 1, backend: sick.host, outcome: 500, ms: expect.any(Number) },
          { attempt: 2, backend: well.host, outcome: 200, ms: expect.any(Number) },
        ],
        noRetry: null,
      },
    ]);
    expect(incidents).toMatchObject([
      { kind: 'break', backend: sick.host, detail: 'after a failure', count: 1 },
    ]);
  });

  it('holds the last 50 exchanges, and the last 50 that failed or were retried', async () => {
    const backend = await startBackend((request, response) => {
      response.writeHead(request.url === '/bad' ? 500 : 200).end();
    });
    const { url, report, proxy } = await startPage({
      target: backend.url,
      breaker: false,
      retry: false,
    });
    for (const [path, count] of [
      ['bad', 3],
      ['good', 55],
    ] as const) {
      for (let i = 0; i < count; i += 1) await get(`${url}/${path}`);
    }
    await until(() => proxy.status().inFlight === 0);

    const { exchanges } = await report();

    const paths = exchanges.map(({ path }) => path);
    expect(paths).toEqual([...Array(3).fill('/bad'), ...Array(50).fill('/good')]);
  });

  it('never shows a query, neither of a request nor of a backend', async () => {
    const backend = await startBackend(reply(200));
    const { url, report, proxy } = await startPage({ target: `${backend.url}/base?key=secret` });
    await get(`${url}/orders?token=secret`);
    await until(() => proxy.status().inFlight === 0);

    const text = JSON.stringify(await report());

    expect(text).toContain(`${backend.url}/base"`);
    expect(text).not.toContain('secret');
  });

  it('cuts a path that is very long', async () => {
    const backend = await startBackend(reply(200));
    const { url, report, proxy } = await startPage({ target: backend.url });
    await get(`${url}/${'x'.repeat(5000)}`);
    await until(() => proxy.status().inFlight === 0);

    expect((await report()).exchanges[0]?.path).toMatch(/^\/x{199}…$/);
  });

  it('knows IPv6 backends and those on Unix sockets', async () => {
    const { report } = await startPage({
      target: ['http://[::1]:8081', 'https://[2001:db8::1]', { socketPath: '/run/shop.sock' }],
    });

    const names = (await report()).proxies[0]?.backends.map(({ url, name }) => [url, name]);

    expect(names).toEqual([
      ['http://[::1]:8081', '[::1]:8081'],
      ['https://[2001:db8::1]', '[2001:db8::1]:443'],
      ['unix:/run/shop.sock', 'unix:/run/shop.sock'],
    ]);
  });

  it('counts what was given up together, and forgets the failures when all is well', async () => {
    const backend = await startBackend(failTimes(3, reply(200)));
    const retry = { attempts: 1 };
    const { url, report, proxy } = await startPage({ target: backend.url, retry });
    for (let i = 0; i < 3; i += 1) await get(url);
    await until(() => proxy.status().inFlight === 0);

    const { incidents, proxies } = await report();
    expect(incidents).toMatchObject([{ kind: 'give-up', count: 3, detail: '500, attempts' }]);
    expect(proxies[0]?.backends[0]?.failingSince).not.toBeNull();

    await get(url);
    await until(() => proxy.status().inFlight === 0);
    expect((await report()).proxies[0]?.backends[0]?.failingSince).toBeNull();
  });
});

describe('several proxies on one page', () => {
  it('are told apart by their names', async () => {
    const backend = await startBackend(reply(200));
    const orders = quietProxy({ target: backend.url });
    const users = quietProxy({ target: await refusedUrl(), retry: false });
    const { url } = await startProxy((app) => {
      app.use('/_proxy', pageOf({ orders, users }));
      app.use('/orders', orders);
      app.use('/users', users);
    });
    for (const path of ['/orders/1', '/users/1', '/users/2']) await get(url + path);
    await until(() => orders.status().inFlight + users.status().inFlight === 0);

    const { proxies, exchanges } = JSON.parse((await get(`${url}/_proxy/status.json`)).text);

    expect(proxies).toMatchObject([
      { name: 'orders', requests: 1 },
      { name: 'users', requests: 2 },
    ]);
    expect(exchanges.map(({ proxy, path }: Record<string, string>) => [proxy, path])).toEqual([
      ['orders', '/orders/1'],
      ['users', '/users/1'],
      ['users', '/users/2'],
    ]);
  });
});

it('the package has no page file that is not served, and serves none that is not there', async () => {
  const { ASSETS } = await import('../src/status-page/assets.js');
  const { readdirSync } = await import('node:fs');
  const folder = new URL('../src/status-page/page/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name !== 'tsconfig.json');

  const served = [...ASSETS].map(([path]) => (path === '/' ? 'index.html' : path.slice(1)));
  expect(served.sort()).toEqual(files.sort());
  for (const [path, { body }] of ASSETS) {
    const file = path === '/' ? 'index.html' : path.slice(1);
    expect(body.equals(readFileSync(new URL(file, folder)))).toBe(true);
  }
});
