/** A target over a test link under the real library, with a fake host above and a fake peer on the wire. */
import { asSeq } from '../../../src/base/seq.ts';
import { VirtualRuntime } from '../../../src/base/virtual-runtime.ts';
import type { Medium } from '../../../src/link/link.ts';
import type { MiniportDriver } from '../../../src/ndis/miniport.ts';
import { NdisLibrary } from '../../../src/ndis/ndis-library.ts';
import {
  DEFAULT_OFFLOAD_PARAMETERS,
  type NdisBindingHandle,
  NdisOffloadHandle,
  NdisStatus,
  ndisStatusName,
  OffloadBlock,
  OffloadStateType,
  Oid,
  type OidRequest,
  TcpDisconnectFlag,
} from '../../../src/ndis/protocol.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../../src/state/neighbor.ts';
import { emptyNetBufferList, type NetBufferList, netBufferListOver } from '../../../src/state/net-buffer-list.ts';
import { PathCachedState, PathConstState, PathDelegatedState } from '../../../src/state/path.ts';
import {
  TcpCachedFlag,
  TcpCachedState,
  TcpConnectionState,
  TcpConstFlag,
  TcpConstState,
  TcpDelegatedState,
  TIMER_NOT_RUNNING,
} from '../../../src/state/tcp.ts';
import type { TargetControl } from '../../../src/target/engine/control.ts';
import type { EngineAdapterOptions } from '../../../src/target/engine/engine.ts';
import { EngineAdapter } from '../../../src/target/engine/engine-adapter.ts';
import { Trace } from '../../../src/trace/trace.ts';
import { FakeHost } from './fake-host.ts';
import { buildFrame, type Frame, parseFrame, type SegmentSpec } from './frames.ts';
import { TestLink } from './test-link.ts';

export const PEER_MAC: Uint8Array = new Uint8Array([2, 0, 0, 0, 0, 0x99]);
export const RCV_NXT = 5_000;
export const SND_UNA = 1_000;

export interface ConnectionSpec {
  readonly localPort?: number;
  readonly remotePort?: number;
  readonly state?: number;
  readonly rcvNxt?: number;
  readonly sndUna?: number;
  readonly sndNxt?: number;
  readonly sndMax?: number;
  readonly sndWnd?: number;
  readonly window?: number;
  readonly rcvIndicationSize?: number;
  readonly constFlags?: number;
  readonly cachedFlags?: number;
  readonly sendData?: NetBufferList | null;
  readonly buffered?: NetBufferList | null;
  readonly tsTime?: number;
  readonly userPriority?: number;
  readonly keepAliveTimeoutDelta?: number;
  readonly retransmitTimeoutDelta?: number;
  readonly retransmitCount?: number;
  readonly remoteMss?: number;
  readonly hashValue?: number;
  /** Variables by name, over all others. */
  readonly constant?: Partial<Record<VariableOf<TcpConstState>, number>>;
  readonly cached?: Partial<Record<VariableOf<TcpCachedState>, number>>;
  readonly delegated?: Partial<Record<VariableOf<TcpDelegatedState>, number>>;
}

/** The variables of a structure that are numbers. */
type VariableOf<T> = { [K in keyof T]: T[K] extends number ? K : never }[keyof T];

export interface NeighborSpec {
  readonly vlanId?: number;
  readonly source?: Uint8Array;
  readonly destination?: Uint8Array;
  readonly hrd?: number;
}

export interface PathSpec {
  readonly family?: 4 | 6;
  readonly pathMtu?: number;
  /** Last byte of the remote address. */
  readonly remote?: number;
  /** Last byte of the local address. */
  readonly local?: number;
}

export interface WorldOptions extends Partial<Omit<EngineAdapterOptions, 'link' | 'runtime' | 'trace'>> {
  readonly medium?: Medium;
  readonly mtu?: number;
  readonly family?: 4 | 6;
  readonly enable?: boolean;
  readonly parameters?: Partial<typeof DEFAULT_OFFLOAD_PARAMETERS>;
}

export function address(family: 4 | 6, last: number): Uint8Array {
  if (family === 4) return new Uint8Array([10, 0, 0, last]);
  const bytes = new Uint8Array(16);
  bytes[0] = 0xfd;
  bytes[15] = last;
  return bytes;
}

/** A host's control block of one object. */
export class HostObject {
  readonly handle: NdisOffloadHandle = new NdisOffloadHandle(this);
}

/** What is tested: a target with a chimney and a control. */
export type TestTarget = MiniportDriver & { readonly control: TargetControl };

/** Which target the worlds of this file have; another file may run the same tests over another one. */
export const subject: { make: (options: EngineAdapterOptions) => TestTarget; isApart: boolean } = {
  make: (options) => new EngineAdapter(options),
  /** Its engine is on the other side of a ring: what it does shows a task later. */
  isApart: false,
};

export class World {
  readonly runtime: VirtualRuntime;
  readonly trace: Trace = new Trace();
  readonly ndis: NdisLibrary;
  readonly link: TestLink;
  readonly host: FakeHost = new FakeHost();
  readonly target: TestTarget;
  readonly binding: NdisBindingHandle;
  readonly family: 4 | 6;
  readonly options: WorldOptions;

  constructor(options: WorldOptions = {}) {
    this.options = options;
    this.family = options.family ?? 4;
    this.runtime = new VirtualRuntime('target');
    this.ndis = new NdisLibrary(this.runtime, this.trace);
    this.link = new TestLink('nic0', options.medium ?? 'ethernet', options.mtu ?? 1500);
    if (subject.isApart) this.link.onDelivered = () => this.settle();
    this.target = subject.make({ ...options, link: this.link, runtime: this.runtime, trace: this.trace });
    this.ndis.registerAdapter(this.target);
    this.binding = this.ndis.openAdapterEx(this.host, null, 'nic0');
    if (options.enable ?? true) this.enable();
  }

  enable(): number {
    return this.oid({
      oid: Oid.TCP_TASK_OFFLOAD,
      kind: 'set',
      information: { ...DEFAULT_OFFLOAD_PARAMETERS, ...this.options.parameters },
    });
  }

  oid(request: OidRequest): number {
    const status = this.ndis.oidRequest(this.binding, request);
    if (subject.isApart) this.settle();
    return status;
  }

  /** Runs everything that is due now. */
  settle(): void {
    this.runtime.settle();
  }

  // Blocks.

  neighborBlock(object: HostObject, spec: NeighborSpec = {}): OffloadBlock {
    const block = new OffloadBlock(OffloadStateType.NEIGHBOR, object.handle);
    const constant = new NeighborConstState();
    constant.vlanId = spec.vlanId ?? 0;
    if (spec.source !== undefined) constant.dlSourceAddress.set(spec.source);
    const cached = new NeighborCachedState();
    cached.dlDestinationAddress.set(spec.destination ?? PEER_MAC);
    cached.hostReachabilityDelta = spec.hrd ?? 0;
    const delegated = new NeighborDelegatedState();
    delegated.nicReachabilityDelta = spec.hrd ?? 0;
    block.constState = constant;
    block.cachedState = cached;
    block.delegatedState = delegated;
    return block;
  }

  pathBlock(object: HostObject, spec: PathSpec = {}): OffloadBlock {
    const family = spec.family ?? this.family;
    const block = new OffloadBlock(family === 4 ? OffloadStateType.IP4 : OffloadStateType.IP6, object.handle);
    block.constState = new PathConstState(address(family, spec.local ?? 1), address(family, spec.remote ?? 2));
    block.cachedState = new PathCachedState(spec.pathMtu ?? this.link.mtu);
    block.delegatedState = new PathDelegatedState();
    return block;
  }

  tcpBlock(object: HostObject, spec: ConnectionSpec = {}): OffloadBlock {
    const block = new OffloadBlock(OffloadStateType.TCP, object.handle);
    const constant = new TcpConstState();
    constant.flags = spec.constFlags ?? TcpConstFlag.WINDOW_SCALING_ENABLED | TcpConstFlag.SACK_ENABLED;
    constant.hashValue = spec.hashValue ?? 0;
    constant.localPort = spec.localPort ?? 80;
    constant.remotePort = spec.remotePort ?? 4711;
    constant.sndWindScale = 2;
    constant.rcvWindScale = 2;
    constant.remoteMss = spec.remoteMss ?? (this.family === 4 ? this.link.mtu - 40 : this.link.mtu - 60);
    const cached = new TcpCachedState();
    cached.flags = spec.cachedFlags ?? 0;
    cached.initialRcvWnd = spec.window ?? 65_536;
    cached.rcvIndicationSize = spec.rcvIndicationSize ?? 0;
    cached.ttlOrHopLimit = 64;
    cached.userPriority = spec.userPriority ?? 0;
    cached.kaTimeout = 7_200_000;
    cached.kaInterval = 1000;
    cached.kaProbeCount = 5;
    const delegated = new TcpDelegatedState();
    delegated.state = spec.state ?? TcpConnectionState.ESTABLISHED;
    delegated.rcvNxt = asSeq(spec.rcvNxt ?? RCV_NXT);
    delegated.rcvWnd = spec.window ?? 65_536;
    delegated.sndUna = asSeq(spec.sndUna ?? SND_UNA);
    delegated.sndNxt = asSeq(spec.sndNxt ?? spec.sndUna ?? SND_UNA);
    delegated.sndMax = asSeq(spec.sndMax ?? spec.sndNxt ?? spec.sndUna ?? SND_UNA);
    delegated.sndWnd = spec.sndWnd ?? 262_140;
    delegated.maxSndWnd = spec.sndWnd ?? 262_140;
    delegated.sndWl1 = delegated.rcvNxt;
    delegated.cWnd = 100_000;
    delegated.ssThresh = 1_000_000;
    delegated.sRtt = 8 * 20;
    delegated.rttVar = 4 * 5;
    delegated.tsTime = spec.tsTime ?? 0;
    delegated.keepAliveTimeoutDelta = spec.keepAliveTimeoutDelta ?? TIMER_NOT_RUNNING;
    delegated.retransmitTimeoutDelta = spec.retransmitTimeoutDelta ?? TIMER_NOT_RUNNING;
    delegated.retransmitCount = spec.retransmitCount ?? 0;
    delegated.bufferedData = spec.buffered ?? null;
    Object.assign(constant, spec.constant);
    Object.assign(cached, spec.cached);
    Object.assign(delegated, spec.delegated);
    const data = spec.sendData ?? null;
    block.netBufferListChain = data;
    delegated.sendDataHead = data;
    for (let list = data; list !== null; list = list.next) delegated.sendDataTail = list;
    block.constState = constant;
    block.cachedState = cached;
    block.delegatedState = delegated;
    return block;
  }

  // Operations.

  initiate(root: OffloadBlock): void {
    this.entry(() => this.ndis.initiateOffload(this.binding, root));
  }
  terminate(root: OffloadBlock): void {
    this.entry(() => this.ndis.terminateOffload(this.binding, root));
  }
  update(root: OffloadBlock): void {
    this.entry(() => this.ndis.updateOffload(this.binding, root));
  }
  query(root: OffloadBlock): void {
    this.entry(() => this.ndis.queryOffloadState(this.binding, root));
  }
  invalidate(root: OffloadBlock): void {
    this.entry(() => this.ndis.invalidateOffload(this.binding, root));
  }

  /** A call into the target, which must not call up from inside. */
  entry<T>(call: () => T): T {
    const before = this.host.insideEntry;
    this.host.insideEntry = true;
    try {
      return call();
    } finally {
      this.host.insideEntry = before;
    }
  }

  /** Offloads one connection over a neighbor and a path of its own. */
  offload(spec: ConnectionSpec = {}, pathSpec: PathSpec = {}, neighborSpec: NeighborSpec = {}): Connection {
    const connection = new Connection(this, spec, pathSpec);
    const root = this.neighborBlock(connection.neighbor, neighborSpec);
    root.dependentBlockList = this.pathBlock(connection.path, pathSpec);
    root.dependentBlockList.dependentBlockList = this.tcpBlock(connection.tcp, spec);
    this.initiate(root);
    this.settle();
    const status = ndisStatusName(root.dependentBlockList.dependentBlockList.status);
    if (status !== 'SUCCESS') throw new Error(`not offloaded: ${status}`);
    this.host.takeLog();
    return connection;
  }

  /** Frames sent since the last look, decoded. */
  sent(): Frame[] {
    return this.link.take().map((bytes) => parseFrame(bytes, this.link.medium));
  }
}

/** One offloaded connection, as host and as peer. */
export class Connection {
  readonly world: World;
  readonly neighbor: HostObject = new HostObject();
  readonly path: HostObject = new HostObject();
  readonly tcp: HostObject = new HostObject();
  readonly spec: ConnectionSpec;
  readonly pathSpec: PathSpec;
  /** What the peer sends next, and has acknowledged. */
  peerSeq: number;
  peerAck: number;

  constructor(world: World, spec: ConnectionSpec, pathSpec: PathSpec) {
    this.world = world;
    this.spec = spec;
    this.pathSpec = pathSpec;
    this.peerSeq = spec.rcvNxt ?? RCV_NXT;
    this.peerAck = spec.sndUna ?? SND_UNA;
  }

  // The host's calls.

  send(data: NetBufferList): number {
    return this.world.entry(() => this.world.ndis.offloadTcpSend(this.tcp.handle, data));
  }
  post(lists: NetBufferList): number {
    return this.world.entry(() => this.world.ndis.offloadTcpReceive(this.tcp.handle, lists));
  }
  /** Posts a request of so many bytes; answers its list. */
  postBytes(length: number, noPush = false, already = 0): NetBufferList {
    const list = length === 0 ? emptyNetBufferList() : netBufferListOver(new Uint8Array(length));
    list.tcpReceiveNoPush = noPush;
    list.tcpReceiveBytesTransferred = already;
    this.post(list);
    return list;
  }
  disconnect(list: NetBufferList = emptyNetBufferList(), flags: number = TcpDisconnectFlag.GRACEFUL_CLOSE): number {
    return this.world.entry(() => this.world.ndis.offloadTcpDisconnect(this.tcp.handle, list, flags));
  }
  abort(list: NetBufferList = emptyNetBufferList()): number {
    return this.disconnect(list, TcpDisconnectFlag.ABORTIVE_CLOSE);
  }
  forward(lists: NetBufferList): number {
    return this.world.entry(() => this.world.ndis.offloadTcpForward(this.tcp.handle, lists));
  }
  returnLists(): void {
    const kept = this.world.host.kept;
    this.world.host.kept = [];
    for (let i = 0; i < kept.length; i++) kept[i]!.next = kept[i + 1] ?? null;
    if (kept.length > 0) this.world.ndis.offloadTcpReceiveReturn(this.world.binding, kept[0]!);
  }

  /** Terminates the connection alone; answers the block after completion. */
  terminate(withState = true): OffloadBlock {
    const block = new OffloadBlock(OffloadStateType.TCP_DELEGATED, this.tcp.handle);
    block.delegatedState = withState ? new TcpDelegatedState() : null;
    this.world.terminate(block);
    this.world.settle();
    return block;
  }

  /** Terminates connection, path and neighbor in one tree. */
  terminateAll(): OffloadBlock {
    const root = new OffloadBlock(OffloadStateType.NEIGHBOR_DELEGATED, this.neighbor.handle);
    root.delegatedState = new NeighborDelegatedState();
    root.dependentBlockList = new OffloadBlock(OffloadStateType.IP4_DELEGATED, this.path.handle);
    const tcp = new OffloadBlock(OffloadStateType.TCP_DELEGATED, this.tcp.handle);
    tcp.delegatedState = new TcpDelegatedState();
    root.dependentBlockList.dependentBlockList = tcp;
    this.world.terminate(root);
    this.world.settle();
    return root;
  }

  query(): TcpDelegatedState {
    const block = new OffloadBlock(OffloadStateType.TCP_DELEGATED, this.tcp.handle);
    block.delegatedState = new TcpDelegatedState();
    this.world.query(block);
    this.world.settle();
    if (block.status !== NdisStatus.SUCCESS) throw new Error(`query: ${ndisStatusName(block.status)}`);
    return block.delegatedState;
  }

  // The peer's segments.

  frame(spec: SegmentSpec): Uint8Array {
    const family = this.pathSpec.family ?? this.world.family;
    return buildFrame(this.world.link.medium, {
      family,
      source: address(family, this.pathSpec.remote ?? 2),
      destination: address(family, this.pathSpec.local ?? 1),
      dstMac: this.world.link.macAddress,
      srcMac: PEER_MAC,
      srcPort: this.spec.remotePort ?? 4711,
      dstPort: this.spec.localPort ?? 80,
      ...spec,
      seq: spec.seq ?? this.peerSeq,
      ack: spec.ack ?? this.peerAck,
    });
  }

  /** The next text of the peer, in order. */
  text(bytes: Uint8Array | string | number, flags = 'PA'): Uint8Array {
    const text =
      typeof bytes === 'string' ? ascii(bytes) : typeof bytes === 'number' ? pattern(this.peerSeq, bytes) : bytes;
    const frame = this.frame({ text, flags });
    this.peerSeq = (this.peerSeq + text.length) | 0;
    return frame;
  }

  receive(...frames: Uint8Array[]): void {
    this.world.link.deliver(...frames);
  }

  /** The peer acknowledges everything up to `ack`. */
  ackTo(ack: number): void {
    this.peerAck = ack;
    this.receive(this.frame({ flags: 'A' }));
  }
}

export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Bytes that depend on their place in the stream. */
export function pattern(from: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = patternByte(from + i);
  return bytes;
}

export function patternByte(at: number): number {
  return (Math.imul(at ^ 0x5bd1, 0x9e3779b1) >>> 24) & 255;
}

export { TcpCachedFlag };
