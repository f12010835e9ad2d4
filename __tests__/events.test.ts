// proxy.events: what each event tells, in which order, and that listeners cannot do harm.
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { TinyProxy, TinyProxyEvents, TinyProxyOptions } from '../src/index.js';
import {
  controlled,
  dieInBody,
  failTimes,
  hang,
  reply,
  resetConnection,
  startBackend,
} from './support/backend.js';
import { get, open, startProxyWith } from './support/proxy.js';
import { refusedPort } from './support/raw.js';
import { delivery, until } from './support/wait.js';

const EVENTS = ['attempt', 'retry', 'break', 'half-open', 'reset', 'give-up', 'done'] as const;
const NIGHT = { headers: { 'X-Request-ID': 'night-1' } };
const someMs = expect.any(Number);

/** All that a proxy tells, in order, as `[event, payload]`. */
function listen(proxy: TinyProxy): [event: keyof TinyProxyEvents, payload: object][] {
  const heard: [keyof TinyProxyEvents, object][] = [];
  for (const event of EVENTS) {
    proxy.events.on(event, (payload: object) => heard.push([event, structuredClone(payload)]));
  }
  return heard;
}

const namesOf = (heard: [keyof TinyProxyEvents, object][]): string[] =>
  heard.map(([event]) => event);

/** Sends one request, and waits until its end has been told. */
async function exchange(options: TinyProxyOptions, init: Parameters<typeof get>[1] = {}) {
  const { url, proxy } = await startProxyWith(options);
  const heard = listen(proxy);
  const response = await get(url, { ...NIGHT, ...init });
  await until(() => namesOf(heard).includes('done'));
  return { response, heard };
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe('a request', () => {
  it('that is answered at once is an attempt, and done', async () => {
    const { url: target, host } = await startBackend(reply(200, 'well'));

    const { heard } = await exchange({ target });

    expect(heard).toEqual([
      ['attempt', { requestId: 'night-1', backend: host, attempt: 1 }],
      [
        'done',
        {
          requestId: 'night-1',
          backend: host,
          attempt: 1,
          status: 200,
          ms: someMs,
          bytes: 4,
          hops: [{ attempt: 1, backend: host, outcome: 200, ms: someMs }],
          noRetry: null,
        },
      ],
    ]);
  });

  it('that is retried at once names the next backend, and no delay', async () => {
    const port = await refusedPort();
    const refusing = `127.0.0.1:${port}`;
    const well = await startBackend(reply(200));

    const { heard } = await exchange({ target: [`http://${refusing}`, well.url] });

    expect(heard.slice(0, 3)).toEqual([
      ['attempt', { requestId: 'night-1', backend: refusing, attempt: 1 }],
      [
        'retry',
        {
          requestId: 'night-1',
          backend: refusing,
          attempt: 1,
          outcome: 'ECONNREFUSED',
          next: well.host,
          delayMs: 0,
        },
      ],
      ['attempt', { requestId: 'night-1', backend: well.host, attempt: 2 }],
    ]);
    expect(heard[3]).toMatchObject(['done', { backend: well.host, attempt: 2, status: 200 }]);
    expect(heard).toHaveLength(4);
  });

  it('that waits before its retry tells how long, and no backend yet', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.9); // of a backoff of 0 ms there is nothing to wait
    const { url: target, host } = await startBackend(failTimes(1, reply(200)));

    const { heard } = await exchange({ target });

    expect(heard[1]).toEqual([
      'retry',
      {
        requestId: 'night-1',
        backend: host,
        attempt: 1,
        outcome: 500,
        next: null,
        delayMs: expect.any(Number),
      },
    ]);
    expect(namesOf(heard)).toEqual(['attempt', 'retry', 'attempt', 'done']);
  });

  it('whose last attempt fails is given up once, with the reason', async () => {
    const { url: target, host } = await startBackend(reply(500));

    const { heard } = await exchange({ target, retry: { attempts: 2 } });

    expect(namesOf(heard)).toEqual(['attempt', 'retry', 'attempt', 'give-up', 'done']);
    expect(heard[3]?.[1]).toEqual({
      requestId: 'night-1',
      backend: host,
      attempt: 2,
      outcome: 500,
      noRetry: 'attempts',
    });
    expect(heard[4]?.[1]).toMatchObject({ status: 500, attempt: 2, noRetry: 'attempts' });
  });

  it('is not given up when it was not replayable', async () => {
    const { url: target } = await startBackend(reply(500));

    const { heard } = await exchange({ target }, { method: 'POST' });

    expect(namesOf(heard)).toEqual(['attempt', 'done']);
    expect(heard[1]?.[1]).toMatchObject({ status: 500, noRetry: 'method' });
  });

  it('is given up when a body breaks that had begun', async () => {
    const { url: target } = await startBackend(dieInBody(10));

    const { heard } = await exchange({ target });

    expect(namesOf(heard)).toEqual(['attempt', 'give-up', 'done']);
    expect(heard[1]?.[1]).toMatchObject({ outcome: 'ECONNRESET', noRetry: 'committed' });
    expect(heard[2]?.[1]).toMatchObject({ status: 200, bytes: 10 });
  });

  it('is given up once, for its status, though its body breaks as well', async () => {
    const { url: target } = await startBackend((_request, response) => {
      response.writeHead(500, { 'Content-Length': 9 });
      response.write('half', () => delivery().then(() => response.destroy()));
    });

    const { heard } = await exchange({ target, retry: { attempts: 1 } });

    expect(namesOf(heard)).toEqual(['attempt', 'give-up', 'done']);
    expect(heard[1]?.[1]).toMatchObject({ outcome: 500, noRetry: 'attempts' });
  });

  it('whose client leaves is done without a status, and never given up', async () => {
    const backend = await startBackend(hang());
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const heard = listen(proxy);

    const { request } = open(url, NIGHT);
    await until(() => backend.started === 1);
    request.destroy();

    await until(() => namesOf(heard).includes('done'));
    expect(namesOf(heard)).toEqual(['attempt', 'done']);
    expect(heard[1]?.[1]).toMatchObject({
      status: null,
      noRetry: 'client-gone',
      hops: [{ attempt: 1, backend: backend.host, outcome: 'CLIENT_GONE' }],
    });
  });

  it('that no backend may take is done, and nothing else', async () => {
    const { url, proxy } = await startProxyWith({ target: 'http://10.0.0.1' });
    proxy.drain('http://10.0.0.1');
    const heard = listen(proxy);

    const { text } = await get(url, NIGHT);

    await until(() => heard.length > 0);
    expect(heard).toEqual([
      [
        'done',
        {
          requestId: 'night-1',
          backend: null,
          attempt: 0,
          status: 503,
          ms: someMs,
          bytes: text.length,
          hops: [],
          noRetry: null,
        },
      ],
    ]);
  });

  it('is done when its body has ended, not before', async () => {
    const body = controlled();
    const backend = await startBackend(body.handler);
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const heard = listen(proxy);

    const incoming = await open(url).response;
    expect(namesOf(heard)).toEqual(['attempt']);
    body.end();
    incoming.resume();

    await until(() => namesOf(heard).includes('done'));
    expect(namesOf(heard)).toEqual(['attempt', 'done']);
  });
});

describe('a breaker', () => {
  it('tells that it opens, probes and closes', async () => {
    const backend = await startBackend(failTimes(2, reply(200)));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      breaker: { failures: 2, cooldown: 100 },
      retry: false,
    });
    const heard = listen(proxy);
    const changes = () => heard.filter(([event]) => event !== 'attempt' && event !== 'done');

    const before = Date.now();
    for (let i = 0; i < 2; i += 1) await get(url);
    await until(() => proxy.status().backends[0]?.breaker === 'half-open');
    await get(url);

    await until(() => changes().length === 3);
    const about = { backend: backend.host, target: backend.url };
    expect(changes()).toEqual([
      ['break', { ...about, failures: 2, openUntil: expect.stringMatching(/^\d{4}-.*Z$/) }],
      ['half-open', about],
      ['reset', about],
    ]);
    const { openUntil } = changes()[0]![1] as { openUntil: string };
    expect(Date.parse(openUntil)).toBeGreaterThanOrEqual(before + 100);
  });

  it('tells again that it opens when its probe fails', async () => {
    const backend = await startBackend(resetConnection());
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      breaker: { failures: 1, cooldown: 1 },
      retry: false,
    });
    const heard = listen(proxy);

    await get(url);
    await until(() => proxy.status().backends[0]?.breaker === 'half-open');
    await get(url);

    const changes = () => namesOf(heard).filter((name) => name !== 'attempt' && name !== 'done');
    await until(() => changes().length === 3);
    expect(changes()).toEqual(['break', 'half-open', 'break']);
  });
});

describe('a listener that throws', () => {
  const fail = (): never => {
    throw new Error('a listener');
  };
  const failOddly = (): never => {
    throw Object.assign(new Error(), { message: Object.create(null) });
  };
  it.each(
    EVENTS.flatMap((event) => [
      [event, 'at once', fail] as const,
      [event, 'later', async () => fail()] as const,
      [event, 'by what cannot be shown', failOddly] as const,
    ]),
  )('at %s, %s, harms no request, and no breaker', async (event, _when, throwIt) => {
    const backend = await startBackend(failTimes(2, reply(200, 'well')));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      breaker: { failures: 2, cooldown: 1 },
      retry: { attempts: 2 },
    });
    let thrown = 0;
    proxy.events.on(event, () => {
      thrown += 1;
      return throwIt();
    });

    const failed = await get(url);
    await until(() => proxy.status().backends[0]?.breaker === 'half-open');
    const answered = await get(url);

    expect([failed.status, answered.status, answered.text]).toEqual([500, 200, 'well']);
    await until(() => proxy.status().inFlight === 0 && thrown > 0);
    expect(proxy.status()).toMatchObject({
      requests: 2,
      retries: 1,
      backends: [{ inFlight: 0, attempts: 3, breaker: 'closed' }],
    });
  });

  it('keeps no other from hearing, and one of once() hears once', async () => {
    const { url: target } = await startBackend(reply(200));
    const { url, proxy } = await startProxyWith({ target });
    const heard: string[] = [];
    proxy.events.on('done', () => {
      throw new Error('a listener');
    });
    proxy.events.once('done', () => heard.push('once'));
    proxy.events.on('done', () => heard.push('on'));

    for (let i = 0; i < 2; i += 1) await get(url);

    await until(() => heard.length >= 3);
    expect(heard).toEqual(['once', 'on', 'on']);
    expect(proxy.events.listenerCount('done')).toBe(2);
  });
});
