import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import express, { type Response } from 'express';
import { fixRequestBody } from 'http-proxy-middleware';
import type { TinyProxyOptions } from '../src/index.js';
import {
  closeConnection,
  dieInBody,
  failTimes,
  hang,
  reply,
  startBackend,
} from './support/backend.js';
import { get, open, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { until } from './support/wait.js';

type On = NonNullable<TinyProxyOptions['on']>;

const RETRY = { attempts: 3, backoff: { initialDelay: 1, maxDelay: 1 } };

/** Notes which hooks have run, in their order. */
function diary(): { heard: string[]; on: On } {
  const heard: string[] = [];
  const note = (name: string) => (): void => {
    heard.push(name);
  };
  const names = ['start', 'proxyReq', 'proxyRes', 'end', 'error'] as const;
  return { heard, on: Object.fromEntries(names.map((name) => [name, note(name)])) as On };
}

describe('the hooks of `on`', () => {
  it('run for every attempt, or for the response that is passed on', async () => {
    const { heard, on } = diary();
    const backend = await startBackend(failTimes(2, reply(200, 'ok')));
    const { url } = await startProxyWith({ target: backend.url, retry: RETRY, on });

    expect((await get(url)).text).toBe('ok');

    const attempt = ['start', 'proxyReq'];
    expect(heard).toEqual([...attempt, ...attempt, ...attempt, 'proxyRes', 'end']);
  });

  it('hear of an error once, when the exchange has failed', async () => {
    const { heard, on } = diary();
    const backend = await startBackend(closeConnection());
    const { url } = await startProxyWith({ target: backend.url, retry: RETRY, on });

    expect((await get(url)).status).toBe(502);
    expect(backend.received).toHaveLength(3);
    expect(heard.filter((name) => name !== 'start' && name !== 'proxyReq')).toEqual(['error']);
  });

  it('hear of no error when a failed response is passed on, or the client leaves', async () => {
    const { heard, on } = diary();
    const backend = await startBackend(reply(500));
    const { url, proxy } = await startProxyWith({ target: backend.url, retry: RETRY, on });

    expect((await get(url)).status).toBe(500);
    backend.answerWith(hang());
    const { request } = open(url);
    await until(() => backend.received.length === 4);
    request.destroy();
    await until(() => proxy.status().inFlight === 0);

    expect(heard).not.toContain('error');
  });

  it('hear of a body that breaks, and of no end', async () => {
    const { heard, on } = diary();
    const backend = await startBackend(dieInBody(10));
    const { url } = await startProxyWith({ target: backend.url, on });

    expect((await get(url)).aborted).toBe(true);
    expect(heard).toEqual(['start', 'proxyReq', 'proxyRes', 'error']);
  });

  it('are given the request and the response of the app', async () => {
    const given: unknown[] = [];
    const backend = await startBackend(reply(200));
    const { url } = await startProxy((app) => {
      app.use((req, res, next) => {
        res.locals.app = true;
        given.push(req, res);
        next();
      });
      const note = (...both: unknown[]): void => {
        given.push(...both);
      };
      const on: On = {
        start: (...[req, res]) => note(req, res),
        proxyReq: (...[, req, res]) => note(req, res),
        proxyRes: (...[, req, res]) => note(req, res),
        end: (...[req, res]) => note(req, res),
      };
      app.use(quietProxy({ target: backend.url, on }));
    });

    await get(url);

    await until(() => given.length === 10);
    expect(given.every((each, i) => each === given[i % 2])).toBe(true);
  });
});

describe('on.error', () => {
  it('gets the cause, the request, the response and the target', async () => {
    const heard: { code: unknown; url: unknown; target: unknown }[] = [];
    const target = await refusedUrl();
    const { url } = await startProxyWith({
      target,
      retry: false,
      on: {
        error: (error, req, _res, to) =>
          heard.push({
            code: (error as NodeJS.ErrnoException).code,
            url: (req as IncomingMessage).url,
            target: String((to as URL).origin),
          }),
      },
    });

    expect((await get(`${url}/x`)).status).toBe(502);
    expect(heard).toEqual([{ code: 'ECONNREFUSED', url: '/x', target }]);
  });

  it('that ends the response has answered', async () => {
    const target = await refusedUrl();
    const { url } = await startProxyWith({
      target,
      retry: false,
      on: {
        error: (_error, _req, res) => {
          (res as Response).status(503).send('back soon');
        },
      },
    });

    const response = await get(url);

    expect(response).toMatchObject({ status: 503, text: 'back soon' });
    expect(response.headers['content-type']).toContain('text/html');
  });
});

describe('on.econnreset', () => {
  it('hears that the client has left', async () => {
    const heard: unknown[] = [];
    const backend = await startBackend(hang());
    const { url } = await startProxyWith({
      target: backend.url,
      on: { econnreset: (_error, req) => heard.push((req as IncomingMessage).url) },
    });
    const { request } = open(`${url}/x`);
    await until(() => backend.received.length === 1);

    request.destroy();

    await until(() => heard.length > 0);
    expect(heard[0]).toBe('/x');
  });
});

describe('on.proxyReq', () => {
  it('can set and remove headers', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({
      target: backend.url,
      on: {
        proxyReq(proxyReq, req) {
          proxyReq.setHeader('X-Set', req.method ?? '');
          proxyReq.removeHeader('X-Client');
        },
      },
    });

    await get(url, { headers: { 'X-Client': '1' } });

    expect(backend.received[0]?.headers['x-set']).toBe('GET');
    expect(backend.received[0]?.headers).not.toHaveProperty('x-client');
  });

  it.each([
    ['a request without a body', 'GET', undefined],
    ['a request with one', 'POST', 'the client’s'],
  ])('cannot add to the body of %s', async (_name, method, body) => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({
      target: backend.url,
      on: {
        proxyReq(proxyReq) {
          proxyReq.setHeader('Content-Length', 4);
          proxyReq.write('evil');
          proxyReq.end('evil');
        },
      },
    });

    const response = await get(url, { method, ...(body !== undefined && { body }) });

    expect(response.status).toBe(200);
    expect(backend.received.map((received) => received.body.toString())).toEqual([body ?? '']);
  });

  it('may be fixRequestBody, which does no harm', async () => {
    const backend = await startBackend(reply(200));
    const { url } = await startProxy((app) => {
      app.use(express.json());
      app.use(quietProxy({ target: backend.url, on: { proxyReq: fixRequestBody } }));
    });
    const headers = { 'Content-Type': 'application/json' };

    for (let i = 0; i < 2; i += 1) {
      await get(url, { method: 'POST', headers, body: '{ "a": "\u00e9" }' });
    }

    for (const received of backend.received) {
      expect(received.body.toString()).toBe('{"a":"\u00e9"}');
      expect(received.headers['content-length']).toBe('10');
    }
    expect(backend.received).toHaveLength(2);
  });
});

describe('on.proxyRes', () => {
  it('can change the status and the headers of the response', async () => {
    const backend = await startBackend(reply(200, 'ok', { 'X-Removed': '1' }));
    const { url } = await startProxyWith({
      target: backend.url,
      on: {
        proxyRes(proxyRes, _req, res) {
          proxyRes.statusCode = 203;
          proxyRes.headers['x-added'] = 'foo';
          delete proxyRes.headers['x-removed'];
          res.setHeader('X-App', '1');
        },
      },
    });

    const response = await get(url);

    expect(response).toMatchObject({ status: 203, text: 'ok' });
    expect(response.headers).toMatchObject({ 'x-added': 'foo', 'x-app': '1' });
    expect(response.headers).not.toHaveProperty('x-removed');
  });

  it('can answer by itself, and then has answered', async () => {
    const backend = await startBackend(reply(401, 'who are you?'));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      on: {
        proxyRes(proxyRes, _req, res) {
          if (proxyRes.statusCode === 401) (res as Response).redirect('/login');
        },
      },
    });

    const response = await get(url);

    expect(response).toMatchObject({ status: 302, headers: { location: '/login' } });
    await until(() => proxy.status().inFlight === 0);
    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
  });
});
