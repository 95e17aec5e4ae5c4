/**
 * The part of a connection record that crosses the chimney, read and written under the names of the RFCs and the DDI.
 *
 * Promises: each accessor is one word; the words stand where `state/tcp.ts` puts them. Leaves to others: what is private to the
 * engine (connection.ts). Variables that only the transfer uses (times in ticks) have no accessor here: transfer.ts fills them.
 */

import { asSeq, type Seq } from '../base/seq.ts';
import { TcpWord } from '../state/tcp.ts';

/** A view of the constant, cached and delegated words of one record. */
export class TcpRecord {
  readonly words: Int32Array;
  /** First word of the record in `words`. */
  readonly base: number;

  constructor(words: Int32Array, base: number) {
    this.words = words;
    this.base = base;
  }

  /** 0 or an OR of `TcpConstFlag`: what both ends agreed at setup; before that, what we offer. */
  get constFlags(): number {
    return this.words[this.base + TcpWord.CONST_FLAGS]!;
  }
  set constFlags(value: number) {
    this.words[this.base + TcpWord.CONST_FLAGS] = value;
  }
  /** Destination port of what we send. */
  get remotePort(): number {
    return this.words[this.base + TcpWord.REMOTE_PORT]!;
  }
  set remotePort(value: number) {
    this.words[this.base + TcpWord.REMOTE_PORT] = value;
  }
  /** Source port of what we send. */
  get localPort(): number {
    return this.words[this.base + TcpWord.LOCAL_PORT]!;
  }
  set localPort(value: number) {
    this.words[this.base + TcpWord.LOCAL_PORT] = value;
  }
  /** Shift applied to windows the peer advertises, 0 to 14. Snd.Wind.Shift, RFC 7323 2.3. */
  get sndWindScale(): number {
    return this.words[this.base + TcpWord.SND_WIND_SCALE]!;
  }
  set sndWindScale(value: number) {
    this.words[this.base + TcpWord.SND_WIND_SCALE] = value;
  }
  /** Shift applied to windows we advertise, 0 to 14. Rcv.Wind.Shift. */
  get rcvWindScale(): number {
    return this.words[this.base + TcpWord.RCV_WIND_SCALE]!;
  }
  set rcvWindScale(value: number) {
    this.words[this.base + TcpWord.RCV_WIND_SCALE] = value;
  }
  /** MSS the peer announced (or the default where it announced none), bytes. RFC 9293 3.7.1. */
  get remoteMss(): number {
    return this.words[this.base + TcpWord.REMOTE_MSS]!;
  }
  set remoteMss(value: number) {
    this.words[this.base + TcpWord.REMOTE_MSS] = value;
  }
  /** 0 or an OR of `TcpCachedFlag`; the action flags are never kept here. */
  get cachedFlags(): number {
    return this.words[this.base + TcpWord.CACHED_FLAGS]!;
  }
  set cachedFlags(value: number) {
    this.words[this.base + TcpWord.CACHED_FLAGS] = value;
  }
  /** Receive buffer of the connection, bytes: SO_RCVBUF, RCV.BUFF of RFC 9293 3.8.6.2.2. */
  get initialRcvWnd(): number {
    return this.words[this.base + TcpWord.INITIAL_RCV_WND]!;
  }
  set initialRcvWnd(value: number) {
    this.words[this.base + TcpWord.INITIAL_RCV_WND] = value;
  }
  /** Keepalive probes before giving up, 0 to 255; 0: the default. */
  get kaProbeCount(): number {
    return this.words[this.base + TcpWord.KA_PROBE_COUNT]!;
  }
  set kaProbeCount(value: number) {
    this.words[this.base + TcpWord.KA_PROBE_COUNT] = value;
  }
  /** Idle time before the first keepalive probe, ticks; 0: the default. */
  get kaTimeout(): number {
    return this.words[this.base + TcpWord.KA_TIMEOUT]! >>> 0;
  }
  set kaTimeout(value: number) {
    this.words[this.base + TcpWord.KA_TIMEOUT] = value;
  }
  /** Time between unanswered keepalive probes, ticks; 0: the default. */
  get kaInterval(): number {
    return this.words[this.base + TcpWord.KA_INTERVAL]! >>> 0;
  }
  set kaInterval(value: number) {
    this.words[this.base + TcpWord.KA_INTERVAL] = value;
  }
  /** Longest time spent retransmitting one segment, ticks; 0: the count decides; `MAX_RT_NO_LIMIT`: for ever. R2, RFC 9293 3.8.3. */
  get maxRt(): number {
    return this.words[this.base + TcpWord.MAX_RT]! >>> 0;
  }
  set maxRt(value: number) {
    this.words[this.base + TcpWord.MAX_RT] = value;
  }
  /** A `TcpConnectionState`. RFC 9293 3.3.2. */
  get state(): number {
    return this.words[this.base + TcpWord.STATE]!;
  }
  set state(value: number) {
    this.words[this.base + TcpWord.STATE] = value;
  }
  /** Next sequence number expected. RCV.NXT. */
  get rcvNxt(): Seq {
    return asSeq(this.words[this.base + TcpWord.RCV_NXT]!);
  }
  set rcvNxt(value: Seq) {
    this.words[this.base + TcpWord.RCV_NXT] = value;
  }
  /** Window we offer from RCV.NXT on, bytes; what was advertised last is `rcvAdv`. RCV.WND. */
  get rcvWnd(): number {
    return this.words[this.base + TcpWord.RCV_WND]!;
  }
  set rcvWnd(value: number) {
    this.words[this.base + TcpWord.RCV_WND] = value;
  }
  /** First unacknowledged sequence number. SND.UNA. */
  get sndUna(): Seq {
    return asSeq(this.words[this.base + TcpWord.SND_UNA]!);
  }
  set sndUna(value: Seq) {
    this.words[this.base + TcpWord.SND_UNA] = value;
  }
  /** Next sequence number to send; before `sndMax` while a retransmission timeout is being repaired. SND.NXT. */
  get sndNxt(): Seq {
    return asSeq(this.words[this.base + TcpWord.SND_NXT]!);
  }
  set sndNxt(value: Seq) {
    this.words[this.base + TcpWord.SND_NXT] = value;
  }
  /** Highest sequence number sent, plus one. */
  get sndMax(): Seq {
    return asSeq(this.words[this.base + TcpWord.SND_MAX]!);
  }
  set sndMax(value: Seq) {
    this.words[this.base + TcpWord.SND_MAX] = value;
  }
  /** Send window, bytes, scaled up. SND.WND. */
  get sndWnd(): number {
    return this.words[this.base + TcpWord.SND_WND]!;
  }
  set sndWnd(value: number) {
    this.words[this.base + TcpWord.SND_WND] = value;
  }
  /** Largest send window seen, bytes. MAX.SND.WND of RFC 5961 5.2, Max(SND.WND) of RFC 9293 3.8.6.2.1. */
  get maxSndWnd(): number {
    return this.words[this.base + TcpWord.MAX_SND_WND]!;
  }
  set maxSndWnd(value: number) {
    this.words[this.base + TcpWord.MAX_SND_WND] = value;
  }
  /** Sequence number of the segment used for the last window update. SND.WL1. */
  get sndWl1(): Seq {
    return asSeq(this.words[this.base + TcpWord.SND_WL1]!);
  }
  set sndWl1(value: Seq) {
    this.words[this.base + TcpWord.SND_WL1] = value;
  }
  /** Congestion window, bytes. RFC 5681. */
  get cWnd(): number {
    return this.words[this.base + TcpWord.CWND]!;
  }
  set cWnd(value: number) {
    this.words[this.base + TcpWord.CWND] = value;
  }
  /** Slow-start threshold, bytes. RFC 5681. */
  get ssThresh(): number {
    return this.words[this.base + TcpWord.SS_THRESH]!;
  }
  set ssThresh(value: number) {
    this.words[this.base + TcpWord.SS_THRESH] = value;
  }
  /** Peer timestamp to echo. TS.Recent, RFC 7323 4.3. */
  get tsRecent(): number {
    return this.words[this.base + TcpWord.TS_RECENT]!;
  }
  set tsRecent(value: number) {
    this.words[this.base + TcpWord.TS_RECENT] = value;
  }
  /** Duplicate ACKs for one number, 0 to 255. RFC 5681 2, RFC 6675 DupAcks. */
  get dupAckCount(): number {
    return this.words[this.base + TcpWord.DUP_ACK_COUNT]!;
  }
  set dupAckCount(value: number) {
    this.words[this.base + TcpWord.DUP_ACK_COUNT] = value;
  }
  /** Zero-window probe round, 0 to 255. chimney-sequences 22. */
  get sndWndProbeCount(): number {
    return this.words[this.base + TcpWord.SND_WND_PROBE_COUNT]!;
  }
  set sndWndProbeCount(value: number) {
    this.words[this.base + TcpWord.SND_WND_PROBE_COUNT] = value;
  }
  /** Unanswered keepalive probes, 0 to 255. KeepAlive.ProbeCount. */
  get keepAliveProbeCount(): number {
    return this.words[this.base + TcpWord.KEEP_ALIVE_PROBE_COUNT]!;
  }
  set keepAliveProbeCount(value: number) {
    this.words[this.base + TcpWord.KEEP_ALIVE_PROBE_COUNT] = value;
  }
  /** Retransmissions of the segment at SND.UNA, or probes of this round while SND.WND is 0; 0 to 255. Retransmit.Count. */
  get retransmitCount(): number {
    return this.words[this.base + TcpWord.RETRANSMIT_COUNT]!;
  }
  set retransmitCount(value: number) {
    this.words[this.base + TcpWord.RETRANSMIT_COUNT] = value;
  }
}
