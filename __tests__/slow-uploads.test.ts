import type { IncomingMessage } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { KeptBytes, ReplayBody } from '../src/replay-body.js';
import {
  atHead,
  byPath,
  controlled,
  echo,
  type Handler,
  hang,
  reply,
  startBackend,
} from './support/backend.js';
import { digest, sha256 } from './support/bodies.js';
import { bytesInUse } from './support/memory.js';
import { get, open, readBody, startProxyWith } from './support/proxy.js';
import { sendRaw } from './support/raw.js';
import { readyToProbe } from './support/tripped.js';
import { timePasses, until, within } from './support/wait.js';

/** A chunked PUT whose every chunk is one byte. */
const byteByByte = (bytes: number): string =>
  `PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(bytes)}0\r\n\r\n`;

describe('a body that comes byte by byte', () => {
  it('is replayed whole', async () => {
    const [sick, well] = await Promise.all([startBackend(reply(500)), startBackend(echo())]);
    const { port } = await startProxyWith({ target: [sick.url, well.url] });

    const { body } = JSON.parse(String((await sendRaw(port, byteByByte(9000))).body));
    expect(body).toEqual({ length: 9000, sha256: sha256('a'.repeat(9000)) });
    expect(sick.received[0]?.body.length).toBe(9000);
  });

  it('costs about as much memory to keep as it says', async () => {
    function* singleBytes(): Generator<Buffer> {
      for (let i = 0; i < 100_000; i++) yield Buffer.from([i]);
    }
    const source = Object.assign(Readable.from(singleBytes()), { headers: {} });
    const ignored = { onWaiting() {}, onFlowing() {} };
    const before = bytesInUse();
    const kept = new KeptBytes(1_000_000);
    const body = new ReplayBody(source as unknown as IncomingMessage, 1_000_000, kept, ignored);
    const first = await digest(body.open());

    expect(bytesInUse() - before).toBeLessThan(2_000_000);
    expect(await digest(body.open())).toEqual(first);
    expect(first.bytes).toBe(100_000);
  });
});

describe('a probe whose client does not send its body', () => {
  it('keeps the others from the backend for one cooldown more, and no longer', async () => {
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: false,
      breaker: { failures: 1, cooldown: 100 },
    });
    await get(url);
    backend.answerWith(reply(200));
    const breaker = () => proxy.status().backends[0]?.breaker;
    await until(() => breaker() === 'half-open', 'the end of the cooldown');
    const upload = new PassThrough();
    const { response } = open(url, { method: 'POST', body: upload });
    await until(() => proxy.status().backends[0]?.inFlight === 1, 'the probe');

    const nextProbe = async (): Promise<void> => {
      while ((await get(url)).status !== 200);
    };
    await within(nextProbe(), 'another probe');
    expect(breaker()).toBe('closed');
    upload.end('late');
    expect((await response).statusCode).toBe(200);
  });

  it('stays the only one while the backend keeps it waiting', async () => {
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: false,
      breaker: { failures: 1, cooldown: 1 },
    });
    await get(url);
    backend.answerWith(hang());
    await until(() => proxy.status().backends[0]?.breaker === 'half-open', 'the cooldown');
    open(url).response.catch(() => {});
    await until(() => backend.started === 2, 'the probe');

    const others = await Promise.all(Array.from({ length: 20 }, () => get(url)));
    expect(new Set(others.map(({ status }) => status))).toEqual(new Set([503]));
    expect(backend.started).toBe(2);
  });
});

describe('a former probe that waits for its client', () => {
  const COOLDOWN = 60;

  /** The first probe waits for its client, so that a second one is on its way. */
  async function startTwoProbes() {
    let bytes = 0;
    const count: Handler = (request) => {
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
    };
    const handler = atHead(byPath({ '/upload': count, '/second': hang(), '/': reply(200) }));
    const tripped = await readyToProbe(handler, [], {
      breaker: { failures: 1, cooldown: COOLDOWN },
    });
    const { url, backend, before } = tripped;
    const upload = new PassThrough();
    const { request } = open(`${url}/upload`, { method: 'POST', body: upload });
    await until(() => backend.started === before + 1, 'the first probe');
    const isSecond = () => backend.started === before + 2;
    while (!isSecond()) {
      let refused = false;
      open(`${url}/second`).response.then(
        () => {
          refused = true;
        },
        () => {},
      );
      await until(() => refused || isSecond());
    }
    return { ...tripped, request, upload, bytes: () => bytes };
  }

  it('leaves the place to the one after it when its client leaves', async () => {
    const { url, proxy, request, backend, before } = await startTwoProbes();
    request.destroy();
    await until(() => proxy.status().inFlight === 1, 'the end of the first probe');

    expect((await get(url)).status).toBe(503);
    expect(backend.started).toBe(before + 2);
  });

  it('leaves the place to the one after it when it waits again', async () => {
    const { url, proxy, upload, bytes, backend, before } = await startTwoProbes();
    upload.write('drip');
    await until(() => bytes() === 4, 'the drip at the backend');
    await timePasses(2 * COOLDOWN);

    expect((await get(url)).status).toBe(503);
    expect([backend.started, proxy.status().inFlight]).toEqual([before + 2, 2]);
  });
});

describe('an upload that goes on after the head of its response', () => {
  it('keeps the response from being idle', async () => {
    const answer = controlled();
    const backend = await startBackend(atHead(answer.handler));
    const { url } = await startProxyWith({ target: backend.url, idleTimeout: 300 });
    const upload = new PassThrough();
    const response = await open(url, { method: 'POST', body: upload }).response;
    const end = performance.now() + 900;

    await until(() => {
      upload.write('x');
      return performance.now() > end;
    }, 'three times the idle timeout');
    answer.send('done');
    answer.end();
    expect(String((await readBody(response)).body)).toBe('done');
    upload.end();
  });
});

describe('without an attemptTimeout, a client that leaves in mid-body', () => {
  it('does not make up for the failures before', async () => {
    const stream = controlled();
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: false,
      attemptTimeout: 0,
    });
    await get(url);
    backend.answerWith(stream.handler);
    const { request, response } = open(url);
    (await response).on('error', () => {});
    request.destroy();

    await until(() => proxy.status().inFlight === 0, 'the end of the request');
    expect(proxy.status().backends[0]?.consecutiveFailures).toBe(1);
  });
});
