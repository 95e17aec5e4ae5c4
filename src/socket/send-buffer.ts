/**
 * The send buffer of a socket: what a kernel's is to a process.
 *
 * It takes bytes up to a bound, copies them into slabs so that the application has its memory back at once, and hands them to
 * the endpoint in pieces as large as a slab. The bound grows with the congestion window, up to a maximum, as the path turns
 * out to hold more. Leaves to others: what to do with bytes that found no room.
 */

import type { TcpEndpoint, TransportErrorCode } from '../host/api.ts';
import { SLAB_BYTES, Slab, type SlabOwner, type SlabPool } from './slabs.ts';

/** Bytes a send buffer takes at first, and at most when the path asks for more. */
const LIMIT_FIRST = 256 << 10;
const LIMIT_MAX = 4 << 20;
/** The same for peers that are so near, microseconds, that more would wait in queues only, and leave the caches: of all senders together. */
const LIMIT_NEAR = 4 << 20;
const NEAR_RTT_US = 1_000;

/** A write is cut in pieces that are no smaller than the bound by this. */
const LEAST_PARTS = 4;

/** A write of at most so many bytes gets memory of its own size: a slab would be too much for it. */
const SMALL_BYTES = 4096;

/**
 * Writes are lent where so many connections send at once to peers that are so near, microseconds: there a write is acknowledged by the
 * time that the others have had their turn, and copies of all of them are more than the caches hold. What is for a far peer, or
 * for a few, is copied, so that more than one write is on its way.
 */
const LENDS_FROM_SENDERS = 64;
const LENDS_BELOW_RTT_US = 5_000;
/** Memory of the pool that connections share: with more of it out each may fill less, one slab at least. */
const SHARED_BYTES = 512 << 20;

/** Bytes of the application's that are on their way. */
interface Loan {
  readonly bytes: Uint8Array;
  /** What the endpoint calls the write. */
  name: unknown;
}

/** Bytes on their way from a socket to its peer. */
export class SendBuffer implements SlabOwner {
  readonly #endpoint: TcpEndpoint;
  readonly #pool: SlabPool;
  readonly #onRoom: () => void;
  #limit = LIMIT_FIRST;
  /** The slab being filled; null: none. */
  #slab: Slab | null = null;
  /** Where in it the bytes begin that the endpoint was not given yet. */
  #from = 0;
  /** Writes that the endpoint has not finished. */
  #writes = 0;
  /** Null until something is borrowed: most sockets never lend. */
  #loans: Set<Loan> | null = null;

  /** `onRoom` is called, on the stack's turn, whenever something was acknowledged. */
  constructor(endpoint: TcpEndpoint, pool: SlabPool, onRoom: () => void) {
    this.#endpoint = endpoint;
    this.#pool = pool;
    this.#onRoom = onRoom;
  }

  /** Whether everything taken has been acknowledged, or given up. */
  get isDrained(): boolean {
    return this.#writes === 0 && this.#pending === 0;
  }

  get #pending(): number {
    return this.#slab === null ? 0 : this.#slab.used - this.#from;
  }

  /** Bytes it would take now. Zero while an application ahead of its peer must wait. */
  room(): number {
    const queued = this.#endpoint.unacknowledgedBytes + this.#pending;
    if (queued + SLAB_BYTES > this.#limit && this.#limit < LIMIT_MAX) this.#grow();
    // Whole bytes: the bound may be a fraction of what others have.
    return Math.max(0, Math.floor(this.#bound - queued));
  }

  /** Of a write of so many bytes what it would take now. Zero also where that would be a small part of what it holds: short pieces beget shorter ones. */
  roomFor(bytes: number): number {
    const room = this.room();
    if (room >= bytes) return bytes;
    // What does not fit is cut where a slab ends: pieces that straddle slabs are many, and short.
    if (room > SLAB_BYTES) return room - (room % SLAB_BYTES);
    return room >= this.#bound / LEAST_PARTS ? room : 0;
  }

  /** What it takes in all as things are: its own limit, or its share of what all of them together may hold. */
  get #bound(): number {
    const share = Math.max(SLAB_BYTES, (SHARED_BYTES - this.#pool.out * SLAB_BYTES) >> 3);
    return Math.min(this.#limit, share);
  }

  /** As much as is worth having unacknowledged, within bounds. Asked for only when the buffer is about full. */
  #grow(): void {
    const { sendBacklog } = this.#endpoint;
    if (sendBacklog <= this.#limit) return;
    const { minRttUs } = this.#endpoint.info();
    const most = minRttUs > 0 && minRttUs < NEAR_RTT_US ? LIMIT_NEAR / Math.max(1, this.#pool.senders) : LIMIT_MAX;
    this.#limit = Math.max(this.#limit, Math.min(most, sendBacklog));
  }

  /** Whether so much is acknowledged that it is worth while to write again. */
  get isHalfEmpty(): boolean {
    return 2 * this.room() >= this.#bound;
  }

  /** Says how many bytes will be appended before {@link flush}, so that they get memory that fits. */
  begin(total: number): void {
    if (this.#slab === null) {
      if (total <= SMALL_BYTES) this.#open(new Slab(smallBytes(total)));
    } else if (total >= SLAB_BYTES && this.#pending === 0) {
      // What fills slabs begins with one of its own, rather than be cut in two at the end of each.
      this.#slab = null;
    }
  }

  /** Copies bytes. The caller has asked for room. */
  append(bytes: Uint8Array, at: number, length: number): void {
    let from = at;
    const end = at + length;
    while (from < end) {
      let slab = this.#slab;
      if (slab === null) {
        slab = this.#pool.takeToSend();
        this.#open(slab);
      }
      const count = Math.min(end - from, slab.bytes.length - slab.used);
      this.#pool.copy(bytes, from, count, slab.bytes, slab.used);
      slab.used += count;
      from += count;
      if (slab.used === slab.bytes.length) this.#leaveSlab();
    }
  }

  /** Hands bytes to the endpoint as they lie; `release` is called when they may change again. The caller has asked for room. */
  lend(bytes: Uint8Array, release: () => void): void {
    this.flush();
    this.#begun();
    this.#endpoint.write(bytes, (error) => {
      this.#ended();
      release();
      if (error === null) this.#onRoom();
    });
  }

  /** Whether it is better to borrow the application's memory than to copy. */
  get prefersLoans(): boolean {
    if (this.#pool.crowd < LENDS_FROM_SENDERS) return false;
    const { minRttUs } = this.#endpoint.info();
    return minRttUs > 0 && minRttUs < LENDS_BELOW_RTT_US;
  }

  /** Bytes of the application's that are borrowed. */
  lentBytes = 0;

  /** Sends bytes from where the application has them; it has them back when `lentBytes` no longer counts them. */
  borrow(bytes: Uint8Array): void {
    this.flush();
    const loan: Loan = { bytes, name: null };
    this.#loans ??= new Set();
    this.#loans.add(loan);
    this.lentBytes += bytes.length;
    this.#begun();
    const slabs = Math.ceil(bytes.length / SLAB_BYTES);
    this.#pool.out += slabs;
    loan.name = this.#endpoint.write(bytes, (error) => {
      this.#ended();
      this.#pool.out -= slabs;
      if (this.#loans!.delete(loan)) this.lentBytes -= bytes.length;
      if (error === null) this.#onRoom();
    });
  }

  /** The application wants its memory back: what is borrowed goes on in a copy. */
  endLoans(): void {
    if (this.#loans === null) return;
    for (const { bytes, name } of this.#loans) this.#endpoint.moveWrite(name, new Uint8Array(bytes));
    this.#loans.clear();
    this.lentBytes = 0;
  }

  /** Hands what was appended to the endpoint. */
  flush(): void {
    const slab = this.#slab;
    if (slab === null || slab.used === this.#from) return;
    const piece = slab.bytes.subarray(this.#from, slab.used);
    this.#from = slab.used;
    slab.writes++;
    this.#begun();
    this.#endpoint.write(piece, slab.done);
  }

  slabDone(slab: Slab, error: TransportErrorCode | null): void {
    this.#ended();
    if (slab.writes === 0 && (slab !== this.#slab || this.#pending === 0)) {
      if (slab === this.#slab) this.#slab = null;
      this.#giveBack(slab);
    }
    // Bytes given up make no room: the connection is gone, which is what its owner hears next.
    if (error === null) this.#onRoom();
  }

  #begun(): void {
    if (this.#writes++ === 0) this.#pool.senderBegun();
  }

  #ended(): void {
    if (--this.#writes === 0) this.#pool.senderEnded();
  }

  #open(slab: Slab): void {
    slab.owner = this;
    this.#slab = slab;
    this.#from = 0;
  }

  #leaveSlab(): void {
    this.flush();
    this.#slab = null;
  }

  #giveBack(slab: Slab): void {
    if (slab.bytes.length === SLAB_BYTES) this.#pool.give(slab);
  }
}

/** Memory of that size: cut from a block that many share, where there is one. */
function smallBytes(length: number): Uint8Array {
  return typeof Buffer === 'undefined' ? new Uint8Array(length) : Buffer.allocUnsafe(length);
}
