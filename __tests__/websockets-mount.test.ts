// Which upgrades a proxy takes, and how they get through the app.
import { createServer } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import express from 'express';
import { WebSocketServer } from 'ws';
import { reply, startBackend } from './support/backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { LoopbackServer } from './support/loopback-server.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { sendRaw, valuesOf } from './support/raw.js';
import { gate, until } from './support/wait.js';
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

/** Says `name` to everybody who asks. */
const says = (name: string) =>
  startWebSocketBackend((socket) => socket.on('message', () => socket.send(name)));

async function greeting(url: string): Promise<string> {
  const socket = await openWebSocket(url);
  socket.send('who are you?');
  return String((await message(socket)).data);
}

describe('an upgrade', () => {
  it('goes to the proxy at whose mount path it lies, of several on one server', async () => {
    const [a, b] = await Promise.all([says('a'), says('b')]);
    const proxies = [quietProxy({ target: a.url }), quietProxy({ target: b.url })] as const;
    const { url, port, server } = await startProxy((app) =>
      app.use('/a', proxies[0]).use('/nested', express.Router().use('/:id/b', proxies[1])),
    );
    for (const proxy of proxies) server.on('upgrade', proxy.upgrade);

    expect(await greeting(`${url}/a/x`)).toBe('a');
    expect(await greeting(`${url}/A`)).toBe('a'); // as Express matches
    expect(await greeting(`${url}/nested/7/b?q`)).toBe('b');
    for (const path of ['/', '/ab', '/nested/b', '/nested/%zz/b']) {
      const { status, closedBy } = await sendRaw(port, handshake(path), { until: 'close' });
      expect([path, status, closedBy]).toEqual([path, path.includes('%') ? 400 : 404, 'end']);
    }
  });

  it('goes through a route, and through a path that is a list or a pattern', async () => {
    const { url: target } = await says('it');
    const proxy = quietProxy({ target });
    const { url, server } = await startProxy((app) =>
      app
        .get('/route/:id', proxy)
        .get('/inner', express.Router().use(proxy))
        .use(['/one', /^\/two\d/], proxy),
    );
    server.on('upgrade', proxy.upgrade).on('upgrade', () => {}); // one that would take it

    for (const path of ['/route/7', '/inner', '/one/x', '/two2']) {
      expect(await greeting(url + path)).toBe('it');
    }
  });

  it('of another path is left to the other listener of the server, untouched', async () => {
    const { url: target } = await says('proxy');
    const { url, server } = await startUpgradeProxy({ target }, { mount: '/api' });
    const chat = new WebSocketServer({ noServer: true });
    const held = gate();
    server.on('upgrade', async (req, socket, head) => {
      if (req.url !== '/chat') return;
      await held.opened; // takes its time
      chat.handleUpgrade(req, socket, head, (ws) => ws.on('message', () => ws.send('chat')));
    });

    const chatting = greeting(`${url}/chat`);
    expect(await greeting(`${url}/api`)).toBe('proxy');
    held.open();

    expect(await chatting).toBe('chat');
  });

  it('may be handed over by a listener that does others itself', async () => {
    const { url: target } = await says('proxy');
    const { url, server, proxy } = await startProxyWith({ target }, { mount: '/api' });
    const chat = new WebSocketServer({ noServer: true });
    server.on('upgrade', (req, socket, head) => {
      proxy.upgrade(req, socket, head);
      if (req.url === '/chat')
        chat.handleUpgrade(req, socket, head, (ws) => ws.on('message', () => ws.send('chat')));
    });

    expect(await greeting(`${url}/api`)).toBe('proxy');
    expect(await greeting(`${url}/chat`)).toBe('chat');
    await expect(openWebSocket(`${url}/other`)).rejects.toThrow('404');
  });

  it('is found below a sub-app, when nobody else wants it', async () => {
    const { url: target } = await says('it');
    const proxy = quietProxy({ target });
    const { url, server } = await startProxy((app) =>
      app.use('/sub', express().use('/api', proxy)),
    );
    server.on('upgrade', proxy.upgrade);

    expect(await greeting(`${url}/sub/api`)).toBe('it');
  });

  it('is found by the mount path of `ws` in an app that cannot be looked at', async () => {
    const { url: target } = await says('it');
    const proxy = quietProxy({ target, ws: '/api/' });
    const app = express().use('/api', proxy);
    const server = createServer((req, res) => void app(req, res));
    const { url } = await new LoopbackServer(server).start();
    const others: (string | undefined)[] = [];
    server.on('upgrade', proxy.upgrade).on('upgrade', (req, socket) => {
      if (/^\/api\b(?!s)/i.test(req.url ?? '')) return;
      others.push(req.url);
      socket.end('HTTP/1.1 418 No\r\n\r\n');
    });

    expect(await greeting(`${url}/api`)).toBe('it');
    expect(await greeting(`${url}/API/x?q`)).toBe('it');
    await expect(openWebSocket(`${url}/apis`)).rejects.toThrow('418');
    expect(others).toEqual(['/apis']);
  });

  it('that comes as the first request of all runs through the app, too', async () => {
    const { url: target } = await says('it');
    const { url, log } = await startUpgradeProxy({ target }, { mount: '/api', captureLog: 'json' });

    const socket = await openWebSocket(`${url}/api`);
    socket.close();

    expect(outcomes(await requestLine(log))).toEqual([101]);
  });

  it('waits for the answers to the requests before it on its connection', async () => {
    const backend = await startBackend(reply(200, 'slow'));
    const held = gate();
    backend.answerWith(async (req, res) => {
      await held.opened;
      res.end(`slow ${req.url}`);
    });
    const { url: target, wires } = await startTunnelBackend();
    const [plain, tunnel] = [quietProxy({ target: backend.url }), quietProxy({ target })];
    const { port, server } = await startProxy((app) => app.use('/t', tunnel).use(plain));
    server.on('upgrade', tunnel.upgrade);

    const wire = await openWire(
      port,
      `GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n${handshake('/t')}`,
    );
    await until(() => backend.started >= 1);
    expect([wire.arrived, wires.length]).toEqual(['', 0]);
    held.open();

    await wire.has('101 Switching');
    expect(wire.arrived.match(/slow \/\d|101 Switching/g)).toEqual([
      'slow /1',
      'slow /2',
      '101 Switching',
    ]);
  });
});

describe('the middleware in front of the proxy', () => {
  it('sees an upgrade, and may answer it', async () => {
    const { url: target, requests } = await says('it');
    const proxy = quietProxy({ target });
    const seen: string[] = [];
    const { url, port, server } = await startProxy((app) => {
      app.use((req, res, next) => {
        const { url: path, method } = req;
        for (const event of ['finish', 'close']) res.on(event, () => seen.push(`${path} ${event}`));
        if (req.get('authorization') === 'Bearer right') return next();
        return void res.status(401).set('X-Method', method).json({ error: 'who are you?' });
      });
      app.use('/api', proxy);
    });
    server.on('upgrade', proxy.upgrade);

    const refused = await sendRaw(port, handshake('/api/1'), { until: 'close' });
    const headers = { authorization: 'Bearer right' };
    const socket = await openWebSocket(`${url}/api/2`, { headers });
    expect(seen).toEqual(['/api/1 finish', '/api/1 close']);
    socket.close();
    await until(() => seen.length === 4);

    expect([refused.status, refused.closedBy]).toEqual([401, 'end']);
    expect(valuesOf(refused, 'x-method')).toEqual(['GET']);
    expect(JSON.parse(refused.body.toString())).toEqual({ error: 'who are you?' });
    expect(seen.slice(2)).toEqual(['/api/2 finish', '/api/2 close']);
    expect(requests.length).toBe(1);
  });

  it('runs once, whatever the number of listeners, and may take its time', async () => {
    const { url: target } = await says('it');
    const proxies = [0, 1, 2].map(() => quietProxy({ target, ws: true }));
    let runs = 0;
    const { url, server } = await startProxy((app) => {
      app.use((_req, _res, next) => {
        runs += 1;
        setImmediate(next);
      });
      for (const proxy of proxies) app.use('/api', proxy);
    });
    for (const proxy of proxies) server.on('upgrade', proxy.upgrade);

    expect(await greeting(`${url}/api`)).toBe('it');
    expect(runs).toBe(1);
  });

  it('that lets the client wait notices that it has left', async () => {
    const { url: target, backend } = await startTunnelBackend();
    const proxy = quietProxy({ target });
    const held = gate();
    let left = false;
    const { port, server } = await startProxy((app) =>
      app.use(async (_req, res, next) => {
        res.on('close', () => {
          left = true;
        });
        await held.opened;
        next();
      }, proxy),
    );
    server.on('upgrade', proxy.upgrade);

    const wire = await openWire(port, handshake());
    wire.socket.end();
    await until(() => left);
    held.open();

    await until(() => wire.closed);
    expect([backend.connections, proxy.status().inFlight]).toEqual([0, 0]);
  });
});

describe('ws: true', () => {
  it('subscribes the server of the first request; an upgrade that is it is asked to come again', async () => {
    const { url: target } = await says('it');
    const { url, port, server, proxy } = await startProxyWith({ target, ws: true });

    const early = await sendRaw(port, handshake());
    expect([early.status, valuesOf(early, 'retry-after')]).toEqual([503, ['1']]);
    expect(proxy.status().backends[0]!.attempts).toBe(0);

    expect(await greeting(url)).toBe('it');
    expect(server.listenerCount('upgrade')).toBe(1);
    server.removeAllListeners('upgrade');
    expect((await sendRaw(port, handshake())).status).toBe(503);
    expect(await greeting(url)).toBe('it');
  });

  it('costs a server one listener for all its proxies, and none when they are closed', async () => {
    const { url: target } = await says('it');
    const proxies = Array.from({ length: 20 }, () => quietProxy({ target, ws: true }));
    const { url, server } = await startProxy((app) => {
      for (const [i, proxy] of proxies.entries()) app.use(`/${i}`, proxy);
    });
    const none = server.listenerCount('upgrade');
    for (let i = 0; i < 20; i += 1) await get(`${url}/${i}/`);

    expect([none, server.listenerCount('upgrade')]).toEqual([0, 1]);
    expect(await greeting(`${url}/19`)).toBe('it');
    await Promise.all(proxies.map((proxy) => proxy.close(0)));
    expect(server.listenerCount('upgrade')).toBe(0);
    expect((await get(`${url}/19`)).status).toBe(503);
    expect(server.listenerCount('upgrade')).toBe(0);
  });

  it('works on each of the servers that an app has', async () => {
    const { url: target } = await says('it');
    const proxy = quietProxy({ target, ws: true });
    const app = express().use(proxy);
    for (let i = 0; i < 3; i += 1) {
      const { url } = await startProxy(() => {}, { app });
      await get(url);
      expect(await greeting(url)).toBe('it');
    }
  });

  it('leaves no upgrade to a proxy without it', async () => {
    const { url: target } = await says('it');
    const { port, server } = await startProxyWith({ target });

    const answer = await sendRaw(port, handshake());

    expect([answer.status, answer.body.toString()]).toEqual([200, 'plain']);
    expect(server.listenerCount('upgrade')).toBe(0);
  });
});

describe('a hundred WebSockets', () => {
  it('leave nothing behind', async () => {
    const { url: target, backend } = await startWebSocketBackend();
    const { url, proxy } = await startUpgradeProxy({ target });
    for (let round = 0; round < 4; round += 1) {
      const sockets = await Promise.all(Array.from({ length: 25 }, () => openWebSocket(url)));
      expect(proxy.status()).toMatchObject({ inFlight: 25, backends: [{ inFlight: 25 }] });
      const ends = sockets.map(closed);
      for (const [i, socket] of sockets.entries()) i % 2 ? socket.close() : socket.terminate();
      await Promise.all(ends);
      await until(() => proxy.status().inFlight === 0 && backend.openSockets() === 0);
    }
    expect(proxy.status()).toMatchObject({
      requests: 100,
      backends: [{ inFlight: 0, failures: 0 }],
    });
  });
});
