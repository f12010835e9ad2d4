// The event stream of the status page: what it tells and when, and how it ends.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { createGunzip } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import compression from 'compression';
import type { TinyProxy } from '../src/index.js';
import { Streams } from '../src/status-page/streams.js';
import { failTimes, reply, resetConnection, startBackend } from './support/backend.js';
import { closeAfterTest } from './support/cleanup.js';
import { expectNothingBut, openHandles } from './support/handles.js';
import { LoopbackServer } from './support/loopback-server.js';
import { get, open, quietProxy, startProxy } from './support/proxy.js';
import { listenAt, pageOf, Reader, startPage } from './support/status-page.js';
import { delivery, gate, once, timePasses, until, within } from './support/wait.js';

/** How often a page has asked how the proxy stands. Timers that keep nothing alive cannot be listed. */
function countLooks(proxy: TinyProxy): { count: number } {
  const looks = { count: 0 };
  const { status } = proxy;
  proxy.status = () => {
    looks.count += 1;
    return status();
  };
  return looks;
}

/** Longer than from one tick to the next. */
async function expectNoMore(looks: { count: number }): Promise<void> {
  const { count } = looks;
  await timePasses(1300);
  expect(looks.count).toBe(count);
}

describe('the event stream', () => {
  it('begins with a whole report, then tells what is new, every second', async () => {
    const backend = await startBackend(reply(200));
    const { url, listen } = await startPage({ target: backend.url });
    await get(`${url}/before`);

    const { head, reader } = await listen();
    const first = await reader.first(({ event }) => event === 'state');
    await get(`${url}/after`);
    const later = await reader.first(
      ({ event, data }) => event === 'tick' && data.exchanges.some(({ path }) => path === '/after'),
    );
    const seen = reader.messages.length;
    await until(() => reader.messages.length >= seen + 2, 'two ticks in which nothing happens');

    expect(head.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      connection: 'close',
    });
    expect(first.data.exchanges).toMatchObject([{ path: '/before' }]);
    expect(later.data.proxies).toMatchObject([{ requests: 2, backends: [{ attempts: 2 }] }]);
    expect(reader.messages.slice(-2)).toMatchObject([
      { event: 'tick', data: { exchanges: [], incidents: [] } },
      { event: 'tick', data: { exchanges: [], incidents: [] } },
    ]);
  });

  it('tells of a breaker as it opens, half-opens and closes', async () => {
    const backend = await startBackend(failTimes(1, reply(200)));
    const breaker = { failures: 1, cooldown: 300 };
    const { url, listen } = await startPage({ target: backend.url, retry: false, breaker });
    const { reader } = await listen();
    await reader.first(({ event }) => event === 'state');
    const told = (kind: string) =>
      reader.first(({ data }) => data.incidents.some((incident) => incident.kind === kind), kind);

    const before = performance.now();
    await get(url);
    const opened = await told('break');
    const tookMs = performance.now() - before;
    await until(() =>
      reader.messages.some(({ data }) => data.proxies[0]?.backends[0]?.breaker === 'half-open'),
    );
    await get(url);
    await told('half-open');
    await told('reset');

    expect(tookMs).toBeLessThan(900); // not only with the next tick
    const [sick] = opened.data.proxies[0]!.backends;
    expect(sick).toMatchObject({ breaker: 'open', lastError: 'status 500' });
    expect(sick?.probeInMs).toBeGreaterThan(0);
    expect(sick?.probeInMs).toBeLessThanOrEqual(300);
  });

  it('brings each message at once behind compression()', async () => {
    const backend = await startBackend(reply(200));
    const { at } = await startPage({ target: backend.url }, {}, (app) => app.use(compression()));

    const head = await open(`${at}events`, { headers: { 'Accept-Encoding': 'gzip' } }).response;
    const reader = new Reader(head.pipe(createGunzip()));

    expect(head.headers['content-encoding']).toBe('gzip');
    await reader.first(({ event }) => event === 'state');
    await reader.first(({ event }) => event === 'tick');
    head.destroy();
  });

  it('is the same to any number of readers, and none is let in beyond a hundred', async () => {
    const { at } = await startPage({ target: 'http://10.0.0.1:8081' });
    const readers = await Promise.all(Array.from({ length: 100 }, () => listenAt(at)));

    const { status, headers } = await get(`${at}events`);

    expect([status, headers['retry-after']]).toEqual([503, '10']);
    await Promise.all(readers.map(({ reader }) => reader.first(({ event }) => event === 'tick')));
  });
});

describe('the event stream ends', () => {
  it('when the proxy closes, and the browser is told not to come again', async () => {
    const { at, proxy, listen, report } = await startPage({ target: 'http://10.0.0.1:8081' });
    const { reader } = await listen();
    await reader.first(({ event }) => event === 'state');

    const closed = proxy.close();
    await until(() => reader.ended);
    await closed;

    expect(reader.messages.at(-1)?.event).toBe('end');
    expect(reader.messages.at(-2)?.data.proxies).toMatchObject([{ closed: true }]);
    expect((await get(`${at}events`)).status).toBe(204);
    expect(await report()).toMatchObject({
      proxies: [{ closed: true }],
      incidents: [{ kind: 'close', backend: null }],
    });
  });

  it('when the last of several proxies closes', async () => {
    const [a, b] = [
      quietProxy({ target: 'http://10.0.0.1' }),
      quietProxy({ target: 'http://10.0.0.2' }),
    ];
    const { url } = await startProxy((app) => app.use('/_proxy', pageOf({ a, b })));
    const { reader } = await listenAt(`${url}/_proxy/`);

    await a.close();
    await reader.first(({ data }) => data.proxies[0]?.closed === true);
    expect(reader.ended).toBe(false);
    await b.close();
    await until(() => reader.ended);
  });

  it('when the page is closed', async () => {
    const { page, listen, proxy } = await startPage({ target: 'http://10.0.0.1' });
    const { reader } = await listen();
    await reader.first(({ event }) => event === 'state');

    page.close();
    page.close();

    await until(() => reader.ended);
    expect(proxy.events.eventNames()).toEqual([]);
  });

  it('so that a server which closes has not to wait for its connection', async () => {
    const { proxy, listen, server } = await startPage({ target: 'http://10.0.0.1' });
    const { reader } = await listen();
    await reader.first(({ event }) => event === 'state');

    const closed = new Promise((resolve) => server.close(resolve));
    await proxy.close();

    await within(closed, 'the end of the server', 1000);
  });

  it('and leaves nothing running when its client leaves', async () => {
    const { listen, proxy } = await startPage({ target: 'http://10.0.0.1' });
    const looks = countLooks(proxy);
    const before = openHandles();
    const { head, reader } = await listen();
    await reader.first(({ event }) => event === 'tick');

    head.destroy();

    await expectNothingBut(before);
    await expectNoMore(looks);
  });

  it('before it begins, for a client that has left before it was let in', async () => {
    const answer = gate();
    const access = () => answer.opened.then(() => true);
    const { at, server, proxy } = await startPage({ target: 'http://10.0.0.1' }, { access });
    const looks = countLooks(proxy);
    const arrived = once<[IncomingMessage, ServerResponse]>(server, 'request');
    const { request } = open(`${at}events`);
    const [, response] = await arrived;
    const left = once(response, 'close');
    request.destroy();
    await left;

    answer.open();
    await delivery();

    await expectNoMore(looks);
  });
});

/** A server whose only answer is the stream of `messages` of this size; `told` counts them. */
async function startBig(bytes: number) {
  const source = { told: 0, whole: 0 };
  const text = 'x'.repeat(bytes);
  const streams = new Streams({
    state: () => {
      source.whole += 1;
      return { n: source.told, text };
    },
    tick: () => {
      source.told += 1;
      return { n: source.told, text };
    },
  });
  const responses: ServerResponse[] = [];
  const server = createServer((_req, res) => {
    responses.push(res);
    streams.open(res, false);
  });
  const { port } = await new LoopbackServer(server).start();
  closeAfterTest(() => streams.end());
  return { streams, source, responses, port };
}

describe('a reader that does not read', () => {
  const SIZE = 500_000;

  it('has no more than a message kept for it, whatever goes on, and then a whole report', async () => {
    const { streams, source, responses, port } = await startBig(SIZE);
    const socket = connect(port, '127.0.0.1').pause();
    closeAfterTest(() => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => responses.length === 1);
    const [response] = responses;
    const kept = (): number => response?.writableLength ?? 0;
    const tell = async (): Promise<void> => {
      const { told } = source;
      streams.news();
      await until(() => source.told > told);
    };

    while (!response?.writableNeedDrain || source.told < 3) await tell();
    await tell();
    const blocked = kept();
    for (let i = 0; i < 20; i += 1) await tell();

    expect(kept()).toBe(blocked);
    expect(blocked).toBeLessThan(2 * SIZE);
    expect(source.whole).toBe(1);
    const before = source.told;
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.resume();
    await until(() => kept() === 0);
    await tell();
    await until(() => text.split('event: state').length === 3, 'a second whole report');
    expect(text).not.toContain(`"n":${before},`); // what it has missed is not sent
    expect(source.whole).toBe(2);
  }, 30_000);

  it('is cut when all ends', async () => {
    const { streams, responses, port } = await startBig(8_000_000);
    const socket = connect(port, '127.0.0.1').pause();
    closeAfterTest(() => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => responses[0]?.writableNeedDrain === true);

    streams.end();

    expect(responses[0]?.destroyed).toBe(true);
  });
});

describe('while nobody looks', () => {
  it('nobody asks the proxy how it stands, and what is kept is bounded', async () => {
    const backend = await startBackend(resetConnection());
    const { url, report, proxy } = await startPage({
      target: backend.url,
      retry: false,
      breaker: false,
    });
    await get(url);
    const looks = countLooks(proxy);
    for (let i = 0; i < 120; i += 1) await get(url);
    await until(() => proxy.status().inFlight === 0);

    await expectNoMore(looks);
    const { exchanges, incidents } = await report();
    expect(exchanges).toHaveLength(50);
    expect(incidents.length).toBeLessThanOrEqual(50);
  });
});
