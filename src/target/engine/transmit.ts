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
import { nextSegment } from '../../tcp/on-send.ts';
import { EtherType, encodeEthernet, NO_VLAN, vlanTci } from '../../wire/ethernet.ts';
import { encodeIpv4Header, Ipv4Flag } from '../../wire/ipv4.ts';
import { encodeIpv6Header } from '../../wire/ipv6.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { encodeTcp, tcpHeaderLength, writeTcpChecksum } from '../../wire/tcp.ts';
import { TcpFlag, type TcpSegment } from '../../wire/tcp-segment.ts';
import { Due, type PathContext, Standing, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { requestUpload } from './events.ts';
import { isStale, queryReachability } from './neighbors.ts';
import type { FamilyStatistics } from './statistics.ts';

/** Sends what is due on a connection, until the engine has nothing more or the link is full. */
export function transmit(engine: Engine, ctx: TcpContext, nowUs: number): void {
  if (ctx.standing !== Standing.NORMAL) return;
  if (ctx.isSendingBarred) {
    // INV-009: the attempt to send is what asks for the upload.
    requestUpload(engine, ctx, TcpUploadReason.INVALID_STATE, true);
    return;
  }
  sendDue(engine, ctx, nowUs, 0);
}

/**
 * The same without looking at the connection's standing. `forced`: segments that are sent even if the link is full, and wait in
 * a copy: before a terminate, one, as the ACK that is owed is in it (TERM-042).
 */
export function sendDue(engine: Engine, ctx: TcpContext, nowUs: number, forced: number): void {
  const seg = engine.work.outgoing;
  const c = ctx.tcp;
  for (let sent = 0; ; sent++) {
    if (!engine.outlet.isOpen && sent >= forced) {
      if (forced === 0) block(engine, ctx);
      return;
    }
    const neighbor = ctx.path.neighbor;
    // Asked before the engine counts the segment as sent: the host is called here and may change anything.
    if (neighbor !== null && isStale(engine, neighbor, nowUs)) queryReachability(engine, neighbor, nowUs);
    const sndMax = c.sndMax;
    if (!nextSegment(c, engine.parameters, seg, nowUs, c.effectiveMss)) return;
    const statistics = engine.statistics(ctx.path.family);
    countSegment(statistics, seg, seg.textLength === 0 ? 0 : seqDiff(seg.seq, sndMax));
    sendSegment(engine, ctx, seg);
  }
}

/** OutSegments leaves out pure retransmissions, RetransmittedSegments takes in whatever repeats a byte (STAT-017, STAT-020). */
function countSegment(statistics: FamilyStatistics, seg: TcpSegment, behindSndMax: number): void {
  if (behindSndMax >= 0) statistics.outSegments++;
  else {
    statistics.retransmittedSegments++;
    if (behindSndMax + seg.textLength > 0) statistics.outSegments++;
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
  if (seg.textLength > 0) {
    ctx.tcp.sendQueue!.copyOut(seg.sendOffset, seg.textLength, frame, tcpAt + headerLength);
  }
  const srcAt = linkLength + (path.family === 4 ? 12 : 8);
  const dstAt = linkLength + (path.family === 4 ? 16 : 24);
  writeTcpChecksum(frame, tcpAt, upperLength, path.family, srcAt, dstAt);
  const statistics = engine.statistics(path.family);
  statistics.outRequests++;
  statistics.outOctets += ipLength + upperLength;
  if ((seg.flags & TcpFlag.RST) !== 0) statistics.outResets++;
  engine.outlet.emit(frame, 0, tcpAt + upperLength);
}

/** VLAN-012 to VLAN-015. */
function writeLinkHeader(engine: Engine, ctx: TcpContext, path: PathContext, frame: Uint8Array): number {
  const neighbor = path.neighbor!;
  const c = ctx.tcp;
  const priority = engine.supports8021p ? c.words[c.base + TcpWord.USER_PRIORITY]! : 0;
  const tci = neighbor.vlanId === 0 && priority === 0 ? NO_VLAN : vlanTci(neighbor.vlanId, priority);
  const etherType = path.family === 4 ? EtherType.IPV4 : EtherType.IPV6;
  return encodeEthernet(frame, 0, neighbor.destination, 0, neighbor.source, 0, etherType, tci);
}

function writeIpv4(engine: Engine, ctx: TcpContext, frame: Uint8Array, at: number, upperLength: number): void {
  const ip = engine.work.outgoingIpv4;
  const { words, base } = ctx.tcp;
  engine.ipId = engine.ipId === 0xffff ? 0x8000 : engine.ipId + 1;
  ip.tos = words[base + TcpWord.TOS_OR_TRAFFIC_CLASS]!;
  ip.totalLength = 20 + upperLength;
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
