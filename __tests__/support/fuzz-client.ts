// A client that says bytes, and judges what comes back.
import { connect } from 'node:net';
import { type Ending, play } from './fuzz-case.js';
import { type Message, readMessage, STATUS_LINE, valuesOf } from './strict-http.js';
import { within } from './wait.js';

/** Whatever happens, after so long a connection has had its answer, or is closed. */
const BOUND_MS = 5000;

/** All that came back on one connection. */
export interface Answer {
  /** latin1 */
  text: string;
  reset: boolean;
}

/**
 * Sends the pieces, ends as it is told, and reads until the server closes the connection.
 *
 * @throws when it is not closed in time.
 */
export async function converse(
  port: number,
  pieces: readonly Buffer[],
  ending: Ending = 'wait',
): Promise<Answer> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const answer: Answer = { text: '', reset: false };
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    answer.text += chunk;
  });
  socket.on('error', () => {
    answer.reset = true;
  });
  const connected = new Promise((resolve) => socket.on('connect', resolve));
  const closed = new Promise((resolve) => socket.on('close', resolve));
  try {
    await within(Promise.race([connected, closed]), 'a connection', BOUND_MS);
    await play(socket, pieces, ending);
    await within(closed, 'the end of the connection', BOUND_MS);
  } catch (error) {
    throw new Error(`${error}, after the answer ${JSON.stringify(answer.text)}`);
  } finally {
    socket.destroy();
  }
  return answer;
}

/**
 * The final answers on one connection. `bodiless` says of each whether it has no body, by what
 * follows its head.
 *
 * @throws {NotHttp}
 */
export function readAnswers(
  { text, reset }: Answer,
  bodiless: (index: number, rest: string) => boolean,
): Message[] {
  const answers: Message[] = [];
  for (let rest = text; rest !== ''; ) {
    const afterHead = rest.slice(rest.indexOf('\r\n\r\n') + 4);
    const empty = /^HTTP\/1\.1 (?:1|204|304)/.test(rest) || bodiless(answers.length, afterHead);
    const message = readMessage(rest, STATUS_LINE, { unframed: 'close', bodiless: empty });
    if (message === undefined) break;
    rest = rest.slice(message.length);
    if (message.startLine[1]!.startsWith('1')) continue;
    const framing = ['content-length', 'transfer-encoding'].flatMap((name) =>
      valuesOf(message.fields, name),
    );
    answers.push(framing.length === 0 && !reset ? { ...message, complete: true } : message);
    if (!message.complete) break;
  }
  return answers;
}
