import { describe, expect, it } from '@jest/globals';
import { reply, startBackend } from './support/backend.js';
import { get, startProxyWith } from './support/proxy.js';
import { sendRaw, startRawBackend, valuesOf } from './support/raw.js';
import { until } from './support/wait.js';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

describe('the status line', () => {
  it.each([
    '200 OK',
    '200 All is well',
    '200 ',
    '202 Accepted',
    '206 Partial Content',
    '299 Miscellaneous Warning',
    '301 Moved Permanently',
    '307 Temporary Redirect',
    '400 Bad Request',
    '404 No such order',
    '418 ',
    '429 Too Many Requests',
    '451 Unavailable For Legal Reasons',
    '500 Internal Server Error',
    '503 Come back later',
    '599 \tTabs and \xe9',
  ])('of a backend passes: %s', async (line) => {
    const [status, reason = ''] = line.split(/ (.*)/s);
    const backend = await startRawBackend(`HTTP/1.1 ${line}\r\nContent-Length: 4\r\n\r\nbody`);
    const { port } = await startProxyWith({ target: backend.url, retry: false });

    const answer = await sendRaw(port, GET);

    expect(answer).toMatchObject({ status: Number(status), reason });
    expect(answer.body.toString()).toBe('body');
  });

  it('of a redirect is the client’s to follow', async () => {
    const backend = await startBackend(reply(302, '', { Location: '/elsewhere' }));
    const { url } = await startProxyWith({ target: backend.url });

    const response = await get(url);

    expect(response).toMatchObject({ status: 302, headers: { location: '/elsewhere' } });
    expect(backend.received).toHaveLength(1);
  });
});

describe('a response without a body', () => {
  it.each([
    ['to HEAD, with the length that a GET would have', 'HEAD', 200, '17'],
    ['204', 'GET', 204, undefined],
    ['304, with the length that a 200 would have', 'GET', 304, '17'],
  ] as const)('has none: %s', async (_name, method, status, length) => {
    const backend = await startRawBackend(
      `HTTP/1.1 ${status} X\r\nETag: "v1"\r\nContent-Length: 17\r\n\r\n`,
    );
    const { port } = await startProxyWith({ target: backend.url });
    const request = `${method} / HTTP/1.1\r\nHost: h\r\n\r\n`;

    const { responses, rawText } = await sendRaw(port, request.repeat(2), { until: 2 });

    expect(rawText.match(/^HTTP\/1\.1 /gm)).toHaveLength(2);
    for (const response of responses) {
      expect(response.status).toBe(status);
      expect(valuesOf(response, 'etag')).toEqual(['"v1"']);
      expect(valuesOf(response, 'transfer-encoding')).toEqual([]);
      expect(valuesOf(response, 'content-length')).toEqual(length === undefined ? [] : [length]);
    }
    expect(rawText.endsWith('\r\n\r\n')).toBe(true);
  });

  it('may be announced as chunked to HEAD, and is whole with its head', async () => {
    const backend = await startRawBackend('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, 'HEAD / HTTP/1.1\r\nHost: h\r\n\r\n');

    expect(answer.status).toBe(200);
    expect(answer.rawText.endsWith('\r\n\r\n')).toBe(true);
  });
});

describe('a response body', () => {
  it.each([
    ['by its length', 'Content-Length: 5\r\n\r\na\0\xffbc'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n2\r\na\0\r\n3;x=y\r\n\xffbc\r\n0\r\n\r\n'],
  ])('arrives byte by byte when it is framed %s', async (_name, rest) => {
    const backend = await startRawBackend(`HTTP/1.1 200 OK\r\n${rest}`);
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, GET);

    expect(answer.body.toString('latin1')).toBe('a\0\xffbc');
    expect(answer.complete).toBe(true);
  });

  it('that ends with the backend’s connection ends cleanly, and the client’s connection goes on', async () => {
    const backend = await startRawBackend([
      { write: 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end' },
      { end: true },
    ]);
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, GET.repeat(2), { until: 2 });

    expect(answer.responses.map(({ body }) => body.toString())).toEqual([
      'to the end',
      'to the end',
    ]);
  });

  it('stays encoded as the backend has encoded it', async () => {
    const encoded = Buffer.from('1f8b0800000000000003cb48cdc9c907008610d63605000000', 'hex');
    const backend = await startBackend(reply(200, encoded, { 'Content-Encoding': 'gzip' }));
    const { url } = await startProxyWith({ target: backend.url });

    const response = await get(url);

    expect(response.headers['content-encoding']).toBe('gzip');
    expect(response.body).toEqual(encoded);
  });

  it('is followed by its trailers', async () => {
    const backend = await startBackend((_request, response) => {
      response.setHeader('Trailer', 'X-Checksum');
      response.write('body');
      response.addTrailers({ 'X-Checksum': 'abc', 'X-Rows': '7' });
      response.end();
    });
    const { url } = await startProxyWith({ target: backend.url });

    const response = await get(url);

    expect(response.text).toBe('body');
    expect(response.trailers).toEqual({ 'x-checksum': 'abc', 'x-rows': '7' });
  });
});

describe('an informational response', () => {
  it('with hints passes before the final one', async () => {
    const link = '</style.css>; rel=preload; as=style';
    const backend = await startBackend((_request, response) => {
      response.writeEarlyHints({ link }, () => response.end('page'));
    });
    const { url } = await startProxyWith({ target: backend.url });

    const response = await get(url);

    expect(response.informational).toMatchObject([{ status: 103, headers: { link } }]);
    expect(response.text).toBe('page');
  });

  it('passes with all of its hints when it has more than one', async () => {
    const link = '</a.css>; rel=preload; as=style, <https://cdn.example/b.js>; rel=preconnect';
    const backend = await startRawBackend(
      `HTTP/1.1 103 Early Hints\r\nLink: ${link}\r\nLink: </c.js>; rel=preload\r\n\r\n` +
        'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    );
    const { url } = await startProxyWith({ target: backend.url });

    const { informational } = await get(url);

    expect(informational).toMatchObject([
      { status: 103, headers: { link: `${link}, </c.js>; rel=preload` } },
    ]);
  });

  it.each([
    ['100 Continue', []],
    ['102 Processing', [102]],
    ['199 Whatever', []],
  ])('is not taken for the final one: %s', async (line, passed) => {
    const backend = await startRawBackend(
      `HTTP/1.1 ${line}\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nnew`,
    );
    const { url } = await startProxyWith({ target: backend.url });

    const response = await get(url, { method: 'POST', body: 'x' });

    expect(response).toMatchObject({ status: 201, text: 'new' });
    expect(response.informational.map(({ status }) => status)).toEqual(passed);
  });

  it('is kept from a client of HTTP/1.0, which knows none', async () => {
    const backend = await startRawBackend(
      'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n' +
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    );
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, 'GET / HTTP/1.0\r\n\r\n', { until: 'close' });

    expect(answer).toMatchObject({ status: 200, informational: [], body: Buffer.from('ok') });
  });

  it('goes to the client before the final one has been made', async () => {
    let finish = (): void => {};
    const backend = await startBackend((_request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' });
      finish = () => response.end('page');
    });
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, [
      { write: GET },
      { waitFor: (arrived) => arrived.includes('103 Early Hints') },
      { waitFor: until(() => backend.received.length === 1).then(() => finish()) },
    ]);

    expect(answer).toMatchObject({ status: 200, informational: [103] });
  });
});

describe('response headers', () => {
  it('that are repeated stay what they are, and cookies stay apart', async () => {
    const backend = await startRawBackend(
      'HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nX-List: one\r\nSet-Cookie: b=2, c\r\n' +
        'X-List: two, three\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n',
    );
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, GET);

    expect(valuesOf(answer, 'set-cookie')).toEqual(['a=1; Path=/', 'b=2, c']);
    expect(valuesOf(answer, 'x-list').join(', ')).toBe('one, two, three');
    expect(valuesOf(answer, 'x-empty')).toEqual(['']);
  });

  it('are the backend’s, with nothing added but the request id and what the server must', async () => {
    const backend = await startRawBackend(
      'HTTP/1.1 200 OK\r\nServer: real\r\nX-Powered-By: steam\r\nX-Own: 1\r\n' +
        'Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n',
    );
    const { port, app } = await startProxyWith({ target: backend.url });
    app.disable('x-powered-by');

    const answer = await sendRaw(port, GET);

    const ofTheServer = ['connection', 'keep-alive', 'x-request-id'];
    const others = answer.headers.filter(([name]) => !ofTheServer.includes(name.toLowerCase()));
    expect(others).toEqual([
      ['server', 'real'],
      ['x-powered-by', 'steam'],
      ['x-own', '1'],
      ['date', 'Sun, 06 Nov 1994 08:49:37 GMT'],
      ['content-length', '0'],
    ]);
  });
});
