// Eight replicas, processes of their own, under load: how often a dead backend is tried, with shared
// breakers and without, and what becomes of requests while Redis dies and comes back.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Backend, reply, startBackends } from '../support/backend.js';
import {
  buildReplica,
  type Figures,
  type FleetReplica,
  load,
  removeReplica,
  startFleet,
} from './support/fleet.js';
import { startRedis } from './support/redis.js';

const REPLICAS = 8;
const PER_SECOND = 400;

let folder = '';
beforeAll(async () => {
  folder = await buildReplica();
}, 60_000);
afterAll(() => removeReplica(folder));

const figuresOf = (replicas: FleetReplica[]): Promise<Figures[]> =>
  Promise.all(replicas.map((replica) => replica.figures()));

/** Attempts of all of them at one backend. */
const attemptsAt = (figures: Figures[], url: string): number =>
  figures
    .flatMap(({ status }) => status.backends)
    .filter((backend) => backend.url === url)
    .reduce((sum, { attempts }) => sum + attempts, 0);

const troublesOf = (figures: Figures[]): string[] => figures.flatMap(({ troubles }) => troubles);

/** One of four backends dies after a second; what the next ten bring. */
async function loseOne(cooldown: number, redisUrl: string | null) {
  const backends: Backend[] = await startBackends(...Array(4).fill(reply(200, 'well')));
  const dead = backends[3]!;
  const target = backends.map(({ url }) => url);
  const replicas = await startFleet(folder, REPLICAS, { target, cooldown, redisUrl });
  const before = await load(replicas, PER_SECOND, 1000);
  const alive = attemptsAt(await figuresOf(replicas), dead.url);
  await dead.stop();
  const after = await load(replicas, PER_SECOND, 10_000);
  const figures = await figuresOf(replicas);
  expect(troublesOf(figures)).toEqual([]);
  return {
    attempts: attemptsAt(figures, dead.url) - alive,
    rate: Math.round((after.sent / after.tookMs) * 1000),
    tookMs: after.tookMs,
    failures: [...before.failures, ...after.failures],
    probes: figures.flatMap(({ changes }) => changes.filter(({ event }) => event === 'half-open')),
  };
}

describe('one of four backends dies', () => {
  it.each([10_000, 1000])(
    'is tried a third as often, with a cooldown of %i ms',
    async (cooldown) => {
      const redis = await startRedis();

      const alone = await loseOne(cooldown, null);
      const shared = await loseOne(cooldown, redis.url);

      const told = ({ attempts, probes, rate }: typeof alone): string =>
        `${attempts} (${probes.length} probes, ${rate} requests/s)`;
      process.stdout.write(
        `attempts of ${REPLICAS} replicas at a dead backend in 10 s, cooldown ${cooldown} ms: ` +
          `alone ${told(alone)}, shared ${told(shared)}\n`,
      );
      expect([alone.failures, shared.failures]).toEqual([[], []]);
      expect(shared.attempts).toBeLessThanOrEqual(alone.attempts / 3);
      expect(shared.probes.length).toBeLessThanOrEqual(Math.ceil(shared.tookMs / cooldown));
    },
    400_000,
  );
});

describe('Redis is killed and started again under load', () => {
  it('fails no GET, and the fleet shares again', async () => {
    const redis = await startRedis();
    const backends: Backend[] = await startBackends(...Array(4).fill(reply(200, 'well')));
    const target = backends.map(({ url }) => url);
    const settings = { target, cooldown: 1000, redisUrl: redis.url };
    const replicas = await startFleet(folder, REPLICAS, settings);
    const [first, second] = [backends[2]!, backends[3]!];
    const breakers = async (url: string, is: string): Promise<boolean> =>
      (await figuresOf(replicas)).every(({ status }) =>
        status.backends.some((each) => each.url === url && each.breaker === is),
      );
    const eventually = async (condition: () => Promise<boolean>): Promise<void> => {
      const giveUpAt = performance.now() + 60_000;
      while (!(await condition())) {
        if (performance.now() > giveUpAt) throw new Error(`in vain for ${condition}`);
      }
    };

    let isOver = false;
    const loading = load([...replicas], PER_SECOND / 2, 150_000, () => isOver);
    await eventually(() => breakers(first.url, 'closed'));
    await redis.kill();
    await first.stop(); // each finds out by itself
    await eventually(async () => !(await breakers(first.url, 'closed')));
    await first.restart();
    await eventually(() => breakers(first.url, 'closed'));
    replicas.pop()!.kill();
    await redis.restart();
    await eventually(async () =>
      (await figuresOf(replicas)).every(({ shared }) => shared?.joined === true),
    );
    await second.stop();
    await eventually(async () =>
      (await figuresOf(replicas)).every(({ changes }) =>
        changes.some(({ event, target: url }) => event === 'break' && url === second.url),
      ),
    );
    isOver = true;
    const { failures, sent } = await loading;

    const figures = await figuresOf(replicas);
    expect(troublesOf(figures)).toEqual([]);
    expect(sent).toBeGreaterThan(100);
    // Those that were on their way to the replica that was killed.
    expect(failures.filter((each) => /^status/.test(each))).toEqual([]);
    const words = figures.flatMap(({ changes }) =>
      changes.filter(({ event, target: url }) => event === 'break' && url === second.url),
    );
    expect(words.filter(({ reason }) => reason !== undefined).length).toBeGreaterThan(0);
  }, 240_000);
});
