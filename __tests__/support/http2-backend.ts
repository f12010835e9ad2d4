// A real HTTP/2 backend on 127.0.0.1, over TLS, that keeps what it was sent.
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TinyProxyOptions } from '../../src/index.js';
import { localhostCertificate } from './certificates.js';
import { LoopbackServer } from './loopback-server.js';
import { type MountOptions, type RunningProxy, startProxyWith } from './proxy.js';

/** One request, as it arrived. */
export interface Http2Request {
  headers: IncomingHttpHeaders;
  /** Names and values in turn. */
  rawHeaders: readonly string[];
  /** Whole, once it has ended. */
  body: Buffer;
  trailers: IncomingHttpHeaders;
  /** Which session brought it, from 1. */
  session: number;
  /** Its body has ended. */
  ended: boolean;
  /** The code of the reset that ended its stream. */
  resetCode: number | undefined;
}

/** Answers one request: when its body has ended, or, of `atHead`, as soon as its head is there. */
export type Http2Handler = (stream: ServerHttp2Stream, request: Http2Request) => void;

export interface Http2Options extends SecureServerOptions {
  /** The handler runs as soon as the request's head is there. */
  atHead?: boolean;
}

/** A running backend. */
export class Http2Backend extends LoopbackServer {
  readonly server: Http2SecureServer;
  /** In the order of their heads. */
  readonly requests: Http2Request[] = [];
  readonly sessions: ServerHttp2Session[] = [];

  constructor(handler: Http2Handler, { atHead = false, ...options }: Http2Options) {
    const server = createSecureServer({ ...localhostCertificate, ...options });
    super(server);
    this.server = server;
    server.on('session', (session) => this.sessions.push(session));
    server.on('sessionError', () => {}); // a proxy that leaves is no accident here
    type OnStream = [ServerHttp2Stream, IncomingHttpHeaders, flags: number, rawHeaders: string[]];
    server.on('stream', (...[stream, headers, , rawHeaders]: OnStream) => {
      const request = this.#watch(stream, headers, rawHeaders);
      if (atHead) handler(stream, request);
      else stream.on('end', () => handler(stream, request));
    });
  }

  override get url(): string {
    return `https://${this.host}`;
  }

  #watch(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
  ): Http2Request {
    const session = this.sessions.indexOf(stream.session as ServerHttp2Session) + 1;
    const request: Http2Request = {
      ...{ headers, rawHeaders, session, body: Buffer.alloc(0), trailers: {} },
      ...{ ended: false, resetCode: undefined },
    };
    this.requests.push(request);
    const chunks: Buffer[] = [];
    stream.on('error', () => {}); // told by `resetCode`
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('trailers', (trailers) => {
      request.trailers = { ...trailers };
    });
    stream.on('end', () => {
      request.body = Buffer.concat(chunks);
      request.ended = true;
    });
    stream.on('close', () => {
      request.resetCode = stream.rstCode;
    });
    return request;
  }
}

/** Starts a backend that does with every request what `handler` says. */
export function startHttp2Backend(
  handler: Http2Handler,
  options: Http2Options = {},
): Promise<Http2Backend> {
  return new Http2Backend(handler, options).start();
}

/** Answers with this status, body and headers. */
export function answer(
  status: number,
  body: string | Buffer = '',
  headers: Record<string, string | string[]> = {},
): Http2Handler {
  return (stream) => {
    stream.respond({ ':status': status, ...headers });
    stream.end(body);
  };
}

/** A proxy to such backends: by HTTP/2, with their certificate verified. Its log is JSON. */
export function startHttp2Proxy(
  target: TinyProxyOptions['target'],
  options: Partial<TinyProxyOptions> = {},
  mount: MountOptions = {},
): Promise<RunningProxy> {
  return startProxyWith(
    { target, transport: 'auto', http2: true, ssl: { ca: localhostCertificate.cert }, ...options },
    { captureLog: 'json', ...mount },
  );
}
