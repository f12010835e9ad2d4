// WebSockets of the `ws` package at both ends, all cut after the test.
import type { IncomingMessage, Server } from 'node:http';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
import { closeAfterTest } from '../../support/cleanup.js';
import { readBody } from '../../support/proxy.js';
import { once, until, within } from '../../support/wait.js';

/** How a socket was closed. */
export interface Closing {
  code: number;
  reason: string;
}

/** What either end knows of a socket. */
export class Peer {
  readonly socket: WebSocket;
  /** What has come and has not been taken by `next`. */
  readonly messages: (string | Buffer)[] = [];
  /** Once it is closed. */
  closing: Closing | undefined;
  /** What is done with a message: it is kept. */
  onMessage: (message: string | Buffer) => void = (message) => this.messages.push(message);

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('error', () => {}); // told by `closing`
    socket.on('message', (data, isBinary) => {
      this.onMessage(isBinary ? (data as Buffer) : data.toString());
    });
    socket.on('close', (code, reason) => {
      this.closing = { code, reason: reason.toString() };
    });
  }

  /** The next message. */
  async next(): Promise<string | Buffer> {
    await until(() => this.messages.length > 0 || this.closing, 'a message');
    const message = this.messages.shift();
    if (message === undefined) throw new Error(`closed: ${JSON.stringify(this.closing)}`);
    return message;
  }

  /** Waits for its end. */
  async closed(): Promise<Closing> {
    await until(() => this.closing, 'the socket to close');
    return this.closing as Closing;
  }
}

/** A socket that an application has accepted. */
export class Accepted extends Peer {
  readonly headers: IncomingMessage['headers'];
  readonly url: string | undefined;

  constructor(socket: WebSocket, { headers, url }: IncomingMessage) {
    super(socket);
    this.headers = headers;
    this.url = url;
  }
}

/** The WebSockets of an application. */
export interface Acceptor {
  readonly accepted: Accepted[];
}

/** Accepts every WebSocket and hands it to `behave`. */
export function accept(server: Server, behave: (peer: Accepted) => void = () => {}): Acceptor {
  const accepted: Accepted[] = [];
  const acceptor = new WebSocketServer({ server });
  acceptor.on('connection', (socket, request) => {
    const peer = new Accepted(socket, request);
    accepted.push(peer);
    behave(peer);
  });
  return { accepted };
}

/** What a socket is greeted with, in the same packet as the 101 when the network likes it so. */
export const WELCOME = 'welcome';

/** Greets, then sends back what comes. */
export function greetAndEcho(peer: Accepted): void {
  peer.socket.send(WELCOME);
  echoMessages(peer);
}

/** Sends back what comes, keeps nothing, and reads no more before it is on its way. */
export function echoMessages(peer: Accepted): void {
  const { socket } = peer;
  peer.onMessage = (message) => {
    socket.pause();
    socket.send(message, () => {
      if (socket.readyState === WebSocket.OPEN) socket.resume();
    });
  };
}

/** The client's end, and the 101 that it was answered with. */
export interface Connected extends Peer {
  response: IncomingMessage;
}

function dial(url: string, options: ClientOptions): WebSocket {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), options);
  closeAfterTest(() => socket.terminate());
  return socket;
}

/** Opens a WebSocket. `url` may be http. */
export async function connectTo(url: string, options: ClientOptions = {}): Promise<Connected> {
  const socket = dial(url, options);
  const peer = new Peer(socket);
  let response: IncomingMessage | undefined;
  socket.on('upgrade', (upgraded) => {
    response = upgraded;
  });
  await once(socket, 'open');
  return Object.assign(peer, { response: response as IncomingMessage });
}

/** Tries to, and reads the HTTP answer that it gets instead. */
export async function refusalOf(
  url: string,
  options: ClientOptions = {},
): Promise<{ status: number | undefined; headers: IncomingMessage['headers']; text: string }> {
  const socket = dial(url, options);
  const answered = once<[unknown, IncomingMessage]>(socket, 'unexpected-response');
  const accepted = once(socket, 'open').then(() => Promise.reject(new Error('it was accepted')));
  accepted.catch(() => {}); // the loser of the race
  const [, response] = await Promise.race([answered, accepted]);
  const { body, aborted } = await within(readBody(response), 'the whole answer');
  if (aborted) throw new Error(`the answer was cut after: ${body}`);
  return { status: response.statusCode, headers: response.headers, text: body.toString() };
}
