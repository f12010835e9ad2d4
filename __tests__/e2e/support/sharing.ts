// Replicas in this process: proxies of the same backends, each with its own client of Redis.
import type { EventEmitter } from 'node:events';
import type { TinyProxyOptions } from '../../../src/index.js';
import { type SharedBreakers, shareBreakers } from '../../../src/redis/index.js';
import { closeAfterTest } from '../../support/cleanup.js';
import { get, type RunningProxy, startProxyWith } from '../../support/proxy.js';
import { until } from '../../support/wait.js';
import { connectClient } from './redis.js';

export const PREFIX = 'orders:';
export const CHANNEL = 'orders:breakers';

/** A replica that runs. */
export interface Replica extends RunningProxy {
  sharing: SharedBreakers;
  client: Awaited<ReturnType<typeof connectClient>>;
  /** What its breakers have told: `break`, `half-open`, `reset`; with a `*` by another's word. */
  changes: string[];
  /** Of a backend, the first unless told otherwise. */
  breaker(index?: number): string;
  /** Attempts at it. */
  attempts(index?: number): number;
}

/** Starts one. */
export async function startReplica(
  redisUrl: string,
  options: TinyProxyOptions,
  prefix = PREFIX,
): Promise<Replica> {
  const client = await connectClient(redisUrl);
  const running = await startProxyWith({ retry: false, ...options }, { captureLog: 'text' });
  const { proxy } = running;
  const changes: string[] = [];
  for (const event of ['break', 'half-open', 'reset'] as const) {
    (proxy.events as EventEmitter).on(event, ({ reason }: { reason?: string }) => {
      changes.push(reason === undefined ? event : `${event}*`);
    });
  }
  const sharing = shareBreakers(proxy, { client, prefix });
  closeAfterTest(() => sharing.close());
  await until(() => sharing.status().joined, 'the replica to join');
  const backend = (index = 0) => proxy.status().backends[index]!;
  return {
    ...running,
    ...{ sharing, client, changes },
    breaker: (index) => backend(index).breaker,
    attempts: (index) => backend(index).attempts,
  };
}

/** Starts so many of them. */
export function startReplicas(
  count: number,
  redisUrl: string,
  options: TinyProxyOptions,
): Promise<Replica[]> {
  return Promise.all(Array.from({ length: count }, () => startReplica(redisUrl, options)));
}

/** Sends requests until the first backend of a replica has its breaker as said. */
export async function callUntil({ url, breaker }: Replica, state: string): Promise<void> {
  const giveUpAt = performance.now() + 5000;
  while (breaker() !== state) {
    if (performance.now() > giveUpAt) throw new Error(`the breaker is ${breaker()}, not ${state}`);
    await get(url);
  }
}
