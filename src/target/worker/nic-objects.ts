/**
 * What the NIC half keeps of things that the driver half has named: offloaded objects, and lists over memory of the send pool.
 *
 * Promises: lists, descriptors and buffers are used again, so that nothing is allocated per send once a few were made.
 */

import { NdisOffloadHandle, NdisStatus } from '../../ndis/miniport.ts';
import { Mdl, NetBuffer, NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpContext } from '../engine/contexts.ts';

/** An object: the handle's slot is the engine's, as it would be in a host's control block. */
export class NicObject {
  readonly id: number;
  readonly handle: NdisOffloadHandle = new NdisOffloadHandle(this);
  /** The status with which a policy refuses it at initiate; SUCCESS: it does not. */
  refusal: number = NdisStatus.SUCCESS;
  /** It stands among those that are settled at the end of the round. */
  isTouched = false;

  constructor(id: number) {
    this.id = id;
  }

  /** The engine's connection; null: it is none, or is not offloaded (any more). */
  get connection(): TcpContext | null {
    const context = this.handle.miniportOffloadContext;
    return context instanceof TcpContext ? context : null;
  }
}

/** Which list it is. */
export const NicListKind = { SEND: 0, GRACEFUL: 1, ABORTIVE: 2, FORWARD: 3 } as const;

/** A list over pieces of the send pool, or an empty one. */
export class NicList extends NetBufferList {
  kind: number = NicListKind.SEND;
  /** The driver half's number of it. */
  number = 0;
  connection = 0;
}

/** The lists that are free, and the descriptors. */
export class NicLists {
  readonly #lists: NicList[] = [];
  readonly #mdls: Mdl[] = [];

  /** A fresh list without data. */
  take(kind: number, connection: number, number: number): NicList {
    const list = this.#lists.pop() ?? new NicList(new NetBuffer(null, 0));
    list.kind = kind;
    list.connection = connection;
    list.number = number;
    list.next = null;
    list.status = 0;
    list.tcpOffloadBytesTransferred = 0;
    return list;
  }

  /** Puts a piece behind the data of a list; `last`: what was answered for the piece before, null for the first. */
  add(list: NicList, last: Mdl | null, bytes: Uint8Array, at: number, length: number): Mdl {
    const mdl = this.#mdls.pop() ?? new Mdl(bytes);
    mdl.next = null;
    mdl.buffer = bytes;
    mdl.byteOffset = at;
    mdl.byteCount = length;
    const nb = list.firstNetBuffer!;
    if (last === null) {
      nb.mdlChain = mdl;
      nb.currentMdl = mdl;
    } else last.next = mdl;
    nb.dataLength += length;
    return mdl;
  }

  /** The list is done with. */
  give(list: NicList): void {
    const nb = list.firstNetBuffer!;
    let mdl = nb.mdlChain;
    while (mdl !== null) {
      const next: Mdl | null = mdl.next;
      mdl.next = null;
      this.#mdls.push(mdl);
      mdl = next;
    }
    nb.mdlChain = null;
    nb.currentMdl = null;
    nb.currentMdlOffset = 0;
    nb.dataOffset = 0;
    nb.dataLength = 0;
    list.next = null;
    this.#lists.push(list);
  }
}

/** A list over one frame, for frames that lie elsewhere. */
export function frameList(): NetBufferList {
  return new NetBufferList(new NetBuffer(new Mdl(new Uint8Array(0)), 0));
}

/** Lays the list over a frame. */
export function fillFrame(list: NetBufferList, bytes: Uint8Array, at: number, length: number): void {
  const nb = list.firstNetBuffer!;
  const mdl = nb.mdlChain!;
  mdl.buffer = bytes;
  mdl.byteOffset = at;
  mdl.byteCount = length;
  nb.currentMdl = mdl;
  nb.currentMdlOffset = 0;
  nb.dataLength = length;
  list.next = null;
  list.status = NdisStatus.SUCCESS;
}
