import type { Backend } from './backends.js';
import type { Ticket } from './breaker.js';
import type { AttemptEvent, ProxyEvents } from './events.js';
import type { Exchange, Hop } from './exchange.js';
import { tellHop } from './tell.js';

/** The bookkeeping of one attempt: its hop, what it tells about its backend, and that only once. */
export class AttemptRecord {
  hop: Hop | null = null;
  /** Of the backend's head; null before it. */
  status: number | null = null;
  /** Of its backend. */
  failed = false;
  /** What is asked of the backend, its base path included. */
  path = '';
  /** Its backend's breaker has heard all that it will hear of it. */
  #counted = false;
  over = false;
  readonly startedAt = performance.now();

  constructor(
    private readonly events: ProxyEvents,
    readonly exchange: Exchange,
    readonly number: number,
    readonly backend: Backend,
    private readonly ticket: Ticket,
  ) {}

  /** What has come of it, and how long that took: later news change the one, not the other. */
  settle(outcome: number | string): Hop {
    if (typeof outcome === 'number') this.status = outcome;
    if (this.hop !== null) this.hop.outcome = outcome;
    else {
      const ms = performance.now() - this.startedAt;
      this.hop = { attempt: this.number, backend: this.backend.name, outcome, ms };
      this.exchange.hops.push(this.hop);
    }
    return this.hop;
  }

  /** As the events tell of it. */
  get about(): AttemptEvent {
    const { exchange, backend, number } = this;
    return { requestId: exchange.id, backend: backend.name, attempt: number };
  }

  /** RFC 9110 7.1: what `OPTIONS *` is about has no path. */
  get url(): string {
    return this.backend.url.origin + (this.path === '*' ? '' : this.path);
  }

  waitForClient(): void {
    this.backend.breaker?.waitForClient(this.ticket, performance.now());
  }

  /** Its client has left. That tells nothing about the backend, unless it had streamed for long. */
  leave(streamedMs: number, longMs: number): void {
    if (streamedMs > (longMs || Number.POSITIVE_INFINITY)) this.countSuccess(); // 0: no timeout
    this.settle('CLIENT_GONE');
  }

  countFailure(why: string): void {
    if (this.#counted) return;
    this.#counted = true;
    this.failed = true;
    this.backend.fail(this.ticket, why, performance.now());
  }

  /** What comes after a 101 is between the client and the application. */
  countHead(status: number): void {
    if (status === 101) return this.countSuccess();
    if (!this.#counted) this.backend.breaker?.headArrived(this.ticket);
  }

  countSuccess(): void {
    if (this.#counted) return;
    this.#counted = true;
    this.backend.breaker?.success(this.ticket);
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.backend.leave(this.ticket);
    // Its request was answered meanwhile by somebody else: a timeout middleware, say.
    const hop = this.hop ?? this.settle('CUT');
    if (this.events.listenerCount('hop') > 0) tellHop(this.events, this, hop);
  }
}
