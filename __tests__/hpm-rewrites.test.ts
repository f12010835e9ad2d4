import { describe, expect, it } from '@jest/globals';
import type { TinyProxyOptions } from '../src/index.js';
import { reply, startBackend } from './support/backend.js';
import { impostorCertificate, localhostCertificate } from './support/certificates.js';
import { get, startProxyWith } from './support/proxy.js';

describe('Set-Cookie', () => {
  const COOKIES = ['a=1; Domain=backend.example; Path=/base; Secure', 'b=2; path=/', 'c=3'];
  type Rewrites = Pick<TinyProxyOptions, 'cookieDomainRewrite' | 'cookiePathRewrite'>;
  it.each<[string, Rewrites, string[]]>([
    ['as it is', {}, COOKIES],
    ['as it is with false', { cookieDomainRewrite: false, cookiePathRewrite: false }, COOKIES],
    [
      'with another domain',
      { cookieDomainRewrite: 'shop.example' },
      ['a=1; Domain=shop.example; Path=/base; Secure', 'b=2; path=/', 'c=3'],
    ],
    [
      'without a domain',
      { cookieDomainRewrite: '' },
      ['a=1; Path=/base; Secure', 'b=2; path=/', 'c=3'],
    ],
    [
      'with the domain that stands for its old one',
      { cookieDomainRewrite: { 'other.example': 'x', 'backend.example': 'shop.example' } },
      ['a=1; Domain=shop.example; Path=/base; Secure', 'b=2; path=/', 'c=3'],
    ],
    ['as it is where no old one fits', { cookieDomainRewrite: { 'other.example': 'x' } }, COOKIES],
    [
      'with another path',
      { cookiePathRewrite: '/shop' },
      ['a=1; Domain=backend.example; Path=/shop; Secure', 'b=2; path=/shop', 'c=3'],
    ],
    [
      'with paths by their old ones, and one for the rest',
      { cookiePathRewrite: { '/base': '/', '*': '' } },
      ['a=1; Domain=backend.example; Path=/; Secure', 'b=2', 'c=3'],
    ],
    [
      'with another domain and another path',
      { cookieDomainRewrite: { '*': 'shop.example' }, cookiePathRewrite: { '/base': '/api' } },
      ['a=1; Domain=shop.example; Path=/api; Secure', 'b=2; path=/', 'c=3'],
    ],
  ])('goes to the client %s', async (_name, options, expected) => {
    const backend = await startBackend(reply(200, 'ok', { 'Set-Cookie': COOKIES }));
    const { url } = await startProxyWith({ target: backend.url, ...options });

    const response = await get(url);

    expect(response.headers['set-cookie']).toEqual(expected);
  });
});

describe('Location', () => {
  type Rewrites = Pick<TinyProxyOptions, 'autoRewrite' | 'hostRewrite' | 'protocolRewrite'>;
  // BACKEND is the backend's host and port. A host without a port leaves the port as it was.
  it.each<[Rewrites, status: number, from: string, to: string]>([
    [{}, 302, 'http://BACKEND/x', 'http://BACKEND/x'],
    [{ autoRewrite: true }, 302, 'http://BACKEND/x?a=1#b', 'http://shop.example:88/x?a=1#b'],
    [{ autoRewrite: true }, 201, 'http://BACKEND/x', 'http://shop.example:88/x'],
    [{ autoRewrite: true }, 308, '//BACKEND/x', '//shop.example:88/x'],
    [{ autoRewrite: true }, 200, 'http://BACKEND/x', 'http://BACKEND/x'],
    [{ autoRewrite: true }, 304, 'http://BACKEND/x', 'http://BACKEND/x'],
    [{ autoRewrite: true }, 302, 'http://elsewhere.example/x', 'http://elsewhere.example/x'],
    [{ autoRewrite: true }, 302, 'http://[broken', 'http://[broken'],
    [{ hostRewrite: 'www.example' }, 301, 'http://BACKEND/x', 'http://www.example:PORT/x'],
    [
      { hostRewrite: 'www.example:444', autoRewrite: true },
      303,
      'http://BACKEND/x',
      'http://www.example:444/x',
    ],
    [{ protocolRewrite: 'https' }, 307, 'http://BACKEND/x', 'https://BACKEND/x'],
    [
      { protocolRewrite: 'https', autoRewrite: true },
      302,
      'http://BACKEND/x',
      'https://shop.example:88/x',
    ],
  ])('with %j of a %i: from %s to %s', async (options, status, from, to) => {
    const backend = await startBackend((_request, response) => {
      response.writeHead(status, { Location: from.replace('BACKEND', backend.host) }).end();
    });
    const { url } = await startProxyWith({ target: backend.url, ...options });

    const response = await get(url, { headers: { Host: 'shop.example:88' } });

    const port = String(backend.port);
    expect(response.headers.location).toBe(
      to.replace('BACKEND', backend.host).replace('PORT', port),
    );
  });
});

describe('a backend with TLS', () => {
  const ca = [localhostCertificate.cert, impostorCertificate.cert];

  it('is verified: a certificate that nobody has signed is a 502', async () => {
    const backend = await startBackend(reply(200), { tls: localhostCertificate });
    const { url, proxy } = await startProxyWith({ target: backend.url, retry: false });

    expect((await get(url)).status).toBe(502);
    expect(backend.received).toEqual([]);
    expect(proxy.status().backends[0]).toMatchObject({
      failures: 1,
      lastError: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    });
  });

  it('is trusted by the authorities of `ssl`, over one connection', async () => {
    const backend = await startBackend(reply(200, 'safe'), { tls: localhostCertificate });
    const { url } = await startProxyWith({ target: backend.url, ssl: { ca } });

    for (let i = 0; i < 3; i += 1) {
      const response = await get(url, { method: 'POST', body: 'secret' });
      expect(response).toMatchObject({ status: 200, text: 'safe' });
    }
    expect(backend.received[2]?.body.toString()).toBe('secret');
    expect(backend.connections).toBe(1);
  });

  it('is not verified with secure: false', async () => {
    const backend = await startBackend(reply(200, 'unsafe'), { tls: impostorCertificate });
    const { url } = await startProxyWith({ target: backend.url, secure: false });

    expect((await get(url)).text).toBe('unsafe');
  });

  it('may ask the proxy for a certificate of its own, which `ssl` brings', async () => {
    const tls = { ...localhostCertificate, ca, requestCert: true, rejectUnauthorized: true };
    const backend = await startBackend(reply(200, 'known'), { tls });
    const { url } = await startProxyWith({
      target: backend.url,
      ssl: { ca, ...impostorCertificate },
    });

    expect((await get(url)).text).toBe('known');
  });

  it('is who it is, whatever Host the client sends', async () => {
    const names: unknown[] = [];
    const backend = await startBackend(
      (request, response) => {
        names.push((request.socket as { servername?: unknown }).servername);
        response.end('own');
      },
      { tls: localhostCertificate },
    );
    const { url } = await startProxyWith({
      target: [`https://localhost:${backend.port}`],
      ssl: { ca },
    });

    for (const host of ['impostor.example', 'a.example:1', '127.0.0.1', 'x']) {
      expect((await get(url, { headers: { Host: host } })).text).toBe('own');
    }
    expect(names).toEqual(Array(4).fill('localhost'));
    expect(backend.received[0]?.headers.host).toBe('impostor.example');
    expect(backend.connections).toBe(1);
  });

  it('is no impostor that has a certificate for the Host which the client sends', async () => {
    const backend = await startBackend(reply(200), { tls: impostorCertificate });
    const { url, proxy } = await startProxyWith({
      target: `https://localhost:${backend.port}`,
      ssl: { ca },
      retry: false,
    });

    const response = await get(url, { headers: { Host: 'impostor.example' } });

    expect(response.status).toBe(502);
    expect(backend.received).toEqual([]);
    expect(proxy.status().backends[0]?.lastError).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('may have the name of ssl.servername', async () => {
    const backend = await startBackend(reply(200, 'own'), { tls: impostorCertificate });
    const { url } = await startProxyWith({
      target: backend.url,
      ssl: { ca, servername: 'impostor.example' },
    });

    expect((await get(url)).text).toBe('own');
  });

  it('that speaks no TLS is a 502', async () => {
    const backend = await startBackend(reply(200));
    const target = backend.url.replace('http:', 'https:');
    const { url } = await startProxyWith({ target, retry: false });

    expect((await get(url)).status).toBe(502);
  });
});
