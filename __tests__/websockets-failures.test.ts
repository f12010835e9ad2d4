// WebSockets: the next backend, the breaker, the deadlines, and what a client gets that gets none.
import { describe, expect, it } from '@jest/globals';
import { hang, reply, resetConnection, startBackend } from './support/backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get } from './support/proxy.js';
import { blackHole, refusedUrl, sendRaw, valuesOf } from './support/raw.js';
import { timePasses, until, within } from './support/wait.js';
import {
  closed,
  handshake,
  openWebSocket,
  openWire,
  SWITCH,
  startTunnelBackend,
  startUpgradeProxy,
  startWebSocketBackend,
} from './support/websocket.js';

const first = (_req: unknown, candidates: readonly { url: string }[]) => candidates[0] as never;

describe('a WebSocket whose backend', () => {
  it('refuses the connection goes to the next one, and says so', async () => {
    const [dead, { url }] = [await refusedUrl(), await startWebSocketBackend()];
    const running = await startUpgradeProxy(
      { target: [dead, url], balance: first },
      { captureLog: 'json' },
    );

    (await openWebSocket(running.url)).close();

    expect(outcomes(await requestLine(running.log))).toEqual(['ECONNREFUSED', 101]);
    expect(running.proxy.status()).toMatchObject({ retries: 1, requests: 1 });
  });

  it('does not let itself be connected to goes to the next one after connectTimeout', async () => {
    const [hole, { url }] = [await blackHole(), await startWebSocketBackend()];
    const running = await startUpgradeProxy(
      { target: [hole.url, url], balance: first, connectTimeout: 50 },
      { captureLog: 'json' },
    );

    (await openWebSocket(running.url)).close();

    expect(outcomes(await requestLine(running.log))).toEqual(['ETIMEDOUT', 101]);
  });

  it('has an open breaker is not asked', async () => {
    const [dead, { url }] = [await refusedUrl(), await startWebSocketBackend()];
    const running = await startUpgradeProxy(
      { target: [dead, url], balance: first, breaker: { failures: 1 } },
      { captureLog: 'json' },
    );
    await openWebSocket(running.url);

    (await openWebSocket(running.url)).close();

    expect(outcomes(await requestLine(running.log))).toEqual([101]);
  });

  it('cuts the connection when it stands is not replaced: 502', async () => {
    const sick = await startBackend(resetConnection());
    const { url, sockets } = await startWebSocketBackend();
    const running = await startUpgradeProxy(
      { target: [sick.url, url], balance: first },
      { captureLog: 'json' },
    );
    sick.server.on('upgrade', (_req, socket) => socket.destroy());

    const answer = await sendRaw(running.port, handshake(), { until: 'close' });

    expect([answer.status, answer.closedBy]).toEqual([502, 'end']);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'BAD_GATEWAY' });
    const line = await requestLine(running.log);
    expect([outcomes(line), line.noRetry]).toEqual([['ECONNRESET'], 'method']);
    expect(sockets).toEqual([]);
  });

  it.each([
    ['something else', SWITCH.replace('websocket', 'h2c')],
    ['nothing', SWITCH.replace('Upgrade: websocket\r\n', '')],
    ['a control byte', SWITCH.replace('\r\n\r\n', '\r\nX-A: a\x01b\r\n\r\n')],
    ['another HTTP', SWITCH.replace('HTTP/1.1', 'HTTP/2.0')],
  ])('switches to %s is broken: 502', async (_what, answer) => {
    const { url: target, wires } = await startTunnelBackend(answer);
    const { port, proxy } = await startUpgradeProxy({ target });

    expect((await sendRaw(port, handshake(), { until: 'close' })).status).toBe(502);

    expect(proxy.status().backends[0]).toMatchObject({ failures: 1 });
    await until(() => wires[0]?.ended);
  });

  it('answers without upgrading gives the client that answer, whole', async () => {
    const backend = await startBackend(
      reply(426, 'x'.repeat(100_000), { 'Sec-WebSocket-Version': '13', 'X-Odd': 'a' }),
    );
    const { port, log } = await startUpgradeProxy({ target: backend.url }, { captureLog: 'json' });

    const answer = await sendRaw(port, handshake(), { until: 'close' });

    expect([answer.status, answer.body.length, answer.closedBy]).toEqual([426, 100_000, 'end']);
    expect(valuesOf(answer, 'sec-websocket-version')).toEqual(['13']);
    expect(valuesOf(answer, 'connection')).toEqual(['close']);
    expect(outcomes(await requestLine(log))).toEqual([426]);
  });

  it('answers 500 has failed, and the client gets it all the same', async () => {
    const backend = await startBackend(reply(500, 'no'));
    const { port, proxy, log } = await startUpgradeProxy(
      { target: [backend.url, await refusedUrl()], balance: first },
      { captureLog: 'json' },
    );

    const answer = await sendRaw(port, handshake(), { until: 'close' });

    expect([answer.status, answer.body.toString()]).toEqual([500, 'no']);
    expect((await requestLine(log)).noRetry).toBe('method');
    expect(proxy.status().backends).toMatchObject([{ failures: 1 }, { attempts: 0 }]);
  });

  it.each(['attemptTimeout', 'requestTimeout'])('is silent for %s: 504', async (option) => {
    const { url: target, wires } = await startTunnelBackend('');
    const { port } = await startUpgradeProxy({ target, [option]: 60 });

    const answer = await sendRaw(port, handshake(), { until: 'close' });

    expect(answer.status).toBe(504);
    await until(() => wires[0]?.ended);
  });

  it('is none: 503 with Retry-After, 502 when all refuse', async () => {
    const target = [await refusedUrl(), await refusedUrl()];
    const { port } = await startUpgradeProxy({ target, breaker: { failures: 1, cooldown: 9000 } });

    const refused = await sendRaw(port, handshake(), { until: 'close' });
    const open = await sendRaw(port, handshake(), { until: 'close' });

    expect([refused.status, open.status]).toEqual([502, 503]);
    expect(valuesOf(open, 'retry-after')).toEqual(['9']);
  });
});

describe('a breaker', () => {
  it('takes a 101 for a success, and hears nothing of how the tunnel ends', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port, proxy } = await startUpgradeProxy({
      target,
      isFailure: (status) => status !== 200, // a 101 all the same is none
      breaker: { failures: 2 },
    });
    for (let i = 0; i < 4; i += 1) {
      const wire = await openWire(port, handshake());
      await wire.status();
      wires[i]!.socket.resetAndDestroy();
      await until(() => wire.ended);
      wire.socket.end();
    }

    await until(() => proxy.status().inFlight === 0);
    expect(proxy.status().backends[0]).toMatchObject({ breaker: 'closed', failures: 0 });
  });

  it('has its count of failures ended by a 101', async () => {
    const { url: target, backend } = await startWebSocketBackend();
    const { url, proxy } = await startUpgradeProxy({ target, breaker: { failures: 3 } });
    backend.answerWith(reply(500));
    for (let i = 0; i < 2; i += 1) await get(url, { method: 'POST' });
    expect(proxy.status().backends[0]!.consecutiveFailures).toBe(2);

    await openWebSocket(url);

    expect(proxy.status().backends[0]!.consecutiveFailures).toBe(0);
  });

  it('is closed by a WebSocket that was its probe', async () => {
    const { url: target, backend } = await startWebSocketBackend();
    const { url, proxy } = await startUpgradeProxy({
      target,
      breaker: { failures: 1, cooldown: 20 },
    });
    backend.answerWith(reply(500));
    await get(url, { method: 'POST' });
    await until(() => proxy.status().backends[0]!.breaker === 'half-open');

    await openWebSocket(url);

    expect(proxy.status().backends[0]!.breaker).toBe('closed');
  });
});

describe('a client that leaves before the answer', () => {
  it.each(['end', 'resetAndDestroy'] as const)('by %s() ends the attempt', async (leave) => {
    const { url: target, wires } = await startTunnelBackend('');
    const { port, proxy, log } = await startUpgradeProxy({ target }, { captureLog: 'json' });
    const wire = await openWire(port, handshake());
    await until(() => wires.length === 1);

    wire.socket[leave]();

    const line = await requestLine(log);
    expect([line.status, outcomes(line), line.noRetry]).toEqual([
      499,
      ['CLIENT_GONE'],
      'client-gone',
    ]);
    await until(() => wires[0]!.ended);
    expect(proxy.status()).toMatchObject({ inFlight: 0, backends: [{ inFlight: 0, failures: 0 }] });
  });
});

describe('close()', () => {
  it('lets a tunnel have its grace period; then both sides get FIN', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port, proxy, log } = await startUpgradeProxy({ target }, { captureLog: 'json' });
    const wire = await openWire(port, handshake());
    await wire.status();
    const end = proxy.close(60);
    wires[0]!.write('going away');
    await wire.has('going away');
    expect(wire.ended).toBe(false);

    wire.socket.on('end', () => wire.socket.end());
    wires[0]!.socket.on('end', () => wires[0]!.socket.end());
    await within(end, 'the end of close()', 2000);

    await until(() => wire.closed && wires[0]!.closed);
    expect([wire.error, wires[0]!.error]).toEqual([undefined, undefined]);
    expect(outcomes(await requestLine(log))).toEqual(['CUT']);
  });

  it('resolves when a side neither reads nor ends', async () => {
    const { url: target, wires } = await startTunnelBackend();
    const { port, proxy } = await startUpgradeProxy({ target });
    const wire = await openWire(port, handshake());
    await wire.status();
    wire.socket.pause();
    wires[0]!.socket.write(Buffer.alloc(16 << 20));
    await timePasses(50);

    await within(proxy.close(0), 'the end of close()');

    expect(proxy.status().inFlight).toBe(0);
  });

  it('lets a close frame of the backend pass, and no new WebSocket in', async () => {
    const { url: target, sockets } = await startWebSocketBackend();
    const { url, port, proxy } = await startUpgradeProxy({ target });
    const socket = await openWebSocket(url);

    const end = proxy.close(5000);
    const late = await sendRaw(port, handshake(), { until: 'close' });
    sockets[0]!.close(1001, 'going away');

    expect(await closed(socket)).toEqual({ code: 1001, reason: 'going away' });
    await within(end, 'the end of close()', 1000);
    expect([late.status, valuesOf(late, 'retry-after')]).toEqual([503, ['1']]);
  });
});

describe('a handshake that must not go on', () => {
  it.each(['/../admin', '/%2e%2e/admin', '//evil.example/', 'http://evil.example/', '/..;/x'])(
    'to %s gets 400 and no backend',
    async (path) => {
      const backend = await startBackend(hang());
      const { port } = await startUpgradeProxy({ target: `${backend.url}/base` });

      const answer = await sendRaw(port, handshake(path), { until: 'close' });

      expect(answer.status).toBe(400);
      expect([backend.started, backend.connections]).toEqual([0, 0]);
    },
  );
});
