// Who asks, and under which id: told from end to end, by every arrangement.
import { request as httpsRequest } from 'node:https';
import { describe, expect, it } from '@jest/globals';
import { type Echo, echo, failTimes, reply } from '../support/backend.js';
import { localhostCertificate } from '../support/certificates.js';
import { requestLine } from '../support/log-lines.js';
import { get, readBody } from '../support/proxy.js';
import { until, within } from '../support/wait.js';
import { arrangements } from './support/arrangements.js';

const CLIENT = '127.0.0.2';
const FRONT = '127.0.0.1';

describe.each(arrangements)('with $name', ({ start, inFront }) => {
  it('the request id of the client goes all the way and comes back', async () => {
    const chain = await start();
    chain.answerWith(reply(200, 'ok'));

    const answer = await get(`${chain.url}/orders/7`, { headers: { 'X-Request-ID': 'night-1' } });

    expect(answer.text).toBe('ok');
    expect(namesOf(answer.rawHeaders).filter((name) => name === 'x-request-id')).toHaveLength(1);
    expect(answer.headers['x-request-id']).toBe('night-1');
    expect(chain.received().map(({ headers }) => headers['x-request-id'])).toEqual(['night-1']);
    expect(await requestLine(chain.running.log)).toMatchObject({
      requestId: 'night-1',
      url: '/orders/7',
    });
    for (const gateway of chain.gateways) {
      // A backend that was not asked has nothing to log.
      const asked = inFront || gateway === chain.gateways[0];
      if (asked) await until(() => /\/orders\/7.* 200 night-1\b/.test(gateway.log()));
    }
  });

  it('a request without an id gets one, the same for every attempt', async () => {
    const chain = await start();
    chain.answerWith(failTimes(1, reply(200, 'ok'), 503));

    const answer = await get(chain.url);

    const id = answer.headers['x-request-id'];
    expect(answer.text).toBe('ok');
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(chain.received().map(({ headers }) => headers['x-request-id'])).toEqual([id, id]);
    const attempts = chain.received().map(({ headers }) => headers['x-request-attempt']);
    expect(attempts.sort()).toEqual(['2', undefined]);
    expect((await requestLine(chain.running.log)).requestId).toBe(id);
  });

  it('the application is told where the client is, by those who may be believed', async () => {
    const chain = await start();
    chain.answerWith(echo());

    const answer = await get(chain.url, {
      localAddress: CLIENT,
      headers: { Host: 'shop.example', 'X-Forwarded-For': '203.0.113.7' },
    });

    const { headers } = JSON.parse(answer.text) as Echo;
    // What the client itself says counts for nothing, unless the trusted server in front vouches.
    const chainOfPeers = inFront ? `203.0.113.7, ${CLIENT}, ${FRONT}` : CLIENT;
    expect(headers['x-forwarded-for']).toBe(chainOfPeers);
    expect(headers).toMatchObject({
      host: 'shop.example',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-proto': 'http',
    });
  });
});

const fronts = arrangements.filter(({ inFront }) => inFront);

describe.each(fronts)('with $name', ({ start }) => {
  it('the application is told that the client came by https', async () => {
    const chain = await start();
    chain.answerWith(echo());

    const { headers } = await getByTls(chain.gateways[0]?.tlsUrl ?? '');

    expect(headers).toMatchObject({
      'x-forwarded-proto': 'https',
      'x-forwarded-for': `${FRONT}, ${FRONT}`,
    });
  });
});

const namesOf = (rawHeaders: string[]): string[] =>
  rawHeaders.filter((_text, i) => i % 2 === 0).map((name) => name.toLowerCase());

/** What arrived of a GET that went by TLS. */
function getByTls(url: string): Promise<Echo> {
  const answered = new Promise<Echo>((resolve, reject) => {
    const request = httpsRequest(url, { ca: localhostCertificate.cert, agent: false });
    request.on('error', reject);
    request.on('response', (response) => {
      readBody(response).then(({ body }) => resolve(JSON.parse(body.toString())), reject);
    });
    request.end();
  });
  return within(answered, 'an answer by TLS');
}
