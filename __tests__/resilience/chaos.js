// @ts-check
/**
 * Three backends, 200 clients for two minutes (`CHAOS_SECONDS`), and two of the three are killed,
 * stopped, flooded, made to fail, or cut off, again and again. As long as one backend is well, no GET
 * or PUT may fail whose response had not begun; one that had begun is whole, or its connection is cut;
 * no POST is delivered twice; and a backend that is well again has traffic within its cooldown and a
 * second.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, checkNoTroubles } from '../../bench/checks.js';
import { runBounded, startProcess } from '../../bench/processes.js';
import { cableFaults, FAULTS, startVictim } from './faults.js';
import { createNetwork } from './network.js';
import { Tally } from './tally.js';

const SECONDS = Number(process.env.CHAOS_SECONDS || 120);
const CLIENTS = 200;
/** For a machine that is busy with something else: all times are so much longer. */
const PACE = Number(process.env.CHAOS_PACE || 1);
/** Between two requests of a client: what is tried here is faults, not load. */
const THINK_MS = 300 * PACE;
const WARM_UP_MS = 2000 * PACE;
const FAULT_MS = 2500 * PACE;
const COOLDOWN_MS = 1000 * PACE;
const RECOVERY_MS = COOLDOWN_MS + 1000 * PACE;
/** Shorter than what a recovery may take: an attempt that began before it is over by then. */
const TIMEOUTS = {
  connectTimeout: 500 * PACE,
  attemptTimeout: 800 * PACE,
  idleTimeout: 2000 * PACE,
};

const folder = mkdtempSync(join(tmpdir(), 'express-tiny-proxy-'));
const record = join(folder, 'orders');
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

await runBounded(SECONDS * 1000 + 60_000 * PACE, async () => {
  const network = createNetwork();
  const victims = [
    await startVictim(record),
    await startVictim(record),
    await startVictim(record, network),
  ];
  const target = victims.map(({ host, peer }) => `http://${host}:${peer.ready}`);
  // No budget: where two of three are down, it would hold back some of the retries, as it should.
  const retry = { budget: false };
  const options = { target, retry, breaker: { cooldown: COOLDOWN_MS }, ...TIMEOUTS };
  const transport = process.env.TRANSPORT === 'http' ? { transport: 'http' } : {};
  const mounts = { '/api': { ...options, ...transport } };
  const proxy = await startProcess(import.meta.resolve('./proxy.js'), { mounts });

  const tally = new Tally();
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const until = performance.now() + SECONDS * 1000;
  let over = false;
  const clients = Array.from({ length: CLIENTS }, async () => {
    await sleep(Math.random() * WARM_UP_MS);
    while (!over) {
      await tally.sendOne({ agent, port: proxy.ready });
      await sleep(THINK_MS * (0.5 + Math.random()));
    }
  });
  await sleep(WARM_UP_MS * 2);
  const { slowest, rounds } = await torment(victims, proxy, until);
  over = true;
  await Promise.all(clients);
  agent.destroy();
  const [status] = await proxy.ask('status');
  console.log('requests by :no-retry', await proxy.ask('noRetries'));
  report(tally, slowest, status);
  if (rounds >= victims.length) {
    const failures = status.backends.map(
      (/** @type {{ failures: number }} */ each) => each.failures,
    );
    check(!failures.includes(0), `each backend has failed: ${failures.join(', ')} times`);
  }
  await checkNoTroubles(proxy);
});

/**
 * Rounds: two backends get a fault each, keep it for a while, and are waited for.
 * @param {import('./faults.js').Victim[]} victims
 * @param {import('../../bench/processes.js').Peer} proxy
 * @param {number} until
 * @returns {Promise<{ slowest: number, rounds: number }>} the slowest recovery, in ms
 */
async function torment(victims, proxy, until) {
  let slowest = 0;
  let round = 0;
  for (; performance.now() < until; round += 1) {
    const well = round % victims.length;
    const names = [];
    const undo = [];
    for (const [i, victim] of victims.entries()) {
      if (i === well) continue;
      const { network } = victim;
      const faults = network !== null && round % 3 !== 2 ? cableFaults(network) : FAULTS;
      const all = Object.entries(faults);
      const [name, fault] = /** @type {(typeof all)[0]} */ (all[(round + i) % all.length]);
      names.push(`${i + 1} ${name}`);
      undo.push(await fault(victim));
    }
    await sleep(FAULT_MS);
    await Promise.all(undo.map((each) => each()));
    const ms = await recovered(proxy);
    slowest = Math.max(slowest, ms);
    console.log(`round ${round + 1}: ${names.join(', ')}; all well after ${Math.round(ms)} ms`);
  }
  return { slowest, rounds: round };
}

/** @param {import('../../bench/processes.js').Peer} proxy */
async function recovered(proxy) {
  const start = performance.now();
  for (;;) {
    const [{ backends }] = await proxy.ask('status');
    const ms = performance.now() - start;
    const breakers = backends.map((/** @type {{ breaker: string }} */ { breaker }) => breaker);
    if (breakers.every((/** @type {string} */ each) => each === 'closed')) return ms;
    if (ms > RECOVERY_MS) {
      console.log(backends);
      check(false, 'all breakers are closed by now');
    }
    await sleep(20);
  }
}

/**
 * @param {Tally} tally
 * @param {number} slowest
 * @param {import('express-tiny-proxy').ProxyStatus} status
 */
function report({ gets, puts, posts, cut, wrong, confirmed }, slowest, status) {
  const delivered = readFileSync(record, 'utf8').trimEnd().split('\n');
  const distinct = new Set(delivered);
  const lost = confirmed.filter((id) => !distinct.has(id));

  console.log(
    `${gets} GETs, ${puts} PUTs, of which ${cut} were cut after their response had begun`,
  );
  console.log(`${posts} POSTs, ${posts - confirmed.length} failed, ${delivered.length} delivered`);
  console.log(`${status.retries} retries`);
  for (const each of wrong.slice(0, 10)) console.log(each);
  check(wrong.length === 0, 'no GET or PUT failed before its response; none came wrong or short');
  check(delivered.length === distinct.size, 'no POST was delivered twice');
  check(lost.length === 0, `each of ${confirmed.length} confirmed POSTs was delivered`);
  check(
    slowest < RECOVERY_MS,
    `slowest recovery ${Math.round(slowest)} ms, cooldown ${COOLDOWN_MS}`,
  );
  check(status.inFlight === 0, 'nothing is in flight');
}
