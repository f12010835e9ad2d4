import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { atOnce, hookError } from './errors.js';
import type { Hop } from './exchange.js';
import type { TraceOptions } from './options.js';
import { resolveTrace } from './validate-options.js';

declare global {
  namespace Express {
    interface Request {
      /** The request's id: `requestId()` or a proxy has set it. */
      id: string;
      /** The attempts that a proxy has made for this request. */
      hops: Hop[];
    }
  }
}

// Declared on the derived interface too: pino-http has an `id` of its own on IncomingMessage, and
// two bases may differ in a member only where the interface that extends both declares it.
declare module 'express-serve-static-core' {
  interface Request {
    id: string;
    hops: Hop[];
  }
}

/** What may go into a header and a log line as it is; nothing else is taken from a client. */
const ID = /^[A-Za-z0-9._~:/+=@-]{1,128}$/;

export interface Trace extends Required<TraceOptions> {
  /** The header in lower case. */
  readonly name: string;
}

export function isRequestId(id: unknown): id is string {
  return typeof id === 'string' && ID.test(id);
}

/**
 * Gives the request its id, once: an id that it has already stays; a client's is taken if `trust`
 * allows; else a new one is made.
 *
 * @throws {ProxyError} `HOOK_FAILED` when `generate` throws or answers no valid id.
 */
export function assignRequestId(req: IncomingMessage, res: ServerResponse, trace: Trace): string {
  const request = req as Request;
  let id: unknown = request.id;
  if (!isRequestId(id)) {
    const claimed = trace.trust ? req.headers[trace.name] : undefined;
    id = isRequestId(claimed) ? claimed : generateId(trace);
    request.id = id as string;
  }
  if (!res.headersSent) res.setHeader(trace.header, id as string);
  return id as string;
}

function generateId(trace: Trace): string {
  let id: unknown;
  try {
    id = atOnce(trace.generate());
  } catch (thrown) {
    throw hookError('trace.generate', thrown);
  }
  if (isRequestId(id)) return id;
  throw hookError(
    'trace.generate',
    new TypeError('it must answer 1 to 128 characters of A-Z a-z 0-9 . _ ~ : / + = @ -'),
  );
}

/**
 * The tracing middleware by itself, for a whole app: `req.id` and the response header
 * `X-Request-ID`. A proxy behind it keeps the id.
 *
 * @throws {TypeError} for a wrong option.
 */
export function requestId(options: TraceOptions = {}): RequestHandler {
  const trace = compileTrace(resolveTrace(options));
  return function assignId(req: Request, res: Response, next: NextFunction) {
    try {
      assignRequestId(req, res, trace);
    } catch (error) {
      return next(error);
    }
    next();
  };
}

export function compileTrace(options: Required<TraceOptions>): Trace {
  return { ...options, name: options.header.toLowerCase() };
}
