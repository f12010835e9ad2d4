// Which transport carries a proxy's requests, and why; and where they go: hosts, Unix sockets.
import { rmSync } from 'node:fs';
import { Agent, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type TinyProxyOptions, tinyProxy } from '../src/index.js';
import { closeAfterTest } from './support/cleanup.js';
import { requestLine } from './support/log-lines.js';
import { get, quietProxy, startProxyWith, TRANSPORT } from './support/proxy.js';

const target = 'http://127.0.0.1:8081';
const chosen = (options: Partial<TinyProxyOptions>) => {
  const proxy = tinyProxy({ target, log: false, ...options });
  closeAfterTest(() => proxy.close(0));
  const { transport, transportReason } = proxy.status();
  return { transport, transportReason };
};

/** Options that node:http alone can honour. */
const FOR_HTTP: [string, Partial<TinyProxyOptions>][] = [
  ['agent', { agent: new Agent() }],
  ['agent', { agent: false }],
  ['localAddress', { localAddress: '127.0.0.1' }],
  ['logger', { logger: console }],
  ['plugins', { plugins: [() => {}] }],
  ['on.start', { on: { start() {} } }],
  ['on.proxyReq', { on: { proxyReq() {} } }],
  ['on.proxyRes', { on: { proxyRes() {} } }],
  ['on.end', { on: { end() {} } }],
  ['on.econnreset', { on: { econnreset() {} } }],
];

describe('the transport', () => {
  it.each<[string, Partial<TinyProxyOptions>]>([
    ['nothing', {}],
    ['auto', { transport: 'auto' }],
    ['undici', { transport: 'undici' }],
    [
      'hooks of WebSockets and errors',
      { on: { error() {}, open() {}, close() {}, proxyReqWs() {} } },
    ],
    ['no plugins', { plugins: [], on: {} }],
    ['TLS and rewrites', { ssl: { ca: 'x' }, secure: false, autoRewrite: true, ws: true }],
  ])('is undici for %s', (_options, options) => {
    expect(chosen(options)).toEqual({ transport: 'undici' });
  });

  it('is node:http where that is asked for', () => {
    expect(chosen({ transport: 'http' })).toEqual({ transport: 'http' });
    expect(chosen({ transport: 'http', agent: false })).toEqual({ transport: 'http' });
  });

  it.each(FOR_HTTP)('is node:http for option "%s", and status() says why', (name, options) => {
    const transportReason = `option "${name}"`;

    expect(chosen(options)).toEqual({ transport: 'http', transportReason });
    expect(
      JSON.parse(JSON.stringify(quietProxy({ target, ...options, transport: 'auto' }).status())),
    ).toMatchObject({ transportReason });
  });

  it.each(FOR_HTTP)('cannot be undici beside option "%s"', (name, options) => {
    expect(() => tinyProxy({ target, ...options, transport: 'undici' })).toThrow(
      new TypeError(
        `option "transport" must be 'auto' or 'http' beside option "${name}", which needs node:http; got 'undici'`,
      ),
    );
  });

  it.each<[string, Partial<TinyProxyOptions>, string]>([
    ['transport: http', { transport: 'http' }, "transport: 'http'"],
    ['an option for node:http', { agent: false }, 'option "agent"'],
    ['backends without TLS', {}, 'https://10.0.0.1:8443'],
  ])('has no HTTP/2 with %s', (_with, options, told) => {
    const mount = () => tinyProxy({ target, http2: true, ...options });

    expect(mount).toThrow(TypeError);
    expect(mount).toThrow(/option "http2"/);
    expect(mount).toThrow(told);
  });
});

/** A backend on a Unix socket; answers what it was asked. */
async function startOnSocket(): Promise<{ socketPath: string; connections: () => number }> {
  const socketPath = join(
    tmpdir(),
    `express-tiny-proxy-${process.pid}-${Math.random().toString(36).slice(2)}.sock`,
  );
  let connections = 0;
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const { host } = req.headers;
      res.end(`${req.method} ${req.url} ${host} ${Buffer.concat(chunks).length}`);
    });
  });
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((listening) => server.listen(socketPath, listening));
  closeAfterTest(() => {
    server.closeAllConnections();
    server.close();
    rmSync(socketPath, { force: true });
  });
  return { socketPath, connections: () => connections };
}

describe('a backend on a Unix socket', () => {
  it('gets requests as one on a port does, over kept connections', async () => {
    const backend = await startOnSocket();
    const { url, proxy, log } = await startProxyWith(
      { target: { socketPath: backend.socketPath } },
      { captureLog: 'json' },
    );
    const host = new URL(url).host;

    expect((await get(`${url}/a?b=c`)).text).toBe(`GET /a?b=c ${host} 0`);
    expect((await get(`${url}/a`, { method: 'PUT', body: 'hello' })).text).toBe(`PUT /a ${host} 5`);
    const long = Buffer.alloc(300_000);
    expect((await get(url, { method: 'POST', body: long })).text).toBe(`POST / ${host} 300000`);

    const name = `unix:${backend.socketPath}`;
    expect(await requestLine(log, 1)).toMatchObject({ hops: [{ backend: name, outcome: 200 }] });
    expect(proxy.status().backends).toMatchObject([{ url: name, failures: 0, attempts: 3 }]);
    expect(backend.connections()).toBe(TRANSPORT === 'http' ? 1 : 2);
  });

  it('takes its base path and its Host from the url beside it', async () => {
    const { socketPath } = await startOnSocket();
    const { url } = await startProxyWith({
      target: { url: 'http://app.internal/base', socketPath },
      changeOrigin: true,
    });

    expect((await get(`${url}/a`)).text).toBe('GET /base/a app.internal 0');
  });

  it('is localhost to changeOrigin where it has no url', async () => {
    const { socketPath } = await startOnSocket();
    const { url } = await startProxyWith({
      target: [{ socketPath, weight: 2 }],
      changeOrigin: true,
    });

    expect((await get(`${url}/a`)).text).toBe('GET /a localhost 0');
  });

  it('that is not there is a failure like another: the next backend answers', async () => {
    const { socketPath } = await startOnSocket();
    const missing = `${socketPath}.missing`;
    const { url, log } = await startProxyWith(
      { target: [{ socketPath: missing }, { socketPath }] },
      { captureLog: 'json' },
    );

    expect((await get(url)).status).toBe(200);
    const { hops } = await requestLine(log, 1);
    expect(hops).toMatchObject([
      { backend: `unix:${missing}`, outcome: 'ENOENT' },
      { outcome: 200 },
    ]);
  });

  it('is drained by the name that status() has for it', async () => {
    const { socketPath } = await startOnSocket();
    const { url, proxy } = await startProxyWith({ target: { socketPath } });

    const undrain = proxy.drain(`unix:${socketPath}`);
    expect((await get(url)).status).toBe(503);
    undrain();
    expect((await get(url)).status).toBe(200);
  });

  it.each([
    ['', 'a Unix socket'],
    [7, 'a Unix socket'],
    ['/run/\0.sock', 'a Unix socket'],
    [`/${'a'.repeat(107)}`, 'at most 107 bytes'],
  ])('cannot have the path %p', (socketPath, told) => {
    const mount = () => tinyProxy({ target: { socketPath: socketPath as string } });

    expect(mount).toThrow(/option "target.socketPath"/);
    expect(mount).toThrow(told);
  });

  it('may be listed once', () => {
    const socketPath = '/run/app.sock';

    expect(() => tinyProxy({ target: [{ socketPath }, { socketPath }] })).toThrow(/listed once/);
  });
});
