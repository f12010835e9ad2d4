// A row of the fault matrix: what goes wrong, when, and what has to come of it for each method.
import type { TinyProxyOptions } from '../../../src/index.js';
import type { SickPlan } from '../sick-backend.js';

export type Fault =
  | 'refused'
  | 'reset'
  | 'closed'
  | 'hang'
  | 'garbage'
  | 'slow drip'
  | 'TLS failure'
  | 'DNS failure'
  | '5xx'
  | '503, Retry-After';

export type Phase =
  | 'before the connection stands'
  | 'before the headers'
  | 'amid the upload'
  | 'amid the headers'
  | 'amid the body'
  | 'idle, then used again';

/** What has come of one request. */
export interface Ending {
  status: number;
  /** Whose body the client got; or the code of the proxy's own error. */
  answer: 'the faulty' | 'the well' | 'BAD_GATEWAY' | 'GATEWAY_TIMEOUT';
  /** Or the client's connection was cut. */
  whole: boolean;
  /** Outcomes of the hops; several that will do are joined by `|`: the transports' parsers differ. */
  hops: (string | number)[];
  /** `:no-retry` */
  noRetry: string;
  /** Failures that count against the faulty backend. */
  counted: 0 | 1;
}

export interface FaultRow {
  fault: Fault;
  phase: Phase;
  /** How, in a few words. */
  how: string;
  sick: SickPlan;
  /** What of the request the faulty backend has got: nothing, its beginning, or all of it, once. */
  reached: 'nothing' | 'part' | 'all';
  /** Connections that it has accepted, that of the request before (`idle`) included. */
  connections: number;
  /** Of the body; 5. */
  bodyBytes?: number;
  options?: Partial<TinyProxyOptions>;
  /** What has no body is not uploaded. */
  GET?: Ending;
  PUT: Ending;
  POST: Ending;
}

export const METHODS = ['GET', 'PUT', 'POST'] as const;

/** The well backend has answered the second attempt. */
export const next = (outcome: string | number, counted: 0 | 1 = 1): Ending => ({
  status: 200,
  answer: 'the well',
  whole: true,
  hops: [outcome, 200],
  noRetry: '-',
  counted,
});

/** No second attempt, and no answer of a backend to pass on. */
export function fails(outcome: string, noRetry = 'method', counted: 0 | 1 = 1): Ending {
  const late = outcome === 'ETIMEDOUT';
  const answer = late ? 'GATEWAY_TIMEOUT' : 'BAD_GATEWAY';
  return { status: late ? 504 : 502, answer, whole: true, hops: [outcome], noRetry, counted };
}

/** The answer of the faulty one is passed on, failure that it is. */
export const passed = (status: number): Ending => ({
  ...{ status, answer: 'the faulty', whole: true, hops: [status], noRetry: 'method', counted: 1 },
});

/** The response had begun. */
export const cut = (outcome: string, status = 200, noRetry = 'committed'): Ending => ({
  ...{ status, answer: 'the faulty', whole: false, hops: [outcome], noRetry, counted: 1 },
});

/** No failure at all. */
export const answered: Ending = {
  status: 200,
  answer: 'the faulty',
  whole: true,
  hops: [200],
  noRetry: '-',
  counted: 0,
};

type Endings = Pick<FaultRow, 'GET' | 'PUT' | 'POST'>;

/** The same for every method. */
export const all = (ending: Ending): Endings => ({ GET: ending, PUT: ending, POST: ending });

/** A GET and a PUT go on, a POST fails. */
export const goesOn = (outcome: string, counted: 0 | 1 = 1): Endings => ({
  GET: next(outcome, counted),
  PUT: next(outcome, counted),
  POST: fails(outcome, 'method', counted),
});

/** A GET and a PUT go on, of a POST the failed response is passed on. */
export const goesOnFrom = (status: number): Endings => ({
  GET: next(status),
  PUT: next(status),
  POST: passed(status),
});

/** A timeout that is to be met: short, but nothing that a busy machine would miss. */
export const SHORT_MS = 400;
