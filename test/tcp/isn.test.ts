/** Initial sequence numbers: the hash against its reference vectors, and RFC 6528's two promises. */
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { seqDiff } from '../../src/base/seq.ts';
import { PrivateWord, RECORD_WORDS, TcpConnection } from '../../src/tcp/connection.ts';
import { IsnGenerator } from '../../src/tcp/isn.ts';
import { randomSipHash, SipHash } from '../../src/tcp/siphash.ts';

function connection(localPort: number, remotePort: number, remote = 0x0a000002): TcpConnection {
  const words = new Int32Array(RECORD_WORDS);
  const c = new TcpConnection(words, new Float64Array(words.buffer), 0, 0);
  c.localPort = localPort;
  c.remotePort = remotePort;
  words[PrivateWord.LOCAL_ADDRESS + 3] = 0x0a000001;
  words[PrivateWord.REMOTE_ADDRESS + 3] = remote;
  return c;
}

describe('SipHash-2-4', () => {
  // The reference vectors: key 00 01 .. 0f, message 00 01 .. of the length given; here those of whole words.
  const KEY = [0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c] as const;
  const VECTORS: readonly (readonly [bytes: number, high: number, low: number])[] = [
    [0, 0x726fdb47, 0xdd0e0e31],
    [4, 0xcf2794e0, 0x277187b7],
    [8, 0x93f5f579, 0x9a932462],
    [12, 0x751e8fbc, 0x860ee5fb],
    [16, 0x3f2acc7f, 0x57c29bdb],
    [36, 0x314dffbe, 0x0815a3b4],
  ];
  for (const [bytes, high, low] of VECTORS) {
    test(`the reference vector of ${bytes} bytes`, () => {
      const hash = new SipHash(KEY).begin();
      for (let i = 0; i < bytes; i += 4) hash.add(i | ((i + 1) << 8) | ((i + 2) << 16) | ((i + 3) << 24));
      expect(hash.end() >>> 0).toBe(low);
      expect(hash.high >>> 0).toBe(high);
    });
  }
});

describe('initial sequence numbers (RFC 6528)', () => {
  test('of one 4-tuple grow by one each four microseconds, so that an old incarnation lies behind (6528 3)', () => {
    const isn = new IsnGenerator(new SeededRandom(7));
    const c = connection(80, 4711);
    const first = isn.next(c, 1_000_000);
    expect(seqDiff(isn.next(c, 1_000_400), first)).toBe(100);
    // Also across the wrap of the clock, 4.77 hours on.
    const wrapUs = 4 * 2 ** 32;
    expect(seqDiff(isn.next(c, wrapUs + 40), isn.next(c, wrapUs - 40))).toBe(20);
  });

  test('of different 4-tuples and of different secrets have nothing to do with each other', () => {
    const isn = new IsnGenerator(new SeededRandom(7));
    const other = new IsnGenerator(new SeededRandom(8));
    const seen = new Set<number>();
    for (let port = 1; port <= 500; port++) {
      seen.add(isn.next(connection(80, port), 0));
      seen.add(isn.next(connection(port, 80, 0x0a000003), 0));
      seen.add(other.next(connection(80, port), 0));
    }
    expect(seen.size).toBe(1500);
    // Neighbouring ports differ in about half of the bits.
    let bits = 0;
    for (let port = 1; port < 500; port++) {
      let x = isn.next(connection(80, port), 0) ^ isn.next(connection(80, port + 1), 0);
      for (; x !== 0; x &= x - 1) bits++;
    }
    expect(bits / 499).toBeGreaterThan(14);
    expect(bits / 499).toBeLessThan(18);
  });

  test('source and destination are not interchangeable', () => {
    const isn = new IsnGenerator(new SeededRandom(7));
    expect(isn.next(connection(80, 4711), 0)).not.toBe(isn.next(connection(4711, 80), 0));
  });

  test('the timestamp offset has a secret of its own and does not move with the clock (RFC 7323 5.4)', () => {
    const isn = new IsnGenerator(new SeededRandom(7));
    const c = connection(80, 4711);
    expect(isn.timestampOffset(c)).toBe(isn.timestampOffset(c));
    expect(isn.timestampOffset(c)).not.toBe(isn.next(c, 0));
  });

  test('the same random source gives the same secret', () => {
    const words = [1, 2, 3];
    const digest = (seed: number): number => {
      const hash = randomSipHash(new SeededRandom(seed)).begin();
      for (const word of words) hash.add(word);
      return hash.end();
    };
    expect(digest(1)).toBe(digest(1));
    expect(digest(1)).not.toBe(digest(2));
  });
});
