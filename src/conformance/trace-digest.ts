/**
 * A digest of what passes a binding and the wire, in its order: two runs with one digest were the same to everybody outside the
 * drivers.
 */

import {
  type DataOperation,
  IdleTap,
  type NdisOffloadHandle,
  type OffloadBlock,
  type StateOperation,
  type StatusIndication,
} from '../ndis/protocol.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import { ModelObject } from './objects.ts';

/** Multipliers of two independent hashes (FNV's and another odd one). */
const PRIMES = [0x01000193, 0x85ebca6b] as const;

/** Bytes of a frame that are looked at: Ethernet, IPv6 and TCP. */
const HEADERS = 76;

/** A tap that keeps nothing but a number. */
export class TraceDigest extends IdleTap {
  #a = 0x811c9dc5 | 0;
  #b = 0x9e3779b9 | 0;

  /** 53 bits. */
  get value(): number {
    return (this.#a >>> 0) * 0x200000 + (this.#b >>> 11);
  }

  #mix(what: number, value: number): void {
    const word = (what << 24) ^ value;
    this.#a = Math.imul(this.#a ^ word, PRIMES[0]);
    this.#b = Math.imul(this.#b ^ word ^ (this.#b >>> 15), PRIMES[1]);
  }

  /** A frame on the wire, as far as its headers tell it from others. */
  frame(isToTarget: boolean, bytes: Uint8Array): void {
    this.#mix(isToTarget ? 13 : 14, bytes.length);
    const end = Math.min(bytes.length, HEADERS);
    for (let i = 0; i + 3 < end; i += 4) {
      this.#mix(15, (bytes[i]! << 24) | (bytes[i + 1]! << 16) | (bytes[i + 2]! << 8) | bytes[i + 3]!);
    }
  }

  override stateCall(operation: StateOperation, root: OffloadBlock): void {
    this.#mix(1, operation * 256 + idOf(root.offloadHandle));
  }
  override stateComplete(operation: StateOperation, root: OffloadBlock): void {
    this.#mix(2, operation * 65_536 + root.status * 256 + idOf(root.offloadHandle));
  }
  override dataCall(operation: DataOperation, handle: NdisOffloadHandle, lists: NetBufferList): void {
    this.#mix(3, operation * 65_536 + idOf(handle) * 256 + lengthOf(lists));
  }
  override dataComplete(operation: DataOperation, lists: NetBufferList | null): void {
    this.#mix(4, operation);
    for (let list = lists; list !== null; list = list.next)
      this.#mix(5, list.status * 65_536 + list.tcpOffloadBytesTransferred);
  }
  override receiveReturn(lists: NetBufferList): void {
    this.#mix(6, lengthOf(lists));
  }
  override receiveIndicate(handle: NdisOffloadHandle, list: NetBufferList): void {
    this.#mix(7, idOf(handle) * 65_536 + (list.firstNetBuffer?.dataLength ?? 0));
  }
  override receiveIndicateDone(
    _handle: NdisOffloadHandle,
    _list: NetBufferList,
    answer: number,
    consumed: number,
  ): void {
    this.#mix(8, answer * 65_536 + consumed);
  }
  override tcpEvent(handle: NdisOffloadHandle, eventType: number, information: number): void {
    this.#mix(9, idOf(handle) * 65_536 + eventType * 4096 + (information & 4095));
  }
  override offloadEvent(_block: OffloadBlock | null, indicationCode: number): void {
    this.#mix(10, indicationCode);
  }
  override status(indication: StatusIndication): void {
    this.#mix(11, indication.statusCode);
  }
  override receiveFrames(): void {
    this.#mix(12, 0);
  }
}

function idOf(handle: NdisOffloadHandle | null): number {
  const owner = handle === null ? null : handle.owner;
  return owner instanceof ModelObject ? owner.index + 1 : 0;
}

function lengthOf(lists: NetBufferList | null): number {
  let count = 0;
  for (let list = lists; list !== null; list = list.next) count++;
  return count;
}
