/**
 * What a spread adapter keeps of objects that several NIC threads have, and of trees that they work on together.
 */

import {
  type MiniportOffloadBlock,
  type NdisOffloadHandle,
  NdisStatus,
  type OffloadBlock,
  wasOffloaded,
} from '../../ndis/miniport.ts';
import type { PathConstState } from '../../state/path.ts';
import { OperationKind } from '../engine/engine.ts';

/** An object of the driver above, and what it is to each thread. */
export class SpreadObject {
  readonly handle: NdisOffloadHandle;
  /** The thread that has it; -1: all of them. */
  readonly thread: number;
  /** The handles of the threads; their slots hold the threads' contexts. */
  readonly shadows: (NdisOffloadHandle | undefined)[] = [];
  /** Threads that have it no more, though the driver above still has: they are not asked again. */
  readonly gone: boolean[] = [];
  /** Addresses of a path. */
  readonly path: PathConstState | null;
  /** What it hangs on. */
  parent: SpreadObject | null;

  constructor(handle: NdisOffloadHandle, thread: number, path: PathConstState | null, parent: SpreadObject | null) {
    this.handle = handle;
    this.thread = thread;
    this.path = path;
    this.parent = parent;
  }

  /** Whether a thread has it. */
  isWith(thread: number): boolean {
    return this.shadows[thread] !== undefined && this.gone[thread] !== true;
  }
}

/** A thread has nothing of an object any more. */
export function forget(object: SpreadObject, thread: number): void {
  delete object.shadows[thread];
  object.gone[thread] = true;
}

/** A thread's block for one of the driver above. */
export interface Part {
  readonly thread: number;
  readonly block: OffloadBlock;
  readonly object: SpreadObject | null;
  /** The thread's driver half when it was asked: one that has died and come anew has another. */
  readonly asked: object;
}

/** A tree of the driver above while the threads work on their parts of it. */
export interface Spread {
  readonly kind: OperationKind;
  readonly root: MiniportOffloadBlock;
  /** The threads' blocks for each block. */
  readonly parts: Map<MiniportOffloadBlock, Part[]>;
  /** Objects that are new with this tree. */
  readonly fresh: Map<MiniportOffloadBlock, SpreadObject>;
  outstanding: number;
  /** Threads that have completed their part, say no more and wait for the others. */
  readonly held: number[];
}

export type Entry = 'initiateOffload' | 'terminateOffload' | 'updateOffload' | 'queryOffload' | 'invalidateOffload';
export const ENTRIES: Readonly<Record<number, Entry>> = {
  [OperationKind.INITIATE]: 'initiateOffload',
  [OperationKind.TERMINATE]: 'terminateOffload',
  [OperationKind.UPDATE]: 'updateOffload',
  [OperationKind.QUERY]: 'queryOffload',
  [OperationKind.INVALIDATE]: 'invalidateOffload',
};

/**
 * What several threads answer of one block, put together: the first answer that is not good. But what is new and all are to have may be
 * taken by some and refused by others, which were paused in between: those do without it for as long as it is offloaded, and flows over it
 * go to the former. A block has one answer and nobody above asks for more; frames of such a flow come in where it is, as it leaves there.
 */
export function joinedStatus(parts: readonly Part[], isNew: boolean): number {
  const bad = parts.find(isRefused);
  if (bad === undefined) return NdisStatus.SUCCESS;
  if (!isNew || bad.object?.thread !== -1 || parts.every(isRefused)) return bad.block.status;
  for (const part of parts) if (isRefused(part)) bad.object.gone[part.thread] = true;
  return NdisStatus.SUCCESS;
}

function isRefused({ block }: Part): boolean {
  return !wasOffloaded(block.status);
}
