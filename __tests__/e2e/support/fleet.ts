// Replicas as processes of their own, with the built package, and load that is spread over them.
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ProxyStatus } from '../../../src/index.js';
import type { SharedBreakersStatus } from '../../../src/redis/index.js';
import { closeAfterTest } from '../../support/cleanup.js';
import { get } from '../../support/proxy.js';
import { once, until } from '../../support/wait.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** Builds the package into a folder of its own, `dist` may be in use; answers that folder. */
export async function buildReplica(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tiny-proxy-fleet-'));
  const build = ['-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')];
  await promisify(execFile)(process.execPath, [TSC, ...build], { cwd: ROOT });
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'));
  await cp(join(ROOT, '__tests__/e2e/support/replica.js'), join(folder, 'replica.js'));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Removes it. */
export const removeReplica = (folder: string): Promise<void> =>
  rm(folder, { recursive: true, force: true });

/** What a replica tells of itself. */
export interface Figures {
  status: ProxyStatus;
  shared: SharedBreakersStatus | null;
  changes: { event: string; target: string; at: number; reason?: string }[];
  troubles: string[];
}

/** One that runs. */
export interface FleetReplica {
  url: string;
  figures(): Promise<Figures>;
  /** SIGKILL. */
  kill(): void;
}

/** What it is started with. */
export interface ReplicaSettings {
  target: string[];
  cooldown: number;
  redisUrl: string | null;
}

/** Starts so many of them. */
export function startFleet(
  folder: string,
  count: number,
  settings: ReplicaSettings,
): Promise<FleetReplica[]> {
  return Promise.all(Array.from({ length: count }, () => startOne(folder, settings)));
}

async function startOne(folder: string, settings: ReplicaSettings): Promise<FleetReplica> {
  const child: ChildProcess = fork(join(folder, 'replica.js'), [JSON.stringify(settings)], {
    cwd: folder,
    execArgv: [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  closeAfterTest(() => child.kill('SIGKILL'));
  const [{ port }] = await once<[{ port: number }]>(child, 'message', 60_000);
  return {
    url: `http://127.0.0.1:${port}`,
    async figures() {
      child.send('figures');
      const [figures] = await once<[Figures]>(child, 'message');
      return figures;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

/** What has come of a load. */
export interface Load {
  sent: number;
  /** Statuses that are not 200, and errors. */
  failures: string[];
  /** The slowest, in milliseconds. */
  slowestMs: number;
  tookMs: number;
}

/** A machine that is too slow for the rate gets less, in place of a heap of requests. */
const MOST_OPEN = 16;

/** GETs at a steady rate to one replica after the other, for so long, or until it is over. */
export async function load(
  replicas: readonly FleetReplica[],
  perSecond: number,
  forMs: number,
  isOver = (): boolean => false,
): Promise<Load> {
  const agent = new Agent({ keepAlive: true });
  closeAfterTest(() => agent.destroy());
  const result: Load = { sent: 0, failures: [], slowestMs: 0, tookMs: 0 };
  let [answered, skipped] = [0, 0];
  const send = async (url: string): Promise<void> => {
    const begun = performance.now();
    try {
      const { status } = await get(url, { agent });
      if (status !== 200) result.failures.push(`status ${status}`);
    } catch (error) {
      result.failures.push(String(error));
    }
    result.slowestMs = Math.max(result.slowestMs, performance.now() - begun);
    answered += 1;
  };
  const begun = performance.now();
  const timer = setInterval(() => {
    const due = (Math.min(performance.now() - begun, forMs) / 1000) * perSecond;
    for (; result.sent + skipped < due; ) {
      if (result.sent - answered >= MOST_OPEN) skipped += 1;
      else void send(replicas[result.sent++ % replicas.length]!.url);
    }
  }, 5);
  await until(
    () => isOver() || performance.now() - begun >= forMs,
    'the end of the load',
    forMs + 5000,
  );
  clearInterval(timer);
  await until(() => answered === result.sent, 'the last answers', 60_000);
  result.tookMs = performance.now() - begun;
  return result;
}
