// A middleware, of a time limit say, has begun the response while an attempt was under way.
import { describe, expect, it } from '@jest/globals';
import type { Response } from 'express';
import {
  type Handler,
  heldUntil,
  reply,
  resetConnection,
  startBackends,
} from './support/backend.js';
import { open, quietProxy, readBody, startProxy } from './support/proxy.js';
import { gate, timePasses, until } from './support/wait.js';

describe('a response that a middleware has begun meanwhile', () => {
  it.each<[string, Handler, string[]]>([
    ['is reset', resetConnection(), ['hop', 'give-up']],
    ['gets a failure', reply(503), ['hop']],
    ['gets an answer', reply(200), ['hop']],
  ])('is left to it where the attempt %s: no retry, no error', async (_what, handler, expected) => {
    const held = gate();
    const [slow, well] = await startBackends(heldUntil(held.opened, handler), reply(200));
    const told: string[] = [];
    const proxy = quietProxy({
      target: [slow.url, well.url],
      requestTimeout: 60,
      on: { error: () => void told.push('on.error') },
      transport: 'auto',
    });
    for (const event of ['retry', 'give-up', 'hop'] as const)
      proxy.events.on(event, () => told.push(event));
    let res: Response | undefined;
    const { url } = await startProxy((app) =>
      app.use((_req, response, next) => {
        res = response;
        next();
      }, proxy),
    );
    const { response } = open(url);
    await until(() => slow.started === 1);

    res!.status(200).write('mine, ');
    held.open();
    await until(() => told.length > 0);
    await timePasses(80); // longer than requestTimeout
    res!.end('whole');

    expect(String((await readBody(await response)).body)).toBe('mine, whole');
    await until(() => proxy.status().inFlight === 0);
    expect({ told, started: well.started }).toEqual({ told: expected, started: 0 });
  });
});
