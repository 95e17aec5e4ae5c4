/**
 * A connection that was offloaded to a target built on {@link OffloadTarget}: its state, and what a target may do with it.
 *
 * `state` is the delegated state itself, in the words of the DDI: whoever has the connection works in it, and it is what goes back to
 * the host at a terminate. Times in it (TsTime, the timeout deltas) are those of the moment when the connection came; they are
 * brought up to date when it is queried or given back. Sources: chimney-ddi 7.6 to 7.8; rules STATE-*, SEND-017, RECV-013 and following.
 */

import { NEVER, type Timer } from '../../base/runtime.ts';
import { type Seq, seqAdd, seqDiff } from '../../base/seq.ts';
import type { NdisOffloadHandle } from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import {
  TCP_STATE_WORDS,
  TcpCachedState,
  TcpConnectionState,
  TcpConstState,
  TcpDelegatedState,
} from '../../state/tcp.ts';
import { SendQueue } from '../../tcp/send-queue.ts';
import type { TcpSegment } from '../../wire/tcp-segment.ts';
import { Due, type PathContext, Standing } from '../engine/contexts.ts';
import { acceptText } from '../engine/delivery.ts';
import { BufferedData } from '../engine/receive-pool.ts';
import type { Receiver } from '../engine/receiver.ts';
import type { TargetCore } from './core.ts';

/** A connection at the target. The context that the slot of the host holds (CTX-001). */
export class TargetConnection implements Receiver {
  readonly handle: NdisOffloadHandle;
  readonly path: PathContext;
  readonly constant: TcpConstState;
  readonly cached: TcpCachedState;
  /** The variables that are the target's to write. */
  readonly state: TcpDelegatedState;
  /** For the target's own use. */
  data: unknown = null;

  readonly core: TargetCore;
  readonly sends: SendQueue = new SendQueue();
  /** An acknowledgment is owed; any segment pays it, and if none is sent, one without text is. */
  owesAck = false;
  /** When the target's own timer expires, and when the keepalive timer does, microseconds; NEVER. */
  timerAtUs: number = NEVER;
  keepAliveAtUs: number = NEVER;
  takenAtUs = 0;
  tsRecentAtUs = 0;
  retransmittingSinceUs = 0;
  readonly alarm: Timer;

  // Receiver.
  standing: Standing = Standing.NORMAL;
  firstRequest: NetBufferList | null = null;
  lastRequest: NetBufferList | null = null;
  filled = 0;
  requestedBytes = 0;
  firstDone: NetBufferList | null = null;
  lastDone: NetBufferList | null = null;
  readonly buffered: BufferedData = new BufferedData();
  pushAtUs: number = NEVER;
  isDelivering = false;
  isInitiating = true;
  isRefused = false;
  isRestHeld = false;
  isFinReceived = false;
  isDisconnectIndicated = false;
  isBufferedPushed = false;

  // For the core.
  due = 0;
  isQueued = false;
  isTerminating = false;
  isInvalid = false;
  reason = 0;
  /** A graceful disconnect: it waits for the terminate that follows. An abortive one. */
  disconnect: NetBufferList | null = null;
  abort: NetBufferList | null = null;
  /** Sends and disconnects that go back as they came. */
  readonly returnedSends: NetBufferList[] = [];
  readonly returnedDisconnects: NetBufferList[] = [];
  readonly forwards: NetBufferList[] = [];

  constructor(core: TargetCore, handle: NdisOffloadHandle, path: PathContext) {
    const words = new Int32Array(TCP_STATE_WORDS);
    this.core = core;
    this.handle = handle;
    this.path = path;
    this.constant = new TcpConstState(words);
    this.cached = new TcpCachedState(words);
    this.state = new TcpDelegatedState(words);
    this.alarm = core.runtime.timer((nowUs) => core.onAlarm(this, nowUs));
  }

  get layer(): 'tcp' {
    return 'tcp';
  }
  get rcvIndicationSize(): number {
    return this.cached.rcvIndicationSize;
  }
  get hashValue(): number {
    return this.constant.hashValue;
  }
  get isAborting(): boolean {
    return this.abort !== null;
  }

  /** Whether it is processed: not asked back, aborted, or on its way up. */
  get isServed(): boolean {
    return this.standing === Standing.NORMAL && !this.isTerminating;
  }

  /** Text of a segment at most, bytes. */
  get mss(): number {
    return this.core.mssOf(this);
  }
  /** Microseconds of a tick, the unit of times in the state. */
  get tickUs(): number {
    return this.core.tickUs;
  }
  /** Bytes from SndUna to the end of what the host has posted. */
  get postedBytes(): number {
    return this.sends.length;
  }
  /** Bytes from SndUna to SndNxt, and to SndMax: sent, not acknowledged. */
  get sentBytes(): number {
    return seqDiff(this.state.sndNxt, this.state.sndUna);
  }
  get outstandingBytes(): number {
    return seqDiff(this.state.sndMax, this.state.sndUna);
  }

  /** Sends text of so many bytes from SndNxt on, with what is owed; SndNxt and SndMax move on. PSH where the queue ends. */
  send(length: number): void {
    const { state } = this;
    const offset = this.sentBytes;
    this.core.sendSegment(this, state.sndNxt, offset, length);
    state.sndNxt = seqAdd(state.sndNxt, length);
    if (seqDiff(state.sndNxt, state.sndMax) > 0) state.sndMax = state.sndNxt;
  }

  /** The peer has acknowledged everything before `ack`: SndUna moves there, and lists that are acknowledged are completed. */
  acknowledged(ack: Seq): void {
    const { state } = this;
    this.sends.acknowledge(seqDiff(ack, state.sndUna));
    state.sndUna = ack;
    if (seqDiff(state.sndNxt, ack) < 0) state.sndNxt = ack;
    this.core.forwardProgress(this);
    this.core.mark(this, Due.SENDS | Due.TRANSMIT);
  }

  /** The text of the segment that is next in order: as much as there is window for is the host's now, RcvNxt moves on. */
  deliver(segment: TcpSegment, isPush: boolean): void {
    const { state, core } = this;
    const length = Math.min(segment.textLength, state.rcvWnd, core.pool.freeBytes);
    if (length === 0) return;
    state.rcvNxt = seqAdd(state.rcvNxt, length);
    state.rcvWnd -= length;
    this.owesAck = true;
    core.forwardProgress(this);
    acceptText(core, this, segment.bytes, segment.textAt, length, isPush, core.runtime.nowUs());
    core.mark(this, Due.TRANSMIT);
  }

  /** Asks the host to take the connection back, for a TCP_UPLOAD_REASON; nothing more is done for it from here on. */
  giveBack(reason: number): void {
    this.core.askBack(this, reason);
  }

  /** The peer has reset the connection. */
  reset(): void {
    if (this.standing >= Standing.ABORTED) return;
    this.standing = Standing.ABORTED;
    this.state.state = TcpConnectionState.CLOSED;
    this.core.mark(this, Due.PEER_ABORT);
  }

  /** The target's `expired` is to be called so many microseconds from now; NEVER: not at all. */
  setTimer(us: number): void {
    this.timerAtUs = us === NEVER ? NEVER : this.core.runtime.nowUs() + us;
    this.core.rearm(this);
  }
  get isTimerSet(): boolean {
    return this.timerAtUs !== NEVER;
  }
}
