// What of shared breakers needs no Redis: wrong arguments, and a Redis that is not there. All else is
// in e2e/redis*.e2e.ts.
import { describe, expect, it } from '@jest/globals';
import express from 'express';
import { createClient, createCluster, createSentinel } from 'redis';
import { createClient as createClient4 } from 'redis4';
import { createClient as createClient5 } from 'redis5';
import { type RedisClient, type SharedBreakersOptions, shareBreakers } from '../src/redis/index.js';
import { read, type Word, write } from '../src/redis/message.js';
import { failTimes, reply, startBackend } from './support/backend.js';
import { closeAfterTest } from './support/cleanup.js';
import { clientInVain } from './support/client-in-vain.js';
import { expectNothingBut, openHandles } from './support/handles.js';
import { get, quietProxy, startProxyWith } from './support/proxy.js';
import { until } from './support/wait.js';

describe('wrong arguments throw a TypeError that shows right ones', () => {
  const proxy = () => quietProxy({ target: 'http://127.0.0.1:1' });

  it.each<[what: string, create: () => unknown]>([
    ['6', () => createClient()],
    ['5', () => createClient5()],
    ['4', () => createClient4()],
  ])('a client of redis %s that is not connected', (_version, create) => {
    const options = { client: create(), prefix: 'orders:' } as SharedBreakersOptions;

    const call = () => shareBreakers(proxy(), options);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(
      'shareBreakers: option "client" must be a connected client of redis: const client = createClient({ url }); await client.connect(); got a client that is not connected',
    );
  });

  it.each<[what: string, client: () => unknown]>([
    ['none', () => undefined],
    ['a URL', () => 'redis://127.0.0.1:6379'],
    ['a cluster', () => createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:1' }] })],
    ['another thing', () => ({ isOpen: true, isReady: true })],
  ])('%s as the client', (_what, client) => {
    const options = { client: client(), prefix: 'orders:' } as SharedBreakersOptions;

    const call = () => shareBreakers(proxy(), options);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(/option "client" must be a connected client of redis: .*; got /);
  });

  it('a sentinel as the client: its sendCommand() is another', () => {
    const sentinelRootNodes = [{ host: '127.0.0.1', port: 1 }];
    const client = createSentinel({ name: 'a', sentinelRootNodes }) as unknown as RedisClient;

    expect(() => shareBreakers(proxy(), { client, prefix: 'orders:' })).toThrow(
      /option "client" must be a connected client of redis: .*; got one of createSentinel\(\)$/,
    );
  });

  it('a client of redis 4 in legacy mode, whose sendCommand() answers no promise', async () => {
    const legacy = (options: object) => createClient4({ ...options, legacyMode: true });
    const client = (await clientInVain(legacy as never)) as RedisClient;

    expect(() => shareBreakers(proxy(), { client, prefix: 'orders:' })).toThrow(
      /option "client" must be a connected client of redis: .*; got one in legacyMode$/,
    );
  });

  it.each([undefined, '', 'with space', 'line\nbreak', 7, 'x'.repeat(201)])(
    'the prefix %p',
    async (prefix) => {
      const options = { client: await clientInVain(), prefix } as SharedBreakersOptions;

      expect(() => shareBreakers(proxy(), options)).toThrow(
        /option "prefix" must be .* for example 'orders:'; got /,
      );
    },
  );

  it.each([0, -1, 1.5, '5', null])('failures: %p', async (failures) => {
    const options = { client: await clientInVain(), prefix: 'a:', failures: failures as number };

    expect(() => shareBreakers(proxy(), options)).toThrow(/"failures" must be a positive integer/);
  });

  it('an unknown option', async () => {
    const options = { client: await clientInVain(), prefix: 'a:', channel: 'b' };

    expect(() => shareBreakers(proxy(), options)).toThrow(
      'shareBreakers: unknown option "channel" (\'b\'); try "client", "prefix", "failures"',
    );
  });

  it.each([undefined, null, 7])('%p as the options', (options) => {
    const call = () => shareBreakers(proxy(), options as never);
    expect(call).toThrow(/the second argument must be an object such as/);
  });

  it.each([undefined, {}, express.Router()])('what is no proxy: %#', async (other) => {
    const options = { client: await clientInVain(), prefix: 'a:' };

    expect(() => shareBreakers(other as never, options)).toThrow(
      /the first argument must be a proxy that tinyProxy\(\) has made/,
    );
  });

  it('a proxy without breakers', async () => {
    const none = quietProxy({ target: 'http://127.0.0.1:1', breaker: false });
    const options = { client: await clientInVain(), prefix: 'a:' };

    expect(() => shareBreakers(none, options)).toThrow(/must have breakers/);
    expect(none.events.eventNames()).toEqual([]);
  });

  it('a proxy that shares them already', async () => {
    const shared = proxy();
    const options = { client: await clientInVain(), prefix: 'a:' };
    const sharing = shareBreakers(shared, options);
    closeAfterTest(() => sharing.close());

    expect(() => shareBreakers(shared, options)).toThrow(TypeError);
    await sharing.close();
    closeAfterTest(() => again.close());
    const again = shareBreakers(shared, options);
  });
});

describe('without a Redis', () => {
  it('the breaker opens, probes and closes by itself', async () => {
    const backend = await startBackend(failTimes(6, reply(200, 'well')));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: false,
      breaker: { cooldown: 60 },
    });
    const sharing = shareBreakers(proxy, { client: await clientInVain(), prefix: 'orders:' });
    closeAfterTest(() => sharing.close());
    const breaker = () => proxy.status().backends[0]!.breaker;

    for (let i = 0; i < 5; i += 1) await get(url);
    expect(breaker()).toBe('open');
    for (const expected of [500, 200]) {
      await until(() => breaker() === 'half-open');
      expect((await get(url)).status).toBe(expected);
    }

    expect(breaker()).toBe('closed');
    expect(sharing.status()).toEqual({
      replica: expect.stringMatching(/^[\w.-]+:\d+\/[0-9a-f]{8}$/),
      ...{ joined: false, opened: 0, closed: 0, refused: 0, ignored: 0 },
    });
  });

  it('close() leaves nothing behind, also where it comes with the proxy’s', async () => {
    const client = await clientInVain();
    await client.disconnect();
    const open = () => openHandles().filter((name) => name !== 'Timeout');
    const before = open();
    client.connect().catch(() => {});
    for (const close of ['its own', 'the proxy’s']) {
      const proxy = quietProxy({ target: 'http://127.0.0.1:1' });
      const sharing = shareBreakers(proxy, { client, prefix: 'orders:' });

      await (close === 'its own' ? sharing.close() : proxy.close());

      expect(proxy.events.eventNames()).toEqual([]);
      expect(['error', 'end', 'ready'].map((event) => client.listenerCount(event))).toEqual([
        1, 0, 0,
      ]);
    }
    await client.disconnect();
    await expectNothingBut([...before, ...openHandles().filter((name) => name === 'Timeout')]);
  });
});

describe('messages', () => {
  const words: Word[] = [
    { kind: 'failed' },
    { kind: 'well' },
    { kind: 'closed' },
    { kind: 'open', openMs: 10_000, failingMs: 12.5, probe: true },
  ];

  it.each(words)('are read as they were written: $kind', (word) => {
    const text = write('web-3:4711/9f2c4e01', 'http://10.0.0.1:8081', word);

    const message = { from: 'web-3:4711/9f2c4e01', backend: 'http://10.0.0.1:8081', ...word };
    expect(read(text)).toEqual(message);
    expect(read(text.replace('{', '{"newer":true,'))).toEqual(message);
  });

  it.each([
    ['', 'no message of ours'],
    ['{"v":2}', 'of another version'],
    ['{"v":"2"}', 'no message of ours'],
    [7, 'no message of ours'],
  ])('that are none are named: %j', (text, why) => {
    expect(read(text)).toBe(why);
  });
});
