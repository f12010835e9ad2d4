import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { coded } from '../errors.js';
import type { Attempt } from './transport.js';

/** A server takes any Duplex for a connection (`server.emit('connection', duplex)`). */
type Connection = Duplex & Partial<Socket>;

/** Finds a peer that is gone without a word: a tunnel may be quiet for as long as it likes. */
const KEEP_ALIVE_MS = 30_000;
/** How long a tunnel that we end waits for the other sides' ends. */
const HANG_UP_MS = 500;

/**
 * What follows a 101: the bytes of two sockets, each direction with its own back pressure and its
 * own end. Once one has ended, the other may be idle for `idleMs` (0: for ever).
 */
export class Tunnel {
  readonly #client: Connection;
  readonly #bytesBefore: number;
  #over = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly attempt: Attempt,
    private readonly backend: Socket,
    idleMs: number,
    /** Once, with the error by which the backend's side broke. Not called after `hangUp()`. */
    private readonly onOver: (error: Error | null) => void,
  ) {
    const client: Connection = attempt.req.socket;
    this.#client = client;
    attempt.upgrade!.onTunnel();
    this.#bytesBefore = client.bytesWritten ?? 0;
    for (const [from, to] of [
      [client, backend],
      [backend, client],
    ] as const) {
      from.allowHalfOpen = true;
      from.setTimeout?.(0);
      from.setNoDelay?.(true);
      from.setKeepAlive?.(true, KEEP_ALIVE_MS);
      from.on('end', () => to.setTimeout?.(idleMs));
      from.on('timeout', () => {
        this.#end(coded('ETIMEDOUT', 'half-closed, and idle'));
        this.#destroy();
      });
      from.on('close', () => {
        if (to.closed) clearTimeout(this.#timer);
      });
      from.pipe(to);
    }
    const onClientDone = (): void => {
      if (client.readableEnded && client.writableFinished) this.#end(null);
    };
    client.on('end', onClientDone).on('finish', onClientDone);
    backend.on('error', (error) => this.#end(error));
    backend.on('close', () => {
      if (!backend.readableEnded) this.#end(coded('ECONNRESET', 'aborted'));
    });
  }

  /** That the client was sent. */
  get bytes(): number {
    return (this.#client.bytesWritten ?? 0) - this.#bytesBefore;
  }

  /** Ends both sides by FIN. */
  hangUp(): void {
    this.#over = true;
    for (const socket of [this.#client, this.backend]) {
      // What the other side still sends is read and dropped: unread, it would make the FIN a reset.
      socket.unpipe().end();
      socket.resume();
    }
    if (this.#client.closed && this.backend.closed) return;
    this.#timer = setTimeout(() => this.#destroy(), HANG_UP_MS);
  }

  #destroy(): void {
    this.#client.destroy();
    this.backend.destroy();
  }

  #end(error: Error | null): void {
    if (this.#over) return;
    this.#over = true;
    this.onOver(error);
    this.attempt.res.end();
    if (error !== null) this.hangUp();
  }
}
