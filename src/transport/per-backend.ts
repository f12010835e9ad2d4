import type { Backend } from '../backends.js';

/** What a transport keeps for a backend. */
interface Kept {
  /** Closes the idle connections; those in use go on. */
  dropIdle(): void;
  /** Closes them all. */
  close(): void;
}

/** What a transport keeps for each backend: made for its first attempt, closed when it is forgotten. */
export class PerBackend<K extends Kept> {
  readonly #kept = new Map<Backend, K>();

  constructor(private readonly make: (backend: Backend) => K) {}

  of(backend: Backend): K {
    const known = this.#kept.get(backend);
    if (known !== undefined) return known;
    const made = this.make(backend);
    this.#kept.set(backend, made);
    return made;
  }

  dropIdle(backend: Backend): void {
    this.#kept.get(backend)?.dropIdle();
  }

  forget(backend: Backend): void {
    this.#kept.get(backend)?.close();
    this.#kept.delete(backend);
  }

  close(): void {
    for (const kept of this.#kept.values()) kept.close();
  }
}
