// checkHealth(): each backend is asked whether it is well, and the proxy told.
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { checkHealth, type HealthOptions } from '../src/health/index.js';
import type { TinyProxyOptions } from '../src/index.js';
import {
  type Backend,
  controlled,
  type Handler,
  hang,
  reply,
  resetConnection,
  startBackend,
  streamForever,
} from './support/backend.js';
import { impostorCertificate } from './support/certificates.js';
import { closeAfterTest } from './support/cleanup.js';
import { expectNothingBut, openHandles } from './support/handles.js';
import { get, quietProxy, type RunningProxy, startProxyWith } from './support/proxy.js';
import { blackHole, refusedUrl } from './support/raw.js';
import { unshowable } from './support/unshowable.js';
import { until } from './support/wait.js';

const QUICK = { path: '/healthz', interval: 5, rise: 2, fall: 3 };

/** A backend whose health is in the hands of the test; all else it answers with its name. */
class Sickly {
  health: Handler = reply(200);
  /** How often it was asked. */
  checks = 0;
  readonly handler: Handler;

  constructor(readonly name: string) {
    this.handler = (request, response, body) => {
      if (request.url !== '/healthz') return reply(200, name)(request, response, body);
      this.checks += 1;
      return this.health(request, response, body);
    };
  }
}

interface Ward extends RunningProxy {
  sickly: Sickly[];
  backends: Backend[];
  stop(): void;
  /** By their names. */
  healthy(): string[];
}

/** A proxy in front of so many of them, and its checks. */
async function startWard(
  count: number,
  options: Partial<HealthOptions> = {},
  proxyOptions: Partial<TinyProxyOptions> = {},
): Promise<Ward> {
  const sickly = Array.from({ length: count }, (_, i) => new Sickly(String(i)));
  const backends = await Promise.all(sickly.map(({ handler }) => startBackend(handler)));
  const target = backends.map(({ url }) => url);
  const running = await startProxyWith({ target, ...proxyOptions }, { captureLog: true });
  const stop = checkHealth(running.proxy, { ...QUICK, ...options });
  const healthy = (): string[] => {
    const all = running.proxy.status().backends;
    return sickly.map(({ name }) => name).filter((_, i) => all[i]?.healthy);
  };
  return { ...running, sickly, backends, stop, healthy };
}

describe('a backend', () => {
  it('is left out after so many failed checks, and is back after so many good ones', async () => {
    const { url, sickly, healthy, log, proxy } = await startWard(2);
    const told: unknown[] = [];
    proxy.events.on('unhealthy', (event) => told.push(event));
    proxy.events.on('healthy', (event) => told.push(event));
    const [sick] = sickly as [Sickly];
    await until(() => sickly.every(({ checks }) => checks > 3));
    expect(healthy()).toEqual(['0', '1']);

    sick.health = reply(503);
    await until(() => healthy().length === 1);
    for (let i = 0; i < 4; i += 1) expect((await get(url)).text).toBe('1');
    sick.health = reply(204);
    await until(() => healthy().length === 2);

    const target = proxy.status().backends[0]!.url;
    const backend = target.slice('http://'.length);
    expect(told).toEqual([
      { backend, target, reason: '3 checks in a row have failed: status 503' },
      { backend, target, reason: '2 checks in a row have succeeded' },
    ]);
    expect(log.filter((line) => line.includes('healthy'))).toEqual([
      `express-tiny-proxy unhealthy ${backend} left out as long as another may be tried: 3 checks in a row have failed: status 503`,
      `express-tiny-proxy healthy ${backend} may be tried again: 2 checks in a row have succeeded`,
    ]);
  });

  it('is not judged by fewer checks in a row than that', async () => {
    const { sickly, healthy, proxy } = await startWard(1, { rise: 2, fall: 3 });
    const [sick] = sickly as [Sickly];
    const changes: string[] = [];
    for (const event of ['unhealthy', 'healthy'] as const)
      proxy.events.on(event, () => changes.push(event));

    // Two fail, one succeeds, and so on; then one succeeds, one fails.
    sick.health = (...args) => reply(sick.checks % 3 === 0 ? 200 : 500)(...args);
    await until(() => sick.checks > 20);
    expect(changes).toEqual([]);
    sick.health = reply(500);
    await until(() => healthy().length === 0);
    sick.health = (...args) => reply(sick.checks % 2 === 0 ? 200 : 500)(...args);
    const { checks } = sick;
    await until(() => sick.checks > checks + 20);
    expect(changes).toEqual(['unhealthy']);
  });

  it.each<[string, Handler, Partial<HealthOptions>, string]>([
    ['hangs', hang(), { timeout: 20 }, 'no answer within 20 ms'],
    ['resets', resetConnection(), {}, 'ECONNRESET'],
    [
      'answers what is not expected',
      reply(200),
      { expect: (status) => status === 204 },
      'status 200',
    ],
    ['answers 400', reply(400), {}, 'status 400'],
    [
      'is asked with a bug',
      reply(200),
      {
        expect: () => {
          throw new TypeError('a bug');
        },
      },
      'expect threw: TypeError: a bug',
    ],
    [
      'is asked with a bug that has no words',
      reply(200),
      {
        expect: () => {
          throw Object.assign(new Error(), { message: Symbol('why') });
        },
      },
      'expect threw: Error: Symbol(why)',
    ],
    [
      'is asked with what cannot even be shown',
      reply(200),
      {
        expect: () => {
          throw unshowable();
        },
      },
      'expect threw: what cannot be told',
    ],
    [
      'is asked asynchronously',
      reply(200),
      { expect: (async () => true) as never },
      'expect threw: TypeError: it must not be async',
    ],
    [
      'is asked asynchronously, with a bug',
      reply(200),
      { expect: (() => Promise.reject(new Error('a bug'))) as never },
      'expect threw: TypeError: it must not be async',
    ],
  ])('is unhealthy when it %s', async (_what, health, options, reason) => {
    const { sickly, healthy, log } = await startWard(1, { fall: 1, ...options });
    sickly[0]!.health = health;

    await until(() => healthy().length === 0);

    expect(log[0]).toContain(`: the check has failed: ${reason}`);
  });

  it.each([
    ['refuses', refusedUrl, 'ECONNREFUSED'],
    ['cannot be reached', async () => (await blackHole()).url, 'no answer within 30 ms'],
  ])('is unhealthy when it %s', async (_what, urlOf, reason) => {
    const { proxy, log } = await startProxyWith({ target: await urlOf() }, { captureLog: true });
    checkHealth(proxy, { ...QUICK, fall: 1, timeout: 30 });

    await until(() => proxy.status().backends[0]?.healthy === false);

    expect(log[0]).toContain(reason);
  });

  it('is unhealthy, too, when its TLS options are none: a check cannot begin', async () => {
    const { proxy, log } = await startProxyWith(
      {
        target: (await refusedUrl()).replace('http:', 'https:'),
        ssl: { ALPNProtocols: ['x'.repeat(256)] } as never,
      },
      { captureLog: true },
    );
    checkHealth(proxy, { ...QUICK, fall: 2 });

    await until(() => proxy.status().backends[0]?.healthy === false);

    expect(log[0]).toContain('2 checks in a row have failed: ERR_OUT_OF_RANGE');
  });

  it('that is the last one is tried all the same: its breaker decides', async () => {
    const { url, sickly, healthy } = await startWard(2);
    for (const sick of sickly) sick.health = reply(500);
    await until(() => healthy().length === 0);

    const texts = await Promise.all([get(url), get(url), get(url), get(url)]);

    expect(texts.map(({ text }) => text).sort()).toEqual(['0', '0', '1', '1']);
  });

  it('goes without a single failed request, where it says so before it goes', async () => {
    const { url, sickly, healthy, backends, proxy } = await startWard(3);
    const statuses: number[] = [];
    let over = false;
    const clients = Array.from({ length: 20 }, async () => {
      while (!over) statuses.push((await get(url, { method: 'POST', body: 'x' })).status);
    });

    for (const [i, sick] of sickly.entries()) {
      sick.health = reply(503);
      await until(() => !healthy().includes(sick.name));
      const count = statuses.length;
      await until(() => statuses.length > count + 30);
      await until(() => proxy.status().backends[i]!.inFlight === 0);
      await backends[i]!.stop();
      await backends[i]!.restart();
      sick.health = reply(200);
      await until(() => healthy().length === 3);
    }
    over = true;
    await Promise.all(clients);

    expect(statuses.length).toBeGreaterThan(90);
    expect(new Set(statuses)).toEqual(new Set([200]));
  });
});

describe('a check', () => {
  it('is a GET of the path, with the name of the backend, by a connection of its own', async () => {
    const backend = await startBackend(reply(200));
    const { proxy } = await startProxyWith({ target: `${backend.url}/base` });
    const options = { path: '/healthz?deep=1', headers: { authorization: 'Bearer token' } };
    checkHealth(proxy, { ...QUICK, ...options });

    await until(() => backend.received.length >= 2);

    expect(backend.received[1]).toMatchObject({
      method: 'GET',
      url: '/healthz?deep=1',
      connection: 2,
      headers: {
        host: backend.host,
        connection: 'close',
        authorization: 'Bearer token',
        'user-agent': 'express-tiny-proxy',
      },
    });
    expect(proxy.status()).toMatchObject({ requests: 0, backends: [{ attempts: 0 }] });
  });

  it.each([
    ['impostor.example', true],
    ['orders.example', false],
  ])('goes by TLS to the address, and wants to see the certificate of %s: %p', async (name, is) => {
    const backend = await startBackend(reply(200), { tls: impostorCertificate });
    const { proxy, log } = await startProxyWith(
      {
        target: { url: `https://${name}:${backend.port}`, address: '127.0.0.1' },
        ssl: { ca: impostorCertificate.cert },
      },
      { captureLog: true },
    );
    checkHealth(proxy, { ...QUICK, fall: 1 });

    if (is) {
      await until(() => backend.received.length > 3);
      expect(backend.received[0]?.headers.host).toBe(`${name}:${backend.port}`);
      expect(log).toEqual([]);
      return;
    }
    await until(() => log.length === 1);
    expect(log[0]).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(backend.received).toEqual([]);
  });

  it('goes by a Unix socket', async () => {
    const socketPath = join(tmpdir(), `health-${process.pid}.sock`);
    const sick = new Sickly('unix');
    const backend = await startBackend(sick.handler);
    await new Promise<void>((resolve) => backend.server.close(() => resolve()));
    backend.server.listen(socketPath);
    closeAfterTest(() => void backend.server.close());
    const { proxy } = await startProxyWith({ target: { socketPath } });
    checkHealth(proxy, QUICK);

    await until(() => sick.checks > 2);
    sick.health = reply(500);

    await until(() => proxy.status().backends[0]?.healthy === false);
  });

  it.each([
    ['comes for ever', streamForever()],
    ['does not come', controlled().handler],
  ])('is over soon, where its body %s', async (_what, health) => {
    const { sickly, backends, healthy } = await startWard(1, { timeout: 30, interval: 10_000 });
    sickly[0]!.health = health;
    await until(() => sickly[0]!.checks === 1);

    await until(() => backends[0]!.openSockets() === 0);
    expect(healthy()).toEqual(['0']);
  });
});

describe('the checks', () => {
  it('have a default where an option is undefined', async () => {
    const unset = { timeout: undefined, rise: undefined, fall: undefined, headers: undefined };
    const options = { ...unset, expect: undefined } as unknown as Partial<HealthOptions>;
    const { sickly, healthy, log } = await startWard(1, options);
    sickly[0]!.health = reply(400);
    await until(() => healthy().length === 0);
    sickly[0]!.health = reply(399);
    await until(() => healthy().length === 1);

    expect(log).toEqual([
      expect.stringContaining('3 checks in a row have failed: status 400'),
      expect.stringContaining('2 checks in a row have succeeded'),
    ]);
  });

  it('wait for the default interval where it is undefined', async () => {
    const options = { interval: undefined } as unknown as Partial<HealthOptions>;
    const [rare, quick] = await Promise.all([startWard(1, options), startWard(1)]);
    await until(() => rare.sickly[0]!.checks > 0);
    const { checks } = quick.sickly[0]!;
    await until(() => quick.sickly[0]!.checks > checks + 20);

    expect(rare.sickly[0]!.checks).toBe(1);
  });

  it('follow setTargets()', async () => {
    const { proxy, sickly, backends } = await startWard(2);
    const [one, two] = backends as [Backend, Backend];
    proxy.setTargets(one.url);
    await until(() => sickly[0]!.checks > 2);
    const { checks } = sickly[1]!;
    await until(() => two.openSockets() === 0);

    sickly[1]!.health = reply(500);
    proxy.setTargets([one.url, two.url]);
    expect(proxy.status().backends[1]?.healthy).toBe(true);
    await until(() => proxy.status().backends[1]?.healthy === false);

    expect(sickly[1]!.checks).toBeGreaterThanOrEqual(checks + 3);
    proxy.setTargets([one.url]);
    await until(() => two.openSockets() === 0);
    const after = sickly[1]!.checks;
    const others = sickly[0]!.checks;
    await until(() => sickly[0]!.checks > others + 5);
    expect(sickly[1]!.checks).toBe(after);
  });

  it('are over when they are stopped, and all are healthy then', async () => {
    const { proxy, sickly, healthy, stop } = await startWard(2);
    sickly[0]!.health = reply(500);
    await until(() => healthy().length === 1);

    stop();
    expect(healthy()).toEqual(['0', '1']);
    stop();

    expect(proxy.events.eventNames()).toEqual([]);
  });

  it.each(['stopped', 'closed with the proxy'])(
    'leave nothing behind when they are %s',
    async (how) => {
      const { url: target } = await blackHole();
      const proxy = quietProxy({ target: [target, await refusedUrl()] });
      const handles = openHandles();
      const stop = checkHealth(proxy, { ...QUICK, timeout: 10_000 });
      await until(() => proxy.status().backends[1]?.healthy === false);

      if (how === 'stopped') stop();
      else await proxy.close();

      expect(proxy.events.eventNames()).toEqual([]);
      await expectNothingBut(handles);
    },
  );

  it('keep no handle open between two of them', async () => {
    const sick = new Sickly('0');
    const backend = await startBackend(sick.handler);
    const handles = openHandles();
    const proxy = quietProxy({ target: backend.url });
    checkHealth(proxy, { path: '/healthz', interval: 1000 });
    await until(() => sick.checks === 1);

    await expectNothingBut(handles);
  });
});

describe('a wrong argument', () => {
  const proxy = quietProxy({ target: 'http://10.0.0.1' });
  it.each<[unknown, string]>([
    [
      undefined,
      "the second argument must be an object such as { path: '/healthz' }; got undefined",
    ],
    [{}, `option "path" must be a path such as '/healthz'; got undefined`],
    [{ path: 'healthz' }, `option "path" must be a path such as '/healthz'; got 'healthz'`],
    [{ path: '/a b' }, "got '/a b'"],
    [
      { path: '/', interval: 0 },
      'option "interval" must be milliseconds from 1 to 2147483647, for example 2000; got 0',
    ],
    [
      { path: '/', timeout: Number.NaN },
      'option "timeout" must be milliseconds from 1 to 2147483647, for example 2000; got NaN',
    ],
    [{ path: '/', rise: 1.5 }, 'option "rise" must be a positive integer, for example 3; got 1.5'],
    [{ path: '/', fall: '3' }, `option "fall" must be a positive integer, for example 3; got '3'`],
    [
      { path: '/', expect: 200 },
      'option "expect" must be a function such as (status) => status === 200; got 200',
    ],
    [{ path: '/', headers: { 'a b': 'c' } }, 'option "headers" must be header values such as'],
    [{ path: '/', headers: { a: 1 } }, 'option "headers" must be header values such as'],
    [{ path: '/', port: 1 }, 'unknown option "port" (1); try "path", "interval"'],
  ])('%p: a TypeError says so', (options, message) => {
    expect(() => checkHealth(proxy, options as HealthOptions)).toThrow(TypeError);
    expect(() => checkHealth(proxy, options as HealthOptions)).toThrow(message);
  });

  it('a proxy that is checked already: two would undo each other', () => {
    const checked = quietProxy({ target: 'http://10.0.0.1' });
    const stop = checkHealth(checked, { path: '/' });
    expect(() => checkHealth(checked, { path: '/b' })).toThrow(
      new TypeError('checkHealth: the proxy is checked already; end those checks first'),
    );

    stop();
    const again = checkHealth(checked, { path: '/b' });
    stop(); // not those that are not its own
    expect(() => checkHealth(checked, { path: '/c' })).toThrow(TypeError);
    again();
  });

  it('a first one that is no proxy, too', () => {
    expect(() => checkHealth({} as never, { path: '/' })).toThrow(
      'checkHealth: the first argument must be a proxy that tinyProxy() has made; got {}',
    );
  });
});
