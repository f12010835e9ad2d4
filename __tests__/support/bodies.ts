// Bodies of any length that need no memory, and can be recognised when they arrive.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

const CHUNK_BYTES = 65536;

/** A deterministic body: the same bytes for the same length and seed, every time. */
export interface PseudoRandomBody {
  readonly bytes: number;
  /** Hex. Computed when it is read: a second or so for 1 GB. */
  readonly sha256: string;
  /** A fresh stream of it, as often as you like. */
  stream(): Readable;
}

/** A body of pseudo-random bytes, for uploads and downloads alike. */
export function pseudoRandom(bytes: number, seed = 1): PseudoRandomBody {
  return {
    bytes,
    get sha256() {
      const hash = createHash('sha256');
      for (const chunk of chunks(bytes, seed)) hash.update(chunk);
      return hash.digest('hex');
    },
    stream: () => Readable.from(chunks(bytes, seed), { objectMode: false }),
  };
}

/** The SHA-256 of bytes at hand, in hex. */
export function sha256(data: Buffer | string): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Reads a stream to its end, keeping nothing but its length and SHA-256 (hex). */
export async function digest(stream: Readable): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Xorshift32 (Marsaglia): not random for anybody who looks, but no two chunks are alike. */
function* chunks(bytes: number, seed: number): Generator<Buffer> {
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    const words = new Uint32Array(CHUNK_BYTES / 4);
    for (let i = 0; i < words.length; i += 1) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    yield Buffer.from(words.buffer).subarray(0, Math.min(left, CHUNK_BYTES));
  }
}
