// What a hostile HTTP/2 backend can send: floods, nonsense, silence. It costs its own requests alone.
import { createServer } from 'node:http2';
import { PassThrough } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, it } from '@jest/globals';
import { localhostCertificate } from './support/certificates.js';
import {
  ACK,
  CONTINUATION,
  DATA,
  END_HEADERS,
  field,
  frame,
  HEADERS,
  head,
  OK,
  ORIGIN,
  PING,
  PUSH_PROMISE,
  type Respond,
  RST_STREAM,
  rst,
  SETTINGS,
  startFrameBackend,
  startFrameProxy,
  uint32,
  WINDOW_UPDATE,
  whole,
} from './support/frames.js';
import { expectNothingBut, openHandles } from './support/handles.js';
import { answer, startHttp2Backend, startHttp2Proxy } from './support/http2-backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { LoopbackServer } from './support/loopback-server.js';
import { bytesInUse, MB, mostInUse } from './support/memory.js';
import { type ClientResponse, get, open, readBody } from './support/proxy.js';
import { standstill, until } from './support/wait.js';

const ENHANCE_YOUR_CALM = 11;
const times = (count: number, bytes: Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => bytes));
/** One setting. */
const setting = (id: number, value: number): Buffer =>
  frame(SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, id]), uint32(value)]));

/** The first connection's request gets that, those of others a whole response. */
const first = (flood: Respond): Respond => {
  return (stream, connection) =>
    connection.number === 1 ? flood(stream, connection) : whole(stream);
};

describe('a flood', () => {
  it.each<[string, Respond]>([
    ['of PINGs', () => [times(200_000, frame(PING, 0, 0, '12345678'))]],
    ['of SETTINGS', () => [times(200_000, setting(4, 65_535))]],
    [
      'of answers to PINGs that nobody sent',
      () => [times(100_000, frame(PING, ACK, 0, '1234567a'))],
    ],
    ['of resets', (stream) => [times(200_000, frame(RST_STREAM, 0, stream, uint32(8)))]],
    ['of empty DATA', (stream) => [head(stream, OK), times(200_000, frame(DATA, 0, stream))]],
    [
      'of CONTINUATION',
      (stream) => [
        frame(HEADERS, 0, stream, field(':status', '200')),
        times(100_000, frame(CONTINUATION, 0, stream, field('x-a', 'b'.repeat(100)))),
      ],
    ],
    [
      'of a head',
      (stream) => {
        const fields = times(150, field('x-a', 'b'.repeat(100)));
        const more = times(5, frame(CONTINUATION, 0, stream, fields));
        return [head(stream, OK, 0), more, frame(CONTINUATION, END_HEADERS, stream)];
      },
    ],
    [
      'of 1xx',
      (stream) => [
        times(
          100_000,
          head(stream, [
            [':status', '103'],
            ['link', '<a>'],
          ]),
        ),
      ],
    ],
    ['of windows', (stream) => [times(10, frame(WINDOW_UPDATE, 0, stream, uint32(2 ** 31 - 1)))]],
    [
      'of frames that HTTP/2 does not know',
      () => [times(100_000, frame(200, 0, 0, 'x'.repeat(50)))],
    ],
  ])('%s costs that connection at most', async (_of, flood) => {
    const { url, proxy } = await startFrameProxy(first(flood), {
      attemptTimeout: 1000,
      retry: false,
    });

    // The flood itself is up to 22 MB.
    const most = await mostInUse(async () => {
      const { status, aborted } = await get(url, { method: 'PUT' });

      expect(status === 200 ? aborted : [502, 504].includes(status)).toBe(true);
    });
    expect(most).toBeLessThan(35 * MB);
    await until(() => proxy.status().backends[0]?.inFlight === 0);
  });

  it('of origins does not pile up', async () => {
    const origins = Buffer.concat(
      Array.from({ length: 500 }, (_, i) => {
        const origin = `https://${i}.example`;
        return Buffer.concat([Buffer.from([0, origin.length]), Buffer.from(origin)]);
      }),
    );
    const { url, backend } = await startFrameProxy(
      first((stream) => [times(100, frame(ORIGIN, 0, 0, origins)), ...whole(stream)]),
    );
    for (let i = 0; i < 3; i += 1) expect((await get(url)).text).toBe('whole');

    expect(backend.connections).toBe(2);
  });

  it('of body is not kept where its client does not read', async () => {
    let sent = 0;
    const { url, backend } = await startFrameProxy(
      (stream, { socket }) => {
        const pump = (): void => {
          sent += 16_384;
          const part = frame(DATA, 0, stream, Buffer.alloc(16_384));
          if (socket.writable) socket.write(part, () => setImmediate(pump));
        };
        setImmediate(pump);
        return [head(stream, OK)];
      },
      { idleTimeout: 500 },
    );

    // It heeds no window. Node 20 reads on, and drops all.
    const before = bytesInUse();
    const incoming = await open(url).response;
    await until(() => sent > 150 * MB || backend.openSockets() === 0);
    expect(bytesInUse() - before).toBeLessThan(35 * MB);

    expect(await readBody(incoming)).toMatchObject({ aborted: true });
  });
});

describe('a client that sends more fields than the backend takes', () => {
  it('gets a 431, and nothing is counted', async () => {
    const backend = await startHttp2Backend(answer(200)); // Node's takes 128, its own four among them
    const { url, proxy } = await startHttp2Proxy(backend.url);
    const headers = Object.fromEntries(Array.from({ length: 130 }, (_, i) => [`x-${i}`, '1']));

    const { status, text } = await get(url, { headers });

    expect([status, JSON.parse(text).code]).toEqual([431, 'BAD_REQUEST']);
    expect(proxy.status()).toMatchObject({ retries: 0, backends: [{ attempts: 1, failures: 0 }] });
    expect((await get(url)).status).toBe(200);
  });
});

describe('a backend that has too much to do', () => {
  it('by ENHANCE_YOUR_CALM has failed, also at a request of many fields', async () => {
    const busy = await startFrameBackend((stream) => [rst(stream, ENHANCE_YOUR_CALM)]);
    const well = await startFrameBackend(whole);
    const { url, proxy } = await startHttp2Proxy([busy.url, well.url]);
    const headers = Object.fromEntries(Array.from({ length: 110 }, (_, i) => [`x-${i}`, '1']));

    expect((await get(url, { headers })).text).toBe('whole');
    expect(proxy.status().backends.map(({ failures }) => failures)).toEqual([1, 0]);
  });
});

describe('a backend that pushes', () => {
  it('is refused', async () => {
    const pushed = Buffer.concat([
      uint32(2),
      Buffer.from([0x82, 0x84, 0x87]),
      field(':authority', 'h'),
    ]);
    const push = (stream: number): Buffer => frame(PUSH_PROMISE, END_HEADERS, stream, pushed);
    const { url } = await startFrameProxy(
      first((stream) => [push(stream), head(2, OK), ...whole(stream)]),
      { attemptTimeout: 1000 },
    );

    expect((await get(url)).text).toBe('whole');
  });
});

describe('a backend that speaks no HTTP/2', () => {
  it.each([
    ['HTTP/1.1', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['nonsense', '\xff'.repeat(10_000)],
    ['a frame that is too long', frame(DATA, 0, 1, Buffer.alloc(20_000)).toString('latin1')],
    ['DATA of a stream that nobody has', frame(DATA, 0, 7, 'x').toString('latin1')],
  ])('but %s: the next connection may do better', async (_what, bytes) => {
    const { url } = await startFrameProxy(
      first(() => [Buffer.from(bytes, 'latin1')]),
      { attemptTimeout: 500 },
    );

    expect((await get(url)).text).toBe('whole');
  });

  it.each([['HTTP/1.1', 'HTTP/1.1 400 Bad Request\r\n\r\n']])(
    'but %s, from its first byte on: nothing was sent',
    async (_what, bytes) => {
      const broken = await startFrameBackend(() => [], Buffer.from(bytes));
      const well = await startFrameBackend(whole);
      const { url, log } = await startHttp2Proxy([broken.url, well.url], {
        attemptTimeout: 500,
        retry: { unsent: true },
      });

      expect((await get(url, { method: 'POST' })).text).toBe('whole');
      expect(outcomes(await requestLine(log)).at(-1)).toBe(200);
    },
  );
});

describe('a backend that is silent', () => {
  it('costs an attempt each until its connection is known to be dead', async () => {
    const { url, backend, log } = await startFrameProxy(
      first(() => []),
      { attemptTimeout: 200, retry: false },
    );
    backend.answersPings = false;

    expect((await get(url)).status).toBe(504);
    expect((await get(url)).text).toBe('whole');

    expect(backend.framesOf(PING)).toHaveLength(1);
    expect(outcomes(await requestLine(log))).toEqual(['ETIMEDOUT']);
  });

  it('about its SETTINGS has been sent nothing', async () => {
    const mute = await startFrameBackend(whole, Buffer.alloc(0));
    const well = await startFrameBackend(whole);
    const { url } = await startHttp2Proxy([mute.url, well.url], {
      attemptTimeout: 200,
      retry: { unsent: true },
    });

    expect((await get(url, { method: 'POST' })).text).toBe('whole');
    expect(mute.framesOf(HEADERS)).toEqual([]);
    await until(() => mute.openSockets() === 0);
  });

  it('about its SETTINGS on one connection is asked on another, after connectTimeout', async () => {
    const inner = createServer((_req, res) => res.end('well'));
    let connections = 0;
    const server = createTlsServer({ ...localhostCertificate, ALPNProtocols: ['h2'] }, (socket) => {
      socket.on('error', () => {});
      connections += 1;
      if (connections > 1) inner.emit('connection', socket);
    });
    const { host } = await new LoopbackServer(server).start();
    const options = { connectTimeout: 100, retry: false, breaker: false } as const;
    const { url } = await startHttp2Proxy(`https://${host}`, options);

    const answers: Promise<ClientResponse>[] = [];
    await until(() => {
      answers.push(get(url)); // so that somebody waits for it all the time
      return connections === 2;
    });

    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([504, 200]));
  });

  it.each([60_000, 0])('about its SETTINGS, and closes, leaves no timer behind: %d', async (ms) => {
    const server = createTlsServer({ ...localhostCertificate, ALPNProtocols: ['h2'] }, (socket) =>
      socket.destroy(),
    );
    const { host } = await new LoopbackServer(server).start();
    const { url } = await startHttp2Proxy(`https://${host}`, { connectTimeout: ms });
    const handles = openHandles();

    expect((await get(url)).status).toBe(502);

    await expectNothingBut(handles);
  });

  it('about its window stops an upload, for attemptTimeout', async () => {
    const { url } = await startFrameProxy(
      () => [],
      { attemptTimeout: 300, retry: false },
      setting(4, 0),
    );
    const body = new PassThrough();
    body.end(Buffer.alloc(300_000));

    expect((await get(url, { method: 'PUT', body })).status).toBe(504);
  });

  it('about the windows of 200 uploads stops these alone', async () => {
    const { url, backend } = await startFrameProxy(
      (stream) => (stream > 400 ? whole(stream) : []),
      {},
      setting(4, 0),
    );
    const body = Buffer.alloc(200_000);
    const uploads = Array.from({ length: 200 }, () => open(url, { method: 'POST', body }));
    await until(() => backend.framesOf(HEADERS).length === 200);
    await standstill(() => uploads.reduce((n, { request }) => n + request.socket!.bytesWritten, 0));

    expect((await get(url)).text).toBe('whole');
  });

  it('in a body is cut after idleTimeout', async () => {
    const { url, backend } = await startFrameProxy((stream) => [head(stream, OK)], {
      idleTimeout: 200,
    });

    expect(await get(url)).toMatchObject({ status: 200, aborted: true });
    await until(() => backend.framesOf(RST_STREAM).length === 1);
  });

  it('that takes no streams is waited for, by one request on each connection', async () => {
    const backend = await startFrameBackend(whole, setting(3, 0));
    const { url } = await startHttp2Proxy(backend.url, { attemptTimeout: 300, retry: false });

    const answers = await Promise.all([get(url), get(url), get(url)]);

    expect(answers.map(({ status }) => status)).toEqual([504, 504, 504]);
    expect(backend.connections).toBe(3);
    expect(backend.framesOf(HEADERS)).toEqual([]);
  });
});
