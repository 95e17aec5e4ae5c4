/**
 * Segments on their way out: from the engine's next segment to a packet of the IP layer.
 *
 * A super-segment refers to the application's bytes where they lie; what is shorter, or is in many pieces, is one gather copy into the
 * packet, then the checksum. A packet buffer is there before the engine is asked for a segment, so nothing counts as sent that could not be. Sources: RFC 9293 3.1 (MUST-2), 3.10.7.1.
 */

import { write16 } from '../../base/bytes.ts';
import { seqDiff } from '../../base/seq.ts';
import { TcpWord } from '../../state/tcp.ts';
import type { TcpConnection } from '../../tcp/connection.ts';
import { nextSegment } from '../../tcp/on-send.ts';
import { Event } from '../../trace/events.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { encodeTcp, TCP_HEADER_LENGTH, TCP_HEADER_LENGTH_MAX } from '../../wire/tcp.ts';
import { TcpFlag, type TcpSegment } from '../../wire/tcp-segment.ts';
import { TEXT_RUNS_MAX } from '../path/text-runs.ts';
import type { OutPacket, PathEntry } from '../path/types.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import { partialPathChecksum, pathChecksum } from './path-checksum.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';
import type { TcpTransport } from './tcp-transport.ts';

/** Where the checksum stands in the TCP header. */
const CHECKSUM_AT = 16;
/** Text from so many bytes on stays where it lies, in runs no shorter than that: those are cheaper to copy. */
const REFERRED_FROM = 4096;
const RUN_LEAST = 1024;

/**
 * Sends at most `burst` segments of the endpoint. It stays marked SEND_DUE when it has more, and is blocked when its interface
 * has no buffer.
 */
export function sendSegments(t: TcpTransport, endpoint: HostEndpoint, nowUs: number, burst: number): void {
  const { tcp, path } = endpoint;
  const seg = t.sendSegment;
  for (let n = 0; n < burst; n++) {
    let mostText = tcp.effectiveMss;
    let out: OutPacket | null = null;
    if (path.iface.largeSendBytes > 0 && hasLargeUnsent(tcp)) {
      out = t.ip.beginLargePacket(path);
      if (out !== null) mostText = Math.max(mostText, out.room - TCP_HEADER_LENGTH_MAX);
    }
    out ??= t.ip.beginPacket(path);
    if (out === null) {
      t.turn.block(endpoint);
      return;
    }
    const { sndMax } = tcp;
    if (!nextSegment(tcp, t.parameters, seg, nowUs, mostText)) {
      t.ip.abandonPacket(out);
      endpoint.flags &= ~EndpointFlag.SEND_DUE;
      return;
    }
    countSegment(t, path, tcp, seg, seg.textLength === 0 ? 0 : seqDiff(seg.seq, sndMax));
    emit(t, tcp, path, seg, out);
  }
}

/** As the chimney counts them: pure repetitions apart, whatever repeats a byte. A super-segment is as many as it is cut into. */
function countSegment(t: TcpTransport, path: PathEntry, tcp: TcpConnection, seg: TcpSegment, behindMax: number): void {
  const statistics = t.ip.statistics(path.family);
  const segments = Math.max(1, Math.ceil(seg.textLength / tcp.effectiveMss));
  if (behindMax >= 0 || behindMax + seg.textLength > 0) statistics.outSegments += segments;
  if (behindMax < 0) statistics.retransmittedSegments += segments;
  if ((seg.flags & TcpFlag.RST) !== 0) statistics.outResets++;
}

/** Whether more than a segment of text has not been sent, so that a super-segment may come of it. */
function hasLargeUnsent(tcp: TcpConnection): boolean {
  return tcp.queuedBytes - seqDiff(tcp.sndMax, tcp.sndUna) > tcp.effectiveMss;
}

/** Writes header, text and checksum into the packet and sends it. */
function emit(t: TcpTransport, tcp: TcpConnection, path: PathEntry, seg: TcpSegment, out: OutPacket): void {
  const bytes = out.bytes;
  const at = out.at;
  const headerLength = encodeTcp(bytes, at, seg);
  const length = headerLength + seg.textLength;
  // An adapter that cuts super-segments computes all checksums.
  const isLeft = path.iface.largeSendBytes > 0;
  const isReferred = isLeft && seg.textLength >= REFERRED_FROM && referToText(t, tcp, seg, out);
  if (seg.textLength > 0 && !isReferred) {
    tcp.sendQueue!.copyOut(seg.sendOffset, seg.textLength, bytes, at + headerLength);
  }
  const segmentBytes = isLeft ? Math.max(1, tcp.effectiveMss + TCP_HEADER_LENGTH - headerLength) : 0;
  if (isLeft) write16(bytes, at + CHECKSUM_AT, partialPathChecksum(path, IpProtocol.TCP, length));
  else writeChecksum(path, bytes, at, length);
  const { words, base } = tcp;
  out.priority = words[base + TcpWord.USER_PRIORITY]!;
  t.ip.sendPacket(
    out,
    length,
    IpProtocol.TCP,
    words[base + TcpWord.TTL_OR_HOP_LIMIT]!,
    words[base + TcpWord.TOS_OR_TRAFFIC_CLASS]!,
    words[base + TcpWord.FLOW_LABEL]!,
    true,
    segmentBytes,
  );
}

/** Names the runs in which the text of a segment lies. False: there are too many, or one of them is too short. */
function referToText(t: TcpTransport, tcp: TcpConnection, seg: TcpSegment, out: OutPacket): boolean {
  const run = t.run;
  let offset = seg.sendOffset;
  let left = seg.textLength;
  while (left > 0) {
    const isFit = out.text.count < TEXT_RUNS_MAX && tcp.sendQueue!.runAt(offset, left, run) && run.length >= RUN_LEAST;
    if (!isFit) {
      out.text.clear();
      return false;
    }
    out.text.add(run.bytes, run.at, run.length);
    offset += run.length;
    left -= run.length;
  }
  out.text.lentBy(tcp.owner as HostEndpoint);
  return true;
}

/** Sends a segment without text: an RST, for a connection or for none. False: there was no buffer, and it is not sent. */
export function sendBare(t: TcpTransport, path: PathEntry, seg: TcpSegment, hops: number, tos: number): boolean {
  const out = t.ip.beginPacket(path);
  if (out === null) {
    t.trace.count(Event.TCP_NO_BUFFER);
    return false;
  }
  const length = encodeTcp(out.bytes, out.at, seg);
  writeChecksum(path, out.bytes, out.at, length);
  const statistics = t.ip.statistics(path.family);
  statistics.outSegments++;
  if ((seg.flags & TcpFlag.RST) !== 0) statistics.outResets++;
  t.ip.sendPacket(out, length, IpProtocol.TCP, hops, tos, 0, true);
  return true;
}

function writeChecksum(path: PathEntry, bytes: Uint8Array, at: number, length: number): void {
  write16(bytes, at + CHECKSUM_AT, 0);
  write16(bytes, at + CHECKSUM_AT, pathChecksum(path, IpProtocol.TCP, bytes, at, length));
}
