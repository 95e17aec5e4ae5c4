/**
 * Initial sequence numbers and timestamp offsets: ISN = M + F(localip, localport, remoteip, remoteport, secretkey).
 *
 * Promises: numbers of one 4-tuple grow with the clock, so that a new incarnation does not meet segments of an old one; those
 * of different 4-tuples tell nothing about each other. The secret is drawn once and never leaves. Source: RFC 6528 section 3,
 * RFC 7323 section 5.4 and 7.1.
 */

import type { RandomSource } from '../base/runtime.ts';
import { asSeq, type Seq } from '../base/seq.ts';
import { PrivateWord, type TcpConnection } from './connection.ts';
import { randomSipHash, type SipHash } from './siphash.ts';

/** M ticks every 4 microseconds: it wraps in 4.8 hours. RFC 6528 section 3. */
const ISN_CLOCK_US = 4;

/** Makes initial sequence numbers; one per stack. */
export class IsnGenerator {
  readonly #isn: SipHash;
  readonly #timestamps: SipHash;

  constructor(random: RandomSource) {
    this.#isn = randomSipHash(random);
    this.#timestamps = randomSipHash(random);
  }

  /** The initial sequence number of a connection whose addresses and ports are set. ISS. */
  next(c: TcpConnection, nowUs: number): Seq {
    const m = Math.floor(nowUs / ISN_CLOCK_US) % 2 ** 32;
    return asSeq(hashTuple(this.#isn, c) + m);
  }

  /** What a connection adds to the stack's timestamp clock, so that the clock tells no one else's age. Any 32 bits. */
  timestampOffset(c: TcpConnection): number {
    return hashTuple(this.#timestamps, c);
  }
}

/** F over the 4-tuple. */
function hashTuple(hash: SipHash, c: TcpConnection): number {
  hash.begin();
  for (let i = 0; i < 4; i++) hash.add(c.words[c.base + PrivateWord.LOCAL_ADDRESS + i]!);
  for (let i = 0; i < 4; i++) hash.add(c.words[c.base + PrivateWord.REMOTE_ADDRESS + i]!);
  return hash.add((c.localPort << 16) | c.remotePort).end();
}
