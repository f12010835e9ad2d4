// A real backend on 127.0.0.1 that keeps what it was sent.
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from 'node:https';
import { type Handler, runsAtHead } from './handlers.js';
import { LoopbackServer } from './loopback-server.js';

export { type Controlled, controlled, eventStream, type SlowDrip, slowDrip } from './controlled.js';
export {
  atHead,
  bigBody,
  byPath,
  closeConnection,
  dieInBody,
  type Echo,
  earlyAnswer,
  echo,
  failTimes,
  type Handler,
  hang,
  heldUntil,
  reply,
  resetConnection,
  resetWhenReused,
  streamForever,
} from './handlers.js';

/** One request, as it arrived. */
export interface ReceivedRequest {
  method: string;
  url: string;
  httpVersion: string;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  trailers: NodeJS.Dict<string>;
  /** Whole; empty where an `atHead` handler was to read it. */
  body: Buffer;
  /** Which accepted connection brought it, from 1. */
  connection: number;
}

/** Options of node:http's server, e.g. `keepAliveTimeout`; `tls` (key and cert) makes it HTTPS. */
export interface BackendOptions extends ServerOptions {
  tls?: TlsOptions;
}

/** A running backend. */
export class Backend extends LoopbackServer {
  /** The requests whose body has ended, in that order. */
  readonly received: ReceivedRequest[] = [];
  /** Requests whose head has arrived. */
  started = 0;
  /** Exchanges that ended before their response had: the caller left, or the handler cut it. */
  unfinished = 0;
  /** For an `upgrade` listener, or an odd setting. */
  readonly server: Server;
  readonly #scheme: 'http' | 'https';
  readonly #connectionOf = new WeakMap<object, number>();
  #handler: Handler;

  constructor(handler: Handler, { tls, ...options }: BackendOptions) {
    const server = tls ? createTlsServer({ ...options, ...tls }) : createServer(options);
    super(server);
    this.server = server;
    this.#scheme = tls ? 'https' : 'http';
    this.#handler = handler;
    server.on(tls ? 'secureConnection' : 'connection', (socket: object) => {
      this.#connectionOf.set(socket, this.connections);
    });
    server.on('request', (request, response) => this.#receive(request, response));
  }

  override get url(): string {
    return `${this.#scheme}://${this.host}`;
  }

  /** From the next request on, `handler` answers. */
  answerWith(handler: Handler): void {
    this.#handler = handler;
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    this.started += 1;
    response.once('close', () => {
      if (!response.writableFinished) this.unfinished += 1;
    });
    const handler = this.#handler;
    const answer = async (body: Buffer): Promise<void> => {
      try {
        await handler(request, response, body);
      } catch (error) {
        this.failed(error);
        response.destroy();
      }
    };
    const chunks: Buffer[] = [];
    request.on('error', () => {}); // the caller left in mid-upload
    request.once('end', () => {
      const body = Buffer.concat(chunks);
      this.received.push(this.#asReceived(request, body));
      if (!runsAtHead(handler)) void answer(body);
    });
    if (runsAtHead(handler)) void answer(Buffer.alloc(0));
    else request.on('data', (chunk: Buffer) => chunks.push(chunk));
  }

  #asReceived(request: IncomingMessage, body: Buffer): ReceivedRequest {
    const { method = '', url = '', httpVersion, headers, rawHeaders, trailers } = request;
    const connection = this.#connectionOf.get(request.socket) ?? 0;
    return { method, url, httpVersion, headers, rawHeaders, trailers, body, connection };
  }
}

/** Starts a backend that does with every request what `handler` says. */
export function startBackend(handler: Handler, options: BackendOptions = {}): Promise<Backend> {
  return new Backend(handler, options).start();
}

/** Starts a backend for each handler. */
export function startBackends<Handlers extends Handler[]>(
  ...handlers: Handlers
): Promise<{ [Index in keyof Handlers]: Backend }> {
  const starting = handlers.map((handler) => startBackend(handler));
  return Promise.all(starting) as Promise<{ [Index in keyof Handlers]: Backend }>;
}
