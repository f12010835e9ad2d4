// @ts-check
/**
 * Simulates fleets with the package's own breakers, retries and budgets, out of dist; prints the
 * tables, and writes them into docs/fleet.md and the picture beside it. The same every time.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chart } from './chart.js';
import { BREAKERS, BUDGETS, table } from './scenarios.js';
import { simulate } from './simulation.js';

const DIST = new URL('../../dist/', import.meta.url);
const DOCS = new URL('../../docs/', import.meta.url);

/** @param {string} file */
const load = (file) => import(new URL(file, DIST).href);

/** @type {import('./simulation.js').Parts} */
const parts = Object.assign(
  {},
  ...(await Promise.all(
    ['backends.js', 'retry.js', 'retry-budget.js', 'validate-options.js'].map(load),
  )),
);

/** @param {import('./scenarios.js').Scenario[]} scenarios */
const run = (scenarios) =>
  scenarios.map((scenario) => ({ scenario, outcome: simulate(parts, scenario) }));

const breakers = run(BREAKERS);
const budgets = run(BUDGETS);
const tables = {
  breakers: table(breakers, ['budget', 'refused by the budget', 'attempts a request']),
  budgets: table(budgets, [
    'backends',
    'sick',
    'breakers',
    'safe after',
    'failed until then',
    'failed attempts',
    'load on the sick',
  ]),
};
console.log(`${tables.breakers}\n\n${tables.budgets}`);

const doc = fileURLToPath(new URL('fleet.md', DOCS));
let text = readFileSync(doc, 'utf8');
for (const [name, written] of Object.entries(tables)) text = withTable(text, name, written);
writeFileSync(doc, text);

const images = fileURLToPath(new URL('images/', DOCS));
mkdirSync(images, { recursive: true });
const setting =
  'Simulated: 2,000 requests/s to the fleet, 10 % of them not replayable, attempts of 20 to 40 ms, defaults of the package.';
writeFileSync(`${images}fleet.svg`, chart(breakers, setting));
console.log('\nwritten: docs/fleet.md, docs/images/fleet.svg');

/**
 * @param {string} page
 * @param {string} name
 * @param {string} written
 */
function withTable(page, name, written) {
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->`];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/fleet.md has no place for ${name}`);
  return `${page.slice(0, from)}${begin}\n${written}\n\n${page.slice(to)}`;
}
