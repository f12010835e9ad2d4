// { url, address }: a backend that is dialled at an address, and is who its URL says.
import { describe, expect, it } from '@jest/globals';
import { reply, startBackend } from './support/backend.js';
import { impostorCertificate } from './support/certificates.js';
import { answer, startHttp2Backend, startHttp2Proxy } from './support/http2-backend.js';
import { get, startProxyWith } from './support/proxy.js';
import { openWebSocket, startWebSocketBackend } from './support/websocket.js';

/** Nobody can resolve it. */
const NAME = 'orders.invalid';
const address = '127.0.0.1';

describe('a target with an address', () => {
  it.each(['auto', 'http'] as const)('is dialled there, by %s', async (transport) => {
    const backend = await startBackend(reply(200, 'there'));
    const { url, proxy, log } = await startProxyWith(
      { target: { url: `http://${NAME}:${backend.port}/base`, address }, transport },
      { captureLog: true },
    );

    const upload = { method: 'POST', body: 'x'.repeat(100_000) };
    const answers = [await get(`${url}/a`), await get(`${url}/b`, upload)];

    expect(answers.map(({ text }) => text)).toEqual(['there', 'there']);
    expect(backend.received.map((received) => received.url)).toEqual(['/base/a', '/base/b']);
    expect(proxy.status().backends).toMatchObject([
      { url: `http://${address}:${backend.port}/base#${NAME}`, attempts: 2 },
    ]);
    expect(log[0]).toContain(` ${address}:${backend.port}=200/`);
  });

  it.each(['auto', 'http'] as const)(
    'keeps the name as its Host with changeOrigin, by %s',
    async (transport) => {
      const backend = await startBackend(reply(200));
      const target = { url: `http://${NAME}:${backend.port}`, address };
      const { url } = await startProxyWith({ target, transport, changeOrigin: true });

      await get(url);

      expect(backend.received[0]?.headers.host).toBe(`${NAME}:${backend.port}`);
    },
  );

  it.each(['auto', 'http'] as const)(
    'keeps the name as its TLS identity, by %s',
    async (transport) => {
      const names: unknown[] = [];
      const tls = {
        ...impostorCertificate,
        SNICallback: (name: string, done: (e: null) => void) => {
          names.push(name);
          done(null);
        },
      };
      const backend = await startBackend(reply(200, 'it is'), { tls });
      const start = (name: string) =>
        startProxyWith({
          target: { url: `https://${name}:${backend.port}`, address },
          transport,
          ssl: { ca: impostorCertificate.cert },
          retry: false,
        });

      const right = await start('impostor.example');
      const wrong = await start('orders.example');

      expect((await get(right.url)).text).toBe('it is');
      expect((await get(wrong.url)).status).toBe(502);
      expect(wrong.proxy.status().backends[0]?.lastError).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
      expect(names).toEqual(['impostor.example', 'orders.example']);
    },
  );

  it('is spoken to by HTTP/2', async () => {
    const backend = await startHttp2Backend(answer(200, 'h2'));
    const target = { url: `https://localhost:${backend.port}`, address };
    const { url, proxy } = await startHttp2Proxy(target, { changeOrigin: true });

    expect((await get(url)).text).toBe('h2');
    expect(backend.requests[0]?.headers[':authority']).toBe(`localhost:${backend.port}`);
    expect(proxy.status().backends[0]?.url).toBe(`https://${address}:${backend.port}#localhost`);
  });

  it('has WebSockets, too', async () => {
    const { backend } = await startWebSocketBackend();
    const target = { url: `http://${NAME}:${backend.port}`, address };
    const { server, proxy, port } = await startProxyWith({ target });
    server.on('upgrade', proxy.upgrade);

    const socket = await openWebSocket(`ws://127.0.0.1:${port}/`);

    expect(proxy.status().backends).toMatchObject([{ attempts: 1, failures: 0, inFlight: 1 }]);
    socket.terminate();
  });

  it('is one of several of a name, each drained by its own address', async () => {
    const [here, there] = await Promise.all([
      startBackend(reply(200, 'here')),
      startBackend(reply(200, 'there')),
    ]);
    const target = [here, there].map(({ port }) => ({ url: `http://${NAME}:${port}`, address }));
    const { url, proxy } = await startProxyWith({ target });

    proxy.drain(`http://${address}:${here.port}`);

    expect(await Promise.all([get(url), get(url)])).toMatchObject([
      { text: 'there' },
      { text: 'there' },
    ]);
  });

  it('may have one of IPv6', async () => {
    const { proxy } = await startProxyWith({
      target: { url: 'http://o.invalid:1', address: '::1' },
    });

    expect(proxy.status().backends[0]?.url).toBe('http://[::1]:1#o.invalid');
  });
});
