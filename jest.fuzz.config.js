import { randomInt } from 'node:crypto';
import config from './jest.config.js';

/** FUZZ_SEED and FUZZ_RUNS of an earlier run repeat it. */
const { FUZZ_SEED: seed = randomInt(2 ** 31), FUZZ_RUNS: cases = 20_000 } = process.env;
process.stdout.write(`FUZZ_SEED=${seed} FUZZ_RUNS=${cases}\n`);

/** @type {import('jest').Config} */
export default {
  ...config,
  maxWorkers: 2,
  testMatch: ['<rootDir>/__tests__/{fuzz,property,model}*.test.ts'],
  globals: { FUZZ: { seed: Number(seed), cases: Number(cases) } },
};
