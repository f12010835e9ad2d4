// Many cases at once, as one run of fast-check: a batch that fails is made smaller, to one case.
import fc from 'fast-check';
import { FuzzRig } from './fuzz-rig.js';
import { runs, settings } from './fuzz-settings.js';
import { expectNothingBut, openHandles } from './handles.js';
import type { Serve } from './strict-backend.js';

const BATCH = 500;
/** More at a time would wait long for the one event loop that is client, proxy and backend. */
const AT_ONCE = 60;

/** An array that is generated full, and may shrink to one element; fc.array() does either. */
class FullBatch<Case> extends fc.Arbitrary<Case[]> {
  readonly #full: fc.Arbitrary<Case[]>;
  readonly #smaller: fc.Arbitrary<Case[]>;

  constructor(cases: fc.Arbitrary<Case>, length: number) {
    super();
    this.#full = fc.array(cases, { minLength: length, maxLength: length });
    this.#smaller = fc.array(cases, { minLength: 1, maxLength: length });
  }

  override generate(random: fc.Random, biasFactor: number | undefined): fc.Value<Case[]> {
    return this.#full.generate(random, biasFactor);
  }

  override canShrinkWithoutContext(value: unknown): value is Case[] {
    return this.#smaller.canShrinkWithoutContext(value);
  }

  override shrink(value: Case[], context: unknown): fc.Stream<fc.Value<Case[]>> {
    return this.#smaller.shrink(value, context);
  }
}

/**
 * Runs every case on a connection of its own, a batch of them at a time, through one proxy, and
 * checks it after each batch, and all that is left at the end. After a failure the next batch has a
 * new proxy.
 */
export async function fuzz<Case>(
  cases: fc.Arbitrary<Case>,
  casesOfATest: number,
  serve: Serve,
  run: (rig: FuzzRig, fuzzCase: Case) => Promise<void>,
): Promise<void> {
  const before = openHandles();
  let rig: FuzzRig | null = null;
  const length = Math.min(BATCH, runs(casesOfATest));
  const property = fc.asyncProperty(new FullBatch(cases, length), async (batch) => {
    const now = rig ?? (await FuzzRig.start(serve));
    rig = now;
    try {
      await eachOf(batch, (one) =>
        run(now, one).catch((error) => {
          throw new Error(`${error} in ${fc.stringify(one)}`, { cause: error });
        }),
      );
      await now.check();
    } catch (error) {
      rig = null;
      await now.stop().catch(() => {}); // it failed, and that has been told
      throw error;
    }
  });
  await fc.assert(property, settings(casesOfATest / length));
  await rig!.finish();
  await expectNothingBut(before);
}

/** Runs them all, some at a time, and throws the first error when all are over. */
async function eachOf<Case>(
  batch: readonly Case[],
  run: (one: Case) => Promise<void>,
): Promise<void> {
  const errors: unknown[] = [];
  const left = batch.values();
  const worker = async (): Promise<void> => {
    for (const one of left) await run(one).catch((error) => errors.push(error));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (errors.length > 0) throw errors[0];
}
