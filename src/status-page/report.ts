import type { BackendStatus, Hop, NoRetryReason, ProxyStatus, TinyProxy } from '../index.js';
import { eventName, shownUrl } from './names.js';
import type { Exchange, Incident, IncidentKind, Recorder } from './recorder.js';
import { BUCKET_MS, type History } from './series.js';

/** All that the page shows: `status.json`. Times are ISO, durations milliseconds. */
export interface StatusReport {
  time: string;
  /** Whether the page may drain. */
  actions: boolean;
  /** Of `history`. */
  bucketMs: number;
  proxies: ReportedProxy[];
  /** The last 50 of each proxy, and the last 50 that failed or were retried; oldest first. */
  exchanges: ReportedExchange[];
  /** The last 50 of each proxy, oldest first. */
  incidents: ReportedIncident[];
}

export interface ReportedProxy extends Omit<ProxyStatus, 'backends'> {
  name: string;
  /** `close()` was called. */
  closed: boolean;
  backends: ReportedBackend[];
}

/** `url` is without its query. */
export interface ReportedBackend extends BackendStatus {
  /** `host:port`, as hops name it. */
  name: string;
  /** Attempts that have failed and were followed by another, since the page was made. */
  retries: number;
  failingSince: string | null;
  openSince: string | null;
  lastFailureAt: string | null;
  /** Until the next probe; null where the breaker is not open. */
  probeInMs: number | null;
  /** By this page. */
  drainedHere: boolean;
  history: History;
}

export interface ReportedExchange {
  seq: number;
  proxy: string;
  time: string;
  requestId: string;
  method: string;
  path: string;
  status: number | null;
  ms: number;
  hops: Hop[];
  noRetry: NoRetryReason | null;
}

export interface ReportedIncident {
  id: number;
  proxy: string;
  time: string;
  kind: IncidentKind;
  backend: string | null;
  /** What it came after (`break`); the outcome, and why there was no retry (`give-up`). */
  detail: string | null;
  count: number;
}

/** A proxy, its name, and what is known of it. */
export interface Followed {
  readonly name: string;
  readonly proxy: TinyProxy;
  readonly recorder: Recorder;
}

/** Whether the page has drained this backend, by its shown URL. */
export type DrainedHere = (proxy: string, url: string) => boolean;

/** What is reported of exchanges and incidents: those later than `since`. */
export function reportOf(
  followed: readonly Followed[],
  since: number,
  drainedHere: DrainedHere,
): Pick<StatusReport, 'time' | 'bucketMs' | 'proxies' | 'exchanges' | 'incidents'> {
  const news = <T extends { seq: number }>(all: Iterable<T>): T[] =>
    [...all].filter(({ seq }) => seq > since).sort((a, b) => a.seq - b.seq);
  const from = <T>(of: (each: Followed) => T[]): T[] => followed.flatMap(of);
  return {
    time: new Date().toISOString(),
    bucketMs: BUCKET_MS,
    proxies: followed.map((each) => proxyReport(each, drainedHere)),
    exchanges: from(({ name, recorder: { exchanges, troubled } }) =>
      news(new Set([...troubled, ...exchanges])).map((each) => exchangeReport(name, each)),
    ),
    incidents: from(({ name, recorder }) =>
      news(recorder.incidents).map((each) => incidentReport(name, each)),
    ),
  };
}

function proxyReport({ name, proxy, recorder }: Followed, drainedHere: DrainedHere): ReportedProxy {
  const { backends, ...status } = proxy.status();
  const now = performance.now();
  const reported = backends.map((backend): ReportedBackend => {
    const { retries, series, failingSince, openSince, lastFailureAt } = recorder.backend(
      eventName(backend.url),
    );
    const { openUntil } = backend;
    const url = shownUrl(backend.url);
    return {
      ...backend,
      url,
      name: eventName(backend.url),
      retries,
      failingSince: iso(failingSince),
      openSince: backend.breaker === 'closed' ? null : iso(openSince),
      lastFailureAt: iso(lastFailureAt),
      probeInMs: openUntil === null ? null : Math.max(0, Date.parse(openUntil) - Date.now()),
      drainedHere: drainedHere(name, url),
      history: series.read(now),
    };
  });
  return { name, closed: recorder.closed, ...status, backends: reported };
}

function exchangeReport(proxy: string, { at, seq, ms, hops, ...others }: Exchange) {
  const rounded = hops.map((hop): Hop => ({ ...hop, ms: tenths(hop.ms) }));
  return { seq, proxy, time: new Date(at).toISOString(), ...others, ms: tenths(ms), hops: rounded };
}

function incidentReport(proxy: string, { seq: _, at, ...others }: Incident): ReportedIncident {
  return { proxy, time: new Date(at).toISOString(), ...others };
}

const tenths = (ms: number): number => Math.round(ms * 10) / 10;
const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());
