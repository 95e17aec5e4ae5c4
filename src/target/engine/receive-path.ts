/**
 * The receive path: which frames belong to offloaded connections; all others go up the ordinary way, unprocessed.
 *
 * Up goes what chimney-sequences 20 and 27 say: fragments, IP options and extension headers, everything but TCP, bad headers and
 * checksums (not counted: STAT-026, STAT-028), SYNs in TIME_WAIT, anything in CLOSED or for a connection that is being
 * uploaded. Frames on another VLAN than the neighbor's are dropped (VLAN-018). The connection is found directly (TREE-050).
 */

import type { MemoryOffer } from '../../base/memory-offer.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import { Effect } from '../../tcp/effects.ts';
import { Event } from '../../trace/events.ts';
import { HandledBy } from '../../trace/trace.ts';
import { decodeEthernet, EtherType } from '../../wire/ethernet.ts';
import { decodeIpv4 } from '../../wire/ipv4.ts';
import { decodeIpv6, type Ipv6Header } from '../../wire/ipv6.ts';
import { equalMac } from '../../wire/mac-address.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { WIRE_OK } from '../../wire/status.ts';
import { decodeTcp, isTcpChecksumGood } from '../../wire/tcp.ts';
import { TcpFlag } from '../../wire/tcp-segment.ts';
import { dropsBadIp, dropsBadPackets, dropsBadTcp } from './bad-packets.ts';
import { type NeighborContext, Standing, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { processSegment, segmentsIn } from './segment.ts';
import type { FrameLook } from './work.ts';

/** Frames held behind urgent data at most, for one connection; the peer sends again what is dropped (it is not acknowledged). */
const HELD_FRAMES_MAX = 256;

/** What became of a frame. */
const PASS_UP = 0;
const TAKEN = 1;

/** A frame from the link. `segmentBytes` and `offer`: as in `LinkReceiver.receive`. */
export function receiveFrame(
  engine: Engine,
  bytes: Uint8Array,
  at: number,
  length: number,
  segmentBytes: number,
  offer: MemoryOffer | null = null,
): void {
  engine.work.segmentBytes = segmentBytes;
  const isIdle = engine.table.size === 0 && !dropsBadPackets(engine);
  if (offer !== null) engine.pool.receiving(bytes, offer);
  const taken = isIdle ? PASS_UP : tryChimney(engine, bytes, at, length);
  if (offer !== null) engine.pool.receiving(null, null);
  if (engine.tap !== null) {
    const handledBy = taken === TAKEN ? HandledBy.TARGET : HandledBy.HOST;
    engine.tap.packet(0, handledBy, bytes, at, length, engine.runtime.nowUs());
  }
  if (taken === PASS_UP) engine.indicator.indicate(bytes, at, length, segmentBytes, offer);
}

function tryChimney(engine: Engine, bytes: Uint8Array, at: number, length: number): number {
  if (engine.attributes.medium === 'ip') {
    const version = length > 0 ? bytes[at]! >> 4 : 0;
    if (version === 4) return tryIpv4(engine, bytes, at, length, at, length);
    return version === 6 ? tryIpv6(engine, bytes, at, length, at, length) : PASS_UP;
  }
  const frame = engine.work.ethernet;
  if (decodeEthernet(bytes, at, length, frame) !== WIRE_OK) return PASS_UP;
  if (frame.etherType === EtherType.IPV4) {
    return tryIpv4(engine, bytes, frame.payloadAt, frame.payloadLength, at, length);
  }
  if (frame.etherType === EtherType.IPV6) {
    return tryIpv6(engine, bytes, frame.payloadAt, frame.payloadLength, at, length);
  }
  return PASS_UP;
}

/** Looks without processing; the answer is good until the next call. */
export function lookAtFrame(engine: Engine, bytes: Uint8Array, at: number, length: number): FrameLook {
  const { ethernet, ipv4, ipv6, segment, look } = engine.work;
  look.connection = null;
  look.addressBytes = 0;
  look.hasPorts = false;
  let ipAt = at;
  let ipLength = length;
  if (engine.attributes.medium !== 'ip') {
    if (decodeEthernet(bytes, at, length, ethernet) !== WIRE_OK) return look;
    ipAt = ethernet.payloadAt;
    ipLength = ethernet.payloadLength;
  }
  const version = ipLength > 0 ? bytes[ipAt]! >> 4 : 0;
  const ip = version === 4 ? ipv4 : ipv6;
  const status = version === 4 ? decodeIpv4(bytes, ipAt, ipLength, ipv4) : decodeIpv6(bytes, ipAt, ipLength, ipv6);
  if (status !== WIRE_OK) return look;
  look.addressesAt = ip.srcAt;
  look.addressBytes = version === 4 ? 4 : 16;
  const isTcp =
    version === 4 ? ipv4.protocol === IpProtocol.TCP && !ipv4.isFragment : ipv6.nextHeader === IpProtocol.TCP;
  if (!isTcp || decodeTcp(bytes, ip.payloadAt, ip.payloadLength, segment) !== WIRE_OK) return look;
  look.hasPorts = true;
  look.srcPort = segment.srcPort;
  look.dstPort = segment.dstPort;
  look.connection = find(engine, version, bytes, ip.srcAt, ip.dstAt);
  return look;
}

function tryIpv4(
  engine: Engine,
  bytes: Uint8Array,
  at: number,
  length: number,
  frameAt: number,
  frameLength: number,
): number {
  const ip = engine.work.ipv4;
  const wire = decodeIpv4(bytes, at, length, ip);
  if (wire !== WIRE_OK) return dropsBadIp(engine, 4, wire, bytes, at, length) ? TAKEN : PASS_UP;
  if (ip.protocol === IpProtocol.TCP && ip.isFragment && engine.discretion !== null && ip.fragmentOffset === 0) {
    noteFragment(engine, 4, bytes, ip.payloadAt, ip.payloadLength, ip.srcAt, ip.dstAt);
  }
  if (ip.protocol !== IpProtocol.TCP || ip.isFragment || ip.hasOptions) return PASS_UP;
  if (decodeTcp(bytes, ip.payloadAt, ip.payloadLength, engine.work.segment) !== WIRE_OK) {
    return dropsBadTcp(engine, 4, ip.totalLength) ? TAKEN : PASS_UP;
  }
  const ctx = find(engine, 4, bytes, ip.srcAt, ip.dstAt);
  if (ctx === null) return PASS_UP;
  const status = admit(engine, ctx, bytes, frameAt, frameLength);
  if (status !== ADMITTED) return status;
  if (!isIntact(engine, bytes, ip.payloadAt, ip.payloadLength, 4, ip.srcAt, ip.dstAt)) {
    return dropsBadTcp(engine, 4, ip.totalLength) ? TAKEN : passBad(engine);
  }
  return take(engine, ctx, ip.totalLength, bytes, frameAt, frameLength);
}

function tryIpv6(
  engine: Engine,
  bytes: Uint8Array,
  at: number,
  length: number,
  frameAt: number,
  frameLength: number,
): number {
  const ip = engine.work.ipv6;
  const wire = decodeIpv6(bytes, at, length, ip);
  if (wire !== WIRE_OK) return dropsBadIp(engine, 6, wire, bytes, at, length) ? TAKEN : PASS_UP;
  if (ip.nextHeader === IpProtocol.FRAGMENT && engine.discretion !== null) noteFragment6(engine, bytes, ip);
  if (ip.nextHeader !== IpProtocol.TCP) return PASS_UP;
  if (decodeTcp(bytes, ip.payloadAt, ip.payloadLength, engine.work.segment) !== WIRE_OK) {
    return dropsBadTcp(engine, 6, 40 + ip.payloadLength) ? TAKEN : PASS_UP;
  }
  const ctx = find(engine, 6, bytes, ip.srcAt, ip.dstAt);
  if (ctx === null) return PASS_UP;
  const status = admit(engine, ctx, bytes, frameAt, frameLength);
  if (status !== ADMITTED) return status;
  if (!isIntact(engine, bytes, ip.payloadAt, ip.payloadLength, 6, ip.srcAt, ip.dstAt)) {
    return dropsBadTcp(engine, 6, 40 + ip.payloadLength) ? TAKEN : passBad(engine);
  }
  return take(engine, ctx, 40 + ip.payloadLength, bytes, frameAt, frameLength);
}

/** The first fragment of a datagram names its connection; what is done with it is the host's (TCP-072). */
function noteFragment(
  engine: Engine,
  family: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  srcAt: number,
  dstAt: number,
): void {
  if (decodeTcp(bytes, at, length, engine.work.segment) !== WIRE_OK) return;
  const activity = find(engine, family, bytes, srcAt, dstAt)?.activity ?? null;
  if (activity !== null) activity.fragments++;
}

/** A fragment header right behind the fixed one; offset and flag are its octets 2 and 3. RFC 8200 4.5. */
function noteFragment6(engine: Engine, bytes: Uint8Array, ip: Ipv6Header): void {
  const { payloadAt, payloadLength } = ip;
  if (payloadLength < FRAGMENT_HEADER || bytes[payloadAt] !== IpProtocol.TCP) return;
  const isFirst = bytes[payloadAt + 2] === 0 && (bytes[payloadAt + 3]! & 0xf8) === 0;
  if (!isFirst) return;
  const at = payloadAt + FRAGMENT_HEADER;
  noteFragment(engine, 6, bytes, at, payloadLength - FRAGMENT_HEADER, ip.srcAt, ip.dstAt);
}

const FRAGMENT_HEADER = 8;

/** The checksum is right, or the device vouches for it. */
function isIntact(
  engine: Engine,
  bytes: Uint8Array,
  at: number,
  length: number,
  family: number,
  srcAt: number,
  dstAt: number,
): boolean {
  return engine.work.segmentBytes > 0 || isTcpChecksumGood(bytes, at, length, family, srcAt, dstAt);
}

function find(engine: Engine, family: number, bytes: Uint8Array, srcAt: number, dstAt: number): TcpContext | null {
  const seg = engine.work.segment;
  const c = engine.table.find(family, bytes, dstAt, srcAt, seg.dstPort, seg.srcPort);
  return c === null ? null : engine.contextOf(c);
}

/** Beside {@link PASS_UP} and {@link TAKEN}: the chimney wants it. */
const ADMITTED = 2;

/** Link-layer address, VLAN, and whether the connection is processed at all. */
function admit(engine: Engine, ctx: TcpContext, bytes: Uint8Array, frameAt: number, frameLength: number): number {
  const neighbor = ctx.path.neighbor;
  if (neighbor !== null && engine.attributes.medium === 'ethernet') {
    if (!isForUs(engine, neighbor, bytes, frameAt)) return PASS_UP;
    const frame = engine.work.ethernet;
    if (neighbor.vlanId !== 0 && (!frame.tagged || frame.vlanId !== neighbor.vlanId)) {
      engine.trace.count(Event.TARGET_VLAN_DROPPED);
      return TAKEN;
    }
  }
  if (ctx.standing === Standing.NORMAL && !ctx.isTerminating) {
    const state = ctx.tcp.state;
    if (state === TcpConnectionState.CLOSED) return passUp(engine);
    if (state === TcpConnectionState.TIME_WAIT && (engine.work.segment.flags & TcpFlag.SYN) !== 0) {
      return passUp(engine);
    }
    return ADMITTED;
  }
  if (ctx.held !== null && ctx.standing === Standing.STOPPED) {
    hold(engine, ctx, bytes, frameAt, frameLength);
    return TAKEN;
  }
  return passUp(engine);
}

function passUp(engine: Engine): number {
  engine.trace.count(Event.TARGET_PASSED_UP);
  return PASS_UP;
}

function passBad(engine: Engine): number {
  engine.trace.count(Event.TARGET_CHECKSUM_BAD);
  return PASS_UP;
}

/** STATE-011, STATE-012. */
function isForUs(engine: Engine, neighbor: NeighborContext, bytes: Uint8Array, frameAt: number): boolean {
  if (equalMac(bytes, frameAt, neighbor.source, 0)) return true;
  for (let i = 0; i < engine.multicastAddresses.length; i++) {
    if (equalMac(bytes, frameAt, engine.multicastAddresses[i]!, 0)) return true;
  }
  return false;
}

/** Keeps a frame from urgent data on for the ordinary path after the terminate (TCP-084, TCP-085). */
function hold(engine: Engine, ctx: TcpContext, bytes: Uint8Array, frameAt: number, frameLength: number): void {
  const held = ctx.held!;
  if (held.length >= HELD_FRAMES_MAX) {
    engine.trace.count(Event.TARGET_HELD_DROPPED);
    return;
  }
  engine.trace.count(Event.TARGET_HELD);
  held.push({ bytes: bytes.slice(frameAt, frameAt + frameLength), segmentBytes: engine.work.segmentBytes });
}

function take(
  engine: Engine,
  ctx: TcpContext,
  datagramLength: number,
  bytes: Uint8Array,
  frameAt: number,
  frameLength: number,
): number {
  const statistics = engine.statistics(ctx.path.family);
  statistics.inReceives += segmentsIn(engine.work.segment.textLength, engine.work.segmentBytes);
  statistics.inOctets += datagramLength;
  engine.onTouch?.(ctx);
  ctx.wasActive();
  const effects = processSegment(engine, ctx, engine.work.segment, engine.runtime.nowUs());
  if ((effects & Effect.URGENT) !== 0) hold(engine, ctx, bytes, frameAt, frameLength);
  else statistics.inDelivers++;
  return TAKEN;
}
