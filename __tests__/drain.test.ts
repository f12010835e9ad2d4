import { describe, expect, it } from '@jest/globals';
import { heldUntil, reply, startBackend } from './support/backend.js';
import { answerers, counts, startPool } from './support/pool.js';
import { get, startProxyWith } from './support/proxy.js';
import { gate, until } from './support/wait.js';

describe('drain', () => {
  it('takes a backend out of rotation, and answers what puts it back', async () => {
    const { backends, running } = await startPool([1, 1]);

    const undrain = running.proxy.drain(backends[0]!.url);
    expect(await answerers(running.url, 3)).toEqual(['1', '1', '1']);
    expect(running.proxy.status().backends.map(({ drained }) => drained)).toEqual([true, false]);

    undrain();
    expect(counts(await answerers(running.url, 4))).toEqual({ 0: 2, 1: 2 });
    expect(running.proxy.status().backends.map(({ drained }) => drained)).toEqual([false, false]);
  });

  it('lets what is in flight there come to its end', async () => {
    const held = gate();
    const backend = await startBackend(heldUntil(held.opened, reply(200, 'whole')));
    const { url, proxy } = await startProxyWith({ target: backend.url });
    const answer = get(url);
    await until(() => backend.started === 1);

    proxy.drain(backend.url);
    expect((await get(url)).status).toBe(503);
    held.open();

    expect((await answer).text).toBe('whole');
  });

  it('is undone only when each drain of that backend is, and each only once', async () => {
    const { backends, running } = await startPool([1]);
    const { proxy } = running;
    const [one, two] = [proxy.drain(backends[0]!.url), proxy.drain(backends[0]!.url)];
    const drained = (): boolean => proxy.status().backends[0]!.drained;

    one();
    one();
    expect(drained()).toBe(true);
    two();
    expect(drained()).toBe(false);
    two();
    const three = proxy.drain(backends[0]!.url);
    expect(drained()).toBe(true);
    three();
    expect(drained()).toBe(false);
  });

  it.each([
    ['a URL object', (url: string) => new URL(url)],
    ['a slash behind it', (url: string) => `${url}/`],
  ])('knows a backend by %s, too', async (_what, spelt) => {
    const { backends, running } = await startPool([1, 1]);

    running.proxy.drain(spelt(backends[1]!.url));

    expect(await answerers(running.url, 2)).toEqual(['0', '0']);
  });

  it.each(['http://127.0.0.1:1', 'nonsense', '', 'http://127.0.0.1'])(
    'throws a TypeError for the unknown %j',
    async (url) => {
      const { backends, running } = await startPool([1]);

      expect(() => running.proxy.drain(url)).toThrow(TypeError);
      expect(() => running.proxy.drain(url)).toThrow(backends[0]!.url);
    },
  );
});
