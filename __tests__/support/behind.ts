// Proxies behind a middleware: a body parser, say.
import { expect } from '@jest/globals';
import express, { type RequestHandler } from 'express';
import type { TinyProxyOptions } from '../../src/index.js';
import {
  type Backend,
  type Handler,
  type ReceivedRequest,
  reply,
  startBackends,
} from './backend.js';
import { type ClientInit, get, type RunningProxy, startProxyWith } from './proxy.js';

/** The type of a form. */
export const FORM = 'application/x-www-form-urlencoded';

/** An app whose middleware stands before a proxy with these backends; its log is JSON. */
export async function startBehind(
  middleware: RequestHandler | RequestHandler[],
  handlers: Handler[] = [reply(200)],
  options: Partial<TinyProxyOptions> = {},
): Promise<RunningProxy & { backends: Backend[] }> {
  const backends = await startBackends(...handlers);
  const target = backends.map((backend) => backend.url);
  const app = express().use(middleware);
  const running = await startProxyWith({ target, ...options }, { app, captureLog: 'json' });
  return { ...running, backends };
}

/** What the backend gets of a POST, framed as it must be: by its length. */
export async function received(
  middleware: RequestHandler | RequestHandler[],
  type: string,
  body: ClientInit['body'],
  headers: ClientInit['headers'] = {},
): Promise<ReceivedRequest> {
  const { url, backends } = await startBehind(middleware);
  const init = { method: 'POST', headers: { 'Content-Type': type, ...headers } };
  const answer = await get(url, { ...init, ...(body !== undefined && { body }) });
  expect([answer.status, answer.text]).toEqual([200, '']);
  const arrived = backends[0]!.received[0]!;
  expect(arrived.headers['content-length']).toBe(String(arrived.body.length));
  expect(arrived.headers['transfer-encoding']).toBeUndefined();
  return arrived;
}
