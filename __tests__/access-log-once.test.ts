// There is one line a request: when, whose, and for which requests there is none.
import { runInThisContext } from 'node:vm';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { accessLog, type LogOptions, requestId } from '../src/index.js';
import {
  type Handler,
  heldUntil,
  reply,
  resetConnection,
  startBackend,
} from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { gate, memoryStream, until } from './support/wait.js';

/** One backend behind a proxy with a text log. */
async function logged(handler: Handler) {
  const { url: target } = await startBackend(handler);
  return startProxyWith({ target, retry: false }, { captureLog: 'text' });
}

describe('there is one line of the log', () => {
  it('only when the response has ended', async () => {
    const held = gate();
    const { url, log } = await logged(heldUntil(held.opened, reply(200)));

    const answer = get(url);
    await get(`${url}/favicon.ico`, { method: 'TRACE' });
    await until(() => log.length === 1);
    held.open();
    await answer;

    await until(() => log.length === 2);
    expect(log[0]).toContain(' TRACE /favicon.ico 405 ');
    expect(log[1]).toContain(' GET / 200 ');
  });

  it('and no complaint, for a request that a middleware has answered before it came on', async () => {
    const stream = memoryStream();
    const backend = await startBackend(reply(200));
    const { url } = await startProxy((app) => {
      app.use((_req, res, next) => {
        res.send('theirs');
        next();
      });
      app.use(quietProxy({ target: backend.url, log: { format: ':url :status', stream } }));
    });

    expect((await get(url)).text).toBe('theirs');

    await until(() => stream.lines.some((line) => line.startsWith('/')));
    expect(stream.lines).toEqual(['/ 200']);
    expect(backend.started).toBe(0);
  });

  it('for a request that the proxy answers itself', async () => {
    const { url, log } = await logged(resetConnection());

    await get(url);

    await until(() => log.length > 0);
    expect(log[0]).toMatch(/ GET \/ 502 \d+ .*=ECONNRESET\/\d+\.\dms$/);
  });

  it('not for what pathFilter passes on', async () => {
    const stream = memoryStream();
    const backend = await startBackend(reply(200));
    const options = { target: backend.url, pathFilter: '/ours', log: { stream } };
    const { url } = await startProxy((app) =>
      app.use(quietProxy(options)).use((_req, res) => res.send('theirs')),
    );

    expect((await get(`${url}/theirs`)).text).toBe('theirs');
    await get(`${url}/ours`);

    await until(() => stream.lines.length > 0);
    expect(stream.lines).toEqual([expect.stringContaining(' GET /ours 200 ')]);
  });

  it('not two, where an app-wide accessLog() records the request already', async () => {
    const [ours, apps] = [memoryStream(), memoryStream()];
    const backend = await startBackend(reply(500));
    const { url } = await startProxy((app) => {
      app.use(requestId(), accessLog('text', { stream: apps }));
      app.use('/api', quietProxy({ target: backend.url, log: { stream: ours }, breaker: false }));
      app.use((_req, res) => res.send('not proxied'));
    });

    await get(`${url}/other`, { headers: { 'X-Request-ID': 'night-1' } });
    await get(`${url}/api`, { headers: { 'X-Request-ID': 'night-2' } });

    await until(() => apps.lines.length === 2);
    expect(apps.lines[0]).toMatch(/^127.0.0.1 night-1 GET \/other 200 11 \d+\.\d+ ms -$/);
    expect(apps.lines[1]).toMatch(/ night-2 GET \/api 500 .*=500\/.*=500\/.*=500\//);
    expect(ours.lines).toEqual([]);
  });

  it('of the proxy that has taken the request, where there are two in an app', async () => {
    const streams = [memoryStream(), memoryStream()];
    const backend = await startBackend(reply(200));
    const { url } = await startProxy((app) => {
      for (const [i, stream] of streams.entries())
        app.use(`/${i}`, quietProxy({ target: backend.url, log: { format: ':url', stream } }));
    });

    await get(`${url}/0`);
    await get(`${url}/1`);

    await until(() => streams[1]!.lines.length > 0);
    expect(streams.map(({ lines }) => lines)).toEqual([['/0'], ['/1']]);
  });

  it('not for what skip leaves out, which sees request and response', async () => {
    const stream = memoryStream();
    const skip: LogOptions['skip'] = (req, res) => req.url === '/health' && res.statusCode === 200;
    const backend = await startBackend(reply(200));
    const { url } = await startProxyWith({ target: backend.url, log: { stream, skip } });

    await get(`${url}/health`);
    await get(`${url}/other`);

    await until(() => stream.lines.length > 0);
    expect(stream.lines).toEqual([expect.stringContaining(' /other 200 ')]);
  });
});

// A test's own `process` is jest's copy.
const realProcess = runInThisContext('process') as NodeJS.Process;

describe('standard output, the default', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  /** As another module of the process would see it. */
  async function toStandardOutput(handler = reply(200)) {
    const written: string[] = [];
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written.push(String(text));
      return true;
    });
    const backend = await startBackend(handler);
    return { written, backend, ...(await startProxyWith({ target: backend.url, log: 'text' })) };
  }

  it('gets the lines of one turn of the event loop in one write, whole and in order', async () => {
    const held = gate();
    const { written, backend, url, proxy } = await toStandardOutput(
      heldUntil(held.opened, reply(200)),
    );
    const ends: string[] = [];
    proxy.events.on('done', ({ requestId }) => void ends.push(requestId));
    const ids = Array.from({ length: 50 }, (_, i) => `night-${i}`);

    const answers = ids.map((id) => get(url, { headers: { 'X-Request-ID': id } }));
    await until(() => backend.started === 50);
    held.open();
    await Promise.all(answers);

    await until(() => written.join('').split('\n').length === 51);
    const lines = written.join('').trimEnd().split('\n');
    expect(lines.map((line) => / (night-\d+) GET \/ 200 .*=200\/\d/.exec(line)?.[1])).toEqual(ends);
    expect(written.length).toBeLessThan(50);
  });

  it('that throws harms nobody, and gets the next lines', async () => {
    const { written, url } = await toStandardOutput();
    jest.mocked(process.stdout.write).mockImplementationOnce(() => {
      throw new Error('disk full');
    });
    const warnings: string[] = [];
    const hear = ({ message }: Error) => void warnings.push(message);
    realProcess.on('warning', hear);

    await get(url);
    await until(() => warnings.length > 0);
    await get(url, { headers: { 'X-Request-ID': 'night-2' } });
    await until(() => written.length > 0);

    realProcess.off('warning', hear);
    expect(warnings).toEqual(['standard output threw: Error: disk full']);
    expect(written.join('')).toMatch(/^\S+ night-2 GET \/ 200 .*\n$/);
  });

  it('has the last lines before the process is gone', async () => {
    const { written, url, proxy } = await toStandardOutput();
    const done = new Promise<string>((resolve) => {
      proxy.events.once('done', () => {
        const before = written.length;
        process.emit('exit', 0); // as process.exit() does, in this very turn
        resolve(`${before} ${written.join('')}`);
      });
    });

    await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    expect(await done).toMatch(/^0 \S+ night-1 GET \/ 200 .*\n$/);
    expect(written).toHaveLength(1);
  });
});
