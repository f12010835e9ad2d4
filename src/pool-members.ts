import { inspect } from 'node:util';
import type { Backend, BackendPool } from './backends.js';
import type { Breaker } from './breaker.js';
import type { Context } from './context.js';
import { isText } from './option-rules.js';
import type { TinyProxyOptions } from './options.js';
import { createDial } from './transport/dial.js';
import { resolveTargets } from './validate-options.js';

/** What changes the pool, or looks into it. */
export function poolMembers({ pool, transport, options, notices }: Context) {
  return {
    ...breakerMembers(pool),
    drain: (url: string | URL) => pool.drain(url),
    setTargets(target: TinyProxyOptions['target']): void {
      const replaced = pool.replace(resolveTargets(target), transport.forget);
      if (replaced === null) return;
      for (const backend of replaced.removed) transport.dropIdle(backend);
      notices.onTargets(replaced, pool.all);
    },
    setHealthy(url: string | URL, healthy: boolean, reason = ''): void {
      const backend = pool.find('setHealthy', url);
      if (typeof healthy !== 'boolean')
        throw wrong('setHealthy', 'healthy', 'true or false', healthy);
      if (reason !== '') checkReason('setHealthy', reason);
      if (backend.healthy === healthy) return;
      backend.healthy = healthy;
      notices.onHealth(backend, reason);
    },
    dial(url: string | URL) {
      const backend = pool.find('dial', url);
      const socket = createDial(backend, options)(() => {});
      return { socket, host: backend.url.host };
    },
  };
}

/** What the breakers of a pool can be told from outside. */
function breakerMembers(pool: BackendPool) {
  return {
    holdOpen(url: string | URL, ms: number, reason = 'by holdOpen()'): void {
      const backend = withBreaker(pool.find('holdOpen', url), 'holdOpen');
      const isMs = typeof ms === 'number' && ms >= 0;
      if (!isMs) throw wrong('holdOpen', 'ms', 'milliseconds >= 0, for example 10000', ms);
      checkReason('holdOpen', reason);
      const now = performance.now();
      backend.breaker.holdOpen(ms, now, reason);
      if (backend.breaker.stateAt(now) === 'open') backend.limit?.sendAway();
    },
    closeBreaker(url: string | URL, reason = 'by closeBreaker()'): void {
      const backend = withBreaker(pool.find('closeBreaker', url), 'closeBreaker');
      checkReason('closeBreaker', reason);
      backend.breaker.close(reason);
    },
  };
}

function withBreaker(backend: Backend, caller: string): Backend & { readonly breaker: Breaker } {
  if (backend.breaker !== null) return backend as Backend & { readonly breaker: Breaker };
  throw new TypeError(`${caller}: the proxy must have breakers; its option "breaker" is false`);
}

function checkReason(caller: string, reason: unknown): void {
  if (!isText(reason)) throw wrong(caller, 'reason', "a text such as 'seen by web-3'", reason);
}

function wrong(caller: string, what: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${caller}: ${what} must be ${expected}; got ${inspect(value)}`);
}
