import { type OutgoingHttpHeaders, ServerResponse, STATUS_CODES } from 'node:http';
import type { Request, Response } from 'express';
import { atOnce, type ProxyError, problem } from './errors.js';
import { checkedHeaders, type HeaderMap, WEBSOCKET } from './headers.js';
import type { ResolvedOptions } from './options.js';
import type { Trace } from './tracing.js';
import type { Head } from './transport/transport.js';

/** What the client gets to see of a head: a backend's, or the proxy's own for an error. */

type ModifyResponse = NonNullable<ResolvedOptions['modifyResponse']>;

/**
 * Lets the user have the last word; the framing is not its matter.
 *
 * @throws what the hook throws, and a TypeError for a head that cannot be sent.
 */
export function modifyHead(modifyResponse: ModifyResponse, head: Head, req: Request): void {
  const response = { status: head.status, headers: { ...head.headers } };
  atOnce(modifyResponse(response, req));
  setHead(head, response.status, response.headers);
}

/**
 * A head as a hook has left it.
 *
 * @throws {TypeError} for what cannot be sent.
 */
export function setHead(head: Head, status: number, headers: HeaderMap): void {
  const isFinal = Number.isInteger(status) && status >= 200 && status <= 599;
  if (status !== head.status && (!isFinal || head.status === 101)) {
    const expected = head.status === 101 ? 'stay 101' : 'be an integer from 200 to 599';
    throw new TypeError(`status must ${expected}; got ${String(status)}`);
  }
  // The length in a 304 is not that of what follows it (RFC 9110 8.6).
  const length = head.status === 304 && status !== 304 ? undefined : head.headers['content-length'];
  if (status !== head.status) head.reason = STATUS_CODES[status] ?? '';
  head.status = status;
  head.headers = checkedHeaders(headers, length);
}

/**
 * Writes the head that is passed on. What the app has set before stays, but for what the backend
 * says too; of that, the lists that both may add to are joined.
 */
export function writeHead(res: Response, head: Head, trace: Trace | null, keepCase: boolean): void {
  const { headers } = head;
  const { 'set-cookie': cookies, vary } = headers;
  const set = res.writeHead === ServerResponse.prototype.writeHead ? null : res.getHeaders();
  if (cookies !== undefined && res.hasHeader('set-cookie'))
    headers['set-cookie'] = joinField(res.getHeader('set-cookie')!, cookies);
  if (vary !== undefined && res.hasHeader('vary'))
    headers.vary = joinField(res.getHeader('vary')!, vary).join(', ');
  if (trace !== null) delete headers[trace.name]; // ours is on the response already
  // RFC 9110 8.6: never with these.
  if (head.status === 204 || head.status === 101) delete headers['content-length'];
  if (head.status === 101) {
    Object.assign(headers, WEBSOCKET);
    for (const name of ['transfer-encoding', 'keep-alive']) res.removeHeader(name);
  }
  // Of a body that the app has not made; Node throws where it cannot be.
  if (res.hasHeader('trailer')) res.removeHeader('trailer');
  // The app's own would frame a body that it has not made. Node takes a removal for a wish, also
  // of a field that was not there: after it, it would never chunk.
  const other = headers['content-length'] === undefined ? 'content-length' : 'transfer-encoding';
  if (res.hasHeader(other)) res.removeHeader(other);
  const written = keepCase ? asWritten(headers, head.rawHeaders) : headers;
  try {
    res.writeHead(head.status, head.reason, written as Record<string, string | string[]>);
  } catch (thrown) {
    if (set !== null && !res.headersSent) takeBack(res, set);
    throw thrown;
  }
  if (head.status !== 101) return;
  res.socket!.setDefaultEncoding('latin1'); // it is UTF-8 that flushHeaders() would write else
  res.flushHeaders();
}

type Field = string | readonly string[];

/** Joins two values of a list field, the app's first. */
export function joinField(ours: number | Field, theirs: Field): string[] {
  return (typeof ours === 'object' ? [...ours] : [String(ours)]).concat(theirs);
}

/** on-headers has set a head already, field by field: it would go out with an error, or the next head. */
function takeBack(res: Response, set: OutgoingHttpHeaders): void {
  const { sendDate } = res;
  for (const name of res.getHeaderNames()) if (!(name in set)) res.removeHeader(name);
  for (const [name, value] of Object.entries(set)) res.setHeader(name, value!);
  res.sendDate = sendDate; // which is gone with a 'date'
}

/** `preserveHeaderKeyCase` */
function asWritten(headers: HeaderMap, rawHeaders: readonly string[]): HeaderMap {
  const names = new Map<string, string>();
  for (let i = 0; i < rawHeaders.length; i += 2)
    names.set(rawHeaders[i]!.toLowerCase(), rawHeaders[i]!);
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [names.get(name) ?? name, value]),
  );
}

/**
 * A link-value (RFC 8288 3) in a shape that Node's writeEarlyHints surely takes. Its own pattern has
 * several readings of a parameter: on a value that it does not take, it would run for years.
 */
const LINK = /^<[^>]*>(?:\s*;\s*[^;"=\s]+(?:=(?:"[^;"=\s]+"|[^;"=\s]+))?)*$/;

/**
 * RFC 9110 15.2: a proxy forwards 1xx; those that Node can write. Never to HTTP/1.0, which would
 * take it for the answer.
 */
export function write1xx(req: Request, res: Response, status: number, headers: HeaderMap): void {
  if (res.headersSent || req.httpVersion === '1.0') return;
  if (res.socket === null || res.socket.writableNeedDrain) return; // a flood, to one who does not read
  if (status === 102) res.writeProcessing();
  if (status !== 103 || headers.link === undefined) return;
  // RFC 8297. Node joins repeated fields, and takes a list only as one. A hint may be left out.
  const links = [headers.link].flat().flatMap((field) => field.split(/,\s*(?=<)/));
  const link = links.filter((value) => LINK.test(value));
  if (link.length > 0) res.writeEarlyHints({ link });
}

/** Node's own marks: the client waits for a 100, and has had it. */
type Expecting = Response & { _expect_continue?: boolean; _sent100?: boolean };

/**
 * RFC 9110 10.1.1. Node has asked for the body before any middleware ran, unless the app is the
 * server's `checkContinue` listener: then it is asked for when an attempt wants it, once.
 */
export function write100(res: Response): void {
  const { _expect_continue: isAwaited, _sent100: isSent, headersSent } = res as Expecting;
  if (isAwaited && !isSent && !headersSent) res.writeContinue();
}

/** What the app may have set for a body that is not sent now. */
const OF_ANOTHER_BODY = 'transfer-encoding content-encoding content-range etag trailer'.split(' ');

/** Answers an error as `application/problem+json` (RFC 9457); answers the bytes of its body. */
export function respond(req: Request, res: Response, error: ProxyError, id: string): number {
  const body = problem(error, id);
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
  for (const name of OF_ANOTHER_BODY) res.removeHeader(name);
  res.writeHead(error.status, {
    'content-type': 'application/problem+json',
    'content-length': body.length,
    'cache-control': 'no-store',
  });
  if (req.method === 'HEAD') res.end();
  else res.end(body, 'latin1'); // a string goes out with its head in one write, a Buffer does not
  return req.method === 'HEAD' ? 0 : body.length;
}

/**
 * A response that has begun and must not look whole. One that ends by close (to HTTP/1.0) would, by a
 * FIN; TLS has an end of its own (close_notify), which `destroy()` does not send.
 */
export function cutShort(res: Response): void {
  const { socket } = res;
  const endsByClose = res.req.httpVersion === '1.0' && !res.hasHeader('content-length');
  // Of TCP alone: resetAndDestroy() would throw for a Unix socket. And it ends the socket first, which
  // is a FIN while a write is on its way (Node 20 and 22): its mark alone makes destroy() a reset.
  if (
    endsByClose &&
    res.headersSent &&
    socket?.remotePort !== undefined &&
    !('encrypted' in socket)
  )
    Object.assign(socket, { resetAndClosing: true });
  res.destroy();
}
