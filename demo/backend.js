// @ts-check
/**
 * One backend of the demo: a real HTTP server on a port of its own, which can be told to fail while
 * it runs.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';

const SLOW_MS = 2000;

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */

/**
 * What a backend can be told to do, and how it then answers.
 * @type {Map<string, (number: number, req: Request, res: Response) => void>}
 */
export const STATES = new Map([
  ['ok', answerWell],
  ['refuse', (_number, req) => req.socket.destroy()], // its port is closed, too
  ['500', answer500],
  ['hang', () => {}],
  ['slow', answerLate],
  ['die', dieInMidBody],
]);

/** @param {number} number its name in the demo, from 1 */
export async function startBackend(number) {
  let state = 'ok';
  const server = createServer((req, res) => {
    req.resume(); // a body that nobody reads would hold up the connection
    STATES.get(state)?.(number, req, res);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  /** @param {string} next a name of `STATES` */
  const switchTo = async (next) => {
    state = next;
    if (state === 'refuse') {
      stop();
    } else if (!server.listening) {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    }
  };
  return {
    number,
    url: `http://127.0.0.1:${port}`,
    state: () => state,
    describe: () => `${number} ${state}`,
    switchTo,
    stop,
  };
}

/** @type {(number: number, req: Request, res: Response) => void} */
function answerWell(number, req, res) {
  const { method, url, headers } = req;
  const attempt = Number(headers['x-request-attempt'] ?? 1);
  sendJson(res, 200, { backend: number, method, url, requestId: headers['x-request-id'], attempt });
}

/** @type {(number: number, req: Request, res: Response) => void} */
function answer500(number, _req, res) {
  sendJson(res, 500, { backend: number, error: 'told to fail' });
}

/** @type {(number: number, req: Request, res: Response) => void} */
function answerLate(number, req, res) {
  const timer = setTimeout(() => answerWell(number, req, res), SLOW_MS);
  res.once('close', () => clearTimeout(timer));
}

/** @type {(number: number, req: Request, res: Response) => void} */
function dieInMidBody(_number, _req, res) {
  res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 1000 });
  res.write('half of the body, and th', () => setTimeout(() => res.destroy(), 50));
}

/**
 * @param {Response} res
 * @param {number} status
 * @param {object} body
 */
function sendJson(res, status, body) {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  const headers = { 'Content-Type': 'application/json', 'Content-Length': bytes.length };
  res.writeHead(status, headers).end(bytes);
}
