/** Reads an HTTP reply of the simplest kind from a raw connection: a header, a body until the end. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';

export interface Reply {
  readonly head: string;
  readonly bytes: number;
  /** SHA-256 of the body. */
  readonly hash: string;
}

export function collect(from: Readable): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    let head = '';
    let bytes = 0;
    let isBody = false;
    const body = (chunk: Buffer): void => {
      hash.update(chunk);
      bytes += chunk.length;
    };
    from.on('data', (chunk: Buffer) => {
      if (isBody) {
        body(chunk);
        return;
      }
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      isBody = true;
      body(Buffer.from(head.slice(end + 4), 'latin1'));
      head = head.slice(0, end);
    });
    from.on('end', () => resolve({ head, bytes, hash: hash.digest('hex') }));
    from.on('error', reject);
  });
}
