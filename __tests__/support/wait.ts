// Waiting for conditions, never for time. The timers are taken from node:timers, so that a test
// with fake timers can still wait.
import { type EventEmitter, once as nextEvent } from 'node:events';
import { Writable } from 'node:stream';
import { clearTimeout, setImmediate, setTimeout } from 'node:timers';

const QUICK_LOOKS = 50;
const SLOW_LOOK_MS = 5;

/** Resolves as soon as `condition()` is truthy; rejects after `limitMs`, naming `what`. */
export async function until(
  condition: () => unknown,
  what: string = condition.toString(),
  limitMs = 10_000,
): Promise<void> {
  let late = false;
  const limit = setTimeout(() => {
    late = true;
  }, limitMs);
  try {
    for (let looks = 0; !condition(); looks += 1) {
      if (late) throw new Error(`waited ${limitMs} ms in vain for: ${what}`);
      await new Promise<void>((resolve) => {
        if (looks < QUICK_LOOKS) setImmediate(resolve);
        else setTimeout(resolve, SLOW_LOOK_MS);
      });
    }
  } finally {
    clearTimeout(limit);
  }
}

/**
 * Two turns of the event loop: what was written before has been read by whoever reads it in this
 * process. A reset must come later than that, because libuv reports data and a reset that it finds
 * together as data and a clean end.
 */
export async function delivery(): Promise<void> {
  for (let turns = 0; turns < 2; turns += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** What a counter says when it has stopped counting. */
export async function standstill(count: () => number): Promise<number> {
  let last = -1;
  let still = 0;
  await until(() => {
    const now = count();
    still = now === last && now > 0 ? still + 1 : 0;
    last = now;
    return still === 70;
  }, 'the counter to stand still');
  return last;
}

/** The promise itself, but rejected after `limitMs`, naming `what`. */
export async function within<T>(promise: Promise<T>, what: string, limitMs = 10_000): Promise<T> {
  let limit: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new Error(`waited ${limitMs} ms in vain for: ${what}`);
    limit = setTimeout(() => reject(error), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(limit);
  }
}

/** The arguments of the next `event`; rejected when an `error` comes first, or nothing does. */
export async function once<Args extends unknown[] = unknown[]>(
  emitter: Pick<EventEmitter, 'on' | 'once' | 'removeListener'>,
  event: string,
  limitMs = 10_000,
): Promise<Args> {
  const gaveUp = new AbortController();
  const { signal } = gaveUp;
  const happened = nextEvent(emitter as EventEmitter, event, { signal }) as Promise<Args>;
  try {
    return await within(happened, `the event '${event}'`, limitMs);
  } finally {
    happened.catch(() => {});
    gaveUp.abort();
  }
}

/** For a test that is about a time limit only: so long nothing has happened, and nothing should. */
export function timePasses(ms: number): Promise<void> {
  const begun = performance.now();
  return until(() => performance.now() - begun >= ms, `${ms} ms`, ms + 5000);
}

/** A gate that a test opens when it wants: `heldUntil(gate.opened, reply(200))`. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

/** A closed gate. */
export function gate(): Gate {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** A writable that keeps what is written as whole lines, without their line feeds. */
export class MemoryStream extends Writable {
  readonly lines: string[] = [];
  #rest = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const lines = (this.#rest + chunk.toString()).split('\n');
    this.#rest = lines.pop() ?? '';
    this.lines.push(...lines);
    done();
  }
}

/** A stream for a logger; read its `lines`. */
export function memoryStream(): MemoryStream {
  return new MemoryStream();
}
