import { randomBytes } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import type { TinyProxy, TinyProxyEvents } from '../index.js';
import { checkSharedOptions } from './check-options.js';
import { Link } from './link.js';
import { read, type Unread, write } from './message.js';
import { type Fleet, SharedBreaker } from './shared-breaker.js';

/** A client of `redis` (node-redis 4, 5 or 6), as `createClient()` makes it. */
export interface RedisClient {
  /** It is connected, or connecting again. */
  readonly isOpen: boolean;
  /** It is connected. */
  readonly isReady: boolean;
  /** Of a duplicate: asked once. */
  connect(): Promise<unknown>;
  /** Another client with the same settings, which messages come by. */
  duplicate(): unknown;
  /** Sends one command, and answers its reply. */
  sendCommand(args: string[]): Promise<unknown>;
}

/** Of `shareBreakers()`. */
export interface SharedBreakersOptions {
  /**
   * Connected. It stays the user's, and stays open; messages come by a connection of its
   * `duplicate()`. Required.
   */
  client: RedisClient;
  /**
   * What the keys and the channel begin with: the same for the replicas of one proxy, another for
   * each other proxy that uses the same Redis. `'orders:'`, say. Required.
   */
  prefix: string;
  /** So many failures of a backend in a row, in the whole fleet, open its breakers. Default 5. */
  failures?: number;
}

/** What `status()` of shared breakers answers. */
export interface SharedBreakersStatus {
  /** Its name to the others, as their events and logs have it: `host:pid/random`. */
  replica: string;
  /** `false`: Redis is out of reach, and this replica is alone. */
  joined: boolean;
  /** Breakers that were opened, or kept open, on the word of others. */
  opened: number;
  /** Breakers that were closed on the word of another. */
  closed: number;
  /** Words that our own experience speaks against. */
  refused: number;
  /** Messages that could not be read. */
  ignored: number;
}

/** What `shareBreakers()` answers. */
export interface SharedBreakers {
  /** A snapshot; plain JSON. */
  status(): SharedBreakersStatus;
  /** The proxy is alone from then on; the client stays open. Always resolves. */
  close(): Promise<void>;
}

const sharing = new WeakSet<TinyProxy>();

/**
 * Shares a proxy's breakers with those of its replicas, over Redis: what one has found, all know. No
 * request waits for Redis, or fails by it. It ends with the proxy.
 *
 * @throws {TypeError} that names what is wrong, its value and a right one; for a proxy that is closed.
 */
export function shareBreakers(proxy: TinyProxy, options: SharedBreakersOptions): SharedBreakers {
  checkSharedOptions(proxy, options);
  if (sharing.has(proxy)) throw new TypeError('shareBreakers: this proxy shares them already');
  sharing.add(proxy);
  const { client, prefix, failures = 5 } = options;
  const me = hostname()
    .replace(/[^\w.-]/g, '_')
    .slice(0, 64);
  const replica = `${me}:${process.pid}/${randomBytes(4).toString('hex')}`;
  const channel = `${prefix}breakers`;
  const counts = { opened: 0, closed: 0, refused: 0, ignored: 0 };
  const breakers = new Breakers(proxy, (target) => new SharedBreaker(fleet, target));
  const onMessage = receiver(replica, breakers, (why) => {
    counts.ignored++;
    return `shareBreakers: a message on "${channel}" is ignored: it is ${why}`;
  });
  const link = new Link(client, channel, {
    onMessage,
    onChange: (trouble) => warn(`shareBreakers: ${changeOf(trouble)} (prefix "${prefix}")`),
  });
  const fleet: Fleet = {
    ...{ proxy, link, me: replica, failures, counts },
    leaseOf: (target) => `${prefix}probe:${target}`,
    tell: (target, word) => void link.send(['PUBLISH', channel, write(replica, target, word)]),
  };
  for (const { url } of proxy.status().backends) breakers.of(url);
  const removeListeners = listen(proxy, breakers, () => void close());
  async function close(): Promise<void> {
    removeListeners();
    breakers.stop();
    sharing.delete(proxy);
    await link.close();
  }
  return {
    status: () => ({ replica, joined: link.joined, ...counts }),
    close,
  };
}

/** The shared breakers of one proxy, by the URLs of its backends. */
class Breakers {
  readonly #all = new Map<string, SharedBreaker>();

  constructor(
    private readonly proxy: TinyProxy,
    private readonly create: (target: string) => SharedBreaker,
  ) {}

  /** Null where it is no backend. */
  of(target: string): SharedBreaker | null {
    const known = this.#all.get(target);
    if (known !== undefined) return known;
    const targets = this.proxy.status().backends.map(({ url }) => url);
    if (!targets.includes(target)) return null;
    for (const [url, breaker] of this.#all) {
      if (targets.includes(url)) continue;
      breaker.stop();
      this.#all.delete(url);
    }
    const created = this.create(target);
    this.#all.set(target, created);
    return created;
  }

  stop(): void {
    for (const breaker of this.#all.values()) breaker.stop();
    this.#all.clear();
  }
}

/** Each reason to ignore a message is told once. */
function receiver(replica: string, breakers: Breakers, onUnread: (why: Unread) => string) {
  const told = new Set<Unread>();
  return function onMessage(text: unknown): void {
    const message = read(text);
    if (typeof message === 'object' && message.from === replica) return;
    const breaker = typeof message === 'object' ? breakers.of(message.backend) : null;
    if (typeof message === 'object' && breaker !== null) return breaker.onMessage(message);
    const why = typeof message === 'object' ? 'about an unknown backend' : message;
    const warning = onUnread(why);
    if (told.has(why)) return;
    told.add(why);
    warn(warning);
  };
}

/** Answers the function that removes the listeners. */
function listen(proxy: TinyProxy, breakers: Breakers, onClose: () => void): () => void {
  const listeners: { [E in keyof TinyProxyEvents]?: (told: TinyProxyEvents[E][0]) => void } = {
    hop: (told) => breakers.of(told.target)?.onHop(told),
    break: (told) => breakers.of(told.target)?.onBreak(told),
    'half-open': (told) => breakers.of(told.target)?.onHalfOpen(),
    reset: (told) => breakers.of(told.target)?.onReset(told),
    close: onClose,
  };
  const events = proxy.events as EventEmitter;
  for (const [event, listener] of Object.entries(listeners)) events.on(event, listener);
  return function removeListeners() {
    for (const [event, listener] of Object.entries(listeners)) events.off(event, listener);
  };
}

function changeOf(trouble: string | null): string {
  if (trouble === null) return 'Redis is back, breakers are shared again';
  return `Redis is out of reach, this replica is alone: ${trouble}`;
}

function warn(message: string): void {
  process.emitWarning(message, { type: 'TinyProxyWarning', code: 'TINY_PROXY_REDIS' });
}
