import type { TinyProxy } from '../index.js';
import type { Link } from './link.js';

/** So long before the end of the cooldown, but not in its first half, they ask for the lease. */
const LEAD_MS = 500;
/** A lease's length. It is renewed while its probe runs. */
const LEASE_MS = 2000;
/** Who did not get it stays open for so long, and asks again before that is over. */
const HOLD_MS = 1000;
/** Longer than a probe takes: a lease that is held so long, and nothing told, is none. */
export const PATIENCE_MS = 20_000;
/** Between two questions, however short the cooldown is. */
const LEAST_MS = 20;
/** Who has held it, and had no request to probe with, lets all others ask first. */
const IDLE_MS = 600;

export interface Turn {
  readonly proxy: TinyProxy;
  readonly link: Link;
  readonly me: string;
  readonly key: string;
  readonly target: string;
}

/**
 * Whose turn it is to probe one backend: a lease in Redis. It is asked for before the cooldown is
 * over, so that no request waits for the answer. Who gets none, or not in time, goes on alone.
 */
export class ProbeTurn {
  #timer: NodeJS.Timeout | undefined;
  /** To be told from an answer that comes when all has changed. */
  #round = 0;
  /** By our own clock. */
  #leaseEnds = 0;
  #probing = false;
  /** For a probe, our own or another's. */
  #waitingSince: number | null = null;

  constructor(private readonly turn: Turn) {}

  /** The breaker is open. `last`: who has found the failures leaves the proof to the others. */
  plan(last: boolean): void {
    this.stop();
    this.#schedule(last);
  }

  #schedule(last: boolean): void {
    const openMs = this.#openMs();
    if (openMs === null) return;
    const leadMs = Math.min(last ? LEAD_MS / 2 : LEAD_MS, openMs / 2);
    this.#after(Math.max(openMs - leadMs, LEAST_MS), () => this.#ask(last));
  }

  /** Our probe has begun. */
  onProbe(): void {
    const now = performance.now();
    this.#probing = true;
    this.#waitingSince = now;
    if (now < this.#leaseEnds) this.#renew();
  }

  /** All is decided: the lease is given back. */
  stop(): void {
    const { link, key } = this.turn;
    clearTimeout(this.#timer);
    this.#round++;
    this.#probing = false;
    if (performance.now() < this.#leaseEnds) void link.send(['DEL', key]);
    this.#leaseEnds = 0;
    this.#waitingSince = null;
  }

  async #ask(last: boolean): Promise<void> {
    const { proxy, link, key, me, target } = this.turn;
    const openMs = this.#openMs();
    if (openMs === null || this.#probing) return;
    if (openMs > 2 * LEAD_MS) return this.#schedule(last); // somebody has held it open meanwhile
    const round = ++this.#round;
    const askedAt = performance.now();
    const answer = await link.send(['SET', key, me, 'NX', 'PX', String(LEASE_MS)]);
    const isOurs = answer !== undefined && answer !== null;
    if (round !== this.#round) {
      if (isOurs) void link.send(['DEL', key]);
    } else if (isOurs && this.#probing) {
      this.#renew();
    } else if (isOurs) {
      this.#leaseEnds = askedAt + LEASE_MS;
      this.#after(LEASE_MS + IDLE_MS, () => this.#ask(last));
    } else if (answer === null && !this.#probing && this.#openMs() !== null) {
      this.#waitingSince ??= askedAt;
      if (askedAt - this.#waitingSince > PATIENCE_MS) return;
      proxy.holdOpen(target, HOLD_MS, 'while another replica probes');
      this.#schedule(last);
    }
  }

  /** Also where it has just ended, this process was busy, say. Not where the client of the probe has left, and nobody else has come. */
  #renew(): void {
    const { link, key, me } = this.turn;
    const now = performance.now();
    const waitedMs = now - (this.#waitingSince ?? now);
    if (!this.#backend?.inFlight || waitedMs > PATIENCE_MS) return;
    this.#leaseEnds = now + LEASE_MS;
    void link.send(['SET', key, me, 'PX', String(LEASE_MS)]);
    this.#after(LEASE_MS / 2, () => this.#renew());
  }

  /** Milliseconds to the end of the cooldown; null where the breaker is closed, or there is none. */
  #openMs(): number | null {
    const backend = this.#backend;
    if (backend === undefined || backend.breaker === 'closed') return null;
    const { openUntil } = backend;
    return openUntil === null ? 0 : Math.max(0, Date.parse(openUntil) - Date.now());
  }

  get #backend() {
    const { proxy, target } = this.turn;
    return proxy.status().backends.find(({ url }) => url === target);
  }

  #after(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
    this.#timer.unref();
  }
}
