import { checkSrv } from './check-options.js';
import type { Source } from './discover.js';
import type { DnsOptions } from './from-dns.js';
import type { DiscoveredTarget } from './priorities.js';
import { addressesOf, look, type SrvRecord, servicesOf } from './resolver.js';

/** Of `fromSrv()`. */
export interface SrvOptions extends DnsOptions {
  /** Default `'http'`. */
  protocol?: 'http' | 'https';
  /** Goes before the path of each request, as a path in `target` does. Default `''`. */
  path?: string;
}

/**
 * The SRV records of a name (RFC 2782) say hosts, ports, weights and priorities; each address of such
 * a host is a backend. Name and TLS identity are those of the record's host.
 *
 * @throws {TypeError} for a name that is none of a service.
 */
export function fromSrv(name: string, options: SrvOptions = {}): Source {
  checkSrv(name, options);
  const { resolver, family = 0, protocol = 'http', path = '' } = options;
  return function lookUpService(context) {
    return look(resolver, context, async (own) => {
      const records = await servicesOf(own, name);
      const found = await Promise.all(
        placesOf(records).map(async (place) => ({
          ...place,
          addresses: await addressesOf(own, place.name, family),
        })),
      );
      const reachable = found.filter(({ addresses }) => addresses.length > 0);
      if (reachable.length > 0) return targetsOf(reachable, protocol, path);
      const seen = records.map((record) => `${record.name}:${record.port}`).join(', ');
      throw new Error(`${name} has no host with an address and a port; its records: ${seen}`);
    });
  };
}

/** No host: RFC 2782's single ".", which says that the service is decidedly not there; and no URL's. */
const HOST = /^[\w-][\w.-]*$/;

/** Of one place there may be several records: the same once more tells nothing, other weights add up. */
function placesOf(records: readonly SrvRecord[]): SrvRecord[] {
  const places = new Map<string, SrvRecord & { weights: Set<number> }>();
  for (const record of records) {
    const { name, port, priority, weight } = record;
    if (port === 0 || !HOST.test(name)) continue;
    const key = [priority, name.toLowerCase(), port].join(' ');
    const place = places.get(key) ?? { ...record, weights: new Set() };
    places.set(key, place);
    place.weights.add(weight);
  }
  return [...places.values()].map(({ weights, ...record }) => ({
    ...record,
    weight: [...weights].reduce((sum, weight) => sum + weight),
  }));
}

interface Found extends SrvRecord {
  readonly addresses: string[];
}

/** So that the sum of many is an integer that is exact. */
const MOST_WEIGHT = 2 ** 32;

/**
 * A record's weight is shared by its addresses; to stay integers, all are multiplied where needed,
 * and rounded where that would be too much.
 */
function targetsOf(found: readonly Found[], protocol: string, path: string): DiscoveredTarget[] {
  const exact = found.map(({ addresses }) => addresses.length).reduce(leastCommonMultiple, 1);
  const factor = Math.min(exact, MOST_WEIGHT / Math.max(1, ...found.map(({ weight }) => weight)));
  return found.flatMap(({ name, port, priority, weight, addresses }) => {
    // RFC 2782: 0 has a very small chance beside others; we have integers from 1 on.
    const share = (Math.max(1, weight) * factor) / addresses.length;
    const url = `${protocol}://${name}:${port}${path}`;
    const counted = Math.max(1, Math.round(share));
    return addresses.map((address) => ({ url, address, weight: counted, priority }));
  });
}

function leastCommonMultiple(a: number, b: number): number {
  let [divisor, rest] = [a, b];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (a * b) / divisor;
}
