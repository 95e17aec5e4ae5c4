/**
 * What a target puts on the wire, and what it hands up of what comes from there: rules that no door of NDIS shows.
 *
 * The model host knows what it has offloaded and asked for; each frame is judged by that. Frames that are not the chimney's (fragments,
 * IP options, ARP, ICMP) have to come up, sooner or later.
 */

import { type Seq, seqDiff } from '../base/seq.ts';
import { FRAMES } from '../contract/checkers/frames.ts';
import type { RuleLevel } from '../contract/finding.ts';
import { decodeEthernet, EthernetFrame, EtherType } from '../wire/ethernet.ts';
import { decodeIpv4, Ipv4Flag, Ipv4Header } from '../wire/ipv4.ts';
import { decodeIpv6, Ipv6Header } from '../wire/ipv6.ts';
import { IpProtocol } from '../wire/protocol.ts';
import { WIRE_OK } from '../wire/status.ts';
import { decodeTcp } from '../wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../wire/tcp-segment.ts';
import { MODEL_MSS, MODEL_TTL, type ModelConnection } from './objects.ts';

/** Told of a broken rule, the one that says it best first. */
export type RuleComplaint = (rules: readonly string[], object: string, expected: string, seen: string) => void;

/** How binding a rule of the wire is. */
export function levelOfFrames(rules: readonly string[]): RuleLevel {
  return rules.some((rule) => FRAMES.must.includes(rule)) ? 'must' : 'should';
}

const HOSTS_IDS = 0x8000;
const FRAGMENT_HEADER = 44;

/** Watches the wire of one run. */
export class WireWatch {
  readonly #connections: readonly ModelConnection[];
  readonly #mac: Uint8Array;
  readonly #complain: RuleComplaint;
  readonly #ethernet = new EthernetFrame();
  readonly #ipv4 = new Ipv4Header();
  readonly #ipv6 = new Ipv6Header();
  readonly #segment = new TcpSegment();
  /** Frames that have to come up: their bytes as text, and the rules that say so. */
  readonly #awaited: Map<string, readonly string[]> = new Map();

  constructor(connections: readonly ModelConnection[], mac: Uint8Array, complain: RuleComplaint) {
    this.#connections = connections;
    this.#mac = mac;
    this.#complain = complain;
  }

  /** A frame of no connection is about to be delivered: it has to come up. */
  awaits(frame: Uint8Array, rules: readonly string[]): void {
    this.#awaited.set(frame.join(), rules);
  }

  /** A frame has come up. */
  cameUp(frame: Uint8Array): void {
    this.#awaited.delete(frame.join());
  }

  /** Nothing more is to come. */
  finish(): void {
    for (const rules of this.#awaited.values()) {
      this.#complain(rules, '-', 'a frame passed up with NdisMIndicateReceiveNetBufferLists', 'none');
    }
    this.#awaited.clear();
  }

  /** A frame of the target. */
  sent(bytes: Uint8Array): void {
    const frame = this.#ethernet;
    if (decodeEthernet(bytes, 0, bytes.length, frame) !== WIRE_OK) return;
    const { etherType, payloadAt: at, payloadLength: length } = frame;
    if (etherType === EtherType.IPV4) {
      const ip = this.#ipv4;
      if (decodeIpv4(bytes, at, length, ip) !== WIRE_OK || ip.protocol !== IpProtocol.TCP) return;
      const c = this.#connectionOf(bytes, ip.payloadAt, ip.payloadLength);
      if (c === undefined) return;
      this.#checkDatagram(c, ip.totalLength, ip.ttl, ip.tos, ip.isFragment);
      this.#checkIpv4(c, ip);
      this.#checkFrame(c, bytes);
      this.#checkSegment(c);
    } else if (etherType === EtherType.IPV6) {
      const ip = this.#ipv6;
      if (decodeIpv6(bytes, at, length, ip) !== WIRE_OK || ip.nextHeader !== IpProtocol.TCP) return;
      const c = this.#connectionOf(bytes, ip.payloadAt, ip.payloadLength);
      if (c === undefined) return;
      const isFragment = (ip.nextHeader as number) === FRAGMENT_HEADER;
      this.#checkDatagram(c, 40 + ip.payloadLength, ip.hopLimit, ip.trafficClass, isFragment);
      this.#checkFrame(c, bytes);
      this.#checkSegment(c);
    }
  }

  /** The connection of a segment, while the target has it; the segment is decoded then. */
  #connectionOf(bytes: Uint8Array, at: number, length: number): ModelConnection | undefined {
    const seg = this.#segment;
    if (decodeTcp(bytes, at, length, seg) !== WIRE_OK) return undefined;
    const c = this.#connections.find(({ tuple }) => tuple.localPort === seg.srcPort);
    return c === undefined || c.where === 'host' ? undefined : c;
  }

  #checkIpv4(c: ModelConnection, { flags, id }: Ipv4Header): void {
    if ((flags & Ipv4Flag.DF) === 0) this.#complain(['TCP-123', 'SEND-043'], c.name, 'DF in every datagram', 'none');
    if (id < HOSTS_IDS) this.#complain(['SEND-040'], c.name, 'an identification from 0x8000 to 0xFFFF', `${id}`);
  }

  #checkDatagram(c: ModelConnection, length: number, ttl: number, tos: number, isFragment: boolean): void {
    const { path } = c;
    if (isFragment) this.#complain(['SEND-039'], c.name, 'datagrams that are not fragments', 'one');
    if (path.updates === 0 && length > path.mtu) {
      this.#complain(['STATE-019'], c.name, `datagrams of at most ${path.mtu} bytes`, `${length}`);
    }
    if (ttl !== MODEL_TTL) this.#complain(['STATE-046'], c.name, `a TTL or hop limit of ${MODEL_TTL}`, `${ttl}`);
    if (c.updates === 0 && tos !== c.tos) {
      this.#complain(['STATE-047'], c.name, `a type of service or traffic class of ${c.tos}`, `${tos}`);
    }
  }

  #checkFrame(c: ModelConnection, bytes: Uint8Array): void {
    const { tagged, dstAt, srcAt } = this.#ethernet;
    const { path } = c;
    if (tagged) this.#complain(['VLAN-012'], c.name, 'no tag for VLAN 0 and priority 0', 'one');
    if (!this.#mac.every((byte, i) => bytes[srcAt + i] === byte)) {
      this.#complain(['STATE-009'], c.name, 'the source MAC of the interface', 'another');
    }
    if (path.updates > 0 || path.neighbor.updates > 0) return;
    if (path.neighbor.mac.every((byte, i) => bytes[dstAt + i] === byte)) return;
    const rules = path.wasRelinked ? ['UPD-027', 'STATE-015'] : ['STATE-015', 'TCP-124', 'TREE-049'];
    this.#complain(rules, c.name, "the MAC of the path's neighbor", 'another');
  }

  #checkSegment(c: ModelConnection): void {
    const seg = this.#segment;
    if (seg.hasTimestamps) this.#complain(['STATE-022'], c.name, 'no timestamps where the flag is cleared', 'one');
    if (seg.sackCount > 0) this.#complain(['STATE-023'], c.name, 'no SACK blocks where the flag is cleared', 'some');
    if (seg.textLength > MODEL_MSS) {
      this.#complain(['STATE-027'], c.name, `segments of at most ${MODEL_MSS} bytes`, `${seg.textLength}`);
    }
    this.#checkEnd(c, seg);
    if ((seg.flags & TcpFlag.RST) !== 0) return;
    c.acknowledgedTo = laterOf(c.acknowledgedTo, seg.ack);
    const urgentAt = c.peer.urgentAt;
    if (urgentAt >= 0 && seqDiff(seg.ack, c.peer.sendBase) > urgentAt) {
      this.#complain(['TCP-082'], c.name, 'urgent data not acknowledged', 'an acknowledgment of it');
    }
    const isInvalid = [c, c.path, c.path.neighbor].some(({ isInvalid: is, operations }) => is && operations === 0);
    if (isInvalid && seg.textLength > 0) {
      this.#complain(['INV-006', 'INV-007'], c.name, 'nothing sent by an invalidated object', 'data');
    }
  }

  /** FIN and RST: only as the host has asked. */
  #checkEnd(c: ModelConnection, { flags }: TcpSegment): void {
    if ((flags & TcpFlag.RST) !== 0 && !c.wasAborted) {
      this.#complain(['DISC-007'], c.name, 'an RST only where the host aborts', 'one');
    }
    if ((flags & TcpFlag.FIN) !== 0 && !c.hasClosed) {
      this.#complain(['TERM-002', 'DISC-005'], c.name, 'a FIN only where the host closes', 'one');
    }
  }
}

function laterOf(one: Seq | null, other: Seq): Seq {
  return one === null || seqDiff(other, one) > 0 ? other : one;
}
