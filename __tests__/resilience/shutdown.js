// @ts-check
/**
 * SIGTERM under load, in front of the recipe (graceful-shutdown.js): no request is lost, a close frame
 * that a backend sends in time passes, WebSockets that are left over end by FIN, and the process ends
 * by itself inside its grace period.
 */
import { once } from 'node:events';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { check } from '../../bench/checks.js';
import { send } from '../../bench/client.js';
import { itemBody } from '../../bench/payload.js';
import { freePort, runBounded, startProcess, startProgram } from '../../bench/processes.js';

const CLIENTS = 100;
const SOCKETS = 20;
const LOAD_MS = 2000;
/** As a load balancer asks. */
const READY_EVERY_MS = 200;
/** The recipe's. */
const [LEAVE_MS, GRACE_MS] = [2000, 5000];
const LIMIT_MS = LEAVE_MS + GRACE_MS + 1500;

/** @typedef {import('../../bench/processes.js').Peer} Peer */

await runBounded(60_000, async () => {
  const backends = await Promise.all(
    [1, 2].map(() => startProcess(import.meta.resolve('./backend.js'), {})),
  );
  const port = await freePort();
  const env = {
    ...process.env,
    PORT: String(port),
    BACKENDS: backends.map(({ ready }) => `http://127.0.0.1:${ready}`).join(),
  };
  const recipe = fileURLToPath(import.meta.resolve('./graceful-shutdown.js'));
  const server = await startProgram(process.execPath, [recipe], port, env);

  const sockets = await Promise.all(Array.from({ length: SOCKETS }, () => openSocket(port)));
  const load = startLoad(port);
  await sleep(LOAD_MS);
  const start = performance.now();
  process.kill(server.pid, 'SIGTERM');
  await sleep(LEAVE_MS / 2);
  await backends[0]?.ask('goAway');
  const code = await Promise.race([server.exited, sleep(LIMIT_MS, 'still running')]);
  const ms = Math.round(performance.now() - start);
  const { answered, late, wrong } = await load.result;
  const ends = await Promise.all(sockets.map(({ end }) => end));
  const said = ends.filter((end) => end === 'close frame 1001').length;
  const fins = ends.filter((end) => end === 'FIN').length;

  console.log(
    `${answered} requests answered, ${late} of them after SIGTERM; exit ${code}, ${ms} ms`,
  );
  console.log(`WebSockets: ${said} by a close frame, ${fins} by FIN`);
  for (const each of wrong.slice(0, 10)) console.log(each);
  check(wrong.length === 0, 'no request was lost');
  check(late > 0, 'requests went on after SIGTERM');
  check(said > 0 && fins > 0 && said + fins === SOCKETS, 'each WebSocket ended in good order');
  check(code === 0 && ms < LIMIT_MS, 'the process ended by itself, inside its grace period');
});

/**
 * Clients that stop when the server says that it is not ready any more.
 * @param {number} port
 */
function startLoad(port) {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS + 1 });
  const counts = { answered: 0, late: 0, wrong: /** @type {string[]} */ ([]) };
  let isReady = true;
  const watch = async () => {
    while (isReady) {
      await sleep(READY_EVERY_MS);
      isReady = (await send({ agent, port, path: '/ready' })).status === 200;
    }
  };
  const client = async (/** @type {number} */ i) => {
    const isLong = i % 10 === 0;
    while (isReady) {
      const path = isLong ? '/api/slow' : `/api/items/${i}`;
      const { status, whole, body, error, headers } = await send({ agent, port, path });
      const isRight = status === 200 && whole && (isLong || body.equals(itemBody(i)));
      if (isRight) counts.answered += 1;
      else counts.wrong.push(`${path}: ${status ?? error}, whole: ${whole}`);
      if (headers.connection === 'close') counts.late += 1;
    }
  };
  const all = [watch(), ...Array.from({ length: CLIENTS }, (_, i) => client(i))];
  const result = Promise.all(all).then(() => {
    agent.destroy();
    return counts;
  });
  return { result };
}

/**
 * @param {number} port
 * @returns {Promise<{ end: Promise<string> }>} how it ends, once it is open
 */
async function openSocket(port) {
  // `ws: true` subscribes with the first request.
  const agent = new Agent();
  await send({ agent, port, path: '/api/small' });
  agent.destroy();
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/socket`);
  let error = '';
  socket.on('error', ({ message }) => {
    error = message;
  });
  const end = once(socket, 'close').then(([code]) => {
    if (error !== '') return error;
    return code === 1006 ? 'FIN' : `close frame ${code}`;
  });
  await once(socket, 'open');
  return { end };
}
