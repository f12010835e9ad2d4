/**
 * Free ports of four digits, as those in the documents are: a `Content-Length` that counts one stays
 * what the document says.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { closeAfterTest } from '../cleanup.js';

// Below the ports that Linux gives to outgoing connections, and to listeners without a port.
const FIRST_PORT = 4100;
const PORTS = 3800;
const MARKS = 20_000;

const given = new Set<number>();

/** Its TCP port is free, and no other test's until this one's end, in whatever process. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if (given.has(port) || !(await hold(port))) continue;
    given.add(port);
    const server = createServer();
    try {
      await once(server.listen(port), 'listening');
    } catch {
      continue; // taken
    }
    server.close();
    await once(server, 'close');
    if (await isForFetch(port)) return port;
  }
}

/**
 * A document may name a port where nothing listens: as long as a session runs, its ports have to be
 * kept from all other runs of these tests. The mark of it is a UDP port that no program asks for.
 */
async function hold(port: number): Promise<boolean> {
  const mark = createSocket('udp4');
  try {
    mark.bind({ port: port + MARKS, address: '127.0.0.1', exclusive: true });
    await once(mark, 'listening');
  } catch {
    return false;
  }
  closeAfterTest(() => mark.close());
  return true;
}

/** It refuses those of other protocols: https://fetch.spec.whatwg.org/#port-blocking */
async function isForFetch(port: number): Promise<boolean> {
  const refusal = await fetch(`http://127.0.0.1:${port}`).catch(({ cause }) => cause);
  return refusal.message !== 'bad port';
}

/** The ports that documents use, each with a free one. */
export async function portsFor(texts: readonly string[]): Promise<Map<string, string>> {
  const named = new Set(
    texts.flatMap((text) => text.match(/\b(?:3000|5353|6379|80[89]\d|8500|9090)\b/g) ?? []),
  );
  const ports = new Map<string, string>();
  for (const port of named) ports.set(port, String(await freePort()));
  return ports;
}
