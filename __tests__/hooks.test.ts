import { describe, expect, it } from '@jest/globals';
import { type Outgoing, type OutgoingResponse, ProxyError } from '../src/index.js';
import { failTimes, reply, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { sendRaw, startRawBackend, valuesOf } from './support/raw.js';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const QUICK = { backoff: { initialDelay: 1, maxDelay: 1 } };

describe('director', () => {
  it('has the last word on the path and the headers of every attempt', async () => {
    const [one, two] = await Promise.all([startBackend(reply(500)), startBackend(reply(200))]);
    const { url } = await startProxyWith({
      target: [`${one.url}/one`, `${two.url}/two`],
      headers: { 'X-Tier': 'web' },
      changeOrigin: true,
      director(outgoing, req) {
        outgoing.path += `&to=${outgoing.backend}`;
        outgoing.headers['x-method'] = req.method;
        outgoing.headers['X-Tier'] = 'night';
        outgoing.headers.host = 'internal.example';
        outgoing.headers['x-request-id'] = 'mine';
        delete outgoing.headers['x-secret'];
        outgoing.headers['user-agent'] = undefined;
      },
    });

    await get(`${url}/x?a=1`, { headers: { 'X-Secret': '1', 'User-Agent': 'curl' } });

    const [first, second] = [one.received[0], two.received[0]];
    expect(first?.url).toBe(`/one/x?a=1&to=${one.host}`);
    expect(second?.url).toBe(`/two/x?a=1&to=${two.host}`);
    for (const received of [first, second]) {
      expect(received?.headers).toMatchObject({
        'x-method': 'GET',
        'x-tier': 'night',
        host: 'internal.example',
        'x-request-id': 'mine',
      });
      expect(received?.headers).not.toHaveProperty('x-secret');
      expect(received?.headers).not.toHaveProperty('user-agent');
    }
  });

  it('starts from the same head at every attempt', async () => {
    const seen: Outgoing[] = [];
    const backend = await startBackend(failTimes(2, reply(200)));
    const { url } = await startProxyWith({
      target: backend.url,
      retry: QUICK,
      director(outgoing) {
        seen.push({ ...outgoing, headers: { ...outgoing.headers } });
        outgoing.path += 'more';
        outgoing.headers['x-more'] = `${outgoing.headers['x-more'] ?? ''}more`;
      },
    });

    await get(`${url}/x`, { headers: { 'X-Request-ID': 'night-1' } });

    expect(seen.map(({ path }) => path)).toEqual(['/x', '/x', '/x']);
    expect(seen.map(({ headers }) => headers['x-more'])).toEqual([undefined, undefined, undefined]);
    expect(backend.received.map(({ headers }) => headers['x-request-id'])).toEqual(
      Array(3).fill('night-1'),
    );
  });

  it("leaves the client's wish for trailers as it was", async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url, director() {} });

    await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n');

    expect(backend.received[0]?.headers.te).toBe('trailers');
  });

  it('sees no hop-by-hop header of the client, and can bring none back', async () => {
    let seen: Outgoing['headers'] = {};
    const backend = await startRawBackend('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    const { port } = await startProxyWith({
      target: backend.url,
      director(outgoing, req) {
        seen = { ...outgoing.headers };
        for (const name of ['connection', 'upgrade', 'te', 'proxy-authorization', 'keep-alive']) {
          outgoing.headers[name] = req.headers[name] as string;
        }
        outgoing.headers.Trailer = 'X';
        outgoing.headers['Transfer-Encoding'] = 'gzip';
        outgoing.headers['content-length'] = '77';
      },
    });

    await sendRaw(
      port,
      'POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, x-gone\r\nUpgrade: h2c\r\nX-Gone: 1\r\n' +
        'TE: gzip\r\nKeep-Alive: 7\r\nProxy-Authorization: secret\r\nContent-Length: 2\r\n\r\nhi',
    );

    expect(Object.keys(seen)).not.toContain('x-gone');
    expect(seen.connection).toBeUndefined();
    const sent = backend.received[0]?.toString('latin1') ?? '';
    expect(sent).toMatch(/\r\ncontent-length: 2\r\n/i);
    expect(sent).not.toMatch(/upgrade|gzip|secret|trailer|x-gone|^keep-alive:|length: 77/im);
    expect(sent.endsWith('\r\n\r\nhi')).toBe(true);
  });

  it('cannot take the frame of a body away', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({
      target: backend.url,
      director(outgoing) {
        outgoing.headers = { host: 'h' };
      },
    });

    await get(url, { method: 'DELETE', body: 'hello' });

    expect(backend.received[0]?.headers).toMatchObject({ 'content-length': '5' });
    expect(backend.received[0]?.body.toString()).toBe('hello');
  });

  it('cannot choose another backend', async () => {
    const [one, two] = await Promise.all([startBackend(reply(200)), startBackend(reply(200))]);
    const { url } = await startProxyWith({
      target: one.url,
      director(outgoing) {
        expect(Reflect.set(outgoing, 'backend', two.host)).toBe(false);
      },
    });

    expect((await get(url)).status).toBe(200);
    expect(one.started).toBe(1);
    expect(two.started).toBe(0);
  });

  it.each(['/base/../admin', '/base/%2e%2e/admin', '/a b', '/a\r\nX-Evil: 1', 'x', '', '//../x'])(
    'has its path checked again: %j',
    async (path) => {
      const backend = await startBackend(reply(200));
      const { url } = await startProxyWith({
        target: `${backend.url}/base`,
        director(outgoing) {
          outgoing.path = path;
        },
      });

      const response = await get(url);

      expect(response.status).toBe(400);
      expect(JSON.parse(response.text)).toMatchObject({ code: 'BAD_REQUEST' });
      expect(backend.started).toBe(0);
    },
  );
});

describe('a Host that is a list of one', () => {
  it.each(['director', 'a middleware'])('is that one, set by %s', async (by) => {
    const backend = await startBackend(reply(200));
    const proxy = quietProxy({
      target: backend.url,
      director({ headers }) {
        if (by === 'director') headers.host = ['a.example'];
      },
    });
    const { url } = await startProxy((app) =>
      app.use((req, _res, next) => {
        if (by !== 'director') Object.assign(req.headers, { host: ['a.example'] });
        next();
      }, proxy),
    );

    for (let i = 0; i < 3; i += 1) expect((await get(url)).status).toBe(200); // on one connection
    expect(backend.received.map(({ headers }) => headers.host)).toEqual(Array(3).fill('a.example'));
  });
});

describe('modifyResponse', () => {
  it('has the last word on the status and the headers', async () => {
    const backend = await startBackend(
      reply(404, 'gone', { 'X-Old': '1', 'X-Both': 'b', 'Set-Cookie': ['a=1', 'b=2'] }),
    );
    const { port } = await startProxyWith({
      target: backend.url,
      cookieDomainRewrite: 'x',
      modifyResponse(response, req) {
        expect(response).toMatchObject({ status: 404, headers: { 'x-old': '1' } });
        response.status = 410;
        delete response.headers['x-old'];
        response.headers['X-Both'] = undefined;
        response.headers['X-New'] = req.method;
        response.headers['set-cookie'] = ['c=3'];
      },
    });

    const answer = await sendRaw(port, GET);

    expect(answer).toMatchObject({ status: 410, reason: 'Gone', body: Buffer.from('gone') });
    expect(valuesOf(answer, 'x-new')).toEqual(['GET']);
    expect(valuesOf(answer, 'x-old')).toEqual([]);
    expect(valuesOf(answer, 'set-cookie')).toEqual(['c=3']);
  });

  it('sees what the rewrites have made of the response', async () => {
    const seen: OutgoingResponse['headers'][] = [];
    const backend = await startBackend(reply(200, '', { 'Set-Cookie': ['a=1; Domain=b'] }));
    const { url } = await startProxyWith({
      target: backend.url,
      cookieDomainRewrite: 'shop.example',
      modifyResponse: ({ headers }) => void seen.push(headers),
    });

    await get(url);

    expect(seen[0]?.['set-cookie']).toEqual(['a=1; Domain=shop.example']);
  });

  it('cannot change where a body ends', async () => {
    const backend = await startBackend(reply(200, 'whole'));
    const { port } = await startProxyWith({
      target: backend.url,
      modifyResponse(response) {
        response.headers = {
          'Content-Length': '2',
          'transfer-encoding': 'chunked',
          connection: 'close',
          trailer: 'X',
        };
      },
    });

    const { responses } = await sendRaw(port, GET.repeat(2), { until: 2 });

    for (const response of responses) {
      expect(response.body.toString()).toBe('whole');
      expect(valuesOf(response, 'content-length')).toEqual(['5']);
    }
    expect(responses).toHaveLength(2);
  });

  it.each([204, 304])('may make it a %i, which has no body then', async (status) => {
    const backend = await startBackend(reply(200, 'a body'));
    const { port } = await startProxyWith({
      target: backend.url,
      modifyResponse(response) {
        response.status = status;
      },
    });

    const { responses, rawText } = await sendRaw(port, GET.repeat(2), { until: 2 });

    expect(responses.map((response) => response.status)).toEqual([status, status]);
    expect(rawText).not.toContain('a body');
  });

  it('may make another status of a 304: its length was that of no body', async () => {
    const { url: target } = await startRawBackend(
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: "a"\r\n\r\n',
    );
    const { url } = await startProxyWith({
      target,
      modifyResponse(response) {
        response.status = 200;
      },
    });

    const { status, text, aborted, headers } = await get(url);

    expect({ status, text, aborted, etag: headers.etag }).toEqual({
      ...{ status: 200, text: '', aborted: false, etag: '"a"' },
    });
  });

  it('runs only for the response that is passed on', async () => {
    let calls = 0;
    const backend = await startBackend(failTimes(2, reply(200)));
    const { url } = await startProxyWith({
      target: backend.url,
      retry: QUICK,
      modifyResponse() {
        calls += 1;
      },
    });

    expect((await get(url)).status).toBe(200);
    expect(calls).toBe(1);
  });

  it('that throws a ProxyError fails the attempt, and another one follows', async () => {
    const [sick, well] = await Promise.all([
      startBackend(reply(200, 'maintenance', { 'X-Sick': 'yes' })),
      startBackend(reply(200, 'well')),
    ]);
    const { url, proxy } = await startProxyWith({
      target: [sick.url, well.url],
      modifyResponse({ headers }) {
        if (headers['x-sick']) throw new ProxyError('SICK', { status: 503 });
      },
    });

    const response = await get(url);

    expect(response).toMatchObject({ status: 200, text: 'well' });
    expect(response.headers).not.toHaveProperty('x-sick');
    expect(proxy.status().backends[0]).toMatchObject({ failures: 1, lastError: 'SICK' });
  });

  it('that throws it at the last attempt decides what the client gets', async () => {
    const backend = await startBackend(reply(200, 'secret', { 'X-Secret': '1', ETag: '"1"' }));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: { ...QUICK, attempts: 2 },
      modifyResponse() {
        throw new ProxyError('SICK', { status: 503, message: 'internal' });
      },
    });

    const response = await get(url);

    expect(response.status).toBe(503);
    expect(JSON.parse(response.text)).toMatchObject({ status: 503, code: 'SICK' });
    expect(response.text).not.toMatch(/secret|internal/);
    expect(response.headers).not.toHaveProperty('x-secret');
    expect(response.headers).not.toHaveProperty('etag');
    expect(backend.received).toHaveLength(2);
    expect(proxy.status().backends[0]?.failures).toBe(2);
  });
});
