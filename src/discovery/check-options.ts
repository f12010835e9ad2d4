import { isIP } from 'node:net';
import { inspect } from 'node:util';
import type { TinyProxy } from '../index.js';
import type { DiscoveryOptions } from './discover.js';
import type { DnsOptions } from './from-dns.js';
import type { SrvOptions } from './from-srv.js';

type Rules<T> = { [K in keyof T]-?: [holds: (value: unknown) => boolean, expected: string] };

const isFunction = (value: unknown): boolean => typeof value === 'function';
const isNumber = (value: unknown, least: number, most: number): boolean =>
  typeof value === 'number' && value >= least && value <= most;
const MS: [(value: unknown) => boolean, string] = [
  (value) => isNumber(value, 1, 2 ** 31 - 1),
  'milliseconds from 1 to 2147483647, for example 10000',
];

const DISCOVERY: Rules<DiscoveryOptions> = {
  refresh: MS,
  jitter: [(value) => isNumber(value, 0, 1), 'a share from 0 to 1, for example 0.1'],
  timeout: MS,
  onError: [isFunction, 'a function (error) => {}'],
  onRecovery: [isFunction, 'a function () => {}'],
};

const DNS: Rules<DnsOptions> = {
  resolver: [isResolver, 'a resolver such as new dns.promises.Resolver()'],
  family: [(value) => [0, 4, 6].includes(value as number), '0, 4 or 6'],
};

const SRV: Rules<SrvOptions> = {
  ...DNS,
  protocol: [(value) => value === 'http' || value === 'https', "'http' or 'https'"],
  path: [
    (value) =>
      value === '' || (typeof value === 'string' && /^\/[\x21\x22\x24-\x7e]*$/.test(value)),
    "a path such as '/base'",
  ],
};

/** @throws {TypeError} that names what is wrong, its value and a right one. */
export function checkDiscovery(proxy: TinyProxy, source: unknown, options: DiscoveryOptions): void {
  if (typeof proxy?.setTargets !== 'function' || typeof proxy.events?.on !== 'function')
    throw wrong('discover', 'the first argument', 'a proxy that tinyProxy() has made', proxy);
  const expected = "a source such as fromDns('http://orders.internal:8081'), or a function";
  if (!isFunction(source)) throw wrong('discover', 'the second argument', expected, source);
  check('discover', options, DISCOVERY);
  if (proxy.status().closed) throw new TypeError('discover: the proxy is closed');
}

/** @throws {TypeError} that names what is wrong, its value and a right one. */
export function checkDns(url: string | URL, options: DnsOptions): URL {
  check('fromDns', options, DNS);
  const text = String(url);
  const parsed = URL.canParse(text) ? new URL(text) : null;
  const host = parsed?.hostname.replace(/^\[|\]$/g, '') ?? '';
  const isHttp = parsed !== null && /^https?:$/.test(parsed.protocol) && parsed.port !== '0';
  const isBare = parsed?.username === '' && parsed.password === '' && parsed.hash === '';
  if (isHttp && isBare && host !== '' && isIP(host) === 0) return parsed;
  const expected = "a URL with a host name, for example 'http://orders.internal:8081'";
  const shown =
    parsed?.username || parsed?.password ? `${parsed.protocol}//...@${parsed.host}` : url;
  throw wrong('fromDns', 'the first argument', expected, shown);
}

/** @throws {TypeError} that names what is wrong, its value and a right one. */
export function checkSrv(name: string, options: SrvOptions): void {
  check('fromSrv', options, SRV);
  if (typeof name === 'string' && /^[\w-]+(\.[\w-]+)+\.?$/.test(name)) return;
  const expected = "the name of SRV records, for example '_http._tcp.orders.internal'";
  throw wrong('fromSrv', 'the first argument', expected, name);
}

function check<T extends object>(caller: string, options: T, rules: Rules<T>): void {
  if (typeof options !== 'object' || options === null)
    throw wrong(caller, 'the options', 'an object', options);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(rules, name)) {
      const known = Object.keys(rules).map((each) => `"${each}"`);
      throw new TypeError(
        `${caller}: unknown option "${name}" (${show(value)}); try ${known.join(', ')}`,
      );
    }
    const [holds, expected] = rules[name as keyof T];
    if (!holds(value)) throw wrong(caller, `option "${name}"`, expected, value);
  }
}

function isResolver(value: unknown): boolean {
  const resolver = value as Record<string, unknown> | null | undefined;
  return ['resolve4', 'resolve6', 'resolveSrv'].every((name) => isFunction(resolver?.[name]));
}

function wrong(caller: string, what: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${caller}: ${what} must be ${expected}; got ${show(value)}`);
}

function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }).slice(0, 120);
}
