/**
 * Writes as net buffer lists: one NET_BUFFER_LIST, NET_BUFFER and MDL over the application's own bytes, used again.
 *
 * Promises: a write allocates nothing once the pool has grown to the number of writes that are outstanding at once (kept up to
 * a bound); a list in the pool refers to no bytes of an application. The application's bytes are never copied here.
 */

import { assert } from '../../base/assert.ts';
import { type NetBufferList, netBufferListOver } from '../../state/net-buffer-list.ts';
import type { TransportErrorCode } from '../api.ts';

/** What an application wants to be told when a write is finished or given up. */
export type WriteDone = (error: TransportErrorCode | null) => void;

/** Lists kept for the next writes. */
const FREE_MAX = 4096;

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** The lists of one transport's writes. */
export class WritePool {
  #free: NetBufferList | null = null;
  #freeCount = 0;
  #outstanding = 0;
  /** What {@link replace} put in place of what. */
  readonly #replaced: WeakMap<NetBufferList, NetBufferList> = new WeakMap();

  /** Lists that are out: held by send queues, or by a target. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** A list over the whole of `bytes`. */
  listOver(bytes: Uint8Array, done: WriteDone | null): NetBufferList {
    this.#outstanding++;
    let list = this.#free;
    if (list === null) list = netBufferListOver(bytes);
    else {
      this.#free = list.next;
      this.#freeCount--;
      list.next = null;
      const nb = list.firstNetBuffer!;
      const mdl = nb.mdlChain!;
      mdl.buffer = bytes;
      mdl.byteCount = bytes.length;
      nb.currentMdl = mdl;
      nb.currentMdlOffset = 0;
      nb.dataOffset = 0;
      nb.dataLength = bytes.length;
      list.status = 0;
      list.tcpOffloadBytesTransferred = 0;
    }
    list.protocolReserved = done;
    return list;
  }

  /** Bytes the write had when it was made, whatever was acknowledged of it since. */
  lengthOf(list: NetBufferList): number {
    return list.firstNetBuffer!.mdlChain!.byteCount;
  }

  /**
   * Another list in place of one that a driver has and will never give back: the write goes on (or ends) with it, and the old one, which
   * that driver may still hold in chains of its own, is never used again.
   */
  replace(lost: NetBufferList): NetBufferList {
    const { buffer, byteOffset, byteCount } = lost.firstNetBuffer!.mdlChain!;
    const list = netBufferListOver(buffer, byteOffset, byteCount);
    list.protocolReserved = lost.protocolReserved;
    lost.protocolReserved = null;
    lost.protocolReserved2 = null;
    this.#replaced.set(lost, list);
    return list;
  }

  /** The bytes of a write that is out lie elsewhere from now on. Answers where they lay. */
  move(list: NetBufferList, bytes: Uint8Array): Uint8Array {
    const mdl = (this.#replaced.get(list) ?? list).firstNetBuffer!.mdlChain!;
    assert(
      mdl.buffer !== NO_BYTES && mdl.byteCount === bytes.length,
      'the same bytes, of a write that is not finished',
    );
    const old = mdl.buffer;
    mdl.buffer = bytes;
    return old;
  }

  /** Takes a list back; answers whom to tell. */
  recycle(list: NetBufferList): WriteDone | null {
    assert(list.firstNetBuffer!.mdlChain!.buffer !== NO_BYTES, 'a write is finished once');
    this.#outstanding--;
    const done = list.protocolReserved as WriteDone | null;
    list.protocolReserved = null;
    list.miniportReserved = null;
    list.sourceHandle = null;
    list.context = null;
    list.firstNetBuffer!.mdlChain!.buffer = NO_BYTES;
    list.next = null;
    if (this.#freeCount < FREE_MAX) {
      list.next = this.#free;
      this.#free = list;
      this.#freeCount++;
    }
    return done;
  }
}
