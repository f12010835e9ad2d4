import { checkDns } from './check-options.js';
import type { Source } from './discover.js';
import { addressesOf, type DnsResolver, type Family, look } from './resolver.js';

/** Of `fromDns()`. */
export interface DnsOptions {
  /** A `dns.promises.Resolver` of yours: its `setServers()` says whom to ask. Default: the system's servers. */
  resolver?: DnsResolver;
  /** `4`: A records alone; `6`: AAAA alone. Default `0`: both. */
  family?: Family;
}

/**
 * Each address of the URL's host (A and AAAA records) is a backend; its name, TLS identity, port and
 * path are those of the URL.
 *
 * @throws {TypeError} for what is no URL with a host name.
 */
export function fromDns(url: string | URL, options: DnsOptions = {}): Source {
  const { hostname, href } = checkDns(url, options);
  const { resolver, family = 0 } = options;
  return async function lookUpAddresses(context) {
    const addresses = await look(resolver, context, (own) => addressesOf(own, hostname, family));
    if (addresses.length === 0) throw new Error(`${hostname} has no address`);
    return addresses.map((address) => ({ url: href, address }));
  };
}
