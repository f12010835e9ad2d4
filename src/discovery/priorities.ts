import { isIPv6 } from 'node:net';
import { inspect } from 'node:util';
import type { Target, TinyProxy, WeightedTarget } from '../index.js';

export interface DiscoveredTarget extends WeightedTarget {
  /**
   * The lowest is in force; when none of its backends is available (open, unhealthy, drained), those
   * of the next one join. Default 0.
   */
  priority?: number;
}

interface Group {
  readonly priority: number;
  readonly targets: Target[];
}

/** Whoever comes to read it has found nothing wrong in those before. */
const ALL_READ = new Error('all targets are read');
const UNREADABLE: Target = {
  get url(): never {
    throw ALL_READ;
  },
};

/** Those of a list that are in force, by their priorities. */
export class Priorities {
  #groups: Group[] = [];
  /** In the order of the proxy's list, which is ours. */
  #applied: string[] = [];

  constructor(private readonly proxy: TinyProxy) {}

  /** @throws {Error} for what is no list, or an empty one; {TypeError} for one that the proxy refuses. */
  take(answer: readonly (Target | DiscoveredTarget)[]): void {
    const groups = grouped(answer);
    const targets = groups.flatMap((group) => group.targets);
    // What is wrong in one that is not in force would be found when it is needed.
    if (groups.length > 1) this.#check(targets);
    const before = this.#groups;
    this.#groups = groups;
    try {
      this.#apply();
    } catch (thrown) {
      this.#groups = before;
      throw thrown;
    }
  }

  /** @throws {TypeError} as the proxy does; it puts nothing in force, for it cannot read the last one. */
  #check(targets: readonly Target[]): void {
    try {
      this.proxy.setTargets([...targets, UNREADABLE]);
    } catch (thrown) {
      if (thrown !== ALL_READ) throw thrown;
    }
  }

  /** Who is available may have changed. Of one priority all are in force, whatever they are. */
  look(): void {
    if (this.#groups.length > 1) this.#apply();
  }

  #apply(): void {
    const down = this.#down();
    const isDown = ({ targets }: Group): boolean => targets.every((each) => down.has(keyOf(each)));
    let count = 1;
    while (count < this.#groups.length && this.#groups.slice(0, count).every(isDown)) count++;
    const targets = this.#groups.slice(0, count).flatMap((group) => group.targets);
    const before = this.#applied;
    this.#applied = targets.map(keyOf); // a listener that hears of them may make us look again
    try {
      this.proxy.setTargets(targets);
    } catch (thrown) {
      this.#applied = before;
      throw thrown;
    }
  }

  /** Who of the applied ones is not available. Who is half-open has yet to prove itself. */
  #down(): Set<string> {
    const { backends } = this.proxy.status();
    if (backends.length !== this.#applied.length) return new Set(); // the list is not ours
    const isDown = (_: string, i: number): boolean => {
      const { breaker, healthy, drained } = backends[i]!;
      return breaker !== 'closed' || !healthy || drained;
    };
    return new Set(this.#applied.filter(isDown));
  }
}

function grouped(answer: readonly (Target | DiscoveredTarget)[]): Group[] {
  if (!Array.isArray(answer))
    throw new TypeError(
      `the answer must be a list such as ['http://10.0.0.7:8081']; got ${show(answer)}`,
    );
  if (answer.length === 0) throw new Error('the answer is empty');
  const groups = new Map<number, Target[]>();
  for (const each of answer) {
    const { priority, target } = split(each);
    const targets = groups.get(priority) ?? [];
    groups.set(priority, targets);
    targets.push(target);
  }
  const seen = new Set<string>();
  /** The proxy would refuse the list, and nobody is helped by that. */
  const isFirst = (target: Target): boolean => seen.size < seen.add(keyOf(target)).size;
  return [...groups]
    .sort(([a], [b]) => a - b)
    .map(([priority, targets]) => ({ priority, targets: targets.filter(isFirst) }));
}

function split(each: Target | DiscoveredTarget): { priority: number; target: Target } {
  if (typeof each !== 'object' || each === null || each instanceof URL)
    return { priority: 0, target: each };
  const { priority = 0, ...target } = each as DiscoveredTarget;
  if (Number.isSafeInteger(priority) && priority >= 0) return { priority, target };
  throw new TypeError(`priority must be an integer >= 0, for example 10; got ${show(priority)}`);
}

/** What tells it from the others, however it is written. */
function keyOf(target: Target): string {
  const isPlain = typeof target !== 'object' || target === null || target instanceof URL;
  const { url, socketPath, address }: WeightedTarget = isPlain ? { url: target } : target;
  const href = hrefOf(url ?? (socketPath && 'http://localhost'));
  const at = address && hostOf(isIPv6(address) ? `http://[${address}]` : `http://${address}`);
  return [href, socketPath, at === hostOf(href) ? undefined : at].join(' ');
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).hostname : url);

/** What is none stays as it is: the proxy will say so. */
function hrefOf(url: unknown): string {
  return URL.canParse(String(url)) ? new URL(String(url)).href : String(url);
}

function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }).slice(0, 120);
}
