// WebSockets: what passes, in both directions, and how a tunnel ends.
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import express from 'express';
import type { TinyProxyEvents } from '../src/index.js';
import { sha256 } from './support/bodies.js';
import { localhostCertificate } from './support/certificates.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { timePasses, until, within } from './support/wait.js';
import {
  closed,
  handshake,
  message,
  openWebSocket,
  openWire,
  SWITCH,
  startTunnelBackend,
  startUpgradeProxy,
  startWebSocketBackend,
} from './support/websocket.js';

describe('a WebSocket', () => {
  it('carries text, binary and empty messages both ways', async () => {
    const { url: target } = await startWebSocketBackend();
    const { url } = await startUpgradeProxy({ target }, { mount: '/api' });
    const socket = await openWebSocket(`${url}/api/chat`);

    for (const sent of ['grüße', '', Buffer.from([0, 255, 13, 10, 128])]) {
      socket.send(sent);
      const { data, isBinary } = await message(socket);
      expect([data.equals(Buffer.from(sent)), isBinary]).toEqual([true, typeof sent !== 'string']);
    }
  });

  it('carries fragments, pings, pongs and subprotocols', async () => {
    const { url: target, sockets } = await startWebSocketBackend();
    const { url } = await startUpgradeProxy({ target });
    const socket = await openWebSocket(url);
    const heard: string[] = [];
    socket.on('pong', (data) => heard.push(`pong ${data}`));
    sockets[0]!.on('pong', (data) => heard.push(`backend's pong ${data}`));

    socket.ping('a');
    sockets[0]!.ping('b');
    socket.send('one, ', { fin: false });
    socket.send('two', { fin: true });

    expect(String((await message(socket)).data)).toBe('one, two');
    await until(() => heard.length === 2);
    expect(heard.sort()).toEqual(["backend's pong b", 'pong a']);
  });

  it.each([1000, 1001, 1003, 1008, 1011, 3000, 4999])('ends by the code %i', async (code) => {
    const { url: target, sockets } = await startWebSocketBackend();
    const { url } = await startUpgradeProxy({ target });
    const [byClient, byBackend] = [await openWebSocket(url), await openWebSocket(url)];
    const ends = [closed(sockets[0]!), closed(byClient), closed(sockets[1]!), closed(byBackend)];

    byClient.close(code, 'bye');
    sockets[1]!.close(code, 'bye');

    for (const end of ends) expect(await end).toEqual({ code, reason: 'bye' });
  });

  it('carries 16 MB each way at once, whole', async () => {
    const bytes = randomBytes(1 << 20);
    const { url: target } = await startWebSocketBackend();
    const { url } = await startUpgradeProxy({ target });
    const socket = await openWebSocket(url, { perMessageDeflate: false });
    const came: string[] = [];
    socket.on('message', (data) => came.push(sha256(data as Buffer)));

    for (let i = 0; i < 16; i += 1) socket.send(bytes);

    await until(() => came.length === 16);
    expect(new Set(came)).toEqual(new Set([sha256(bytes)]));
  });

  it('goes over TLS to a backend whose certificate is right, and to no other', async () => {
    const { url: target } = await startWebSocketBackend(undefined, { tls: localhostCertificate });
    const right = await startUpgradeProxy({ target, ssl: { ca: localhostCertificate.cert } });
    const wrong = await startUpgradeProxy({ target });

    const socket = await openWebSocket(right.url);
    socket.send('safe');

    expect(String((await message(socket)).data)).toBe('safe');
    await expect(openWebSocket(wrong.url)).rejects.toThrow('502');
  });
});

describe('the handshake', () => {
  it('reaches the backend as it is, with the id, the forwarded fields and nothing hop-by-hop', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port } = await startUpgradeProxy({ target: `${target}/base` }, { mount: '/api' });

    const wire = await openWire(
      port,
      handshake(
        '/api/chat?room=1',
        'Sec-WebSocket-Protocol: a, b',
        'X-Request-ID: night-1',
        'X-Forwarded-For: 10.9.9.9',
        'Keep-Alive: timeout=5',
        'X-Latin: gr\xfc\xdfe',
        'Cookie: s=1',
      ).replace('Connection: Upgrade', 'Connection: keep-alive, Upgrade, X-Gone\r\nX-Gone: 1'),
    );
    expect(await wire.status()).toBe(101);

    const [line, ...fields] = wires[0]!.arrived.trim().split('\r\n');
    expect(line).toBe('GET /base/chat?room=1 HTTP/1.1');
    expect(fields.map((field) => field.toLowerCase()).sort()).toEqual([
      'connection: upgrade',
      'cookie: s=1',
      'host: h',
      'sec-websocket-key: dghlihnhbxbszsbub25jzq==',
      'sec-websocket-protocol: a, b',
      'sec-websocket-version: 13',
      'upgrade: websocket',
      'x-forwarded-for: 127.0.0.1',
      'x-forwarded-host: h',
      'x-forwarded-prefix: /api',
      'x-forwarded-proto: http',
      'x-latin: gr\xfc\xdfe',
      'x-request-id: night-1',
    ]);
  });

  it('is granted as the backend grants it, with the id and what the app has set', async () => {
    const answer = SWITCH.replace(
      '\r\n\r\n',
      '\r\nSec-WebSocket-Protocol: b\r\nX-Latin: gr\xfc\xdfe\r\nSet-Cookie: b=1\r\n' +
        'Keep-Alive: timeout=5\r\nContent-Length: 5\r\nX-Request-ID: theirs\r\n\r\n',
    ).replace('Switching Protocols', 'Gr\xfcezi');
    const { url: target } = await startTunnelBackend(answer);
    const app = express().use((_req, res, next) => {
      res.setHeader('Set-Cookie', 'a=1');
      next();
    });
    const { port } = await startUpgradeProxy({ target }, { app });

    const wire = await openWire(port, handshake('/', 'X-Request-ID: night-1'));
    expect(await wire.status()).toBe(101);

    const [line, ...fields] = wire.arrived.trim().split('\r\n');
    expect(line).toBe('HTTP/1.1 101 Gr\xfcezi');
    expect(fields.filter((field) => !/^(date|x-powered-by)/i.test(field)).sort()).toEqual([
      'X-Request-ID: night-1',
      'connection: Upgrade',
      'sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      'sec-websocket-protocol: b',
      'set-cookie: a=1',
      'set-cookie: b=1',
      'upgrade: websocket',
      'x-latin: gr\xfc\xdfe',
    ]);
  });

  it('may bring the first bytes of the tunnel, from either side', async () => {
    const { url: target, wires } = await startTunnelBackend(`${SWITCH}early from the backend`);
    const { port } = await startUpgradeProxy({ target });

    const wire = await openWire(port, `${handshake()}early from the client`);

    await wire.has('early from the backend');
    await until(() => wires[0]?.arrived.endsWith('\r\n\r\nearly from the client'));
  });
});

describe('a tunnel', () => {
  it('goes on in the one direction when the other has ended', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port, proxy } = await startUpgradeProxy({ target });
    const first = await openWire(port, handshake());
    await first.status();
    const second = await openWire(port, handshake());
    await second.status();

    first.socket.end('last words');
    await until(() => wires[0]!.ended && wires[0]!.arrived.endsWith('last words'));
    wires[0]!.socket.end('and an answer');
    wires[1]!.socket.end('farewell');
    await until(() => second.ended && second.arrived.endsWith('farewell'));
    second.socket.end('thanks');

    await until(() => first.closed && first.arrived.endsWith('and an answer'));
    await until(() => wires[1]!.closed && wires[1]!.arrived.endsWith('thanks'));
    expect([first.error, second.error, wires[0]!.error, wires[1]!.error]).toEqual(
      Array(4).fill(undefined),
    );
    await until(() => proxy.status().inFlight === 0);
  });

  it('that is half-closed and idle ends after idleTimeout; an open one may be quiet', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port, proxy } = await startUpgradeProxy({ target, idleTimeout: 40 });
    const quiet = await openWire(port, handshake());
    await quiet.status();
    const half = await openWire(port, handshake());
    await half.status();

    half.socket.end();

    await until(() => half.closed && proxy.status().inFlight === 1);
    expect(wires[1]!.ended).toBe(true);
    await timePasses(100);
    expect([quiet.closed, proxy.status().inFlight]).toEqual([false, 1]);
  });

  it('reads no faster than the other side does', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port } = await startUpgradeProxy({ target });
    const wire = await openWire(port, handshake());
    await wire.status();
    wire.socket.pause();

    const chunk = Buffer.alloc(1 << 20);
    let sent = 0;
    const { socket } = wires[0]!;
    while (sent < 256 && (socket.write(chunk) || (await drained(socket)))) sent += 1;

    expect(sent).toBeLessThan(32); // what the kernel's buffers hold
    wire.socket.resume();
    await until(() => wire.arrived.length > sent << 20);
  });

  it('ends for both when the backend resets it, and nobody is blamed', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port, proxy, log } = await startUpgradeProxy({ target }, { captureLog: 'json' });
    const wire = await openWire(port, handshake());
    await wire.status();

    wires[0]!.socket.resetAndDestroy();

    await until(() => wire.ended);
    wire.socket.end();
    expect(outcomes(await requestLine(log))).toEqual(['ECONNRESET']);
    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
  });

  it.each(['end', 'resetAndDestroy'] as const)(
    'ends for the backend when the client leaves by %s()',
    async (leave) => {
      const { url: target, wires } = await startTunnelBackend();
      const { port, proxy, log } = await startUpgradeProxy({ target }, { captureLog: 'json' });
      const wire = await openWire(port, handshake());
      await wire.status();

      wire.socket[leave]();
      await until(() => wires[0]!.ended);
      wires[0]!.socket.end();

      expect(outcomes(await requestLine(log))).toEqual([leave === 'end' ? 101 : 'CLIENT_GONE']);
      await until(() => proxy.status().backends[0]!.inFlight === 0);
    },
  );
});

describe('the record of a WebSocket', () => {
  it('is one line, at its end, with its bytes and its time', async () => {
    const { url: target } = await startWebSocketBackend();
    const { url, log, proxy } = await startUpgradeProxy({ target }, { captureLog: 'json' });
    const done: TinyProxyEvents['done'][0][] = [];
    proxy.events.on('done', (event) => done.push(event));
    const socket = await openWebSocket(url, { headers: { 'X-Request-ID': 'night-1' } });
    socket.send('x'.repeat(100));
    await message(socket);
    await timePasses(30);
    expect(log).toEqual([]);
    expect(proxy.status()).toMatchObject({ inFlight: 1, backends: [{ inFlight: 1 }] });

    socket.close();

    const line = await requestLine(log);
    expect(line).toMatchObject({ requestId: 'night-1', method: 'GET', status: 101, noRetry: '-' });
    expect(line.bytes).toBe(2 + 100 + 2); // a frame, and an empty close frame
    expect([outcomes(line), line.ms >= 30]).toEqual([[101], true]);
    await until(() => done.length > 0);
    expect(done).toMatchObject([{ requestId: 'night-1', status: 101, bytes: 104, attempt: 1 }]);
    expect(proxy.status()).toMatchObject({ inFlight: 0, backends: [{ inFlight: 0 }] });
  });

  it('has bytes and time in the text log, too', async () => {
    const { url: target, backend } = await startWebSocketBackend();
    const { url, log } = await startUpgradeProxy({ target }, { captureLog: true });
    const socket = await openWebSocket(url, { headers: { 'X-Request-ID': 'night-1' } });

    socket.close();
    await until(() => log.length === 1);

    const hop = `${backend.host}=101/`.replaceAll('.', '\\.');
    expect(log[0]).toMatch(new RegExp(`^127.0.0.1 night-1 GET / 101 2 [\\d.]+ ms ${hop}`));
  });
});

/** False when the socket stays full: its peer does not read. */
async function drained(socket: NodeJS.WritableStream): Promise<boolean> {
  try {
    await within(new Promise((resolve) => socket.once('drain', resolve)), 'a drain', 200);
    return true;
  } catch {
    return false;
  }
}
