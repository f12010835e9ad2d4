import type { EventEmitter } from 'node:events';
import { inspect, types } from 'node:util';
import type { Target, TinyProxy } from '../index.js';
import { checkDiscovery } from './check-options.js';
import { type DiscoveredTarget, Priorities } from './priorities.js';

/** What a source is told. */
export interface SourceContext {
  /** Aborted when the answer is not waited for any more. */
  readonly signal: AbortSignal;
}

/** Answers the backends that there are now, all of them. */
export type Source = (
  context: SourceContext,
) => readonly (Target | DiscoveredTarget)[] | Promise<readonly (Target | DiscoveredTarget)[]>;

/** Of `discover()`. */
export interface DiscoveryOptions {
  /** Milliseconds from one look to the next. Default 10000. */
  refresh?: number;
  /** By what share of it, at random, a look comes sooner: many processes shall not ask at once. Default 0.1. */
  jitter?: number;
  /** Milliseconds that an answer is waited for. Default 5000. */
  timeout?: number;
  /** The first of looks that fail; the last good list stays in force. There is a process warning, too. */
  onError?: (error: Error) => void;
  /** The first look that succeeds after that. */
  onRecovery?: () => void;
}

/** What `discover()` answers. */
export interface Discovery {
  /** Looks now, or joins the look that is under way. Resolves when it is over, however it went. */
  refresh(): Promise<void>;
  /** Looks no more; the backends stay as they are. */
  close(): void;
}

/** Characters of a warning. */
const MOST_SHOWN = 500;

const DEFAULTS = { refresh: 10_000, jitter: 0.1, timeout: 5000 };

/** What may change who of the list is available. */
const NEWS = ['break', 'half-open', 'reset', 'unhealthy', 'healthy'];

/** One a proxy: two would undo each other's work. */
const discovered = new WeakSet<TinyProxy>();

/**
 * Keeps the backends of a proxy as `source` has them, from now on: {@link fromDns}, {@link fromSrv}, or
 * a function of yours. It ends with the proxy's `close()`, and keeps no process alive.
 *
 * @throws {TypeError} that names a wrong option, its value and a right one; for a proxy that has one, or is closed.
 */
export function discover(
  proxy: TinyProxy,
  source: Source,
  options: DiscoveryOptions = {},
): Discovery {
  checkDiscovery(proxy, source, options);
  if (discovered.has(proxy))
    throw new TypeError('discover: the proxy has a source already; close() that one first');
  discovered.add(proxy);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const watch = new Watch(proxy, source, { ...DEFAULTS, ...Object.fromEntries(given) });
  void watch.refresh();
  return { refresh: () => watch.refresh(), close: () => watch.close() };
}

class Watch {
  readonly #priorities: Priorities;
  #looking: Promise<void> | null = null;
  /** Of the look under way. */
  #asking: AbortController | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isFailing = false;
  #isClosed = false;

  constructor(
    private readonly proxy: TinyProxy,
    private readonly source: Source,
    private readonly options: DiscoveryOptions & typeof DEFAULTS,
  ) {
    this.#priorities = new Priorities(proxy);
    const events = proxy.events as EventEmitter;
    events.on('close', this.close);
    for (const event of NEWS) events.on(event, this.#onNews);
  }

  refresh(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  readonly close = (): void => {
    if (this.#isClosed) return;
    this.#isClosed = true;
    discovered.delete(this.proxy);
    clearTimeout(this.#timer);
    this.#asking?.abort(new Error('closed'));
    const events = this.proxy.events as EventEmitter;
    events.off('close', this.close);
    for (const event of NEWS) events.off(event, this.#onNews);
  };

  async #look(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      const targets = await this.#ask();
      if (this.#isClosed) return;
      this.#priorities.take(targets);
      this.#recover();
    } catch (thrown) {
      if (this.#isClosed) return;
      this.#fail(asError(thrown));
    }
    const { refresh, jitter } = this.options;
    const waitMs = refresh * (1 - jitter * Math.random());
    this.#timer = setTimeout(() => void this.refresh(), waitMs).unref();
  }

  /** @throws what the source throws, or when it takes too long. */
  async #ask(): Promise<Awaited<ReturnType<Source>>> {
    const { timeout } = this.options;
    const asking = new AbortController();
    this.#asking = asking;
    const { signal } = asking;
    const late = (): void => asking.abort(new Error(`no answer within ${timeout} ms`));
    const timer = setTimeout(late, timeout).unref();
    try {
      return await new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        Promise.resolve({ signal }).then(this.source).then(resolve, reject);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** A breaker, say: the next priority may have to join, or may go. */
  readonly #onNews = (): void => this.#priorities.look();

  #fail(error: Error): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    const { length } = this.proxy.status().backends;
    warn(`the last good list stays in force (backends: ${length}): ${error.message}`);
    void tell('onError', () => this.options.onError?.(error));
  }

  #recover(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    warn(`the source answers again (backends: ${this.proxy.status().backends.length})`);
    void tell('onRecovery', () => this.options.onRecovery?.());
  }
}

const UNTOLD = 'what cannot be told';

/** One line about a thrown value, whatever it is: showing it may throw, too. */
function describe(thrown: unknown): string {
  try {
    if (!types.isNativeError(thrown)) return inspect(thrown, { depth: 0 }).split('\n', 1)[0]!;
    return `${String(thrown.name)}: ${String(thrown.message)}`.split('\n', 1)[0]!;
  } catch {
    return UNTOLD;
  }
}

function asError(thrown: unknown): Error {
  const told = describe(thrown);
  const isError = types.isNativeError(thrown) && told !== UNTOLD;
  return isError && typeof thrown.message === 'string' ? thrown : new Error(told);
}

/** One of the user's that throws does no harm, nor one whose promise is rejected. */
async function tell(hook: string, run: () => unknown): Promise<void> {
  try {
    await run();
  } catch (thrown) {
    warn(`${hook} threw: ${describe(thrown)}`);
  }
}

function warn(message: string): void {
  const about = { type: 'TinyProxyWarning', code: 'TINY_PROXY_DISCOVERY' };
  // An error of the source's may quote the bytes of whoever has answered it.
  const shown = message.slice(0, MOST_SHOWN).replace(/[\p{Cc}\u2028\u2029]/gu, '.');
  process.emitWarning(`discover: ${shown}`, about);
}
