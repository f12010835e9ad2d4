// Walks the table of raw requests: what each has come to, at the client and at the backend.
import { describe, expect, it } from '@jest/globals';
import { startProxyWith } from './support/proxy.js';
import {
  parseRequest,
  parseResponses,
  type RawAnswer,
  type RawBackend,
  type RawRequest,
  type RawStep,
  sendRaw,
  startRawBackend,
  valuesOf,
} from './support/raw.js';
import { RAW_REQUESTS, type RawRequestRow, type Reached } from './support/raw-requests.js';
import { until } from './support/wait.js';

/** Whole requests in these bytes, and what is left behind them. */
function requestsIn(received: Buffer): { requests: RawRequest[]; rest: string } {
  const requests: RawRequest[] = [];
  let rest = received.toString('latin1');
  for (;;) {
    const request = parseRequest(rest);
    if (request === undefined) return { requests, rest };
    requests.push(request);
    rest = rest.slice(request.length);
  }
}

/** Answers each request with its own first line, so that no answer can be taken for another. */
/** `arrivals`: by `connection/request`, in the order in which they came. */
async function startMirror(): Promise<{ backend: RawBackend; arrivals: string[] }> {
  const arrivals: string[] = [];
  let connections = 0;
  const backend = await startRawBackend((socket) => {
    const connection = connections++;
    let received = Buffer.alloc(0);
    let answered = 0;
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (const { line } of requestsIn(received).requests.slice(answered)) {
        arrivals.push(`${connection}/${answered}`);
        answered += 1;
        const body = line.startsWith('HEAD') ? '' : line;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${line.length}\r\n\r\n${body}`, 'latin1');
      }
    });
    socket.on('end', () => socket.end());
  });
  return { backend, arrivals };
}

async function send(port: number, row: RawRequestRow, backend: RawBackend): Promise<RawAnswer> {
  const pieces = [row.send].flat();
  const { whenReached } = row;
  const bodiless = pieces[0]!.startsWith('HEAD ');
  const answered = (count: number) => (arrived: Buffer) =>
    parseResponses(arrived.toString('latin1'), { bodiless }).filter(({ complete }) => complete)
      .length >= count;
  const goesOn = (sent: number) =>
    whenReached !== undefined && sent > 0
      ? () => Buffer.concat(backend.received).includes(whenReached, 0, 'latin1')
      : answered(sent);
  const steps: RawStep[] = pieces.flatMap((write, i) => [{ waitFor: goesOn(i) }, { write }]);
  if (row.ends) steps.push({ end: true });
  else if (!row.closes) steps.push({ waitFor: answered(row.answers.length) }, { end: true });
  // Sooner than Node would close an idle connection by itself.
  return sendRaw(port, steps, { until: 'close', limitMs: 3000 });
}

/** What the proxy sets on every request. */
const OURS = new Set([
  'host',
  'connection',
  'x-request-id',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
]);
const NEW_ID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/** As a row has it, after a look at what every request must have, once. */
function asReached(request: RawRequest, backend: RawBackend): Reached {
  const { line, headers, body, trailers } = request;
  const [host] = valuesOf(request, 'x-forwarded-host');
  expect(valuesOf(request, 'host')).toEqual([host || backend.host]);
  expect(valuesOf(request, 'connection')).toEqual(['keep-alive']);
  expect(valuesOf(request, 'x-forwarded-for')).toEqual(['127.0.0.1']);
  expect(valuesOf(request, 'x-forwarded-proto')).toEqual(['http']);
  const [id = '', ...others] = valuesOf(request, 'x-request-id');
  expect(others).toEqual([]);
  // One frame, in a form that nobody can read in two ways.
  const frames = ['content-length', 'transfer-encoding'].flatMap((name) => valuesOf(request, name));
  expect(frames.filter((frame) => !/^(?:0|[1-9]\d*|chunked)$/.test(frame))).toEqual([]);
  expect(frames.length).toBeLessThanOrEqual(1);
  return {
    line,
    fields: headers
      .filter(([name]) => !OURS.has(name.toLowerCase()))
      .map(([name, value]) => `${name.toLowerCase()}: ${value}`),
    body: body.toString('latin1'),
    trailers: trailers.map(([name, value]) => `${name}: ${value}`),
    host: host ?? null,
    ...(NEW_ID.test(id) ? {} : { id }),
  };
}

/** What the client got; answers what the backend must have got for it. */
function checkAnswers({ responses, rawText }: RawAnswer, row: RawRequestRow): Reached[] {
  const statuses = responses.map(({ status }) => status);
  expect(responses.filter(({ complete }) => !complete)).toEqual([]);
  expect(rawText).not.toContain('smuggled');
  if (row.orRefused !== undefined && statuses.join() === String(row.orRefused)) return [];
  const wanted = row.answers.map((status, i) =>
    [status].flat().includes(statuses[i]!) ? statuses[i] : [status].flat()[0],
  );
  expect(statuses).toEqual(wanted);
  const informational = responses.flatMap((each) => each.informational);
  expect(informational).toEqual(row.informational ?? []);
  return row.reached;
}

describe.each(RAW_REQUESTS)('a client that sends $group', ({ rows }) => {
  it.each(rows)('$name', async (row) => {
    const base = row.base ?? '';
    const { backend, arrivals } = await startMirror();
    const { port, proxy } = await startProxyWith({ target: backend.url + base });

    const answer = await send(port, row, backend);

    const reached = checkAnswers(answer, row);
    // The proxy is as it was: the next request gets its own answer.
    const next = await sendRaw(port, 'GET /next HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(next.body.toString()).toBe(`GET ${base}/next HTTP/1.1`);

    const arrived = backend.received.map(requestsIn);
    const requests = arrivals
      .map((arrival) => arrival.split('/').map(Number) as [number, number])
      .map(([connection, i]) => arrived[connection]!.requests[i]!)
      .filter(({ line }) => line !== next.body.toString());
    expect(requests.map((request) => asReached(request, backend))).toEqual(reached);
    const bodies = answer.responses.filter(({ status }) => status === 200).map(({ body }) => body);
    const lines = requests.map(({ line }) => (line.startsWith('HEAD') ? '' : line));
    expect(bodies.map((body) => body.toString('latin1'))).toEqual(lines);
    // The proxy has counted what the backend has seen, and nothing is left over to be seen as more.
    await until(() => proxy.status().inFlight === 0, 'the end of all requests');
    const [counted] = proxy.status().backends;
    expect(counted).toMatchObject({ failures: 0, inFlight: 0 });
    if (row.begun) {
      // There may be the beginning of one: then its connection is cut.
      const sound = arrived.filter(({ rest }) => rest === '');
      await until(() => backend.openSockets() <= sound.length, 'the cut');
      return;
    }
    expect(arrived.map(({ rest }) => rest).join('')).toBe('');
    expect(counted?.attempts).toBe(reached.length + 1);
  });
});
