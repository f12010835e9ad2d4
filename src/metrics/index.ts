export { collectMetrics, type MetricsOptions } from './collect-metrics.js';
export type { AnyRegistry } from './family.js';
