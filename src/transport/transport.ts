import type { Request, Response } from 'express';
import type { Backend } from '../backends.js';
import type { ProxyError } from '../errors.js';
import type { HeaderMap } from '../headers.js';
import type { ReplayBody } from '../replay-body.js';

/**
 * The seam between the life of a request and what carries one attempt of it. Nothing above it knows
 * http-proxy-middleware; nothing below it knows retries, breakers or ids.
 */
export interface Transport {
  readonly name: 'http' | 'undici';
  send(attempt: Attempt, events: AttemptEvents): Flight;
  /** Idle connections to this backend are not to be used again. */
  dropIdle(backend: Backend): void;
  /** It gets no attempt any more, and none is left: its connections are closed. */
  forget(backend: Backend): void;
  /** Tells `on.error`, once a request; answers the error that it has ended with, a bug there included. */
  reportError(error: ProxyError, req: Request, res: Response, backend: Backend | null): ProxyError;
  close(): void;
}

/** A WebSocket handshake; its socket is the request's. */
export interface Upgrade {
  /** What the client has sent behind its handshake; it is in the socket, too. */
  readonly head: Buffer;
  /** The socket is the tunnel's from now on. */
  onTunnel(): void;
}

/** What one attempt sends, and where. */
export interface Attempt {
  readonly req: Request;
  /** Gets the body of a response that is passed on; its head is written above the seam. */
  readonly res: Response;
  readonly backend: Backend;
  readonly method: string;
  /** The whole path, the backend's base included. */
  readonly path: string;
  readonly headers: HeaderMap;
  /** Framing: `content-length` is in the headers where the length is known; a stream without is chunked. */
  readonly body: Buffer | ReplayBody | null;
  /** Asks for a tunnel, over a connection of its own. */
  readonly upgrade: Upgrade | undefined;
}

export interface Head {
  status: number;
  reason: string;
  headers: HeaderMap;
  /** Names as the backend wrote them. */
  readonly rawHeaders: readonly string[];
  /** Runs the user's `proxyRes` hooks, for a response that is about to be passed on. */
  runHooks(): void;
}

/** After `'drop'`, `onEnd` or `abort()` nothing more is heard of an attempt. */
export interface AttemptEvents {
  onInformational(status: number, headers: HeaderMap): void;
  /** Answers at once. `'pass'`: the head has been written, the body (of a 101: a tunnel) is to follow it to `res`. */
  onHead(head: Head): 'pass' | 'drop';
  /** A part of the passed body. */
  onData(bytes: number): void;
  /** The passed body waits for the client to read, or no longer does. */
  onBackPressure(waiting: boolean): void;
  onEnd(outcome: Outcome): void;
  /** A hook of the user that threw when all was decided; the one thing that may come after the end. */
  onBug(error: ProxyError): void;
}

export type Outcome =
  | { readonly kind: 'complete' }
  | {
      readonly kind: 'failed';
      /** `'ECONNREFUSED'`, `'ETIMEDOUT'`, `'INVALID_RESPONSE'`, ... */
      readonly code: string;
      readonly error: Error;
      /** The connection stood: something may have been sent. */
      readonly connected: boolean;
      /** A pooled connection that was reset before any byte of a response. */
      readonly stale: boolean;
      /** It has waited in vain for one of `maxConnections`: nothing was sent. */
      readonly queued?: true;
    };

export interface Flight {
  /** The connection stands, or has stood. */
  readonly connected: boolean;
  /** Cuts the attempt. */
  abort(): void;
  /** Ends the wait for one of `maxConnections`, as `queueTimeout` does; false where there is none. */
  leaveQueue?(): boolean;
}
