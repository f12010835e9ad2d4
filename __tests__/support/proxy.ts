// Express apps with a proxy in them, on 127.0.0.1, closed after the test.
import { createServer, type Server, type ServerOptions } from 'node:http';
import express from 'express';
import { tinyProxy } from '../../src/index.js';
import { closeAfterTest } from './cleanup.js';
import { LoopbackServer } from './loopback-server.js';
import { memoryStream } from './wait.js';

export {
  type ClientInit,
  type ClientResponse,
  get,
  type OpenRequest,
  open,
  readBody,
} from './client.js';

type Options = Parameters<typeof tinyProxy>[0];
type Proxy = ReturnType<typeof tinyProxy>;

/** An app that runs. */
export interface RunningApp {
  /** `http://127.0.0.1:port`, without the mount path. */
  url: string;
  port: number;
  server: Server;
  app: express.Express;
}

/**
 * Starts an app; `build` mounts what it needs. `app`: one of Express 4, say, instead of a new one;
 * `options`: of node:http's server.
 */
export async function startProxy(
  build: (app: express.Express) => void,
  { app = express(), options = {} }: { app?: express.Express; options?: ServerOptions } = {},
): Promise<RunningApp> {
  build(app);
  const server = createServer(options, app);
  const { url, port } = await new LoopbackServer(server).start();
  return { url, port, server, app };
}

/** The transport that this run is about; hooks that only node:http has make `'auto'` take it. */
export const TRANSPORT = process.env.TRANSPORT === 'http' ? 'http' : 'auto';

/** `tinyProxy(options)`, but silent unless `options.log` is given, and closed after the test. */
export function quietProxy(options: Options): Proxy {
  const proxy = tinyProxy({ log: false, transport: TRANSPORT, ...options });
  closeAfterTest(() => proxy.close(0));
  return proxy;
}

/** How the proxy stands in its app. */
export interface MountOptions {
  /** The path it is mounted at; `/`. */
  mount?: string;
  /** Express's `trust proxy`. */
  trustProxy?: boolean | number | string | string[];
  /** Keeps the log in `log`: `true` for the `text` format, or another format. */
  captureLog?: boolean | 'text' | 'json' | string;
  app?: express.Express;
  /** Options of node:http's server. */
  server?: ServerOptions;
}

/** An app with one proxy. */
export interface RunningProxy extends RunningApp {
  proxy: Proxy;
  /** The lines of `captureLog`. */
  log: string[];
}

/** Starts an app whose only middleware is `tinyProxy(options)`; silent unless told otherwise. */
export async function startProxyWith(
  options: Options,
  { mount = '/', trustProxy, captureLog = false, app = express(), server = {} }: MountOptions = {},
): Promise<RunningProxy> {
  const stream = memoryStream();
  const format = captureLog === true ? 'text' : captureLog;
  const proxy = quietProxy(format ? { log: { format, stream }, ...options } : options);
  if (trustProxy !== undefined) app.set('trust proxy', trustProxy);
  const running = await startProxy((target) => target.use(mount, proxy), {
    app,
    options: server,
  });
  return { ...running, proxy, log: stream.lines };
}
