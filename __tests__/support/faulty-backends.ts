// Backends that fail each attempt of a request as they are told, and keep what they were sent.
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { refusedUrl } from './raw.js';
import { type SeenRequest, type Serve, startStrictBackend } from './strict-backend.js';
import { valuesOf } from './strict-http.js';

const ENDINGS = ['reset', 'fin', '500', '503 early', 'half a head', 'garbage', 'hang'] as const;

/** How one attempt goes wrong, and when: once so much of its body has come. */
export interface Fault {
  how: (typeof ENDINGS)[number];
  /** The whole body, where it has fewer bytes than that. */
  bodyBytes: number;
}

/** The faults of the first attempts; what comes after them is answered. */
export const faults: fc.Arbitrary<Fault[]> = fc.array(
  fc.record({
    how: fc.oneof(
      { arbitrary: fc.constantFrom(...ENDINGS.slice(0, -1)), weight: 30 },
      { arbitrary: fc.constantFrom(...ENDINGS.slice(-1)), weight: 1 },
    ),
    bodyBytes: fc.oneof(fc.constantFrom(0, 1, 100_000), fc.nat(5000)),
  }),
  { maxLength: 4, size: 'max' },
);

/** What became of one request: by its id, given in X-Request-ID. */
export interface Story {
  faults: Fault[];
  /** Its attempts, as the backends have seen them. */
  seen: SeenRequest[];
}

export class FaultyBackends {
  readonly #stories = new Map<string, Story>();
  readonly #over = new WeakSet<SeenRequest>();

  /** Of the backends, and of one that refuses. */
  targets: string[] = [];
  /** What came that is no HTTP. */
  readonly garbage: string[][] = [];

  static async start(count: number): Promise<FaultyBackends> {
    const all = new FaultyBackends();
    const backends = await Promise.all(
      Array.from({ length: count }, () => startStrictBackend(all.#serve)),
    );
    all.targets = [...backends.map(({ url }) => url), await refusedUrl()];
    all.garbage.push(...backends.map(({ garbage }) => garbage));
    return all;
  }

  /** From now on, the requests with this id fail like that. */
  tell(id: string, plan: Fault[]): Story {
    const story = { faults: plan, seen: [] };
    this.#stories.set(id, story);
    return story;
  }

  readonly #serve: Serve = (request, socket) => {
    const story = this.#stories.get(valuesOf(request.fields, 'x-request-id')[0] ?? '');
    if (story === undefined || this.#over.has(request)) return;
    if (!story.seen.includes(request)) story.seen.push(request);
    const fault = story.faults[story.seen.indexOf(request)];
    const early = fault !== undefined && request.body.length >= fault.bodyBytes;
    if (!early && !request.complete) return;
    this.#over.add(request);
    if (fault === undefined) answer(socket, '200 OK', request.method);
    else void fail(socket, fault.how, request);
  };
}

function answer(socket: Socket, status: string, method: string): void {
  const head = `HTTP/1.1 ${status}\r\nContent-Length: 6\r\n\r\n`;
  socket.write(method === 'HEAD' ? head : `${head}answer`);
}

async function fail(socket: Socket, how: Fault['how'], { method }: SeenRequest): Promise<void> {
  if (how === '500') answer(socket, '500 Failed', method);
  if (how === '503 early') answer(socket, '503 Busy\r\nConnection: close', method);
  if (how === 'half a head') socket.write('HTTP/1.1 200 OK\r\nX-A:');
  if (how === 'garbage') socket.write('SSH-2.0-OpenSSH_9.2\r\n');
  if (how === 'hang' || how === '500') return;
  // What was written is to be read before: a reset would overtake it.
  await setImmediate();
  await setImmediate();
  if (how === 'reset' || how === 'half a head') socket.resetAndDestroy();
  else socket.end();
}
