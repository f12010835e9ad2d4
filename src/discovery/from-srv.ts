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
      // RFC 2782: a single "." says that the service is decidedly not there.
      const hosts = records.filter((record) => !/^\.?$/.test(record.name));
      const found = await Promise.all(
        hosts.map(async (record) => ({
          record,
          addresses: await addressesOf(own, record.name, family),
        })),
      );
      const reachable = found.filter(({ addresses }) => addresses.length > 0);
      if (reachable.length === 0) throw new Error(`${name} has no host with an address`);
      return targetsOf(reachable, protocol, path);
    });
  };
}

interface Found {
  readonly record: SrvRecord;
  readonly addresses: string[];
}

/** A record's weight is shared by its addresses; to stay integers, all are multiplied where needed. */
function targetsOf(found: readonly Found[], protocol: string, path: string): DiscoveredTarget[] {
  const factor = found.map(({ addresses }) => addresses.length).reduce(leastCommonMultiple, 1);
  return found.flatMap(({ record, addresses }) => {
    const { name, port, priority } = record;
    // RFC 2782: 0 has a very small chance beside others; we have integers from 1 on.
    const weight = (Math.max(1, record.weight) * factor) / addresses.length;
    const url = `${protocol}://${name}:${port}${path}`;
    return addresses.map((address) => ({ url, address, weight, priority }));
  });
}

function leastCommonMultiple(a: number, b: number): number {
  let [divisor, rest] = [a, b];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (a * b) / divisor;
}
