// @ts-check
/**
 * The backend of these runs, a process of its own: it answers by path, and otherwise as the parent
 * says. Settings: `port` (0: any), `host`, `backlog`, `record`, the file that notes each POST, and
 * `holdMs`, how long the first answers are held back.
 */
import { once } from 'node:events';
import { openSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import { itemBody, readSlowly, SMALL } from '../../bench/payload.js';
import { readSettings, serveParent } from '../../bench/processes.js';

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */

const EVENT_EVERY_MS = 1000;
const DRIP = 'drip\n'.repeat(200);
const BLOCK = Buffer.alloc(16_384, 'x');

/** @type {{ port?: number, host?: string, backlog?: number, record?: string, holdMs?: number }} */
const { port = 0, host = '127.0.0.1', backlog = 511, record, holdMs } = readSettings();
const orders = record === undefined ? undefined : openSync(record, 'a');
/** Requests whose head has come. */
let started = 0;
/** Of these, those that came before the first was answered. */
let beforeAnswer = 0;
let answered = false;
/** @type {{ status?: number, holdMs?: number }} what to do instead, as the parent says */
let order = holdMs === undefined ? {} : { holdMs };
/** @type {Set<Response>} */
const events = new Set();
setInterval(() => {
  for (const res of events) res.write(`data: ${Date.now()}\n\n`);
}, EVENT_EVERY_MS).unref();
/** @type {Map<string, Response>} by what stands behind /stream/ */
const streams = new Map();

/** @type {Record<string, (req: Request, res: Response, rest: string) => void | Promise<void>>} */
const answers = {
  small(_req, res) {
    res.writeHead(200, { 'Content-Length': SMALL.length }).end(SMALL);
  },
  status(_req, res, rest) {
    res.writeHead(Number(rest)).end('as you wish\n');
  },
  async slow(req, res) {
    await sleep(30);
    answers.small?.(req, res, '');
  },
  /** Announces a whole body and dies in its middle. */
  cut(_req, res) {
    res.writeHead(200, { 'Content-Length': 20_000 });
    res.write(Buffer.alloc(10_000, 'x'), () => setTimeout(() => res.destroy(), 2));
  },
  /** Ends only when its reader leaves. */
  drip(_req, res) {
    const timer = setInterval(() => res.write(DRIP), 5);
    res.once('close', () => clearInterval(timer));
    res.write(DRIP);
  },
  /** As fast as it is read. */
  stream(_req, res, rest) {
    streams.set(rest, res);
    res.once('close', () => streams.delete(rest));
    const pump = () => {
      while (!res.destroyed && res.write(BLOCK));
    };
    res.on('drain', pump);
    pump();
  },
  events(_req, res) {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    res.write('data: hello\n\n');
    events.add(res);
    res.once('close', () => events.delete(res));
  },
  /** In two halves, so that there is a middle to die in. */
  async items(_req, res, rest) {
    const body = itemBody(Number(rest));
    const half = Math.floor(body.length / 2);
    res.writeHead(200, { 'Content-Length': body.length }).write(body.subarray(0, half));
    await sleep(5);
    res.end(body.subarray(half));
  },
  /** Says what it has got. */
  async things(req, res) {
    const got = await readSlowly(req);
    res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(got));
  },
  /** Notes the order before it answers: what was written outlives a SIGKILL. */
  orders(req, res, rest) {
    req.resume().once('end', () => {
      if (orders !== undefined) writeSync(orders, `${rest}\n`);
      res.writeHead(201).end('noted\n');
    });
  },
};

/**
 * @param {Request} req
 * @param {Response} res
 */
async function answer(req, res) {
  started += 1;
  if (!answered) beforeAnswer += 1;
  try {
    if (order.holdMs !== undefined && !answered) await sleep(order.holdMs);
    answered = true;
    if (order.status !== undefined) {
      req.resume();
      return void res.writeHead(order.status).end('not now\n');
    }
    const [, name = '', rest = ''] = (req.url ?? '').split('/');
    await answers[name]?.(req, res, rest);
  } catch {
    res.destroy(); // the other side has left
  }
}

const server = createServer(answer).listen({ port, host, backlog });
server.keepAliveTimeout = 60_000; // what ends connections here is a fault, or the proxy
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
await once(server, 'listening');

serveParent(/** @type {import('node:net').AddressInfo} */ (server.address()).port, {
  counts: () => ({ started, beforeAnswer }),
  order(/** @type {typeof order} */ next) {
    order = next;
  },
  /** A restart in good order: each client of a WebSocket gets a close frame. */
  goAway() {
    for (const socket of sockets.clients) socket.close(1001, 'restart');
  },
  /** What each stream has got rid of. */
  streamed: () =>
    [...streams].map(([name, { socket }]) => {
      const written = (socket?.bytesWritten ?? 0) - (socket?.writableLength ?? 0);
      return [name, written];
    }),
});
