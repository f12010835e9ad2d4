// A real browser through the proxy: it opens page.html, and the page tells what it has seen.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it } from '@jest/globals';
import express from 'express';
import {
  byPath,
  type Controlled,
  echo,
  eventStream,
  type Handler,
  reply,
  startBackend,
} from '../support/backend.js';
import { sha256 } from '../support/bodies.js';
import { quietProxy, startProxy } from '../support/proxy.js';
import { memoryStream, until } from '../support/wait.js';
import { Program } from './support/program.js';
import { accept, greetAndEcho, WELCOME } from './support/websocket.js';

const PAGE = readFileSync(new URL('page.html', import.meta.url));
const MEGABYTE = Buffer.from(
  Uint8Array.from({ length: 2 ** 20 }, (_, i) => (i * 31 + (i >> 8)) & 255),
);
const MEGABYTE_SHA256 = sha256(MEGABYTE);
const BROWSER_LIMIT_MS = 25_000;

/** What the page asks for. */
function application(events: Controlled): Handler {
  const seen = (count: number): Handler => {
    return (_request, response) => {
      events.send(`id: ${count + 1}\ndata: event ${count + 1}\n\n`);
      response.writeHead(204).end();
    };
  };
  return byPath({
    '/': reply(200, PAGE, { 'Content-Type': 'text/html' }),
    '/favicon.ico': reply(404),
    '/orders/7?q=a%20b': echo(),
    '/upload': echo(),
    '/download': reply(200, MEGABYTE),
    '/compressed': reply(200, gzipSync('the document'), { 'Content-Encoding': 'gzip' }),
    '/range': (request, response, body) => {
      const asked = request.headers.range === 'bytes=2-4';
      const part = reply(206, '234', { 'Content-Range': 'bytes 2-4/10' });
      return (asked ? part : reply(200, '0123456789'))(request, response, body);
    },
    '/old': reply(302, '', { Location: '/new?from=old' }),
    '/new?from=old': reply(200, 'the new place'),
    '/login': reply(204, '', { 'Set-Cookie': ['secret=1; HttpOnly', 'open=2; Path=/'] }),
    '/cookies': (request, response) => {
      response.end(request.headers.cookie);
    },
    '/events': events.handler,
    '/seen/0': seen(0),
    '/seen/1': seen(1),
    '/seen/2': seen(2),
  });
}

/** Opens a page in a Chromium with a fresh profile. It runs as root and in a container as well. */
function browse(url: string): Program {
  const chromium = new Program('chromium');
  chromium.start([
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--no-proxy-server',
    '--disable-background-networking',
    '--disable-component-update',
    `--user-data-dir=${join(chromium.folder, 'profile')}`,
    url,
  ]);
  return chromium;
}

/** What the page should see. */
function expectedResults(host: string) {
  return {
    get: {
      status: 200,
      id: 'browser-1',
      arrived: expect.objectContaining({
        method: 'GET',
        url: '/orders/7?q=a%20b',
        headers: expect.objectContaining({ 'x-request-id': 'browser-1', host }),
      }),
    },
    upload: {
      sent: MEGABYTE_SHA256,
      arrived: expect.objectContaining({
        body: { length: MEGABYTE.length, sha256: MEGABYTE_SHA256 },
      }),
    },
    download: MEGABYTE_SHA256,
    compressed: 'the document',
    range: { status: 206, range: 'bytes 2-4/10', text: '234' },
    redirect: { redirected: true, path: '/new?from=old', text: 'the new place' },
    cookies: { seen: 'open=2', sent: 'secret=1; open=2' },
    events: [1, 2, 3].map((id) => [String(id), `event ${id}`]),
    websocket: {
      protocol: 'chat',
      received: [WELCOME, 'grüße', MEGABYTE_SHA256],
      code: 4321,
      reason: 'enough',
      wasClean: true,
    },
  };
}

it('Chromium gets by the proxy all that it asks for', async () => {
  const events = eventStream();
  const backend = await startBackend(application(events));
  const { accepted } = accept(backend.server, greetAndEcho);
  const log = memoryStream();
  let results: unknown;
  const proxy = quietProxy({ target: backend.url, log: { stream: log } });
  const { url, server } = await startProxy((app) => {
    app.post('/results', express.json(), (request, response) => {
      results = request.body;
      response.sendStatus(204);
    });
    app.use(proxy);
  });
  server.on('upgrade', proxy.upgrade);

  const chromium = browse(url);
  const over = (): boolean => results !== undefined || !chromium.running;
  await until(over, 'the results of the page', BROWSER_LIMIT_MS).catch(() => {});
  if (results === undefined) {
    throw new Error(`no results; the proxy: ${log.lines.join('\n')}\nChromium: ${chromium.output}`);
  }

  expect(results).toEqual(expectedResults(url.slice('http://'.length)));
  expect(accepted.map(({ url: path }) => path)).toEqual(['/socket?room=7']);
  expect(await accepted[0]?.closed()).toEqual({ code: 4321, reason: 'enough' });
  await until(() => events.open === 0, 'the application to hear that the stream was closed');
  expect(backend.received.every(({ headers }) => headers['x-forwarded-for'] === '127.0.0.1')).toBe(
    true,
  );
}, 30_000);
