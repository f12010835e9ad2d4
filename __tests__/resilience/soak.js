// @ts-check
/**
 * Ten minutes (`SOAK_SECONDS`) of mixed traffic, faults among it: two backends that answer, one that
 * refuses, breakers that open and close all the time. Afterwards the proxy stands as at the start: no
 * socket, timer or listener left over, no heap. Over a long run its RSS grows by less than 1 MB a
 * minute.
 */
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, checkNoTroubles } from '../../bench/checks.js';
import { runBounded, startProcess } from '../../bench/processes.js';
import { describe, settle } from '../../bench/settle.js';
import { inMb, MIB } from '../../bench/units.js';
import { sendAny } from './kinds.js';

const SECONDS = Number(process.env.SOAK_SECONDS || 600);
const CLIENTS = 50;
const THINK_MS = 20;
const WARM_UP_SECONDS = SECONDS / 4;
/** Each is taken behind a garbage collection: before one, RSS swings by tens of megabytes. */
const SAMPLE_MS = 5000;
const SAMPLES_A_MINUTE = 60_000 / SAMPLE_MS;
/** Below that a slope is noise. */
const LONG_SECONDS = 300;
const MOST_A_MINUTE = MIB;
const HEAP_NOISE = 4 * MIB;
/** Nobody listens on port 1. */
const REFUSING = 'http://127.0.0.1:1';

/** @typedef {import('../../bench/processes.js').Peer} Peer */

await runBounded((SECONDS + 120) * 1000, async () => {
  const backends = await Promise.all(
    [1, 2].map(() => startProcess(import.meta.resolve('./backend.js'), {})),
  );
  const target = [...backends.map(({ ready }) => `http://127.0.0.1:${ready}`), REFUSING];
  const mounts = { '/api': { target, ws: true, breaker: { cooldown: 100 } } };
  const file = import.meta.resolve('./proxy.js');
  const proxy = await startProcess(file, { mounts }, ['--expose-gc']);

  const wrong = await traffic(proxy, WARM_UP_SECONDS);
  const start = await settle(proxy);
  const samples = sample(proxy);
  wrong.push(...(await traffic(proxy, SECONDS - WARM_UP_SECONDS)));
  const taken = await samples.stop();
  const slope = slopeOf(taken);
  const end = await settle(proxy);

  const [{ requests, retries }] = await proxy.ask('status');
  console.log(`${requests} requests in ${SECONDS} s, ${retries} retries`);
  console.log(`start: ${describe(start)}\nend:   ${describe(end)}`);
  const byMinute = taken.filter((_, i) => i % SAMPLES_A_MINUTE === 0);
  console.log(`RSS by the minute: ${byMinute.map(([, bytes]) => inMb(bytes)).join(', ')}`);
  console.log(`RSS slope after ${WARM_UP_SECONDS} s of warm-up: ${inMb(slope, 2)} a minute`);
  for (const each of wrong.slice(0, 10)) console.log(each);
  check(wrong.length === 0, 'each request ended as its kind may end');
  await checkNoTroubles(proxy);
  check(end.resources === start.resources, 'open sockets and timers as at the start');
  check(end.listeners === start.listeners, 'listeners as at the start');
  const growth = end.heap - start.heap;
  check(growth < HEAP_NOISE, `heap flat: ${inMb(growth, 2)} from the start to the end`);
  if (SECONDS >= LONG_SECONDS) check(slope < MOST_A_MINUTE, 'RSS grows by less than 1 MB a minute');
});

/**
 * @param {Peer} proxy
 * @param {number} seconds
 * @returns {Promise<string[]>} what was wrong
 */
async function traffic(proxy, seconds) {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const until = performance.now() + seconds * 1000;
  /** @type {string[]} */
  const wrong = [];
  const client = async () => {
    while (performance.now() < until) {
      const verdict = await sendAny({ agent, port: proxy.ready });
      if (verdict !== '') wrong.push(verdict);
      await sleep(Math.random() * 2 * THINK_MS);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  agent.destroy();
  return wrong;
}

/** @param {Peer} proxy */
function sample(proxy) {
  /** @type {[minutes: number, bytes: number][]} */
  const samples = [];
  let over = false;
  const done = (async () => {
    while (!over) {
      await proxy.ask('heapAfterGc');
      samples.push([performance.now() / 60_000, await proxy.ask('rss')]);
      await sleep(SAMPLE_MS);
    }
    return samples;
  })();
  return {
    stop() {
      over = true;
      return done;
    },
  };
}

/**
 * Bytes a minute, by least squares.
 * @param {[minutes: number, bytes: number][]} samples
 */
function slopeOf(samples) {
  const mean = (/** @type {number[]} */ list) => list.reduce((a, b) => a + b, 0) / list.length;
  const [x, y] = [mean(samples.map(([at]) => at)), mean(samples.map(([, bytes]) => bytes))];
  const above = samples.reduce((sum, [at, bytes]) => sum + (at - x) * (bytes - y), 0);
  return above / samples.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
}
