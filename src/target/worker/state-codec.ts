/**
 * State that crosses the chimney, as words in a record and back: constant, cached and delegated, of all three layers.
 *
 * Promises: what is read is what was written, word for word; the kind of a structure travels with it, so that a tree that makes no
 * sense is judged by the engine and not by this codec. Source: chimney-ddi 7.4 to 7.8.
 */

import {
  DL_ADDRESS_BYTES,
  NeighborCachedState,
  NeighborConstState,
  NeighborDelegatedState,
} from '../../state/neighbor.ts';
import { PathCachedState, PathConstState, PathDelegatedState } from '../../state/path.ts';
import {
  TCP_CACHED_AT,
  TCP_CACHED_WORDS,
  TCP_CONST_WORDS,
  TCP_DELEGATED_AT,
  TCP_DELEGATED_WORDS,
  TcpCachedState,
  TcpConstState,
  TcpDelegatedState,
} from '../../state/tcp.ts';
import type { Outbox, RecordReader } from './outbox.ts';

export type ConstState = NeighborConstState | PathConstState | TcpConstState;
export type CachedState = NeighborCachedState | PathCachedState | TcpCachedState;
export type DelegatedState = NeighborDelegatedState | PathDelegatedState | TcpDelegatedState;
export type State = ConstState | CachedState | DelegatedState;

const Kind = {
  NONE: 0,
  NEIGHBOR_CONST: 1,
  NEIGHBOR_CACHED: 2,
  NEIGHBOR_DELEGATED: 3,
  PATH_CONST: 4,
  PATH_CACHED: 5,
  PATH_DELEGATED: 6,
  TCP_CONST: 7,
  TCP_CACHED: 8,
  TCP_DELEGATED: 9,
} as const;

/** Bytes of an IP address in a record. */
const ADDRESS_BYTES = 16;

/** Writes a structure; null: that there is none. */
export function putState(out: Outbox, state: State | null): void {
  if (state === null) out.put(Kind.NONE);
  else if (state instanceof TcpConstState) putWords(out, Kind.TCP_CONST, state, 0, TCP_CONST_WORDS);
  else if (state instanceof TcpCachedState) putWords(out, Kind.TCP_CACHED, state, TCP_CACHED_AT, TCP_CACHED_WORDS);
  else if (state instanceof TcpDelegatedState) {
    putWords(out, Kind.TCP_DELEGATED, state, TCP_DELEGATED_AT, TCP_DELEGATED_WORDS);
  } else if (state instanceof PathConstState) {
    out.put(Kind.PATH_CONST);
    putBytes(out, state.sourceAddress, ADDRESS_BYTES);
    putBytes(out, state.destinationAddress, ADDRESS_BYTES);
  } else if (state instanceof PathCachedState) {
    out.put(Kind.PATH_CACHED);
    out.put(state.pathMtu);
  } else if (state instanceof NeighborConstState) {
    out.put(Kind.NEIGHBOR_CONST);
    putBytes(out, state.dlSourceAddress, DL_ADDRESS_BYTES);
    out.put(state.vlanId);
  } else if (state instanceof NeighborCachedState) {
    out.put(Kind.NEIGHBOR_CACHED);
    putBytes(out, state.dlDestinationAddress, DL_ADDRESS_BYTES);
    out.put(state.hostReachabilityDelta);
  } else if (state instanceof NeighborDelegatedState) {
    out.put(Kind.NEIGHBOR_DELEGATED);
    out.put(state.nicReachabilityDelta);
  } else out.put(Kind.PATH_DELEGATED);
}

/** Reads a structure into `into` where that is of its kind, else into a fresh one; answers it, or null. */
export function readState(record: RecordReader, into: State | null): State | null {
  switch (record.next()) {
    case Kind.TCP_CONST:
      return readWords(record, into instanceof TcpConstState ? into : new TcpConstState(), 0, TCP_CONST_WORDS);
    case Kind.TCP_CACHED: {
      const state = into instanceof TcpCachedState ? into : new TcpCachedState();
      return readWords(record, state, TCP_CACHED_AT, TCP_CACHED_WORDS);
    }
    case Kind.TCP_DELEGATED: {
      const state = into instanceof TcpDelegatedState ? into : new TcpDelegatedState();
      return readWords(record, state, TCP_DELEGATED_AT, TCP_DELEGATED_WORDS);
    }
    case Kind.PATH_CONST: {
      const state = into instanceof PathConstState ? into : new PathConstState(NOTHING, NOTHING);
      state.sourceAddress = readBytes(record);
      state.destinationAddress = readBytes(record);
      return state;
    }
    case Kind.PATH_CACHED: {
      const state = into instanceof PathCachedState ? into : new PathCachedState();
      state.pathMtu = record.next();
      return state;
    }
    case Kind.PATH_DELEGATED:
      return into instanceof PathDelegatedState ? into : new PathDelegatedState();
    default:
      record.at--;
      return readNeighbor(record, into);
  }
}

function readNeighbor(record: RecordReader, into: State | null): State | null {
  switch (record.next()) {
    case Kind.NEIGHBOR_CONST: {
      const state = into instanceof NeighborConstState ? into : new NeighborConstState();
      state.dlSourceAddress.set(readBytes(record));
      state.vlanId = record.next();
      return state;
    }
    case Kind.NEIGHBOR_CACHED: {
      const state = into instanceof NeighborCachedState ? into : new NeighborCachedState();
      state.dlDestinationAddress.set(readBytes(record));
      state.hostReachabilityDelta = record.next() >>> 0;
      return state;
    }
    case Kind.NEIGHBOR_DELEGATED: {
      const state = into instanceof NeighborDelegatedState ? into : new NeighborDelegatedState();
      state.nicReachabilityDelta = record.next() >>> 0;
      return state;
    }
    default:
      return null;
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);

interface Words {
  readonly words: Int32Array;
  readonly base: number;
}

function putWords(out: Outbox, kind: number, state: Words, at: number, count: number): void {
  out.put(kind);
  out.putWords(state.words, state.base + at, count);
}

function readWords<T extends Words>(record: RecordReader, state: T, at: number, count: number): T {
  record.nextWords(state.words, state.base + at, count);
  return state;
}

/** A length and `most` bytes, four to a word. */
function putBytes(out: Outbox, bytes: Uint8Array, most: number): void {
  const length = Math.min(bytes.length, most);
  out.put(length);
  for (let i = 0; i < length; i += 4) {
    out.put((bytes[i]! << 24) | ((bytes[i + 1] ?? 0) << 16) | ((bytes[i + 2] ?? 0) << 8) | (bytes[i + 3] ?? 0));
  }
}

function readBytes(record: RecordReader): Uint8Array {
  const length = record.next();
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 4) {
    const word = record.next();
    for (let j = 0; j < 4 && i + j < length; j++) bytes[i + j] = (word >>> (24 - 8 * j)) & 255;
  }
  return bytes;
}
