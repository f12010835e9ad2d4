import { EventEmitter } from 'node:events';
import { describe } from './errors.js';
import type { Hop, NoRetryReason } from './exchange.js';

/** What a proxy tells while it works. `backend` is `host:port`; times are milliseconds. */
export interface TinyProxyEvents {
  /** An attempt starts. */
  attempt: [{ requestId: string; backend: string; attempt: number }];
  /** An attempt has failed, and another one follows; `next` is null where a backoff comes first. */
  retry: [
    {
      requestId: string;
      backend: string;
      attempt: number;
      outcome: number | string;
      next: string | null;
      delayMs: number;
    },
  ];
  /** A breaker has opened. */
  break: [{ backend: string; failures: number; openUntil: string | null }];
  /** A breaker lets its probe through. */
  'half-open': [{ backend: string }];
  /** A breaker has closed. */
  reset: [{ backend: string }];
  /** The last attempt of a replayable request has failed. */
  'give-up': [
    {
      requestId: string;
      backend: string;
      attempt: number;
      outcome: number | string;
      noRetry: NoRetryReason;
    },
  ];
  /** A request is over; `status` is null where its client left before a head. */
  done: [
    {
      requestId: string;
      backend: string | null;
      /** How many were made. */
      attempt: number;
      status: number | null;
      ms: number;
      bytes: number;
      hops: readonly Hop[];
      noRetry: NoRetryReason | null;
    },
  ];
}

/** An emitter whose listeners cannot harm the request that they hear about. */
export class ProxyEvents extends EventEmitter<TinyProxyEvents> {
  override emit<K>(
    event: Parameters<EventEmitter<TinyProxyEvents>['emit']>[0] | K,
    ...args: unknown[]
  ): boolean {
    if (this.listenerCount(event as string) === 0) return false;
    try {
      return super.emit(event as never, ...(args as never));
    } catch (thrown) {
      process.emitWarning(`a listener of "${String(event)}" threw: ${describe(thrown)}`, {
        type: 'TinyProxyWarning',
        code: 'TINY_PROXY_LISTENER',
      });
      return true;
    }
  }
}
