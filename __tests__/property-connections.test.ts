// Whatever clients and backends do: never more connections to a backend than maxConnections, and
// afterwards that many again.
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { WebSocket } from 'ws';
import {
  atHead,
  closeConnection,
  dieInBody,
  earlyAnswer,
  echo,
  type Handler,
  hang,
  reply,
  resetConnection,
} from './support/backend.js';
import { propertySettings, TEST_LIMIT_MS } from './support/fuzz-settings.js';
import { expectPlaces, KINDS, limited } from './support/limited.js';
import { open, readBody } from './support/proxy.js';
import { until } from './support/wait.js';
import { openWebSocket } from './support/websocket.js';

/** What the path asks for. */
const HANDLERS: Record<string, Handler> = {
  echo: echo(),
  close: reply(200, 'x', { Connection: 'close' }),
  early: earlyAnswer(413, 'too long'),
  sick: reply(500),
  endless: (_request, response) => void response.writeHead(200).write('x'),
  cut: closeConnection(),
  reset: resetConnection(),
  half: dieInBody(1000),
  hang: hang(),
};

/** Of which no end is waited for. */
const ENDLESS = new Set(['endless', 'hang']);

interface Load {
  kind: number | 'WebSocket';
  name: string;
  /** Turns of the event loop before it is sent, before its answer, before its client leaves. */
  start: number;
  answer: number;
  leave: number | null;
}

const load: fc.Arbitrary<Load> = fc.record({
  kind: fc.oneof(fc.nat(KINDS.length - 1), fc.constant('WebSocket' as const)),
  name: fc.constantFrom(...Object.keys(HANDLERS), 'echo', 'echo', 'echo'),
  start: fc.nat(30),
  answer: fc.nat(10),
  leave: fc.oneof(fc.constant(null), fc.nat(40)),
});

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await setImmediate();
}

const serve = atHead(async (request, response) => {
  const [, name = '', answer] = (request.url ?? '').split('/');
  const body = name === 'early' ? Buffer.alloc(0) : (await readBody(request)).body;
  await turns(Number(answer));
  await HANDLERS[name]!(request, response, body);
});

async function send(url: string, { kind, name, answer, leave }: Load): Promise<void> {
  const { request, response } = open(`${url}/${name}/${answer}`, KINDS[kind as number]!());
  const end = response.then(readBody).catch(() => {}); // it may be cut
  if (leave === null && !ENDLESS.has(name)) return void (await end);
  await turns(leave ?? 20);
  request.destroy();
}

async function useSocket(url: string, { leave }: Load): Promise<void> {
  let socket: WebSocket;
  try {
    socket = await openWebSocket(url);
  } catch {
    return; // it has waited in vain
  }
  await turns(leave ?? 5);
  if (leave === null) socket.close();
  else socket.terminate();
}

async function run(url: string, each: Load): Promise<void> {
  await turns(each.start);
  await (each.kind === 'WebSocket' ? useSocket(url, each) : send(url, each));
}

const loads = fc.array(load, { minLength: 1, maxLength: 24, size: 'max' });

describe('maxConnections', () => {
  it.each([
    { max: 1, queueTimeout: 10_000 },
    { max: 2, queueTimeout: 0 },
    { max: 3, queueTimeout: 20 },
    { max: 5, queueTimeout: 10_000 },
  ])(
    'is never exceeded, and no place is lost, with %p',
    async ({ max, queueTimeout }) => {
      const running = await limited(max, serve, {
        ...{ queueTimeout, breaker: false, attemptTimeout: 10_000 },
        retry: { attempts: 2, budget: false, backoff: { initialDelay: 0, maxDelay: 0 } },
      });
      const { url, backend, meter, proxy } = running;
      let most = 0;
      const property = fc.asyncProperty(loads, async (all) => {
        backend.answerWith(serve);
        meter.most = 0;
        await Promise.all(all.map((each) => run(url, each)));
        await expectPlaces(max, running);
        expect(meter.most).toBeLessThanOrEqual(max);
        most = Math.max(most, meter.most);
      });

      await fc.assert(property, propertySettings(12));

      expect(most).toBe(max);
      await until(() => proxy.status().inFlight === 0);
      expect(proxy.status().backends).toMatchObject([{ inFlight: 0 }]);
    },
    TEST_LIMIT_MS,
  );
});
