// Compiled, never run: the types of express-tiny-proxy/redis, by the name that users import.
import { tinyProxy } from 'express-tiny-proxy';
import {
  type RedisClient,
  type SharedBreakers,
  type SharedBreakersOptions,
  type SharedBreakersStatus,
  shareBreakers,
} from 'express-tiny-proxy/redis';
import { createClient, createCluster } from 'redis';
import { createClient as createClient4 } from 'redis4';
import { createClient as createClient5, type RedisClientType } from 'redis5';

const proxy = tinyProxy({ target: 'http://10.0.0.1:8081' });

// A client of each version, as createClient() or connect() hands it out.
const client = await createClient({ url: 'redis://10.0.0.9:6379' }).connect();
const sharing: SharedBreakers = shareBreakers(proxy, { client, prefix: 'orders:' });
shareBreakers(proxy, { client: createClient({ RESP: 3 }), prefix: 'orders:' });
shareBreakers(proxy, { client: createClient5(), prefix: 'orders:' });
shareBreakers(proxy, { client: createClient5() as RedisClientType, prefix: 'orders:' });
shareBreakers(proxy, { client: createClient4(), prefix: 'orders:' });
const options: SharedBreakersOptions = { client, prefix: 'orders:', failures: 3 };
shareBreakers(proxy, options);

const closed: Promise<void> = sharing.close();
await closed;
const taken: RedisClient = client;
shareBreakers(proxy, { client: taken, prefix: 'orders:' });
const status: SharedBreakersStatus = sharing.status();
JSON.stringify(status);
const { replica, joined, opened, closed: count, refused, ignored } = sharing.status();
`${replica} ${joined} ${opened + count + refused + ignored}`;

// @ts-expect-error: a client is required
shareBreakers(proxy, { prefix: 'orders:' });
// @ts-expect-error: so is a prefix
shareBreakers(proxy, { client });
// @ts-expect-error: misspelt
shareBreakers(proxy, { client, prefix: 'orders:', channels: 'orders' });
// @ts-expect-error: a URL is no client
shareBreakers(proxy, { client: 'redis://10.0.0.9:6379', prefix: 'orders:' });
// @ts-expect-error: a cluster sends its commands otherwise
shareBreakers(proxy, { client: createCluster({ rootNodes: [] }), prefix: 'orders:' });
// @ts-expect-error: a Router is no proxy
shareBreakers((await import('express')).Router(), { client, prefix: 'orders:' });
