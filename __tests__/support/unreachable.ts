// Addresses of 127.0.0.1 where nobody answers: one that refuses, and one that swallows every SYN.
import { once as nextEvent } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { closeAfterTest } from './cleanup.js';

/** Where a dead address is. */
export interface DeadEnd {
  url: string;
  /** `127.0.0.1:port`. */
  host: string;
  port: number;
}

/** The url of a port that refuses connections, see `refusedPort`. */
export async function refusedUrl(): Promise<string> {
  return `http://127.0.0.1:${await refusedPort()}`;
}

/**
 * A port that refuses connections. It was bound and closed; until the test is over, the local end
 * of a connection of ours occupies it, so that no other server of another test can get it.
 */
export async function refusedPort(): Promise<number> {
  const closing = createServer().listen(0, '127.0.0.1');
  const keeper = createServer().listen(0, '127.0.0.1');
  await Promise.all([nextEvent(closing, 'listening'), nextEvent(keeper, 'listening')]);
  const { port } = closing.address() as AddressInfo;
  closing.close();
  await nextEvent(closing, 'close');
  const occupant = connect({
    port: (keeper.address() as AddressInfo).port,
    host: '127.0.0.1',
    localPort: port,
    localAddress: '127.0.0.1',
  });
  const [[kept]] = await Promise.all([
    nextEvent(keeper, 'connection'),
    nextEvent(occupant, 'connect'),
  ]);
  closeAfterTest(async () => {
    occupant.resetAndDestroy(); // no TIME_WAIT
    (kept as Socket).destroy();
    keeper.close();
    await nextEvent(keeper, 'close');
  });
  return port;
}

/** Listens, says where, and never accepts: its event loop stands still from then on. */
const NEVER_ACCEPTS = `
  const { parentPort } = require('node:worker_threads');
  const server = require('node:net').createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;
const HANGING_MS = 50;
const MOST_FILLERS = 8;

/**
 * A port where a connect neither succeeds nor fails: a thread listens there and never accepts, and
 * its backlog is full, so that Linux drops every further SYN. (Verified before it is handed out.)
 */
export async function blackHole(): Promise<DeadEnd> {
  const listener = new Worker(NEVER_ACCEPTS, { eval: true });
  const fillers: Socket[] = [];
  closeAfterTest(async () => {
    for (const filler of fillers) filler.destroy();
    await listener.terminate();
  });
  const [port] = (await nextEvent(listener, 'message')) as [number];
  while (fillers.length < MOST_FILLERS) {
    const filler = connect(port, '127.0.0.1').on('error', () => {});
    fillers.push(filler);
    await Promise.race([nextEvent(filler, 'connect'), setTimeout(HANGING_MS)]);
    await setImmediate(); // a busy event loop may run the timer before it hears of the connect
    if (filler.connecting) {
      return { url: `http://127.0.0.1:${port}`, host: `127.0.0.1:${port}`, port };
    }
  }
  throw new Error(`port ${port} still accepts after ${MOST_FILLERS} connections`);
}
