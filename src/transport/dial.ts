import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Backend } from '../backends.js';
import { coded } from '../errors.js';
import type { ResolvedOptions } from '../options.js';

/** Opens one connection to its backend. Not called back after the socket has been destroyed. */
export type Dial = (onDialled: (error: Error | null, socket: Socket | null) => void) => Socket;

const KEEP_ALIVE_MS = 60_000;
/** As much as one read of the socket may bring. */
const READ_AHEAD = 65_536;

/** TCP, and TLS where the backend's URL says so (with `alpn`), within `connectTimeout`. */
export function createDial(backend: Backend, options: ResolvedOptions, alpn?: string[]): Dial {
  const { connectTimeout } = options;
  const tls = tlsOptions(backend, options);
  const where = {
    ...whereOf(backend),
    ...{ highWaterMark: READ_AHEAD, noDelay: true, keepAlive: true, ALPNProtocols: alpn },
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  };
  let session: Buffer | undefined;
  return function dial(onDialled) {
    const socket =
      tls === undefined ? connectTcp(where) : connectTls({ ...where, ...tls, session });
    const onLate = (): void => void socket.destroy(coded('ETIMEDOUT', 'connect timeout'));
    // The socket keeps the process alive, unless its owner does not want it to.
    const timer = connectTimeout > 0 ? setTimeout(onLate, connectTimeout).unref() : undefined;
    const onError = (error: Error): void => onDialled(error, null);
    socket.once('error', onError);
    socket.once('close', () => clearTimeout(timer));
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', onError);
      onDialled(null, socket);
    });
    if (tls !== undefined)
      socket.on('session', (latest: Buffer) => {
        session = latest;
      });
    return socket;
  };
}

/** Answers a connection that stands already, and dials from then on. */
export function handOver(socket: Socket, dial: Dial): Dial {
  let isHanded = false;
  return function dialOnceHanded(onDialled) {
    if (isHanded) return dial(onDialled);
    isHanded = true;
    process.nextTick(() => {
      if (!socket.destroyed) onDialled(null, socket);
    });
    return socket;
  };
}

function whereOf({ url, socketPath, address = hostOf(url) }: Backend) {
  if (socketPath !== undefined) return { path: socketPath };
  return { host: address, port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80) };
}

/** Without an IPv6 literal's brackets, which would be looked up in the DNS. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** The identity that is checked is the backend's own, whatever `Host` the client has sent. */
export function tlsOptions({ url }: Backend, { ssl, secure }: ResolvedOptions) {
  if (url.protocol !== 'https:') return undefined;
  const { hostname } = url;
  const isAddress = /^[\d.]+$|^\[/.test(hostname); // RFC 6066 3: no address in SNI
  return { servername: isAddress ? '' : hostname, ...ssl, rejectUnauthorized: secure !== false };
}
