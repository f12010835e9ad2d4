// The line of a request: what it says in each format.
import { describe, expect, it } from '@jest/globals';
import type { TinyProxyOptions } from '../src/index.js';
import { controlled, dieInBody, hang, reply, startBackend } from './support/backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get, open, readBody, startProxyWith } from './support/proxy.js';
import { refusedPort } from './support/raw.js';
import { until } from './support/wait.js';

const MS = '\\d+\\.\\d{3}';

/** One backend behind a proxy with a log of this format. */
async function logged(
  handler = reply(200, 'well', { 'X-Colour': 'red' }),
  captureLog: string = 'text',
  options: Partial<TinyProxyOptions> = {},
) {
  const backend = await startBackend(handler);
  const running = await startProxyWith({ target: backend.url, ...options }, { captureLog });
  const line = async (): Promise<string> => {
    await until(() => running.log.length > 0);
    return running.log[0]!;
  };
  return { ...running, backend, line };
}

/** Sends a request and leaves once the backend has it. */
async function leave(url: string, arrived: () => boolean): Promise<void> {
  const { request } = open(url, { headers: { 'X-Request-ID': 'night-1' } });
  await until(arrived);
  request.destroy();
}

describe('a text line', () => {
  it('has address, id, method, url, status, length, time and hops', async () => {
    const { url, backend, line } = await logged();

    await get(`${url}/orders/7?a=b`, { method: 'PUT', headers: { 'X-Request-ID': 'night-1' } });

    const hop = `${backend.host}=200/\\d+\\.\\dms`;
    const pattern = `^127\\.0\\.0\\.1 night-1 PUT /orders/7\\?a=b 200 4 ${MS} ms ${hop}$`;
    expect(await line()).toMatch(new RegExp(pattern));
  });

  it('tells every hop, in order, with a code where there was no status', async () => {
    const port = await refusedPort();
    const well = await startBackend(reply(200, 'well'));
    const { url, log } = await startProxyWith(
      { target: [`http://127.0.0.1:${port}`, well.url] },
      { captureLog: 'text' },
    );

    await get(url);

    await until(() => log.length > 0);
    const hops = `127.0.0.1:${port}=ECONNREFUSED/\\d+\\.\\dms,${well.host}=200/\\d+\\.\\dms`;
    expect(log[0]).toMatch(new RegExp(` 200 4 ${MS} ms ${hops}$`));
  });

  it('has a dash for what is not there', async () => {
    const body = controlled();
    const { url, proxy, backend, log } = await logged(body.handler, 'text', { trace: false });

    const answer = get(url);
    await until(() => body.open === 1);
    body.end();
    await answer;
    proxy.drain(backend.url);
    await get(url, { method: 'HEAD' });

    await until(() => log.length === 2);
    expect(log[0]).toMatch(new RegExp(`^127\\.0\\.0\\.1 - GET / 200 - ${MS} ms ${backend.host}=`));
    expect(log[1]).toMatch(new RegExp(`^127\\.0\\.0\\.1 - HEAD / 503 \\d+ ${MS} ms -$`));
  });

  it.each([
    ['text', /^203\.0\.113\.7 \S+ GET \/api\/a 200 /],
    ['json', /"remoteAddr":"203\.0\.113\.7","method":"GET","url":"\/api\/a"/],
  ])("(or a %s one) has the app's client, and the url as the app got it", async (format, line) => {
    const backend = await startBackend(reply(200));
    const { url, log } = await startProxyWith(
      { target: backend.url, pathRewrite: { '^/a': '/b' } },
      { captureLog: format, trustProxy: true, mount: '/api' },
    );

    await get(`${url}/api/a`, { headers: { 'X-Forwarded-For': '203.0.113.7' } });

    await until(() => log.length > 0);
    expect(log[0]).toMatch(line);
    expect(backend.received[0]?.url).toBe('/b');
  });
});

describe('a JSON line', () => {
  it('is an object of these keys and types, and nothing else', async () => {
    const { url, backend, line } = await logged(reply(200, 'well'), 'json');
    const before = Date.now();

    await get(`${url}/orders/7?a=b`, { headers: { 'X-Request-ID': 'night-1' } });

    const entry = JSON.parse(await line());
    expect(entry).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      requestId: 'night-1',
      remoteAddr: '127.0.0.1',
      method: 'GET',
      url: '/orders/7?a=b',
      status: 200,
      bytes: 4,
      ms: expect.any(Number),
      hops: [{ attempt: 1, backend: backend.host, outcome: 200, ms: expect.any(Number) }],
      noRetry: '-',
    });
    expect(Date.parse(entry.time)).toBeGreaterThanOrEqual(before);
  });

  it('says why there was no further attempt', async () => {
    const { url, log } = await logged(reply(500), 'json');

    await get(url, { method: 'POST' });

    expect(await requestLine(log)).toMatchObject({ status: 500, noRetry: 'method' });
  });

  it('counts the bytes of a chunked body, and times it to its end, a hop to its head', async () => {
    const body = controlled();
    const { url, log } = await logged(body.handler, 'json');

    const incoming = await open(url).response;
    const headAt = performance.now();
    body.send('12345');
    await until(() => performance.now() - headAt > 40);
    body.end();
    await readBody(incoming);

    const { bytes, ms, hops } = await requestLine(log);
    expect(bytes).toBe(5);
    expect(ms - hops[0]!.ms).toBeGreaterThanOrEqual(40);
  });
});

describe('a format of morgan', () => {
  it('may use every token of ours', async () => {
    const format =
      ':request-id|:backend|:attempts|:upstream-time|:no-retry|:hops|:status|:res[x-colour]';
    const { url, backend, line } = await logged(undefined, format);

    await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    const hop = `${backend.host}=200/\\d+\\.\\dms`;
    expect(await line()).toMatch(
      new RegExp(`^night-1\\|${backend.host}\\|1\\|${MS}\\|-\\|${hop}\\|200\\|red$`),
    );
  });

  it('has dashes where nothing was tried', async () => {
    const format = ':backend :attempts :upstream-time :no-retry :hops';
    const { url, proxy, backend, line } = await logged(undefined, format);
    proxy.drain(backend.url);

    await get(url);

    expect(await line()).toBe('- 0 - - -');
  });

  it('names the last backend, and why it was the last', async () => {
    const { url, backend, line } = await logged(reply(500), ':backend :attempts :no-retry');

    await get(url);

    expect(await line()).toBe(`${backend.host} 3 attempts`);
  });

  it('may be one that morgan knows by its name', async () => {
    const { url, line } = await logged(undefined, 'tiny');

    await get(`${url}/a`);

    expect(await line()).toMatch(new RegExp(`^GET /a 200 4 - ${MS} ms$`));
  });
});

describe('the status of a client that left', () => {
  it('before a head is 499, and its hop is CLIENT_GONE', async () => {
    const { url, backend, line } = await logged(hang());

    await leave(url, () => backend.started === 1);

    const hop = `${backend.host}=CLIENT_GONE/\\d+\\.\\dms`;
    expect(await line()).toMatch(new RegExp(`^127\\.0\\.0\\.1 night-1 GET / 499 - - ms ${hop}$`));
  });

  it('is 499 in JSON too, with the reason for no retry', async () => {
    const { url, backend, log } = await logged(hang(), 'json');

    await leave(url, () => backend.started === 1);

    const line = await requestLine(log);
    expect(line).toMatchObject({ status: 499, bytes: 0, noRetry: 'client-gone' });
    expect(outcomes(line)).toEqual(['CLIENT_GONE']);
  });

  it("is - for morgan's own :status, which is not redefined", async () => {
    const { url, backend, line } = await logged(hang(), ':status');

    await leave(url, () => backend.started === 1);

    expect(await line()).toBe('-');
  });

  it('after the head stays what it was', async () => {
    const body = controlled();
    const { url, log } = await logged(body.handler, 'json');

    const { request, response } = open(url);
    await response;
    request.destroy();

    const line = await requestLine(log);
    expect(line.status).toBe(200);
    expect(outcomes(line)).toEqual(['CLIENT_GONE']);
  });
});

describe('a body that breaks', () => {
  it("leaves the status, and turns its hop's outcome into the code", async () => {
    const { url, log } = await logged(dieInBody(1000), 'json');

    await get(url);

    const line = await requestLine(log);
    expect(line).toMatchObject({ status: 200, noRetry: 'committed', bytes: 1000 });
    expect(outcomes(line)).toEqual(['ECONNRESET']);
  });
});
