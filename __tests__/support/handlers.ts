// What a backend does with a request, said as a sentence. A handler runs when the request's body
// has been read whole (and stands in `received`), unless it is `atHead`.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { pseudoRandom, sha256 } from './bodies.js';
import { delivery } from './wait.js';

/** Answers one request, or does not. An error it throws fails the test. */
export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
) => void | Promise<void>;

const headHandlers = new WeakSet<Handler>();

/** Runs `handler` as soon as the request's head is there; the body is left unread, for it to read. */
export function atHead(handler: Handler): Handler {
  const early: Handler = (request, response, body) => handler(request, response, body);
  headHandlers.add(early);
  return early;
}

/** Whether `handler` was made by `atHead`. */
export function runsAtHead(handler: Handler): boolean {
  return headHandlers.has(handler);
}

/** Answers with this status, body (`Content-Length` is set) and headers. */
export function reply(
  status: number,
  body: string | Buffer = '',
  headers: OutgoingHttpHeaders = {},
): Handler {
  return (_request, response) => {
    response.statusCode = status;
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) response.setHeader(name, value);
    }
    response.end(body);
  };
}

/** What `echo()` answers, as JSON. */
export interface Echo {
  method: string;
  url: string;
  headers: NodeJS.Dict<string | string[]>;
  body: { length: number; sha256: string };
}

/** Answers 200 and, as JSON, what arrived: see `Echo`. */
export function echo(): Handler {
  return (request, response, body) => {
    const { method = '', url = '', headers } = request;
    const arrived: Echo = {
      method,
      url,
      headers,
      body: { length: body.length, sha256: sha256(body) },
    };
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify(arrived));
  };
}

/** Answers `status` to the first `times` requests, then does as `then` says. */
export function failTimes(times: number, then: Handler, status = 500): Handler {
  const fail = reply(status, `failure ${status}`);
  let failures = 0;
  return (request, response, body) => {
    if (failures >= times) return then(request, response, body);
    failures += 1;
    return fail(request, response, body);
  };
}

/** Resets the connection (RST) without a byte of an answer. */
export function resetConnection(): Handler {
  return (request) => reset(request);
}

/** Serves each connection once; its next request is met by a reset: a stale pooled connection. */
export function resetWhenReused(handler: Handler): Handler {
  const used = new WeakSet<object>();
  return (request, response, body) => {
    if (used.has(request.socket)) return reset(request);
    used.add(request.socket);
    return handler(request, response, body);
  };
}

/** Closes the connection (FIN) without a byte of an answer. */
export function closeConnection(): Handler {
  return (request) => request.socket.destroySoon();
}

/** Never answers. */
export function hang(): Handler {
  return () => {};
}

/** Does what stands beside the request's path, query and all. */
export function byPath(routes: Record<string, Handler>): Handler {
  return (request, response, body) => {
    const handler = routes[request.url ?? ''];
    if (!handler) throw new Error(`the backend has no route for ${request.url}`);
    return handler(request, response, body);
  };
}

/** Does as `handler` says, but not before `held` has resolved (see `gate()`). */
export function heldUntil(held: Promise<unknown>, handler: Handler): Handler {
  return async (request, response, body) => {
    await held;
    await handler(request, response, body);
  };
}

/** Announces twice as many, sends `bytes` bytes of body, then resets the connection. */
export function dieInBody(bytes: number): Handler {
  return (request, response) => {
    response.writeHead(200, { 'Content-Length': Math.max(1, bytes * 2) });
    response.write(Buffer.alloc(bytes, 'x'), () => delivery().then(() => reset(request)));
  };
}

/** Streams as fast as it is read, until somebody cuts it. */
export function streamForever(): Handler {
  const chunk = Buffer.alloc(65536, 'x');
  return (_request, response) => {
    const pump = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', pump);
    pump();
  };
}

/** Answers without reading the upload. Node reads the rest away, unless `Connection: close` is set. */
export function earlyAnswer(
  status: number,
  body: string | Buffer = '',
  headers: OutgoingHttpHeaders = {},
): Handler {
  return atHead(reply(status, body, headers));
}

/** A handler with 200 and this many pseudo-random bytes, whose SHA-256 is known. */
export function bigBody(bytes: number, seed = 1): { handler: Handler; sha256: string } {
  const body = pseudoRandom(bytes, seed);
  return {
    handler: (_request, response) => {
      response.writeHead(200, { 'Content-Length': bytes });
      body.stream().pipe(response);
    },
    get sha256() {
      return body.sha256;
    },
  };
}

/** Resets the connection of a request; TLS can only be cut. */
export function reset({ socket }: IncomingMessage): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
