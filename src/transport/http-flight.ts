import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { coded, hookError } from '../errors.js';
import { type HeaderMap, invalid, passableHeaders, type RawHead, readHead } from '../headers.js';
import type { Hpm } from '../hpm.js';
import type { ResolvedOptions } from '../options.js';
import { checkUnread } from '../parsed-body.js';
import { ReplayBody } from '../replay-body.js';
import { setHead } from '../respond.js';
import { DroppedBody, isBodiless, PassedBody } from './pass-body.js';
import { Sender } from './sender.js';
import type { Attempt, AttemptEvents, Flight, Head, Outcome } from './transport.js';
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
  #sender: Sender | undefined;
  #clientResponse: IncomingMessage | undefined;
  #connectTimer: NodeJS.Timeout | undefined;
  #tunnel: Tunnel | undefined;
  connected = false;
  #bytesBefore = 0;
  #over = false;
  #left = false;

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
    if (event !== 'close') return;
    if (this.#over) listener();
    else this.#onAbort.push(listener);
  }

  /** httpxy asks for the body as soon as there is a socket, which may not stand yet. */
  pipe(): void {
    if (this.#over || this.#clientRequest === undefined) return;
    if (this.attempt.body === null) this.#sender!.finish();
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
    this.#hangUp();
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
    this.#sender = new Sender(clientRequest, this.attempt);
    if (this.#over) return void clientRequest.destroy();
    if (this.attempt.backend.limit !== null) clientRequest.on('close', () => this.#onClose());
    if (!this.#runRequestHooks(clientRequest, options)) return;
    try {
      if (this.attempt.body instanceof ReplayBody) checkUnread(this.attempt.req); // since the hooks
      this.#sender.frame();
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
    this.#sender!.mute();
    if (upgrade === undefined) return this.tell(event, clientRequest, req, res, options);
    return this.tell(event, clientRequest, req, req.socket, options, upgrade.head);
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
    if (Buffer.isBuffer(body)) this.#sender!.finish(body);
    else this.#sender!.stream(body);
  }

  onResponse(response: IncomingMessage): void {
    this.#clientResponse = response;
    response.on('error', () => {}); // 'close' tells it
    const raw = rawHeadOf(response);
    const headers = this.#over ? null : this.#read(raw);
    if (headers === null) return void response.destroy();
    const { req, res } = this.attempt;
    const head: Head = {
      ...{ ...raw, headers },
      runHooks: () => {
        if (this.server.listenerCount('proxyRes') === 0) return;
        this.server.emit('proxyRes', response, req, res);
        head.reason = response.statusMessage ?? '';
        setHead(head, response.statusCode ?? 0, passableHeaders(response.headers));
      },
    };
    if (this.events.onHead(head) === 'drop') return this.#drop(response);
    if (isBodiless(raw.status) || !isBodiless(res.statusCode)) return this.#pass(response, head);
    // modifyResponse has made it so.
    res.end();
    this.#settle({ kind: 'complete' });
    this.#drop(response);
  }

  /** A head that is wrong fails the attempt: null. */
  #read(raw: RawHead): HeaderMap | null {
    try {
      return readHead(raw);
    } catch (error) {
      this.fail(error as Error);
      return null;
    }
  }

  #pass(response: IncomingMessage, head: Head): void {
    const { req, res } = this.attempt;
    const body = new PassedBody(this.attempt, head, this.events, () => response.resume());
    response.on('data', (chunk: Buffer) => {
      if (!body.write(chunk)) response.pause();
    });
    response.on('end', () => {
      if (this.#over) return;
      body.end(response.rawTrailers, response.headers.connection);
      this.tell('end', req, res, response);
      this.#settle({ kind: 'complete' });
    });
    response.on('close', () => {
      if (response.readableEnded) return;
      this.fail(response.errored ?? coded('ECONNRESET', 'aborted'));
    });
  }

  #drop(response: IncomingMessage): void {
    this.#over = true;
    this.#end();
    if (this.#clientRequest?.writableFinished !== true) return void response.destroy();
    const length = response.headers['content-length'];
    const body = new DroppedBody(length, () => response.destroy());
    response.on('data', (chunk: Buffer) => body.write(chunk));
    response.on('close', () => body.end());
  }

  #onUpgrade(response: IncomingMessage, socket: Socket, rest: Buffer): void {
    const isAsked = this.attempt.upgrade !== undefined;
    if (!isAsked) this.fail(invalid('an unasked 101'));
    const raw = rawHeadOf(response);
    const headers = isAsked ? this.#read(raw) : null;
    if (headers === null) return void socket.destroy();
    if (this.events.onHead({ ...raw, headers, runHooks() {} }) === 'drop') {
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
    socket.on('close', () => this.#leave());
    this.tell('open', socket);
  }

  fail(error: Error): boolean {
    // The body is whole already: what befalls its connection now is of no matter.
    if (this.#over || this.#clientResponse?.complete === true) return false;
    const { code = 'EPROTO' } = error as NodeJS.ErrnoException;
    const { reusedSocket, socket } = this.#clientRequest ?? {};
    const untouched = reusedSocket === true && socket?.bytesRead === this.#bytesBefore;
    const stale = untouched && (code === 'ECONNRESET' || code === 'EPIPE');
    if (this.#tunnel === undefined) this.#hangUp(); // first: the next attempt may want its place
    this.#settle({ kind: 'failed', code, error, connected: this.connected, stale });
    return true;
  }

  #settle(outcome: Outcome): void {
    this.#over = true;
    this.#end();
    this.events.onEnd(outcome);
  }

  /** Its request is over: the connection is closed, free, or a tunnel's. */
  #onClose(): void {
    if (this.#tunnel === undefined) this.#leave();
  }

  #hangUp(): void {
    this.#clientRequest?.destroy();
    this.#leave();
  }

  /** Gives back its place among `maxConnections`, once. */
  #leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.attempt.backend.limit?.release();
  }

  #end(): void {
    clearTimeout(this.#connectTimer);
    const { body } = this.attempt;
    if (body instanceof ReplayBody) body.shut();
  }
}

function rawHeadOf({
  statusCode,
  statusMessage,
  rawHeaders,
  httpVersion,
}: IncomingMessage): RawHead {
  return { status: statusCode ?? 0, reason: statusMessage ?? '', rawHeaders, httpVersion };
}
