// What else is in the log: breakers that change, bugs of the user's. And what never gets into it.
import { describe, expect, it } from '@jest/globals';
import type { TinyProxyOptions } from '../src/index.js';
import { failTimes, reply, startBackend } from './support/backend.js';
import { get, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { sendRaw } from './support/raw.js';
import { memoryStream, until } from './support/wait.js';

const FORMATS = ['text', 'json', ':method :url :status'];
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** Two failures that open the breaker, then a probe that closes it; the log's lines about it. */
async function tripAndRecover(captureLog: string) {
  const backend = await startBackend(failTimes(2, reply(200)));
  const { url, proxy, log } = await startProxyWith(
    { target: backend.url, retry: false, breaker: { failures: 2, cooldown: 1 } },
    { captureLog },
  );
  const path = '/of-a-request';
  for (let i = 0; i < 2; i += 1) await get(url + path);
  await until(() => proxy.status().backends[0]?.breaker === 'half-open');
  await get(url + path);
  await until(() => log.filter((line) => line.includes(path)).length === 3);
  return { backend, notices: log.filter((line) => !line.includes(path)) };
}

describe('each change of a breaker', () => {
  it.each(['text', ':method :url'])('is one line of a log in the format %s', async (format) => {
    const { backend, notices } = await tripAndRecover(format);

    expect(notices).toEqual([
      expect.stringMatching(new RegExp(` break ${backend.host} .*open after 2 failures`)),
      expect.stringMatching(new RegExp(` half-open ${backend.host} `)),
      expect.stringMatching(new RegExp(` reset ${backend.host} .*closed`)),
    ]);
  });

  it('is one object in a JSON log', async () => {
    const { backend, notices } = await tripAndRecover('json');

    const entry = (event: string) => ({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      event,
      backend: backend.host,
      message: expect.any(String),
    });
    expect(notices.map((line) => JSON.parse(line))).toEqual([
      entry('break'),
      entry('half-open'),
      entry('reset'),
    ]);
  });
});

const fault = new Error('the hook is broken');
function broken(): never {
  throw fault;
}

describe('a bug of the user’s is a line of its own', () => {
  it.each<[hook: string, code: string, options: Partial<TinyProxyOptions>]>([
    ['director', 'HOOK_FAILED', { director: broken }],
    ['modifyResponse', 'HOOK_FAILED', { modifyResponse: broken }],
    ['isFailure', 'HOOK_FAILED', { isFailure: broken }],
    ['retry.replayable', 'HOOK_FAILED', { retry: { replayable: broken } }],
    ['trace.generate', 'HOOK_FAILED', { trace: { generate: broken, trust: false } }],
    ['pathFilter', 'HOOK_FAILED', { pathFilter: broken }],
    ['pathRewrite', 'HOOK_FAILED', { pathRewrite: broken }],
    ['on.proxyReq', 'HOOK_FAILED', { on: { proxyReq: broken } }],
    ['on.proxyRes', 'HOOK_FAILED', { on: { proxyRes: broken } }],
    ['on.start', 'HOOK_FAILED', { on: { start: broken } }],
    ['balance', 'BALANCE_FAILED', { balance: broken }],
  ])('that names %s, %s and the cause', async (hook, code, options) => {
    const backend = await startBackend(reply(200));
    const { url, log } = await startProxyWith(
      { target: backend.url, ...options },
      { captureLog: 'json' },
    );

    const response = await get(url);

    await until(() => log.length === 2);
    const notice = log.map((line) => JSON.parse(line)).find(({ event }) => event !== undefined);
    expect(JSON.parse(response.text)).toMatchObject({ status: 500, code });
    expect(notice).toMatchObject({ event: code, message: expect.stringContaining(`${hook} `) });
    expect(notice.message).toContain('the hook is broken');
    expect(response.text).not.toContain('broken');
  });

  it('with the id of its request, in text too', async () => {
    const backend = await startBackend(reply(200));
    const options = { target: backend.url, director: broken };
    const { url, log } = await startProxyWith(options, { captureLog: 'text' });

    await get(url, { headers: { 'X-Request-ID': 'night-1' } });

    await until(() => log.length === 2);
    expect(log[0]).toMatch(/ HOOK_FAILED night-1 director .*the hook is broken$/);
    expect(log[1]).toMatch(/ night-1 GET \/ 500 /);
  });

  it('that says which parser to move, for a body that cannot be sent again', async () => {
    const backend = await startBackend(reply(200));
    const stream = memoryStream();
    const { url } = await startProxy((app) => {
      app.use((req, _res, next) => void req.on('end', next).resume());
      app.use(quietProxy({ target: backend.url, log: { stream } }));
    });
    const type = 'multipart/form-data; boundary=7';

    const response = await get(url, {
      method: 'POST',
      headers: { 'Content-Type': type },
      body: '--7--',
    });

    await until(() => stream.lines.length === 2);
    expect(JSON.parse(response.text)).toMatchObject({ status: 500, code: 'BODY_CONSUMED' });
    expect(stream.lines[0]).toMatch(/ BODY_CONSUMED .*multipart\/form-data.* parser /);
  });
});

describe('no control character or line break gets into the log', () => {
  /** All that was written, chunk by chunk, while the requests ran. */
  async function written(
    format: string,
    requests: string[],
    options: Partial<TinyProxyOptions> = {},
  ) {
    const chunks: string[] = [];
    const stream = { write: (line: string) => void chunks.push(line) };
    const backend = await startBackend(reply(200));
    const log = { format, stream };
    const { port } = await startProxyWith({ target: backend.url, ...options, log });
    for (const [i, bytes] of requests.entries()) {
      await sendRaw(port, bytes);
      await until(() => chunks.length > i);
    }
    return chunks;
  }

  function expectCleanLines(chunks: string[]): void {
    for (const chunk of chunks) {
      expect(chunk.endsWith('\n')).toBe(true);
      expect(chunk.slice(0, -1)).not.toMatch(CONTROL);
    }
  }

  it.each([...FORMATS, 'combined'])('from a path (%s), which stays encoded', async (format) => {
    const chunks = await written(format, [
      'GET /a%0ab%0d%1b[2J?x=%0a%00 HTTP/1.1\r\nHost: x\r\n\r\n',
    ]);

    expectCleanLines(chunks);
    expect(chunks).toEqual([expect.stringContaining('/a%0ab%0d%1b[2J?x=%0a%00')]);
  });

  it.each(FORMATS)('from a request id (%s), a Host or a forwarded address', async (format) => {
    const evil = 'a\x9b31m\x85\tb';
    const fields = ['X-Request-ID', 'X-Forwarded-For', 'X-Forwarded-Host', 'Host'];
    const head = fields.map((name) => `${name}: ${evil}\r\n`).join('');

    const chunks = await written(format, [`GET / HTTP/1.1\r\n${head}\r\n`], { trace: false });

    expectCleanLines(chunks);
  });

  it('from the headers that a format names', async () => {
    const credentials = Buffer.from('us\ner\u001b:secret').toString('base64');
    const evil = 'a\x9b31m\x85\t\xe9"b';
    const format = ':remote-user :referrer :user-agent :req[x-evil] :req[cookie]';
    const head = ['Referer', 'User-Agent', 'X-Evil', 'Cookie']
      .map((name) => `${name}: ${evil}\r\n`)
      .join('');

    const chunks = await written(format, [
      `GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${credentials}\r\n${head}\r\n`,
    ]);

    expectCleanLines(chunks);
    expect(chunks).toHaveLength(1);
    expect(chunks[0]).toContain('us\\ner');
  });

  it.each(FORMATS)("from the message of a user's error (%s)", async (format) => {
    const director = () => {
      throw new Error('one\ntwo\r\n\u001b[31mthree\u2028four\u0085');
    };

    const chunks = await written(format, ['GET / HTTP/1.1\r\nHost: x\r\n\r\n'], { director });
    await until(() => chunks.length === 2);

    expectCleanLines(chunks);
    expect(chunks[0]).toMatch(/one.*two.*three.*four/);
  });

  it.each(FORMATS)('from the type of a body that was consumed (%s)', async (format) => {
    const chunks: string[] = [];
    const stream = { write: (line: string) => void chunks.push(line) };
    const backend = await startBackend(reply(200));
    const { port } = await startProxy((app) => {
      app.use((req, _res, next) => void req.on('end', next).resume());
      app.use(quietProxy({ target: backend.url, log: { format, stream } }));
    });

    await sendRaw(
      port,
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\t\x85\x9b\r\nContent-Length: 1\r\n\r\nx',
    );
    await until(() => chunks.length === 2);

    expectCleanLines(chunks);
  });
});
