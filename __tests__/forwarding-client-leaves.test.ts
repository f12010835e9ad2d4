import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { atHead, controlled, hang, startBackend } from './support/backend.js';
import { open, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { once, until } from './support/wait.js';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

describe('a client that leaves', () => {
  it('before the response cancels the attempt, which counts against nobody', async () => {
    const backend = await startBackend(hang());
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const { request } = open(url);
    await until(() => backend.received.length === 1);

    request.destroy();

    await until(() => backend.unfinished === 1 && proxy.status().inFlight === 0);
    expect(proxy.status().backends[0]).toMatchObject({ attempts: 1, failures: 0, inFlight: 0 });
    await until(() => backend.openSockets() === 0);
  });

  it('in mid-body cancels the download', async () => {
    const body = controlled();
    const backend = await startBackend(body.handler);
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const response = await open(url).response;
    body.send('the beginning');
    await once(response, 'data');

    response.destroy();

    await until(() => backend.unfinished === 1 && proxy.status().inFlight === 0);
    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
  });

  it('in mid-upload cancels the upload', async () => {
    let arrived = 0;
    const backend = await startBackend(
      atHead((request) => {
        request.on('data', (chunk: Buffer) => {
          arrived += chunk.length;
        });
      }),
    );
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const upload = new Readable({ read: () => {} });
    upload.push('the beginning');
    const { request } = open(url, { method: 'PUT', body: upload });
    await until(() => arrived === 13);

    request.destroy();

    await until(() => backend.unfinished === 1 && proxy.status().inFlight === 0);
    expect(backend.received).toEqual([]);
    expect(proxy.status().backends[0]).toMatchObject({ attempts: 1, failures: 0 });
  });

  it('leaves with the request that it has pipelined behind it', async () => {
    const backend = await startBackend(hang());
    const { port, proxy } = await startProxyWith({ target: backend.url });
    const socket = connect(port, '127.0.0.1');
    socket.write(GET.repeat(2));
    await until(() => backend.started === 1 && proxy.status().inFlight > 0);

    socket.destroy();

    await until(() => backend.unfinished === backend.started && proxy.status().inFlight === 0);
    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
  });

  it('before its request has come to the proxy costs nothing', async () => {
    const backend = await startBackend(hang());
    const proxy = quietProxy({ target: backend.url });
    let passOn: (() => void) | undefined;
    let left = false;
    const { url } = await startProxy((app) => {
      app.use((_req, res, next) => {
        passOn = next;
        res.once('close', () => {
          left = true;
        });
      });
      app.use(proxy);
    });
    const { request } = open(url);
    await until(() => passOn !== undefined);

    request.destroy();
    await until(() => left);
    passOn?.();

    await until(() => proxy.status().requests === 1 && proxy.status().inFlight === 0);
    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
    expect(backend.openSockets()).toBe(0);
  });
});
