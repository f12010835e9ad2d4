// A kept-alive connection that the backend closes just as it is used again is a race that nobody
// lost (RFC 9112 9.3.1).
import { describe, expect, it } from '@jest/globals';
import type { TinyProxyOptions } from '../src/index.js';
import {
  type Backend,
  closeConnection,
  failTimes,
  type Handler,
  reply,
  resetConnection,
  resetWhenReused,
  startBackend,
} from './support/backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get, type RunningProxy, startProxyWith } from './support/proxy.js';
import { startRawBackend } from './support/raw.js';
import { until } from './support/wait.js';

/** No retry but those that need no place in the budget; one failure opens a breaker. */
const strict: Partial<TinyProxyOptions> = {
  retry: { budget: { ratio: 0, minPerSecond: 0 } },
  breaker: { failures: 1 },
};

/** The proxy has a pooled connection to each backend, which serves no second request. */
async function startStale(
  count: number,
  options: Partial<TinyProxyOptions> = {},
  handler: Handler = resetWhenReused(reply(200, 'fresh')),
): Promise<{ stale: Backend[]; running: RunningProxy }> {
  const stale = await Promise.all(Array.from({ length: count }, () => startBackend(handler)));
  const running = await startProxyWith(
    { target: stale.map(({ url }) => url), ...strict, ...options },
    { captureLog: 'json' },
  );
  for (const _each of stale) expect((await get(running.url)).status).toBe(200);
  return { stale, running };
}

describe('a pooled connection that is reset when it is used again', () => {
  it.each(['GET', 'HEAD', 'PUT'])(
    'makes a %s go on, on a fresh connection where there is no other backend',
    async (method) => {
      const { stale, running } = await startStale(1);

      const response = await get(running.url, { method, ...(method === 'PUT' && { body: 'b' }) });

      expect(response.status).toBe(200);
      expect(stale[0]?.connections).toBe(2);
      expect(outcomes(await requestLine(running.log, 2))).toEqual(['ECONNRESET', 200]);
    },
  );

  it('makes a GET go on at the next backend where there is one', async () => {
    const { stale, running } = await startStale(2);

    expect((await get(running.url)).status).toBe(200);

    const { hops } = await requestLine(running.log, 3);
    expect(new Set(hops.slice(0, 2).map(({ backend }) => backend)).size).toBe(2);
    expect(hops.at(-1)?.outcome).toBe(200);
    expect(stale.every(({ connections }) => connections <= 2)).toBe(true);
  });

  it('counts neither as a failure nor as a retry of the budget', async () => {
    const { running } = await startStale(1);

    await get(running.url);

    const { backends } = running.proxy.status();
    expect(backends).toMatchObject([{ breaker: 'closed', consecutiveFailures: 0, failures: 0 }]);
  });

  it('does not undo the count of real failures before it', async () => {
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({ target: backend.url, retry: false });
    await get(url);
    backend.answerWith(resetConnection());

    expect((await get(url)).status).toBe(502);

    expect(proxy.status().backends[0]?.consecutiveFailures).toBe(1);
  });

  it('fails a POST with 502, sent once, and counts nothing', async () => {
    const { stale, running } = await startStale(1);

    const response = await get(running.url, { method: 'POST', body: 'charge me' });

    expect(response.status).toBe(502);
    expect(stale[0]?.started).toBe(2);
    expect(await requestLine(running.log, 2)).toMatchObject({ noRetry: 'method' });
    expect(running.proxy.status().backends).toMatchObject([{ breaker: 'closed', failures: 0 }]);
  });

  it('is the same race when the backend closes it in good order', async () => {
    const used = new WeakSet<object>();
    const { running } = await startStale(1, {}, (request, response, body) => {
      if (used.has(request.socket)) return closeConnection()(request, response, body);
      used.add(request.socket);
      response.end('fresh');
    });

    expect((await get(running.url)).text).toBe('fresh');
    expect(running.proxy.status().backends).toMatchObject([{ failures: 0 }]);
  });

  it('lets the probe of a half-open breaker go on as well', async () => {
    const backend = await startBackend(resetWhenReused(failTimes(1, reply(200))));
    const { url, proxy, log } = await startProxyWith(
      { target: backend.url, breaker: { failures: 1, cooldown: 30 } },
      { captureLog: 'json' },
    );
    await get(url, { method: 'POST' });
    await until(() => proxy.status().backends[0]?.breaker === 'half-open');

    expect((await get(url)).status).toBe(200);
    expect(outcomes(await requestLine(log, 2))).toEqual(['ECONNRESET', 200]);
    expect(proxy.status().backends).toMatchObject([{ breaker: 'closed' }]);
  });

  it('costs one fresh connection, however many stale ones were pooled', async () => {
    const backend = await startBackend(resetWhenReused(reply(200)));
    const { url, log } = await startProxyWith({ target: backend.url }, { captureLog: 'json' });
    await Promise.all(Array.from({ length: 8 }, () => get(url)));

    expect((await get(url)).status).toBe(200);
    expect(outcomes(await requestLine(log, 9))).toEqual(['ECONNRESET', 200]);
  });
});

describe('what is not that race', () => {
  it('is a reset on a fresh connection: a failure of the backend', async () => {
    const backend = await startBackend(resetConnection());
    const { url, proxy } = await startProxyWith({ target: backend.url, ...strict });

    expect((await get(url)).status).toBe(502);
    expect(proxy.status().backends).toMatchObject([{ breaker: 'open', failures: 1 }]);
  });

  it('is a reset after the first byte of a response: a failure of the backend', async () => {
    let answers = 0;
    const backend = await startRawBackend((socket) => {
      socket.on('data', () => {
        answers += 1;
        if (answers === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        else socket.write('HTTP/1.1 2', () => setImmediate(() => socket.destroy()));
      });
    });
    const { url, proxy } = await startProxyWith({ target: backend.url, ...strict });

    const statuses = [(await get(url)).status, (await get(url)).status];

    expect(statuses).toEqual([200, 502]);
    expect(backend.connections).toBe(1);
    expect(proxy.status().backends).toMatchObject([{ failures: 1 }]);
  });
});
