// fromDns() and fromSrv(), with a DNS server that says what the test says.
import { describe, expect, it } from '@jest/globals';
import { discover, fromDns, fromSrv, type SourceContext } from '../src/discovery/index.js';
import { reply, startBackend } from './support/backend.js';
import { startDiscovered } from './support/discovered.js';
import { startDns } from './support/dns-server.js';
import { get, quietProxy } from './support/proxy.js';

const NAME = 'orders.internal';
const SERVICE = '_http._tcp.orders.internal';
const context: SourceContext = { signal: new AbortController().signal };

describe('fromDns', () => {
  it('makes a backend of each address, which keeps the name', async () => {
    const backend = await startBackend(reply(200, 'here'));
    const dns = await startDns({ [NAME]: { A: ['127.0.0.1'] } });
    const source = fromDns(`http://${NAME}:${backend.port}/base`, { resolver: dns.resolver() });
    const { url, urls } = await startDiscovered(source, {}, { changeOrigin: true });

    expect((await get(`${url}/7`)).text).toBe('here');
    expect(backend.received).toMatchObject([
      { url: '/base/7', headers: { host: `${NAME}:${backend.port}` } },
    ]);
    expect(urls()).toEqual([`http://127.0.0.1:${backend.port}/base#${NAME}`]);
  });

  it('knows A and AAAA records, and tells the same set in the same order', async () => {
    const dns = await startDns({ [NAME]: { A: ['10.0.0.2', '10.0.0.1'], AAAA: ['fd00::7'] } });
    const { urls, discovery, proxy } = await startDiscovered(
      fromDns(`https://${NAME}`, { resolver: dns.resolver() }),
    );
    const changes: unknown[] = [];
    proxy.events.on('targets', (change) => changes.push(change));
    const at = (address: string): string => `https://${address}#${NAME}`;
    expect(urls()).toEqual([at('10.0.0.1'), at('10.0.0.2'), at('[fd00::7]')]);

    dns.zone = { [NAME]: { A: ['10.0.0.1', '10.0.0.2'], AAAA: ['fd00::7'] } };
    await discovery.refresh();
    expect(changes).toEqual([]);
    dns.zone = { [NAME]: { A: ['10.0.0.3'] } };
    await discovery.refresh();

    expect(urls()).toEqual([at('10.0.0.3')]);
  });

  it.each([4, 6] as const)('asks for one family alone: %d', async (family) => {
    const dns = await startDns({ [NAME]: { A: ['10.0.0.1'], AAAA: ['fd00::7'] } });

    const targets = await fromDns(`http://${NAME}`, { resolver: dns.resolver(), family })(context);

    expect(targets).toHaveLength(1);
    expect(dns.queries).toEqual([`${family === 4 ? 'A' : 'AAAA'} ${NAME}`]);
  });

  it.each([
    ['NXDOMAIN', undefined, /orders\.internal has no address/],
    ['no records', {}, /orders\.internal has no address/],
    ['SERVFAIL', 'fail', /ESERVFAIL/],
    ['silence', 'silent', /ETIMEOUT/],
  ] as const)('keeps the last good list at %s', async (_what, records, message) => {
    const dns = await startDns({ [NAME]: { A: ['10.0.0.1'] } });
    const timeout = records === 'silent' ? 1000 : 5000;
    const source = fromDns(`http://${NAME}`, { resolver: dns.resolver({ timeout }) });
    const { urls, discovery, told } = await startDiscovered(source);

    dns.zone = records === undefined ? {} : { [NAME]: records };
    for (let i = 0; i < 2; i += 1) await discovery.refresh();

    expect(urls()).toEqual([`http://10.0.0.1#${NAME}`]);
    expect(told).toEqual([expect.stringMatching(message)]);
  });

  it('with a resolver of its own fails for a name that nobody has, and can be called off', async () => {
    const source = fromDns('http://orders.invalid');
    const calledOff = new AbortController();
    const looked = source({ signal: calledOff.signal }) as Promise<unknown>;
    calledOff.abort();

    await expect(looked).rejects.toThrow(/ECANCELLED|no address|ECONNREFUSED|ETIMEOUT/);
  });
});

describe('fromSrv', () => {
  const hosts = {
    'a.orders.internal': { A: ['10.0.0.1'] },
    'b.orders.internal': { A: ['10.0.0.2', '10.0.0.3'] },
  };

  it('takes ports, weights and priorities; an address has its share of its record', async () => {
    const dns = await startDns({
      ...hosts,
      [SERVICE]: {
        SRV: [
          { name: 'a.orders.internal', port: 8081, weight: 10, priority: 1 },
          { name: 'b.orders.internal', port: 8082, weight: 0, priority: 1 },
          { name: 'a.orders.internal', port: 9091, weight: 5, priority: 2 },
        ],
      },
    });
    const resolver = dns.resolver();

    const targets = await fromSrv(SERVICE, { resolver, protocol: 'https', path: '/v1' })(context);

    const [a, b] = ['https://a.orders.internal', 'https://b.orders.internal'];
    expect(targets).toHaveLength(4);
    expect(targets).toEqual(
      expect.arrayContaining([
        { url: `${a}:8081/v1`, address: '10.0.0.1', weight: 20, priority: 1 },
        { url: `${b}:8082/v1`, address: '10.0.0.2', weight: 1, priority: 1 },
        { url: `${b}:8082/v1`, address: '10.0.0.3', weight: 1, priority: 1 },
        { url: `${a}:9091/v1`, address: '10.0.0.1', weight: 10, priority: 2 },
      ]),
    );
  });

  it('has the next priority join when the lowest is down', async () => {
    const dns = await startDns({
      ...hosts,
      [SERVICE]: {
        SRV: [
          { name: 'a.orders.internal', port: 8081, priority: 1 },
          { name: 'a.orders.internal', port: 9091, priority: 2 },
        ],
      },
    });
    const { urls, proxy } = await startDiscovered(fromSrv(SERVICE, { resolver: dns.resolver() }));
    expect(urls()).toEqual(['http://10.0.0.1:8081#a.orders.internal']);

    proxy.setHealthy('http://10.0.0.1:8081', false);

    expect(urls()).toEqual([8081, 9091].map((port) => `http://10.0.0.1:${port}#a.orders.internal`));
  });

  it('leaves out a host without an address, where others have one', async () => {
    const dns = await startDns({
      ...hosts,
      [SERVICE]: {
        SRV: [
          { name: 'gone.orders.internal', port: 1 },
          { name: 'a.orders.internal', port: 8081 },
        ],
      },
    });

    const targets = await fromSrv(SERVICE, { resolver: dns.resolver() })(context);

    expect(targets).toMatchObject([{ address: '10.0.0.1' }]);
  });

  it.each([
    ['NXDOMAIN', undefined, /has no host with an address/],
    ['a service that is decidedly not there', { SRV: [{ name: '.', port: 0 }] }, /has no host/],
    ['hosts without addresses', { SRV: [{ name: 'gone.internal', port: 1 }] }, /has no host/],
    ['SERVFAIL', 'fail', /ESERVFAIL/],
  ] as const)('fails at %s', async (_what, records, message) => {
    const zone = records === undefined ? {} : { [SERVICE]: records as never };
    const dns = await startDns({ ...hosts, ...zone });
    const source = fromSrv(SERVICE, { resolver: dns.resolver() });

    await expect(source(context)).rejects.toThrow(message);
  });

  it('fails when the addresses of one host cannot be had', async () => {
    const dns = await startDns({
      'a.orders.internal': { A: ['10.0.0.1'] },
      'b.orders.internal': 'fail',
      [SERVICE]: { SRV: ['a', 'b'].map((host) => ({ name: `${host}.${NAME}`, port: 1 })) },
    });

    await expect(fromSrv(SERVICE, { resolver: dns.resolver() })(context)).rejects.toThrow(
      /ESERVFAIL/,
    );
  });
});

it('a resolver that cannot ask for IPv6, and throws, leaves no rejection of the other query behind', async () => {
  const resolver = {
    resolve4: async () => Promise.reject(new Error('no IPv4')),
    resolve6() {
      throw new Error('no IPv6');
    },
    resolveSrv: async () => [],
  };

  await expect(fromDns('http://orders.internal', { resolver })(context)).rejects.toThrow('no IPv');
});

it('a source may be looked at by discover() at once with fromDns() of no resolver', async () => {
  const proxy = quietProxy({ target: 'http://10.0.0.1' });
  const told: string[] = [];
  const discovery = discover(proxy, fromDns('http://orders.invalid'), {
    timeout: 4000,
    onError: ({ message }) => told.push(message),
  });
  await discovery.refresh();
  discovery.close();

  expect(told).toHaveLength(1);
  expect(proxy.status().backends).toMatchObject([{ url: 'http://10.0.0.1' }]);
});
