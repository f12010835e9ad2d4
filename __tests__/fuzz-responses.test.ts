// Whatever a backend sends: its client gets an HTTP answer or a cut, the others get their own.
import type { Socket } from 'node:net';
import { describe, it } from '@jest/globals';
import { fuzz } from './support/fuzz-batch.js';
import { type FuzzCase, play } from './support/fuzz-case.js';
import { converse, readAnswers } from './support/fuzz-client.js';
import { type ResponseCase, responseCase } from './support/fuzz-responses.js';
import type { FuzzRig } from './support/fuzz-rig.js';
import { TEST_LIMIT_MS } from './support/fuzz-settings.js';
import type { SeenRequest, Serve } from './support/strict-backend.js';
import { valuesOf } from './support/strict-http.js';
import { delivery } from './support/wait.js';

/** A backend that plays the case whose id is in the path, and answers properly on other paths. */
class Player {
  readonly cases = new Map<string, FuzzCase>();
  /** Requests that came on a connection whose case was still being played. */
  readonly unlucky = new Set<string>();
  readonly #playing = new WeakSet<Socket>();

  readonly serve: Serve = (request, socket) => {
    if (!request.complete) return;
    const [, place = '', id = ''] = request.target.split('/');
    // HTTP has no means against what a backend sends after its response, if it comes so late that
    // the connection is in use again.
    if (this.#playing.has(socket)) {
      this.unlucky.add(id);
      return void socket.resetAndDestroy();
    }
    const fuzzCase = place === 'case' ? this.cases.get(id) : undefined;
    if (fuzzCase === undefined) return answer(request, socket, place);
    void this.#play(socket, fuzzCase, id);
  };

  async #play(socket: Socket, fuzzCase: FuzzCase, id: string): Promise<void> {
    this.#playing.add(socket);
    await play(socket, fuzzCase.pieces(id), fuzzCase.ending);
    await delivery();
    this.#playing.delete(socket);
  }
}

function answer(request: SeenRequest, socket: Socket, place: string): void {
  const isFirst = valuesOf(request.fields, 'x-request-attempt').length === 0;
  const status = place === 'fail' && isFirst ? '500 Failed' : '200 OK';
  const body = JSON.stringify(request.target);
  socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
}

/** One case, and behind it, on the same connection of the client, a request with a known answer. */
async function run(
  player: Player,
  rig: FuzzRig,
  { method, response }: ResponseCase,
): Promise<void> {
  const [id, next] = [rig.issueId(), rig.issueId()];
  player.cases.set(id, response);
  const body = method.startsWith('P') ? 'Content-Length: 3\r\n\r\nabc' : '\r\n';
  const request =
    `${method} /case/${id} HTTP/1.1\r\nHost: h\r\n${body}` +
    `GET /next/${next} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`;
  const answered = await converse(rig.running.port, [Buffer.from(request)]);
  player.cases.delete(id);
  if (player.unlucky.has(id) || player.unlucky.has(next)) return;
  rig.checkIds(answered, id, next);
  const [first, second] = readAnswers(answered, (index) => index === 0 && method === 'HEAD');
  // Nothing more comes where the answer was cut, or was the last of its connection.
  if (!first?.complete || valuesOf(first.fields, 'connection')[0] === 'close') return;
  rig.checkOwn(next, second, answered);
}

describe('a backend that answers whatever it likes', () => {
  it(
    'harms the request that it answers, and nothing else',
    async () => {
      const player = new Player();
      await fuzz(responseCase, 800, player.serve, (rig, each) => run(player, rig, each));
    },
    TEST_LIMIT_MS,
  );
});
