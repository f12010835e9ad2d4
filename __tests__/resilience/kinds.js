// @ts-check
/** Requests of all kinds, and how each may end. A failure of the proxy's own is 502, 503 or 504. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { send } from '../../bench/client.js';
import { itemBody } from '../../bench/payload.js';

const BODY = randomBytes(512 * 1024);
const EVENTS_MS = 1500;
const MESSAGES = 5;

/** @typedef {Pick<import('../../bench/client.js').Call, 'agent' | 'port'>} Connection */
/** @typedef {(connection: Connection) => Promise<string>} Kind answers '' or what was wrong */

const isOwn = (/** @type {number | undefined} */ status) =>
  status === 502 || status === 503 || status === 504;

/**
 * @param {import('./kinds.js').Connection} connection
 * @param {Omit<import('../../bench/client.js').Call, 'agent' | 'port'>} shape
 * @param {(result: import('../../bench/client.js').Result) => boolean} mayEndSo
 */
async function request(connection, shape, mayEndSo) {
  const result = await send({ ...connection, ...shape });
  const { status, whole, error } = result;
  if (mayEndSo(result) || (isOwn(status) && whole)) return '';
  return `${shape.method ?? 'GET'} ${shape.path}: ${status}, whole: ${whole}, ${error}`;
}

/** @param {string} method */
const upload = (method) => (/** @type {Connection} */ connection) => {
  const most = Math.random() < 0.05 ? BODY.length : 16_384;
  const body = BODY.subarray(0, 1 + Math.floor(Math.random() * most));
  const sha256 = createHash('sha256').update(body).digest('hex');
  const wanted = JSON.stringify({ bytes: body.length, sha256 });
  const shape = { path: '/api/things/1', method, body };
  return request(connection, shape, (r) => r.status === 200 && r.body.toString() === wanted);
};

/** @type {Kind} */
async function get(connection) {
  const number = Math.floor(Math.random() * 1000);
  return request(
    connection,
    { path: `/api/items/${number}` },
    ({ status, whole, body }) => status === 200 && whole && body.equals(itemBody(number)),
  );
}

/** The client leaves in the middle of its own body. */
async function abortUpload(/** @type {Connection} */ { port }) {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  socket.write('PUT /api/things/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n');
  socket.write(BODY.subarray(0, 1 + Math.floor(Math.random() * 200_000)));
  await sleep(Math.random() * 50);
  socket.destroy();
  return '';
}

/** @type {Kind} */
async function events(connection) {
  const shape = { path: '/api/events', leaveAfterMs: EVENTS_MS };
  // A busy machine may be late with the head.
  return request(connection, shape, ({ status, error }) => {
    return error === 'left' && (status === 200 || status === undefined);
  });
}

/** Each message comes back; then both sides say goodbye. */
async function webSocket(/** @type {Connection} */ { port }) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/socket`);
  let refused = '';
  socket.on('unexpected-response', (req, { statusCode }) => {
    if (!isOwn(statusCode)) refused = `WebSocket: ${statusCode}`;
    req.destroy();
    socket.terminate();
  });
  socket.on('error', () => {});
  // Not once(): an error, which comes before a close, would reject it.
  /** @type {Promise<number>} */
  const closed = new Promise((resolve) => socket.on('close', resolve));
  const opened = new Promise((resolve) => socket.on('open', () => resolve('open')));
  if ((await Promise.race([opened, closed])) !== 'open') return refused;
  for (let i = 0; i < MESSAGES; i += 1) {
    socket.send(`message ${i}`);
    const message = new Promise((resolve) => socket.once('message', resolve));
    const data = await Promise.race([message, closed]);
    if (String(data) !== `message ${i}`) return `WebSocket: ${data} instead of message ${i}`;
    await sleep(50);
  }
  socket.close(1000);
  const code = await closed;
  return code === 1000 ? '' : `WebSocket: ended with ${code}`;
}

/** @type {[share: number, kind: Kind][]} of a hundred */
const SHARES = [
  [36, get],
  [12, upload('PUT')],
  [14, upload('POST')],
  [
    6,
    (connection) =>
      request(connection, { path: '/api/status/500' }, ({ status, whole }) => {
        return status === 500 && whole;
      }),
  ],
  [4, (connection) => request(connection, { path: '/api/cut' }, ({ whole }) => !whole)],
  [
    6,
    (connection) =>
      request(connection, { path: '/api/drip', leaveAfterMs: 30 }, ({ whole }) => !whole),
  ],
  [
    6,
    (connection) =>
      request(connection, { path: '/api/slow', leaveAfterMs: 15 }, ({ status, error }) => {
        return status === 200 || error === 'left';
      }),
  ],
  [6, abortUpload],
  [5, events],
  [5, webSocket],
];
const PER_HUNDRED = SHARES.flatMap(([share, kind]) => Array(share).fill(kind));

/** One request of a random kind. @type {Kind} */
export function sendAny(connection) {
  const kind = PER_HUNDRED[Math.floor(Math.random() * PER_HUNDRED.length)];
  return kind(connection);
}
