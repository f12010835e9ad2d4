export type { AccessFunction } from './access.js';
export type {
  ReportedBackend,
  ReportedExchange,
  ReportedIncident,
  ReportedProxy,
  StatusReport,
} from './report.js';
export { type StatusPage, type StatusPageOptions, statusPage } from './status-page.js';
