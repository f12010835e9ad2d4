// Compiled, never run: the types of express-tiny-proxy/metrics, by the name that users import.
import { tinyProxy } from 'express-tiny-proxy';
import { type AnyRegistry, collectMetrics, type MetricsOptions } from 'express-tiny-proxy/metrics';
import { type OpenMetricsContentType, Registry, register } from 'prom-client';

const proxy = tinyProxy({ target: 'http://10.0.0.1:8081' });
const stop: () => void = collectMetrics(proxy, { register });
stop();

const registry: AnyRegistry = register;
collectMetrics(proxy, { register: registry });

const options: MetricsOptions = {
  register: new Registry<OpenMetricsContentType>(),
  prefix: 'edge_',
  name: 'orders',
  buckets: [0.1, 1] as const,
};
collectMetrics(proxy, options);

// @ts-expect-error: a register is required
collectMetrics(proxy, {});
// @ts-expect-error: misspelt
collectMetrics(proxy, { register, label: 'orders' });
// @ts-expect-error: seconds are numbers
collectMetrics(proxy, { register, buckets: ['1s'] });
// @ts-expect-error: a Router is no proxy
collectMetrics((await import('express')).Router(), { register });
