// Every way to close a WebSocket, seen from the other end, proxy in between.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { reply, startBackend } from '../support/backend.js';
import { startProxyWith } from '../support/proxy.js';
import { until } from '../support/wait.js';
import { accept, connectTo, type Peer } from './support/websocket.js';

/** RFC 6455 7.4 and IANA's list: those that may stand in a close frame. */
const CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999];
/** The longest reason that a close frame has room for. */
const LONGEST_REASON = 'ä'.repeat(61).concat('!');

describe.each(['client', 'application'])('when the %s closes', (who) => {
  let closer: Peer;
  let other: Peer;
  beforeEach(async () => {
    const backend = await startBackend(reply(200));
    const { accepted } = accept(backend.server);
    const running = await startProxyWith({ target: backend.url });
    running.server.on('upgrade', running.proxy.upgrade);
    const client = await connectTo(running.url);
    await until(() => accepted.length === 1);
    [closer, other] = who === 'client' ? [client, accepted[0]!] : [accepted[0]!, client];
  });

  it.each(CODES)('with %d, both ends hear so', async (code) => {
    closer.socket.close(code, LONGEST_REASON);

    expect(await other.closed()).toEqual({ code, reason: LONGEST_REASON });
    expect(await closer.closed()).toEqual({ code, reason: LONGEST_REASON });
  });

  it('without a code, both ends hear 1005', async () => {
    closer.socket.close();

    expect(await other.closed()).toEqual({ code: 1005, reason: '' });
    expect(await closer.closed()).toEqual({ code: 1005, reason: '' });
  });

  it('without a close frame, the other end hears 1006', async () => {
    closer.socket.terminate();

    expect(await other.closed()).toEqual({ code: 1006, reason: '' });
  });

  it('what was sent just before arrives first', async () => {
    const messages = Array.from({ length: 100 }, (_, i) => `message ${i} ${'x'.repeat(10_000)}`);
    for (const message of messages) closer.socket.send(message);
    closer.socket.close(1000);

    expect(await other.closed()).toEqual({ code: 1000, reason: '' });
    expect(other.messages).toEqual(messages);
  });
});
