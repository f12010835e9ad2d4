import { coded } from '../errors.js';

/**
 * `maxConnections` of one backend. What counts is connections in use, of whatever kind, and the idle
 * ones of every pool; so a pool that opens one may have to {@link ConnectionLimit.makeRoom}.
 *
 * A place is taken before an attempt is sent, and given back when its connection is closed, or idle
 * again; who finds none waits in order of arrival. A session that carries several attempts at once
 * is one connection: its first takes the place, its end gives it back.
 */
export class ConnectionLimit {
  /** All that keep connections to this backend. */
  readonly pools: IdleConnections[] = [];
  /** In order of arrival. */
  readonly #queue = new Set<QueuedFlight>();
  #inUse = 0;
  #serving = false;

  constructor(
    private readonly max: number,
    /** Milliseconds; 0: nobody waits. */
    private readonly queueTimeout: number,
  ) {}

  /** The next attempt would have to wait. */
  get full(): boolean {
    return this.#inUse + this.#queue.size >= this.max;
  }

  /** Calls `send` once there is a place: now, or when its turn has come. */
  send(send: () => Flight, events: QueueEvents): Flight {
    if (!this.full) {
      this.#inUse++;
      return send();
    }
    const flight = new QueuedFlight(this.#queue, send, events);
    if (this.queueTimeout === 0) flight.leaveQueue();
    else flight.wait(this.queueTimeout);
    return flight;
  }

  /** A connection is closed, or idle. Who waits is served a tick later: its pool has it by then. */
  release(): void {
    this.#inUse--;
    if (this.#serving || this.#queue.size === 0) return;
    this.#serving = true;
    process.nextTick(() => this.#serve());
  }

  #serve(): void {
    this.#serving = false;
    for (const flight of this.#queue) {
      if (this.#inUse >= this.max) return;
      this.#inUse++;
      flight.begin();
    }
  }

  /** A connection is about to be opened, in a place that is taken already. */
  makeRoom(): void {
    for (const pool of this.pools) {
      while (pool.idleCount > 0 && this.#inUse + this.#idleCount > this.max) pool.closeOldest();
    }
  }

  get #idleCount(): number {
    return this.pools.reduce((sum, { idleCount }) => sum + idleCount, 0);
  }

  /** The backend is to get no attempt any more: those that wait go elsewhere. */
  sendAway(): void {
    for (const flight of [...this.#queue]) flight.leaveQueue();
  }
}

export interface IdleConnections {
  readonly idleCount: number;
  /** Closes the one that has been idle for longest; it counts no more. */
  closeOldest(): void;
}

/** As the transports have them. */
interface Flight {
  readonly connected: boolean;
  abort(): void;
}

interface QueueEvents {
  onEnd(outcome: typeof QUEUE_TIMEOUT): void;
}

const QUEUE_TIMEOUT = {
  kind: 'failed',
  code: 'QUEUE_TIMEOUT',
  error: coded('QUEUE_TIMEOUT', 'no connection was free'),
  connected: false,
  stale: false,
  queued: true,
} as const;

/** An attempt that waits for a connection, and what becomes of it. */
class QueuedFlight implements Flight {
  #flight: Flight | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly queue: Set<QueuedFlight>,
    private readonly send: () => Flight,
    private readonly events: QueueEvents,
  ) {
    queue.add(this);
  }

  wait(ms: number): void {
    this.#timer = setTimeout(() => this.leaveQueue(), ms);
  }

  get connected(): boolean {
    return this.#flight?.connected ?? false;
  }

  begin(): void {
    this.#leave();
    this.#flight = this.send();
  }

  abort(): void {
    if (!this.#leave()) this.#flight?.abort();
  }

  leaveQueue(): boolean {
    if (!this.#leave()) return false;
    this.events.onEnd(QUEUE_TIMEOUT);
    return true;
  }

  /** Answers whether it was still waiting. */
  #leave(): boolean {
    clearTimeout(this.#timer);
    return this.queue.delete(this);
  }
}
