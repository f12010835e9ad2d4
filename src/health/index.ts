export { checkHealth, type HealthOptions } from './check-health.js';
