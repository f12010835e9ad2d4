// @ts-check
/**
 * All backends down under 200 clients. They see at most 1.2 times the clients' requests and the floor
 * of the retry budget, also with no breakers; with breakers the proxy answers 503 by itself, fast and
 * with a flat heap; and when the backends come back, each of them sees one probe before its answer.
 */
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, checkNoTroubles } from '../../bench/checks.js';
import { send } from '../../bench/client.js';
import { runBounded, startProcess } from '../../bench/processes.js';
import { inMb, MIB } from '../../bench/units.js';

const SECONDS = Number(process.env.OUTAGE_SECONDS || 10);
const CLIENTS = 200;
const COOLDOWN_MS = 2000;
/** The defaults of `retry.budget`. */
const RATIO = 0.2;
const MIN_PER_SECOND = 10;
/** How often a client asks that does not ask again at once: 2,000 requests a second together. */
const EVERY_MS = 100;
/** Of the 503; checked in a run of full length alone, which is for a machine of its own. */
const P99_MS = 20;
/** Long enough for many a request to come while the probe is under way. */
const PROBE_MS = 500;
const HEAP_NOISE = 4 * MIB;
const RECOVERY_LIMIT_MS = 30_000;

/** @typedef {import('../../bench/processes.js').Peer} Peer */

await runBounded(SECONDS * 4000 + 60_000, async () => {
  await amplification();
  await fastAnswers();
});

/** @param {object} options */
async function startAll(options) {
  const backends = await Promise.all(
    Array.from({ length: 3 }, () => startProcess(import.meta.resolve('./backend.js'), {})),
  );
  const target = backends.map(({ ready }) => `http://127.0.0.1:${ready}`);
  const mounts = { '/api': { target, ...options } };
  const proxyFile = import.meta.resolve('./proxy.js');
  return { backends, proxy: await startProcess(proxyFile, { mounts }, ['--expose-gc']) };
}

/**
 * 200 clients; each asks every so many milliseconds, 0: again at once. `agent` keeps their
 * connections: libuv accepts one a turn, so that opening them takes seconds while others ask.
 * @param {Peer} proxy
 * @param {Agent} agent
 * @param {Promise<unknown>} end
 */
async function load(proxy, agent, end, everyMs = 0) {
  let isOver = false;
  end.then(() => {
    isOver = true;
  });
  /** @type {{ status: number | undefined, ms: number }[]} */
  const answers = [];
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, i) => {
      let due = performance.now() + (i * everyMs) / CLIENTS;
      while (!isOver) {
        if (due > performance.now()) await sleep(due - performance.now());
        due += everyMs;
        const start = performance.now();
        const { status } = await send({ agent, port: proxy.ready, path: '/api/small' });
        answers.push({ status, ms: performance.now() - start });
      }
    }),
  );
  return answers;
}

function newAgent() {
  return new Agent({ keepAlive: true, maxSockets: CLIENTS });
}

/** @param {Peer[]} backends */
async function startedAt(backends) {
  const counts = await Promise.all(backends.map((backend) => backend.ask('counts')));
  return counts.reduce((sum, { started }) => sum + started, 0);
}

/** The retries of a whole fleet of clients must not be what keeps the backends down. */
async function amplification() {
  const { backends, proxy } = await startAll({ breaker: false });
  await Promise.all(backends.map((backend) => backend.ask('order', { status: 503 })));
  const agent = newAgent();
  const start = performance.now();
  const { length: requests } = await load(proxy, agent, sleep(SECONDS * 1000));
  agent.destroy();
  const seconds = Math.ceil((performance.now() - start) / 1000);
  const seen = await startedAt(backends);
  const most = Math.floor(requests * (1 + RATIO) + MIN_PER_SECOND * seconds);
  const factor = (seen / requests).toFixed(3);
  console.log(`no breakers, 503: ${requests} requests, ${seen} at the backends, times ${factor}`);
  check(seen <= most, `no more than ${most}`);
  await checkNoTroubles(proxy);
  await Promise.all([proxy, ...backends].map((peer) => peer.kill()));
}

async function fastAnswers() {
  const { backends, proxy } = await startAll({ breaker: { cooldown: COOLDOWN_MS } });
  const agent = newAgent();
  await load(proxy, agent, sleep(2000));
  await Promise.all(backends.map((backend) => backend.kill()));
  await load(proxy, agent, sleep(2000));
  const before = await proxy.ask('heapAfterGc');
  const attemptsBefore = await attemptsOf(proxy);
  const answers = await load(proxy, agent, sleep(SECONDS * 1000));
  const attempts = (await attemptsOf(proxy)) - attemptsBefore;
  const growth = (await proxy.ask('heapAfterGc')) - before;
  const paced = await load(proxy, agent, sleep(SECONDS * 1000), EVERY_MS);

  console.log(`all down, ${CLIENTS} clients, ${attempts} attempts in ${SECONDS} s`);
  tellTimes('each asks again at once', answers);
  const p99 = tellTimes(`each asks every ${EVERY_MS} ms`, paced);
  if (SECONDS >= 10) check(p99 < P99_MS, `p99 under ${P99_MS} ms`);
  // With each probe one request learns that there is nobody: 502.
  const others = answers.filter(({ status }) => status !== 503);
  check(
    others.every(({ status }) => status === 502) && others.length <= attempts,
    `503 for all but the ${others.length} probes`,
  );
  const probes = Math.ceil((SECONDS * 1000) / COOLDOWN_MS + 1) * backends.length;
  check(attempts <= probes, `no more than ${probes} probes`);
  check(growth < HEAP_NOISE, `heap flat: ${inMb(growth, 2)} in ${answers.length} requests`);
  await comeBack(backends, proxy, agent);
  agent.destroy();
  await checkNoTroubles(proxy);
}

/**
 * Answers the p99 of the 503, in ms.
 * @param {string} clients
 * @param {{ status: number | undefined, ms: number }[]} answers
 */
function tellTimes(clients, answers) {
  const own = answers.filter(({ status }) => status === 503).map(({ ms }) => ms);
  own.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => own[Math.floor(share * (own.length - 1))] ?? NaN;
  const rate = Math.round(own.length / SECONDS);
  const [p50, p99] = [at(0.5), at(0.99)];
  console.log(
    `${clients}: ${rate} 503 a second, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
  );
  return p99;
}

/** @param {Peer} proxy */
async function attemptsOf(proxy) {
  const [{ backends }] = await proxy.ask('status');
  return backends.reduce(
    (/** @type {number} */ sum, /** @type {{ attempts: number }} */ { attempts }) => sum + attempts,
    0,
  );
}

/** @param {Peer} proxy */
async function isClosed(proxy) {
  const [{ backends }] = await proxy.ask('status');
  return backends.every((/** @type {{ breaker: string }} */ { breaker }) => breaker === 'closed');
}

/**
 * The same ports again, slow at first: who is counted before the first answer has been let in.
 * @param {Peer[]} backends
 * @param {Peer} proxy
 * @param {Agent} agent
 */
async function comeBack(backends, proxy, agent) {
  let end = () => {};
  const ended = new Promise((resolve) => {
    end = () => resolve(undefined);
  });
  const running = load(proxy, agent, ended);
  const back = await Promise.all(
    backends.map(async ({ ready }) => {
      const settings = { port: ready, holdMs: PROBE_MS };
      return startProcess(import.meta.resolve('./backend.js'), settings);
    }),
  );
  const start = performance.now();
  while (!(await isClosed(proxy)) && performance.now() - start < RECOVERY_LIMIT_MS) await sleep(50);
  end();
  const answers = await running;
  const counts = await Promise.all(back.map((backend) => backend.ask('counts')));
  const probes = counts.map(({ beforeAnswer }) => beforeAnswer);
  console.log(`recovery: requests at each backend before its first answer: ${probes.join(', ')}`);
  check(
    probes.every((count) => count === 1),
    'one probe for each backend',
  );
  check(answers.at(-1)?.status === 200, 'then all is well');
}
