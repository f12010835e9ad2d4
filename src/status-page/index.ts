export type { AccessFunction } from './access.js';
export type { IncidentKind } from './recorder.js';
export type {
  ReportedBackend,
  ReportedExchange,
  ReportedIncident,
  ReportedProxy,
  StatusReport,
} from './report.js';
export type { History } from './series.js';
export { type StatusPage, type StatusPageOptions, statusPage } from './status-page.js';
