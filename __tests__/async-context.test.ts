// What an app keeps in an AsyncLocalStorage is there in the hooks: its logger, its trace, its tenant.
import { AsyncLocalStorage } from 'node:async_hooks';
import { expect, it } from '@jest/globals';
import { failTimes, reply, startBackends } from './support/backend.js';
import { quietProxy, startProxy } from './support/proxy.js';
import { sendRaw } from './support/raw.js';

it('is that of the request at its first attempt and at a retry, of a pipelined one too', async () => {
  const [one, two] = await startBackends(failTimes(2, reply(200)), failTimes(2, reply(200)));
  const store = new AsyncLocalStorage<string>();
  const proxy = quietProxy({
    target: [one.url, two.url],
    retry: { attempts: 5, backoff: { initialDelay: 1, maxDelay: 1 } },
    pathRewrite: async (path) => path,
    director({ headers }) {
      headers['x-store'] = store.getStore();
    },
  });
  const { port } = await startProxy((app) => {
    app.use((req, _res, next) => store.run(req.url, next));
    app.use(proxy);
  });

  const requests = ['/1', '/2', '/3'].map((path) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
  await sendRaw(port, requests.join(''), { until: 3 });

  const received = [one, two].flatMap((backend) => backend.received);
  expect(received).toHaveLength(7);
  expect(received.map(({ headers }) => headers['x-store'])).toEqual(received.map(({ url }) => url));
});
