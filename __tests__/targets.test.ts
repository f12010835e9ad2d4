// setTargets(): the list of backends changes while the proxy works.
import { describe, expect, it } from '@jest/globals';
import type { Target } from '../src/index.js';
import { reply, resetConnection, startBackend, startBackends } from './support/backend.js';
import { answerers, counts, startPool } from './support/pool.js';
import { get, quietProxy, startProxyWith } from './support/proxy.js';

const A = 'http://10.0.0.1:8081';
const B = 'http://10.0.0.2:8081';
const C = 'https://10.0.0.3/base';

const urlsOf = (proxy: ReturnType<typeof quietProxy>): string[] =>
  proxy.status().backends.map(({ url }) => url);

describe('setTargets', () => {
  it('is in force at once, in status() and for the next request', async () => {
    const [one, two] = await startBackends(reply(200, 'one'), reply(200, 'two'));
    const { url, proxy } = await startProxyWith({ target: one.url });
    expect((await get(url)).text).toBe('one');

    proxy.setTargets([two.url]);

    expect(urlsOf(proxy)).toEqual([two.url]);
    expect(await answerers(url, 3)).toEqual(['two', 'two', 'two']);
  });

  it.each<[string, Target | Target[], string[]]>([
    ['a URL', B, [B]],
    ['a URL object', new URL(B), [`${B}`]],
    ['a list', [A, B, C], [A, B, C]],
    ['weights', [{ url: A, weight: 2 }, B], [A, B]],
    ['a Unix socket', { socketPath: '/run/app.sock' }, ['unix:/run/app.sock']],
    [
      'an address',
      { url: 'https://o.internal:8443', address: '10.0.0.7' },
      ['https://10.0.0.7:8443#o.internal'],
    ],
    ['none', [], []],
  ])('takes what `target` takes: %s', (_what, target, urls) => {
    const proxy = quietProxy({ target: A });

    proxy.setTargets(target);

    expect(urlsOf(proxy)).toEqual(urls);
  });

  it.each<[unknown, string]>([
    ['nonsense', "'nonsense'"],
    [[B, 'ftp://10.0.0.3'], "'ftp://10.0.0.3'"],
    [[B, B], `'${B}'`],
    [[B, `${B}/`], `'${B}'`],
    [[{ url: B, weight: 0 }], '0'],
    [[{ url: B, adress: '10.0.0.7' }], '"target.address"'],
    [[{ url: B, address: 'orders.internal' }], "'orders.internal'"],
    [{ address: '10.0.0.7' }, "{ address: '10.0.0.7' }"],
    [{ socketPath: '/a', address: '10.0.0.7' }, "'10.0.0.7'"],
    [undefined, 'undefined'],
    [null, 'null'],
    [new Set([B]), 'Set(1)'],
  ])(
    'refuses %p with a TypeError that shows it, and keeps the last good list whole',
    (bad, shown) => {
      const proxy = quietProxy({ target: [A, C] });
      const told: unknown[] = [];
      proxy.events.on('targets', (event) => told.push(event));

      expect(() => proxy.setTargets(bad as Target)).toThrow(TypeError);
      expect(() => proxy.setTargets(bad as Target)).toThrow(shown);
      expect(urlsOf(proxy)).toEqual([A, C]);
      expect(told).toEqual([]);
    },
  );

  it.each([
    [1e12, 1e12, 1],
    [1, 1e12, 200],
  ])('has new weights in force at once, after %d and %d', async (one, two, requests) => {
    const { backends, running } = await startPool([one, two]);
    await answerers(running.url, requests);

    running.proxy.setTargets(backends.map(({ url }) => ({ url, weight: 1 })));

    expect(counts(await answerers(running.url, 6))).toEqual({ 0: 3, 1: 3 });
  });

  it('is not for construction with an empty list', () => {
    expect(() => quietProxy({ target: [] })).toThrow(/"target" must be a URL such as/);
  });

  it('keeps breakers, counts, connections and drains of those that stay', async () => {
    const [sick, well] = await startBackends(resetConnection(), reply(200));
    const extra = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({
      target: [sick.url, well.url],
      breaker: { failures: 1, cooldown: 60_000 },
    });
    for (let i = 0; i < 3; i += 1) await get(url);
    proxy.drain(well.url);
    const backends = () => proxy.status().backends.map((each) => ({ ...each, openUntil: 0 }));
    const before = backends();
    expect(before).toMatchObject([{ breaker: 'open' }, { drained: true, attempts: 3 }]);

    proxy.setTargets([`${sick.url}/`, new URL(well.url), extra.url]);

    expect(backends().slice(0, 2)).toEqual(before);
    await get(url);
    proxy.setTargets([well.url]);
    expect(backends()).toEqual([before[1]]);
  });

  it('goes on to use the connection of one that stays', async () => {
    const [one, two] = await startBackends(reply(200), reply(200));
    const { url, proxy } = await startProxyWith({ target: one.url });
    await get(url);

    proxy.setTargets([one.url, two.url]);
    proxy.setTargets(one.url);
    await get(url);

    expect(one.connections).toBe(1);
  });

  it('takes a changed weight over', async () => {
    const { backends, running } = await startPool([1, 1]);
    const [a, b] = backends.map(({ url }) => url) as [string, string];
    await answerers(running.url, 2);

    running.proxy.setTargets([{ url: a, weight: 3 }, b]);

    expect(counts(await answerers(running.url, 8))).toEqual({ 0: 6, 1: 2 });
    expect(running.proxy.status().backends).toMatchObject([{ weight: 3 }, { weight: 1 }]);
  });

  it('forgets the state of one that comes back', async () => {
    const backend = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    await get(url);
    const undrain = proxy.drain(backend.url);

    proxy.setTargets([]);
    undrain();
    proxy.setTargets(backend.url);
    undrain();

    expect(proxy.status().backends).toMatchObject([{ attempts: 0, drained: false }]);
    expect((await get(url)).status).toBe(200);
  });

  it('with none left answers 503 at once, until there is one again', async () => {
    const backend = await startBackend(reply(200, 'here'));
    const { url, proxy } = await startProxyWith({ target: backend.url });

    proxy.setTargets([]);
    const refused = await get(url);
    proxy.setTargets(backend.url);

    expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect(JSON.parse(refused.text)).toMatchObject({ code: 'NO_BACKEND' });
    expect((await get(url)).text).toBe('here');
  });

  it('serves one without a single backend from its start on by HTTP/2, too', async () => {
    const proxy = quietProxy({ target: C, transport: 'auto', http2: true });
    proxy.setTargets([A]);
    expect(urlsOf(proxy)).toEqual([A]);
  });
});

describe('the event targets', () => {
  it('tells each real change, and no other', () => {
    const proxy = quietProxy({ target: [A, B] });
    const told: unknown[] = [];
    proxy.events.on('targets', (event) => told.push(event));

    proxy.setTargets([A, B]);
    proxy.setTargets([B, A]);
    proxy.setTargets([B, C]);
    proxy.setTargets([B, { url: C, weight: 2 }]);
    proxy.setTargets([]);
    proxy.setTargets([]);

    expect(told).toEqual([
      { added: [C], removed: [A], backends: [B, C] },
      { added: [], removed: [], backends: [B, C] },
      { added: [], removed: [B, C], backends: [] },
    ]);
  });

  it('is a notice in the log', async () => {
    const { proxy, log } = await startProxyWith({ target: [A, B] }, { captureLog: true });

    proxy.setTargets([B, C]);
    proxy.setTargets([B, { url: C, weight: 2 }]);
    proxy.setTargets(B);
    proxy.setTargets([]);

    expect(log).toEqual([
      'express-tiny-proxy targets 2 backends: +10.0.0.3:443 -10.0.0.1:8081',
      'express-tiny-proxy targets 2 backends: other weights',
      'express-tiny-proxy targets 1 backend: -10.0.0.3:443',
      'express-tiny-proxy targets no backend is left, requests get 503: -10.0.0.2:8081',
    ]);
  });
});
