// maxConnections: never more connections to a backend than that, whatever goes over them, and no
// place is ever lost. What becomes of those that wait in vain: queue-timeout.test.ts.
import { Agent } from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import {
  byPath,
  closeConnection,
  dieInBody,
  earlyAnswer,
  echo,
  type Handler,
  hang,
  heldUntil,
  reply,
  resetConnection,
  resetWhenReused,
  startBackend,
  streamForever,
} from './support/backend.js';
import { localhostCertificate } from './support/certificates.js';
import { BODY, expectPlaces, KINDS, limited, upload } from './support/limited.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { type ClientInit, get, open, startProxyWith, TRANSPORT } from './support/proxy.js';
import { SocketMeter } from './support/socket-meter.js';
import { gate, once, until } from './support/wait.js';
import { closed, message, openWebSocket } from './support/websocket.js';

/** The first of an event stream, whose client then leaves. */
async function readEvent(url: string): Promise<void> {
  const { request, response } = open(`${url}/events`);
  await once(await response, 'data');
  request.destroy();
}

/** A WebSocket that is closed by its client when it has its echo. */
async function useSocket(url: string): Promise<void> {
  const socket = await openWebSocket(url);
  socket.send('ping');
  expect(String((await message(socket)).data)).toBe('ping');
  const end = closed(socket);
  socket.close();
  await end;
}

describe.each([1, 2, 3])('a backend with %i connections at most', (max) => {
  it('never has more, for requests, uploads, event streams and WebSockets together', async () => {
    const running = await limited(max, (request, response, body) => {
      if (request.url !== '/events') return echo()(request, response, body);
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n');
    });
    const { url, proxy, meter } = running;

    const answers = Array.from({ length: 20 }, (_, i) => get(url, KINDS[i % KINDS.length]!()));
    const others = [readEvent(url), useSocket(url), readEvent(url), useSocket(url)];

    const all = await Promise.all(answers);
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 200));
    await Promise.all(others);
    expect(meter.most).toBe(max);
    expect(proxy.status().backends).toMatchObject([{ failures: 0, breaker: 'closed' }]);
    await expectPlaces(max, running);
    expect(meter.most).toBe(max);
  });

  it.each<[what: string, Handler, ClientInit?]>([
    ['resets', resetConnection()],
    ['a response that breaks off', dieInBody(10)],
    ['connections that close', closeConnection()],
    ['responses with Connection: close', reply(200, 'x', { Connection: 'close' })],
    ['early answers to uploads', earlyAnswer(413, 'too long'), { method: 'POST', body: BODY }],
    ['responses that are no HTTP', (request) => void request.socket.end('SSH-2.0\r\n\r\n')],
    ['a 101 that was not asked for', (request) => void request.socket.write(UNASKED)],
    ['reset reuse', resetWhenReused(reply(200))],
  ])('loses no place by %s', async (_what, handler, init = {}) => {
    const running = await limited(max, handler, {
      breaker: false,
      retry: { attempts: 2, backoff: { initialDelay: 0, maxDelay: 0 }, budget: false },
    });
    const { url, meter } = running;

    await Promise.allSettled(Array.from({ length: 8 }, () => get(url, init)));

    await expectPlaces(max, running);
    expect(meter.most).toBeLessThanOrEqual(max);
  });
});

const UNASKED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n';

describe('no place is lost', () => {
  it('by timeouts', async () => {
    const running = await limited(2, hang(), {
      breaker: false,
      retry: false,
      attemptTimeout: 1000,
    });
    const { url, meter } = running;

    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => get(url, KINDS[i % 4]!())),
    );

    expect(answers.filter(({ status }) => status !== 503 && status !== 504)).toEqual([]);
    await expectPlaces(2, running);
    expect(meter.most).toBe(2);
  });

  it('by failed responses without end, which are cut', async () => {
    let endless = 2;
    const running = await limited(2, (_request, response) => {
      if (endless-- > 0) response.writeHead(500).write('x');
      else response.end('whole');
    });
    const { url, meter } = running;

    const answers = await Promise.all([get(url), get(url), get(url)]);

    expect(answers.map(({ text }) => text)).toEqual(['whole', 'whole', 'whole']);
    expect(meter.most).toBe(2);
    await expectPlaces(2, running);
  });

  it.each<[when: string, path: string, init: () => ClientInit]>([
    ['its response is awaited', '/hang', () => ({})],
    ['its response streams', '/forever', () => ({})],
    ['its upload streams', '/hang', () => ({ method: 'POST', body: new Readable({ read() {} }) })],
  ])('by a client that leaves while %s', async (_when, path, init) => {
    const handler = byPath({ '/hang': hang(), '/forever': streamForever() });
    const running = await limited(2, handler);
    const { url, backend, proxy } = running;

    for (let i = 0; i < 6; i += 1) {
      const { request } = open(url + path, init());
      await until(() => backend.started === i + 1);
      request.destroy();
      await until(() => proxy.status().inFlight === 0);
    }

    await expectPlaces(2, running);
  });

  it('by connections that are refused', async () => {
    const running = await limited(1, reply(200), { breaker: false, retry: false });
    const { url, backend } = running;
    await backend.stop();

    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => get(url, KINDS[i % 4]!())),
    );

    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 502));
    await backend.restart();
    await expectPlaces(1, running);
  });

  it('by hooks that throw', async () => {
    let faulty = true;
    const fail = (): void => {
      if (faulty) throw new Error('a bug');
    };
    for (const event of ['start', 'proxyReq', 'proxyRes'] as const) {
      faulty = true;
      const running = await limited(1, reply(200), { transport: 'auto', on: { [event]: fail } });
      const { url, meter } = running;

      const answers = await Promise.all([
        get(url),
        get(url),
        get(url, { method: 'POST', body: BODY }),
      ]);

      expect(answers.map(({ status }) => status)).toEqual([500, 500, 500]);
      faulty = false;
      await expectPlaces(1, running);
      expect(meter.most).toBe(1);
    }
  });

  it('by paths that cannot be sent', async () => {
    let sendable = false;
    const pathRewrite = (): string => (sendable ? '/' : '/\u{1f600}');
    const running = await limited(1, reply(200), { pathRewrite });
    const { url } = running;

    for (const init of KINDS) expect((await get(url, init())).status).toBe(400);

    sendable = true;
    await expectPlaces(1, running);
  });

  it('by WebSockets that are refused, reset or left', async () => {
    const running = await limited(2, reply(403));
    const { url, backend, sockets, server, meter } = running;
    backend.server.prependListener('upgrade', (request) => {
      if (request.url === '/reset') request.socket.resetAndDestroy();
    });

    for (let i = 0; i < 4; i += 1) {
      await expect(openWebSocket(`${url}/reset`)).rejects.toThrow('502');
      const socket = await openWebSocket(url);
      const end = closed(socket);
      if (i % 2 === 0) socket.terminate();
      else sockets.at(-1)!.terminate();
      await end;
    }

    expect(server.listening).toBe(true);
    await expectPlaces(2, running);
    expect(meter.most).toBeLessThanOrEqual(2);
  });
});

describe('idle connections', () => {
  it('are used again, where the next request can go over them', async () => {
    const { url, backend } = await limited(1, echo());

    for (let i = 0; i < 5; i += 1) expect((await get(url)).status).toBe(200);

    expect(backend.connections).toBe(1);
  });

  it('are closed for those that need another one', async () => {
    const { url, backend, meter } = await limited(1, echo(), { queueTimeout: 0 });
    const kinds = [{}, { method: 'POST', body: upload() }, {}, { method: 'PUT', body: upload() }];

    for (const init of kinds) expect((await get(url, init)).status).toBe(200);
    const socket = await openWebSocket(url);
    const end = closed(socket);
    socket.close();
    await end;
    await until(() => meter.now === 0);
    expect((await get(url)).status).toBe(200);

    expect(meter.most).toBe(1);
    expect(backend.connections).toBe(TRANSPORT === 'http' ? 3 : 6);
  });

  it('are closed no more than need be', async () => {
    const { url, backend, meter } = await limited(3, echo());
    await get(url);
    await get(url, { method: 'POST', body: upload() });
    const socket = await openWebSocket(url);

    await get(url);
    await get(url, { method: 'POST', body: upload() });

    expect(backend.connections).toBe(TRANSPORT === 'http' ? 2 : 3);
    expect(meter.now).toBe(backend.connections);
    socket.terminate();
  });

  it('go with the proxy, those too that were made anew under a request', async () => {
    let answers = 0;
    const { url, proxy, backend } = await limited(1, (request, response, body) => {
      answers += 1;
      const headers = answers === 1 ? { Connection: 'close' } : {};
      return reply(200, '', headers)(request, response, body);
    });
    await Promise.all([get(url), get(url)]);
    expect(backend.openSockets()).toBe(1);

    await proxy.close();

    await until(() => backend.openSockets() === 0, 'the end', 1500);
  });
});

describe('a backend', () => {
  it('over TLS has its bound, too', async () => {
    const { key, cert } = localhostCertificate;
    const backend = await startBackend(echo(), { tls: { key, cert } });
    const meter = new SocketMeter(backend.server);
    const running = await startProxyWith({
      target: backend.url.replace('127.0.0.1', 'localhost'),
      ssl: { ca: cert },
      maxConnections: 2,
    });

    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => get(running.url, KINDS[i % KINDS.length]!())),
    );

    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(meter.most).toBeLessThanOrEqual(2);
    await expectPlaces(2, { ...running, backend });
  });

  it('has its bound over an agent of your own, and without one', async () => {
    for (const agent of [new Agent({ keepAlive: true }), new Agent(), false as const]) {
      const running = await limited(2, echo(), { agent, transport: 'auto' });
      const { url } = running;

      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) => get(url, KINDS[i % KINDS.length]!())),
      );

      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      await expectPlaces(2, running);
      if (agent) agent.destroy();
    }
  });

  it('has no bound unless one is set', async () => {
    const held = gate();
    const backend = await startBackend(heldUntil(held.opened, reply(200)));
    const { url } = await startProxyWith({ target: backend.url });

    const answers = Array.from({ length: 30 }, () => get(url));
    await until(() => backend.started === 30);

    expect(backend.openSockets()).toBe(30);
    held.open();
    await Promise.all(answers);
  });
});

describe('a stale connection', () => {
  it('gives its place to the attempt that follows it', async () => {
    const { url, log } = await limited(1, resetWhenReused(reply(200)), { queueTimeout: 0 });
    expect((await get(url)).status).toBe(200);

    expect((await get(url)).status).toBe(200);

    expect(outcomes(await requestLine(log, 2))).toEqual(['ECONNRESET', 200]);
  });
});
