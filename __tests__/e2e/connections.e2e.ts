// What many requests do together, by every arrangement of proxy, nginx and HAProxy.
import { Agent } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { reply } from '../support/backend.js';
import { closeAfterTest } from '../support/cleanup.js';
import { get } from '../support/proxy.js';
import { until } from '../support/wait.js';
import { type Arrangement, arrangements, type Chain } from './support/arrangements.js';

const LANES = 4;

/** Clients that send one GET after the other, each on a connection that is kept alive. */
function keepGetting(url: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: LANES });
  closeAfterTest(() => agent.destroy());
  const outcomes: string[] = [];
  let stopped = false;
  const lane = async (): Promise<void> => {
    while (!stopped) {
      const { status, text, aborted } = await get(url, { agent });
      outcomes.push(`${status} ${text}${aborted ? ', cut' : ''}`);
    }
  };
  const lanes = Promise.all(Array.from({ length: LANES }, lane));
  lanes.catch(() => {}); // awaited by `stop`
  return {
    outcomes,
    /** Waits until so many more have been answered. */
    more(count: number): Promise<void> {
      const enough = outcomes.length + count;
      return until(() => outcomes.length >= enough, `${count} more answers`);
    },
    stop(): Promise<unknown> {
      stopped = true;
      return lanes;
    },
  };
}

describe.each(arrangements)('with $name', ({ start }) => {
  it('connections to the backends are used again', async () => {
    const chain = await start();
    chain.answerWith(reply(200, 'ok'));
    const gets = keepGetting(chain.url);

    await gets.more(200);
    await gets.stop();

    expect(new Set(gets.outcomes)).toEqual(new Set(['200 ok']));
    const { length } = chain.received();
    expect(length).toBe(gets.outcomes.length);
    expect(chain.connectionsOfProxy()).toBeGreaterThanOrEqual(2);
    expect(chain.connectionsOfProxy()).toBeLessThanOrEqual(2 * LANES);
  });

  it('a backend that is killed and comes back costs no GET', async () => {
    const chain = await start({ breaker: { failures: 2, cooldown: 50 } });
    chain.answerWith(reply(200, 'ok'));
    const gets = keepGetting(chain.url);
    const [backend] = chain.backends;
    const [application] = chain.applications;
    await gets.more(40);

    await backend?.kill();
    await gets.more(40);
    expect(chain.status().retries).toBeGreaterThan(0);
    const before = application?.started ?? 0;
    await backend?.restart();
    await until(() => (application?.started ?? 0) >= before + 20, 'it to serve again');
    await gets.stop();

    expect(new Set(gets.outcomes)).toEqual(new Set(['200 ok']));
    await breakersAreClosed(chain);
  });
});

async function breakersAreClosed(chain: Chain): Promise<void> {
  const open = (): number =>
    chain.status().backends.filter(({ breaker }) => breaker !== 'closed').length;
  await until(() => open() === 0, 'closed breakers');
}

const behind = arrangements.filter(({ kind, inFront }) => kind !== undefined && !inFront);

describe.each<Arrangement>(behind)('with $name', ({ start }) => {
  it('the 502 or 503 that it makes of its dead application is retried at the other', async () => {
    const chain = await start();
    const [dead, alive] = chain.applications;
    chain.answerWith(reply(200, 'ok'));
    await dead?.stop();

    const answers = [await get(chain.url), await get(chain.url)];

    expect(answers.map(({ status, text }) => [status, text])).toEqual([
      [200, 'ok'],
      [200, 'ok'],
    ]);
    expect(alive?.received).toHaveLength(2);
    expect(chain.status().retries).toBe(1);
  });
});
