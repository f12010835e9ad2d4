export {
  type Discovery,
  type DiscoveryOptions,
  discover,
  type Source,
  type SourceContext,
} from './discover.js';
export { type DnsOptions, fromDns } from './from-dns.js';
export { fromSrv, type SrvOptions } from './from-srv.js';
export type { DiscoveredTarget } from './priorities.js';
export type { DnsResolver, Family, SrvRecord } from './resolver.js';
