// @ts-check
/**
 * The benchmark: what one request costs the proxy process, beside http-proxy-middleware with and
 * without morgan. Each proxy, the backend and the load generator (wrk if it is installed, else
 * autocannon) are processes of their own; the proxies take turns, round by round, so that a slow
 * minute of the machine hits them all. ROUNDS=5 SECONDS=4 CONNECTIONS=50 are the defaults, set by
 * the environment.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { checkNoTroubles } from './checks.js';
import { runBounded, runCommand, startProcess } from './processes.js';

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const SECONDS = Number(process.env.SECONDS ?? 4);
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 50);
const WARM_UP_SECONDS = 2;
const MIB = 1024 * 1024;
const BASELINE = 'http-proxy-middleware + morgan';

/** Ours with all that it does by default switched on, on the same transport as the others. */
const PEERS = {
  'express-tiny-proxy': { transport: 'http', retry: true, breaker: true, trace: true },
  'http-proxy-middleware': {},
  [BASELINE]: {},
};

/** @typedef {{ failed: number, p50: number, p99: number }} Load latencies in ms */
/** @typedef {Load & { cpu: number, perSecond: number, rss: number }} Round cpu in us a request */

const seconds = Object.keys(PEERS).length * (WARM_UP_SECONDS + ROUNDS * SECONDS);
await runBounded(seconds * 2000 + 60_000, async () => {
  const backend = await startProcess('backend.js', { ports: [0, 0] });
  const target = backend.ready.map((/** @type {number} */ port) => `http://127.0.0.1:${port}`);
  const runLoad = spawnSync('wrk', ['-v']).error === undefined ? wrk : autocannon;
  console.log(
    `Node ${process.version}, ${runLoad.name}, ${CONNECTIONS} connections,` +
      ` ${ROUNDS} rounds of ${SECONDS} s each: about ${seconds} s in all`,
  );

  const peers = [];
  for (const [name, options] of Object.entries(PEERS)) {
    const settings = { peer: name, mounts: { '/api': { target, ...options } } };
    const proxy = await startProcess('proxy.js', settings);
    await runLoad(`http://127.0.0.1:${proxy.ready}/api/small`, WARM_UP_SECONDS);
    peers.push({ name, proxy, rounds: /** @type {Round[]} */ ([]) });
  }

  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const { proxy, rounds } of peers) {
      const cpuBefore = await proxy.ask('cpu');
      const servedBefore = await backend.ask('served');
      const load = await runLoad(`http://127.0.0.1:${proxy.ready}/api/small`, SECONDS);
      const requests = (await backend.ask('served')) - servedBefore;
      const cpu = ((await proxy.ask('cpu')) - cpuBefore) / requests;
      if (load.failed > 0) throw new Error(`${load.failed} requests failed`);
      rounds.push({ ...load, cpu, perSecond: requests / SECONDS, rss: await proxy.ask('rss') });
    }
    process.stdout.write(`round ${round} `);
  }
  console.log('\n');
  print(peers);
  for (const { name, proxy } of peers) await checkNoTroubles(proxy, name);
});

/**
 * The medians of the rounds.
 * @param {{ name: string, rounds: Round[] }[]} peers
 */
function print(peers) {
  const ofBaseline = peers.find(({ name }) => name === BASELINE)?.rounds ?? [];
  const baseline = median(ofBaseline.map(({ cpu }) => cpu));
  const rows = peers.map(({ name, rounds }) => {
    const all = (/** @type {keyof Round} */ key) => rounds.map((figures) => figures[key]);
    const cpus = all('cpu');
    const figures = {
      'CPU us/request': round(median(cpus), 1),
      'min to max': `${round(Math.min(...cpus), 1)} to ${round(Math.max(...cpus), 1)}`,
      ratio: round(median(cpus) / baseline, 2),
      'req/s': round(median(all('perSecond')), 0),
      'p50 ms': round(median(all('p50')), 1),
      'p99 ms': round(median(all('p99')), 1),
      'RSS MB': round(median(all('rss')) / MIB, 0),
    };
    return [name, figures];
  });
  console.table(Object.fromEntries(rows));
  console.log(`Medians of ${ROUNDS} rounds; ratio: CPU, to ${BASELINE}; RSS after a round.\n`);
}

/**
 * @param {number} value
 * @param {number} digits
 */
function round(value, digits) {
  return Number(value.toFixed(digits));
}

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length % 2 === 1) return sorted[middle] ?? Number.NaN;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

/**
 * @param {string} url
 * @param {number} duration
 * @returns {Promise<Load>}
 */
async function autocannon(url, duration) {
  const program = createRequire(import.meta.url).resolve('autocannon');
  const args = ['--json', '--no-progress', '-c', String(CONNECTIONS), '-d', String(duration), url];
  const { non2xx, errors, timeouts, latency } = JSON.parse(
    await runCommand(process.execPath, [program, ...args]),
  );
  return { failed: non2xx + errors + timeouts, p50: latency.p50, p99: latency.p99 };
}

/**
 * @param {string} url
 * @param {number} duration
 * @returns {Promise<Load>}
 */
async function wrk(url, duration) {
  const args = ['-t', '1', '-c', String(CONNECTIONS), '-d', `${duration}s`, '--latency', url];
  const report = await runCommand('wrk', args);
  const socketErrors = report.match(/Socket errors: (.*)/)?.[1]?.match(/\d+/g) ?? [];
  const non2xx = report.match(/Non-2xx or 3xx responses: (\d+)/)?.[1] ?? 0;
  return {
    failed: [non2xx, ...socketErrors].reduce((/** @type {number} */ sum, n) => sum + Number(n), 0),
    p50: percentile(report, 50),
    p99: percentile(report, 99),
  };
}

/**
 * @param {string} report of wrk
 * @param {number} rank
 */
function percentile(report, rank) {
  const [, value, unit = ''] =
    report.match(new RegExp(`^\\s+${rank}%\\s+([\\d.]+)(us|ms|s)`, 'm')) ?? [];
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000 }[unit] ?? Number.NaN);
}
