import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request } from 'express';

/** The record of one attempt. */
export interface Hop {
  /** From 1. */
  attempt: number;
  /** `host:port` */
  backend: string;
  /** The status, or why there was none: `'ECONNREFUSED'`, `'ETIMEDOUT'`, `'CLIENT_GONE'`, ... */
  outcome: number | string;
  /** Milliseconds to the response's head, or to the failure. */
  ms: number;
}

/** Why no further attempt was made after a failure. */
export type NoRetryReason =
  | 'off'
  | 'method'
  | 'body'
  | 'committed'
  | 'attempts'
  | 'budget'
  | 'deadline'
  | 'client-gone'
  | 'no-backend';

/** The record of one request, all its hops: what the log tokens and the events tell. */
export class Exchange {
  noRetry: NoRetryReason | null = null;
  /** Milliseconds that the answering backend took to its head. */
  upstreamMs: number | null = null;
  /** Of the head that was passed on: what a late hook writes on the response changes nothing. */
  status: number | null = null;
  /** Bytes of body handed to the client. */
  bytes = 0;
  /** The client left before its response was over. */
  clientGone = false;
  /** Its line is the proxy's own to write. */
  logged = false;
  /** Monotonic milliseconds. */
  readonly startedAt = performance.now();

  constructor(
    readonly req: Request,
    readonly id: string,
    readonly hops: Hop[],
  ) {}
}

// A symbol of our own, not a WeakMap: entries that die with their requests nearly double the garbage
// collector's work (1.9 to 3.3 us a request, measured on Node 26).
const EXCHANGE = Symbol('express-tiny-proxy exchange');

type Recorded = IncomingMessage & { [EXCHANGE]?: Exchange };

export function recordExchange(exchange: Exchange): void {
  (exchange.req as Recorded)[EXCHANGE] = exchange;
}

/** The exchange of this request, when a proxy has taken it. */
export function exchangeOf(req: IncomingMessage): Exchange | undefined {
  return (req as Recorded)[EXCHANGE];
}

/** The status that the client was sent, null before a head. */
export function sentStatus(exchange: Exchange | undefined, res: ServerResponse): number | null {
  return exchange?.status ?? (res.headersSent ? res.statusCode : null);
}

/** How much of a body the client was sent. What the app has answered, it has told the length of. */
export function sentBytes(exchange: Exchange | undefined, res: ServerResponse): number {
  if (exchange && (exchange.status !== null || exchange.bytes > 0)) return exchange.bytes;
  const isApps = exchangeOf(res.req) === exchange; // not another proxy's
  if (!isApps || !res.writableFinished || res.req.method === 'HEAD') return 0;
  return Number(res.getHeader('content-length')) || 0;
}
