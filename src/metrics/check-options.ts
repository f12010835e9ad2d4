import { inspect } from 'node:util';
import type { TinyProxy } from '../index.js';
import type { MetricsOptions } from './collect-metrics.js';

const RULES: {
  [K in keyof MetricsOptions]-?: [holds: (value: unknown) => boolean, expected: string];
} = {
  register: [isRegistry, 'a Registry of prom-client, for example its own: { register }'],
  prefix: [
    (value) => typeof value === 'string' && /^([a-zA-Z_:][\w:]*)?$/.test(value),
    "the beginning of a metric's name, for example 'tiny_proxy_'",
  ],
  name: [
    (value) => typeof value === 'string' && value !== '',
    "a name for the label proxy, for example 'orders'",
  ],
  buckets: [areBuckets, 'ascending seconds such as [0.01, 0.1, 1, 10]'],
};

/** @throws {TypeError} that names what is wrong, its value and a right one. */
export function checkMetricsOptions(proxy: TinyProxy, options: MetricsOptions): void {
  if (typeof proxy?.status !== 'function' || typeof proxy.events?.on !== 'function')
    throw wrong('the first argument', 'a proxy that tinyProxy() has made', proxy);
  if (typeof options !== 'object' || options === null)
    throw wrong('the second argument', 'an object such as { register }', options);
  for (const [name, value] of Object.entries(options)) {
    if (Object.hasOwn(RULES, name)) continue;
    const known = Object.keys(RULES).map((each) => `"${each}"`);
    throw new TypeError(
      `collectMetrics: unknown option "${name}" (${show(value)}); try ${known.join(', ')}`,
    );
  }
  for (const [name, [holds, expected]] of Object.entries(RULES)) {
    const value = options[name as keyof MetricsOptions];
    if (value === undefined && name !== 'register') continue;
    if (!holds(value)) throw wrong(`option "${name}"`, expected, value);
  }
}

/** By what is called: it may come from another copy of prom-client. */
function isRegistry(value: unknown): boolean {
  const registry = value as Record<string, unknown> | null | undefined;
  const methods = ['registerMetric', 'getSingleMetric', 'removeSingleMetric'];
  return methods.every((method) => typeof registry?.[method] === 'function');
}

function areBuckets(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0) return false;
  return value.every((bound, i) => Number.isFinite(bound) && bound > (i === 0 ? 0 : value[i - 1]));
}

function wrong(what: string, expected: string, value: unknown): TypeError {
  return new TypeError(`collectMetrics: ${what} must be ${expected}; got ${show(value)}`);
}

function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }).slice(0, 120);
}
