/**
 * The clocks of one request, on one timer. The attempt's and the request's clocks stand still while
 * the proxy waits for the client's own body; then, and in a response's body, idleness is measured.
 * All times are milliseconds on the monotonic clock.
 */
export type Expired = 'attempt' | 'request' | 'client-idle' | 'backend-idle';

type Mode = 'off' | 'head' | 'client-idle' | 'backend-idle';

const NEVER = Number.POSITIVE_INFINITY;

export class Deadlines {
  readonly #idleMs: number;
  #requestLeft: number;
  #attemptLeft = NEVER;
  #mode: Mode = 'off';
  #timer: NodeJS.Timeout | undefined;
  #firesAt = 0;
  /** When the clocks were last started, or the last byte was seen. */
  #since = 0;

  /** `0` means none, for every one of them. */
  constructor(
    { requestTimeout, idleTimeout }: { requestTimeout: number; idleTimeout: number },
    private readonly owner: { onExpired(expired: Expired): void },
  ) {
    this.#requestLeft = requestTimeout || NEVER;
    this.#idleMs = idleTimeout || NEVER;
  }

  /** What the request has left. */
  requestLeft(now: number): number {
    return this.#requestLeft - (this.#mode === 'head' ? now - this.#since : 0);
  }

  /** Starts both clocks, the attempt's from its beginning. Between attempts, with 0, there is the request's alone. */
  startAttempt(attemptMs: number, now: number): void {
    this.#settle(now);
    this.#attemptLeft = attemptMs || NEVER;
    this.#run('head', now);
  }

  /** The client's body is waited for. */
  onWaiting(): void {
    if (this.#mode !== 'head') return;
    const now = performance.now();
    this.#settle(now);
    this.#run('client-idle', now);
  }

  onFlowing(): void {
    if (this.#mode === 'client-idle') this.#run('head', performance.now());
    else this.touch(performance.now()); // a response is not idle while its request still comes
  }

  /** The head has arrived: from now on only idleness counts. */
  startBody(now: number): void {
    this.#run('backend-idle', now);
  }

  /** A byte of the response's body, or the client has taken the last. */
  touch(now: number): void {
    this.#since = now;
  }

  /** The response waits for its client to read, or all is over. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#mode = 'off';
  }

  /** Takes what has passed off the clocks. */
  #settle(now: number): void {
    if (this.#mode !== 'head') return;
    this.#requestLeft -= now - this.#since;
    this.#attemptLeft -= now - this.#since;
  }

  #run(mode: Mode, now: number): void {
    this.#mode = mode;
    this.#since = now;
    const left = mode === 'head' ? Math.min(this.#attemptLeft, this.#requestLeft) : this.#idleMs;
    // A timer that fires too early finds what is left; only one that is too late is replaced.
    if (this.#timer === undefined || now + left < this.#firesAt) this.#arm(left, now);
  }

  #arm(ms: number, now: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (ms === NEVER) return;
    this.#firesAt = now + ms;
    // setTimeout drops the fraction, and would fire just before the deadline.
    this.#timer = setTimeout(() => this.check(), Math.max(1, Math.ceil(ms)));
  }

  check(): void {
    this.#timer = undefined;
    const now = performance.now();
    this.#settle(now);
    const waited = now - this.#since;
    if (this.#mode === 'head') {
      this.#since = now;
      if (this.#requestLeft <= 0) return this.owner.onExpired('request');
      if (this.#attemptLeft <= 0) return this.owner.onExpired('attempt');
      this.#arm(Math.min(this.#attemptLeft, this.#requestLeft), now);
    } else if (this.#mode !== 'off') {
      if (waited >= this.#idleMs) return this.owner.onExpired(this.#mode);
      this.#arm(this.#idleMs - waited, now);
    }
  }
}
