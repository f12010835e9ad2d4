// Backends whose one connection is in use.
import { Readable } from 'node:stream';
import type { TinyProxyOptions } from '../../src/index.js';
import { type Backend, type Handler, heldUntil, reply, startBackend } from './backend.js';
import {
  type ClientInit,
  type ClientResponse,
  get,
  type RunningProxy,
  startProxyWith,
} from './proxy.js';
import { type Gate, gate, until } from './wait.js';

export interface FullBackends extends RunningProxy {
  backends: Backend[];
  /** Of each backend: opened, it answers what has its connection. */
  gates: Gate[];
  /** What has it. */
  held: Promise<ClientResponse>[];
  /** Opens all gates. */
  letGo(): Promise<void>;
}

/**
 * So many backends, of one connection each, and that in use: for `/hold`. All else is answered by
 * `handler`. The first backend that may be tried, is.
 */
export async function fullBackends(
  count: number,
  options: Partial<TinyProxyOptions> = {},
  handler: Handler = reply(200),
): Promise<FullBackends> {
  const gates = Array.from({ length: count }, gate);
  const backends = await Promise.all(
    gates.map(({ opened }) => startBackend(only('/hold', heldUntil(opened, reply(200)), handler))),
  );
  const running = await startProxyWith(
    {
      target: backends.map(({ url }) => url),
      maxConnections: 1,
      queueTimeout: 10_000,
      balance: (_req, candidates) => candidates[0]!,
      ...options,
    },
    { captureLog: 'json' },
  );
  const held = gates.map(() => get(`${running.url}/hold`));
  for (const each of held) each.catch(() => {}); // a test may cut it
  await until(() => backends.every(({ started }) => started === 1));
  return {
    ...{ ...running, gates, backends, held },
    async letGo() {
      for (const each of gates) each.open();
      await Promise.all(held);
    },
  };
}

/** One path is answered by a handler of its own. */
export function only(path: string, handler: Handler, others: Handler): Handler {
  return (request, response, body) =>
    (request.url === path ? handler : others)(request, response, body);
}

/** Of an upload. */
export const UPLOAD_BYTES = 200_000;

const upload = (): Readable =>
  Readable.from([Buffer.alloc(UPLOAD_BYTES / 2), Buffer.alloc(UPLOAD_BYTES / 2)]);

/** Requests that go by every way there is. */
export const KINDS: [kind: string, init: () => ClientInit][] = [
  ['GET', () => ({})],
  ['POST', () => ({ method: 'POST', body: 'small' })],
  ['streamed POST', () => ({ method: 'POST', body: upload() })],
  ['DELETE', () => ({ method: 'DELETE' })],
];
