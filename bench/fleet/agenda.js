// @ts-check

/** What is to happen, in the order of its time; at the same time, in the order in which it was put. */
export class Agenda {
  /** @type {{ at: number, order: number, run: (now: number) => void }[]} a binary heap */
  #heap = [];
  #count = 0;

  /**
   * @param {number} at
   * @param {(now: number) => void} run
   */
  put(at, run) {
    const heap = this.#heap;
    const added = { at, order: this.#count++, run };
    let place = heap.push(added) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(added, heap[parent])) break;
      heap[place] = /** @type {typeof added} */ (heap[parent]);
      place = parent;
    }
    heap[place] = added;
  }

  /** Runs all of it, and what it puts here meanwhile. */
  run() {
    for (let next = this.#take(); next !== undefined; next = this.#take()) next.run(next.at);
  }

  #take() {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || last === first) return first;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      const child = isBefore(heap[left + 1], heap[left]) ? left + 1 : left;
      if (!isBefore(heap[child], last)) break;
      heap[place] = /** @type {typeof last} */ (heap[child]);
      place = child;
    }
    heap[place] = last;
    return first;
  }
}

/**
 * @typedef {{ at: number, order: number }} Due
 * @param {Due | undefined} one
 * @param {Due | undefined} other
 */
function isBefore(one, other) {
  if (one === undefined) return false;
  if (other === undefined) return true;
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
