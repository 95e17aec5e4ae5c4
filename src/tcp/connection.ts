/**
 * A connection record: the state that crosses the chimney, and behind it the engine's private words.
 *
 * A record is a slice of a slab: int32 words, with float64 moments at aligned places. `TcpConnection` is a thin view of one
 * record that also holds the few references which are not numbers; those are null while the connection is idle, so that a
 * hundred thousand idle connections stay small. The first {@link TCP_STATE_WORDS} words are laid out as in `state/tcp.ts`,
 * so a move is a copy of words plus the conversion of times. Source: design of the state in docs/ARCHITECTURE.md.
 */

import { asSeq, type Seq } from '../base/seq.ts';
import { TCP_STATE_WORDS } from '../state/tcp.ts';
import type { Reassembly } from './reassembly.ts';
import { TcpRecord } from './record.ts';
import type { SackScoreboard } from './scoreboard.ts';
import type { SendQueue } from './send-queue.ts';
import type { Transmissions } from './transmissions.ts';

/** Private words of a record, behind the state that crosses the chimney. One line a word. */
export const PrivateWord = {
  /** Local and remote address, four words each, big-endian order; IPv4 in the last word, the others 0. */
  LOCAL_ADDRESS: 48,
  REMOTE_ADDRESS: 52,
  FAMILY: 56,
  EFFECTIVE_MSS: 57,
  MODE: 58,
  ISS: 59,
  IRS: 60,
  SND_WL2: 61,
  RCV_ADV: 62,
  LAST_ACK_SENT: 63,
  TS_DELTA: 64,
  RECOVER: 65,
  RECEIVE_SPACE: 66,
  // 67 to 79: round-trip timing, congestion control and selective acknowledgment (rtt.ts, congestion/, sack-option.ts).
  RTT_SRTT_8: 67,
  RTT_VAR_4: 68,
  RTT_BACK_OFF: 69,
  RTT_TIMED_END: 70,
  RTT_FLAGS: 71,
  RTT_MIN_US: 72,
  CC_ACKED: 73,
  /** Words of the connection's congestion control, whichever it is; zero when it begins. */
  CC_A: 74,
  CC_B: 75,
  CC_C: 76,
  CC_D: 77,
  SACK_DUP_LEFT: 78,
  SACK_DUP_RIGHT: 79,
  // 80 to 95: the steps of the engine.
  LOCAL_MSS: 80,
  ACK_PENDING: 81,
  DUP_ACKS_OWED: 82,
  CHALLENGE_COUNT: 83,
  RCV_UP: 84,
  QUICK_ACKS: 85,
  RETRANSMITTED_SEGMENTS: 86,
  // 87 to 103: loss recovery (rack.ts, tail-loss-probe.ts, proportional-rate.ts), and which congestion control it is.
  /** What RACK has learned of the path's reordering; see rack.ts. */
  RACK_FLAGS: 87,
  RACK_DSACK_ROUND: 88,
  TLP_END: 89,
  PRR_DELIVERED: 90,
  PRR_OUT: 91,
  PRR_RECOVER_FS: 92,
  PRR_ALLOWED: 93,
  /** A timeout that may have been in vain (recovery.ts). */
  TIMEOUT_TS: 94,
  SS_THRESH_BEFORE: 95,
  /** 0: that of the parameters; else one of its own, see congestion/named.ts. */
  CONGESTION: 96,
  /** Where marks begin to tell of new congestion (ecn.ts). */
  ECN_RECOVER: 97,
  /** When the least round-trip time was measured, seconds (rtt.ts). */
  RTT_MIN_AT_S: 98,
} as const;

/** Bits of {@link TcpConnection.mode}: modes and pending things of the engine. None of them crosses the chimney. */
export const TcpMode = {
  /** A pure ACK is to be sent now. */
  ACK_NOW: 1,
  /** The SYN (in SYN-SENT) or SYN,ACK (in SYN-RCVD) is to be sent now. */
  SYN_DUE: 2,
  /** SYN-RCVD was reached from an active open, not from LISTEN (RFC 9293 3.5, MUST-11). */
  ACTIVE_OPEN: 4,
  /** CLOSE was called before the handshake was done; FIN-WAIT-1 follows ESTABLISHED at once (RFC 9293 3.10.4). */
  CLOSE_QUEUED: 8,
  /** Loss recovery after duplicate ACKs, until SND.UNA reaches {@link TcpConnection.recover}. RFC 6675 5, RFC 6582. */
  IN_RECOVERY: 16,
  /** A retransmission timeout is being repaired: no new loss recovery before `recover` is acknowledged. RFC 6675 5.1. */
  AFTER_TIMEOUT: 32,
  /** The segment at SND.UNA is to be retransmitted now, whatever the windows say. */
  RETRANSMIT_DUE: 64,
  /** A zero-window probe is to be sent now. */
  PROBE_DUE: 128,
  /** A keepalive probe is to be sent now. */
  KEEP_ALIVE_DUE: 256,
  /** The silly-window timer has expired: send what the window allows. */
  SWS_OVERRIDE: 512,
  /** The keepalive timer belongs to the blind-reset defence. chimney-sequences 21. */
  DEFENCE: 1024,
  /** An RST was challenged and no acceptable segment has come since (TCP-097). */
  RST_CHALLENGED: 2048,
  /** The congestion window, not the application, held the sender back. RFC 7661. */
  CWND_LIMITED: 4096,
  /** Retransmission was given up but the connection left as it is, for the host to decide (role 'target'). */
  EXPIRED: 8192,
  /** `rcvUp` means something: urgent data was announced. */
  URGENT: 16384,
  /** A tail loss probe is to be sent now. RFC 8985 7.3. */
  TLP_DUE: 32768,
  /** A tail loss probe is outstanding: TLP_END means something. RFC 8985 7.4. */
  TLP_OUT: 65536,
  /** ... and it was a retransmission. TLP.is_retrans. */
  TLP_RESENT: 131072,
  /** No round-trip time was measured since the last tail loss probe. RFC 8985 7.3. */
  TLP_UNANSWERED: 262144,
  /** The loss timer waits for reordered segments; otherwise it is the probe timeout. RFC 8985 6.3. */
  REORDER_WAIT: 524288,
  /** The retransmission timer has expired, and what is acknowledged next tells whether in vain. RFC 3522. */
  TIMEOUT_IN_DOUBT: 1048576,
  /** ECN was asked for in the SYN that counts, ours or the peer's. RFC 3168 6.1.1. */
  ECN_ASKED: 2097152,
  /** We have sent a SYN that did not ask: no packet of ours is ECN-capable. */
  ECN_PLAIN: 4194304,
  /** ECN was agreed on. */
  ECN: 8388608,
  /** A mark is to be echoed in every ACK. RFC 3168 6.1.3. */
  ECN_ECHO: 16777216,
  /** The next new data says that the window was reduced. RFC 3168 6.1.2. */
  CWR_DUE: 33554432,
  /** The window is one segment and still marked: nothing is sent before the retransmission timer expires. RFC 3168 6.1.2. */
  ECN_HOLD: 67108864,
} as const;

/** Where each moment stands behind {@link TcpConnection.momentBase}: deadlines first, NEVER when not armed; then other times. */
export const Moment = {
  /** Retransmission; persist while SND.WND is 0; FIN-WAIT-2 in that state: the one timer of Retransmit.TimeoutDelta. */
  RETRANSMIT: 0,
  DELAYED_ACK: 1,
  KEEP_ALIVE: 2,
  /** Sender silly-window override. RFC 9293 3.8.6.2.1. */
  SWS: 3,
  /** 2 MSL. */
  TIME_WAIT: 4,
  /** Receiver silly-window timer: a window that has opened is told by itself at last (TCP-014). */
  WINDOW_UPDATE: 5,
  /** Reordering timer or probe timeout, of which only one runs. RFC 8985 6.3, 7.2. */
  LOSS: 6,
  /** Not later than any of the deadlines; may be too early, see `armDeadline`. */
  SOONEST: 7,
  // 8 to 11: round-trip timing (rtt.ts) and congestion control (congestion/).
  RTT_TIMED_AT: 8,
  /** Congestion control: when its epoch began and when an ACK last opened the window; and a window with its fraction, no moment. */
  CC_EPOCH_AT: 9,
  CC_ACK_AT: 10,
  CC_ESTIMATE: 11,
  /** When the retransmission timer was started for the octet at SND.UNA: TotalRT counts from here. */
  RETRANSMIT_SINCE: 12,
  /** When text or FIN was sent last: a long pause restarts the congestion window. RFC 5681 4.1. */
  LAST_SENT: 13,
  /** When TS.Recent was taken. TsRecentAge. */
  TS_RECENT_AT: 14,
  /** When the present interval of challenge ACKs began. */
  CHALLENGE_SINCE: 15,
} as const;

/** Moments that are deadlines: [0, this). */
export const DEADLINES = 7;

/** Moments, microseconds on the runtime's clock, as float64 indices relative to the record. */
export const MOMENT_AT_WORD = 104;

/** Words in a record: 104 int32 words and 16 float64 moments. */
export const RECORD_WORDS = 136;

void TCP_STATE_WORDS;

/** A view of one record. */
export class TcpConnection extends TcpRecord {
  readonly moments: Float64Array;
  /** First moment of the record in `moments`. */
  readonly momentBase: number;
  /** Number of the record in its slab: names it in heaps and tables. */
  readonly slot: number;
  /** Whoever runs the connection: an endpoint of the host, an offload context of a target. */
  owner: unknown = null;
  /** Data to be sent and not yet acknowledged; null while there is none. */
  sendQueue: SendQueue | null = null;
  /** Text that arrived out of order; null while there is none. */
  reassembly: Reassembly | null = null;
  /** What the peer holds out of order (SACK); null while nothing is known. */
  scoreboard: SackScoreboard | null = null;
  /** When what is in flight was sent (RACK); null while nothing is, and where loss is not found by time. */
  transmissions: Transmissions | null = null;

  constructor(words: Int32Array, moments: Float64Array, base: number, slot: number) {
    super(words, base);
    this.moments = moments;
    this.momentBase = (base + MOMENT_AT_WORD) >> 1;
    this.slot = slot;
  }

  /** Itself: see `TableEntry`. */
  get record(): this {
    return this;
  }

  /** IP version, 4 or 6. */
  get family(): number {
    return this.words[this.base + PrivateWord.FAMILY]!;
  }
  set family(value: number) {
    this.words[this.base + PrivateWord.FAMILY] = value;
  }
  /** Largest segment text we send before options are taken off, bytes: min of the peer's MSS and the path MTU. RFC 6691. */
  get effectiveMss(): number {
    return this.words[this.base + PrivateWord.EFFECTIVE_MSS]!;
  }
  set effectiveMss(value: number) {
    this.words[this.base + PrivateWord.EFFECTIVE_MSS] = value;
  }
  /** An OR of {@link TcpMode}. */
  get mode(): number {
    return this.words[this.base + PrivateWord.MODE]!;
  }
  set mode(value: number) {
    this.words[this.base + PrivateWord.MODE] = value;
  }
  /** Our initial sequence number. ISS. */
  get iss(): Seq {
    return asSeq(this.words[this.base + PrivateWord.ISS]!);
  }
  set iss(value: Seq) {
    this.words[this.base + PrivateWord.ISS] = value;
  }
  /** The peer's initial sequence number. IRS. */
  get irs(): Seq {
    return asSeq(this.words[this.base + PrivateWord.IRS]!);
  }
  set irs(value: Seq) {
    this.words[this.base + PrivateWord.IRS] = value;
  }
  /** Acknowledgment number of the segment used for the last window update. SND.WL2. */
  get sndWl2(): Seq {
    return asSeq(this.words[this.base + PrivateWord.SND_WL2]!);
  }
  set sndWl2(value: Seq) {
    this.words[this.base + PrivateWord.SND_WL2] = value;
  }
  /** Right edge of the window as advertised furthest: RCV.NXT + window then. It never moves left. */
  get rcvAdv(): Seq {
    return asSeq(this.words[this.base + PrivateWord.RCV_ADV]!);
  }
  set rcvAdv(value: Seq) {
    this.words[this.base + PrivateWord.RCV_ADV] = value;
  }
  /** Last acknowledgment number sent. Last.ACK.sent, RFC 7323 4.3. */
  get lastAckSent(): Seq {
    return asSeq(this.words[this.base + PrivateWord.LAST_ACK_SENT]!);
  }
  set lastAckSent(value: Seq) {
    this.words[this.base + PrivateWord.LAST_ACK_SENT] = value;
  }
  /** Timestamp clock of the connection minus the clock of whoever runs it, ticks. StackDelta, NicDelta; chimney-sequences 23. */
  get tsDelta(): number {
    return this.words[this.base + PrivateWord.TS_DELTA]!;
  }
  set tsDelta(value: number) {
    this.words[this.base + PrivateWord.TS_DELTA] = value;
  }
  /** Where loss recovery ends. RecoveryPoint of RFC 6675 5, recover of RFC 6582. */
  get recover(): Seq {
    return asSeq(this.words[this.base + PrivateWord.RECOVER]!);
  }
  set recover(value: Seq) {
    this.words[this.base + PrivateWord.RECOVER] = value;
  }
  /** Bytes the owner can still buffer behind RCV.NXT. */
  get receiveSpace(): number {
    return this.words[this.base + PrivateWord.RECEIVE_SPACE]!;
  }
  set receiveSpace(value: number) {
    this.words[this.base + PrivateWord.RECEIVE_SPACE] = value;
  }
  /** MSS we announce, bytes; also what counts as a full segment on reception. */
  get localMss(): number {
    return this.words[this.base + PrivateWord.LOCAL_MSS]!;
  }
  set localMss(value: number) {
    this.words[this.base + PrivateWord.LOCAL_MSS] = value;
  }
  /** Segments with text received since the last ACK was sent. Not carried over a move (TCP-007). */
  get ackPending(): number {
    return this.words[this.base + PrivateWord.ACK_PENDING]!;
  }
  set ackPending(value: number) {
    this.words[this.base + PrivateWord.ACK_PENDING] = value;
  }
  /** Duplicate ACKs owed one by one because the peer does not read SACK. RFC 5681 4.2. */
  get dupAcksOwed(): number {
    return this.words[this.base + PrivateWord.DUP_ACKS_OWED]!;
  }
  set dupAcksOwed(value: number) {
    this.words[this.base + PrivateWord.DUP_ACKS_OWED] = value;
  }
  /** Challenge ACKs sent in the present interval. RFC 5961 7. */
  get challengeCount(): number {
    return this.words[this.base + PrivateWord.CHALLENGE_COUNT]!;
  }
  set challengeCount(value: number) {
    this.words[this.base + PrivateWord.CHALLENGE_COUNT] = value;
  }
  /** Octet behind the urgent data announced furthest. RCV.UP, RFC 6093. */
  get rcvUp(): Seq {
    return asSeq(this.words[this.base + PrivateWord.RCV_UP]!);
  }
  set rcvUp(value: Seq) {
    this.words[this.base + PrivateWord.RCV_UP] = value;
  }
  /** Segments that are still to be acknowledged at once, so that the peer's slow start is not held back. */
  get quickAcks(): number {
    return this.words[this.base + PrivateWord.QUICK_ACKS]!;
  }
  set quickAcks(value: number) {
    this.words[this.base + PrivateWord.QUICK_ACKS] = value;
  }
  /** Timestamp clock when the retransmission timer expired: what echoes an older one was sent before. RetransmitTS of RFC 3522. */
  get timeoutTs(): number {
    return this.words[this.base + PrivateWord.TIMEOUT_TS]!;
  }
  set timeoutTs(value: number) {
    this.words[this.base + PrivateWord.TIMEOUT_TS] = value;
  }
  /** What SSTHRESH becomes again when the timer has expired in vain, bytes. pipe_prev of RFC 4015. */
  get ssThreshBefore(): number {
    return this.words[this.base + PrivateWord.SS_THRESH_BEFORE]!;
  }
  set ssThreshBefore(value: number) {
    this.words[this.base + PrivateWord.SS_THRESH_BEFORE] = value;
  }
  /** Segments sent with at least one old byte, ever. Wraps. */
  get retransmittedSegments(): number {
    return this.words[this.base + PrivateWord.RETRANSMITTED_SEGMENTS]!;
  }
  set retransmittedSegments(value: number) {
    this.words[this.base + PrivateWord.RETRANSMITTED_SEGMENTS] = value;
  }

  /** Puts bits of {@link TcpMode} in. */
  setMode(bits: number): void {
    this.words[this.base + PrivateWord.MODE]! |= bits;
  }

  /** Takes bits of {@link TcpMode} out. */
  clearMode(bits: number): void {
    this.words[this.base + PrivateWord.MODE]! &= ~bits;
  }

  /** Whether any of these bits of {@link TcpMode} is in. */
  hasMode(bits: number): boolean {
    return (this.words[this.base + PrivateWord.MODE]! & bits) !== 0;
  }

  /** Whether an option was agreed on: a bit of `TcpConstFlag`. */
  hasOption(flag: number): boolean {
    return (this.constFlags & flag) !== 0;
  }

  /** Bytes queued behind SND.UNA, sent or not, without FIN. */
  get queuedBytes(): number {
    return this.sendQueue === null ? 0 : this.sendQueue.length;
  }
}
