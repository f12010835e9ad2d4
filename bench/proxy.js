// @ts-check
/**
 * The proxy of the stress runs, a process of its own, and its figures when the parent asks.
 * Settings: `mounts`, the options of the proxy at each path.
 */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createServer } from 'node:http';
import { devNull } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import express from 'express';
import { tinyProxy } from 'express-tiny-proxy';
import { readSettings, serveParent } from './processes.js';

const SAMPLE_MS = 10;

/** @typedef {import('express-tiny-proxy').TinyProxyOptions} Options */

const nowhere = createWriteStream(devNull);
/** @type {import('express-tiny-proxy').TinyProxy[]} */
const proxies = [];

/** @type {{ mounts: Record<string, Options> }} */
const { mounts } = readSettings();
/** @type {string[]} */
const troubles = [];
process.on('warning', (warning) => troubles.push(`warning: ${warning.message}`));
process.on('unhandledRejection', (reason) => troubles.push(`unhandledRejection: ${reason}`));
process.on('uncaughtException', (error) => troubles.push(`uncaughtException: ${error.stack}`));

const app = express();
for (const [path, options] of Object.entries(mounts)) {
  const proxy = tinyProxy({ log: { format: 'text', stream: nowhere }, ...options });
  proxies.push(proxy);
  app.use(path, proxy);
}
const server = createServer(app).listen(0, '127.0.0.1');
await once(server, 'listening');

/** @type {NodeJS.Timeout | undefined} */
let sampling;
let peakRss = 0;

serveParent(/** @type {import('node:net').AddressInfo} */ (server.address()).port, {
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
