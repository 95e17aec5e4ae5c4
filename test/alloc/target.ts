/**
 * Measures what the engine target allocates per segment: two targets on a wire without memory of its own, hosts that reuse
 * their lists, in a process of its own.
 *
 * Run with the flags of test/support/child.ts. Answers with one line of JSON: bytes and nanoseconds a segment, by scenario,
 * and the memory of an idle connection. With an argument it measures under another NDIS: 'bare' (bare-ndis.ts), or 'seated', with a
 * verifier on each binding; or 'worker': the worker target, both halves in this thread; then without the idle connection.
 */
import type { RandomSource, Runtime, Timer } from '../../src/base/runtime.ts';
import { asSeq } from '../../src/base/seq.ts';
import { findingText } from '../../src/contract/finding.ts';
import { Verifier } from '../../src/contract/verifier.ts';
import type { Link, LinkReceiver } from '../../src/link/link.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import {
  type BytesConsumed,
  DEFAULT_OFFLOAD_PARAMETERS,
  type NdisBindingHandle,
  NdisOffloadHandle,
  NdisStatus,
  OffloadBlock,
  OffloadStateType,
  Oid,
  type ProtocolDriver,
} from '../../src/ndis/protocol.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../src/state/neighbor.ts';
import { type NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { PathCachedState, PathConstState, PathDelegatedState } from '../../src/state/path.ts';
import {
  TcpCachedState,
  TcpConnectionState,
  TcpConstFlag,
  TcpConstState,
  TcpDelegatedState,
} from '../../src/state/tcp.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { Trace } from '../../src/trace/trace.ts';
import { leastOf } from '../support/least.ts';
import { BareNdis } from './bare-ndis.ts';

/** Under which NDIS: 'absent', 'bare' or 'seated'; or 'worker'. */
const how = process.argv[2] ?? 'absent';

function found(text: string): never {
  throw new Error(text);
}

const MTU = 1500;
const WINDOW = 1 << 20;
const SLOTS = 4096;

/** Time that stands in one place of an array, so that reading it makes no number objects of its own. */
const clock = new Float64Array([5_000_000_000]);

class FixedTimer implements Timer {
  readonly onDue: (nowUs: number) => void;
  atUs: number = Number.POSITIVE_INFINITY;
  constructor(onDue: (nowUs: number) => void) {
    this.onDue = onDue;
  }
  arm(atUs: number): void {
    this.atUs = atUs;
  }
  disarm(): void {
    this.atUs = Number.POSITIVE_INFINITY;
  }
}

class FixedRuntime implements Runtime {
  readonly timers: FixedTimer[] = [];
  readonly tasks: (() => void)[] = [];
  readonly random: RandomSource = { nextUint32: () => 7, fill: (bytes) => void bytes.fill(7) };
  nowUs(): number {
    return clock[0]!;
  }
  timer(onDue: (nowUs: number) => void): Timer {
    const timer = new FixedTimer(onDue);
    this.timers.push(timer);
    return timer;
  }
  defer(task: () => void): void {
    this.tasks.push(task);
  }
  urgent(task: () => void): void {
    this.defer(task);
  }
  /** Deferred tasks, then due timers; whether there were any. */
  step(): boolean {
    const count = this.tasks.length;
    for (let i = 0; i < this.tasks.length; i++) this.tasks[i]!();
    this.tasks.length = 0;
    for (const timer of this.timers) {
      if (timer.atUs > clock[0]!) continue;
      timer.atUs = Number.POSITIVE_INFINITY;
      timer.onDue(clock[0]!);
    }
    return count > 0;
  }
}

/** One end of a wire: frames wait in slots that are used again. */
class SlotLink implements Link {
  readonly name: string;
  readonly medium = 'ethernet' as const;
  readonly mtu: number = MTU;
  readonly macAddress: Uint8Array;
  readonly slots: Uint8Array[] = Array.from({ length: SLOTS }, () => new Uint8Array(MTU + 18));
  readonly lengths: Int32Array = new Int32Array(SLOTS);
  count = 0;
  frames = 0;
  receiver: LinkReceiver | null = null;

  constructor(name: string, last: number) {
    this.name = name;
    this.macAddress = new Uint8Array([2, 0, 0, 0, 0, last]);
  }
  start(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }
  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.count === SLOTS) return false;
    // Byte by byte, not by a view: the copy is the wire's and must not count.
    const slot = this.slots[this.count]!;
    for (let i = 0; i < length; i++) slot[i] = bytes[at + i]!;
    this.lengths[this.count++] = length;
    this.frames++;
    return true;
  }
  close(): void {}
  /** Hands everything that waits to the other end. */
  carryTo(other: SlotLink): boolean {
    const count = this.count;
    if (count === 0) return false;
    this.count = 0;
    for (let i = 0; i < count; i++) other.receiver!.receive(this.slots[i]!, 0, this.lengths[i]!);
    other.receiver!.receiveDone();
    if (count === SLOTS) this.receiver!.writable();
    return true;
  }
}

class Host implements ProtocolDriver {
  readonly name = 'host';
  readonly hasChimney = true;
  readonly ndis: NdisLibrary;
  readonly link: SlotLink;
  readonly target: EngineAdapter | PairedAdapter;
  readonly binding: NdisBindingHandle;
  readonly free: NetBufferList[] = [];
  postsReceives = false;
  handle: NdisOffloadHandle = new NdisOffloadHandle(null);

  constructor(runtime: Runtime, name: string, last: number) {
    const trace = new Trace();
    this.ndis = how === 'bare' ? new BareNdis(runtime, trace) : new NdisLibrary(runtime, trace);
    this.link = new SlotLink(name, last);
    const options = { link: this.link, runtime, trace };
    this.target = how === 'worker' ? new PairedAdapter(options) : new EngineAdapter(options);
    this.ndis.registerAdapter(this.target);
    if (how === 'seated')
      this.ndis.attachTap(name, new Verifier({ onFinding: (finding) => found(findingText(finding)) }));
    this.binding = this.ndis.openAdapterEx(this, null, name);
    const information = { ...DEFAULT_OFFLOAD_PARAMETERS, nceStaleTicks: 0xffffffff };
    this.ndis.oidRequest(this.binding, { oid: Oid.TCP_TASK_OFFLOAD, kind: 'set', information });
  }

  tcpOffloadSendComplete(_context: unknown, lists: NetBufferList): void {
    this.#reuse(lists);
  }
  tcpOffloadReceiveComplete(_context: unknown, lists: NetBufferList): void {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      restore(list);
      this.ndis.offloadTcpReceive(this.handle, list);
      list = next;
    }
  }
  tcpOffloadReceiveIndicate(_c: NdisOffloadHandle, list: NetBufferList, _s: number, consumed: BytesConsumed): number {
    consumed.value = list.firstNetBuffer!.dataLength;
    this.ndis.offloadTcpReceiveReturn(this.binding, list);
    return NdisStatus.SUCCESS;
  }
  #reuse(lists: NetBufferList): void {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      restore(list);
      this.free.push(list);
      list = next;
    }
  }
  receiveNetBufferLists(): void {}
  receiveDone(): void {}
  sendNetBufferListsComplete(): void {}
  statusEx(): void {}
  oidRequestComplete(): void {}
  initiateOffloadComplete(): void {}
  terminateOffloadComplete(): void {}
  updateOffloadComplete(): void {}
  queryOffloadComplete(): void {}
  invalidateOffloadComplete(): void {}
  indicateOffloadEvent(): void {}
  tcpOffloadDisconnectComplete(): void {}
  tcpOffloadForwardComplete(): void {}
  tcpOffloadEvent(): void {}

  /** Offloads connections of ports from `firstPort` on, on one path. */
  offload(own: number, other: number, firstPort: number, count: number, isFlipped: boolean): void {
    const root = new OffloadBlock(OffloadStateType.NEIGHBOR, new NdisOffloadHandle(null));
    const cached = new NeighborCachedState();
    cached.dlDestinationAddress.set([2, 0, 0, 0, 0, other]);
    root.constState = new NeighborConstState();
    root.cachedState = cached;
    root.delegatedState = new NeighborDelegatedState();
    const path = new OffloadBlock(OffloadStateType.IP4, new NdisOffloadHandle(null));
    path.constState = new PathConstState(new Uint8Array([10, 0, 0, own]), new Uint8Array([10, 0, 0, other]));
    path.cachedState = new PathCachedState(MTU);
    path.delegatedState = new PathDelegatedState();
    root.dependentBlockList = path;
    let last: OffloadBlock | null = null;
    for (let i = 0; i < count; i++) {
      const handle = i === 0 ? this.handle : new NdisOffloadHandle(null);
      const block = tcpBlock(
        handle,
        1 + ((firstPort + i) % 60_000),
        1 + Math.floor((firstPort + i) / 60_000),
        isFlipped,
      );
      if (last === null) path.dependentBlockList = block;
      else last.nextBlock = block;
      last = block;
    }
    this.ndis.initiateOffload(this.binding, root);
  }
}

function tcpBlock(handle: NdisOffloadHandle, port: number, other: number, isFlipped: boolean): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.TCP, handle);
  const constant = new TcpConstState();
  constant.flags = TcpConstFlag.WINDOW_SCALING_ENABLED | TcpConstFlag.SACK_ENABLED | TcpConstFlag.TIMESTAMP_ENABLED;
  constant.localPort = isFlipped ? other : port;
  constant.remotePort = isFlipped ? port : other;
  constant.sndWindScale = 7;
  constant.rcvWindScale = 7;
  constant.remoteMss = MTU - 40;
  const cached = new TcpCachedState();
  cached.initialRcvWnd = WINDOW;
  cached.ttlOrHopLimit = 64;
  const delegated = new TcpDelegatedState();
  delegated.state = TcpConnectionState.ESTABLISHED;
  delegated.rcvNxt = asSeq(1000);
  delegated.sndUna = asSeq(1000);
  delegated.sndNxt = asSeq(1000);
  delegated.sndMax = asSeq(1000);
  delegated.sndWl1 = asSeq(1000);
  delegated.rcvWnd = WINDOW;
  delegated.sndWnd = WINDOW;
  delegated.maxSndWnd = WINDOW;
  delegated.cWnd = WINDOW;
  delegated.ssThresh = WINDOW;
  delegated.keepAliveTimeoutDelta = -1;
  delegated.retransmitTimeoutDelta = -1;
  block.constState = constant;
  block.cachedState = cached;
  block.delegatedState = delegated;
  return block;
}

/** The list as it was before it was completed. */
function restore(list: NetBufferList): void {
  const nb = list.firstNetBuffer!;
  nb.dataLength = nb.mdlChain!.byteCount;
  nb.dataOffset = 0;
  nb.currentMdl = nb.mdlChain;
  nb.currentMdlOffset = 0;
}

const runtime = new FixedRuntime();
const a = new Host(runtime, 'a', 1);
const b = new Host(runtime, 'b', 2);

/** Runs until nothing is left to do at this instant. */
function settle(): void {
  for (;;) {
    const isBusy = runtime.step();
    const isCarried = a.link.carryTo(b.link);
    if (!b.link.carryTo(a.link) && !isCarried && !isBusy) return;
  }
}

function bulk(segments: number): void {
  const end = a.link.frames + segments;
  while (a.link.frames < end) {
    clock[0] = clock[0]! + 100;
    while (a.free.length > 0) a.ndis.offloadTcpSend(a.handle, a.free.pop()!);
    settle();
  }
}

interface Result {
  readonly bytesPerSegment: number;
  readonly nsPerSegment: number;
}

/** Rounds of a measurement of time: what disturbs it only ever adds. */
const ROUNDS_OF_TIME = 9;

function measure(run: (segments: number) => void, segments: number): Result {
  if (process.argv[2] !== undefined) {
    return leastOf(
      () => measureOnce(run, segments / 6),
      (result) => result.nsPerSegment,
      ROUNDS_OF_TIME,
    );
  }
  return leastOf(
    () => measureOnce(run, segments),
    (result) => result.bytesPerSegment,
  );
}

function measureOnce(run: (segments: number) => void, segments: number): Result {
  run(segments);
  run(segments);
  gc!();
  const before = process.memoryUsage().heapUsed;
  const start = process.hrtime.bigint();
  const from = a.link.frames + b.link.frames;
  run(segments);
  const count = a.link.frames + b.link.frames - from;
  const ns = Number(process.hrtime.bigint() - start);
  const bytes = process.memoryUsage().heapUsed - before;
  return { bytesPerSegment: bytes / count, nsPerSegment: ns / count };
}

/** Heap and buffers of an idle connection at the target; the host's blocks and handles are let go of. */
async function idle(connections: number): Promise<number> {
  const memory = async (): Promise<number> => {
    // Array buffers are freed by a thread of their own, some time after the collection.
    for (let i = 0; i < 4; i++) {
      gc!();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const host = new Host(runtime, 'c', 3);
  const before = await memory();
  host.offload(3, 4, 0, connections, false);
  runtime.step();
  return ((await memory()) - before) / connections;
}

a.offload(1, 2, 0, 1, false);
b.offload(2, 1, 0, 1, true);
settle();
for (let i = 0; i < 16; i++) a.free.push(netBufferListOver(new Uint8Array(32 * 1024)));
const indicated = measure(bulk, 60_000);
for (let i = 0; i < 8; i++) b.ndis.offloadTcpReceive(b.handle, netBufferListOver(new Uint8Array(64 * 1024)));
const posted = measure(bulk, 60_000);
const held = b.target.control.held();
const idleBytes = process.argv[2] === undefined ? await idle(100_000) : 0;
console.log(JSON.stringify({ indicated, posted, held, idleBytes }));
