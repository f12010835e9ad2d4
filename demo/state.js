// @ts-check
/** The whole demo at this moment, as the page is told of it. */
import { FAILURES } from './limits.js';
import { Tour } from './tour.js';
import { Watch } from './watch.js';

const SECOND_MS = 1000;

/**
 * @param {{
 *   proxy: import('express-tiny-proxy').TinyProxy,
 *   backends: readonly { state: () => string }[],
 *   load: import('./load.js').Load,
 * }} parts `backends`: none where they are the user's own
 */
export function describeDemo({ proxy, backends, load }) {
  const names = proxy.status().backends.map(({ url }) => nameOf(url));
  const watch = new Watch(proxy.events);
  const tour = new Tour(proxy, (name) => names.indexOf(name) + 1);

  /** @returns {import('./page/feed.js').DemoState} */
  function state() {
    const { requests, retries, budget, backends: all } = proxy.status();
    return {
      backends: all.map((backend, i) => {
        const name = /** @type {string} */ (names[i]);
        const { recent, probe } = watch.of(name);
        return {
          number: i + 1,
          name,
          told: backends[i]?.state() ?? null,
          breaker: backend.breaker,
          drained: backend.drained,
          probeIn: secondsUntil(backend.openUntil),
          failuresInARow: backend.consecutiveFailures,
          attempts: backend.attempts,
          failed: backend.failures,
          recent,
          probe,
        };
      }),
      failures: FAILURES,
      requests,
      retries,
      retriesLeft: budget?.left ?? null,
      load: { perSecond: load.perSecond, paused: load.paused },
      seen: tour.seen,
    };
  }

  return { state, tour };
}

/** @param {string} url */
function nameOf(url) {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
}

/** @param {string | null} time */
function secondsUntil(time) {
  return time === null ? null : Math.ceil((Date.parse(time) - Date.now()) / SECOND_MS);
}
