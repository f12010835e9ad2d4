import type { Request, Response } from 'express';
import type { AttemptRecord } from './attempt-record.js';
import type { Backend } from './backends.js';
import type { Context } from './context.js';
import { atOnce, describe, hookError, ProxyError, warn } from './errors.js';
import {
  checkedHeaders,
  type Framing,
  forwardableHeaders,
  framingOf,
  type HeaderMap,
  setForwarded,
  WEBSOCKET,
} from './headers.js';
import type { ResolvedOptions } from './options.js';
import { checkUnread, parsedBody, wasRead } from './parsed-body.js';
import { type BodyListener, ReplayBody } from './replay-body.js';
import { checkDotSegments, checkPath, checkRequestLine, joinPath } from './request-target.js';
import { tellAttempt } from './tell.js';
import type { Attempt, Upgrade } from './transport/transport.js';
import { upgradeOf } from './upgrade.js';

/** Bytes. What Node takes in of a request before it is read; no more is here at once. */
const SMALL = 16_384;

/**
 * No literal, nor an argument of a timer: where most of these outlive two collections, V8 makes the
 * next ones old from the start, and each holds its dead request until a full collection. What that
 * costs, `in-flight.ts` tells.
 */
class Sent implements Attempt {
  constructor(
    readonly req: Request,
    readonly res: Response,
    readonly backend: Backend,
    readonly method: string,
    readonly path: string,
    readonly headers: HeaderMap,
    readonly body: Attempt['body'],
    readonly upgrade: Upgrade | undefined,
  ) {}
}

/** What a request sends to a backend: made once, the same for every attempt but for its number. */
export class OutgoingRequest {
  readonly #headers: HeaderMap;
  #body: Buffer | ReplayBody | null;
  /** The client's stream, also where its whole body has been taken off it. */
  readonly #stream: ReplayBody | null;
  /** By its method, or by the user's word; a WebSocket never, once it is connected. */
  readonly replayable: boolean;
  readonly upgrade: Upgrade | undefined;

  /** @throws {ProxyError} for a request that must not, or cannot, be forwarded. */
  constructor(
    private readonly context: Context,
    private readonly req: Request,
    id: string,
    private readonly path: string,
    listener: BodyListener,
  ) {
    const { options, retries, trace } = context;
    checkRequestLine(req);
    checkDotSegments(path);
    const framing = framingOf(req);
    const headers = forwardableHeaders(req);
    if (options.via) addVia(headers, options.via, req.httpVersion);
    if (options.xfwd) setForwarded(headers, req);
    addOwnHeaders(headers, options);
    if (trace !== null) headers[trace.name] = id;
    this.upgrade = upgradeOf(req);
    try {
      this.replayable = this.upgrade === undefined && atOnce(retries.isReplayable(req));
    } catch (thrown) {
      throw hookError('retry.replayable', thrown);
    }
    this.#headers = headers;
    this.#body = this.#takeBody(framing, listener);
    this.#stream = this.#body instanceof ReplayBody ? this.#body : null;
  }

  /**
   * A body so small may have come with its head: a turn later, {@link takeWhole} tells. What is taken
   * cannot be given to whom the app asks next.
   */
  get isSmall(): boolean {
    const { retry, errors } = this.context.options;
    if (this.#stream === null || errors === 'next') return false;
    const most = this.replayable && retry !== null ? Math.min(SMALL, retry.maxBodyBytes) : SMALL;
    return Number(this.#headers['content-length']) <= most;
  }

  /** One that is here already is sent in one piece, by any transport. */
  takeWhole(): void {
    if (!this.isSmall) return;
    this.#body = this.#stream!.takeWhole(Number(this.#headers['content-length'])) ?? this.#stream;
  }

  /** What was sent of the body so far can be sent again. */
  get bodyReplayable(): boolean {
    return Buffer.isBuffer(this.#body) || (this.#stream?.replayable ?? true);
  }

  get waitingForClient(): boolean {
    return this.#stream?.waiting ?? false;
  }

  /** @throws what the user's director throws, or a ProxyError about the path that it chose. */
  attempt(record: AttemptRecord, res: Response): Attempt {
    const { changeOrigin, director, ignorePath } = this.context.options;
    const { req, upgrade } = this;
    const { backend, number } = record;
    const base = backend.base;
    let path = ignorePath ? base.path + base.search : joinPath(base, this.path);
    let headers = { ...this.#headers };
    if (changeOrigin || headers.host === undefined) headers.host = backend.url.host;
    if (number > 1) headers['x-request-attempt'] = String(number);
    record.path = path;
    if (this.context.events.listenerCount('attempt') > 0)
      headers = this.#tellAttempt(record, headers);
    if (director !== undefined) {
      const outgoing = Object.defineProperty({ backend: backend.name, path, headers }, 'backend', {
        writable: false,
      });
      atOnce(director(outgoing, req));
      path = outgoing.path;
      headers = this.#checked(outgoing.headers);
      checkPath(base, path);
      record.path = path;
    }
    if (upgrade !== undefined) Object.assign(headers, WEBSOCKET);
    const { method } = req;
    return new Sent(req, res, backend, method, path, headers, this.#body, upgrade);
  }

  /** A listener may write headers. It cannot harm the request: what cannot be sent is as it was. */
  #tellAttempt(record: AttemptRecord, headers: HeaderMap): HeaderMap {
    const offered = { ...headers };
    tellAttempt(this.context.events, record, offered);
    try {
      return this.#checked(offered);
    } catch (thrown) {
      const what = 'a listener of "attempt" has written headers that cannot be sent';
      warn('TINY_PROXY_LISTENER', `${what}: ${describe(thrown)}`);
      return headers;
    }
  }

  /**
   * Headers as somebody else has left them; the framing and `te: trailers` are as they were.
   *
   * @throws {TypeError} for what is no header.
   */
  #checked(headers: HeaderMap): HeaderMap {
    const { 'content-length': length, te } = this.#headers;
    const checked = checkedHeaders(headers, length);
    if (te !== undefined) checked.te = te;
    return checked;
  }

  /** No further attempt will follow. */
  release(): void {
    this.#stream?.release();
  }

  /** The request is over. */
  discard(): void {
    this.#stream?.discard();
  }

  /** It is framed anew, by what is known of it. */
  #takeBody({ length, coding }: Framing, listener: BodyListener): Buffer | ReplayBody | null {
    const req = this.req;
    const headers = this.#headers;
    if (coding === undefined && !(Number(length) > 0)) {
      if (length !== undefined) headers['content-length'] = length;
      return null;
    }
    if (wasRead(req)) {
      const body = parsedBody(req, length, headers);
      headers['content-length'] = String(body.length);
      return body;
    }
    checkUnread(req);
    if (length !== undefined) headers['content-length'] = length;
    const { retry } = this.context.options;
    const keep = this.replayable && retry !== null && retry.attempts > 1 ? retry.maxBodyBytes : 0;
    return new ReplayBody(req, keep, this.context.keptBytes, listener);
  }
}

/** The user's `headers` and `auth`, as http-proxy-middleware has them. */
function addOwnHeaders(out: HeaderMap, { headers, auth }: ResolvedOptions): void {
  if (headers !== undefined) {
    try {
      Object.assign(out, checkedHeaders(headers));
    } catch (thrown) {
      throw hookError('headers', thrown);
    }
  }
  if (auth !== undefined && out.authorization === undefined) {
    out.authorization = `Basic ${Buffer.from(auth).toString('base64')}`;
  }
}

/**
 * RFC 9110 7.6.3.
 *
 * @throws {ProxyError} 508 for a request that bears our name already.
 */
function addVia(headers: HeaderMap, name: string, version: string): void {
  const before = headers.via === undefined ? [] : String(headers.via).split(',');
  const isOurs = (entry: string): boolean =>
    entry.trim().split(/\s+/)[1]?.toLowerCase() === name.toLowerCase();
  if (before.some(isOurs)) {
    throw new ProxyError('LOOP', { message: `the request has been through "${name}" before` });
  }
  headers.via = [...before.map((entry) => entry.trim()), `${version} ${name}`].join(', ');
}
