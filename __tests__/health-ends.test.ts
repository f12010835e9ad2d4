// checkHealth() beside others who change the backends, and with a backend that keeps connections open.
import { describe, expect, it } from '@jest/globals';
import { discover } from '../src/discovery/index.js';
import { checkHealth } from '../src/health/index.js';
import { controlled, reply, startBackend } from './support/backend.js';
import { closeAfterTest } from './support/cleanup.js';
import { inTime, openHandles } from './support/handles.js';
import { startProxyWith } from './support/proxy.js';
import { refusedUrl, startRawBackend } from './support/raw.js';
import { until } from './support/wait.js';

const QUICK = { path: '/', interval: 5, rise: 1, fall: 1 };

describe('checks of backends with priorities', () => {
  it.each(['stop', 'close'])('end by %s: fail-over takes the spare ones away then', async (how) => {
    const [sick, spare] = [await startBackend(reply(500)), await startBackend(reply(200))];
    const nobody = await refusedUrl();
    const { proxy } = await startProxyWith({ target: sick.url });
    const stop = checkHealth(proxy, QUICK);
    closeAfterTest(stop);
    const { close, refresh } = discover(proxy, () => [
      sick.url,
      { url: spare.url, priority: 1 },
      { url: nobody, priority: 1 },
    ]);
    closeAfterTest(close);
    await refresh();
    await until(() => proxy.status().backends.length === 3);

    if (how === 'stop') stop();
    else await proxy.close(0);
    const asked = spare.received.length;
    await until(() => spare.openSockets() === 0);

    expect(proxy.status().backends.map(({ healthy }) => healthy)).not.toContain(false);
    expect(spare.received.length - asked).toBeLessThanOrEqual(1);
  });

  it('follow the newest list, where a listener of the first one sets it', async () => {
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => startBackend(reply(200))));
    const { proxy } = await startProxyWith({ target: first!.url });
    proxy.events.once('targets', () => proxy.setTargets(third!.url));
    closeAfterTest(checkHealth(proxy, QUICK));

    proxy.setTargets(second!.url);
    await until(() => third!.received.length > 2);

    expect(second!.received).toEqual([]);
  });
});

describe('a backend that has left and come back at once', () => {
  it('is judged anew: by a listener that has put it back before the checks have heard', async () => {
    const sick = await startBackend(reply(500));
    const { proxy } = await startProxyWith({ target: sick.url });
    proxy.events.once('targets', () => proxy.setTargets(sick.url));
    closeAfterTest(checkHealth(proxy, QUICK));
    await until(() => proxy.status().backends[0]?.healthy === false);

    proxy.setTargets([]);
    expect(proxy.status().backends[0]?.healthy).toBe(true);

    await until(() => proxy.status().backends[0]?.healthy === false);
  });
});

describe('a connection of a check', () => {
  it('keeps no process alive by a timer while it waits for TLS', async () => {
    const silent = await startRawBackend(() => {});
    const target = silent.url.replace('http:', 'https:');
    const { proxy } = await startProxyWith({ target, connectTimeout: 60_000 });
    const timers = (): number => openHandles().filter((name) => name === 'Timeout').length;
    const before = timers(); // of tests before this one, too: they may end meanwhile
    closeAfterTest(checkHealth(proxy, { ...QUICK, timeout: 60_000 }));

    await until(() => silent.connections > 0);
    await inTime(() => timers() <= before);

    expect(timers()).toBeLessThanOrEqual(before);
  });

  it('is closed by the next check at the latest, and when checks end, where its body does not come', async () => {
    const { handler } = controlled();
    const backend = await startBackend(handler);
    const { proxy } = await startProxyWith({ target: backend.url });
    const stop = checkHealth(proxy, { ...QUICK, timeout: 60_000 });
    closeAfterTest(stop);

    await until(() => backend.received.length > 10);
    await until(() => backend.openSockets() <= 2);
    stop();

    await until(() => backend.openSockets() === 0);
  });

  it.each(['Connection', 'connection'])('is closed, also with a header %s', async (name) => {
    const backend = await startBackend(reply(200));
    const { proxy } = await startProxyWith({ target: backend.url });
    const stop = checkHealth(proxy, { ...QUICK, headers: { [name]: 'keep-alive' } });
    closeAfterTest(stop);

    await until(() => backend.received.length > 10);
    stop();
    await until(() => backend.openSockets() === 0);

    expect(backend.received[0]?.headers.connection).toBe('close');
  });
});
