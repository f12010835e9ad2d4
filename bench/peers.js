// @ts-check
/** The proxies that are measured, and how each is started. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startNginxProxy } from './nginx.js';
import { freePort, runCommand, startProcess, startProgram } from './processes.js';
import { findProgram } from './programs.js';
import { hasProc, usageOf } from './usage.js';

/**
 * @typedef {object} Proxy one that runs
 * @property {number} port
 * @property {() => Promise<import('./usage.js').Usage>} usage
 * @property {() => Promise<void>} kill
 */

/**
 * @typedef {object} Peer
 * @property {string} label
 * @property {boolean} [balances] whether it takes several backends; the others get the first
 * @property {(name: string, targets: string[], folder: string) => Promise<Proxy>} start throws what
 *   is missing
 */

/** @type {Record<string, Peer>} */
export const PEERS = {
  ours: { label: 'express-tiny-proxy', balances: true, start: onNode },
  'ours-no-log': { label: 'express-tiny-proxy, no log', balances: true, start: onNode },
  'ours-http': { label: 'express-tiny-proxy on node:http', balances: true, start: onNode },
  hpm: { label: 'http-proxy-middleware', start: onNode },
  'hpm-morgan': { label: 'http-proxy-middleware + morgan', start: onNode },
  'express-http-proxy': { label: 'express-http-proxy', start: onNode },
  httpxy: { label: 'httpxy', start: onNode },
  'fast-proxy': { label: 'fast-proxy (undici)', start: onNode },
  fastify: { label: '@fastify/http-proxy', start: onNode },
  undici: { label: 'undici Pool.dispatch', start: onNode },
  go: { label: 'Go ReverseProxy, one core', start: goProxy },
  nginx: { label: 'nginx', balances: true, start: nginxProxy },
};

/** @type {Peer['start']} */
async function onNode(name, targets) {
  const { ready: port, ask, kill } = await startProcess('peer.js', { name, targets });
  return { port, kill, usage: () => ask('usage') };
}

/** @type {Peer['start']} */
async function goProxy(_name, targets, folder) {
  const go = needed('go', 'golang-go');
  const program = join(folder, 'reverse-proxy');
  const source = fileURLToPath(new URL('reverse-proxy.go', import.meta.url));
  const env = { ...process.env, GO111MODULE: 'off' };
  await runCommand(go, ['build', '-o', program, source], env);

  const port = await freePort();
  const args = [`127.0.0.1:${port}`, String(targets[0])];
  const started = await startProgram(program, args, port, { ...process.env, GOMAXPROCS: '1' });
  return { port, kill: started.kill, usage: async () => usageOf(started.pid) };
}

/** @type {Peer['start']} */
async function nginxProxy(_name, targets, folder) {
  const { port, pid, kill } = await startNginxProxy(needed('nginx', 'nginx'), folder, targets);
  return { port, kill, usage: async () => usageOf(pid) };
}

/**
 * @param {string} name
 * @param {string} packageName Debian's
 */
function needed(name, packageName) {
  if (!hasProc) throw new Error('needs /proc to be measured');
  const program = findProgram(name);
  if (program === undefined) throw new Error(`not installed (Debian: apt install ${packageName})`);
  return program;
}
