// The lines of a proxy's JSON log (`captureLog: 'json'`), as data.
import type { Hop } from '../../src/index.js';
import { until } from './wait.js';

/** One request's line. */
export interface LogLine {
  time: string;
  requestId: string | null;
  remoteAddr: string | null;
  method: string;
  url: string;
  status: number | null;
  bytes: number;
  ms: number;
  hops: Hop[];
  noRetry: string;
}

/** The lines of requests so far; those about breakers and bugs are left out. */
export function requestLines(log: readonly string[]): LogLine[] {
  return log.map((line) => JSON.parse(line)).filter((line) => line.event === undefined);
}

/** The line of the `nth` request that is over (from 1), waited for. */
export async function requestLine(log: readonly string[], nth = 1): Promise<LogLine> {
  await until(() => requestLines(log).length >= nth, `request line ${nth} of the log`);
  return requestLines(log)[nth - 1] as LogLine;
}

/** What became of each attempt: `['ECONNREFUSED', 500, 200]`. */
export function outcomes({ hops }: { hops: readonly Hop[] }): (number | string)[] {
  return hops.map((hop) => hop.outcome);
}
