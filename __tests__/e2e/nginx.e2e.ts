// What is particular to nginx: files that it serves, an upload that it refuses in the middle, and
// HTTP/1.0 in front of the proxy, which it speaks unless it is told otherwise.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { type Backend, controlled, echo, startBackend } from '../support/backend.js';
import { digest, pseudoRandom, sha256 } from '../support/bodies.js';
import { get, open, startProxyWith } from '../support/proxy.js';
import { until } from '../support/wait.js';
import { arrangements, type Chain } from './support/arrangements.js';
import { NGINX_MOST_BYTES, startGateway } from './support/gateway.js';

const nginx = arrangements.find(({ kind, inFront }) => kind === 'nginx' && !inFront)!;
const BYTES = pseudoRandom(65536).stream().read(65536) as Buffer;
const TEXT = 'the document '.repeat(1000);

describe('nginx as a backend', () => {
  let chain: Chain;
  beforeEach(async () => {
    chain = await nginx.start();
    for (const { folder } of chain.gateways) {
      writeFileSync(join(folder, 'files/bytes'), BYTES);
      writeFileSync(join(folder, 'files/text.txt'), TEXT);
      mkdirSync(join(folder, 'files/folder'));
    }
  });

  it('serves a file, a part of it, and a 304', async () => {
    const url = `${chain.url}/files/bytes`;

    const whole = await get(url);
    const part = await get(url, { headers: { Range: 'bytes=1000-1999' } });
    const last = await get(url, { headers: { Range: 'bytes=-1' } });
    const since = await get(url, {
      headers: { 'If-Modified-Since': whole.headers['last-modified'] },
    });
    const head = await get(url, { method: 'HEAD' });

    expect(sha256(whole.body)).toBe(sha256(BYTES));
    expect(whole.headers.server).toMatch(/^nginx/);
    expect([part.status, part.headers['content-range']]).toEqual([206, 'bytes 1000-1999/65536']);
    expect(sha256(part.body)).toBe(sha256(BYTES.subarray(1000, 2000)));
    expect([last.status, last.body]).toEqual([206, BYTES.subarray(-1)]);
    expect([since.status, since.text]).toEqual([304, '']);
    expect(head).toMatchObject({ status: 200, text: '' });
    expect(head.headers['content-length']).toBe('65536');
  });

  it('serves several ranges in one multipart answer', async () => {
    const { status, headers, text } = await get(`${chain.url}/files/text.txt`, {
      headers: { Range: 'bytes=0-2,13-15' },
    });

    expect(status).toBe(206);
    expect(headers['content-type']).toMatch(/^multipart\/byteranges; boundary=/);
    expect(text.match(/\r\n\r\nthe\r\n/g)).toHaveLength(2);
  });

  it('compresses as the client wants it', async () => {
    const url = `${chain.url}/files/text.txt`;

    const plain = await get(url);
    const compressed = await get(url, { headers: { 'Accept-Encoding': 'gzip' } });

    expect(plain.text).toBe(TEXT);
    expect(compressed.headers['content-encoding']).toBe('gzip');
    expect(compressed.body.length).toBeLessThan(TEXT.length / 10);
    expect(gunzipSync(compressed.body).toString()).toBe(TEXT);
  });

  it('answers what is not there with its own 404, and a folder with its redirect', async () => {
    const missing = await get(`${chain.url}/files/missing`);
    const folder = await get(`${chain.url}/files/folder`, { headers: { Host: 'shop.example' } });

    expect(missing.status).toBe(404);
    expect(missing.text).toContain('<center>nginx');
    expect(folder.status).toBe(301);
    expect(folder.headers.location).toMatch(/^http:\/\/shop\.example(?::\d+)?\/files\/folder\/$/);
  });

  it('refuses a long upload with 413, which arrives while the upload still runs', async () => {
    chain.answerWith(echo());
    const body = pseudoRandom(NGINX_MOST_BYTES + 1);

    const { request, response } = open(`${chain.url}/orders`, {
      method: 'POST',
      headers: { 'Content-Length': body.bytes },
      body: body.stream(),
    });
    request.on('error', () => {}); // the upload has nowhere to go any more

    const { statusCode } = await response;
    expect(statusCode).toBe(413);
    expect(chain.received()).toEqual([]);
    expect(chain.status()).toMatchObject({ retries: 0 });
    expect(chain.status().backends.map(({ failures }) => failures)).toEqual([0, 0]);
  });
});

describe('nginx as it comes, in front', () => {
  const body = pseudoRandom(10 * 2 ** 20);
  let backend: Backend;
  let url: string;
  beforeEach(async () => {
    backend = await startBackend(echo());
    const running = await startProxyWith({ target: backend.url }, { trustProxy: 'loopback' });
    const nginx = await startGateway('nginx', {
      upstream: running.port,
      first: true,
      asItComes: true,
    });
    url = nginx.url;
  });

  it('10 MB go up', async () => {
    const answer = await get(url, { method: 'POST', body: body.stream() });

    expect(JSON.parse(answer.text)).toMatchObject({
      method: 'POST',
      body: { length: body.bytes, sha256: body.sha256 },
    });
  });

  it('10 MB without a length come down, up to the end of the connection', async () => {
    backend.answerWith((_request, response) => {
      body.stream().pipe(response);
    });

    const response = await open(url).response;

    expect(await digest(response)).toEqual({ bytes: body.bytes, sha256: body.sha256 });
    expect(response.complete).toBe(true);
  });

  it('what breaks off without a length does not look whole', async () => {
    const stream = controlled();
    backend.answerWith(stream.handler);
    const answer = get(url);
    await until(() => stream.open === 1);
    stream.send('the first bytes');

    await stream.reset();

    const { status, aborted } = await answer;
    expect(status === 502 || aborted).toBe(true);
  });
});
