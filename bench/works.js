// @ts-check
/** What is asked of the proxies in a run, and whether an answer is the right one. */
import { Agent } from 'node:http';
import { send } from './client.js';
import { payload, SMALL } from './payload.js';
import { KIB, MIB } from './units.js';

/** Twice around three backends. */
const SAMPLES = 6;

/**
 * @typedef {object} Work
 * @property {string} title
 * @property {'GET' | 'POST'} method
 * @property {string} path
 * @property {Buffer} [body]
 * @property {Buffer} answer the body of each response
 * @property {number} connections unless told otherwise
 * @property {number} seconds of a round, unless told otherwise
 * @property {boolean} [oneDead] whether one of three backends refuses all connections
 */

/**
 * What is in flight at the end of a round is not counted: with long bodies there is less of it, and
 * more time.
 */
const FEW_AND_LONG = { connections: 8, seconds: 2 };
const USUAL = { connections: 50, seconds: 1 };

/** @type {Record<string, () => Work>} */
export const WORKS = {
  get: () => ({ title: 'small GET', method: 'GET', path: '/small', answer: SMALL, ...USUAL }),
  'post-1k': () => ({ title: '1 KB POST', ...upload(KIB), ...USUAL }),
  'get-100k': () => ({ title: 'GET of 100 KB', ...download(100 * KIB), ...USUAL }),
  'post-100k': () => ({ title: '100 KB POST', ...upload(100 * KIB), ...USUAL }),
  'get-10m': () => ({ title: 'GET of 10 MB', ...download(10 * MIB), ...FEW_AND_LONG }),
  'post-10m': () => ({ title: '10 MB POST', ...upload(10 * MIB), ...FEW_AND_LONG }),
  dead: () => {
    const title = 'small GET, one of three backends dead';
    return { title, method: 'GET', path: '/small', answer: SMALL, oneDead: true, ...USUAL };
  },
};

/**
 * @param {number} bytes
 * @returns {Pick<Work, 'method' | 'path' | 'answer'>}
 */
function download(bytes) {
  return { method: 'GET', path: `/download/${bytes}`, answer: Buffer.concat([...payload(bytes)]) };
}

/**
 * @param {number} bytes
 * @returns {Pick<Work, 'method' | 'path' | 'body' | 'answer'>}
 */
function upload(bytes) {
  return {
    method: 'POST',
    path: '/sink',
    body: Buffer.concat([...payload(bytes)]),
    answer: SMALL,
  };
}

/**
 * Throws if what listens on `port` does not do this work, and says what it does instead.
 * @param {Work} work
 * @param {number} port
 */
export async function checkAnswers({ method, path, body: sent, answer }, port) {
  const agent = new Agent({ keepAlive: true });
  try {
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      const call = { agent, port, path, method, ...(sent && { body: sent }) };
      const { status, whole, body, headers, error } = await send(call);
      if (status !== 200) throw new Error(`answered ${method} ${path} with ${status ?? error}`);
      if (!whole || !body.equals(answer)) throw new Error('answered with another body');
      // nginx counts the head, too
      if (sent && !(Number(headers['x-received']) >= sent.length)) {
        throw new Error('did not pass the whole body on');
      }
    }
  } finally {
    agent.destroy();
  }
}
