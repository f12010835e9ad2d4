import type { IncomingMessage, ServerResponse } from 'node:http';
import { types } from 'node:util';
import type { NextFunction, Request, Response } from 'express';
import {
  createProxyMiddleware,
  type Options as HpmOptions,
  loggerPlugin,
  type Plugin,
  proxyEventsPlugin,
} from 'http-proxy-middleware';
import { atOnce, hookError, type ProxyError } from './errors.js';
import type { ResolvedOptions } from './options.js';

/**
 * http-proxy-middleware, taken apart at its plugin seam: its middleware (path filter and rewriting)
 * runs once a request, and hands over to us where it would call the proxy server's `web`; that
 * `web` is then called once an attempt.
 */
export type ProxyServer = Parameters<Plugin>[0];

export interface Hpm {
  readonly server: ProxyServer;
  /** httpxy's own `web`. */
  readonly web: ProxyServer['web'];
  /** Calls `proceed` with the path to send, or `next` for a request that the filter leaves out. */
  route(req: Request, res: Response, next: NextFunction, proceed: Proceed): void;
  /** Whether the filter takes a path, told at once. */
  takes(req: IncomingMessage, path: string): boolean;
}

/** `error` is there when a hook threw. */
export type Proceed = (error: ProxyError | null, path: string) => void;

/**
 * What the middleware gets for a request. It has no socket: for a server that it sees there, the
 * middleware would add a listener, one per proxy.
 */
interface Ticket {
  url: string;
  readonly req: Request;
  readonly proceed: Proceed;
  error: ProxyError | null;
  /** Asked is the filter alone: nothing is to be rewritten. */
  readonly isProbe?: true;
}

const asTicket = (value: unknown): Ticket => value as Ticket;

/** @throws {TypeError} for a `pathFilter` that mixes paths and globs. */
export function createHpm(options: ResolvedOptions, onBug: (error: ProxyError) => void): Hpm {
  let server: ProxyServer | undefined;
  let filterError: unknown;
  const own: Plugin = function captureServer(proxyServer) {
    server = proxyServer;
  };
  const { pathFilter, pathRewrite, logger } = options;
  const middleware = createProxyMiddleware({
    target: options.targets[0]!.url.href,
    ...(pathFilter === undefined ? {} : { pathFilter: overTickets(pathFilter) }),
    ...(pathRewrite === undefined ? {} : { pathRewrite: rewriteOverTickets(pathRewrite) }),
    ...(options.on === undefined ? {} : { on: watched(options.on, onBug) }),
    logger: {
      info: (...args: unknown[]) => logger?.info(...args),
      warn: (...args: unknown[]) => logger?.warn(...args),
      error(...args: unknown[]) {
        filterError = args[0];
        logger?.error(...args);
      },
    },
    // The default ones answer errors, or build a URL for a log line that nobody has asked for.
    ejectPlugins: true,
    plugins: [
      ...(options.ejectPlugins ? [] : [proxyEventsPlugin]),
      ...(options.ejectPlugins || logger === undefined ? [] : [loggerPlugin]),
      ...(options.plugins ?? []),
      own,
    ],
  } as HpmOptions);
  if (server === undefined) throw new Error('http-proxy-middleware did not run its plugins');

  const web = server.web.bind(server);
  server.web = (ticket) => {
    const { proceed, error, url } = asTicket(ticket);
    proceed(error, url);
    return Promise.resolve();
  };

  function route(req: Request, res: Response, next: NextFunction, proceed: Proceed): void {
    if (pathFilter === undefined && pathRewrite === undefined) return proceed(null, req.url);
    const ticket: Ticket = { url: req.url, req, proceed, error: null };
    void middleware(ticket as unknown as IncomingMessage, res as ServerResponse, () => next());
  }

  // http-proxy-middleware tells of a wrong filter only when a request comes, in its log.
  if (Array.isArray(pathFilter)) {
    const nowhere = { url: '/', proceed() {} } as unknown as IncomingMessage;
    void middleware(nowhere, {} as ServerResponse, () => {});
    if (filterError instanceof Error)
      throw new TypeError(`option "pathFilter": ${filterError.message}`);
  }
  const takes = pathFilter === undefined ? () => true : filterOf(middleware);
  return { server, web, route, takes };
}

/** The middleware calls `next` at once for what its filter leaves out. */
function filterOf(middleware: ReturnType<typeof createProxyMiddleware>): Hpm['takes'] {
  return function takes(req, url) {
    let left = false;
    const ticket: Ticket = { url, req: req as Request, proceed() {}, error: null, isProbe: true };
    void middleware(ticket as unknown as IncomingMessage, {} as ServerResponse, () => {
      left = true;
    });
    return !left;
  };
}

/** An emitter does not look at what its listeners answer: a rejection would end the process. */
function watched(on: Handlers, onBug: (error: ProxyError) => void): Handlers {
  const out: Record<string, Handler> = {};
  for (const [event, handler] of Object.entries(on as Record<string, Handler | undefined>)) {
    if (handler === undefined) continue;
    out[event] = (...args) => {
      const answer = handler(...args);
      if (types.isPromise(answer))
        answer.catch((thrown) => onBug(hookError(`on.${event}`, thrown)));
    };
  }
  return out;
}

type Handler = (...args: unknown[]) => unknown;
type Handlers = NonNullable<ResolvedOptions['on']>;
type PathFilter = NonNullable<ResolvedOptions['pathFilter']>;
type PathRewrite = NonNullable<ResolvedOptions['pathRewrite']>;

function overTickets(filter: PathFilter): NonNullable<HpmOptions['pathFilter']> {
  if (typeof filter !== 'function') return filter;
  return function filterPath(pathname, ticket) {
    try {
      return atOnce(filter(pathname, asTicket(ticket).req));
    } catch (thrown) {
      // http-proxy-middleware would log it and pass the request on.
      asTicket(ticket).error = hookError('pathFilter', thrown);
      return true;
    }
  };
}

function rewriteOverTickets(rewrite: PathRewrite): NonNullable<HpmOptions['pathRewrite']> {
  if (typeof rewrite !== 'function') return rewrite;
  return async function rewritePath(path, ticket, res, options) {
    if (asTicket(ticket).isProbe) return path;
    try {
      return await rewrite(path, asTicket(ticket).req, res as Response, options as never);
    } catch (thrown) {
      asTicket(ticket).error = hookError('pathRewrite', thrown);
      return path;
    }
  };
}
