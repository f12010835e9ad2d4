// What makes no status page, and what pages cost their proxies: one listener an event.
import { describe, expect, it } from '@jest/globals';
import { statusPage } from '../src/status-page/index.js';
import { reply, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy } from './support/proxy.js';
import { pageOf } from './support/status-page.js';
import { until } from './support/wait.js';

const proxy = quietProxy({ target: 'http://10.0.0.1' });

describe('what makes no page is refused', () => {
  const page = (first: unknown, options: unknown) => () =>
    statusPage(first as never, options as never);
  const access = 'loopback';

  it.each<[string, () => unknown, RegExp]>([
    [
      'no proxy',
      page({ status: 1 }, { access }),
      /first argument must be a proxy .*\{ orders, users \}; got \{ status: 1 \}/,
    ],
    ['null', page(null, { access }), /first argument .*; got null/],
    ['an empty object', page({}, { access }), /first argument .*; got \{\}/],
    ['a list', page([proxy], { access }), /first argument .*several by name/],
    ['a proxy without a name', page({ '': proxy }, { access }), /first argument/],
    ['one that is none among others', page({ proxy, other: {} }, { access }), /first argument/],
    [
      'no options',
      page(proxy, undefined),
      /second argument .*\{ access: 'loopback' \}; got undefined/,
    ],
    [
      'no decision who may see it',
      page(proxy, {}),
      /"access" must be the decision who may see the page: 'loopback', or a function such as \(req\) => .*; got undefined/,
    ],
    ['access for all', page(proxy, { access: true }), /"access".*; got true/],
    [
      'another word',
      page(proxy, { access: 'localhost' }),
      /"access".*'loopback'.*; got 'localhost'/,
    ],
    [
      'actions that are no boolean',
      page(proxy, { access, actions: ['drain'] }),
      /"actions" must be true or false; got \[ 'drain' \]/,
    ],
    [
      'an unknown option',
      page(proxy, { access, title: 'x' }),
      /unknown option "title" \('x'\); try "access", "actions"/,
    ],
  ])('%s', (_what, make, message) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
    expect(proxy.events.eventNames()).toEqual([]);
  });
});

describe('pages of one proxy', () => {
  it('share its listeners, which go with the last page', () => {
    const own = quietProxy({ target: 'http://10.0.0.1:8081' });
    const pages = Array.from({ length: 20 }, () => pageOf(own));

    const counts = own.events.eventNames().map((event) => own.events.listenerCount(event));
    expect([...new Set(counts)]).toEqual([1]);
    for (const page of pages.slice(1)) page.close();
    expect(own.events.eventNames()).not.toEqual([]);
    pages[0]?.close();
    expect(own.events.eventNames()).toEqual([]);
  });

  it('may come again, and begin anew', async () => {
    const backend = await startBackend(reply(200));
    const own = quietProxy({ target: backend.url });
    const [first, second] = [pageOf(own), () => pageOf(own)];
    const { url } = await startProxy((app) => app.use(own));
    await get(url);
    await until(() => own.status().inFlight === 0);

    first.close();
    const { url: at } = await startProxy((app) => app.use(second()));

    const { exchanges, proxies } = JSON.parse((await get(`${at}/status.json`)).text);
    expect(exchanges).toEqual([]);
    expect(proxies).toMatchObject([{ requests: 1 }]);
    expect(own.events.eventNames()).not.toEqual([]);
  });

  it('that stand in one app twice show the same', async () => {
    const { url } = await startProxy((app) => {
      app.use('/a', pageOf(proxy));
      app.use('/b', pageOf({ named: proxy }));
    });

    for (const path of ['/a/', '/b/']) expect((await get(url + path)).status).toBe(200);
  });
});

it('listeners go when the proxy closes', async () => {
  const closing = quietProxy({ target: 'http://10.0.0.1' });
  pageOf(closing);

  await closing.close();

  expect(closing.events.eventNames()).toEqual([]);
});
