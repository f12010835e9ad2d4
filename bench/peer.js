// @ts-check
/**
 * One proxy on Node, a process of its own: each as its README sets it up, and loading only what it
 * needs, as an app of its own would. Settings: `name`, one of `SERVERS`, and `targets`, the URLs of
 * its backends.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { readSettings, serveParent } from './processes.js';
import { ownUsage } from './usage.js';

/** @typedef {import('node:http').RequestListener} RequestListener */
/** @typedef {import('express').RequestHandler} Handler */
/** @typedef {{ target: string, targets: string[] }} Backends */

/** express-http-proxy refuses bodies of more than 1 MB, unless it is told otherwise. */
const BODY_LIMIT = '64mb';

/** @type {Record<string, (backends: Backends) => Promise<number>>} each answers its port */
const SERVERS = {
  ours: ({ targets }) => tiny(targets, {}),
  'ours-no-log': ({ targets }) => tiny(targets, { log: false }),
  'ours-http': ({ targets }) => tiny(targets, { transport: 'http' }),

  async hpm({ target }) {
    const { createProxyMiddleware } = await import('http-proxy-middleware');
    return listen(await expressApp(createProxyMiddleware({ target })));
  },
  async 'hpm-morgan'({ target }) {
    const { default: morgan } = await import('morgan');
    const { createProxyMiddleware } = await import('http-proxy-middleware');
    return listen(await expressApp(morgan('tiny'), createProxyMiddleware({ target })));
  },
  async 'express-http-proxy'({ target }) {
    const { default: proxy } = await import('express-http-proxy');
    const app = await expressApp(proxy(target, { limit: BODY_LIMIT }));
    // Express would print the error of each upload whose client leaves at the end of a round
    return listen(app.use(cutOff));
  },
  async httpxy({ target }) {
    const { createProxyServer } = await import('httpxy');
    const proxy = createProxyServer({ target });
    return listen((req, res) => proxy.web(req, res));
  },
  async 'fast-proxy'({ target }) {
    const { default: fastProxy } = await import('fast-proxy');
    const { proxy } = fastProxy({ base: target, undici: true });
    return listen((req, res) => proxy(req, res, req.url ?? '/', {}));
  },
  async fastify({ target }) {
    const { default: fastify } = await import('fastify');
    const { default: httpProxy } = await import('@fastify/http-proxy');
    const app = fastify();
    app.register(httpProxy, { upstream: target });
    await app.listen({ port: 0, host: '127.0.0.1' });
    return portOf(app.server);
  },
  async undici({ target }) {
    const { Pool } = await import('undici');
    const pool = new Pool(target);
    return listen((req, res) => dispatch(pool, req, res));
  },
};

/**
 * @param {string[]} target
 * @param {Partial<import('express-tiny-proxy').TinyProxyOptions>} options
 */
async function tiny(target, options) {
  const { tinyProxy } = await import('express-tiny-proxy');
  const all = { retry: true, breaker: true, trace: true };
  return listen(await expressApp(tinyProxy({ target, ...all, ...options })));
}

/** @param {Handler[]} handlers */
async function expressApp(...handlers) {
  const { default: express } = await import('express');
  return express().use(...handlers);
}

/** @type {(...args: Parameters<import('express').ErrorRequestHandler>) => void} */
function cutOff(_error, _req, res, _next) {
  res.destroy();
}

/** @param {RequestListener} listener */
async function listen(listener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return portOf(server);
}

/** @param {import('node:http').Server} server */
function portOf(server) {
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}

/**
 * The least that a proxy on undici has to do: streams with back pressure, and an end when the
 * client leaves. No header is removed but the one that undici refuses.
 * @param {import('undici').Pool} pool
 * @param {import('node:http').IncomingMessage} req
 * @param {import('node:http').ServerResponse} res
 */
function dispatch(pool, req, res) {
  const { url: path = '/', method = 'GET', headers } = req;
  const { connection, ...sent } = headers;
  const hasBody = 'content-length' in headers || 'transfer-encoding' in headers;
  pool.dispatch(
    { path, method, headers: sent, body: hasBody ? req : null },
    {
      onRequestStart(controller) {
        res.on('drain', () => controller.resume());
        res.once('close', () => {
          if (!res.writableFinished) controller.abort(new Error('the client left'));
        });
      },
      onResponseStart(_controller, status, received) {
        res.writeHead(status, received);
      },
      onResponseData(controller, chunk) {
        if (!res.write(chunk)) controller.pause();
      },
      onResponseEnd: () => res.end(),
      onResponseError() {
        if (!res.headersSent) res.writeHead(502).end();
        else res.destroy();
      },
    },
  );
}

/** @type {{ name: string, targets: [string, ...string[]] }} */
const { name, targets } = readSettings();
const port = await SERVERS[name]?.({ target: targets[0], targets });
serveParent(port, { usage: ownUsage });
