/**
 * The NIC half: the engine over the device, and the rings in place of the driver above it.
 *
 * Promises: whatever comes by the ring is done in its order; nothing is published before the batch is over, and then once. Runs in
 * a thread of its own, or beside the driver half in one thread. Leaves to others: the loop, and waking the other side.
 */

import { assert } from '../../base/assert.ts';
import type { Runtime } from '../../base/runtime.ts';
import type { Link } from '../../link/link.ts';
import {
  type NdisMiniportHandle,
  NdisOffloadHandle,
  OffloadBlock,
  type OffloadStateType,
  TcpDisconnectFlag,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import { emptyNetBufferList, type Mdl, type NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpDelegatedState } from '../../state/tcp.ts';
import { TcpSlab } from '../../tcp/slab.ts';
import type { PacketTap, Trace } from '../../trace/trace.ts';
import { type EngineAdapterOptions, OperationKind } from '../engine/engine.ts';
import { ReceivePool } from '../engine/receive-pool.ts';
import { type Arena, ControlWord, FRAMES_DOWN_BYTES, operationBegun } from './arena.ts';
import { FAILURES, type Fail, type Failure, fail } from './failing.ts';
import { NicAdapter } from './nic-adapter.ts';
import { NicDoors } from './nic-doors.ts';
import { fillFrame, frameList, type NicList, NicListKind, NicLists, NicObject } from './nic-objects.ts';
import { FRAME_WORDS, Outbox, RecordReader } from './outbox.ts';
import { Down, Up, Wish } from './records.ts';
import { RingReader, RingWriter } from './ring.ts';
import { type CachedState, type ConstState, type DelegatedState, readState } from './state-codec.ts';
import { StateTable } from './state-table.ts';
import { TouchedObjects } from './touched-objects.ts';

/** What of the engine's options can cross to another thread, and what the halves agree on. */
export interface NicConfig
  extends Pick<
    EngineAdapterOptions,
    | 'name'
    | 'capacity'
    | 'vlanIds'
    | 'allowSourceMac'
    | 'supports8021p'
    | 'multicastAddresses'
    | 'badPackets'
    | 'backlogLists'
    | 'pauseQueueUs'
    | 'invalidated'
    | 'discretion'
    | 'tcp'
  > {
  readonly macAddress: Uint8Array;
  /** Whether every packet is to be shown to the driver half. */
  readonly showsPackets: boolean;
}

export interface NicParts {
  readonly arena: Arena;
  readonly link: Link;
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly config: NicConfig;
  /** There is something to be published, outside a poll. */
  readonly onDirty: () => void;
  /** How it fails when it is told to; absent: as one that is not alone in its thread. */
  readonly fail?: Fail;
}

/** Records done in one poll at most, so that the device gets its turn. */
const RECORDS_MAX = 256;

/** Bytes acknowledged by peers for which the driver half is woken at once. */
const LAZY_BYTES = 256 * 1024;

/** The half with the engine. */
export class NicHalf {
  readonly adapter: NicAdapter;
  readonly #arena: Arena;
  readonly #ring: RingReader;
  readonly #record: RecordReader;
  readonly #out: Outbox;
  readonly #doors: NicDoors;
  readonly #touched: TouchedObjects;
  #isFailing = false;
  readonly #failNow: Fail;
  readonly #lists: NicLists = new NicLists();
  readonly #objects: (NicObject | undefined)[] = [];
  readonly #handle: NdisMiniportHandle;
  /** Whether the driver half is to be woken for what was published. */
  hasSpoken = false;
  /** Whether something was published for which it need not be woken yet. */
  isLazy = false;
  // The tree that is coming in.
  #operation = 0;
  #kind: OperationKind = OperationKind.INITIATE;
  #root: OffloadBlock | null = null;
  readonly #last: (OffloadBlock | null)[] = [null, null, null];
  #lastBlock: OffloadBlock | null = null;
  /** The list for frames of the host, and whether the one it stands for is sent. */
  #frame: NetBufferList = frameList();
  #isFrameSent = false;

  constructor(parts: NicParts) {
    const { arena, config, trace, runtime, link } = parts;
    const { words, control, sizes } = arena;
    this.#arena = arena;
    this.#failNow = parts.fail ?? fail;
    this.#ring = new RingReader({
      words,
      control,
      at: arena.downAt >> 2,
      capacity: sizes.downBytes >> 2,
      head: ControlWord.DOWN_HEAD,
      tail: ControlWord.DOWN_TAIL,
    });
    this.#record = new RecordReader(words);
    const writer = new RingWriter({
      words,
      control,
      at: arena.upAt >> 2,
      capacity: sizes.upBytes >> 2,
      head: ControlWord.UP_HEAD,
      tail: ControlWord.UP_TAIL,
    });
    const out = new Outbox(writer, arena.bytes, arena.copy, parts.onDirty);
    this.#out = out;
    const pool = new ReceivePool(sizes.receiveBytes, {
      own: (index) => arena.receiveBlock(index),
      copy: arena.copy,
      foreign: null,
      onForeignFree: null,
      frames: arena.frames,
    });
    const { showsPackets, ...options } = config;
    this.adapter = new NicAdapter({
      ...options,
      link,
      runtime,
      trace,
      pool,
      slab: new TcpSlab(undefined, arena.state),
      packetTap: showsPackets ? packetsTo(out) : null,
      refuse: ({ block }) => (block.ndisOffloadHandle!.owner as NicObject).refusal,
    });
    const doors = new NicDoors(out, trace, this.#lists, pool);
    doors.onFrameSent = (lists) => {
      if (lists === this.#frame) this.#isFrameSent = true;
    };
    doors.onGone = ({ id }) => {
      this.#objects[id] = undefined;
      this.#touched.end(id);
    };
    this.#touched = new TouchedObjects(new StateTable(arena));
    this.adapter.onTouch = (context) => this.#touched.touch(context);
    this.#doors = doors;
    this.#handle = { adapterName: this.adapter.attributes.name };
  }

  start(): void {
    this.adapter.initializeEx(this.#handle, this.#doors);
  }

  /** An operation was completed, and not yet published. */
  get hasAnswered(): boolean {
    return this.#doors.hasAnswered;
  }

  /** Whether the driver half has said something. */
  get hasInput(): boolean {
    return this.#ring.hasMore;
  }

  /** Whether there are records for which the ring has no room. */
  get isWaiting(): boolean {
    return this.#out.isWaiting;
  }

  /** An operation is about to come. `isAsked`: the driver half wants to know when this half is ready for it. */
  rehearse(isAsked: boolean): void {
    this.adapter.rehearse();
    if (isAsked) this.#out.say(Up.READY);
  }

  /** Does what the driver half has said, a bounded part of it. Answers whether there was something. */
  poll(): boolean {
    let count = 0;
    while (count < RECORDS_MAX && this.#ring.next()) {
      count++;
      this.#record.at = this.#ring.at;
      this.#dispatch(this.#ring.type, this.#ring.at + this.#ring.length);
      if (this.#ring.type === Down.FRAME) this.#makeRoom();
      // An operation is carried out at once: connections stand still until it is.
      if (this.#ring.type === Down.GO) break;
    }
    this.#ring.release();
    return count > 0;
  }

  /** A frame is sent: its place is free, and whoever waits for half of what may stand here hears of it. */
  #makeRoom(): void {
    this.#ring.release();
    const { control } = this.#arena;
    if (Atomics.load(control, ControlWord.ROOM_WANTED) === 0) return;
    if (this.#ring.waitingWords * 4 > FRAMES_DOWN_BYTES / 2) return;
    Atomics.store(control, ControlWord.ROOM_WANTED, 0);
    this.#out.isUrgent = true;
  }

  /** Makes everything visible to the driver half. */
  publish(): void {
    if (this.#isFailing && this.#touched.count > 0) this.#failNow('throw');
    this.adapter.writeStatistics(this.#arena.statistics);
    const out = this.#out;
    this.hasSpoken = out.isUrgent || out.isWaiting || out.lazyBytes >= LAZY_BYTES;
    this.isLazy = !this.hasSpoken && out.lazyBytes > 0;
    if (this.hasSpoken) this.rung();
    out.publish();
    if (!out.isWaiting) this.#touched.settle();
    if (!this.#doors.hasAnswered || out.isWaiting) return;
    this.#doors.hasAnswered = false;
    const { control } = this.#arena;
    Atomics.add(control, ControlWord.ANSWERED, 1);
    Atomics.notify(control, ControlWord.ANSWERED);
  }

  /** The driver half is woken for everything. */
  rung(): void {
    this.#out.isUrgent = false;
    this.#out.lazyBytes = 0;
    this.isLazy = false;
  }

  /** A counter that has grown, for the trace of the driver half. */
  count(event: number, by: number): void {
    this.#out.say(Up.COUNT, event, by);
  }

  #dispatch(type: number, end: number): void {
    const record = this.#record;
    switch (type) {
      case Down.FRAME:
        this.#sendFrame();
        return;
      case Down.SEND:
        this.#send(end);
        return;
      case Down.TAKEN: {
        const connection = this.#objects[record.next()]?.connection;
        if (connection) this.adapter.taken(connection, record.next());
        return;
      }
      case Down.RETURN:
        this.adapter.returned(record.next(), record.next());
        return;
      case Down.DISCONNECT:
        this.#disconnect(record.next(), record.next());
        return;
      case Down.FORWARD:
        this.#forward(end);
        return;
      case Down.OID:
        this.adapter.oidRequest(null, { oid: record.next(), kind: 'set', information: record.nextJson() });
        return;
      case Down.WISH:
        this.#wish(record.next());
        return;
      case Down.REACHABILITY: {
        const object = this.#objects[record.next()];
        this.adapter.reachability(object?.handle.miniportOffloadContext, record.next() >>> 0);
        return;
      }
      default:
        this.#dispatchTree(type, end);
    }
  }

  // Data.

  /** Sent from where it lies in the ring; where the link has no room now, it waits in a copy. */
  #sendFrame(): void {
    const { words } = this.#ring;
    const { at } = this.#ring;
    const bytes = this.#arena.bytes;
    const from = ((at + FRAME_WORDS) << 2) + words[at + 2]!;
    const length = words[at + 3]!;
    const list = this.#frame;
    fillFrame(list, bytes, from, length);
    list.largeSendMss = words[at]!;
    this.#isFrameSent = false;
    this.adapter.sendNetBufferLists(null, list, 0);
    if (this.#isFrameSent) return;
    const mdl = list.firstNetBuffer!.mdlChain!;
    mdl.buffer = bytes.slice(from, from + length);
    mdl.byteOffset = 0;
    this.#frame = frameList();
  }

  #send(end: number): void {
    const list = this.#listOf(NicListKind.SEND, end);
    const context = this.#objects[list.connection]?.connection;
    assert(context != null, 'data is sent on a connection that is offloaded here');
    this.adapter.tcpOffloadSend(null, context, list);
  }

  #forward(end: number): void {
    const list = this.#listOf(NicListKind.FORWARD, end);
    const context = this.#objects[list.connection]?.connection;
    assert(context != null, 'a segment is forwarded to a connection that is offloaded here');
    this.adapter.tcpOffloadForward(null, context, list);
  }

  #disconnect(connection: number, flags: number): void {
    const context = this.#objects[connection]?.connection;
    assert(context != null, 'a connection that is offloaded here is closed');
    const kind = flags === TcpDisconnectFlag.ABORTIVE_CLOSE ? NicListKind.ABORTIVE : NicListKind.GRACEFUL;
    this.adapter.tcpOffloadDisconnect(null, context, this.#lists.take(kind, connection, 0), flags);
  }

  /** The list of a record: connection, number, and pieces up to `end`. */
  #listOf(kind: number, end: number): NicList {
    const record = this.#record;
    const connection = record.next();
    const list = this.#lists.take(kind, connection, record.next());
    let last: Mdl | null = null;
    while (record.at < end) {
      const index = record.next();
      const block = index < 0 ? this.#arena.keptBlock(~index) : this.#arena.sendBlock(index);
      const at = record.next();
      last = this.#lists.add(list, last, block, at, record.next());
    }
    return list;
  }

  // State operations.

  #dispatchTree(type: number, end: number): void {
    const record = this.#record;
    switch (type) {
      case Down.OPERATION:
        operationBegun(this.#arena.control);
        this.#operation = record.next();
        this.#kind = record.next() as OperationKind;
        this.#root = null;
        this.#last.fill(null);
        return;
      case Down.BLOCK:
        this.#block();
        return;
      case Down.CARRIED:
        this.#carry(end);
        return;
      default:
        assert(type === Down.GO, 'a record is of a type that is known');
        this.#go();
    }
  }

  #block(): void {
    const record = this.#record;
    const depth = record.next();
    const block = new OffloadBlock(record.next() as OffloadStateType);
    block.header.revision = record.next();
    const id = record.next();
    const refusal = record.next();
    const unreadBytes = record.next();
    const isUrgent = record.next() !== 0;
    block.constState = readState(record, null) as ConstState | null;
    block.cachedState = readState(record, null) as CachedState | null;
    block.delegatedState = readState(record, null) as DelegatedState | null;
    if (id !== PLACEHOLDER) this.#name(block, id, refusal);
    if (isUrgent && block.delegatedState instanceof TcpDelegatedState) {
      block.delegatedState.bufferedData = emptyNetBufferList();
      block.delegatedState.bufferedData.hasUrgentData = true;
    }
    if (unreadBytes > 0) block.scratch[0] = unreadBytes;
    const before = this.#last[depth];
    if (before) before.nextBlock = block;
    else if (depth > 0) this.#last[depth - 1]!.dependentBlockList = block;
    else this.#root = block;
    this.#last[depth] = block;
    for (let below = depth + 1; below < this.#last.length; below++) this.#last[below] = null;
    this.#lastBlock = block;
  }

  #name(block: OffloadBlock, id: number, refusal: number): void {
    if (id === UNKNOWN) {
      block.miniportOffloadContext = new NdisOffloadHandle(null);
      return;
    }
    let object = this.#objects[id];
    if (object === undefined) {
      object = new NicObject(id);
      this.#objects[id] = object;
    }
    object.refusal = refusal;
    block.miniportOffloadContext = object.handle;
    block.ndisOffloadHandle = object.handle;
  }

  #carry(end: number): void {
    const block = this.#lastBlock!;
    const list = this.#listOf(NicListKind.SEND, end);
    const delegated = block.delegatedState as TcpDelegatedState;
    if (block.netBufferListChain === null) {
      block.netBufferListChain = list;
      delegated.sendDataHead = list;
    } else delegated.sendDataTail!.next = list;
    delegated.sendDataTail = list;
  }

  #go(): void {
    const root = this.#root!;
    this.#doors.operations.set(root, this.#operation);
    switch (this.#kind) {
      case OperationKind.INITIATE:
        this.adapter.initiateOffload(null, root);
        return;
      case OperationKind.TERMINATE:
        this.adapter.terminateOffload(null, root);
        return;
      case OperationKind.UPDATE:
        this.adapter.updateOffload(null, root);
        return;
      case OperationKind.QUERY:
        this.adapter.queryOffload(null, root);
        return;
      default:
        this.adapter.invalidateOffload(null, root);
    }
  }

  // Operators.

  #fail(how: Failure): void {
    this.#isFailing = how === 'throw-unpublished';
    if (!this.#isFailing) this.#failNow(how);
  }

  #wish(wish: number): void {
    const record = this.#record;
    const { control } = this.adapter;
    switch (wish) {
      case Wish.RETRIEVE: {
        const object = this.#objects[record.next()];
        if (object !== undefined) control.retrieve(object.handle, record.next());
        return;
      }
      case Wish.UPLOAD_ALL:
        control.uploadAll();
        return;
      case Wish.PAUSE:
        control.pause();
        return;
      case Wish.RESUME:
        control.resume(record.nextJson() as Parameters<typeof control.resume>[0]);
        return;
      case Wish.CAPACITY:
        control.setCapacity(record.nextJson() as Parameters<typeof control.setCapacity>[0]);
        return;
      case Wish.STILL:
        if (record.next() === 1) this.adapter.pause(null);
        else this.adapter.restart(null);
        return;
      case Wish.RESET:
        this.adapter.resetEx(null);
        return;
      case Wish.DEVICE:
        this.adapter.devicePnpEventNotifyEx(null, record.next());
        return;
      case Wish.FAIL:
        this.#fail(FAILURES[record.next()]!);
        return;
      case Wish.STARVE: {
        const context = this.#objects[record.next()]?.connection;
        if (context) this.adapter.upload(context, TcpUploadReason.UPLOAD_REQUESTED);
        return;
      }
      default: {
        const object = this.#objects[record.next()];
        if (object !== undefined) control.corrupt(object.handle);
      }
    }
  }
}

/** Numbers of objects that are none: a placeholder; a slot in which nothing that is known stands. */
export const PLACEHOLDER = 0;
export const UNKNOWN = -1;

/** A tap whose packets go to the driver half; those for which the ring has no room are not seen. */
function packetsTo(out: Outbox): PacketTap {
  return {
    packet: (direction, handledBy, bytes, at, length) =>
      void out.frame(Up.PACKET, direction, handledBy, bytes, at, length),
    operation: () => {},
  };
}
