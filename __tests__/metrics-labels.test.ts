// The labels of the metrics: whatever comes from outside, their values are from a bounded set.
import { describe, expect, it } from '@jest/globals';
import { ProxyError, type TinyProxyOptions } from '../src/index.js';
import { reply, startBackend } from './support/backend.js';
import { localhostCertificate } from './support/certificates.js';
import { idle, startMetered } from './support/metered.js';
import { get } from './support/proxy.js';
import { sendRaw, startRawBackend } from './support/raw.js';

const proxy = 'default';
const TLS = { tls: localhostCertificate };

describe('label values are bounded', () => {
  it('a backend is host:port, as the events have it', async () => {
    const socket = { socketPath: '/run/shop.sock' };
    const target = ['https://10.0.0.1', 'http://[::1]/base', 'http://shop.example:8081', socket];
    const running = await startMetered({ target });

    const drained = await running.samples('backend_drained');
    expect(drained.map(([{ backend }]) => backend)).toEqual([
      '10.0.0.1:443',
      '[::1]:80',
      'shop.example:8081',
      'unix:/run/shop.sock',
    ]);
  });

  it('whatever methods clients think of', async () => {
    const { url: target } = await startBackend(reply(200));
    const running = await startMetered({ target });
    const methods = ['GET', 'PURGE', 'PROPFIND', 'M-SEARCH', 'PATCH', 'REPORT'];

    for (const method of methods) {
      await sendRaw(running.port, `${method} / HTTP/1.1\r\nHost: h\r\n\r\n`);
    }
    await idle(running);

    expect(await running.samples('requests_total')).toEqual([
      [{ proxy, method: 'GET', status: '200' }, 1],
      [{ proxy, method: 'other', status: '200' }, 4],
      [{ proxy, method: 'PATCH', status: '200' }, 1],
    ]);
  });

  it('whatever statuses backends think of', async () => {
    const { url: target, host: backend } = await startBackend((request, response) => {
      response.writeHead(Number(request.url?.slice(1))).end();
    });
    const running = await startMetered({ target, retry: false, breaker: false });

    for (const status of [201, 298, 299, 418, 499, 520, 599]) await get(`${running.url}/${status}`);
    await idle(running);

    expect(await running.samples('attempts_total')).toEqual(
      [
        ['201', 1],
        ['2xx', 2],
        ['418', 1],
        ['4xx', 1],
        ['5xx', 2],
      ].map(([outcome, count]) => [{ proxy, backend, outcome }, count]),
    );
  });

  it.each<[string, () => Promise<TinyProxyOptions>, string]>([
    [
      'a response that Node cannot parse',
      async () => ({ target: (await startRawBackend('nonsense\r\n\r\n')).url }),
      'INVALID_RESPONSE',
    ],
    [
      'a certificate that nobody trusts',
      async () => ({ target: (await startBackend(reply(200), TLS)).url }),
      'TLS',
    ],
    [
      'a Unix socket that is not there',
      async () => ({ target: { socketPath: '/nowhere/orders.sock' } }),
      'ENOENT',
    ],
    [
      "an error of a user's own",
      async () => ({
        target: (await startBackend(reply(200))).url,
        modifyResponse(_response, { url }) {
          throw new ProxyError(`CODE_OF${url}`);
        },
      }),
      'other',
    ],
  ])('whatever goes wrong: %s', async (_what, options, cause) => {
    const running = await startMetered({ retry: false, ...(await options()) });

    let backend = '';
    running.proxy.events.on('hop', (hop) => {
      backend = hop.backend;
    });
    for (const path of ['/1', '/2']) await get(running.url + path);
    await idle(running);

    for (const [name, label] of Object.entries({ attempts: 'outcome', failures: 'cause' })) {
      expect(await running.samples(`${name}_total`)).toEqual([
        [{ proxy, backend, [label]: cause }, 2],
      ]);
    }
  });
});
