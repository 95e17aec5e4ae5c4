/**
 * Several NIC threads behind one adapter: flows are spread over them by a hash, each over a queue of its own of one device (RSS).
 *
 * Neighbors and paths are offloaded to all of them, a connection to the one that its hash names. Each thread has trees, handles and
 * contexts of its own; here they are made from those of the driver above and put together again. A segment that comes to another
 * thread's queue goes up raw, and the host forwards it. Source: chimney-ddi 5 (RSS), chimney-sequences 2, 16, 27.
 */

import type { Link } from '../../link/link.ts';
import {
  type AdapterAttributes,
  BlockKind,
  copyOffloadHandlers,
  kindOfBlock,
  type MiniportDriver,
  type MiniportOffloadBlock,
  NdisChimneyOffloadType,
  type NdisDriverHandle,
  type NdisM,
  type NdisMiniportHandle,
  NdisOffloadHandle,
  type NdisRegistration,
  NdisStatus,
  OffloadBlock,
  type OidRequest,
  providerGeneric,
  providerTcp,
  settleInitiateStatuses,
  type TcpOffloadEventHandlers,
} from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { PathConstState } from '../../state/path.ts';
import { TcpConstState } from '../../state/tcp.ts';
import { OperationKind } from '../engine/engine.ts';
import { threadOfFlow, threadOfFrame } from './flow-hash.ts';
import { SpreadControl } from './spread-control.ts';
import { ENTRIES, forget, joinedStatus, type Part, type Spread, SpreadObject } from './spread-objects.ts';
import { SpreadRestarts } from './spread-restarts.ts';
import { addAnswers } from './spread-statistics.ts';
import { SpreadStatuses } from './spread-statuses.ts';
import type { WorkerAdapter } from './worker-adapter.ts';

/** The adapter over several. */
export class SpreadAdapter implements MiniportDriver {
  readonly attributes: AdapterAttributes;
  readonly hasChimney: boolean = true;
  readonly control: SpreadControl;
  readonly threads: readonly WorkerAdapter[];
  readonly #isIp: boolean;
  /** The thread that speaks for all: the first that lives. */
  #first = 0;
  #ndisM!: NdisM;
  #handle!: NdisMiniportHandle;
  #handlers: TcpOffloadEventHandlers | null = null;
  readonly #spreads: Map<OffloadBlock, Spread> = new Map();
  readonly #restarts: SpreadRestarts;
  readonly #statuses: SpreadStatuses;
  /** Answers that are waited for, of a pause or a power request. */
  #pausing = 0;
  #powering = 0;

  constructor(threads: readonly WorkerAdapter[], link: Link) {
    this.threads = threads;
    this.attributes = threads[0]!.attributes;
    this.#isIp = link.medium === 'ip';
    this.control = new SpreadControl(threads);
    this.#statuses = new SpreadStatuses({
      indicate: (indication) => this.#ndisM.indicateStatusEx(this.#handle, indication),
      isEmpty: () => threads.every(({ control }) => control.held().tcpObjects === 0),
    });
    this.#restarts = new SpreadRestarts({
      threads,
      isIdle: () => this.#spreads.size === 0,
      say: (statusCode) => this.#statuses.say({ statusCode, statusBuffer: null }),
      go: (kind, root) => this.#spread(kind, root),
    });
    threads.forEach((thread, i) => {
      thread.watcher = this.#restarts.watcherOf(i);
    });
  }

  setOptions(handle: NdisDriverHandle, ndis: NdisRegistration): number {
    const status = ndis.setOptionalHandlers(handle, providerGeneric(this));
    return status === NdisStatus.SUCCESS ? ndis.setOptionalHandlers(handle, providerTcp(this)) : status;
  }

  initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    this.#handle = handle;
    this.#ndisM = ndisM;
    ndisM.setMiniportAttributes(handle, this);
    this.#handlers = copyOffloadHandlers(ndisM.getOffloadHandlers(handle, NdisChimneyOffloadType.TCP));
    this.threads.forEach((thread, i) => {
      thread.initializeEx(handle, this.#doorsOf(i));
    });
    return NdisStatus.SUCCESS;
  }

  haltEx(context: unknown): Promise<void> {
    return Promise.all(this.threads.map((thread) => thread.haltEx(context))).then(() => undefined);
  }

  pause(context: unknown): number {
    const answers = this.threads.map((thread) => thread.pause(context));
    this.#pausing = answers.filter((status) => status === NdisStatus.PENDING).length;
    return this.#pausing > 0 ? NdisStatus.PENDING : NdisStatus.SUCCESS;
  }

  restart(context: unknown): number {
    for (const thread of this.threads) thread.restart(context);
    return NdisStatus.SUCCESS;
  }

  resetEx(context: unknown): number {
    for (const thread of this.threads) thread.resetEx(context);
    return NdisStatus.SUCCESS;
  }

  devicePnpEventNotifyEx(context: unknown, event: number): void {
    for (const thread of this.threads) thread.devicePnpEventNotifyEx(context, event);
  }

  /** What is set is set for all; what is counted is added up; what is asked the first one knows. */
  oidRequest(context: unknown, request: OidRequest): number {
    const answers = this.threads.map((thread) => {
      const own: OidRequest = { ...request };
      return { status: thread.oidRequest(context, own), own };
    });
    const first = answers[0]!;
    if (request.kind === 'query' && first.status === NdisStatus.SUCCESS) {
      request.information = addAnswers(answers.map(({ own }) => own.information));
    }
    this.#powering = answers.filter(({ status }) => status === NdisStatus.PENDING).length;
    this.#power = request;
    return answers.find(({ status }) => status !== NdisStatus.SUCCESS)?.status ?? NdisStatus.SUCCESS;
  }
  #power: OidRequest | null = null;

  // Ordinary frames: a flow leaves by the queue of its thread, by which the kernel then sends what comes.

  sendNetBufferLists(context: unknown, lists: NetBufferList, portNumber: number): void {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      this.threads[this.#threadOf(list)]!.sendNetBufferLists(context, list, portNumber);
      list = next;
    }
  }

  #threadOf(list: NetBufferList): number {
    const nb = list.firstNetBuffer;
    const mdl = nb?.currentMdl ?? null;
    if (nb === null || mdl === null) return 0;
    const at = mdl.byteOffset + nb.currentMdlOffset;
    const length = Math.min(nb.dataLength, mdl.byteCount - nb.currentMdlOffset);
    return threadOfFrame(mdl.buffer, at, length, this.#isIp, this.threads.length);
  }

  returnNetBufferLists(_context: unknown, _lists: NetBufferList): void {}

  // State operations.

  offloadExpected(context: unknown, onReady: () => void): boolean {
    let waiting = 0;
    const onOneReady = (): void => {
      waiting--;
      if (waiting === 0) onReady();
    };
    for (const thread of this.threads) if (thread.offloadExpected(context, onOneReady)) waiting++;
    return waiting > 0;
  }
  initiateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#begin(OperationKind.INITIATE, root);
  }
  terminateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#begin(OperationKind.TERMINATE, root);
  }
  updateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#begin(OperationKind.UPDATE, root);
  }
  queryOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#begin(OperationKind.QUERY, root);
  }
  invalidateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#begin(OperationKind.INVALIDATE, root);
  }

  /** From here on it is in progress, also while it is kept for a thread that starts. */
  #begin(kind: OperationKind, root: MiniportOffloadBlock): void {
    if (kind === OperationKind.INITIATE) this.#statuses.initiateBegun();
    this.#spread(kind, root);
  }

  #spread(kind: OperationKind, root: MiniportOffloadBlock): void {
    if (this.#restarts.keeps(kind, root)) return;
    this.#first = Math.max(
      0,
      this.threads.findIndex((thread) => !thread.isDead),
    );
    const spread: Spread = { kind, root, parts: new Map(), fresh: new Map(), outstanding: 0, held: [] };
    this.#name(spread, root, null);
    const roots: (readonly [WorkerAdapter, OffloadBlock])[] = [];
    this.threads.forEach((thread, i) => {
      const own = this.#treeOf(spread, root, i);
      if (own !== null) roots.push([thread, own]);
    });
    spread.outstanding = roots.length;
    if (roots.length === 0) {
      // What it names is with no thread any more.
      this.threads[0]!.later(() => this.#finish(spread));
      return;
    }
    for (const [, own] of roots) this.#spreads.set(own, spread);
    for (const [thread, own] of roots) thread[ENTRIES[kind]!](null, own);
  }

  /** New objects, along a layer and below: which thread is to have each. `parent`: what the layer hangs on, as far as it is known. */
  #name(spread: Spread, first: MiniportOffloadBlock | null, parent: SpreadObject | null): void {
    for (let block = first; block !== null; block = block.nextBlock) {
      const known = block.miniportOffloadContext?.miniportOffloadContext;
      let object = known instanceof SpreadObject ? known : null;
      // A path may have got another neighbor.
      if (object !== null && parent !== null) object.parent = parent;
      if (object === null && spread.kind === OperationKind.INITIATE && kindOfBlock(block) === BlockKind.NEW_OFFLOAD) {
        const { constState } = block;
        const thread = constState instanceof TcpConstState ? this.#threadFor(constState, parent) : -1;
        const path = constState instanceof PathConstState ? constState : null;
        object = new SpreadObject(block.ndisOffloadHandle!, thread, path, parent);
        spread.fresh.set(block, object);
      }
      this.#name(spread, block.dependentBlockList, object);
    }
  }

  #threadFor(state: TcpConstState, parent: SpreadObject | null): number {
    const path = parent?.path ?? null;
    if (parent === null || path === null) return this.#first;
    const { sourceAddress, destinationAddress } = path;
    const choose = (count: number): number =>
      threadOfFlow(sourceAddress, destinationAddress, state.localPort, state.remotePort, count);
    const thread = choose(this.threads.length);
    if (this.#serves(thread, parent)) return thread;
    // Those of a dead one are spread over the others.
    const alive = this.threads.flatMap((_, i) => (this.#serves(i, parent) ? [i] : []));
    return alive[choose(Math.max(1, alive.length))] ?? thread;
  }

  /** Whether a thread lives, and has the path or is to have it. */
  #serves(thread: number, path: SpreadObject): boolean {
    return !this.threads[thread]!.isDead && path.gone[thread] !== true;
  }

  /** One thread's part of a layer and all below it; null: it has none. */
  #treeOf(spread: Spread, first: MiniportOffloadBlock | null, thread: number): OffloadBlock | null {
    let head: OffloadBlock | null = null;
    let tail: OffloadBlock | null = null;
    for (let block = first; block !== null; block = block.nextBlock) {
      const own = this.#blockOf(spread, block, thread);
      if (own === null) continue;
      if (tail === null) head = own;
      else tail.nextBlock = own;
      tail = own;
    }
    return head;
  }

  #blockOf(spread: Spread, block: MiniportOffloadBlock, thread: number): OffloadBlock | null {
    const slot = block.miniportOffloadContext;
    const known = slot?.miniportOffloadContext;
    const object = known instanceof SpreadObject ? known : (spread.fresh.get(block) ?? null);
    const below = this.#treeOf(spread, block.dependentBlockList, thread);
    // What is nobody's is the first one's to judge.
    const isFirst = thread === this.#first;
    const isMine = object === null ? isFirst : this.#has(object, thread, spread.fresh.has(block));
    const isAsked = isMine && (spread.kind !== OperationKind.QUERY || object?.thread === thread || isFirst);
    const isNews = spread.fresh.has(block) || spread.kind !== OperationKind.INITIATE || isFirst;
    if (below === null && !(isAsked && isNews)) return null;
    const own = new OffloadBlock(block.header.type);
    own.header.revision = block.header.revision;
    own.dependentBlockList = below;
    if (slot === null || !isAsked) return own;
    if (object === null) own.miniportOffloadContext = new NdisOffloadHandle(null);
    else {
      object.shadows[thread] ??= new NdisOffloadHandle(object.handle);
      own.miniportOffloadContext = object.shadows[thread];
      own.ndisOffloadHandle = object.shadows[thread];
    }
    const isReader = object?.thread === thread || isFirst;
    const isWritten = spread.kind === OperationKind.QUERY || spread.kind === OperationKind.TERMINATE;
    if (isReader || !isWritten) {
      own.constState = block.constState;
      own.cachedState = block.cachedState;
      own.delegatedState = block.delegatedState;
      own.netBufferListChain = block.netBufferListChain;
    }
    const parts = spread.parts.get(block);
    const part = { thread, block: own, object, asked: this.threads[thread]!.life };
    if (parts === undefined) spread.parts.set(block, [part]);
    else parts.push(part);
    return own;
  }

  /** Whether an object is, or is to be, with a thread. What is new is kept from the dead while another lives. */
  #has(object: SpreadObject, thread: number, isNew: boolean): boolean {
    if (object.thread !== -1) return object.thread === thread;
    if (isNew && this.threads[thread]!.isDead) return thread === this.#first;
    return object.gone[thread] !== true;
  }

  #completed(thread: number, own: MiniportOffloadBlock): void {
    if (this.#restarts.completed(own)) return;
    const spread = this.#spreads.get(own as OffloadBlock)!;
    this.#spreads.delete(own as OffloadBlock);
    spread.outstanding--;
    if (spread.outstanding > 0 && (spread.kind === OperationKind.INITIATE || hasFailed(own))) {
      // What a thread has taken, or has lost, it does not speak of before all have answered.
      spread.held.push(thread);
      this.threads[thread]!.hold();
    }
    if (spread.outstanding === 0) this.#finish(spread);
  }

  /** All threads have answered. */
  #finish(spread: Spread): void {
    const { kind, root } = spread;
    this.#join(spread, root);
    if (kind === OperationKind.INITIATE) settleInitiateStatuses(root);
    const [ndisM, handle] = [this.#ndisM, this.#handle];
    if (kind === OperationKind.INITIATE) ndisM.initiateOffloadComplete(handle, root);
    else if (kind === OperationKind.TERMINATE) ndisM.terminateOffloadComplete(handle, root);
    else if (kind === OperationKind.UPDATE) ndisM.updateOffloadComplete(handle, root);
    else if (kind === OperationKind.QUERY) ndisM.queryOffloadStateComplete(handle, root);
    else ndisM.invalidateOffloadComplete(handle, root);
    for (const one of spread.held) this.threads[one]!.release();
    this.#statuses.operationDone(kind === OperationKind.INITIATE);
    this.#restarts.next();
  }

  /** The threads' answers, put together: see {@link joinedStatus}. */
  #join(spread: Spread, first: MiniportOffloadBlock | null): void {
    for (let block = first; block !== null; block = block.nextBlock) {
      const parts = this.#counted(spread.kind, spread.parts.get(block) ?? []);
      const object = spread.fresh.get(block);
      block.status = joinedStatus(parts, object !== undefined);
      const isGood = block.status === NdisStatus.SUCCESS;
      for (const part of parts) block.handedOverAtUs = Math.max(block.handedOverAtUs, part.block.handedOverAtUs);
      if (object !== undefined && isGood) {
        block.miniportOffloadContext!.miniportOffloadContext = object;
        if (object.thread === -1) this.#share(object, spread.parts.get(block)!);
      }
      if (spread.kind === OperationKind.TERMINATE) {
        const chained = parts.find((part) => part.block.netBufferListChain !== null);
        block.netBufferListChain = chained?.block.netBufferListChain ?? null;
        for (const part of parts) if (part.block.status === NdisStatus.SUCCESS) noteGone(part);
        const known = block.miniportOffloadContext?.miniportOffloadContext;
        if (isGood && known instanceof SpreadObject) this.#restarts.shared.delete(known);
      }
      this.#join(spread, block.dependentBlockList);
    }
  }

  /** Of what all threads have, one that died meanwhile has no say, unless it is about what it still has. */
  #counted(kind: OperationKind, parts: readonly Part[]): readonly Part[] {
    if (parts.length < 2 || kind === OperationKind.TERMINATE) return parts;
    const alive = parts.filter((part) => this.#isSame(part) && !this.threads[part.thread]!.isDead);
    return alive.length > 0 ? alive : parts;
  }

  /** All threads have it; but one that came anew meanwhile has nothing of it, and is given it like everything else that all have. */
  #share(object: SpreadObject, parts: readonly Part[]): void {
    this.#restarts.shared.add(object);
    this.threads.forEach((_, i) => {
      if (!parts.some((part) => part.thread === i && this.#isSame(part))) forget(object, i);
    });
  }

  /** Whether the thread is the one that was asked, dead or alive. */
  #isSame({ thread, asked }: Part): boolean {
    return this.threads[thread]!.life === asked;
  }

  // Data.

  tcpOffloadSend(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    const [thread, own] = this.#connection(offloadContext);
    return thread.tcpOffloadSend(context, own, lists);
  }
  tcpOffloadReceive(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    const [thread, own] = this.#connection(offloadContext);
    return thread.tcpOffloadReceive(context, own, lists);
  }
  tcpOffloadDisconnect(context: unknown, offloadContext: unknown, list: NetBufferList, flags: number): number {
    const [thread, own] = this.#connection(offloadContext);
    return thread.tcpOffloadDisconnect(context, own, list, flags);
  }
  tcpOffloadForward(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    const [thread, own] = this.#connection(offloadContext);
    return thread.tcpOffloadForward(context, own, lists);
  }

  #connection(offloadContext: unknown): readonly [WorkerAdapter, unknown] {
    const object = offloadContext as SpreadObject;
    return [this.threads[object.thread]!, object.shadows[object.thread]!.miniportOffloadContext];
  }

  /** Each list goes back to the thread whose memory it is. */
  tcpOffloadReceiveReturn(context: unknown, lists: NetBufferList): number {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      const one = list;
      (this.threads.find((thread) => thread.owns(one)) ?? this.threads[0]!).tcpOffloadReceiveReturn(context, one);
      list = next;
    }
    return NdisStatus.SUCCESS;
  }

  // What a thread sees above it.

  #doorsOf(thread: number): NdisM {
    const ndisM = this.#ndisM;
    const completed = (_handle: NdisMiniportHandle, root: MiniportOffloadBlock): void => this.#completed(thread, root);
    return {
      setMiniportAttributes: () => {},
      getOffloadHandlers: () => this.#handlersForThreads(),
      indicateReceiveNetBufferLists: (...given) => ndisM.indicateReceiveNetBufferLists(...given),
      indicateReceiveDone: (...given) => ndisM.indicateReceiveDone(...given),
      sendNetBufferListsComplete: (...given) => ndisM.sendNetBufferListsComplete(...given),
      indicateStatusEx: (_handle, indication) => this.#statuses.told(indication, thread === this.#first),
      oidRequestComplete: (handle, _request, status) => {
        if (--this.#powering === 0) ndisM.oidRequestComplete(handle, this.#power!, status);
      },
      pauseComplete: (handle) => {
        if (--this.#pausing === 0) ndisM.pauseComplete(handle);
      },
      restartComplete: () => {},
      resetComplete: () => {},
      removeMiniport: (...given) => ndisM.removeMiniport(...given),
      imNotifyPnpEvent: (...given) => ndisM.imNotifyPnpEvent(...given),
      imDeinitializeDeviceInstance: (...given) => ndisM.imDeinitializeDeviceInstance(...given),
      initiateOffloadComplete: completed,
      terminateOffloadComplete: completed,
      updateOffloadComplete: completed,
      queryOffloadStateComplete: completed,
      invalidateOffloadComplete: completed,
      offloadEventIndicate: (handle, block, code) => {
        if (block !== null) block.ndisOffloadHandle = hostHandle(block.ndisOffloadHandle!);
        ndisM.offloadEventIndicate(handle, block, code);
      },
    };
  }

  #handlersForThreads(): TcpOffloadEventHandlers | null {
    const above = this.#handlers;
    if (above === null) return null;
    return {
      ...above,
      tcpOffloadEventHandler: (handle, type, information) =>
        above.tcpOffloadEventHandler(hostHandle(handle), type, information),
      tcpOffloadReceiveHandler: (handle, list, status, consumed) =>
        above.tcpOffloadReceiveHandler(hostHandle(handle), list, status, consumed),
    };
  }
}

function hostHandle(shadow: NdisOffloadHandle): NdisOffloadHandle {
  return shadow.owner as NdisOffloadHandle;
}

/** Whether a block of a layer or below it has failed. */
function hasFailed(first: MiniportOffloadBlock | null): boolean {
  for (let block = first; block !== null; block = block.nextBlock) {
    if (block.status === NdisStatus.FAILURE || hasFailed(block.dependentBlockList)) return true;
  }
  return false;
}

/** Nobody asks a thread again for what it has given up. */
function noteGone({ thread, object }: Part): void {
  if (object !== null) object.gone[thread] = true;
}
