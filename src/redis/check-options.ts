import { inspect } from 'node:util';
import type { TinyProxy } from '../index.js';
import type { SharedBreakersOptions } from './share-breakers.js';

const RULES: {
  [K in keyof SharedBreakersOptions]-?: [holds: (value: unknown) => boolean, expected: string];
} = {
  client: [
    isClient,
    'a connected client of redis: const client = createClient({ url }); await client.connect()',
  ],
  prefix: [
    (value) => typeof value === 'string' && /^[!-~]{1,200}$/.test(value),
    "what the keys and the channel begin with, without spaces, for example 'orders:'",
  ],
  failures: [
    (value) => value === undefined || (Number.isSafeInteger(value) && (value as number) > 0),
    'a positive integer, for example 5',
  ],
};

/** @throws {TypeError} that names what is wrong, its value and a right one. */
export function checkSharedOptions(proxy: TinyProxy, options: SharedBreakersOptions): void {
  if (typeof proxy?.holdOpen !== 'function' || typeof proxy.events?.on !== 'function')
    throw wrong('the first argument', 'a proxy that tinyProxy() has made', proxy);
  if (typeof options !== 'object' || options === null)
    throw wrong('the second argument', "an object such as { client, prefix: 'orders:' }", options);
  for (const [name, value] of Object.entries(options)) {
    if (Object.hasOwn(RULES, name)) continue;
    const known = Object.keys(RULES).map((each) => `"${each}"`);
    throw new TypeError(
      `shareBreakers: unknown option "${name}" (${show(value)}); try ${known.join(', ')}`,
    );
  }
  for (const [name, [holds, expected]] of Object.entries(RULES)) {
    const value = options[name as keyof SharedBreakersOptions];
    if (!holds(value)) throw wrong(`option "${name}"`, expected, value);
  }
  const { closed, backends } = proxy.status();
  if (closed) throw new TypeError('shareBreakers: the proxy is closed');
  const [backend] = backends;
  // Of a closed breaker it changes nothing; where there is none, it throws.
  if (backend !== undefined && backend.breaker === 'closed') proxy.closeBreaker(backend.url);
}

/** By what is called: it may come from another copy of redis. A cluster's has no such `isReady`. */
function isClient(value: unknown): boolean {
  const client = value as Record<string, unknown> | null | undefined;
  const methods = ['sendCommand', 'duplicate', 'connect', 'subscribe', 'on', 'off'];
  if (!methods.every((method) => typeof client?.[method] === 'function')) return false;
  if (isSentinel(client) || isLegacy(client)) return false;
  return client?.isOpen === true && typeof client.isReady === 'boolean' && !('masters' in client);
}

/** Of `createSentinel()`: its `sendCommand()` takes other arguments. */
const isSentinel = (client: unknown): boolean => isOf(client, 'acquire');

/** Of redis 4, with `legacyMode: true`: its `sendCommand()` answers no promise. */
const isLegacy = (client: unknown): boolean =>
  isOf(client, 'options') &&
  isOf(client.options, 'legacyMode') &&
  client.options.legacyMode === true;

function wrong(what: string, expected: string, value: unknown): TypeError {
  return new TypeError(`shareBreakers: ${what} must be ${expected}; got ${show(value)}`);
}

function show(value: unknown): string {
  if (isSentinel(value)) return 'one of createSentinel()';
  if (isLegacy(value)) return 'one in legacyMode';
  if (isOf(value, 'isOpen') && value.isOpen === false) return 'a client that is not connected';
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }).slice(0, 120);
}

function isOf<K extends string>(value: unknown, member: K): value is Record<K, unknown> {
  return typeof value === 'object' && value !== null && member in value;
}
