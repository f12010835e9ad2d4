import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import { types } from 'node:util';
import type { Hop } from './exchange.js';

/** The codes that the proxy itself uses; a hook may throw a {@link ProxyError} with one of its own. */
export type ProxyErrorCode =
  | 'BAD_REQUEST'
  | 'CLIENT_TIMEOUT'
  | 'BODY_CONSUMED'
  | 'BALANCE_FAILED'
  | 'HOOK_FAILED'
  | 'BAD_GATEWAY'
  | 'NO_BACKEND'
  | 'GATEWAY_TIMEOUT'
  | 'LOOP';

/** Every error that the proxy itself makes: code, HTTP status. */
const STATUS_OF: Readonly<Record<ProxyErrorCode, number>> = {
  BAD_REQUEST: 400, // also sent as 405 and 431
  CLIENT_TIMEOUT: 408, // the client stopped sending its body
  BODY_CONSUMED: 500, // a parsed body that cannot be sent again
  BALANCE_FAILED: 500, // a balance function threw, or answered none of its candidates
  HOOK_FAILED: 500, // any other hook of the user threw
  BAD_GATEWAY: 502, // refused, reset, DNS, TLS, invalid response
  NO_BACKEND: 503, // every backend is open, drained or full, or the proxy is closing
  GATEWAY_TIMEOUT: 504, // attempt or request timeout
  LOOP: 508, // `via`: the request has been here before
};

const STATUS_BY_CODE: ReadonlyMap<string, number> = new Map(Object.entries(STATUS_OF));

/** What `new ProxyError(code, init)` takes. */
export interface ProxyErrorInit {
  /** HTTP status to answer, an integer from 400 to 599. Default: by the code, 502 for an unknown one. */
  status?: number;
  /** For the developer and the log; never sent to the client. */
  message?: string;
  /** What it comes from; kept for Express's error handler and the log. */
  cause?: unknown;
}

/**
 * What went wrong, as the client is told (`application/problem+json`, RFC 9457), or, with
 * `errors: 'next'`, as Express gets it.
 *
 * @throws {TypeError} when `status` is no error status.
 */
export class ProxyError extends Error {
  /** `'ProxyError'` */
  override readonly name = 'ProxyError';
  /** A {@link ProxyErrorCode}, or a hook's own. */
  readonly code: string;
  /** The HTTP status that the client gets. */
  readonly status: number;
  /** Response headers that belong to this error: `retry-after`, `allow`. */
  readonly headers: Record<string, string> = {};
  /** The request's id, `''` until the error has met its request. */
  requestId = '';
  /** The attempts that came before, `[]` until the error has met its request. */
  hops: readonly Hop[] = [];

  constructor(code: ProxyErrorCode | (string & {}), init: ProxyErrorInit = {}) {
    super(init.message ?? code, Object.hasOwn(init, 'cause') ? { cause: init.cause } : undefined);
    this.code = code;
    this.status = init.status ?? STATUS_BY_CODE.get(code) ?? 502;
    if (!Number.isInteger(this.status) || this.status < 400 || this.status > 599) {
      throw new TypeError(
        `ProxyError: status must be an integer from 400 to 599, for example 502; got ${String(init.status)}`,
      );
    }
  }
}

/** The ones that somebody must mend. */
export const BUGS = new Set('HOOK_FAILED BALANCE_FAILED BODY_CONSUMED'.split(' '));

/**
 * What a hook has answered. Nobody waits for a promise, and its rejection would end the process.
 *
 * @throws {TypeError} for a promise.
 */
export function atOnce<T>(answer: T): T {
  if (!types.isPromise(answer)) return answer;
  answer.catch(() => {});
  throw new TypeError('it must not be async: its answer is needed at once');
}

type Hears<T> = (told: T) => unknown;

/** For what nobody waits: it harms nothing by what it throws, nor by a promise that is rejected. */
export function applySafely<T>(run: Hears<T>, self: object, told: T, failed: Hears<unknown>): void {
  try {
    const answer: unknown = Reflect.apply(run, self, [told]);
    if (types.isPromise(answer)) answer.catch(failed);
  } catch (thrown) {
    failed(thrown);
  }
}

/** A hook of the user that threw a ProxyError has spoken; anything else is a bug in the hook. */
export function hookError(hook: string, thrown: unknown): ProxyError {
  if (thrown instanceof ProxyError) return thrown;
  return new ProxyError('HOOK_FAILED', {
    message: `${hook} threw: ${describe(thrown)}`,
    cause: thrown,
  });
}

/** A hook's ProxyError may hold headers that cannot be sent: a bug in the hook, too. */
export function sendable(error: ProxyError): ProxyError {
  try {
    for (const [name, value] of Object.entries(error.headers)) {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    }
    return error;
  } catch (thrown) {
    return hookError('setting the headers of a ProxyError', thrown);
  }
}

/** A request that must not be forwarded. */
export function badRequest(
  message: string,
  status = 400,
  headers: Record<string, string> = {},
): ProxyError {
  const error = new ProxyError('BAD_REQUEST', { status, message });
  Object.assign(error.headers, headers);
  return error;
}

/** An error of an attempt, as Node's own are: with a code. */
export function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Errors of node:http about what it is told to send: the client's bytes, not the backend's fault. */
const UNSENDABLE = /^ERR_(INVALID_CHAR|INVALID_HTTP_TOKEN|HTTP_INVALID_HEADER_VALUE|UNESCAPED_)/;

/** What an attempt has failed by on our side of it, or null. */
export function ownError(error: Error, code: string): ProxyError | null {
  if (error instanceof ProxyError) return error;
  return UNSENDABLE.test(code) ? badRequest(error.message) : null;
}

/** What the last attempt has come to. */
export function gatewayError(late: boolean, where: string, cause: Error): ProxyError {
  const message = `${where}: ${cause.message}`;
  return new ProxyError(late ? 'GATEWAY_TIMEOUT' : 'BAD_GATEWAY', { message, cause });
}

/** No backend may be tried. RFC 9110 10.2.3: Retry-After in whole seconds. */
export function noBackend(message: string, waitMs: number): ProxyError {
  const error = new ProxyError('NO_BACKEND', { message });
  error.headers['retry-after'] = String(Math.max(1, Math.ceil(waitMs / 1000)));
  return error;
}

/** Also of another realm: node's own errors are, to an app that runs in a vm context. */
export const isNativeError: (value: unknown) => value is Error = types.isNativeError;

/** For what nobody waits to hear: a listener or a log stream of the user that threw. */
export function warn(code: string, message: string): void {
  process.emitWarning(message, { type: 'TinyProxyWarning', code });
}

/** One line about a thrown value, whatever it is. */
export function describe(thrown: unknown): string {
  try {
    if (isNativeError(thrown)) return `${String(thrown.name)}: ${String(thrown.message)}`;
    return typeof thrown === 'string' ? thrown : Object.prototype.toString.call(thrown);
  } catch {
    return 'what cannot be told'; // a name that throws, say, or a message that is no text
  }
}

/**
 * The body of an error response, in ASCII. Nothing of the request but its checked id, nothing of the
 * inside.
 */
export function problem(error: ProxyError, requestId: string): string {
  const body = JSON.stringify({
    type: 'about:blank',
    title: STATUS_CODES[error.status] ?? 'Error',
    status: error.status,
    code: error.code,
    ...(requestId === '' ? {} : { requestId }),
  });
  return body.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
