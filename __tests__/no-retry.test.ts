// Why no further attempt was made: the log's `:no-retry`, and `noRetry` in JSON.
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { Response } from 'express';
import type { NoRetryReason, TinyProxyOptions } from '../src/index.js';
import {
  atHead,
  dieInBody,
  failTimes,
  type Handler,
  hang,
  reply,
  resetConnection,
  startBackend,
  startBackends,
} from './support/backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import {
  type ClientInit,
  get,
  open,
  quietProxy,
  startProxy,
  startProxyWith,
} from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { once, until } from './support/wait.js';

interface Case {
  reason: NoRetryReason | '-';
  when: string;
  handlers: Handler[];
  options?: Partial<TinyProxyOptions>;
  init?: ClientInit;
  /** What the client sees; 0: it has left. */
  status: number;
}

const sick = reply(500, 'sick');
const well = reply(200, 'well');
const noWait = { initialDelay: 0, maxDelay: 0 };
/** Each retry where all were tried would have to wait for a minute. */
const longWait = { initialDelay: 1e9, maxDelay: 1e9 };
const post: ClientInit = { method: 'POST', body: 'charge me' };
const longPut: ClientInit = { method: 'PUT', body: 'x'.repeat(300) };

const cases: Case[] = [
  {
    reason: 'off',
    when: 'retry is off',
    handlers: [sick, well],
    options: { retry: false },
    status: 500,
  },
  {
    reason: 'method',
    when: 'the method is not replayed',
    handlers: [sick, well],
    init: post,
    status: 500,
  },
  {
    reason: 'method',
    when: 'a POST was reset',
    handlers: [resetConnection(), well],
    init: post,
    status: 502,
  },
  {
    reason: 'method',
    when: 'replayable() forbids',
    handlers: [sick, well],
    options: { retry: { replayable: () => false } },
    status: 500,
  },
  {
    reason: 'method',
    when: 'a POST has timed out',
    handlers: [hang(), well],
    init: post,
    options: { attemptTimeout: 200 },
    status: 504,
  },
  {
    reason: 'body',
    when: 'the body was too long to keep',
    handlers: [sick, well],
    init: longPut,
    options: { retry: { maxBodyBytes: 299 } },
    status: 500,
  },
  {
    reason: 'body',
    when: 'there was no room to keep the body',
    handlers: [sick, well],
    init: longPut,
    options: { retry: { maxTotalBytes: 299 } },
    status: 500,
  },
  {
    reason: 'committed',
    when: 'the response had begun',
    handlers: [dieInBody(10), well],
    status: 200,
  },
  {
    reason: 'attempts',
    when: 'all attempts are spent',
    handlers: [sick, sick, well],
    options: { retry: { attempts: 2 } },
    status: 500,
  },
  {
    reason: 'attempts',
    when: 'there was to be only one',
    handlers: [sick, well],
    options: { retry: { attempts: 1 } },
    status: 500,
  },
  {
    reason: 'budget',
    when: 'the budget is empty',
    handlers: [sick, well],
    options: { retry: { budget: { ratio: 0, minPerSecond: 0 } } },
    status: 500,
  },
  {
    reason: 'deadline',
    when: 'the request has no time left',
    handlers: [hang(), well],
    options: { requestTimeout: 200 },
    status: 504,
  },
  {
    reason: 'deadline',
    when: 'the backoff would be longer than what is left',
    handlers: [sick],
    options: { retry: { backoff: longWait } },
    status: 500,
  },
  {
    reason: 'deadline',
    when: 'a reset would have to be waited for too long',
    handlers: [resetConnection()],
    options: { retry: { backoff: longWait } },
    status: 504,
  },
  {
    reason: 'no-backend',
    when: 'the failure has opened the only breaker',
    handlers: [sick],
    options: { breaker: { failures: 1 } },
    status: 500,
  },
  {
    reason: 'no-backend',
    when: 'the only backend asks for rest',
    handlers: [reply(503, '', { 'Retry-After': '1' })],
    status: 503,
  },
  {
    reason: 'no-backend',
    when: 'a reset has opened the only breaker',
    handlers: [resetConnection()],
    options: { breaker: { failures: 1 } },
    status: 502,
  },
  { reason: '-', when: 'nothing has failed', handlers: [well], status: 200 },
  { reason: '-', when: 'a retry has gone well', handlers: [sick, well], status: 200 },
  { reason: '-', when: 'a POST has gone well', handlers: [well], init: post, status: 200 },
  { reason: '-', when: 'the status is no failure', handlers: [reply(404)], status: 404 },
];

afterEach(() => {
  jest.restoreAllMocks();
});

describe.each(['json', ':method :no-retry'])('the reason in the log format %j', (captureLog) => {
  const shown = (reason: string, method: string): RegExp =>
    captureLog === 'json'
      ? new RegExp(`"method":"${method}".*"noRetry":"${reason}"`)
      : new RegExp(`^${method} ${reason}$`);

  it.each(cases)('is $reason when $when', async (row) => {
    jest.spyOn(Math, 'random').mockReturnValue(0.9);
    const { handlers, options = {}, init = {} } = row;
    const backends = await startBackends(...handlers);
    const target = backends.map((backend) => backend.url);
    const { url, log } = await startProxyWith({ target, ...options }, { captureLog });

    const response = await get(url, init);

    expect(response.status).toBe(row.status);
    const line = shown(row.reason, init.method ?? 'GET');
    await until(() => log.some((each) => line.test(each)), `${line} in the log`);
  });

  it('is client-gone when the client has left while an attempt ran', async () => {
    const backend = await startBackend(hang());
    const { url, log } = await startProxyWith({ target: backend.url }, { captureLog });

    const { request } = open(url);
    await until(() => backend.started === 1);
    request.destroy();

    await until(() => log.length === 1);
    expect(log[0]).toMatch(shown('client-gone', 'GET'));
  });

  it('is client-gone when the client has left during the backoff', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.9);
    const backend = await startBackend(sick);
    const { url, proxy, log } = await startProxyWith(
      { target: backend.url, retry: { backoff: { initialDelay: 30_000, maxDelay: 30_000 } } },
      { captureLog },
    );

    const { request } = open(url);
    await once(proxy.events, 'retry');
    request.destroy();

    await until(() => log.length === 1);
    expect(log[0]).toMatch(shown('client-gone', 'GET'));
  });
});

describe('a failure that nothing may follow', () => {
  it('is 502, no-backend, when the last backend goes during the backoff', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.9);
    const backend = await startBackend(failTimes(1, well));
    const { url, proxy, log } = await startProxyWith(
      { target: backend.url, retry: { backoff: { initialDelay: 200, maxDelay: 200 } } },
      { captureLog: 'json' },
    );
    const givenUp: unknown[] = [];
    proxy.events.on('give-up', (event) => givenUp.push(event));
    proxy.events.on('retry', () => proxy.drain(backend.url));

    const response = await get(url);

    expect(response.status).toBe(502);
    expect(JSON.parse(response.text)).toMatchObject({ code: 'BAD_GATEWAY' });
    const line = await requestLine(log);
    expect([line.noRetry, outcomes(line)]).toEqual(['no-backend', [500]]);
    expect(givenUp).toMatchObject([{ attempt: 1, noRetry: 'no-backend' }]);
    expect(proxy.status().backends[0]).toMatchObject({ attempts: 1, inFlight: 0 });
  });

  it('is 504 at once when a refused backend would have to be waited for too long', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.9);
    const { url, log } = await startProxyWith(
      { target: await refusedUrl(), retry: { backoff: longWait } },
      { captureLog: 'json' },
    );

    const response = await get(url);

    expect(JSON.parse(response.text)).toMatchObject({ status: 504, code: 'GATEWAY_TIMEOUT' });
    expect(await requestLine(log)).toMatchObject({ status: 504, noRetry: 'deadline' });
  });

  it('is no NO_BACKEND: that is for a request without an attempt, which has no reason', async () => {
    const backend = await startBackend(resetConnection());
    const { url, log } = await startProxyWith(
      { target: backend.url, breaker: { failures: 1 } },
      { captureLog: 'json' },
    );

    const codes = [JSON.parse((await get(url)).text).code, JSON.parse((await get(url)).text).code];

    expect(codes).toEqual(['BAD_GATEWAY', 'NO_BACKEND']);
    expect(await requestLine(log, 1)).toMatchObject({ noRetry: 'no-backend' });
    expect(await requestLine(log, 2)).toMatchObject({ noRetry: '-', hops: [] });
  });

  it('spends nothing on a retry that it does not make', async () => {
    const backend = await startBackend(sick);
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: { backoff: longWait },
      breaker: false,
    });
    jest.spyOn(Math, 'random').mockReturnValue(0.9);

    for (let i = 0; i < 3; i += 1) await get(url);

    expect(proxy.status()).toMatchObject({ retries: 0, budget: { left: 10 } });
  });

  it('may have had part of its body sent: then it is not tried again', async () => {
    const first = atHead((request, response) => {
      request.once('data', () => response.destroy());
    });
    const [dying, other] = await startBackends(first, well);
    const { url, log } = await startProxyWith(
      { target: [dying.url, other.url], retry: { maxBodyBytes: 10, backoff: noWait } },
      { captureLog: 'json' },
    );

    expect((await get(url, longPut)).status).toBe(502);
    expect(await requestLine(log)).toMatchObject({ noRetry: 'body' });
    expect(other.started).toBe(0);
  });

  it.each([1, 2])('may be answered by somebody else just before attempt %i + 1', async (last) => {
    const backends = await startBackends(sick, sick, well);
    const { url, proxy, responses } = await startWithResponses({
      target: backends.map((backend) => backend.url),
    });
    proxy.events.on('retry', ({ attempt }) => {
      if (attempt === last) responses[0]!.end('enough');
    });

    expect((await get(url)).text).toBe('enough');

    await until(() => proxy.status().inFlight === 0);
    expect(proxy.status().backends.map((backend) => backend.inFlight)).toEqual([0, 0, 0]);
    expect(backends[2].started).toBe(0);
  });
});

/** A proxy behind a middleware that keeps the responses. */
async function startWithResponses(options: TinyProxyOptions) {
  const proxy = quietProxy(options);
  const responses: Response[] = [];
  const { url } = await startProxy((app) => {
    app.use((_req, res, next) => {
      responses.push(res);
      next();
    });
    app.use(proxy);
  });
  return { url, proxy, responses };
}
