// A raw backend that reads what comes by the letter, keeps it, and answers as it is told.
import { createServer, type Socket } from 'node:net';
import { LoopbackServer } from './loopback-server.js';
import { type Field, NotHttp, REQUEST_LINE, readMessage, valuesOf } from './strict-http.js';

/** One request, as far as it has come. */
export interface SeenRequest {
  method: string;
  target: string;
  /** As it stood on the wire, latin1, without the empty line. */
  head: string;
  fields: Field[];
  /** latin1, without its chunked framing. */
  body: string;
  trailers: Field[];
  complete: boolean;
  /** Which accepted connection brought it, from 1. */
  connection: number;
}

/**
 * What to do when a request's head has come, when more of it has, and when it is whole. A request
 * that comes in one piece is told of once, as whole.
 */
export type Serve = (request: SeenRequest, socket: Socket) => void;

export class StrictBackend extends LoopbackServer {
  /** In the order of their heads. */
  readonly seen: SeenRequest[] = [];
  /** What came that is no HTTP. There should be none. */
  readonly garbage: string[] = [];
  readonly #serve: Serve;
  #accepted = 0;

  constructor(serve: Serve) {
    super(createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#read(socket)));
    this.#serve = serve;
  }

  #read(socket: Socket): void {
    const connection = ++this.#accepted;
    let text = '';
    let current: SeenRequest | undefined;
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      while (text !== '' && !socket.destroyed) {
        const request = this.#next(text, socket);
        if (request === undefined) return;
        current = Object.assign(current ?? this.#begin(connection), request.seen);
        const { complete } = current;
        this.#serve(current, socket);
        if (!complete) return;
        text = text.slice(request.length);
        current = undefined;
      }
    });
  }

  #begin(connection: number): SeenRequest {
    const request = { connection } as SeenRequest;
    this.seen.push(request);
    return request;
  }

  #next(
    text: string,
    socket: Socket,
  ): { seen: Omit<SeenRequest, 'connection'>; length: number } | undefined {
    try {
      const message = readMessage(text, REQUEST_LINE, { unframed: 'none' });
      if (message === undefined) return undefined;
      const { startLine, fields, body, trailers, complete, length } = message;
      if (valuesOf(fields, 'host').length > 1) throw new NotHttp('two Host fields');
      const [, method = '', target = ''] = startLine;
      const head = text.slice(0, text.indexOf('\r\n\r\n'));
      return { seen: { method, target, head, fields, body, trailers, complete }, length };
    } catch (error) {
      if (!(error instanceof NotHttp)) throw error;
      this.garbage.push(`${error.message} in ${JSON.stringify(text.slice(0, 2000))}`);
      socket.destroy();
      return undefined;
    }
  }
}

/** Starts such a backend. */
export function startStrictBackend(serve: Serve): Promise<StrictBackend> {
  return new StrictBackend(serve).start();
}
