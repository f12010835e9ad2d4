// What becomes of a backend that setTargets() has left out: what runs there ends, then nothing is left.
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  controlled,
  heldUntil,
  reply,
  resetConnection,
  startBackend,
  startBackends,
} from './support/backend.js';
import { fullBackends } from './support/full-backends.js';
import { expectNothingBut, openHandles } from './support/handles.js';
import { answer, startHttp2Backend, startHttp2Proxy } from './support/http2-backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { bytesInUse } from './support/memory.js';
import { get, open, readBody, startProxyWith } from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { delivery, gate, until, within } from './support/wait.js';
import {
  closed,
  message,
  openWebSocket,
  startUpgradeProxy,
  startWebSocketBackend,
} from './support/websocket.js';

/** Sooner than an idle connection's own time is up. */
const SOON_MS = 2000;

/** Bytes, of two thousand backends: half a kilobyte of each would show. */
const MOST_KEPT = 2 ** 20;

const upload = { method: 'POST', body: 'x'.repeat(100_000) };

afterEach(() => {
  jest.restoreAllMocks();
});

describe('a request at a backend that leaves', () => {
  it('gets its whole answer; new ones go elsewhere', async () => {
    const stream = controlled();
    const [old, next] = await startBackends(stream.handler, reply(200, 'next'));
    const { url, proxy } = await startProxyWith({ target: old.url });
    const { response } = open(url);
    await until(() => stream.open === 1);

    proxy.setTargets(next.url);
    expect((await get(url)).text).toBe('next');
    stream.send('still ');
    stream.send('here');
    stream.end();

    const { body, aborted } = await readBody(await response);
    expect({ text: body.toString(), aborted }).toEqual({ text: 'still here', aborted: false });
    await until(() => old.openSockets() === 0, 'no connection left', SOON_MS);
  });

  it('is not tried there again when it comes back meanwhile, while another is untried', async () => {
    const well = await startBackend(reply(200, 'well'));
    const sick = await startBackend((...args) => {
      proxy.setTargets(well.url);
      proxy.setTargets([sick.url, well.url]);
      resetConnection()(...args);
    });
    const { url, proxy } = await startProxyWith({ target: sick.url });

    expect((await get(url)).text).toBe('well');
    expect(sick.received).toHaveLength(1);
  });

  it('is told by its events, and counts as in flight', async () => {
    const held = gate();
    const [old, next] = await startBackends(heldUntil(held.opened, reply(200)), reply(200));
    const { url, proxy } = await startProxyWith({ target: old.url });
    const told: string[] = [];
    proxy.events.on('hop', ({ backend, outcome }) => told.push(`hop ${backend} ${outcome}`));
    proxy.events.on('done', ({ backend, status }) => told.push(`done ${backend} ${status}`));
    const held1 = get(url);
    await until(() => old.started === 1);

    proxy.setTargets(next.url);
    expect(proxy.status()).toMatchObject({ inFlight: 1, backends: [{ inFlight: 0 }] });
    held.open();
    await held1;

    await until(() => told.length === 2);
    expect(told).toEqual([`hop ${old.host} 200`, `done ${old.host} 200`]);
  });

  it('is sent again, where it fails, to one that is there', async () => {
    const held = gate();
    const [old, next] = await startBackends(
      heldUntil(held.opened, resetConnection()),
      reply(200, 'next'),
    );
    const { url, proxy } = await startProxyWith({ target: old.url });
    const answered = get(url);
    await until(() => old.started === 1);

    proxy.setTargets(next.url);
    held.open();

    expect((await answered).text).toBe('next');
    expect(old.started).toBe(1);
  });

  it.each(['other', 'none'])(
    'never goes on to one that leaves as it is chosen: %s',
    async (left) => {
      const [old, other] = await startBackends(reply(200, 'old'), reply(200, 'other'));
      const { url, proxy, log } = await startProxyWith(
        { target: [await refusedUrl(), old.url] },
        { captureLog: 'json' },
      );
      proxy.events.once('retry', ({ next }) => {
        expect(next).toBe(old.host);
        proxy.setTargets(left === 'none' ? [] : [other.url]);
      });

      const { status, text } = await get(url);

      expect([status, text]).toEqual(left === 'none' ? [502, expect.any(String)] : [200, 'other']);
      expect(old.started).toBe(0);
      expect(outcomes(await requestLine(log))).toEqual(
        left === 'none' ? ['ECONNREFUSED'] : ['ECONNREFUSED', 200],
      );
    },
  );

  it('does not wait there again after a backoff', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.9); // of a backoff of 0 ms there is nothing to wait
    const [old, next] = await startBackends(resetConnection(), reply(200, 'next'));
    const { url, proxy } = await startProxyWith({ target: old.url });
    proxy.events.once('retry', ({ delayMs, next: chosen }) => {
      expect({ delayMs, chosen }).toEqual({ delayMs: expect.any(Number), chosen: null });
      proxy.setTargets(next.url);
    });

    expect((await get(url)).text).toBe('next');
    expect(old.started).toBe(1);
  });

  it('goes elsewhere at once where it waits for a connection', async () => {
    const { url, proxy, backends, log, letGo } = await fullBackends(1);
    const next = await startBackend(reply(200, 'next'));
    const waiting = get(url);
    await until(() => proxy.status().backends[0]!.inFlight === 2);

    proxy.setTargets(next.url);

    expect((await within(waiting, 'an answer', 2000)).text).toBe('next');
    expect(outcomes(await requestLine(log))).toEqual(['QUEUE_TIMEOUT', 200]);
    await letGo();
    await until(() => backends[0]!.openSockets() === 0, 'no connection left', SOON_MS);
  });

  it('may be a WebSocket: it lives until its end', async () => {
    const { backend, sockets } = await startWebSocketBackend();
    const { url, proxy } = await startUpgradeProxy({ target: backend.url });
    const socket = await openWebSocket(url);

    proxy.setTargets([]);
    socket.send('still here');
    expect(String((await message(socket)).data)).toBe('still here');
    sockets[0]!.close(4000, 'the end');

    expect(await closed(socket)).toEqual({ code: 4000, reason: 'the end' });
    await until(() => backend.openSockets() === 0, 'no connection left', SOON_MS);
    expect(proxy.status().inFlight).toBe(0);
  });
});

describe('the connections of a backend that leaves', () => {
  it('are closed at once where they are idle, of whatever pool', async () => {
    const [old, next] = await startBackends(reply(200), reply(200));
    const { url, proxy } = await startProxyWith({ target: old.url });
    await Promise.all([get(url), get(url, upload), get(url, upload), get(url)]);
    expect(old.openSockets()).toBeGreaterThan(0);

    proxy.setTargets(next.url);

    await until(() => old.openSockets() === 0, 'no connection left', SOON_MS);
  });

  it('are closed once idle, where others are in use for long', async () => {
    const stream = controlled();
    const old = await startBackend((request, response, body) =>
      (request.url === '/long' ? stream.handler : reply(200))(request, response, body),
    );
    const { url, proxy } = await startProxyWith({ target: old.url });
    const { response } = open(`${url}/long`);
    await until(() => stream.open === 1);
    await get(url);
    await get(url, upload);

    proxy.setTargets([]);

    await until(() => old.openSockets() === 1, 'none but the one in use', SOON_MS);
    stream.end();
    expect((await readBody(await response)).aborted).toBe(false);
    await until(() => old.openSockets() === 0, 'no connection left', SOON_MS);
  });

  it('are sessions of HTTP/2, too, with a GOAWAY', async () => {
    const old = await startHttp2Backend(answer(200, 'h2'));
    const { url, proxy } = await startHttp2Proxy(old.url);
    await get(url);
    let goaway = false;
    old.sessions[0]!.on('goaway', () => {
      goaway = true;
    });

    proxy.setTargets([]);

    await until(() => old.openSockets() === 0, 'no connection left', SOON_MS);
    expect(goaway).toBe(true);
  });

  it('of HTTP/2 carry what is under way to its end', async () => {
    const held = gate();
    const old = await startHttp2Backend((stream, request) => {
      void held.opened.then(() => answer(200, 'whole')(stream, request));
    });
    const { url, proxy } = await startHttp2Proxy(old.url);
    const answers = [get(url), get(url, upload)];
    await until(() => old.requests.length === 2);

    proxy.setTargets([]);
    held.open();

    expect((await Promise.all(answers)).map(({ text }) => text)).toEqual(['whole', 'whole']);
    await until(() => old.openSockets() === 0, 'no connection left', SOON_MS);
  });
});

describe('two thousand changes', () => {
  it('leave nothing behind', async () => {
    const [stays, comes] = await startBackends(reply(200), reply(200));
    const { url, proxy } = await startProxyWith({ target: stays.url, maxConnections: 5 });
    async function change(times: number): Promise<void> {
      for (let i = 0; i < times; i += 1) {
        proxy.setTargets([stays.url, `http://10.0.0.${i % 200}:${1000 + i}`]);
        if (i % 100 > 0) continue;
        proxy.setTargets([{ url: comes.url, weight: 1 + (i % 7) }]);
        await Promise.all([get(url), get(url, upload)]);
      }
      proxy.setTargets(stays.url);
      await get(url);
      await until(() => comes.openSockets() === 0, 'no connection left', SOON_MS);
      for (const { received } of [stays, comes]) received.length = 0;
    }
    await change(500);
    const handles = openHandles();
    bytesInUse(); // what is unreachable since then goes with the next collection
    await delivery();
    const before = bytesInUse();

    await change(2000);

    await until(() => bytesInUse() - before < MOST_KEPT, 'nothing kept of what has left');
    await expectNothingBut(handles);
    expect(proxy.status().backends).toHaveLength(1);
  }, 60_000);
});
