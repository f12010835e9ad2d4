// HTTP/2 frame by frame (RFC 9113 4.1): backends that say what no library would.
import { createServer, type TLSSocket } from 'node:tls';
import type { TinyProxyOptions } from '../../src/index.js';
import { localhostCertificate } from './certificates.js';
import { startHttp2Proxy } from './http2-backend.js';
import { LoopbackServer } from './loopback-server.js';
import type { RunningProxy } from './proxy.js';

export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;
/** RFC 8336 */
export const ORIGIN = 12;

/** Of DATA and HEADERS; of SETTINGS and PING it is ACK. */
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;

/** Of one frame. */
const MOST_BYTES = 16_384;

/** One frame. */
export interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

/** The bytes of a frame. */
export function frame(type: number, flags = 0, stream = 0, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload as string, 'latin1');
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** A field by HPACK without any compression (RFC 7541 6.2.2), name and value below 127 bytes. */
export function field(name: string, value: string): Buffer {
  const [written, text] = [Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1')];
  return Buffer.concat([
    Buffer.from([0, written.length]),
    written,
    Buffer.from([text.length]),
    text,
  ]);
}

export type Fields = [name: string, value: string][];

export const OK: Fields = [[':status', '200']];

/** A head; `fields` with `:status` first. */
export function head(stream: number, fields: Fields, flags = END_HEADERS): Buffer {
  const block = Buffer.concat(fields.map(([name, value]) => field(name, value)));
  if (block.length <= MOST_BYTES) return frame(HEADERS, flags, stream, block);
  const [first, rest] = [block.subarray(0, MOST_BYTES), block.subarray(MOST_BYTES)];
  const begin = frame(HEADERS, flags & ~END_HEADERS, stream, first);
  return Buffer.concat([begin, frame(CONTINUATION, END_HEADERS, stream, rest)]);
}

/** A 32-bit number, as in RST_STREAM, WINDOW_UPDATE and GOAWAY. */
export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, 4 * i);
  return bytes;
}

/** GOAWAY with NO_ERROR, unless another code is given. */
export function goaway(lastStream: number, code = 0): Buffer {
  return frame(GOAWAY, 0, 0, uint32(lastStream, code));
}

/** RST_STREAM. */
export function rst(stream: number, code: number): Buffer {
  return frame(RST_STREAM, 0, stream, uint32(code));
}

/** A whole response: `200 whole`. */
export function whole(stream: number): Buffer[] {
  return [head(stream, OK), frame(DATA, END_STREAM, stream, 'whole')];
}

/** A connection as the backend sees it. */
export interface FrameConnection {
  readonly socket: TLSSocket;
  /** From 1. */
  readonly number: number;
  write(...bytes: Buffer[]): void;
}

const PREFACE_BYTES = 24;

/** What is sent for the head of a request. */
export type Respond = (stream: number, connection: FrameConnection) => Buffer[];

/** A backend of frames. It sends SETTINGS, and acknowledges those of the proxy. */
export class FrameBackend extends LoopbackServer {
  /** Per connection. */
  readonly received: Frame[][] = [];
  answersPings = true;

  constructor(
    private readonly respond: Respond,
    settings: Buffer,
  ) {
    const server = createServer({ ...localhostCertificate, ALPNProtocols: ['h2'] });
    super(server);
    server.on('secureConnection', (socket) => {
      const number = this.received.push([]);
      const connection: FrameConnection = {
        socket,
        number,
        write(...bytes) {
          if (socket.writable) socket.write(Buffer.concat(bytes));
        },
      };
      socket.on('error', () => {}); // a proxy that leaves is no accident here
      connection.write(settings);
      let bytes = Buffer.alloc(0);
      let begun = false;
      socket.on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        if (!begun && bytes.length < PREFACE_BYTES) return;
        if (!begun) bytes = bytes.subarray(PREFACE_BYTES);
        begun = true;
        for (let next = parse(bytes); next !== null; next = parse(bytes)) {
          bytes = bytes.subarray(9 + next.payload.length);
          this.#onFrame(next, connection);
        }
      });
    });
  }

  #onFrame(received: Frame, connection: FrameConnection): void {
    const { type, flags, stream, payload } = received;
    this.received[connection.number - 1]!.push(received);
    if (type === HEADERS) connection.write(...this.respond(stream, connection));
    if (flags === ACK) return;
    if (type === SETTINGS) connection.write(frame(SETTINGS, ACK));
    if (type === PING && this.answersPings) connection.write(frame(PING, ACK, 0, payload));
  }

  override get url(): string {
    return `https://${this.host}`;
  }

  /** The frames of a type that have come, on all connections. */
  framesOf(type: number): Frame[] {
    return this.received.flat().filter((each) => each.type === type);
  }
}

function parse(bytes: Buffer): Frame | null {
  if (bytes.length < 9) return null;
  const length = bytes.readUIntBE(0, 3);
  if (bytes.length < 9 + length) return null;
  const payload = Buffer.from(bytes.subarray(9, 9 + length));
  return { type: bytes[3]!, flags: bytes[4]!, stream: bytes.readUInt32BE(5), payload };
}

/** Starts a backend that answers every request's head with what `respond` makes of its stream. */
export function startFrameBackend(
  respond: Respond,
  settings: Buffer = frame(SETTINGS),
): Promise<FrameBackend> {
  return new FrameBackend(respond, settings).start();
}

/** A proxy with such a backend. */
export async function startFrameProxy(
  respond: Respond,
  options: Partial<TinyProxyOptions> = {},
  settings?: Buffer,
): Promise<RunningProxy & { backend: FrameBackend }> {
  const backend = await startFrameBackend(respond, settings);
  return { ...(await startHttp2Proxy(backend.url, options)), backend };
}
