// After the cooldown of an open breaker exactly one request is the probe.
import { describe, expect, it } from '@jest/globals';
import {
  byPath,
  failTimes,
  hang,
  heldUntil,
  reply,
  resetConnection,
  startBackend,
  streamForever,
} from './support/backend.js';
import { get, open, startProxyWith } from './support/proxy.js';
import { readyToProbe } from './support/tripped.js';
import { gate, until } from './support/wait.js';

/** The results of the first `count` promises that resolve. */
function fastest<T>(promises: Promise<T>[], count: number): Promise<T[]> {
  const results: T[] = [];
  return new Promise((resolve, reject) => {
    for (const promise of promises) {
      promise.then((result) => {
        results.push(result);
        if (results.length === count) resolve([...results]);
      }, reject);
    }
  });
}

describe('the probe', () => {
  it('is exactly one of many requests; the others get their 503 while it runs', async () => {
    const answered = gate();
    const tripped = await readyToProbe(heldUntil(answered.opened, reply(200, 'well')));
    const { url, backend, before, status } = tripped;

    const answers = Array.from({ length: 6 }, () => get(url));
    const early = await fastest(answers, 5);

    expect(early.map((response) => response.status)).toEqual(Array(5).fill(503));
    expect(early.map(({ headers }) => headers['retry-after'])).toEqual(Array(5).fill('1'));
    expect([backend.started - before, status().breaker]).toEqual([1, 'half-open']);
    answered.open();
    const all = (await Promise.all(answers)).map((response) => response.status);
    expect(all.filter((each) => each === 200)).toHaveLength(1);
    expect(status().breaker).toBe('closed');
  });

  it('is exactly one of many requests; the others go elsewhere while it runs', async () => {
    const answered = gate();
    const other = await startBackend(reply(200, 'other'));
    const probed = heldUntil(answered.opened, reply(200, 'probed'));
    const { url, backend, before } = await readyToProbe(probed, [other.url]);

    const answers = Array.from({ length: 6 }, () => get(url));
    const early = await fastest(answers, 5);

    expect(early.map((response) => response.text)).toEqual(Array(5).fill('other'));
    expect(backend.started - before).toBe(1);
    answered.open();
    await Promise.all(answers);
  });

  it('closes the breaker when it is answered', async () => {
    const { url, status, events } = await readyToProbe(reply(200));

    const statuses = [await get(url), await get(url)].map((response) => response.status);

    expect(statuses).toEqual([200, 200]);
    expect(status()).toMatchObject({ breaker: 'closed', consecutiveFailures: 0, openUntil: null });
    expect(events).toEqual(['break', 'half-open', 'reset']);
  });

  it('closes it with its head, so that an endless stream may be the probe', async () => {
    const handler = byPath({ '/stream': streamForever(), '/': reply(200) });
    const { url, status, events } = await readyToProbe(handler);

    const stream = open(`${url}/stream`);
    await stream.response;

    expect(status()).toMatchObject({ breaker: 'closed', inFlight: 1 });
    expect((await get(url)).status).toBe(200);
    expect(events).toEqual(['break', 'half-open', 'reset']);
  });

  it.each([
    ['another 500', reply(500)],
    ['a reset', resetConnection()],
    ['no answer in time', hang()],
  ])('opens it again, for a whole cooldown, when it gets %s', async (_what, handler) => {
    const options = { attemptTimeout: 200 };
    const { url, status, backend, before, events } = await readyToProbe(handler, [], options);

    await get(url);

    expect(events).toEqual(['break', 'half-open', 'break']);
    await until(() => status().breaker === 'half-open');
    backend.answerWith(reply(200));
    expect((await get(url)).status).toBe(200);
    expect(backend.started - before).toBe(2);
  });

  it('may be a retry', async () => {
    const other = await startBackend(reply(500));
    let tripping = true;
    const { url, status } = await readyToProbe(reply(200, 'probed'), [other.url], {
      balance: (_req, candidates) => (tripping ? candidates[0]! : candidates.at(-1)!),
      retry: {},
    });
    tripping = false;

    expect((await get(url)).text).toBe('probed');
    expect(other.started).toBe(1);
    expect(status().breaker).toBe('closed');
  });

  it('decides nothing when its client leaves: the next request is the probe', async () => {
    const handler = byPath({ '/left': hang(), '/': reply(200, 'probed') });
    const { url, proxy, status, backend, before } = await readyToProbe(handler);
    const { request } = open(`${url}/left`);
    await until(() => backend.started === before + 1);
    expect((await get(url)).status).toBe(503);

    request.destroy();
    await until(() => proxy.status().inFlight === 0);

    expect(status()).toMatchObject({ breaker: 'half-open', failures: 1 });
    expect((await get(url)).text).toBe('probed');
    expect(status().breaker).toBe('closed');
  });

  it('decides nothing when a hook has thrown: the next request is the probe', async () => {
    let broken = false;
    const { url, status } = await readyToProbe(reply(200), [], {
      director() {
        if (broken) throw new Error('a bug');
      },
    });
    broken = true;
    expect((await get(url)).status).toBe(500);
    broken = false;

    expect(status()).toMatchObject({ breaker: 'half-open', failures: 1 });
    expect((await get(url)).status).toBe(200);
  });

  it('may fail after another one has been left', async () => {
    const handler = byPath({ '/left': hang(), '/': reply(500) });
    const { url, proxy, backend, before, events } = await readyToProbe(handler);
    const { request } = open(`${url}/left`);
    await until(() => backend.started === before + 1);
    request.destroy();
    await until(() => proxy.status().inFlight === 0);

    expect((await get(url)).status).toBe(500);
    expect(events).toEqual(['break', 'half-open', 'break']);
  });

  it('is not sent to a drained backend', async () => {
    const other = await startBackend(reply(200, 'other'));
    const { url, proxy, backend, before } = await readyToProbe(reply(200), [other.url]);
    const undrain = proxy.drain(backend.url);

    for (let i = 0; i < 4; i += 1) expect((await get(url)).text).toBe('other');
    expect(backend.started).toBe(before);

    undrain();
    await get(url);
    expect(backend.started).toBe(before + 1);
  });

  it('follows at once with a cooldown of 0, so that nobody is refused', async () => {
    const backend = await startBackend(failTimes(5, reply(200)));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: false,
      breaker: { failures: 1, cooldown: 0 },
    });

    const statuses: number[] = [];
    for (let i = 0; i < 7; i += 1) statuses.push((await get(url)).status);

    expect(statuses).toEqual([500, 500, 500, 500, 500, 200, 200]);
    expect(proxy.status().backends[0]).toMatchObject({ breaker: 'closed' });
  });
});
