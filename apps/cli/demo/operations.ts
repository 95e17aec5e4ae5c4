/**
 * Counts the operations of the chimney at the host's own door: calls, not their completions.
 */
import { DataOperation, IdleTap, type NdisOffloadHandle, StateOperation } from 'chimney';

/** Calls so far, by what they are. */
export interface OperationCounts {
  initiate: number;
  terminate: number;
  query: number;
  update: number;
  invalidate: number;
  send: number;
  receive: number;
  receiveReturn: number;
  disconnect: number;
  forward: number;
}

const STATE_NAMES: Readonly<Record<number, keyof OperationCounts>> = {
  [StateOperation.INITIATE]: 'initiate',
  [StateOperation.TERMINATE]: 'terminate',
  [StateOperation.UPDATE]: 'update',
  [StateOperation.QUERY]: 'query',
  [StateOperation.INVALIDATE]: 'invalidate',
};

const DATA_NAMES: Readonly<Record<number, keyof OperationCounts>> = {
  [DataOperation.SEND]: 'send',
  [DataOperation.RECEIVE]: 'receive',
  [DataOperation.DISCONNECT]: 'disconnect',
  [DataOperation.FORWARD]: 'forward',
};

/** A tap for the binding between the host and the adapter right below it. */
export class OperationCounter extends IdleTap {
  readonly counts: OperationCounts = {
    initiate: 0,
    terminate: 0,
    query: 0,
    update: 0,
    invalidate: 0,
    send: 0,
    receive: 0,
    receiveReturn: 0,
    disconnect: 0,
    forward: 0,
  };

  override stateCall(operation: StateOperation): void {
    this.counts[STATE_NAMES[operation]!]++;
  }

  override dataCall(operation: DataOperation, _handle: NdisOffloadHandle): void {
    this.counts[DATA_NAMES[operation]!]++;
  }

  override receiveReturn(): void {
    this.counts.receiveReturn++;
  }
}
