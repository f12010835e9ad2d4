import type { TinyProxy, TinyProxyEvents } from '../index.js';
import type { Link } from './link.js';
import type { Message, Word } from './message.js';
import { PATIENCE_MS, ProbeTurn } from './probe-turn.js';
import { Streak } from './streak.js';

/** One stranger's word alone holds so long: then a replica that has not said it probes. */
const DOUBT_MS = 1000;
/** Failures of one backend are told no more often. */
const TELL_EVERY_MS = 50;

/** What the breakers of one proxy share. */
export interface Fleet {
  readonly proxy: TinyProxy;
  readonly link: Link;
  /** This replica. */
  readonly me: string;
  /** So many failures in a row in the fleet open all breakers. */
  readonly failures: number;
  readonly counts: { opened: number; closed: number; refused: number };
  leaseOf(target: string): string;
  tell(target: string, word: Word): void;
}

type Open = Message & { readonly kind: 'open' };

/** The breaker of one backend, as this replica and the others find it. */
export class SharedBreaker {
  readonly #turn: ProbeTurn;
  readonly #streak = new Streak();
  #state: 'closed' | 'open' | 'probing' = 'closed';
  /** The first failure of our own after our last success. */
  #failingSince: number | null = null;
  /** The last success, our own or one that was told. */
  #goodAt = Number.NEGATIVE_INFINITY;
  /** Who has told of it. */
  #goodBy: string | null = null;
  /** Whose word alone has opened it. */
  #doubtful: string | null = null;
  /** Closed on another's word, and no success of our own since. */
  #closedOnWord = false;
  #toldAt = Number.NEGATIVE_INFINITY;
  /** When it was last opened, not only kept open. */
  #openSince = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly fleet: Fleet,
    private readonly target: string,
  ) {
    const { proxy, link, me } = fleet;
    this.#turn = new ProbeTurn({ proxy, link, me, target, key: fleet.leaseOf(target) });
    if (this.#statusOf(target)?.breaker === 'closed') return;
    this.#state = 'open';
    this.#turn.plan(false);
  }

  onHop({ failed, outcome }: TinyProxyEvents['hop'][0]): void {
    const now = performance.now();
    if (failed) this.#onFailure(now);
    else if (typeof outcome === 'number') this.#onSuccess(now);
  }

  #onFailure(now: number): void {
    this.#failingSince ??= now;
    this.#lookAgain();
    if (this.#state !== 'closed') return;
    this.#streak.add(this.fleet.me);
    if (now - this.#toldAt >= TELL_EVERY_MS) {
      this.#toldAt = now;
      this.fleet.tell(this.target, { kind: 'failed' });
    }
    this.#openWithFleet();
  }

  #onSuccess(now: number): void {
    this.#failingSince = null;
    this.#closedOnWord = false;
    this.#goodAt = now;
    this.#goodBy = null;
    if (this.#streak.hasOthersThan(this.fleet.me)) this.fleet.tell(this.target, { kind: 'well' });
    this.#streak.end();
  }

  /** Our breaker has opened, by our own attempts or because it was told to. */
  onBreak({ openUntil, reason }: TinyProxyEvents['break'][0]): void {
    const probe = this.#state === 'probing';
    this.#becomeOpen();
    if (reason !== undefined) return this.#turn.plan(false);
    this.#doubtful = null;
    this.#tellOpen(openUntil, probe);
    this.#turn.plan(true);
  }

  #tellOpen(openUntil: string | null, probe: boolean): void {
    const now = performance.now();
    this.fleet.tell(this.target, {
      kind: 'open',
      openMs: openUntil === null ? 0 : Math.max(0, Date.parse(openUntil) - Date.now()),
      failingMs: now - (this.#failingSince ?? now),
      probe,
    });
  }

  onHalfOpen(): void {
    this.#state = 'probing';
    this.#turn.onProbe();
  }

  onReset({ reason }: TinyProxyEvents['reset'][0]): void {
    this.#state = 'closed';
    this.#doubtful = null;
    this.#streak.end();
    if (reason === undefined) {
      this.#onSuccess(performance.now());
      this.fleet.tell(this.target, { kind: 'closed' });
    }
    this.#turn.stop();
  }

  onMessage(message: Message): void {
    this.#lookAgain();
    if (message.kind === 'open') this.#onOpen(message);
    else if (message.kind === 'closed') this.#onClosed(message.from);
    else if (message.kind === 'well') this.#onWell(message.from);
    else if (this.#state === 'closed') {
      this.#streak.add(message.from);
      this.#openWithFleet();
    }
  }

  #onWell(from: string): void {
    this.#goodAt = performance.now();
    this.#goodBy = from;
    this.#streak.end();
  }

  /** Failures in a row that are not all our own: those our breaker counts itself. */
  #openWithFleet(): void {
    const { me, failures } = this.fleet;
    const streak = this.#streak;
    if (streak.count < failures || !streak.hasOthersThan(me)) return;
    const { replicas, count } = streak;
    const reason = `after ${count} failures in a row, seen by ${replicas.join(', ')}`;
    this.#open(reason, Number.POSITIVE_INFINITY, replicas);
    // Who was told of fewer, as not every failure is told, hears that it is enough.
    const openUntil = this.#statusOf(this.target)?.openUntil ?? null;
    if (replicas.includes(me) && openUntil !== null) this.#tellOpen(openUntil, false);
  }

  #onOpen({ from, openMs, failingMs, probe }: Open): void {
    if (this.#state === 'probing') return;
    if (this.#state === 'open') {
      const isSecond = this.#doubtful !== null && this.#doubtful !== from;
      if (!probe && !isSecond) return;
      // Whoever says so again and again must not keep it from a probe of its own for ever.
      if (performance.now() - this.#openSince > PATIENCE_MS) {
        this.fleet.counts.refused++;
        return;
      }
      const reason = probe
        ? `because the probe of replica ${from} has failed`
        : `because replicas ${this.#doubtful} and ${from} have opened it`;
      this.#doubtful = null;
      this.#hold(openMs, reason);
    } else if (this.#goodBy !== from && this.#goodAt > performance.now() - failingMs) {
      // Its own word of a success, however late it has come, was before its failures.
      this.fleet.counts.refused++;
    } else {
      this.#streak.add(from);
      this.#open(`because replica ${from} has opened it`, openMs, this.#streak.replicas);
    }
  }

  #onClosed(from: string): void {
    const { proxy, counts } = this.fleet;
    this.#onWell(from);
    if (this.#state !== 'open' || this.#statusOf(this.target) === undefined) return;
    if (this.#closedOnWord && this.#failingSince !== null) {
      counts.refused++;
      return;
    }
    this.#closedOnWord = true;
    counts.closed++;
    proxy.closeBreaker(this.target, `because the probe of replica ${from} has succeeded`);
  }

  /** On the word of these replicas. Without a failure of our own it never takes the last backend. */
  #open(reason: string, ms: number, witnesses: readonly string[]): void {
    const { me, counts } = this.fleet;
    if (!witnesses.includes(me) && this.#isLast()) {
      counts.refused++;
      this.#streak.end();
      return;
    }
    const alone = witnesses.length === 1 ? witnesses[0]! : null;
    this.#doubtful = alone;
    this.#hold(alone === null ? ms : Math.min(ms, DOUBT_MS), reason);
  }

  #hold(ms: number, reason: string): void {
    if (this.#statusOf(this.target) === undefined) return; // it is no backend any more
    this.fleet.counts.opened++;
    this.#streak.end();
    this.#becomeOpen();
    this.fleet.proxy.holdOpen(this.target, ms, reason);
    this.#turn.plan(false);
  }

  #becomeOpen(): void {
    if (this.#state !== 'open') this.#openSince = performance.now();
    this.#state = 'open';
  }

  #isLast(): boolean {
    const { backends } = this.fleet.proxy.status();
    const others = backends.filter(({ url }) => url !== this.target);
    return !others.some((each) => each.breaker === 'closed' && !each.drained && each.healthy);
  }

  /** A backend that has left and come back has another breaker, of whose past nothing was told. */
  #lookAgain(): void {
    if (this.#state === 'closed' || this.#statusOf(this.target)?.breaker !== 'closed') return;
    this.#state = 'closed';
    this.#turn.stop();
  }

  #statusOf(target: string) {
    return this.fleet.proxy.status().backends.find(({ url }) => url === target);
  }

  /** Nothing is left behind. */
  stop(): void {
    this.#turn.stop();
  }
}
