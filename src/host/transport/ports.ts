/**
 * Ephemeral ports: RFC 6056 section 3.3.4 (algorithm 4, double-hash port selection).
 *
 * Promises: a port that nobody outside can guess; for one remote end ports do not repeat soon; ports with a listener and tuples
 * in use are passed over; the search ends. Leaves to others: what is in use.
 */

import type { RandomSource } from '../../base/runtime.ts';
import { randomSipHash, type SipHash } from '../../tcp/siphash.ts';
import type { IpAddress } from '../../wire/ip-address.ts';

/** RFC 6056 3.2: the largest range that holds no well-known ports. */
export const FIRST_EPHEMERAL = 1024;
export const LAST_EPHEMERAL = 65535;

/** Counters of algorithm 4; the more, the less one remote end learns about ports used towards another. */
const COUNTERS = 1024;

/** Chooses local ports. One per transport protocol. */
export class EphemeralPorts {
  readonly first: number;
  readonly last: number;
  /** F of RFC 6056: where the search for one remote end begins. */
  readonly #offset: SipHash;
  /** G: which counter it uses. */
  readonly #index: SipHash;
  readonly #counters: Uint32Array = new Uint32Array(COUNTERS);
  readonly #random: RandomSource;

  constructor(random: RandomSource, first: number = FIRST_EPHEMERAL, last: number = LAST_EPHEMERAL) {
    this.#random = random;
    this.#offset = randomSipHash(random);
    this.#index = randomSipHash(random);
    this.first = first;
    this.last = last;
    // A start that differs from run to run, so that a restarted stack does not begin with the tuples it used before.
    for (let i = 0; i < COUNTERS; i++) this.#counters[i] = random.nextUint32();
  }

  /** A port towards `remote`; `isTaken` says which cannot be used. -1: all are taken. */
  towards(local: IpAddress, remote: IpAddress, remotePort: number, isTaken: (port: number) => boolean): number {
    const count = this.last - this.first + 1;
    const offset = hashTuple(this.#offset, local, remote, remotePort) >>> 0;
    const index = (hashTuple(this.#index, local, remote, remotePort) >>> 0) % COUNTERS;
    for (let i = 0; i < count; i++) {
      const step = this.#counters[index]!;
      this.#counters[index] = step + 1;
      const port = this.first + ((offset + step) % count);
      if (!isTaken(port)) return port;
    }
    return -1;
  }

  /** A port for a listener or a UDP port: at random (RFC 6056 3.3.2, algorithm 2). -1: all are taken. */
  any(isTaken: (port: number) => boolean): number {
    const count = this.last - this.first + 1;
    const start = this.#random.nextUint32() % count;
    for (let i = 0; i < count; i++) {
      const port = this.first + ((start + i) % count);
      if (!isTaken(port)) return port;
    }
    return -1;
  }
}

function hashTuple(hash: SipHash, local: IpAddress, remote: IpAddress, remotePort: number): number {
  hash.begin();
  addAddress(hash, local);
  addAddress(hash, remote);
  return hash.add(remotePort).end();
}

function addAddress(hash: SipHash, address: IpAddress): void {
  const bytes = address.bytes;
  for (let i = 0; i < bytes.length; i += 4) {
    hash.add((bytes[i]! << 24) | (bytes[i + 1]! << 16) | (bytes[i + 2]! << 8) | bytes[i + 3]!);
  }
}
