/**
 * The smallest owner an engine can have: one connection with a receive buffer, a send queue, a timer and a wire.
 *
 * It obeys the effects as a host or a target does, and on the way checks what no script line asks for: every byte delivered is
 * the byte that was sent, once and in order; every byte sent is the application's; the variables keep their order.
 */
import type { Timer } from '../../../src/base/runtime.ts';
import { asSeq, type Seq, seqAdd, seqDiff } from '../../../src/base/seq.ts';
import type { VirtualRuntime } from '../../../src/base/virtual-runtime.ts';
import { netBufferListOver } from '../../../src/state/net-buffer-list.ts';
import { TcpCachedFlag, TcpConnectionState } from '../../../src/state/tcp.ts';
import type { TcpConnection } from '../../../src/tcp/connection.ts';
import { soonestDeadline } from '../../../src/tcp/deadlines.ts';
import { Effect, type Effects } from '../../../src/tcp/effects.ts';
import { onDeadline } from '../../../src/tcp/on-deadline.ts';
import { onSegment, resetFor } from '../../../src/tcp/on-segment.ts';
import { abort, closeSend, nextSegment, queueData } from '../../../src/tcp/on-send.ts';
import { openActive, openPassive } from '../../../src/tcp/open.ts';
import type { TcpParameters } from '../../../src/tcp/parameters.ts';
import { setReceiveSpace } from '../../../src/tcp/receive-window.ts';
import { TcpSlab } from '../../../src/tcp/slab.ts';
import { TextPiece } from '../../../src/tcp/text-pool.ts';
import { TcpFlag, TcpSegment } from '../../../src/wire/tcp-segment.ts';

/** A segment on the wire, and when it was sent. */
export interface Sent {
  readonly atUs: number;
  readonly segment: TcpSegment;
}

export interface EndpointOptions {
  readonly parameters: TcpParameters;
  readonly iss: Seq;
  readonly irs: Seq;
  readonly receiveBuffer: number;
  readonly localMss: number;
  /** Largest text of one segment in multiples of the segment size: more than 1 is what a device with TSO takes. */
  readonly tsoSegments: number;
  readonly isNoDelay: boolean;
}

/** More than this at one moment is an engine that runs away. */
const BURST_MAX = 2000;

/** Byte `offset` of what the application writes. */
export function ourByte(offset: number): number {
  return (offset * 167 + (offset >> 8) * 13 + 11) & 0xff;
}

/** Byte `offset` of what the peer writes. */
export function peerByte(offset: number): number {
  return (offset * 59 + (offset >> 8) * 31 + 7) & 0xff;
}

export class ScriptEndpoint {
  readonly outbox: Sent[] = [];
  readonly c: TcpConnection;
  /** Effects since they were last asked for. */
  effects: Effects = 0;
  /** Bytes in lists that were completed. */
  completedBytes = 0;
  readonly #slab = new TcpSlab(4);
  readonly #runtime: VirtualRuntime;
  readonly #options: EndpointOptions;
  readonly #timer: Timer;
  readonly #piece = new TextPiece();
  #isListening = false;
  #delivered = 0;
  #consumed = 0;
  #written = 0;
  /** The peer's FIN was in order: RCV.NXT is beyond it. */
  #hasFin = false;

  constructor(runtime: VirtualRuntime, options: EndpointOptions) {
    this.#runtime = runtime;
    this.#options = options;
    this.c = this.#slab.allocate();
    const c = this.c;
    c.family = 4;
    c.localPort = 80;
    c.remotePort = 4711;
    c.localMss = options.localMss;
    c.initialRcvWnd = options.receiveBuffer;
    c.cachedFlags = options.isNoDelay ? 0 : TcpCachedFlag.NAGLING_ENABLED;
    c.state = TcpConnectionState.CLOSED;
    this.#timer = runtime.timer(() => this.#due());
  }

  /** Bytes delivered and not yet read by the application. */
  get readable(): number {
    return this.#delivered - this.#consumed;
  }

  listen(): void {
    this.#isListening = true;
  }

  get isListening(): boolean {
    return this.#isListening;
  }

  connect(): void {
    this.#obey(openActive(this.c, this.#options.parameters, this.#options.iss, this.#runtime.nowUs()), null);
  }

  write(bytes: number): void {
    const memory = new Uint8Array(bytes);
    for (let i = 0; i < bytes; i++) memory[i] = ourByte(this.#written + i);
    this.#written += bytes;
    this.#obey(queueData(this.c, this.#options.parameters, netBufferListOver(memory), this.#runtime.nowUs()), null);
  }

  read(bytes: number): void {
    if (bytes > this.readable) throw new Error(`${bytes} bytes are to be read and ${this.readable} are there`);
    this.#consumed += bytes;
    this.#obey(this.#announceSpace(), null);
  }

  close(): void {
    this.#obey(closeSend(this.c, this.#options.parameters, this.#runtime.nowUs()), null);
  }

  abort(): void {
    const out = new TcpSegment();
    if (abort(this.c, this.#options.parameters, out)) this.#record(out);
    this.#obey(Effect.NONE, null);
  }

  /** Does what an effect of something outside the script asks for (an update, an ICMP error). */
  obey(effects: Effects): void {
    this.#obey(effects, null);
  }

  /** A segment arrives; its text is filled in here. */
  receive(seg: TcpSegment): void {
    // What memory around the text holds must not matter.
    const at = 60;
    const bytes = new Uint8Array(seg.textLength + 2 * at).fill(0xee);
    const first = seqDiff(seg.seq, this.#options.irs) - 1 + ((seg.flags & TcpFlag.SYN) !== 0 ? 1 : 0);
    for (let i = 0; i < seg.textLength; i++) bytes[at + i] = peerByte(first + i);
    seg.bytes = bytes;
    seg.textAt = at;
    seg.srcPort = this.c.remotePort;
    seg.dstPort = this.c.localPort;
    const { parameters, iss } = this.#options;
    const nowUs = this.#runtime.nowUs();
    const isOpening = (seg.flags & (TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST)) === TcpFlag.SYN;
    if (this.#isListening && this.c.state === TcpConnectionState.CLOSED && isOpening) {
      this.#isListening = false;
      this.#obey(openPassive(this.c, parameters, seg, iss, nowUs), seg);
    } else if (this.c.state === TcpConnectionState.CLOSED) this.#answerReset(seg);
    else this.#obey(onSegment(this.c, parameters, seg, nowUs), seg);
  }

  #answerReset(seg: TcpSegment): void {
    const out = new TcpSegment();
    if (resetFor(seg, out)) this.#record(out);
  }

  #due(): void {
    this.#obey(onDeadline(this.c, this.#options.parameters, this.#runtime.nowUs()), null);
  }

  #obey(first: Effects, seg: TcpSegment | null): void {
    let effects = first;
    this.effects |= effects;
    if (effects & Effect.END_OF_STREAM) this.#hasFin = true;
    if (effects & Effect.TEXT && seg !== null) effects |= this.#deliver(seg);
    if (effects & Effect.ACKED) this.#complete();
    if (effects & Effect.ANSWER_RESET && seg !== null) this.#answerReset(seg);
    if (effects & Effect.BACK_TO_LISTEN) this.#isListening = true;
    this.effects |= effects;
    if (effects & Effect.TRANSMIT) this.#pump();
    this.#check();
    this.#timer.arm(soonestDeadline(this.c));
  }

  #deliver(seg: TcpSegment): Effects {
    this.#take(seg.bytes, seg.textAt, seg.textLength);
    while (this.c.reassembly?.take(this.#piece)) this.#take(this.#piece.bytes, this.#piece.at, this.#piece.length);
    const due = seqDiff(this.c.rcvNxt, this.#options.irs) - 1;
    if (this.#delivered !== due - (this.#hasFin ? 1 : 0))
      throw new Error(`RCV.NXT stands at ${due}, and ${this.#delivered} bytes were delivered`);
    return this.#announceSpace();
  }

  #announceSpace(): Effects {
    const { parameters, receiveBuffer } = this.#options;
    return setReceiveSpace(this.c, parameters, Math.max(0, receiveBuffer - this.readable), this.#runtime.nowUs());
  }

  #take(bytes: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== peerByte(this.#delivered + i))
        throw new Error(`byte ${this.#delivered + i} was delivered wrong`);
    }
    this.#delivered += length;
  }

  #complete(): void {
    let list = this.c.sendQueue?.takeCompleted() ?? null;
    for (; list !== null; list = list.next) this.completedBytes += list.tcpOffloadBytesTransferred;
  }

  #pump(): void {
    const c = this.c;
    const { parameters, tsoSegments } = this.#options;
    const out = new TcpSegment();
    for (
      let n = 0;
      nextSegment(c, parameters, out, this.#runtime.nowUs(), tsoSegments * Math.max(1, c.effectiveMss));
      n++
    ) {
      if (n > BURST_MAX) throw new Error(`the engine sends without end: ${BURST_MAX} segments at one moment`);
      this.#record(out);
    }
  }

  #record(out: TcpSegment): void {
    const text = new Uint8Array(out.textLength);
    if (out.textLength > 0) {
      this.c.sendQueue!.copyOut(out.sendOffset, out.textLength, text, 0);
      const first = seqDiff(out.seq, this.#options.iss) - 1;
      for (let i = 0; i < text.length; i++) {
        if (text[i] !== ourByte(first + i)) throw new Error(`byte ${first + i} was sent wrong`);
      }
    }
    this.outbox.push({ atUs: this.#runtime.nowUs(), segment: copyOf(out) });
  }

  /** What holds after every step. */
  #check(): void {
    const c = this.c;
    const una = seqDiff(c.sndNxt, c.sndUna);
    const max = seqDiff(c.sndMax, c.sndNxt);
    if (una < 0 || max < 0) throw new Error(`SND.UNA <= SND.NXT <= SND.MAX does not hold: ${una}, ${max}`);
    const isOpen = c.state >= TcpConnectionState.ESTABLISHED;
    if (isOpen && c.cWnd <= 0) throw new Error(`CWND is ${c.cWnd}`);
    if (isOpen && c.rcvWnd < 0) throw new Error(`RCV.WND is ${c.rcvWnd}`);
  }
}

function copyOf(seg: TcpSegment): TcpSegment {
  const copy = new TcpSegment();
  const edges = copy.sackEdges;
  Object.assign(copy, seg, { sackEdges: edges });
  edges.set(seg.sackEdges);
  return copy;
}

/** Our ISN, 1000 bytes before sequence numbers wrap; and the peer's, 500 bytes before. */
export const DEFAULT_ISS: Seq = seqAdd(asSeq(0), -1000);
export const DEFAULT_IRS: Seq = seqAdd(asSeq(0), -500);
