// @ts-check
/**
 * 2,000 event streams and 1,000 readers who take a little a second, at once; then 500 uploads that send
 * a byte a second. Every event arrives; a slow reader's backend is read ahead by no more than 1 MB; and
 * of the uploads no more is held than `retry.maxTotalBytes`.
 *
 * What the kernel holds for a connection counts as read ahead, and may be megabytes. So this runs in a
 * network of its own, with small socket buffers, where that is permitted; else the proxy's own memory
 * is looked at alone.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { check, checkNoTroubles } from '../../bench/checks.js';
import { runBounded, startProcess } from '../../bench/processes.js';
import { inMb, MIB } from '../../bench/units.js';

const SECONDS = Number(process.env.SLOW_SECONDS || 20);
/** Of the people below; for a machine that is busy with something else. */
const SCALE = Number(process.env.SLOW_SCALE || 1);
const EVENT_STREAMS = 2000 * SCALE;
const READERS = 1000 * SCALE;
const UPLOADS = 500;
/** At once, at the start: a listen queue is not what is tried here. */
const OPENED_TOGETHER = 100;
const READ_EVERY_MS = 2000;
const OPEN_LIMIT_MS = 60_000;
const MOST_AHEAD = MIB;
/** Of RSS, for a process that has not worked before. */
const WARM_UP_BYTES = 64 * MIB;
const MOST_FOR_EACH = MIB / 4;
const MOST_KEPT = 16 * MIB;
const UPLOAD_START = Buffer.alloc(128 * 1024, 'x');
/** Sockets' own buffers, the log's lines, and what the collector has not got to. */
const SLACK = 16 * MIB;

/** @typedef {import('../../bench/processes.js').Peer} Peer */

const INSIDE = 'SLOW_PEOPLE_INSIDE';
const SMALL_BUFFERS = [
  'ip link set lo up',
  'sysctl -qw net.ipv4.tcp_wmem="4096 16384 65536" net.ipv4.tcp_rmem="4096 32768 65536"',
].join(' && ');

const inside = process.env[INSIDE] !== undefined;
const isPermitted =
  !inside && spawnSync('unshare', ['--net', 'sh', '-c', SMALL_BUFFERS]).status === 0;
if (isPermitted) {
  const self = `exec "${process.execPath}" "${fileURLToPath(import.meta.url)}"`;
  const args = ['--net', 'sh', '-c', `${SMALL_BUFFERS} && ${self}`];
  const env = { ...process.env, [INSIDE]: '1' };
  const child = spawn('unshare', args, { stdio: 'inherit', env });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
    process.once(signal, () => child.kill(signal));
  const [code] = await once(child, 'exit');
  process.exit(code ?? 1);
}
if (!inside)
  console.log('without small socket buffers, which need root: memory is looked at alone');

await runBounded(SECONDS * 3000 + 300_000, async () => {
  await downloads();
  await uploads();
});

/** @param {object} options */
async function startBoth(options) {
  const backend = await startProcess(import.meta.resolve('./backend.js'), {});
  const mounts = { '/api': { target: `http://127.0.0.1:${backend.ready}`, ...options } };
  const file = import.meta.resolve('./proxy.js');
  return { backend, proxy: await startProcess(file, { mounts }, ['--expose-gc']) };
}

/**
 * @template T
 * @param {number} count
 * @param {(i: number) => Promise<T>} open
 * @returns {Promise<T[]>}
 */
async function openMany(count, open) {
  const all = [];
  for (let i = 0; i < count; i += OPENED_TOGETHER) {
    const some = Math.min(OPENED_TOGETHER, count - i);
    all.push(...(await Promise.all(Array.from({ length: some }, (_, j) => open(i + j)))));
  }
  return all;
}

/**
 * @param {number} port
 * @param {string} path
 */
async function ask(port, path) {
  const socket = connect(port, '127.0.0.1');
  const state = { socket, bytes: 0, events: 0, lateMs: 0, error: '' };
  socket.on('error', (error) => {
    state.error = error.message;
  });
  socket.on('end', () => {
    state.error ||= 'ended';
  });
  await once(socket, 'connect');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
  socket.on('data', (chunk) => {
    state.bytes += chunk.length;
  });
  await once(socket, 'data');
  return state;
}

/** @param {number} port */
async function openEvents(port) {
  const state = await ask(port, '/api/events');
  state.socket.on('data', (chunk) => {
    const [, sentAt] = /data: (\d+)/.exec(chunk.toString('latin1')) ?? [];
    if (sentAt === undefined) return;
    state.events += 1;
    state.lateMs = Math.max(state.lateMs, Date.now() - Number(sentAt));
  });
  return state;
}

/**
 * It reads once, and again after a while.
 * @param {number} port
 * @param {number} i
 */
async function openReader(port, i) {
  const state = await ask(port, `/api/stream/${i}`);
  const { socket } = state;
  socket.pause();
  socket.on('data', () => socket.pause());
  const timer = setInterval(() => socket.resume(), READ_EVERY_MS);
  socket.once('close', () => clearInterval(timer));
  return state;
}

async function downloads() {
  const { backend, proxy } = await startBoth({});
  const before = await proxy.ask('watchRss');
  const events = await openMany(EVENT_STREAMS, () => openEvents(proxy.ready));
  const readers = await openMany(READERS, (i) => openReader(proxy.ready, i));
  console.log(`${EVENT_STREAMS} event streams and ${READERS} slow readers are open`);
  for (const state of events) Object.assign(state, { events: 0, lateMs: 0 });
  await sleep(SECONDS * 1000);

  const [{ inFlight }] = await proxy.ask('status');
  const fewest = Math.min(...events.map((each) => each.events));
  const latest = Math.max(...events.map(({ lateMs }) => lateMs));
  const streamed = new Map(await backend.ask('streamed'));
  const ahead = readers.map(({ bytes }, i) => Number(streamed.get(String(i))) - bytes);
  const furthest = Math.max(...ahead);
  const grown = (await proxy.ask('peakRss')) - before;
  const read = readers.reduce((sum, { bytes }) => sum + bytes, 0);
  console.log(`${inFlight} requests in flight; ${inMb(read)} read by ${READERS} slow readers`);
  console.log(`each stream has had ${fewest} events at least, the latest after ${latest} ms`);
  console.log(
    `read ahead of a reader: ${inMb(furthest, 2)} at most, the kernel's buffers included`,
  );
  console.log(`RSS of the proxy grew by ${inMb(grown)}`);
  const broken = [...events, ...readers].filter(({ error }) => error !== '');
  check(broken.length === 0 && inFlight === EVENT_STREAMS + READERS, 'nobody was cut off');
  check(fewest >= SECONDS - 2, 'every event arrived at everyone');
  if (inside) check(furthest < MOST_AHEAD, 'no backend was read ahead by 1 MB');
  const most = WARM_UP_BYTES + (EVENT_STREAMS + READERS) * MOST_FOR_EACH;
  check(grown < most, `memory: less than ${inMb(most)}`);
  for (const { socket } of [...events, ...readers]) socket.destroy();
  await checkNoTroubles(proxy);
  await Promise.all([backend.kill(), proxy.kill()]);
}

/**
 * @param {number} port
 * @param {Promise<unknown>} end when it is to end
 */
async function uploadSlowly(port, end) {
  let isOver = false;
  end.then(() => {
    isOver = true;
  });
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const chunk = (/** @type {Buffer} */ { length }) => `${length.toString(16)}\r\n`;
  socket.write('PUT /api/things/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
  socket.write(`${chunk(UPLOAD_START)}${UPLOAD_START}\r\n`);
  let bytes = UPLOAD_START.length;
  while (!isOver) {
    await sleep(1000);
    socket.write('1\r\nx\r\n');
    bytes += 1;
  }
  socket.write('0\r\n\r\n');
  const [answer] = await once(socket, 'data');
  socket.destroy();
  return answer.includes(`"bytes":${bytes},`);
}

async function uploads() {
  const { backend, proxy } = await startBoth({ retry: { maxTotalBytes: MOST_KEPT } });
  await openMany(OPENED_TOGETHER, () => uploadSlowly(proxy.ready, Promise.resolve()));
  await proxy.ask('heapAfterGc');
  const before = await proxy.ask('buffers');
  let finish = () => {};
  const end = new Promise((resolve) => {
    finish = () => resolve(undefined);
  });
  const running = Array.from({ length: UPLOADS }, () => uploadSlowly(proxy.ready, end));
  const start = performance.now();
  let inFlight = 0;
  while (inFlight < UPLOADS && performance.now() - start < OPEN_LIMIT_MS) {
    await sleep(100);
    inFlight = (await proxy.ask('status'))[0].inFlight;
  }
  await sleep(SECONDS * 250);
  await proxy.ask('heapAfterGc');
  const held = (await proxy.ask('buffers')) - before;
  finish();
  const whole = (await Promise.all(running)).filter(Boolean).length;
  const sent = inMb(UPLOADS * UPLOAD_START.length);
  console.log(`${inFlight} uploads under way, ${sent} sent: ${inMb(held)} held in Buffers`);
  check(inFlight === UPLOADS, 'all at once');
  check(whole === UPLOADS, `${whole} uploads arrived whole`);
  check(held < MOST_KEPT + SLACK, `no more than the ${inMb(MOST_KEPT)} of retry.maxTotalBytes`);
  await checkNoTroubles(proxy);
  await Promise.all([backend.kill(), proxy.kill()]);
}
