// Draining by the status page: what it does, what it leaves alone, and who may not ask for it.
import { describe, expect, it } from '@jest/globals';
import express from 'express';
import type { TinyProxyOptions } from '../src/index.js';
import { reply, startBackends } from './support/backend.js';
import { type ClientInit, get, quietProxy, startProxy } from './support/proxy.js';
import { pageOf, startPage } from './support/status-page.js';

const TARGET = 'http://10.0.0.1:8081';

type Headers = NonNullable<ClientInit['headers']>;

/** A page that may drain two backends. */
async function startDraining(options: Partial<TinyProxyOptions> = {}) {
  const backends = await startBackends(reply(200, 'a'), reply(200, 'b'));
  const target = backends.map(({ url }) => url);
  const running = await startPage({ target, ...options }, { actions: true }, (app) =>
    app.use(express.json(), express.urlencoded({ extended: true })),
  );
  const host = `127.0.0.1:${running.port}`;
  /** As the page asks. */
  const act = (action: string, url: string, headers: Headers = {}, proxy = 'proxy') => {
    const query = new URLSearchParams({ proxy, backend: url });
    return get(`${running.at}${action}?${query}`, {
      method: 'POST',
      headers: { 'Sec-Fetch-Site': 'same-origin', 'X-Status-Page-Action': action, ...headers },
    });
  };
  const drained = () => running.proxy.status().backends.map((backend) => backend.drained);
  return { ...running, backends, urls: target, host, act, drained };
}

describe('with actions: true', () => {
  it('a backend is drained, and put back', async () => {
    const { url, urls, act, drained, report } = await startDraining();

    expect((await act('drain', urls[0]!)).status).toBe(204);
    expect(drained()).toEqual([true, false]);
    for (let i = 0; i < 3; i += 1) expect((await get(url)).text).toBe('b');
    expect(await report()).toMatchObject({
      actions: true,
      proxies: [{ backends: [{ drainedHere: true }, { drainedHere: false }] }],
    });

    expect((await act('undrain', urls[0]!)).status).toBe(204);
    expect(drained()).toEqual([false, false]);
    const kinds = (await report()).incidents.map(({ kind }) => kind);
    expect(kinds).toEqual(['drain', 'undrain']);
  });

  it('a second drain is the same one', async () => {
    const { urls, act, drained } = await startDraining();

    for (let i = 0; i < 2; i += 1) expect((await act('drain', urls[0]!)).status).toBe(204);
    await act('undrain', urls[0]!);

    expect(drained()).toEqual([false, false]);
  });

  it('one that has left and come back is drained anew', async () => {
    const { at, proxy, report } = await startPage({ target: TARGET }, { actions: true });
    const drain = async (): Promise<number> => {
      const query = new URLSearchParams({ proxy: 'proxy', backend: TARGET });
      const headers = { 'X-Status-Page-Action': 'drain', 'Sec-Fetch-Site': 'same-origin' };
      return (await get(`${at}drain?${query}`, { method: 'POST', headers })).status;
    };
    expect(await drain()).toBe(204);

    proxy.setTargets([]);
    proxy.setTargets(TARGET);

    const [back] = (await report()).proxies[0]!.backends;
    expect(back).toMatchObject({ drained: false, drainedHere: false });
    expect(await drain()).toBe(204);
    expect(proxy.status().backends[0]?.drained).toBe(true);
  });

  it('what others have drained is left to them', async () => {
    const { urls, act, drained, proxy, report } = await startDraining();
    const undrain = proxy.drain(urls[1]!);

    expect((await act('undrain', urls[1]!)).status).toBe(409);
    await act('drain', urls[1]!);
    await act('undrain', urls[1]!);

    expect(drained()).toEqual([false, true]);
    expect((await report()).proxies[0]?.backends[1]?.drainedHere).toBe(false);
    undrain();
    expect(drained()).toEqual([false, false]);
  });

  it('page.close() puts back what the page has drained', async () => {
    const { urls, act, drained, page } = await startDraining();
    await act('drain', urls[0]!);

    page.close();

    expect(drained()).toEqual([false, false]);
    expect((await act('drain', urls[0]!)).status).toBe(404);
    expect(drained()).toEqual([false, false]);
  });

  it.each([
    ['backend', 'http://127.0.0.1:1', 'proxy'],
    ['backend', '', 'proxy'],
    ['proxy', '', 'other'],
    ['proxy', '', '__proto__'],
  ])('an unknown %s is 404', async (_what, url, proxy) => {
    const { act, drained, urls } = await startDraining();

    expect((await act('drain', url || (proxy === 'proxy' ? '' : urls[0]!), {}, proxy)).status).toBe(
      404,
    );
    expect(drained()).toEqual([false, false]);
  });

  it('a backend is known by its URL without the query, as the page shows it', async () => {
    const [backend] = await startBackends(reply(200));
    const target = [`${backend.url}/a?key=1`, `${backend.url}/a?key=2`];
    const { act, drained } = await startDraining({ target });

    expect((await act('drain', `${backend.url}/a`)).status).toBe(204);
    expect(drained()).toEqual([true, true]);
    await act('undrain', `${backend.url}/a`);
    expect(drained()).toEqual([false, false]);
  });

  it('one on a Unix socket, too, and one of several proxies', async () => {
    const orders = quietProxy({ target: 'http://10.0.0.1' });
    const users = quietProxy({ target: { socketPath: '/run/users.sock' } });
    const { url } = await startProxy((app) =>
      app.use('/_proxy', pageOf({ orders, users }, { actions: true })),
    );

    const query = 'proxy=users&backend=unix:/run/users.sock';
    const headers = { 'Sec-Fetch-Site': 'same-origin', 'X-Status-Page-Action': 'drain' };
    const { status } = await get(`${url}/_proxy/drain?${query}`, { method: 'POST', headers });

    expect(status).toBe(204);
    expect([orders, users].map((proxy) => proxy.status().backends[0]?.drained)).toEqual([
      false,
      true,
    ]);
  });
});

describe('a request for an action is refused', () => {
  const ask = async (headers: (host: string) => Headers, method = 'POST') => {
    const { at, urls, drained, host } = await startDraining();
    const query = new URLSearchParams({ proxy: 'proxy', backend: urls[0]! });
    const { status } = await get(`${at}drain?${query}`, { method, headers: headers(host) });
    return { status, drained: drained()[0] };
  };
  const ACTION = { 'X-Status-Page-Action': 'drain' };

  it.each<[string, (host: string) => Headers]>([
    ['of another site', () => ({ ...ACTION, 'Sec-Fetch-Site': 'cross-site' })],
    ['of a sister site', () => ({ ...ACTION, 'Sec-Fetch-Site': 'same-site' })],
    ['that the user has typed', () => ({ ...ACTION, 'Sec-Fetch-Site': 'none' })],
    ['of another origin', () => ({ ...ACTION, Origin: 'http://evil.example' })],
    ['of another port', () => ({ ...ACTION, Origin: 'http://127.0.0.1:1' })],
    ['of no origin', () => ({ ...ACTION, Origin: 'null' })],
    ['that does not say where it comes from', () => ACTION],
    ['without the header', () => ({ 'Sec-Fetch-Site': 'same-origin' })],
    [
      'with the header of another action',
      () => ({ 'X-Status-Page-Action': 'undrain', 'Sec-Fetch-Site': 'same-origin' }),
    ],
    [
      'of another site that has our origin',
      (host) => ({ ...ACTION, 'Sec-Fetch-Site': 'cross-site', Origin: `http://${host}` }),
    ],
    [
      'as a form sends it',
      (host) => ({ Origin: `http://${host}`, 'Content-Type': 'application/x-www-form-urlencoded' }),
    ],
  ])('%s', async (_what, headers) => {
    expect(await ask(headers)).toEqual({ status: 403, drained: false });
  });

  it('but not one of an older browser that names our origin', async () => {
    expect(await ask((host) => ({ ...ACTION, Origin: `http://${host}` }))).toEqual({
      status: 204,
      drained: true,
    });
  });

  it.each(['GET', 'HEAD', 'PUT', 'OPTIONS'])('by %s', async (method) => {
    const headers = { ...ACTION, 'Sec-Fetch-Site': 'same-origin' };

    expect(await ask(() => headers, method)).toEqual({ status: 405, drained: false });
  });

  it('by a page that only shows', async () => {
    const { at, proxy } = await startPage({ target: 'http://10.0.0.1' });

    const { status } = await get(`${at}drain?proxy=proxy&backend=http://10.0.0.1`, {
      method: 'POST',
      headers: { ...ACTION, 'Sec-Fetch-Site': 'same-origin' },
    });

    expect(status).not.toBe(204); // the app's to answer: here by the proxy behind, which has no backend
    expect(proxy.status().backends[0]?.drained).toBe(false);
  });
});
