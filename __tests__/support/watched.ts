// One raw request through a proxy, watched from both sides.
import { startProxyWith } from './proxy.js';
import {
  parseRequest,
  parseResponses,
  type RawAnswer,
  type RawRequest,
  type RawScript,
  type RawStep,
  sendRaw,
  startRawBackend,
} from './raw.js';
import { until } from './wait.js';

type Options = Partial<Parameters<typeof startProxyWith>[0]>;
type Mount = Parameters<typeof startProxyWith>[1];

/** What has come of it. */
export interface Watched {
  /** The client's side, up to the end of its connection. */
  answer: RawAnswer;
  /** Their statuses, in order. */
  statuses: number[];
  /** Whole requests that the backend has got, in the order of its connections. */
  requests: RawRequest[];
  /** All bytes that it has got, as latin1. */
  bytes: string;
}

/** How the backend answers every request, unless told otherwise. */
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** A proxy in front of a raw backend, for one request after the other. */
export async function startWatched(
  options: Options = {},
  mount: Mount = {},
  answer: RawScript = OK,
): Promise<(script: RawScript) => Promise<Watched>> {
  const backend = await startRawBackend(answer);
  const { base = '', ...rest } = options as Options & { base?: string };
  const { port, proxy } = await startProxyWith({ target: backend.url + base, ...rest }, mount);
  return async function send(script) {
    const steps: RawStep[] = Array.isArray(script) ? script : [{ write: script }];
    // Not at once: who ends its side before it is answered has left.
    const ending: RawStep[] = [{ waitFor: isAnswered }, { end: true }];
    const answer = await sendRaw(port, [...steps, ...ending], { until: 'close' });
    await until(() => proxy.status().inFlight === 0, 'the end of all requests');
    const statuses = answer.responses.map(({ status }) => status);
    const received = backend.received.map((each) => each.toString('latin1'));
    return { answer, statuses, requests: received.flatMap(requestsIn), bytes: received.join('') };
  };
}

function isAnswered(arrived: Buffer): boolean {
  const [first] = parseResponses(arrived.toString('latin1'));
  return first?.complete === true;
}

function requestsIn(received: string): RawRequest[] {
  const requests: RawRequest[] = [];
  let rest = received;
  for (;;) {
    const request = parseRequest(rest);
    if (request === undefined) return requests;
    requests.push(request);
    rest = rest.slice(request.length);
  }
}
