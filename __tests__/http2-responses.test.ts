// Requests and responses over HTTP/2: as they are over HTTP/1.1.
import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import type { TinyProxyOptions } from '../src/index.js';
import { digest, pseudoRandom } from './support/bodies.js';
import {
  answer,
  type Http2Backend,
  type Http2Handler,
  type Http2Options,
  startHttp2Backend,
  startHttp2Proxy,
} from './support/http2-backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get, open, type RunningProxy } from './support/proxy.js';
import { standstill, until } from './support/wait.js';

const CHUNK = Buffer.alloc(65_536);

async function start(
  handler: Http2Handler,
  options: Partial<TinyProxyOptions> = {},
  backendOptions: Http2Options = {},
): Promise<RunningProxy & { backend: Http2Backend }> {
  const backend = await startHttp2Backend(handler, backendOptions);
  return { ...(await startHttp2Proxy(backend.url, options)), backend };
}

describe('a response over HTTP/2', () => {
  it.each([200, 201, 299, 302, 404, 418, 500, 599])('has its status %i', async (status) => {
    const { url } = await start(answer(status, 'body', { 'x-a': 'é', 'content-type': 'text/x' }));

    const response = await get(url, { method: 'POST' });

    expect(response).toMatchObject({ status, text: 'body', aborted: false });
    expect(response.headers).toMatchObject({ 'x-a': 'é', 'content-type': 'text/x' });
    expect(response.statusMessage).toBe(
      { 200: 'OK', 404: 'Not Found', 418: "I'm a Teapot" }[status] ?? response.statusMessage,
    );
  });

  it('keeps repeated Set-Cookie apart', async () => {
    const { url } = await start(answer(200, '', { 'set-cookie': ['a=1; Path=/', 'b=2'] }));

    expect((await get(url)).headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2']);
  });

  it.each([
    ['GET', 204],
    ['GET', 304],
    ['HEAD', 200],
  ])('of %s has no body with %i', async (method, status) => {
    const headers = status === 204 ? {} : { 'content-length': '5' };
    const { url } = await start((stream) => {
      stream.respond({ ':status': status, ...headers }, { endStream: true });
    });

    const response = await get(url, { method });

    expect(response).toMatchObject({ status, text: '', aborted: false });
    expect(response.headers).toMatchObject(headers);
  });

  it('passes 102 and 103 before it', async () => {
    const link = '</style.css>; rel=preload';
    const { url } = await start((stream) => {
      stream.additionalHeaders({ ':status': 102 });
      stream.additionalHeaders({ ':status': 103, link });
      stream.respond({ ':status': 200 });
      stream.end('page');
    });

    const { informational, text } = await get(url);

    expect(informational).toMatchObject([{ status: 102 }, { status: 103, headers: { link } }]);
    expect(text).toBe('page');
  });

  it('keeps its trailers', async () => {
    const { url } = await start((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7', 'set-cookie': 'a=1' }));
      stream.end('hello');
    });

    expect(await get(url)).toMatchObject({ text: 'hello', trailers: { 'x-sum': '7' } });
  });

  it('comes whole, however long', async () => {
    const body = pseudoRandom(20_000_000);
    const { url } = await start((stream) => {
      stream.respond({ ':status': 200, 'content-length': 20_000_000 });
      body.stream().pipe(stream);
    });

    const answers = await Promise.all([1, 2, 3].map(async () => digest(await open(url).response)));

    expect(answers).toEqual(Array(3).fill({ bytes: 20_000_000, sha256: body.sha256 }));
  });

  it('waits for a client that does not read, while others have theirs', async () => {
    let written = 0;
    const { url } = await start((stream, { headers }) => {
      stream.respond({ ':status': 200 });
      if (headers[':path'] !== '/endless') return void stream.end('small');
      const pump = (): void => {
        do written += CHUNK.length;
        while (stream.write(CHUNK));
      };
      stream.on('drain', pump);
      pump();
    });
    const { response, request } = open(`${url}/endless`);
    (await response).pause();

    const stalledAt = await standstill(() => written);

    expect(stalledAt).toBeLessThan(20_000_000);
    expect((await get(`${url}/small`)).text).toBe('small');
    request.destroy();
  });

  it('that answers before the upload has ended reaches the client, and the upload ends', async () => {
    const { url, backend, log } = await start(answer(413, 'too long'), {}, { atHead: true });
    const body = new PassThrough();

    const response = await get(url, { method: 'POST', body });

    expect(response).toMatchObject({ status: 413, text: 'too long', aborted: false });
    expect(outcomes(await requestLine(log))).toEqual([413]);
    await until(() => backend.requests[0]?.resetCode !== undefined);
    body.destroy();
  });

  it('may be made bodiless by modifyResponse', async () => {
    const { url, proxy } = await start(answer(200, 'x'.repeat(100_000)), {
      modifyResponse(response) {
        response.status = 204;
      },
    });

    expect(await get(url)).toMatchObject({ status: 204, text: '', aborted: false });
    expect((await get(url)).status).toBe(204);
    expect(proxy.status()).toMatchObject({ backends: [{ failures: 0, inFlight: 0 }] });
  });
});
