/**
 * The transmit path: segments that the engine has due, put into frames and given to the link.
 *
 * TCP header from the TCP object, IP header from the path, MAC header from the path's neighbor (TREE-049); text is gathered from
 * the send lists straight into the frame. DF is set and the IPv4 identification is from the target's half (SEND-040, SEND-043).
 * Nothing is sent on top of an invalidated object (INV-006). Nothing is allocated per segment.
 */

import { seqDiff } from '../../base/seq.ts';
import { TcpUploadReason } from '../../ndis/miniport.ts';
import { TcpWord } from '../../state/tcp.ts';
import type { TcpConnection } from '../../tcp/connection.ts';
import { nextSegment } from '../../tcp/on-send.ts';
import { EtherType, encodeEthernet, NO_VLAN, vlanTci } from '../../wire/ethernet.ts';
import { encodeIpv4Header, IPV4_LENGTH_MAX, Ipv4Flag } from '../../wire/ipv4.ts';
import { encodeIpv6Header } from '../../wire/ipv6.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import {
  encodeTcp,
  TCP_HEADER_LENGTH,
  tcpHeaderLength,
  writeTcpChecksum,
  writeTcpPartialChecksum,
} from '../../wire/tcp.ts';
import { TcpFlag, type TcpSegment } from '../../wire/tcp-segment.ts';
import { allowsTags } from './configuration.ts';
import { Due, type PathContext, Standing, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { requestUpload } from './events.ts';
import { GATHER_FROM, gatherText, mostText } from './gather.ts';
import { isStale, queryReachability } from './neighbors.ts';
import { segmentsIn } from './segment.ts';

/** Sends what is due on a connection, until the engine has nothing more or the link is full. */
export function transmit(engine: Engine, ctx: TcpContext, nowUs: number): void {
  if (ctx.standing !== Standing.NORMAL) return;
  if (ctx.isSendingBarred) {
    // INV-009: the attempt to send is what asks for the upload. STAT-015: there is no way for it any more.
    engine.statistics(ctx.path.family).outNoRoutes++;
    requestUpload(engine, ctx, TcpUploadReason.INVALID_STATE, true);
    return;
  }
  sendDue(engine, ctx, nowUs);
}

/**
 * Before a terminate: the ACK that is owed is in one segment, which is sent even if the link is full, and waits in a copy then
 * (TERM-042). All else is for whoever has the connection next: it stands still meanwhile.
 */
export function sendOwed(engine: Engine, ctx: TcpContext, nowUs: number): void {
  sendNext(engine, ctx, nowUs);
}

function sendDue(engine: Engine, ctx: TcpContext, nowUs: number): void {
  do {
    if (!engine.outlet.isOpen) {
      block(engine, ctx);
      return;
    }
  } while (sendNext(engine, ctx, nowUs));
}

/** Sends one segment; false: nothing is due. */
function sendNext(engine: Engine, ctx: TcpContext, nowUs: number): boolean {
  const seg = engine.work.outgoing;
  const c = ctx.tcp;
  const neighbor = ctx.path.neighbor;
  // Asked before the engine counts the segment as sent: the host is called here and may change anything.
  if (neighbor !== null && isStale(engine, neighbor, nowUs)) queryReachability(engine, neighbor, nowUs);
  const sndMax = c.sndMax;
  if (!nextSegment(c, engine.parameters, seg, nowUs, mostText(engine, ctx))) return false;
  countSegment(engine, ctx, seg, seg.textLength === 0 ? 0 : seqDiff(seg.seq, sndMax));
  sendSegment(engine, ctx, seg);
  return true;
}

/** Text of one segment on the wire, where `seg` is one that the link cuts. */
function segmentText(c: TcpConnection, headerLength: number): number {
  return Math.max(1, c.effectiveMss + TCP_HEADER_LENGTH - headerLength);
}

/**
 * OutSegments leaves out pure retransmissions, RetransmittedSegments takes in whatever repeats a byte (STAT-017, STAT-020). A
 * super-segment counts as what it is cut into.
 */
function countSegment(engine: Engine, ctx: TcpContext, seg: TcpSegment, behindSndMax: number): void {
  const statistics = engine.statistics(ctx.path.family);
  const segments = segmentsIn(seg.textLength, segmentText(ctx.tcp, tcpHeaderLength(seg)));
  const { activity } = ctx;
  if (activity !== null) {
    activity.segmentsSent += segments;
    if (behindSndMax < 0) activity.segmentsRepeated += segments;
  }
  if (behindSndMax >= 0) statistics.outSegments += segments;
  else {
    statistics.retransmittedSegments += segments;
    if (behindSndMax + seg.textLength > 0) statistics.outSegments += segments;
  }
}

/** Waits for room on the link. */
function block(engine: Engine, ctx: TcpContext): void {
  if (ctx.isBlocked) return;
  ctx.isBlocked = true;
  engine.blocked.push(ctx);
}

/** The link has room again: those that waited go on. */
export function unblock(engine: Engine): void {
  if (engine.blocked.length === 0) return;
  const blocked = engine.blocked;
  engine.blocked = [];
  for (const ctx of blocked) {
    ctx.isBlocked = false;
    if (ctx.standing === Standing.NORMAL) engine.mark(ctx, Due.TRANSMIT);
  }
}

/** Builds the frame of one segment and gives it to the link. */
export function sendSegment(engine: Engine, ctx: TcpContext, seg: TcpSegment): void {
  const frame = engine.work.frame;
  const path = ctx.path;
  const headerLength = tcpHeaderLength(seg);
  const upperLength = headerLength + seg.textLength;
  const hasLinkHeader = path.neighbor !== null && engine.attributes.medium === 'ethernet';
  const linkLength = hasLinkHeader ? writeLinkHeader(engine, ctx, path, frame) : 0;
  const ipLength = path.family === 4 ? 20 : 40;
  if (path.family === 4) writeIpv4(engine, ctx, frame, linkLength, upperLength);
  else writeIpv6(engine, ctx, frame, linkLength, upperLength);
  const tcpAt = linkLength + ipLength;
  encodeTcp(frame, tcpAt, seg);
  const gather = seg.textLength >= GATHER_FROM && engine.link.takesGather === true ? engine.work.gather : null;
  const isGathered = gather !== null && gatherText(engine, ctx.tcp, seg, gather);
  if (seg.textLength > 0 && !isGathered) {
    ctx.tcp.sendQueue!.copyOut(seg.sendOffset, seg.textLength, frame, tcpAt + headerLength);
  }
  const srcAt = linkLength + (path.family === 4 ? 12 : 8);
  const dstAt = linkLength + (path.family === 4 ? 16 : 24);
  const segmentBytes = engine.largeSendBytes > 0 ? segmentText(ctx.tcp, headerLength) : 0;
  if (segmentBytes > 0) writeTcpPartialChecksum(frame, tcpAt, upperLength, path.family, srcAt, dstAt);
  else writeTcpChecksum(frame, tcpAt, upperLength, path.family, srcAt, dstAt);
  const statistics = engine.statistics(path.family);
  const segments = segmentsIn(seg.textLength, segmentBytes);
  statistics.outRequests += segments;
  statistics.outOctets += segments * (ipLength + headerLength) + seg.textLength;
  if ((seg.flags & TcpFlag.RST) !== 0) statistics.outResets++;
  const length = tcpAt + (isGathered ? headerLength : upperLength);
  if (!engine.outlet.emit(frame, 0, length, segmentBytes, isGathered ? gather : null)) {
    engine.statistics(path.family).outDiscards++;
  }
}

/** VLAN-012 to VLAN-015. */
function writeLinkHeader(engine: Engine, ctx: TcpContext, path: PathContext, frame: Uint8Array): number {
  const neighbor = path.neighbor!;
  const c = ctx.tcp;
  const priority = engine.supports8021p && allowsTags(engine) ? c.words[c.base + TcpWord.USER_PRIORITY]! : 0;
  const tci = neighbor.vlanId === 0 && priority === 0 ? NO_VLAN : vlanTci(neighbor.vlanId, priority);
  const etherType = path.family === 4 ? EtherType.IPV4 : EtherType.IPV6;
  return encodeEthernet(frame, 0, neighbor.destination, 0, neighbor.source, 0, etherType, tci);
}

function writeIpv4(engine: Engine, ctx: TcpContext, frame: Uint8Array, at: number, upperLength: number): void {
  const ip = engine.work.outgoingIpv4;
  const { words, base } = ctx.tcp;
  engine.ipId = engine.ipId === 0xffff ? 0x8000 : engine.ipId + 1;
  ip.tos = words[base + TcpWord.TOS_OR_TRAFFIC_CLASS]!;
  // What is larger is cut by the device, which knows how long it is.
  ip.totalLength = 20 + upperLength > IPV4_LENGTH_MAX ? 0 : 20 + upperLength;
  ip.id = engine.ipId;
  ip.flags = Ipv4Flag.DF;
  ip.fragmentOffset = 0;
  ip.ttl = words[base + TcpWord.TTL_OR_HOP_LIMIT]!;
  ip.protocol = IpProtocol.TCP;
  encodeIpv4Header(frame, at, ip, ctx.path.source, 0, ctx.path.destination, 0);
}

function writeIpv6(engine: Engine, ctx: TcpContext, frame: Uint8Array, at: number, upperLength: number): void {
  const ip = engine.work.outgoingIpv6;
  const { words, base } = ctx.tcp;
  ip.trafficClass = words[base + TcpWord.TOS_OR_TRAFFIC_CLASS]!;
  ip.flowLabel = words[base + TcpWord.FLOW_LABEL]!;
  ip.payloadLength = upperLength;
  ip.nextHeader = IpProtocol.TCP;
  ip.hopLimit = words[base + TcpWord.TTL_OR_HOP_LIMIT]!;
  encodeIpv6Header(frame, at, ip, ctx.path.source, 0, ctx.path.destination, 0);
}
