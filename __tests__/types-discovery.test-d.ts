// Compiled, never run: what the types of discovery and of health checks promise. `npm run types`.
import { promises as dns } from 'node:dns';
import {
  type DiscoveredTarget,
  type Discovery,
  type DiscoveryOptions,
  type DnsOptions,
  type DnsResolver,
  discover,
  type Family,
  fromDns,
  fromSrv,
  type Source,
  type SourceContext,
  type SrvOptions,
  type SrvRecord,
} from '../src/discovery/index.js';
import { checkHealth, type HealthOptions } from '../src/health/index.js';
import { tinyProxy } from '../src/index.js';

const proxy = tinyProxy({ target: 'http://10.0.0.1:8081' });
const resolver: DnsResolver = new dns.Resolver();

const discovery: Discovery = discover(proxy, fromDns('http://orders.internal', { resolver }));
const refreshed: Promise<void> = discovery.refresh();
void refreshed.then(() => discovery.close());
discover(proxy, fromSrv('_http._tcp.orders.internal', { protocol: 'https', family: 4 }), {
  refresh: 5000,
  jitter: 0.2,
  timeout: 1000,
  onError: (error) => console.error(error.message),
  onRecovery() {},
});
const source: Source = async ({ signal }) => {
  const response = await fetch('http://127.0.0.1:8500/v1/catalog/service/orders', { signal });
  const found = (await response.json()) as { ServiceAddress: string; ServicePort: number }[];
  return found.map(({ ServiceAddress: host, ServicePort: port }) => `http://${host}:${port}`);
};
discover(proxy, source);
const family: Family = 6;
const byDns: DnsOptions = { resolver, family };
const records: Promise<SrvRecord[]> = resolver.resolveSrv('_http._tcp.orders.internal');
void records;
const bySrv: SrvOptions = { ...byDns, protocol: 'https', path: '/v1' };
discover(proxy, fromSrv('_http._tcp.orders.internal', bySrv));
const spare: DiscoveredTarget = { url: 'http://10.0.0.9', weight: 2, priority: 1 };
discover(proxy, ({ signal }: SourceContext) => (signal.aborted ? [] : [spare]));
discover(proxy, () => [new URL('http://10.0.0.1'), { url: 'http://10.0.0.2', priority: 1 }]);
// @ts-expect-error: a list, not one
discover(proxy, () => 'http://10.0.0.1');
// @ts-expect-error: no such option
export const wrong: DiscoveryOptions = { interval: 1000 };

const health: HealthOptions = { path: '/healthz', interval: 5000, timeout: 1000, rise: 1, fall: 2 };
checkHealth(proxy, health)();
const stop: () => void = checkHealth(proxy, { path: '/healthz', expect: (status) => status < 300 });
stop();
// @ts-expect-error: the path is required
checkHealth(proxy, {});
