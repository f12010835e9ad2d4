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

      process.stdout.write(
        `attempts at a dead backend in 10 s (${REPLICAS} replicas, ${PER_SECOND} requests/s, cooldown ${cooldown} ms): ` +
          `${alone.attempts} alone (${alone.probes.length} probes), ${shared.attempts} shared (${shared.probes.length} probes)\n`,
      );
      expect([alone.failures, shared.failures]).toEqual([[], []]);
      expect(shared.attempts).toBeLessThanOrEqual(alone.attempts / 3);
      expect(shared.probes.length).toBeLessThanOrEqual(10_000 / cooldown);
    },
    400_000,
  );
});
