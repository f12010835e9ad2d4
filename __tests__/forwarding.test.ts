import { Agent } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { echo, reply, startBackend } from './support/backend.js';
import { digest, pseudoRandom } from './support/bodies.js';
import { closeAfterTest } from './support/cleanup.js';
import { get, open, startProxyWith } from './support/proxy.js';
import { refusedUrl, sendRaw, startRawBackend, valuesOf } from './support/raw.js';
import { gate, until } from './support/wait.js';

/** All 256 bytes, so that no decoding of the body on its way goes unnoticed. */
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

describe('a request', () => {
  it.each([
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'PROPFIND',
    'MKCOL',
    'PURGE',
    'M-SEARCH',
  ])('reaches the backend as %s, with its path, query, headers and body', async (method) => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: backend.url });
    const headers = { 'X-Colour': 'blue', 'Content-Type': 'application/octet-stream' };

    await get(`${url}/orders/7?size=2&size=3`, { method, headers, body: everyByte });

    const [received] = backend.received;
    expect(received).toMatchObject({ method, url: '/orders/7?size=2&size=3', httpVersion: '1.1' });
    expect(received?.headers).toMatchObject({
      'x-colour': 'blue',
      'content-type': 'application/octet-stream',
      'content-length': '256',
    });
    expect(received?.body).toEqual(everyByte);
  });

  it.each([
    '/',
    '/?',
    '/a?b?c=d/e',
    '/a%2Fb%2f/%E2%82%AC',
    '/a//b///',
    '/a/./b/../c',
    '/a;v=1/b,c:d@e',
    '/a\'b|c^d`e{f}[g]"<h>',
    '/100%',
    '/a?q=../..&r=%2e%2e%2f',
    '/a+b?c+d=%20',
    '/a#b',
  ])('keeps every byte of the target %s', async (target) => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);

    expect(backend.received[0]?.url).toBe(target);
  });

  it.each([0, 1, 65_535, 65_536, 1_000_003])(
    'has a body of %i bytes delivered byte by byte, with a length and chunked',
    async (bytes) => {
      const backend = await startBackend(echo());
      const { url } = await startProxyWith({ target: backend.url });
      const body = pseudoRandom(bytes);
      const arrived = { length: bytes, sha256: body.sha256 };

      for (const headers of [{ 'Content-Length': bytes }, { 'Transfer-Encoding': 'chunked' }]) {
        const response = await get(url, { method: 'POST', headers, body: body.stream() });

        expect(JSON.parse(response.text).body).toEqual(arrived);
      }
      expect(backend.received[0]?.headers['content-length']).toBe(String(bytes));
      expect(backend.received[1]?.headers['transfer-encoding']).toBe('chunked');
    },
  );

  it.each(['GET', 'HEAD', 'DELETE', 'OPTIONS'])(
    'has no framing header when a %s has no body',
    async (method) => {
      const backend = await startBackend(reply(200));
      const { url } = await startProxyWith({ target: backend.url });

      await get(url, { method });

      expect(backend.received[0]?.headers).not.toHaveProperty('content-length');
      expect(backend.received[0]?.headers).not.toHaveProperty('transfer-encoding');
    },
  );

  it.each(['GET', 'DELETE', 'OPTIONS', 'HEAD'])(
    'keeps the chunked body of a %s inside its frame',
    async (method) => {
      const backend = await startRawBackend('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      const { port } = await startProxyWith({ target: backend.url });
      const smuggled = 'GET /admin HTTP/1.1\r\nHost: h\r\n\r\n';

      await sendRaw(
        port,
        `${method} / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n` +
          `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
      );

      expect(backend.requests).toBe(1);
      expect(backend.received[0]?.toString('latin1')).toMatch(/transfer-encoding: chunked\r\n/i);
      expect(backend.received[0]?.toString('latin1')).toContain(smuggled);
    },
  );

  it('gets its 100 Continue from the proxy, and reaches the backend without Expect', async () => {
    const backend = await startBackend(reply(201));
    const { port } = await startProxyWith({ target: backend.url });
    const head = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n';

    const answer = await sendRaw(port, [
      { write: head },
      { waitFor: (arrived) => arrived.includes('100 Continue') },
      { write: 'hello' },
    ]);

    expect(answer).toMatchObject({ status: 201, informational: [100] });
    expect(backend.received[0]?.headers).not.toHaveProperty('expect');
    expect(backend.received[0]?.body.toString()).toBe('hello');
  });

  it('gets it only when an attempt asks for the body, where the app listens for checkContinue', async () => {
    const backend = await startBackend(reply(201));
    const { port, server, app } = await startProxyWith({
      target: [await refusedUrl(), backend.url],
      balance: (_req, candidates) => candidates[0]!,
    });
    server.on('checkContinue', app);
    const head = 'PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n';

    const wanted = await sendRaw(port, [
      { write: head },
      { waitFor: (arrived) => arrived.includes('100 Continue') },
      { write: 'hello' },
    ]);
    await backend.stop();
    const unwanted = await sendRaw(port, head, { until: 'close' });

    expect(wanted).toMatchObject({ status: 201, informational: [100] });
    expect(backend.received[0]?.body.toString()).toBe('hello');
    expect(unwanted).toMatchObject({ status: 502, informational: [], closedBy: 'end' });
  });

  it('gets it before the answer, too, when it is refused behind another request', async () => {
    const backend = await startBackend(reply(200, 'first'));
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(
      port,
      'GET / HTTP/1.1\r\nHost: h\r\n\r\nPOST /.. HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n' +
        'Content-Length: 1\r\n\r\nx',
      { until: 2 },
    );

    expect(answer.rawText).toMatch(/firstHTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 400/);
  });

  it.each(['', '1\r\nx\r\n'])('keeps its trailers behind the body %j', async (chunks) => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(
      port,
      `PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\nX-A: aa\r\n\r\n`,
    );

    expect(backend.received[0]?.trailers).toEqual({ 'x-a': 'aa' });
  });

  it('keeps the values of repeated and empty headers, in their order', async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });
    const fields = 'X-List: a\r\nX-Empty:\r\nX-LIST: b, c\r\nCookie: d=1\r\nCookie: e=2\r\n';

    await sendRaw(port, `GET / HTTP/1.1\r\nHost: h\r\n${fields}\r\n`);

    expect(backend.received[0]?.headers).toMatchObject({
      'x-list': 'a, b, c',
      'x-empty': '',
      cookie: 'd=1; e=2',
    });
  });

  it('keeps header bytes over 0x7f as they are, in both directions, body or not', async () => {
    const answer = 'HTTP/1.1 200 Caf\xe9\r\nX-Name: \xe9\xff\x80\r\nContent-Length: 2\r\n\r\nok';
    const backend = await startRawBackend(answer);
    const { port } = await startProxyWith({ target: backend.url });
    const head = (method: string, length: number): string =>
      `${method} / HTTP/1.1\r\nHost: h\r\nX-Name: \xe4\xc3\xa4\r\nContent-Length: ${length}\r\n\r\n`;

    for (const request of [`${head('POST', 2)}\xe9!`, head('HEAD', 0)]) {
      const response = await sendRaw(port, request);

      expect(valuesOf(response, 'x-name')).toEqual(['\xe9\xff\x80']);
      expect(response.reason).toBe('Caf\xe9');
    }
    const received = Buffer.concat(backend.received).toString('latin1');
    expect(received.match(/x-name: \xe4\xc3\xa4\r\n/gi)).toHaveLength(2);
  });

  it('may be OPTIONS for the whole server', async () => {
    const backend = await startBackend(reply(204));
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(port, 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n');

    expect(backend.received[0]).toMatchObject({ method: 'OPTIONS', url: '*' });
  });

  it('is answered in its turn when it is pipelined behind a slow one', async () => {
    const slow = gate();
    const backend = await startBackend(async (request, response) => {
      if (request.url === '/slow') await slow.opened;
      response.end(request.url);
    });
    const { port } = await startProxyWith({ target: backend.url });
    const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;

    const { responses } = await sendRaw(
      port,
      [
        { write: request('/slow') + request('/fast') + request('/last') },
        { waitFor: until(() => backend.started > 0).then(slow.open) },
      ],
      { until: 3 },
    );

    expect(responses.map(({ body }) => body.toString())).toEqual(['/slow', '/fast', '/last']);
  });

  it('may be of HTTP/1.0, and then gets a chunked body up to the end of its connection', async () => {
    const backend = await startBackend((_request, response) => {
      response.write('one,');
      response.end('two');
    });
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, 'GET /old HTTP/1.0\r\n\r\n', { until: 'close' });

    expect(answer).toMatchObject({ status: 200, closedBy: 'end', body: Buffer.from('one,two') });
    expect(valuesOf(answer, 'transfer-encoding')).toEqual([]);
    expect(backend.received[0]?.url).toBe('/old');
  });
});

describe('a download', () => {
  it('of 20 MB keeps its length and its checksum', async () => {
    const body = pseudoRandom(20_000_000);
    const backend = await startBackend((_request, response) => {
      response.setHeader('Content-Length', body.bytes);
      body.stream().pipe(response);
    });
    const { url } = await startProxyWith({ target: backend.url });

    const response = await open(url).response;

    expect(await digest(response)).toEqual({ bytes: body.bytes, sha256: body.sha256 });
  });
});

describe('a connection of a client', () => {
  it('serves one request after the other', async () => {
    const backend = await startBackend(echo());
    const { url, server } = await startProxyWith({ target: backend.url });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    closeAfterTest(() => agent.destroy());
    let connections = 0;
    server.on('connection', () => {
      connections += 1;
    });

    for (const method of ['GET', 'POST', 'DELETE', 'PUT']) {
      const response = await get(url, { method, agent, body: method === 'POST' ? 'x' : '' });
      expect(response.status).toBe(200);
    }
    expect(connections).toBe(1);
  });
});
