import { createServer as createHttpServer, get as httpGet, type IncomingMessage } from 'node:http';
import { createServer, get as httpsGet } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import express from 'express';
import { reply, startBackend } from './support/backend.js';
import { localhostCertificate } from './support/certificates.js';
import { closeAfterTest } from './support/cleanup.js';
import { LoopbackServer } from './support/loopback-server.js';
import { get, type MountOptions, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { sendRaw } from './support/raw.js';
import { once } from './support/wait.js';

/** Of an app that listens on a Unix socket, as nginx has it: nobody has an address there. */
async function forwardedBehindSocket(trustProxy: boolean): Promise<unknown> {
  const backend = await startBackend(reply(200));
  const app = express()
    .set('trust proxy', trustProxy)
    .use(quietProxy({ target: backend.url }));
  const socketPath = join(tmpdir(), `forwarded-${process.pid}.sock`);
  const server = createHttpServer(app).listen(socketPath);
  closeAfterTest(() => void server.close());
  const headers = { 'X-Forwarded-For': '203.0.113.7' };
  const request = httpGet({ socketPath, headers, agent: false });
  const [response] = await once<[IncomingMessage]>(request, 'response');
  response.resume();
  return backend.received[0]?.headers['x-forwarded-for'];
}

describe('a client that has no address', () => {
  it.each([
    [true, '203.0.113.7'],
    [false, undefined],
  ])('adds none to X-Forwarded-For; trust proxy: %p', async (trustProxy, expected) => {
    expect(await forwardedBehindSocket(trustProxy)).toBe(expected);
  });
});

/** What an outer proxy, or a liar, says about the client. */
const CLAIMS = {
  Host: 'shop.example',
  Forwarded: 'for=10.9.9.9',
  'X-Real-IP': '10.9.9.9',
  'X-Forwarded-For': '10.9.9.9',
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'claimed.example',
  'X-Forwarded-Port': '444',
  'X-Forwarded-Prefix': '/claimed',
  'X-Forwarded-Ssl': 'on',
  'X-Forwarded-Scheme': 'https',
  'X-Forwarded-User': 'root',
};

const TRUTH = {
  host: 'shop.example',
  'x-forwarded-for': '127.0.0.1',
  'x-forwarded-proto': 'http',
  'x-forwarded-host': 'shop.example',
  'x-forwarded-prefix': '/api',
};

const KEPT = {
  host: 'shop.example',
  forwarded: 'for=10.9.9.9',
  'x-real-ip': '10.9.9.9',
  'x-forwarded-for': '10.9.9.9, 127.0.0.1',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'claimed.example',
  'x-forwarded-port': '444',
  'x-forwarded-ssl': 'on',
  'x-forwarded-scheme': 'https',
  'x-forwarded-user': 'root',
};

/** The headers that say who the client is, as the backend gets them from a proxy at `/api`. */
async function forwarded(
  claims: Record<string, string>,
  options: MountOptions & { xfwd?: boolean } = {},
): Promise<Record<string, unknown>> {
  const { xfwd = true, ...mounted } = options;
  const backend = await startBackend(reply(200));
  const { url } = await startProxyWith(
    { target: backend.url, xfwd },
    { mount: '/api', ...mounted },
  );
  await get(`${url}/api/orders`, { headers: claims });
  const about = /^(host|forwarded|x-real-ip|x-forwarded-.*)$/;
  const headers = Object.entries(backend.received[0]?.headers ?? {});
  return Object.fromEntries(headers.filter(([name]) => about.test(name)));
}

describe('X-Forwarded-*', () => {
  it('tell who the client is, what it called, and where the proxy is mounted', async () => {
    expect(await forwarded({ Host: 'shop.example' })).toEqual(TRUTH);
  });

  it.each([undefined, false, '10.0.0.0/8'])(
    'replace what an untrusted peer claims (trust proxy %s)',
    async (trustProxy) => {
      const options = trustProxy === undefined ? {} : { trustProxy };
      expect(await forwarded(CLAIMS, options)).toEqual(TRUTH);
    },
  );

  it.each([true, 'loopback', 1])(
    'append to, or keep, what a trusted peer claims (trust proxy %s)',
    async (trustProxy) => {
      const { 'x-forwarded-prefix': prefix, ...others } = await forwarded(CLAIMS, { trustProxy });

      expect(others).toEqual(KEPT);
      expect(prefix).toMatch(/\/api$/);
    },
  );

  it('that the app itself has set are not taken for the client’s', async () => {
    const backend = await startBackend(reply(200));
    const proxy = quietProxy({ target: backend.url });
    const { url } = await startProxy((app) => {
      app.use((req, _res, next) => {
        req.headers['x-forwarded-user'] = 'ann';
        next();
      }, proxy);
    });

    await get(url, { headers: { 'X-Forwarded-User': 'root', 'X-Forwarded-Groups': 'admins' } });

    const { headers } = backend.received[0]!;
    expect(headers).toMatchObject({ 'x-forwarded-user': 'ann' });
    expect(headers).not.toHaveProperty('x-forwarded-groups');
  });

  it('tell of a client that has come by https', async () => {
    const backend = await startBackend(reply(200));
    const { app } = await startProxyWith({ target: backend.url });
    const { port } = await new LoopbackServer(createServer(localhostCertificate, app)).start();

    const request = httpsGet({
      port,
      host: '127.0.0.1',
      ca: localhostCertificate.cert,
      agent: false,
    });
    const [response] = await once<[IncomingMessage]>(request, 'response');
    response.resume();

    expect(backend.received[0]?.headers['x-forwarded-proto']).toBe('https');
  });

  it('come from a trusted peer that claims nothing as from any other', async () => {
    expect(await forwarded({ Host: 'shop.example' }, { trustProxy: true })).toEqual(TRUTH);
  });

  it('keep a chain of a trusted peer in its order', async () => {
    const headers = { Host: 'shop.example', 'X-Forwarded-For': '10.1.1.1, 10.2.2.2' };

    const { 'x-forwarded-for': chain } = await forwarded(headers, { trustProxy: true });

    expect(chain).toBe('10.1.1.1, 10.2.2.2, 127.0.0.1');
  });

  it('are none, and none is taken away, with xfwd: false', async () => {
    const claimed = Object.entries(CLAIMS).map(([name, value]) => [name.toLowerCase(), value]);

    expect(await forwarded(CLAIMS, { xfwd: false })).toEqual(Object.fromEntries(claimed));
    expect(await forwarded({ Host: 'shop.example' }, { xfwd: false })).toEqual({
      host: 'shop.example',
    });
  });

  it('have no prefix at the root of the app', async () => {
    expect(await forwarded(CLAIMS, { mount: '/' })).not.toHaveProperty('x-forwarded-prefix');
  });

  it('have the whole prefix of nested routers', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxy((app) => {
      const router = express.Router().use('/v1', quietProxy({ target: backend.url }));
      app.use('/tenants/:tenant', router);
    });

    await get(`${url}/tenants/7/v1/orders?a=1`);

    expect(backend.received[0]?.url).toBe('/orders?a=1');
    expect(backend.received[0]?.headers['x-forwarded-prefix']).toBe('/tenants/7/v1');
  });

  it('have no host where an HTTP/1.0 client names none', async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url });

    await sendRaw(port, 'GET / HTTP/1.0\r\nX-Forwarded-Host: claimed.example\r\n\r\n');

    expect(backend.received).toHaveLength(1);
    expect(backend.received[0]?.headers).not.toHaveProperty('x-forwarded-host');
  });
});

describe('Via', () => {
  it('is not sent unless it has a name', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: backend.url });

    await get(url);

    expect(backend.received[0]?.headers).not.toHaveProperty('via');
  });

  it('is appended to, with the version in which the client has asked', async () => {
    const backend = await startBackend(reply(200));
    const { port } = await startProxyWith({ target: backend.url, via: 'edge-1' });

    await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 a\r\nVia: 1.1 edge-2 (x)\r\n\r\n');

    const sent = backend.received.map(({ headers }) => headers.via);
    expect(sent).toEqual(['1.1 edge-1', '1.0 a, 1.1 edge-2 (x), 1.1 edge-1']);
  });

  it('that bears the own name already is a loop', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: backend.url, via: 'edge-1' });

    const response = await get(url, { headers: { Via: '1.1 a, 1.1 Edge-1 (comment)' } });

    expect(response.status).toBe(508);
    expect(JSON.parse(response.text)).toMatchObject({ status: 508, code: 'LOOP' });
    expect(backend.started).toBe(0);
  });

  it('ends a proxy that is its own target at the second round', async () => {
    const { url, app } = await startProxy(() => {});
    const proxy = quietProxy({ target: url, via: 'edge-1', retry: false });
    app.use(proxy);

    const response = await get(url);

    expect(response.status).toBe(508);
    expect(proxy.status().requests).toBe(2);
  });
});
