import { describe, expect, it } from '@jest/globals';
import { Breaker } from '../src/breaker.js';
import type { BackendStatus, TinyProxyOptions } from '../src/index.js';
import {
  byPath,
  closeConnection,
  controlled,
  dieInBody,
  type Handler,
  hang,
  reply,
  resetConnection,
  startBackend,
  startBackends,
  streamForever,
} from './support/backend.js';
import { type ClientInit, get, open, type RunningProxy, startProxyWith } from './support/proxy.js';
import { blackHole, refusedUrl, startRawBackend } from './support/raw.js';
import { delivery, once, until } from './support/wait.js';

function statusOf({ proxy }: Pick<RunningProxy, 'proxy'>, index = 0): BackendStatus {
  return proxy.status().backends[index]!;
}

/** A breaker, and the changes that it has told. */
function newBreaker(failures: number, cooldownMs: number): { breaker: Breaker; told: string[] } {
  const told: string[] = [];
  const breaker = new Breaker(failures, cooldownMs, (change) => told.push(change));
  return { breaker, told };
}

describe('Breaker, with the time in our hands', () => {
  it('opens at the last of so many failures in a row', () => {
    const { breaker } = newBreaker(3, 1000);
    const tickets = [1, 2, 3].map(() => breaker.enter());

    breaker.failure(tickets[0]!, 10);
    breaker.failure(tickets[1]!, 20);
    expect([breaker.stateAt(20), breaker.available(20)]).toEqual(['closed', true]);
    breaker.failure(tickets[2]!, 30);
    expect([breaker.stateAt(30), breaker.available(30)]).toEqual(['open', false]);
  });

  it('starts counting anew after a success', () => {
    const { breaker } = newBreaker(2, 1000);

    for (let i = 0; i < 5; i += 1) {
      breaker.failure(breaker.enter(), i);
      breaker.success(breaker.enter());
    }

    expect([breaker.stateAt(9), breaker.failures]).toEqual(['closed', 0]);
  });

  it('waits for its cooldown, to the millisecond', () => {
    const { breaker } = newBreaker(1, 1000);
    breaker.failure(breaker.enter(), 500);

    expect(breaker.waitMs(500)).toBe(1000);
    expect([breaker.waitMs(1499), breaker.available(1499)]).toEqual([1, false]);
    expect([breaker.waitMs(1500), breaker.available(1500)]).toEqual([0, true]);
    expect(breaker.stateAt(1500)).toBe('half-open');
  });

  it('is available at once with a cooldown of 0, for one probe at a time', () => {
    const { breaker } = newBreaker(1, 0);
    breaker.failure(breaker.enter(), 500);

    expect(breaker.available(500)).toBe(true);
    breaker.enter();
    expect(breaker.available(500)).toBe(false);
  });

  it('tells each change once, in order', async () => {
    const { breaker, told } = newBreaker(2, 100);
    breaker.failure(breaker.enter(), 1);
    breaker.failure(breaker.enter(), 2);
    breaker.failure(breaker.enter(), 200); // the probe
    breaker.headArrived(breaker.enter()); // the next one, at 400
    breaker.failure(breaker.enter(), 500);
    await delivery();

    expect(told).toEqual(['break', 'half-open', 'break', 'half-open', 'reset']);
  });
});

describe('what counts as a failure', () => {
  const rows: [what: string, handler: Handler, options?: Partial<TinyProxyOptions>, ClientInit?][] =
    [
      ['a status of 500', reply(500)],
      ['a status of 599', reply(599)],
      ['a reset', resetConnection()],
      ['a closed connection', closeConnection()],
      ['a response that does not come in time', hang(), { attemptTimeout: 100 }],
      ['a body that breaks off', dieInBody(10)],
      ['a body that stops', (_request, response) => void response.write('x'), { idleTimeout: 100 }],
      ['a status that isFailure names', reply(404), { isFailure: (status) => status === 404 }],
      ['the failure of a POST', reply(500), {}, { method: 'POST', body: 'x' }],
      ['the failure of a DELETE', resetConnection(), {}, { method: 'DELETE' }],
    ];
  it.each(rows)('%s does', async (_what, handler, options = {}, init = {}) => {
    const backend = await startBackend(handler);
    const running = await startProxyWith({ target: backend.url, ...strict, ...options });

    await get(running.url, init);
    await until(() => running.proxy.status().inFlight === 0);

    expect(statusOf(running)).toMatchObject({ breaker: 'open', failures: 1 });
    expect(statusOf(running).lastError).not.toBeNull();
  });

  const targets: [what: string, target: () => Promise<string>][] = [
    ['a refused connection', refusedUrl],
    ['a connection that does not stand in time', async () => (await blackHole()).url],
    ['TLS that fails', async () => (await startBackend(reply(200))).url.replace('http', 'https')],
    ['a name that is not in the DNS', async () => 'http://backend.invalid:80'],
    ['bytes that are no HTTP', async () => (await startRawBackend('BOO\r\n\r\n')).url],
    ['a status that is none', async () => (await startRawBackend('HTTP/1.1 099 X\r\n\r\n')).url],
  ];
  it.each(targets)('%s does', async (_what, target) => {
    const running = await startProxyWith({
      target: await target(),
      ...strict,
      connectTimeout: 100,
      attemptTimeout: 4000,
    });

    expect((await get(running.url)).status).toBeGreaterThanOrEqual(502);
    expect(statusOf(running)).toMatchObject({ breaker: 'open', failures: 1 });
  });

  it('a reset does where only the end of the connection would end the body', async () => {
    const backend = await startRawBackend([
      { write: 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of it' },
      { reset: true },
    ]);
    const running = await startProxyWith({ target: backend.url, ...strict });

    const response = await get(running.url);

    expect(response).toMatchObject({ status: 200, aborted: true });
    expect(statusOf(running)).toMatchObject({ breaker: 'open', failures: 1 });
  });

  it.each([
    ['a 404', reply(404), {}],
    ['a 499', reply(499), {}],
    ['a 500 that isFailure lets pass', reply(500), { isFailure: () => false }],
  ] as [string, Handler, Partial<TinyProxyOptions>][])(
    '%s does not',
    async (_w, handler, options) => {
      const backend = await startBackend(handler);
      const running = await startProxyWith({ target: backend.url, ...strict, ...options });

      await get(running.url);

      expect(statusOf(running)).toMatchObject({ breaker: 'closed', failures: 0, lastError: null });
    },
  );

  it.each([
    ['before the head', hang()],
    ['in mid-body', streamForever()],
  ])('a client that leaves %s does not', async (_when, handler) => {
    const backend = await startBackend(handler);
    const running = await startProxyWith({ target: backend.url, ...strict });

    const { request } = open(running.url);
    await until(() => backend.started === 1);
    request.destroy();
    await until(() => running.proxy.status().inFlight === 0);

    expect(statusOf(running)).toMatchObject({ breaker: 'closed', failures: 0, inFlight: 0 });
  });

  it('a request that must not be forwarded does not', async () => {
    const backend = await startBackend(reply(200));
    const running = await startProxyWith({ target: backend.url, ...strict });

    expect((await get(`${running.url}/a/../../b`)).status).toBe(400);
    expect(statusOf(running)).toMatchObject({ attempts: 0, failures: 0 });
  });
});

/** The first failure opens it, and no request is tried twice. */
const strict = { breaker: { failures: 1, cooldown: 60_000 }, retry: false } as const;

describe('the count of failures in a row', () => {
  it('opens the breaker at the fifth by default, whatever the methods', async () => {
    const backend = await startBackend(reply(500));
    const running = await startProxyWith({ target: backend.url, retry: false });
    const states: string[] = [];

    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'GET']) {
      await get(running.url, { method });
      states.push(`${statusOf(running).breaker} ${statusOf(running).consecutiveFailures}`);
    }

    expect(states.slice(0, 4)).toEqual(['closed 1', 'closed 2', 'closed 3', 'closed 4']);
    expect(states.slice(4)).toEqual(['open 5', 'open 5']);
    expect(backend.started).toBe(5);
  });

  it.each([
    ['GET', 200],
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
    ['POST', 404],
  ])('goes back to 0 when a %s has got its %i', async (method, status) => {
    const backend = await startBackend(byPath({ '/sick': reply(500), '/': reply(status) }));
    const breaker = { failures: 2 };
    const running = await startProxyWith({ target: backend.url, retry: false, breaker });

    await get(`${running.url}/sick`);
    await get(running.url, { method });
    await get(`${running.url}/sick`);

    expect(statusOf(running)).toMatchObject({ breaker: 'closed', consecutiveFailures: 1 });
  });

  it('does not go back at the mere head of a response', async () => {
    const stream = controlled();
    const backend = await startBackend(byPath({ '/sick': reply(500), '/': stream.handler }));
    const running = await startProxyWith({
      target: backend.url,
      breaker: { failures: 2 },
      retry: false,
    });
    await get(`${running.url}/sick`);

    const incoming = await open(running.url).response;
    expect(statusOf(running).consecutiveFailures).toBe(1);
    stream.end();
    incoming.resume();
    await once(incoming, 'end');

    await until(() => statusOf(running).consecutiveFailures === 0);
  });

  it.each([
    { streamed: 'longer than attemptTimeout', attemptTimeout: 200, ms: 250, count: 0 },
    { streamed: 'for a moment', attemptTimeout: 10_000, ms: 0, count: 1 },
  ])('is $count after a client left that had streamed $streamed', async (row) => {
    const stream = controlled();
    const backend = await startBackend(byPath({ '/sick': reply(500), '/': stream.handler }));
    const running = await startProxyWith({
      target: backend.url,
      retry: false,
      attemptTimeout: row.attemptTimeout,
    });
    await get(`${running.url}/sick`);

    const { request, response } = open(running.url);
    await response;
    const begun = performance.now();
    await until(() => performance.now() >= begun + row.ms);
    request.destroy();
    await until(() => running.proxy.status().inFlight === 0);

    expect(statusOf(running).consecutiveFailures).toBe(row.count);
  });
});

describe('with breaker: false', () => {
  it('nothing ever opens', async () => {
    const [sick] = await startBackends(reply(500));
    const running = await startProxyWith({ target: sick.url, breaker: false, retry: false });

    for (let i = 0; i < 8; i += 1) expect((await get(running.url)).status).toBe(500);

    expect(statusOf(running)).toMatchObject({ breaker: 'closed', openUntil: null, failures: 8 });
  });
});
