import { Agent } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import type { BackendStatus, TinyProxyOptions } from '../src/index.js';
import {
  atHead,
  byPath,
  hang,
  heldUntil,
  reply,
  slowDrip,
  startBackend,
  startBackends,
} from './support/backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get, open, type RunningProxy, readBody, startProxyWith } from './support/proxy.js';
import { blackHole, startRawBackend } from './support/raw.js';
import { gate, timePasses, until } from './support/wait.js';

const json = { captureLog: 'json' } as const;
const postBody = { method: 'POST', body: 'charge me' } as const;

function statusOf({ proxy }: Pick<RunningProxy, 'proxy'>): BackendStatus {
  return proxy.status().backends[0]!;
}

describe('attemptTimeout', () => {
  it('ends an attempt that hangs, and the next backend answers', async () => {
    const [sick, well] = await startBackends(hang(), reply(200, 'well'));
    const running = await startProxyWith(
      { target: [sick.url, well.url], attemptTimeout: 400 },
      json,
    );

    expect((await get(running.url)).text).toBe('well');

    const { hops } = await requestLine(running.log);
    expect(hops).toMatchObject([{ outcome: 'ETIMEDOUT' }, { outcome: 200 }]);
    expect(hops[0]?.ms).toBeGreaterThanOrEqual(399);
    expect(hops[0]?.ms).toBeLessThan(5000);
    await until(() => sick.unfinished === 1); // its connection is closed at once
  });

  it('is 504 for the client when it was the last attempt', async () => {
    const backend = await startBackend(hang());
    const running = await startProxyWith({
      target: backend.url,
      attemptTimeout: 100,
      retry: false,
    });

    const response = await get(running.url);

    expect(JSON.parse(response.text)).toMatchObject({ status: 504, code: 'GATEWAY_TIMEOUT' });
    expect(statusOf(running)).toMatchObject({ failures: 1, lastError: 'ETIMEDOUT' });
  });

  it('is absolute: a head that comes byte by byte does not put it off', async () => {
    const backend = await startRawBackend((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nX-Long: ');
      const timer = setInterval(() => socket.write('x'), 20);
      socket.once('close', () => clearInterval(timer));
    });
    const { url } = await startProxyWith({
      target: backend.url,
      attemptTimeout: 300,
      retry: false,
    });

    expect((await get(url)).status).toBe(504);
  });

  it('counts the wait for a connection of the pool', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const free = gate();
    const backend = await startBackend(
      byPath({ '/first': heldUntil(free.opened, reply(200)), '/': reply(200, 'next') }),
    );
    const byRequest: TinyProxyOptions = { target: backend.url, agent, retry: false };
    const { url, proxy } = await startProxyWith({ ...byRequest, attemptTimeout: 300 });
    const patient = await startProxyWith({ ...byRequest, attemptTimeout: 0 });
    const first = get(`${patient.url}/first`);
    await until(() => backend.started === 1);

    expect((await get(url)).status).toBe(504);
    expect(proxy.status().inFlight).toBe(0);

    free.open();
    expect((await first).status).toBe(200);
    expect((await get(url)).text).toBe('next');
    expect(backend.started).toBe(2); // the one that gave up was never sent
    agent.destroy();
  });

  it('is over with the head: a body may take longer', async () => {
    const drip = slowDrip('whole');
    const backend = await startBackend(drip.handler);
    const { url } = await startProxyWith({ target: backend.url, attemptTimeout: 300 });

    const incoming = await open(url).response;
    await timePasses(500);
    drip.drip(5);

    expect(String((await readBody(incoming)).body)).toBe('whole');
  });
});

describe('connectTimeout', () => {
  it('ends an attempt whose connection does not stand, and the next backend answers', async () => {
    const [hole, well] = [await blackHole(), await startBackend(reply(200, 'well'))];
    const { url, log } = await startProxyWith(
      { target: [hole.url, well.url], connectTimeout: 100 },
      json,
    );

    expect((await get(url)).text).toBe('well');
    expect(outcomes(await requestLine(log))).toEqual(['ETIMEDOUT', 200]);
  });

  it.each([
    { unsent: false, status: 504, received: [] },
    { unsent: true, status: 200, received: ['charge me'] },
  ])('moves a POST on only with unsent: $unsent', async ({ unsent, status, received }) => {
    const [hole, well] = [await blackHole(), await startBackend(reply(200))];
    const { url } = await startProxyWith({
      target: [hole.url, well.url],
      connectTimeout: 100,
      retry: { unsent },
    });

    expect((await get(url, postBody)).status).toBe(status);
    expect(well.received.map(({ body }) => String(body))).toEqual(received);
  });

  it('moves it on, too, when attemptTimeout was over before the connection stood', async () => {
    const [hole, well] = [await blackHole(), await startBackend(reply(200))];
    const { url } = await startProxyWith({
      target: [hole.url, well.url],
      attemptTimeout: 500,
      connectTimeout: 0,
      retry: { unsent: true },
    });

    expect((await get(url, postBody)).status).toBe(200);
    expect(well.received.map(({ body }) => String(body))).toEqual(['charge me']);
  });

  it('includes TLS', async () => {
    const silent = await startRawBackend(() => {});
    const well = await startBackend(reply(200, 'well'));
    const { url, log } = await startProxyWith(
      {
        target: [silent.url.replace('http', 'https'), well.url],
        connectTimeout: 200,
        attemptTimeout: 10_000,
      },
      json,
    );

    expect((await get(url)).text).toBe('well');
    expect(outcomes(await requestLine(log))).toEqual(['ETIMEDOUT', 200]);
  });

  it('is over when the connection stands', async () => {
    const later = gate();
    const backend = await startBackend(heldUntil(later.opened, reply(200, 'late')));
    const { url } = await startProxyWith({
      target: backend.url,
      connectTimeout: 300,
      retry: false,
    });

    const answer = get(url);
    await until(() => backend.started === 1);
    await timePasses(500);
    later.open();

    expect((await answer).text).toBe('late');
  });
});

describe('requestTimeout', () => {
  it('is for all attempts together', async () => {
    const [one, two, well] = await startBackends(hang(), hang(), reply(200));
    const { url, log } = await startProxyWith(
      { target: [one.url, two.url, well.url], attemptTimeout: 300, requestTimeout: 450 },
      json,
    );

    const response = await get(url);

    expect(JSON.parse(response.text)).toMatchObject({ status: 504, code: 'GATEWAY_TIMEOUT' });
    const line = await requestLine(log);
    expect([line.noRetry, outcomes(line)]).toEqual(['deadline', ['ETIMEDOUT', 'ETIMEDOUT']]);
    expect(line.ms).toBeGreaterThanOrEqual(449);
    expect(well.started).toBe(0);
  });

  it('ends the only attempt, too, where no attemptTimeout does', async () => {
    const backend = await startBackend(hang());
    const running = await startProxyWith({
      target: backend.url,
      attemptTimeout: 0,
      requestTimeout: 200,
    });

    expect((await get(running.url)).status).toBe(504);
    expect(statusOf(running)).toMatchObject({ failures: 1, inFlight: 0 });
    await until(() => backend.unfinished === 1);
  });
});

it('0 is no limit at all, for each of them', async () => {
  const drip = slowDrip('whole');
  const later = gate();
  const backend = await startBackend(heldUntil(later.opened, drip.handler));
  const { url } = await startProxyWith({
    target: backend.url,
    connectTimeout: 0,
    attemptTimeout: 0,
    requestTimeout: 0,
    idleTimeout: 0,
  });

  const { response } = open(url, { method: 'PUT', body: 'x' });
  await until(() => backend.started === 1);
  await timePasses(100);
  later.open();
  const incoming = await response;
  await timePasses(100);
  drip.drip(5);

  expect(await readBody(incoming)).toMatchObject({ aborted: false });
});

describe('idleTimeout of a response', () => {
  it('cuts a body that has stopped, and counts it', async () => {
    const drip = slowDrip('whole');
    const backend = await startBackend(drip.handler);
    const running = await startProxyWith({ target: backend.url, idleTimeout: 200 }, json);

    const incoming = await open(running.url).response;
    drip.drip(2);

    const { body, aborted } = await readBody(incoming);
    expect([String(body), aborted]).toEqual(['wh', true]);
    const line = await requestLine(running.log);
    expect([outcomes(line), line.noRetry]).toEqual([['ETIMEDOUT'], 'committed']);
    expect(statusOf(running)).toMatchObject({ failures: 1, consecutiveFailures: 1 });
    await until(() => backend.unfinished === 1);
  });

  it('begins anew with every byte', async () => {
    const drip = slowDrip('slow');
    const backend = await startBackend(drip.handler);
    const { url } = await startProxyWith({ target: backend.url, idleTimeout: 800 });

    const incoming = await open(url).response;
    for (let i = 0; i < 4; i += 1) {
      await timePasses(300);
      drip.drip();
    }

    const { body, aborted } = await readBody(incoming);
    expect([String(body), aborted]).toEqual(['slow', false]);
  });

  it('does not run while the client does not read', async () => {
    const bytes = 32 * 1024 * 1024; // more than the sockets' buffers hold
    const backend = await startBackend((_request, response) => {
      response.writeHead(200, { 'Content-Length': bytes }).end(Buffer.alloc(bytes));
    });
    const running = await startProxyWith({ target: backend.url, idleTimeout: 600 });

    const incoming = await open(running.url).response;
    incoming.pause();
    await timePasses(1500);
    expect(statusOf(running)).toMatchObject({ failures: 0, inFlight: 1 });

    const { body, aborted } = await readBody(incoming);
    expect([body.length, aborted]).toEqual([bytes, false]);
  });
});

it('a backend that does not read the upload runs out of time', async () => {
  const backend = await startBackend(atHead(() => {}));
  const running = await startProxyWith({ target: backend.url, attemptTimeout: 500 });

  const body = Buffer.alloc(32 * 1024 * 1024);
  const response = await get(running.url, { method: 'PUT', body });

  expect(response.status).toBe(504);
  expect(statusOf(running)).toMatchObject({ failures: 1 });
});
