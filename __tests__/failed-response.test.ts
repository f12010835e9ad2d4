import { describe, expect, it } from '@jest/globals';
import {
  dieInBody,
  type Handler,
  hang,
  reply,
  resetConnection,
  startBackend,
  startBackends,
  streamForever,
} from './support/backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get, startProxyWith } from './support/proxy.js';
import { refusedUrl, startRawBackend } from './support/raw.js';
import { until } from './support/wait.js';

describe('what the client gets', () => {
  const ends: [handlers: Handler[], status: number, text: string | RegExp][] = [
    [[resetConnection(), reply(500, 'my own words')], 500, 'my own words'],
    [[reply(500), reply(503, 'busy', { 'Retry-After': '9' })], 503, 'busy'],
    [[reply(500), resetConnection()], 502, /"code":"BAD_GATEWAY"/],
    [[reply(500), hang()], 504, /"code":"GATEWAY_TIMEOUT"/],
    [[hang(), reply(500, 'late')], 500, 'late'],
    [[resetConnection(), reply(404, 'none')], 404, 'none'],
  ];
  it.each(ends)('is what the last attempt came to (%#)', async (handlers, status, text) => {
    const backends = await startBackends(...handlers);
    const { url } = await startProxyWith({
      target: backends.map((backend) => backend.url),
      retry: { attempts: 2 },
      attemptTimeout: 500,
    });

    const response = await get(url);

    expect(response.status).toBe(status);
    expect(response.text).toMatch(text);
  });

  it('is 502 when every backend has refused', async () => {
    const { url } = await startProxyWith({ target: [await refusedUrl(), await refusedUrl()] });

    const response = await get(url);

    expect(response.status).toBe(502);
    expect(JSON.parse(response.text)).toMatchObject({ code: 'BAD_GATEWAY', status: 502 });
  });

  it('is the truncated body, cut, when a backend dies after the head: no retry', async () => {
    const [dying, well] = await startBackends(dieInBody(1000), reply(200));
    const { url } = await startProxyWith({ target: [dying.url, well.url] });

    const response = await get(url);

    expect(response).toMatchObject({ status: 200, aborted: true });
    expect(well.started).toBe(0);
  });

  it('is a bare head, cut, when a backend dies right after it: no retry either', async () => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n';
    const dying = await startRawBackend([{ write: head }, { reset: true }]);
    const well = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: [dying.url, well.url] });

    expect(await get(url)).toMatchObject({ status: 200, aborted: true, text: '' });
    expect(well.started).toBe(0);
  });

  it('may begin with a 103, which does not stand in the way of a retry', async () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n';
    const dying = await startRawBackend([{ write: early }, { reset: true }]);
    const well = await startBackend(reply(200, 'well'));
    const { url } = await startProxyWith({ target: [dying.url, well.url] });

    const response = await get(url);

    expect([response.status, response.text]).toEqual([200, 'well']);
    expect(response.informational).toMatchObject([{ status: 103 }]);
  });

  it('is told of once, by give-up, when the last attempt has failed', async () => {
    const last: Handler = (_request, response) => {
      response.writeHead(500, { 'Content-Length': 10 });
      response.write('x', () => response.destroy());
    };
    const [sick, dying] = await startBackends(reply(500), last);
    const { url, proxy, log } = await startProxyWith(
      { target: [sick.url, dying.url], retry: { attempts: 2 } },
      { captureLog: 'json' },
    );
    const givenUp: unknown[] = [];
    proxy.events.on('give-up', (event) => givenUp.push(event));

    expect((await get(url)).aborted).toBe(true);
    await requestLine(log);

    expect(givenUp).toMatchObject([{ attempt: 2, backend: dying.host, noRetry: 'attempts' }]);
  });

  it('is no give-up when it was a success, or could not have been replayed', async () => {
    const [sick, well] = await startBackends(reply(500), reply(200));
    const { url, proxy } = await startProxyWith({
      target: [sick.url, well.url],
      balance: (_req, candidates) => candidates[0]!,
    });
    const givenUp: unknown[] = [];
    proxy.events.on('give-up', (event) => givenUp.push(event));

    const retried = await get(url);
    const sentOnce = await get(url, { method: 'POST' });

    expect([retried.status, sentOnce.status]).toEqual([200, 500]);
    expect(givenUp).toEqual([]);
  });
});

describe('a failed response that is not passed on', () => {
  const long: [what: string, handler: Handler][] = [
    ['never ends', status500(streamForever())],
    ['stops in mid-body', status500((_request, response) => void response.write('x'))],
    [
      'is announced as huge',
      (_request, response) =>
        void response.writeHead(500, { 'Content-Length': 1e9 }).flushHeaders(),
    ],
    [
      'dies in its body',
      status500((_request, response) => void response.write('x', () => response.destroy())),
    ],
  ];
  it.each(long)('that %s is cut, and neither client nor pool notice', async (_what, handler) => {
    const [sick, well] = await startBackends(handler, reply(200, 'well'));
    const { url, proxy, log } = await startProxyWith(
      { target: [sick.url, well.url] },
      { captureLog: 'json' },
    );

    const response = await get(url);
    await until(() => sick.openSockets() === 0);

    expect([response.status, response.text, response.aborted]).toEqual([200, 'well', false]);
    expect(outcomes(await requestLine(log))).toEqual([500, 200]);
    expect(proxy.status().backends[0]).toMatchObject({ failures: 1, inFlight: 0 });
    sick.answerWith(reply(200, 'sick no more'));
    expect((await Promise.all([get(url), get(url)])).map((r) => r.status)).toEqual([200, 200]);
  });

  it('that never ends is not read for long', async () => {
    let written = 0;
    const [sick, well] = await startBackends((_request, response) => {
      response.statusCode = 500;
      const chunk = Buffer.alloc(65_536);
      const pump = (): void => {
        do written += chunk.length;
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', pump);
      pump();
    }, reply(200));
    const { url } = await startProxyWith({ target: [sick.url, well.url] });

    expect((await get(url)).status).toBe(200);
    await until(() => sick.openSockets() === 0);

    expect(written).toBeLessThan(32 * 1024 * 1024); // what buffers hold, and not a second's worth
  });

  it('and is short is read, and its connection used again', async () => {
    const [sick, well] = await startBackends(reply(500, 'short'), reply(200));
    const { url } = await startProxyWith({ target: [sick.url, well.url], breaker: false });

    for (let i = 0; i < 6; i += 1) await get(url);

    expect(sick.started).toBeGreaterThanOrEqual(3);
    expect(sick.connections).toBe(1);
  });
});

function status500(handler: Handler): Handler {
  return (request, response, body) => {
    response.statusCode = 500;
    return handler(request, response, body);
  };
}
