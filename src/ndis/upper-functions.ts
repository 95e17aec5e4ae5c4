/**
 * What NDIS offers to protocol drivers: NdisInitiateOffload to NdisOffloadTcpReceiveReturn, ordinary frames, open and close.
 *
 * Promises: a call is passed to the adapter below at once and in order; nothing is queued here. No allocation per data call
 * or frame. A data call finds its adapter and the context below through the caller's own NDIS_OFFLOAD_HANDLE (CTX-009).
 * Source: chimney-ddi 3.1, 4.1.
 */

import { assert } from '../base/assert.ts';
import { NEVER, type Runtime } from '../base/runtime.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import { Event } from '../trace/events.ts';
import type { Trace } from '../trace/trace.ts';
import { type Adapter, AdapterState, Binding } from './adapter.ts';
import { abortLists, answerForNobody, failTree } from './answers.ts';
import type { NdisDriverHandle, NdisRegistration, OptionalHandlers } from './characteristics.ts';
import { toMiniportFace } from './faces.ts';
import { HangWatch } from './hang-watch.ts';
import type { NdisOffloadHandle, OffloadBlock, ProtocolOffloadBlock } from './offload-block.ts';
import type { OidRequest } from './parameters.ts';
import type { AdapterAttributes, NdisBindingHandle, NdisForProtocol, NetPnpEvent, ProtocolDriver } from './protocol.ts';
import { type ProtocolRegistration, registerProtocol, setOptionalHandlers } from './registration.ts';
import { NdisStatus } from './status.ts';
import { type BindingTap, DataOperation, StateOperation } from './tap.ts';
import { BlockWalk } from './walk.ts';

/** Lists in a chain. */
export function countLists(lists: NetBufferList | null): number {
  let count = 0;
  for (let list = lists; list !== null; list = list.next) count++;
  return count;
}

/** The upper half of the library. */
export abstract class UpperFunctions implements NdisForProtocol, NdisRegistration {
  protected readonly runtime: Runtime;
  protected readonly trace: Trace;
  protected readonly adapters: Map<string, Adapter> = new Map();
  readonly #registrations: WeakMap<ProtocolDriver, ProtocolRegistration> = new WeakMap();
  /** Used within one call and never across a call to a driver. */
  protected readonly walk: BlockWalk<OffloadBlock> = new BlockWalk();
  protected readonly hangs: HangWatch;

  /** `checkForHangUs`: how often drivers are looked at whether they hang, microseconds. Default: never. */
  constructor(runtime: Runtime, trace: Trace, checkForHangUs: number = NEVER) {
    this.runtime = runtime;
    this.trace = trace;
    this.hangs = new HangWatch(runtime, checkForHangUs, (adapter) => this.adapterHangs(adapter));
  }

  /** A driver has stopped answering. */
  protected abstract adapterHangs(adapter: Adapter): void;

  /** NdisSetOptionalHandlers. CAP-002, IM-003. */
  setOptionalHandlers(handle: NdisDriverHandle, handlers: OptionalHandlers): number {
    return setOptionalHandlers(handle, handlers);
  }

  /** NdisOpenAdapterEx. A protocol that opens its first adapter is registered with it. Throws when there is no such adapter or it is taken. */
  openAdapterEx(protocol: ProtocolDriver, protocolBindingContext: unknown, adapterName: string): NdisBindingHandle {
    const adapter = this.adapters.get(adapterName);
    if (adapter === undefined) throw new Error(`there is no adapter named '${adapterName}'`);
    if (adapter.upper !== null) {
      throw new Error(`adapter '${adapterName}' is open already, by '${adapter.upper.protocol.name}'`);
    }
    let registration = this.#registrations.get(protocol);
    if (registration === undefined) {
      registration = registerProtocol(protocol, this);
      this.#registrations.set(protocol, registration);
    }
    adapter.upper = new Binding(adapter, protocol, registration, protocolBindingContext);
    if (adapter.tap !== null) adapter.tap.opened(adapterName, protocol.name, false);
    return adapter.upper;
  }

  /** NdisCloseAdapterEx: `onClosed` follows once everything of either side is back where it belongs. RECV-086. */
  closeAdapterEx(handle: NdisBindingHandle, onClosed: () => void): void {
    const binding = handle as Binding;
    assert(binding.isOpen, 'an adapter is closed once');
    binding.isOpen = false;
    binding.onClosed = onClosed;
    if (binding.adapter.tap !== null) binding.adapter.tap.closing();
    this.closeWhenQuiet(binding);
  }

  /** Ends a binding that is being closed, if nothing is out any more; called whenever something came back. */
  protected closeWhenQuiet(binding: Binding): void {
    if (binding.isOpen || binding.onClosed === null || !binding.isQuiet) return;
    const onClosed = binding.onClosed;
    binding.onClosed = null;
    this.runtime.defer(() => {
      const adapter = binding.adapter;
      adapter.upper = null;
      if (adapter.tap !== null) adapter.tap.closed();
      onClosed();
      const onUnbound = adapter.onUnbound;
      adapter.onUnbound = null;
      if (onUnbound !== null) onUnbound();
    });
  }

  adapterAttributes(handle: NdisBindingHandle): AdapterAttributes {
    return (handle as Binding).adapter.driver.attributes;
  }

  /** NdisOidRequest. */
  oidRequest(handle: NdisBindingHandle, request: OidRequest): number {
    const adapter = openAdapterOf(handle);
    if (adapter.isGivenUp) return NdisStatus.ADAPTER_REMOVED;
    const tap = adapter.tap;
    if (tap !== null) tap.oidRequest(request);
    this.hangs.begin(adapter, request, -1);
    const status = adapter.driver.oidRequest(adapter.context, request);
    if (status !== NdisStatus.PENDING) this.hangs.end(adapter, request);
    if (tap !== null) tap.oidRequestDone(request, status);
    return status;
  }

  abstract observe(handle: NdisBindingHandle, tap: BindingTap): () => void;

  /** NdisSendNetBufferLists. */
  sendNetBufferLists(handle: NdisBindingHandle, lists: NetBufferList, portNumber: number): void {
    const adapter = openAdapterOf(handle);
    (handle as Binding).sendLists += countLists(lists);
    if (adapter.tap !== null) adapter.tap.sendFrames(lists);
    if (adapter.state !== AdapterState.RUNNING) {
      this.refuseFrames(adapter, lists);
      return;
    }
    adapter.driver.sendNetBufferLists(adapter.context, lists, portNumber);
  }

  /** Frames for an adapter that takes none now come back at once. */
  protected abstract refuseFrames(adapter: Adapter, lists: NetBufferList): void;

  /** NdisCompleteNetPnPEvent. */
  completeNetPnpEvent(handle: NdisBindingHandle, event: NetPnpEvent, status: number): void {
    const { pnpEvents } = handle as Binding;
    const done = pnpEvents.get(event);
    assert(done !== undefined, 'a PnP event is completed once, by whom it was pending at');
    pnpEvents.delete(event);
    done(status);
  }

  /** NdisReturnNetBufferLists. */
  returnNetBufferLists(handle: NdisBindingHandle, lists: NetBufferList): void {
    const binding = handle as Binding;
    binding.frameLists -= countLists(lists);
    const adapter = binding.adapter;
    if (adapter.tap !== null) adapter.tap.returnFrames(lists);
    if (!adapter.isGivenUp) adapter.driver.returnNetBufferLists(adapter.context, lists);
    if (!binding.isOpen) this.closeWhenQuiet(binding);
  }

  offloadExpected(handle: NdisBindingHandle, onReady: () => void): boolean {
    const { adapter } = handle as Binding;
    return !adapter.isGivenUp && adapter.driver.offloadExpected?.(adapter.context, onReady) === true;
  }

  /** NdisInitiateOffload. */
  initiateOffload(handle: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void {
    this.#state(handle, offloadBlockList, StateOperation.INITIATE, (adapter, root) => {
      adapter.generic!.initiateOffload(adapter.context, root);
    });
  }

  /** NdisTerminateOffload. */
  terminateOffload(handle: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void {
    this.#state(handle, offloadBlockList, StateOperation.TERMINATE, (adapter, root) => {
      adapter.generic!.terminateOffload(adapter.context, root);
    });
  }

  /** NdisUpdateOffload. */
  updateOffload(handle: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void {
    this.#state(handle, offloadBlockList, StateOperation.UPDATE, (adapter, root) => {
      adapter.generic!.updateOffload(adapter.context, root);
    });
  }

  /** NdisQueryOffloadState. */
  queryOffloadState(handle: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void {
    this.#state(handle, offloadBlockList, StateOperation.QUERY, (adapter, root) => {
      adapter.generic!.queryOffload(adapter.context, root);
    });
  }

  /** NdisInvalidateOffload. */
  invalidateOffload(handle: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void {
    this.#state(handle, offloadBlockList, StateOperation.INVALIDATE, (adapter, root) => {
      adapter.generic!.invalidateOffload(adapter.context, root);
    });
  }

  /** Every state operation: the lower face for the driver, events for the tap, the driver's function; or an answer of NDIS' own. */
  #state(
    handle: NdisBindingHandle,
    offloadBlockList: ProtocolOffloadBlock,
    operation: StateOperation,
    call: (adapter: Adapter, root: OffloadBlock) => void,
  ): void {
    const adapter = openAdapterOf(handle);
    const binding = handle as Binding;
    const root = offloadBlockList as OffloadBlock;
    assert(binding.generic !== null, 'a protocol without chimney functions offloads nothing (IM-003)');
    assert(
      adapter.hasChimney || operation === StateOperation.INITIATE,
      'nothing is offloaded through a driver without chimney',
    );
    binding.operations++;
    root.sourceHandle = handle;
    // The tap looks first: a tree that cannot even be walked is to be seen by it.
    const { tap } = adapter;
    if (tap !== null) tap.stateCall(operation, root);
    if (!toMiniportFace(this.walk, root, binding)) {
      this.trace.count(Event.NDIS_TREE_BROKEN);
      this.#answer(binding, root, operation, () => failTree(this.walk, root));
    } else if (!adapter.hasChimney || adapter.isGivenUp) {
      // NDIS blocks the chimney through a driver that registered no chimney functions. IM-056.
      this.#answer(binding, root, operation, () => answerForNobody(this.walk, root, operation, adapter.lost));
    } else {
      this.hangs.begin(adapter, root, operation);
      call(adapter, root);
    }
    if (tap !== null) tap.stateCallDone(operation, root);
  }

  /** NDIS completes an operation itself, later. */
  #answer(binding: Binding, root: OffloadBlock, operation: StateOperation, write: () => void): void {
    this.runtime.defer(() => {
      write();
      this.finishState(binding, root, operation);
    });
  }

  /** An operation is completed, statuses written, blocks with their upper face: the protocol is told. */
  protected abstract finishState(binding: Binding, root: OffloadBlock, operation: StateOperation): void;

  /** Lists for a driver that was given up come back, later. */
  #abort(adapter: Adapter, lists: NetBufferList, operation: DataOperation): number {
    const binding = adapter.upper;
    this.runtime.defer(() => {
      if (binding !== null) abortLists(binding, lists, operation);
    });
    return NdisStatus.PENDING;
  }

  /** NdisOffloadTcpSend. Always PENDING (SEND-003). */
  offloadTcpSend(handle: NdisOffloadHandle, lists: NetBufferList): number {
    const adapter = adapterOfHandle(handle);
    if (adapter.isGivenUp) return this.#abort(adapter, lists, DataOperation.SEND);
    const tap = adapter.tap;
    if (tap !== null) tap.dataCall(DataOperation.SEND, handle, lists, 0);
    const status = adapter.tcp!.tcpOffloadSend(adapter.context, contextOf(handle), lists);
    if (tap !== null) tap.dataCallDone(DataOperation.SEND, handle, status);
    return NdisStatus.PENDING;
  }

  /** NdisOffloadTcpReceive. Always PENDING (RECV-002). */
  offloadTcpReceive(handle: NdisOffloadHandle, lists: NetBufferList): number {
    const adapter = adapterOfHandle(handle);
    if (adapter.isGivenUp) return this.#abort(adapter, lists, DataOperation.RECEIVE);
    const tap = adapter.tap;
    if (tap !== null) tap.dataCall(DataOperation.RECEIVE, handle, lists, 0);
    const status = adapter.tcp!.tcpOffloadReceive(adapter.context, contextOf(handle), lists);
    if (tap !== null) tap.dataCallDone(DataOperation.RECEIVE, handle, status);
    return NdisStatus.PENDING;
  }

  /** NdisOffloadTcpDisconnect. Always PENDING (DISC-002). */
  offloadTcpDisconnect(handle: NdisOffloadHandle, list: NetBufferList, flags: number): number {
    const adapter = adapterOfHandle(handle);
    if (adapter.isGivenUp) return this.#abort(adapter, list, DataOperation.DISCONNECT);
    const tap = adapter.tap;
    if (tap !== null) tap.dataCall(DataOperation.DISCONNECT, handle, list, flags);
    const status = adapter.tcp!.tcpOffloadDisconnect(adapter.context, contextOf(handle), list, flags);
    if (tap !== null) tap.dataCallDone(DataOperation.DISCONNECT, handle, status);
    return NdisStatus.PENDING;
  }

  /** NdisOffloadTcpForward. Always PENDING (FWD-002). */
  offloadTcpForward(handle: NdisOffloadHandle, lists: NetBufferList): number {
    const adapter = adapterOfHandle(handle);
    if (adapter.isGivenUp) return this.#abort(adapter, lists, DataOperation.FORWARD);
    const tap = adapter.tap;
    if (tap !== null) tap.dataCall(DataOperation.FORWARD, handle, lists, 0);
    const status = adapter.tcp!.tcpOffloadForward(adapter.context, contextOf(handle), lists);
    if (tap !== null) tap.dataCallDone(DataOperation.FORWARD, handle, status);
    return NdisStatus.PENDING;
  }

  /** NdisOffloadTcpReceiveReturn: on the binding, as one chain may hold lists of several connections (CTX-024). */
  offloadTcpReceiveReturn(handle: NdisBindingHandle, lists: NetBufferList): number {
    const binding = handle as Binding;
    const adapter = binding.adapter;
    // Before the call: the driver below takes the chain apart.
    binding.chimneyLists -= countLists(lists);
    const tap = adapter.tap;
    if (tap !== null) tap.receiveReturn(lists);
    // Memory of a driver that was given up is nobody's.
    const status = adapter.isGivenUp
      ? NdisStatus.SUCCESS
      : adapter.tcp!.tcpOffloadReceiveReturn(adapter.context, lists);
    if (tap !== null) tap.receiveReturnDone(status);
    if (!binding.isOpen) this.closeWhenQuiet(binding);
    return NdisStatus.SUCCESS;
  }
}

function openAdapterOf(handle: NdisBindingHandle): Adapter {
  const binding = handle as Binding;
  assert(binding.isOpen, 'a closed binding is not used');
  return binding.adapter;
}

function adapterOfHandle(handle: NdisOffloadHandle): Adapter {
  const binding = handle.ndisReserved as Binding | null;
  assert(binding !== null, 'a data call names an object that was offloaded (CTX-009)');
  return binding.adapter;
}

function contextOf(handle: NdisOffloadHandle): unknown {
  const context = handle.miniportOffloadContext;
  assert(context !== null, 'a data call names an object that is offloaded now (CTX-015)');
  return context;
}
