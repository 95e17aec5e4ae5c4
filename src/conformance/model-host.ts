/**
 * The model host: the driver above, which keeps the contract whatever the driver below does, and counts every byte.
 *
 * It decides nothing but how indications are answered; what is called and when is the scenario's (stage.ts). What the drivers
 * below do to the streams is checked here: no byte lost, repeated or changed, also across moves.
 */

import { seqDiff } from '../base/seq.ts';
import {
  type BytesConsumed,
  forEachBlock,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type NdisBindingHandle,
  type NdisForProtocol,
  type NdisOffloadHandle,
  NdisStatus,
  type OffloadBlock,
  type OidRequest,
  type ProtocolDriver,
  type ProtocolOffloadBlock,
  type StatusIndication,
  TcpOffloadEventType,
} from '../ndis/protocol.ts';
import { NeighborCachedState } from '../state/neighbor.ts';
import { copyFromNetBuffer, dataLengthOf, type NetBufferList, netBufferListOver } from '../state/net-buffer-list.ts';
import { TcpDelegatedState } from '../state/tcp.ts';
import { decodeEthernet, EthernetFrame, EtherType } from '../wire/ethernet.ts';
import { decodeIpv4, Ipv4Header } from '../wire/ipv4.ts';
import { decodeIpv6, Ipv6Header } from '../wire/ipv6.ts';
import { IpProtocol } from '../wire/protocol.ts';
import { WIRE_OK } from '../wire/status.ts';
import { decodeTcp, isTcpChecksumGood } from '../wire/tcp.ts';
import { TcpSegment } from '../wire/tcp-segment.ts';
import { ModelConnection, ModelObject } from './objects.ts';
import { patternByte } from './pattern.ts';
import type { RuleComplaint } from './wire-watch.ts';

/** Told of bytes that are not as they must be. */
export type BytesComplaint = (c: ModelConnection, expected: string, seen: string) => void;

/** Statuses of sends that the host performs itself. TERM-059, IM-044. */
const SENT_BY_HOST: ReadonlySet<number> = new Set([
  ...[NdisStatus.UPLOAD_IN_PROGRESS, NdisStatus.REQUEST_UPLOAD, NdisStatus.UPLOAD_REQUESTED],
]);

/** Bytes of a receive that is posted inside an indication. */
const POSTED_INSIDE = 64;

/** The driver above. */
export class ModelHost implements ProtocolDriver {
  readonly name = 'model-host';
  readonly hasChimney = true;
  readonly connections: ModelConnection[] = [];
  readonly objects: ModelObject[] = [];
  /** Accepted lists that are to be returned, oldest first. */
  readonly held: NetBufferList[] = [];
  /** Lists of abortive disconnects. */
  readonly aborts: Set<NetBufferList> = new Set();
  /** Told of broken rules that show on the wire, and of every frame that comes up. */
  complainOf: RuleComplaint = () => {};
  cameUp: (frame: Uint8Array) => void = () => {};
  /** Lists that are below. */
  out = 0;
  isPaused = false;
  isUploadingAll = false;
  needsQuery = false;
  /** Requests answered late. */
  pendingRequests = 0;
  readonly ndis: NdisForProtocol;
  binding!: NdisBindingHandle;
  readonly #complain: BytesComplaint;
  readonly #owners: Map<NetBufferList, ModelConnection> = new Map();

  constructor(ndis: NdisForProtocol, complain: BytesComplaint) {
    this.ndis = ndis;
    this.#complain = complain;
  }

  /** Takes note that a list of a connection goes down. */
  lend(c: ModelConnection, list: NetBufferList): NetBufferList {
    if (!this.#owners.has(list)) this.out++;
    this.#owners.set(list, c);
    return list;
  }

  /** Returns the oldest accepted list. */
  returnOne(): void {
    const list = this.held.shift();
    if (list === undefined) return;
    list.next = null;
    this.ndis.offloadTcpReceiveReturn(this.binding, list);
  }

  /** Returns everything as one chain. */
  returnAll(): void {
    for (let i = 0; i < this.held.length; i++) this.held[i]!.next = this.held[i + 1] ?? null;
    const first = this.held[0];
    this.held.length = 0;
    if (first !== undefined) this.ndis.offloadTcpReceiveReturn(this.binding, first);
  }

  // Ordinary frames: segments that arrive while their connection goes down are kept, to be forwarded.

  receiveNetBufferLists(_context: unknown, lists: NetBufferList, _portNumber: number, flags: number): void {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) this.#keepLate(list);
    if ((flags & NDIS_RECEIVE_FLAGS_RESOURCES) === 0) this.ndis.returnNetBufferLists(this.binding, lists);
  }
  receiveDone(): void {}
  sendNetBufferListsComplete(): void {}

  #keepLate(list: NetBufferList): void {
    const nb = list.firstNetBuffer;
    if (nb === null) return;
    const bytes = new Uint8Array(nb.dataLength);
    copyFromNetBuffer(nb, 0, nb.dataLength, bytes, 0);
    this.cameUp(bytes);
    const segment = segmentOf(bytes);
    if (segment === null) return;
    const c = this.connections.find(({ tuple }) => tuple.localPort === segment.localPort);
    if (c !== undefined && c.where === 'initiating') c.late.push(bytes.slice(segment.at, segment.at + segment.length));
  }

  statusEx(_context: unknown, { statusCode }: StatusIndication): void {
    // A link that goes up or down is a reason to give back what is held, from inside the indication.
    if (statusCode === NdisStatus.LINK_STATE_UP || statusCode === NdisStatus.LINK_STATE_DOWN) this.returnAll();
    else if (statusCode === NdisStatus.OFFLOAD_PAUSE) this.isPaused = true;
    else if (statusCode === NdisStatus.UPLOAD_ALL) {
      this.isUploadingAll = true;
      for (const c of this.connections) c.isWanted = true;
    } else if (statusCode === NdisStatus.OFFLOAD_RESUME) {
      this.isPaused = false;
      this.isUploadingAll = false;
      this.needsQuery = true;
    }
  }
  oidRequestComplete(_context: unknown, _request: OidRequest, _status: number): void {
    this.pendingRequests--;
  }

  initiateOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    const parents: [ModelObject, ModelObject | null][] = [];
    forEachBlock(root, (block, parent) => {
      const object = objectOf(block);
      if (object?.where === 'initiating') parents.push([object, parent === null ? null : objectOf(parent)]);
    });
    forEachBlock(root, (block) => {
      const object = objectOf(block);
      if (object === null || object.where !== 'initiating') return;
      const isTaken = block.status === NdisStatus.SUCCESS || block.status === NdisStatus.OFFLOAD_PARTIAL_SUCCESS;
      object.where = isTaken ? 'target' : 'host';
      object.wasDecided = true;
      if (!isTaken) object.handle.miniportOffloadContext = null;
      if (object instanceof ModelConnection) this.#connectionInitiated(object, isTaken);
    });
    for (const [object, parent] of parents) if (object.where === 'target' && parent !== null) parent.dependents++;
  }

  #connectionInitiated(c: ModelConnection, isTaken: boolean): void {
    if (!isTaken) {
      for (let list = c.chain; list !== null; list = list.next) this.#takeBack(list);
      return;
    }
    c.chain = null;
    c.unread = null;
    c.delegated = null;
  }

  terminateOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    forEachBlock(root, (block, parent) => {
      const object = objectOf(block);
      if (object === null) return;
      const isGone = block.status === NdisStatus.SUCCESS;
      object.where = isGone ? 'host' : 'target';
      if (!isGone) {
        if (object instanceof ModelConnection) object.isCorrupt = true;
        return;
      }
      const { isInvalid } = object;
      object.isInvalid = false;
      const above = parent === null ? parentOf(object) : objectOf(parent);
      if (above !== null) above.dependents--;
      if (object instanceof ModelConnection) this.#connectionBack(object, block as OffloadBlock, isInvalid);
    });
  }

  /** A connection came back: what it brings must continue both streams. TERM-035, TERM-047 to TERM-056. */
  #connectionBack(c: ModelConnection, block: OffloadBlock, wasInvalid: boolean): void {
    const delegated = block.delegatedState;
    let unsent = 0;
    for (let list = block.netBufferListChain; list !== null; list = list.next) {
      unsent += dataLengthOf(list);
      this.#takeBack(list);
    }
    c.chain = inOrder(c, block.netBufferListChain);
    if (!(delegated instanceof TcpDelegatedState)) return;
    c.delegated = delegated;
    this.#takeBuffered(c, delegated);
    if (c.isCorrupt || c.hasAborted || c.peer.hasReset) return;
    const unacknowledged = c.acknowledgedTo === null ? 0 : seqDiff(delegated.rcvNxt, c.acknowledgedTo);
    // By what is invalid nothing is sent, not even that.
    const isSilent = wasInvalid || c.path.isInvalid || c.path.neighbor.isInvalid;
    if (unacknowledged > 0 && !isSilent) {
      const expected = 'delayed acknowledgments sent before the terminate is complete';
      this.complainOf(['TERM-042'], c.name, expected, `${unacknowledged} bytes not acknowledged`);
    }
    const received = seqDiff(delegated.rcvNxt, c.peer.sendBase);
    const fin = c.peer.hasSentFin ? 1 : 0;
    if (received < c.received || received > c.received + fin) {
      this.#complain(c, `RcvNxt behind ${c.received} bytes, all of them here`, `RcvNxt behind ${received}`);
    }
    const sent = seqDiff(delegated.sndUna, c.peer.receiveBase);
    const most = c.peer.received + (c.peer.hasReceivedFin ? 1 : 0);
    if (sent > most) this.#complain(c, `SndUna behind at most ${most} bytes, which the peer has`, `behind ${sent}`);
    if (Math.min(sent, c.posted) + unsent < c.completed)
      this.#complain(c, 'SndUna behind all bytes that were completed', `${sent} of ${c.completed}`);
  }

  #takeBuffered(c: ModelConnection, delegated: TcpDelegatedState): void {
    let list = delegated.bufferedData;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      this.#checkReceived(c, list, dataLengthOf(list));
      this.held.push(list);
      list = next;
    }
    delegated.bufferedData = null;
  }

  updateOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    this.#operationDone(root, (object) => {
      object.updates--;
    });
  }
  queryOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    this.#operationDone(root, () => {});
  }
  invalidateOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    this.#operationDone(root, () => {});
  }

  #operationDone(root: ProtocolOffloadBlock, also: (object: ModelObject) => void): void {
    forEachBlock(root, (block) => {
      const object = objectOf(block);
      if (object === null) return;
      object.operations--;
      also(object);
      if (block.status !== NdisStatus.SUCCESS && object instanceof ModelConnection) object.isCorrupt = true;
    });
  }

  indicateOffloadEvent(_context: unknown, block: ProtocolOffloadBlock | null, _code: number): void {
    const cached = block === null ? null : block.cachedState;
    if (cached instanceof NeighborCachedState) cached.hostReachabilityDelta = 0;
  }

  tcpOffloadSendComplete(_context: unknown, lists: NetBufferList): void {
    this.#eachBack(lists, (c, list) => {
      if (SENT_BY_HOST.has(list.status) && dataLengthOf(list) > 0) c.returned.push(list);
      if (list.status !== NdisStatus.SUCCESS) return;
      c.completed += list.tcpOffloadBytesTransferred;
      if (c.completed <= c.peer.received) return;
      this.#complain(
        c,
        `a completion once the peer has acknowledged (${c.peer.received} bytes)`,
        `${c.completed} bytes`,
      );
    });
  }
  tcpOffloadReceiveComplete(_context: unknown, lists: NetBufferList): void {
    this.#eachBack(lists, (c, list) => {
      const nb = list.firstNetBuffer!;
      const mdl = nb.mdlChain;
      const length = list.tcpOffloadBytesTransferred;
      if (mdl !== null) this.#checkBytes(c, mdl.buffer, mdl.byteOffset, Math.min(length, mdl.byteCount));
    });
  }
  tcpOffloadDisconnectComplete(_context: unknown, list: NetBufferList): void {
    if (list !== null) this.#eachBack(list, (c) => this.#checkEnded(c, list));
  }
  /** A disconnect that has succeeded was seen on the wire. */
  #checkEnded(c: ModelConnection, list: NetBufferList): void {
    if (list.status !== NdisStatus.SUCCESS) return;
    if (this.aborts.has(list)) {
      if (!c.peer.wasReset) this.complainOf(['DISC-014', 'DISC-006'], c.name, 'an RST before SUCCESS', 'none');
    } else if (!c.peer.hasReceivedFin) {
      this.complainOf(['DISC-015', 'DISC-005'], c.name, 'a FIN before SUCCESS', 'none');
    }
  }

  tcpOffloadForwardComplete(_context: unknown, lists: NetBufferList): void {
    this.#eachBack(lists, () => {});
  }

  #eachBack(lists: NetBufferList, visit: (c: ModelConnection, list: NetBufferList) => void): void {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      const c = this.#takeBack(list);
      if (c !== undefined) visit(c, list);
      list = next;
    }
  }

  #takeBack(list: NetBufferList): ModelConnection | undefined {
    const c = this.#owners.get(list);
    if (c === undefined) return undefined;
    this.#owners.delete(list);
    this.out--;
    return c;
  }

  tcpOffloadEvent(handle: NdisOffloadHandle, eventType: number, _information: number): void {
    const c = handle.owner;
    if (!(c instanceof ModelConnection)) return;
    if (eventType === TcpOffloadEventType.INDICATE_DISCONNECT) c.isPeerFinished = true;
    // Another backlog is a reason to give back what is held, from inside the event.
    else if (eventType === TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE) this.returnAll();
    else if (eventType === TcpOffloadEventType.INDICATE_RETRIEVE) c.isWanted = true;
    else if (eventType === TcpOffloadEventType.INDICATE_ABORT) {
      c.hasAborted = true;
      c.isWanted = true;
    }
  }

  tcpOffloadReceiveIndicate(
    handle: NdisOffloadHandle,
    list: NetBufferList,
    _status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    const c = handle.owner as ModelConnection;
    const length = dataLengthOf(list);
    const answer = c.answers.shift() ?? 'accept';
    if (answer.endsWith('-and-post')) this.#postInside(c);
    if (answer.endsWith('-and-return')) this.returnOne();
    if (answer.startsWith('refuse')) {
      bytesConsumed.value = 0;
      return NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED;
    }
    if (answer === 'half' && length > 1) {
      const part = length >> 1;
      bytesConsumed.value = part;
      this.#checkReceived(c, list, part);
      return NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED;
    }
    bytesConsumed.value = length;
    this.#checkReceived(c, list, length);
    this.held.push(list);
    return NdisStatus.SUCCESS;
  }

  /** A receive posted from inside an indication. RECV-016, RECV-038. */
  #postInside(c: ModelConnection): void {
    if (c.where !== 'target') return;
    this.ndis.offloadTcpReceive(c.handle, this.lend(c, netBufferListOver(new Uint8Array(POSTED_INSIDE))));
  }

  #checkReceived(c: ModelConnection, list: NetBufferList, length: number): void {
    const bytes = new Uint8Array(length);
    let at = 0;
    for (let nb = list.firstNetBuffer; nb !== null && at < length; nb = nb.next) {
      at += copyFromNetBuffer(nb, 0, Math.min(nb.dataLength, length - at), bytes, at);
    }
    this.#checkBytes(c, bytes, 0, length);
  }

  #checkBytes(c: ModelConnection, bytes: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] === patternByte(c.received + i, c.peer.key)) continue;
      this.#complain(c, `the byte at ${c.received + i} of the peer's stream`, 'another byte');
      break;
    }
    c.received += length;
  }
}

/** The object of the host that a block names. */
export function objectOf(block: ProtocolOffloadBlock): ModelObject | null {
  const owner = block.offloadHandle === null ? null : block.offloadHandle.owner;
  return owner instanceof ModelObject ? owner : null;
}

/** What a connection has to send when it is back: the chain that came up, and the sends that were turned away, in their order. */
function inOrder(c: ModelConnection, chain: NetBufferList | null): NetBufferList | null {
  if (c.returned.length === 0) return chain;
  const lists = c.returned.splice(0);
  for (let list = chain; list !== null; list = list.next) lists.push(list);
  lists.sort((a, b) => c.beginsAt.get(a)! - c.beginsAt.get(b)!);
  lists.forEach((list, i) => {
    list.next = lists[i + 1] ?? null;
  });
  return lists[0]!;
}

function parentOf(object: ModelObject): ModelObject | null {
  if (object instanceof ModelConnection) return object.path;
  return 'neighbor' in object ? (object.neighbor as ModelObject) : null;
}

const ethernet = new EthernetFrame();
const ipv4 = new Ipv4Header();
const ipv6 = new Ipv6Header();
const tcp = new TcpSegment();

/** Where the TCP segment of a frame is, and to which port it goes; null: there is none, or a bent one. */
function segmentOf(bytes: Uint8Array): { at: number; length: number; localPort: number } | null {
  if (decodeEthernet(bytes, 0, bytes.length, ethernet) !== WIRE_OK) return null;
  const { etherType, payloadAt, payloadLength } = ethernet;
  if (etherType === EtherType.IPV4) {
    if (decodeIpv4(bytes, payloadAt, payloadLength, ipv4) !== WIRE_OK || ipv4.protocol !== IpProtocol.TCP) return null;
    return checkedSegment(bytes, ipv4.payloadAt, ipv4.payloadLength, 4, ipv4);
  }
  if (etherType !== EtherType.IPV6) return null;
  if (decodeIpv6(bytes, payloadAt, payloadLength, ipv6) !== WIRE_OK || ipv6.nextHeader !== IpProtocol.TCP) return null;
  return checkedSegment(bytes, ipv6.payloadAt, ipv6.payloadLength, 6, ipv6);
}

/** The segment, if its checksum is right: what is forwarded is not checked again by the target. */
function checkedSegment(
  bytes: Uint8Array,
  at: number,
  length: number,
  family: 4 | 6,
  { srcAt, dstAt }: { srcAt: number; dstAt: number },
): { at: number; length: number; localPort: number } | null {
  if (decodeTcp(bytes, at, length, tcp) !== WIRE_OK) return null;
  return isTcpChecksumGood(bytes, at, length, family, srcAt, dstAt) ? { at, length, localPort: tcp.dstPort } : null;
}
