// Long bodies and streams from end to end, by every arrangement of proxy, nginx and HAProxy.
import { PassThrough } from 'node:stream';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { atHead, bigBody, controlled, echo, eventStream } from '../support/backend.js';
import { digest, pseudoRandom } from '../support/bodies.js';
import { get, type OpenRequest, open, readBody } from '../support/proxy.js';
import { gate, until } from '../support/wait.js';
import { arrangements, type Chain } from './support/arrangements.js';

const BODY = pseudoRandom(10 * 2 ** 20);
const EXPECTED = { bytes: BODY.bytes, sha256: BODY.sha256 };

describe.each(arrangements)('with $name', ({ start }) => {
  let chain: Chain;
  beforeEach(async () => {
    chain = await start();
  });

  it('10 MB with a length come down', async () => {
    chain.answerWith(bigBody(BODY.bytes).handler);

    const response = await open(chain.url).response;

    expect(response.headers['content-length']).toBe(String(BODY.bytes));
    expect(await digest(response)).toEqual(EXPECTED);
  });

  it('10 MB in chunks come down', async () => {
    chain.answerWith((_request, response) => {
      BODY.stream().pipe(response);
    });

    const response = await open(chain.url).response;

    expect(response.headers['transfer-encoding']).toBe('chunked');
    expect(await digest(response)).toEqual(EXPECTED);
  });

  it.each([
    ['with a length', { 'Content-Length': BODY.bytes }],
    ['in chunks', {}],
  ])('10 MB %s go up', async (_how, headers) => {
    chain.answerWith(echo());

    for (const method of ['POST', 'PUT']) {
      const answer = await get(chain.url, { method, headers, body: BODY.stream() });
      expect(JSON.parse(answer.text)).toMatchObject({
        method,
        headers: 'Content-Length' in headers ? { 'content-length': String(BODY.bytes) } : {},
        body: { length: EXPECTED.bytes, sha256: EXPECTED.sha256 },
      });
    }
  });

  it('an upload goes on as it comes', async () => {
    let arrived = '';
    chain.answerWith(
      atHead((request, response) => {
        request.on('data', (chunk: Buffer) => {
          arrived += chunk;
        });
        request.on('end', () => response.end('done'));
      }),
    );
    const upload = new PassThrough();
    const { response } = open(chain.url, { method: 'POST', body: upload });

    for (const part of ['one, ', 'two, ', 'three']) {
      const before = arrived;
      upload.write(part);
      await until(() => arrived === before + part, `the arrival of: ${part}`);
    }
    upload.end();

    expect((await readBody(await response)).body.toString()).toBe('done');
  });

  it('each chunk of a response arrives before the next is sent', async () => {
    const stream = controlled({ 'Content-Type': 'text/plain' });
    chain.answerWith(stream.handler);
    const { response, arrived } = await reading(open(chain.url));

    expect(response.headers['transfer-encoding']).toBe('chunked');
    for (const chunk of ['one, ', 'two, ', 'three']) {
      const before = arrived();
      stream.send(chunk);
      await until(() => arrived() === before + chunk, `the arrival of: ${chunk}`);
    }
    stream.end();
    await until(() => response.complete);
  });

  it('an event stream opens before its first event, and each arrives by itself', async () => {
    const events = eventStream();
    chain.answerWith(events.handler);
    const request = open(chain.url, { headers: { Accept: 'text/event-stream' } });
    const { response, arrived } = await reading(request);

    expect(response.headers['content-type']).toBe('text/event-stream');
    for (const id of [1, 2, 3]) {
      const event = `id: ${id}\ndata: event ${id}\n\n`;
      events.send(event);
      await until(() => arrived().endsWith(event), `the arrival of event ${id}`);
    }
    request.request.destroy();
    await until(() => events.open === 0, 'the application to hear that the client has left');
  });

  it('a response that breaks off is cut for the client too', async () => {
    const stream = controlled({ 'Content-Length': 100 });
    chain.answerWith(stream.handler);
    const { request, response } = open(chain.url);
    const incoming = await response;
    stream.send('the first bytes');
    const first = gate();
    incoming.once('readable', first.open);
    await first.opened;

    await stream.reset();

    const { body, aborted } = await readBody(incoming);
    expect([body.toString(), aborted]).toEqual(['the first bytes', true]);
    expect(request.destroyed).toBe(true);
  });
});

/** The head of a response, and what has arrived of its body. */
async function reading({ response }: OpenRequest) {
  const incoming = await response;
  let text = '';
  incoming.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  return { response: incoming, arrived: () => text };
}
