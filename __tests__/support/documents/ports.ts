/**
 * Free ports of four digits, as those in the documents are: a `Content-Length` that counts one stays
 * what the document says.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';

// Below the ports that Linux gives to outgoing connections, and to listeners without a port.
const FIRST_PORT = 4100;
const PORTS = 3800;

const given = new Set<number>();

async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if (given.has(port)) continue;
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
