// Several backends at one address, or on one socket: each is reached by a URL of its own.
import { once as nextEvent } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { checkHealth } from '../src/health/index.js';
import type { Target } from '../src/index.js';
import { collectMetrics } from '../src/metrics/index.js';
import { type Backend, reply, startBackend } from './support/backend.js';
import { closeAfterTest } from './support/cleanup.js';
import { get, quietProxy, startProxyWith } from './support/proxy.js';
import { startPage } from './support/status-page.js';
import { until } from './support/wait.js';

const address = '127.0.0.1';

/** Two names at one address, who answer with the name that they were asked by. */
async function startNamesakes() {
  const backend = await startBackend((request, response, body) =>
    reply(200, request.headers.host!.split(':')[0])(request, response, body),
  );
  const target = ['one', 'two'].map((name) => ({
    url: `http://${name}.invalid:${backend.port}`,
    address,
  }));
  const running = await startProxyWith({ target, changeOrigin: true });
  const [one, two] = running.proxy.status().backends.map(({ url }) => url);
  return { ...running, backend, one: one!, two: two!, both: backend.url };
}

const answers = async (url: string, count: number): Promise<string[]> => {
  const texts = [];
  for (let i = 0; i < count; i += 1) texts.push((await get(url)).text);
  return [...new Set(texts)].sort();
};

describe('two names at one address', () => {
  it('have a URL each, which says the name behind a #', async () => {
    const { one, two, both } = await startNamesakes();

    expect([one, two]).toEqual([`${both}#one.invalid`, `${both}#two.invalid`]);
  });

  it('are drained each by its own', async () => {
    const { url, proxy, one, two } = await startNamesakes();
    expect(await answers(url, 4)).toEqual(['one.invalid', 'two.invalid']);

    const undrain = proxy.drain(two);
    expect(await answers(url, 4)).toEqual(['one.invalid']);
    undrain();
    proxy.drain(new URL(one));

    expect(await answers(url, 4)).toEqual(['two.invalid']);
  });

  it('are healthy, and held open, each by its own', async () => {
    const { proxy, one, two } = await startNamesakes();

    proxy.setHealthy(two, false);
    proxy.holdOpen(one, 5000);

    expect(proxy.status().backends).toMatchObject([
      { healthy: true, breaker: 'open' },
      { healthy: false, breaker: 'closed' },
    ]);
  });

  it('are dialled each by its own', async () => {
    const { proxy, one, two } = await startNamesakes();

    const dialled = [proxy.dial(one), proxy.dial(two)];
    for (const { socket } of dialled) socket.destroy();

    expect(dialled.map(({ host }) => host.split(':')[0])).toEqual(['one.invalid', 'two.invalid']);
  });

  it('are not meant both: a TypeError names them', async () => {
    const { proxy, one, two, both } = await startNamesakes();
    const calls = [
      () => proxy.drain(both),
      () => proxy.dial(both),
      () => proxy.setHealthy(both, false),
      () => proxy.holdOpen(both, 10),
      () => proxy.closeBreaker(both),
    ];

    for (const call of calls) {
      expect(call).toThrow(TypeError);
      expect(call).toThrow(`"${both}" is 2 backends of this proxy; they are ${one}, ${two}`);
    }
    expect(proxy.status().backends).toMatchObject([{ drained: false }, { drained: false }]);
  });

  it('are checked each with its own Host', async () => {
    const backend: Backend = await startBackend((request, response, body) =>
      reply(request.headers.host!.startsWith('two.') ? 503 : 200)(request, response, body),
    );
    const target = ['one', 'two'].map((name) => ({
      url: `http://${name}.invalid:${backend.port}`,
      address,
    }));
    const { proxy } = await startProxyWith({ target });
    closeAfterTest(checkHealth(proxy, { path: '/', interval: 5, fall: 1 }));

    await until(() => proxy.status().backends[1]?.healthy === false);
    await until(() => backend.received.length > 6);

    expect(proxy.status().backends[0]?.healthy).toBe(true);
    const hosts = new Set(backend.received.map(({ headers }) => headers.host));
    expect([...hosts].sort()).toEqual(target.map(({ url }) => url.slice('http://'.length)));
  });

  it('are drained each by its own row of the status page', async () => {
    const targets = ['one', 'two'].map((name) => ({
      url: `http://${name}.invalid/?key=s`,
      address,
    }));
    const { at, proxy } = await startPage({ target: targets }, { actions: true });

    const { proxies } = JSON.parse((await get(`${at}status.json`)).text);
    const [, two] = proxies[0].backends;
    const query = new URLSearchParams({ proxy: 'proxy', backend: two.url });
    const headers = { 'X-Status-Page-Action': 'drain', 'Sec-Fetch-Site': 'same-origin' };
    const drained = await get(`${at}drain?${query}`, { method: 'POST', headers });

    expect([two.url, drained.status]).toEqual([`http://${address}/#two.invalid`, 204]);
    expect(proxy.status().backends.map((each) => each.drained)).toEqual([false, true]);
  });
});

describe('beside the address itself', () => {
  it('a name is another backend, and the bare URL means the bare one', async () => {
    const bare = 'http://10.0.0.7:8081';
    const proxy = quietProxy({
      target: [{ url: 'http://one.invalid:8081', address: '10.0.0.7' }, bare],
    });

    proxy.drain(bare);

    expect(proxy.status().backends).toMatchObject([
      { url: `${bare}#one.invalid`, drained: false },
      { url: bare, drained: true },
    ]);
  });

  it.each<[string, Target, Target]>([
    ['the address', 'http://10.0.0.7', { url: 'http://10.0.0.7', address: '10.0.0.7' }],
    ['its IPv6', 'http://[::7]:81', { url: 'http://[::7]:81/', address: '0:0::7' }],
    [
      'a spelling of IPv6',
      { url: 'http://one.invalid', address: '2001:db8::7' },
      { url: 'http://ONE.invalid/', address: '2001:DB8:0:0::0007' },
    ],
  ])('the same once more, by another spelling, is refused: %s', (_what, first, second) => {
    const proxy = quietProxy({ target: first });

    expect(() => proxy.setTargets([first, second])).toThrow(/"target" must be listed once/);
  });
});

describe('a zone', () => {
  it('tells two of one link-local address apart', () => {
    const proxy = quietProxy({
      target: ['eth0', 'eth1'].map((zone) => ({
        url: 'http://one.invalid:8081',
        address: `fe80::0:1%${zone}`,
      })),
    });

    expect(proxy.status().backends.map(({ url }) => url)).toEqual([
      'http://[fe80::1]:8081#one.invalid%eth0',
      'http://[fe80::1]:8081#one.invalid%eth1',
    ]);
  });

  it('is dialled', async () => {
    const server = createServer((_req, res) => void res.end('here')).listen(0, '::1');
    closeAfterTest(() => void server.close());
    await nextEvent(server, 'listening');
    const { port } = server.address() as { port: number };
    const { url, proxy, log } = await startProxyWith(
      { target: { url: `http://[::1]:${port}`, address: '::1%lo' } },
      { captureLog: true },
    );

    expect((await get(url)).text).toBe('here');
    expect(proxy.status().backends).toMatchObject([{ url: `http://[::1]:${port}#%lo` }]);
    expect(log[0]).toContain(` [::1]:${port}=200/`);
  });
});

describe('two on one socket', () => {
  const socketPath = '/run/app.sock';
  const target = [
    { socketPath },
    { socketPath, url: 'http://one.invalid/base?key=s' },
    { socketPath, url: 'http://two.invalid' },
  ];
  const urls = [
    'unix:/run/app.sock',
    'unix:/run/app.sock#http://one.invalid/base?key=s',
    'unix:/run/app.sock#http://two.invalid/',
  ];

  it('have a URL each', () => {
    const proxy = quietProxy({ target });
    expect(proxy.status().backends.map(({ url }) => url)).toEqual(urls);

    for (const [i, url] of urls.entries()) {
      proxy.drain(url);
      expect(proxy.status().backends.map(({ drained }) => drained)).toEqual(
        urls.map((_, j) => j <= i),
      );
    }
  });

  it('are known by the socket alone, where one is there alone', () => {
    const proxy = quietProxy({ target: target[1]! });

    proxy.drain('unix:/run/app.sock');

    expect(proxy.status().backends).toMatchObject([{ drained: true }]);
  });

  it('have one name in metrics, and on the status page, which shows no query', async () => {
    const { at, proxy } = await startPage({ target });
    const register = new Registry();
    closeAfterTest(collectMetrics(proxy, { register }));

    const { proxies } = JSON.parse((await get(`${at}status.json`)).text);

    const shown = proxies[0].backends.map(({ name, url }: { [K in 'name' | 'url']: string }) => [
      name,
      url,
    ]);
    expect(shown).toEqual(urls.map((url) => ['unix:/run/app.sock', url.replace('?key=s', '')]));
    const labels = [...(await register.metrics()).matchAll(/backend="([^"]+)"/g)];
    expect(new Set(labels.map(([, label]) => label))).toEqual(new Set(['unix:/run/app.sock']));
  });
});
