/**
 * What the model host keeps of its neighbors, paths and connections, and the blocks in which it speaks of them.
 */

import { asSeq, type Seq, seqAdd } from '../base/seq.ts';
import { NdisOffloadHandle, OffloadBlock, OffloadStateType } from '../ndis/protocol.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../state/neighbor.ts';
import { dataLengthOf, type NetBufferList } from '../state/net-buffer-list.ts';
import { PathCachedState, PathConstState, PathDelegatedState } from '../state/path.ts';
import {
  TcpCachedState,
  TcpConnectionState,
  TcpConstState,
  TcpDelegatedState,
  TIMER_NOT_RUNNING,
} from '../state/tcp.ts';
import { baseSeq, type FourTuple, type ModelWire, PEER_MAC, Peer } from './peer.ts';

/** What every connection of the model host is offloaded with. */
export const MODEL_TTL = 64;
export const MODEL_MSS = 1400;

/** Where an object is. */
export type Where = 'host' | 'initiating' | 'target' | 'terminating';

/** A neighbor, path or connection of the model host. */
export class ModelObject {
  readonly layer: 0 | 1 | 2;
  readonly name: string;
  readonly handle: NdisOffloadHandle = new NdisOffloadHandle(this);
  /** Its number among the objects of a run. */
  index = 0;
  where: Where = 'host';
  /** It has been offloaded, or refused, before. */
  wasDecided = false;
  isInvalid = false;
  /** Queries, updates and invalidates under way. */
  operations = 0;
  updates = 0;
  /** Live objects that hang on it. */
  dependents = 0;

  constructor(layer: 0 | 1 | 2, name: string) {
    this.layer = layer;
    this.name = name;
  }

  /** At the target, with nothing under way. */
  get isIdle(): boolean {
    return this.where === 'target' && this.operations === 0;
  }
}

export class ModelNeighbor extends ModelObject {
  readonly mac: Uint8Array;

  constructor(name: string, mac: Uint8Array = PEER_MAC) {
    super(0, name);
    this.mac = mac;
  }
}

export class ModelPath extends ModelObject {
  neighbor: ModelNeighbor;
  readonly family: 4 | 6;
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  mtu = 1500;
  wasRelinked = false;

  constructor(name: string, neighbor: ModelNeighbor, family: 4 | 6, remote: number) {
    super(1, name);
    this.neighbor = neighbor;
    this.family = family;
    this.local = address(family, 1);
    this.remote = address(family, remote);
  }
}

function address(family: 4 | 6, last: number): Uint8Array {
  if (family === 4) return Uint8Array.of(10, 0, 0, last);
  const bytes = new Uint8Array(16);
  bytes[0] = 0xfd;
  bytes[15] = last;
  return bytes;
}

/** What the host answers to a receive indication. */
export type Answer = 'accept' | 'refuse' | 'half' | 'refuse-and-post' | 'accept-and-post' | 'accept-and-return';

/** A connection, its streams and its lists. */
export class ModelConnection extends ModelObject {
  readonly path: ModelPath;
  readonly peer: Peer;
  readonly tuple: FourTuple;
  /** Bytes written by the application, completed with SUCCESS, and received. */
  posted = 0;
  completed = 0;
  received = 0;
  /** Bytes of our stream that had been acknowledged when the connection went down last. */
  sndUna: Seq;
  /** How the next indications are answered; afterwards everything is accepted. */
  readonly answers: Answer[] = [];
  /** The state with which it came back, for going down again. */
  delegated: TcpDelegatedState | null = null;
  /** Send data that came back, and the lists received and not yet read. */
  chain: NetBufferList | null = null;
  unread: NetBufferList | null = null;
  /** Sends that were turned away because of an upload, to be sent after it (TERM-059); where each send begins in our stream. */
  readonly returned: NetBufferList[] = [];
  readonly beginsAt: Map<NetBufferList, number> = new Map();
  /** Segments that arrived while it was going down. */
  readonly late: Uint8Array[] = [];
  /** The highest number that the target has acknowledged since it has the connection; null: none. */
  acknowledgedTo: Seq | null = null;
  hasClosed = false;
  /** The host has aborted it. */
  wasAborted = false;
  hasAborted = false;
  isPeerFinished = false;
  isCorrupt = false;
  /** The target asks for it, or the connection is at its end. */
  isWanted = false;
  tos = 0;

  constructor(wire: ModelWire, path: ModelPath, index: number) {
    super(2, `tcp${index}`);
    this.path = path;
    this.tuple = {
      family: path.family,
      local: path.local,
      remote: path.remote,
      localPort: 1000 + index,
      remotePort: 2000 + index,
    };
    this.sndUna = baseSeq(index, 1);
    this.peer = new Peer(wire, this.tuple, baseSeq(index, 0), this.sndUna, 2 * index + 1);
    wire.peers.push(this.peer);
  }
}

/** A new neighbor. */
export function neighborBlock(neighbor: ModelNeighbor): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.NEIGHBOR, neighbor.handle);
  const cached = new NeighborCachedState();
  cached.dlDestinationAddress.set(neighbor.mac);
  block.constState = new NeighborConstState();
  block.cachedState = cached;
  block.delegatedState = new NeighborDelegatedState();
  return block;
}

export function pathBlock(path: ModelPath): OffloadBlock {
  const block = new OffloadBlock(path.family === 4 ? OffloadStateType.IP4 : OffloadStateType.IP6, path.handle);
  block.constState = new PathConstState(path.local, path.remote);
  block.cachedState = new PathCachedState(path.mtu);
  block.delegatedState = new PathDelegatedState();
  return block;
}

export function tcpCached(c: ModelConnection): TcpCachedState {
  const cached = new TcpCachedState();
  cached.initialRcvWnd = 65_535;
  cached.ttlOrHopLimit = MODEL_TTL;
  cached.tosOrTrafficClass = c.tos;
  cached.kaTimeout = 7_200_000;
  cached.kaInterval = 1000;
  cached.kaProbeCount = 5;
  return cached;
}

/** A connection that is to be offloaded: for the first time, or as it came back. */
export function tcpBlock(c: ModelConnection): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.TCP, c.handle);
  const constant = new TcpConstState();
  constant.localPort = c.tuple.localPort;
  constant.remotePort = c.tuple.remotePort;
  constant.remoteMss = MODEL_MSS;
  block.constState = constant;
  block.cachedState = tcpCached(c);
  const delegated = c.delegated ?? freshState(c);
  c.acknowledgedTo = delegated.rcvNxt;
  let last: NetBufferList | null = null;
  for (let list = c.chain; list !== null; list = list.next) last = list;
  delegated.sendDataHead = c.chain;
  delegated.sendDataTail = last;
  delegated.bufferedData = c.unread;
  block.netBufferListChain = c.chain;
  block.delegatedState = delegated;
  return block;
}

function freshState(c: ModelConnection): TcpDelegatedState {
  const delegated = new TcpDelegatedState();
  delegated.state = TcpConnectionState.ESTABLISHED;
  delegated.rcvNxt = seqAdd(c.peer.sendBase, c.unread === null ? 0 : dataLengthOf(c.unread));
  delegated.rcvWnd = 65_535;
  delegated.sndUna = c.sndUna;
  delegated.sndNxt = c.sndUna;
  delegated.sndMax = c.sndUna;
  delegated.sndWnd = 65_535;
  delegated.maxSndWnd = 65_535;
  delegated.sndWl1 = asSeq(delegated.rcvNxt);
  delegated.cWnd = 14_000;
  delegated.ssThresh = 1_000_000;
  delegated.sRtt = 8 * 20;
  delegated.rttVar = 4 * 5;
  delegated.keepAliveTimeoutDelta = TIMER_NOT_RUNNING;
  delegated.retransmitTimeoutDelta = TIMER_NOT_RUNNING;
  return delegated;
}

/** Header.Type of a reference, by layer and by what follows. */
export function typeOf(object: ModelObject, what: 'all' | 'cached' | 'delegated'): OffloadStateType {
  const { NEIGHBOR, NEIGHBOR_CACHED, NEIGHBOR_DELEGATED, TCP, TCP_CACHED, TCP_DELEGATED } = OffloadStateType;
  const { IP4, IP4_CACHED, IP4_DELEGATED, IP6, IP6_CACHED, IP6_DELEGATED } = OffloadStateType;
  const index = what === 'all' ? 0 : what === 'cached' ? 1 : 2;
  if (object.layer === 0) return [NEIGHBOR, NEIGHBOR_CACHED, NEIGHBOR_DELEGATED][index]!;
  if (object.layer === 2) return [TCP, TCP_CACHED, TCP_DELEGATED][index]!;
  const isSix = object instanceof ModelPath && object.family === 6;
  return isSix ? [IP6, IP6_CACHED, IP6_DELEGATED][index]! : [IP4, IP4_CACHED, IP4_DELEGATED][index]!;
}

/** A block that names an object, without any state. */
export function reference(object: ModelObject, what: 'all' | 'cached' | 'delegated'): OffloadBlock {
  return new OffloadBlock(typeOf(object, what), object.handle);
}

/** The same with the structures that are to be filled by a query or a terminate. */
export function asking(object: ModelObject, what: 'all' | 'delegated'): OffloadBlock {
  const block = reference(object, what);
  if (object.layer === 0) {
    block.delegatedState = new NeighborDelegatedState();
    if (what === 'all') {
      block.constState = new NeighborConstState();
      block.cachedState = new NeighborCachedState();
    }
  } else if (object.layer === 1) {
    block.delegatedState = new PathDelegatedState();
    if (what === 'all') {
      const bytes = (object as ModelPath).family === 4 ? 4 : 16;
      block.constState = new PathConstState(new Uint8Array(bytes), new Uint8Array(bytes));
      block.cachedState = new PathCachedState();
    }
  } else {
    block.delegatedState = new TcpDelegatedState();
    if (what === 'all') {
      block.constState = new TcpConstState();
      block.cachedState = new TcpCachedState();
    }
  }
  return block;
}

/** A block with the cached state that an update conveys. */
export function updating(object: ModelObject): OffloadBlock {
  const block = reference(object, 'cached');
  if (object instanceof ModelConnection) block.cachedState = tcpCached(object);
  else if (object instanceof ModelPath) block.cachedState = new PathCachedState(object.mtu);
  else {
    const cached = new NeighborCachedState();
    cached.dlDestinationAddress.set((object as ModelNeighbor).mac);
    block.cachedState = cached;
  }
  return block;
}

/** Hangs blocks below another, as siblings. Answers the upper one. */
export function hang(block: OffloadBlock, dependents: readonly OffloadBlock[]): OffloadBlock {
  block.dependentBlockList = beside(dependents);
  return block;
}

/** Links blocks as siblings; answers the first. */
export function beside(blocks: readonly OffloadBlock[]): OffloadBlock | null {
  blocks.forEach((block, i) => {
    block.nextBlock = blocks[i + 1] ?? null;
  });
  return blocks[0] ?? null;
}
