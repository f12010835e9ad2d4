// Who may see the status page: nobody but those who are let in, and no error lets anybody in.
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInThisContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import express from 'express';
import { isFromLoopback } from '../src/status-page/access.js';
import type { AccessFunction } from '../src/status-page/index.js';
import { reply, startBackend } from './support/backend.js';
import { closeAfterTest } from './support/cleanup.js';
import { type ClientInit, get, quietProxy, startProxy } from './support/proxy.js';
import { sendRaw } from './support/raw.js';
import { pageOf, startPage } from './support/status-page.js';
import { wordless } from './support/unshowable.js';
import { delivery, once } from './support/wait.js';

const TARGET = 'http://10.0.0.1:8081';
const ALL = ['', 'main.js', 'style.css', 'status.json', 'events', 'drain', 'undrain'];
// A test's own `process` is jest's copy.
const realProcess = runInThisContext('process') as NodeJS.Process;

/** The warnings of the process until the test is over. */
function hearWarnings(): (Error & { code?: string })[] {
  const heard: Error[] = [];
  const listener = (warning: Error) => heard.push(warning);
  realProcess.on('warning', listener);
  closeAfterTest(() => realProcess.off('warning', listener));
  return heard;
}

const accessOf = (access: unknown) =>
  startPage({ target: TARGET }, { access: access as AccessFunction, actions: true });

describe('who is refused', () => {
  it.each(ALL)('gets 403 for %p, and no hint of what is there', async (file) => {
    const { at } = await accessOf(() => false);

    const methods = file.endsWith('drain') ? ['POST'] : ['GET', 'HEAD', 'POST', 'OPTIONS'];
    for (const method of methods) {
      const { status, text, headers } = await get(at + file, { method });
      expect([status, text]).toEqual([403, method === 'HEAD' ? '' : 'Forbidden\n']);
      expect(headers['content-type']).toBe('text/plain; charset=utf-8');
      expect(headers.allow).toBeUndefined();
    }
  });

  it('gets 403, not the way to the page', async () => {
    const { url } = await accessOf(() => false);

    const { status, headers } = await get(`${url}/_proxy`);

    expect([status, headers.location]).toEqual([403, undefined]);
  });
});

describe('an access function', () => {
  it('is given the request, with what middlewares have put on it', async () => {
    const access: AccessFunction = (req) => req.headers.authorization === 'Bearer right';
    const { at } = await accessOf(access);

    const asked = (authorization: string) =>
      get(`${at}status.json`, { headers: { authorization } });

    expect((await asked('Bearer right')).status).toBe(200);
    expect((await asked('Bearer wrong')).status).toBe(403);
  });

  it('may answer later', async () => {
    const { at } = await accessOf(async (req: { url: string }) => {
      await delivery();
      return req.url.includes('open');
    });

    expect((await get(`${at}?open`)).status).toBe(200);
    expect((await get(at)).status).toBe(403);
  });

  it.each<[string, unknown, string]>([
    [
      'throws',
      () => {
        throw new Error('no session');
      },
      'threw Error: no session',
    ],
    [
      'throws an error whose words cannot be told',
      () => {
        throw wordless();
      },
      'threw what cannot be told',
    ],
    [
      'throws what is no error',
      () => {
        throw { user: 'alice' };
      },
      'threw object',
    ],
    [
      'rejects',
      async () => {
        throw new Error('no session');
      },
      'threw Error: no session',
    ],
    ['answers nothing', () => undefined, 'must answer true or false, got undefined'],
    ['answers what is only like true', () => ({ user: 'alice' }), 'got object'],
    ['promises what is only like true', async () => 'yes', 'got string'],
    [
      'answers a thenable of such',
      // biome-ignore lint/suspicious/noThenProperty: this is what the case is about
      () => ({ then: (f: (v: number) => void) => f(1) }),
      'got number',
    ],
  ])('that %s lets nobody in, and warns once', async (_what, access, message) => {
    const warnings = hearWarnings();
    const { at } = await accessOf(access);

    for (const file of ['', 'status.json', 'events']) {
      expect([file, (await get(at + file)).status]).toEqual([file, 403]);
    }
    await delivery();

    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatchObject({ name: 'TinyProxyWarning', code: 'TINY_PROXY_ACCESS' });
    expect(warnings[0]?.message).toContain(message);
    expect(warnings[0]?.message).not.toContain('alice');
  });
});

describe("access: 'loopback'", () => {
  const asked = async (init: ClientInit): Promise<number> => {
    const { at } = await startPage({ target: TARGET });
    return (await get(`${at}status.json`, init)).status;
  };

  it.each(['127.0.0.1', 'localhost:80', 'LOCALHOST', 'a.localhost:1', '[::1]:8080', '127.9.8.7'])(
    'lets in who calls it %s',
    async (host) => {
      expect(await asked({ headers: { Host: host } })).toBe(200);
    },
  );

  it('lets in another address of this machine', async () => {
    expect(await asked({ localAddress: '127.0.0.2' })).toBe(200);
  });

  it.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    '[::2]',
    'xlocalhost',
    'localhost@evil',
  ])('refuses who calls it %s: a name that was made to point here', async (host) => {
    expect(await asked({ headers: { Host: host } })).toBe(403);
  });

  it.each([
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'X-Forwarded-Anything',
    'Forwarded',
    'Via',
    'X-Real-IP',
    'X_Forwarded_For',
    'X-Original-Forwarded-For',
    'X-Client-IP',
    'CF-Connecting-IP',
    'True-Client-IP',
  ])('refuses what bears %s: it came through a proxy', async (name) => {
    expect(await asked({ headers: { [name]: '127.0.0.1' } })).toBe(403);
  });

  it("refuses HTTP/1.0, as nginx speaks it, with the page's own Host", async () => {
    const { port } = await startPage({ target: TARGET });
    const head = `Host: 127.0.0.1:${port}\r\n\r\n`;

    const old = await sendRaw(port, `GET /_proxy/ HTTP/1.0\r\n${head}`);
    const own = await sendRaw(port, `GET /_proxy/ HTTP/1.1\r\n${head}`);

    expect([old.status, own.status]).toEqual([403, 200]);
  });

  it('refuses another instance of the proxy in front', async () => {
    const { url } = await startPage({ target: TARGET });
    const front = await startProxy((app) =>
      app.use(quietProxy({ target: url, changeOrigin: true })),
    );

    expect((await get(`${front.url}/_proxy/`)).status).toBe(403);
  });

  it('never looks at `trust proxy`', async () => {
    const { at } = await startPage({ target: TARGET }, {}, (app) => app.set('trust proxy', true));

    const { status } = await get(at, { headers: { 'X-Forwarded-For': '127.0.0.1' } });

    expect(status).toBe(403);
  });

  it('refuses who comes by a Unix socket: nobody knows who that is', async () => {
    const { url: target } = await startBackend(reply(200));
    const app = express().use('/_proxy', pageOf(quietProxy({ target })));
    const socketPath = join(tmpdir(), `status-page-${process.pid}.sock`);
    const server = createServer(app).listen(socketPath);
    closeAfterTest(() => server.close());
    await once(server, 'listening');

    const [response] = await once<[IncomingMessage]>(
      httpRequest({ socketPath, path: '/_proxy/', headers: { Host: 'localhost' } }).end(),
      'response',
    );
    response.resume();

    expect(response.statusCode).toBe(403);
  });

  it.each([
    ['127.0.0.1', true],
    ['127.255.3.4', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['10.0.0.1', false],
    ['1127.0.0.1', false],
    ['::ffff:10.0.0.1', false],
    ['::11', false],
    ['fe80::1', false],
    ['', false],
  ])('of the peer %p it thinks %p', (remoteAddress, expected) => {
    const request = {
      socket: { remoteAddress },
      headers: { host: 'localhost' },
      httpVersion: '1.1',
    };

    expect(isFromLoopback(request as never)).toBe(expected);
  });
});
