// @ts-check
/**
 * Bodies that client and backend both know, so that each can tell whether all of it has arrived.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/** The answer to a small request. */
export const SMALL = Buffer.from(
  JSON.stringify({ id: 7, name: 'a small answer', tags: ['a', 'b', 'c'] }),
);

const CHUNK_BYTES = 65_536;
const REST_EVERY_BYTES = 8 * CHUNK_BYTES;
const noise = createHash('shake256', { outputLength: CHUNK_BYTES }).update('payload').digest();

/**
 * A body of a given length in chunks, no two alike: a lost, doubled or misplaced one changes the
 * checksum.
 * @param {number} bytes
 */
export function* payload(bytes) {
  for (let sent = 0; sent < bytes; sent += CHUNK_BYTES) {
    const chunk = Buffer.from(noise.subarray(0, Math.min(CHUNK_BYTES, bytes - sent)));
    if (chunk.length >= 8) chunk.writeDoubleBE(sent);
    yield chunk;
  }
}

/**
 * The checksum of a body. It reads slower than any sender writes: what stands between the two must
 * hold the sender back, or keep the difference in its memory.
 * @param {AsyncIterable<Buffer>} body
 */
export async function readSlowly(body) {
  const hash = createHash('sha256');
  let bytes = 0;
  let rested = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.length;
    if (bytes - rested < REST_EVERY_BYTES) continue;
    rested = bytes;
    await sleep(1);
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** @param {number} bytes */
export function payloadChecksum(bytes) {
  const hash = createHash('sha256');
  for (const chunk of payload(bytes)) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * The body of `/items/NUMBER`: small, but for every fifth, which is long enough to be cut in the
 * middle.
 * @param {number} number
 */
export function itemBody(number) {
  return Buffer.from(`item ${number};`.repeat(number % 5 === 0 ? 20_000 : 20));
}
