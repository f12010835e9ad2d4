// @ts-check
/**
 * 100,000 requests of all kinds through one proxy (`node stress-mixed.js COUNT` for another
 * number): those that go well, that fail, that are refused, left by the client, cut in mid-body,
 * and that carry a body. Each must end as it may end; afterwards the proxy must stand as at the
 * start: no socket, listener or memory left over, no warning.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, checkNoTroubles } from './checks.js';
import { send } from './client.js';
import { runBounded, startProcess } from './processes.js';
import { describe, settle } from './settle.js';
import { inMb, MIB } from './units.js';

const COUNT = Number(process.argv[2] ?? 100_000);
const CLIENTS = 50;
const WARM_UP_REQUESTS = 2000;
/**
 * What the heap may differ by, between the middle and the end: some 40 bytes a request would show.
 */
const HEAP_NOISE = 2 * MIB;
/** Nobody listens on port 1; a port that was free a moment ago may be somebody else's by now. */
const REFUSING = 'http://127.0.0.1:1';
const BODY = randomBytes(512 * 1024);

/** @typedef {import('./client.js').Result} Result */
/** @typedef {Omit<import('./client.js').Call, 'agent' | 'port'>} Shape */

/**
 * @typedef {object} Kind
 * @property {number} share of a hundred requests
 * @property {() => Shape} shape
 * @property {(result: Result, shape: Shape) => boolean} mayEndSo beside the proxy's own 502 and 503
 */

/** @type {Record<string, Kind>} */
const KINDS = {
  ok: {
    share: 40,
    shape: () => ({ path: '/api/small' }),
    mayEndSo: ({ status, whole, body }) =>
      status === 200 && whole && body.includes('a small answer'),
  },
  '5xx': {
    share: 8,
    shape: () => ({ path: `/api/status/${500 + randomBelow(5)}` }),
    mayEndSo: ({ status = 0, whole }) => status >= 500 && whole,
  },
  refused: {
    share: 5,
    shape: () => ({ path: '/refused/small' }),
    mayEndSo: () => false,
  },
  'left early': {
    share: 6,
    shape: () => ({ path: '/api/slow', leaveAfterMs: randomBelow(25) }),
    mayEndSo: leftOrServed,
  },
  'left in mid-body': {
    share: 6,
    shape: () => ({ path: '/api/drip', leaveAfterMs: 15 + randomBelow(25) }),
    mayEndSo: ({ whole, error }) => !whole && error !== undefined,
  },
  'left in upload': {
    share: 3,
    shape: () => ({ path: '/api/slow', method: 'PUT', body: BODY, leaveAfterMs: randomBelow(10) }),
    mayEndSo: leftOrServed,
  },
  'cut in mid-body': {
    share: 4,
    shape: () => ({ path: '/api/cut' }),
    mayEndSo: ({ status, whole }) => status === 200 && !whole,
  },
  POST: {
    share: 16,
    shape: () => ({ path: '/api/upload', method: 'POST', body: randomPart() }),
    mayEndSo: arrivedWhole,
  },
  PUT: {
    share: 12,
    shape: () => ({ path: '/api/upload', method: 'PUT', body: randomPart() }),
    mayEndSo: arrivedWhole,
  },
};
const PER_HUNDRED = Object.entries(KINDS).flatMap(([name, { share }]) => Array(share).fill(name));

await runBounded(60_000 + COUNT * 5, async () => {
  const backend = await startProcess('backend.js', { ports: [0, 0] });
  const answering = backend.ready.map((/** @type {number} */ port) => `http://127.0.0.1:${port}`);
  // breakers that trip and recover all the time: their whole life is walked through again and again
  const breaker = { cooldown: 100 };
  const mounts = {
    '/api': { target: [...answering, REFUSING], breaker },
    '/refused': { target: REFUSING, breaker },
  };
  const proxy = await startProcess('proxy.js', { mounts }, ['--expose-gc']);

  await sendMany(proxy.ready, WARM_UP_REQUESTS);
  const start = await settle(proxy);
  const began = performance.now();
  const firstHalf = await sendMany(proxy.ready, Math.ceil(COUNT / 2));
  const middle = await settle(proxy);
  const secondHalf = await sendMany(proxy.ready, Math.floor(COUNT / 2));
  const end = await settle(proxy);
  const seconds = (performance.now() - began) / 1000;

  const results = [...firstHalf, ...secondHalf];
  printTally(results);
  console.log(`${COUNT} requests in ${seconds.toFixed(1)} s, the waits for quiet included`);
  console.log(`start:  ${describe(start)}\nmiddle: ${describe(middle)}\nend:    ${describe(end)}`);
  const wrong = results.filter(({ verdict }) => verdict.startsWith('WRONG'));
  check(wrong.length === 0, `each request ended as its kind may end (${wrong.length} did not)`);
  const fine = results.filter(({ name }) => name === 'ok');
  const answered = fine.filter(({ verdict }) => verdict === '200');
  check(answered.length > fine.length / 2, 'most of the GETs that could go well did');
  await checkNoTroubles(proxy);
  check(end.resources === start.resources, 'open sockets and timers as at the start');
  check(end.listeners === start.listeners, 'listeners as at the start');
  const growth = end.heap - middle.heap;
  check(growth < HEAP_NOISE, `heap flat: ${inMb(growth, 2)} from the middle to the end`);
  await proxy.ask('close');
  const code = await Promise.race([proxy.exited, sleep(5000, 'nothing yet')]);
  check(code === 0, `after close() the process ended by itself, with ${code}`);
});

/**
 * @param {number} port
 * @param {number} count
 * @returns {Promise<{ name: string, verdict: string }[]>}
 */
async function sendMany(port, count) {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  /** @type {{ name: string, verdict: string }[]} */
  const results = [];
  let left = count;
  const client = async () => {
    while (left > 0) {
      left -= 1;
      const name = PER_HUNDRED[randomBelow(PER_HUNDRED.length)];
      const kind = /** @type {Kind} */ (KINDS[name]);
      const shape = kind.shape();
      const result = await send({ agent, port, ...shape });
      results.push({ name, verdict: judge(kind, shape, result) });
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  agent.destroy();
  return results;
}

/**
 * @param {Kind} kind
 * @param {Shape} shape
 * @param {Result} result
 */
function judge(kind, shape, result) {
  const { status, whole, error } = result;
  if (kind.mayEndSo(result, shape))
    return status === undefined ? 'no answer' : `${status}${whole ? '' : ' cut'}`;
  if ((status === 502 || status === 503) && whole) return String(status);
  return `WRONG: ${status ?? 'no answer'}, ${whole ? 'whole' : 'cut'}, ${error ?? 'no error'}`;
}

/**
 * The client's timer may be late: then it has got its answer.
 * @param {Result} result
 */
function leftOrServed({ status, whole, error }) {
  return error === 'left' || (status === 200 && whole);
}

/**
 * @param {Result} result
 * @param {Shape} shape
 */
function arrivedWhole({ status, whole, body }, shape) {
  const sent = shape.body ?? Buffer.alloc(0);
  if (status !== 200 || !whole) return false;
  const got = JSON.parse(body.toString());
  return (
    got.bytes === sent.length && got.sha256 === createHash('sha256').update(sent).digest('hex')
  );
}

/** @param {{ name: string, verdict: string }[]} results */
function printTally(results) {
  for (const name of Object.keys(KINDS)) {
    /** @type {Record<string, number>} */
    const counts = {};
    for (const result of results) {
      if (result.name === name) counts[result.verdict] = (counts[result.verdict] ?? 0) + 1;
    }
    const parts = Object.entries(counts).map(([verdict, count]) => `${verdict} x ${count}`);
    console.log(`${name.padEnd(18)}${parts.join(', ')}`);
  }
}

/** Mostly small; one in twenty is longer than what the proxy keeps for a retry. */
function randomPart() {
  const most = randomBelow(20) === 0 ? BODY.length : 16_384;
  return BODY.subarray(0, 1 + randomBelow(most));
}

/** @param {number} limit */
function randomBelow(limit) {
  return Math.floor(Math.random() * limit);
}
