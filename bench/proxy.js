// @ts-check
/**
 * One proxy, a process of its own, and its figures when the parent asks.
 * Settings: `peer`, a name of `PEERS`, and `mounts`, the options of the proxy at each path.
 */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createServer } from 'node:http';
import { devNull } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import express from 'express';
import { readSettings, serveParent } from './processes.js';

const SAMPLE_MS = 10;

/** @typedef {import('express-tiny-proxy').TinyProxyOptions & { target: [string] }} Options */
/** @typedef {import('express').Express} App */

const nowhere = createWriteStream(devNull);
/** @type {import('express-tiny-proxy').TinyProxy[]} */
const proxies = [];

/**
 * Each loads only what it needs, as an app of its own would.
 * @type {Record<string, (app: App, path: string, options: Options) => Promise<void>>}
 */
const PEERS = {
  async 'express-tiny-proxy'(app, path, options) {
    const { tinyProxy } = await import('express-tiny-proxy');
    const proxy = tinyProxy({ log: { format: 'text', stream: nowhere }, ...options });
    proxies.push(proxy);
    app.use(path, proxy);
  },
  async 'http-proxy-middleware'(app, path, { target }) {
    const { createProxyMiddleware } = await import('http-proxy-middleware');
    app.use(path, createProxyMiddleware({ target: target[0] }));
  },
  async 'http-proxy-middleware + morgan'(app, path, options) {
    const { default: morgan } = await import('morgan');
    app.use(path, morgan('tiny', { stream: nowhere }));
    await PEERS['http-proxy-middleware']?.(app, path, options);
  },
};

/** @type {{ peer: string, mounts: Record<string, Options> }} */
const { peer, mounts } = readSettings();
/** @type {string[]} */
const troubles = [];
process.on('warning', (warning) => troubles.push(`warning: ${warning.message}`));
process.on('unhandledRejection', (reason) => troubles.push(`unhandledRejection: ${reason}`));
process.on('uncaughtException', (error) => troubles.push(`uncaughtException: ${error.stack}`));

const app = express();
for (const [path, options] of Object.entries(mounts)) await PEERS[peer]?.(app, path, options);
const server = createServer(app).listen(0, '127.0.0.1');
await once(server, 'listening');

/** @type {NodeJS.Timeout | undefined} */
let sampling;
let peakRss = 0;

serveParent(/** @type {import('node:net').AddressInfo} */ (server.address()).port, {
  /** CPU time so far, in microseconds, of all threads. */
  cpu() {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  rss: () => process.memoryUsage.rss(),
  /** The RSS now; from now on the highest is kept. */
  watchRss() {
    clearInterval(sampling);
    peakRss = process.memoryUsage.rss();
    sampling = setInterval(() => {
      peakRss = Math.max(peakRss, process.memoryUsage.rss());
    }, SAMPLE_MS).unref();
    return peakRss;
  },
  peakRss: () => Math.max(peakRss, process.memoryUsage.rss()),
  async heapAfterGc() {
    for (let i = 0; i < 3; i += 1) {
      await nextTurn();
      globalThis.gc?.();
    }
    return process.memoryUsage().heapUsed;
  },
  /** What keeps the process alive, by kind: sockets, servers, timers. */
  resources() {
    /** @type {Record<string, number>} */
    const counts = {};
    for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
    return counts;
  },
  listeners: () =>
    countListeners([process, server, nowhere, ...proxies.map(({ events }) => events)]),
  troubles: () => troubles,
  status: () => proxies.map((proxy) => proxy.status()),
  /** Ends as a server should. Afterwards nothing may keep the process alive. */
  async close() {
    server.close();
    await Promise.all(proxies.map((proxy) => proxy.close(1000)));
    server.closeAllConnections();
    process.removeAllListeners('disconnect');
    setImmediate(() => process.disconnect());
  },
});

/** @param {import('node:events').EventEmitter[]} emitters */
function countListeners(emitters) {
  return emitters
    .flatMap((emitter) => emitter.eventNames().map((name) => emitter.listenerCount(name)))
    .reduce((sum, count) => sum + count, 0);
}
