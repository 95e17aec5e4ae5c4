/**
 * TCP state as it crosses the chimney: constant, cached and delegated variables of one connection.
 *
 * All three are views of one record of int32 words, so that a move is a copy of words. The TCP engine keeps its own
 * connection records with the same words in the same places (tcp/connection.ts) and adds private words behind them.
 * Units are the interface's: ticks of TicksPerSecond where the DDI says so. Source: chimney-ddi 7.6, 7.7, 7.8.
 */

import { asSeq, type Seq } from '../base/seq.ts';
import type { NetBufferList } from './net-buffer-list.ts';

/** TCP_OFFLOAD_CONNECTION_STATE. */
export const TcpConnectionState = {
  CLOSED: 1,
  LISTEN: 2,
  SYN_SENT: 3,
  SYN_RCVD: 4,
  ESTABLISHED: 5,
  FIN_WAIT1: 6,
  FIN_WAIT2: 7,
  CLOSE_WAIT: 8,
  CLOSING: 9,
  LAST_ACK: 10,
  TIME_WAIT: 11,
} as const;
export type TcpConnectionState = (typeof TcpConnectionState)[keyof typeof TcpConnectionState];

/** Flags of the constant state: TCP_FLAG_TIMESTAMP_ENABLED and so on. */
export const TcpConstFlag = { TIMESTAMP_ENABLED: 1, SACK_ENABLED: 2, WINDOW_SCALING_ENABLED: 4 } as const;

/** Flags of the cached state; the last three are actions, not modes. chimney-ddi 8.7. */
export const TcpCachedFlag = {
  KEEP_ALIVE_ENABLED: 1,
  NAGLING_ENABLED: 2,
  KEEP_ALIVE_RESTART: 4,
  MAX_RT_RESTART: 8,
  UPDATE_RCV_WND: 16,
} as const;

/** MaxRT: retransmit for ever. */
export const MAX_RT_NO_LIMIT = 0xffffffff;
/** SendBacklogSize, ReceiveBacklogSize: the target does not report them. */
export const BACKLOG_UNSUPPORTED = 0xffffffff;
/** A TimeoutDelta: the timer is not running. Not the same as 0, which is: it has just expired. */
export const TIMER_NOT_RUNNING = -1;

/** Where each variable stands in the record. One line a word; the three parts are contiguous. */
export const TcpWord = {
  // TCP_OFFLOAD_STATE_CONST
  CONST_FLAGS: 0,
  REMOTE_PORT: 1,
  LOCAL_PORT: 2,
  SND_WIND_SCALE: 3,
  RCV_WIND_SCALE: 4,
  REMOTE_MSS: 5,
  HASH_VALUE: 6,
  // TCP_OFFLOAD_STATE_CACHED
  CACHED_FLAGS: 8,
  INITIAL_RCV_WND: 9,
  RCV_INDICATION_SIZE: 10,
  KA_PROBE_COUNT: 11,
  KA_TIMEOUT: 12,
  KA_INTERVAL: 13,
  MAX_RT: 14,
  FLOW_LABEL: 15,
  TTL_OR_HOP_LIMIT: 16,
  TOS_OR_TRAFFIC_CLASS: 17,
  USER_PRIORITY: 18,
  // TCP_OFFLOAD_STATE_DELEGATED
  STATE: 20,
  DELEGATED_FLAGS: 21,
  RCV_NXT: 22,
  RCV_WND: 23,
  SND_UNA: 24,
  SND_NXT: 25,
  SND_MAX: 26,
  SND_WND: 27,
  MAX_SND_WND: 28,
  SND_WL1: 29,
  CWND: 30,
  SS_THRESH: 31,
  S_RTT: 32,
  RTT_VAR: 33,
  TS_RECENT: 34,
  TS_RECENT_AGE: 35,
  TS_TIME: 36,
  TOTAL_RT: 37,
  DUP_ACK_COUNT: 38,
  SND_WND_PROBE_COUNT: 39,
  KEEP_ALIVE_PROBE_COUNT: 40,
  KEEP_ALIVE_TIMEOUT_DELTA: 41,
  RETRANSMIT_COUNT: 42,
  RETRANSMIT_TIMEOUT_DELTA: 43,
  SEND_BACKLOG_SIZE: 44,
  RECEIVE_BACKLOG_SIZE: 45,
  D_WND: 46,
} as const;

/** The constant part: words [0, 8). */
export const TCP_CONST_WORDS = 8;
/** The cached part: words [8, 20). */
export const TCP_CACHED_AT = 8;
export const TCP_CACHED_WORDS = 12;
/** The delegated part: words [20, 48). */
export const TCP_DELEGATED_AT = 20;
export const TCP_DELEGATED_WORDS = 28;
/** The whole of a state record. */
export const TCP_STATE_WORDS = 48;

/** A view of one state record: `words[base]` is its first word. */
export class TcpStateView {
  readonly words: Int32Array;
  readonly base: number;

  constructor(words: Int32Array = new Int32Array(TCP_STATE_WORDS), base = 0) {
    this.words = words;
    this.base = base;
  }
}

/** TCP_OFFLOAD_STATE_CONST: nobody writes it for the life of the connection. */
export class TcpConstState extends TcpStateView {
  /** 0 or an OR of {@link TcpConstFlag}. */
  get flags(): number {
    return this.words[this.base + TcpWord.CONST_FLAGS]!;
  }
  set flags(value: number) {
    this.words[this.base + TcpWord.CONST_FLAGS] = value;
  }

  /** Destination port of what we send; host byte order. */
  get remotePort(): number {
    return this.words[this.base + TcpWord.REMOTE_PORT]!;
  }
  set remotePort(value: number) {
    this.words[this.base + TcpWord.REMOTE_PORT] = value;
  }

  /** Source port of what we send; host byte order. */
  get localPort(): number {
    return this.words[this.base + TcpWord.LOCAL_PORT]!;
  }
  set localPort(value: number) {
    this.words[this.base + TcpWord.LOCAL_PORT] = value;
  }

  /** Shift applied to windows the peer advertises; 0 to 14. RFC 7323 2.2. */
  get sndWindScale(): number {
    return this.words[this.base + TcpWord.SND_WIND_SCALE]!;
  }
  set sndWindScale(value: number) {
    this.words[this.base + TcpWord.SND_WIND_SCALE] = value;
  }

  /** Shift applied to windows we advertise; 0 to 14. */
  get rcvWindScale(): number {
    return this.words[this.base + TcpWord.RCV_WIND_SCALE]!;
  }
  set rcvWindScale(value: number) {
    this.words[this.base + TcpWord.RCV_WIND_SCALE] = value;
  }

  /** MSS the peer announced at setup, bytes. */
  get remoteMss(): number {
    return this.words[this.base + TcpWord.REMOTE_MSS]!;
  }
  set remoteMss(value: number) {
    this.words[this.base + TcpWord.REMOTE_MSS] = value;
  }

  /** RSS hash of the connection, computed by the host. */
  get hashValue(): number {
    return this.words[this.base + TcpWord.HASH_VALUE]! >>> 0;
  }
  set hashValue(value: number) {
    this.words[this.base + TcpWord.HASH_VALUE] = value;
  }
}

/** TCP_OFFLOAD_STATE_CACHED: the host writes it, and updates the target. */
export class TcpCachedState extends TcpStateView {
  /** 0 or an OR of {@link TcpCachedFlag}. */
  get flags(): number {
    return this.words[this.base + TcpWord.CACHED_FLAGS]!;
  }
  set flags(value: number) {
    this.words[this.base + TcpWord.CACHED_FLAGS] = value;
  }

  /** Default receive window (SO_RCVBUF), bytes. */
  get initialRcvWnd(): number {
    return this.words[this.base + TcpWord.INITIAL_RCV_WND]!;
  }
  set initialRcvWnd(value: number) {
    this.words[this.base + TcpWord.INITIAL_RCV_WND] = value;
  }

  /** Preferred bytes in an indication; 0: as much as possible. A hint. */
  get rcvIndicationSize(): number {
    return this.words[this.base + TcpWord.RCV_INDICATION_SIZE]!;
  }
  set rcvIndicationSize(value: number) {
    this.words[this.base + TcpWord.RCV_INDICATION_SIZE] = value;
  }

  /** Keepalive probes before giving up; 0 to 255. */
  get kaProbeCount(): number {
    return this.words[this.base + TcpWord.KA_PROBE_COUNT]!;
  }
  set kaProbeCount(value: number) {
    this.words[this.base + TcpWord.KA_PROBE_COUNT] = value;
  }

  /** Idle time before the first keepalive probe, ticks. */
  get kaTimeout(): number {
    return this.words[this.base + TcpWord.KA_TIMEOUT]! >>> 0;
  }
  set kaTimeout(value: number) {
    this.words[this.base + TcpWord.KA_TIMEOUT] = value;
  }

  /** Time between unanswered keepalive probes, ticks. */
  get kaInterval(): number {
    return this.words[this.base + TcpWord.KA_INTERVAL]! >>> 0;
  }
  set kaInterval(value: number) {
    this.words[this.base + TcpWord.KA_INTERVAL] = value;
  }

  /** Limit of time spent retransmitting a segment, ticks; 0: TcpMaximumRetransmissions governs; {@link MAX_RT_NO_LIMIT}. */
  get maxRt(): number {
    return this.words[this.base + TcpWord.MAX_RT]! >>> 0;
  }
  set maxRt(value: number) {
    this.words[this.base + TcpWord.MAX_RT] = value;
  }

  /** IPv6 flow label, 20 bits. */
  get flowLabel(): number {
    return this.words[this.base + TcpWord.FLOW_LABEL]!;
  }
  set flowLabel(value: number) {
    this.words[this.base + TcpWord.FLOW_LABEL] = value;
  }

  /** IPv4 TTL or IPv6 hop limit. */
  get ttlOrHopLimit(): number {
    return this.words[this.base + TcpWord.TTL_OR_HOP_LIMIT]!;
  }
  set ttlOrHopLimit(value: number) {
    this.words[this.base + TcpWord.TTL_OR_HOP_LIMIT] = value;
  }

  /** IPv4 TOS or IPv6 traffic class. */
  get tosOrTrafficClass(): number {
    return this.words[this.base + TcpWord.TOS_OR_TRAFFIC_CLASS]!;
  }
  set tosOrTrafficClass(value: number) {
    this.words[this.base + TcpWord.TOS_OR_TRAFFIC_CLASS] = value;
  }

  /** 802.1p priority, 0 to 7. */
  get userPriority(): number {
    return this.words[this.base + TcpWord.USER_PRIORITY]!;
  }
  set userPriority(value: number) {
    this.words[this.base + TcpWord.USER_PRIORITY] = value;
  }
}

/** TCP_OFFLOAD_STATE_DELEGATED: whoever holds the connection writes it. Offloading is moving this. */
export class TcpDelegatedState extends TcpStateView {
  /** Initiate and terminate: first list with send data inside NetBufferListChain; meaningless when the chain is NULL. */
  sendDataHead: NetBufferList | null = null;
  /** Initiate and terminate: last list with send data. */
  sendDataTail: NetBufferList | null = null;
  /** Initiate: the host's undelivered receive data (the target copies). Terminate: the target's (comes back by receive return). */
  bufferedData: NetBufferList | null = null;

  /** A {@link TcpConnectionState}. */
  get state(): number {
    return this.words[this.base + TcpWord.STATE]!;
  }
  set state(value: number) {
    this.words[this.base + TcpWord.STATE] = value;
  }

  /** Reserved for the system. */
  get flags(): number {
    return this.words[this.base + TcpWord.DELEGATED_FLAGS]!;
  }
  set flags(value: number) {
    this.words[this.base + TcpWord.DELEGATED_FLAGS] = value;
  }

  /** Next sequence number expected. */
  get rcvNxt(): Seq {
    return asSeq(this.words[this.base + TcpWord.RCV_NXT]!);
  }
  set rcvNxt(value: Seq) {
    this.words[this.base + TcpWord.RCV_NXT] = value;
  }

  /** Receive window, bytes. */
  get rcvWnd(): number {
    return this.words[this.base + TcpWord.RCV_WND]!;
  }
  set rcvWnd(value: number) {
    this.words[this.base + TcpWord.RCV_WND] = value;
  }

  /** First unacknowledged sequence number. */
  get sndUna(): Seq {
    return asSeq(this.words[this.base + TcpWord.SND_UNA]!);
  }
  set sndUna(value: Seq) {
    this.words[this.base + TcpWord.SND_UNA] = value;
  }

  /** Next sequence number to send; may lie before sndMax. */
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

  /** Send window, bytes (scaled up). */
  get sndWnd(): number {
    return this.words[this.base + TcpWord.SND_WND]!;
  }
  set sndWnd(value: number) {
    this.words[this.base + TcpWord.SND_WND] = value;
  }

  /** Largest send window seen, bytes. */
  get maxSndWnd(): number {
    return this.words[this.base + TcpWord.MAX_SND_WND]!;
  }
  set maxSndWnd(value: number) {
    this.words[this.base + TcpWord.MAX_SND_WND] = value;
  }

  /** Sequence number of the segment used for the last window update. SendWL1. */
  get sndWl1(): Seq {
    return asSeq(this.words[this.base + TcpWord.SND_WL1]!);
  }
  set sndWl1(value: Seq) {
    this.words[this.base + TcpWord.SND_WL1] = value;
  }

  /** Congestion window, bytes. */
  get cWnd(): number {
    return this.words[this.base + TcpWord.CWND]!;
  }
  set cWnd(value: number) {
    this.words[this.base + TcpWord.CWND] = value;
  }

  /** Slow-start threshold, bytes. */
  get ssThresh(): number {
    return this.words[this.base + TcpWord.SS_THRESH]!;
  }
  set ssThresh(value: number) {
    this.words[this.base + TcpWord.SS_THRESH] = value;
  }

  /** 8 x smoothed round-trip time, ticks; 0 to 65535. */
  get sRtt(): number {
    return this.words[this.base + TcpWord.S_RTT]!;
  }
  set sRtt(value: number) {
    this.words[this.base + TcpWord.S_RTT] = value;
  }

  /** 4 x round-trip variation, ticks; 0 to 65535. */
  get rttVar(): number {
    return this.words[this.base + TcpWord.RTT_VAR]!;
  }
  set rttVar(value: number) {
    this.words[this.base + TcpWord.RTT_VAR] = value;
  }

  /** Peer timestamp to echo. */
  get tsRecent(): number {
    return this.words[this.base + TcpWord.TS_RECENT]!;
  }
  set tsRecent(value: number) {
    this.words[this.base + TcpWord.TS_RECENT] = value;
  }

  /** Ticks since tsRecent arrived. */
  get tsRecentAge(): number {
    return this.words[this.base + TcpWord.TS_RECENT_AGE]! >>> 0;
  }
  set tsRecentAge(value: number) {
    this.words[this.base + TcpWord.TS_RECENT_AGE] = value;
  }

  /** Adjusted timestamp clock at the moment of transfer. */
  get tsTime(): number {
    return this.words[this.base + TcpWord.TS_TIME]!;
  }
  set tsTime(value: number) {
    this.words[this.base + TcpWord.TS_TIME] = value;
  }

  /** Ticks spent retransmitting the current segment. */
  get totalRt(): number {
    return this.words[this.base + TcpWord.TOTAL_RT]! >>> 0;
  }
  set totalRt(value: number) {
    this.words[this.base + TcpWord.TOTAL_RT] = value;
  }

  /** Duplicate ACKs for one number; 0 to 255. */
  get dupAckCount(): number {
    return this.words[this.base + TcpWord.DUP_ACK_COUNT]!;
  }
  set dupAckCount(value: number) {
    this.words[this.base + TcpWord.DUP_ACK_COUNT] = value;
  }

  /** Zero-window probe round; 0 to 255. */
  get sndWndProbeCount(): number {
    return this.words[this.base + TcpWord.SND_WND_PROBE_COUNT]!;
  }
  set sndWndProbeCount(value: number) {
    this.words[this.base + TcpWord.SND_WND_PROBE_COUNT] = value;
  }

  /** KeepAlive.ProbeCount: unanswered probes; 0 to 255. */
  get keepAliveProbeCount(): number {
    return this.words[this.base + TcpWord.KEEP_ALIVE_PROBE_COUNT]!;
  }
  set keepAliveProbeCount(value: number) {
    this.words[this.base + TcpWord.KEEP_ALIVE_PROBE_COUNT] = value;
  }

  /** KeepAlive.TimeoutDelta: ticks to the next keepalive timeout; -1 not running, 0 expired. */
  get keepAliveTimeoutDelta(): number {
    return this.words[this.base + TcpWord.KEEP_ALIVE_TIMEOUT_DELTA]!;
  }
  set keepAliveTimeoutDelta(value: number) {
    this.words[this.base + TcpWord.KEEP_ALIVE_TIMEOUT_DELTA] = value;
  }

  /** Retransmit.Count: retransmissions sent (window probes while sndWnd is 0). */
  get retransmitCount(): number {
    return this.words[this.base + TcpWord.RETRANSMIT_COUNT]!;
  }
  set retransmitCount(value: number) {
    this.words[this.base + TcpWord.RETRANSMIT_COUNT] = value;
  }

  /** Retransmit.TimeoutDelta: ticks to the next retransmit, persist or FIN-WAIT-2 timeout; -1 not running, 0 expired. */
  get retransmitTimeoutDelta(): number {
    return this.words[this.base + TcpWord.RETRANSMIT_TIMEOUT_DELTA]!;
  }
  set retransmitTimeoutDelta(value: number) {
    this.words[this.base + TcpWord.RETRANSMIT_TIMEOUT_DELTA] = value;
  }

  /** Query only: optimum of outstanding send bytes; {@link BACKLOG_UNSUPPORTED}. */
  get sendBacklogSize(): number {
    return this.words[this.base + TcpWord.SEND_BACKLOG_SIZE]! >>> 0;
  }
  set sendBacklogSize(value: number) {
    this.words[this.base + TcpWord.SEND_BACKLOG_SIZE] = value;
  }

  /** Query only: bytes buffered in the target; {@link BACKLOG_UNSUPPORTED}. */
  get receiveBacklogSize(): number {
    return this.words[this.base + TcpWord.RECEIVE_BACKLOG_SIZE]! >>> 0;
  }
  set receiveBacklogSize(value: number) {
    this.words[this.base + TcpWord.RECEIVE_BACKLOG_SIZE] = value;
  }
}
