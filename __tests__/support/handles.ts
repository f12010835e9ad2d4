// What keeps a process alive: its open sockets and servers, its timers.
import { runInThisContext } from 'node:vm';
import { expect } from '@jest/globals';
import { delivery } from './wait.js';

// A test's own `process` is jest's copy.
const realProcess = runInThisContext('process') as NodeJS.Process;

/** What keeps the process alive, sorted. */
export function openHandles(): string[] {
  return realProcess
    .getActiveResourcesInfo()
    .filter((name) => name !== 'Immediate')
    .sort();
}

/** Looks until it holds, for 3 s at most, without a timer: what runs the tests has some, too, for a while. */
export async function inTime(holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 3000;
  while (!holds() && performance.now() < giveUpAt) await delivery();
}

/** Looks until nothing is open but that: no timer of a test's own is to be among it. */
export async function expectNothingBut(expected: string[]): Promise<void> {
  const others = (): string[] => {
    const left = [...expected];
    return openHandles().filter(
      (name) => !left.includes(name) || !left.splice(left.indexOf(name), 1),
    );
  };
  await inTime(() => others().length === 0);
  expect(others()).toEqual([]);
}
