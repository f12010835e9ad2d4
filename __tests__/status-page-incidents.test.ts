// What the status page tells of backends that come and go, of their health, and of others' verdicts.
import { describe, expect, it } from '@jest/globals';
import { reply, startBackend } from './support/backend.js';
import { startPage } from './support/status-page.js';

describe('incidents', () => {
  it('names the backends that have come and gone, without their queries', async () => {
    const [first, second] = [await startBackend(reply(200)), await startBackend(reply(200))];
    const { proxy, report } = await startPage({ target: first.url });

    proxy.setTargets([`${second.url}/base?key=secret`]);
    proxy.setTargets([{ url: `${second.url}/base?key=secret`, weight: 2 }]);
    const { incidents, proxies } = await report();

    expect(incidents).toMatchObject([
      { kind: 'targets', backend: null, detail: `+${second.host}, −${first.host}` },
      { kind: 'targets', backend: null, detail: 'other weights' },
    ]);
    expect(proxies[0]?.backends.map(({ name }) => name)).toEqual([second.host]);
    expect(JSON.stringify(incidents)).not.toContain('secret');
  });

  it('names six of many, and says how many more there are', async () => {
    const { proxy, report } = await startPage({ target: 'http://10.0.0.1' });

    proxy.setTargets(Array.from({ length: 20 }, (_, i) => `http://10.0.0.${i + 1}`));
    const { incidents } = await report();

    expect(incidents[0]?.detail).toBe(
      '+10.0.0.2:80, +10.0.0.3:80, +10.0.0.4:80, +10.0.0.5:80, +10.0.0.6:80, +10.0.0.7:80, and 13 more',
    );
  });

  it('has the health of a backend, and why it has changed', async () => {
    const backend = await startBackend(reply(200));
    const { proxy, report } = await startPage({ target: backend.url });

    proxy.setHealthy(backend.url, false, 'status 503');
    expect((await report()).proxies[0]?.backends[0]?.healthy).toBe(false);
    proxy.setHealthy(backend.url, true);
    const { incidents, proxies } = await report();

    expect(proxies[0]?.backends[0]?.healthy).toBe(true);
    expect(incidents).toMatchObject([
      { kind: 'unhealthy', backend: backend.host, detail: 'status 503' },
      { kind: 'healthy', backend: backend.host, detail: null },
    ]);
  });

  it('says on whose word a breaker has opened, and closed', async () => {
    const backend = await startBackend(reply(200));
    const { proxy, report } = await startPage({ target: backend.url });

    proxy.holdOpen(backend.url, 5000, 'because web-3 has opened it');
    proxy.closeBreaker(backend.url, 'because web-3 has closed it');
    const { incidents } = await report();

    const told = incidents.filter(({ kind }) => kind === 'break' || kind === 'reset');
    expect(told).toMatchObject([
      { kind: 'break', backend: backend.host, detail: 'because web-3 has opened it' },
      { kind: 'reset', backend: backend.host, detail: 'because web-3 has closed it' },
    ]);
  });
});
