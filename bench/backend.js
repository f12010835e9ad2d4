// @ts-check
/**
 * The backend of all runs, a process of its own: plain node:http, kept-alive connections, an answer
 * by path. Settings: `ports`, the ports to listen on (0: any), and `record`, the file that notes
 * each POST to /orders.
 */

import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { itemBody, payload, readSlowly, SMALL } from './payload.js';
import { readSettings, serveParent } from './processes.js';

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */

const CUT_BYTES = 20_000;
const SLOW_MS = 30;
const DRIP = 'drip\n'.repeat(200);

/** @type {{ ports: number[], record?: string }} */
const { ports, record } = readSettings();
const orders = record === undefined ? undefined : openSync(record, 'a');
let served = 0;

/** @type {Record<string, (req: Request, res: Response, rest: string) => void | Promise<void>>} */
const answers = {
  small(_req, res) {
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': SMALL.length });
    res.end(SMALL);
  },
  status(_req, res, rest) {
    res.writeHead(Number(rest), { 'Content-Type': 'text/plain' }).end('as you wish\n');
  },
  /** Announces a whole body and dies in its middle. */
  cut(_req, res) {
    res.writeHead(200, { 'Content-Length': CUT_BYTES });
    res.write(Buffer.alloc(CUT_BYTES / 2, 'x'), () => setTimeout(() => res.destroy(), 2));
  },
  async slow(req, res) {
    await sleep(SLOW_MS);
    answers.small?.(req, res, '');
  },
  /** A body that ends only when its reader leaves. */
  drip(_req, res) {
    const timer = setInterval(() => res.write(DRIP), 5);
    res.once('close', () => clearInterval(timer));
    res.write(DRIP);
  },
  /** Takes a body, and says what it has got. */
  async upload(req, res) {
    const got = await readSlowly(req);
    res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(got));
  },
  /** Takes a body as fast as it comes, and says how long it was. */
  sink(req, res) {
    let bytes = 0;
    req.on('data', (/** @type {Buffer} */ chunk) => {
      bytes += chunk.length;
    });
    req.once('end', () => {
      res.setHeader('X-Received', bytes);
      answers.small?.(req, res, '');
    });
  },
  async download(_req, res, rest) {
    res.writeHead(200, { 'Content-Length': Number(rest) });
    await pipeline(payload(Number(rest)), res);
  },
  async items(_req, res, rest) {
    const body = itemBody(Number(rest));
    res.writeHead(200, { 'Content-Length': body.length });
    const half = Math.floor(body.length / 2);
    res.write(body.subarray(0, half));
    await sleep(5);
    res.end(body.subarray(half));
  },
  /** Notes the order before it answers: what was written outlives a SIGKILL. */
  orders(req, res, rest) {
    req.resume().once('end', () => {
      if (orders !== undefined) writeSync(orders, `${rest}\n`);
      res.writeHead(201, { 'Content-Type': 'text/plain' }).end('noted\n');
    });
  },
};

/**
 * @param {Request} req
 * @param {Response} res
 */
async function answer(req, res) {
  served += 1;
  const [, name = '', rest = ''] = (req.url ?? '').split('/');
  try {
    await answers[name]?.(req, res, rest);
  } catch {
    res.destroy(); // the other side has left
  }
}

const servers = await Promise.all(
  ports.map(async (port) => {
    const server = createServer(answer).listen(port, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }),
);
process.once('exit', () => orders !== undefined && closeSync(orders));
serveParent(
  servers.map((server) => /** @type {import('node:net').AddressInfo} */ (server.address()).port),
  { served: () => served },
);
