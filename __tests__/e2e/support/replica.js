// @ts-check
/**
 * One replica, a process of its own: an app with a proxy, whose breakers are shared where there is
 * a Redis. Settings come as JSON in the first argument; the parent asks for figures by messages.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import express from 'express';
import { tinyProxy } from 'express-tiny-proxy';
import { shareBreakers } from 'express-tiny-proxy/redis';
import { createClient } from 'redis';

/** @type {{ target: string[], cooldown: number, redisUrl: string | null }} */
const { target, cooldown, redisUrl } = JSON.parse(process.argv[2] ?? '');

/** @type {string[]} */
const troubles = [];
process.on('uncaughtException', (error) => troubles.push(`uncaughtException: ${error.stack}`));
process.on('unhandledRejection', (reason) => troubles.push(`unhandledRejection: ${reason}`));
process.on('warning', ({ name, message }) => {
  if (name !== 'TinyProxyWarning') troubles.push(`${name}: ${message}`);
});
process.once('disconnect', () => process.exit());

const proxy = tinyProxy({ target, breaker: { cooldown }, log: false });
/** @type {{ event: string, target: string, at: number, reason?: string }[]} */
const changes = [];
/** @type {import('node:events').EventEmitter} */
const events = proxy.events;
for (const event of ['break', 'half-open', 'reset']) {
  events.on(event, ({ target: url, reason }) => {
    const at = Date.now();
    changes.push({ event, target: url, at, ...(reason !== undefined && { reason }) });
  });
}

const client = redisUrl === null ? null : createClient({ url: redisUrl });
client?.on('error', () => {});
await client?.connect();
const sharing = client === null ? null : shareBreakers(proxy, { client, prefix: 'fleet:' });

const server = createServer(express().use(proxy)).listen(0, '127.0.0.1');
// A client that is late must not meet the end of its idle connection: that is its own race.
server.keepAliveTimeout = 120_000;
await once(server, 'listening');
const address = server.address();

process.on('message', () => {
  const shared = sharing?.status() ?? null;
  process.send?.({ status: proxy.status(), shared, changes, troubles });
});
process.send?.({ port: typeof address === 'object' ? address?.port : 0 });
