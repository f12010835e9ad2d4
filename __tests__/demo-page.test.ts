// What the demo's page stands on: what is served, what it hears, and what its switches do.
import { describe, expect, it } from '@jest/globals';
import { echo, startBackend } from './support/backend.js';
import { listen, startDemo } from './support/demo.js';
import { get, open, readBody } from './support/proxy.js';
import { timePasses, until } from './support/wait.js';

/** In this time the demo hears that a page has left, and sends two GETs at the least while on. */
const LEAVE_MS = 600;

const loaded = (lines: { text: string }[]) =>
  lines.filter(({ text }) => text.includes(' load-')).length;

describe('the page of the demo', () => {
  it('is served with all its parts, and a policy that allows nothing else', async () => {
    const { url, intro } = await startDemo();

    const page = await get(`${url}/`);

    expect(intro).toContain(`${url}/\n`);
    expect(page).toMatchObject({
      status: 200,
      headers: {
        'content-type': expect.stringContaining('text/html'),
        'content-security-policy': expect.stringMatching(
          /^default-src 'none'; script-src 'self'; style-src 'self';/,
        ),
      },
    });
    expect(page.text).not.toMatch(/https?:|\son\w+=|<style|style=/);
    const parts = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
    expect(parts.length).toBeGreaterThan(4);
    for (const part of parts) {
      expect([part, (await get(new URL(part, `${url}/`).href)).status]).toEqual([part, 200]);
    }
  });

  it('hears the lines that the terminal prints, old ones first', async () => {
    const { url, call, said, post } = await startDemo();
    await post('load/pause');
    await call();
    await until(() => said.out.includes(' me '));

    const heard = await listen(url);
    await call('POST');

    await until(() => heard.lines.length === 2, 'the second line');
    const printed = said.out.split('\n').filter((line) => line.includes(' me '));
    expect(heard.lines.map(({ text }) => text)).toEqual(printed);
  });

  it('hears why a failure was not retried', async () => {
    const { url, call, tell, post } = await startDemo();
    await post('load/pause');
    const heard = await listen(url);
    await tell('all', '500');

    await call('POST');
    await call('GET');

    await until(() => heard.lines.length === 3, 'both lines');
    expect(heard.lines.map(({ noRetry }) => noRetry)).toEqual([null, 'method', 'attempts']);
  });

  it('hears of a breaker that opens, how long it stays so, and of its probe', async () => {
    const { url, tell, post } = await startDemo();
    await post('load/20');
    const heard = await listen(url);
    const second = () => heard.state.backends[1]!;

    await tell(2, '500');

    await until(() => second().breaker === 'open', 'the breaker to open');
    expect(second()).toMatchObject({ number: 2, told: '500', failuresInARow: 5, probe: null });
    expect(second().probeIn).toBeGreaterThan(5);
    expect(second().probeIn).toBeLessThanOrEqual(10);
    expect(second().recent).toMatch(/^o*x{5}$/);
    await until(() => second().probe === 'failed', 'the first probe', 12_000);
    expect(second().breaker).toBe('open');
  }, 20_000);
});

describe('the steady load', () => {
  it('runs while a page is open, and no longer', async () => {
    const { url, said, post } = await startDemo();
    await post('load/20');
    expect(said.out).not.toContain(' load-');
    const one = await listen(url);
    const other = await listen(url);

    await until(() => loaded(one.lines) >= 2 && loaded(other.lines) >= 2, 'the load');
    one.leave();
    await timePasses(LEAVE_MS);
    const soFar = loaded(other.lines);
    await until(() => loaded(other.lines) > soFar, 'the load for the other page');
    other.leave();
    await timePasses(LEAVE_MS);
    const sent = said.out.length;
    await timePasses(LEAVE_MS);
    expect(said.out).toHaveLength(sent);
  });

  it('can be paused, and run on at another rate', async () => {
    const { url, post } = await startDemo();
    const heard = await listen(url);
    await until(() => loaded(heard.lines) >= 1, 'the load');

    expect((await post('load/pause')).text).toBe('load now: 4 a second, paused\n');
    await until(() => heard.state.load.paused, 'the pause');
    expect(heard.state.load).toEqual({ perSecond: 4, paused: true });
    await timePasses(LEAVE_MS);
    const lines = heard.lines.length;
    await timePasses(LEAVE_MS);
    expect(heard.lines).toHaveLength(lines);
    expect((await post('load/20')).text).toBe('load now: 20 a second, paused\n');
    const paused = loaded(heard.lines);
    const begun = performance.now();
    await post('load/run');

    await until(() => loaded(heard.lines) >= paused + 20, 'twenty more');
    expect(performance.now() - begun).toBeLessThan(4000);
  });
});

describe('the buttons', () => {
  it('send a GET and a POST, and tell what came of them', async () => {
    const { said, post, tell } = await startDemo();

    const well = JSON.parse((await post('send/get')).text);
    await tell('all', '500');
    const failed = JSON.parse((await post('send/post')).text);
    await tell('all', 'die');
    const cut = JSON.parse((await post('send/get')).text);

    expect(well).toMatchObject({ id: 'get-1', method: 'GET', status: 200, problem: null });
    expect(failed).toMatchObject({ id: 'post-1', method: 'POST', status: 500, problem: null });
    expect(cut).toMatchObject({ id: 'get-2', status: 200, problem: 'cut in mid-body' });
    expect(said.out).toMatch(/ post-1 POST \/api\/orders 500 \S+ \S+ ms [^,]+$/m);
  });

  it('send a burst of 100, and tell what came of each', async () => {
    const { said, post } = await startDemo();

    const { id, outcomes } = JSON.parse((await post('send/burst')).text);

    expect([id, outcomes]).toEqual(['burst-1', { 200: 100 }]);
    await until(() => said.out.split(' burst-1.').length === 101, 'their lines');
  });

  it('send no more than 400 at once', async () => {
    const { post, tell } = await startDemo();
    await tell('all', 'hang');

    const bursts = Array.from({ length: 4 }, () => post('send/burst'));
    const late = await post('send/burst');

    expect(late.text).toBe('null');
    await Promise.all(bursts);
  }, 20_000);

  it.each(['load/fast', 'send/delete', 'load/5'])(
    'explain what %s should have been',
    async (path) => {
      const { post } = await startDemo();

      const { status, text } = await post(path);

      expect(status).toBe(404);
      expect(text).toMatch(/^POST \/\w+\/WHAT\nWHAT: /);
    },
  );

  it('are for pages of this machine only', async () => {
    const { url, said } = await startDemo();
    const strangers = [
      { Origin: 'https://evil.example' },
      { Origin: 'null' },
      { Host: 'evil.example:3000' },
    ];

    for (const headers of strangers) {
      for (const path of ['backends/1/500', 'load/run', 'send/burst']) {
        expect((await get(`${url}/${path}`, { method: 'POST', headers })).status).toBe(403);
      }
      for (const path of ['feed', 'api/hello']) {
        const { status } = await get(`${url}/${path}`, { headers: { Host: 'evil.example' } });
        expect([path, status]).toEqual([path, 403]);
      }
    }

    expect(said.out).not.toContain('backends now');
    const own = { Origin: url };
    expect((await get(`${url}/load/run`, { method: 'POST', headers: own })).status).toBe(200);
  });
});

it('a backend that is drained on the status page is shown to be', async () => {
  const { url } = await startDemo();
  const heard = await listen(url);
  const { proxies } = JSON.parse((await get(`${url}/_proxy/status.json`)).text);
  const backend = encodeURIComponent(proxies[0].backends[0].url);

  const path = `drain?proxy=${proxies[0].name}&backend=${backend}`;
  const headers = { 'Sec-Fetch-Site': 'same-origin', 'X-Status-Page-Action': 'drain' };
  const { status } = await get(`${url}/_proxy/${path}`, { method: 'POST', headers });

  expect(status).toBe(204);
  await until(() => heard.state.backends[0]!.drained, 'the drain');
  expect(heard.state.backends[1]!.drained).toBe(false);
});

describe('the tour', () => {
  it('marks what the proxy has done, and no click', async () => {
    const { url, post, tell, call } = await startDemo();
    await post('load/pause');
    const heard = await listen(url);

    await tell(1, 'refuse');
    await post('load/1');
    await until(() => heard.state.load.perSecond === 1, 'the state of later');
    expect(heard.state.seen).toEqual({});

    await call('GET');
    await until(() => heard.state.seen.helped !== undefined, 'the first goal');
    expect(Object.keys(heard.state.seen)).toEqual(['helped']);
    expect(heard.state.seen.helped).toBe('me: backend 1 ECONNREFUSED, then backend 2 200');

    await post('tour/again');
    await until(() => Object.keys(heard.state.seen).length === 0, 'the tour to begin again');
  });
});

describe('the page before backends of your own', () => {
  it('sends them nothing unasked, and has no switches for them', async () => {
    const backend = await startBackend(echo());
    const { url, said, post } = await startDemo([backend.url]);
    const heard = await listen(url);

    expect(heard.state).toMatchObject({
      backends: [{ number: 1, name: backend.host, told: null }],
      load: { paused: true },
    });
    expect((await post('backends/1/500')).status).toBe(404);
    expect((await post('tour/again')).status).toBe(404);
    expect(backend.received).toEqual([]);

    await post('load/run');
    await until(() => backend.received.length >= 2, 'the load that was asked for');
    expect(said.out).toMatch(/ load-1 GET \/api\/ 200 /);
  });
});

describe('Ctrl-C', () => {
  it('ends the stream of an open page and the load, whatever the backends do', async () => {
    const { url, child, ended, said, tell } = await startDemo();
    const heard = await listen(url);
    const { response } = open(`${url}/_proxy/events`);
    const statusPage = await response;
    await tell('all', 'hang');
    await until(() => heard.state.requests > 3, 'the load');
    const begun = performance.now();

    child.kill('SIGINT');

    expect(await ended).toEqual([0, null]);
    expect(heard.ended).toBe(true);
    await readBody(statusPage);
    expect(statusPage.complete).toBe(true);
    expect(said.err).toBe('');
    // Nothing of the demo's own waits for the 2 s that requests in flight have.
    expect(performance.now() - begun).toBeLessThan(1500);
  });
});
