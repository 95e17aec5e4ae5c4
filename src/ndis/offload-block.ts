/**
 * Offload block lists: trees of neighbor, path and TCP blocks, each followed by the state it conveys or asks for.
 *
 * NDIS_PROTOCOL_OFFLOAD_BLOCK_LIST and NDIS_MINIPORT_OFFLOAD_BLOCK_LIST overlay each other; here they are two faces of one
 * object and NDIS rewrites the members that differ when the block passes it (chimney-ddi 7.1). A block's context is a slot,
 * not a value: the NdisOffloadHandle of the driver above holds the PVOID of the driver below.
 */

import type { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../state/neighbor.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import type { PathCachedState, PathConstState, PathDelegatedState } from '../state/path.ts';
import type { TcpCachedState, TcpConstState, TcpDelegatedState } from '../state/tcp.ts';
import { NdisStatus, type OffloadStateType } from './status.ts';

/**
 * NDIS_OFFLOAD_HANDLE: one per offloaded object per driver that sits above another. It lives in the upper driver's control
 * block of the object; the driver below stores its own reference (PVOID) in it at initiate.
 */
export class NdisOffloadHandle {
  /** For NDIS only: the binding the object was offloaded through. */
  ndisReserved: unknown = null;
  /** The slot: what the driver below knows the object by; null while it is not offloaded. */
  miniportOffloadContext: unknown = null;
  /** The owner's control block of the object (CONTAINING_RECORD). For the owner only. */
  owner: unknown;

  constructor(owner: unknown) {
    this.owner = owner;
  }
}

export type ConstState = NeighborConstState | PathConstState | TcpConstState;
export type CachedState = NeighborCachedState | PathCachedState | TcpCachedState;
export type DelegatedState = NeighborDelegatedState | PathDelegatedState | TcpDelegatedState;

/** NDIS_OBJECT_HEADER of a block. */
export interface BlockHeader {
  type: OffloadStateType;
  revision: number;
  size: number;
}

/** What both faces of a block share. Members marked T may be written by the target. */
interface BlockCommon<Face> {
  header: BlockHeader;
  /** Next block of the same layer. */
  nextBlock: Face | null;
  /** First block of the next higher layer; always null at the TCP layer. */
  dependentBlockList: Face | null;
  /** An NDIS_STATUS. T */
  status: number;
  readonly ndisReserved: [unknown, unknown, unknown];
  readonly protocolReserved: [unknown, unknown];
  /** T */
  readonly miniportReserved: [unknown, unknown];
  readonly imReserved: [unknown, unknown];
  /** Scratch of the present owner. T */
  readonly scratch: [unknown, unknown];
  sourceHandle: unknown;
  portNumber: number;
  /** Outstanding send data: down at initiate, up at terminate. T at terminate. */
  netBufferListChain: NetBufferList | null;
  /**
   * When the target began (initiate) or ceased (terminate) to serve the connection, µs of the runtime's clock; 0: it has not told, and that
   * is when the operation was completed, or begun. No field of the DDI: for measuring alone. T
   */
  handedOverAtUs: number;
  /** The structures that follow the block in memory; null where none follows. */
  constState: ConstState | null;
  cachedState: CachedState | null;
  delegatedState: DelegatedState | null;
}

/** The block as drivers above see it. NDIS_PROTOCOL_OFFLOAD_BLOCK_LIST. */
export interface ProtocolOffloadBlock extends BlockCommon<ProtocolOffloadBlock> {
  /** The driver's own handle of the object; null: a placeholder. */
  offloadHandle: NdisOffloadHandle | null;
}

/** The block as drivers below see it. NDIS_MINIPORT_OFFLOAD_BLOCK_LIST. */
export interface MiniportOffloadBlock extends BlockCommon<MiniportOffloadBlock> {
  /**
   * Where the context is kept: null: a placeholder; `.miniportOffloadContext` null: a new offload; else: a reference or linker.
   */
  miniportOffloadContext: NdisOffloadHandle | null;
  /** The handle for later event and receive indications. */
  ndisOffloadHandle: NdisOffloadHandle | null;
}

/** Revision of block and state structures that this implementation speaks. */
export const OFFLOAD_BLOCK_REVISION_1 = 1;
/** Whether the structures behind a block are laid out as this implementation knows them (TREE-034). */
export function isKnownRevision(block: { readonly header: BlockHeader }): boolean {
  return block.header.revision === OFFLOAD_BLOCK_REVISION_1;
}
/** Size of the block structure in bytes on a 64-bit machine, for the header (TREE-025). */
export const OFFLOAD_BLOCK_SIZE = 144;

/** The one object behind both faces. Made by whoever starts an operation (the host, or a target for a reachability query). */
export class OffloadBlock implements BlockCommon<OffloadBlock> {
  header: BlockHeader;
  nextBlock: OffloadBlock | null = null;
  dependentBlockList: OffloadBlock | null = null;
  status: number = NdisStatus.SUCCESS;
  readonly ndisReserved: [unknown, unknown, unknown] = [null, null, null];
  readonly protocolReserved: [unknown, unknown] = [null, null];
  readonly miniportReserved: [unknown, unknown] = [null, null];
  readonly imReserved: [unknown, unknown] = [null, null];
  readonly scratch: [unknown, unknown] = [null, null];
  sourceHandle: unknown = null;
  portNumber = 0;
  netBufferListChain: NetBufferList | null = null;
  handedOverAtUs = 0;
  constState: ConstState | null = null;
  cachedState: CachedState | null = null;
  delegatedState: DelegatedState | null = null;
  /** Upper face. */
  offloadHandle: NdisOffloadHandle | null = null;
  /** Lower face. */
  miniportOffloadContext: NdisOffloadHandle | null = null;
  ndisOffloadHandle: NdisOffloadHandle | null = null;

  constructor(type: OffloadStateType, offloadHandle: NdisOffloadHandle | null = null) {
    this.header = { type, revision: OFFLOAD_BLOCK_REVISION_1, size: OFFLOAD_BLOCK_SIZE };
    this.offloadHandle = offloadHandle;
  }

  /** Puts a delegated structure behind the block; answers the block. */
  withDelegated(state: DelegatedState): this {
    this.delegatedState = state;
    return this;
  }
}
