// Bytes as they are: backends that speak any nonsense, clients that do, addresses that are dead.
import { connect, createServer, type Socket } from 'node:net';
import { closeAfterTest } from './cleanup.js';
import { LoopbackServer } from './loopback-server.js';
import { parseRequest, parseResponses, type RawResponse } from './raw-http.js';
import { delivery, until, within } from './wait.js';

export {
  parseRequest,
  parseResponses,
  type RawRequest,
  type RawResponse,
  valuesOf,
} from './raw-http.js';
export { blackHole, type DeadEnd, refusedPort, refusedUrl } from './unreachable.js';

/** One thing to do on a socket. A `waitFor` function is given the bytes that arrived so far. */
export type RawStep =
  | { write: string | Buffer }
  | { waitFor: Promise<unknown> | ((arrived: Buffer) => boolean) }
  | { end: true }
  | { reset: true };

/** What goes out: bytes (a string is latin1), or steps one after the other. */
export type RawScript = string | Buffer | RawStep[];

/** A backend that is a plain TCP server. */
export class RawBackend extends LoopbackServer {
  /** All bytes that came in, per connection. */
  readonly received: Buffer[] = [];
  /** Whole requests so far. Not counted when the connections are in the hands of a function. */
  requests = 0;

  constructor(answer: RawScript | ((socket: Socket) => void)) {
    super(createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket, answer)));
  }

  #serve(socket: Socket, answer: RawScript | ((socket: Socket) => void)): void {
    const connection = this.received.push(Buffer.alloc(0)) - 1;
    const arrived = (): Buffer => this.received[connection] ?? Buffer.alloc(0);
    let answered = Promise.resolve();
    let answeredBytes = 0;
    socket.on('data', (chunk: Buffer) => {
      this.received[connection] = Buffer.concat([arrived(), chunk]);
      if (typeof answer === 'function') return;
      for (;;) {
        const request = parseRequest(arrived().toString('latin1', answeredBytes));
        if (request === undefined) return;
        answeredBytes += request.length;
        this.requests += 1;
        answered = answered
          .then(() => play(socket, answer, arrived))
          .catch((error) => this.failed(error));
      }
    });
    socket.on('end', () => answered.finally(() => socket.end()));
    if (typeof answer === 'function') answer(socket);
  }
}

/**
 * Starts a plain TCP server. It answers every whole request (its body ended by `Content-Length` or
 * chunked) with the same bytes or steps, and leaves the connection open unless a step ends it. Or a
 * function does all by itself, from the moment a connection is accepted.
 */
export function startRawBackend(
  answer: RawScript | ((socket: Socket) => void),
): Promise<RawBackend> {
  return new RawBackend(answer).start();
}

/** What `sendRaw` waits for, and how long. */
export interface SendRawOptions {
  /** A number of complete answers (1), or the end of the connection. */
  until?: number | 'close';
  /** Then it rejects, with what has arrived. */
  limitMs?: number;
}

/** All that came back. */
export interface RawAnswer extends Omit<RawResponse, 'status'> {
  /** Of the first answer, as all the fields of `RawResponse`; undefined when there was none. */
  status: number | undefined;
  /** Every answer, the first included. */
  responses: RawResponse[];
  raw: Buffer;
  /** `raw` as latin1. */
  rawText: string;
  /** How the peer ended the connection; `open`: it had not when the answers were complete. */
  closedBy: 'end' | 'reset' | 'open';
}

/** Sends bytes (or plays steps) to a port of 127.0.0.1 and gathers the answer. */
export async function sendRaw(
  port: number,
  script: RawScript,
  { until: enough = 1, limitMs = 5000 }: SendRawOptions = {},
): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1');
  const forget = closeAfterTest(() => socket.destroy());
  const bodiless = /^HEAD /.test(firstBytes(script));
  let arrived = Buffer.alloc(0);
  let closedBy: RawAnswer['closedBy'] = 'open';
  const responses = (): RawResponse[] =>
    parseResponses(arrived.toString('latin1'), { bodiless, closed: closedBy === 'end' });
  const over = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      arrived = Buffer.concat([arrived, chunk]);
      if (enough !== 'close' && responses().filter((r) => r.complete).length >= enough) resolve();
    });
    socket.on('end', () => {
      closedBy = 'end';
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.syscall === 'connect') reject(error);
      else if (closedBy === 'open') closedBy = 'reset';
    });
    socket.on('close', () => resolve());
  });
  try {
    const played = play(socket, script, () => arrived);
    await within(Promise.race([over, played.then(() => over)]), 'an end', limitMs);
  } catch (error) {
    const stage = socket.connecting ? 'not connected' : `${socket.bytesWritten} bytes sent`;
    const sofar = `from port ${port} (${stage}) after: ${JSON.stringify(arrived.toString('latin1'))}`;
    throw new Error(`${String(error)} ${sofar}`, { cause: error });
  } finally {
    socket.destroy();
    forget();
  }
  const all = responses();
  const first = all[0] ?? { ...NO_RESPONSE, status: undefined };
  const rawText = arrived.toString('latin1');
  return { ...first, responses: all, raw: arrived, rawText, closedBy };
}

const NO_RESPONSE: Omit<RawResponse, 'status'> = {
  reason: '',
  headers: [],
  body: Buffer.alloc(0),
  trailers: [],
  informational: [],
  complete: false,
};

function firstBytes(script: RawScript): string {
  if (!Array.isArray(script)) return script.toString('latin1');
  const write = script.find((step) => 'write' in step);
  return write ? write.write.toString('latin1') : '';
}

/** Plays a script on a socket; a socket that is gone plays no more. */
export async function play(
  socket: Socket,
  script: RawScript,
  arrived: () => Buffer,
): Promise<void> {
  const steps: RawStep[] = Array.isArray(script) ? script : [{ write: script }];
  for (const step of steps) {
    if (socket.destroyed) return;
    if ('write' in step) {
      const bytes = typeof step.write === 'string' ? Buffer.from(step.write, 'latin1') : step.write;
      await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
      await delivery(); // what is written next comes in a chunk of its own
    } else if ('waitFor' in step) {
      const { waitFor } = step;
      if (typeof waitFor !== 'function') await waitFor;
      else await until(() => socket.destroyed || waitFor(arrived()));
    } else if ('end' in step) socket.end();
    else {
      await delivery();
      socket.resetAndDestroy();
    }
  }
}
