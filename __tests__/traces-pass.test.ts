// W3C trace context without any tracing: it goes through the proxy as the client has sent it.
import { expect, it } from '@jest/globals';
import { failTimes, reply, startBackend } from './support/backend.js';
import { get, startProxyWith } from './support/proxy.js';
import { sendRaw, startRawBackend } from './support/raw.js';
import { openWebSocket, startUpgradeProxy, startWebSocketBackend } from './support/websocket.js';

const TRACE = {
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
  baggage: 'tenant=a%20b;ttl=1, user=7',
};

it.each([
  ['as the standard has it', TRACE.traceparent, TRACE.tracestate],
  ['of a later version', `cc${TRACE.traceparent.slice(2)}-what-the-future-brings`, 'a=1'],
  ['of nonsense', '00-ZZZ', ', =,,a'],
])('passes to the backend byte for byte: %s', async (_what, traceparent, tracestate) => {
  const backend = await startRawBackend('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  const { port } = await startProxyWith({ target: backend.url });
  const fields = `traceparent: ${traceparent}\r\ntracestate: ${tracestate}\r\n`;

  await sendRaw(port, `GET / HTTP/1.1\r\nHost: h\r\n${fields}\r\n`);

  const lines = backend.received[0]?.toString('latin1').split('\r\n') ?? [];
  const sentValue = (name: string): string | undefined =>
    lines.find((line) => line.toLowerCase().startsWith(`${name}: `))?.slice(name.length + 2);
  expect(sentValue('traceparent')).toBe(traceparent);
  expect(sentValue('tracestate')).toBe(tracestate);
});

it('is the same at every attempt', async () => {
  const backend = await startBackend(failTimes(2, reply(200)));
  const retry = { backoff: { initialDelay: 1, maxDelay: 1 } };
  const { url } = await startProxyWith({ target: backend.url, retry });

  await get(url, { headers: TRACE });

  expect(backend.received).toHaveLength(3);
  for (const { headers } of backend.received) expect(headers).toMatchObject(TRACE);
});

it('passes with a WebSocket', async () => {
  const { url: target, requests } = await startWebSocketBackend();
  const { url } = await startUpgradeProxy({ target });

  await openWebSocket(url, { headers: TRACE });

  expect(requests[0]?.headers).toMatchObject(TRACE);
});
