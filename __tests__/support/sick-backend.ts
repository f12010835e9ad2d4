// A backend that does one thing wrong, at one moment of a connection, and keeps the bytes it was sent.
import { createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { TestCertificate } from './certificates.js';
import { LoopbackServer } from './loopback-server.js';
import { parseRequest } from './raw-http.js';
import { delivery, until } from './wait.js';

/** One connection, in the hands of a fault. */
export interface Peer {
  /** What HTTP is spoken on. */
  socket: Socket;
  /** Below it, where that is TLS. */
  tcp: Socket;
  /** Which accepted connection this is, from 1. */
  nth: number;
  /** The next whole request is here. */
  request(): Promise<void>;
  /** So much has come. */
  bytes(count: number): Promise<void>;
  /** All has been done to it. */
  over: boolean;
}

export type Play = (peer: Peer) => Promise<void>;

/** Where a faulty backend is, and what it does. */
export type SickPlan =
  /** An address where nobody is. */
  | { url: () => Promise<string> }
  | {
      play: Play;
      /** With this certificate. */
      tls?: TestCertificate;
      /** Speaks plain TCP, to a proxy that expects TLS. */
      https?: true;
      /** Between the first request and the one that the row is about; before it nothing is wrong. */
      whileIdle?: (sick: SickBackend) => Promise<void>;
    };

export class SickBackend extends LoopbackServer {
  /** All bytes above TLS, per connection. */
  readonly received: Buffer[] = [];
  readonly peers: Peer[] = [];
  readonly #plan: Exclude<SickPlan, { url: unknown }>;

  constructor(plan: Exclude<SickPlan, { url: unknown }>) {
    super(createServer({ allowHalfOpen: true }, (tcp) => this.#serve(tcp)));
    this.#plan = plan;
  }

  override get url(): string {
    const { https, tls } = this.#plan;
    return https || tls ? `https://${this.host}` : `http://${this.host}`;
  }

  /** The newest connection. */
  get last(): Peer {
    return this.peers.at(-1)!;
  }

  #serve(tcp: Socket): void {
    const { tls, https, play } = this.#plan;
    const socket = tls ? new TLSSocket(tcp, { isServer: true, ...tls }) : tcp;
    const at = this.received.push(Buffer.alloc(0)) - 1;
    let taken = 0;
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      if (!https) this.received[at] = Buffer.concat([this.received[at]!, chunk]);
    });
    const bytes = (count: number): Promise<void> =>
      until(() => socket.destroyed || this.received[at]!.length >= count);
    const request = (): Promise<void> =>
      until(() => {
        const found = parseRequest(this.received[at]!.toString('latin1', taken));
        taken += found?.length ?? 0;
        return socket.destroyed || found !== undefined;
      });
    const peer: Peer = { socket, tcp, nth: at + 1, request, bytes, over: false };
    this.peers.push(peer);
    play(peer)
      .then(() => {
        peer.over = true;
      })
      .catch((error) => this.failed(error));
  }
}

/** RST, once what was written has been read. */
export const reset: Play = async ({ tcp }) => {
  await delivery();
  tcp.resetAndDestroy();
};

/** FIN. */
export const close: Play = async ({ socket }) => {
  await delivery();
  socket.end();
};

/** Nothing more. */
export const hang: Play = async () => {};

export const write =
  (text: string): Play =>
  async ({ socket }) => {
    await delivery();
    socket.write(text, 'latin1');
  };

/** Bytes that are no TLS record, below TLS. */
export const breakTls: Play = async ({ tcp }) => {
  await delivery();
  tcp.write('no record of TLS\r\n'.repeat(4));
};

/** A piece every 20 ms, for as long as there are any, or for ever. */
export const drip =
  (piece: string, times = Number.POSITIVE_INFINITY): Play =>
  async ({ socket }) => {
    let left = times;
    const timer = setInterval(() => {
      socket.write(piece, 'latin1');
      left -= 1;
      if (left === 0) clearInterval(timer);
    }, 20);
    socket.once('close', () => clearInterval(timer));
  };

/** One after the other. */
export const plays =
  (...steps: Play[]): Play =>
  async (peer) => {
    for (const step of steps) if (!peer.socket.destroyed) await step(peer);
  };

export const afterRequest: Play = ({ request }) => request();

/** So much of a request has come, and no more of it is read. */
export const afterBytes =
  (count: number): Play =>
  async ({ bytes, socket }) => {
    await bytes(count);
    socket.pause();
  };

/** The first request is answered, whatever comes after it. */
export const answerFirst: Play = plays(
  afterRequest,
  write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst'),
);

/** A whole answer; its body is `sick`. */
export const answer = (head = 'HTTP/1.1 200 OK'): Play =>
  write(`${head}\r\nContent-Length: 4\r\n\r\nsick`);

/** It has closed the connection that was idle. */
export async function untilDropped(sick: SickBackend): Promise<void> {
  // Long before an idle connection would be closed anyway.
  await until(() => sick.openSockets() === 0, 'the end of the idle connection', 2000);
}
