// Programs of the system (nginx, redis-server, chromium, ...), each with a folder of its own. Whatever a test
// does, program and folder are gone after it, with all the processes that the program has started.
import { type ChildProcess, spawn } from 'node:child_process';
import { once as nextEvent } from 'node:events';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { accepts } from '../../support/accepts.js';
import { closeAfterTest } from '../../support/cleanup.js';
import { until } from '../../support/wait.js';

const INSTALL = 'apt-get install nginx haproxy chromium prometheus dnsmasq-base redis-server';
/** Debian keeps servers out of the PATH of those who are not root. */
const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

/** @throws an Error that tells how to install it. */
function pathOf(program: string): string {
  for (const folder of FOLDERS) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {} // not here
  }
  throw new Error(`${program} is not installed, and npm run e2e needs it: ${INSTALL}`);
}

/** A program that may be started and killed, again and again. */
export class Program {
  /** For its configuration and all that it writes. */
  readonly folder: string;
  /** What it has said, on standard output and standard error. */
  output = '';
  readonly #name: string;
  readonly #path: string;
  #child: ChildProcess | undefined;

  constructor(name: string) {
    this.#name = name;
    this.#path = pathOf(name);
    this.folder = mkdtempSync(join(tmpdir(), `tiny-proxy-e2e-${name}-`));
    closeAfterTest(async () => {
      await this.kill();
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
    });
  }

  /** Whether it has been started, and still runs. */
  get running(): boolean {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /**
   * Starts it. `setpriv` has the kernel kill it when this process is killed, whose own cleaning up
   * would not come to pass. It leads a process group, so that `kill` reaches its children too.
   */
  start(args: string[]): void {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', this.#path, ...args], {
      cwd: this.folder,
      detached: true,
      env: { ...process.env, HOME: this.folder, TINY_PROXY_E2E: this.folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.on('error', (error) => {
      this.output += `${error}\n`;
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk;
      });
    }
    this.#child = child;
  }

  /** Kills it and its children (SIGKILL), and waits until none of them is left. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid !== undefined) {
      const exited = this.running ? nextEvent(child, 'exit') : undefined;
      send('SIGKILL', -child.pid);
      await exited;
    }
    // Those that have left the group; a process that is just being born may need a second look.
    await until(
      () => {
        const left = processesOf(this.folder);
        for (const pid of left) send('SIGKILL', pid);
        return left.length === 0;
      },
      `the end of all processes of ${this.#name}`,
      1500,
    );
  }

  /** @throws what it has said, if it has ended. */
  async untilAccepting(port: number): Promise<void> {
    const giveUpAt = performance.now() + 5000;
    while (!(await accepts(port))) {
      if (this.running && performance.now() < giveUpAt) await setTimeout(5);
      else throw new Error(`${this.#name} does not accept on port ${port}:\n${this.output}`);
    }
  }
}

/** The processes that bear this folder in their environment or their command line. */
export function processesOf(folder: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    if (pid === process.pid) return false;
    try {
      return ['cmdline', 'environ'].some((file) =>
        readFileSync(`/proc/${pid}/${file}`).includes(folder),
      );
    } catch {
      return false; // gone meanwhile, or another user's
    }
  });
}

function send(signal: NodeJS.Signals, pid: number): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

// Below the ports that Linux gives to outgoing connections, and to listeners without a port.
const FIRST_PORT = 20_000;
const PORTS = 12_000;

/**
 * A port for a program that cannot be told "any" and asked which it was. It is free now; the
 * program may come again to the same after it was killed.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer();
    try {
      server.listen(port, '127.0.0.1');
      await nextEvent(server, 'listening');
    } catch {
      continue; // taken
    }
    server.close();
    await nextEvent(server, 'close');
    return port;
  }
}
