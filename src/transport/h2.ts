import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Backend } from '../backends.js';
import { coded } from '../errors.js';
import type { HeaderMap } from '../headers.js';
import type { ResolvedOptions } from '../options.js';
import { createDial, type Dial } from './dial.js';
import { type Carrier, Http2Flight } from './h2-flight.js';
import type { Attempt, AttemptEvents, Flight } from './transport.js';

/** By HTTP/1.1, over the connection that is dialled already where there is one. */
export type SendHttp1 = (attempt: Attempt, events: AttemptEvents, dialled?: Socket) => Flight;

/** How long a backend that has chosen HTTP/1.1 is not asked again. */
const HTTP1_MS = 60_000;
const IDLE_MS = 4000;
/** For a GOAWAY to go out to a backend that does not read. */
const FAREWELL_MS = 1000;
/** Node 20 keeps all that a backend tells; the later ones stop at so many as well. */
const MOST_ORIGINS = 128;
/** Of 31 bits: a connection that is never idle would use them up. */
const MOST_STREAM_ID = 2 ** 30;
/** Bytes of one response that may be on their way, or wait for its client; and of all on a connection. */
const STREAM_WINDOW = 262_144;
const WINDOW = 4 * STREAM_WINDOW;

const OPTIONS = {
  settings: { enablePush: false, initialWindowSize: STREAM_WINDOW, maxHeaderListSize: 65_536 },
  maxHeaderListPairs: 1000, // as readHead() has it: one of them is :status
  maxSendHeaderBlockLength: 2 ** 20, // how much a client may send is its server's matter
  maxSessionMemory: 1000, // MB: uploads that are stuck, a chunk each, must not fail the others
};

/** The connections to one backend that may speak HTTP/2: one as a rule, for all attempts at a time. */
export class Http2Pool {
  readonly dial: Dial;
  readonly #sessions = new Set<Session>();
  #http1Until = 0;
  /** The streams that a connection may have at a time, by the one that stood last. */
  mostStreams = Number.POSITIVE_INFINITY;

  constructor(
    readonly backend: Backend,
    readonly options: ResolvedOptions,
    private readonly sendHttp1: SendHttp1,
  ) {
    this.dial = createDial(backend, options, ['h2', 'http/1.1']);
  }

  send(attempt: Attempt, events: AttemptEvents): Flight {
    const now = performance.now();
    if (now < this.#http1Until) return this.sendHttp1(attempt, events);
    if (this.#http1Until > 0) this.#http1Until = now + HTTP1_MS; // one asks, and the others go on
    const flight = new Http2Flight(attempt, events);
    this.place(flight);
    return flight;
  }

  place(flight: Http2Flight): void {
    for (const session of this.#sessions) if (session.room > 0) return session.take(flight);
    const session = new Session(this);
    this.#sessions.add(session);
    session.take(flight);
  }

  onHttp2(mostStreams: number): void {
    this.#http1Until = 0;
    this.mostStreams = mostStreams;
  }

  onHttp1(socket: Socket, flights: Iterable<Http2Flight>): void {
    this.#http1Until = performance.now() + HTTP1_MS;
    let dialled: Socket | undefined = socket;
    for (const flight of flights) {
      flight.hand(this.sendHttp1(flight.attempt, flight.events, dialled));
      dialled = undefined;
    }
  }

  forget(session: Session): void {
    this.#sessions.delete(session);
  }

  dropIdle(): void {
    for (const session of this.#sessions) if (session.isIdle) session.end();
  }

  close(): void {
    for (const session of this.#sessions) session.cut();
  }
}

/** A connection, from its dial to its end. */
class Session implements Carrier {
  readonly #socket: Socket;
  #session: ClientHttp2Session | null = null;
  /** The backend's SETTINGS have come: it is known how many streams it takes. */
  #ready = false;
  readonly #waiting = new Set<Http2Flight>();
  #streams = 0;
  /** A PING is not answered yet. */
  #isDoubtful = false;
  #timer: NodeJS.Timeout | undefined;
  proven = false;
  goaway: Carrier['goaway'] = null;

  constructor(private readonly pool: Http2Pool) {
    this.#socket = pool.dial((error, socket) => {
      if (error !== null) this.#fail(error);
      else this.#onDialled(socket as TLSSocket);
    });
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get over(): boolean {
    const session = this.#session;
    // Node takes some turns to close a session whose socket has ended.
    return session === null || session.closed || session.destroyed || !this.#socket.readable;
  }

  get isIdle(): boolean {
    return this.#ready && this.#streams === 0 && this.#waiting.size === 0;
  }

  /** For how many flights more. */
  get room(): number {
    if (!this.#ready) return this.pool.mostStreams - this.#waiting.size;
    if (this.over || this.#isDoubtful) return 0;
    return this.#mostStreams - this.#streams - this.#waiting.size;
  }

  /** A backend that takes none for now is waited for, by one. */
  get #mostStreams(): number {
    const { maxConcurrentStreams = Number.POSITIVE_INFINITY } = this.#session!.remoteSettings;
    return Math.max(1, maxConcurrentStreams);
  }

  take(flight: Http2Flight): void {
    flight.waitFor(this);
    this.#waiting.add(flight);
    if (!this.#ready) return;
    // A GOAWAY, or an end, that has arrived while it was idle must be seen before it is used again.
    // The first turn still belongs to the events that were collected before now.
    if (this.#streams > 0) this.#start();
    else if (this.#waiting.size === 1) setImmediate(setImmediate, () => this.#start());
  }

  leave(flight: Http2Flight): void {
    this.#waiting.delete(flight);
    if (!this.#ready && this.#waiting.size === 0) this.cut();
  }

  sendElsewhere(attempt: Attempt, events: AttemptEvents): Flight {
    return this.pool.send(attempt, events);
  }

  #start(): void {
    for (const flight of this.#waiting) {
      this.#waiting.delete(flight);
      if (this.over || this.#streams >= this.#mostStreams) this.pool.place(flight);
      else this.#begin(flight);
    }
  }

  #begin(flight: Http2Flight): void {
    const stream = flight.begin(this);
    if (stream === null) return this.#onFree();
    clearTimeout(this.#timer);
    if (this.#streams++ === 0) this.#session!.ref();
    stream.on('close', () => {
      this.#streams--;
      this.#onFree();
    });
  }

  request(fields: HeaderMap, options: object): ClientHttp2Stream {
    const stream = this.#session!.request(fields as Record<string, string>, options);
    if (Number(stream.id) > MOST_STREAM_ID) this.#session!.close();
    return stream;
  }

  probe(): void {
    if (this.#isDoubtful || this.over) return;
    this.#isDoubtful = true;
    this.#session!.ping(() => {
      this.#isDoubtful = false;
    });
  }

  #onDialled(socket: TLSSocket): void {
    if (socket.alpnProtocol !== 'h2') {
      this.pool.forget(this);
      return this.pool.onHttp1(socket, this.#waiting);
    }
    const session = connect(this.pool.backend.url, { ...OPTIONS, createConnection: () => socket });
    this.#session = session;
    let error: Error | null = null;
    session.on('error', (thrown: Error) => {
      error = thrown;
    });
    session.on('origin', () => {
      if (session.originSet!.length > MOST_ORIGINS) session.destroy();
    });
    session.on('goaway', (code, lastStreamId) => this.#onGoaway(code, lastStreamId));
    session.once('remoteSettings', () => this.#onReady());
    // Without it, those that come would wait for its SETTINGS with those that go, for ever.
    const { connectTimeout } = this.pool.options;
    const onLate = (): void => this.#fail(coded('ETIMEDOUT', 'no SETTINGS within connectTimeout'));
    if (connectTimeout > 0) this.#timer = setTimeout(onLate, connectTimeout);
    session.on('close', () => {
      this.pool.forget(this);
      if (!this.#ready) this.#fail(error ?? coded('ECONNRESET', 'closed before its SETTINGS'));
    });
  }

  #onReady(): void {
    clearTimeout(this.#timer);
    this.#ready = true;
    this.pool.onHttp2(this.#mostStreams);
    this.#session!.setLocalWindowSize(WINDOW);
    this.#start();
    this.#onFree();
  }

  #onGoaway(code: number, lastStreamId: number): void {
    this.goaway = { code, lastStreamId };
    this.#session!.close();
    this.#onFree();
  }

  #onFree(): void {
    if (!this.isIdle) return;
    if (this.over) return this.end();
    this.#session!.unref();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(), IDLE_MS).unref();
  }

  /** The connection never stood. */
  #fail(error: Error): void {
    this.cut();
    for (const flight of this.#waiting) flight.fail(error);
  }

  /** With a GOAWAY. */
  end(): void {
    this.pool.forget(this);
    clearTimeout(this.#timer);
    this.#session!.destroy();
    if (this.#socket.destroyed) return;
    this.#timer = setTimeout(() => this.#socket.destroy(), FAREWELL_MS).unref();
    this.#socket.once('close', () => clearTimeout(this.#timer));
  }

  /** At whatever stage. */
  cut(): void {
    this.pool.forget(this);
    clearTimeout(this.#timer);
    this.#session?.destroy();
    this.#socket.destroy();
  }
}
