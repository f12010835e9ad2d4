import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import morgan from 'morgan';
import { applySafely, atOnce, describe, hookError, warn } from './errors.js';
import { exchangeOf, type Hop, sentBytes, sentStatus } from './exchange.js';
import type { LogFormat, LogOptions } from './options.js';
import { standardOutput } from './standard-output.js';
import { resolveLog } from './validate-options.js';

/** What is not a request's line: a breaker that has changed its state, a hook that threw. */
export interface Notice {
  event: string;
  requestId?: string;
  backend?: string;
  message: string;
}

/** One line a request, and notices. */
export interface AccessLog {
  /** A request has come. Answers whether its line is this log's: no app-wide `accessLog()` has it. */
  begin(req: Request): boolean;
  /** Its response is over, or its client has left. */
  end(req: Request, res: Response): void;
  note(notice: Notice): void;
}

type Formatter = morgan.FormatFn<IncomingMessage, ServerResponse>;

/** On a request that has its line: not a WeakSet, for the reason that `exchange.ts` gives. */
const RECORDED = Symbol('express-tiny-proxy recorded');

/**
 * morgan with the proxy's tokens (`:request-id`, `:hops`, `:backend`, `:attempts`,
 * `:upstream-time`, `:no-retry`) and two more formats, `'text'` and `'json'`. A proxy behind it
 * writes no line of its own for the same request.
 *
 * @throws {TypeError} for a wrong option.
 */
export function accessLog(
  format: LogFormat = 'text',
  options: Omit<LogOptions, 'format'> = {},
): RequestHandler {
  const log = createLog(resolveLog({ ...options, format }));
  const logger = morgan<IncomingMessage, ServerResponse>(function lineAtEnd(_tokens, req, res) {
    if (res.writableFinished || res.closed) log.end(req as Request, res as Response);
    // morgan hears a reset from the socket, before the response's 'close' has told anybody.
    else res.once('close', () => log.end(req as Request, res as Response));
    return null;
  });
  return function logAccess(req: Request, res: Response, next: NextFunction) {
    if (log.begin(req)) logger(req, res, next);
    else next();
  };
}

export function createLog(options: LogOptions & { format: LogFormat }): AccessLog {
  const { format, stream = standardOutput, skip } = options;
  const failed = (thrown: unknown): void =>
    warn('TINY_PROXY_LOG', `log.stream threw: ${describe(thrown)}`);
  const write = (text: string): void => applySafely(stream.write, stream, text, failed);
  const line = formatter(format);
  /** A `skip` or a token of the user's that throws is named in the log, and costs no more than that. */
  function tried<T>(hook: string, run: () => T, otherwise: T): T {
    try {
      return run();
    } catch (thrown) {
      const { code, message } = hookError(hook, thrown);
      note({ event: code, message });
      return otherwise;
    }
  }
  function note(what: Notice): void {
    write(`${format === 'json' ? jsonNotice(what) : textNotice(what)}\n`);
  }
  return {
    begin(req) {
      const marked = req as Request & { [RECORDED]?: true };
      if (marked[RECORDED]) return false;
      marked[RECORDED] = true;
      const timed = req as Timed;
      timed._startAt ??= process.hrtime();
      timed._remoteAddress ??= addressOf(req);
      return true;
    },
    end(req, res) {
      if (res.headersSent) markHead(res); // of a head that was not a backend's, it is near enough
      if (skip && tried('log.skip', () => atOnce(skip(req, res)), false)) return;
      const text = tried('a token of log', () => line(morgan as never, req, res), null);
      if (text != null) write(`${text}\n`);
    },
    note,
  };
}

/** Where morgan's tokens look; set here, for its middleware costs more than all the rest of a line. */
type Timed = { _startAt?: [number, number]; _remoteAddress?: string | undefined };

/** The head is on its way: what `:response-time` ends with. */
export function markHead(res: ServerResponse): void {
  (res as Timed)._startAt ??= process.hrtime();
}

/** `req.ip`, which takes its time to tell of a client that claims nothing. */
function addressOf(req: Request): string | undefined {
  return req.headers['x-forwarded-for'] === undefined ? req.socket.remoteAddress : req.ip;
}

/**
 * One of ours, or what morgan would make of it: a name, or a format string.
 *
 * @throws {TypeError} for a token that there is not; morgan would throw at the first request.
 */
function formatter(format: LogFormat): Formatter {
  const known = morgan as unknown as Record<string, unknown>;
  const found = FORMATS[format] ?? (Object.hasOwn(known, format) ? known[format] : format);
  if (typeof found === 'function') return found as Formatter;
  const tokens = [...String(found).matchAll(/:([-\w]{2,})(?:\[[^\]]+\])?/g)].map(
    ([, name]) => name!,
  );
  const missing = tokens.find((name) => typeof known[name] !== 'function');
  if (tokens.length > 0 && missing === undefined) return morgan.compile(String(found));
  throw new TypeError(
    `option "log" must be 'text', 'json', a name of morgan's or tokens such as ':method :url :hops'; ` +
      `got '${format}'${missing === undefined ? '' : `, and there is no token ":${missing}"`}`,
  );
}

// morgan's tokens are global, one name one function: for the app's own morgan, too.
morgan.token('request-id', (req) => (req as Request).id);
morgan.token('hops', (req) => hopsText((req as Request).hops));
morgan.token('backend', (req) => (req as Request).hops?.at(-1)?.backend);
morgan.token('attempts', (req) => String((req as Request).hops?.length ?? 0));
morgan.token('upstream-time', (req) => exchangeOf(req)?.upstreamMs?.toFixed(3));
morgan.token('no-retry', (req) => exchangeOf(req)?.noRetry ?? undefined);

function hopsText(hops: readonly Hop[] | undefined): string {
  if (hops === undefined || hops.length === 0) return '-';
  const [first] = hops;
  if (hops.length === 1) return hopText(first!);
  return hops.map(hopText).join(',');
}

function hopText({ backend, outcome, ms }: Hop): string {
  return `${backend}=${outcome}/${ms.toFixed(1)}ms`;
}

/** nginx's 499 for a client that left; its own status where a response had begun. */
function statusOf(req: IncomingMessage, res: ServerResponse): number | null {
  const exchange = exchangeOf(req);
  const left = exchange?.clientGone ?? (res.closed && !res.writableFinished);
  return sentStatus(exchange, res) ?? (left ? 499 : null);
}

const FORMATS: Partial<Record<string, Formatter>> = {
  text(tokens, req, res) {
    const client = `${tokens['remote-addr']!(req, res) ?? '-'} ${tokens['request-id']!(req, res) ?? '-'}`;
    const request = `${tokens.method!(req, res)} ${tokens.url!(req, res)}`;
    const response = `${statusOf(req, res) ?? '-'} ${sizeAndTime(tokens, req, res)} ms`;
    return `${client} ${request} ${response} ${hopsText((req as Request).hops)}`;
  },

  json(_tokens, req, res) {
    const { id = null, hops = [] } = req as Partial<Request>;
    const exchange = exchangeOf(req);
    return escapeLine(
      JSON.stringify({
        time: new Date().toISOString(),
        requestId: id,
        remoteAddr: (req as Request).ip ?? req.socket.remoteAddress ?? null,
        method: req.method,
        url: (req as Request).originalUrl ?? req.url,
        status: statusOf(req, res),
        bytes: sentBytes(exchange, res),
        ms: totalMs(req),
        hops: hops.map((hop) => ({ ...hop, ms: round(hop.ms) })),
        noRetry: exchange?.noRetry ?? '-',
      }),
    );
  },
};

/** Of a tunnel there is no content length, and its head is not the end: its bytes, all its time. */
function sizeAndTime(...[tokens, req, res]: Parameters<Formatter>): string {
  const exchange = exchangeOf(req);
  if (exchange?.status === 101) return `${exchange.bytes} ${totalMs(req)}`;
  const size = tokens.res!(req, res, 'content-length') ?? '-';
  return `${size} ${tokens['response-time']!(req, res) ?? '-'}`;
}

function totalMs(req: IncomingMessage): number {
  const [seconds, nanoseconds] = process.hrtime((req as Timed)._startAt);
  return round(seconds * 1e3 + nanoseconds / 1e6);
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function jsonNotice({ event, message, requestId, backend }: Notice): string {
  const time = new Date().toISOString();
  return escapeLine(JSON.stringify({ time, event, requestId, backend, message }));
}

function textNotice({ event, message, requestId, backend }: Notice): string {
  const about = [requestId, backend].filter((word) => word !== undefined);
  return escapeLine(['express-tiny-proxy', event, ...about, message].join(' '));
}

/** What JSON leaves as it is and a terminal, or a reader of lines, may not. */
function escapeLine(line: string): string {
  return line.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
