// @ts-check
/**
 * Runs the whole suite several times, each time in another random order, and tells which tests have
 * failed, how often, and with which seed: `npm run flakes -- 5`, or `npm run flakes -- 5 websockets`
 * for some files. A test that fails once has a cause: find that, and give it no more time, nor a
 * second try.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const USUAL_RUNS = 3;
/** Of one run. */
const LIMIT_MS = 60 * 60_000;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];

const [count = String(USUAL_RUNS), ...files] = process.argv.slice(2);
if (!/^[1-9]\d*$/.test(count)) {
  console.error(`the number of runs comes first, for example: npm run flakes -- 5; got ${count}`);
  process.exit(1);
}

/** @type {Map<string, { seeds: number[], message: string }>} what has failed, by its name */
const failures = new Map();
const folder = mkdtempSync(join(tmpdir(), 'express-tiny-proxy-flakes-'));
try {
  for (let run = 1; run <= Number(count); run += 1) once(run);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report();

/** @param {number} run */
function once(run) {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const file = join(folder, `${run}.json`);
  const order = ['--randomize', `--seed=${seed}`];
  const output = ['--json', `--outputFile=${file}`];
  const begun = Date.now();
  const { error } = spawnSync(
    process.execPath,
    [...JEST, join(ROOT, 'node_modules/jest/bin/jest.js'), ...order, ...output, ...files],
    { cwd: ROOT, stdio: 'ignore', timeout: LIMIT_MS, killSignal: 'SIGKILL' },
  );
  if (error !== undefined)
    throw new Error(`run ${run} (seed ${seed}) has no end`, { cause: error });
  const results = /** @type {Results} */ (JSON.parse(readFileSync(file, 'utf8')));
  for (const { name, message, assertionResults } of results.testResults) {
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    const path = name.slice(ROOT.length);
    for (const each of failed)
      note(`${path}: ${each.fullName}`, seed, each.failureMessages.join('\n'));
    if (failed.length === 0 && message !== '') note(path, seed, message);
  }
  const seconds = Math.round((Date.now() - begun) / 1000);
  const { numPassedTests: passed, numFailedTests: failed } = results;
  console.log(`run ${run}, seed ${seed}: ${passed} passed, ${failed} failed, ${seconds} s`);
}

/**
 * @typedef {object} Results as jest writes them
 * @property {number} numPassedTests
 * @property {number} numFailedTests
 * @property {{ name: string, message: string, assertionResults: { status: string, fullName: string, failureMessages: string[] }[] }[]} testResults
 */

/**
 * @param {string} test
 * @param {number} seed
 * @param {string} message
 */
function note(test, seed, message) {
  const { seeds = [] } = failures.get(test) ?? {};
  failures.set(test, { seeds: [...seeds, seed], message });
}

function report() {
  for (const [test, { seeds, message }] of failures) {
    const kind = seeds.length === Number(count) && seeds.length > 1 ? 'broken' : 'flake';
    console.log(
      `\n${kind}: ${seeds.length} of ${count}, seeds ${seeds.join(', ')}: ${test}\n${message}`,
    );
  }
  if (failures.size > 0) process.exitCode = 1;
  else console.log(`no flake in ${count} runs`);
}
