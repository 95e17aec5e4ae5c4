/**
 * What an intermediate driver keeps of what passes through it: an IM offload entry an object, an IM call entry an operation.
 *
 * Source: chimney-sequences 24 and 25; rules IM-007 to IM-012, IM-020 to IM-028.
 */

import { NdisOffloadHandle, type OffloadBlock, type StateOperation } from '../ndis/protocol.ts';

/**
 * An object that was offloaded through the driver, for as long as it is: the driver's half of the handle chain. Above, the
 * entry is what the slot holds; below, its `handle` is what the driver there knows as NdisOffloadHandle.
 */
export class ImOffloadEntry {
  /** The overlying driver's handle of the object: where indications go. */
  readonly handleAbove: NdisOffloadHandle;
  /** The driver's own handle; the slot in it holds what the driver below stored. IM-009, IM-011. */
  readonly handle: NdisOffloadHandle;
  /** OFFLOAD_STATE_TYPE of the block that offloaded it. */
  readonly type: number;
  /** Set once a send had to be refused: nothing may overtake it, so whatever would is refused as well until the upload. */
  hasRefusedSend = false;
  /** What a driver built on this one notes about the object. */
  annotation: unknown = null;

  constructor(handleAbove: NdisOffloadHandle, type: number) {
    this.handleAbove = handleAbove;
    this.handle = new NdisOffloadHandle(this);
    this.type = type;
  }
}

/** The entry behind the driver's own handle, as it arrives in indications and comes back in blocks. */
export function entryOf(handle: NdisOffloadHandle): ImOffloadEntry {
  return handle.owner as ImOffloadEntry;
}

/** One propagated operation, for as long as it lasts: what of the root block belongs to the drivers above. IM-020. */
export class ImCallEntry {
  readonly operation: StateOperation;
  readonly #imReserved0: unknown;
  readonly #imReserved1: unknown;
  readonly #sourceHandle: unknown;

  /** Saves ImReserved and SourceHandle of the incoming root. IM-021. */
  constructor(operation: StateOperation, root: OffloadBlock) {
    this.operation = operation;
    this.#imReserved0 = root.imReserved[0];
    this.#imReserved1 = root.imReserved[1];
    this.#sourceHandle = root.sourceHandle;
  }

  /** Gives the root back what was saved. IM-026. */
  restore(root: OffloadBlock): void {
    root.imReserved[0] = this.#imReserved0;
    root.imReserved[1] = this.#imReserved1;
    root.sourceHandle = this.#sourceHandle;
  }
}
