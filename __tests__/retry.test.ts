import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { TinyProxyEvents, TinyProxyOptions } from '../src/index.js';
import {
  closeConnection,
  failTimes,
  type Handler,
  hang,
  type ReceivedRequest,
  reply,
  resetConnection,
  startBackend,
  startBackends,
} from './support/backend.js';
import { type ClientInit, get, startProxyWith } from './support/proxy.js';
import { refusedUrl } from './support/raw.js';

type RetryEvent = TinyProxyEvents['retry'][0];

/** No wait before a backend that was tried already. */
const noWait = { initialDelay: 0, maxDelay: 0 };

afterEach(() => {
  jest.restoreAllMocks();
});

describe('which requests are replayed', () => {
  it.each(['GET', 'HEAD', 'PUT'])('a failed %s goes to the next backend', async (method) => {
    const [sick, well] = await startBackends(reply(500, 'sick'), reply(200, 'well'));
    const { url } = await startProxyWith({ target: [sick.url, well.url] });

    const response = await get(url, { method });

    expect(response.status).toBe(200);
    expect([sick.started, well.started]).toEqual([1, 1]);
  });

  it.each(['POST', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])(
    'a failed %s is sent once, and its failure is what the client gets',
    async (method) => {
      const [sick, well] = await startBackends(reply(500, 'sick'), reply(200, 'well'));
      const { url } = await startProxyWith({ target: [sick.url, well.url] });

      const response = await get(url, { method });

      expect([response.status, response.text]).toEqual([500, 'sick']);
      expect([sick.started, well.started]).toEqual([1, 0]);
    },
  );

  const failures: [what: string, handler: Handler, status: number][] = [
    ['resets the connection', resetConnection(), 502],
    ['closes the connection', closeConnection(), 502],
    ['hangs', hang(), 504],
    ['answers 500', reply(500), 500],
  ];
  // A body that was sent and not kept would forbid the retry by itself: so without one, too.
  const posts: ClientInit[] = [{ body: 'charge me' }, {}];
  const settings = posts.flatMap((init) => [
    { init, unsent: true },
    { init, unsent: false },
  ]);
  it.each(failures.flatMap((row) => settings.map((setting) => [...row, setting] as const)))(
    'a POST is sent exactly once to a backend that %s (%#)',
    async (_what, handler, status, { init, unsent }) => {
      const [sick, well] = await startBackends(handler, reply(200));
      const { url } = await startProxyWith({
        target: [sick.url, well.url],
        retry: { unsent },
        attemptTimeout: 300,
      });

      const response = await get(url, { method: 'POST', ...init });

      expect(response.status).toBe(status);
      expect([sick.started, well.started]).toEqual([1, 0]);
    },
  );

  it('a POST that was refused is not sent elsewhere', async () => {
    const well = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: [await refusedUrl(), well.url] });

    expect((await get(url, { method: 'POST', body: 'charge me' })).status).toBe(502);
    expect(well.started).toBe(0);
  });

  it('with unsent, a POST that was refused goes to the next backend, once and whole', async () => {
    const well = await startBackend(reply(200));
    const target = [await refusedUrl(), well.url];
    const { url } = await startProxyWith({ target, retry: { unsent: true } });

    expect((await get(url, { method: 'POST', body: 'charge me' })).status).toBe(200);
    expect(well.received.map(({ body }) => String(body))).toEqual(['charge me']);
  });

  const overrides: [
    what: string,
    retry: NonNullable<TinyProxyOptions['retry']>,
    init: ClientInit,
    tries: number,
  ][] = [
    [
      'replayable() allows',
      { replayable: (req) => !!req.get('idempotency-key') },
      { method: 'POST', headers: { 'Idempotency-Key': '7' } },
      2,
    ],
    ['replayable() forbids', { replayable: (req) => !!req.get('idempotency-key') }, {}, 1],
    ['methods names', { methods: ['DELETE'] }, { method: 'DELETE' }, 2],
    ['methods leaves out', { methods: ['DELETE'] }, {}, 1],
  ];
  it.each(overrides)('a request that %s is tried as often', async (_what, retry, init, tries) => {
    const [sick, well] = await startBackends(reply(500), reply(200));
    const { url } = await startProxyWith({ target: [sick.url, well.url], retry });

    const response = await get(url, init);

    expect(response.status).toBe(tries === 2 ? 200 : 500);
    expect([sick.started, well.started]).toEqual([1, tries - 1]);
  });
});

describe('where and when the next attempt goes', () => {
  it('goes to a backend not yet tried at once, whatever the backoff', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.99);
    const backends = await startBackends(reply(500), reply(500), reply(200));
    const { url, proxy } = await startProxyWith({
      target: backends.map((backend) => backend.url),
      retry: { backoff: { initialDelay: 60_000, maxDelay: 60_000 } },
    });
    const retries: RetryEvent[] = [];
    proxy.events.on('retry', (event) => retries.push(event));

    expect((await get(url)).status).toBe(200);
    expect(retries).toMatchObject([
      { attempt: 1, delayMs: 0, next: backends[1].host },
      { attempt: 2, delayMs: 0, next: backends[2].host },
    ]);
  });

  it('goes, after the backoff, to one not yet tried that is there by then', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.9);
    const [sick, other] = await startBackends(reply(500), reply(200, 'other'));
    const { url, proxy } = await startProxyWith({
      target: [sick.url, other.url],
      balance: (_req, all) => all[0]!,
    });
    const undrain = proxy.drain(other.url);
    proxy.events.once('retry', ({ next }) => {
      expect(next).toBeNull();
      undrain();
    });

    expect((await get(url)).text).toBe('other');
    expect([sick.started, other.started]).toEqual([1, 1]);
  });

  it('waits longer and longer, up to maxDelay, before a backend that was tried', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.5);
    const backend = await startBackend(failTimes(4, reply(200)));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: { attempts: 5, backoff: { initialDelay: 8, maxDelay: 20 } },
    });
    const retries: RetryEvent[] = [];
    proxy.events.on('retry', (event) => retries.push(event));

    expect((await get(url)).status).toBe(200);
    expect(retries.map(({ delayMs }) => delayMs)).toEqual([4, 8, 10, 10]);
    expect(retries.every(({ next }) => next === null)).toBe(true);
  });

  it('tries every backend once before it tries one again', async () => {
    const backends = await startBackends(reply(500), reply(500), reply(500));
    const { url } = await startProxyWith({
      target: backends.map((backend) => backend.url),
      retry: { attempts: 6, backoff: noWait },
      breaker: false,
    });
    const started: number[][] = [];
    for (const backend of backends) {
      backend.server.on('request', () => started.push(backends.map((each) => each.started)));
    }

    await get(url);

    expect(started.at(2)).toEqual([1, 1, 1]);
    expect(started.at(-1)?.reduce((sum, tries) => sum + tries)).toBe(6);
  });

  it.each([
    { tries: 3, retry: {} },
    { tries: 1, retry: { attempts: 1 } },
    { tries: 2, retry: { attempts: 2 } },
    { tries: 4, retry: { attempts: 4 } },
    { tries: 1, retry: false as const },
  ])('the attempts are $tries in all with retry $retry', async ({ tries, retry }) => {
    const backend = await startBackend(reply(500));
    const { url } = await startProxyWith({
      target: backend.url,
      retry: retry && { backoff: noWait, ...retry },
    });

    expect((await get(url)).status).toBe(500);
    expect(backend.started).toBe(tries);
  });

  it.each([
    ['seconds', '30'],
    ['a date', new Date(Date.now() + 3_600_000).toUTCString()],
  ])('a failure with Retry-After in %s is not followed by a retry there', async (_what, rest) => {
    const [resting, sick] = await startBackends(
      reply(503, '', { 'Retry-After': rest }),
      reply(500),
    );
    const { url } = await startProxyWith({
      target: [resting.url, sick.url],
      retry: { attempts: 4, backoff: noWait },
    });

    await get(url);

    expect([resting.started, sick.started]).toEqual([1, 3]);
  });

  it('the next request does not hear of a Retry-After', async () => {
    const backend = await startBackend(reply(503, 'rest', { 'Retry-After': '30' }));
    const { url } = await startProxyWith({ target: backend.url });
    await get(url);
    backend.answerWith(reply(200));

    expect((await get(url)).status).toBe(200);
  });
});

describe('every attempt of a request', () => {
  it('sends the same path, query, headers and body, but for its number', async () => {
    const backends = await startBackends(reply(500), reply(502), reply(200));
    let rewrites = 0;
    const { url } = await startProxyWith(
      {
        target: backends.map((backend) => `${backend.url}/base`),
        pathRewrite: (path) => `/v${++rewrites}${path}`,
      },
      { mount: '/api' },
    );
    const body = Buffer.from(Array.from({ length: 3000 }, (_, i) => i % 256));

    await get(`${url}/api/orders/7%20x?a=1&a=%C3%A4`, {
      method: 'PUT',
      body,
      headers: { 'X-Request-ID': 'night-1', 'X-Odd': ['b', 'a'], 'Content-Type': 'image/png' },
    });

    const [first, second, third] = backends.map(({ received }) => received[0]!) as [
      ReceivedRequest,
      ReceivedRequest,
      ReceivedRequest,
    ];
    expect(first.url).toBe('/base/v1/orders/7%20x?a=1&a=%C3%A4');
    expect(first.body.equals(body)).toBe(true);
    expect(first.headers['x-request-id']).toBe('night-1');
    for (const later of [second, third]) {
      expect(later.url).toBe(first.url);
      expect(later.method).toBe(first.method);
      expect(later.body.equals(first.body)).toBe(true);
      expect(withoutNumber(later)).toEqual(withoutNumber(first));
    }
  });

  it('bears its number from the second on, and never one of the client', async () => {
    const backends = await startBackends(reply(500), reply(500), reply(200));
    const { url } = await startProxyWith({ target: backends.map((backend) => backend.url) });

    await get(url, { headers: { 'X-Request-Attempt': '9' } });

    const numbers = backends.map(({ received }) => received[0]?.headers['x-request-attempt']);
    expect(numbers).toEqual([undefined, '2', '3']);
  });
});

/** The header lines as they came, without the attempt's number. */
function withoutNumber({ rawHeaders }: ReceivedRequest): string[] {
  const at = rawHeaders.findIndex((name) => name.toLowerCase() === 'x-request-attempt');
  return rawHeaders.filter((_each, i) => at < 0 || (i !== at && i !== at + 1));
}
