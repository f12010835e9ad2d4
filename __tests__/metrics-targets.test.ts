// What the metrics of a proxy have of backends that come and go, and of those that are not healthy.
import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { collectMetrics } from '../src/metrics/index.js';
import { heldUntil, reply, startBackend, startBackends } from './support/backend.js';
import { idle, startMetered } from './support/metered.js';
import { get, quietProxy } from './support/proxy.js';
import { gate, until } from './support/wait.js';

const proxy = 'default';

describe('a backend that has left', () => {
  it('has no gauges any more, and its counters for one scrape more', async () => {
    const [old, next] = await startBackends(reply(200), reply(500));
    const running = await startMetered({ target: old.url });
    await get(running.url);
    await idle(running);

    running.proxy.setTargets(next.url);

    const text = await running.register.metrics();
    expect(text).toContain(`tiny_proxy_attempts_total{proxy="default",backend="${old.host}"`);
    expect(text).toContain(`tiny_proxy_retries_total{proxy="default",backend="${next.host}"} 0`);
    expect(text).not.toMatch(new RegExp(`tiny_proxy_(breaker_state|backend_\\w+).*${old.host}`));
    await running.register.metrics();
    expect(await running.register.metrics()).not.toContain(old.host);
    expect(await running.samples('requests_total')).toHaveLength(1);
  });

  it('is not taken for one that is there, where a listener before has set others', async () => {
    const [old, next, newest] = await startBackends(reply(200), reply(200), reply(200));
    const own = quietProxy({ target: old.url });
    own.events.once('targets', () => own.setTargets(newest.url));
    const register = new Registry();
    collectMetrics(own, { register });

    own.setTargets(next.url);

    const text = await register.metrics();
    expect(text).toContain(`tiny_proxy_retries_total{proxy="default",backend="${newest.host}"} 0`);
    await register.metrics();
    expect(await register.metrics()).not.toContain(next.host);
  });

  it('is seen once more when its last attempt is over', async () => {
    const held = gate();
    const old = await startBackend(heldUntil(held.opened, reply(200)));
    const running = await startMetered({ target: old.url });
    const answer = get(running.url);
    await until(() => old.started === 1);
    running.proxy.setTargets([]);
    for (let i = 0; i < 3; i += 1) await running.register.metrics();
    expect(await running.register.metrics()).not.toContain(old.host);

    held.open();
    await answer;
    await idle(running);

    const labels = { proxy, backend: old.host, outcome: '200' };
    expect(await running.samples('attempts_total')).toEqual([[labels, 1]]);
    await running.register.metrics();
    expect(await running.register.metrics()).not.toContain(old.host);
  });

  it('goes on where it was, when it comes back before that', async () => {
    const backend = await startBackend(reply(200));
    const running = await startMetered({ target: backend.url });
    await get(running.url);
    await idle(running);

    running.proxy.setTargets([]);
    running.proxy.setTargets(backend.url);
    for (let i = 0; i < 3; i += 1) await running.register.metrics();

    const labels = { proxy, backend: backend.host, outcome: '200' };
    expect(await running.samples('attempts_total')).toEqual([[labels, 1]]);
  });

  it('leaves no series where nobody scrapes', async () => {
    const running = await startMetered({ target: 'http://10.0.0.1' });
    for (let i = 0; i < 1000; i += 1) running.proxy.setTargets(`http://10.0.0.2:${1000 + i}`);

    expect((await running.samples('retries_total')).length).toBeLessThan(200);
  });
});

it('backend_healthy is 0 for one that setHealthy() has said so of', async () => {
  const [one, two] = await startBackends(reply(200), reply(200));
  const running = await startMetered({ target: [one.url, two.url] });

  running.proxy.setHealthy(one.url, false);

  expect(await running.samples('backend_healthy')).toEqual([
    [{ proxy, backend: one.host }, 0],
    [{ proxy, backend: two.host }, 1],
  ]);
});
