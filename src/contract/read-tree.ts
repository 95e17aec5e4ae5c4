/**
 * Reading a block tree for the verifier: a snapshot of every block, from a tree that may be wrong in any way.
 *
 * Promises: it ends and does not throw, also on trees that are too deep, too long or that bite their own tail.
 */

import { addressText, BlockLayer, layerOf, type OffloadBlock, StateOperation } from '../ndis/protocol.ts';
import { NeighborCachedState } from '../state/neighbor.ts';
import { dataLengthOf, type NetBufferList } from '../state/net-buffer-list.ts';
import { PathCachedState, PathConstState } from '../state/path.ts';
import { TCP_CACHED_AT, TCP_CACHED_WORDS, TcpCachedState, TcpConstState, TcpDelegatedState } from '../state/tcp.ts';
import { type BlockRecord, type ObjectRecord, Role } from './records.ts';

/** Blocks of one tree that are looked at. */
const MAX_BLOCKS = 4_000_000;
/** Lists of one chain that are looked at. */
export const MAX_LISTS = 4_000_000;

const NO_LISTS: readonly NetBufferList[] = [];
const NO_STATUSES: readonly number[] = [];

/** Finds or makes the record of the object that a block names. */
export type ObjectOf = (block: OffloadBlock) => ObjectRecord | null;

/** All blocks in the order of the walk, and what is wrong with the tree, if anything. */
export function readTree(
  operation: StateOperation,
  root: OffloadBlock,
  objectOf: ObjectOf,
): { blocks: BlockRecord[]; brokenTree: string | null } {
  const blocks: BlockRecord[] = [];
  const seen = new Set<OffloadBlock>();
  const above: BlockRecord[] = [];
  let block: OffloadBlock | null = root;
  while (block !== null) {
    if (seen.has(block)) return { blocks, brokenTree: 'a block is linked twice' };
    if (blocks.length >= MAX_BLOCKS) return { blocks, brokenTree: `more than ${MAX_BLOCKS} blocks` };
    seen.add(block);
    const record = recordOf(operation, block, above.at(-1) ?? null, objectOf);
    blocks.push(record);
    if (record.parent !== null) record.parent.dependents.push(record);
    if (block.dependentBlockList !== null) {
      if (above.length === 2) return { blocks, brokenTree: 'more than three layers' };
      above.push(record);
      block = block.dependentBlockList;
      continue;
    }
    let last: OffloadBlock = block;
    while (last.nextBlock === null && above.length > 0) last = above.pop()!.block;
    block = last.nextBlock;
  }
  return { blocks, brokenTree: null };
}

function recordOf(
  operation: StateOperation,
  block: OffloadBlock,
  parent: BlockRecord | null,
  objectOf: ObjectOf,
): BlockRecord {
  const handle = block.offloadHandle;
  const slot = handle === null ? null : handle.miniportOffloadContext;
  const isNew = operation === StateOperation.INITIATE && handle !== null && slot === null;
  let sends: readonly NetBufferList[] = NO_LISTS;
  if (isNew && block.netBufferListChain !== null) {
    const chain: NetBufferList[] = [];
    listsOf(block.netBufferListChain, chain);
    sends = chain;
  }
  const object = objectOf(block);
  if (object !== null && isNew) object.name = nameOf(block, parent) ?? object.name;
  return {
    block,
    parent,
    depth: parent === null ? 0 : parent.depth + 1,
    role: handle === null ? Role.PLACEHOLDER : isNew ? Role.NEW_OFFLOAD : Role.REFERENCE,
    object,
    handle,
    slot,
    nextBlock: block.nextBlock,
    dependentBlockList: block.dependentBlockList,
    type: block.header.type,
    revision: block.header.revision,
    size: block.header.size,
    portNumber: block.portNumber,
    sourceHandle: block.sourceHandle,
    reserved: reservedOf(block),
    chain: block.netBufferListChain,
    sends,
    sendStatuses: sends.length === 0 ? NO_STATUSES : sends.map((list) => list.status),
    structures: structuresBehind(block),
    cachedDigest: operation === StateOperation.UPDATE ? cachedDigest(block) : 0,
    bufferedDigest: isNew ? bufferedDigest(block) : 0,
    dependents: [],
  };
}

/** Which structures follow a block: 1 const, 2 cached, 4 delegated. */
export function structuresBehind(block: OffloadBlock): number {
  const constant = block.constState === null ? 0 : 1;
  const cached = block.cachedState === null ? 0 : 2;
  return constant | cached | (block.delegatedState === null ? 0 : 4);
}

/** ProtocolReserved, ImReserved, NdisReserved. */
export function reservedOf(block: OffloadBlock): unknown[] {
  const { protocolReserved: protocol, imReserved: im, ndisReserved: ndis } = block;
  return [protocol[0], protocol[1], im[0], im[1], ndis[0], ndis[1], ndis[2]];
}

/** The lists of a chain, each once. */
export function listsOf(chain: NetBufferList | null, into: NetBufferList[]): void {
  if (chain === null || chain.next === null) {
    if (chain !== null) into.push(chain);
    return;
  }
  const seen = new Set<NetBufferList>();
  for (
    let list: NetBufferList | null = chain;
    list !== null && !seen.has(list) && seen.size < MAX_LISTS;
    list = list.next
  ) {
    seen.add(list);
    into.push(list);
  }
}

/** A number that changes when the cached state behind a block does. */
export function cachedDigest(block: OffloadBlock): number {
  const cached = block.cachedState;
  if (cached instanceof TcpCachedState) {
    let digest = 17;
    for (let i = 0; i < TCP_CACHED_WORDS; i++) {
      digest = (Math.imul(digest, 31) + cached.words[cached.base + TCP_CACHED_AT + i]!) | 0;
    }
    return digest;
  }
  if (cached instanceof PathCachedState) return cached.pathMtu;
  if (cached instanceof NeighborCachedState) {
    let digest = cached.hostReachabilityDelta | 0;
    for (const byte of cached.dlDestinationAddress) digest = (Math.imul(digest, 31) + byte) | 0;
    return digest;
  }
  return 0;
}

/** Bytes of each list that are looked at. */
const SAMPLE_BYTES = 16;

/** A number that changes when the lists of BufferedData behind a block do: their order, lengths, statuses, first bytes. 0: none. */
export function bufferedDigest(block: OffloadBlock): number {
  const delegated = block.delegatedState;
  if (!(delegated instanceof TcpDelegatedState) || delegated.bufferedData === null) return 0;
  let digest = 17;
  const mix = (value: number): void => {
    digest = (Math.imul(digest, 31) + value) | 0;
  };
  const lists: NetBufferList[] = [];
  listsOf(delegated.bufferedData, lists);
  for (const list of lists) {
    mix(dataLengthOf(list));
    mix(list.status);
    const nb = list.firstNetBuffer;
    if (nb === null || nb.currentMdl === null) continue;
    const { buffer, byteOffset, byteCount } = nb.currentMdl;
    const at = byteOffset + nb.currentMdlOffset;
    const end = Math.min(byteOffset + byteCount, at + Math.min(SAMPLE_BYTES, nb.dataLength));
    for (let i = at; i < end; i++) mix(buffer[i]!);
  }
  return digest === 0 ? 1 : digest;
}

/** What an object is to be called, from the constant state that it is offloaded with. */
function nameOf(block: OffloadBlock, parent: BlockRecord | null): string | null {
  const state = block.constState;
  if (state instanceof PathConstState) {
    return `path ${addressText(state.sourceAddress)}-${addressText(state.destinationAddress)}`;
  }
  if (state instanceof TcpConstState) {
    const path = parent === null || parent.object === null ? '' : parent.object.name;
    const at = path.startsWith('path ') ? path.slice(5).split('-') : ['*', '*'];
    return `tcp ${at[0]}:${state.localPort}-${at[1]}:${state.remotePort}`;
  }
  return layerOf(block.header.type) === BlockLayer.NEIGHBOR ? 'neighbor' : null;
}
