// The field that announces a request's body, where it is not in `req.headers`.
import { describe, expect, it } from '@jest/globals';
import express, { type RequestHandler } from 'express';
import { type Backend, reply, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { sendRaw } from './support/raw.js';

/** People do that around their own rewriting of bodies. */
const without =
  (...names: string[]): RequestHandler =>
  (req, _res, next) => {
    for (const name of names) delete req.headers[name];
    next();
  };
const unframed = without('content-length', 'transfer-encoding');

async function startBehind(
  ...middleware: RequestHandler[]
): Promise<{ url: string; port: number; backend: Backend }> {
  const backend = await startBackend(reply(200));
  const { url, port } = await startProxy((app) => {
    app.use(...middleware, quietProxy({ target: backend.url }));
  });
  return { url, port, backend };
}

const chunked = (method: string): string =>
  `${method} / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
const measured = (method: string): string =>
  `${method} / HTTP/1.1\r\nHost: x\r\nCONTENT-length: 5\r\n\r\nhello`;

describe('a middleware that deletes the framing field', () => {
  it.each(['GET', 'POST', 'PUT', 'DELETE', 'PATCH'])(
    'leaves the body whole: %s',
    async (method) => {
      const { port, backend } = await startBehind(unframed);

      for (const request of [measured(method), chunked(method)]) {
        expect((await sendRaw(port, request)).status).toBe(200);
      }
      const [byLength, byChunks] = backend.received;
      expect([String(byLength?.body), byLength?.headers['content-length']]).toEqual(['hello', '5']);
      expect(String(byChunks?.body)).toBe('hello');
      expect(byChunks?.headers).toMatchObject({ 'transfer-encoding': 'chunked' });
    },
  );

  it('leaves the body whole that a parser has read', async () => {
    const { url, backend } = await startBehind(express.json(), unframed);
    const headers = { 'Content-Type': 'application/json' };

    await get(url, { method: 'POST', body: '{"a": 1}', headers });
    const [{ body, headers: sent } = { body: '', headers: {} }] = backend.received;
    expect([String(body), sent['content-length']]).toEqual(['{"a":1}', '7']);
  });

  it.each(['GET', 'POST', 'HEAD'])('gives no body to a %s without one', async (method) => {
    const { url, backend } = await startBehind(unframed);

    expect((await get(url, { method })).status).toBe(200);
    const { body, headers } = backend.received[0]!;
    expect([body.length, headers['transfer-encoding']]).toEqual([0, undefined]);
    expect(headers['content-length'] ?? '0').toBe('0');
  });

  it('does not hide a coding that is not taken', async () => {
    const { port, backend } = await startBehind(unframed);

    const coded = chunked('POST').replace('Chunked', 'gzip, chunked');
    expect((await sendRaw(port, coded)).status).toBe(400);
    expect(backend.started).toBe(0);
  });
});

describe('a server with a maxHeadersCount of its own', () => {
  const fields = (count: number): string =>
    Array.from({ length: count }, (_, i) => `A${i}: 1\r\n`).join('');

  async function startLimited(
    maxHeadersCount: number,
  ): Promise<{ port: number; backend: Backend }> {
    const backend = await startBackend(reply(200));
    const { port, server } = await startProxyWith({ target: backend.url });
    server.maxHeadersCount = maxHeadersCount;
    return { port, backend };
  }
  const upload = (others: number): string =>
    `POST / HTTP/1.1\r\nHost: x\r\n${fields(others)}Content-Length: 5\r\n\r\nhello`;

  it.each([10, 50, 64, 100])(
    'refuses so many fields, for it may have dropped some: %i',
    async (most) => {
      const { port, backend } = await startLimited(most);

      expect((await sendRaw(port, upload(most - 2))).status).toBe(431);
      expect((await sendRaw(port, upload(most + 60))).status).toBe(431);
      expect(backend.started).toBe(0);
      expect((await sendRaw(port, upload(most - 3))).status).toBe(200);
      expect(String(backend.received[0]?.body)).toBe('hello');
    },
  );

  it.each([0, 5000])('has 1000 as its limit with %i', async (most) => {
    const { port, backend } = await startLimited(most);

    expect((await sendRaw(port, upload(900))).status).toBe(200);
    expect((await sendRaw(port, upload(998))).status).toBe(431);
    expect(backend.received.map(({ body }) => String(body))).toEqual(['hello']);
  });
});
