// The demo as `npm start` runs it: a process of its own, with the built package under its name.
import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { echo, startBackend } from './support/backend.js';
import { closeAfterTest } from './support/cleanup.js';
import { get, open } from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { once, until } from './support/wait.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** The package, built into a folder of its own: `dist` may be in use. */
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tiny-proxy-demo-'));
  const build = ['-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')];
  await promisify(execFile)(process.execPath, [TSC, ...build], { cwd: ROOT });
  for (const part of ['package.json', 'demo']) {
    await cp(join(ROOT, part), join(folder, part), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Starts the demo; on a free port, unless told otherwise. */
function start(args: string[] = [], port = '0') {
  const child = spawn(process.execPath, ['demo/main.js', ...args], {
    cwd: folder,
    env: { ...process.env, PORT: port },
  });
  const ended = once<[code: number | null, signal: string | null]>(child, 'exit', 14_000);
  ended.catch(() => {});
  closeAfterTest(() => child.kill('SIGKILL'));
  const said = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    said.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    said.err += chunk;
  });
  return { child, ended, said };
}

/** Starts it and waits until it says where it is. */
async function startDemo(args: string[] = []) {
  const demo = start(args);
  const { said } = demo;
  await until(() => said.out.includes('The log:') || said.err !== '', 'the demo to be up', 10_000);
  expect(said.err).toBe('');
  const url = /http:\/\/127\.0\.0\.1:\d+(?=\/api)/.exec(said.out)?.[0] ?? '';
  const intro = said.out;
  return {
    ...demo,
    url,
    intro,
    /** Tells backends what to do from now on. */
    tell: (which: string | number, state: string) =>
      get(`${url}/backends/${which}/${state}`, { method: 'POST' }),
    /** Sends a request to the proxy. */
    call: (method = 'GET') =>
      get(`${url}/api/hello`, { method, headers: { 'X-Request-ID': 'me' } }),
    /** The log line of the nth request to the proxy. */
    async line(nth = 1): Promise<string> {
      const lines = () => said.out.split('\n').filter((line) => line.includes(' me '));
      await until(() => lines().length >= nth, 'the log line');
      return lines()[nth - 1]!;
    },
  };
}

describe('the demo', () => {
  it('prints the commands to try, and each of them is answered', async () => {
    const { intro, url } = await startDemo();

    const commands = [...intro.matchAll(/curl [^;\n]*?(http:\/\/[\w.:/]+)/g)];
    expect(commands.length).toBeGreaterThanOrEqual(6);
    for (const [command, target] of commands) {
      expect(target?.startsWith(url)).toBe(true);
      const method = /-X POST| -d /.test(command) ? 'POST' : 'GET';
      expect((await get(target!, { method })).status).not.toBe(404);
    }
  });

  it('prints the log line of each request, with its hop', async () => {
    const { call, line } = await startDemo();

    const { status, text } = await call();

    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ backend: 1, url: '/hello', requestId: 'me' });
    expect(await line()).toMatch(
      /^127\.0\.0\.1 me GET \/api\/hello 200 \S+ [\d.]+ ms 127\.0\.0\.1:\d+=200\/[\d.]+ms$/,
    );
  });

  it.each([
    ['ok', 200, /=200\/[\d.]+ms$/],
    ['500', 500, /=500\/\S+=500\/\S+=500\/[\d.]+ms$/],
    ['refuse', 502, /=ECONNREFUSED\/\S+=ECONNREFUSED\/\S+=ECONNREFUSED\/[\d.]+ms$/],
    ['slow', 200, /=200\/2\d\d\d\.\dms$/],
    ['die', 200, /=ECONNRESET\/[\d.]+ms$/],
  ])('has backends that can be told to be %s', async (state, status, hops) => {
    const { tell, call, line, said } = await startDemo();

    const told = await tell('all', state);
    const answer = await call();

    expect(told.text).toBe(`backends now: 1 ${state}, 2 ${state}, 3 ${state}\n`);
    expect(said.out).toContain(`-- ${told.text}`);
    expect(answer).toMatchObject({ status, aborted: state === 'die' });
    expect(await line()).toMatch(hops);
  });

  it('has backends that can be told to hang, until the client leaves', async () => {
    const { tell, url, line } = await startDemo();
    await tell('all', 'hang');

    const { request } = open(`${url}/api/hello`, { headers: { 'X-Request-ID': 'me' } });
    await until(() => request.socket?.connecting === false);
    await get(`${url}/status`);
    request.destroy();

    expect(await line()).toMatch(/ me GET \/api\/hello 499 .*=CLIENT_GONE\//);
  });

  it('answers from the next backend when one fails, and that one can come back', async () => {
    const { tell, call, line } = await startDemo();
    await tell(1, 'refuse');

    const helped = JSON.parse((await call()).text);
    const [first, second] = (await line()).split(' ').at(-1)!.split(',');
    await tell(1, 'ok');
    const answering = new Set<number>();
    for (let i = 0; i < 6; i += 1) answering.add(JSON.parse((await call()).text).backend);

    expect(helped).toMatchObject({ attempt: 2 });
    expect(first).toContain('=ECONNREFUSED/');
    expect(second).toContain('=200/');
    expect([...answering].sort()).toEqual([1, 2, 3]);
  });

  it('opens a breaker at the fifth failure, in the log and in its status', async () => {
    const { tell, call, said, url } = await startDemo();
    await tell('all', '500');

    for (let i = 0; i < 5; i += 1) await call();
    const refused = await call();

    expect(refused.status).toBe(503);
    expect(said.out.match(/^.* break 127\.0\.0\.1:\d+ breaker open.*$/gm)).toHaveLength(3);
    const { backends } = JSON.parse((await get(`${url}/status`)).text);
    expect(backends[0]).toMatchObject({ breaker: 'open' });
  });

  it.each(['/backends/4/ok', '/backends/1/broken'])(
    'explains what %s should have been',
    async (path) => {
      const { url } = await startDemo();

      const response = await get(url + path, { method: 'POST' });

      expect(response.status).toBe(404);
      expect(response.text).toContain('ok, refuse, 500, hang, slow, die');
    },
  );
});

describe('the demo with URLs', () => {
  it('proxies to these backends, by their own name', async () => {
    const backends = await Promise.all([startBackend(echo()), startBackend(echo())]);
    const { url, intro, call, line } = await startDemo(backends.map((backend) => backend.url));

    await call();
    await call();

    for (const backend of backends) {
      expect(intro).toContain(backend.url);
      expect(backend.received[0]).toMatchObject({ url: '/hello', headers: { host: backend.host } });
    }
    expect(await line(2)).toMatch(/ me GET \/api\/hello 200 /);
    expect((await get(`${url}/backends/1/ok`, { method: 'POST' })).status).toBe(404);
  });

  it.each(['localhost:8081', 'ftp://10.0.0.1', ''])('says what is wrong with %p', async (bad) => {
    const { ended, said } = start([await refusedUrl(), bad]);

    expect(await ended).toEqual([1, null]);
    expect(said.err).toContain(`'${bad}'`);
    expect(said.err).toContain('http://127.0.0.1:8081');
    expect(said.out).toBe('');
  });
});

describe('PORT', () => {
  it.each(['abc', '70000'])('may not be %s', async (port) => {
    const { ended, said } = start([], port);

    expect(await ended).toEqual([1, null]);
    expect(said.err).toContain(port);
    expect(said.err).toContain('PORT=3100 npm start');
  });

  it('that is taken is said to be', async () => {
    const taken = await startBackend(echo());
    const { ended, said } = start([], String(taken.port));

    expect(await ended).toEqual([1, null]);
    expect(said.err).toContain(`${taken.port}: it is taken`);
  });
});

describe('Ctrl-C', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('(%s) ends the demo with code 0', async (signal) => {
    const { child, ended, call, said } = await startDemo();
    await call();

    child.kill(signal);

    expect(await ended).toEqual([0, null]);
    expect(said.err).toBe('');
  });

  it('waits for a request, cuts one that hangs after 2 s, and ends with code 0', async () => {
    const { child, ended, tell, url, line } = await startDemo();
    await tell('all', 'hang');
    const { request, response } = open(`${url}/api/hello`, { headers: { 'X-Request-ID': 'me' } });
    await until(() => request.socket?.connecting === false);
    await get(`${url}/status`);

    child.kill('SIGINT');

    await expect(response).rejects.toThrow();
    expect(await ended).toEqual([0, null]);
    expect(await line()).toContain(' me GET /api/hello ');
  });
});
