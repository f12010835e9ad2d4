// @ts-check
/**
 * The benchmark: what a request costs the proxy process, beside other proxies. Each proxy, the
 * backend and the load generator are processes of their own. The proxies take turns, round by
 * round, so that a slow minute of the machine hits them all. One that is missing, or that answers
 * wrongly, has no figures but a line that says why.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './arguments.js';
import { chart } from './chart.js';
import { loadGenerator } from './load.js';
import { startNginxBackend } from './nginx.js';
import { PEERS } from './peers.js';
import { runBounded, startProcess } from './processes.js';
import { findProgram, versionOf } from './programs.js';
import { summary, table } from './report.js';
import { checkAnswers } from './works.js';

/** Nobody listens on port 1. */
const REFUSING = 'http://127.0.0.1:1';
/**
 * Rounds of one process: what V8 makes of a program differs from start to start, by a fifth, and is
 * then its own for good.
 */
const ROUNDS_OF_A_START = 6;
/**
 * Of a proxy's first seconds. V8 guesses by them, for good, which kinds of objects live long: under
 * hundreds of connections at once, requests look as if they did.
 */
const FEW_CONNECTIONS = 10;
/** What a round of a proxy takes besides the load itself, at most; what the start of all does. */
const MARGIN_SECONDS = 10;
const START_SECONDS = 120;

/** @typedef {import('./arguments.js').Plan} Plan */
/** @typedef {import('./report.js').Round} Round */

/**
 * @typedef {object} Entrant
 * @property {string} name
 * @property {string} label
 * @property {import('./peers.js').Proxy} [proxy]
 * @property {Round[]} rounds
 * @property {string} [leftOut] why it has no figures
 */

const plan = readArguments(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), 'express-tiny-proxy-bench-'));

const starts = Math.ceil(plan.rounds / ROUNDS_OF_A_START);
const perPeer = starts * 2 * plan.warmUpSeconds + plan.rounds * plan.seconds;
const limitSeconds = plan.peers.length * (perPeer + (plan.rounds + starts) * MARGIN_SECONDS);
await runBounded((START_SECONDS * starts + limitSeconds) * 1000, async () => {
  // after runBounded's own, which kills those that write there
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const backend = await startBackend();
  const { title, runLoad } = loadGenerator(plan.work, folder);
  const { work, backends, connections, rounds, seconds } = plan;
  const setting = [
    `Node ${process.version}, ${availableParallelism()} cores, backend ${backend.title}, load by ${title}.`,
    `${capital(work.title)}, backends: ${backends}, connections: ${connections}, rounds: ${rounds} of ${seconds} s.`,
  ];
  console.log(`${setting.join('\n')}\n`);

  const entrants = plan.peers.map(newEntrant);
  for (let round = 1; round <= rounds; round += 1) {
    if ((round - 1) % ROUNDS_OF_A_START === 0) await startAll(entrants, backend.targets, runLoad);
    for (const entrant of shuffled(entrants)) {
      await ifItCan(entrant, async (proxy) => {
        entrant.rounds.push(await measure(proxy, runLoad));
      });
    }
    console.log(`round ${round} of ${rounds}`);
  }
  publish(entrants, setting);
});

/**
 * Nobody is always behind the same one, which may still be collecting its garbage.
 * @template T
 * @param {T[]} all
 */
function shuffled(all) {
  return all
    .map((one) => ({ one, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

/** @returns {Promise<{ title: string, targets: string[] }>} */
async function startBackend() {
  const nginx = findProgram('nginx');
  let title = 'node:http (nginx is not installed)';
  /** @type {number[]} */
  let ports;
  if (nginx === undefined) {
    ({ ready: ports } = await startProcess('backend.js', { ports: Array(plan.backends).fill(0) }));
  } else {
    title = `nginx ${versionOf(nginx, ['-v'])}`;
    ports = await startNginxBackend(nginx, folder, plan.work, plan.backends);
  }
  const targets = ports.map((port) => `http://127.0.0.1:${port}`);
  if (plan.work.oneDead) targets.push(REFUSING);
  return { title, targets };
}

/**
 * @param {string} name
 * @returns {Entrant}
 */
function newEntrant(name) {
  return { name, label: peerOf(name).label, rounds: [] };
}

/** @param {string} name */
function peerOf(name) {
  return /** @type {import('./peers.js').Peer} */ (PEERS[name]);
}

/**
 * Each as a process of its own, instead of the one before.
 * @param {Entrant[]} entrants
 * @param {string[]} targets
 * @param {import('./load.js').RunLoad} runLoad
 */
async function startAll(entrants, targets, runLoad) {
  for (const entrant of entrants) {
    if (entrant.leftOut !== undefined) continue;
    await orLeaveOut(entrant, async () => {
      const { balances, start } = peerOf(entrant.name);
      if (plan.work.oneDead && !balances) throw new Error('knows one backend only');
      await entrant.proxy?.kill();
      entrant.proxy = await start(entrant.name, targets, folder);
      await checkAnswers(plan.work, entrant.proxy.port);
      for (const connections of [Math.min(FEW_CONNECTIONS, plan.connections), plan.connections])
        await runLoad(entrant.proxy.port, connections, plan.warmUpSeconds);
    });
  }
}

/**
 * @param {import('./peers.js').Proxy} proxy
 * @param {import('./load.js').RunLoad} runLoad
 * @returns {Promise<Round>}
 */
async function measure(proxy, runLoad) {
  await checkAnswers(plan.work, proxy.port);
  const before = await proxy.usage();
  const { requests, bytes, seconds, failed, p50, p99 } = await runLoad(
    proxy.port,
    plan.connections,
    plan.seconds,
  );
  const after = await proxy.usage();
  if (failed > 0) throw new Error(`${failed} requests failed, ${requests} did not`);
  if (requests === 0) throw new Error('no request was done within a round');
  if (bytes < requests * plan.work.answer.length) throw new Error('answers came short');
  const cpuUs = (after.cpuUs - before.cpuUs) / requests;
  return { cpuUs, perSecond: requests / seconds, p50, p99, peakRss: after.peakRss };
}

/**
 * @param {Entrant} entrant
 * @param {(proxy: import('./peers.js').Proxy) => Promise<void>} step
 */
async function ifItCan(entrant, step) {
  const { proxy } = entrant;
  if (proxy !== undefined) await orLeaveOut(entrant, () => step(proxy));
}

/**
 * @param {Entrant} entrant
 * @param {() => Promise<void>} step
 */
async function orLeaveOut(entrant, step) {
  try {
    await step();
  } catch (error) {
    entrant.leftOut = /** @type {Error} */ (error).message;
    entrant.rounds = [];
    console.log(`left out: ${entrant.label}: ${entrant.leftOut}`);
    await entrant.proxy?.kill();
    delete entrant.proxy;
  }
}

/**
 * Prints the table, and writes it and the chart. A quick run writes them where they are forgotten.
 * @param {Entrant[]} entrants
 * @param {string[]} setting
 */
function publish(entrants, setting) {
  const figures = summary(entrants.filter(({ proxy }) => proxy !== undefined));
  if (figures.length === 0) throw new Error('no proxy has done this work');
  const printed = table(figures);
  console.log(`\n${printed}`);

  const leftOut = entrants.filter((entrant) => entrant.leftOut !== undefined);
  const notes = leftOut.map(({ label, leftOut: why }) => `Left out: ${label}: ${why}.`);
  const date = new Date().toISOString().slice(0, 10);
  const text = [`${date}. ${setting.join(' ')}`, printed, ...notes].join('\n\n');
  const out = plan.quick ? folder : fileURLToPath(new URL('.', import.meta.url));
  writeFileSync(join(out, `${plan.results}.md`), `${text}\n`);
  writeFileSync(join(out, `${plan.results}.svg`), chart(figures, setting.join(' ')));
  if (!plan.quick) console.log(`written: bench/${plan.results}.md and .svg`);
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
