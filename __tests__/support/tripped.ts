// Proxies whose first backend has just failed, once, which has opened its breaker.
import type { BackendStatus, TinyProxyOptions } from '../../src/index.js';
import { type Backend, type Handler, reply, startBackend } from './backend.js';
import { get, type RunningProxy, startProxyWith } from './proxy.js';
import { until } from './wait.js';

/** Such a proxy. */
export interface Tripped extends RunningProxy {
  /** The one that has failed. */
  backend: Backend;
  /** Requests that it has had so far. */
  before: number;
  /** Its status now. */
  status(): BackendStatus;
  /** What the breakers have told: `break`, ... */
  events: string[];
}

/** A breaker that is open for `cooldown` ms. The first backend that may be tried, is; no retry. */
export async function openBreaker(
  cooldown: number,
  others: string[] = [],
  options: Partial<TinyProxyOptions> = {},
): Promise<Tripped> {
  const backend = await startBackend(reply(500, '', { Connection: 'close' }));
  const running = await startProxyWith({
    target: [backend.url, ...others],
    balance: (_req, candidates) => candidates[0]!,
    retry: false,
    breaker: { failures: 1, cooldown },
    ...options,
  });
  const events: string[] = [];
  for (const event of ['break', 'half-open', 'reset'] as const) {
    running.proxy.events.on(event, () => events.push(event));
  }
  await get(running.url, { method: 'POST' });
  const status = (): BackendStatus => running.proxy.status().backends[0]!;
  return { ...running, backend, before: backend.started, status, events };
}

/** The cooldown is over: the next request is the probe, and `handler` answers it. */
export async function readyToProbe(
  handler: Handler,
  others: string[] = [],
  options: Partial<TinyProxyOptions> = {},
): Promise<Tripped> {
  const tripped = await openBreaker(30, others, options);
  tripped.backend.answerWith(handler);
  await until(() => tripped.status().breaker === 'half-open');
  return tripped;
}
