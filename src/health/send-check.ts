import { request as httpRequest, type IncomingMessage } from 'node:http';
import { inspect, types } from 'node:util';
import type { TinyProxy } from '../index.js';
import type { Checks } from './check-health.js';

/** A body is read so far, for a backend's log to be without a broken connection. */
const MOST_BYTES = 65_536;

/**
 * One check, over a connection of its own. `onDone` is called once, with what is wrong, or null; never
 * after the function that is answered has been called: it ends all.
 */
export function sendCheck(
  { socket, host }: ReturnType<TinyProxy['dial']>,
  { path, timeout, expect, headers }: Checks,
  onDone: (failure: string | null) => void,
): () => void {
  let isDone = false;
  function done(failure: string | null): void {
    if (isDone) return;
    isDone = true;
    onDone(failure);
  }
  socket.unref();
  const request = httpRequest({
    createConnection: () => socket,
    path,
    headers: { host, 'user-agent': 'express-tiny-proxy', ...headers },
  });
  request.setHeader('connection', 'close');
  // Its backend may leave it open all the same, and reset it later.
  socket.on('error', () => {});
  const timer = setTimeout(() => {
    done(`no answer within ${timeout} ms`);
    request.destroy();
  }, timeout).unref();
  request.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  request.on('response', (response) => {
    done(verdict(expect, response.statusCode ?? 0));
    readOn(response);
  });
  request.on('close', () => {
    clearTimeout(timer);
    socket.destroy();
    done('the connection was closed');
  });
  request.end();
  return function endCheck() {
    isDone = true;
    request.destroy();
  };
}

/** What is wrong with a status, or null. */
function verdict(expect: Checks['expect'], status: number): string | null {
  try {
    const answer: unknown = expect(status);
    if (types.isPromise(answer)) {
      answer.catch(() => {}); // nobody waits for it, and its rejection would end the process
      throw new TypeError('it must not be async: its answer is needed at once');
    }
    if (answer === true) return null;
    if (answer === false) return `status ${status}`;
    return `expect must answer true or false; got ${inspect(answer, { depth: 0 })}`;
  } catch (thrown) {
    return `expect threw: ${describe(thrown)}`;
  }
}

/** One line about a thrown value, whatever it is: showing it may throw, too. */
function describe(thrown: unknown): string {
  try {
    if (!types.isNativeError(thrown)) return inspect(thrown, { depth: 0 }).split('\n', 1)[0]!;
    return `${String(thrown.name)}: ${String(thrown.message)}`.split('\n', 1)[0]!;
  } catch {
    return 'what cannot be told';
  }
}

/** The time limit of the check holds for the body, too. */
function readOn(response: IncomingMessage): void {
  let bytes = 0;
  response.on('error', () => {}); // all is said
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) response.destroy();
  });
}
