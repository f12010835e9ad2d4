// Replicas that share their breakers over a real Redis: what one has found, and what the others do.
import { beforeEach, describe, expect, it } from '@jest/globals';
import type { BalanceFunction } from '../../src/index.js';
import {
  type Backend,
  type Handler,
  hang,
  heldUntil,
  reply,
  startBackend,
  startBackends,
} from '../support/backend.js';
import { get } from '../support/proxy.js';
import { gate, timePasses, until } from '../support/wait.js';
import { connectClient, type Redis, startRedis } from './support/redis.js';
import { callUntil, PREFIX, type Replica, startReplica, startReplicas } from './support/sharing.js';

const LEASE_MS = 2000;

/** The sick one as long as it may be tried. */
const first: BalanceFunction = (_req, candidates) => candidates[0]!;

let redis: Redis;
let sick: Backend;
let well: Backend;
beforeEach(async () => {
  redis = await startRedis();
  [sick, well] = await startBackends(reply(500), reply(200, 'well'));
});

const target = (): string[] => [sick.url, well.url];
const started = (): number => sick.started;

/** Replicas that ask the first backend as long as they may. */
async function three(cooldown = 10_000): Promise<[Replica, Replica, Replica]> {
  const options = { target: target(), balance: first, breaker: { cooldown } };
  return (await startReplicas(3, redis.url, options)) as [Replica, Replica, Replica];
}

const all = (replicas: Replica[], state: string): boolean =>
  replicas.every((replica) => replica.breaker() === state);

/** Calls all of them, over and over, until that is so; the statuses of the answers. */
async function callAll(replicas: Replica[], isSo: () => boolean): Promise<Set<number>> {
  const statuses = new Set<number>();
  const giveUpAt = performance.now() + 15_000;
  while (!isSo()) {
    if (performance.now() > giveUpAt) throw new Error(`in vain for ${isSo}`);
    const answers = await Promise.all(replicas.map(({ url }) => get(url)));
    for (const { status } of answers) statuses.add(status);
  }
  return statuses;
}

/** `sick` is sick to requests of one replica alone, whose network is broken. */
function sickFor(replica: string): Handler {
  return (request, response, body) => {
    const isOfThat = request.headers['x-replica'] === replica;
    return reply(isOfThat ? 500 : 200, 'sick, to one')(request, response, body);
  };
}

describe('one replica’s breaker has opened', () => {
  it('and so have the others’ within 100 ms; event, status and log say on whose word', async () => {
    const [one, two, other] = await three();
    await get(two.url); // it has tried once, in vain
    await callUntil(one, 'open');
    const openedAt = performance.now();
    await until(() => all([two, other], 'open'));
    const tookMs = performance.now() - openedAt;

    process.stdout.write(`open everywhere after ${tookMs.toFixed(1)} ms\n`);
    expect(tookMs).toBeLessThan(100);
    expect([two.attempts(), other.attempts()]).toEqual([1, 0]);
    expect((await get(other.url)).text).toBe('well');
    expect([two.changes, other.changes]).toEqual([['break*'], ['break*']]);
    const { openUntil } = other.proxy.status().backends[0]!;
    expect(Date.parse(openUntil!)).toBeGreaterThan(Date.now());
    const { replica } = one.sharing.status();
    expect(other.log[0]).toMatch(/ break .* breaker open .*, next probe at \d{4}-/);
    expect(other.log[0]).toContain(replica);
    expect(other.sharing.status()).toMatchObject({ joined: true, opened: 1, refused: 0 });
  });

  it('by failures in a row that no replica has seen all of', async () => {
    const replicas = await three();

    for (const { url } of [...replicas, ...replicas.slice(0, 2)]) {
      await get(url);
      await timePasses(60); // failures are told no more often
    }
    await until(() => all(replicas, 'open'));

    expect(started()).toBe(5);
    expect(replicas.map(({ changes }) => changes)).toEqual(Array(3).fill(['break*']));
  });

  it('not by failures with successes among them, of whichever replica', async () => {
    const [one, two, quiet] = await three();

    for (let i = 0; i < 12; i += 1) {
      sick.answerWith(reply(i % 3 === 2 ? 200 : 500));
      await get(i % 2 === 0 ? one.url : two.url);
      await timePasses(60);
    }

    expect(all([one, two, quiet], 'closed')).toBe(true);
    expect(quiet.sharing.status()).toMatchObject({ opened: 0, refused: 0 });
  });
});

describe('after the cooldown', () => {
  it('one request of the whole fleet is the probe, cooldown after cooldown', async () => {
    const replicas = await three(600);
    await callUntil(replicas[0], 'open');
    await until(() => all(replicas, 'open'));
    const before = started();
    const probes = (): number =>
      replicas.flatMap(({ changes }) => changes).filter((change) => change === 'half-open').length;

    const statuses = await callAll(replicas, () => probes() === 4);

    expect(started() - before).toBe(4);
    expect(statuses).toEqual(new Set([200, 500])); // the probes' own; all others go elsewhere
    sick.answerWith(reply(200, 'well again'));
    await callAll(replicas, () => all(replicas, 'closed'));
    expect(probes()).toBe(5);
    const closed = replicas.map(({ changes }) => changes.at(-1)).sort();
    expect(closed).toEqual(['reset', 'reset*', 'reset*']);
  });

  it('the others wait for a probe that takes its time', async () => {
    const answered = gate();
    const replicas = await three(1000);
    await callUntil(replicas[0], 'open');
    await until(() => all(replicas, 'open'));
    sick.answerWith(heldUntil(answered.opened, reply(200, 'late')));
    const before = started();

    const calls = setInterval(() => {
      for (const { url } of replicas) void get(url).catch(() => {});
    }, 50);
    await timePasses(1000 + 1.5 * LEASE_MS);
    clearInterval(calls);

    expect(started() - before).toBe(1);
    answered.open();
    await until(() => all(replicas, 'closed'));
  });

  it('another probes when the one that holds the lease is gone', async () => {
    const [one, ...others] = await three(600);
    await callUntil(one, 'open');
    await until(() => all(others, 'open'));
    await one.sharing.close();
    await one.proxy.close(0);
    // As if it had asked for the lease, and died.
    await others[0]!.client.set(`${PREFIX}probe:${sick.url}`, 'dead', {
      expiration: { type: 'PX', value: LEASE_MS },
    });
    sick.answerWith(reply(200));
    const begun = performance.now();

    await callAll(others, () => all(others, 'closed'));

    expect(performance.now() - begun).toBeGreaterThan(LEASE_MS - 800);
  });

  it('a replica that has no requests leaves the probe to one that has', async () => {
    const [idle, busy, other] = await three(600);
    await callUntil(idle, 'open');
    await until(() => all([busy, other], 'open'));
    sick.answerWith(reply(200));

    await callAll([busy], () => all([idle, busy, other], 'closed'));

    expect(busy.changes.slice(-2)).toEqual(['half-open', 'reset']);
  });
});

describe('a replica with a broken network', () => {
  const named = (name: string) => ({
    target: target(),
    balance: first,
    breaker: { cooldown: 600 },
    director: (outgoing: { headers: Record<string, unknown> }) => {
      outgoing.headers['x-replica'] = name;
    },
  });
  let broken: Replica;
  beforeEach(async () => {
    sick.answerWith(sickFor('broken'));
    broken = await startReplica(redis.url, named('broken'));
  });

  it('opens nobody’s breaker where others have successes', async () => {
    const [busy, quiet] = [await startReplica(redis.url, named('busy')), (await three())[0]];
    let running = true;
    const traffic = (async () => {
      while (running) await get(busy.url);
    })();

    await callUntil(broken, 'open');
    await timePasses(700);
    await callAll([broken], () => broken.changes.filter((each) => each === 'break').length > 1);
    running = false;
    await traffic;

    expect([busy.changes, quiet.changes]).toEqual([[], []]);
    expect(broken.changes.slice(0, 3)).toEqual(['break', 'half-open', 'break']);
  });

  it('opens a quiet one’s for a second at most, until that has probed by itself', async () => {
    const quiet = await startReplica(redis.url, { ...named('quiet'), breaker: {} });
    await callUntil(broken, 'open');
    await until(() => quiet.breaker() === 'open');
    const { openUntil } = quiet.proxy.status().backends[0]!;
    expect(Date.parse(openUntil!) - Date.now()).toBeLessThanOrEqual(1000);

    await callAll([quiet], () => quiet.breaker() === 'closed');

    expect(quiet.changes).toEqual(['break*', 'half-open', 'reset']);
    await until(() => broken.changes.includes('reset*'));
    // Closed on the other's word, it fails again, and asks nobody any more.
    await callUntil(broken, 'open');
    await callAll([quiet], () => quiet.attempts() > 10);
    expect(quiet.changes).toHaveLength(3);
    expect(broken.breaker()).not.toBe('closed');
  });

  it('takes from nobody the last backend that may be tried', async () => {
    well.answerWith(sickFor('broken'));
    const quiet = await startReplica(redis.url, { ...named('quiet'), breaker: {} });

    await callAll([broken], () => broken.breaker(0) !== 'closed' && broken.breaker(1) !== 'closed');
    await until(() => quiet.sharing.status().refused > 0);

    expect([quiet.breaker(0), quiet.breaker(1)].sort()).toEqual(['closed', 'open']);
    expect((await get(quiet.url)).status).toBe(200);
  });

  it('nor the last one that is healthy', async () => {
    const quiet = await startReplica(redis.url, { ...named('quiet'), breaker: {} });
    quiet.proxy.setHealthy(well.url, false);

    await callUntil(broken, 'open');
    await until(() => quiet.sharing.status().refused > 0 || quiet.changes.length > 0);

    expect(quiet.changes).toEqual([]);
  });
});

describe('a failure of its own and another’s word', () => {
  it('open the last backend, too', async () => {
    const options = { target: sick.url, breaker: { cooldown: 10_000 } };
    const [one, two] = (await startReplicas(2, redis.url, options)) as [Replica, Replica];
    await get(two.url);
    await callUntil(one, 'open');

    await until(() => two.breaker() === 'open');

    expect(two.attempts()).toBe(1);
    expect((await get(two.url)).status).toBe(503);
  });
});

describe('what is not shared', () => {
  it('under another prefix, nothing', async () => {
    const options = { target: target(), balance: first };
    const orders = await startReplica(redis.url, options, 'orders:');
    const users = await startReplica(redis.url, options, 'users:');

    await callUntil(orders, 'open');
    await timePasses(100);

    expect(users.breaker()).toBe('closed');
    expect(users.sharing.status()).toMatchObject({ opened: 0, refused: 0, ignored: 0 });
  });

  it('a backend that is no target here: the message is ignored, and counted', async () => {
    const one = await startReplica(redis.url, { target: target(), balance: first });
    const other = await startReplica(redis.url, { target: well.url });

    await callUntil(one, 'open');
    await until(() => other.sharing.status().ignored > 0);

    expect(other.breaker()).toBe('closed');
    expect(other.sharing.status().joined).toBe(true);
  });
});

it('a replica that comes when a breaker is open learns it at its first failures', async () => {
  const [one, two] = await three();
  await callUntil(one, 'open');
  await until(() => two.breaker() === 'open');
  const openUntil = (): string => two.proxy.status().backends[0]!.openUntil!;
  const before = openUntil();

  const late = await startReplica(redis.url, { target: target(), balance: first });
  await callUntil(late, 'open');
  await timePasses(50);

  expect(late.attempts()).toBe(5);
  // It is a second replica's word, which the one alone was waiting for.
  expect(Date.parse(openUntil())).toBeGreaterThan(Date.parse(before));
});

it('a hung backend is given up by all when one has waited for it', async () => {
  sick.answerWith(hang());
  const options = { target: target(), balance: first, attemptTimeout: 150 };
  const replicas = (await startReplicas(3, redis.url, options)) as [Replica, Replica, Replica];

  await Promise.all(Array.from({ length: 5 }, () => get(replicas[0].url)));
  await until(() => all(replicas, 'open'));

  expect((await get(replicas[2].url)).text).toBe('well');
});

it('needs a backend to come back but once, however many replicas there are', async () => {
  const backend = await startBackend(reply(500));
  const client = await connectClient(redis.url);
  const replicas = await startReplicas(5, redis.url, {
    target: [backend.url, well.url],
    balance: first,
    breaker: { cooldown: 500 },
  });
  await callUntil(replicas[0]!, 'open');
  await until(() => all(replicas, 'open'));
  backend.answerWith(reply(200));
  const before = backend.started;
  const atReset: number[] = [];
  for (const { proxy } of replicas) proxy.events.once('reset', () => atReset.push(backend.started));

  await callAll(replicas, () => all(replicas, 'closed'));

  expect(atReset[0]! - before).toBe(1);
  // The lease was given back, long before it would run out. Another replica may just be told that.
  const soon = performance.now() + 500;
  let leases = await client.keys(`${PREFIX}*`);
  while (leases.length > 0 && performance.now() < soon) leases = await client.keys(`${PREFIX}*`);
  expect(leases).toEqual([]);
});
