// What is alive. RSS would tell of garbage, too, and how much of it V8 lets lie is its own affair.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export const MB = 1_048_576;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What is in use, in bytes: on V8's heap and beside it, in buffers and in what nghttp2 keeps. */
export function bytesInUse(): number {
  // The buffers that one collection has found dead are counted as long as they are not swept, which
  // is done beside, and at the next collection at the latest.
  for (let least = Number.POSITIVE_INFINITY; ; ) {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    const inUse = heapUsed + external;
    if (least - inUse < MB) return inUse;
    least = inUse;
  }
}

/** The most that was in use while that took place, beyond what was in use before: in bytes. */
export async function mostInUse(what: () => Promise<unknown>): Promise<number> {
  const before = bytesInUse();
  let most = before;
  const look = (): void => {
    most = Math.max(most, bytesInUse());
  };
  const timer = setInterval(look, 20);
  try {
    await what();
  } finally {
    clearInterval(timer);
  }
  look();
  return most - before;
}
