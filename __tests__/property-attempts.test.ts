// Whatever happens to its attempts: they are all the same, and some requests have but one.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { TinyProxyOptions } from '../src/index.js';
import { FaultyBackends, faults, type Story } from './support/faulty-backends.js';
import type { Ending } from './support/fuzz-case.js';
import { converse } from './support/fuzz-client.js';
import { propertySettings, TEST_LIMIT_MS } from './support/fuzz-settings.js';
import {
  body,
  type Chunking,
  chunked,
  chunking,
  cutAt,
  fields,
  lines,
  valuesLike,
} from './support/legal-http.js';
import { startProxyWith } from './support/proxy.js';
import type { SeenRequest } from './support/strict-backend.js';
import { type Field, valuesOf } from './support/strict-http.js';
import { until } from './support/wait.js';

const LISTS = ['Accept', 'accept', 'X-A', 'Cache-Control', 'Accept-Language', 'Warning'];
const SINGLE = ['Content-Type', 'Authorization', 'Cookie', 'Range', 'If-Match', 'Referer'];

const REPLAYED = ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND'];

interface Sent {
  method: string;
  target: string;
  head: Field[];
  content: string;
  /** null: with its length; undefined: no body at all. */
  chunks: Chunking | null | undefined;
  writes: number[];
}

const sentBy = (methods: readonly string[]): fc.Arbitrary<Sent> =>
  fc.record({
    method: fc.constantFrom(...methods),
    target: fc
      .string({ unit: fc.constantFrom(...'abz09/?&=%;:@!$~\xe4'), maxLength: 12 })
      .map((rest) => `/t${rest}`),
    head: fields(LISTS, SINGLE),
    content: body,
    chunks: fc.oneof(fc.constant(null), fc.constant(undefined), chunking),
    writes: fc.array(fc.nat(71_000), { maxLength: 5 }),
  });

/** On the wire; the first piece has the whole head. */
function pieces(id: string, { method, target, head, content, chunks, writes }: Sent): Buffer[] {
  const framing = chunks ? 'Transfer-Encoding: chunked' : `Content-Length: ${content.length}`;
  const frame = chunks === undefined ? '' : `${framing}\r\n`;
  const own = `Host: h\r\nX-Request-ID: ${id}\r\nConnection: close\r\n`;
  const first = `${method} ${target} HTTP/1.1\r\n${lines(head)}${own}${frame}\r\n`;
  const rest = chunks === undefined ? '' : chunks ? chunked(content, chunks) : content;
  return [first, ...cutAt(rest, writes)].map((piece) => Buffer.from(piece, 'latin1'));
}

/** What the proxy adds of its own. */
const OURS = /^(?:host|connection|content-length|transfer-encoding|x-request-|x-forwarded-)/;

const isOurs = ([name]: Field): boolean => OURS.test(name.toLowerCase());

const numberOf = ({ fields: all }: SeenRequest): number =>
  Number(valuesOf(all, 'x-request-attempt')[0] ?? 1);

/** The first attempt is what the client has sent, and so is every other, but for its number. */
function expectAlike({ seen }: Story, { method, target, head, content, chunks }: Sent): void {
  const heads = seen.map((each) => each.head.replace(/\r\nx-request-attempt: \d+/, ''));
  expect(heads).toEqual(seen.map(() => heads[0]));
  const numbers = seen.map(numberOf);
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  const [first] = seen;
  if (first === undefined) return;
  expect([first.method, first.target]).toEqual([method, target]);
  const theirs = first.fields.filter((each) => !isOurs(each));
  expect(valuesLike(head, theirs)).toEqual(valuesLike(head, head));
  const whole = chunks === undefined ? '' : content;
  const trailers = chunks?.trailers ?? [];
  for (const each of seen) {
    if (!each.complete) expect(whole.startsWith(each.body)).toBe(true);
    else {
      expect(each.body === whole).toBe(true);
      expect(valuesLike(trailers, each.trailers)).toEqual(valuesLike(trailers, trailers));
    }
  }
}

async function start(retry: Exclude<TinyProxyOptions['retry'], boolean>) {
  const backends = await FaultyBackends.start(3);
  const { port, proxy } = await startProxyWith({
    target: backends.targets,
    retry: { attempts: 6, budget: false, backoff: { initialDelay: 0, maxDelay: 0 }, ...retry },
    breaker: false,
    attemptTimeout: 80,
  });
  return { backends, port, proxy };
}

let ids = 0;

/** At a time: they share the pools of connections. */
function several<Client>(client: fc.Arbitrary<Client>): fc.Arbitrary<Client[]> {
  return fc.array(client, { minLength: 1, maxLength: 6, size: 'max' });
}

describe('every attempt of a request', () => {
  it(
    'is the request of the client, byte by byte, but for its number',
    async () => {
      const { backends, port } = await start({ methods: REPLAYED });
      let more = 0;
      const client = fc.record({ sent: sentBy(REPLAYED), plan: faults });
      const property = fc.asyncProperty(several(client), async (clients) => {
        await Promise.all(
          clients.map(async ({ sent, plan }) => {
            const id = `attempts-${++ids}`;
            const story = backends.tell(id, plan);
            await converse(port, pieces(id, sent));
            expectAlike(story, sent);
            more += story.seen.length - 1;
          }),
        );
        expect(backends.garbage).toEqual(backends.garbage.map(() => []));
      });
      const runs = propertySettings(100);
      await fc.assert(property, runs);
      expect(more).toBeGreaterThan(runs.numRuns!);
    },
    TEST_LIMIT_MS,
  );
});

describe('a request that is not replayable', () => {
  const client = fc.record({
    sent: sentBy(['POST', 'POST', 'PATCH', 'LOCK']),
    plan: faults,
    ending: fc.constantFrom<Ending>('wait', 'wait', 'wait', 'fin', 'reset'),
  });

  it.each([{ unsent: false }, { unsent: true }])(
    'is delivered once at most, whatever happens, with %p',
    async (retry) => {
      const { backends, port, proxy } = await start(retry);
      let delivered = 0;
      const property = fc.asyncProperty(several(client), async (clients) => {
        const stories = clients.map(async ({ sent, plan, ending }) => {
          const id = `once-${++ids}`;
          const story = backends.tell(id, plan);
          await converse(port, pieces(id, sent), ending);
          return story;
        });
        const all = await Promise.all(stories);
        await until(() => proxy.status().inFlight === 0);
        for (const { seen } of all) {
          expect(seen.length).toBeLessThanOrEqual(1);
          delivered += seen.length;
        }
      });
      const runs = propertySettings(80);
      await fc.assert(property, runs);
      expect(delivered).toBeGreaterThan(runs.numRuns!);
    },
    TEST_LIMIT_MS,
  );
});
