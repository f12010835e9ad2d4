import type { ClientRequest } from 'node:http';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import type { NextFunction, Request, Response } from 'express';
import type { TinyProxyOptions } from '../src/index.js';
import { echo, startBackend } from './support/backend.js';
import { pseudoRandom } from './support/bodies.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';

type Middleware = (req: Request, res: Response, next: NextFunction) => void;

const SIZE = 300_000;

describe('a body that a middleware in front listens to as well', () => {
  const listeners: [string, Middleware][] = [
    ['by a data listener', (req, _res, next) => next(void req.on('data', () => {}))],
    ['by resume()', (req, _res, next) => next(void req.resume())],
    ['by pipe()', (req, _res, next) => next(void req.pipe(new PassThrough().resume()))],
  ];
  const framings = ['chunked', 'content-length'];

  it.each(
    listeners.flatMap(([name, middleware]) =>
      framings.map((framing) => [name, framing, middleware] as const),
    ),
  )('reaches the backend whole: %s, %s', async (_name, framing, middleware) => {
    const backend = await startBackend(echo());
    const { url } = await startProxy((app) =>
      app.use(middleware, quietProxy({ target: backend.url })),
    );
    const { stream, sha256 } = pseudoRandom(SIZE);
    const headers = framing === 'chunked' ? {} : { 'Content-Length': SIZE };

    const { text } = await get(url, { method: 'POST', headers, body: stream() });
    expect(JSON.parse(text).body).toEqual({ length: SIZE, sha256 });
  });

  it.each<[string, Middleware]>([
    ['by setEncoding()', (req, _res, next) => next(void req.setEncoding('utf8'))],
    ['by a readable listener', (req, _res, next) => next(void req.on('readable', () => {}))],
  ])('is refused where its bytes cannot be had: %s', async (_name, middleware) => {
    const backend = await startBackend(echo());
    const { url } = await startProxy((app) =>
      app.use(middleware, quietProxy({ target: backend.url })),
    );

    const { status, text } = await get(url, { method: 'PUT', body: 'hello' });
    expect([status, JSON.parse(text).code]).toEqual([500, 'BODY_CONSUMED']);
    expect(backend.started).toBe(0);
  });
});

describe('a hook that reads the upload as well', () => {
  it.each<[string, Partial<TinyProxyOptions>]>([
    ['director', { director: (_outgoing, req) => void req.on('data', () => {}) }],
    ['on.start', { on: { start: (req) => void req.on('data', () => {}) } }],
    ['on.proxyReq', { on: { proxyReq: (_proxyReq, req) => void req.on('data', () => {}) } }],
  ])('leaves it whole: %s', async (_name, options) => {
    const backend = await startBackend(echo());
    const { url } = await startProxyWith({ target: backend.url, ...options });
    const { stream, sha256 } = pseudoRandom(SIZE);

    const { text } = await get(url, { method: 'PUT', body: stream() });
    expect(JSON.parse(text).body).toEqual({ length: SIZE, sha256 });
  });
});

describe('an on.proxyReq that meddles with the head', () => {
  it.each<[string, (proxyReq: ClientRequest) => void]>([
    ['flushHeaders()', (proxyReq) => proxyReq.flushHeaders()],
    ['a Trailer', (proxyReq) => void proxyReq.setHeader('Trailer', 'X')],
  ])('does not end the process: %s', async (_name, proxyReq) => {
    const backend = await startBackend(echo());
    const { url } = await startProxyWith({ target: backend.url, on: { proxyReq } });

    expect((await get(url)).status).toBe(200);
    expect((await get(url, { method: 'PUT', body: 'x' })).status).toBe(200);
  });
});
