// The `attempt` event's headers: what a listener may change of what is sent, and what it cannot harm.
import { describe, expect, it } from '@jest/globals';
import { failTimes, reply, startBackend } from './support/backend.js';
import { get, startProxyWith } from './support/proxy.js';
import { sendRaw } from './support/raw.js';
import { openWebSocket, startUpgradeProxy, startWebSocketBackend } from './support/websocket.js';

const QUICK = { backoff: { initialDelay: 1, maxDelay: 1 } };

describe('the headers of an attempt', () => {
  it('are what it sends, for a listener to change, and for the director after it', async () => {
    const backend = await startBackend(failTimes(1, reply(200)));
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: QUICK,
      director: ({ headers }) => Object.assign(headers, { 'x-last': `after ${headers['x-last']}` }),
    });
    const seen: object[] = [];
    proxy.events.on('attempt', ({ attempt, headers }) => {
      seen.push({ ...headers });
      headers['X-Attempt'] = `${headers['x-attempt'] ?? ''}${attempt}`;
      headers['x-last'] = 'listener';
      headers['x-list'] = ['a', 'b'];
      delete headers['x-secret'];
    });

    const sent = { 'X-Request-ID': 'night-1', 'X-Secret': '1', 'X-Kept': 'as it is' };
    await get(url, { headers: sent });

    expect(seen).toHaveLength(2);
    for (const headers of seen) {
      expect(headers).toMatchObject({
        'x-request-id': 'night-1',
        'x-secret': '1',
        'x-forwarded-for': '127.0.0.1',
      });
      expect(headers).not.toHaveProperty('x-last');
    }
    expect(backend.received.map(({ headers }) => headers)).toMatchObject([
      { 'x-attempt': '1', 'x-last': 'after listener', 'x-list': 'a, b', 'x-kept': 'as it is' },
      { 'x-attempt': '2', 'x-last': 'after listener', 'x-list': 'a, b', 'x-kept': 'as it is' },
    ]);
    for (const { headers } of backend.received) expect(headers).not.toHaveProperty('x-secret');
  });

  it('leave the framing and the connection as they are', async () => {
    const backend = await startBackend(reply(200));
    const { port, proxy } = await startProxyWith({ target: backend.url });
    proxy.events.on('attempt', ({ headers }) => {
      for (const name of Object.keys(headers)) {
        if (name === 'te' || name === 'content-length') delete headers[name];
      }
      Object.assign(headers, {
        'Content-Length': '1',
        'transfer-encoding': 'gzip',
        connection: 'x-request-id',
        upgrade: 'h2c',
        te: 'gzip',
        expect: '100-continue',
      });
    });

    await sendRaw(
      port,
      'PUT / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nContent-Length: 4\r\n\r\nbody',
    );

    const [received] = backend.received;
    expect(String(received?.body)).toBe('body');
    expect(received?.headers).toMatchObject({ 'content-length': '4', te: 'trailers' });
    for (const name of ['transfer-encoding', 'upgrade', 'expect']) {
      expect(received?.headers).not.toHaveProperty(name);
    }
    expect(received?.headers.connection).toBe('keep-alive');
  });

  it.each([
    ['a name', { 'x bad': '1' }],
    ['a value', { 'x-bad': 'a\r\nX-Evil: 1' }],
    ['a value of a list', { 'x-bad': ['a', 'b\0'] }],
  ])('are sent as they were where a listener writes %s that cannot be', async (_what, bad) => {
    const backend = await startBackend(reply(200, 'well'));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    proxy.events.on('attempt', ({ headers }) => {
      Object.assign(headers, { 'x-good': '1' }, bad);
    });

    const { text } = await get(url, { headers: { 'X-Kept': '1' } });

    expect(text).toBe('well');
    const { headers } = backend.received[0]!;
    expect(headers).toMatchObject({ 'x-kept': '1' });
    for (const name of ['x-good', 'x-bad', 'x-evil']) expect(headers).not.toHaveProperty(name);
  });

  it('of a WebSocket are the handshake', async () => {
    const { url: target, requests } = await startWebSocketBackend();
    const { url, proxy } = await startUpgradeProxy({ target });
    proxy.events.on('attempt', ({ headers }) => {
      headers['x-attempt'] = '1';
    });

    await openWebSocket(url);

    expect(requests[0]!.headers).toMatchObject({ 'x-attempt': '1', upgrade: 'websocket' });
  });
});
