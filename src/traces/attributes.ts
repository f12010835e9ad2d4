import type { Attributes } from '@opentelemetry/api';
import type { Request } from 'express';
import type { TinyProxyEvents } from '../index.js';

/**
 * What spans say, by OpenTelemetry's semantic conventions for HTTP (stable, 1.23 and later), and
 * below `tiny_proxy.` what these have no name for.
 */

/** RFC 9110 9.1 and RFC 5789; the conventions want it to be set from outside. */
const KNOWN_METHODS = 'GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS,TRACE,CONNECT';

export type MethodNames = (method: string) => { spanName: string; attributes: Attributes };

/** How a method is told: one that nobody knows is `_OTHER`, so that clients cannot make up names. */
export function compileMethodNames(known: string | undefined): MethodNames {
  const methods = new Set((known || KNOWN_METHODS).split(',').map((method) => method.trim()));
  return function methodNames(method) {
    if (methods.has(method)) {
      return { spanName: method, attributes: { 'http.request.method': method } };
    }
    const attributes = { 'http.request.method': '_OTHER', 'http.request.method_original': method };
    return { spanName: 'HTTP', attributes };
  };
}

/** Of a request, whoever has a span for it already. */
export function requestAttributes(requestId: string, req: Request): Attributes {
  return {
    'url.path': pathOf(req.originalUrl),
    ...(requestId !== '' && { 'tiny_proxy.request_id': requestId }),
  };
}

/** Of an absolute form (RFC 9112 3.2.2) its path alone: a password may stand in it. */
const pathOf = (url: string): string =>
  url.split('?', 1)[0]!.replace(/^[a-z][a-z\d+.-]*:\/\/[^/]*/i, '') || '/';

/** What a server tells besides. Who the client is, and what it called, goes by `trust proxy`. */
export function serverAttributes(req: Request): Attributes {
  const { originalUrl, protocol, hostname, ip, httpVersion } = req;
  const at = originalUrl.indexOf('?');
  const { host = '', 'user-agent': userAgent } = req.headers;
  // The port that `Host` names, where no trusted proxy has named another host.
  const port = hostname && host.startsWith(hostname) ? /:(\d+)$/.exec(host)?.[1] : undefined;
  return {
    'url.scheme': protocol,
    'network.protocol.version': httpVersion,
    ...(at !== -1 && { 'url.query': withoutValues(originalUrl.slice(at + 1)) }),
    ...(hostname && { 'server.address': bare(hostname) }),
    ...(port !== undefined && { 'server.port': Number(port) }),
    ...(ip !== undefined && { 'client.address': ip }),
    ...(userAgent !== undefined && { 'user_agent.original': userAgent }),
  };
}

/** Of an attempt, as it starts. */
export function attemptAttributes(told: TinyProxyEvents['attempt'][0]): Attributes {
  const { backend, attempt, url } = told;
  return {
    ...backendAddress(backend),
    'url.full': urlFull(url),
    ...(attempt > 1 && { 'http.request.resend_count': attempt - 1 }),
  };
}

/** A Unix socket is an address without a port. */
function backendAddress(backend: string): Attributes {
  if (backend.startsWith('unix:')) return { 'server.address': backend.slice('unix:'.length) };
  const colon = backend.lastIndexOf(':');
  return {
    'server.address': bare(backend.slice(0, colon)),
    'server.port': Number(backend.slice(colon + 1)),
  };
}

/** An IPv6 address is told without its brackets. */
const bare = (hostname: string): string => hostname.replace(/^\[|\]$/g, '');

/** Without what its query holds: tokens, addresses and names are sent in there. */
export function urlFull(url: string): string {
  const at = url.indexOf('?');
  return at === -1 ? url : `${url.slice(0, at)}?${withoutValues(url.slice(at + 1))}`;
}

/** `a=1&b` to `a=REDACTED&REDACTED`: what stands without a name is a value. */
function withoutValues(query: string): string {
  const redacted = (pair: string): string => `${pair.slice(0, pair.indexOf('=') + 1)}REDACTED`;
  return query
    .split('&')
    .map((pair) => (pair === '' ? '' : redacted(pair)))
    .join('&');
}

/** What an attempt has come to. To a client, 4xx is an error, too. */
export function hopError({ outcome }: TinyProxyEvents['hop'][0]): string | null {
  if (typeof outcome === 'string') return outcome;
  return outcome >= 400 ? String(outcome) : null;
}

/**
 * What a request has come to: 5xx; a response that has broken off, as its last attempt tells; none
 * at all. A server's 4xx is no error: its client's it is.
 */
export function requestError(
  { status, noRetry }: TinyProxyEvents['done'][0],
  last: number | string | null,
): string | null {
  if (status === null) return noRetry === 'client-gone' ? 'CLIENT_GONE' : 'CUT';
  if (status >= 500) return String(status);
  return status < 400 && typeof last === 'string' ? last : null;
}
