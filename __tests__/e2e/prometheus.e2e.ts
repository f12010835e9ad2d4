// Debian's Prometheus scrapes an app with a proxy, and answers queries about it.
import { spawnSync } from 'node:child_process';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import type { TinyProxyOptions } from '../../src/index.js';
import { collectMetrics } from '../../src/metrics/index.js';
import { type Backend, hang, reply, startBackends } from '../support/backend.js';
import { get, open, quietProxy, startProxy } from '../support/proxy.js';
import { type Prometheus, startPrometheus } from './support/prometheus.js';

const name = 'orders';

/** An app with a proxy below `/api`, and its metrics at `/metrics`. */
async function startApp(options: TinyProxyOptions) {
  const proxy = quietProxy(options);
  const register = new Registry();
  collectMetrics(proxy, { register, name });
  const { url, port } = await startProxy((app) => {
    app.get('/metrics', async (_req, res) => {
      res.type(register.contentType).send(await register.metrics());
    });
    app.use('/api', proxy);
  });
  return { url: `${url}/api`, port, proxy, register };
}

describe('Prometheus', () => {
  let sick: Backend;
  let well: Backend;
  let app: Awaited<ReturnType<typeof startApp>>;
  let prometheus: Prometheus;
  beforeEach(async () => {
    [sick, well] = await startBackends(reply(200), reply(200));
    app = await startApp({
      target: [sick.url, well.url],
      breaker: { failures: 3, cooldown: 1000 },
      retry: { budget: { ratio: 0, minPerSecond: 1000 } },
    });
    prometheus = await startPrometheus(app.port);
    await prometheus.untilIs('up', 1);
    await prometheus.untilIs(`tiny_proxy_breaker_opens_total{backend="${sick.host}"}`, 0);
  });

  it('tells requests, retries, failures by cause, and how long it took', async () => {
    sick.answerWith(reply(503));

    for (let i = 0; i < 4; i += 1) await get(app.url);
    await get(app.url, { method: 'POST' });

    await prometheus.untilIs('sum(tiny_proxy_requests_total)', 5);
    const retries = app.proxy.status().retries;
    await prometheus.untilIs('sum(tiny_proxy_retries_total)', retries);
    const { query } = prometheus;
    const proxy = name;
    const failed = { proxy, backend: sick.host, cause: '503' };
    const { failures } = app.proxy.status().backends[0]!;
    expect(await query('tiny_proxy_failures_total')).toEqual([{ labels: failed, value: failures }]);
    expect(await query('sum by (method) (tiny_proxy_requests_total)')).toEqual(
      expect.arrayContaining([
        { labels: { method: 'GET' }, value: 4 },
        { labels: { method: 'POST' }, value: 1 },
      ]),
    );
    const p50 = 'histogram_quantile(0.5, sum by (le) (tiny_proxy_attempt_duration_seconds_bucket))';
    const [{ value: seconds } = { value: 0 }] = await query(p50);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(1);
    expect(await query('sum(tiny_proxy_attempt_duration_seconds_count)')).toEqual([
      { labels: {}, value: 5 + retries },
    ]);
    const [{ value: left } = { value: -1 }] = await query('tiny_proxy_retry_budget_left');
    expect(left).toBeLessThanOrEqual(1000);
    expect(left).toBeGreaterThan(0);
  });

  it('sees a breaker open, and close when its probe is well', async () => {
    const state = (is: string): string =>
      `tiny_proxy_breaker_state{backend="${sick.host}", state="${is}"}`;
    await prometheus.untilIs(state('closed'), 1);
    sick.answerWith(reply(500));

    while (app.proxy.status().backends[0]?.breaker === 'closed') await get(app.url);
    await prometheus.untilIs(state('open'), 1);
    expect(await prometheus.query(state('closed'))).toMatchObject([{ value: 0 }]);
    // Seen from 0 on, so that it is an increase.
    await prometheus.untilIs(
      `increase(tiny_proxy_breaker_opens_total{backend="${sick.host}"}[1m]) > bool 0`,
      1,
    );

    sick.answerWith(reply(200));
    await prometheus.untilIs(state('half-open'), 1);
    while (app.proxy.status().backends[0]?.breaker !== 'closed') await get(app.url);
    await prometheus.untilIs(state('closed'), 1);
  });

  it('sees what is in flight, and a drain', async () => {
    for (const backend of [sick, well]) backend.answerWith(hang());
    app.proxy.drain(sick.url);

    const requests = [open(app.url), open(app.url)];
    await prometheus.untilIs('tiny_proxy_requests_in_flight', 2);
    await prometheus.untilIs(`tiny_proxy_attempts_in_flight{backend="${well.host}"}`, 2);
    await prometheus.untilIs(`tiny_proxy_backend_drained{backend="${sick.host}"}`, 1);
    for (const { request } of requests) request.destroy();

    await prometheus.untilIs('tiny_proxy_requests_in_flight', 0);
    await prometheus.untilIs('tiny_proxy_requests_total{status="none"}', 2);
  });
});

it('promtool check metrics has nothing to say against the names and types', async () => {
  const [backend] = await startBackends(reply(500));
  const app = await startApp({ target: backend.url, breaker: { failures: 1 } });
  for (const method of ['GET', 'POST']) await get(app.url, { method });

  const input = await app.register.metrics();
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input });

  expect(input).toContain('tiny_proxy_no_retry_total{proxy="orders",reason=');
  expect([status, String(stdout), String(stderr)]).toEqual([0, '', '']);
});
