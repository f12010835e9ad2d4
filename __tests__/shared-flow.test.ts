// Another reader of an upload, in a hook or in a middleware, that sets it flowing or stops it.
import { PassThrough } from 'node:stream';
import { runInThisContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import type { Request, RequestHandler } from 'express';
import type { TinyProxyOptions } from '../src/index.js';
import { atHead, type Backend, echo, type Handler, startBackend } from './support/backend.js';
import { pseudoRandom, sha256 } from './support/bodies.js';
import {
  get,
  type OpenRequest,
  open,
  quietProxy,
  readBody,
  startProxy,
  startProxyWith,
} from './support/proxy.js';
import { sendRaw } from './support/raw.js';
import { delivery, gate, once, timePasses, until } from './support/wait.js';

/** A test's own `process` is jest's copy, whose listeners hear nothing. */
const realProcess = runInThisContext('process') as NodeJS.Process;

const SIZE = 300_000;
const MB = 1024 * 1024;

const toNowhere = (req: Request): void => void req.pipe(new PassThrough().resume());
/** Wants a drain for every chunk, and resumes the request each time by that. */
const byDrops = (req: Request): void =>
  void req.pipe(new PassThrough({ highWaterMark: 1 }).resume());

function inEveryTurn(req: Request): void {
  req.resume();
  if (!req.destroyed && !req.readableEnded) setImmediate(inEveryTurn, req);
}

type Hooks = Partial<TinyProxyOptions>;
const inHooks = (read: (req: Request) => void): [hook: string, Hooks][] => [
  ['replayable', { retry: { replayable: (req) => read(req) === undefined } }],
  ['balance', { balance: (req, [first]) => read(req) ?? first! }],
  ['director', { director: (_outgoing, req) => read(req) }],
  ['on.start', { on: { start: (req) => read(req) } }],
  ['on.proxyReq', { on: { proxyReq: (_proxyReq, req) => read(req) } }],
];

describe('a hook that sets the upload flowing', () => {
  it.each([...inHooks(toNowhere), ...inHooks(byDrops), ...inHooks((req) => void req.resume())])(
    'leaves it whole: %s',
    async (_hook, options) => {
      const backend = await startBackend(echo());
      const { url } = await startProxyWith({ target: backend.url, ...options });
      const { stream, sha256 } = pseudoRandom(SIZE);

      const { text } = await get(url, { method: 'PUT', body: stream() });
      expect(JSON.parse(text).body).toEqual({ length: SIZE, sha256 });
    },
  );

  it.each([...inHooks(toNowhere), ...inHooks((req) => void req.on('data', () => req.resume()))])(
    'also one of many chunks that came with its head: %s',
    async (_hook, options) => {
      const backend = await startBackend(echo());
      const { port } = await startProxyWith({ target: backend.url, ...options });
      const numbers = Array.from({ length: 500 }, (_, i) => String(100 + i));
      const chunks = numbers.map((number) => `3\r\n${number}\r\n`).join('');
      const head = 'PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';

      const answer = await sendRaw(port, `${head}${chunks}0\r\n\r\n`);
      const { body } = JSON.parse(String(answer.body));
      expect(body).toEqual({ length: 1500, sha256: sha256(numbers.join('')) });
    },
  );
});

/** A proxy behind a middleware that hands the request to the test. */
async function startCaught(
  targets: Backend[],
  options: Hooks = {},
): Promise<{ url: string; caught: () => Promise<Request> }> {
  let request: Request | undefined;
  const catching: RequestHandler = (req, _res, next) => {
    request = req;
    next();
  };
  const target = targets.map((backend) => backend.url);
  const { url } = await startProxy((app) => app.use(catching, quietProxy({ target, ...options })));
  const caught = async (): Promise<Request> => {
    await until(() => request !== undefined, 'the request');
    return request!;
  };
  return { url, caught };
}

/** Leaves the upload unread until `read()`; then it answers with what has come. */
function reluctant(): { handler: Handler; read: () => void } {
  const wanted = gate();
  const handler = atHead(async (request, response) => {
    await wanted.opened;
    const { body } = await readBody(request);
    response.end(`${body.length} ${sha256(body)}`);
  });
  return { handler, read: wanted.open };
}

async function textOf({ response }: OpenRequest): Promise<string> {
  return String((await readBody(await response)).body);
}

describe('a reader beside the proxy', () => {
  it('that resumes the upload during a replay makes no hole in it', async () => {
    const enough = 24 * MB; // more than the sockets on the way hold
    const dying = await startBackend(
      atHead((request, response) => {
        let bytes = 0;
        request.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes === enough) response.destroy();
        });
      }),
    );
    const { handler, read } = reluctant();
    const well = await startBackend(handler);
    const { url, caught } = await startCaught([dying, well], { retry: { maxBodyBytes: 64 * MB } });
    const first = Buffer.alloc(enough, 'first');
    const upload = new PassThrough();
    const exchange = open(url, { method: 'PUT', body: upload });
    upload.write(first);
    await until(() => well.started === 1, 'the replay');

    const req = await caught();
    const sent = exchange.request.socket!.bytesWritten;
    upload.write('between');
    await until(() => exchange.request.socket!.bytesWritten > sent);
    for (let i = 0; i < 20; i += 1) {
      req.resume();
      await delivery();
    }
    upload.end('last');
    read();

    const whole = Buffer.concat([first, Buffer.from('betweenlast')]);
    expect(await textOf(exchange)).toBe(`${whole.length} ${sha256(whole)}`);
  });

  it.each<[string, (req: Request) => void]>([
    ['by pipe()', byDrops],
    ['in every turn', inEveryTurn],
    ['at every chunk', (req) => void req.on('data', () => process.nextTick(() => req.resume()))],
  ])('that keeps resuming the upload does not make it come: %s', async (_how, keepResuming) => {
    const { handler, read } = reluctant();
    const backend = await startBackend(handler);
    const { url, caught } = await startCaught([backend], {
      director: (_out, req) => keepResuming(req),
    });
    const { stream, bytes, sha256: sum } = pseudoRandom(32 * MB);
    const exchange = open(url, { method: 'POST', body: stream() });
    await until(() => backend.started === 1);

    await timePasses(400);
    expect((await caught()).socket.bytesRead).toBeLessThan(16 * MB);
    read();
    expect(await textOf(exchange)).toBe(`${bytes} ${sum}`);
  });

  it('that stops the upload does not stop it for the proxy: pipe() to a writable that dies', async () => {
    const backend = await startBackend(echo());
    const { url, caught } = await startCaught([backend], { idleTimeout: 1000 });
    const upload = new PassThrough();
    const { response } = open(url, { method: 'POST', body: upload });
    const tee = new PassThrough().resume();
    (await caught()).pipe(tee);
    upload.write('first, ');
    await once(tee, 'data');
    await until(() => backend.started === 1);
    tee.destroy();
    await once(tee, 'unpipe');

    upload.end('last');
    const { body } = JSON.parse(String((await readBody(await response)).body));
    expect(body).toEqual({ length: 11, sha256: sha256('first, last') });
  });
});

describe('a reader that leaves no bytes to send, or cannot be held,', () => {
  const spoilers: [string, (req: Request) => void][] = [
    ['by setEncoding()', (req) => void req.setEncoding('utf8')],
    ['by a readable listener', (req) => void req.on('readable', () => req.read())],
    ['by its iterator', (req) => void req.toArray().catch(() => {})],
  ];
  it.each(
    spoilers.flatMap(([how, spoil]) =>
      inHooks(spoil).map(([hook, options]) => [how, hook, options] as const),
    ),
  )('is a 500 where a hook has it: %s, %s', async (_how, _hook, options) => {
    const backend = await startBackend(echo());
    const { url } = await startProxyWith({ target: backend.url, ...options });

    const { status, text } = await get(url, { method: 'PUT', body: 'x'.repeat(SIZE) });
    expect([status, JSON.parse(text).code]).toEqual([500, 'BODY_CONSUMED']);
    expect(backend.received).toEqual([]);
  });

  it.each<[string, (req: Request) => void]>([
    ['setEncoding()', (req) => void req.setEncoding('utf8')],
    ['read()', (req) => void req.on('readable', () => req.read())],
    ['a resume() at every pause()', (req) => void req.on('pause', () => req.resume()).resume()],
  ])('cuts the request where it comes later: %s', async (_how, spoil) => {
    const warned = once(realProcess, 'warning');
    const { handler, read } = reluctant();
    const backend = await startBackend(handler);
    const { url, caught } = await startCaught([backend]);
    const upload = new PassThrough();
    const { response } = open(url, { method: 'PUT', body: upload });
    upload.write('first');
    await until(() => backend.started === 1);

    spoil(await caught());
    upload.end(Buffer.alloc(32 * MB, 'x'));
    await expect(response).rejects.toThrow(/ECONNRESET|EPIPE|socket hang up/);
    expect((await warned)[0]).toMatchObject({ code: 'TINY_PROXY_BODY' });
    read();
    await until(() => backend.unfinished === 1);
    expect(backend.received).toEqual([]);
  });
});
