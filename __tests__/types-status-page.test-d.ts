// Compiled, never run: the types of express-tiny-proxy/status-page, by the name that users import.
import express from 'express';
import { tinyProxy } from 'express-tiny-proxy';
import {
  type AccessFunction,
  type History,
  type IncidentKind,
  type ReportedBackend,
  type ReportedExchange,
  type ReportedIncident,
  type ReportedProxy,
  type StatusPage,
  type StatusPageOptions,
  type StatusReport,
  statusPage,
} from 'express-tiny-proxy/status-page';

const proxy = tinyProxy({ target: 'http://10.0.0.1:8081' });
const page: StatusPage = statusPage(proxy, { access: 'loopback' });
express().use('/_proxy', page);
page.close();

const options: StatusPageOptions = { access: (req) => req.hostname === 'admin', actions: true };
statusPage({ orders: proxy, users: proxy }, options);
statusPage(proxy, { access: async (req) => req.secure });

const report = {} as StatusReport;
const since: string | null | undefined = report.proxies[0]?.backends[0]?.openSince;
JSON.stringify(since);
const { proxies, exchanges, incidents } = report;
const shown: [ReportedProxy[], ReportedExchange[], ReportedIncident[]] = [
  proxies,
  exchanges,
  incidents,
];
const sick = shown[0]
  .flatMap(({ backends }): ReportedBackend[] => backends)
  .filter((one) => !one.healthy);
JSON.stringify(sick);
const histories: History[] = sick.map(({ history }) => history);
const kinds: IncidentKind[] = shown[2].map(({ kind }) => kind);
JSON.stringify({ histories, kinds });
const access: AccessFunction = (req) => req.get('X-Admin') === 'yes';
statusPage(proxy, { access });

// @ts-expect-error: who may see it has to be said
statusPage(proxy, {});
// @ts-expect-error: it has to be said
statusPage(proxy);
// @ts-expect-error: misspelt
statusPage(proxy, { access: 'localhost' });
// @ts-expect-error: true or false, not whatever is like it
statusPage(proxy, { access: (req) => req.ip });
// @ts-expect-error: misspelt
statusPage(proxy, { access: 'loopback', action: true });
// @ts-expect-error: several are named
statusPage([proxy], { access: 'loopback' });
// @ts-expect-error: a Router is no proxy
statusPage(express.Router(), { access: 'loopback' });
