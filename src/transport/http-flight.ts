import { ClientRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { coded, hookError } from '../errors.js';
import { type HeaderMap, invalidResponse, invalidUpgrade, passableHeaders } from '../headers.js';
import type { Hpm } from '../hpm.js';
import type { ResolvedOptions } from '../options.js';
import { checkUnread } from '../parsed-body.js';
import { ReplayBody } from '../replay-body.js';
import { setHead } from '../respond.js';
import { addTrailers, dropBody, passBody } from './pass-body.js';
import type { Attempt, AttemptEvents, Flight, Outcome } from './transport.js';
import { Tunnel } from './tunnel.js';

/**
 * One attempt under way. To httpxy it is the client's request, its response and the body to send,
 * all in one: what it reads of these is here, and no method of theirs is called beyond `on`.
 */
export class HttpFlight implements Flight {
  readonly url: string;
  readonly headers: HeaderMap;
  readonly httpVersion = '1.1';
  readonly httpVersionMajor = 1;
  readonly socket: Socket;
  /** Head and body are ours to pass on. */
  readonly headersSent = true;
  readonly finished = true;
  readonly writableFinished = false;
  /** httpxy's listeners for the client's leaving: they destroy its request, at whatever stage. */
  readonly #onAbort: (() => void)[] = [];
  #clientRequest: ClientRequest | undefined;
  #clientResponse: IncomingMessage | undefined;
  #connectTimer: NodeJS.Timeout | undefined;
  #tunnel: Tunnel | undefined;
  connected = false;
  #bytesBefore = 0;
  #over = false;

  constructor(
    readonly attempt: Attempt,
    private readonly events: AttemptEvents,
    private readonly options: Pick<ResolvedOptions, 'connectTimeout' | 'idleTimeout'>,
    private readonly server: Hpm['server'],
  ) {
    this.url = attempt.path;
    this.headers = attempt.headers;
    this.socket = attempt.req.socket;
  }

  on(event: string, listener: () => void): void {
    if (event === 'close') this.#onAbort.push(listener);
  }

  /** httpxy asks for the body as soon as there is a socket, which may not stand yet. */
  pipe(): void {
    if (this.#over || this.#clientRequest === undefined) return;
    if (this.attempt.body === null) this.#finish();
    else if (this.connected) this.#startBody();
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#end();
    if (this.#tunnel !== undefined) {
      this.events.onData(this.#tunnel.bytes);
      return this.#tunnel.hangUp();
    }
    for (const listener of this.#onAbort) listener();
    this.#clientRequest?.destroy();
  }

  /** Runs the user's listeners, with the real request and response. */
  tell(event: string, ...args: unknown[]): boolean {
    if (this.server.listenerCount(event as 'start') === 0) return true;
    try {
      this.server.emit(event as 'start', ...(args as never as [never, never, never]));
      return !this.#over;
    } catch (thrown) {
      const error = hookError(`on.${event}`, thrown);
      if (this.#tunnel === undefined && this.fail(error)) this.#clientRequest?.destroy();
      else this.events.onBug(error);
      return false;
    }
  }

  /** The request has its socket; nothing has been written yet. */
  onRequest(clientRequest: ClientRequest, options: unknown): void {
    this.#clientRequest = clientRequest;
    if (this.#over) return void clientRequest.destroy();
    if (!this.#runRequestHooks(clientRequest, options)) return;
    try {
      if (this.attempt.body instanceof ReplayBody) checkUnread(this.attempt.req); // since the hooks
      this.#frame(clientRequest);
    } catch (thrown) {
      this.fail(hookError('on.proxyReq', thrown)); // the head has gone out by a way of its own
      return void clientRequest.destroy();
    }
    clientRequest.on('information', (info) => {
      if (!this.#over) this.events.onInformational(info.statusCode, passableHeaders(info.headers));
    });
    // Without a listener, node:http would leave an unasked 101 hanging.
    clientRequest.on('upgrade', (response, socket, rest) =>
      this.#onUpgrade(response, socket as Socket, rest),
    );
    this.#watchConnect(clientRequest);
  }

  /** Answers whether the request goes on. */
  #runRequestHooks(clientRequest: ClientRequest, options: unknown): boolean {
    const { req, res, upgrade } = this.attempt;
    const event = upgrade === undefined ? 'proxyReq' : 'proxyReqWs';
    if (this.server.listenerCount(event) === 0) return true;
    // A body that a hook writes would go out beside ours, under one Content-Length.
    clientRequest.write = () => true;
    clientRequest.end = () => clientRequest;
    clientRequest.flushHeaders = () => {};
    if (upgrade === undefined) return this.tell(event, clientRequest, req, res, options);
    return this.tell(event, clientRequest, req, req.socket, options, upgrade.head);
  }

  // The prototype's: the hooks have others.
  #write(chunk: Buffer): boolean {
    return Reflect.apply(ClientRequest.prototype.write, this.#clientRequest, [chunk]);
  }

  #finish(...body: Buffer[]): void {
    Reflect.apply(ClientRequest.prototype.end, this.#clientRequest, body);
  }

  /** Framing is what the attempt says, whatever httpxy, or a hook, has made of it. */
  #frame(clientRequest: ClientRequest): void {
    const { headers, body, path } = this.attempt;
    const length = headers['content-length'];
    if (path === '*') clientRequest.path = path; // httpxy has put a slash before it
    if (length !== undefined) clientRequest.setHeader('content-length', length);
    else if (clientRequest.hasHeader('content-length'))
      clientRequest.removeHeader('content-length');
    if (clientRequest.hasHeader('trailer')) clientRequest.removeHeader('trailer');
    // node:http would send a GET's or a DELETE's body without any framing.
    if (body !== null && length === undefined)
      clientRequest.setHeader('transfer-encoding', 'chunked');
    else if (clientRequest.hasHeader('transfer-encoding'))
      clientRequest.removeHeader('transfer-encoding');
  }

  #watchConnect(clientRequest: ClientRequest): void {
    const socket = clientRequest.socket as Socket & { secureConnecting?: boolean };
    this.#bytesBefore = socket.bytesRead;
    const ready = socket.secureConnecting === true ? 'secureConnect' : 'connect';
    if (ready === 'connect' && !socket.connecting) {
      this.connected = true;
      return;
    }
    const onReady = (): void => {
      this.connected = true;
      clearTimeout(this.#connectTimer);
      this.#startBody();
    };
    socket.once(ready, onReady);
    const { connectTimeout } = this.options;
    if (connectTimeout === 0) return;
    this.#connectTimer = setTimeout(() => {
      this.fail(coded('ETIMEDOUT', 'connect timeout'));
      clientRequest.destroy();
    }, connectTimeout);
  }

  #startBody(): void {
    const { body } = this.attempt;
    if (this.#over || body === null) return;
    if (Buffer.isBuffer(body)) return this.#finish(body);
    const stream = body.open();
    // node:http keeps the head for the first chunk, and a backend may want to answer the head.
    setImmediate(() => {
      if (!this.#over && this.#clientRequest?.headersSent === false) this.#write(Buffer.alloc(0));
    });
    stream.on('data', (chunk: Buffer) => {
      if (this.#write(chunk)) return;
      stream.pause();
      this.#clientRequest!.once('drain', () => stream.resume());
    });
    stream.on('end', () => {
      // Only with its head does node:http know whether it may have trailers.
      if (!this.#clientRequest!.headersSent) this.#write(Buffer.alloc(0));
      addTrailers(this.attempt.req, this.#clientRequest!);
      this.#finish();
    });
  }

  onResponse(response: IncomingMessage): void {
    this.#clientResponse = response;
    response.on('error', () => {}); // 'close' tells it
    const { statusCode: status = 0, statusMessage: reason = '' } = response;
    const wrong = this.#over ? 'late' : invalidResponse(response);
    if (wrong !== null) {
      this.fail(invalid(wrong));
      response.destroy();
      return;
    }
    const { req, res } = this.attempt;
    const head = {
      status,
      reason,
      headers: passableHeaders(response.headers),
      rawHeaders: response.rawHeaders,
      runHooks: () => {
        if (this.server.listenerCount('proxyRes') === 0) return;
        this.server.emit('proxyRes', response, req, res);
        head.reason = response.statusMessage ?? '';
        setHead(head, response.statusCode ?? 0, passableHeaders(response.headers));
      },
    };
    if (this.events.onHead(head) === 'drop') return this.#drop(response);
    if (isBodiless(status) || !isBodiless(res.statusCode)) return this.#pass(response);
    // modifyResponse has made it so.
    res.end();
    this.#settle({ kind: 'complete' });
    this.#drop(response);
  }

  #pass(response: IncomingMessage): void {
    const { req, res } = this.attempt;
    passBody(response, this.attempt, this.events, (error) => {
      if (this.#over) return;
      if (error !== null) return void this.fail(error);
      this.tell('end', req, res, response);
      this.#settle({ kind: 'complete' });
    });
  }

  #drop(response: IncomingMessage): void {
    this.#over = true;
    this.#end();
    if (this.#clientRequest?.writableFinished === true) dropBody(response);
    else response.destroy();
  }

  #onUpgrade(response: IncomingMessage, socket: Socket, rest: Buffer): void {
    const wrong = this.attempt.upgrade === undefined ? 'an unasked 101' : invalidUpgrade(response);
    if (wrong !== null) {
      socket.destroy();
      return void this.fail(invalid(wrong));
    }
    const { statusMessage: reason = '', rawHeaders } = response;
    const headers = passableHeaders(response.headers);
    if (
      this.events.onHead({ status: 101, reason, headers, rawHeaders, runHooks() {} }) === 'drop'
    ) {
      this.#over = true;
      return void socket.destroy();
    }
    if (rest.length > 0) socket.unshift(rest);
    const tunnel = new Tunnel(this.attempt, socket, this.options.idleTimeout, (error) => {
      this.events.onData(tunnel.bytes);
      this.tell('close', response, socket, rest);
      if (error === null) this.#settle({ kind: 'complete' });
      else this.fail(error);
    });
    this.#tunnel = tunnel;
    this.tell('open', socket);
  }

  fail(error: Error): boolean {
    // The body is whole already: what befalls its connection now is of no matter.
    if (this.#over || this.#clientResponse?.complete === true) return false;
    const code = (error as NodeJS.ErrnoException).code ?? 'EPROTO';
    const socket = this.#clientRequest?.socket;
    this.#settle({
      kind: 'failed',
      code,
      error,
      connected: this.connected,
      stale:
        this.#clientRequest?.reusedSocket === true &&
        (code === 'ECONNRESET' || code === 'EPIPE') &&
        socket?.bytesRead === this.#bytesBefore,
    });
    return true;
  }

  #settle(outcome: Outcome): void {
    this.#over = true;
    this.#end();
    this.events.onEnd(outcome);
  }

  #end(): void {
    clearTimeout(this.#connectTimer);
    const { body } = this.attempt;
    if (body instanceof ReplayBody) body.shut();
  }
}

const isBodiless = (status: number): boolean => status === 204 || status === 304;

function invalid(what: string): Error {
  return coded('INVALID_RESPONSE', `invalid response: ${what}`);
}
