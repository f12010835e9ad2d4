// discover(): the backends of a proxy as a source has them.
import { runInThisContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type DiscoveredTarget,
  discover,
  fromDns,
  fromSrv,
  type Source,
} from '../src/discovery/index.js';
import { heldUntil, reply, resetConnection, startBackends } from './support/backend.js';
import { NOBODY, startDiscovered } from './support/discovered.js';
import { expectNothingBut, openHandles } from './support/handles.js';
import { get, quietProxy, startProxyWith } from './support/proxy.js';
import { unshowable, wordless } from './support/unshowable.js';
import { gate, until } from './support/wait.js';

const [A, B, C] = ['http://10.0.0.1:8081', 'http://10.0.0.2:8081', 'http://10.0.0.3:8081'] as const;

// A test's own `process` is jest's copy; src's is, too.
const realProcess = runInThisContext('process') as NodeJS.Process;
const warnings: string[] = [];
const onWarning = (warning: Error & { code?: string }): void => {
  if (warning.code === 'TINY_PROXY_DISCOVERY') warnings.push(warning.message);
};
beforeEach(() => {
  warnings.length = 0;
  realProcess.on('warning', onWarning);
});
afterEach(() => void realProcess.off('warning', onWarning));

describe('discover', () => {
  it('has the backends of its source in force, from the first look on', async () => {
    const [one, two] = await startBackends(reply(200, 'one'), reply(200, 'two'));
    let list = [one.url];
    const { url, urls, discovery } = await startDiscovered(() => list);
    expect((await get(url)).text).toBe('one');

    list = [two.url];
    await discovery.refresh();

    expect(urls()).toEqual([two.url]);
    expect((await get(url)).text).toBe('two');
  });

  it('looks again by itself, and no sooner than its jitter allows', async () => {
    const looks: number[] = [];
    await startDiscovered(
      async () => {
        looks.push(performance.now());
        return [A];
      },
      { refresh: 40, jitter: 0.5 },
    );

    await until(() => looks.length > 5);

    const waits = looks.slice(1).map((look, i) => look - looks[i]!);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(18);
    expect(new Set(waits.map(Math.round)).size).toBeGreaterThan(1);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      'throws',
      () => {
        throw new Error('no answer from consul');
      },
      /^no answer from consul$/,
    ],
    [
      'rejects',
      async () => {
        throw new Error('ECONNREFUSED');
      },
      /^ECONNREFUSED$/,
    ],
    [
      'throws no Error',
      async () => {
        throw 'nothing';
      },
      /'nothing'/,
    ],
    [
      'throws an Error without words',
      () => {
        throw Object.assign(new Error(), { message: Symbol('why') });
      },
      /Symbol\(why\)/,
    ],
    [
      'throws what cannot even be shown',
      () => {
        throw unshowable();
      },
      /^what cannot be told$/,
    ],
    [
      'throws an Error whose words cannot be told',
      () => {
        throw wordless();
      },
      /^what cannot be told$/,
    ],
    ['is empty', () => [], /^the answer is empty$/],
    ['is nonsense', () => 'nonsense', /must be a list such as .*; got 'nonsense'/],
    ['is undefined', () => undefined, /got undefined/],
    [
      'has a wrong URL',
      () => [B, 'ftp://10.0.0.9'],
      /"target" must be a URL .*'ftp:\/\/10\.0\.0\.9'/,
    ],
    ['has a wrong priority', () => [{ url: B, priority: -1 }], /priority must be .*; got -1/],
    ['has nothing in it', () => [null], /"target" must be a URL .*; got null/],
    ['has an unknown member', () => [{ url: B, prio: 1 }], /unknown option "target.prio"/],
  ])(
    'keeps the last good list where the answer %s, and says so once',
    async (_what, bad, message) => {
      let answer: () => unknown = () => [A];
      const source = (() => answer()) as Source;
      const { urls, discovery, told } = await startDiscovered(source);

      answer = bad;
      for (let i = 0; i < 3; i += 1) await discovery.refresh();
      expect(urls()).toEqual([A]);
      expect(told).toEqual([expect.stringMatching(message)]);
      answer = () => [B];
      for (let i = 0; i < 2; i += 1) await discovery.refresh();
      expect(told).toEqual([expect.anything(), 'recovered']);
      expect(urls()).toEqual([B]);

      await until(() => warnings.length === 2);
      expect(warnings).toEqual([
        expect.stringMatching(/^discover: the last good list stays in force \(backends: 1\): /),
        'discover: the source answers again (backends: 1)',
      ]);
    },
  );

  it('gives a look up after its timeout, and does not hear its late answer', async () => {
    const held = gate();
    let aborted = false;
    const { urls, told, discovery } = await startDiscovered(
      async ({ signal }) => {
        signal.addEventListener('abort', () => {
          aborted = true;
        });
        await held.opened;
        return [A];
      },
      { timeout: 20 },
    );

    expect({ told, aborted }).toEqual({ told: ['no answer within 20 ms'], aborted: true });
    held.open();
    await until(() => discovery !== null);
    expect(urls()).toEqual([NOBODY]);
  });

  it('is not harmed by callbacks that throw', async () => {
    let fails = true;
    const { discovery, urls } = await startDiscovered(
      () => {
        if (fails) throw new Error('no');
        return [A];
      },
      {
        onError() {
          throw new Error('a bug');
        },
        onRecovery() {
          throw Object.assign(new Error(), { message: Symbol('a bug, too') });
        },
      },
    );
    fails = false;
    await discovery.refresh();

    expect(urls()).toEqual([A]);
    await until(() => warnings.length === 4);
    expect(warnings).toContain('discover: onRecovery threw: Error: Symbol(a bug, too)');
  });

  it('is not harmed by callbacks whose promises are rejected', async () => {
    let fails = true;
    const { discovery } = await startDiscovered(
      () => {
        if (fails) throw new Error('no');
        return [A];
      },
      { onError: () => Promise.reject('a bug'), onRecovery: () => Promise.reject(wordless()) },
    );
    fails = false;
    await discovery.refresh();

    await until(() => warnings.length === 4);
    expect(warnings).toContain("discover: onError threw: 'a bug'");
    expect(warnings).toContain('discover: onRecovery threw: what cannot be told');
  });

  it('looks once at a time', async () => {
    const held = gate();
    let looks = 0;
    const { proxy } = await startProxyWith({ target: NOBODY });
    const discovery = discover(proxy, async () => {
      looks += 1;
      await held.opened;
      return [A];
    });
    const refreshes = [discovery.refresh(), discovery.refresh()];

    held.open();
    await Promise.all(refreshes);
    expect(looks).toBe(1);
    discovery.close();
  });
});

it('a backend that is listed more than once counts once, as it is listed first', async () => {
  const name = 'http://orders.internal:8081';
  const { proxy, told } = await startDiscovered(() => [
    { url: A, weight: 2 },
    `${A}/`,
    { url: name, address: 'fd00::7' },
    { url: name, address: 'FD00:0::7', weight: 3 },
    { socketPath: '/run/app.sock' },
    { socketPath: '/run/app.sock', priority: 1 },
    { url: 'http://localhost', socketPath: '/run/app.sock' },
    { url: A, address: '10.0.0.1' },
  ]);

  expect(told).toEqual([]);
  expect(proxy.status().backends.map(({ url, weight }) => [url, weight])).toEqual([
    [A, 2],
    ['http://[fd00::7]:8081#orders.internal', 1],
    ['unix:/run/app.sock', 1],
  ]);
});

describe('it ends', () => {
  it.each(['close()', "the proxy's close()"])(
    'by %s: no look follows, and no handle is left',
    async (how) => {
      const handles = openHandles();
      const proxy = quietProxy({ target: NOBODY });
      const before = proxy.events.eventNames();
      let looks = 0;
      const discovery = discover(
        proxy,
        () => {
          looks += 1;
          return [A];
        },
        { refresh: 1 },
      );
      await until(() => looks > 2);

      if (how === 'close()') discovery.close();
      else await proxy.close();
      const seen = looks;
      await discovery.refresh();

      expect(looks).toBe(seen);
      expect(proxy.events.eventNames()).toEqual(before);
      await expectNothingBut(handles);
      discovery.close();
    },
  );

  it('while it looks: what comes then is not heard', async () => {
    const held = gate();
    const proxy = quietProxy({ target: NOBODY });
    let aborted = false;
    const discovery = discover(proxy, async ({ signal }) => {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      await held.opened;
      return [A];
    });
    const refreshed = discovery.refresh();
    await until(() => discovery !== null);

    discovery.close();
    held.open();
    await refreshed;

    expect(aborted).toBe(true);
    expect(proxy.status().backends).toMatchObject([{ url: NOBODY }]);
    expect(warnings).toEqual([]);
  });

  it('and lets another source begin; two at a time are refused', async () => {
    const proxy = quietProxy({ target: NOBODY });
    const first = discover(proxy, () => [A]);
    expect(() => discover(proxy, () => [B])).toThrow('the proxy has a source already');

    first.close();
    const second = discover(proxy, () => [B]);
    await second.refresh();

    expect(proxy.status().backends).toMatchObject([{ url: B }]);
    second.close();
  });
});

describe('priorities', () => {
  const list = [
    { url: B, priority: 20 },
    { url: A, priority: 10 },
    { url: C, priority: 30 },
  ];

  it('are all looked at: what is wrong in one that is not in force does not wait to be found', async () => {
    let answer: DiscoveredTarget[] = list;
    const { urls, proxy, told, discovery } = await startDiscovered(() => answer);

    answer = [...list, { url: 'ftp://10.0.0.9', priority: 20 }];
    await discovery.refresh();
    expect(told).toEqual([expect.stringContaining("got 'ftp://10.0.0.9'")]);
    proxy.setHealthy(A, false);

    expect(urls()).toEqual([A, B]);
  });

  it('have the lowest in force, whatever the order', async () => {
    const { urls } = await startDiscovered(() => list);

    expect(urls()).toEqual([A]);
  });

  it('let the next join when none of the lowest is available, and go when one is again', async () => {
    const { urls, proxy } = await startDiscovered(() => list);

    proxy.setHealthy(A, false);
    expect(urls()).toEqual([A, B]);
    proxy.setHealthy(B, false);
    expect(urls()).toEqual([A, B, C]);
    proxy.setHealthy(B, true);
    expect(urls()).toEqual([A, B]);
    proxy.setHealthy(A, true);
    expect(urls()).toEqual([A]);
  });

  it('heed drains at the next look', async () => {
    const { urls, proxy, discovery } = await startDiscovered(() => list);

    const undrain = proxy.drain(A);
    await discovery.refresh();
    expect(urls()).toEqual([A, B]);
    undrain();
    await discovery.refresh();

    expect(urls()).toEqual([A]);
  });

  it('heed what a listener says of a backend as soon as it hears of it', async () => {
    let answer: DiscoveredTarget[] = [{ url: C }];
    const { urls, proxy, discovery } = await startDiscovered(() => answer);
    answer = list;
    proxy.events.once('targets', ({ added }) => {
      for (const each of added) proxy.setHealthy(each, false);
    });

    await discovery.refresh();

    expect(urls()).toEqual([A, B]);
  });

  it('go by breakers; a refresh changes nothing', async () => {
    const [sick, well] = await startBackends(resetConnection(), reply(200, 'well'));
    const { url, urls, proxy, discovery } = await startDiscovered(
      () => [sick.url, { url: well.url, priority: 1 }],
      {},
      { breaker: { failures: 1, cooldown: 50 }, retry: { budget: false } },
    );

    expect((await get(url)).status).toBe(502);
    await until(() => urls().length === 2);
    expect((await get(url)).text).toBe('well');
    await discovery.refresh();
    expect(urls()).toEqual([sick.url, well.url]);

    const held = gate();
    sick.answerWith(heldUntil(held.opened, reply(200, 'sick no more')));
    await until(() => proxy.status().backends[0]?.breaker === 'half-open');
    const asked = [get(url), get(url)]; // one of them is the probe
    await until(() => sick.started === 2);
    expect(urls()).toEqual([sick.url, well.url]);
    expect((await get(url)).text).toBe('well');
    held.open();
    await Promise.all(asked);
    while (urls().length > 1) await get(url);
    expect((await get(url)).text).toBe('sick no more');
  });
});

describe('a wrong argument', () => {
  const proxy = quietProxy({ target: A });
  const source: Source = () => [A];
  it.each<[() => unknown, string]>([
    [
      () => discover({} as never, source),
      'the first argument must be a proxy that tinyProxy() has made; got {}',
    ],
    [
      () => discover(proxy, A as never),
      `the second argument must be a source such as fromDns('http://orders.internal:8081'), or a function; got '${A}'`,
    ],
    [() => discover(proxy, source, null as never), 'the options must be an object; got null'],
    [
      () => discover(proxy, source, { refresh: 0 }),
      'option "refresh" must be milliseconds from 1 to 2147483647, for example 10000; got 0',
    ],
    [
      () => discover(proxy, source, { jitter: 2 }),
      'option "jitter" must be a share from 0 to 1, for example 0.1; got 2',
    ],
    [
      () => discover(proxy, source, { timeout: '5s' as never }),
      `option "timeout" must be milliseconds from 1 to 2147483647, for example 10000; got '5s'`,
    ],
    [
      () => discover(proxy, source, { onError: 1 as never }),
      'option "onError" must be a function (error) => {}; got 1',
    ],
    [
      () => discover(proxy, source, { interval: 1 } as never),
      'unknown option "interval" (1); try "refresh", "jitter"',
    ],
    [
      () => fromDns('orders.internal'),
      "must be a URL with a host name, for example 'http://orders.internal:8081'; got 'orders.internal'",
    ],
    [() => fromDns('http://10.0.0.7:8081'), "got 'http://10.0.0.7:8081'"],
    [() => fromDns('http://[::1]:8081'), "got 'http://[::1]:8081'"],
    [() => fromDns('ftp://orders.internal'), "got 'ftp://orders.internal'"],
    [() => fromDns('http://orders.internal:0'), "got 'http://orders.internal:0'"],
    [() => fromDns('http://orders.internal/#a'), "got 'http://orders.internal/#a'"],
    [() => fromDns('http://u:secret@orders.internal'), "got 'http://...@orders.internal'"],
    [() => fromDns('http://u@orders.internal'), "got 'http://...@orders.internal'"],
    [
      () => fromDns('http://orders.internal', { family: 5 as never }),
      'option "family" must be 0, 4 or 6; got 5',
    ],
    [
      () => fromDns('http://orders.internal', { resolver: {} as never }),
      'option "resolver" must be a resolver such as new dns.promises.Resolver(); got {}',
    ],
    [
      () => fromSrv('orders'),
      "fromSrv: the first argument must be the name of SRV records, for example '_http._tcp.orders.internal'; got 'orders'",
    ],
    [
      () => fromSrv('_http._tcp.o.internal', { protocol: 'ftp' as never }),
      `option "protocol" must be 'http' or 'https'; got 'ftp'`,
    ],
    [
      () => fromSrv('_http._tcp.o.internal', { path: 'base' }),
      `option "path" must be a path such as '/base'; got 'base'`,
    ],
    [() => fromSrv('_http._tcp.o.internal', { path: '/base#a' }), "got '/base#a'"],
  ])('%p: a TypeError says so', (call, message) => {
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
  });
});
