import { ClientRequest } from 'node:http';
import type { ReplayBody } from '../replay-body.js';
import { addTrailers } from './pass-body.js';
import type { Attempt } from './transport.js';

/** The sending half of an attempt on node:http: what goes out is what the attempt says. */
export class Sender {
  constructor(
    private readonly clientRequest: ClientRequest,
    private readonly attempt: Attempt,
  ) {}

  /** A body that a hook writes would go out beside ours, under one Content-Length. */
  mute(): void {
    const { clientRequest } = this;
    clientRequest.write = () => true;
    clientRequest.end = () => clientRequest;
    clientRequest.flushHeaders = () => {};
  }

  // The prototype's: the hooks have others.
  #write(chunk: Buffer): boolean {
    return Reflect.apply(ClientRequest.prototype.write, this.clientRequest, [chunk]);
  }

  finish(...body: Buffer[]): void {
    Reflect.apply(ClientRequest.prototype.end, this.clientRequest, body);
  }

  /** Framing is what the attempt says, whatever httpxy, or a hook, has made of it. */
  frame(): void {
    const { clientRequest } = this;
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

  /** Once the connection stands. */
  stream(body: ReplayBody): void {
    const { clientRequest } = this;
    const stream = body.open();
    const sendHead = (): void => {
      if (!clientRequest.headersSent) this.#write(Buffer.alloc(0));
    };
    // node:http keeps the head for the first chunk, and a backend may want to answer the head.
    setImmediate(() => {
      if (!stream.destroyed) sendHead();
    });
    stream.on('data', (chunk: Buffer) => {
      if (this.#write(chunk)) return;
      stream.pause();
      clientRequest.once('drain', () => stream.resume());
    });
    stream.on('end', () => {
      sendHead(); // only with it does node:http know whether it may have trailers
      const { rawTrailers, headers } = this.attempt.req;
      addTrailers(rawTrailers, headers.connection, clientRequest);
      this.finish();
    });
  }
}
