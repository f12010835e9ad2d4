// WebSockets of the `ws` package at both ends, and tunnels of plain bytes.
import { once as nextEvent } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type ClientOptions, type RawData, WebSocket, WebSocketServer } from 'ws';
import { type Backend, type BackendOptions, reply, startBackend } from './backend.js';
import { closeAfterTest } from './cleanup.js';
import { type RunningProxy, startProxyWith } from './proxy.js';
import { type RawBackend, startRawBackend } from './raw.js';
import { until, within } from './wait.js';

/** A backend whose WebSockets are in the hands of the test. */
export interface WebSocketBackend {
  backend: Backend;
  url: string;
  /** Accepted so far. */
  sockets: WebSocket[];
  /** Their handshakes. */
  requests: IncomingMessage[];
}

/** Starts one; an echo, unless `serve` says otherwise. Plain requests get `200 plain`. */
export async function startWebSocketBackend(
  serve: (socket: WebSocket, request: IncomingMessage) => unknown = echo,
  options: BackendOptions = {},
): Promise<WebSocketBackend> {
  const backend = await startBackend(reply(200, 'plain'), options);
  const server = new WebSocketServer({ server: backend.server });
  const sockets: WebSocket[] = [];
  const requests: IncomingMessage[] = [];
  server.on('connection', (socket, request) => {
    socket.on('error', () => {}); // a peer that resets
    sockets.push(socket);
    requests.push(request);
    serve(socket, request);
  });
  return { backend, url: backend.url, sockets, requests };
}

function echo(socket: WebSocket): void {
  socket.on('message', (data: RawData, isBinary: boolean) =>
    socket.send(data as Buffer, { binary: isBinary }),
  );
}

/** An open WebSocket. Rejects when there is none; the error of `ws` has the status. */
export async function openWebSocket(url: string, options: ClientOptions = {}): Promise<WebSocket> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), options);
  const forget = closeAfterTest(() => socket.terminate());
  socket.once('close', forget);
  await within(nextEvent(socket, 'open'), 'an open WebSocket');
  socket.on('error', () => {});
  return socket;
}

/** The next message. */
export async function message(socket: WebSocket): Promise<{ data: Buffer; isBinary: boolean }> {
  const [data, isBinary] = await within(nextEvent(socket, 'message'), 'a message');
  return { data: data as Buffer, isBinary: isBinary as boolean };
}

/** The code and reason of its end. */
export async function closed(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = await within(nextEvent(socket, 'close'), 'the end of a WebSocket');
  return { code: code as number, reason: String(reason) };
}

/** A handshake in bytes; `lines` are more header lines. */
export function handshake(path = '/', ...lines: string[]): string {
  const head = [
    `GET ${path} HTTP/1.1`,
    'Host: h',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...lines,
  ];
  return `${head.join('\r\n')}\r\n\r\n`;
}

/** What grants it. */
export const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

/** One end of a connection, and what has come out of it. */
export class Wire {
  arrived = '';
  ended = false;
  closed = false;
  error: string | undefined;

  constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => {
      this.arrived += chunk.toString('latin1');
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      this.error = code;
    });
    socket.on('close', () => {
      this.closed = true;
    });
  }

  write(bytes: string): void {
    this.socket.write(bytes, 'latin1');
  }

  has(text: string): Promise<void> {
    return until(() => this.arrived.includes(text), `${text} in ${this.arrived}`);
  }

  /** The status of the answer, whose head has arrived. */
  async status(): Promise<number> {
    await this.has('\r\n\r\n');
    return Number(this.arrived.split(' ', 2)[1]);
  }
}

/** Sends bytes, a handshake say, and leaves both directions open. */
export async function openWire(port: number, bytes: string): Promise<Wire> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const forget = closeAfterTest(() => socket.destroy());
  socket.once('close', forget);
  const wire = new Wire(socket);
  await within(nextEvent(socket, 'connect'), 'a connection');
  wire.write(bytes);
  return wire;
}

/** A backend in bytes that grants every WebSocket; its ends of the tunnels are in `wires`. */
export interface TunnelBackend {
  backend: RawBackend;
  url: string;
  wires: Wire[];
}

/** `answer` goes out when the handshake is there; '' leaves it waiting. */
export async function startTunnelBackend(answer: string = SWITCH): Promise<TunnelBackend> {
  const wires: Wire[] = [];
  const backend = await startRawBackend((socket) => {
    socket.removeAllListeners('end'); // the test ends it
    const wire = new Wire(socket);
    socket.on('data', () => {
      const whole = wire.arrived.includes('\r\n\r\n');
      if (whole && !wires.includes(wire)) {
        wires.push(wire);
        wire.write(answer);
      }
    });
  });
  return { backend, url: backend.url, wires };
}

/** `startProxyWith`, whose server hands its upgrades to the proxy. */
export async function startUpgradeProxy(
  ...[options, mountOptions]: Parameters<typeof startProxyWith>
): Promise<RunningProxy> {
  const running = await startProxyWith(options, mountOptions);
  running.server.on('upgrade', running.proxy.upgrade);
  return running;
}
