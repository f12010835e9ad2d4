// setHealthy(): what a health check has found. dial(): what it goes over.
import { once as nextEvent } from 'node:events';
import { request } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import {
  failTimes,
  reply,
  resetConnection,
  startBackend,
  startBackends,
} from './support/backend.js';
import { localhostCertificate } from './support/certificates.js';
import { answerers, startPool } from './support/pool.js';
import { get, quietProxy, startProxyWith } from './support/proxy.js';
import { blackHole } from './support/raw.js';
import { until } from './support/wait.js';

describe('an unhealthy backend', () => {
  it('is skipped, until it is healthy again', async () => {
    const { backends, running } = await startPool([1, 1]);
    const { url, proxy } = running;

    proxy.setHealthy(backends[0]!.url, false);
    expect(await answerers(url, 4)).toEqual(['1', '1', '1', '1']);
    expect(proxy.status().backends).toMatchObject([{ healthy: false }, { healthy: true }]);

    proxy.setHealthy(backends[0]!.url, true);
    expect((await answerers(url, 4)).sort()).toEqual(['0', '0', '1', '1']);
  });

  it('is skipped by a retry, too', async () => {
    const [sick, well] = await startBackends(reply(200, 'sick'), failTimes(1, reply(200, 'well')));
    const { url, proxy } = await startProxyWith({ target: [sick.url, well.url] });
    proxy.setHealthy(sick.url, false);

    expect((await get(url)).text).toBe('well');
    expect(sick.started).toBe(0);
  });

  it.each(['open', 'drained', 'unhealthy'])('is tried where the others are %s', async (others) => {
    const [one, two] = await startBackends(reply(200, 'one'), resetConnection());
    const { url, proxy } = await startProxyWith({
      target: [two.url, one.url],
      breaker: { failures: 1, cooldown: 60_000 },
    });
    if (others === 'open') await get(url, { method: 'POST' });
    if (others === 'drained') proxy.drain(two.url);
    proxy.setHealthy(one.url, false);
    if (others === 'unhealthy') proxy.setHealthy(two.url, false);

    expect((await get(url)).text).toBe('one');
  });

  it('stays what it is over setTargets(), and comes back healthy when it had left', () => {
    const [a, b] = ['http://10.0.0.1', 'http://10.0.0.2'];
    const proxy = quietProxy({ target: [a, b] });
    proxy.setHealthy(a, false);

    proxy.setTargets([a]);
    expect(proxy.status().backends).toMatchObject([{ url: a, healthy: false }]);
    proxy.setTargets([b]);
    proxy.setTargets([a]);
    expect(proxy.status().backends).toMatchObject([{ url: a, healthy: true }]);
  });

  it('is told by an event and a notice, once a change', async () => {
    const target = 'http://10.0.0.1:8081';
    const { proxy, log } = await startProxyWith({ target }, { captureLog: true });
    const told: unknown[] = [];
    proxy.events.on('unhealthy', (event) => told.push(['unhealthy', event]));
    proxy.events.on('healthy', (event) => told.push(['healthy', event]));

    proxy.setHealthy(target, true);
    proxy.setHealthy(target, false, 'status 503');
    proxy.setHealthy(target, false, 'status 500');
    proxy.setHealthy(target, true);

    const backend = '10.0.0.1:8081';
    expect(told).toEqual([
      ['unhealthy', { backend, target, reason: 'status 503' }],
      ['healthy', { backend, target, reason: '' }],
    ]);
    expect(log).toEqual([
      'express-tiny-proxy unhealthy 10.0.0.1:8081 left out as long as another may be tried: status 503',
      'express-tiny-proxy healthy 10.0.0.1:8081 may be tried again',
    ]);
  });

  it('must be one of the proxy, and its health a boolean', () => {
    const proxy = quietProxy({ target: 'http://10.0.0.1:8081' });

    expect(() => proxy.setHealthy('http://10.0.0.2', false)).toThrow(
      'setHealthy: "http://10.0.0.2" is no backend of this proxy; they are http://10.0.0.1:8081',
    );
    expect(() => proxy.setHealthy('http://10.0.0.1:8081', 'no' as never)).toThrow(
      "setHealthy: healthy must be true or false; got 'no'",
    );
  });
});

describe('dial', () => {
  it('opens a connection with the TLS identity of the backend, at its address', async () => {
    const backend = await startBackend(reply(200, 'well'), { tls: localhostCertificate });
    const proxy = quietProxy({
      target: { url: `https://localhost:${backend.port}`, address: '127.0.0.1' },
      ssl: { ca: localhostCertificate.cert },
    });

    const { socket, host } = proxy.dial(`https://127.0.0.1:${backend.port}`);
    const sent = request({ createConnection: () => socket, headers: { host } }).end();
    const [response] = await nextEvent(sent, 'response');

    expect(response.statusCode).toBe(200);
    expect(host).toBe(`localhost:${backend.port}`);
    expect(backend.received[0]?.headers.host).toBe(host);
    response.resume();
    socket.destroy();
  });

  it('fails with ETIMEDOUT after connectTimeout', async () => {
    const { url: target } = await blackHole();
    const { socket } = quietProxy({ target, connectTimeout: 20 }).dial(target);

    const [error] = await nextEvent(socket, 'error', { signal: AbortSignal.timeout(5000) }).catch(
      (thrown) => [thrown],
    );

    expect(error).toMatchObject({ code: 'ETIMEDOUT' });
    await until(() => socket.destroyed);
  });

  it('throws a TypeError for a URL that is no backend of the proxy', () => {
    expect(() => quietProxy({ target: 'http://10.0.0.1' }).dial('http://10.0.0.2')).toThrow(
      TypeError,
    );
  });
});
