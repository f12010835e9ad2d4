import type { EventEmitter } from 'node:events';
import type { TinyProxy, TinyProxyEvents } from '../index.js';
import { checkMetricsOptions } from './check-options.js';
import { type AnyRegistry, Family } from './family.js';
import { backendLabel, methodLabel, outcomeLabel, statusClass, statusLabel } from './labels.js';
import { Series } from './series.js';

/** What `collectMetrics(proxy, options)` takes. */
export interface MetricsOptions {
  /** Where the metrics go: prom-client's own `register`, or one of yours. Required. */
  register: AnyRegistry;
  /** What the names of the metrics begin with. Default `'tiny_proxy_'`. */
  prefix?: string;
  /** The value of the label `proxy`; with several proxies on a register, each needs its own. Default `'default'`. */
  name?: string;
  /**
   * Upper bounds of the histograms' buckets, in seconds, ascending; the same for all proxies of a
   * register. Default: from 0.001 to 60.
   */
  buckets?: readonly number[];
}

/** From a millisecond to the default `requestTimeout`. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const families = new WeakMap<AnyRegistry, Map<string, Family>>();

/**
 * Counts what a proxy does, for Prometheus: by its events as they come, by its `status()` when the
 * register is asked. Answers the function that takes all of it off again.
 *
 * @throws {TypeError} that names a wrong option, its value and a right one.
 */
export function collectMetrics(proxy: TinyProxy, options: MetricsOptions): () => void {
  checkMetricsOptions(proxy, options);
  const { name = 'default' } = options;
  const family = familyOf(options);
  if (family.has(name)) {
    throw new TypeError(
      `collectMetrics: option "name" must be another for each proxy of a register, for example 'orders'; got '${name}' again`,
    );
  }
  const series = new Series(name);
  family.add(name, proxy, series);
  const removeListeners = listen(proxy, countingListeners(family, series, proxy));
  setBackends(family, series, proxy);
  let collecting = true;
  return function stopCollecting() {
    if (!collecting) return;
    collecting = false;
    removeListeners();
    series.remove();
    family.remove(name);
  };
}

/** What an event tells of them may be old: a listener before us has set others since. */
function setBackends(family: Family, series: Series, proxy: TinyProxy): void {
  const backends = proxy.status().backends.map(({ url }) => backendLabel(url));
  series.setBackends(backends);
  for (const backend of backends) {
    // From 0 on: Prometheus sees no increase in the first value of a series.
    series.count(family.retries, { backend }, 0);
    series.count(family.breakerOpens, { backend }, 0);
  }
}

function familyOf({ register, prefix = 'tiny_proxy_', buckets }: MetricsOptions): Family {
  const ofRegister = families.get(register) ?? new Map<string, Family>();
  families.set(register, ofRegister);
  const known = ofRegister.get(prefix);
  if (known?.isRegistered) {
    if (buckets === undefined || String(buckets) === String(known.buckets)) return known;
    throw new TypeError(
      `collectMetrics: option "buckets" must be the same for all proxies of a register, [${known.buckets}]; got [${buckets}]`,
    );
  }
  const family = new Family(register, prefix, buckets ?? BUCKETS);
  ofRegister.set(prefix, family);
  return family;
}

/** What is counted, by the event that tells of it. */
function countingListeners(family: Family, series: Series, proxy: TinyProxy): Listeners {
  return {
    done({ req, status, ms, noRetry }) {
      const method = methodLabel(req.method);
      series.count(family.requests, { method, status: statusLabel(status) });
      series.observe(family.requestSeconds, { status: statusClass(status) }, ms / 1000);
      if (noRetry !== null) series.count(family.noRetries, { reason: noRetry });
    },
    hop({ backend, outcome, ms, status, failed }) {
      const label = outcomeLabel(outcome);
      series.count(family.attempts, { backend, outcome: label });
      // One whose client has left, or that has waited for a connection in vain, has no time to tell.
      if (failed || status !== null)
        series.observe(family.attemptSeconds, { backend, failed: String(failed) }, ms / 1000);
      if (failed) series.count(family.failures, { backend, cause: label });
    },
    retry: ({ backend }) => series.count(family.retries, { backend }),
    break: ({ backend }) => series.count(family.breakerOpens, { backend }),
    targets: () => setBackends(family, series, proxy),
  };
}

type Listeners = { [E in keyof TinyProxyEvents]?: (told: TinyProxyEvents[E][0]) => void };

/** Answers the function that removes them. */
function listen(proxy: TinyProxy, listeners: Listeners): () => void {
  const events = proxy.events as EventEmitter;
  for (const [event, listener] of Object.entries(listeners)) events.on(event, listener);
  return function removeListeners() {
    for (const [event, listener] of Object.entries(listeners)) events.off(event, listener);
  };
}
