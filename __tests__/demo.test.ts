// The demo at the terminal, as `npm start` runs it.
import { describe, expect, it } from '@jest/globals';
import { echo, startBackend } from './support/backend.js';
import { start, startDemo } from './support/demo.js';
import { get, open } from './support/proxy.js';
import { refusedUrl } from './support/raw.js';
import { until, within } from './support/wait.js';

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

  it.each(['127.0.0.1', 'localhost', '0.0.0.0', '127.1', '[::ffff:127.0.0.1]'])(
    'is not put before itself, at %s',
    async (host) => {
      const { port } = new URL(await refusedUrl());
      const own = `http://${host}:${port}/api`;

      const { ended, said } = start([await refusedUrl(), own], port);

      expect(await within(ended, 'the end of the demo')).toEqual([1, null]);
      expect(said.err).toContain(`'${own}' is this demo itself`);
      expect(said.err).toContain('PORT=3100 npm start');
      expect(said.out).toBe('');
    },
  );

  it.each(['127.0.0.2', '[::1]', 'nobody.invalid'])(
    'may be put before %s at the same port',
    async (host) => {
      const { port } = new URL(await refusedUrl());

      const { said } = start([`http://${host}:${port}`], port);

      await until(() => said.out.includes('The log:') || said.err !== '', 'the demo to be up');
      expect(said.err).toBe('');
    },
  );

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
