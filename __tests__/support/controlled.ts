// Bodies that go out when the test says so.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { type Handler, reset } from './handlers.js';
import { delivery } from './wait.js';

/** Responses whose heads are out, and whose bodies are in the hands of the test. */
export class Controlled {
  /** Answers 200 and the headers at once; the body is what `send` is given. */
  readonly handler: Handler;
  readonly #exchanges = new Map<ServerResponse, IncomingMessage>();

  constructor(headers: OutgoingHttpHeaders) {
    this.handler = (request, response) => {
      this.#exchanges.set(response, request);
      response.once('close', () => this.#exchanges.delete(response));
      response.writeHead(200, headers).flushHeaders();
    };
  }

  /** How many responses are open now: `await until(() => stream.open === 1)`. */
  get open(): number {
    return this.#exchanges.size;
  }

  /** Sends a chunk to every open response. As all below, it throws when there is none. */
  send(chunk: string | Buffer): void {
    for (const [response] of this.#openOnes()) response.write(chunk);
  }

  /** Ends every open response. */
  end(): void {
    for (const [response] of this.#openOnes()) {
      this.#exchanges.delete(response);
      response.end();
    }
  }

  /** Resets the connection (RST) of every open response, once what was sent has been delivered. */
  async reset(): Promise<void> {
    const openOnes = this.#openOnes();
    await delivery();
    for (const [response, request] of openOnes) {
      this.#exchanges.delete(response);
      reset(request);
    }
  }

  #openOnes(): [ServerResponse, IncomingMessage][] {
    if (this.open === 0) throw new Error('no response is open: wait for `open` first');
    return [...this.#exchanges];
  }
}

/** A body of known length that leaves drop by drop. */
export class SlowDrip extends Controlled {
  #left: Buffer;

  constructor(body: Buffer) {
    super({ 'Content-Length': body.length });
    this.#left = body;
  }

  /** Sends the next `bytes` bytes, and ends the response with the last one. */
  drip(bytes = 1): void {
    this.send(this.#left.subarray(0, bytes));
    this.#left = this.#left.subarray(bytes);
    if (this.#left.length === 0) this.end();
  }
}

/** Answers 200 with these headers, then waits for `send()`, `end()` or `reset()`. */
export function controlled(headers: OutgoingHttpHeaders = {}): Controlled {
  return new Controlled(headers);
}

/** A `text/event-stream`: `events.send('data: 1\n\n')`. */
export function eventStream(): Controlled {
  return controlled({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
}

/** Announces the whole body, then waits for `drip()`. For one response. */
export function slowDrip(body: string | Buffer): SlowDrip {
  return new SlowDrip(Buffer.from(body));
}
