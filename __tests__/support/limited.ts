// A proxy that may have so many connections to its backend, and what it has.
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { expect } from '@jest/globals';
import type { TinyProxyOptions } from '../../src/index.js';
import { type Backend, type Handler, reply } from './backend.js';
import { type ClientInit, get, type RunningProxy, startProxyWith } from './proxy.js';
import { SocketMeter } from './socket-meter.js';
import { gate, standstill, until } from './wait.js';
import { startWebSocketBackend, type WebSocketBackend } from './websocket.js';

export interface Limited extends RunningProxy {
  backend: Backend;
  meter: SocketMeter;
  /** Of the backend. */
  sockets: WebSocketBackend['sockets'];
}

/** A backend of plain requests and WebSockets, its meter, and a proxy that may have `max` connections. */
export async function limited(
  max: number,
  handler: Handler,
  options: Partial<TinyProxyOptions> = {},
): Promise<Limited> {
  const { backend, sockets } = await startWebSocketBackend();
  backend.answerWith(handler);
  const meter = new SocketMeter(backend.server);
  const running = await startProxyWith(
    { target: backend.url, maxConnections: max, queueTimeout: 10_000, ...options },
    { captureLog: 'json' },
  );
  running.server.on('upgrade', running.proxy.upgrade);
  return { ...running, backend, meter, sockets };
}

/** So many requests run there at the same time, and no more: no place is lost, and none won. */
export async function expectPlaces(
  max: number,
  { url, proxy, backend }: Pick<Limited, 'url' | 'proxy' | 'backend'>,
): Promise<void> {
  await until(() => proxy.status().inFlight === 0);
  const answer = gate();
  const held = new Set<ServerResponse>();
  backend.answerWith(async (request, response, body) => {
    held.add(response);
    response.once('close', () => held.delete(response)); // of one that had been cut already
    await answer.opened;
    await reply(200)(request, response, body);
  });
  const send = (_: unknown, i: number) => get(url, KINDS[i % KINDS.length]!());
  const answers = Array.from({ length: max }, send);
  await until(() => held.size === max, `${max} requests at the same time`);
  const others = Array.from({ length: 2 }, send);
  expect(await standstill(() => held.size)).toBe(max);
  answer.open();
  for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
  for (const { status } of await Promise.all(others)) expect([200, 503]).toContain(status);
}

export const BODY = 'x'.repeat(20_000);
/** A body of 300 kB, in parts. */
export const upload = (): Readable =>
  Readable.from(Array.from({ length: 15 }, () => Buffer.from(BODY)));

/** Requests that go by every way there is. */
export const KINDS: (() => ClientInit)[] = [
  () => ({}),
  () => ({ method: 'POST', body: 'small' }),
  () => ({ method: 'POST', body: upload() }),
  () => ({ method: 'PUT', body: upload() }),
  () => ({ method: 'HEAD' }),
];
