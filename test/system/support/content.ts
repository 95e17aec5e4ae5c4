/** Streams of known bytes: no two blocks alike, so that a lost, repeated or swapped one changes the hash. */
import { createHash, type Hash } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';

const BLOCK = 65_536;

const PATTERN: Buffer = Buffer.alloc(BLOCK);
for (let i = 0; i < BLOCK; i++) PATTERN[i] = Math.imul(i ^ (i >>> 9), 2_654_435_761) >>> 24;

/** Block `index` of the stream, in memory of its own: a writer may keep it. */
function block(index: number): Buffer {
  const bytes = Buffer.from(PATTERN);
  bytes.writeUInt32BE(index, 0);
  bytes.writeUInt32BE(~index >>> 0, BLOCK - 4);
  return bytes;
}

/** SHA-256 of the first `length` bytes. */
export function contentHash(length: number): string {
  const hash: Hash = createHash('sha256');
  for (let at = 0; at < length; at += BLOCK) hash.update(block(at / BLOCK).subarray(0, length - at));
  return hash.digest('hex');
}

/** Writes the first `length` bytes with respect for back-pressure; resolves when all are written or the stream is gone. */
export function pour(to: Writable, length: number): Promise<void> {
  return new Promise((resolve) => {
    let at = 0;
    to.once('close', resolve);
    const go = (): void => {
      while (at < length && !to.destroyed) {
        const bytes = block(at / BLOCK).subarray(0, length - at);
        at += bytes.length;
        if (!to.write(bytes)) {
          to.once('drain', go);
          return;
        }
      }
      resolve();
    };
    go();
  });
}

export interface Digest {
  readonly bytes: number;
  readonly hash: string;
}

/** Reads to the end. */
export function digest(from: Readable): Promise<Digest> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    let bytes = 0;
    from.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    from.on('end', () => resolve({ bytes, hash: hash.digest('hex') }));
    from.on('error', reject);
  });
}
