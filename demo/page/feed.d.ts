/** What the demo tells its page. */

/** The event `state` of the feed. */
export interface DemoState {
  backends: BackendState[];
  /** Failures in a row that open a breaker. */
  failures: number;
  requests: number;
  retries: number;
  /** How many retries the budget would allow now. */
  retriesLeft: number | null;
  load: { perSecond: number; paused: boolean };
  /** What of the tour has been seen, with what has shown it. */
  seen: Record<string, string>;
}

export interface BackendState {
  /** From 1. */
  number: number;
  /** `host:port`, as in the log. */
  name: string;
  /** What it has been told to do; null where it is a backend of the user's own. */
  told: string | null;
  breaker: 'closed' | 'open' | 'half-open';
  /** On the status page, by its button. */
  drained: boolean;
  /** Seconds to the next probe while open. */
  probeIn: number | null;
  failuresInARow: number;
  attempts: number;
  failed: number;
  /** Its last attempts: `o` went well, `x` failed. */
  recent: string;
  /** How its last probe went. */
  probe: 'failed' | 'answered' | null;
}

/** The event `lines` of the feed. */
export interface NewLines {
  /** These are all that there are: those shown before are to go. */
  all: boolean;
  lines: LogLine[];
}

export interface LogLine {
  text: string;
  /** Why a failure was not retried. */
  noRetry: string | null;
}

/** What a client got. */
export interface Answer {
  id: string;
  method: string;
  /** Null where there was no answer. */
  status: number | null;
  retryAfter: string | null;
  /** What was wrong with the connection. */
  problem: string | null;
  ms: number;
}

export interface Burst {
  id: string;
  ms: number;
  /** How many there were of each status, or problem. */
  outcomes: Record<string, number>;
}
