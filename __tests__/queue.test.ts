// An attempt that waits for one of maxConnections: its turn, and what may happen until then.
import { describe, expect, it } from '@jest/globals';
import { byPath, type Handler, heldUntil, reply, startBackend } from './support/backend.js';
import { fullBackends, KINDS } from './support/full-backends.js';
import { expectNothingBut, openHandles } from './support/handles.js';
import { outcomes, requestLine, requestLines } from './support/log-lines.js';
import { type ClientResponse, get, open, startProxyWith } from './support/proxy.js';
import { gate, until, within } from './support/wait.js';
import { openWebSocket, startWebSocketBackend } from './support/websocket.js';

describe('an attempt that waits', () => {
  it('has its turn in order of arrival, of whatever kind it is', async () => {
    const { url, proxy, backends, letGo } = await fullBackends(1);
    const order = Array.from({ length: 8 }, (_, i) => `/${i}`);
    const answers: Promise<ClientResponse>[] = [];
    for (const [i, path] of order.entries()) {
      answers.push(get(url + path, KINDS[i % KINDS.length]![1]()));
      await until(() => proxy.status().backends[0]!.inFlight === i + 2);
    }
    expect(proxy.status()).toMatchObject({ inFlight: 9, backends: [{ attempts: 9 }] });

    await letGo();

    await Promise.all(answers);
    expect(backends[0]!.received.map((request) => request.url)).toEqual(['/hold', ...order]);
  });

  it('has its turn as soon as there is one', async () => {
    const { url, proxy, log, letGo } = await fullBackends(1);
    const answer = get(url);
    await until(() => proxy.status().inFlight === 2);

    await letGo();

    expect((await within(answer, 'an answer', 2000)).status).toBe(200);
    expect(outcomes(await requestLine(log, 2))).toEqual([200]);
  });

  it('leaves the queue when its client leaves, and the next one is served', async () => {
    const { url, proxy, log, backends, letGo } = await fullBackends(1);
    const left = [open(`${url}/left`), open(`${url}/left`, { method: 'POST', body: 'small' })];
    await until(() => proxy.status().inFlight === 3);
    const answer = get(`${url}/stays`);
    await until(() => proxy.status().inFlight === 4);

    for (const { request } of left) request.destroy();
    await until(() => proxy.status().inFlight === 2);
    await letGo();

    expect((await answer).status).toBe(200);
    expect(backends[0]!.received.map((request) => request.url)).toEqual(['/hold', '/stays']);
    const gone = requestLines(log).filter((line) => line.url === '/left');
    expect(gone.map(outcomes)).toEqual([['CLIENT_GONE'], ['CLIENT_GONE']]);
    expect(proxy.status().backends).toMatchObject([{ inFlight: 0, failures: 0 }]);
  });

  it('may be a WebSocket; and one waits for the end of a WebSocket', async () => {
    const { backend, url: target, sockets } = await startWebSocketBackend();
    const { url, server, proxy } = await startProxyWith({
      target,
      maxConnections: 1,
      queueTimeout: 10_000,
    });
    server.on('upgrade', proxy.upgrade);
    const first = await openWebSocket(url);
    const second = openWebSocket(url);
    await until(() => proxy.status().inFlight === 2);
    const answer = get(url);
    await until(() => proxy.status().inFlight === 3);
    expect([sockets.length, backend.started]).toEqual([1, 0]);

    first.close();
    (await second).close();

    expect((await answer).text).toBe('plain');
    expect(sockets).toHaveLength(2);
  });
});

describe('who waits for a backend that is to get nothing more', () => {
  it.each(KINDS)('goes elsewhere at once when it is drained: %s', async (_kind, init) => {
    const { url, proxy, log, gates, backends, letGo } = await fullBackends(2, { retry: false });
    const answer = get(url, init());
    await until(() => proxy.status().backends[0]!.inFlight === 2);

    proxy.drain(backends[0]!.url);
    expect(proxy.status().backends.map(({ inFlight }) => inFlight)).toEqual([1, 2]);
    gates[1]!.open();

    expect((await answer).status).toBe(200);
    expect(outcomes(await requestLine(log, 2))).toEqual(['QUEUE_TIMEOUT', 200]);
    await letGo();
    expect(backends[0]!.started).toBe(1);
  });

  it.each(KINDS)('goes elsewhere at once when its breaker opens: %s', async (_kind, init) => {
    const options = { retry: false, breaker: { failures: 1, cooldown: 7000 } } as const;
    const { url, proxy, log, backends, gates, held, letGo } = await fullBackends(2, options);
    const answer = get(url, init());
    await until(() => proxy.status().backends[0]!.inFlight === 2);

    backends[0]!.cutSockets();
    gates[1]!.open();

    expect((await answer).status).toBe(200);
    expect((await held[0]!).status).toBe(502);
    const lines = requestLines(log).filter(({ url: path }) => path === '/');
    expect(lines.map(outcomes)).toEqual([['QUEUE_TIMEOUT', 200]]);
    expect(backends[0]!.started).toBe(1);
    await letGo();
  });

  it('gets the 503 that all get where there is no other', async () => {
    const { url, proxy, backends, held } = await fullBackends(1, {
      retry: false,
      breaker: { failures: 1, cooldown: 7000 },
    });
    const answers = [get(url), get(url, { method: 'POST', body: 'small' })];
    await until(() => proxy.status().inFlight === 3);

    backends[0]!.cutSockets();

    for (const { status, headers } of await Promise.all(answers)) {
      expect([status, headers['retry-after']]).toEqual([503, '7']);
    }
    await held[0];
    expect(proxy.status().backends).toMatchObject([{ failures: 1, inFlight: 0 }]);
  });
});

describe('a probe that waits', () => {
  it('decides nothing: the next request is the probe', async () => {
    const [sick, well] = await Promise.all([startBackend(endless500()), startBackend(reply(200))]);
    const { url, proxy, log } = await startProxyWith(
      {
        target: [sick.url, well.url],
        maxConnections: 1,
        queueTimeout: 30,
        breaker: { failures: 1, cooldown: 20 },
        balance: (_req, candidates) => candidates[0]!,
        retry: { budget: false },
      },
      { captureLog: 'json' },
    );
    const status = () => proxy.status().backends[0]!;
    // Its connection is in use until the dropped response, which does not end, is cut.
    expect((await get(url)).status).toBe(200);
    await until(() => status().breaker === 'half-open');
    proxy.drain(well.url);

    expect((await get(url)).status).toBe(503);
    expect(outcomes(await requestLine(log, 2))).toEqual(['QUEUE_TIMEOUT']);
    expect(status()).toMatchObject({ breaker: 'half-open', failures: 1, inFlight: 0 });
    sick.answerWith(reply(200, 'probed'));
    await until(() => sick.openSockets() === 0);

    expect((await get(url)).text).toBe('probed');
    expect(status().breaker).toBe('closed');
  });
});

describe('close()', () => {
  it('lets who waits have its turn in the grace period', async () => {
    const { url, proxy, letGo } = await fullBackends(1);
    const answer = get(url);
    await until(() => proxy.status().inFlight === 2);

    const end = proxy.close();
    await letGo();

    expect((await answer).status).toBe(200);
    await within(end, 'the end of close()', 2000);
  });

  it('cuts who still waits then, and leaves nothing behind', async () => {
    const before = openHandles();
    const { url, proxy, backends, held, log, server } = await fullBackends(1);
    const waiting = [open(url), open(url, { method: 'POST', body: 'small' })];
    await until(() => proxy.status().inFlight === 3);

    await within(proxy.close(0), 'the end of close()', 2000);

    for (const { response } of waiting) await expect(response).rejects.toThrow();
    await expect(held[0]).rejects.toThrow();
    await until(() => requestLines(log).length === 3);
    expect(requestLines(log).map(outcomes)).toEqual([['CUT'], ['CUT'], ['CUT']]);
    expect(backends[0]!.started).toBe(1);
    expect(proxy.status()).toMatchObject({ inFlight: 0, backends: [{ inFlight: 0, failures: 0 }] });
    await backends[0]!.stop();
    server.closeAllConnections();
    server.close();
    await expectNothingBut(before);
  });
});

describe('nothing is left behind', () => {
  it('of those that have waited, however it went', async () => {
    const { url, proxy, backends, letGo } = await fullBackends(1, { queueTimeout: 200 });
    await letGo();
    await until(() => backends[0]!.openSockets() <= 1);
    const before = openHandles();
    const again = gate();
    backends[0]!.answerWith(
      byPath({ '/hold': heldUntil(again.opened, reply(200)), '/': reply(200) }),
    );

    const holding = get(`${url}/hold`);
    await until(() => proxy.status().inFlight === 1);
    const gone = open(url);
    const late = get(url);
    await until(() => proxy.status().inFlight === 3);
    gone.request.destroy();
    expect((await late).status).toBe(503);
    const served = get(url);
    await until(() => proxy.status().inFlight === 2);
    again.open();

    expect([(await holding).status, (await served).status]).toEqual([200, 200]);
    await until(() => proxy.status().inFlight === 0);
    await expectNothingBut(before);
  });
});

/** A 500 whose body does not end. */
function endless500(): Handler {
  return (_request, response) => void response.writeHead(500).write('x');
}
