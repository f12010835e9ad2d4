// Whatever a test starts is closed after that test, by the hook at the end of this file. So start
// servers in a test or in `beforeEach`: what `beforeAll` starts is gone after the first test.
import { afterEach } from '@jest/globals';
import { within } from './wait.js';

const CLOSE_LIMIT_MS = 2000;
const closers = new Set<() => unknown>();

/** Calls `close` after the test (and awaits it). The function it answers takes that back. */
export function closeAfterTest(close: () => unknown): () => void {
  closers.add(close);
  return () => {
    closers.delete(close);
  };
}

/** Closes all that is still open, the newest first. Runs after every test by itself. */
export async function closeAll(): Promise<void> {
  const failures: unknown[] = [];
  const newestFirst = [...closers].reverse();
  closers.clear();
  for (const close of newestFirst) {
    try {
      const closed = Promise.resolve().then(close);
      await within(closed, `the end of ${close.toString()}`, CLOSE_LIMIT_MS);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, failures.join('; '));
}

afterEach(closeAll);
