// How many connections of this process a server has at a time.
import { readFileSync } from 'node:fs';
import type { AddressInfo, Server, Socket } from 'node:net';

/** Counts from now on: before any request. */
export class SocketMeter {
  /** So far. */
  most = 0;
  readonly #open = new Set<Socket>();
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#open.add(socket);
      for (const event of ['end', 'error', 'close']) {
        socket.on(event, () => this.#open.delete(socket));
      }
      // It hears of an end later than of the next beginning, and behind all that was sent before.
      if (this.now > this.most)
        this.most = Math.max(this.most, Math.min(this.now, this.#standing()));
    });
  }

  /** As the server has heard. */
  get now(): number {
    return this.#open.size;
  }

  /** As the kernel knows: the ends that the other side has not closed. */
  #standing(): number {
    if (process.platform !== 'linux') return this.now;
    const { port } = this.#server.address() as AddressInfo;
    const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const lines = readFileSync('/proc/net/tcp', 'latin1').split('\n');
    const ends = new Set<string>(); // the file may have a line twice when others come and go
    for (const line of lines) {
      const [, from = '', to, state = ''] = line.trim().split(/\s+/);
      if (to === remote && NOT_CLOSED.has(state)) ends.add(from);
    }
    return ends.size;
  }
}

/** ESTABLISHED, SYN_SENT, CLOSE_WAIT. */
const NOT_CLOSED = new Set(['01', '02', '08']);
