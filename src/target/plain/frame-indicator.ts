/**
 * The ordinary way up: frames shown to the driver above in one list that is used again and again.
 *
 * Indicated with NDIS_RECEIVE_FLAGS_RESOURCES, so that the list and the frame's bytes are borrowed for the call and nothing has
 * to come back (NBL-019). A pool apart from the chimney's (CAP-015, NBL-018): one list, one NET_BUFFER (CAP-016).
 */

import type { MemoryOffer } from '../../base/memory-offer.ts';
import { NDIS_RECEIVE_FLAGS_RESOURCES, type NdisM, type NdisMiniportHandle } from '../../ndis/miniport.ts';
import { Mdl, NetBuffer, NetBufferList } from '../../state/net-buffer-list.ts';

const EMPTY: Uint8Array = new Uint8Array(0);

/** Indicates one frame at a time. */
export class FrameIndicator {
  readonly #mdl = new Mdl(EMPTY);
  readonly #nb = new NetBuffer(this.#mdl, 0);
  readonly #list = new NetBufferList(this.#nb);
  #ndisM: NdisM | null = null;
  #handle: NdisMiniportHandle | null = null;

  attach(ndisM: NdisM, handle: NdisMiniportHandle): void {
    this.#ndisM = ndisM;
    this.#handle = handle;
  }

  /** NdisMIndicateReceiveNetBufferLists of one frame, borrowed for the call. `segmentBytes` and `offer`: as in `LinkReceiver.receive`. */
  indicate(
    bytes: Uint8Array,
    at: number,
    length: number,
    segmentBytes: number,
    offer: MemoryOffer | null = null,
  ): void {
    const mdl = this.#mdl;
    const nb = this.#nb;
    const list = this.#list;
    mdl.next = null;
    mdl.buffer = bytes;
    mdl.byteOffset = at;
    mdl.byteCount = length;
    nb.next = null;
    nb.mdlChain = mdl;
    nb.currentMdl = mdl;
    nb.currentMdlOffset = 0;
    nb.dataOffset = 0;
    nb.dataLength = length;
    list.next = null;
    list.firstNetBuffer = nb;
    list.status = 0;
    list.largeSendMss = segmentBytes;
    list.memoryOffer = offer;
    list.sourceHandle = null;
    this.#ndisM!.indicateReceiveNetBufferLists(this.#handle!, list, 0, NDIS_RECEIVE_FLAGS_RESOURCES);
    list.memoryOffer = null;
    mdl.buffer = EMPTY;
  }

  /** Nothing more for now. */
  done(): void {
    this.#ndisM!.indicateReceiveDone(this.#handle!);
  }
}
