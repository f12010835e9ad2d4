import { describe, expect, it } from '@jest/globals';
import { get, startProxyWith } from './support/proxy.js';
import { type RawStep, sendRaw, startRawBackend, valuesOf } from './support/raw.js';
import { gate, until } from './support/wait.js';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

const manyFields = (count: number): string =>
  Array.from({ length: count }, (_, i) => `a${i}: \r\n`).join('');

describe('a head that cannot be passed on as it is', () => {
  const withField = (field: string): string =>
    `HTTP/1.1 200 OK\r\n${field}\r\nContent-Length: 2\r\n\r\nok`;
  it.each([
    ['status 000', 'HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n'],
    ['status 042', 'HTTP/1.1 042 X\r\nContent-Length: 0\r\n\r\n'],
    ['status 099', 'HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n'],
    ['status 600', 'HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n'],
    ['status 999', 'HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 X\r\nContent-Length: 0\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n'],
    ['a NUL in the reason', 'HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n'],
    ['an escape in the reason', 'HTTP/1.1 200 \x1b[31m\r\nContent-Length: 0\r\n\r\n'],
    ['a DEL in the reason', 'HTTP/1.1 200 \x7f\r\nContent-Length: 0\r\n\r\n'],
    ['a NUL in a field', withField('X-A: a\0b')],
    ['a control byte in a field', withField('X-A: a\x01b')],
    ['a DEL in a field', withField('X-A: a\x7fb')],
    ['a bare CR in a field', withField('X-A: a\rX-Evil: b')],
    ['a space in a field name', withField('X A: b')],
    ['a field without a name', withField(': b')],
    ['a line that is no field', withField('what is this')],
    ['an unknown transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: zip\r\n\r\nok'],
    [
      'a coding before chunked',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'two transfer codings',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'chunked twice',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'both frames',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n',
    ],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok'],
    ['two types', withField('Content-Type: text/html\r\ncontent-type: text/plain')],
    ['two locations', withField('Location: /a\r\nLocation: /b')],
    ['two etags', withField('ETag: "a"\r\nETag: "a"')],
    ['two Retry-After', withField('Retry-After: 1\r\nRetry-After: 2')],
    ['two servers', withField('Server: a\r\nServer: b')],
    ['1000 fields', `HTTP/1.1 200 OK\r\n${manyFields(999)}Content-Length: 2\r\n\r\nok`],
    ['1500 fields', `HTTP/1.1 200 OK\r\n${manyFields(1499)}Content-Length: 2\r\n\r\nok`],
    ['64 KB of fields', withField(`X-A: ${'a'.repeat(65_536)}`)],
    ['an unasked 101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    [
      'an unasked 101 to a protocol',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    ],
    [
      'an unasked 101 before the answer',
      'HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    ],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['the protocol of a request', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['TLS', Buffer.from('15030300020228', 'hex')],
    ['bytes of any kind', Buffer.from([0, 255, 13, 10, 13, 10])],
  ])('is a 502, and counted: %s', async (_name, head) => {
    const backend = await startRawBackend(head);
    const { port, proxy } = await startProxyWith({ target: backend.url, retry: false });

    const answer = await sendRaw(port, GET);

    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 502, code: 'BAD_GATEWAY' });
    expect(answer.rawText).not.toMatch(/x-evil|x-a:/i);
    expect(proxy.status().backends[0]).toMatchObject({ failures: 1, inFlight: 0 });
    await until(() => backend.openSockets() === 0, 'the connection to be closed');
  });

  it('is none with 999 fields, which all pass', async () => {
    const backend = await startRawBackend(
      `HTTP/1.1 200 OK\r\n${manyFields(998)}Content-Length: 2\r\n\r\nok`,
    );
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, GET);

    expect(answer.headers.filter(([name]) => /^a\d+$/.test(name))).toHaveLength(998);
    expect(answer.body.toString()).toBe('ok');
  });

  it('leaves the connection of the client as it was', async () => {
    const backend = await startRawBackend('HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n');
    const { port } = await startProxyWith({ target: backend.url, retry: false });

    const { responses } = await sendRaw(port, GET.repeat(3), { until: 3 });

    expect(responses.map(({ status }) => status)).toEqual([502, 502, 502]);
  });
});

describe('a Trailer field of a backend', () => {
  it.each([
    ['beside a length', '200 OK', 'Content-Length: 2\r\n\r\nok', 'ok'],
    [
      'with chunks',
      '200 OK',
      'Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\n\r\n',
      'ok',
    ],
    ['on a 204', '204 No Content', '\r\n', ''],
    ['on a 304', '304 Not Modified', '\r\n', ''],
  ])('harms nobody: %s', async (_name, status, rest, body) => {
    const backend = await startRawBackend(`HTTP/1.1 ${status}\r\nTrailer: X\r\n${rest}`);
    const { port } = await startProxyWith({ target: backend.url });

    for (const request of [GET, 'GET / HTTP/1.0\r\n\r\n', 'HEAD / HTTP/1.1\r\nHost: h\r\n\r\n']) {
      const until = request.includes('1.0') ? 'close' : 1;
      const answer = await sendRaw(port, request, { until });

      expect(answer.status).toBe(Number(status.slice(0, 3)));
      expect(answer.body.toString()).toBe(request.startsWith('HEAD') ? '' : body);
      expect(valuesOf(answer, 'trailer')).toEqual([]);
    }
  });

  it('is not among the trailers, nor is what belongs to a connection or a route', async () => {
    const backend = await startRawBackend(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n' +
        'Host: evil\r\nTrailer: X-Y\r\nTE: gzip\r\nConnection: close\r\nX-Sum: 1\r\n\r\n',
    );
    const { port } = await startProxyWith({ target: backend.url });

    const answer = await sendRaw(port, GET);

    expect(answer.body.toString()).toBe('ok');
    expect(answer.trailers).toEqual([['X-Sum', '1']]);
  });
});

describe('a body that does not end where it was announced to end', () => {
  it('is not longer for the client than its length', async () => {
    const backend = await startRawBackend(
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-Evil: 1\r\n\r\n',
    );
    const { port } = await startProxyWith({ target: backend.url, retry: false });

    const { responses, rawText } = await sendRaw(port, GET.repeat(2), { until: 2 });

    expect(responses[0]?.body.toString()).toBe('ok');
    expect(rawText).not.toMatch(/x-evil/i);
  });

  it('is none where the status allows none', async () => {
    const backend = await startRawBackend(
      'HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\nunwelcome',
    );
    const { port } = await startProxyWith({ target: backend.url, retry: false });

    const { responses, rawText } = await sendRaw(port, GET.repeat(2), { until: 2 });

    expect(responses[0]?.status).toBe(204);
    expect(rawText).not.toContain('unwelcome');
  });
});

describe('a backend that closes', () => {
  const GONE: [string, RawStep[]][] = [
    ['without a byte, by closing', [{ end: true }]],
    ['without a byte, by a reset', [{ reset: true }]],
    ['within the status line', [{ write: 'HTTP/1.1 20' }, { end: true }]],
    ['within the head', [{ write: 'HTTP/1.1 200 OK\r\nX-A: b\r\n' }, { end: true }]],
    ['after a 100', [{ write: 'HTTP/1.1 100 Continue\r\n\r\n' }, { end: true }]],
    ['after a 103', [{ write: 'HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n' }, { reset: true }]],
  ];
  it.each(GONE)('before its head is whole is a 502: %s', async (_name, steps) => {
    const backend = await startRawBackend(steps);
    const { url, proxy } = await startProxyWith({ target: backend.url, retry: false });

    const response = await get(url);

    expect(response.status).toBe(502);
    expect(JSON.parse(response.text)).toMatchObject({ code: 'BAD_GATEWAY' });
    expect(proxy.status().backends[0]).toMatchObject({ failures: 1, inFlight: 0 });
  });

  it('before it has read the request does not harm the next client', async () => {
    const sent = gate();
    const backend = await startRawBackend((socket) => {
      if (backend.received.length === 1) sent.opened.then(() => socket.resetAndDestroy());
      else socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nfine'));
    });
    const { url } = await startProxyWith({ target: backend.url, retry: false });
    const first = get(url, { method: 'POST', body: Buffer.alloc(1_000_000) });
    await until(() => backend.connections === 1);
    sent.open();

    expect((await first).status).toBe(502);
    expect((await get(url)).text).toBe('fine');
  });
});
