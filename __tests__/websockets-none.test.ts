import { Duplex } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { WebSocketServer } from 'ws';
import { hang, reply, startBackend } from './support/backend.js';
import { requestLine } from './support/log-lines.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { sendRaw, startRawBackend, valuesOf } from './support/raw.js';
import { delivery, until } from './support/wait.js';
import {
  closed,
  handshake,
  message,
  openWebSocket,
  openWire,
  startTunnelBackend,
  startUpgradeProxy,
  startWebSocketBackend,
} from './support/websocket.js';

describe('the answers before an upgrade on its connection', () => {
  it('come whole, however long they are and many', async () => {
    const backend = await startBackend(reply(200, 'x'.repeat(5_000_000)));
    const { url: target } = await startTunnelBackend();
    const [plain, tunnel] = [quietProxy({ target: backend.url }), quietProxy({ target })];
    const { port, server } = await startProxy((app) => app.use('/t', tunnel).use(plain));
    server.on('upgrade', tunnel.upgrade);

    const small = 'HEAD / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(12);
    const wire = await openWire(
      port,
      `GET / HTTP/1.1\r\nHost: h\r\n\r\n${small}${handshake('/t')}`,
    );

    await wire.has('101 Switching');
    expect(wire.arrived.length).toBeGreaterThan(5_000_000);
    expect(wire.arrived.match(/HTTP\/1\.1 \d+/g)?.length).toBe(14);
  });

  it.each(['end', 'resetAndDestroy'] as const)(
    'are over when the client leaves by %s()',
    async (leave) => {
      const backend = await startBackend(hang());
      const { port, proxy } = await startUpgradeProxy({ target: backend.url });
      const wire = await openWire(port, `GET / HTTP/1.1\r\nHost: h\r\n\r\n${handshake()}`);
      await until(() => backend.started === 1);

      wire.socket[leave]();

      await until(() => proxy.status().inFlight === 0 && backend.openSockets() === 0);
    },
  );
});

describe('an upgrade to something else, or in a way that is none,', () => {
  it.each([
    ['h2c', handshake('/api').replace('websocket', 'h2c, foo')],
    ['a WebSocket by POST', handshake('/api').replace('GET', 'POST')],
    ['HTTP/1.0', handshake('/api').replace('HTTP/1.1', 'HTTP/1.0')],
  ])('is a plain request: %s', async (_what, bytes) => {
    const backend = await startBackend(reply(200, 'plain'));
    const { port } = await startUpgradeProxy({ target: backend.url }, { mount: '/api' });

    const answer = await sendRaw(port, bytes, { until: 'close' });

    expect([answer.status, answer.body.toString()]).toEqual([200, 'plain']);
    expect(backend.received[0]?.headers).not.toHaveProperty('upgrade');
    expect(backend.received[0]?.headers.connection).not.toMatch(/upgrade/i);
  });

  it.each([
    'Content-Length: 4\r\n\r\nbody',
    'Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
  ])('is answered 400, or with its body, when it has one: %j', async (body) => {
    const backend = await startBackend(reply(200, 'plain'));
    const { port } = await startUpgradeProxy({ target: backend.url });

    for (const protocol of ['h2c', 'websocket']) {
      const bytes = handshake()
        .replace('websocket', protocol)
        .replace(/\r\n\r\n$/, `\r\n${body}`);
      const answer = await sendRaw(port, bytes.replace('GET', 'POST'), { until: 'close' });

      if (answer.status === 400) expect(backend.started).toBe(0);
      else expect(String(backend.received.pop()?.body)).toBe('body');
      expect([200, 400]).toContain(answer.status);
      backend.started = 0;
    }
  });

  it.each(['h2c', 'websocket'])('may be reset in the middle of its body: %s', async (protocol) => {
    const backend = await startBackend(reply(200));
    const { port, url, proxy } = await startUpgradeProxy({ target: backend.url });
    const head = handshake().replace('websocket', protocol).replace('GET', 'POST');

    for (let i = 0; i < 5; i += 1) {
      const wire = await openWire(port, head.replace(/\r\n$/, 'Content-Length: 10\r\n\r\nbod'));
      await delivery();
      wire.socket.resetAndDestroy();
    }

    expect((await get(url)).status).toBe(200);
    await until(() => proxy.status().inFlight === 0);
  });

  it('takes only WebSocket from a list of protocols', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port } = await startUpgradeProxy({ target });

    const wire = await openWire(port, handshake().replace('websocket', 'h2c, WebSocket'));

    expect(await wire.status()).toBe(101);
    expect(wires[0]!.arrived).toMatch(/^upgrade: websocket\r$/m);
    expect(wires[0]!.arrived).not.toMatch(/h2c/);
  });
});

describe('a connection that is no socket', () => {
  it('carries a WebSocket all the same', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port, server, proxy } = await startUpgradeProxy({ target, ws: true });
    const front = await startRawBackend((socket) => {
      server.emit('connection', Duplex.from({ readable: socket, writable: socket }));
    });
    expect(port).not.toBe(front.port);

    const wire = await openWire(front.port, handshake());
    expect(await wire.status()).toBe(101);
    wire.write('to');
    await until(() => wires[0]?.arrived.endsWith('to'));
    wires[0]!.socket.end('fro');

    await until(() => wire.arrived.endsWith('fro') && wire.ended);
    wire.socket.end();
    await until(() => proxy.status().inFlight === 0);
  });
});

describe('a body behind an upgrade', () => {
  it('that nobody parses has its line in the log, and its id', async () => {
    const backend = await startBackend(reply(200));
    const { port, log } = await startUpgradeProxy(
      { target: backend.url },
      { mount: '/api', captureLog: 'json' },
    );
    const head = handshake('/api/x', 'X-Request-ID: night-1', 'Transfer-Encoding: chunked');

    const bytes = `${head.replace('GET', 'POST').replace('websocket', 'h2c')}4\r\nbody\r\n0\r\n\r\n`;
    const answer = await sendRaw(port, bytes, { until: 'close' });

    if (backend.started === 0) {
      expect(valuesOf(answer, 'x-request-id')).toEqual(['night-1']);
      expect(await requestLine(log)).toMatchObject({ status: 400, url: '/api/x', method: 'POST' });
    }
  });
});

describe('a pathFilter', () => {
  it('leaves what it does not take to the other listeners', async () => {
    const { url: target } = await startWebSocketBackend();
    const { url, server } = await startUpgradeProxy({ target, pathFilter: '/api' });
    const chat = new WebSocketServer({ noServer: true });
    server.on('upgrade', (req, socket, head) => {
      if (req.url === '/chat') chat.handleUpgrade(req, socket, head, (ws) => ws.close(4001));
    });

    expect(await closed(await openWebSocket(`${url}/chat`))).toMatchObject({ code: 4001 });
    const socket = await openWebSocket(`${url}/api/x`);
    socket.send('through');
    expect(String((await message(socket)).data)).toBe('through');
  });
});

describe('a socket that another listener has taken already', () => {
  it('is left alone, though its path is ours', async () => {
    const { url: target, requests } = await startWebSocketBackend();
    const { url, server, proxy } = await startProxyWith({ target });
    const chat = new WebSocketServer({ noServer: true });
    server.on('upgrade', proxy.upgrade).on('upgrade', (req, socket, head) => {
      if (req.url === '/chat') chat.handleUpgrade(req, socket, head, (ws) => ws.close(4001));
    });

    expect(await closed(await openWebSocket(`${url}/chat`))).toMatchObject({ code: 4001 });
    expect(requests).toEqual([]);
  });
});
