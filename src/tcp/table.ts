/**
 * The connection table: which record a segment belongs to, by addresses and ports.
 *
 * Promises: nothing is allocated per lookup; the hash is keyed, so that a stranger cannot choose tuples that collide; the table
 * is at most half full. Open addressing with linear probing; a removal closes its gap, so there are no tombstones.
 * Leaves to others: listeners (which have no remote address) and the bound on connections.
 */

import { assert } from '../base/assert.ts';
import { PrivateWord, type TcpConnection } from './connection.ts';

const FIRST_CAPACITY = 64;

/** What stands in the table: a record, or whoever has packed his. */
export interface TableEntry {
  /** The record; unpacked now, if it was not. */
  readonly record: TcpConnection;
}

/** 4-tuple -> connection. */
export class TcpTable {
  #hashes: Int32Array = new Int32Array(FIRST_CAPACITY);
  #connections: (TableEntry | null)[] = new Array<TableEntry | null>(FIRST_CAPACITY).fill(null);
  #size = 0;
  readonly #key: number;

  /** `key`: any secret 32-bit number. */
  constructor(key = 0x5bd1e995) {
    this.#key = key | 0;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a connection whose addresses and ports are set and will not change. No other with the same four is in the table. */
  insert(c: TcpConnection): void {
    if (2 * (this.#size + 1) > this.#hashes.length) this.#grow();
    const hash = this.#hashOf(c);
    let at = hash & (this.#hashes.length - 1);
    while (this.#connections[at] !== null) at = (at + 1) & (this.#hashes.length - 1);
    this.#hashes[at] = hash;
    this.#connections[at] = c;
    this.#size++;
  }

  /** Takes a connection out; it must be in. */
  remove(c: TcpConnection): void {
    const mask = this.#hashes.length - 1;
    let at = this.#hashOf(c) & mask;
    while (this.#connections[at] !== c) {
      assert(this.#connections[at] !== null, 'a connection that is removed is in the table');
      at = (at + 1) & mask;
    }
    this.#size--;
    // Move back whoever stands behind the gap and would be looked for at or before it.
    let gap = at;
    for (let i = (gap + 1) & mask; this.#connections[i] !== null; i = (i + 1) & mask) {
      const home = this.#hashes[i]! & mask;
      if (((i - home) & mask) < ((i - gap) & mask)) continue;
      this.#connections[gap] = this.#connections[i]!;
      this.#hashes[gap] = this.#hashes[i]!;
      gap = i;
    }
    this.#connections[gap] = null;
  }

  /**
   * The connection between local address and port and remote address and port, or null. The addresses, 4 or 16 bytes each in
   * network order, stand in `bytes` at `localAt` and `remoteAt`.
   */
  find(
    family: number,
    bytes: Uint8Array,
    localAt: number,
    remoteAt: number,
    localPort: number,
    remotePort: number,
  ): TcpConnection | null {
    const mask = this.#hashes.length - 1;
    let hash = mix(this.#key, (localPort << 16) | remotePort);
    if (family === 4) {
      hash = mix(mix(hash, wordAt(bytes, localAt)), wordAt(bytes, remoteAt));
    } else {
      for (let i = 0; i < 16; i += 4) hash = mix(hash, wordAt(bytes, localAt + i));
      for (let i = 0; i < 16; i += 4) hash = mix(hash, wordAt(bytes, remoteAt + i));
    }
    hash = finish(hash);
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const entry = this.#connections[at]!;
      if (entry === null) return null;
      if (this.#hashes[at] !== hash) continue;
      const c = entry.record;
      if (
        c.localPort === localPort &&
        c.remotePort === remotePort &&
        c.family === family &&
        isAddress(c, PrivateWord.LOCAL_ADDRESS, bytes, localAt) &&
        isAddress(c, PrivateWord.REMOTE_ADDRESS, bytes, remoteAt)
      ) {
        return c;
      }
    }
  }

  /** Another entry for the same connection, whose record `c` is: it is being packed, or has been unpacked. */
  replace(c: TcpConnection, from: TableEntry, to: TableEntry): void {
    const mask = this.#hashes.length - 1;
    let at = this.#hashOf(c) & mask;
    while (this.#connections[at] !== from) {
      assert(this.#connections[at] !== null, 'a connection that is packed or unpacked is in the table');
      at = (at + 1) & mask;
    }
    this.#connections[at] = to;
  }

  /** All entries, in no order; a copy, so that they may be removed meanwhile. For what is rare. */
  entries(): TableEntry[] {
    return this.#connections.filter((entry) => entry !== null);
  }

  #hashOf(c: TcpConnection): number {
    const { words, base } = c;
    let hash = mix(this.#key, (c.localPort << 16) | c.remotePort);
    const from = c.family === 4 ? 3 : 0;
    for (let i = from; i < 4; i++) hash = mix(hash, words[base + PrivateWord.LOCAL_ADDRESS + i]!);
    for (let i = from; i < 4; i++) hash = mix(hash, words[base + PrivateWord.REMOTE_ADDRESS + i]!);
    return finish(hash);
  }

  #grow(): void {
    const connections = this.#connections;
    const hashes = this.#hashes;
    const mask = hashes.length * 2 - 1;
    this.#hashes = new Int32Array(mask + 1);
    this.#connections = new Array<TableEntry | null>(mask + 1).fill(null);
    for (let i = 0; i < hashes.length; i++) {
      const c = connections[i]!;
      if (c === null) continue;
      let at = hashes[i]! & mask;
      while (this.#connections[at] !== null) at = (at + 1) & mask;
      this.#hashes[at] = hashes[i]!;
      this.#connections[at] = c;
    }
  }
}

/** Whether four words of the record are the address at `at`; IPv4 stands in the last. */
function isAddress(c: TcpConnection, word: number, bytes: Uint8Array, at: number): boolean {
  const first = c.base + word;
  if (c.family === 4) return c.words[first + 3] === wordAt(bytes, at);
  for (let i = 0; i < 4; i++) if (c.words[first + i] !== wordAt(bytes, at + 4 * i)) return false;
  return true;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** One step of MurmurHash3's body: enough to spread, with the key unknown. */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Spreads all bits into the low ones, which choose the place. */
function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
