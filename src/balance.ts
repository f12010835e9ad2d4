import type { Request } from 'express';
import { atOnce, hookError, ProxyError } from './errors.js';
import type { BalanceFunction, Candidate } from './options.js';

/** Who of the candidates is next. */
export type Balance = <B extends Balanced>(candidates: readonly B[], req: Request) => B;

/** A backend, as far as it matters here. */
export interface Balanced extends Omit<Candidate, 'url'> {
  readonly label: string;
  /** Smooth weighted round-robin's running credit. */
  credit: number;
}

export function compileBalance(
  balance: 'round-robin' | 'least-pending' | 'random-two' | BalanceFunction,
): Balance {
  if (typeof balance === 'function') return byFunction(balance);
  if (balance === 'least-pending') return leastPending;
  return balance === 'random-two' ? randomTwo : roundRobin;
}

/** nginx's smooth weighted round-robin: a heavy backend's turns are spread, not bunched. */
function roundRobin<B extends Balanced>(candidates: readonly B[]): B {
  let best = candidates[0]!;
  if (candidates.length === 1) return best;
  let total = 0;
  for (const backend of candidates) {
    total += backend.weight;
    backend.credit += backend.weight;
    if (backend.credit > best.credit) best = backend;
  }
  best.credit -= total;
  return best;
}

/** Ties go round, so that an idle pool does not lean on its first backend. */
function leastPending<B extends Balanced>(candidates: readonly B[]): B {
  const least = Math.min(...candidates.map(load));
  return roundRobin(candidates.filter((backend) => load(backend) === least));
}

/** The power of two choices: two at random by weight, the less loaded of them. */
function randomTwo<B extends Balanced>(candidates: readonly B[]): B {
  if (candidates.length === 1) return candidates[0]!;
  const first = randomOne(candidates);
  const second = randomOne(candidates.filter((backend) => backend !== first));
  return load(second) < load(first) ? second : first;
}

function randomOne<B extends Balanced>(candidates: readonly B[]): B {
  let at = Math.random() * candidates.reduce((sum, backend) => sum + backend.weight, 0);
  for (const backend of candidates) {
    at -= backend.weight;
    if (at < 0) return backend;
  }
  return candidates[0]!;
}

function load(backend: Balanced): number {
  return backend.inFlight / backend.weight;
}

function byFunction(balance: BalanceFunction): Balance {
  return function chooseByFunction(candidates, req) {
    const views: Candidate[] = candidates.map(({ label, weight, inFlight }) => ({
      url: label,
      weight,
      inFlight,
    }));
    let chosen: Candidate;
    try {
      chosen = atOnce(balance(req, views));
    } catch (thrown) {
      const { message } = hookError('balance', thrown);
      throw new ProxyError('BALANCE_FAILED', { message, cause: thrown });
    }
    const backend = candidates[views.indexOf(chosen)];
    if (backend !== undefined) return backend;
    throw new ProxyError('BALANCE_FAILED', {
      message: 'balance must answer one of the candidates that it is given',
    });
  };
}
