import { inspect } from 'node:util';
import type { TinyProxy } from '../index.js';
import type { StatusPageOptions } from './status-page.js';

const EXAMPLE = "'loopback', or a function such as (req) => req.user?.isAdmin === true";

const RULES: {
  [K in keyof StatusPageOptions]-?: [holds: (value: unknown) => boolean, expected: string];
} = {
  access: [
    (value) => value === 'loopback' || typeof value === 'function',
    `the decision who may see the page: ${EXAMPLE}`,
  ],
  actions: [(value) => value === undefined || typeof value === 'boolean', 'true or false'],
};

/**
 * Answers the proxies by their names.
 *
 * @throws {TypeError} that names what is wrong, its value and a right one.
 */
export function checkStatusPage(
  proxies: TinyProxy | Record<string, TinyProxy>,
  options: StatusPageOptions,
): Record<string, TinyProxy> {
  const named = isProxy(proxies) ? { proxy: proxies } : proxies;
  if (!areProxies(named)) {
    const expected = 'a proxy that tinyProxy() has made, or several by name: { orders, users }';
    throw wrong('the first argument', expected, proxies);
  }
  if (typeof options !== 'object' || options === null)
    throw wrong('the second argument', "an object such as { access: 'loopback' }", options);
  for (const [name, value] of Object.entries(options)) {
    if (Object.hasOwn(RULES, name)) continue;
    const known = Object.keys(RULES).map((each) => `"${each}"`);
    throw new TypeError(
      `statusPage: unknown option "${name}" (${show(value)}); try ${known.join(', ')}`,
    );
  }
  for (const [name, [holds, expected]] of Object.entries(RULES)) {
    const value = options[name as keyof StatusPageOptions];
    if (!holds(value)) throw wrong(`option "${name}"`, expected, value);
  }
  return named;
}

function isProxy(value: unknown): value is TinyProxy {
  const proxy = value as Partial<TinyProxy> | null | undefined;
  return typeof proxy?.status === 'function' && typeof proxy.events?.on === 'function';
}

function areProxies(value: unknown): value is Record<string, TinyProxy> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return entries.length > 0 && entries.every(([name, proxy]) => name !== '' && isProxy(proxy));
}

function wrong(what: string, expected: string, value: unknown): TypeError {
  return new TypeError(`statusPage: ${what} must be ${expected}; got ${show(value)}`);
}

function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }).slice(0, 120);
}
