// A breaker does what the model below does, whatever happens to its attempts and in what order.
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Breaker, type BreakerState, type Ticket } from '../src/breaker.js';
import { propertySettings, TEST_LIMIT_MS } from './support/fuzz-settings.js';

/** An attempt as the model knows it. */
interface Attempt {
  /** The state that it has begun in: each change makes a new one. */
  state: number;
  isProbe: boolean;
}

type Ending = 'success' | 'failure' | 'client left';

/** What the README says of a breaker. One line a rule, no ticket, no promise, no cockatiel. */
class Model {
  now = 0;
  state: BreakerState = 'closed';
  changes = 0;
  failures = 0;
  openUntil = 0;
  /** The probe that nobody else may be beside, and until when. */
  probe: Attempt | null = null;
  probeUntil = Number.POSITIVE_INFINITY;
  readonly told: string[] = [];
  /** How many attempts are under way. */
  running = 0;

  constructor(
    readonly threshold: number,
    readonly cooldownMs: number,
  ) {}

  become(state: BreakerState, event: string): void {
    this.state = state;
    this.changes++;
    this.told.push(event);
    this.openUntil = state === 'open' ? this.now + this.cooldownMs : 0;
    this.probe = null;
  }

  /** When an attempt may start: now, or later. */
  freeAt(): number {
    if (this.state === 'open') return this.openUntil;
    return this.probe === null ? this.now : this.probeUntil;
  }

  available(): boolean {
    return this.now >= this.freeAt();
  }

  start(): Attempt {
    if (this.state === 'open') this.become('half-open', 'half-open');
    const attempt = { state: this.changes, isProbe: this.state === 'half-open' };
    if (attempt.isProbe) this.probe = attempt;
    this.probeUntil = Number.POSITIVE_INFINITY;
    return attempt;
  }

  head({ state }: Attempt): void {
    if (state !== this.changes || this.state !== 'half-open') return;
    this.become('closed', 'reset');
    this.failures = 0;
  }

  waitForClient(attempt: Attempt): void {
    if (attempt === this.probe)
      this.probeUntil = Math.min(this.probeUntil, this.now + this.cooldownMs);
  }

  end(attempt: Attempt, ending: Ending): void {
    if (ending === 'success') this.head(attempt);
    if (ending === 'success' && attempt.state === this.changes) this.failures = 0;
    if (ending === 'failure' && attempt.state === this.changes) {
      this.failures++;
      const trips = this.state === 'half-open' || this.failures >= this.threshold;
      if (trips) this.become('open', 'break');
    }
    if (attempt === this.probe) this.probe = null;
  }
}

/** The breaker beside its model: the attempts under way, in the order in which they have begun. */
class Real {
  readonly told: string[] = [];
  readonly breaker: Breaker;
  readonly running: { attempt: Attempt; ticket: Ticket }[] = [];

  constructor({ threshold, cooldownMs }: Model) {
    this.breaker = new Breaker(threshold, cooldownMs, (change) => this.told.push(change));
  }

  expectLike(model: Model): void {
    const { breaker } = this;
    const { now, state, openUntil, failures } = model;
    const available = model.available();
    const seemsState = state === 'open' && available ? 'half-open' : state;
    const waitMs = Math.max(0, openUntil - now);
    const is = [
      breaker.available(now),
      breaker.stateAt(now),
      breaker.waitMs(now),
      breaker.failures,
    ];
    const says = [available, seemsState, waitMs, failures];
    // `expect` alone would take most of the time.
    if (String(is) !== String(says)) expect(is).toEqual(says);
  }

  /** Within the turn of the event loop in which it has changed, it tells so, once and in order. */
  async expectTold(model: Model): Promise<void> {
    await setImmediate();
    expect(this.told).toEqual(model.told);
  }
}

type Command = fc.Command<Model, Real>;

function command(name: string, check: Command['check'], act: Command['run']): Command {
  return {
    check,
    run(model, real) {
      act(model, real);
      real.expectLike(model);
    },
    toString: () => name,
  };
}

const start = command(
  'start',
  (model) => model.available(),
  (model, real) => {
    const attempt = model.start();
    model.running++;
    real.running.push({ attempt, ticket: real.breaker.enter() });
  },
);

/** Something happens to one of the attempts under way. */
function happens(
  name: string,
  whose: number,
  what: (model: Model, attempt: Attempt, breaker: Breaker, ticket: Ticket) => void,
): Command {
  const hasOne = ({ running }: Model): boolean => running > 0;
  return command(`${name}(${whose})`, hasOne, (model, { running, breaker }) => {
    const { attempt, ticket } = running[whose % running.length]!;
    what(model, attempt, breaker, ticket);
  });
}

const head = (whose: number): Command =>
  happens('head', whose, (model, attempt, breaker, ticket) => {
    model.head(attempt);
    breaker.headArrived(ticket);
  });

const waits = (whose: number): Command =>
  happens('waits for its client', whose, (model, attempt, breaker, ticket) => {
    model.waitForClient(attempt);
    breaker.waitForClient(ticket, model.now);
  });

/** As a backend tells its breaker: what has come of the attempt, if that says anything; its end. */
const end = (ending: Ending, whose: number): Command =>
  command(
    `${ending}(${whose})`,
    ({ running }) => running > 0,
    (model, { running, breaker }) => {
      const [ended] = running.splice(whose % running.length, 1);
      const { attempt, ticket } = ended!;
      model.running--;
      model.end(attempt, ending);
      if (ending === 'success') breaker.success(ticket);
      if (ending === 'failure') breaker.failure(ticket, model.now);
      breaker.leave(ticket);
    },
  );

const pass = (ms: number): Command =>
  command(
    `${ms} ms pass`,
    () => true,
    (model) => {
      model.now += ms;
    },
  );

/** To the moment at which it, or its probe's place, is free again, or just before that. */
const passUntilFree = (msBefore: number): Command =>
  command(
    `the wait passes but for ${msBefore} ms`,
    (model) => !model.available() && Number.isFinite(model.freeAt()),
    (model) => {
      model.now = Math.max(model.now, model.freeAt() - msBefore);
    },
  );

const whose = fc.nat(5);
const ends = (ending: Ending) => whose.map((one) => end(ending, one));
const COMMANDS = [
  fc.constant(start),
  fc.constant(start),
  fc.constant(start),
  ends('failure'),
  ends('failure'),
  ends('failure'),
  ends('success'),
  ends('success'),
  ends('client left'),
  whose.map(head),
  whose.map(waits),
  fc.nat(30).map(pass),
  fc.nat(1).map(passUntilFree),
  fc.nat(1).map(passUntilFree),
];

type LaterCommand = fc.AsyncCommand<Model, Real>;

/** What is told by promises is told meanwhile. */
function soon(one: Command): LaterCommand {
  return {
    check: (model) => one.check(model),
    run: async (model, real) => one.run(model, real),
    toString: () => one.toString(),
  };
}

const turn: LaterCommand = {
  check: () => true,
  run: (model, real) => real.expectTold(model),
  toString: () => 'the turn ends',
};

const SIZE = { maxCommands: 80, size: 'max' } as const;
const inOneTurn = fc.commands(COMMANDS, SIZE);
const inManyTurns = fc.commands(
  [...COMMANDS.map((each) => each.map(soon)), fc.constant(turn)],
  SIZE,
);

const options = fc.record({ failures: fc.integer({ min: 1, max: 3 }), cooldownMs: fc.nat(25) });

async function holds<Steps>(
  steps: fc.Arbitrary<Steps>,
  run: (setup: () => { model: Model; real: Real }, given: Steps) => unknown,
): Promise<void> {
  const seen = new Map<string, number>();
  const property = fc.asyncProperty(options, steps, async ({ failures, cooldownMs }, given) => {
    const model = new Model(failures, cooldownMs);
    const real = new Real(model);
    await run(() => ({ model, real }), given);
    await real.expectTold(model);
    for (const event of model.told) seen.set(event, (seen.get(event) ?? 0) + 1);
  });
  const runs = propertySettings(1500);
  await fc.assert(property, runs);
  // It has been everywhere, and often.
  for (const event of ['break', 'half-open', 'reset']) {
    expect(seen.get(event)).toBeGreaterThan(runs.numRuns! / 4);
  }
}

describe('a breaker is as its model says at every moment, and tells each change', () => {
  it(
    'from turn to turn of the event loop',
    () => holds(inManyTurns, fc.asyncModelRun),
    TEST_LIMIT_MS,
  );

  it('where all of it happens in one turn', () => holds(inOneTurn, fc.modelRun), TEST_LIMIT_MS);
});
