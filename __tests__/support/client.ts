// A client on node:http, a connection of its own per request. Nothing of the url is normalised.
import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { Readable } from 'node:stream';
import { closeAfterTest } from './cleanup.js';

/** What to send. */
export interface ClientInit {
  /** GET. */
  method?: string;
  headers?: OutgoingHttpHeaders;
  /** With a `Content-Length`; a stream goes chunked, unless the headers say its length. */
  body?: Buffer | string | Readable;
  /** A keep-alive agent of the test's own, to send several requests on one connection. */
  agent?: Agent;
  /** The address to come from, e.g. `127.0.0.2`. */
  localAddress?: string;
}

/** An answer, read to its end. */
export interface ClientResponse {
  status: number;
  statusMessage: string;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  body: Buffer;
  /** The body as UTF-8. */
  text: string;
  trailers: NodeJS.Dict<string>;
  /** The 1xx answers before it. */
  informational: { status: number; headers: IncomingHttpHeaders }[];
  /** The connection was cut in mid-body; `body` is what had arrived. */
  aborted: boolean;
}

/** A request on its way. */
export interface OpenRequest {
  /** To destroy it, or to see its socket. */
  request: ClientRequest;
  /** The head; its body has not been touched. Rejects when the connection ends before it. */
  response: Promise<IncomingMessage>;
}

/** Sends a request and reads the whole answer. Rejects only when no answer has begun. */
export async function get(url: string, init: ClientInit = {}): Promise<ClientResponse> {
  const { request, response } = open(url, init);
  const informational: ClientResponse['informational'] = [];
  request.on('information', ({ statusCode: status, headers }) => {
    informational.push({ status, headers });
  });
  const incoming = await response;
  const { body, aborted } = await readBody(incoming);
  const { statusCode: status = 0, statusMessage = '', headers, rawHeaders, trailers } = incoming;
  const text = body.toString();
  const head = { status, statusMessage, headers, rawHeaders, informational };
  return { ...head, body, text, trailers, aborted };
}

/** Sends a request; the head is there before the body, and the test may abort or read slowly. */
export function open(url: string, init: ClientInit = {}): OpenRequest {
  const [, hostname, port, path] = /^http:\/\/([^/:]+):(\d+)(.*)$/s.exec(url) ?? [];
  if (!hostname) throw new Error(`not an http url with a port: ${url}`);
  const { method = 'GET', headers, body, localAddress } = init;
  const agent = init.agent ?? new Agent({ keepAlive: true });
  const request = httpRequest({
    hostname,
    port,
    path: path || '/',
    method,
    agent,
    headers: { ...framing(body, headers), ...headers },
    ...(localAddress !== undefined && { localAddress }),
  });
  const forget = closeAfterTest(() => request.destroy());
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', reject);
  });
  response.catch(() => {}); // a test that aborts need not look at it
  request.once('close', () => {
    forget();
    if (!init.agent) agent.destroy();
  });
  send(request, body);
  return { request, response };
}

/** Reads what is left of a body; `aborted` when the connection was cut before its end. */
export async function readBody(
  incoming: IncomingMessage,
): Promise<{ body: Buffer; aborted: boolean }> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch {} // told by `complete`
  return { body: Buffer.concat(chunks), aborted: !incoming.complete };
}

/** Node frames a body by itself only for methods that usually have one. */
function framing(body: ClientInit['body'], headers: OutgoingHttpHeaders = {}): OutgoingHttpHeaders {
  if (body === undefined) return {};
  if (!(body instanceof Readable)) return { 'Content-Length': Buffer.byteLength(body) };
  const hasLength = Object.keys(headers).some((name) => /^content-length$/i.test(name));
  return hasLength ? {} : { 'Transfer-Encoding': 'chunked' };
}

function send(request: ClientRequest, body: ClientInit['body']): void {
  if (!(body instanceof Readable)) {
    request.end(body);
    return;
  }
  request.write(Buffer.alloc(0)); // the head leaves now, not with the first chunk
  body.on('error', (error) => request.destroy(error));
  body.pipe(request);
}
