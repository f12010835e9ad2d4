// @ts-check
/** What is simulated, and how it is told. */

/** @typedef {import('./simulation.js').Scenario} Scenario */
/** @typedef {import('./simulation.js').Outcome} Outcome */

/** @type {Scenario} */
const USUAL = {
  replicas: 1,
  backends: 3,
  sick: 1,
  sickness: 1,
  breakers: true,
  shared: false,
  budget: true,
  perSecond: 2000,
  seconds: 60,
  seed: 20_261_126,
};

export const REPLICAS = [1, 10, 50, 200];
const BACKENDS = [3, 20, 100];
const SICKNESS = [1, 0.5];

/** @type {Scenario[]} one sick backend: breakers alone, and, where there are others to tell, shared */
export const BREAKERS = SICKNESS.flatMap((sickness) =>
  BACKENDS.flatMap((backends) =>
    REPLICAS.flatMap((replicas) =>
      (replicas === 1 ? [false] : [false, true]).map((shared) => {
        return { ...USUAL, sickness, backends, replicas, shared };
      }),
    ),
  ),
);

/** @type {Scenario[]} nothing is well and nothing trips: what retries cost, and what a budget saves */
export const BUDGETS = REPLICAS.flatMap((replicas) =>
  [false, true].map((budget) => {
    return { ...USUAL, replicas, budget, sick: 3, sickness: 0.5, breakers: false, seconds: 20 };
  }),
);

/** @param {number} count */
const number = (count) => count.toLocaleString('en');

/** @param {number} share */
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 2 : 1)} %`;

/** @param {number | null} ms */
const seconds = (ms) => (ms === null ? 'never' : `${(ms / 1000).toFixed(2)} s`);

/** @typedef {{ scenario: Scenario, outcome: Outcome }} Result */

/** @type {[title: string, cell: (result: Result) => string][]} */
const COLUMNS = [
  ['backends', ({ scenario: { backends } }) => String(backends)],
  ['sick', ({ scenario: { sickness } }) => percent(sickness).replace('.0', '')],
  ['replicas', ({ scenario: { replicas } }) => String(replicas)],
  ['breakers', ({ scenario: { shared } }) => (shared ? 'shared' : 'alone')],
  ['budget', ({ scenario: { budget } }) => (budget ? 'yes' : 'no')],
  ['safe after', ({ outcome: { safeAfterMs } }) => seconds(safeAfterMs)],
  ['failed until then', ({ outcome: { failedUntilSafe } }) => number(failedUntilSafe)],
  ['failed attempts', ({ outcome: { failedAttempts } }) => number(failedAttempts)],
  ['load on the sick', ({ outcome: { sickLoad } }) => percent(sickLoad)],
  ['attempts a request', ({ outcome: { attempts, requests } }) => (attempts / requests).toFixed(2)],
  ['retries', ({ outcome: { retries } }) => number(retries)],
  ['refused by the budget', ({ outcome: { refusedRetries } }) => number(refusedRetries)],
  ['failed requests', ({ outcome: { failedRequests } }) => number(failedRequests)],
];

/**
 * A Markdown table that can be read as it is.
 * @param {Result[]} results
 * @param {string[]} leftOut titles of columns that say the same in each row
 */
export function table(results, leftOut) {
  const columns = COLUMNS.filter(([title]) => !leftOut.includes(title));
  const rows = results.map((result) => columns.map(([, cell]) => cell(result)));
  const titles = columns.map(([title]) => title);
  const widths = titles.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => String(row[i]).length)),
  );
  const line = (/** @type {string[]} */ cells) =>
    `| ${cells.map((cell, i) => cell.padStart(Number(widths[i]))).join(' | ')} |`;
  const rule = `|${widths.map((width) => `${'-'.repeat(width + 1)}:`).join('|')}|`;
  return [line(titles), rule, ...rows.map(line)].join('\n');
}
