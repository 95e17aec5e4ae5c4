/**
 * Two TCP connections of the engine, talking over a bad wire under virtual time.
 *
 * Each end is the smallest honest owner: it writes lists of random sizes, reads at its own pace into a bounded buffer, closes
 * when it has written everything, and checks each byte that it gets. Segments cross as bytes, through the codec of `wire/`.
 */
import { NEVER, type Timer } from '../../src/base/runtime.ts';
import { asSeq, seqDiff } from '../../src/base/seq.ts';
import type { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { type NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import {
  TcpCachedFlag,
  TcpCachedState,
  TcpConnectionState,
  TcpConstState,
  TcpDelegatedState,
} from '../../src/state/tcp.ts';
import type { TcpConnection } from '../../src/tcp/connection.ts';
import { Ecn } from '../../src/tcp/ecn.ts';
import { Effect, type Effects } from '../../src/tcp/effects.ts';
import { onPathMtu } from '../../src/tcp/icmp.ts';
import { onDeadline, soonestDeadline } from '../../src/tcp/on-deadline.ts';
import { onSegment, resetFor } from '../../src/tcp/on-segment.ts';
import { closeSend, nextSegment, queueData } from '../../src/tcp/on-send.ts';
import { openActive, openPassive } from '../../src/tcp/open.ts';
import { type TcpParameterChanges, type TcpParameters, tcpParameters } from '../../src/tcp/parameters.ts';
import { setReceiveSpace } from '../../src/tcp/receive-window.ts';
import { TcpSlab } from '../../src/tcp/slab.ts';
import { TextPiece } from '../../src/tcp/text-pool.ts';
import {
  adopt,
  prepareTransfer,
  readDelegated,
  restoreSendData,
  takeSendData,
  writeCached,
  writeConst,
  writeDelegated,
} from '../../src/tcp/transfer.ts';
import { decodeTcp, encodeTcp } from '../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';

export interface PairOptions {
  /** Bytes that each end writes. */
  readonly bytes: readonly [number, number];
  /** Chances per segment, 0 to 1. */
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  /** Chance that a packet that is ECN-capable is marked. */
  readonly mark?: number;
  readonly delayUs: number;
  /** Segments the wire holds in one direction; more are lost. */
  readonly queue: number;
  readonly receiveBuffer: number;
  /** Chance that the application reads at once what arrived; else later. */
  readonly eager: number;
  readonly mss: readonly [number, number];
  readonly tsoSegments: number;
  readonly noDelay: boolean;
  /** Both ends open at once. */
  readonly simultaneous: boolean;
  readonly parameters: TcpParameterChanges;
  /** Mean time between moves of an end from host to target and back, microseconds; 0: they stay. */
  readonly moveEveryUs?: number;
}

/** Nothing takes longer than this in virtual time, unless it never ends. */
/** What the target's clock shows more than the host's. */
const TARGET_CLOCK_US = 7_654_321_987;

export const LIMIT_US: number = 4 * 3600 * 1_000_000;

function streamByte(end: number, offset: number): number {
  return (offset * (end === 0 ? 167 : 59) + (offset >> 8) * 13 + (offset >> 16) * 7 + end) & 0xff;
}

/** One direction of the wire. */
class Wire {
  inFlight = 0;
  sent = 0;
  #lastUs = 0;
  readonly #runtime: VirtualRuntime;
  readonly #options: PairOptions;

  constructor(runtime: VirtualRuntime, options: PairOptions) {
    this.#runtime = runtime;
    this.#options = options;
  }

  send(bytes: Uint8Array, ecn: number, to: PairEnd): void {
    const { random } = this.#runtime;
    const { loss, duplicate, reorder, delayUs, queue, mark = 0 } = this.#options;
    this.sent++;
    if (random.nextFloat() < loss || this.inFlight >= queue) return;
    const field = ecn !== Ecn.NOT_ECT && mark > 0 && random.nextFloat() < mark ? Ecn.CE : ecn;
    const copies = random.nextFloat() < duplicate ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const extraUs = random.nextFloat() < reorder ? Math.floor(random.nextFloat() * delayUs * 2) : 0;
      this.inFlight++;
      const timer = this.#runtime.timer(() => {
        this.inFlight--;
        to.arrive(bytes, field);
      });
      // One microsecond apart, for timers of one moment fire in any order.
      const inOrderUs = Math.max(this.#runtime.nowUs() + delayUs, this.#lastUs + 1);
      if (extraUs === 0) this.#lastUs = inOrderUs;
      timer.arm(inOrderUs + extraUs);
    }
  }
}

export class PairEnd {
  /** The record that runs the connection now: the host's, or while it is offloaded the target's. */
  c: TcpConnection;
  p: TcpParameters;
  readonly name: number;
  moves = 0;
  received = 0;
  completed = 0;
  isEnded = false;
  failure: 'reset' | 'timeout' | null = null;
  peer: PairEnd | null = null;
  readonly #runtime: VirtualRuntime;
  readonly #options: PairOptions;
  readonly #wire: Wire;
  readonly #timer: Timer;
  readonly #reader: Timer;
  readonly #slab = new TcpSlab(4);
  readonly #in = new TcpSegment();
  readonly #out = new TcpSegment();
  readonly #piece = new TextPiece();
  /** Lists that were queued and are not completed, oldest first. */
  readonly #queued: NetBufferList[] = [];
  #buffered = 0;
  #written = 0;
  #isClosed = false;
  readonly #host: { readonly c: TcpConnection; readonly p: TcpParameters };
  /** Parameters of the target, which has spares and a clock of its own. */
  readonly #target: TcpParameters;
  /** While it moves: what came in meanwhile, to be forwarded. */
  #frozen: { readonly bytes: Uint8Array; readonly ecn: number }[] | null = null;
  readonly #mover: Timer;
  #retransmittedByTarget = 0;

  constructor(name: number, runtime: VirtualRuntime, options: PairOptions) {
    this.name = name;
    this.#runtime = runtime;
    this.#options = options;
    this.#wire = new Wire(runtime, options);
    this.p = tcpParameters(options.parameters);
    this.#target = tcpParameters({ ...options.parameters, role: 'target' });
    const c = this.#slab.allocate();
    this.c = c;
    this.#host = { c, p: this.p };
    c.family = 4;
    c.localPort = 1000 + name;
    c.remotePort = 1001 - name;
    c.localMss = options.mss[name]!;
    c.initialRcvWnd = options.receiveBuffer;
    c.cachedFlags = options.noDelay ? 0 : TcpCachedFlag.NAGLING_ENABLED;
    c.state = TcpConnectionState.CLOSED;
    this.#timer = runtime.timer(() => {
      if (this.#frozen === null) this.#obey(onDeadline(this.c, this.p, this.#nowUs()), null);
    });
    this.#mover = runtime.timer(() => (this.#frozen === null ? this.#freeze() : this.#thaw()));
    this.#reader = runtime.timer(() =>
      this.#read(Math.max(1, Math.floor(this.#buffered * runtime.random.nextFloat()))),
    );
  }

  /** The clock of whoever runs the connection: the target's is another one. */
  #nowUs(): number {
    return this.#runtime.nowUs() + (this.p === this.#target ? TARGET_CLOCK_US : 0);
  }

  #arm(): void {
    this.#timer.arm(soonestDeadline(this.c) - (this.p === this.#target ? TARGET_CLOCK_US : 0));
  }

  /** Pages of both reassemblers' pools. */
  get pagesHeld(): number {
    return this.#host.p.spares.textPool.pagesHeld + this.#target.spares.textPool.pagesHeld;
  }

  /** Segments sent more than once, by the host's engine and by the target's. */
  get retransmissions(): number {
    const now = this.c === this.#host.c ? 0 : this.c.retransmittedSegments;
    return this.#host.c.retransmittedSegments + this.#retransmittedByTarget + now;
  }

  get segmentsSent(): number {
    return this.#wire.sent;
  }

  get isClosed(): boolean {
    return this.c.state === TcpConnectionState.CLOSED && (this.#isClosed || this.failure !== null);
  }

  connect(): void {
    this.#obey(openActive(this.c, this.p, asSeq(this.#runtime.random.nextUint32()), this.#nowUs()), null);
  }

  arrive(bytes: Uint8Array, ecn: number): void {
    if (this.#frozen !== null) {
      this.#frozen.push({ bytes, ecn });
      return;
    }
    const seg = this.#in;
    if (decodeTcp(bytes, 0, bytes.length, seg) !== 0) throw new Error('the engine sent a segment that cannot be read');
    seg.ecn = ecn;
    const nowUs = this.#nowUs();
    if (this.c.state === TcpConnectionState.CLOSED) {
      const isSyn = (seg.flags & (TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST)) === TcpFlag.SYN;
      if (isSyn && !this.#isClosed && this.failure === null) {
        this.#obey(openPassive(this.c, this.p, seg, asSeq(this.#runtime.random.nextUint32()), nowUs), seg);
      } else this.#answerReset(seg);
    } else this.#obey(onSegment(this.c, this.p, seg, nowUs), seg);
  }

  #answerReset(seg: TcpSegment): void {
    if (resetFor(seg, this.#out)) this.#transmit(this.#out, this.#out.textLength);
  }

  #obey(first: Effects, seg: TcpSegment | null): void {
    const c = this.c;
    let effects = first;
    if (effects & Effect.CONNECTED) {
      effects |= this.#write();
      this.#planMove();
    }
    if (effects & Effect.TEXT && seg !== null) {
      this.#take(seg.bytes, seg.textAt, seg.textLength);
      while (c.reassembly?.take(this.#piece)) this.#take(this.#piece.bytes, this.#piece.at, this.#piece.length);
      effects |= setReceiveSpace(c, this.p, this.#options.receiveBuffer - this.#buffered, this.#nowUs());
      if (this.#runtime.random.nextFloat() < this.#options.eager) this.#read(this.#buffered);
      else if (this.#reader.atUs === NEVER) {
        this.#reader.arm(this.#runtime.nowUs() + 1 + Math.floor(this.#runtime.random.nextFloat() * 50_000));
      }
    }
    if (effects & Effect.END_OF_STREAM) this.isEnded = true;
    if (effects & Effect.ACKED) {
      this.#complete();
      effects |= this.#write();
    }
    if (effects & Effect.ANSWER_RESET && seg !== null) this.#answerReset(seg);
    if (effects & Effect.ABORTED) this.failure = 'reset';
    if (effects & Effect.TIMED_OUT) this.failure = 'timeout';
    if (effects & Effect.TRANSMIT) this.#pump();
    this.#arm();
  }

  #take(bytes: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== streamByte(1 - this.name, this.received + i)) {
        throw new Error(`end ${this.name}: byte ${this.received + i} is wrong`);
      }
    }
    this.received += length;
    this.#buffered += length;
    if (this.#buffered > this.#options.receiveBuffer)
      throw new Error('more text was delivered than the buffer has room for');
  }

  #read(bytes: number): void {
    this.#buffered -= Math.min(bytes, this.#buffered);
    if (this.#frozen !== null) {
      if (this.#buffered > 0) this.#reader.arm(this.#runtime.nowUs() + 10_000);
      return;
    }
    const effects = setReceiveSpace(this.c, this.p, this.#options.receiveBuffer - this.#buffered, this.#nowUs());
    if (effects & Effect.TRANSMIT) this.#pump();
    if (this.#buffered > 0) this.#reader.arm(this.#runtime.nowUs() + 10_000);
    this.#arm();
  }

  /** Keeps a few lists queued; closes behind the last. */
  #write(): Effects {
    let effects: Effects = Effect.NONE;
    const total = this.#options.bytes[this.name]!;
    while (this.#written < total && this.c.queuedBytes < 200_000) {
      const length = Math.min(total - this.#written, 1 + Math.floor(this.#runtime.random.nextFloat() ** 4 * 100_000));
      const memory = new Uint8Array(length);
      for (let i = 0; i < length; i++) memory[i] = streamByte(this.name, this.#written + i);
      this.#written += length;
      const list = netBufferListOver(memory);
      this.#queued.push(list);
      effects |= queueData(this.c, this.p, list, this.#nowUs());
    }
    if (this.#written === total && !this.#isClosed) {
      this.#isClosed = true;
      effects |= closeSend(this.c, this.p, this.#nowUs());
    }
    return effects;
  }

  #complete(): void {
    let list = this.c.sendQueue?.takeCompleted() ?? null;
    for (; list !== null; list = list.next) {
      if (this.#queued.shift() !== list) throw new Error('lists complete in the order in which they were queued');
      this.completed += list.tcpOffloadBytesTransferred;
    }
  }

  #pump(): void {
    const c = this.c;
    for (let n = 0; ; n++) {
      if (n > 10_000) throw new Error('the engine sends without end');
      const most = this.#options.tsoSegments * Math.max(1, c.effectiveMss);
      if (!nextSegment(c, this.p, this.#out, this.#nowUs(), most)) return;
      const mss = c.state >= TcpConnectionState.ESTABLISHED ? c.effectiveMss + 20 - this.#out.headerLength : 65535;
      this.#transmit(this.#out, mss);
    }
  }

  /** Cuts a super-segment into segments, as a device does: PSH and FIN go with the last. */
  #transmit(out: TcpSegment, mss: number): void {
    const { seq, flags, sendOffset, textLength, ecn } = out;
    let sent = 0;
    do {
      const n = Math.min(mss, textLength - sent);
      const isLast = sent + n === textLength;
      out.seq = asSeq(seq + sent);
      out.flags = isLast ? flags : flags & ~(TcpFlag.PSH | TcpFlag.FIN);
      if (sent > 0) out.flags &= ~TcpFlag.CWR;
      const bytes = new Uint8Array(60 + n);
      const header = encodeTcp(bytes, 0, out);
      if (header !== out.headerLength)
        throw new Error(`a header of ${header} bytes was announced as ${out.headerLength}`);
      if (n > 0) this.c.sendQueue!.copyOut(sendOffset + sent, n, bytes, header);
      this.#wire.send(bytes.subarray(0, header + n), ecn, this.peer!);
      sent += n;
    } while (sent < textLength);
  }

  #planMove(): void {
    const everyUs = this.#options.moveEveryUs ?? 0;
    if (everyUs === 0) return;
    this.#mover.arm(this.#runtime.nowUs() + 1 + Math.floor(this.#runtime.random.nextFloat() * 2 * everyUs));
  }

  /** The connection stops being served: what is owed is sent, the rest waits. */
  #freeze(): void {
    const state = this.c.state;
    const isDown = this.p === this.#host.p;
    if (isDown && (state < TcpConnectionState.ESTABLISHED || state === TcpConnectionState.TIME_WAIT)) return;
    if (prepareTransfer(this.c, this.p, this.#nowUs()) & Effect.TRANSMIT) this.#pump();
    this.#frozen = [];
    this.#mover.arm(this.#runtime.nowUs() + Math.floor(this.#runtime.random.nextFloat() * 5_000));
  }

  /** State and send data move, what came in meanwhile is forwarded, and the other one serves the connection. */
  #thaw(): void {
    const from = this.c;
    const constState = new TcpConstState();
    const cached = new TcpCachedState();
    const delegated = new TcpDelegatedState();
    writeConst(from, constState);
    writeCached(from, cached);
    writeDelegated(from, this.p, delegated, this.#nowUs());
    this.#complete();
    const lists = takeSendData(from);
    for (let list = lists; list !== null; list = list.next) this.completed += list.tcpOffloadBytesTransferred;
    if (this.p === this.#host.p) {
      this.p = this.#target;
      this.c = this.#slab.allocate();
      this.c.family = 4;
      adopt(this.c, this.p, constState, cached, delegated, this.#nowUs());
      onPathMtu(this.c, this.p, this.#options.mss[this.name]! + 40, 20, this.#nowUs());
    } else {
      this.p = this.#host.p;
      this.c = this.#host.c;
      this.#retransmittedByTarget += from.retransmittedSegments;
      this.#slab.free(from);
      readDelegated(this.c, this.p, delegated, this.#nowUs());
    }
    if (lists !== null) restoreSendData(this.c, this.p, lists);
    this.moves++;
    const effects = setReceiveSpace(this.c, this.p, this.#options.receiveBuffer - this.#buffered, this.#nowUs());
    const waiting = this.#frozen!;
    this.#frozen = null;
    for (const { bytes, ecn } of waiting) this.arrive(bytes, ecn);
    this.#obey(effects | Effect.TRANSMIT, null);
    this.#planMove();
  }

  /** For messages. */
  describe(): string {
    const c = this.c;
    return `end ${this.name}: state ${c.state}, received ${this.received}, completed ${this.completed}, una ${seqDiff(c.sndUna, c.iss)} nxt ${seqDiff(c.sndNxt, c.iss)} max ${seqDiff(c.sndMax, c.iss)}, queued ${c.queuedBytes}, cWnd ${c.cWnd}, sndWnd ${c.sndWnd}, rcvWnd ${c.rcvWnd}, mode ${c.mode}, failure ${this.failure}, deadline ${soonestDeadline(c)}`;
  }
}

/** Two ends, connected; `runPair` runs them until both are closed. */
export function pair(runtime: VirtualRuntime, options: PairOptions): readonly [PairEnd, PairEnd] {
  const a = new PairEnd(0, runtime, options);
  const b = new PairEnd(1, runtime, options);
  a.peer = b;
  b.peer = a;
  a.connect();
  if (options.simultaneous) b.connect();
  return [a, b];
}
