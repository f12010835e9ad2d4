import type { Socket } from 'node:net';
import { Client } from 'undici';
import type { Backend } from '../backends.js';
import type { ResolvedOptions } from '../options.js';
import { ReplayBody } from '../replay-body.js';
import type { IdleConnections } from './connection-limit.js';
import { createDial, type Dial, handOver } from './dial.js';
import { Http2Pool, type SendHttp1 } from './h2.js';
import { PerBackend } from './per-backend.js';
import { StatusLine } from './status-line.js';
import type { Attempt, AttemptEvents, Transport } from './transport.js';
import { type Carrier, UndiciFlight } from './undici-flight.js';

/**
 * The fast lane: undici, at half of what node:http's client costs a request. It sends the head of a
 * streamed upload no sooner than its first byte, and no trailers: those go by node:http, as
 * WebSockets do. All else goes by connections of our own making, one undici client each, so that
 * it is known which socket carries which attempt.
 */
export function undiciTransport(options: ResolvedOptions, http: Transport): Transport {
  const pools = new PerBackend((backend) => new Pool(backend, options));
  const sendHttp1: SendHttp1 = (attempt, events, socket) => {
    const { limit } = attempt.backend;
    const isHttp = isForHttp(attempt);
    if (isHttp || limit?.full) socket?.destroy();
    if (isHttp) return http.send(attempt, events);
    const pool = pools.of(attempt.backend);
    if (limit === null) return pool.send(attempt, events, socket);
    const dialled = limit.full ? undefined : socket;
    return limit.send(() => pool.send(attempt, events, dialled), events);
  };
  const http2 = new PerBackend((backend) => new Http2Pool(backend, options, sendHttp1));
  const all = [http, pools, http2];
  return {
    ...http,
    name: 'undici',
    send(attempt, events) {
      const { backend, upgrade } = attempt;
      const byHttp2 = options.http2 && backend.url.protocol === 'https:' && upgrade === undefined;
      return byHttp2 ? http2.of(backend).send(attempt, events) : sendHttp1(attempt, events);
    },
    dropIdle(backend) {
      for (const each of all) each.dropIdle(backend);
    },
    forget(backend) {
      for (const each of all) each.forget(backend);
    },
    close() {
      for (const each of all) each.close();
    },
  };
}

/** What undici cannot send, or not as it is. */
function isForHttp({ body, upgrade, path, method, headers }: Attempt): boolean {
  if (upgrade !== undefined || body instanceof ReplayBody || path === '*') return true;
  if (HAS_CONTENT.has(method)) return false;
  return !HAS_NONE.has(method) || headers['content-length'] === '0';
}

/** Only with these does undici say `Content-Length: 0`; with the second ones, nobody would. */
const HAS_CONTENT = new Set(['PUT', 'POST', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH']);
const HAS_NONE = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);

const MOST_IDLE = 256;
const MOST_KEEP_ALIVE_MS = 2 ** 31 - 1;

class Pool implements IdleConnections {
  readonly #dial: Dial;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();

  constructor(
    private readonly backend: Backend,
    options: ResolvedOptions,
  ) {
    this.#dial = createDial(backend, options);
    backend.limit?.pools.push(this);
  }

  /** `socket`: dialled already, and to be used. */
  send(attempt: Attempt, events: AttemptEvents, socket?: Socket): UndiciFlight {
    const idle = socket === undefined ? this.#idle.pop() : undefined;
    const connection = idle ?? this.#open(socket ? handOver(socket, this.#dial) : this.#dial);
    return connection.send(attempt, events);
  }

  #open(dial: Dial): Connection {
    this.backend.limit?.makeRoom();
    const connection = new Connection(this.backend, dial, this);
    this.#all.add(connection);
    return connection;
  }

  keep(connection: Connection): void {
    if (this.#idle.length < MOST_IDLE) this.#idle.push(connection);
    else connection.destroy();
  }

  forget(connection: Connection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  closeOldest(): void {
    this.#idle[0]?.destroy();
  }

  dropIdle(): void {
    for (const connection of [...this.#idle]) connection.destroy();
  }

  close(): void {
    for (const connection of [...this.#all]) connection.destroy();
  }
}

/** A connection that carries one attempt after the other. */
class Connection implements Carrier {
  readonly #client: Client;
  readonly #name: string;
  readonly #dispatchLater = (): void => this.#dispatch();
  #socket: Socket | null = null;
  #flight: UndiciFlight | null = null;
  #uses = 0;
  /**
   * It is the socket that is not read then: undici's parser, where it is paused, fails an assertion
   * at the end of the connection, or takes what it has not parsed yet for lost.
   */
  #paused = false;
  readonly statusLine = new StatusLine();

  constructor(
    private readonly backend: Backend,
    private readonly dial: Dial,
    private readonly pool: Pool,
  ) {
    this.#name = backend.url.hostname;
    this.#client = new Client(backend.url.origin, {
      connect: (_, onDialled) => {
        this.#socket = this.dial((error, socket) => {
          if (socket !== null) this.#watch(socket);
          onDialled(...([error, socket] as [null, Socket]));
        });
      },
      headersTimeout: 0, // the clocks are above the seam
      bodyTimeout: 0,
      keepAliveTimeout: 4000,
      keepAliveTimeoutThreshold: 1000,
      keepAliveMaxTimeout: MOST_KEEP_ALIVE_MS,
    });
    const forget = (): void => {
      if (this.#flight === null) this.pool.forget(this); // else another connection is made
    };
    this.#client.on('disconnect', forget).on('connectionError', forget);
  }

  #watch(socket: Socket): void {
    this.#uses = 0;
    // Before undici's: it takes a reset for the end of a body that ends by close.
    socket.on('error', (error) => {
      if (this.#flight?.connected) this.#flight.fail(error); // else another connection is made
      socket.destroy(); // a TLS error leaves it open, to be taken for a sound one
    });
    this.statusLine.watch(socket);
    const read = socket.read.bind(socket);
    socket.read = (size) => (this.#paused && size === undefined ? null : read(size));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(flight: UndiciFlight): void {
    if (flight !== this.#flight) return;
    this.#paused = false;
    this.#socket?.emit('readable');
  }

  send(attempt: Attempt, events: AttemptEvents): UndiciFlight {
    const flight = new UndiciFlight(attempt, events, this);
    this.#flight = flight;
    // A byte that has arrived on an idle socket answers no request, and must be seen before the next.
    // The turn that undici waits still belongs to the events that were collected before now.
    if (this.#uses > 0) setImmediate(this.#dispatchLater);
    else this.#dispatch();
    return flight;
  }

  #dispatch(): void {
    const flight = this.#flight;
    if (flight === null || flight.over) return;
    const { method, path, headers } = flight.attempt;
    const body = flight.attempt.body as Buffer | null;
    const servername = this.#name; // or it would be the client's Host, and close at its change
    const reset = false; // or it would close after every HEAD
    const options = { method, path, headers, body, servername, reset };
    this.#client.dispatch(options, flight);
  }

  get bytesRead(): number {
    return this.#socket?.bytesRead ?? 0;
  }

  get reused(): boolean {
    return this.#uses > 1;
  }

  begin(): void {
    this.#uses++;
    this.statusLine.expect();
  }

  /** There is more of the request on its way: the response has not waited for it. */
  get sending(): boolean {
    return (this.#socket?.writableLength ?? 0) > 0;
  }

  release(spoilt: boolean): void {
    if (this.#flight === null) return; // destroyed, in the middle of what undici has parsed
    this.#paused = false;
    if (spoilt || this.sending) return process.nextTick(() => this.destroy());
    this.#flight = null;
    this.pool.keep(this);
    this.backend.limit?.release();
  }

  destroy(): void {
    this.pool.forget(this);
    this.#client.destroy(() => {});
    this.#socket?.destroy();
    if (this.#flight === null) return; // it was idle
    this.#flight = null;
    this.backend.limit?.release();
  }
}
