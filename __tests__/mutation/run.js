// @ts-check
/**
 * Mutation testing, file by file: Stryker breaks a file of src in every small way that it knows, and
 * runs the tests of that file each time. A mutant that they all pass has survived: a test is missing,
 * or the code says the same in another way.
 *
 * Run from the root of the repository: `npm run mutation`, or `npm run mutation -- breaker retry`.
 */
import { Stryker } from '@stryker-mutator/core';

/**
 * The tests that break with a file, and do so soon: those that need no server. With all tests a file
 * would take hours.
 */
const TESTS = {
  breaker: ['model-breaker'],
  'retry-budget': ['model-budget'],
  retry: ['retry-plan'],
  'retry-loop': [
    ...['retry', 'no-retry', 'balance', 'queue', 'targets-leaving', 'client-leaves', 'events'],
    'websockets-failures',
  ],
  'replay-body': ['replay-body-streams', 'replay-body-ends'],
  headers: ['headers-of-messages', 'headers-of-responses', 'headers-of-clients'],
  errors: ['errors-made'],
};

/** Under this a run fails. */
const LEAST = 85;

const names = process.argv.slice(2);
const unknown = names.find((name) => !(name in TESTS));
if (unknown !== undefined) {
  console.error(`no tests are named for ${unknown}; there are: ${Object.keys(TESTS).join(', ')}`);
  process.exit(1);
}

/** @type {string[]} */
const lines = [];
let isGood = true;
for (const name of names.length > 0 ? names : Object.keys(TESTS)) {
  const { score, survivors, line } = await mutate(name);
  isGood &&= score >= LEAST;
  lines.push(line);
  console.log([line, ...survivors].join('\n'));
}
console.log(`\n${lines.join('\n')}`);
if (!isGood) process.exitCode = 1;

/** @param {string} name */
async function mutate(name) {
  const tests = TESTS[/** @type {keyof typeof TESTS} */ (name)];
  const stryker = new Stryker({
    mutate: [`src/${name}.ts`],
    plugins: ['@stryker-mutator/jest-runner'],
    testRunner: 'jest',
    testRunnerNodeArgs: ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'],
    jest: {
      configFile: 'jest.config.js',
      enableFindRelatedTests: false,
      config: { testMatch: tests.map((test) => `<rootDir>/__tests__/${test}.test.ts`) },
    },
    coverageAnalysis: 'perTest',
    concurrency: 2,
    // On a busy machine a slow run is no killed mutant.
    timeoutMS: 20_000,
    timeoutFactor: 3,
    // TypeScript 7 has no interface that Stryker could adapt a tsconfig.json by: the tests need none.
    tsconfigFile: 'none',
    ignorePatterns: ['/bench', '/coverage', '/demo', '/dist', '/docs', '/__tests__/mutation'],
    reporters: ['dots'],
    allowConsoleColors: false,
    logLevel: 'warn',
  });
  const results = await stryker.runMutationTest();
  return summary(name, results);
}

/**
 * @param {string} name
 * @param {import('@stryker-mutator/api/core').MutantResult[]} results
 */
function summary(name, results) {
  const count = (/** @type {string[]} */ ...statuses) =>
    results.filter(({ status }) => statuses.includes(status)).length;
  const killed = count('Killed', 'Timeout');
  const lived = count('Survived', 'NoCoverage');
  const score = (100 * killed) / Math.max(1, killed + lived);
  const survivors = results
    .filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
    .map(({ status, location, mutatorName, replacement }) => {
      const { line, column } = location.start;
      const as = String(replacement).replace(/\s+/g, ' ').slice(0, 100);
      return `  ${status} src/${name}.ts:${line}:${column} ${mutatorName}: ${as}`;
    });
  const line = `${name}.ts: ${score.toFixed(1)} % of ${killed + lived} mutants killed (${count('Timeout')} by a timeout)`;
  return { score, survivors, line };
}
