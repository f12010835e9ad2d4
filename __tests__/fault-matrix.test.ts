// Walks the fault matrix: two backends, the faulty one first, and one request of each method.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { type Backend, type ReceivedRequest, reply, startBackend } from './support/backend.js';
import { pseudoRandom } from './support/bodies.js';
import { type Ending, FAULT_MATRIX, type FaultRow, METHODS } from './support/fault-matrix.js';
import { faultMatrixPage } from './support/fault-matrix-page.js';
import { type LogLine, requestLines } from './support/log-lines.js';
import { type ClientResponse, get, type RunningProxy, startProxyWith } from './support/proxy.js';
import { parseRequest } from './support/raw.js';
import { SickBackend } from './support/sick-backend.js';
import { until } from './support/wait.js';

type Method = (typeof METHODS)[number];

/** What is longer is sent in pieces, as it is taken. */
const SMALL = 1000;

interface Scene {
  row: FaultRow;
  method: Method;
  body: Buffer;
  sick: SickBackend | null;
  well: Backend;
  running: RunningProxy;
}

async function setUp(row: FaultRow, method: Method): Promise<Scene> {
  const sick = 'play' in row.sick ? await new SickBackend(row.sick).start() : null;
  const sickUrl = 'url' in row.sick ? await row.sick.url() : sick!.url;
  const well = await startBackend(reply(200, 'well'));
  const running = await startProxyWith(
    {
      target: [sickUrl, well.url],
      balance: (_req, candidates) => candidates[0]!, // the faulty one, as long as it may be tried
      ...row.options,
    },
    { captureLog: 'json' },
  );
  const bytes = method === 'GET' ? 0 : (row.bodyBytes ?? 5);
  const body = Buffer.concat(await pseudoRandom(bytes).stream().toArray());
  if ('play' in row.sick && row.phase.startsWith('idle')) {
    expect((await get(`${running.url}/first`)).text).toBe('first');
    await row.sick.whileIdle?.(sick!);
  }
  return { row, method, body, sick, well, running };
}

/** A bit more than half of it, and the rest when the faulty backend has had its fault. */
async function* inTwoParts({ body, sick }: Scene): AsyncGenerator<Buffer> {
  const part = Math.ceil(body.length * 0.6);
  for (let at = 0; at < part; at += 65_536) yield body.subarray(at, Math.min(at + 65_536, part));
  await until(() => sick!.peers[0]?.over, 'the fault');
  for (let at = part; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
}

function send(scene: Scene): Promise<ClientResponse> {
  const { method, body, running } = scene;
  const { length } = body;
  const headers = {
    'X-Request-ID': 'night-1',
    'X-A': 'b',
    ...(length > 0 && { 'Content-Length': length }),
  };
  return get(`${running.url}/orders/7?a=b`, {
    method,
    headers,
    ...(length > 0 && { body: length > SMALL ? Readable.from(inTwoParts(scene)) : body }),
  });
}

/** The line, the sorted fields and the body: all that a backend must get. */
function wanted({ method, body, running }: Scene, attempt: number): [string, string[], string] {
  const fields = [
    'connection: keep-alive',
    ...(body.length > 0 ? [`content-length: ${body.length}`] : []),
    `host: 127.0.0.1:${running.port}`,
    'x-a: b',
    'x-forwarded-for: 127.0.0.1',
    `x-forwarded-host: 127.0.0.1:${running.port}`,
    'x-forwarded-proto: http',
    ...(attempt > 1 ? [`x-request-attempt: ${attempt}`] : []),
    'x-request-id: night-1',
  ];
  return [`${method} /orders/7?a=b HTTP/1.1`, fields, body.toString('latin1')];
}

const sorted = (headers: [string, string][]): string[] =>
  headers.map(([name, value]) => `${name.toLowerCase()}: ${value}`).sort();

function pairs(raw: string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[i * 2]!, raw[i * 2 + 1]!]);
}

/** What the faulty backend has got for the request that the row is about. */
function checkSick(scene: Scene): void {
  const { row, sick } = scene;
  expect(sick?.connections ?? 0).toBe(row.connections);
  let rest = sick?.received.map((bytes) => bytes.toString('latin1')).join('') ?? '';
  if (row.phase.startsWith('idle')) {
    const first = parseRequest(rest);
    expect(first?.line).toBe('GET /first HTTP/1.1');
    rest = rest.slice(first?.length);
  }
  if (row.reached === 'nothing') return expect(rest).toBe('');
  const [line, fields, body] = wanted(scene, 1);
  const end = rest.indexOf('\r\n\r\n') + 4;
  const head = parseRequest(`${rest.slice(0, end).replace(/content-length/i, 'x-length')}`);
  expect(head?.line).toBe(line);
  const got = sorted(head?.headers ?? []).map((f) => f.replace('x-length', 'content-length'));
  expect(got.sort()).toEqual(fields);
  const arrived = rest.slice(end);
  // Not toBe(): what differs may be megabytes.
  expect(body.startsWith(arrived)).toBe(true);
  expect(arrived.length < body.length).toBe(row.reached === 'part');
}

function checkWell(scene: Scene, { answer }: Ending): void {
  const { well } = scene;
  expect(well.started).toBe(answer === 'the well' ? 1 : 0);
  const seen = well.received.map(
    ({ method, url, httpVersion, rawHeaders, body }: ReceivedRequest) => [
      `${method} ${url} HTTP/${httpVersion}`,
      sorted(pairs(rawHeaders)),
      body.toString('latin1'),
    ],
  );
  const expected = answer === 'the well' ? [wanted(scene, 2)] : [];
  expect(JSON.stringify(seen) === JSON.stringify(expected) || seen).toBe(true);
}

function checkClient({ status, text, aborted, headers }: ClientResponse, ending: Ending): void {
  const { answer, whole } = ending;
  expect([status, aborted]).toEqual([ending.status, !whole]);
  expect(headers['x-request-id']).toBe('night-1');
  if (answer === 'the well') expect(text).toBe('well');
  else if (answer === 'the faulty') expect(text).toMatch(/^sick!{0,4}$/);
  else {
    const { 'content-type': type, 'cache-control': cache } = headers;
    expect([type, cache]).toEqual(['application/problem+json', 'no-store']);
    expect(JSON.parse(text)).toMatchObject({ status, code: answer, requestId: 'night-1' });
  }
}

const NOTHING_WRONG = { failures: 0, consecutiveFailures: 0, breaker: 'closed', inFlight: 0 };

function checkLine({ hops, noRetry, status }: LogLine, ending: Ending, names: string[]): void {
  expect(status).toBe(ending.status);
  const outcomes = hops.map(({ outcome }, i) => {
    const any = String(ending.hops[i]).replaceAll('*', '.+'); // OpenSSL's names differ by its version
    return new RegExp(`^(?:${any})$`).test(String(outcome)) ? ending.hops[i] : outcome;
  });
  expect(outcomes).toEqual(ending.hops);
  expect(hops.map(({ backend }) => backend)).toEqual(names.slice(0, hops.length));
  expect(noRetry).toBe(ending.noRetry);
}

async function check(scene: Scene, ending: Ending, response: ClientResponse): Promise<void> {
  const { running, well } = scene;
  const { proxy, log } = running;
  checkClient(response, ending);
  await until(() => proxy.status().inFlight === 0, 'the end of the request');
  checkWell(scene, ending);
  checkSick(scene);
  const [sickStatus, wellStatus] = proxy.status().backends;
  const { counted } = ending;
  const faulty = { ...NOTHING_WRONG, failures: counted, consecutiveFailures: counted };
  expect(sickStatus).toMatchObject(faulty);
  expect(wellStatus).toMatchObject(NOTHING_WRONG);
  const isOurs = ({ requestId }: LogLine): boolean => requestId === 'night-1';
  await until(() => requestLines(log).some(isOurs), 'its line in the log');
  const lines = requestLines(log).filter(isOurs);
  expect(lines).toHaveLength(1);
  checkLine(lines[0]!, ending, [new URL(sickStatus!.url).host, well.host]);
}

const nameOf = ({ fault, how }: FaultRow): string => `${fault}: ${how}`;

describe.each([...new Set(FAULT_MATRIX.map(({ phase }) => phase))])('%s', (phase) => {
  const rows = FAULT_MATRIX.filter((row) => row.phase === phase);

  it.each(rows.map((row) => [nameOf(row), row] as const))('%s', async (_name, row) => {
    const results = await Promise.allSettled(
      METHODS.map(async (method) => {
        const ending = row[method];
        if (ending === undefined) return;
        const scene = await setUp(row, method);
        const response = await send(scene);
        await check(scene, ending, response);
      }),
    );
    const wrong = results.flatMap((result, i) =>
      result.status === 'rejected' ? [`${METHODS[i]}: ${result.reason}`] : [],
    );
    expect(wrong.join('\n\n')).toBe('');
  });
});

describe('docs/fault-matrix.md', () => {
  const file = fileURLToPath(new URL('../docs/fault-matrix.md', import.meta.url));

  it('says what the rows say', () => {
    if (process.env.FAULT_MATRIX === 'write') {
      mkdirSync(new URL('.', `file://${file}`), { recursive: true });
      writeFileSync(file, faultMatrixPage());
    }

    expect(readFileSync(file, 'utf8')).toBe(faultMatrixPage());
  });
});
