// WebSockets from end to end, by every arrangement of proxy, nginx and HAProxy.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { reply } from '../support/backend.js';
import { pseudoRandom, sha256 } from '../support/bodies.js';
import { type LogLine, requestLines } from '../support/log-lines.js';
import { get } from '../support/proxy.js';
import { once, until } from '../support/wait.js';
import { type Arrangement, arrangements, type Chain } from './support/arrangements.js';
import {
  type Accepted,
  accept,
  connectTo,
  greetAndEcho,
  refusalOf,
  WELCOME,
} from './support/websocket.js';

const CLIENT = '127.0.0.2';
const MEGABYTE = pseudoRandom(2 ** 20);

/** The two ways in which a proxy hears of upgrades. */
const ways = ["server.on('upgrade', proxy.upgrade)", 'ws: true'] as const;

async function startChain({ start }: Arrangement, way: (typeof ways)[number]): Promise<Chain> {
  if (way === 'ws: true') {
    const chain = await start({ ws: true });
    chain.answerWith(reply(200, 'ok'));
    await get(chain.url); // the server of the first request is subscribed
    return chain;
  }
  const chain = await start();
  chain.running.server.on('upgrade', chain.running.proxy.upgrade);
  return chain;
}

const cases = arrangements.flatMap((arrangement) =>
  ways.map((way) => ({ arrangement, way, name: arrangement.name })),
);

describe.each(cases)('with $name, by $way', ({ arrangement, way }) => {
  let chain: Chain;
  let acceptors: { accepted: Accepted[] }[];
  const accepted = (): Accepted[] => acceptors.flatMap((one) => one.accepted);
  beforeEach(async () => {
    chain = await startChain(arrangement, way);
    acceptors = chain.applications.map(({ server }) => accept(server, greetAndEcho));
  });

  it('text and bytes are echoed, pings answered, and the close code passes', async () => {
    const bytes = MEGABYTE.stream().read(2 ** 20) as Buffer;
    const client = await connectTo(`${chain.url}/chat?room=7`);

    expect(await client.next()).toBe(WELCOME);
    client.socket.send('grüße');
    expect(await client.next()).toBe('grüße');
    client.socket.send(bytes);
    expect(sha256(await client.next())).toBe(MEGABYTE.sha256);
    client.socket.ping('are you there?');
    const [pong] = await once<[Buffer]>(client.socket, 'pong');
    expect(pong.toString()).toBe('are you there?');
    client.socket.close(4321, 'enough');

    const [application] = accepted();
    expect(application?.url).toBe('/chat?room=7');
    expect(await application?.closed()).toEqual({ code: 4321, reason: 'enough' });
    expect(await client.closed()).toEqual({ code: 4321, reason: 'enough' });
  });

  it('the application may close as well', async () => {
    const client = await connectTo(chain.url);
    await client.next();

    accepted()[0]?.socket.close(4321, 'that is all');

    expect(await client.closed()).toEqual({ code: 4321, reason: 'that is all' });
    expect(await accepted()[0]?.closed()).toEqual({ code: 4321, reason: 'that is all' });
  });

  it('the request id is on the 101, at the application and in one log line', async () => {
    const client = await connectTo(`${chain.url}/chat`, { headers: { 'X-Request-ID': 'night-1' } });
    await client.next();
    const lines = (): LogLine[] =>
      requestLines(chain.running.log).filter(({ url }) => url === '/chat');

    expect(client.response.statusCode).toBe(101);
    expect(client.response.headers['x-request-id']).toBe('night-1');
    expect(accepted().map(({ headers }) => headers['x-request-id'])).toEqual(['night-1']);
    expect(lines()).toEqual([]); // it is not over
    client.socket.close(1000);
    await until(() => lines().length > 0, 'the log line');
    expect(lines()).toMatchObject([{ requestId: 'night-1', hops: [{ outcome: 101 }] }]);
  });

  it('the application is told where the client is', async () => {
    const client = await connectTo(chain.url, {
      localAddress: CLIENT,
      headers: { Host: 'shop.example', 'X-Forwarded-For': '203.0.113.7' },
    });
    await client.next();

    const { inFront } = arrangement;
    expect(accepted()[0]?.headers).toMatchObject({
      host: 'shop.example',
      'x-forwarded-for': inFront ? `203.0.113.7, ${CLIENT}, 127.0.0.1` : CLIENT,
      'x-forwarded-host': 'shop.example',
      'x-forwarded-proto': 'http',
    });
  });

  it('a backend that refuses connections is passed over', async () => {
    await chain.backends[0]?.kill();

    const clients = [await connectTo(chain.url), await connectTo(chain.url)];

    expect(await Promise.all(clients.map((client) => client.next()))).toEqual([WELCOME, WELCOME]);
    expect(acceptors.map((one) => one.accepted.length)).toEqual([0, 2]);
  });

  it('a backend that is killed ends its socket, and the other serves the next', async () => {
    const client = await connectTo(chain.url);
    await client.next();
    const mine = acceptors.findIndex((one) => one.accepted.length > 0);

    await chain.backends[mine]?.kill();

    expect(await client.closed()).toEqual({ code: 1006, reason: '' });
    const next = await connectTo(chain.url);
    expect(await next.next()).toBe(WELCOME);
  });
});

describe.each(arrangements)('with $name', (arrangement) => {
  it('the client gets the whole answer of an application that does not upgrade', async () => {
    const chain = await startChain(arrangement, ways[0]);
    const body = 'members only '.repeat(1000);
    chain.answerWith(reply(403, body, { 'X-Reason': 'no member' }));

    const refusal = await refusalOf(`${chain.url}/chat`, { headers: { 'X-Request-ID': 'no-1' } });

    expect(refusal).toMatchObject({ status: 403, text: body });
    expect(refusal.headers).toMatchObject({ 'x-reason': 'no member', 'x-request-id': 'no-1' });
  });

  it('the client gets a 502 when no backend answers', async () => {
    const chain = await startChain(arrangement, ways[0]);
    for (const backend of chain.backends) await backend.kill();

    const refusal = await refusalOf(chain.url);

    expect(refusal.status).toBe(502);
    expect(JSON.parse(refusal.text)).toMatchObject({ status: 502, code: 'BAD_GATEWAY' });
  });

  it('GETs go on beside a WebSocket, and close() ends it', async () => {
    const chain = await startChain(arrangement, ways[0]);
    for (const { server } of chain.applications) accept(server, greetAndEcho);
    chain.answerWith(reply(200, 'ok'));
    const client = await connectTo(chain.url);
    expect(await client.next()).toBe(WELCOME);

    expect((await get(chain.url)).text).toBe('ok');
    const closing = chain.running.proxy.close(0);

    expect((await client.closed()).code).toBe(1006);
    await closing;
  });
});

it('with ws: true an upgrade that is the first request of all is asked to come again', async () => {
  const chain = await arrangements[0]!.start({ ws: true });
  for (const { server } of chain.applications) accept(server, greetAndEcho);

  const { status, headers } = await refusalOf(chain.url);

  expect(status).toBe(503);
  expect(headers['retry-after']).toBe('1');
  const client = await connectTo(chain.url);
  expect(await client.next()).toBe(WELCOME);
});
