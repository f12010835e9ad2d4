// The register of the metrics: several proxies on one, taking them off again, and what is refused.
import { describe, expect, it } from '@jest/globals';
import { Counter, type OpenMetricsContentType, Registry } from 'prom-client';
import { collectMetrics, type MetricsOptions } from '../src/metrics/index.js';
import { reply, startBackend } from './support/backend.js';
import { idle, startMetered } from './support/metered.js';
import { get, quietProxy, startProxyWith } from './support/proxy.js';
import { samplesOf, scrape } from './support/samples.js';

/** Two proxies on one register. */
async function startTwo() {
  const { url: target } = await startBackend(reply(200));
  const [orders, users] = [await startProxyWith({ target }), await startProxyWith({ target })];
  const register = new Registry();
  const stops = {
    orders: collectMetrics(orders.proxy, { register, name: 'orders' }),
    users: collectMetrics(users.proxy, { register, name: 'users' }),
  };
  return { orders, users, register, stops };
}

const requestsOf = async (register: Registry): Promise<[string | undefined, number][]> =>
  (await scrape(register, 'tiny_proxy_requests_total')).map(([{ proxy }, value]) => [proxy, value]);

/** The values of the label `proxy`. */
const proxiesOf = async (register: Registry): Promise<string[]> => [
  ...new Set(
    [...(await register.metrics()).matchAll(/proxy="(\w+)"/g)].map(([, name = '']) => name),
  ),
];

describe('several proxies on one register', () => {
  it('are told apart by their names', async () => {
    const { orders, users, register } = await startTwo();

    for (const { url } of [orders, orders, users]) await get(url);
    await Promise.all([idle(orders), idle(users)]);

    expect(await requestsOf(register)).toEqual([
      ['orders', 2],
      ['users', 1],
    ]);
    expect(await scrape(register, 'tiny_proxy_requests_in_flight')).toEqual([
      [{ proxy: 'orders' }, 0],
      [{ proxy: 'users' }, 0],
    ]);
  });

  it('may leave one by one: with the last, the metrics are off the register', async () => {
    const { orders, users, register, stops } = await startTwo();
    for (const { url } of [orders, users]) await get(url);
    await Promise.all([idle(orders), idle(users)]);

    stops.orders();
    stops.orders();
    for (const { url } of [orders, users]) await get(url);
    await Promise.all([idle(orders), idle(users)]);

    expect(orders.proxy.events.eventNames()).toEqual([]);
    expect(await proxiesOf(register)).toEqual(['users']);
    expect(await requestsOf(register)).toEqual([['users', 2]]);
    stops.users();
    expect(users.proxy.events.eventNames()).toEqual([]);
    expect(register.getMetricsAsArray()).toEqual([]);
  });

  it('may come again under the same name, from 0', async () => {
    const { orders, register, stops } = await startTwo();
    await get(orders.url);
    await idle(orders);

    stops.orders();
    collectMetrics(orders.proxy, { register, name: 'orders' });
    await get(orders.url);
    await idle(orders);

    expect(await requestsOf(register)).toEqual([['orders', 1]]);
  });
});

describe('a register', () => {
  it('may have other metrics, which stay', async () => {
    const { register, stop } = await startMetered({ target: 'http://10.0.0.1' });
    const own = new Counter({ name: 'own_total', help: 'Own.', registers: [register] });

    stop();

    expect(register.getMetricsAsArray()).toEqual([own]);
  });

  it('that was cleared has them again when they are asked for', async () => {
    const { proxy, url, register, stop } = await startMetered({
      target: (await startBackend(reply(200))).url,
    });
    register.clear();

    const again = collectMetrics(proxy, { register });
    await get(url);
    await idle({ proxy });

    expect(await requestsOf(register)).toEqual([['default', 1]]);
    stop();
    expect(await requestsOf(register)).toEqual([['default', 1]]);
    again();
    expect(register.getMetricsAsArray()).toEqual([]);
    expect(proxy.events.eventNames()).toEqual([]);
  });

  it('may be of the OpenMetrics format', async () => {
    const { url: target } = await startBackend(reply(200));
    const running = await startProxyWith({ target });
    const register = new Registry<OpenMetricsContentType>();
    register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const stop = collectMetrics(running.proxy, { register });

    await get(running.url);
    await idle(running);

    const text = await register.metrics();
    expect(text).toMatch(/^# EOF$/m);
    expect(samplesOf(text, 'tiny_proxy_requests_total')).toHaveLength(1);
    stop();
    expect(register.getMetricsAsArray()).toEqual([]);
  });
});

describe('what cannot be collected is refused', () => {
  const proxy = quietProxy({ target: 'http://10.0.0.1' });
  const register = new Registry();
  const collect = (options: object, first: object = proxy) =>
    collectMetrics(first as never, options as never);

  it.each<[string, () => unknown, RegExp]>([
    [
      'no proxy',
      () => collect({ register }, {}),
      /first argument must be a proxy that tinyProxy\(\) has made; got \{\}/,
    ],
    [
      'no options',
      () => collectMetrics(proxy, null as never),
      /second argument .*\{ register \}; got null/,
    ],
    [
      'no register',
      () => collect({}),
      /"register" must be a Registry of prom-client.*; got undefined/,
    ],
    ['a register that is none', () => collect({ register: {} }), /"register".*; got \{\}/],
    [
      'an unknown option',
      () => collect({ register, label: 1 }),
      /unknown option "label" \(1\); try "register", "prefix"/,
    ],
    ['an empty name', () => collect({ register, name: '' }), /"name".*'orders'; got ''/],
    [
      'a prefix of other characters',
      () => collect({ register, prefix: 'tiny-' }),
      /"prefix".*'tiny_proxy_'; got 'tiny-'/,
    ],
    [
      'no buckets',
      () => collect({ register, buckets: [] }),
      /"buckets".*\[0.01, 0.1, 1, 10\]; got \[\]/,
    ],
    [
      'buckets that do not ascend',
      () => collect({ register, buckets: [1, 1] }),
      /"buckets".*; got \[ 1, 1 \]/,
    ],
    ['buckets that are no numbers', () => collect({ register, buckets: ['1'] }), /"buckets"/],
  ])('%s', (_what, make, message) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
    expect(register.getMetricsAsArray()).toEqual([]);
    expect(proxy.events.eventNames()).toEqual([]);
  });

  it('a name that another proxy of the register has, and other buckets than its', async () => {
    const { register, proxy: first } = await startMetered({ target: 'http://10.0.0.1' });
    const collect = (options: Partial<MetricsOptions>) => () =>
      collectMetrics(proxy, { register, ...options });

    expect(collect({})).toThrow(/"name" must be another.*'orders'; got 'default' again/);
    expect(collect({ name: 'b', buckets: [1] })).toThrow(
      /"buckets" must be the same.*\[0.001,.*,60\]; got \[1\]/,
    );
    expect(await proxiesOf(register)).toEqual(['default']);
    expect(proxy.events.eventNames()).toEqual([]);
    expect(first.events.eventNames()).not.toEqual([]);
  });

  it('names that somebody else has on the register: then it gets none of ours', async () => {
    const register = new Registry();
    const name = 'edge_retries_total';
    const theirs = new Counter({ name, help: 'Theirs.', registers: [register] });

    expect(() => collectMetrics(proxy, { register, prefix: 'edge_' })).toThrow(
      /"prefix" must be another.*got 'edge_', and there is edge_retries_total/,
    );

    expect(register.getMetricsAsArray()).toEqual([theirs]);
    expect(proxy.events.eventNames()).toEqual([]);
  });
});
