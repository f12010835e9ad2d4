// @ts-check
/** The client of the stress runs: one request, and all that can be said of how it went. */
import { request } from 'node:http';

/** Longer than any request may take here: the proxies' own limits are shorter. */
const PATIENCE_MS = 20_000;

/**
 * @typedef {object} Result
 * @property {number | undefined} status undefined: no response had begun
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {boolean} whole whether the response ended as HTTP says it must; if not, it was cut
 * @property {Buffer} body what has come of it
 * @property {string} [error]
 */

/**
 * @typedef {object} Call
 * @property {import('node:http').Agent} agent
 * @property {number} port
 * @property {string} path
 * @property {string} [method]
 * @property {Buffer} [body]
 * @property {number} [leaveAfterMs] the client goes away then, however far it has come
 */

/**
 * Never rejects.
 * @param {Call} call
 * @returns {Promise<Result>}
 */
export function send({ agent, port, path, method = 'GET', body, leaveAfterMs }) {
  return new Promise((resolve) => {
    /** @type {Buffer[]} */
    const chunks = [];
    /** @type {Result} */
    const result = { status: undefined, headers: {}, whole: false, body: Buffer.alloc(0) };
    const req = request({ agent, host: '127.0.0.1', port, path, method });
    const leave = setTimeout(
      () => req.destroy(new Error(leaveAfterMs === undefined ? 'no end' : 'left')),
      leaveAfterMs ?? PATIENCE_MS,
    );
    const finish = () => {
      clearTimeout(leave);
      result.body = Buffer.concat(chunks);
      resolve(result);
    };
    req.once('response', (res) => {
      result.status = res.statusCode;
      result.headers = res.headers;
      res.on('data', (chunk) => chunks.push(chunk));
      res.once('error', (error) => {
        result.error ??= error.message;
      });
      res.once('close', () => {
        result.whole = res.complete;
        finish();
      });
    });
    req.once('error', (error) => {
      result.error ??= error.message;
    });
    req.once('close', () => {
      if (result.status === undefined) finish();
    });
    if (body !== undefined) req.setHeader('Content-Length', body.length);
    req.end(body);
  });
}
