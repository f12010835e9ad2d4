import { Agent } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { RetryOptions } from '../src/index.js';
import {
  atHead,
  type Backend,
  byPath,
  controlled,
  earlyAnswer,
  type Handler,
  hang,
  reply,
  resetConnection,
  startBackend,
  startBackends,
} from './support/backend.js';
import { pseudoRandom, sha256 } from './support/bodies.js';
import { requestLine } from './support/log-lines.js';
import { type ClientInit, get, open, startProxyWith } from './support/proxy.js';
import { blackHole, refusedUrl } from './support/raw.js';
import { once, until } from './support/wait.js';

const MAX = 262_144; // the default of maxBodyBytes

/** Reads the first bytes of an upload, then resets the connection. */
const dieInUpload = atHead((request, response) => {
  request.once('data', () => response.destroy());
});

function bytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 31) % 256));
}

/** The same body, sent in both ways. */
const framings: [framing: string, init: (body: Buffer) => ClientInit][] = [
  ['with its length', (body) => ({ body })],
  ['in chunks', (body) => ({ body: Readable.from([body.subarray(0, 99), body.subarray(99)]) })],
];

function bodies({ received }: Backend): string[] {
  return received.map(({ body }) => sha256(body));
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe.each(framings)('a body that is sent %s', (_framing, init) => {
  it.each([1, 1000, 100_000, MAX])('is replayed when it is %i bytes long', async (length) => {
    const body = bytes(length);
    const backends = await startBackends(reply(500), resetConnection(), reply(200));
    const { url } = await startProxyWith({ target: backends.map((backend) => backend.url) });

    expect((await get(url, { method: 'PUT', ...init(body) })).status).toBe(200);
    for (const backend of backends) expect(bodies(backend)).toEqual([sha256(body)]);
  });

  it('is not replayed when it is one byte too long', async () => {
    const body = bytes(MAX + 1);
    const [sick, well] = await startBackends(reply(500, 'sick'), reply(200));
    const { url } = await startProxyWith({ target: [sick.url, well.url] });

    const response = await get(url, { method: 'PUT', ...init(body) });

    expect([response.status, response.text]).toEqual([500, 'sick']);
    expect([bodies(sick), well.started]).toEqual([[sha256(body)], 0]);
  });

  it('goes whole to the next backend when the first has refused, however long', async () => {
    const body = pseudoRandom(3_000_000);
    const well = await startBackend(reply(200));
    const target = [await refusedUrl(), (await blackHole()).url, well.url];
    const { url } = await startProxyWith({ target, connectTimeout: 100 });
    const whole = Buffer.concat(await body.stream().toArray());

    expect((await get(url, { method: 'PUT', ...init(whole) })).status).toBe(200);
    expect(bodies(well)).toEqual([body.sha256]);
  });

  it('is not replayed when it is too long and part of it was sent', async () => {
    const [dying, well] = await startBackends(dieInUpload, reply(200));
    const { url, log } = await startProxyWith(
      { target: [dying.url, well.url], retry: { maxBodyBytes: 50 } },
      { captureLog: 'json' },
    );

    expect((await get(url, { method: 'PUT', ...init(bytes(1000)) })).status).toBe(502);
    expect(await requestLine(log)).toMatchObject({ noRetry: 'body' });
    expect(well.started).toBe(0);
  });

  it('of a GET is replayed as well', async () => {
    const [sick, well] = await startBackends(reply(500), reply(200));
    const { url } = await startProxyWith({ target: [sick.url, well.url] });

    expect((await get(url, init(bytes(500)))).status).toBe(200);
    expect(bodies(well)).toEqual([sha256(bytes(500))]);
  });
});

describe('a body that still comes', () => {
  it.each([
    ['has died in mid-upload', dieInUpload],
    ['has answered 500 without reading it', earlyAnswer(500)],
  ])('goes on at the next backend, from its start, when the first %s', async (_what, handler) => {
    const [sick, well] = await startBackends(handler, reply(200));
    const { url } = await startProxyWith({ target: [sick.url, well.url] });
    const body = new PassThrough();

    const answer = get(url, { method: 'PUT', body });
    body.write('first, ');
    await until(() => well.started === 1);
    body.write('second, ');
    body.end('last');

    expect((await answer).status).toBe(200);
    expect(well.received.map((each) => String(each.body))).toEqual(['first, second, last']);
  });

  it('may grow beyond what is kept after a replay', async () => {
    const [sick, well] = await startBackends(dieInUpload, reply(200));
    const { url } = await startProxyWith({
      target: [sick.url, well.url],
      retry: { maxBodyBytes: 100 },
    });
    const body = new PassThrough();

    const answer = get(url, { method: 'PUT', body });
    body.write(bytes(50));
    await until(() => well.started === 1);
    body.end(bytes(5000));

    expect((await answer).status).toBe(200);
    expect(bodies(well)).toEqual([sha256(Buffer.concat([bytes(50), bytes(5000)]))]);
  });

  it('may grow beyond what is kept while the backoff is waited for', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0.99);
    const backend = await startBackend(dieInUpload);
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: { maxBodyBytes: 100, backoff: { initialDelay: 300, maxDelay: 300 } },
    });
    const body = new PassThrough();

    const answer = get(url, { method: 'PUT', body });
    body.write(bytes(50));
    await once(proxy.events, 'retry');
    backend.answerWith(reply(200));
    body.write(bytes(5000));
    await until(() => backend.started === 2);
    body.end(bytes(9));

    expect((await answer).status).toBe(200);
    const whole = Buffer.concat([bytes(50), bytes(5000), bytes(9)]);
    expect(bodies(backend)).toEqual([sha256(whole)]);
  });

  it('is not kept at all when it says that it is too long', async () => {
    const [dying, well] = await startBackends(dieInUpload, reply(200));
    const { url, log } = await startProxyWith(
      { target: [dying.url, well.url], retry: { maxBodyBytes: 100 } },
      { captureLog: 'json' },
    );
    const body = new PassThrough();

    const answer = get(url, { method: 'PUT', body, headers: { 'Content-Length': 101 } });
    body.write('short');

    expect((await answer).status).toBe(502);
    expect(await requestLine(log)).toMatchObject({ noRetry: 'body' });
    expect(well.started).toBe(0);
    body.destroy();
  });

  it('is sent as often as it takes', async () => {
    const backend = await startBackend(resetConnection());
    const { url } = await startProxyWith({
      target: backend.url,
      breaker: false,
      retry: { attempts: 20, budget: false, backoff: { initialDelay: 0, maxDelay: 0 } },
    });
    const body = pseudoRandom(200_000);

    expect((await get(url, { method: 'PUT', body: body.stream() })).status).toBe(502);
    expect(bodies(backend)).toEqual(Array(20).fill(body.sha256));
  });

  it('leaves no connection behind at a backend that answers without reading it', async () => {
    const backend = await startBackend(earlyAnswer(403, 'no'));
    const { url } = await startProxyWith({ target: backend.url });

    for (let i = 0; i < 5; i += 1) {
      const body = new PassThrough();
      const { response } = open(url, { method: 'PUT', body });
      body.write('a part');
      (await response).resume();
    }

    await until(() => backend.openSockets() <= 1);
  });

  it('is read to its end when nobody wants it, so that the connection can go on', async () => {
    const backend = await startBackend(earlyAnswer(403, 'no'));
    const { url } = await startProxyWith({ target: backend.url });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const body = pseudoRandom(2_000_000).stream();

    const refused = await get(url, { method: 'PUT', body, agent });
    const next = await get(url, { agent });

    expect([refused.status, next.status]).toEqual([403, 403]);
    agent.destroy();
  });
});

it('with maxBodyBytes: 0 no body is kept, and a request without one is replayed', async () => {
  const handlers: Handler[] = [reply(500), reply(200)];
  const backends = await startBackends(...handlers);
  const { url } = await startProxyWith({
    target: backends.map((backend) => backend.url),
    balance: (_req, candidates) => candidates[0]!,
    retry: { maxBodyBytes: 0 },
  });

  const statuses = [
    (await get(url, { method: 'PUT', body: 'x' })).status,
    (await get(url, { method: 'PUT' })).status,
    (await get(url)).status,
  ];

  expect(statuses).toEqual([500, 200, 200]);
});

describe('maxTotalBytes', () => {
  const put: ClientInit = { method: 'PUT', body: 'x'.repeat(600) };

  /** One body of 600 bytes has room; a PUT of / is answered by the second backend if it is kept. */
  async function startSmall(first: Handler): Promise<{ url: string; sick: Backend }> {
    const retry: RetryOptions = { maxTotalBytes: 1000, budget: false };
    const [sick, well] = await startBackends(
      byPath({ '/': reply(500), '/held': first }),
      reply(200),
    );
    const { url } = await startProxyWith({
      target: [sick.url, well.url],
      balance: (_req, candidates) => candidates[0]!,
      breaker: false,
      retry,
    });
    return { url, sick };
  }

  it('is for all requests together: a body without room is not replayed', async () => {
    const { url, sick } = await startSmall(hang());
    open(`${url}/held`, put);
    await until(() => sick.received.length === 1);

    expect((await get(url, put)).status).toBe(500);
    expect((await get(url, { method: 'PUT', body: 'x'.repeat(400) })).status).toBe(200);
  });

  it('has room again when a client has left', async () => {
    const { url, sick } = await startSmall(hang());
    const { request } = open(`${url}/held`, put);
    await until(() => sick.received.length === 1);
    request.destroy();
    await until(() => sick.unfinished === 1);

    expect((await get(url, put)).status).toBe(200);
  });

  it('has room again when a response has begun, which will not be tried again', async () => {
    const stream = controlled();
    const { url } = await startSmall(stream.handler);
    await open(`${url}/held`, put).response;

    expect((await get(url, put)).status).toBe(200);
  });

  it('has room again after each request, in whatever way it ended', async () => {
    const { url } = await startSmall(resetConnection());

    for (let i = 0; i < 20; i += 1) {
      expect((await get(url, put)).status).toBe(200);
      expect((await get(`${url}/held`, { ...put, method: 'POST' })).status).toBe(502);
      const chunks = Readable.from(['x'.repeat(600), 'x'.repeat(600)]);
      expect((await get(url, { method: 'PUT', body: chunks })).status).toBe(500);
    }
  });
});
