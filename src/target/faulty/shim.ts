/**
 * The shim: stands between NDIS and a good target, lets everything through, and lets a fault change some of it.
 *
 * `below` is the target as NDIS calls it, `above` NDIS as the target calls it: objects of plain functions, which a fault replaces
 * by its own that call the former ones. Leaves to others: the faults themselves, one table an area.
 */

import type { Runtime } from '../../base/runtime.ts';
import {
  BlockLayer,
  forEachBlock,
  layerOf,
  type MiniportDriver,
  type MiniportOffloadBlock,
  type NdisM,
  type NdisMiniportHandle,
  type NdisOffloadHandle,
  NdisStatus,
  type TcpOffloadEventHandlers,
} from '../../ndis/miniport.ts';
import {
  dataLengthOf,
  emptyNetBufferList,
  type NetBufferList,
  netBufferListOver,
} from '../../state/net-buffer-list.ts';

/** What the target calls: both structures in one. */
export type Above = { -readonly [K in keyof (NdisM & TcpOffloadEventHandlers)]: (NdisM & TcpOffloadEventHandlers)[K] };

/** What NDIS calls. */
export type Below = { -readonly [K in keyof MiniportDriver]: MiniportDriver[K] };

/** A way to break a rule. */
export interface Fault {
  readonly rule: string;
  /** What it does, as a clause: 'answers SUCCESS from the send entry'. */
  readonly how: string;
  /** Seats it: replaces functions of the shim. */
  readonly seat: (shim: Shim) => void;
  /** Rules whose breach cannot but be reported with it, or before it. */
  readonly with?: readonly string[];
}

/** A fault, in one line. */
export function fault(rule: string, how: string, seat: (shim: Shim) => void, ...others: readonly string[]): Fault {
  return { rule, how, seat, with: others };
}

/** The same fault breaks another rule just as well: the finding names both. */
export function alias(rule: string, same: Fault): Fault {
  return { ...same, rule, with: [...(same.with ?? []), same.rule] };
}

const BELOW: readonly (keyof MiniportDriver)[] = [
  ...(['haltEx', 'oidRequest', 'sendNetBufferLists', 'returnNetBufferLists', 'initiateOffload'] as const),
  ...(['terminateOffload', 'updateOffload', 'queryOffload', 'invalidateOffload', 'tcpOffloadSend'] as const),
  ...(['tcpOffloadReceive', 'tcpOffloadDisconnect', 'tcpOffloadForward', 'tcpOffloadReceiveReturn'] as const),
];
const NDISM: readonly (keyof NdisM)[] = [
  ...(['setMiniportAttributes', 'indicateReceiveNetBufferLists', 'indicateReceiveDone'] as const),
  ...(['sendNetBufferListsComplete', 'indicateStatusEx', 'oidRequestComplete', 'initiateOffloadComplete'] as const),
  ...(['terminateOffloadComplete', 'updateOffloadComplete', 'queryOffloadStateComplete'] as const),
  ...(['invalidateOffloadComplete', 'offloadEventIndicate'] as const),
];
const EVENTS: readonly (keyof TcpOffloadEventHandlers)[] = [
  ...(['tcpOffloadEventHandler', 'tcpOffloadReceiveHandler', 'tcpOffloadSendComplete'] as const),
  ...(['tcpOffloadReceiveComplete', 'tcpOffloadDisconnectComplete', 'tcpOffloadForwardComplete'] as const),
];

/** Puts functions that call those of `from` into `to`. */
function forward(to: object, from: object, names: readonly string[]): void {
  const [into, functions] = [to as Record<string, unknown>, from as Record<string, (...given: unknown[]) => unknown>];
  for (const name of names) into[name] = (...given: unknown[]): unknown => functions[name]!(...given);
}

/** An object that the driver above has offloaded here. */
export interface Offloaded {
  readonly handle: NdisOffloadHandle;
  readonly layer: BlockLayer;
}

/** Between NDIS and a target. */
export class Shim implements MiniportDriver {
  readonly attributes: MiniportDriver['attributes'];
  readonly hasChimney: boolean;
  readonly runtime: Runtime;
  readonly below: Below;
  readonly above: Above = {} as Above;
  handle!: NdisMiniportHandle;
  /** What becomes of a frame on its way to the wire; null: nothing. */
  wire: ((frame: Uint8Array) => readonly Uint8Array[]) | null = null;
  /** Puts a frame on the wire as it is; the last frame that went out. */
  transmit: (frame: Uint8Array) => void = () => {};
  lastFrame: Uint8Array | null = null;
  /** What is offloaded now, by layer, oldest first. */
  readonly neighbors: NdisOffloadHandle[] = [];
  readonly paths: NdisOffloadHandle[] = [];
  readonly connections: NdisOffloadHandle[] = [];
  readonly #inner: MiniportDriver;

  constructor(inner: MiniportDriver, runtime: Runtime) {
    this.#inner = inner;
    this.runtime = runtime;
    this.attributes = inner.attributes;
    this.hasChimney = inner.hasChimney;
    this.below = {} as Below;
    forward(this.below, inner, BELOW);
  }

  initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    this.handle = handle;
    forward(this.above, ndisM, NDISM);
    this.above.getOffloadHandlers = (its, type) => {
      const handlers = ndisM.getOffloadHandlers(its, type);
      if (handlers === null) return null;
      this.above.header = handlers.header;
      forward(this.above, handlers, EVENTS);
      this.#keepBooks();
      this.seat();
      return this.#lateBound();
    };
    return this.#inner.initializeEx(handle, this.#lateBound());
  }

  /** Set by whoever makes the shim: seats the fault, once there is something to be replaced. */
  seat: () => void = () => {};

  /** What the target is given: always calls what stands in {@link above} then. */
  #lateBound(): Above {
    const bound = {} as Above;
    forward(bound, this.above, [...NDISM, ...EVENTS, 'getOffloadHandlers']);
    bound.header = this.above.header;
    return bound;
  }

  #keepBooks(): void {
    const { above } = this;
    const [initiated, terminated] = [above.initiateOffloadComplete, above.terminateOffloadComplete];
    above.initiateOffloadComplete = (handle, root) => {
      // Read before the completion: on its way up a driver between puts its own handles into the blocks.
      const fresh: [NdisOffloadHandle[], NdisOffloadHandle][] = [];
      forEachBlock(root, (block) => {
        const taken = block.status === NdisStatus.SUCCESS || block.status === NdisStatus.OFFLOAD_PARTIAL_SUCCESS;
        const isNew = block.constState !== null && block.miniportOffloadContext !== null;
        if (taken && isNew) fresh.push([this.#booksOf(block), block.ndisOffloadHandle!]);
      });
      initiated(handle, root);
      for (const [books, its] of fresh) books.push(its);
    };
    above.terminateOffloadComplete = (handle, root) => {
      forEachBlock(root, (block) => {
        const books = this.#booksOf(block);
        const at = block.ndisOffloadHandle === null ? -1 : books.indexOf(block.ndisOffloadHandle);
        if (at >= 0 && block.status === NdisStatus.SUCCESS) books.splice(at, 1);
      });
      terminated(handle, root);
    };
  }

  #booksOf(block: MiniportOffloadBlock): NdisOffloadHandle[] {
    const layer = layerOf(block.header.type);
    return layer === BlockLayer.NEIGHBOR ? this.neighbors : layer === BlockLayer.PATH ? this.paths : this.connections;
  }

  // What faults are made of.

  defer(task: () => void): void {
    this.runtime.defer(task);
  }

  /** Calls `act` with the first connection that is offloaded, soon after. */
  onLive(act: (connection: NdisOffloadHandle) => void): void {
    const initiated = this.above.initiateOffloadComplete;
    let isDone = false;
    this.above.initiateOffloadComplete = (handle, root) => {
      initiated(handle, root);
      const connection = this.connections[0];
      if (isDone || connection === undefined) return;
      isDone = true;
      act(connection);
    };
  }

  event(handle: NdisOffloadHandle, type: number, information = 0): void {
    this.above.tcpOffloadEventHandler(handle, type, information);
  }

  /** Indicates bytes of nobody. Answers the status. */
  indicate(handle: NdisOffloadHandle, list: NetBufferList = netBufferListOver(new Uint8Array(10))): number {
    return this.above.tcpOffloadReceiveHandler(handle, list, NdisStatus.SUCCESS, { value: 0 });
  }

  // The driver that NDIS knows: calls whatever stands in `below` then.

  haltEx(context: unknown): void | Promise<void> {
    return this.below.haltEx(context);
  }
  oidRequest(...given: Parameters<MiniportDriver['oidRequest']>): number {
    return this.below.oidRequest(...given);
  }
  sendNetBufferLists(...given: Parameters<MiniportDriver['sendNetBufferLists']>): void {
    this.below.sendNetBufferLists(...given);
  }
  returnNetBufferLists(...given: Parameters<MiniportDriver['returnNetBufferLists']>): void {
    this.below.returnNetBufferLists(...given);
  }
  initiateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.below.initiateOffload(context, root);
  }
  terminateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.below.terminateOffload(context, root);
  }
  updateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.below.updateOffload(context, root);
  }
  queryOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.below.queryOffload(context, root);
  }
  invalidateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.below.invalidateOffload(context, root);
  }
  tcpOffloadSend(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    return this.below.tcpOffloadSend(context, offloadContext, lists);
  }
  tcpOffloadReceive(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    return this.below.tcpOffloadReceive(context, offloadContext, lists);
  }
  tcpOffloadDisconnect(context: unknown, offloadContext: unknown, list: NetBufferList, flags: number): number {
    return this.below.tcpOffloadDisconnect(context, offloadContext, list, flags);
  }
  tcpOffloadForward(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    return this.below.tcpOffloadForward(context, offloadContext, lists);
  }
  tcpOffloadReceiveReturn(context: unknown, lists: NetBufferList): number {
    return this.below.tcpOffloadReceiveReturn(context, lists);
  }
}

/** The four data calls, as faults speak of them. */
export const DATA = [
  { name: 'send', entry: 'tcpOffloadSend', complete: 'tcpOffloadSendComplete' },
  { name: 'receive', entry: 'tcpOffloadReceive', complete: 'tcpOffloadReceiveComplete' },
  { name: 'disconnect', entry: 'tcpOffloadDisconnect', complete: 'tcpOffloadDisconnectComplete' },
  { name: 'forward', entry: 'tcpOffloadForward', complete: 'tcpOffloadForwardComplete' },
] as const;
export type DataNames = (typeof DATA)[number];

/** The five operations. */
export const STATE = [
  { name: 'initiate', entry: 'initiateOffload', complete: 'initiateOffloadComplete' },
  { name: 'terminate', entry: 'terminateOffload', complete: 'terminateOffloadComplete' },
  { name: 'update', entry: 'updateOffload', complete: 'updateOffloadComplete' },
  { name: 'query', entry: 'queryOffload', complete: 'queryOffloadStateComplete' },
  { name: 'invalidate', entry: 'invalidateOffload', complete: 'invalidateOffloadComplete' },
] as const;
export type StateNames = (typeof STATE)[number];

/** Replaces the entry of a data call; `act` answers what the entry answers and gets the former one. */
export function onDataEntry(
  shim: Shim,
  { entry }: DataNames,
  act: (lists: NetBufferList, former: () => number, flags: number) => number,
): void {
  const former = shim.below[entry] as (...given: unknown[]) => number;
  const replaced = (context: unknown, offloadContext: unknown, lists: NetBufferList, flags = 0): number =>
    act(lists, () => former(context, offloadContext, lists, flags), flags);
  (shim.below as unknown as Record<string, unknown>)[entry] = replaced;
}

/** Replaces the completion of a data call; `former` completes whatever list it is given. */
export function onDataComplete(
  shim: Shim,
  { complete }: DataNames,
  act: (lists: NetBufferList, former: (lists: NetBufferList) => void) => void,
): void {
  const former = shim.above[complete] as (handle: NdisMiniportHandle, lists: NetBufferList) => void;
  const replaced = (handle: NdisMiniportHandle, lists: NetBufferList | null): void => {
    if (lists !== null) act(lists, (others) => former(handle, others));
  };
  (shim.above as unknown as Record<string, unknown>)[complete] = replaced;
}

export function onStateEntry(
  shim: Shim,
  { entry }: StateNames,
  act: (root: MiniportOffloadBlock, former: () => void) => void,
): void {
  const former = shim.below[entry];
  shim.below[entry] = (context, root) => act(root, () => former(context, root));
}

export function onStateComplete(
  shim: Shim,
  { complete }: StateNames,
  act: (root: MiniportOffloadBlock, former: () => void) => void,
): void {
  const former = shim.above[complete];
  shim.above[complete] = (handle, root) => act(root, () => former(handle, root));
}

/** Does something the first time only. */
export function once(act: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    act();
  };
}

/** Lists of a chain, taken apart. */
export function takeApart(lists: NetBufferList): NetBufferList[] {
  const all: NetBufferList[] = [];
  for (let list: NetBufferList | null = lists; list !== null; ) {
    const next: NetBufferList | null = list.next;
    list.next = null;
    all.push(list);
    list = next;
  }
  return all;
}

/** Puts lists together; null: none. */
export function chained(lists: readonly NetBufferList[]): NetBufferList | null {
  lists.forEach((list, i) => {
    list.next = lists[i + 1] ?? null;
  });
  return lists[0] ?? null;
}

/** Writes status, count, and how far the data start was moved, whatever was true. */
export function account(list: NetBufferList, status: number, told: number, advanced: number): void {
  const whole = dataLengthOf(list) + list.tcpOffloadBytesTransferred;
  list.status = status;
  list.tcpOffloadBytesTransferred = told;
  const nb = list.firstNetBuffer;
  if (nb !== null) nb.dataLength = whole - advanced;
}

/** Bytes that a list had when it was posted, as long as its own account is right. */
export function wholeOf(list: NetBufferList): number {
  return dataLengthOf(list) + list.tcpOffloadBytesTransferred;
}

export { emptyNetBufferList, netBufferListOver };
