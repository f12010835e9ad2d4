import type { TinyProxy } from '../index.js';
import { checkHealthOptions } from './check-options.js';
import { sendCheck } from './send-check.js';

/** Of `checkHealth()`. */
export interface HealthOptions {
  /** What is asked by GET, as it stands: a path in `target` is not put before it. Required. */
  path: string;
  /** Milliseconds from the end of one check to the next, less up to a tenth at random. Default 10000. */
  interval?: number;
  /** Milliseconds for one check, from its connection to the head of its response. Default 2000. */
  timeout?: number;
  /** So many checks in a row must succeed for an unhealthy backend to be healthy. Default 2. */
  rise?: number;
  /** So many must fail for a healthy one to be unhealthy. Default 3. */
  fall?: number;
  /** Whether a status is that of a success. Default `status < 400`. */
  expect?: (status: number) => boolean;
  /** Go along with each check. `Host` is the backend's own, unless it is among them. */
  headers?: Record<string, string>;
}

const DEFAULTS = {
  interval: 10_000,
  timeout: 2000,
  rise: 2,
  fall: 3,
  expect: (status: number) => status < 400,
  headers: {},
};

export type Checks = Required<HealthOptions>;

/** By which share of the interval, at random, a check comes sooner: backends are not to be asked in step. */
const JITTER = 0.1;
/** The first check of a backend comes within so many milliseconds. */
const FIRST_MS = 1000;

/** Once a proxy: two would undo each other's work. */
const checked = new WeakSet<TinyProxy>();

/**
 * Asks each backend of a proxy, again and again, whether it is well, and tells the proxy. Every
 * backend is healthy until `fall` checks have failed. It follows `setTargets()`, ends with the proxy's
 * `close()`, and keeps no process alive. Answers the function that ends it: all are healthy then.
 *
 * @throws {TypeError} that names a wrong option, its value and a right one; for a proxy that is closed,
 *   or checked already.
 */
export function checkHealth(proxy: TinyProxy, options: HealthOptions): () => void {
  checkHealthOptions(proxy, options);
  if (checked.has(proxy))
    throw new TypeError('checkHealth: the proxy is checked already; end those checks first');
  checked.add(proxy);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const checks: Checks = { ...DEFAULTS, path: options.path, ...Object.fromEntries(given) };
  const patients = new Map<string, Patient>();

  /** What an event tells may be old already: a listener before us has set other targets since. */
  function follow({ added }: { added: string[] }): void {
    const urls = urlsOf(proxy);
    for (const [url, patient] of patients) {
      // One that has left and come back meanwhile is another.
      if (urls.includes(url) && !added.includes(url)) continue;
      patient.leave();
      patients.delete(url);
    }
    for (const url of urls) {
      if (!patients.has(url)) patients.set(url, new Patient(proxy, url, checks));
    }
  }

  let isOver = false;
  function stopChecking(): void {
    if (isOver) return;
    isOver = true;
    checked.delete(proxy);
    proxy.events.off('targets', follow).off('close', stopChecking);
    const urls = [...patients.keys()];
    for (const patient of patients.values()) patient.leave();
    patients.clear();
    // Whoever hears that one is healthy may take another away: fail-over, for one.
    for (const url of urls)
      if (urlsOf(proxy).includes(url)) proxy.setHealthy(url, true, 'checked no more');
  }
  proxy.events.on('targets', follow).on('close', stopChecking);
  follow({ added: [] });
  return stopChecking;
}

const urlsOf = (proxy: TinyProxy): string[] => proxy.status().backends.map(({ url }) => url);

/** One backend, and what its checks have found. */
class Patient {
  #healthy = true;
  /** Checks in a row that speak against its present state. */
  #against = 0;
  #timer: NodeJS.Timeout | undefined;
  #endCheck: (() => void) | null = null;

  constructor(
    private readonly proxy: TinyProxy,
    private readonly url: string,
    private readonly checks: Checks,
  ) {
    this.#wait(Math.min(checks.interval, FIRST_MS) * Math.random());
  }

  leave(): void {
    clearTimeout(this.#timer);
    this.#endCheck?.();
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => this.#check(), ms).unref();
  }

  #check(): void {
    const { proxy, url, checks } = this;
    this.#endCheck?.(); // the body of the one before may still come
    const hear = (failure: string | null): void => {
      this.#wait(checks.interval * (1 - JITTER * Math.random()));
      this.#hear(failure);
    };
    let dialled: ReturnType<TinyProxy['dial']>;
    try {
      dialled = proxy.dial(url);
    } catch (thrown) {
      const { code, message } = thrown as NodeJS.ErrnoException;
      return hear(code ?? message); // of a wrong certificate in `ssl`, say
    }
    this.#endCheck = sendCheck(dialled, checks, hear);
  }

  #hear(failure: string | null): void {
    const { rise, fall } = this.checks;
    if (this.#healthy === (failure === null)) {
      this.#against = 0;
      return;
    }
    const most = this.#healthy ? fall : rise;
    if (++this.#against < most) return;
    this.#against = 0;
    this.#healthy = !this.#healthy;
    const checks = most === 1 ? 'the check has' : `${most} checks in a row have`;
    const reason = failure === null ? `${checks} succeeded` : `${checks} failed: ${failure}`;
    this.proxy.setHealthy(this.url, this.#healthy, reason);
  }
}
