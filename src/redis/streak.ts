/** Replicas of one streak that are known by name: for the log, and to be told from one alone. */
const MOST_REPLICAS = 16;

/**
 * Failures in a row at one backend, as the whole fleet sees them: one breaker that all requests went
 * through would count so. Anybody's success ends it.
 */
export class Streak {
  count = 0;
  readonly #replicas = new Set<string>();

  add(replica: string): void {
    this.count++;
    if (this.#replicas.size < MOST_REPLICAS) this.#replicas.add(replica);
  }

  end(): void {
    this.count = 0;
    this.#replicas.clear();
  }

  hasOthersThan(replica: string): boolean {
    return this.#replicas.size > (this.#replicas.has(replica) ? 1 : 0);
  }

  get replicas(): readonly string[] {
    return [...this.#replicas];
  }
}
