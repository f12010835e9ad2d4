// holdOpen() and closeBreaker(): what a breaker is told from outside.
import type { EventEmitter } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { Breaker } from '../src/breaker.js';
import { heldUntil, reply, startBackend, startBackends } from './support/backend.js';
import { get, open, quietProxy, startProxyWith } from './support/proxy.js';
import { openBreaker, readyToProbe } from './support/tripped.js';
import { delivery, gate, until } from './support/wait.js';

/** The breakers' events, in their order. */
function changes(proxy: ReturnType<typeof quietProxy>): [event: string, told: object][] {
  const heard: [string, object][] = [];
  for (const event of ['break', 'half-open', 'reset'] as const)
    (proxy.events as EventEmitter).on(event, (told: object) => heard.push([event, told]));
  return heard;
}

describe('holdOpen', () => {
  it('opens a breaker: the backend is skipped, and its next probe told', async () => {
    const [one, two] = await startBackends(reply(200, 'one'), reply(200, 'two'));
    const { url, proxy, log } = await startProxyWith(
      { target: [one.url, two.url] },
      { captureLog: true },
    );
    const heard = changes(proxy);

    const before = Date.now();
    proxy.holdOpen(one.url, 5000, 'replica web-3 has seen 5 failures in a row');

    const { breaker, openUntil, consecutiveFailures } = proxy.status().backends[0]!;
    expect([breaker, consecutiveFailures]).toEqual(['open', 0]);
    expect(Date.parse(openUntil!)).toBeGreaterThanOrEqual(before + 5000 - 5);
    expect(Date.parse(openUntil!)).toBeLessThanOrEqual(Date.now() + 5000);
    for (let i = 0; i < 3; i += 1) expect((await get(url)).text).toBe('two');
    const reason = 'replica web-3 has seen 5 failures in a row';
    expect(heard).toEqual([
      [
        'break',
        { backend: one.host, target: one.url, reason, failures: 0, openUntil: expect.any(String) },
      ],
    ]);
    expect(log.filter((line) => line.includes(' break '))).toEqual([
      `express-tiny-proxy break ${one.host} breaker open ${reason}, next probe at ${(heard[0]![1] as { openUntil: string }).openUntil}`,
    ]);
  });

  it('of 0 milliseconds tells no time of the next probe, which may come at once', async () => {
    const { proxy, log } = await startProxyWith(
      { target: 'http://127.0.0.1:8081' },
      { captureLog: true },
    );

    proxy.holdOpen('http://127.0.0.1:8081', 0, 'by hand');
    await delivery();

    expect(log).toEqual([
      'express-tiny-proxy break 127.0.0.1:8081 breaker open by hand, next probe at once',
    ]);
  });

  it('ends by a probe of its own, which a success closes', async () => {
    const backend = await startBackend(reply(200, 'well'));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const heard = changes(proxy);

    proxy.holdOpen(backend.url, 30);
    expect(proxy.status().backends[0]!.breaker).toBe('open');
    await until(() => proxy.status().backends[0]?.breaker === 'half-open');

    expect((await get(url)).text).toBe('well');
    expect(heard.map(([event]) => event)).toEqual(['break', 'half-open', 'reset']);
    expect(heard.map(([, told]) => 'reason' in told)).toEqual([true, false, false]);
    expect(proxy.status().backends[0]).toMatchObject({ breaker: 'closed', openUntil: null });
  });

  it('is longer than no cooldown, whatever is asked for', async () => {
    const backend = await startBackend(reply(200));
    const { proxy } = await startProxyWith({ target: backend.url, breaker: { cooldown: 30 } });

    proxy.holdOpen(backend.url, Number.POSITIVE_INFINITY);

    expect(proxy.status().backends[0]!.breaker).toBe('open');
    await until(() => proxy.status().backends[0]?.breaker === 'half-open', 'the cooldown', 1000);
  });

  it('takes no longer, however many failures in a row are allowed', async () => {
    const backend = await startBackend(reply(200));
    const failures = Number.MAX_SAFE_INTEGER;
    const { proxy } = await startProxyWith({ target: backend.url, breaker: { failures } });
    const heard = changes(proxy);

    proxy.holdOpen(backend.url, 5000);
    await delivery();
    proxy.closeBreaker(backend.url);
    await delivery();

    expect(heard.map(([event]) => event)).toEqual(['break', 'reset']);
  });

  it('keeps an open one open, from now on, and tells nothing anew', async () => {
    const tripped = await openBreaker(60_000);
    const { proxy, backend, status, events } = tripped;
    const left = (): number => Date.parse(status().openUntil!) - Date.now();
    await until(() => events.length === 1);

    proxy.holdOpen(backend.url, 1000);
    expect(left()).toBeLessThanOrEqual(1000);
    proxy.holdOpen(backend.url, 20_000);
    expect(left()).toBeGreaterThan(19_000);
    await delivery();

    expect(events).toEqual(['break']);
  });

  it('keeps one open whose cooldown is over, but not one that probes', async () => {
    const answered = gate();
    const tripped = await readyToProbe(heldUntil(answered.opened, reply(200)));
    const { url, proxy, backend, status, before } = tripped;

    proxy.holdOpen(backend.url, 30);
    expect(status().breaker).toBe('open');
    expect((await get(url)).status).toBe(503);
    await until(() => status().breaker === 'half-open');
    const probe = get(url);
    await until(() => backend.started === before + 1);
    proxy.holdOpen(backend.url, 30);
    proxy.closeBreaker(backend.url);
    expect(status().breaker).toBe('half-open');
    answered.open();

    expect((await probe).status).toBe(200);
    expect(status().breaker).toBe('closed');
  });

  it('ignores what comes of attempts that began before', async () => {
    const answered = gate();
    const backend = await startBackend(heldUntil(answered.opened, reply(500)));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: false,
      breaker: { failures: 1 },
    });
    const early = get(url);
    await until(() => backend.started === 1);

    proxy.holdOpen(backend.url, 5000);
    proxy.closeBreaker(backend.url);
    answered.open();
    await early;

    expect(proxy.status().backends[0]).toMatchObject({ breaker: 'closed', failures: 1 });
  });

  it('sends away who waits for one of maxConnections there', async () => {
    const answered = gate();
    const backend = await startBackend(heldUntil(answered.opened, reply(200)));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      maxConnections: 1,
      queueTimeout: 60_000,
    });
    const first = get(url);
    await until(() => backend.started === 1);
    const second = get(url);
    await until(() => proxy.status().backends[0]?.inFlight === 2);

    proxy.holdOpen(backend.url, 5000);

    expect((await second).status).toBe(503);
    answered.open();
    expect((await first).status).toBe(200);
  });
});

describe('closeBreaker', () => {
  it('closes an open one, tells why, and the next failures are counted from 0', async () => {
    const { url, proxy, backend, status } = await openBreaker(60_000, [], {
      breaker: { failures: 1, cooldown: 60_000 },
    });
    const heard = changes(proxy);
    backend.answerWith(reply(200, 'well'));

    proxy.closeBreaker(backend.url, 'replica web-5 has had an answer');

    expect(status()).toMatchObject({ breaker: 'closed', openUntil: null, consecutiveFailures: 0 });
    expect((await get(url)).text).toBe('well');
    expect(heard).toEqual([
      [
        'reset',
        { backend: backend.host, target: backend.url, reason: 'replica web-5 has had an answer' },
      ],
    ]);
    backend.answerWith(reply(500));
    await get(url);
    await until(() => heard.length === 2);
    expect([status().breaker, heard[1]![0]]).toEqual(['open', 'break']);
  });

  it('leaves a closed one as it is, its failures in a row too', async () => {
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({ target: backend.url, retry: false });
    const heard = changes(proxy);
    await get(url);

    proxy.closeBreaker(backend.url);
    await delivery();

    expect(proxy.status().backends[0]).toMatchObject({ breaker: 'closed', consecutiveFailures: 1 });
    expect(heard).toEqual([]);
  });
});

it('cockatiel follows every order of own and others’ words', async () => {
  const told: string[] = [];
  const breaker = new Breaker(3, 1000, (change, reason) =>
    told.push(reason === null ? change : `${change} (${reason})`),
  );

  breaker.failure(breaker.enter(), 1);
  breaker.holdOpen(500, 10, 'a'); // with one failure of three
  breaker.holdOpen(500, 20, 'b'); // open already
  breaker.close('c');
  breaker.close('d'); // closed already
  breaker.failure(breaker.enter(), 30);
  breaker.failure(breaker.enter(), 31);
  breaker.failure(breaker.enter(), 32); // three of its own
  expect([breaker.stateAt(33), breaker.waitMs(33)]).toEqual(['open', 999]);
  breaker.close('e');
  breaker.holdOpen(100, 40, 'f'); // with none of three
  breaker.headArrived(breaker.enter()); // the probe, at 140
  breaker.failure(breaker.enter(), 150);
  breaker.failure(breaker.enter(), 151);
  expect(breaker.stateAt(152)).toBe('closed');
  breaker.failure(breaker.enter(), 153);
  breaker.failure(breaker.enter(), 2000); // the probe
  await until(() => told.length >= 10);
  await delivery();

  expect(told).toEqual([
    ...['break (a)', 'reset (c)', 'break', 'reset (e)', 'break (f)', 'half-open', 'reset'],
    ...['break', 'half-open', 'break'],
  ]);
});

describe('wrong arguments', () => {
  it.each(['http://127.0.0.1:1', 'nonsense', ''])('the unknown URL %j', async (url) => {
    const backend = await startBackend(reply(200));
    const proxy = quietProxy({ target: backend.url });

    for (const call of [() => proxy.holdOpen(url, 10), () => proxy.closeBreaker(url)]) {
      expect(call).toThrow(TypeError);
      expect(call).toThrow(`"${url}" is no backend of this proxy; they are ${backend.url}`);
    }
  });

  it.each([-1, Number.NaN, '5', null, undefined])('%p milliseconds', async (ms) => {
    const proxy = quietProxy({ target: 'http://127.0.0.1:1' });
    const call = () => proxy.holdOpen('http://127.0.0.1:1', ms as number);

    expect(call).toThrow(TypeError);
    expect(call).toThrow(/holdOpen: ms must be milliseconds >= 0, for example 10000; got /);
  });

  it('a reason that is no text', () => {
    const proxy = quietProxy({ target: 'http://127.0.0.1:1' });

    for (const reason of ['', 7 as never]) {
      expect(() => proxy.holdOpen('http://127.0.0.1:1', 10, reason)).toThrow(/reason must be/);
      expect(() => proxy.closeBreaker('http://127.0.0.1:1', reason)).toThrow(/reason must be/);
    }
  });

  it('a proxy without breakers', () => {
    const proxy = quietProxy({ target: 'http://127.0.0.1:1', breaker: false });

    expect(() => proxy.holdOpen('http://127.0.0.1:1', 10)).toThrow(/"breaker" is false/);
    expect(() => proxy.closeBreaker('http://127.0.0.1:1')).toThrow(/"breaker" is false/);
  });
});

it('a hop and an attempt name their target, as no member of their own', async () => {
  const backend = await startBackend(reply(200));
  const { url, proxy } = await startProxyWith({ target: `${backend.url}/base` });
  const told: object[] = [];
  proxy.events.on('attempt', (event) => told.push([event.target, Object.hasOwn(event, 'target')]));
  proxy.events.on('hop', (event) => told.push([event.target, Object.hasOwn(event, 'target')]));

  await open(url).response;

  await until(() => told.length === 2);
  expect(told).toEqual(Array(2).fill([`${backend.url}/base`, false]));
});
