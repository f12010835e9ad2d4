// Backends that dnsmasq names, and that change while 200 clients ask: no request fails.
import { once as nextEvent } from 'node:events';
import { Agent, createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { discover, fromDns, fromSrv, type Source } from '../../src/discovery/index.js';
import { closeAfterTest } from '../support/cleanup.js';
import { get, startProxyWith } from '../support/proxy.js';
import { until } from '../support/wait.js';
import { startDnsmasq } from './support/dnsmasq.js';

const NAME = 'orders.internal';
const SERVICE = `_http._tcp.${NAME}`;
const CLIENTS = 200;
const REFRESH_MS = 50;
/** A listener accepts one connection a turn of the loop, and all of this is one process. */
const LIMIT_MS = 20_000;
const NO_NEWS = 'http://127.0.0.1:1';

/** One of several applications, each on an address of its own, all on one port. */
class Replica {
  /** Requests so far. */
  count = 0;
  /** Open now. */
  sockets = 0;
  readonly server: Server;

  constructor(readonly address: string) {
    this.server = createServer((request, response) => {
      this.count += 1;
      request.resume().on('end', () => response.end(address));
    });
    this.server.on('connection', (socket) => {
      this.sockets += 1;
      socket.on('close', () => {
        this.sockets -= 1;
      });
    });
    closeAfterTest(() => this.stop());
  }

  async start(port: number): Promise<number> {
    this.server.listen(port, this.address);
    await nextEvent(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  /** As an application ends: what runs ends, idle connections are closed. */
  async stop(): Promise<void> {
    if (!this.server.listening) return;
    this.server.close();
    this.server.closeIdleConnections();
    await nextEvent(this.server, 'close');
  }
}

async function startReplicas(count: number): Promise<{ port: number; replicas: Replica[] }> {
  const replicas = Array.from({ length: count }, (_, i) => new Replica(`127.0.0.${i + 1}`));
  const port = await replicas[0]!.start(0);
  for (const replica of replicas.slice(1)) await replica.start(port);
  return { port, replicas };
}

/** A proxy with this source, and clients that ask without a pause. */
async function startLoad(source: Source) {
  const running = await startProxyWith({ target: NO_NEWS, log: false });
  const { proxy, url } = running;
  const told: string[] = [];
  const discovery = discover(proxy, source, {
    refresh: REFRESH_MS,
    onError: ({ message }) => told.push(message),
    onRecovery: () => told.push('recovered'),
  });
  await discovery.refresh();
  /** Attempts that are not over, by their backend. */
  const open = new Map<string, number>();
  const add = (backend: string, by: number) => open.set(backend, (open.get(backend) ?? 0) + by);
  proxy.events.on('attempt', ({ backend }) => add(backend, 1));
  proxy.events.on('hop', ({ backend }) => add(backend, -1));
  const failures: unknown[] = [];
  proxy.events.on('done', ({ status, hops }) => status !== 200 && failures.push(hops));
  const agent = new Agent({ keepAlive: true });
  closeAfterTest(() => agent.destroy());
  const answers: Record<string, number> = {};
  let over = false;
  const clients = Array.from({ length: CLIENTS }, async (_, i) => {
    const init = i % 2 === 0 ? { agent } : { agent, method: 'POST', body: 'x'.repeat(100) };
    while (!over) {
      const { status, text } = await get(url, init);
      const answer = status === 200 ? text : String(status);
      answers[answer] = (answers[answer] ?? 0) + 1;
    }
  });
  return {
    ...running,
    told,
    answers,
    failures,
    open,
    urls: () => proxy.status().backends.map((backend) => backend.url),
    async end(): Promise<void> {
      over = true;
      await Promise.all(clients);
    },
  };
}

describe('dnsmasq', () => {
  it('says by A records who is there, under load', async () => {
    const { port, replicas } = await startReplicas(4);
    const [one, two, three, four] = replicas as [Replica, Replica, Replica, Replica];
    const records = (...those: Replica[]): string[] =>
      those.map(({ address }) => `host-record=${NAME},${address}`);
    const dnsmasq = await startDnsmasq(records(one, two));
    const source = fromDns(`http://${NAME}:${port}`, { resolver: dnsmasq.resolver() });
    const { proxy, answers, failures, open, urls, told, end } = await startLoad(source);
    let requests = 0;

    for (const those of [[two, three], [four], [one, two, three, four], [one], replicas.slice(1)]) {
      for (const replica of replicas) if (!replica.server.listening) await replica.start(port);
      await dnsmasq.serve(records(...those));
      const expected = those.map(({ address }) => `http://${address}:${port}#${NAME}`);
      await until(() => String(urls()) === String(expected), 'the new records', LIMIT_MS);
      const counts = those.map(({ count }) => count);
      await until(
        () => those.every(({ count }, i) => count > counts[i]! + 50),
        'their part',
        LIMIT_MS,
      );
      const gone = replicas.filter((replica) => !those.includes(replica));
      // As long as an application has to wait with its end: what is under way there ends, and no
      // connection is left.
      await until(
        () => gone.every(({ address }) => !open.get(`${address}:${port}`)),
        'the last',
        LIMIT_MS,
      );
      await until(() => gone.every((replica) => replica.sockets === 0), 'no connection', LIMIT_MS);
      await Promise.all(gone.map((replica) => replica.stop()));
      expect(proxy.status().requests).toBeGreaterThan(requests);
      requests = proxy.status().requests;
    }
    await dnsmasq.kill();
    await until(() => told.at(-1) !== 'recovered', 'news of the silence');
    const before = proxy.status().requests;
    await until(() => proxy.status().requests > before + 500, 'requests meanwhile');
    expect(urls()).toHaveLength(3);
    await end();

    expect(failures).toEqual([]);
    expect(Object.keys(answers).sort()).toEqual(replicas.map(({ address }) => address));
    const { inFlight, retries } = proxy.status();
    expect({ inFlight, retries }).toEqual({ inFlight: 0, retries: 0 });
    process.stdout.write(`${requests} requests, none failed: ${JSON.stringify(answers)}\n`);
  }, 100_000);

  it('says by SRV records who stands in when the first ones are gone', async () => {
    const { port, replicas } = await startReplicas(3);
    const [one, two, spare] = replicas as [Replica, Replica, Replica];
    const dnsmasq = await startDnsmasq([
      ...replicas.map(({ address }, i) => `host-record=r${i}.${NAME},${address}`),
      `srv-host=${SERVICE},r0.${NAME},${port},10,3`,
      `srv-host=${SERVICE},r1.${NAME},${port},10,1`,
      `srv-host=${SERVICE},r2.${NAME},${port},20,1`,
    ]);
    const source = fromSrv(SERVICE, { resolver: dnsmasq.resolver() });
    const { url, proxy } = await startProxyWith({
      target: NO_NEWS,
      breaker: { failures: 1, cooldown: 200 },
      retry: { unsent: true, budget: false, backoff: { initialDelay: 1 } },
    });
    const discovery = discover(proxy, source, { refresh: REFRESH_MS });
    await discovery.refresh();
    const ask = async (): Promise<string> => (await get(url)).text;

    const texts: string[] = [];
    for (let i = 0; i < 8; i += 1) texts.push(await ask());
    const timesOf = ({ address }: Replica): number =>
      texts.filter((text) => text === address).length;
    expect(replicas.map(timesOf)).toEqual([6, 2, 0]);

    await Promise.all([one.stop(), two.stop()]);
    while (proxy.status().backends.length < 3) await ask();
    expect(await ask()).toBe(spare.address);

    await one.start(port);
    await until(() => proxy.status().backends.some(({ breaker }) => breaker === 'half-open'));
    while (proxy.status().backends.length > 2) await ask();
    expect(await ask()).toBe(one.address);
  });
});
