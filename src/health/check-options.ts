import { validateHeaderName, validateHeaderValue } from 'node:http';
import { inspect } from 'node:util';
import type { TinyProxy } from '../index.js';
import type { HealthOptions } from './check-health.js';

type Rule = [holds: (value: unknown) => boolean, expected: string];

const MS: Rule = [
  (value) => typeof value === 'number' && value >= 1 && value <= 2 ** 31 - 1,
  'milliseconds from 1 to 2147483647, for example 2000',
];
const COUNT: Rule = [
  (value) => Number.isSafeInteger(value) && (value as number) >= 1,
  'a positive integer, for example 3',
];

const RULES: Record<keyof HealthOptions, Rule> = {
  path: [
    (value) => typeof value === 'string' && /^\/[\x21-\x7e]*$/.test(value),
    "a path such as '/healthz'",
  ],
  interval: MS,
  timeout: MS,
  rise: COUNT,
  fall: COUNT,
  expect: [(value) => typeof value === 'function', 'a function such as (status) => status === 200'],
  headers: [areHeaders, "header values such as { authorization: 'Bearer ...' }"],
};

/** @throws {TypeError} that names what is wrong, its value and a right one. */
export function checkHealthOptions(proxy: TinyProxy, options: HealthOptions): void {
  if (typeof proxy?.setHealthy !== 'function' || typeof proxy.events?.on !== 'function')
    throw wrong('the first argument', 'a proxy that tinyProxy() has made', proxy);
  if (typeof options !== 'object' || options === null)
    throw wrong('the second argument', "an object such as { path: '/healthz' }", options);
  for (const [name, value] of Object.entries(options)) {
    if (Object.hasOwn(RULES, name)) continue;
    const known = Object.keys(RULES).map((each) => `"${each}"`);
    throw new TypeError(
      `checkHealth: unknown option "${name}" (${show(value)}); try ${known.join(', ')}`,
    );
  }
  for (const [name, [holds, expected]] of Object.entries(RULES)) {
    const value = options[name as keyof HealthOptions];
    if (value === undefined && name !== 'path') continue;
    if (!holds(value)) throw wrong(`option "${name}"`, expected, value);
  }
  if (proxy.status().closed) throw new TypeError('checkHealth: the proxy is closed');
}

function areHeaders(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  try {
    for (const [name, text] of Object.entries(value)) {
      validateHeaderName(name);
      validateHeaderValue(name, text);
    }
    return Object.values(value).every((text) => typeof text === 'string');
  } catch {
    return false; // the one thing they throw is that something is no header
  }
}

function wrong(what: string, expected: string, value: unknown): TypeError {
  return new TypeError(`checkHealth: ${what} must be ${expected}; got ${show(value)}`);
}

function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }).slice(0, 120);
}
