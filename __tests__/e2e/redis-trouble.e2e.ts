// Redis that is slow, gone, killed, emptied, or full of lies: no request waits for it or fails by it.
import { runInThisContext } from 'node:vm';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createClient as createClient4 } from 'redis4';
import { createClient as createClient5 } from 'redis5';
import type { BalanceFunction } from '../../src/index.js';
import { type RedisClient, shareBreakers } from '../../src/redis/index.js';
import { type Backend, reply, startBackends } from '../support/backend.js';
import { closeAfterTest } from '../support/cleanup.js';
import { expectNothingBut, openHandles } from '../support/handles.js';
import { get, startProxyWith } from '../support/proxy.js';
import { delivery, timePasses, until } from '../support/wait.js';
import { connectClient, type Redis, startRedis, untilConnections } from './support/redis.js';
import { CHANNEL, callUntil, PREFIX, type Replica, startReplicas } from './support/sharing.js';

const first: BalanceFunction = (_req, candidates) => candidates[0]!;

// A test's own `process` is jest's copy.
const realProcess = runInThisContext('process') as NodeJS.Process;

/** What is warned of from now on. */
function warnings(): string[] {
  const heard: string[] = [];
  const onWarning = ({ name, message }: Error): void => {
    if (name === 'TinyProxyWarning') heard.push(message);
  };
  realProcess.on('warning', onWarning);
  closeAfterTest(() => realProcess.off('warning', onWarning));
  return heard;
}

let redis: Redis;
let sick: Backend;
let well: Backend;
beforeEach(async () => {
  redis = await startRedis();
  [sick, well] = await startBackends(reply(500), reply(200, 'well'));
});

async function two(cooldown = 10_000): Promise<[Replica, Replica]> {
  const options = { target: [sick.url, well.url], balance: first, breaker: { cooldown } };
  return (await startReplicas(2, redis.url, options)) as [Replica, Replica];
}

const joined = (replicas: Replica[], is: boolean): Promise<void> =>
  until(() => replicas.every(({ sharing }) => sharing.status().joined === is), `joined: ${is}`);

/** One trips; the other hears of it. */
async function expectSharing([one, other]: [Replica, Replica]): Promise<void> {
  const heard = other.changes.length;
  await callUntil(one, 'open');
  // Not by its state: its cooldown may be over before this busy process looks.
  await until(() => other.changes.length > heard, 'the other breaker');
  expect(other.changes[heard]).toBe('break*');
}

/** Each trips, and probes, by itself. */
async function expectAlone(replicas: [Replica, Replica]): Promise<void> {
  sick.answerWith(reply(500));
  for (const replica of replicas) await callUntil(replica, 'open');
  sick.answerWith(reply(200));
  for (const replica of replicas) await callUntil(replica, 'closed');
  for (const { changes } of replicas)
    expect(changes.slice(-3)).toEqual(['break', 'half-open', 'reset']);
  sick.answerWith(reply(500));
}

describe('Redis is killed', () => {
  it('each goes on alone, with its own probe, and they join again by themselves', async () => {
    const heard = warnings();
    const replicas = await two(300);

    await redis.kill();
    await joined(replicas, false);
    await expectAlone(replicas);
    await redis.restart();
    await joined(replicas, true);
    await expectSharing(replicas);

    const told = (what: string): number => heard.filter((text) => text.includes(what)).length;
    await until(() => told('Redis is back') >= 2);
    // Once a change, not once an attempt to connect; a busy machine may make a change of its own.
    expect(told('out of reach, this replica is alone')).toBeLessThan(6);
    expect(told('Redis is back')).toBe(told('out of reach, this replica is alone'));
  });

  it('and again, and what was said meanwhile is not said later', async () => {
    const replicas = await two(300);
    for (let i = 0; i < 3; i += 1) {
      await redis.kill();
      await joined(replicas, false);
      await expectAlone(replicas);
      const changes = replicas.map((replica) => replica.changes.length);
      await redis.restart();
      await joined(replicas, true);
      await timePasses(50);
      expect(replicas.map((replica) => replica.changes.length)).toEqual(changes);
    }
    await expectSharing(replicas);
  });
});

describe('Redis does not answer', () => {
  it('no request waits for it, and nothing heaps up', async () => {
    const heard = warnings();
    const replicas = await two(300);
    redis.pause();
    closeAfterTest(() => redis.resume());

    let slowestMs = 0;
    const begun = performance.now();
    while (performance.now() - begun < 2500) {
      const at = performance.now();
      await Promise.all(replicas.map(({ url }) => get(url)));
      slowestMs = Math.max(slowestMs, performance.now() - at);
    }
    expect(slowestMs).toBeLessThan(1000);
    await expectAlone(replicas);
    await until(() => heard.length === 2);
    expect(heard[0]).toMatch(/out of reach, this replica is alone: no answer within 1000 ms/);

    redis.resume();
    await joined(replicas, true);
    await timePasses(50);
    sick.answerWith(reply(200));
    for (const replica of replicas) await callUntil(replica, 'closed');
    sick.answerWith(reply(500));
    await expectSharing(replicas);
  });

  it('from the start: the proxy works, and close() ends', async () => {
    const client = await connectClient(redis.url);
    redis.pause();
    closeAfterTest(() => redis.resume());
    const { url, proxy } = await startProxyWith({ target: well.url });

    const sharing = shareBreakers(proxy, { client, prefix: PREFIX });

    expect((await get(url)).text).toBe('well');
    expect(sharing.status().joined).toBe(false);
    await sharing.close();
  });
});

it('Redis is emptied: leases are gone, nothing else', async () => {
  const replicas = await two(600);
  await callUntil(replicas[0], 'open');
  await until(() => replicas[1].breaker() === 'open');
  await replicas[0].client.flushAll();

  sick.answerWith(reply(200));
  await callUntil(replicas[0], 'closed');
  await callUntil(replicas[1], 'closed');
  sick.answerWith(reply(500));
  await expectSharing(replicas);
});

const said = (more: object): string =>
  JSON.stringify({ v: 1, from: 'liar:1/0', kind: 'open', backend: sick.url, ...more });

it.each(['well', 'closed'])(
  'a late "%s" of a replica does not contradict what it says next',
  async (kind) => {
    const [one] = await two();
    const other = await connectClient(redis.url);
    const open = said({ from: 'late:1/0', openMs: 500, failingMs: 60_000, probe: false });

    await other.publish(CHANNEL, said({ from: 'well:1/0', kind }));
    await other.publish(CHANNEL, open);
    await until(() => one.sharing.status().refused === 1);
    await other.publish(CHANNEL, said({ from: 'late:1/0', kind }));
    await other.publish(CHANNEL, open);

    await until(() => one.changes.length > 0, 'the breaker');
    expect(one.changes[0]).toBe('break*');
  },
);

describe('lies', () => {
  const open = { openMs: 1000, failingMs: 1, probe: false };

  it.each<[what: string, message: () => string | Buffer]>([
    ['no JSON', () => 'hello'],
    ['nothing', () => ''],
    ['null', () => 'null'],
    ['a number', () => '7'],
    ['a list', () => '[1]'],
    ['bytes', () => Buffer.from([0, 255, 254, 10])],
    ['no version', () => JSON.stringify({ from: 'a', kind: 'closed', backend: sick.url })],
    ['a version as text', () => said({ v: '1' })],
    ['another version', () => said({ v: 2, ...open })],
    ['an unknown kind', () => said({ kind: 'shut' })],
    ['no name', () => said({ from: undefined, ...open })],
    ['a name with a line break', () => said({ from: 'a\nb', ...open })],
    ['a name without end', () => said({ from: 'a'.repeat(1000), ...open })],
    ['an unknown backend', () => said({ backend: 'http://10.0.0.1:1', ...open })],
    ['a backend that is none', () => said({ backend: { toString: 1 }, ...open })],
    [
      'a prototype',
      () =>
        `{"v":1,"from":"a","kind":"open","backend":"__proto__","openMs":1,"failingMs":0,"probe":true}`,
    ],
    ['no times', () => said({})],
    ['times below 0', () => said({ ...open, openMs: -1 })],
    ['times as text', () => said({ ...open, openMs: '1000' })],
    ['times that are none', () => said({ ...open, failingMs: null })],
    ['a time beyond all numbers', () => said(open).replace('1000', '1e999')],
    ['no end', () => said({ ...open, more: 'x'.repeat(100_000) })],
  ])('%s is ignored, counted, and warned of once', async (_what, message) => {
    const heard = warnings();
    const [one] = await two();
    const other = await connectClient(redis.url);

    for (let i = 0; i < 3; i += 1) await other.publish(CHANNEL, message());
    await until(() => one.sharing.status().ignored === 3);

    expect([one.breaker(), one.changes]).toEqual(['closed', []]);
    expect((await get(one.url)).status).toBe(500);
    expect(heard.filter((text) => text.includes('is ignored'))).toHaveLength(2); // one a replica
    expect(one.sharing.status().joined).toBe(true);
  });

  it('a cooldown without end is one of our own, at most', async () => {
    const [one] = await two(500);
    const other = await connectClient(redis.url);
    sick.answerWith(reply(200));

    for (const from of ['liar:1/0', 'liar:2/0'])
      await other.publish(CHANNEL, said({ ...open, from, openMs: 1e300 }));
    await until(() => one.breaker() === 'open');
    const { openUntil } = one.proxy.status().backends[0]!;
    expect(Date.parse(openUntil!)).toBeLessThanOrEqual(Date.now() + 500);

    await callUntil(one, 'closed');
  });

  it('a probe that fails again and again, as somebody says, for no longer than 20 s', async () => {
    const [one] = await two(500);
    const other = await connectClient(redis.url);
    await callUntil(one, 'open');
    sick.answerWith(reply(200));
    const lie = said({ ...open, from: 'liar:1/0', openMs: 500, probe: true });
    const lying = setInterval(() => void other.publish(CHANNEL, lie), 100);
    closeAfterTest(() => clearInterval(lying));

    await timePasses(3000);
    expect(one.breaker()).toBe('open');
    await timePasses(16_000);
    await callUntil(one, 'closed');
  }, 40_000);

  it('a lease that never ends keeps from its own probe for no longer than 20 s', async () => {
    const [one] = await two(500);
    const other = await connectClient(redis.url);
    await other.hSet(`${PREFIX}probe:${sick.url}`, 'a', 'b'); // of another type, but it is there
    await callUntil(one, 'open');
    sick.answerWith(reply(200));
    const begun = performance.now();

    await timePasses(3000);
    expect(one.breaker()).toBe('open');
    await timePasses(16_000);
    await callUntil(one, 'closed');

    expect(performance.now() - begun).toBeGreaterThan(19_000);
  }, 40_000);
});

describe('close()', () => {
  it('leaves nothing behind, and the client open; the proxy goes on alone', async () => {
    const client = await connectClient(redis.url);
    const observer = await connectClient(redis.url);
    const { url, proxy } = await startProxyWith({
      target: sick.url,
      retry: false,
      breaker: { cooldown: 300 },
    });
    const handles = openHandles();
    const sharing = shareBreakers(proxy, { client, prefix: PREFIX });
    await until(() => sharing.status().joined);
    await untilConnections(observer, 3);
    for (let i = 0; i < 5; i += 1) await get(url);

    await sharing.close();
    await sharing.close();

    await expectNothingBut([...handles, 'TCPSocketWrap', 'TCPSocketWrap']); // of the proxy
    expect(proxy.events.eventNames()).toEqual([]);
    expect(['error', 'end', 'ready'].map((event) => client.listenerCount(event))).toEqual([
      1, 0, 0,
    ]);
    expect(await client.ping()).toBe('PONG');
    await untilConnections(observer, 2);
    expect(proxy.status().backends[0]?.breaker).toBe('open');
    await until(() => proxy.status().backends[0]?.breaker === 'half-open');
    expect((await get(url)).status).toBe(500);
  });

  it('comes with the proxy’s', async () => {
    const [one] = await two();
    const observer = await connectClient(redis.url);

    await one.proxy.close(0);

    await until(() => !one.sharing.status().joined);
    expect(one.proxy.events.listenerCount('hop')).toBe(0);
    const subscribers = await observer.pubSubNumSub([CHANNEL]);
    expect(Object.values(subscribers)).toEqual([1]);
  });

  it.each<[version: number, create: () => Promise<RedisClient & Ended>]>([
    [4, () => noisy(createClient4({ url: redis.url })).connect()],
    [5, () => noisy(createClient5({ url: redis.url })).connect()],
    [6, () => connectClient(redis.url)],
  ])('while it still connects, with redis %i', async (_version, create) => {
    const client = await create();
    closeAfterTest(() => client.isOpen && client.disconnect());
    const observer = await connectClient(redis.url);
    const { proxy } = await startProxyWith({ target: well.url });

    for (let turns = 0; turns < 10; turns += 1) {
      const sharing = shareBreakers(proxy, { client, prefix: PREFIX });
      for (let turn = 0; turn < turns; turn += 1) await delivery();
      await sharing.close();
    }

    await untilConnections(observer, 2);
    expect(proxy.events.eventNames()).toEqual([]);
  });

  it('may be followed by another start', async () => {
    const [one, other] = await two();
    await one.sharing.close();
    const again = shareBreakers(one.proxy, { client: one.client, prefix: PREFIX });
    closeAfterTest(() => again.close());
    await until(() => again.status().joined);

    await callUntil(other, 'open');
    await until(() => one.breaker() === 'open');
  });
});

it('the user closes the client: no connection of ours is left, and the proxy is alone', async () => {
  const heard = warnings();
  const replicas = await two(300);
  const observer = await connectClient(redis.url);

  for (const { client } of replicas) client.destroy();
  await joined(replicas, false);

  await until(() => heard.length === 2);
  await untilConnections(observer, 1);
  await expectAlone(replicas);
  for (const { client } of replicas) await client.connect();
  await joined(replicas, true);
  await expectSharing(replicas);
});

it('our own connection alone is lost: it is made again', async () => {
  const replicas = await two();
  const observer = await connectClient(redis.url);

  await observer.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
  await joined(replicas, false);
  await joined(replicas, true);

  await expectSharing(replicas);
});

it('Redis refuses the commands: each is alone, and says why', async () => {
  const heard = warnings();
  const replicas = await two(300);
  const observer = await connectClient(redis.url);
  await observer.aclSetUser('default', ['-publish', '-set']);

  await expectAlone(replicas);

  await until(() => heard.length === 2);
  expect(heard[0]).toMatch(/this replica is alone: NOPERM/);
});

describe.each<[version: number, create: (url: string) => Promise<RedisClient & Ended>]>([
  [4, async (url) => noisy(createClient4({ url })).connect()],
  [5, async (url) => noisy(createClient5({ url })).connect()],
])('a client of redis %i', (_version, create) => {
  it('shares with one of the newest, through a restart, and is left in peace', async () => {
    const client = await create(redis.url);
    closeAfterTest(() => client.disconnect());
    const options = { target: [sick.url, well.url], balance: first, breaker: { cooldown: 300 } };
    const running = await startProxyWith({ ...options, retry: false });
    const { proxy } = running;
    const sharing = shareBreakers(proxy, { client, prefix: PREFIX });
    const [newest] = (await startReplicas(1, redis.url, options)) as [Replica];
    const breaker = () => proxy.status().backends[0]!.breaker;
    await until(() => sharing.status().joined);

    await callUntil(newest, 'open');
    await until(() => breaker() === 'open', 'the breaker');
    await redis.kill();
    await until(() => !sharing.status().joined, 'the loss');
    await redis.restart();
    await until(() => sharing.status().joined && newest.sharing.status().joined, 'the end', 10_000);
    sick.answerWith(reply(200));
    while (breaker() !== 'closed' || newest.breaker() !== 'closed') {
      await get(running.url);
      await get(newest.url);
    }
    sick.answerWith(reply(500));
    for (let i = 0; i < 5; i += 1) await get(running.url);
    await until(() => newest.breaker() === 'open', 'the other breaker');

    await sharing.close();
    expect(await client.sendCommand(['PING'])).toBe('PONG');
  });
});

interface Ended {
  disconnect(): Promise<void>;
}

function noisy<Client extends { on(event: string, listener: () => void): unknown }>(
  client: Client,
): Client {
  client.on('error', () => {});
  return client;
}
