// @ts-check
/**
 * A fleet of proxies in front of the same backends, some of which are sick from the first moment on.
 * The pool, the breakers, the retries and their budget are this package's own: they take the time as
 * an argument, and here it runs as fast as it can. Chance comes from a seed.
 *
 * Sharing, where there is any, is built on what the package shows to everybody: whoever trips first
 * tells the others, who drain the backend until he tells them that his probe was answered.
 */
import { Agenda } from './agenda.js';
import { nothingYet } from './outcome.js';
import { seeded } from './random.js';

/**
 * @typedef {object} Parts of the package: from dist, or from src in its tests
 * @property {typeof import('../../src/backends.js').BackendPool} BackendPool
 * @property {typeof import('../../src/retry.js').Retries} Retries
 * @property {typeof import('../../src/retry.js').Trail} Trail
 * @property {typeof import('../../src/retry.js').SENT} SENT
 * @property {typeof import('../../src/retry-budget.js').RetryBudget} RetryBudget
 * @property {typeof import('../../src/validate-options.js').resolveOptions} resolveOptions
 */

/**
 * @typedef {object} Scenario
 * @property {number} replicas of the proxy
 * @property {number} backends
 * @property {number} sick how many of them are
 * @property {number} sickness the share of their attempts that fail
 * @property {boolean} breakers whether there are any
 * @property {boolean} shared whether a breaker that trips is told to the other replicas; for one sick backend
 * @property {boolean} budget whether retries have one
 * @property {number} perSecond requests to the whole fleet
 * @property {number} seconds
 * @property {number} seed
 */

/** @typedef {import('./outcome.js').Outcome} Outcome */

/** A tenth of the requests may not be sent again. */
const WRITES = 0.1;
/** Of an attempt, and as much again at most. */
const ATTEMPT_MS = 20;
/** Until a message has reached the other replicas. */
export const NEWS_MS = 50;

/**
 * @param {Parts} parts
 * @param {Scenario} scenario
 * @returns {Outcome}
 */
export function simulate(parts, scenario) {
  const { random } = Math;
  // What the package leaves to chance, a backoff's jitter, is to come from the seed, too.
  Math.random = seeded(scenario.seed);
  try {
    return new Fleet(parts, scenario).run();
  } finally {
    Math.random = random;
  }
}

/** @typedef {import('../../src/backends.js').Backend} Backend */
/** @typedef {import('express').Request} Request */

/**
 * @typedef {object} Replica
 * @property {import('../../src/backends.js').BackendPool} pool
 * @property {import('../../src/retry.js').Retries} retries
 * @property {import('../../src/retry-budget.js').RetryBudget | null} budget
 * @property {Backend} sick the first that is
 * @property {boolean} isOpen its breaker of the sick backend, when it was last looked at
 * @property {(() => void) | null} undrain
 */

/**
 * @typedef {object} Exchange a request at its replica
 * @property {Replica} replica
 * @property {Request} req
 * @property {import('../../src/retry.js').Trail} trail
 * @property {number} attempts
 */

class Fleet {
  #agenda = new Agenda();
  #outcome = nothingYet();
  /** @type {Replica | null} who has told the others, and probes for all */
  #prober = null;

  /**
   * @param {Parts} parts
   * @param {Scenario} scenario
   */
  constructor(parts, scenario) {
    this.parts = parts;
    this.scenario = scenario;
    const { resolveOptions } = parts;
    const names = Array.from({ length: scenario.backends }, (_, i) => `http://b${i}.example`);
    this.options = resolveOptions({
      target: names,
      log: false,
      breaker: scenario.breakers,
      retry: scenario.budget ? {} : { budget: false },
    });
    this.replicas = Array.from({ length: scenario.replicas }, () => this.#replica());
  }

  /** @returns {Replica} */
  #replica() {
    const { BackendPool, Retries, RetryBudget } = this.parts;
    const { retry } = this.options;
    const pool = new BackendPool(this.options, () => {});
    const budget = retry?.budget ? new RetryBudget(retry.budget) : null;
    // They have not all begun at the same time: each stands somewhere else in its round.
    for (const backend of pool.all) backend.credit = Math.random();
    const sick = /** @type {Backend} */ (pool.all[0]);
    const retries = new Retries(retry, pool, budget);
    return { pool, retries, budget, sick, isOpen: false, undrain: null };
  }

  run() {
    const { perSecond, seconds } = this.scenario;
    const end = seconds * 1000;
    for (let at = this.#gap(perSecond); at < end; at += this.#gap(perSecond)) {
      this.#agenda.put(at, (now) => this.#arrive(now));
    }
    this.#agenda.run();
    const outcome = this.#outcome;
    if (outcome.safeAfterMs === null) outcome.failedUntilSafe = outcome.failedAttempts;
    const { backends, sick } = this.scenario;
    outcome.sickLoad = (outcome.sickAttempts * backends) / (outcome.requests * sick);
    return outcome;
  }

  /**
   * Milliseconds between requests that know nothing of each other.
   * @param {number} perSecond
   */
  #gap(perSecond) {
    return (-Math.log(1 - Math.random()) * 1000) / perSecond;
  }

  /** @param {number} now */
  #arrive(now) {
    const chosen = Math.floor(Math.random() * this.replicas.length);
    const replica = /** @type {Replica} */ (this.replicas[chosen]);
    const method = Math.random() < WRITES ? 'POST' : 'GET';
    const req = /** @type {Request} */ ({ method });
    this.#outcome.requests++;
    replica.budget?.deposit(now);
    const candidates = replica.pool.candidates(now);
    if (candidates.length === 0) return this.#over(false);
    const backend = replica.pool.choose(candidates, req);
    const exchange = { replica, req, trail: new this.parts.Trail(), attempts: 0 };
    this.#send(exchange, backend, backend.enter(), now);
  }

  /**
   * @param {Exchange} exchange
   * @param {Backend} backend
   * @param {number} ticket
   * @param {number} now
   */
  #send(exchange, backend, ticket, now) {
    const isSick = exchange.replica.pool.all.indexOf(backend) < this.scenario.sick;
    exchange.attempts++;
    this.#outcome.attempts++;
    if (isSick) this.#outcome.sickAttempts++;
    const fails = isSick && Math.random() < this.scenario.sickness;
    const takesMs = ATTEMPT_MS * (1 + Math.random());
    this.#agenda.put(now + takesMs, (end) => {
      if (fails) this.#fail(exchange, backend, ticket, end);
      else this.#succeed(exchange.replica, backend, ticket, end);
    });
  }

  /**
   * @param {Replica} replica
   * @param {Backend} backend
   * @param {number} ticket
   * @param {number} now
   */
  #succeed(replica, backend, ticket, now) {
    backend.breaker?.success(ticket);
    backend.leave(ticket);
    this.#look(replica, now);
    this.#over(true);
  }

  /**
   * @param {Exchange} exchange
   * @param {Backend} backend
   * @param {number} ticket
   * @param {number} now
   */
  #fail(exchange, backend, ticket, now) {
    const { replica, req, trail, attempts } = exchange;
    this.#outcome.failedAttempts++;
    backend.fail(ticket, '500', now);
    this.#look(replica, now);
    trail.tried.add(backend);
    const plan = replica.retries.plan({
      req,
      trail,
      attempts,
      now,
      failure: this.parts.SENT,
      replayable: replica.retries.isReplayable(req),
      bodyReplayable: true,
      upgrade: false,
      requestLeftMs: this.options.requestTimeout,
    });
    backend.leave(ticket);
    if (typeof plan === 'string') {
      if (plan === 'budget') this.#outcome.refusedRetries++;
      return this.#over(false);
    }
    if (plan.backend === null) {
      this.#agenda.put(now + plan.delayMs, (later) => this.#sendLater(exchange, later));
    } else {
      this.#outcome.retries++;
      this.#send(exchange, plan.backend, plan.ticket, now);
    }
  }

  /**
   * @param {Exchange} exchange
   * @param {number} now
   */
  #sendLater(exchange, now) {
    const { pool } = exchange.replica;
    const candidates = pool.candidates(now, exchange.trail.barred);
    if (candidates.length === 0) return this.#over(false);
    const backend = pool.choose(candidates, exchange.req);
    this.#outcome.retries++;
    this.#send(exchange, backend, backend.enter(), now);
  }

  /** @param {boolean} isGood */
  #over(isGood) {
    if (isGood) this.#outcome.answered++;
    else this.#outcome.failedRequests++;
  }

  /**
   * Has its breaker changed?
   * @param {Replica} replica
   * @param {number} now
   */
  #look(replica, now) {
    const isOpen = replica.sick.breaker?.stateAt(now) === 'open';
    const isClosed = replica.sick.breaker?.stateAt(now) === 'closed';
    if (isOpen && !replica.isOpen) {
      replica.isOpen = true;
      this.#outcome.trips++;
      if (this.scenario.shared && this.#prober === null) this.#tellAll(replica, now, true);
      this.#lookIfSafe(now);
    } else if (isClosed && replica.isOpen) {
      replica.isOpen = false;
      if (replica === this.#prober) this.#tellAll(replica, now, false);
    }
  }

  /**
   * @param {Replica} teller
   * @param {number} now
   * @param {boolean} isOpen
   */
  #tellAll(teller, now, isOpen) {
    this.#prober = isOpen ? teller : null;
    this.#agenda.put(now + NEWS_MS, (later) => {
      for (const replica of this.replicas) {
        if (replica === teller) continue;
        replica.undrain?.();
        replica.undrain = isOpen ? replica.pool.drain(replica.sick.url) : null;
      }
      this.#lookIfSafe(later);
    });
  }

  /** @param {number} now */
  #lookIfSafe(now) {
    const outcome = this.#outcome;
    if (outcome.safeAfterMs !== null) return;
    if (!this.replicas.every(({ isOpen, undrain }) => isOpen || undrain !== null)) return;
    outcome.safeAfterMs = now;
    outcome.failedUntilSafe = outcome.failedAttempts;
  }
}
