// What an HTTP/2 backend can refuse, break off and get wrong, frame by frame.
import { PassThrough } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from '@jest/globals';
import express, { type Response } from 'express';
import {
  DATA,
  END_STREAM,
  frame,
  goaway,
  head,
  OK,
  PING,
  type Respond,
  RST_STREAM,
  rst,
  startFrameBackend,
  startFrameProxy,
  uint32,
  whole,
} from './support/frames.js';
import { answer, startHttp2Backend, startHttp2Proxy } from './support/http2-backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get, open } from './support/proxy.js';
import { until } from './support/wait.js';

describe('a request that the backend has not processed', () => {
  /** The second request gets that, all others a whole response. */
  const second = (refusal: Respond): Respond => {
    let requests = 0;
    return (stream, connection) => {
      requests += 1;
      return requests === 2 ? refusal(stream, connection) : whole(stream);
    };
  };

  it('since it closes the connection in good order, goes over another one: no attempt is lost', async () => {
    const { url, proxy, log, backend } = await startFrameProxy(
      second((stream) => [goaway(stream - 2)]),
      { retry: false },
    );
    await get(url);

    const response = await get(url, { method: 'POST', body: 'charge me' });

    expect(response.text).toBe('whole');
    expect(outcomes(await requestLine(log, 2))).toEqual([200]);
    expect(proxy.status().backends).toMatchObject([{ failures: 0, attempts: 2 }]);
    expect(String(backend.received[1]?.find(({ type }) => type === DATA)?.payload)).toBe(
      'charge me',
    );
  });

  it('and whose body is gone, is a 502, and counts nothing', async () => {
    const { url, proxy, log, backend } = await startFrameProxy((stream, { write }) => {
      if (stream > 1)
        void until(() => backend.framesOf(DATA).length > 0).then(() => write(goaway(1)));
      return stream > 1 ? [] : whole(stream);
    });
    await get(url);
    const body = new PassThrough();

    const response = get(url, { method: 'POST', body });
    body.write('part');

    expect((await response).status).toBe(502);
    expect(outcomes(await requestLine(log, 2))).toEqual(['GOAWAY']);
    expect(proxy.status().backends).toMatchObject([{ failures: 0 }]);
    body.destroy();
  });

  it('by REFUSED_STREAM goes on, and counts as a failure', async () => {
    const { url, proxy, log } = await startFrameProxy(second((stream) => [rst(stream, 7)]));
    await get(url);

    expect((await get(url)).text).toBe('whole');

    expect(outcomes(await requestLine(log, 2))).toEqual(['REFUSED_STREAM', 200]);
    expect(proxy.status().backends).toMatchObject([{ failures: 1 }]);
  });

  it.each([
    ['GOAWAY', (stream: number) => [goaway(stream - 2, 11)]],
    ['REFUSED_STREAM', (stream: number) => [rst(stream, 7)]],
  ])('by %s goes on with retry.unsent, whatever its method', async (code, refusal) => {
    for (const unsent of [true, false]) {
      const { url, log } = await startFrameProxy(second(refusal), { retry: { unsent } });
      await get(url);

      const response = await get(url, { method: 'POST', body: 'charge me' });

      expect(response.status).toBe(unsent ? 200 : 502);
      const line = await requestLine(log, 2);
      expect(outcomes(line)).toEqual(unsent ? [code, 200] : [code]);
      expect(line.noRetry).toBe(unsent ? '-' : 'method');
    }
  });

  it('counts as a failure where the connection has never brought a response', async () => {
    const { url, proxy, log } = await startFrameProxy(() => [goaway(0)], { retry: false });

    expect((await get(url)).status).toBe(502);
    expect(outcomes(await requestLine(log))).toEqual(['GOAWAY']);
    expect(proxy.status().backends).toMatchObject([{ failures: 1 }]);
  });

  it('is told from one that it may have processed', async () => {
    const { url, log } = await startFrameProxy(
      second((stream) => [goaway(stream, 11)]),
      {
        retry: { unsent: true },
      },
    );
    await get(url);

    expect((await get(url, { method: 'POST' })).status).toBe(502);
    expect(outcomes(await requestLine(log, 2))).toEqual(['ENHANCE_YOUR_CALM']);
  });
});

describe('a backend that goes away in good order', () => {
  it('ends what it has begun; new requests go to a new connection', async () => {
    let rest: () => void = () => {};
    let left: TLSSocket | undefined;
    const { url, backend, log } = await startFrameProxy((stream, { number, write, socket }) => {
      if (number === 2) return whole(stream);
      left = socket.pause();
      rest = () => write(frame(DATA, END_STREAM, stream, 'rest'));
      return [head(stream, OK), frame(DATA, 0, stream, 'first, '), goaway(stream)];
    });

    const { response } = open(`${url}/first`);
    const incoming = await response;
    const [chunk] = await new Promise<Buffer[]>((r) => incoming.once('data', (...a) => r(a)));
    expect(String(chunk)).toBe('first, ');
    expect((await get(url)).text).toBe('whole');
    rest();

    let text = '';
    for await (const part of incoming) text += part;
    expect([text, incoming.complete]).toEqual(['rest', true]);
    expect(outcomes(await requestLine(log, 2))).toEqual([200]);
    // It does not wait for the backend, which reads no more, to close what it has left.
    await until(() => {
      left!.write(frame(PING, 0, 0, '12345678'));
      return left!.destroyed;
    }, 'the end of the first connection');
    expect(backend.openSockets()).toBe(1);
  });

  it('takes nothing of a whole response that its client has not read yet', async () => {
    const bytes = 200_000;
    const backend = await startFrameBackend((stream, { socket }) => {
      setImmediate(() => socket.end());
      const chunks = Array.from({ length: 20 }, (_, i) =>
        frame(DATA, i === 19 ? END_STREAM : 0, stream, Buffer.alloc(bytes / 20, 'x')),
      );
      return [head(stream, OK), ...chunks, goaway(stream)];
    });
    // Nothing drains: it is as if the client took nothing, ever.
    const app = express().use((_req, res, next) => {
      const write = res.write.bind(res) as (chunk: Buffer) => boolean;
      res.write = ((chunk: Buffer) => write(chunk) && false) as Response['write'];
      const emit = res.emit.bind(res);
      res.emit = ((event: string, ...args: unknown[]) =>
        event !== 'drain' && emit(event, ...args)) as Response['emit'];
      next();
    });
    const { url } = await startHttp2Proxy(backend.url, {}, { app });

    expect(await get(url)).toMatchObject({ text: 'x'.repeat(bytes), aborted: false });
  });
});

describe('a response that is broken off', () => {
  it.each([
    ['NO_ERROR', 0, 'ECONNRESET'],
    ['INTERNAL_ERROR', 2, 'INTERNAL_ERROR'],
    ['CANCEL', 8, 'CANCEL'],
    ['an unknown code', 0xff, 'INTERNAL_ERROR'],
  ])('by a reset with %s is cut, and a failure', async (_name, code, outcome) => {
    const { url, proxy, log } = await startFrameProxy((stream) => [
      head(stream, OK),
      frame(DATA, 0, stream, 'part'),
      rst(stream, code),
    ]);

    const response = await get(url);

    expect(response).toMatchObject({ status: 200, text: 'part', aborted: true });
    expect(outcomes(await requestLine(log))).toEqual([outcome]);
    expect(proxy.status().backends).toMatchObject([{ failures: 1, inFlight: 0 }]);
  });

  it.each([
    ['NO_ERROR', 0, 'ECONNRESET'],
    ['PROTOCOL_ERROR', 1, 'PROTOCOL_ERROR'],
    ['HTTP_1_1_REQUIRED', 13, 'HTTP_1_1_REQUIRED'],
  ])('before its head, by %s, is a 502', async (_name, code, outcome) => {
    const { url, log } = await startFrameProxy((stream) => [rst(stream, code)], { retry: false });

    expect((await get(url)).status).toBe(502);
    expect(outcomes(await requestLine(log))).toEqual([outcome]);
  });

  it.each([
    ['the end of the connection', 'end'],
    ['its reset', 'destroy'],
  ] as const)('by %s is cut', async (_how, how) => {
    const { url, log } = await startFrameProxy((stream, { socket }) => {
      setImmediate(() => socket[how]());
      return [head(stream, OK), frame(DATA, 0, stream, 'part')];
    });

    expect(await get(url)).toMatchObject({ status: 200, aborted: true });
    expect(outcomes(await requestLine(log))).toEqual(['ECONNRESET']);
  });

  it.each([
    ['shorter', 'part'],
    ['longer', 'part of it'],
  ])('is %s than its Content-Length', async (_than, body) => {
    const { url, proxy } = await startFrameProxy((stream) => [
      head(stream, [...OK, ['content-length', '5']]),
      frame(DATA, END_STREAM, stream, body),
    ]);

    expect(await get(url)).toMatchObject({ status: 200, aborted: true });
    expect(proxy.status().backends).toMatchObject([{ failures: 1 }]);
  });

  it('is not one that has answered early: a reset with NO_ERROR behind its end', async () => {
    const { url, proxy, backend } = await startFrameProxy((stream) => [
      ...whole(stream),
      rst(stream, 0),
    ]);

    for (let i = 0; i < 3; i += 1) {
      const body = new PassThrough();
      expect(await get(url, { method: 'POST', body })).toMatchObject({
        text: 'whole',
        aborted: false,
      });
      body.destroy();
    }
    expect(proxy.status().backends).toMatchObject([{ failures: 0, inFlight: 0 }]);
    expect(backend.connections).toBe(1);
  });
});

describe('an upload that is broken off', () => {
  it('by an early failure goes on at the next backend, whole', async () => {
    const sick = await startFrameBackend((stream) => [head(stream, [[':status', '500']])]);
    const well = await startHttp2Backend(answer(200, 'ok'));
    const { url } = await startHttp2Proxy([sick.url, well.url]);
    const body = new PassThrough();
    body.write('first, ');

    const response = get(url, { method: 'PUT', body });
    await until(() => well.requests.length === 1);
    body.end('last');

    expect((await response).text).toBe('ok');
    expect(String(well.requests[0]?.body)).toBe('first, last');
    await until(() => sick.framesOf(RST_STREAM).length === 1, 'the reset', 500);
    expect(sick.framesOf(DATA).map(({ flags }) => flags & END_STREAM)).toEqual([0]);
  });

  it('never looks whole: its last frame is a reset', async () => {
    const { url, backend } = await startFrameProxy(() => []);
    const body = new PassThrough();
    const { request } = open(url, { method: 'POST', body });
    body.write('part');
    await until(() => backend.framesOf(DATA).length > 0);

    request.destroy();

    await until(() => backend.framesOf(RST_STREAM).length === 1);
    expect(backend.framesOf(DATA).map(({ flags }) => flags & END_STREAM)).toEqual([0]);
    expect(backend.framesOf(RST_STREAM)[0]?.payload).toEqual(uint32(8));
  });

  it('by an early answer does not look whole either', async () => {
    const { url, backend } = await startFrameProxy((stream) => whole(stream));
    const body = new PassThrough();

    expect((await get(url, { method: 'POST', body })).text).toBe('whole');

    await until(() => backend.framesOf(RST_STREAM).length === 1);
    expect(backend.framesOf(DATA)).toEqual([]);
    body.destroy();
  });
});
