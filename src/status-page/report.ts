import type { BackendStatus, Hop, NoRetryReason, ProxyStatus, TinyProxy } from '../index.js';
import { eventName, shownUrl } from './names.js';
import type { Exchange, Incident, IncidentKind, Recorder } from './recorder.js';
import { BUCKET_MS, type History } from './series.js';

/** All that the page shows: `status.json`. Times are ISO, durations milliseconds. */
export interface StatusReport {
  /** When it was made. */
  time: string;
  /** Whether the page may drain. */
  actions: boolean;
  /** Of `history`. */
  bucketMs: number;
  /** In the order in which `statusPage()` was given them. */
  proxies: ReportedProxy[];
  /** The last 50 of each proxy, and the last 50 that failed or were retried; oldest first. */
  exchanges: ReportedExchange[];
  /** The last 50 of each proxy, oldest first. */
  incidents: ReportedIncident[];
}

/** One proxy: its `status()`, and what the page knows beside it. */
export interface ReportedProxy extends Omit<ProxyStatus, 'backends'> {
  /** As `statusPage()` was given it; `'proxy'` where there is one alone. */
  name: string;
  /** In the order of `status()`. */
  backends: ReportedBackend[];
}

/** `url` is without its query. */
export interface ReportedBackend extends BackendStatus {
  /** `host:port`, as hops name it. */
  name: string;
  /** Attempts that have failed and were followed by another, since the page was made. */
  retries: number;
  /** The first failure of the present run of them; null where the last attempt was a success. */
  failingSince: string | null;
  /** When its breaker opened; null where it is closed. */
  openSince: string | null;
  /** The last failed attempt; null where there was none since the page was made. */
  lastFailureAt: string | null;
  /** Until the next probe; null where the breaker is not open. */
  probeInMs: number | null;
  /** By this page. */
  drainedHere: boolean;
  /** The last five minutes. */
  history: History;
}

/** A request that is over. */
export interface ReportedExchange {
  /** Grows from one to the next. */
  seq: number;
  /** Its name. */
  proxy: string;
  /** When it was over. */
  time: string;
  /** As in the log. */
  requestId: string;
  /** Of the request. */
  method: string;
  /** Without its query, up to 200 characters. */
  path: string;
  /** What the client got; null where no response had begun. */
  status: number | null;
  /** Until it was over. */
  ms: number;
  /** Its attempts, the last 20 at most. */
  hops: Hop[];
  /** Why no further attempt was made; null where none was wanted. */
  noRetry: NoRetryReason | null;
}

/** Something that has happened to a backend or a proxy. */
export interface ReportedIncident {
  /** Stays when it is told again with a higher `count`. */
  id: number;
  /** Its name. */
  proxy: string;
  /** When, the last time where it has happened more than once. */
  time: string;
  /** What it was. */
  kind: IncidentKind;
  /** `host:port`; null where it is about the whole proxy. */
  backend: string | null;
  /** What it came after (`break`); the outcome, and why there was no retry (`give-up`). */
  detail: string | null;
  /** How often, where the like of it came within 10 s. */
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
      drainedHere: backend.drained && drainedHere(name, url),
      history: series.read(now),
    };
  });
  return { name, ...status, backends: reported };
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
