/**
 * A real host stack over real engine targets on bare-IP links whose other ends are the test: every packet of the peer is made by
 * hand, every call through the doors is written down, and the test can speak for the target.
 */
import { asSeq } from '../../src/base/seq.ts';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { Move } from '../../src/host/api.ts';
import { type HostOptions, HostStack } from '../../src/host/host-stack.ts';
import type { HostEndpoint } from '../../src/host/transport/tcp-endpoint.ts';
import {
  NdisChimneyOffloadType,
  type NdisM,
  type NdisMiniportHandle,
  type TcpOffloadEventHandlers,
} from '../../src/ndis/miniport.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import type { NdisOffloadHandle, OffloadBlock } from '../../src/ndis/offload-block.ts';
import { ndisStatusName, TcpOffloadEventType } from '../../src/ndis/protocol.ts';
import { DataOperation, IdleTap, type StateOperation } from '../../src/ndis/tap.ts';
import { forEachBlock } from '../../src/ndis/walk.ts';
import { copyFromNetBuffer, dataLengthOf, type NetBufferList } from '../../src/state/net-buffer-list.ts';
import { TcpDelegatedState } from '../../src/state/tcp.ts';
import type { EngineAdapterOptions } from '../../src/target/engine/engine.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { Trace } from '../../src/trace/trace.ts';
import { parseIp } from '../../src/wire/ip-address.ts';
import { encodeIpv4Header, Ipv4Header } from '../../src/wire/ipv4.ts';
import { encodeTcp, writeTcpChecksum } from '../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';
import { TestLink } from '../target/support/test-link.ts';
import { segmentIn } from './raw-host.ts';
import { Peer } from './two-hosts.ts';

const STATE_NAMES = ['initiate', 'terminate', 'update', 'query', 'invalidate'];
const DATA_NAMES = ['send', 'receive', 'disconnect', 'forward'];
const EVENT_NAMES: Record<number, string> = {
  [TcpOffloadEventType.INDICATE_DISCONNECT]: 'disconnect',
  [TcpOffloadEventType.INDICATE_RETRIEVE]: 'retrieve',
  [TcpOffloadEventType.INDICATE_ABORT]: 'abort',
  [TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE]: 'backlog',
};

/** Writes down what goes through the doors of one adapter, in order. */
export class DoorLog extends IdleTap {
  lines: string[] = [];
  /** Lists of data calls, and the data of forwarded ones as it was. */
  readonly posted: { operation: number; list: NetBufferList }[] = [];
  readonly forwarded: Uint8Array[] = [];
  handle: NdisOffloadHandle | null = null;
  onState: ((operation: number, root: OffloadBlock, isCompletion: boolean) => void) | null = null;
  onEventDone: (() => void) | null = null;
  onPosted: ((operation: number, list: NetBufferList) => void) | null = null;
  onCompleted: ((operation: number, list: NetBufferList) => void) | null = null;

  take(): string[] {
    const lines = this.lines;
    this.lines = [];
    return lines;
  }

  override stateCall(operation: StateOperation, root: OffloadBlock): void {
    this.lines.push(STATE_NAMES[operation]!);
    this.onState?.(operation, root, false);
  }
  override stateComplete(operation: StateOperation, root: OffloadBlock): void {
    this.lines.push(`${STATE_NAMES[operation]} complete`);
    this.onState?.(operation, root, true);
  }
  override dataCall(operation: DataOperation, handle: NdisOffloadHandle, lists: NetBufferList): void {
    this.handle = handle;
    let count = 0;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
      this.posted.push({ operation, list });
      count++;
      if (operation === DataOperation.FORWARD) {
        const bytes = new Uint8Array(dataLengthOf(list));
        copyFromNetBuffer(list.firstNetBuffer!, 0, bytes.length, bytes, 0);
        this.forwarded.push(bytes);
      }
      this.onPosted?.(operation, list);
    }
    this.lines.push(count === 1 ? DATA_NAMES[operation]! : `${DATA_NAMES[operation]} of ${count}`);
  }
  override dataComplete(operation: DataOperation, lists: NetBufferList | null): void {
    const statuses: string[] = [];
    for (let list = lists; list !== null; list = list.next) {
      statuses.push(ndisStatusName(list.status));
      this.onCompleted?.(operation, list);
    }
    this.lines.push(`${DATA_NAMES[operation]} ${statuses.join(' ')}`);
  }
  override receiveIndicateDone(_handle: NdisOffloadHandle, _list: NetBufferList, answer: number): void {
    this.lines.push(`indicate ${ndisStatusName(answer)}`);
  }
  override tcpEvent(_handle: NdisOffloadHandle, type: number, information: number): void {
    this.lines.push(`event ${EVENT_NAMES[type]} ${information}`);
  }
  override tcpEventDone(): void {
    this.onEventDone?.();
  }
  override receiveFrames(): void {
    this.lines.push('frame');
  }
  override sendFrames(): void {
    this.lines.push('host sends');
  }
}

/** An engine target whose voice the test may borrow. */
export class Target extends EngineAdapter {
  events!: TcpOffloadEventHandlers;
  handle!: NdisMiniportHandle;
  ndisM!: NdisM;

  override initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    this.handle = handle;
    this.ndisM = ndisM;
    const status = super.initializeEx(handle, ndisM);
    this.events = ndisM.getOffloadHandlers(handle, NdisChimneyOffloadType.TCP)!;
    return status;
  }
}

export interface PacketFields {
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly text?: Uint8Array | string;
  readonly window?: number;
  readonly urgentPointer?: number;
  /** IP options, a multiple of four bytes. */
  readonly options?: readonly number[];
}

const PEER = '10.0.0.9';
const PEER_PORT = 4711;
const PORT = 80;

export interface SceneOptions {
  readonly host?: HostOptions;
  readonly target?: Partial<Omit<EngineAdapterOptions, 'link' | 'runtime' | 'trace'>>;
}

/** A host at 10.0.0.1 (nic0) and 10.0.1.1 (nic1), and a connection of a peer to it that is established over nic0. */
export class ChimneyScene {
  readonly runtime: VirtualRuntime = new VirtualRuntime(11);
  readonly trace: Trace = new Trace();
  readonly ndis: NdisLibrary;
  readonly links: readonly TestLink[];
  readonly targets: readonly Target[];
  readonly doors: readonly DoorLog[];
  readonly host: HostStack;
  readonly peer: Peer = new Peer();
  readonly moves: Move[] = [];
  /** What the peer sends next and expects next. */
  seq = 1_001;
  ack = 0;

  constructor(options: SceneOptions = {}) {
    this.ndis = new NdisLibrary(this.runtime, this.trace);
    this.links = [0, 1].map((i) => new TestLink(`nic${i}`, 'ip', 1500));
    this.targets = this.links.map(
      (link) => new Target({ ...options.target, link, runtime: this.runtime, trace: this.trace }),
    );
    this.doors = this.targets.map(() => new DoorLog());
    for (const target of this.targets) this.ndis.registerAdapter(target);
    this.host = new HostStack(this.runtime, this.trace, this.ndis, {
      ...options.host,
      onMove: (_connection, move) => this.moves.push(move),
    });
    this.host.attachInterface('nic0', { addresses: ['10.0.0.1/24'], acceptRouterAdvertisements: false });
    this.host.attachInterface('nic1', { addresses: ['10.0.1.1/24'], acceptRouterAdvertisements: false });
    for (const [i, door] of this.doors.entries()) this.ndis.attachTap(`nic${i}`, door);
    this.host.listen({ local: { address: '0.0.0.0', port: PORT } }, (endpoint) => this.peer.attach(endpoint));
    this.runtime.settle();
    this.receive({ flags: TcpFlag.SYN, seq: 1_000, ack: 0 });
    this.ack = (this.sent().at(-1)!.seq + 1) | 0;
    this.receive({ flags: TcpFlag.ACK, seq: 1_001, ack: this.ack });
    if (!this.peer.isAttached) throw new Error('not accepted');
    this.sent();
  }

  get endpoint(): HostEndpoint {
    return this.peer.endpoint;
  }
  get door(): DoorLog {
    return this.doors[0]!;
  }
  get target(): Target {
    return this.targets[0]!;
  }
  get location(): string {
    return this.endpoint.chimney.location;
  }

  /** Offloads the connection, and forgets what was written down about it. */
  offload(): this {
    this.beginOffload();
    this.runtime.settle();
    if (this.location !== 'target') throw new Error(`not offloaded: ${this.location}`);
    this.door.take();
    this.sent();
    return this;
  }

  beginOffload(): void {
    this.endpoint.chimney.offload().catch(() => undefined);
  }
  beginTakeBack(): void {
    this.endpoint.chimney.takeBack().catch(() => undefined);
  }

  /** The peer's next text, as a packet. */
  text(text: string, flags: number = TcpFlag.ACK | TcpFlag.PSH, fields: Partial<PacketFields> = {}): Uint8Array {
    const packet = packetOf({ flags, seq: this.seq, ack: this.ack, text, ...fields });
    this.seq += text.length;
    return packet;
  }

  /** A segment of the peer arrives on a link, in a batch of its own. */
  receive(fields: PacketFields, nic = 0): void {
    this.deliver(nic, packetOf(fields));
  }

  deliver(nic: number, ...packets: Uint8Array[]): void {
    this.links[nic]!.deliver(...packets);
    this.runtime.settle();
  }

  /** The target says something about the connection. */
  event(type: number, information = 0): void {
    this.target.events.tcpOffloadEventHandler(this.handle, type, information);
    this.runtime.settle();
  }

  get handle(): NdisOffloadHandle {
    return this.target.control.connections()[0]!.handle;
  }

  /** The delegated structure of the connection in a tree; null: it is not in it. */
  lastDelegated(root: OffloadBlock): TcpDelegatedState | null {
    let found: TcpDelegatedState | null = null;
    forEachBlock(root, (block) => {
      if (block.delegatedState instanceof TcpDelegatedState) found = block.delegatedState;
    });
    return found;
  }

  /** TCP segments sent on a link since the last look. */
  sent(nic = 0): TcpSegment[] {
    return this.links[nic]!.take().map(segmentIn);
  }

  /** What the application has got, as text. */
  got(): string {
    return String.fromCharCode(...this.peer.bytes());
  }
}

/** An IPv4 packet of the peer with one TCP segment, checksums right. */
export function packetOf(fields: PacketFields): Uint8Array {
  const segment = new TcpSegment();
  segment.srcPort = PEER_PORT;
  segment.dstPort = PORT;
  segment.flags = fields.flags;
  segment.seq = asSeq(fields.seq);
  segment.ack = asSeq(fields.ack);
  segment.window = fields.window ?? 60_000;
  segment.urgentPointer = fields.urgentPointer ?? 0;
  if ((fields.flags & TcpFlag.SYN) !== 0) segment.mss = 1460;
  const { text = '', options = [] } = fields;
  const bytes = typeof text === 'string' ? Uint8Array.from(text, (char) => char.charCodeAt(0)) : text;
  const tcp = new Uint8Array(20 + 60 + bytes.length);
  const header = encodeTcp(tcp, 20, segment);
  tcp.set(bytes, 20 + header);
  const length = header + bytes.length;
  const ip = new Ipv4Header();
  ip.totalLength = 20 + length;
  ip.ttl = 64;
  ip.protocol = 6;
  ip.id = fields.seq & 0xffff;
  encodeIpv4Header(tcp, 0, ip, parseIp(PEER)!.bytes, 0, parseIp('10.0.0.1')!.bytes, 0);
  writeTcpChecksum(tcp, 20, length, 4, 12, 16);
  const packet = new Uint8Array(20 + options.length + length);
  packet.set(tcp.subarray(0, 20));
  packet.set(options, 20);
  packet.set(tcp.subarray(20, 20 + length), 20 + options.length);
  packet[0] = 0x40 + 5 + options.length / 4;
  rewriteHeader(packet, packet.length, 0);
  return packet;
}

/** Cuts a packet into two fragments. */
export function fragmentsOf(packet: Uint8Array): Uint8Array[] {
  const cut = 24;
  const first = packet.slice(0, 20 + cut);
  const second = new Uint8Array(packet.length - cut);
  second.set(packet.subarray(0, 20));
  second.set(packet.subarray(20 + cut), 20);
  rewriteHeader(first, first.length, 0x2000);
  rewriteHeader(second, second.length, cut / 8);
  return [first, second];
}

/** Total length, flags and fragment offset, and the checksum over the header. */
function rewriteHeader(packet: Uint8Array, length: number, fragment: number): void {
  const view = new DataView(packet.buffer, packet.byteOffset);
  view.setUint16(2, length);
  view.setUint16(6, fragment);
  view.setUint16(10, 0);
  let sum = 0;
  for (let i = 0; i < (packet[0]! & 15) * 4; i += 2) sum += view.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(10, ~sum & 0xffff);
}
