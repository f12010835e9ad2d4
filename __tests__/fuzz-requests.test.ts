// Whatever a client sends: an answer or an end in time, for it alone, and nothing is left behind.
import { describe, it } from '@jest/globals';
import { fuzz } from './support/fuzz-batch.js';
import type { FuzzCase } from './support/fuzz-case.js';
import { converse, readAnswers } from './support/fuzz-client.js';
import { requestCase } from './support/fuzz-requests.js';
import type { FuzzRig } from './support/fuzz-rig.js';
import { TEST_LIMIT_MS } from './support/fuzz-settings.js';
import type { SeenRequest, Serve } from './support/strict-backend.js';
import { valuesOf } from './support/strict-http.js';

const isFirst = ({ fields }: SeenRequest): boolean =>
  valuesOf(fields, 'x-request-attempt').length === 0;

/** Answers with what it was asked for; on some paths, the first attempt fails. */
function backend(): Serve {
  const answered = new WeakSet<SeenRequest>();
  return (request, socket) => {
    const { target, method, complete } = request;
    if (answered.has(request)) return;
    const fails = isFirst(request) && /^\/(?:fail|early|reset)\//.exec(target)?.[0];
    if (!complete && fails !== '/early/') return;
    answered.add(request);
    if (fails === '/reset/') return void socket.resetAndDestroy();
    const body = JSON.stringify({ method, target });
    const status = fails ? '500 Failed' : '200 OK';
    const head = `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.write(method === 'HEAD' ? head : head + body, 'latin1');
  };
}

/**
 * Every body here begins with a brace, or is Node's empty one: what does not, is none. (Who has sent
 * a HEAD is not known, once its bytes are spoilt.)
 */
const isBodiless = (_index: number, rest: string): boolean => !/^(?:\{|0\r\n\r\n|$)/.test(rest);

/** One case on one connection. */
async function run(rig: FuzzRig, fuzzCase: FuzzCase): Promise<void> {
  const id = rig.issueId();
  const pieces = fuzzCase.pieces(id);
  const answer = await converse(rig.running.port, pieces, fuzzCase.ending);
  rig.checkIds(answer, id);
  const answers = readAnswers(answer, isBodiless);
  const sent = pieces.join('');
  // Node's server closes the connection of a CONNECT that nobody listens for.
  const mayBeSilent = sent === '' || fuzzCase.ending !== 'wait' || sent.includes('CONNECT ');
  if (answers.length === 0 && !mayBeSilent) throw new Error('closed without an answer');
}

describe('a client that sends whatever it likes', () => {
  it(
    'is answered, or its connection ends, and nobody else notices',
    async () => {
      await fuzz(requestCase, 1200, backend(), run);
    },
    TEST_LIMIT_MS,
  );
});
