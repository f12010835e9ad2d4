export { type TracesOptions, traceRequests } from './trace-requests.js';
