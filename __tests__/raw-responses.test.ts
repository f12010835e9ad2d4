// Walks the table of raw responses: what each has come to at the client, and for those after it.
import type { Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import type { Request } from 'express';
import { startProxyWith } from './support/proxy.js';
import {
  parseRequest,
  parseResponses,
  play,
  type RawAnswer,
  type RawBackend,
  type RawResponse,
  type RawStep,
  sendRaw,
  startRawBackend,
  valuesOf,
} from './support/raw.js';
import { type Outcome, RAW_RESPONSES, type RawResponseRow } from './support/raw-responses.js';
import { delivery, type Gate, gate, until } from './support/wait.js';

/** The row's backend: what it does with `/row`, once; any other request gets its own target. */
async function startRowBackend(row: RawResponseRow, moments: Moments): Promise<RawBackend> {
  const { sends } = row;
  const { answered, asked } = moments;
  const script = typeof sends === 'function' ? sends(answered.opened, asked.opened) : sends;
  let begun = false;
  const perform = (socket: Socket): void => {
    if (begun) return;
    begun = true;
    void play(socket, script, () => Buffer.alloc(0)).then(moments.played.open);
  };
  return startRawBackend((socket) => {
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      for (;;) {
        const request = parseRequest(received);
        if (request === undefined) return;
        received = received.slice(request.length);
        if (!row.atOnce && / \/row /.test(request.line)) perform(socket);
        else socket.write(ownAnswer(request.line));
      }
    });
    socket.on('end', () => socket.end());
    if (row.atOnce) perform(socket);
  });
}

function ownAnswer(line: string): string {
  const [method, target = ''] = line.split(' ');
  const head = `HTTP/1.1 200 OK\r\nX-Target: ${target}\r\nContent-Length: ${target.length}`;
  return `${head}\r\n\r\n${method === 'HEAD' ? '' : target}`;
}

interface Moments {
  /** The client has the row's answer. */
  answered: Gate;
  /** The proxy has the next request, and is about to take a connection for it. */
  asked: Gate;
  /** The backend has done all that the row says. */
  played: Gate;
}

/** The row's request and, behind its answer, the next one on the same connection. */
async function ask(port: number, row: RawResponseRow, moments: Moments): Promise<RawAnswer> {
  const { method = 'GET', version = '1.1' } = row;
  const { answered, played } = moments;
  const request = (target: string): string =>
    `${method} ${target} HTTP/${version}\r\nHost: h\r\nX-Request-ID: ${ID}\r\n\r\n`;
  const whole = (count: number) => (arrived: Buffer) => {
    const responses = parseResponses(arrived.toString('latin1'), { bodiless: method === 'HEAD' });
    if (responses[0]?.complete) answered.open();
    return responses.filter(({ complete }) => complete).length >= count;
  };
  const steps: RawStep[] = [{ write: request('/row') }];
  if (version === '1.1') {
    const over = row.untilAsked ? answered.opened : played.opened.then(delivery);
    steps.push({ waitFor: whole(1) }, { waitFor: over });
    steps.push({ write: request('/next/1') }, { waitFor: whole(2) }, { end: true });
  }
  const answer = await sendRaw(port, steps, { until: 'close', limitMs: 4000 });
  answered.open();
  return answer;
}

const ID = 'night-1';

/** What the server adds to every response; and Date, where the backend has none. */
const ADDED = new Set(['connection', 'keep-alive', 'x-request-id']);

const isNow = (date: string): boolean => Math.abs(Date.parse(date) - Date.now()) < 60_000;

const CODES = { 502: 'BAD_GATEWAY', 504: 'GATEWAY_TIMEOUT' } as const;

function asOutcome(response: RawResponse | undefined): Outcome {
  if (!response?.complete) return 'cut';
  const { status, reason, headers, body, trailers, informational } = response;
  expect(valuesOf(response, 'x-request-id')).toEqual([ID]);
  if (valuesOf(response, 'content-type').join() === 'application/problem+json') {
    expect(Object.keys(CODES)).toContain(String(status));
    const problem = { status, code: CODES[status as 502 | 504] };
    if (body.length > 0) expect(JSON.parse(body.toString())).toMatchObject(problem);
    return status as 502 | 504;
  }
  return {
    status: `${status} ${reason}`,
    fields: headers
      .map(([name, value]): [string, string] => [name.toLowerCase(), value])
      .filter(([name, value]) => !ADDED.has(name) && !(name === 'date' && isNow(value)))
      .map(([name, value]) => `${name}: ${value}`),
    body: body.toString('latin1'),
    trailers: trailers.map(([name, value]) => `${name}: ${value}`),
    informational,
  };
}

describe.each(RAW_RESPONSES)('a backend that sends $group', ({ rows }) => {
  it.each(rows)('$name', async (row) => {
    const moments: Moments = { answered: gate(), asked: gate(), played: gate() };
    const backend = await startRowBackend(row, moments);
    const replayable = ({ url }: Request): boolean => {
      if (url === '/next/1') moments.asked.open();
      return url !== '/row';
    };
    const { port, proxy, app } = await startProxyWith({
      ...{ target: backend.url, retry: { replayable } },
      ...row.options,
    });
    app.disable('x-powered-by');

    const answer = await ask(port, row, moments);

    const [first, second] = answer.responses;
    const outcome = asOutcome(first);
    const isOther = row.or !== undefined && isDeepStrictEqual(outcome, row.or);
    expect(outcome).toEqual(isOther ? row.or : row.outcome);
    expect(answer.rawText).not.toMatch(/poison|x-evil/i);
    // Those after it get their own answers, on its connection and on others.
    const goesOn = outcome !== 'cut' && row.version !== '1.0';
    expect(second && valuesOf(second, 'x-target')).toEqual(goesOn ? ['/next/1'] : undefined);
    for (const target of ['/next/2', '/next/3']) {
      const next = await sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);
      expect(next).toMatchObject({ status: 200, body: Buffer.from(target), complete: true });
    }
    await until(() => proxy.status().inFlight === 0, 'the end of all requests');
    const failures = isOther && typeof row.or !== 'object' ? 1 : row.failures;
    const [counted] = proxy.status().backends;
    expect(counted).toMatchObject({ failures, consecutiveFailures: 0, inFlight: 0 });
  });
});
