/**
 * Segments on their way out: from the engine's next segment to a packet of the IP layer.
 *
 * A super-segment refers to the application's bytes where they lie, short pieces among them apart, which are copied; what is shorter, or is
 * in many pieces, is one gather copy into the packet, then the checksum. A packet buffer is there before the engine is asked for a segment, so nothing counts as sent that could not be. Sources: RFC 9293 3.1 (MUST-2), 3.10.7.1.
 */

import { assert } from '../../base/assert.ts';
import { write16 } from '../../base/bytes.ts';
import { copyBytes } from '../../base/copy-bytes.ts';
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

/** The two bits of TOS or traffic class that are ECN's. RFC 3168 5. */
const ECN_FIELD = 3;
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
      if (out !== null) mostText = mostTextOf(t, tcp, path, Math.max(mostText, out.room - TCP_HEADER_LENGTH_MAX));
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

/** Bytes of IPv4 and TCP header at most. */
const HEADERS_MAX = 20 + TCP_HEADER_LENGTH_MAX;

/** Most text of one packet: `fitting` in its buffer, or more where the interface takes that and the text need not be copied. */
function mostTextOf(t: TcpTransport, tcp: TcpConnection, path: PathEntry, fitting: number): number {
  if (path.family !== 4 || path.iface.bigSendBytes - HEADERS_MAX <= fitting) return fitting;
  const inFlight = seqDiff(tcp.sndMax, tcp.sndUna);
  const room = path.iface.bigSendBytes - HEADERS_MAX;
  const most = Math.min(room, tcp.queuedBytes - inFlight);
  if (most <= fitting || Math.min(tcp.sndWnd, tcp.cWnd) - inFlight <= fitting) return fitting;
  const run = t.run;
  let bytes = 0;
  let copied = 0;
  for (let runs = 0; runs < TEXT_RUNS_MAX; runs++) {
    // Whatever of it is sent can be referred to.
    if (bytes === most) return room;
    if (!tcp.sendQueue!.runAt(inFlight + bytes, most - bytes, run)) break;
    if (run.length < RUN_LEAST) copied += run.length;
    if (copied > fitting) break;
    bytes += run.length;
  }
  return Math.max(fitting, bytes);
}

/** Writes header, text and checksum into the packet and sends it. */
function emit(t: TcpTransport, tcp: TcpConnection, path: PathEntry, seg: TcpSegment, out: OutPacket): void {
  const bytes = out.bytes;
  const at = out.at;
  const headerLength = encodeTcp(bytes, at, seg);
  const length = headerLength + seg.textLength;
  // An adapter that cuts super-segments computes all checksums.
  const isLeft = path.iface.largeSendBytes > 0;
  const isReferred = isLeft && seg.textLength >= REFERRED_FROM && referToText(t, tcp, seg, out, headerLength);
  if (seg.textLength > 0 && !isReferred) {
    assert(length <= out.room, 'only text that is referred to may be more than fits');
    tcp.sendQueue!.copyOut(seg.sendOffset, seg.textLength, bytes, at + headerLength);
  }
  const segmentBytes = isLeft ? Math.max(1, tcp.effectiveMss + TCP_HEADER_LENGTH - headerLength) : 0;
  if (isLeft) write16(bytes, at + CHECKSUM_AT, partialPathChecksum(path, IpProtocol.TCP, length));
  else writeChecksum(path, bytes, at, length);
  const { words, base } = tcp;
  const tos = words[base + TcpWord.TOS_OR_TRAFFIC_CLASS]!;
  out.priority = words[base + TcpWord.USER_PRIORITY]!;
  t.ip.sendPacket(
    out,
    length,
    IpProtocol.TCP,
    words[base + TcpWord.TTL_OR_HOP_LIMIT]!,
    seg.ecn === 0 ? tos : (tos & ~ECN_FIELD) | seg.ecn,
    words[base + TcpWord.FLOW_LABEL]!,
    true,
    segmentBytes,
  );
}

/** Names the runs in which the text of a segment lies; short ones are copied behind its header. False: there are too many. */
function referToText(
  t: TcpTransport,
  tcp: TcpConnection,
  seg: TcpSegment,
  out: OutPacket,
  headerLength: number,
): boolean {
  const run = t.run;
  const { text } = out;
  let copyAt = out.at + headerLength;
  let offset = seg.sendOffset;
  let left = seg.textLength;
  while (left > 0) {
    if (text.count === TEXT_RUNS_MAX || !tcp.sendQueue!.runAt(offset, left, run)) {
      text.clear();
      return false;
    }
    const { length } = run;
    if (length >= RUN_LEAST) text.add(run.bytes, run.at, length);
    else {
      copyBytes(run.bytes, run.at, length, out.bytes, copyAt);
      // What comes first stands behind the header as it is.
      if (text.count > 0) text.add(out.bytes, copyAt, length);
      copyAt += length;
    }
    offset += length;
    left -= length;
  }
  if (text.count === 0) return true;
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
