import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { atHead, heldUntil, reply, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith, TRANSPORT } from './support/proxy.js';
import { sendRaw, startRawBackend, valuesOf } from './support/raw.js';
import { gate, until } from './support/wait.js';

const ok = (body: string, headers = ''): string =>
  `HTTP/1.1 200 OK\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

describe('a connection to a backend', () => {
  it('is used again, whatever it has carried', async () => {
    const backend = await startBackend((request, response) => {
      response.statusCode = Number(request.headers['x-status'] ?? 200);
      if (request.url === '/length') response.setHeader('Content-Length', 4);
      response.write('body');
      response.end();
    });
    const { url } = await startProxyWith({ target: backend.url });

    for (let round = 1; round <= 2; round += 1) {
      await get(`${url}/length`);
      await get(`${url}/chunked`);
      await get(`${url}/length`, { method: 'HEAD' });
      await get(url, { method: 'POST', body: 'an order' });
      for (const status of ['204', '304', '404', '500']) {
        await get(url, { method: 'PATCH', headers: { 'X-Status': status } });
      }
      await get(url, { method: 'DELETE', body: Readable.from(['chunked']) });
    }

    expect(backend.received).toHaveLength(18);
    // Streamed uploads always go by node:http, which has a pool of its own.
    expect(backend.connections).toBe(TRANSPORT === 'http' ? 1 : 2);
  });

  it('is not closed by the Connection: close of a client, whose own connection is', async () => {
    const backend = await startBackend(reply(200, 'ok'));
    const { port } = await startProxyWith({ target: backend.url });
    const request = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';

    for (let i = 0; i < 3; i += 1) {
      const answer = await sendRaw(port, request, { until: 'close' });
      expect(answer).toMatchObject({ status: 200, closedBy: 'end' });
      expect(valuesOf(answer, 'connection')).toEqual(['close']);
    }

    expect(backend.connections).toBe(1);
  });

  it('that the backend closes is the backend’s matter: the client’s goes on', async () => {
    const backend = await startBackend(reply(200, 'ok', { Connection: 'close' }));
    const { port } = await startProxyWith({ target: backend.url });

    const { responses, closedBy } = await sendRaw(
      port,
      'GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(3),
      { until: 3 },
    );

    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(responses.flatMap((response) => valuesOf(response, 'connection'))).not.toContain(
      'close',
    );
    expect(closedBy).toBe('open');
    expect(backend.connections).toBe(3);
  });

  it('is not left behind by a pipelined request when the proxy has closed', async () => {
    const slow = gate();
    const backend = await startBackend(heldUntil(slow.opened, reply(200, 'ok')));
    const { port, proxy } = await startProxyWith({ target: backend.url });
    const request = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
    const answers = sendRaw(port, request.repeat(2), { until: 2 });
    await until(() => backend.received.length === 1);

    const closed = proxy.close();
    slow.open();

    const [first, second] = (await answers).responses;
    expect(first?.status).toBe(200);
    expect([200, 503]).toContain(second?.status);
    await closed;
    await until(() => backend.openSockets() === 0, 'the end of all connections', 500);
  });

  it('is one per request that runs at the same time', async () => {
    const both = gate();
    const backend = await startBackend(
      atHead(async (_request, response) => {
        if (backend.started === 2) both.open();
        await both.opened;
        response.end();
      }),
    );
    const { url } = await startProxyWith({ target: backend.url });

    await Promise.all([get(url), get(url)]);

    expect(backend.connections).toBe(2);
  });
});

describe('an idle connection', () => {
  it('is closed a second before the backend would, and after 4 s where it does not say', async () => {
    async function secondsOpen(hint: string): Promise<number> {
      const backend = await startRawBackend(ok('ok', hint));
      const { url } = await startProxyWith({ target: backend.url });
      await get(url);
      expect(backend.openSockets()).toBe(1);
      const since = performance.now();
      await until(() => backend.openSockets() === 0, `a close with "${hint}"`, 8000);
      return (performance.now() - since) / 1000;
    }

    const [hinted, among, silent] = await Promise.all([
      secondsOpen('Connection: keep-alive\r\nKeep-Alive: timeout=2\r\n'),
      secondsOpen('Keep-Alive: max=100, timeout=3\r\n'),
      secondsOpen(''),
    ]);

    expect(hinted).toBeGreaterThan(0.9);
    expect(hinted).toBeLessThan(2);
    expect(among).toBeGreaterThan(1.9);
    expect(among).toBeLessThan(3);
    expect(silent).toBeGreaterThan(3.9);
    expect(silent).toBeLessThan(5);
  });

  it('is not kept where the backend would close it within that second', async () => {
    const backend = await startRawBackend(ok('ok', 'Keep-Alive: timeout=1\r\n'));
    const { url } = await startProxyWith({ target: backend.url });

    await get(url);
    await until(() => backend.openSockets() === 0, 'the close', 500);
  });

  it('never brings the next client what a backend says late', async () => {
    const sockets: Socket[] = [];
    const backend = await startRawBackend((socket) => {
      sockets.push(socket);
      socket.on('data', () => socket.write(ok('own')));
    });
    // The next request gets to the proxy in the turn of the event loop in which the bytes are sent.
    const late = ok('of somebody else');
    const { url } = await startProxy((app) => {
      app.use((_req, _res, next) => {
        sockets.at(-1)?.write(late);
        next();
      });
      app.use(quietProxy({ target: backend.url, retry: false }));
    });

    for (let i = 0; i < 20; i += 1) {
      expect(await get(url)).toMatchObject({ status: 200, text: 'own' });
    }
  });

  it('never brings the next client what a backend has sent behind its response', async () => {
    const backend = await startRawBackend(ok('own') + ok('of somebody else'));
    const { url } = await startProxyWith({ target: backend.url, retry: false });

    for (let i = 0; i < 5; i += 1) {
      expect((await get(url)).text).not.toContain('somebody else');
    }
  });
});
