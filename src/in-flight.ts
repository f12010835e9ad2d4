/** The requests of one proxy that are not over, and its end, which waits for them. */
export class InFlight {
  readonly #requests = new Set<{ cut(): void }>();
  readonly #waiting: (() => void)[] = [];
  /** Ever. */
  total = 0;
  /** New requests are refused. */
  closing = false;

  get size(): number {
    return this.#requests.size;
  }

  enter(request: { cut(): void }): void {
    this.total++;
    this.#requests.add(request);
  }

  /** Answers whether it was still here. */
  leave(request: { cut(): void }): boolean {
    const left = this.#requests.delete(request);
    if (this.size === 0) for (const resolve of this.#waiting.splice(0)) resolve();
    return left;
  }

  /** Resolves when all are over; what is not over after `graceMs` is cut. */
  async end(graceMs: number): Promise<void> {
    this.closing = true;
    const cutAll = (): void => {
      for (const request of this.#requests) request.cut();
    };
    const timer = setTimeout(cutAll, Math.min(Math.max(0, graceMs || 0), 2 ** 31 - 1));
    if (this.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    clearTimeout(timer);
  }
}
