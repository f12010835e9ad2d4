// What a backend has sent, and what its client has got, for responses of every legal shape.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Ending, play } from './support/fuzz-case.js';
import { type Answer, converse, readAnswers } from './support/fuzz-client.js';
import { propertySettings, TEST_LIMIT_MS } from './support/fuzz-settings.js';
import {
  body,
  type Chunking,
  chunked,
  chunking,
  cutAt,
  field,
  fields,
  lines,
  valuesLike,
} from './support/legal-http.js';
import { startProxyWith } from './support/proxy.js';
import { startStrictBackend } from './support/strict-backend.js';
import type { Field } from './support/strict-http.js';
import { until } from './support/wait.js';

const LISTS = [
  'Set-Cookie',
  'set-cookie',
  'Vary',
  'Link',
  'WWW-Authenticate',
  'Cache-Control',
  'X-A',
];
const SINGLE = [
  'Content-Type',
  'ETag',
  'Server',
  'Location',
  'Retry-After',
  'Age',
  'Content-Range',
];

type Framing = { by: 'length' } | { by: 'close' } | ({ by: 'chunks' } & Chunking);

interface Exchange {
  method: string;
  version: string;
  /** Of the backend. */
  speaks: string;
  status: number;
  reason: string;
  head: Field[];
  /** Named by `Connection`: they end here. */
  nominated: Field[];
  content: string;
  framing: Framing;
  /** Where the bytes are cut into writes. */
  writes: number[];
}

const exchange: fc.Arbitrary<Exchange> = fc.record({
  method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS'),
  version: fc.constantFrom('1.1', '1.1', '1.1', '1.0'),
  speaks: fc.constantFrom('1.1', '1.1', '1.1', '1.0'),
  status: fc.oneof(fc.constantFrom(200, 204, 304, 404, 500), fc.integer({ min: 200, max: 599 })),
  reason: fc.constantFrom('', 'OK', 'Not \xe4\xf6', 'a  b\tc', '200', '\xff'),
  head: fields(LISTS, SINGLE),
  nominated: fc.array(field(fc.constantFrom('Hop-A', 'hop-b')), { maxLength: 2 }),
  content: body,
  framing: fc.oneof(
    fc.constant<Framing>({ by: 'length' }),
    fc.constant<Framing>({ by: 'close' }),
    chunking.map((how): Framing => ({ by: 'chunks', ...how })),
  ),
  writes: fc.array(fc.nat(71_000), { maxLength: 4 }),
});

const isBodiless = ({ method, status }: Exchange): boolean =>
  method === 'HEAD' || status === 204 || status === 304;

/** The head as the backend sends it, and its body. */
function bytesOf(it: Exchange): { head: string; rest: string } {
  const { status, reason, framing, content } = it;
  const connection = it.nominated.map(([name]) => name);
  if (framing.by === 'close') connection.push('close');
  const frame: Field[] = [];
  if (framing.by === 'length') frame.push(['Content-Length', String(content.length)]);
  if (framing.by === 'chunks') frame.push(['Transfer-Encoding', 'chunked']);
  const all = [
    ...it.head,
    ...it.nominated,
    ...connection.map((name): Field => ['Connection', name]),
    ...(status === 204 ? [] : frame), // RFC 9110 8.6, RFC 9112 6.1
  ];
  const version = framing.by === 'chunks' ? '1.1' : it.speaks; // HTTP/1.0 knows no chunks
  const head = `HTTP/${version} ${status} ${reason}\r\n${lines(all)}\r\n`;
  if (isBodiless(it)) return { head, rest: '' };
  return { head, rest: framing.by === 'chunks' ? chunked(content, framing) : content };
}

/** A backend that sends what it is told, byte by byte; one proxy in front of it. */
async function startPlayer() {
  let pieces: Buffer[] = [];
  let ending: Ending = 'wait';
  const backend = await startStrictBackend((request, socket) => {
    if (request.complete) void play(socket, pieces, ending);
  });
  const { app, port, proxy } = await startProxyWith({
    target: backend.url,
    retry: false,
    breaker: false,
  });
  app.disable('x-powered-by');
  /** What a client gets for it. */
  const ask = async (it: Exchange, text: string, end: Ending): Promise<Answer> => {
    pieces = cutAt(text, it.writes).map((piece) => Buffer.from(piece, 'latin1'));
    ending = end;
    const length = it.method === 'POST' ? 'Content-Length: 0\r\n' : '';
    const request = `${it.method} / HTTP/${it.version}\r\nHost: h\r\n${length}Connection: close\r\n\r\n`;
    return converse(port, [Buffer.from(request)]);
  };
  return { ask, proxy };
}

/** What the client's connection to the proxy needs, and the request's id. */
const OURS = ['x-request-id', 'date', 'connection', 'keep-alive', 'transfer-encoding'];

describe('a response of any legal shape', () => {
  it(
    'has for the client the head, the body and the trailers that the backend has sent',
    async () => {
      const { ask } = await startPlayer();
      const property = fc.asyncProperty(exchange, async (it) => {
        const { head, rest } = bytesOf(it);
        const { framing, content, status } = it;

        const answer = await ask(it, head + rest, framing.by === 'close' ? 'fin' : 'wait');

        const [message] = readAnswers(answer, () => isBodiless(it));
        const { startLine, fields: got, body: gotBody, trailers, complete } = message!;
        expect([startLine[1], startLine[2], complete]).toEqual([String(status), it.reason, true]);
        const theirs = got.filter(([name]) => !OURS.includes(name.toLowerCase()));
        const sent = [...it.head];
        if (framing.by === 'length' && status !== 204)
          sent.push(['Content-Length', String(content.length)]);
        expect(valuesLike(sent, theirs)).toEqual(valuesLike(sent, sent));
        expect(gotBody === (isBodiless(it) ? '' : content)).toBe(true);
        const mayTrail = framing.by === 'chunks' && it.version === '1.1' && !isBodiless(it);
        const sentTrailers = mayTrail ? framing.trailers : [];
        expect(valuesLike(sentTrailers, trailers)).toEqual(valuesLike(sentTrailers, sentTrailers));
      });
      await fc.assert(property, propertySettings(300));
    },
    TEST_LIMIT_MS,
  );

  it(
    'never looks whole to the client when it was cut',
    async () => {
      const { ask, proxy } = await startPlayer();
      const cut = fc.record({
        it: exchange,
        at: fc.noBias(fc.nat(99_999)),
        end: fc.constantFrom<Ending>('fin', 'reset'),
      });
      const property = fc.asyncProperty(cut, async ({ it, at, end }) => {
        const { head, rest } = bytesOf(it);
        const text = head + rest;
        // By the end of the connection, a FIN is the end of the body.
        const byClose = it.framing.by === 'close' && end === 'fin' && !isBodiless(it);
        const upTo = Math.floor((at / 100_000) * (byClose ? head.length : text.length));

        const answer = await ask(it, text.slice(0, upTo), end);

        const [message] = readAnswers(answer, () => it.method === 'HEAD');
        const looksWhole = message?.complete === true && message.startLine[1] !== '502';
        expect(looksWhole).toBe(false);
        await until(() => proxy.status().inFlight === 0);
      });
      await fc.assert(property, propertySettings(300));
    },
    TEST_LIMIT_MS,
  );
});
