// A client that leaves ends its attempt at once; nobody is to blame, and nothing follows.
import { Agent, type ClientRequest } from 'node:http';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { TinyProxyEvents, TinyProxyOptions } from '../src/index.js';
import {
  atHead,
  type Backend,
  byPath,
  controlled,
  type Handler,
  hang,
  heldUntil,
  reply,
  startBackends,
  streamForever,
} from './support/backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get, open, type RunningProxy, startProxyWith } from './support/proxy.js';
import { blackHole } from './support/raw.js';
import { gate, once, timePasses, until } from './support/wait.js';

interface Started extends RunningProxy {
  first: Backend;
  second: Backend;
  givenUp: unknown[];
  done: TinyProxyEvents['done'][0][];
}

/** Two backends, the first of which gets the first attempt; one failure would open a breaker. */
async function start(handler: Handler, options: Partial<TinyProxyOptions> = {}): Promise<Started> {
  const [first, second] = await startBackends(handler, reply(200));
  const running = await startProxyWith(
    {
      target: [first.url, second.url],
      balance: (_req, candidates) => candidates[0]!,
      breaker: { failures: 1 },
      ...options,
    },
    { captureLog: 'json' },
  );
  const givenUp: Started['givenUp'] = [];
  const done: Started['done'] = [];
  running.proxy.events.on('give-up', (event) => givenUp.push(event));
  running.proxy.events.on('done', (event) => done.push(event));
  return { ...running, first, second, givenUp, done };
}

/** One attempt, cut at the backend too; nothing counted, nothing tried again. */
async function expectNothingCounted(started: Started): Promise<void> {
  const { proxy, first, second, givenUp } = started;
  await until(() => proxy.status().inFlight === 0);
  await until(() => first.unfinished === 1);
  expect(proxy.status()).toMatchObject({
    retries: 0,
    backends: [
      { breaker: 'closed', failures: 0, consecutiveFailures: 0, inFlight: 0, lastError: null },
      { attempts: 0 },
    ],
  });
  expect([first.started, second.started, givenUp]).toEqual([1, 0, []]);
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe('a client that leaves', () => {
  it.each([
    ['in good order', (request: ClientRequest) => request.destroy()],
    ['with a reset', (request: ClientRequest) => request.socket?.resetAndDestroy()],
  ])('%s before the response ends its attempt', async (_how, leave) => {
    const started = await start(hang());

    const { request } = open(started.url);
    await until(() => started.first.started === 1);
    leave(request);

    await expectNothingCounted(started);
    const line = await requestLine(started.log);
    expect([line.status, outcomes(line)]).toEqual([499, ['CLIENT_GONE']]);
    expect(started.done).toMatchObject([{ attempt: 1, status: null }]);
  });

  it('in mid-body ends it, too', async () => {
    const stream = controlled();
    const started = await start(stream.handler);

    const { request, response } = open(started.url);
    const incoming = await response;
    stream.send('a part');
    await once(incoming, 'data');
    request.destroy();

    await expectNothingCounted(started);
    const line = await requestLine(started.log);
    expect([line.status, outcomes(line)]).toEqual([200, ['CLIENT_GONE']]);
    expect(line.bytes).toBe('a part'.length);
  });

  it('without having read what the backend wanted to send ends it, too', async () => {
    const started = await start(streamForever());

    const { request, response } = open(started.url);
    (await response).pause();
    let written = -1;
    await until(() => {
      const before = written;
      written = started.first.bytesWritten();
      return written > 0 && written === before;
    });
    request.destroy();

    await expectNothingCounted(started);
  });

  it('in mid-upload ends it, too', async () => {
    const started = await start(atHead((request) => void request.resume()));
    const body = new PassThrough();

    const { request } = open(started.url, { method: 'PUT', body });
    body.write('a part');
    await until(() => started.first.started === 1);
    request.destroy();

    await expectNothingCounted(started);
    const line = await requestLine(started.log);
    expect([line.status, outcomes(line), line.noRetry]).toEqual([
      499,
      ['CLIENT_GONE'],
      'client-gone',
    ]);
    expect(started.first.received).toEqual([]);
  });

  it('while its second attempt runs ends that one, and only the first counts', async () => {
    const [sick, hanging, well] = await startBackends(reply(500), hang(), reply(200));
    const { url, proxy, log } = await startProxyWith(
      { target: [sick.url, hanging.url, well.url] },
      { captureLog: 'json' },
    );

    const { request } = open(url);
    await until(() => hanging.started === 1);
    request.destroy();

    await until(() => hanging.unfinished === 1);
    expect(outcomes(await requestLine(log))).toEqual([500, 'CLIENT_GONE']);
    expect(proxy.status().backends.map(({ failures }) => failures)).toEqual([1, 0, 0]);
    expect(well.started).toBe(0);
  });

  it('during a backoff is not tried for any more', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.99);
    const [backend] = await startBackends(reply(500));
    const { url, proxy, log } = await startProxyWith(
      { target: backend.url, retry: { backoff: { initialDelay: 200, maxDelay: 200 } } },
      { captureLog: 'json' },
    );
    const givenUp: unknown[] = [];
    proxy.events.on('give-up', (event) => givenUp.push(event));

    const { request } = open(url);
    await once(proxy.events, 'retry');
    request.destroy();
    await until(() => proxy.status().inFlight === 0);
    await timePasses(400);

    const line = await requestLine(log);
    expect([line.status, outcomes(line), line.noRetry]).toEqual([499, [500], 'client-gone']);
    expect([backend.started, givenUp]).toEqual([1, []]);
  });

  it('while the connection is being made ends the attempt', async () => {
    const hole = await blackHole();
    const { url, proxy, log } = await startProxyWith(
      { target: hole.url, breaker: { failures: 1 } },
      { captureLog: 'json' },
    );

    const { request } = open(url);
    await until(() => proxy.status().inFlight === 1);
    request.destroy();
    await until(() => proxy.status().inFlight === 0);

    expect(outcomes(await requestLine(log))).toEqual(['CLIENT_GONE']);
    expect(proxy.status().backends).toMatchObject([{ breaker: 'closed', failures: 0 }]);
  });

  it('while its attempt waits for a connection of the pool is never sent', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const free = gate();
    const held = byPath({ '/held': heldUntil(free.opened, reply(200)), '/': reply(200) });
    const { url, proxy, first } = await start(held, { agent });
    const holding = get(`${url}/held`);
    await until(() => first.started === 1);

    const { request } = open(`${url}/never`);
    await until(() => proxy.status().inFlight === 2);
    request.destroy();
    await until(() => proxy.status().inFlight === 1);
    free.open();

    expect((await holding).status).toBe(200);
    expect((await get(url)).status).toBe(200);
    expect(first.received.map((each) => each.url)).toEqual(['/held', '/']);
    agent.destroy();
  });

  it("is no error for Express with errors: 'next'", async () => {
    const { url, proxy, app, first } = await start(hang(), { errors: 'next' });
    const errors: unknown[] = [];
    app.use(((error, _req, _res, next) => {
      errors.push(error);
      next(error);
    }) as import('express').ErrorRequestHandler);

    const { request } = open(url);
    await until(() => first.started === 1);
    request.destroy();
    await until(() => proxy.status().inFlight === 0);

    expect(errors).toEqual([]);
  });

  it('leaves nothing behind, however many they are', async () => {
    const started = await start(hang());

    const requests = Array.from({ length: 30 }, () => open(started.url).request);
    await until(() => started.first.started === 30);
    for (const request of requests) request.destroy();

    await until(() => started.first.openSockets() === 0);
    expect(started.proxy.status()).toMatchObject({ inFlight: 0, retries: 0 });
    expect(started.proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
    started.first.answerWith(reply(200));
    expect((await get(started.url)).status).toBe(200);
  });
});

it('a client that leaves after its whole answer is nothing special', async () => {
  const started = await start(reply(200, 'whole'));

  await get(started.url);

  const line = await requestLine(started.log);
  expect([line.status, outcomes(line), line.noRetry]).toEqual([200, [200], '-']);
});
