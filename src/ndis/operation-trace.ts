/**
 * The operations of the chimney in words, for captures and live views: a tap that feeds `PacketTap.operation`.
 *
 * State operations are told with what is in their trees and, completed, with every status that occurs; data calls with their
 * bytes (unless left out), so that a reader of a capture sees between the packets who held the connection and why.
 */

import { dataLengthOf, type NetBufferList } from '../state/net-buffer-list.ts';
import type { PathConstState } from '../state/path.ts';
import type { TcpConstState } from '../state/tcp.ts';
import type { PacketTap } from '../trace/trace.ts';
import type { NdisOffloadHandle, OffloadBlock } from './offload-block.ts';
import type { StatusIndication } from './protocol.ts';
import {
  IndicateOffloadEvent,
  ndisStatusName,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from './status.ts';
import {
  DATA_CALL_NAMES,
  DATA_COMPLETION_NAMES,
  type DataOperation,
  IdleTap,
  STATE_CALL_NAMES,
  STATE_COMPLETION_NAMES,
  StateOperation,
} from './tap.ts';
import { BlockLayer, forEachBlock, layerOf } from './walk.ts';

/** Connections named in one line; a bulk operation names no more. */
const NAMED_PER_LINE = 3;

export interface OperationTraceOptions {
  /** Whether data calls and their completions are told as well. Default true. */
  readonly data?: boolean;
}

/** Tells a {@link PacketTap} what passes one binding. */
export class OperationTrace extends IdleTap {
  readonly #out: PacketTap;
  readonly #nowUs: () => number;
  readonly #withData: boolean;
  /** 'tcp 10.0.0.1:80-10.0.0.2:4711', by the handle of the connection. */
  readonly #names: WeakMap<NdisOffloadHandle, string> = new WeakMap();

  constructor(out: PacketTap, nowUs: () => number, options: OperationTraceOptions = {}) {
    super();
    this.#out = out;
    this.#nowUs = nowUs;
    this.#withData = options.data ?? true;
  }

  override stateCall(operation: StateOperation, root: OffloadBlock): void {
    if (operation === StateOperation.INITIATE) this.#learnNames(root);
    this.#say(`${STATE_CALL_NAMES[operation]!}${this.#describe(root)}`);
  }

  override stateComplete(operation: StateOperation, root: OffloadBlock): void {
    this.#say(`${STATE_COMPLETION_NAMES[operation]!}${this.#describe(root)}: ${statusesOf(root)}`);
  }

  override dataCall(operation: DataOperation, handle: NdisOffloadHandle, lists: NetBufferList, flags: number): void {
    if (!this.#withData) return;
    const kind = flags === 0 ? '' : flags === TcpDisconnectFlag.ABORTIVE_CLOSE ? ' abortive' : ' graceful';
    this.#say(`${DATA_CALL_NAMES[operation]!} ${this.#nameOf(handle)}${kind}, ${bytesOf(lists)} bytes`);
  }

  override dataComplete(operation: DataOperation, lists: NetBufferList | null): void {
    if (!this.#withData) return;
    let bytes = 0;
    let count = 0;
    const seen = new Set<number>();
    for (let list = lists; list !== null; list = list.next) {
      bytes += list.tcpOffloadBytesTransferred;
      count++;
      seen.add(list.status);
    }
    const statuses = [...seen].map(ndisStatusName).join(', ');
    this.#say(`${DATA_COMPLETION_NAMES[operation]!} ${count} list(s), ${bytes} bytes: ${statuses}`);
  }

  override receiveReturn(lists: NetBufferList): void {
    if (!this.#withData) return;
    let count = 0;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) count++;
    this.#say(`NdisOffloadTcpReceiveReturn ${count} list(s)`);
  }

  override receiveIndicateDone(
    handle: NdisOffloadHandle,
    _list: NetBufferList,
    answer: number,
    consumed: number,
  ): void {
    if (!this.#withData) return;
    this.#say(
      `NdisTcpOffloadReceiveHandler ${this.#nameOf(handle)}: ${ndisStatusName(answer)}, ${consumed} bytes consumed`,
    );
  }

  override tcpEvent(handle: NdisOffloadHandle, eventType: number, information: number): void {
    const event = nameIn(TcpOffloadEventType, eventType);
    const detail =
      eventType === TcpOffloadEventType.INDICATE_RETRIEVE ? nameIn(TcpUploadReason, information) : information;
    this.#say(`NdisTcpOffloadEventHandler ${this.#nameOf(handle)}: ${event} ${detail}`);
  }

  override offloadEvent(_block: OffloadBlock | null, indicationCode: number): void {
    this.#say(`NdisMOffloadEventIndicate ${nameIn(IndicateOffloadEvent, indicationCode)}`);
  }

  override status(indication: StatusIndication): void {
    this.#say(`NdisMIndicateStatusEx ${ndisStatusName(indication.statusCode)}`);
  }

  #say(text: string): void {
    this.#out.operation(text, this.#nowUs());
  }

  #nameOf(handle: NdisOffloadHandle): string {
    return this.#names.get(handle) ?? 'tcp';
  }

  /** ' neighbor 1 path 1 tcp 3 (tcp 10.0.0.1:80-10.0.0.2:4711, ...)'. */
  #describe(root: OffloadBlock): string {
    const counts = [0, 0, 0];
    const named: string[] = [];
    forEachBlock(root, (block) => {
      const handle = block.offloadHandle;
      if (handle === null) return;
      const layer = layerOf(block.header.type);
      if (layer === -1) return;
      counts[layer] = counts[layer]! + 1;
      const name = layer === BlockLayer.TCP && named.length <= NAMED_PER_LINE ? this.#names.get(handle) : undefined;
      if (name !== undefined) named.push(named.length === NAMED_PER_LINE ? '...' : name);
    });
    let text = '';
    if (counts[0]! > 0) text += ` neighbor ${counts[0]}`;
    if (counts[1]! > 0) text += ` path ${counts[1]}`;
    if (counts[2]! > 0) text += ` tcp ${counts[2]}`;
    return named.length > 0 ? `${text} (${named.join(', ')})` : text;
  }

  /** Connections are told by ports and, where the path is in the tree as well or was seen before, by addresses. */
  #learnNames(root: OffloadBlock): void {
    forEachBlock(root, (block, parent) => {
      const handle = block.offloadHandle;
      if (handle === null || block.constState === null) return;
      const layer = layerOf(block.header.type);
      if (layer === BlockLayer.PATH) {
        const path = block.constState as PathConstState;
        this.#names.set(handle, `${addressText(path.sourceAddress)} ${addressText(path.destinationAddress)}`);
      } else if (layer === BlockLayer.TCP) {
        const tcp = block.constState as TcpConstState;
        const pathHandle = parent === null ? null : parent.offloadHandle;
        const [local, remote] = ((pathHandle && this.#names.get(pathHandle)) ?? '* *').split(' ');
        this.#names.set(handle, `${local}:${tcp.localPort}-${remote}:${tcp.remotePort}`);
      }
    });
  }
}

/** An address as text: dotted for IPv4, bracketed groups (without shortening) for IPv6. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups: string[] = [];
  for (let i = 0; i + 1 < bytes.length; i += 2) groups.push(((bytes[i]! << 8) | bytes[i + 1]!).toString(16));
  return `[${groups.join(':')}]`;
}

function bytesOf(lists: NetBufferList): number {
  let bytes = 0;
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) bytes += dataLengthOf(list);
  return bytes;
}

/** 'SUCCESS 4, RESOURCES 1'. */
function statusesOf(root: OffloadBlock): string {
  const counts = new Map<number, number>();
  forEachBlock(root, (block) => {
    counts.set(block.status, (counts.get(block.status) ?? 0) + 1);
  });
  return [...counts].map(([status, count]) => `${ndisStatusName(status)} ${count}`).join(', ');
}

function nameIn(names: Readonly<Record<string, number>>, value: number): string {
  for (const [name, number] of Object.entries(names)) if (number === value) return name;
  return String(value);
}
