// @ts-check
/**
 * The proxy of the stress and resilience runs, and its figures when the parent asks. Settings:
 * `mounts`, the options of the proxy at each path.
 */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createServer } from 'node:http';
import { devNull } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readSettings, serveParent } from './processes.js';

const SAMPLE_MS = 10;
const KEEP_ALIVE_MS = 120_000;

/** @typedef {import('express-tiny-proxy').TinyProxyOptions} Options */

const nowhere = createWriteStream(devNull);
/** @type {import('express-tiny-proxy').TinyProxy[]} */
const proxies = [];

/** @type {{ mounts: Record<string, Options> }} */
const { mounts } = readSettings();
/** @type {string[]} */
const troubles = [];
/** @type {Record<string, number>} requests by `:no-retry` */
const noRetries = {};
process.on('warning', (warning) => troubles.push(`warning: ${warning.message}`));
process.on('unhandledRejection', (reason) => troubles.push(`unhandledRejection: ${reason}`));
process.on('uncaughtException', (error) => troubles.push(`uncaughtException: ${error.stack}`));
/** @type {import('node:http').Server} */
let server;
/** @type {NodeJS.Timeout | undefined} */
let sampling;
let peakRss = 0;

/**
 * Who calls says which copies of the packages are under test.
 * @param {typeof import('express')} express
 * @param {typeof import('express-tiny-proxy').tinyProxy} tinyProxy
 */
export async function serveProxy(express, tinyProxy) {
  const app = express();
  for (const [path, options] of Object.entries(mounts)) {
    const proxy = tinyProxy({ log: { format: 'text', stream: nowhere }, ...options });
    proxies.push(proxy);
    proxy.events.on('done', ({ noRetry }) => {
      if (noRetry !== null) noRetries[noRetry] = (noRetries[noRetry] ?? 0) + 1;
    });
    app.use(path, proxy);
  }
  server = createServer(app).listen(0, '127.0.0.1');
  // A client that is late must not meet the end of its idle connection: that is its own race.
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await once(server, 'listening');
  serveParent(/** @type {import('node:net').AddressInfo} */ (server.address()).port, answers);
}

/** By the parent's question. */
const answers = {
  /** The RSS now; from now on the highest is kept. */
  watchRss() {
    clearInterval(sampling);
    peakRss = process.memoryUsage.rss();
    sampling = setInterval(() => {
      peakRss = Math.max(peakRss, process.memoryUsage.rss());
    }, SAMPLE_MS).unref();
    return peakRss;
  },
  rss: () => process.memoryUsage.rss(),
  peakRss: () => Math.max(peakRss, process.memoryUsage.rss()),
  /** Of all Buffers. */
  buffers: () => process.memoryUsage().arrayBuffers,
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
  noRetries: () => noRetries,
  status: () => proxies.map((proxy) => proxy.status()),
  /** Ends as a server should. Afterwards nothing may keep the process alive. */
  async close() {
    server.close();
    await Promise.all(proxies.map((proxy) => proxy.close(1000)));
    server.closeAllConnections();
    process.removeAllListeners('disconnect');
    setImmediate(() => process.disconnect());
  },
};

/** @param {import('node:events').EventEmitter[]} emitters */
function countListeners(emitters) {
  return emitters
    .flatMap((emitter) => emitter.eventNames().map((name) => emitter.listenerCount(name)))
    .reduce((sum, count) => sum + count, 0);
}
