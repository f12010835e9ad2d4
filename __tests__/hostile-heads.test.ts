import { describe, expect, it } from '@jest/globals';
import { bigBody, reply, startBackend, streamForever } from './support/backend.js';
import { digest } from './support/bodies.js';
import { get, open, quietProxy, startProxy, startProxyWith } from './support/proxy.js';
import { startRawBackend } from './support/raw.js';
import { until } from './support/wait.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n';

describe('a Keep-Alive of a backend', () => {
  it.each([20, 400])('of %i digits is as long as a timer can be', async (digits) => {
    const backend = await startRawBackend(
      `${OK}Keep-Alive: timeout=${'9'.repeat(digits)}\r\n\r\nok`,
    );
    const { url } = await startProxyWith({ target: backend.url });

    expect((await get(url)).text).toBe('ok');
    expect((await get(url)).text).toBe('ok');
    expect(backend.connections).toBe(1);
  });
});

describe('the early hints of a backend', () => {
  const hinted = (...fields: string[]): string =>
    `HTTP/1.1 103 Early Hints\r\n${fields.join('\r\n')}\r\n\r\n${OK}\r\nok`;

  it('do not stop the process with a link that is hard to read', async () => {
    const backend = await startRawBackend(hinted(`Link: <a>${';a=b=c=d'.repeat(40)}"`));
    const { url } = await startProxyWith({ target: backend.url });

    expect(await get(url)).toMatchObject({ text: 'ok', informational: [] });
  });

  it('pass with the links that can be read, and nothing else', async () => {
    const backend = await startRawBackend(
      hinted(
        'Link: </a>; rel=preload; as="style", </b>; title="two words"',
        'Link: </c>; rel=preload',
        'Content-Length: 5',
        'X-Request-ID: evil',
      ),
    );
    const { url } = await startProxyWith({ target: backend.url });

    const { informational, text } = await get(url);
    expect(text).toBe('ok');
    expect(informational).toEqual([
      {
        status: 103,
        headers: { link: '</a>; rel=preload; as="style", </c>; rel=preload' },
      },
    ]);
  });
});

describe('a body that modifyResponse has taken away', () => {
  it.each([204, 304])('does not keep the head back, however long it is: %i', async (status) => {
    const backend = await startBackend(streamForever());
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      modifyResponse: (response) => {
        response.status = status;
      },
    });

    expect(await get(url)).toMatchObject({ status, text: '' });
    await until(() => backend.openSockets() === 0, 'the end of the endless body');
    expect(proxy.status().backends[0]).toMatchObject({ failures: 0, inFlight: 0 });
  });
});

describe('a log stream', () => {
  const full = new Error('disk full');
  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw full;
      },
    ],
    ['answers a promise that is rejected', () => Promise.reject(full)],
  ])('that %s harms neither the request nor the breaker that it is told of', async (_, write) => {
    const backend = await startBackend(reply(500));
    const told: string[] = [];
    const { url, proxy } = await startProxyWith({
      target: backend.url,
      retry: false,
      breaker: { failures: 1, cooldown: 0 },
      log: { stream: { write } },
    });
    for (const event of ['break', 'half-open', 'reset'] as const) {
      proxy.events.on(event, () => told.push(event));
    }

    expect((await get(url)).status).toBe(500);
    backend.answerWith(reply(200));
    expect((await get(url)).status).toBe(200);
    await until(() => told.length === 3, 'the events');
    expect(told).toEqual(['break', 'half-open', 'reset']);
  });
});

describe('a middleware that wraps write() and answers nothing', () => {
  it('does not stop a long response for ever', async () => {
    const { handler, sha256 } = bigBody(8 * 1024 * 1024);
    const backend = await startBackend(handler);
    const { url } = await startProxy((app) =>
      app.use(
        (_req, res, next) => {
          const write = res.write.bind(res) as (chunk: Buffer) => boolean;
          res.write = ((chunk: Buffer) => void write(chunk)) as never;
          next();
        },
        quietProxy({ target: backend.url }),
      ),
    );

    expect((await digest(await open(url).response)).sha256).toBe(sha256);
  });
});
