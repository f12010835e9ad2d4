// What the parts do with a proxy that is closed already: who acts on it refuses, who looks on shows it.
import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { discover } from '../src/discovery/index.js';
import { checkHealth } from '../src/health/index.js';
import type { TinyProxy } from '../src/index.js';
import { collectMetrics } from '../src/metrics/index.js';
import { type RedisClient, shareBreakers } from '../src/redis/index.js';
import { traceRequests } from '../src/traces/index.js';
import { heldUntil, reply, startBackend } from './support/backend.js';
import { clientInVain } from './support/client-in-vain.js';
import { get, open, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { pageOf } from './support/status-page.js';
import { gate, until } from './support/wait.js';

const TARGET = 'http://10.0.0.1:8081';

async function closedProxy(): Promise<TinyProxy> {
  const proxy = quietProxy({ target: TARGET });
  await proxy.close();
  return proxy;
}

it('status() says that a proxy is closed, from the call of close() on', async () => {
  const held = gate();
  const backend = await startBackend(heldUntil(held.opened, reply(200)));
  const { url, proxy } = await startProxyWith({ target: backend.url });
  const answer = get(url);
  await until(() => backend.started === 1);
  expect(proxy.status().closed).toBe(false);

  const closing = proxy.close();

  expect(proxy.status()).toMatchObject({ closed: true, inFlight: 1 });
  held.open();
  await Promise.all([answer, closing]);
});

describe('a closed proxy', () => {
  let looks = 0;
  it.each<[string, (proxy: TinyProxy, client: RedisClient) => unknown]>([
    ['discover', (proxy) => discover(proxy, () => [`${TARGET}/${looks++}`], { refresh: 1 })],
    ['checkHealth', (proxy) => checkHealth(proxy, { path: '/', interval: 1 })],
    ['shareBreakers', (proxy, client) => shareBreakers(proxy, { client, prefix: 'orders:' })],
  ])('is refused by %s(), which leaves nothing behind', async (name, call) => {
    const [proxy, client] = [await closedProxy(), await clientInVain()];

    expect(() => call(proxy, client)).toThrow(TypeError);
    expect(() => call(proxy, client)).toThrow(`${name}: the proxy is closed`);
    expect(looks).toBe(0);
    expect(proxy.events.eventNames()).toEqual([]);
  });

  it('has metrics still', async () => {
    const register = new Registry();

    const stop = collectMetrics(await closedProxy(), { register });

    expect(await register.metrics()).toContain('backend_healthy{');
    stop();
  });

  it('may be traced, though nothing comes of it', async () => {
    const stop = traceRequests(await closedProxy());

    expect(stop).not.toThrow();
  });

  it('is shown as closed by the status page, whose event stream has ended', async () => {
    const proxy = await closedProxy();
    const { url } = await startProxy((app) => app.use('/_proxy', pageOf(proxy)));

    const report = JSON.parse((await get(`${url}/_proxy/status.json`)).text);
    const stream = await open(`${url}/_proxy/events`).response;

    expect(report.proxies).toMatchObject([{ name: 'proxy', closed: true }]);
    expect(stream.statusCode).toBe(204);
    expect(proxy.events.eventNames()).toEqual([]);
  });

  it('beside one that is not is shown so, and the event stream goes on', async () => {
    const [orders, users] = [await closedProxy(), quietProxy({ target: TARGET })];
    const { url } = await startProxy((app) => app.use('/_proxy', pageOf({ orders, users })));

    const stream = await open(`${url}/_proxy/events`).response;
    expect(stream.statusCode).toBe(200);
    const ended = new Promise((resolve) => stream.resume().on('end', resolve));
    const report = JSON.parse((await get(`${url}/_proxy/status.json`)).text);
    await users.close();
    await ended;

    expect(report.proxies).toMatchObject([{ closed: true }, { closed: false }]);
  });
});
