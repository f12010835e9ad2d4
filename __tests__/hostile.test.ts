import { describe, expect, it } from '@jest/globals';
import { reply, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { type RawAnswer, sendRaw, startRawBackend, valuesOf } from './support/raw.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** The answer of the proxy itself, not of Node's server in front of it. */
function expectRefusal(answer: RawAnswer, status: number): void {
  expect(answer.status).toBe(status);
  expect(valuesOf(answer, 'content-type')).toEqual(['application/problem+json']);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ status, code: 'BAD_REQUEST' });
}

describe('a request target', () => {
  const climbing = [
    '/..',
    '/../',
    '/../admin',
    '/x/../../admin',
    '/x/../y/../../admin',
    '/x//../../admin',
    '/x%2fy/../../admin',
    '/x\\y/../../admin',
    '/x/%2e%2e%2f%2e%2e/admin',
    '/./../admin',
    '/%2e%2e/admin',
    '/%2E%2E/admin',
    '/.%2e/admin',
    '/%2e./admin',
    '/..%2fadmin',
    '/..%2Fadmin',
    '/%2e%2e%2fadmin',
    '/x%2f..%2f..%2fadmin',
    '/..%5cadmin',
    '/..%5Cadmin',
    '/%2e%2e%5cadmin',
    '/..\\admin',
    '/x/..\\..\\admin',
    '/..;/admin',
    '/..;x=y/admin',
    '/%2e%2e;/admin',
    '/..%3b/admin',
    '/..?q',
  ];
  it.each(climbing)('cannot leave the base path: %s', async (target) => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: `${backend.url}/base` });

    expectRefusal(await sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`), 400);
    expect(backend.started).toBe(0);
  });

  it.each(climbing)('cannot leave the base path below a mount path: %s', async (target) => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: `${backend.url}/base` }, { mount: '/api' });

    expectRefusal(await sendRaw(port, `GET /api${target} HTTP/1.1\r\nHost: h\r\n\r\n`), 400);
    expect(backend.started).toBe(0);
  });

  it('cannot leave the base path by way of a pathRewrite', async () => {
    const backend = await startBackend(reply(200));
    const target = `${backend.url}/base`;
    const { port } = await startProxyWith({ target, pathRewrite: { '^/files/[^/]+': '' } });

    const answer = await sendRaw(port, 'GET /files/x/../admin HTTP/1.1\r\nHost: h\r\n\r\n');

    expectRefusal(answer, 400);
    expect(backend.started).toBe(0);
  });

  it.each(['/x/..', '/x/../y', '/...', '/..x', '/x..', '/.', '/x?../..', '/a;..b', '/.well-known'])(
    'goes on as it is when its dots stay below the base path: %s',
    async (target) => {
      const backend = await startBackend(reply(200));
      const { port } = await startProxyWith({ target: `${backend.url}/base` });

      await sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);

      expect(backend.received[0]?.url).toBe(`/base${target}`);
    },
  );

  it.each([
    'http://HOST/x',
    'HTTP://HOST/x',
    'http://user@HOST/x',
    '//HOST/x',
    '///HOST/x',
    '/\\HOST/x',
    '/\\/HOST/x',
    '\\\\HOST/x',
    '@HOST/x',
    'x',
    '*',
    'HOST',
    'http:HOST',
  ])('cannot choose where the request goes: %s', async (form) => {
    const [backend, other] = await Promise.all([
      startBackend(reply(200)),
      startBackend(reply(200)),
    ]);
    const { port } = await startProxyWith({ target: backend.url });

    const target = form.replace('HOST', other.host);
    const answer = await sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: ${other.host}\r\n\r\n`);

    expect(answer.status).toBe(400);
    expect(other.connections).toBe(0);
    expect(backend.started).toBe(0);
  });

  it.each([['/api//HOST/x'], ['/api/\\HOST/x'], ['/api/http://HOST/x'], ['/api/@HOST/x']])(
    'cannot do so below a mount path: %s',
    async (form) => {
      const [backend, other] = await Promise.all([
        startBackend(reply(200)),
        startBackend(reply(200)),
      ]);
      const { port } = await startProxyWith(
        { target: backend.url, pathRewrite: { '^/none': '' }, pathFilter: () => true },
        { mount: '/api' },
      );

      const target = form.replace('HOST', other.host);
      await sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);

      expect(other.connections).toBe(0);
    },
  );
});

describe('a request line', () => {
  it.each(['HTTP/2.0', 'HTTP/0.9'])('of %s is refused', async (version) => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    expectRefusal(await sendRaw(port, `GET / ${version}\r\nHost: h\r\n\r\n`), 400);
    expect(backend.started).toBe(0);
  });

  it('with TRACE is refused, with the methods that are not', async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, 'TRACE / HTTP/1.1\r\nHost: h\r\nCookie: secret=1\r\n\r\n');

    expectRefusal(answer, 405);
    expect(valuesOf(answer, 'allow').join()).toContain('GET');
    expect(answer.rawText).not.toContain('secret');
    expect(backend.started).toBe(0);
  });

  it('with CONNECT opens no tunnel', async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(port, `CONNECT ${backend.host} HTTP/1.1\r\nHost: h\r\n\r\n`, { until: 'close' });

    expect(backend.connections).toBe(0);
  });
});

describe('the header of a request', () => {
  const fields = (count: number): string =>
    Array.from({ length: count }, (_, i) => `a${i}:\r\n`).join('');

  it('is refused with 1000 fields, and forwarded whole with 999', async () => {
    const backend = await startRawBackend(OK);
    const { port } = await startProxyWith({ target: backend.url });

    const many = await sendRaw(port, `GET / HTTP/1.1\r\nHost: h\r\n${fields(998)}\r\n`);
    const tooMany = await sendRaw(port, `GET / HTTP/1.1\r\nHost: h\r\n${fields(999)}\r\n`);

    expect(many.status).toBe(200);
    expect(backend.received[0]?.toString().match(/^a\d+:/gm)).toHaveLength(998);
    expectRefusal(tooMany, 431);
    expect(backend.requests).toBe(1);
  });

  it('cannot hide the frame of its body behind 1000 fields', async () => {
    const backend = await startRawBackend(OK);
    const { port } = await startProxyWith({ target: backend.url });
    const smuggled = 'GET /admin HTTP/1.1\r\nHost: h\r\n\r\n';

    const answer = await sendRaw(
      port,
      `GET / HTTP/1.1\r\nHost: h\r\n${fields(1200)}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    );

    expect(answer.status).toBe(431);
    expect(backend.requests).toBe(0);
  });

  it.each([
    'Host: other',
    'Authorization: Basic eA==',
    'Content-Type: text/html',
    'User-Agent: other',
    'Referer: /other',
    'If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT',
    'Max-Forwards: 5',
    'From: other',
  ])('is refused with a field that is doubled: %s', async (field) => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });
    const name = field.split(':')[0];
    const first = name === 'Host' ? '' : `${name}: first\r\n`;

    const answer = await sendRaw(
      port,
      `GET / HTTP/1.1\r\nHost: h\r\n${first}${field.replace(name ?? '', (it) => it.toUpperCase())}\r\n\r\n`,
    );

    expectRefusal(answer, 400);
    expect(backend.started).toBe(0);
  });

  it.each([
    ['an unknown transfer coding', 'Transfer-Encoding: gzip, chunked', '0\r\n\r\n'],
    ['a doubled transfer coding', 'Transfer-Encoding: chunked, chunked', '0\r\n\r\n'],
    ['two transfer codings', 'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked', '0\r\n\r\n'],
    ['a coding that is not chunked', 'Transfer-Encoding: identity', ''],
    ['both frames', 'Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n'],
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6', 'hello!'],
    ['a list of lengths', 'Content-Length: 5, 5', 'hello'],
    ['a signed length', 'Content-Length: +5', 'hello'],
  ])('is refused with %s', async (_name, field, body) => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, `POST / HTTP/1.1\r\nHost: h\r\n${field}\r\n\r\n${body}`);

    expect(answer.status).toBe(400);
    expect(backend.started).toBe(0);
  });

  it.each(['GET', 'POST'])('with Trailer harms nobody in a %s', async (method) => {
    const backend = await startBackend(reply(200, 'ok'));
    const { port } = await startProxyWith({ target: backend.url });
    const head = `${method} / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\n`;

    const plain = await sendRaw(port, `${head}\r\n`);
    const chunked = await sendRaw(
      port,
      `${head}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n`,
    );

    expect([plain.status, chunked.status]).toEqual([200, 200]);
    expect(backend.received[1]?.body.toString()).toBe('x');
  });

  it.each(['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'flight'])(
    'may have a field named %s',
    async (name) => {
      const backend = await startRawBackend(OK.replace('\r\n', `\r\n${name}: theirs\r\n`));
      const { port } = await startProxyWith({ target: backend.url });

      const answer = await sendRaw(port, `GET / HTTP/1.1\r\nHost: h\r\n${name}: ours\r\n\r\n`);

      expect(answer.status).toBe(200);
    },
  );

  it('that asks for another protocol is that of a plain request', async () => {
    const backend = await startBackend(reply(200, 'plain'));
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(
      port,
      'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n' +
        'HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
    );

    expect(answer).toMatchObject({ status: 200, body: Buffer.from('plain') });
    expect(backend.received[0]?.headers).not.toHaveProperty('upgrade');
    expect(backend.received[0]?.headers).not.toHaveProperty('http2-settings');
  });
});

describe('a path that a rewrite has made', () => {
  it.each(['/a b', '/a\r\nX-Evil: 1', '/\u20ac', '/a\0b'])(
    'is refused where it cannot stand in a request line: %j',
    async (path) => {
      const backend = await startBackend(reply(200));
      const { url } = await startProxy((app) => {
        app.use(quietProxy({ target: backend.url, pathRewrite: () => path }));
      });

      const response = await get(url);

      expect(response.status).toBe(400);
      expect(backend.started).toBe(0);
    },
  );
});
