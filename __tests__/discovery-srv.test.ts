// fromSrv() with sets of records that are odd, but mean something all the same.
import { describe, expect, it } from '@jest/globals';
import { type DnsResolver, fromSrv, type SourceContext } from '../src/discovery/index.js';
import { startDiscovered } from './support/discovered.js';
import { type Srv, startDns } from './support/dns-server.js';

const SERVICE = '_http._tcp.orders.internal';
const context: SourceContext = { signal: new AbortController().signal };
const [A, B] = ['a.orders.internal', 'b.orders.internal'] as const;
const HOSTS = { [A]: { A: ['10.0.0.1'] }, [B]: { A: ['10.0.0.2'] } };

/** A proxy that has looked at these records: its backends with their weights, and its complaints. */
async function found(...records: Srv[]) {
  const dns = await startDns({ ...HOSTS, [SERVICE]: { SRV: records } });
  const source = fromSrv(SERVICE, { resolver: dns.resolver() });
  const { proxy, told } = await startDiscovered(source);
  const { backends } = proxy.status();
  return { told, backends: backends.map(({ url, weight }) => `${url} ${weight}`).sort() };
}

describe('records', () => {
  it('that say the same are one', async () => {
    const record = { name: A, port: 8081, weight: 3 };

    expect(await found(record, record, { ...record, name: A.toUpperCase() })).toEqual({
      told: [],
      backends: [`http://10.0.0.1:8081#${A} 3`],
    });
  });

  it('of one place add up, where their weights differ', async () => {
    const record = { name: A, port: 8081, weight: 3 };

    expect(
      await found(record, { ...record, weight: 4 }, { name: B, port: 8081, weight: 7 }),
    ).toEqual({
      told: [],
      backends: [`http://10.0.0.1:8081#${A} 7`, `http://10.0.0.2:8081#${B} 7`],
    });
  });

  it('of one place in two priorities count in the lower one', async () => {
    const dns = await startDns({
      ...HOSTS,
      [SERVICE]: {
        SRV: [
          { name: A, port: 8081, priority: 2 },
          { name: B, port: 8081, priority: 2 },
          { name: A, port: 8081, priority: 1 },
        ],
      },
    });
    const source = fromSrv(SERVICE, { resolver: dns.resolver() });
    const { proxy, urls, told } = await startDiscovered(source);
    const [first] = urls();
    expect(urls()).toEqual([`http://10.0.0.1:8081#${A}`]);

    proxy.setHealthy(first!, false);

    expect({ told, urls: urls() }).toEqual({
      told: [],
      urls: [first, `http://10.0.0.2:8081#${B}`],
    });
  });

  it('of two names at one address are two backends', async () => {
    const dns = await startDns({
      [A]: { A: ['10.0.0.1'] },
      [B]: { A: ['10.0.0.1'] },
      [SERVICE]: { SRV: [A, B].map((name) => ({ name, port: 8081 })) },
    });
    const { urls } = await startDiscovered(fromSrv(SERVICE, { resolver: dns.resolver() }));

    expect(urls().sort()).toEqual([A, B].map((name) => `http://10.0.0.1:8081#${name}`));
  });

  it.each<[string, Srv]>([
    ['port 0', { name: B, port: 0 }],
    ['a host that is none', { name: 'b d.internal', port: 8081 }],
    ['a host that would be more', { name: 'b@evil.internal', port: 8081 }],
    ['a host without an address', { name: 'gone.orders.internal', port: 8081 }],
  ])('with %s are left out, where others are left', async (_what, odd) => {
    expect(await found(odd, { name: A, port: 8081 })).toEqual({
      told: [],
      backends: [`http://10.0.0.1:8081#${A} 1`],
    });
  });

  it('with port 0 alone are an error that says so', async () => {
    const { told } = await found({ name: A, port: 0 });

    expect(told).toEqual([
      `${SERVICE} has no host with an address and a port; its records: ${A}:0`,
    ]);
  });
});

describe('weights', () => {
  it('are exact integers still where all are 0, and the hosts have odd counts of addresses', async () => {
    const counts = [101, 103, 107, 109, 113, 127, 131, 137];
    const resolver = {
      resolveSrv: async () =>
        counts.map((count) => ({ name: `n${count}`, port: 8081, priority: 0, weight: 0 })),
      resolve4: async (name: string) =>
        Array.from({ length: Number(name.slice(1)) }, (_, i) => `10.0.${name.slice(1)}.${i}`),
      resolve6: async () => [],
    };
    const { proxy } = await startDiscovered(fromSrv(SERVICE, { resolver }));

    const sum = proxy.status().backends.reduce((before, { weight }) => before + weight, 0);
    expect(Number.isSafeInteger(sum * counts.length)).toBe(true);
  });

  it('may be as far apart as there are', async () => {
    const records = [
      { name: A, port: 8081, weight: 65_535 },
      { name: B, port: 8081, weight: 1 },
    ];

    expect(await found(...records)).toEqual({
      told: [],
      backends: [`http://10.0.0.1:8081#${A} 65535`, `http://10.0.0.2:8081#${B} 1`],
    });
  });

  it('are shared by any numbers of addresses, and stay what the balance bears', async () => {
    // The least number that all of these divide is 4e15.
    const counts = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43];
    const resolver: DnsResolver = {
      resolve4: async (host) =>
        Array.from({ length: Number.parseInt(host.slice(1), 10) }, (_, i) => {
          return `10.0.${host.slice(1)}.${i}`;
        }),
      resolve6: async () => [],
      resolveSrv: async () =>
        counts.map((count) => ({ name: `h${count}`, port: 80, weight: 65_535, priority: 1 })),
    };

    const { told, proxy } = await startDiscovered(fromSrv(SERVICE, { resolver }));

    expect(told).toEqual([]);
    const { backends } = proxy.status();
    expect(backends).toHaveLength(counts.reduce((sum, count) => sum + count));
    const shares = counts.map((count) =>
      backends
        .filter(({ url }) => url.endsWith(`#h${count}`))
        .reduce((sum, { weight }) => sum + weight, 0),
    );
    for (const share of shares) expect(share / shares[0]!).toBeCloseTo(1, 6);
    expect(Number.isSafeInteger(shares.reduce((sum, share) => sum + share))).toBe(true);
  });

  it('are never 0, however small their share is', async () => {
    const resolver: DnsResolver = {
      resolve4: async (host) =>
        host === 'heavy' ? ['10.1.0.1'] : Array.from({ length: 251 }, (_, i) => `10.0.0.${i}`),
      resolve6: async (host) => (host === 'heavy' ? ['fd00::1', 'fd00::2'] : []),
      resolveSrv: async () => [
        { name: 'heavy', port: 80, weight: 2 ** 50, priority: 1 },
        { name: 'light', port: 80, weight: 0, priority: 1 },
      ],
    };

    const targets = await fromSrv(SERVICE, { resolver })(context);

    expect(new Set(targets.map((target) => (target as { weight: number }).weight))).toEqual(
      new Set([Math.round(2 ** 32 / 3), 1]),
    );
  });
});
