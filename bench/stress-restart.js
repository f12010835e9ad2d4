// @ts-check
/**
 * Three backends, 50 clients for 30 s, and five times a backend is killed (SIGKILL) and comes back.
 * No GET may fail whose response had not begun; one that had begun is cut, never short; no POST may
 * be delivered twice. `node stress-restart.js --unsent` lets the proxy move a POST that has sent
 * nothing yet to another backend.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, checkNoTroubles } from './checks.js';
import { send } from './client.js';
import { itemBody } from './payload.js';
import { runBounded, startProcess } from './processes.js';

const CLIENTS = 50;
const BACKENDS = 3;
const KILLS = 5;
const FIRST_KILL_MS = 3000;
const KILL_EVERY_MS = 5000;
const DOWN_MS = 1500;
const TOTAL_MS = 30_000;
/** Short, so that a backend that is back carries traffic again before the next kill. */
const COOLDOWN_MS = 500;
const POST_SHARE = 0.2;
const unsent = process.argv.includes('--unsent');

/** What has come of all requests. */
const tally = {
  gets: 0,
  cutGets: 0,
  /** @type {string[]} */
  wrongGets: [],
  posts: 0,
  /** @type {string[]} the ids of those that were answered with 201 */
  confirmedPosts: [],
};

const folder = mkdtempSync(join(tmpdir(), 'express-tiny-proxy-'));
const record = join(folder, 'orders');
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

await runBounded(TOTAL_MS + 60_000, async () => {
  const backends = await Promise.all(
    Array.from({ length: BACKENDS }, () => startProcess('backend.js', { ports: [0], record })),
  );
  const ports = backends.map(({ ready }) => ready[0]);
  const target = ports.map((port) => `http://127.0.0.1:${port}`);
  const options = { target, breaker: { cooldown: COOLDOWN_MS }, retry: { unsent } };
  const settings = { mounts: { '/api': options } };
  const proxy = await startProcess('proxy.js', settings);

  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const until = performance.now() + TOTAL_MS;
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (performance.now() < until) {
      await (Math.random() < POST_SHARE ? postOrder : getItem)({ agent, port: proxy.ready });
    }
  });
  const served = await killAndRestart(backends);
  await Promise.all(clients);
  agent.destroy();
  report(served, await proxy.ask('status'));
  await checkNoTroubles(proxy);
});

/**
 * @param {import('./processes.js').Peer[]} backends
 * @returns {Promise<number[]>} how many requests each killed backend had served since its start
 */
async function killAndRestart(backends) {
  const served = [];
  await sleep(FIRST_KILL_MS);
  for (let kill = 0; kill < KILLS; kill += 1) {
    const victim = kill % backends.length;
    const backend = /** @type {import('./processes.js').Peer} */ (backends[victim]);
    served.push(await backend.ask('served'));
    await backend.kill();
    await sleep(DOWN_MS);
    backends[victim] = await startProcess('backend.js', { ports: backend.ready, record });
    await sleep(KILL_EVERY_MS - DOWN_MS);
  }
  return served;
}

/** @param {Pick<import('./client.js').Call, 'agent' | 'port'>} connection */
async function getItem(connection) {
  tally.gets += 1;
  const number = tally.gets;
  const { status, whole, body, error } = await send({
    ...connection,
    path: `/api/items/${number}`,
  });
  if (status === 200 && !whole) tally.cutGets += 1;
  else if (status !== 200 || !body.equals(itemBody(number))) {
    tally.wrongGets.push(`item ${number}: ${status ?? error}, ${body.length} bytes`);
  }
}

/** @param {Pick<import('./client.js').Call, 'agent' | 'port'>} connection */
async function postOrder(connection) {
  tally.posts += 1;
  const id = `order-${tally.posts}`;
  const body = Buffer.from(JSON.stringify({ id }));
  const path = `/api/orders/${id}`;
  const { status } = await send({ ...connection, path, method: 'POST', body });
  if (status === 201) tally.confirmedPosts.push(id);
}

/**
 * @param {number[]} served
 * @param {import('express-tiny-proxy').ProxyStatus[]} statuses
 */
function report(served, [status]) {
  const { gets, cutGets, wrongGets, posts, confirmedPosts } = tally;
  const delivered = readFileSync(record, 'utf8').trimEnd().split('\n');
  const distinct = new Set(delivered);
  const failedPosts = posts - confirmedPosts.length;
  const lost = confirmedPosts.filter((id) => !distinct.has(id));

  console.log(`${gets} GETs, ${cutGets} cut in mid-body; ${posts} POSTs, ${failedPosts} failed`);
  console.log(
    `${status?.retries} retries; ${KILLS} kills, of backends that had served ${served.join(', ')}`,
  );
  check(
    served.every((count) => count > CLIENTS),
    'each backend carried traffic when it was killed',
  );
  check((status?.retries ?? 0) >= KILLS, 'the kills met requests in flight');
  for (const wrong of wrongGets.slice(0, 5)) console.log(wrong);
  check(wrongGets.length === 0, 'no GET failed whose response had not begun, none came short');
  check(
    delivered.length === distinct.size,
    `no POST twice: ${delivered.length} delivered, all different`,
  );
  check(lost.length === 0, `each confirmed POST was delivered: ${confirmedPosts.length}`);
}
