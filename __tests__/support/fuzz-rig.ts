// A proxy for fuzz cases: each of them a connection of a client. What must hold whatever they say.
import type { Server, ServerOptions } from 'node:http';
import type { Socket } from 'node:net';
import { runInThisContext } from 'node:vm';
import type { TinyProxyOptions } from '../../src/index.js';
import { closeAfterTest, closeAll } from './cleanup.js';
import { type Answer, converse, readAnswers } from './fuzz-client.js';
import { type RunningProxy, startProxyWith } from './proxy.js';
import { type Serve, type StrictBackend, startStrictBackend } from './strict-backend.js';
import { type Message, valuesOf } from './strict-http.js';
import { until, within } from './wait.js';

// A test's own `process` is jest's copy: this one hears of accidents.
const realProcess = runInThisContext('process') as NodeJS.Process;

/** A server accepts one connection a turn of its loop, and here is but one loop. */
const BACKENDS = 4;
const CONTROLS = 10;
const MOST_LATE = 50;
const SWEEP_MS = 40;

/** So that what never ends by itself ends soon. */
const SERVER: ServerOptions = {
  keepAliveTimeout: 500, // where Node has answered by itself
  headersTimeout: 150,
  requestTimeout: 600,
  connectionsCheckingInterval: 50,
};
export const MOST_KEPT = 65_536;
const PROXY: Partial<TinyProxyOptions> = {
  attemptTimeout: 300,
  requestTimeout: 500,
  idleTimeout: 150,
  breaker: { failures: 1_000_000 },
  retry: {
    attempts: BACKENDS, // pooled connections to two of them may be reset at once
    budget: false,
    backoff: { initialDelay: 0, maxDelay: 0 },
    maxBodyBytes: MOST_KEPT,
    maxTotalBytes: MOST_KEPT,
  },
};

export class FuzzRig {
  /** What ends a process that nobody watches. */
  readonly accidents: string[] = [];
  /** Right requests that were too slow: one loop is client, proxy and backend, and may be busy. */
  readonly late: string[] = [];
  readonly #issued = new Set<string>();
  /** What became of the attempts of requests that have failed, by request id. */
  readonly #hops = new Map<string, string>();
  #seen = 0;
  readonly #onAccident = (error: unknown): void => {
    this.accidents.push(`an accident: ${(error as Partial<Error> | null)?.stack ?? error}`);
  };

  private constructor(
    readonly running: RunningProxy,
    readonly backends: readonly StrictBackend[],
  ) {
    realProcess.on('uncaughtException', this.#onAccident);
    realProcess.on('unhandledRejection', this.#onAccident);
    running.proxy.events.on('done', ({ requestId, status, hops }) => {
      if (status === 502) this.#hops.set(requestId, JSON.stringify(hops));
    });
  }

  static async start(serve: Serve): Promise<FuzzRig> {
    const backends = await Promise.all(
      Array.from({ length: BACKENDS }, () => startStrictBackend(serve)),
    );
    const target = backends.map(({ url }) => url);
    const running = await startProxyWith({ target, ...PROXY }, { server: SERVER });
    closeWhenIdle(running.server);
    return new FuzzRig(running, backends);
  }

  /** An id that no other case has, and that no mutation of a byte makes of another's. */
  issueId(): string {
    const number = this.#issued.size;
    const hash = Math.imul(number + 1, 0x9e3779b1) >>> 0;
    const id = `~${hash.toString(16)}.${number}~`;
    this.#issued.add(id);
    return id;
  }

  /** @throws when an answer tells of a case that is not its own. */
  checkIds(answer: Answer, ...own: string[]): void {
    for (const [id] of answer.text.matchAll(/~[0-9a-f]+\.\d+~/g)) {
      if (this.#issued.has(id) && !own.includes(id)) {
        throw new Error(`${own.join()} got the answer of ${id}: ${JSON.stringify(answer.text)}`);
      }
    }
  }

  /** @throws unless all is as if nothing had been, and well-behaved requests are answered. */
  async check(): Promise<void> {
    const { proxy } = this.running;
    await until(() => proxy.status().inFlight === 0, 'all requests to be over');
    const { backends } = proxy.status();
    const attempts = backends.reduce((sum, each) => sum + each.attempts, 0);
    const stuck = backends.filter((each) => each.inFlight !== 0);
    const problems = this.accidents.splice(0);
    if (stuck.length > 0) problems.push(`attempts that are not over: ${JSON.stringify(stuck)}`);
    for (const backend of this.backends) {
      problems.push(...backend.garbage.splice(0));
      this.#seen += backend.seen.splice(0).length;
    }
    const late = this.late.splice(0);
    if (late.length > MOST_LATE) problems.push(`too many were late: ${late.join()}`);
    if (this.#seen > attempts) problems.push(`${attempts} attempts, but ${this.#seen} seen`);
    if (problems.length > 0) throw new Error(problems.join('\n'));
    await Promise.all(Array.from({ length: CONTROLS }, () => this.#control()));
  }

  /** A request that is as it should be, and must get its own answer. */
  async #control(tries = 3): Promise<void> {
    const id = this.issueId();
    const request = `GET /control/${id} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`;
    const answer = await converse(this.running.port, [Buffer.from(request)], 'wait');
    this.checkIds(answer, id);
    const [message] = readAnswers(answer, () => false);
    if (isLate(message) && tries > 1) return this.#control(tries - 1);
    this.checkOwn(id, message, answer);
  }

  /** @throws unless this is the right answer to a right request. */
  checkOwn(id: string, message: Message | undefined, { text }: Answer): void {
    const status = message?.startLine[1];
    if (isLate(message)) this.late.push(id);
    else if (status !== '200' || !message!.complete || !message!.body.includes(id)) {
      const hops = this.#hops.get(
        message ? (valuesOf(message.fields, 'x-request-id')[0] ?? '') : '',
      );
      throw new Error(`${id} should have had its answer, got ${JSON.stringify(text)} by ${hops}`);
    }
  }

  /**
   * The end of it. The backend fails the first attempt of what goes to `/fail/`.
   *
   * @throws unless everything has been given back: kept bodies, connections.
   */
  async finish(): Promise<void> {
    const id = this.issueId();
    const head = `PUT /fail/${id} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n`;
    const body = Buffer.alloc(MOST_KEPT, 'x');
    const request = [Buffer.from(`${head}Content-Length: ${MOST_KEPT}\r\n\r\n`), body];
    // It can be kept, and so be sent again, only if nothing else is.
    const answer = await converse(this.running.port, request, 'wait');
    if (!answer.text.startsWith('HTTP/1.1 200 ')) {
      throw new Error(`some bytes are still kept: ${answer.text}`);
    }
    await within(this.running.proxy.close(), 'close()');
    const open = (): boolean => this.backends.some((backend) => backend.openSockets() > 0);
    // By close(): by themselves they would end after four seconds.
    await until(() => !open(), 'the end of the pooled connections', 2000);
    await this.stop();
  }

  async stop(): Promise<void> {
    realProcess.off('uncaughtException', this.#onAccident);
    realProcess.off('unhandledRejection', this.#onAccident);
    await closeAll();
  }
}

/** A keep-alive timeout would do the same, but no Node has one of less than a second. */
function closeWhenIdle(server: Server): void {
  const open = new Map<Socket, number>();
  server.on('request', ({ socket }, response) => {
    open.set(socket, (open.get(socket) ?? 0) + 1);
    response.once('close', () => open.set(socket, open.get(socket)! - 1));
  });
  const sweep = setInterval(() => {
    for (const [socket, requests] of open) {
      if (requests === 0) socket.end();
      if (socket.destroyed) open.delete(socket);
    }
  }, SWEEP_MS);
  closeAfterTest(() => clearInterval(sweep));
}

function isLate(message: Message | undefined): boolean {
  return message?.startLine[1] === '504' || message?.startLine[1] === '408';
}
