// The clocks while a client sends its body: its slowness is no fault of a backend.
import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import type { BackendStatus, TinyProxyOptions } from '../src/index.js';
import {
  atHead,
  type Backend,
  echo,
  type Handler,
  hang,
  reply,
  startBackend,
  startBackends,
} from './support/backend.js';
import { outcomes, requestLine } from './support/log-lines.js';
import { get, open, type RunningProxy, readBody, startProxyWith } from './support/proxy.js';
import { sendRaw } from './support/raw.js';
import { timePasses, until } from './support/wait.js';

/** Reads what comes, never to the end of it, and says nothing. */
const readsOn = atHead((request) => void request.resume());

async function startOne(
  handler: Handler,
  options: Partial<TinyProxyOptions>,
): Promise<RunningProxy & { backend: Backend; status(): BackendStatus }> {
  const backend = await startBackend(handler);
  const running = await startProxyWith(
    { target: backend.url, breaker: { failures: 1 }, ...options },
    { captureLog: 'json' },
  );
  return { ...running, backend, status: () => running.proxy.status().backends[0]! };
}

describe('while the proxy waits for the client to send its body', () => {
  it.each([
    { clock: 'attemptTimeout', options: { attemptTimeout: 400 } },
    { clock: 'requestTimeout', options: { attemptTimeout: 0, requestTimeout: 400 } },
  ])('$clock stands still', async ({ options }) => {
    const { url, status } = await startOne(echo(), options);
    const body = new PassThrough();

    const answer = get(url, { method: 'POST', body });
    body.write('first, ');
    await timePasses(900);
    body.end('last');

    const response = await answer;
    expect([response.status, JSON.parse(response.text).body.length]).toEqual([200, 11]);
    expect(status()).toMatchObject({ breaker: 'closed', failures: 0 });
  });

  it('they run on when the body has come', async () => {
    const { url, status } = await startOne(hang(), { attemptTimeout: 500 });
    const body = new PassThrough();

    const answer = get(url, { method: 'POST', body });
    body.write('first, ');
    await timePasses(700);
    body.end('last');

    expect((await answer).status).toBe(504);
    expect(status()).toMatchObject({ breaker: 'open', failures: 1 });
  });

  it('the second attempt has the same right to wait', async () => {
    const dies = atHead((request, response) => {
      request.once('data', () => response.destroy());
    });
    const [dying, well] = await startBackends(dies, echo());
    const { url, log } = await startProxyWith(
      { target: [dying.url, well.url], attemptTimeout: 400, requestTimeout: 800 },
      { captureLog: 'json' },
    );
    const body = new PassThrough();

    const answer = get(url, { method: 'PUT', body });
    body.write('first, ');
    await until(() => well.started === 1);
    await timePasses(1200);
    body.end('last');

    const response = await answer;
    expect([response.status, JSON.parse(response.text).body.length]).toEqual([200, 11]);
    expect(outcomes(await requestLine(log))).toEqual(['ECONNRESET', 200]);
  });
});

describe('a client that stops sending its body', () => {
  it('gets 408 CLIENT_TIMEOUT, and nothing counts', async () => {
    const { url, backend, log, status } = await startOne(readsOn, { idleTimeout: 200 });
    const body = new PassThrough();

    const answer = get(url, { method: 'PUT', body });
    body.write('first, ');

    const response = await answer;
    expect(JSON.parse(response.text)).toMatchObject({ status: 408, code: 'CLIENT_TIMEOUT' });
    expect(response.headers.connection).toBe('close');
    expect(status()).toMatchObject({ breaker: 'closed', failures: 0, inFlight: 0 });
    const line = await requestLine(log);
    expect([line.status, outcomes(line)]).toEqual([408, ['CLIENT_TIMEOUT']]);
    await until(() => backend.unfinished === 1);
    body.destroy();
  });

  it('is not tried elsewhere', async () => {
    const [one, two] = await startBackends(readsOn, readsOn);
    const { url, proxy } = await startProxyWith({ target: [one.url, two.url], idleTimeout: 200 });
    const givenUp: unknown[] = [];
    proxy.events.on('give-up', (event) => givenUp.push(event));

    const body = new PassThrough();
    const { response } = open(url, { method: 'PUT', body });
    body.write('first, ');

    expect((await response).statusCode).toBe(408);
    expect([one.started + two.started, givenUp]).toEqual([1, []]);
  });

  it('has its connection closed: what comes later is no next request', async () => {
    const { port, backend } = await startOne(readsOn, { idleTimeout: 200 });
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nshort';

    const answer = await sendRaw(
      port,
      [
        { write: head },
        { waitFor: (arrived) => arrived.includes('CLIENT_TIMEOUT') },
        { write: 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n' },
      ],
      { until: 'close' },
    );

    expect(answer.responses.map(({ status }) => status)).toEqual([408]);
    expect(answer.closedBy).not.toBe('open');
    expect(backend.started).toBe(1);
  });

  it('is no probe: it decides nothing about a half-open breaker', async () => {
    const options = {
      idleTimeout: 200,
      breaker: { failures: 1, cooldown: 20 },
      retry: false,
    } as const;
    const { url, backend, status } = await startOne(reply(500), options);
    await get(url);
    backend.answerWith(readsOn);
    await until(() => status().breaker === 'half-open');

    const { response } = open(url, { method: 'PUT', body: new PassThrough() });

    expect((await response).statusCode).toBe(408);
    expect(status()).toMatchObject({ breaker: 'half-open', failures: 1 });
    backend.answerWith(reply(200));
    expect((await get(url)).status).toBe(200);
  });

  it('may be slow for as long as it likes, if only it sends', async () => {
    const { url } = await startOne(echo(), { idleTimeout: 800, attemptTimeout: 600 });
    const body = new PassThrough();

    const answer = get(url, { method: 'POST', body });
    for (let i = 0; i < 4; i += 1) {
      await timePasses(300);
      body.write('x');
    }
    body.end();

    expect(JSON.parse((await answer).text).body.length).toBe(4);
  });

  it('is cut when the response has begun, and nothing counts either', async () => {
    const answersEarly = atHead((request, response) => {
      response.write('early');
      request.resume();
    });
    const { url, log, status } = await startOne(answersEarly, { idleTimeout: 300 });
    const body = new PassThrough();

    const { response } = open(url, { method: 'PUT', body });
    body.write('first, ');
    const { aborted } = await readBody(await response);

    expect(aborted).toBe(true);
    expect(outcomes(await requestLine(log))).toEqual(['CLIENT_TIMEOUT']);
    expect(status()).toMatchObject({ breaker: 'closed', failures: 0, consecutiveFailures: 0 });
    body.destroy();
  });

  it('does not hold up the answer of a backend that reads none of it', async () => {
    const { url } = await startOne(atHead(reply(413, 'too long')), { idleTimeout: 3000 });

    const { response } = open(url, { method: 'PUT', body: new PassThrough() });

    expect((await response).statusCode).toBe(413);
  });
});
