// Proxies with their metrics.
import { Registry } from 'prom-client';
import type { TinyProxyOptions } from '../../src/index.js';
import { collectMetrics } from '../../src/metrics/index.js';
import { type RunningProxy, startProxyWith } from './proxy.js';
import { type Sample, scrape } from './samples.js';
import { until } from './wait.js';

/** A proxy whose metrics are on a register of its own, under the default names. */
export interface Metered extends RunningProxy {
  register: Registry;
  /** Takes them off. */
  stop(): void;
  /** What the register says now of one metric, `tiny_proxy_` left out. */
  samples(name: string): Promise<Sample[]>;
}

/** Starts one; its retries do not wait. */
export async function startMetered(options: TinyProxyOptions): Promise<Metered> {
  const retry = { backoff: { initialDelay: 1, maxDelay: 1 } };
  const running = await startProxyWith({ retry, ...options });
  const register = new Registry();
  const stop = collectMetrics(running.proxy, { register });
  return { ...running, register, stop, samples: (name) => scrape(register, `tiny_proxy_${name}`) };
}

/** Until all requests are over, and have been told. */
export function idle({ proxy }: Pick<RunningProxy, 'proxy'>): Promise<void> {
  return until(() => proxy.status().inFlight === 0, 'no request in flight');
}
