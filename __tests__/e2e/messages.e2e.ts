// Requests and responses from end to end, by every arrangement of proxy, nginx and HAProxy.
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { type Echo, echo, type Handler, reply } from '../support/backend.js';
import { get } from '../support/proxy.js';
import { arrangements, type Chain } from './support/arrangements.js';

describe.each(arrangements)('with $name', ({ start }) => {
  let chain: Chain;
  beforeEach(async () => {
    chain = await start();
  });

  it('a GET arrives with its query and headers, and so does its answer', async () => {
    chain.answerWith((request, response, body) => {
      response.setHeader('X-Reply', 'from the application');
      return echo()(request, response, body);
    });
    const path = '/orders/7?q=a%20b&q=%C3%A4&empty=&plus=1+1';

    const answer = await get(`${chain.url}${path}`, {
      headers: { Host: 'shop.example', Accept: 'application/json', 'X-Custom': 'a, b;c="d"' },
    });

    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'x-reply': 'from the application',
    });
    const arrived = JSON.parse(answer.text) as Echo;
    expect(arrived).toMatchObject({ method: 'GET', url: path, body: { length: 0 } });
    expect(arrived.headers).toMatchObject({
      host: 'shop.example',
      accept: 'application/json',
      'x-custom': 'a, b;c="d"',
    });
  });

  it.each(['POST', 'PATCH', 'DELETE', 'OPTIONS'])('a %s arrives as it is', async (method) => {
    chain.answerWith(echo());

    const answer = await get(`${chain.url}/orders`, { method, body: 'an order' });

    expect(JSON.parse(answer.text)).toMatchObject({ method, body: { length: 8 } });
    expect(chain.received().map(({ body }) => body.toString())).toEqual(['an order']);
  });

  it('a HEAD is answered with the length of the body that a GET would have', async () => {
    chain.answerWith(reply(200, '', { 'Content-Length': 1234, ETag: '"v1"' }));

    const answer = await get(chain.url, { method: 'HEAD' });

    expect(answer).toMatchObject({ status: 200, text: '', aborted: false });
    expect(answer.headers).toMatchObject({ 'content-length': '1234', etag: '"v1"' });
    expect(chain.received().map(({ method }) => method)).toEqual(['HEAD']);
  });

  it('a 204 has no body, and no framing', async () => {
    chain.answerWith(reply(204, '', { 'X-Reply': 'gone' }));

    const answer = await get(`${chain.url}/orders/7`, { method: 'DELETE' });

    expect(answer).toMatchObject({ status: 204, text: '', aborted: false });
    expect(answer.headers['x-reply']).toBe('gone');
    expect(answer.headers).not.toHaveProperty('content-length');
    expect(answer.headers).not.toHaveProperty('transfer-encoding');
  });

  it('an If-None-Match is answered by a 304 with the ETag', async () => {
    chain.answerWith(withEtag('"v1"', 'the document'));

    const first = await get(chain.url);
    const etag = first.headers.etag;
    const second = await get(chain.url, { headers: { 'If-None-Match': etag } });
    const changed = await get(chain.url, { headers: { 'If-None-Match': '"v0"' } });

    expect([first.text, etag]).toEqual(['the document', '"v1"']);
    expect(second).toMatchObject({ status: 304, text: '', aborted: false });
    expect(second.headers.etag).toBe('"v1"');
    expect(changed).toMatchObject({ status: 200, text: 'the document' });
  });

  it('a Range is answered by a 206 with that part', async () => {
    chain.answerWith(withRanges(Buffer.from('0123456789')));

    const part = await get(chain.url, { headers: { Range: 'bytes=2-4' } });
    const beyond = await get(chain.url, { headers: { Range: 'bytes=20-30' } });

    expect(part).toMatchObject({ status: 206, text: '234' });
    expect(part.headers['content-range']).toBe('bytes 2-4/10');
    expect(beyond.status).toBe(416);
    expect(beyond.headers['content-range']).toBe('bytes */10');
  });

  it('compressed content stays the bytes that it is', async () => {
    const compressed = gzipSync('the document '.repeat(1000));
    chain.answerWith(reply(200, compressed, { 'Content-Encoding': 'gzip', Vary: 'A, B' }));

    const answer = await get(chain.url, { headers: { 'Accept-Encoding': 'gzip' } });

    expect(answer.headers).toMatchObject({
      'content-encoding': 'gzip',
      'content-length': String(compressed.length),
      vary: 'A, B',
    });
    expect(answer.body).toEqual(compressed);
    expect(chain.received()[0]?.headers['accept-encoding']).toBe('gzip');
  });

  it('two cookies stay two, in their order', async () => {
    const cookies = ['b=2; Path=/; HttpOnly', 'a=1; Expires=Wed, 01 Jan 2120 00:00:00 GMT'];
    chain.answerWith(reply(200, '', { 'Set-Cookie': cookies }));

    const answer = await get(chain.url, { headers: { Cookie: 'c=3; d=4' } });

    expect(answer.headers['set-cookie']).toEqual(cookies);
    expect(chain.received()[0]?.headers.cookie).toBe('c=3; d=4');
  });

  it.each([301, 400, 404, 418, 429])('a %d passes with its headers and body', async (status) => {
    chain.answerWith(reply(status, `body of ${status}`, { Location: '/elsewhere' }));

    const answer = await get(chain.url);

    expect(answer).toMatchObject({ status, text: `body of ${status}`, aborted: false });
    expect(answer.headers.location).toMatch(/\/elsewhere$/);
  });
});

function withEtag(etag: string, document: string): Handler {
  return (request, response) => {
    response.setHeader('ETag', etag);
    if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.end(document);
  };
}

function withRanges(document: Buffer): Handler {
  return (request, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (Number(from) >= document.length) {
      response.writeHead(416, { 'Content-Range': `bytes */${document.length}` }).end();
      return;
    }
    const part = document.subarray(Number(from), Number(to) + 1);
    response.writeHead(206, { 'Content-Range': `bytes ${from}-${to}/${document.length}` });
    response.end(part);
  };
}
