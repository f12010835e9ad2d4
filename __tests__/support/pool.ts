// Pools in which one can see who has answered.
import type { Target, TinyProxyOptions } from '../../src/index.js';
import { type Backend, reply, startBackends } from './backend.js';
import { get, type RunningProxy, startProxyWith } from './proxy.js';

/** Backends that answer with their own index, and a proxy in front of them. */
export async function startPool(
  weights: readonly number[],
  options: Partial<TinyProxyOptions> = {},
): Promise<{ backends: Backend[]; running: RunningProxy }> {
  const backends = await startBackends(...weights.map((_weight, i) => reply(200, String(i))));
  const target: Target[] = backends.map(({ url }, i) => ({ url, weight: weights[i]! }));
  return { backends, running: await startProxyWith({ target, ...options }) };
}

/** Who answers so many requests, one after the other. */
export async function answerers(url: string, count: number): Promise<string[]> {
  const texts: string[] = [];
  for (let i = 0; i < count; i += 1) texts.push((await get(url)).text);
  return texts;
}

/** How often each of them. */
export function counts(texts: string[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const text of texts) result[text] = (result[text] ?? 0) + 1;
  return result;
}
