/**
 * An offload target of one's own: `chimney verify ./my-target.js` examines it.
 *
 * It carries the data of established connections: segments in order are taken and acknowledged, data is sent as far as the windows
 * allow, and sent again when no acknowledgment comes. Whatever is out of the ordinary (a FIN, urgent data, a lost retransmission) it
 * leaves to the host, by giving the connection back. That is always allowed, and is what makes a small target possible.
 */
import {
  NEVER,
  OffloadTarget,
  type OffloadTargetOptions,
  seqDiff,
  type TargetConnection,
  type TargetEnvironment,
  TcpFlag,
  type TcpSegment,
  TcpUploadReason,
} from 'chimney';

/** Retransmissions of one segment before the host has to go on. */
const RETRANSMISSIONS_MAX = 3;
/** Bounds of the retransmission timer, microseconds. RFC 6298 asks for a second at least; nearly everybody takes 200 ms. */
const RTO_LEAST_US = 200_000;
const RTO_MOST_US = 60_000_000;

export class MyTarget extends OffloadTarget {
  constructor(options: OffloadTargetOptions) {
    // What it can take at a time is published as a capability; the host asks before it offloads.
    super({ ...options, capacity: { tcpEntries: 1000, ...options.capacity } });
  }

  /** A segment has arrived. False: it is not for us, the host gets it, and the connection with it. */
  protected override segment(c: TargetConnection, segment: TcpSegment): boolean {
    const { state } = c;
    const { flags, textLength } = segment;
    if ((flags & TcpFlag.RST) !== 0) return this.#reset(c, segment);
    if ((flags & (TcpFlag.SYN | TcpFlag.FIN | TcpFlag.URG)) !== 0 || (flags & TcpFlag.ACK) === 0) return false;

    // How far the segment begins behind what is expected next: old text is cut off, a gap is the host's to wait for.
    const ahead = seqDiff(segment.seq, state.rcvNxt);
    if (ahead > 0 || ahead + textLength < 0 || (textLength > 0 && ahead + textLength === 0)) {
      // Out of order, or known already: it is answered with what we expect, so that the peer sends it (RFC 9293 3.10.7.4).
      c.owesAck = true;
      return true;
    }
    if (!this.#acknowledge(c, segment)) return true;
    if (textLength === 0) return true;
    segment.textAt -= ahead;
    segment.textLength += ahead;
    c.deliver(segment, (flags & TcpFlag.PSH) !== 0);
    return true;
  }

  /** Only a reset with exactly the next sequence number is believed (RFC 5961 3.2). */
  #reset(c: TargetConnection, segment: TcpSegment): boolean {
    const distance = seqDiff(segment.seq, c.state.rcvNxt);
    if (distance === 0) c.reset();
    else if (distance > 0 && distance < c.state.rcvWnd) c.owesAck = true;
    return true;
  }

  /** What a segment says of ours. False: it acknowledges what was never sent (RFC 5961 5.2). */
  #acknowledge(c: TargetConnection, segment: TcpSegment): boolean {
    const { state } = c;
    const bytes = seqDiff(segment.ack, state.sndUna);
    if (bytes > c.outstandingBytes || bytes < -state.maxSndWnd) {
      c.owesAck = true;
      return false;
    }
    if (bytes >= 0) {
      const scale = c.constant.sndWindScale;
      state.sndWnd = segment.window << scale;
      state.maxSndWnd = Math.max(state.maxSndWnd, state.sndWnd);
      state.sndWl1 = segment.seq;
    }
    if (bytes <= 0) return true;
    // Slow start, then congestion avoidance (RFC 5681 3.1).
    const increase = state.cWnd < state.ssThresh ? Math.min(bytes, c.mss) : Math.ceil((c.mss * c.mss) / state.cWnd);
    state.cWnd = Math.min(state.cWnd + increase, 1 << 24);
    state.retransmitCount = 0;
    c.acknowledged(segment.ack);
    c.setTimer(c.outstandingBytes > 0 ? this.#rtoUs(c) : NEVER);
    return true;
  }

  /** Sends what the peer's window and the network's allow. */
  protected override transmit(c: TargetConnection): void {
    const window = Math.min(c.state.sndWnd, c.state.cWnd);
    for (;;) {
      const unsent = c.postedBytes - c.sentBytes;
      const length = Math.min(unsent, c.mss, window - c.sentBytes);
      // Not in small pieces, unless it is the last one or nothing is on its way (RFC 9293 3.8.6.2.1).
      if (length <= 0 || (length < c.mss && length < unsent && c.sentBytes > 0)) break;
      c.send(length);
    }
    const isWaiting = c.outstandingBytes > 0 || c.postedBytes > 0;
    if (isWaiting && !c.isTimerSet) c.setTimer(this.#rtoUs(c));
    else if (!isWaiting) c.setTimer(NEVER);
  }

  /** No acknowledgment came in time: everything is sent again, slowly at first (RFC 6298 5.4 to 5.6, RFC 5681 4.1). */
  protected override expired(c: TargetConnection): void {
    const { state } = c;
    if (state.retransmitCount >= RETRANSMISSIONS_MAX || state.sndWnd === 0) {
      // The host knows more than we do: other routes, and how to probe a closed window.
      c.giveBack(TcpUploadReason.TIMEOUT_EXPIRATION);
      return;
    }
    if (state.retransmitCount === 0) state.ssThresh = Math.max(c.outstandingBytes >> 1, 2 * c.mss);
    state.cWnd = c.mss;
    state.retransmitCount++;
    state.sndNxt = state.sndUna;
  }

  /** From the round-trip time that the host has measured; doubled with each retransmission. */
  #rtoUs(c: TargetConnection): number {
    const { sRtt, rttVar, retransmitCount } = c.state;
    // In ticks, eight and four times as large as they are (RFC 6298 2.3; chimney-ddi 7.8).
    const ticks = sRtt / 8 + rttVar;
    return Math.min(RTO_MOST_US, Math.max(RTO_LEAST_US, ticks * c.tickUs) * 2 ** retransmitCount);
  }
}

/** What `chimney verify` and `createStack({ links: [{ link, target }] })` take. */
export const target = (environment: TargetEnvironment): MyTarget => new MyTarget(environment);
