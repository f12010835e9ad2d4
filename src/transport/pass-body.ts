import type { IncomingMessage, OutgoingMessage } from 'node:http';
import type { Response } from 'express';
import { coded } from '../errors.js';
import { HOP_BY_HOP, isFieldValue, nominated } from '../headers.js';
import type { Attempt, AttemptEvents } from './transport.js';

/**
 * Besides hop-by-hop fields, what is known too late there, or not the sender's to say: framing,
 * routing, authentication, what the proxy sets itself. RFC 9110 6.5.1.
 */
const NOT_IN_TRAILERS =
  /^(?:content-(?:encoding|length|range|type)|host|proxy-.*|authorization|www-authenticate|cookie|set-cookie|cache-control|expect|max-forwards|range|forwarded|x-real-ip|x-forwarded-.*|x-request-(?:id|attempt))$/;

const NOTHING = Buffer.alloc(0);

/**
 * The body of a response that is passed on, with back pressure, and its trailers. `done` hears an
 * error when it has not come whole; what to do about the client's side is the caller's matter.
 */
export function passBody(
  response: IncomingMessage,
  { req, res }: Pick<Attempt, 'req' | 'res'>,
  events: Pick<AttemptEvents, 'onData' | 'onBackPressure'>,
  done: (error: Error | null) => void,
): void {
  const flush = flusher(response, res);
  // Where there is none, even an empty write may throw (rejectNonStandardBodyWrites).
  const hasBody = req.method !== 'HEAD' && res.statusCode !== 204 && res.statusCode !== 304;
  let begun = false;
  let paused = false;
  let listening = false;
  const onDrain = (): void => {
    if (!paused || res.destroyed) return;
    paused = false;
    events.onBackPressure(false);
    response.resume();
  };
  response.on('data', (chunk: Buffer) => {
    // Or the app has ended it, and 'close' is on its way.
    if (!hasBody || res.destroyed || res.writableEnded) return;
    begun = true;
    events.onData(chunk.length);
    const goOn = res.write(chunk);
    flush?.();
    if (goOn !== false) return; // nothing, of a write() that a middleware has wrapped carelessly
    response.pause();
    paused = true;
    events.onBackPressure(true);
    // On, not once: compression() hands the listener to its own stream, and takes back none.
    if (!listening) res.on('drain', onDrain);
    listening = true;
  });
  // The head goes out by itself, unless a part of the body is here already to go with it.
  // flushHeaders() would write it as UTF-8, and break bytes over 0x7f.
  process.nextTick(() => {
    if (hasBody && !begun && !res.destroyed && !res.writableEnded) res.write(NOTHING);
  });
  response.on('end', () => {
    if (res.destroyed || res.writableEnded) return done(null);
    addTrailers(response, res);
    res.end();
    done(null);
  });
  response.on('close', () => {
    if (response.readableEnded) return;
    done(response.errored ?? coded('ECONNRESET', 'aborted'));
  });
}

/** `compression()` holds chunks back until it is told; an event stream's reader waits for each. */
function flusher(response: IncomingMessage, res: Response): (() => void) | null {
  const { flush } = res as Response & { flush?: () => void };
  if (typeof flush !== 'function') return null;
  if (!/^text\/event-stream\b/i.test(response.headers['content-type'] ?? '')) return null;
  return () => flush.call(res);
}

/** Passes the trailers of one message to the other, before its end. */
export function addTrailers({ headers, rawTrailers }: IncomingMessage, to: OutgoingMessage): void {
  if (rawTrailers.length === 0 || !to.chunkedEncoding) return;
  const drop = nominated(headers.connection); // RFC 9110 7.6.1: "header or trailer field(s)"
  const trailers: [string, string][] = [];
  for (let i = 0; i < rawTrailers.length; i += 2) {
    const [written, value] = [rawTrailers[i]!, rawTrailers[i + 1]!];
    const name = written.toLowerCase();
    if (HOP_BY_HOP.has(name) || NOT_IN_TRAILERS.test(name) || drop?.has(name)) continue;
    if (isFieldValue(value)) trailers.push([written, value]);
  }
  to.addTrailers(trailers);
}

const DRAIN_BYTES = 65_536;
const DRAIN_MS = 1000;

/** A short rest is read, so that the connection can be used again; else the connection is cut. */
export function dropBody(response: IncomingMessage): void {
  if (Number(response.headers['content-length'] ?? 0) > DRAIN_BYTES) {
    response.destroy();
    return;
  }
  const timer = setTimeout(() => response.destroy(), DRAIN_MS);
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DRAIN_BYTES) response.destroy();
  });
  response.on('end', () => clearTimeout(timer));
  response.on('close', () => clearTimeout(timer));
}
