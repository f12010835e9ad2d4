export { collectMetrics, type MetricsOptions } from './collect-metrics.js';
