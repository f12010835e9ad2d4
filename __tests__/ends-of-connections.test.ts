// What a backend does with its connection around a response: ends, early answers, heads in parts.
import {
  createServer as createHttpsServer,
  Agent as HttpsAgent,
  get as httpsGet,
} from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import express from 'express';
import { startBackend } from './support/backend.js';
import { localhostCertificate } from './support/certificates.js';
import { closeAfterTest } from './support/cleanup.js';
import { get, quietProxy, startProxyWith } from './support/proxy.js';
import { sendRaw, startRawBackend } from './support/raw.js';
import { once } from './support/wait.js';

describe('a backend that closes right behind a long body', () => {
  // TLS in front makes a proxy wait for its clients, however fast they are.
  it.each([
    ['as it has said', 'Connection: close\r\n'],
    ['without a word', ''],
  ])('%s has failed nobody', async (_how, field) => {
    const backend = await startRawBackend((socket) => {
      socket.on('error', () => {});
      socket.once('data', (head: Buffer) => {
        const size = Number(/\/(\d+)/.exec(head.toString('latin1'))?.[1]);
        socket.end(`HTTP/1.1 200 OK\r\n${field}Content-Length: ${size}\r\n\r\n${'a'.repeat(size)}`);
      });
    });
    // A connection may be used again as it ends: no failure, but an attempt.
    const proxy = quietProxy({ target: backend.url, retry: { attempts: 9 }, breaker: false });
    const server = createHttpsServer(localhostCertificate, express().use(proxy)).listen(0);
    await once(server, 'listening');
    const agent = new HttpsAgent({ keepAlive: true, maxSockets: 8, rejectUnauthorized: false });
    closeAfterTest(() => {
      agent.destroy();
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;

    const sizes = Array.from({ length: 80 }, (_, i) => 10_000 + i * 2500);
    const read = await Promise.all(
      sizes.map(
        (size) =>
          new Promise<number>((resolve, reject) => {
            httpsGet({ port, agent, path: `/${size}` }, (response) => {
              let bytes = 0;
              response.on('data', (chunk: Buffer) => {
                bytes += chunk.length;
              });
              response.on('close', () => resolve(response.complete ? bytes : -1));
            }).on('error', reject);
          }),
      ),
    );

    expect(read).toEqual(sizes);
    expect(proxy.status().backends).toMatchObject([{ failures: 0, inFlight: 0 }]);
  });
});

describe('a head that comes behind an informational one', () => {
  const HINT = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n';

  it.each<[string, string[], string]>([
    ['in parts', [`${HINT}HTTP/1.1 200 OK\r\nContent-`, 'Length: 2\r\n\r\nok'], 'ok'],
    ['in parts of a line', [`${HINT}HTTP/1`, '.1 200 OK\r\nContent-Length: 2\r\n\r\nok'], 'ok'],
    ['whole, its body not', [`${HINT}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n`, 'H'], 'H'],
    [
      'with a body that looks like one',
      [`${HINT}HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n`, 'HTTP/1.1 100 Continue\r\n\r\nok'],
      'HTTP/1.1 100 Continue\r\n\r\nok',
    ],
  ])('is heard: %s', async (_how, parts, body) => {
    const backend = await startRawBackend((socket) => {
      socket.setNoDelay(true);
      socket.on('data', async () => {
        for (const part of parts) {
          socket.write(part);
          await new Promise((passed) => setTimeout(passed, 30)); // a packet of its own
        }
      });
    });
    const { url, proxy } = await startProxyWith({ target: backend.url, retry: false });

    expect(await get(url)).toMatchObject({ status: 200, text: body });
    expect(proxy.status().backends).toMatchObject([{ failures: 0 }]);
  });

  it('keeps its reason, byte for byte', async () => {
    const backend = await startRawBackend(
      Buffer.from(`${HINT}HTTP/1.1 200 Ol\xe9\r\nContent-Length: 2\r\n\r\nok`, 'latin1'),
    );
    const { port } = await startProxyWith({ target: backend.url, retry: false });

    const { responses } = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');

    expect(responses.at(-1)).toMatchObject({ status: 200, reason: 'Ol\xe9' });
  });
});

describe('an answer before the whole of a parsed body is sent', () => {
  it('leaves a connection that nobody else waits behind', async () => {
    const backend = await startRawBackend((socket) => {
      socket.on('error', () => {});
      socket.once('data', (first: Buffer) => {
        const isPost = first.toString('latin1').startsWith('POST');
        socket.write(`HTTP/1.1 ${isPost ? '413 Long' : '200 OK'}\r\nContent-Length: 1\r\n\r\nx`);
        if (isPost) socket.pause();
      });
    });
    const app = express().use(express.raw({ limit: '32mb', type: () => true }));
    const { url } = await startProxyWith(
      { target: backend.url, retry: false, attemptTimeout: 3000 },
      { app },
    );

    const body = Buffer.alloc(20_000_000);
    expect((await get(url, { method: 'POST', body })).status).toBe(413);
    expect((await get(url)).status).toBe(200);
  });
});

describe('a connection whose response was refused by its head', () => {
  it('carries nobody else’s request', async () => {
    const backend = await startBackend((request, response) => {
      if (request.url === '/bad') {
        response.socket?.write(
          'HTTP/1.1 200 OK\r\nServer: a\r\nServer: b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
        );
      } else response.end('x');
    });
    const { url } = await startProxyWith({ target: backend.url, retry: false, breaker: false });

    for (let round = 0; round < 20; round += 1) {
      const paths = Array.from({ length: 20 }, (_, i) => (i % 2 ? '/bad' : '/good'));
      const answers = await Promise.all(paths.map((path) => get(url + path, { method: 'POST' })));
      expect(answers.map(({ status }) => status)).toEqual(
        paths.map((p) => (p === '/bad' ? 502 : 200)),
      );
    }
  });
});
