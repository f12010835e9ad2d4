import {
  type CircuitBreakerPolicy,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhenResult,
} from 'cockatiel';

/**
 * One breaker per backend, on cockatiel's circuit breaker.
 *
 * The attempts do not run inside the policy: it is told what changes its state. Inside, callers
 * beyond the probe would wait without limit for its result, a client's abort would count as the
 * probe's success, a failure from before the trip would open the circuit again, and every request
 * would pay for a promise. What the balancer must know at once - may this backend be tried? - is
 * the state and the count below; cockatiel follows within the same turn of the event loop, and tells
 * its listeners.
 */
type State =
  | { readonly name: 'closed' }
  | { readonly name: 'open'; readonly until: number }
  | {
      readonly name: 'half-open';
      /** Settles the probe inside cockatiel. Whose attempt decides may change, the probe does not. */
      readonly decide: (outcome: Outcome) => void;
      /** From when on an attempt may be the probe: at once, or never while one is. */
      vacantAt: number;
      /** Who is the probe. One before it may still be waiting for its client. */
      prober: Ticket;
    };

type Outcome = 'success' | 'failure';

/** `'closed'`: traffic flows; `'open'`: it does not; `'half-open'`: one request, the probe, decides. */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** A change of state, by the name of its event. */
export type BreakerChange = 'break' | 'half-open' | 'reset';

/** An attempt's pass, numbered in order: a later state does not hear of it, nor another's probe. */
export type Ticket = number;

const CLOSED: State = { name: 'closed' };

export class Breaker {
  readonly #policy: CircuitBreakerPolicy;
  #state: State = CLOSED;
  /** The last that was given out. While closed, all have the same. */
  #ticket: Ticket = 0;
  /** The first of this state. */
  #since: Ticket = 0;
  /** cockatiel takes one outcome after the other. */
  #told: Promise<unknown> = Promise.resolve();
  /** Why it is told the present one; null: an attempt has come to it. */
  #reason: string | null = null;
  /** Failures in a row. */
  failures = 0;

  constructor(
    private readonly threshold: number,
    private readonly cooldownMs: number,
    onChange: (change: BreakerChange, reason: string | null) => void,
  ) {
    this.#policy = circuitBreaker(
      handleWhenResult((outcome) => outcome === 'failure'),
      {
        // It hears of no failure but the one that opens it: failures in a row are counted here.
        breaker: new ConsecutiveBreaker(1),
        // The cooldown is measured here, on the monotonic clock; cockatiel's Date.now() would keep
        // the circuit open after a step of the wall clock. It is to go half-open whenever told.
        halfOpenAfter: Number.NEGATIVE_INFINITY,
      },
    );
    this.#policy.onBreak(() => onChange('break', this.#reason));
    // On its way from open to closed it is half-open for a moment, though nobody probes.
    this.#policy.onHalfOpen(() => this.#reason ?? onChange('half-open', null));
    this.#policy.onReset(() => onChange('reset', this.#reason));
  }

  /** May an attempt start now? */
  available(now: number): boolean {
    const state = this.#state;
    if (state.name === 'closed') return true;
    return now >= (state.name === 'open' ? state.until : state.vacantAt);
  }

  /** Milliseconds until the next probe may start; 0 when it may start now, or is running. */
  waitMs(now: number): number {
    return this.#state.name === 'open' ? Math.max(0, this.#state.until - now) : 0;
  }

  /** As it looks from outside: an open breaker whose cooldown is over waits for its probe. */
  stateAt(now: number): BreakerState {
    const { name } = this.#state;
    return name === 'open' && this.available(now) ? 'half-open' : name;
  }

  /** An attempt starts. Only where `available`. */
  enter(): Ticket {
    if (this.#state.name === 'open') this.#toHalfOpen();
    if (this.#state.name === 'half-open') {
      this.#state.vacantAt = Number.POSITIVE_INFINITY;
      this.#state.prober = ++this.#ticket;
    }
    return this.#ticket;
  }

  /** The head of a response that is no failure: enough for a probe, for its body may never end. */
  headArrived(ticket: Ticket): void {
    if (ticket >= this.#since && this.#state.name === 'half-open') {
      this.#decide(this.#state, 'success', CLOSED);
      this.failures = 0;
    }
  }

  /** A response that is no failure has ended whole. */
  success(ticket: Ticket): void {
    this.headArrived(ticket);
    if (ticket >= this.#since) this.failures = 0;
  }

  failure(ticket: Ticket, now: number): void {
    const state = this.#state;
    if (ticket < this.#since) return; // as all are while it is open
    this.failures++;
    const open: State = { name: 'open', until: now + this.cooldownMs };
    if (state.name === 'half-open') return this.#decide(state, 'failure', open);
    if (this.failures < this.threshold) return;
    this.#become(open);
    this.#tell(() => 'failure');
  }

  /** The attempt tells nothing about the backend: its client left, say. A probe is vacant again. */
  leave(ticket: Ticket): void {
    const state = this.#state;
    if (state.name === 'half-open' && ticket === state.prober) state.vacantAt = 0;
  }

  /** The attempt waits for its own client: as the probe, it may do so for one cooldown more. */
  waitForClient(ticket: Ticket, now: number): void {
    const state = this.#state;
    if (state.name !== 'half-open' || ticket !== state.prober) return;
    state.vacantAt = Math.min(state.vacantAt, now + this.cooldownMs);
  }

  /**
   * Opens it on another's word, or keeps it open, for `ms` from now on; no longer than a cooldown. A
   * probe decides by itself.
   */
  holdOpen(ms: number, now: number, reason: string): void {
    const { name } = this.#state;
    if (name === 'half-open') return;
    this.#become({ name: 'open', until: now + Math.min(ms, this.cooldownMs) });
    if (name === 'closed') this.#tell(() => 'failure', reason);
  }

  /** Closes it on another's word. A probe decides by itself. */
  close(reason: string): void {
    if (this.#state.name !== 'open') return;
    this.#become(CLOSED);
    this.failures = 0;
    this.#tell(() => 'success', reason);
  }

  #toHalfOpen(): void {
    let decide: (outcome: Outcome) => void = () => {};
    const probe = new Promise<Outcome>((resolve) => {
      decide = resolve;
    });
    this.#become({ name: 'half-open', decide, vacantAt: 0, prober: 0 });
    this.#tell(() => probe);
  }

  #decide(state: State & { name: 'half-open' }, outcome: Outcome, next: State): void {
    this.#become(next);
    state.decide(outcome);
  }

  #become(state: State): void {
    this.#state = state;
    this.#since = ++this.#ticket;
  }

  #tell(outcome: () => Outcome | Promise<Outcome>, reason: string | null = null): void {
    this.#told = this.#told.then(() => {
      this.#reason = reason;
      return this.#policy.execute(outcome);
    });
  }
}
