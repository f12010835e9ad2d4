// close(): what becomes of new requests, of those in flight, and of the connections.
import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { type TinyProxy, tinyProxy } from '../src/index.js';
import {
  controlled,
  dieInBody,
  hang,
  heldUntil,
  reply,
  resetConnection,
  startBackend,
  streamForever,
} from './support/backend.js';
import { get, open, readBody, startProxyWith } from './support/proxy.js';
import { blackHole } from './support/raw.js';
import { delivery, gate, until, within } from './support/wait.js';

/** Whether a promise is settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol('open');
  await delivery();
  return (await Promise.race([promise, Promise.resolve(open)])) !== open;
}

describe('close() lets no new request in', () => {
  it('but answers it 503 NO_BACKEND, with Retry-After, without an attempt', async () => {
    const backend = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target: backend.url });

    await proxy.close();
    const response = await get(url);

    expect([response.status, response.headers['retry-after']]).toEqual([503, '1']);
    expect(JSON.parse(response.text)).toMatchObject({ code: 'NO_BACKEND' });
    expect(backend.started).toBe(0);
  });

  it('from the moment it is called, while others are in flight', async () => {
    const held = gate();
    const backend = await startBackend(heldUntil(held.opened, reply(200, 'whole')));
    const { url, proxy } = await startProxyWith({ target: backend.url });

    const early = get(url);
    await until(() => backend.started === 1);
    const closed = proxy.close();
    const late = await get(url);
    held.open();

    expect(late.status).toBe(503);
    expect(await early).toMatchObject({ status: 200, text: 'whole' });
    await within(closed, 'the end of close()', 2000);
    expect(backend.started).toBe(1);
  });
});

describe('close() is told', () => {
  it('as an event, once, before any request of the grace period has ended', async () => {
    const held = gate();
    const backend = await startBackend(heldUntil(held.opened, reply(200)));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const told: unknown[] = [];
    proxy.events.on('close', (event) => told.push([event, proxy.status().inFlight]));
    const early = get(url);
    await until(() => backend.started === 1);

    const closed = [proxy.close(2000), proxy.close(1000)];

    expect(told).toEqual([[{ graceMs: 2000 }, 1]]);
    held.open();
    await early;
    await Promise.all(closed);
    await proxy.close();
    expect(told).toHaveLength(1);
  });
});

describe('a request in flight', () => {
  it('has its grace period to end, and close() waits for that', async () => {
    const body = controlled();
    const backend = await startBackend(body.handler);
    const { url, proxy } = await startProxyWith({ target: backend.url });

    const incoming = await open(url).response;
    body.send('half');
    const closed = proxy.close(60_000);
    expect(await isSettled(closed)).toBe(false);
    body.send(' and half');
    body.end();

    expect(await readBody(incoming)).toMatchObject({ aborted: false });
    await within(closed, 'the end of close()', 2000);
    expect(proxy.status().inFlight).toBe(0);
  });

  it('may still be retried', async () => {
    const held = gate();
    const sick = await startBackend(heldUntil(held.opened, reply(500)));
    const well = await startBackend(reply(200, 'well'));
    const { url, proxy } = await startProxyWith({ target: [sick.url, well.url] });

    const answer = get(url);
    await until(() => sick.started === 1);
    const closed = proxy.close();
    held.open();

    expect(await answer).toMatchObject({ status: 200, text: 'well' });
    await closed;
  });

  it('is cut after its grace period, never ended as if it were whole', async () => {
    const body = controlled();
    const backend = await startBackend(body.handler);
    const { url, proxy } = await startProxyWith({ target: backend.url });

    const incoming = await open(url).response;
    body.send('half');
    const read = readBody(incoming);
    await within(proxy.close(30), 'the end of close()', 2000);

    expect(await read).toMatchObject({ aborted: true });
    await until(() => body.open === 0);
  });

  it.each([
    ['a stream that never ends', async () => startBackend(streamForever())],
    ['a backend that never answers', async () => startBackend(hang())],
    ['a connection that never stands', () => blackHole()],
  ])('is cut at once by close(0): %s', async (_what, start) => {
    const target = (await start()).url;
    const { url, proxy } = await startProxyWith({ target });
    const { response } = open(url);
    const gone = response.then(
      (incoming) => readBody(incoming).then(({ aborted }) => aborted),
      () => true,
    );
    await until(() => proxy.status().backends[0]?.inFlight === 1);

    await within(proxy.close(0), 'the end of close()', 2000);

    expect(await gone).toBe(true);
    expect(proxy.status()).toMatchObject({ inFlight: 0, backends: [{ inFlight: 0 }] });
  });

  it('is cut in mid-upload, too', async () => {
    const backend = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const body = new Readable({ read() {} });
    body.push('half');
    const { response } = open(url, { method: 'POST', body });
    await until(() => backend.started === 1);

    await within(proxy.close(0), 'the end of close()', 2000);

    await expect(response).rejects.toThrow();
    await until(() => backend.unfinished === 1);
  });

  it('is cut while it waits for its next attempt', async () => {
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: { attempts: 40, backoff: { initialDelay: 60_000, maxDelay: 60_000 } },
      requestTimeout: 0,
    });
    let waiting = false;
    proxy.events.on('retry', ({ delayMs }) => {
      waiting = delayMs > 5000;
    });
    const { response } = open(url);
    await until(() => waiting);

    await within(proxy.close(0), 'the end of close()', 2000);

    await expect(response).rejects.toThrow();
  });

  it('tells nothing against its backend when it is cut', async () => {
    const backend = await startBackend(hang());
    const { url, proxy } = await startProxyWith({ target: backend.url });
    open(url);
    await until(() => backend.started === 1);

    await proxy.close(0);

    const [status] = proxy.status().backends;
    expect(status).toMatchObject({ failures: 0, consecutiveFailures: 0, lastError: null });
  });
});

describe('the pooled connections', () => {
  it('are closed when the last request has ended', async () => {
    const backends = await Promise.all([1, 2].map(() => startBackend(reply(200))));
    const { url, proxy } = await startProxyWith({ target: backends.map((each) => each.url) });
    for (let i = 0; i < 4; i += 1) await get(url);
    expect(backends.map((backend) => backend.openSockets())).toEqual([1, 1]);

    await proxy.close();

    // Long before an idle connection would be closed anyway.
    await until(() => backends.every((each) => each.openSockets() === 0), 'the ends', 1500);
  });

  it('are closed as well when requests had to be cut', async () => {
    const backend = await startBackend(hang());
    const { url, proxy } = await startProxyWith({ target: backend.url });
    for (let i = 0; i < 3; i += 1) open(url);
    await until(() => backend.started === 3);

    await proxy.close(0);

    await until(() => backend.openSockets() === 0);
  });
});

describe('close() resolves', () => {
  it('for a proxy that never had a request', async () => {
    const proxy = tinyProxy({ target: 'http://10.0.0.1', log: false });

    await within(proxy.close(), 'the end of close()', 2000);
  });

  it('when it is called again, before and after', async () => {
    const backend = await startBackend(hang());
    const { url, proxy } = await startProxyWith({ target: backend.url });
    open(url);
    await until(() => backend.started === 1);

    const first = proxy.close(60_000);
    expect(await isSettled(first)).toBe(false);
    const second = proxy.close(0);

    await within(Promise.all([first, second]), 'the end of both', 2000);
    await within(proxy.close(), 'the end of a third', 2000);
  });

  it.each([0, -1, Number.NaN])('at once with a grace period of %p', async (graceMs) => {
    const backend = await startBackend(hang());
    const { url, proxy } = await startProxyWith({ target: backend.url });
    open(url);
    await until(() => backend.started === 1);

    await within(proxy.close(graceMs), 'the end of close()', 2000);
  });

  it('not before the requests end with a grace period of Infinity', async () => {
    const held = gate();
    const backend = await startBackend(heldUntil(held.opened, reply(200)));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const answer = get(url);
    await until(() => backend.started === 1);

    const closed = proxy.close(Number.POSITIVE_INFINITY);
    expect(await isSettled(closed)).toBe(false);
    held.open();

    expect((await answer).status).toBe(200);
    await within(closed, 'the end of close()', 2000);
  });

  it('though the client does not read', async () => {
    const backend = await startBackend(streamForever());
    const { url, proxy } = await startProxyWith({ target: backend.url });
    await open(url).response;

    await within(proxy.close(0), 'the end of close()', 2000);
  });

  it.each<[what: string, harm: (proxy: TinyProxy) => void]>([
    ['throws', ({ events }) => void events.prependListener('done', fail)],
    ['has taken all others off', ({ events }) => void events.removeAllListeners()],
  ])('though a listener of done %s', async (_what, harm) => {
    const held = gate();
    const backend = await startBackend(heldUntil(held.opened, reply(200)));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const answers = [get(url), get(url)];
    await until(() => backend.started === 2);

    const closed = proxy.close(60_000);
    harm(proxy);
    held.open();
    await Promise.all(answers);

    await within(closed, 'the end of close()', 2000);
  });

  it.each([
    ['a backend that resets', () => resetConnection()],
    ['a backend that dies in mid-body', () => dieInBody(10)],
  ])('after %s', async (_what, handler) => {
    const backend = await startBackend(handler());
    const { url, proxy } = await startProxyWith({ target: backend.url });
    await get(url);

    await within(proxy.close(), 'the end of close()', 2000);
    await until(() => backend.openSockets() === 0);
  });
});

function fail(): never {
  throw new Error('a listener');
}
