/**
 * What the demonstration sends: real files of the package, and pseudo-random bytes of any length from the seed.
 *
 * Promises: the same seed and name give the same bytes on every machine, and no two stretches of 32 pseudo-random bytes are
 * alike, so that a receiver can tell from the bytes where in the stream they belong.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';

/** A file that is really there, and what is in it. */
export interface RealFile {
  readonly path: string;
  /** Relative to the package. */
  readonly name: string;
  readonly bytes: Buffer;
}

const FILES_MAX = 64;
const FILE_BYTES_MIN = 4096;
const FILE_BYTES_MAX = 256 * 1024;

/** `length` bytes of AES-128 in counter mode, keyed by the seed and the name. */
export function pseudoRandom(seed: number, name: string, length: number): Buffer {
  const key = createHash('sha256').update(`${seed} ${name}`).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/**
 * Source and program files of the package itself, the largest first, copied into `folder`: whoever works on the package, or
 * builds it, must not change what is being sent.
 */
export function realFiles(folder: string): RealFile[] {
  const root = dirname(createRequire(import.meta.url).resolve('chimney/package.json'));
  const found: { path: string; size: number }[] = [];
  for (const folder of ['dist/src', 'src']) {
    if (existsSync(join(root, folder))) collect(join(root, folder), found);
  }
  found.sort((a, b) => b.size - a.size || (a.path < b.path ? -1 : 1));
  return found.slice(0, FILES_MAX).map((original, i) => {
    const path = join(folder, `${i + 1}-${basename(original.path)}`);
    copyFileSync(original.path, path);
    return { path, name: relative(root, original.path), bytes: readFileSync(path) };
  });
}

function collect(folder: string, found: { path: string; size: number }[]): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) collect(path, found);
    else if (entry.isFile() && /\.(?:js|ts)$/.test(entry.name)) {
      const { size } = statSync(path);
      if (size >= FILE_BYTES_MIN && size <= FILE_BYTES_MAX) found.push({ path, size });
    }
  }
}
