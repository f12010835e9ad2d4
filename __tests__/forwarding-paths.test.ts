import { describe, expect, it } from '@jest/globals';
import { createProxyMiddleware } from 'http-proxy-middleware';
import { reply, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';

const BASES = ['', '/', '/base', '/base/', '/base/deep/', '/?k=v', '/base?k=v', '/base/?k=v&l'];
const REQUESTS = ['/', '/?', '/?a=1', '/x', '/x/', '/x?a=1&b', '/x/y//?', '/x?', '/x?a=/y?z'];

describe('the base path of a target', () => {
  it.each(BASES.flatMap((base) => REQUESTS.map((request) => [base, request] as const)))(
    'is joined as http-proxy-middleware joins it: "%s" and %s',
    async (base, request) => {
      const backend = await startBackend(reply(200));
      const target = backend.url + base;
      const { url } = await startProxy((app) => {
        app.use('/ours', quietProxy({ target }));
        app.use('/theirs', createProxyMiddleware({ target }));
      });

      await get(`${url}/theirs${request}`);
      await get(`${url}/ours${request}`);

      const [theirs, ours] = backend.received;
      expect(backend.received).toHaveLength(2);
      expect(ours?.url).toBe(theirs?.url);
    },
  );

  it.each(BASES.flatMap((base) => ['/', '/x?a=1'].map((request) => [base, request] as const)))(
    'is all that is sent with ignorePath, as http-proxy-middleware does: "%s" and %s',
    async (base, request) => {
      const backend = await startBackend(reply(200));
      const options = { target: backend.url + base, ignorePath: true };
      const { url } = await startProxy((app) => {
        app.use('/ours', quietProxy(options));
        app.use('/theirs', createProxyMiddleware(options));
      });

      await get(`${url}/theirs${request}`);
      await get(`${url}/ours${request}`);

      const [theirs, ours] = backend.received;
      expect(backend.received).toHaveLength(2);
      expect(ours?.url).toBe(theirs?.url);
    },
  );

  it.each(['/', '/x', '/x?a=1'])('is left out with prependPath: false: %s', async (request) => {
    const backend = await startBackend(reply(200));
    const target = `${backend.url}/base?k=v`;
    const { url } = await startProxyWith({ target, prependPath: false });

    await get(url + request);

    expect(backend.received[0]?.url).toBe(request);
  });

  it('is each backend’s own', async () => {
    const [one, two] = await Promise.all([startBackend(reply(500)), startBackend(reply(200))]);
    const { url } = await startProxyWith({ target: [`${one.url}/v1`, `${two.url}/v2/`] });

    await get(`${url}/orders?a=1`);

    expect(one.received[0]?.url).toBe('/v1/orders?a=1');
    expect(two.received[0]?.url).toBe('/v2/orders?a=1');
  });

  it('comes where the mount path was', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: `${backend.url}/base` }, { mount: '/api' });

    await get(`${url}/api/orders`);
    await get(`${url}/api?a=1`);

    expect(backend.received.map((received) => received.url)).toEqual([
      '/base/orders',
      '/base/?a=1',
    ]);
  });

  it('leaves the url of the request as the app knows it', async () => {
    const backend = await startBackend(reply(200));
    const seen: string[] = [];
    const { url } = await startProxy((app) => {
      app.use((req, res, next) => {
        res.once('finish', () => seen.push(req.originalUrl, req.url, req.baseUrl));
        next();
      });
      const pathRewrite = { '^/x': '/y' };
      app.use('/api', quietProxy({ target: `${backend.url}/base`, pathRewrite }));
    });

    await get(`${url}/api/x`);

    expect(backend.received[0]?.url).toBe('/base/y');
    expect(seen[0]).toBe('/api/x');
  });
});
