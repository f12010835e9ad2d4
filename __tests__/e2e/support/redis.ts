// Debian's Redis, without a disk, on a free port; killed, paused and started again as a test wants.
import { createClient } from 'redis';
import { closeAfterTest } from '../../support/cleanup.js';
import { freePort, Program, processesOf } from './program.js';

/** A Redis that runs. */
export interface Redis {
  url: string;
  port: number;
  /** SIGKILL; nothing of it is kept. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** SIGSTOP: connections stand, and nothing is answered. */
  pause(): void;
  resume(): void;
}

/** Starts one. */
export async function startRedis(): Promise<Redis> {
  const program = new Program('redis-server');
  const port = await freePort();
  const { folder } = program;
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
  args.push('--set-proc-title', 'no'); // it is found by its folder
  const signal = (name: NodeJS.Signals): void => {
    const pids = processesOf(folder);
    if (pids.length === 0) throw new Error('Redis does not run');
    for (const pid of pids) process.kill(pid, name);
  };
  const restart = (): Promise<void> => {
    program.start(args);
    return program.untilAccepting(port);
  };
  await restart();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill: () => program.kill(),
    restart,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
  };
}

/** Resolves when Redis has so many connections. */
export async function untilConnections(
  client: Awaited<ReturnType<typeof connectClient>>,
  count: number,
): Promise<void> {
  const giveUpAt = performance.now() + 3000;
  let connections = await client.clientList();
  while (connections.length !== count) {
    if (performance.now() > giveUpAt)
      throw new Error(`not ${count} connections: ${JSON.stringify(connections)}`);
    connections = await client.clientList();
  }
}

/** A client that is connected, as a user's; it connects again soon, and is gone after the test. */
export async function connectClient(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: 50 } });
  client.on('error', () => {});
  await client.connect();
  closeAfterTest(() => {
    if (client.isOpen) client.destroy();
  });
  return client;
}
