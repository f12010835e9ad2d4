// A body that can be sent again, with its client and its attempts in the hands of the test.
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { KeptBytes, ReplayBody } from '../../src/replay-body.js';
import { until } from './wait.js';

/** A client's request whose bytes come when the test says so. */
export function setUp({
  maxBytes = 100,
  total = 1000,
  length,
}: {
  maxBytes?: number;
  total?: number;
  length?: number;
} = {}) {
  const headers = length === undefined ? {} : { 'content-length': String(length) };
  const req = Object.assign(new Readable({ read() {} }), { headers }) as Readable & IncomingMessage;
  const kept = new KeptBytes(total);
  const told: string[] = [];
  const body = new ReplayBody(req, maxBytes, kept, {
    onWaiting: () => told.push('waiting'),
    onFlowing: () => told.push('flowing'),
  });
  /** How many bytes are counted as kept. */
  const used = (): number => {
    let free = 0;
    while (free < total && kept.take(1)) free += 1;
    kept.giveBack(free);
    return total - free;
  };
  return { req, kept, body, told, used };
}

/** An open stream, read for as long as there is something to read. */
export function read(stream: Readable) {
  const chunks: Buffer[] = [];
  const reading = { text: () => Buffer.concat(chunks).toString(), chunks, ended: false };
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    reading.ended = true;
  });
  return reading;
}

export async function gets(
  reading: ReturnType<typeof read>,
  text: string,
  ended = false,
): Promise<void> {
  await until(() => reading.text() === text && reading.ended === ended, `${text} ${ended}`, 2000);
}
