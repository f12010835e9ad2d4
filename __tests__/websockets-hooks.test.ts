// The hooks that WebSockets have.
import { describe, expect, it } from '@jest/globals';
import express, { type Response } from 'express';
import { ProxyError } from '../src/index.js';
import { outcomes, requestLine, requestLines } from './support/log-lines.js';
import { sendRaw } from './support/raw.js';
import { until } from './support/wait.js';
import {
  handshake,
  openWebSocket,
  openWire,
  startTunnelBackend,
  startUpgradeProxy,
  startWebSocketBackend,
} from './support/websocket.js';

describe('the hooks of a WebSocket', () => {
  it('are those of http-proxy-middleware for it, the director and modifyResponse', async () => {
    const { url: target, requests } = await startWebSocketBackend();
    const heard: string[] = [];
    const { url } = await startUpgradeProxy({
      target,
      on: {
        start: () => void heard.push('start'),
        proxyReq: () => void heard.push('proxyReq'),
        proxyRes: () => void heard.push('proxyRes'),
        proxyReqWs: (proxyReq, req, socket) => {
          proxyReq.setHeader('X-Hook', req.url ?? '');
          heard.push(`proxyReqWs ${(socket as typeof req.socket) === req.socket}`);
        },
        open: (socket) => heard.push(`open ${socket.writable}`),
        close: (_res, socket) => heard.push(`close ${socket.destroyed || socket.readableEnded}`),
      },
      director: ({ headers }) => {
        headers['x-director'] = String(headers.upgrade);
        headers.upgrade = 'h2c';
      },
      modifyResponse: (response) => {
        response.headers['x-modified'] = String(response.status);
      },
    });
    let modified: unknown;
    const socket = await openWebSocket(`${url}/a`, {
      finishRequest: (request) => {
        request.on('upgrade', ({ headers }) => {
          modified = headers['x-modified'];
        });
        request.end();
      },
    });
    socket.close();
    await until(() => heard.length >= 3);

    expect(requests[0]!.headers).toMatchObject({ 'x-hook': '/a', 'x-director': 'undefined' });
    expect(modified).toBe('101');
    expect(heard).toEqual(['proxyReqWs true', 'open true', 'close true']);
  });

  it('may refuse the answer: the backend has failed, and the client gets the status', async () => {
    const { url: target, backend } = await startWebSocketBackend();
    const errors: string[] = [];
    const { port, proxy } = await startUpgradeProxy({
      target,
      modifyResponse: () => {
        throw new ProxyError('NOT_TODAY', { status: 507 });
      },
      on: { error: (error) => errors.push(error.message) },
    });

    expect((await sendRaw(port, handshake(), { until: 'close' })).status).toBe(507);

    expect([proxy.status().backends[0]!.failures, errors]).toEqual([1, ['NOT_TODAY']]);
    await until(() => backend.openSockets() === 0);
  });

  it('that throw are bugs: 500, and no tunnel', async () => {
    const { url: target, backend } = await startWebSocketBackend();
    const bug = (): never => {
      throw new Error('bug');
    };
    for (const options of [
      { on: { proxyReqWs: bug } },
      { director: bug },
      { modifyResponse: bug },
      {
        modifyResponse: (response: { status: number }) =>
          void Object.assign(response, { status: 200 }),
      },
    ]) {
      const { port, proxy } = await startUpgradeProxy({ target, ...options });
      const answer = await sendRaw(port, handshake(), { until: 'close' });

      expect(JSON.parse(answer.body.toString())).toMatchObject({
        status: 500,
        code: 'HOOK_FAILED',
      });
      await until(() => proxy.status().inFlight === 0);
      expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
    }
    await until(() => backend.openSockets() === 0);
  });

  it('that throw when the tunnel stands are a line in the log, and no more', async () => {
    const { url: target } = await startWebSocketBackend();
    const { url, log } = await startUpgradeProxy(
      {
        target,
        on: {
          open: () => {
            throw new Error('bug');
          },
        },
      },
      { captureLog: 'json' },
    );

    const socket = await openWebSocket(url);
    await until(() => log.length === 1);
    socket.close();

    expect(JSON.parse(log[0]!)).toMatchObject({ event: 'HOOK_FAILED' });
    expect(outcomes(await requestLine(log))).toEqual([101]);
  });

  it('do not change what the log says by what they write too late', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port, log } = await startUpgradeProxy(
      { target, on: { error: (_error, _req, res) => void (res as Response).writeHead(500) } },
      { captureLog: 'json' },
    );
    const wire = await openWire(port, handshake());
    await wire.status();

    wires[0]!.socket.resetAndDestroy();
    await until(() => wire.ended);
    wire.socket.end();

    await until(() => log.some((line) => line.includes('"hops"')));
    expect(requestLines(log)).toMatchObject([{ status: 101, hops: [{ outcome: 'ECONNRESET' }] }]);
  });

  it('see no framing of the app on a 101', async () => {
    const { url: target } = await startTunnelBackend();
    const app = express().use((_req, res, next) => {
      res.set({ 'Transfer-Encoding': 'chunked', 'Keep-Alive': 'timeout=9', 'Content-Length': '7' });
      next();
    });
    const { port } = await startUpgradeProxy({ target }, { app });

    const wire = await openWire(port, handshake());

    expect(await wire.status()).toBe(101);
    expect(wire.arrived).not.toMatch(/transfer-encoding|keep-alive|content-length/i);
  });
});
