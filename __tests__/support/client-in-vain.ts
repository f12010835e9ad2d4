// A client of redis, and no Redis.
import { createClient } from 'redis';
import { closeAfterTest } from './cleanup.js';
import { refusedUrl } from './raw.js';

/** A client that is trying to connect, in vain. */
export async function clientInVain(create: typeof createClient = createClient) {
  const { port } = new URL(await refusedUrl());
  const client = create({
    socket: { host: '127.0.0.1', port: Number(port), reconnectStrategy: 20 },
  });
  client.on('error', () => {});
  client.connect().catch(() => {}); // when it is destroyed
  closeAfterTest(() => client.isOpen && client.disconnect());
  return client;
}
