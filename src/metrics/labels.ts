import { STATUS_CODES } from 'node:http';

/**
 * Label values. Each comes from a set that nobody outside can make larger: a time series that a
 * client or a backend could add is memory that it could take, here and in Prometheus.
 */

/** RFC 9110 9.1 and RFC 5789. */
const METHODS = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
]);

/** Codes of the proxy, and those of Node that are common. */
const OUTCOMES = new Set([
  'CLIENT_GONE',
  'CLIENT_TIMEOUT',
  'CUT',
  'HOOK_FAILED',
  'GOAWAY',
  'INVALID_RESPONSE',
  'QUEUE_TIMEOUT',
  'EACCES',
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'EMFILE',
  'ENETUNREACH',
  'ENOENT',
  'ENOTFOUND',
  'EPIPE',
  'EPROTO',
  'ETIMEDOUT',
]);

/** OpenSSL's reasons against a certificate, and Node's. */
const TLS =
  /^(?:ERR_(?:TLS|SSL|OSSL)_|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MIS)/;

export function methodLabel(method: string): string {
  return METHODS.has(method) ? method : 'other';
}

/** A status that has a name by itself, any other by its class. */
export function statusLabel(status: number | null): string {
  if (status === null) return 'none';
  return STATUS_CODES[status] === undefined ? statusClass(status) : String(status);
}

/** `'2xx'`; `'none'` where there was no response. */
export function statusClass(status: number | null): string {
  return status === null ? 'none' : `${Math.trunc(status / 100)}xx`;
}

/** What has come of an attempt: a status, or a code. */
export function outcomeLabel(outcome: number | string): string {
  if (typeof outcome === 'number') return statusLabel(outcome);
  if (OUTCOMES.has(outcome)) return outcome;
  if (outcome.startsWith('HPE_')) return 'INVALID_RESPONSE'; // Node's parser
  return TLS.test(outcome) ? 'TLS' : 'other';
}

/** `host:port` of a URL as `status()` has it: what the events call the backend. */
export function backendLabel(url: string): string {
  if (url.startsWith('unix:')) return url.replace(/#https?:.*$/, '');
  const { protocol, hostname, port } = new URL(url);
  return `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
}
