/**
 * Writes down what passes between the drivers and on the wire, as the arrows of a sequence diagram.
 *
 * A tap at each junction, a packet tap at each link; everything of a run under virtual time, so that the same program draws the
 * same diagram. Both names of a call are told: that of NDIS, which the caller calls, and that of the entry at the other end.
 */
import type { NdisOffloadHandle, OffloadBlock, StatusIndication } from '../../src/ndis/protocol.ts';
import {
  DATA_CALL_NAMES,
  DATA_COMPLETION_NAMES,
  type DataOperation,
  IdleTap,
  ndisStatusName,
  Oid,
  type OidRequest,
  STATE_CALL_NAMES,
  STATE_COMPLETION_NAMES,
  type StateOperation,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../src/ndis/protocol.ts';
import { forEachBlock, layerOf } from '../../src/ndis/walk.ts';
import { dataLengthOf, type NetBufferList } from '../../src/state/net-buffer-list.ts';
import { HandledBy, type PacketTap } from '../../src/trace/trace.ts';
import { decodeEthernet, EthernetFrame, EtherType } from '../../src/wire/ethernet.ts';
import { decodeIpv4, Ipv4Header } from '../../src/wire/ipv4.ts';
import { IpProtocol } from '../../src/wire/protocol.ts';
import { WIRE_OK } from '../../src/wire/status.ts';
import { decodeTcp } from '../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';

/** The name of the entry that a call of NDIS arrives at. */
export function entryOf(call: string): string {
  return (
    ENTRIES[call] ??
    call
      .replace(/^NdisOffloadTcp/, 'MiniportTcpOffload')
      .replace(/^NdisM(\w+Complete)$/, 'Protocol$1')
      .replace(/^Ndis(TcpOffload\w+Complete)$/, 'Protocol$1')
      .replace(/^Ndis/, 'Miniport')
  );
}

const ENTRIES: Readonly<Record<string, string>> = {
  NdisQueryOffloadState: 'MiniportQueryOffload',
  NdisMQueryOffloadStateComplete: 'ProtocolQueryOffloadComplete',
  NdisTcpOffloadEventHandler: 'ProtocolTcpOffloadEvent',
  NdisTcpOffloadReceiveHandler: 'ProtocolTcpOffloadReceiveIndicate',
  NdisMIndicateStatusEx: 'ProtocolStatusEx',
};

const LAYERS = ['neighbor', 'path', 'tcp'];

/** The arrows of one diagram. */
export class Recorder {
  readonly #lines: string[] = [];
  #isOn = false;

  /** Draws what `act` brings about. */
  record(act: () => void): string[] {
    this.#lines.length = 0;
    this.#isOn = true;
    act();
    this.#isOn = false;
    return folded(this.#lines);
  }

  arrow(from: string, to: string, text: string, isBack = false): void {
    if (this.#isOn) this.#lines.push(`${from}${isBack ? '-->>' : '->>'}${to}: ${text}`);
  }

  note(over: string, text: string): void {
    if (this.#isOn) this.#lines.push(`Note over ${over}: ${text}`);
  }

  /** A tap for the junction between a driver and the one below it. */
  junction(above: string, below: string): IdleTap {
    return new Junction(this, above, below);
  }

  /** A packet tap for the link of a target. */
  wire(host: string, target: string, peer: string): PacketTap {
    return new Wire(this, host, target, peer);
  }
}

/** Several like arrows in a row are one, with their number. */
function folded(lines: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < lines.length; ) {
    let count = 1;
    while (lines[i + count] === lines[i]) count++;
    out.push(count === 1 ? lines[i]! : `${lines[i]} (${count} times)`);
    i += count;
  }
  return out;
}

class Junction extends IdleTap {
  readonly #out: Recorder;
  readonly #above: string;
  readonly #below: string;

  constructor(out: Recorder, above: string, below: string) {
    super();
    this.#out = out;
    this.#above = above;
    this.#below = below;
  }

  #down(call: string, detail: string): void {
    this.#out.arrow(this.#above, this.#below, `${call} = ${entryOf(call)}${detail}`);
  }

  #up(call: string, detail: string): void {
    this.#out.arrow(this.#below, this.#above, `${call} = ${entryOf(call)}${detail}`, true);
  }

  override stateCall(operation: StateOperation, root: OffloadBlock): void {
    this.#down(STATE_CALL_NAMES[operation]!, `<br/>${treeText(root, CARRIED[operation]!)}`);
  }

  override stateComplete(operation: StateOperation, root: OffloadBlock): void {
    this.#up(STATE_COMPLETION_NAMES[operation]!, `<br/>${treeText(root, null)}`);
  }

  override dataCall(operation: DataOperation, _handle: NdisOffloadHandle, lists: NetBufferList, flags: number): void {
    const kind = flags === 0 ? '' : flags === TcpDisconnectFlag.ABORTIVE_CLOSE ? 'abortive, ' : 'graceful, ';
    this.#down(DATA_CALL_NAMES[operation]!, `<br/>${kind}${bytesOf(lists)} bytes`);
  }

  override dataComplete(operation: DataOperation, lists: NetBufferList | null): void {
    const texts: string[] = [];
    for (let list = lists; list !== null; list = list.next) {
      texts.push(`${ndisStatusName(list.status)}, ${list.tcpOffloadBytesTransferred} bytes`);
    }
    this.#up(DATA_COMPLETION_NAMES[operation]!, `<br/>${texts.join(' / ')}`);
  }

  override receiveReturn(lists: NetBufferList): void {
    let count = 0;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) count++;
    this.#down('NdisOffloadTcpReceiveReturn', `<br/>${count} list${count === 1 ? '' : 's'}`);
  }

  override receiveIndicate(_handle: NdisOffloadHandle, list: NetBufferList): void {
    this.#up('NdisTcpOffloadReceiveHandler', `<br/>${dataLengthOf(list)} bytes`);
  }

  override receiveIndicateDone(_h: NdisOffloadHandle, _list: NetBufferList, answer: number, consumed: number): void {
    this.#out.arrow(this.#above, this.#below, `answers ${ndisStatusName(answer)}, ${consumed} bytes consumed`);
  }

  override tcpEvent(_handle: NdisOffloadHandle, eventType: number, information: number): void {
    const event = nameIn(TcpOffloadEventType, eventType);
    const isRetrieve = eventType === TcpOffloadEventType.INDICATE_RETRIEVE;
    const detail = isRetrieve ? nameIn(TcpUploadReason, information) : information === 0 ? '' : String(information);
    this.#up('NdisTcpOffloadEventHandler', `<br/>${event} ${detail}`.trimEnd());
  }

  override oidRequest({ oid, kind }: OidRequest): void {
    this.#down('NdisOidRequest', `<br/>${kind} OID_${nameIn(Oid, oid)}`);
  }

  override status(indication: StatusIndication): void {
    this.#up('NdisMIndicateStatusEx', `<br/>${ndisStatusName(indication.statusCode)}`);
  }
}

/** What the blocks of a tree carry down, by `StateOperation`. */
const CARRIED: readonly string[] = [' with its state', '', ' with new values', ' with room for its state', ''];

/** What is in a tree, in its order: 'neighbor SUCCESS, path SUCCESS'. `carried` null: with the statuses. */
function treeText(root: OffloadBlock, carried: string | null): string {
  const texts: string[] = [];
  forEachBlock(root, (block) => {
    const layer = LAYERS[layerOf(block.header.type)] ?? '?';
    const what = block.offloadHandle === null ? ' (placeholder)' : carried;
    texts.push(`${layer}${what ?? ` ${ndisStatusName(block.status)}`}`);
  });
  return texts.join(', ');
}

function bytesOf(lists: NetBufferList): number {
  let bytes = 0;
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) bytes += dataLengthOf(list);
  return bytes;
}

function nameIn(names: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(names).find(([, number]) => number === value)?.[0] ?? String(value);
}

/** TCP segments of a link; other packets are not drawn. */
class Wire implements PacketTap {
  readonly #out: Recorder;
  readonly #host: string;
  readonly #target: string;
  readonly #peer: string;
  readonly #frame = new EthernetFrame();
  readonly #ip = new Ipv4Header();
  readonly #seg = new TcpSegment();

  constructor(out: Recorder, host: string, target: string, peer: string) {
    this.#out = out;
    this.#host = host;
    this.#target = target;
    this.#peer = peer;
  }

  packet(direction: 0 | 1, handledBy: HandledBy, bytes: Uint8Array, at: number, length: number): void {
    const text = this.#segmentText(bytes, at, length);
    if (text === null) return;
    const own = handledBy === HandledBy.TARGET ? this.#target : this.#host;
    if (direction === 1) this.#out.arrow(own, this.#peer, text);
    else this.#out.arrow(this.#peer, own, text);
  }

  operation(): void {}

  #segmentText(bytes: Uint8Array, at: number, length: number): string | null {
    const frame = this.#frame;
    if (decodeEthernet(bytes, at, length, frame) !== WIRE_OK || frame.etherType !== EtherType.IPV4) return null;
    const ip = this.#ip;
    if (decodeIpv4(bytes, frame.payloadAt, frame.payloadLength, ip) !== WIRE_OK) return null;
    if (ip.protocol !== IpProtocol.TCP) return null;
    const seg = this.#seg;
    if (decodeTcp(bytes, ip.payloadAt, ip.payloadLength, seg) !== WIRE_OK) return null;
    const names = Object.keys(TcpFlag).filter((name) => (seg.flags & TcpFlag[name as keyof typeof TcpFlag]) !== 0);
    const telling = names.filter((name) => name !== 'PSH' && name !== 'ACK');
    const text = seg.textLength > 0 ? [`${seg.textLength} bytes`, ...telling] : names;
    return `segment: ${text.join(', ')}`;
  }
}
