import { Readable } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import type { RequestHandler, Response } from 'express';
import {
  atHead,
  dieInBody,
  earlyAnswer,
  eventStream,
  startBackend,
  streamForever,
} from './support/backend.js';
import { digest, pseudoRandom } from './support/bodies.js';
import { get, open, quietProxy, readBody, startProxy, startProxyWith } from './support/proxy.js';
import { type RawStep, sendRaw, startRawBackend } from './support/raw.js';
import { gate, once, standstill, until } from './support/wait.js';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

/** More than the kernel's buffers on the way from one end to the other hold together. */
const MUCH = 96 * 2 ** 20;

describe('back pressure', () => {
  it('of a client that does not read pauses the backend, until it reads', async () => {
    const backend = await startBackend(streamForever());
    const { url } = await startProxyWith({ target: backend.url });
    const response = await open(url).response;

    const sent = await standstill(() => backend.bytesWritten());
    expect(sent).toBeLessThan(MUCH);

    response.resume();
    await until(() => backend.bytesWritten() > 2 * sent); // all that was on its way, and as much again
  });

  it('of a backend that does not read pauses the client, until it reads', async () => {
    const body = pseudoRandom(MUCH);
    let read = (): void => {};
    const backend = await startBackend(
      atHead((request, response) => {
        read = async () => response.end(JSON.stringify(await digest(request)));
      }),
    );
    const { url } = await startProxyWith({ target: backend.url });
    let given = 0;
    const upload = body.stream().on('data', (chunk: Buffer) => {
      given += chunk.length;
    });
    upload.pause();

    const { response } = open(url, { method: 'POST', body: upload });

    expect(await standstill(() => given)).toBeLessThan(MUCH);
    read();
    const answer = await readBody(await response);
    expect(JSON.parse(answer.body.toString())).toEqual({ bytes: MUCH, sha256: body.sha256 });
  });
});

/** What `compression()` does: it holds chunks back until `res.flush()` is called. */
function gzipped(): RequestHandler {
  return (_req, res, next) => {
    const gzip = createGzip();
    const writeHead = res.writeHead.bind(res);
    const write = res.write.bind(res);
    const end = res.end.bind(res);
    gzip.on('data', (chunk: Buffer) => write(chunk));
    gzip.on('end', () => end());
    res.writeHead = ((status: number, reason: string, headers: Record<string, string>) => {
      const { 'content-length': _length, ...others } = headers;
      return writeHead(status, reason, { ...others, 'content-encoding': 'gzip' });
    }) as Response['writeHead'];
    res.write = ((chunk: Buffer) => gzip.write(chunk)) as Response['write'];
    res.end = (() => gzip.end() && res) as Response['end'];
    Object.assign(res, { flush: () => gzip.flush() });
    next();
  };
}

describe('a stream of events', () => {
  it('opens before its first event, and brings every event by itself', async () => {
    const events = eventStream();
    const backend = await startBackend(events.handler);
    const { url } = await startProxyWith({ target: backend.url });

    const response = await open(url).response;
    expect(response.headers['content-type']).toBe('text/event-stream');
    for (const event of ['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n']) {
      events.send(event);
      const [chunk] = await once<[Buffer]>(response, 'data');
      expect(chunk.toString()).toBe(event);
    }
  });

  it('does so behind a compression middleware too', async () => {
    const events = eventStream();
    const backend = await startBackend(events.handler);
    const { url } = await startProxy((app) => {
      app.use(gzipped());
      app.use(quietProxy({ target: backend.url }));
    });

    const response = await open(url).response;
    expect(response.headers['content-encoding']).toBe('gzip');
    const plain = response.pipe(createGunzip());
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      events.send(event);
      const [chunk] = await once<[Buffer]>(plain, 'data');
      expect(chunk.toString()).toBe(event);
    }
    response.destroy();
  });
});

describe('a final answer that comes while the upload still runs', () => {
  it('reaches the client at once', async () => {
    const backend = await startBackend(earlyAnswer(413, 'too much'));
    const { url } = await startProxyWith({ target: backend.url });
    const upload = new Readable({ read: () => {} });
    upload.push('the beginning');

    const response = await open(url, { method: 'POST', body: upload }).response;

    expect(response.statusCode).toBe(413);
    expect((await readBody(response)).body.toString()).toBe('too much');
    expect(upload.readableEnded).toBe(false);
  });

  it('is whole even when the backend closes its connection behind it', async () => {
    const backend = await startRawBackend((socket) => {
      socket.once('data', () => {
        socket.end('HTTP/1.1 413 Enough\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much');
        socket.pause();
      });
    });
    const { url } = await startProxyWith({ target: backend.url });
    const upload = pseudoRandom(2 ** 23).stream();

    const response = await open(url, { method: 'POST', body: upload }).response;

    expect(response.statusCode).toBe(413);
    expect(await readBody(response)).toEqual({ body: Buffer.from('too much'), aborted: false });
  });
});

describe('a backend that dies in mid-body', () => {
  const LENGTH = 'Content-Length: 9\r\n\r\nhalf';
  const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n';
  it.each<[string, head: string, death: RawStep]>([
    ['before its length, by a reset', LENGTH, { reset: true }],
    ['before its length, by closing', LENGTH, { end: true }],
    ['before the last chunk, by a reset', CHUNKED, { reset: true }],
    ['before the last chunk, by closing', CHUNKED, { end: true }],
    ['within a chunk', CHUNKED.replace('4\r\nhalf\r\n', '9\r\nhalf'), { end: true }],
    ['with a chunk that is none', CHUNKED, { write: 'xyz\r\n' }],
    ['by a reset of a body that ends by close', 'Connection: close\r\n\r\nhalf', { reset: true }],
  ])('cuts the client, and is counted: %s', async (_name, head, death) => {
    const half = gate();
    const backend = await startRawBackend([
      { write: `HTTP/1.1 200 OK\r\n${head}` },
      { waitFor: half.opened },
      death,
    ]);
    const { port, proxy } = await startProxyWith({ target: backend.url });

    const whenHalf = (arrived: Buffer): boolean => {
      if (!arrived.includes('half')) return false;
      half.open();
      return true;
    };
    const script = [{ write: GET }, { waitFor: whenHalf }];
    const { status, body, complete } = await sendRaw(port, script, { until: 'close' });

    expect({ status, body: body.toString(), complete }).toEqual({
      status: 200,
      body: 'half',
      complete: false,
    });
    expect(proxy.status().backends[0]).toMatchObject({ failures: 1, inFlight: 0 });
  });

  it('cuts nobody but the client of that response', async () => {
    const backend = await startBackend((request, response, body) => {
      if (request.url === '/dies') return dieInBody(10)(request, response, body);
      response.end('whole');
    });
    const { url } = await startProxyWith({ target: backend.url });

    const [dead, alive] = await Promise.all([get(`${url}/dies`), get(`${url}/lives`)]);

    expect(dead).toMatchObject({ status: 200, aborted: true });
    expect(alive).toMatchObject({ status: 200, aborted: false, text: 'whole' });
  });
});
