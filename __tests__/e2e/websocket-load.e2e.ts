// Many WebSockets, much through one, and every way to close one; on plain Node, proxy in between.
import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { type Backend, reply, startBackend } from '../support/backend.js';
import { pseudoRandom } from '../support/bodies.js';
import { bytesInUse } from '../support/memory.js';
import { type RunningProxy, startProxyWith } from '../support/proxy.js';
import { delivery, standstill, until } from '../support/wait.js';
import { accept, connectTo, echoMessages, type Peer } from './support/websocket.js';

const BODY = pseudoRandom(64 * 2 ** 20);
/** More than the streams of both ends and the proxy hold, far less than the whole. */
const MOST_BYTES_IN_MEMORY = 12 * 2 ** 20;

let backend: Backend;
let running: RunningProxy;
beforeEach(async () => {
  backend = await startBackend(reply(200));
  running = await startProxyWith({ target: backend.url }, { captureLog: 'json' });
  running.server.on('upgrade', running.proxy.upgrade);
});

describe('a thousand WebSockets', () => {
  const SOCKETS = 1000;
  /** So many connect at once: a listener's queue is not endless. */
  const BATCH = 100;

  it('are open at once, each echoes its own messages, and all are gone in the end', async () => {
    const { accepted } = accept(backend.server, echoMessages);
    const clients: Peer[] = [];
    while (clients.length < SOCKETS) {
      const batch = Array.from({ length: BATCH }, () => connectTo(running.url));
      clients.push(...(await Promise.all(batch)));
    }
    expect(backend.openSockets()).toBe(SOCKETS);

    for (const round of [1, 2, 3]) {
      for (const [i, { socket }] of clients.entries()) socket.send(`message ${round} of ${i}`);
      const echoes = await Promise.all(clients.map((client) => client.next()));
      expect(echoes).toEqual(clients.map((_client, i) => `message ${round} of ${i}`));
    }

    for (const { socket } of clients) socket.close(1000);
    const closings = await Promise.all([...clients, ...accepted].map((peer) => peer.closed()));
    expect(new Set(closings.map(({ code }) => code))).toEqual(new Set([1000]));
    await until(() => backend.openSockets() === 0, 'the end of the connections to the backend');
    await until(() => running.log.length === SOCKETS, 'a log line for each');
    expect(running.proxy.status().inFlight).toBe(0);
  });
});

describe('64 MB through one WebSocket', () => {
  let begun = 0;
  beforeEach(async () => {
    begun = await bytesInMemory();
  });

  it('come back with the same checksum, and memory stays bounded', async () => {
    accept(backend.server, echoMessages);
    const client = await connectTo(running.url);
    const received = receive(client);
    const sending = startSending(client);

    await until(() => received.bytes > BODY.bytes / 4, 'a quarter of the echo', 20_000);
    // What a moving stream leaves to the garbage collector would be counted too: it stops here.
    client.socket.pause();
    await standstill(() => sending.bytes);
    expect((await bytesInMemory()) - begun).toBeLessThan(MOST_BYTES_IN_MEMORY);
    client.socket.resume();
    await sending.done;
    await until(() => received.bytes === BODY.bytes, 'the whole echo', 20_000);
    expect(received.sha256()).toBe(BODY.sha256);
  });

  it.each(['down', 'up'])('go %s only as fast as they are read', async (direction) => {
    const { accepted } = accept(backend.server);
    const client = await connectTo(running.url);
    await until(() => accepted.length === 1);
    const ends = [client, accepted[0]!] as const;
    const [sender, reader] = direction === 'up' ? ends : [ends[1], ends[0]];
    reader.socket.pause();
    const received = receive(reader);
    const sending = startSending(sender);

    const written = await standstill(() => sending.bytes);
    expect(written).toBeLessThan(BODY.bytes);
    const memory = (await bytesInMemory()) - begun;
    expect(memory).toBeLessThan(MOST_BYTES_IN_MEMORY);

    reader.socket.resume();
    await sending.done;
    await until(() => received.bytes === BODY.bytes, 'all of it', 20_000);
    expect(received.sha256()).toBe(BODY.sha256);
  });
});

/** Sends the body, a message a chunk, each when the one before has left this process. */
function startSending({ socket }: Peer) {
  const sending = { bytes: 0, done: Promise.resolve() };
  const sendAll = async (): Promise<void> => {
    for await (const chunk of BODY.stream() as AsyncIterable<Buffer>) {
      await new Promise<void>((resolve, reject) => {
        socket.send(chunk, (error) => (error ? reject(error) : resolve()));
      });
      sending.bytes += chunk.length;
    }
  };
  sending.done = sendAll();
  sending.done.catch(() => {}); // told to whoever awaits it
  return sending;
}

/** Hashes what comes, in place of keeping it. */
function receive(peer: Peer) {
  const hash = createHash('sha256');
  const received = { bytes: 0, sha256: () => hash.digest('hex') };
  peer.onMessage = (message) => {
    hash.update(message);
    received.bytes += message.length;
  };
  return received;
}

/** What is in use, on V8's heap and in buffers beside it, which are given back a little later. */
async function bytesInMemory(): Promise<number> {
  const looks: number[] = [];
  while (looks.length < 5) {
    await delivery();
    looks.push(bytesInUse());
  }
  return Math.min(...looks);
}
