// What every server of the fixtures can do: listen on a free port of 127.0.0.1, count its sockets,
// cut them, go away and come back.
import type { AddressInfo, Server, Socket } from 'node:net';
import { closeAfterTest } from './cleanup.js';

/** A server on 127.0.0.1, closed after the test. */
export class LoopbackServer {
  /** The port it listens on; it keeps it over `stop()` and `restart()`. */
  port = 0;
  /** Connections accepted so far. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #failures: unknown[] = [];

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {}); // a peer that resets is no accident here
    });
    closeAfterTest(() => this.stop());
  }

  /** `127.0.0.1:port`, as hops and `Host` have it. */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  /** How many accepted sockets are open now, idle ones included. */
  openSockets(): number {
    return this.#sockets.size;
  }

  /** Bytes written so far to the sockets that are open now: does it stall when nobody reads? */
  bytesWritten(): number {
    return [...this.#sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0);
  }

  /** Cuts every open socket, the idle ones of a pool too, and goes on listening. */
  cutSockets(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Cuts every socket and closes: from now on the port refuses. Throws what a handler threw. */
  async stop(): Promise<void> {
    if (this.#server.listening) {
      const closed = new Promise((resolve) => this.#server.close(resolve));
      this.cutSockets();
      await closed;
    }
    const [failure] = this.#failures.splice(0);
    if (failure !== undefined) throw failure;
  }

  /** Listens again, on the same port as before. */
  async restart(): Promise<void> {
    await this.start();
  }

  /** Keeps what a handler of the test's threw, to fail the test when the server stops. */
  protected failed(error: unknown): void {
    this.#failures.push(error);
  }

  /** Listens; on a free port the first time. */
  async start(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }
}
