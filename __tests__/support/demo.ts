// The demo as `npm start` runs it: a process of its own, with the built package under its name.
import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { DemoState, LogLine, NewLines } from '../../demo/page/feed.js';
import { closeAfterTest } from './cleanup.js';
import { get, open } from './client.js';
import { once, until } from './wait.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = 'src/status-page/page';
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** The package, built into a folder of its own: `dist` may be in use. */
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tiny-proxy-demo-'));
  const build = ['-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')];
  await promisify(execFile)(process.execPath, [TSC, ...build], { cwd: ROOT });
  // As the build does.
  await cp(join(ROOT, PAGE), join(folder, 'dist/status-page/page'), { recursive: true });
  for (const part of ['package.json', 'demo']) {
    await cp(join(ROOT, part), join(folder, part), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Starts the demo; on a free port, unless told otherwise. */
export function start(args: string[] = [], port = '0') {
  const child = spawn(process.execPath, ['demo/main.js', ...args], {
    cwd: folder,
    env: { ...process.env, PORT: port },
  });
  const ended = once<[code: number | null, signal: string | null]>(child, 'exit', 120_000);
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
export async function startDemo(args: string[] = []) {
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
    /** Asks for one of its switches. */
    post: (path: string) => get(`${url}/${path}`, { method: 'POST' }),
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

/** What its page would hear by now. */
export interface Heard {
  /** The newest. */
  state: DemoState;
  lines: LogLine[];
  ended: boolean;
  /** Leaves, as a page that is closed. */
  leave(): void;
}

/** Listens to the demo as its page does, and has heard its state. */
export async function listen(url: string): Promise<Heard> {
  const { request, response } = open(`${url}/feed`);
  const leave = () => void request.destroy();
  const heard = { lines: [], ended: false, leave } as Partial<Heard> as Heard;
  const stream = (await response).setEncoding('utf8');
  let unread = '';
  stream.on('data', (chunk: string) => {
    const messages = (unread + chunk).split('\n\n');
    unread = messages.pop()!;
    for (const message of messages) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(message) ?? [];
      if (event === 'state') heard.state = JSON.parse(data!) as DemoState;
      if (event !== 'lines') continue;
      const { all, lines } = JSON.parse(data!) as NewLines;
      heard.lines = all ? lines : [...heard.lines, ...lines];
    }
  });
  stream.on('end', () => {
    heard.ended = true;
  });
  stream.on('error', () => {}); // its own leaving
  await until(() => heard.state !== undefined, 'the state of the demo');
  return heard;
}
