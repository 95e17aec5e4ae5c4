/**
 * Two engines on one bad wire under virtual time, either of which may move between a host's record and a target's at any moment.
 *
 * The owner's part is as small as it can be and checks what must hold for everybody: each byte is delivered once, in order and
 * unchanged; what was written comes back completed to the last byte; nothing borrowed is left behind.
 */
import type { SeededRandom } from '../../../src/base/random.ts';
import type { Timer } from '../../../src/base/runtime.ts';
import { asSeq } from '../../../src/base/seq.ts';
import { VirtualRuntime } from '../../../src/base/virtual-runtime.ts';
import { type NetBufferList, netBufferListOver } from '../../../src/state/net-buffer-list.ts';
import {
  TcpConnectionState as State,
  TcpCachedState,
  TcpConstState,
  TcpDelegatedState,
} from '../../../src/state/tcp.ts';
import { PrivateWord, type TcpConnection } from '../../../src/tcp/connection.ts';
import { Effect, type Effects } from '../../../src/tcp/effects.ts';
import { onPathMtu } from '../../../src/tcp/icmp.ts';
import { effectNames } from '../../../src/tcp/names.ts';
import { onDeadline, soonestDeadline } from '../../../src/tcp/on-deadline.ts';
import { onSegment } from '../../../src/tcp/on-segment.ts';
import { closeSend, nextSegment, queueData } from '../../../src/tcp/on-send.ts';
import { openActive, openPassive } from '../../../src/tcp/open.ts';
import { type TcpParameters, tcpParameters } from '../../../src/tcp/parameters.ts';
import { setReceiveSpace } from '../../../src/tcp/receive-window.ts';
import { TcpSlab } from '../../../src/tcp/slab.ts';
import { TextPiece } from '../../../src/tcp/text-pool.ts';
import {
  adopt,
  prepareTransfer,
  readDelegated,
  restoreSendData,
  takeSendData,
  writeCached,
  writeConst,
  writeDelegated,
} from '../../../src/tcp/transfer.ts';
import { TcpFlag, TcpSegment } from '../../../src/wire/tcp-segment.ts';

export interface WireOptions {
  /** Of 1000 segments, how many are lost, duplicated, and delayed so that others overtake them. */
  readonly lostPerMille: number;
  readonly doubledPerMille: number;
  readonly latePerMille: number;
  readonly delayUs: number;
}

export interface PeerOptions {
  readonly bytes: number;
  /** Largest single write. */
  readonly writeMax: number;
  readonly receiveBuffer: number;
  /** Bytes read at most at a time, and the pause between; 0: everything at once. */
  readonly readMax: number;
  readonly readPauseUs: number;
  readonly isNagling: boolean;
  readonly mss: number;
  readonly options: number;
  readonly tsoSegments: number;
  /** Mean time between moves; 0: never. */
  readonly moveUs: number;
}

const BURST_MAX = 5000;
/** Without timestamps the timeout of a wire this bad stays at its greatest (Karn); two minutes would outlast FIN-WAIT-2. */
const TEST_PARAMETERS: Partial<TcpParameters> = { rtoMaxUs: 5_000_000 };

/** Byte `offset` of the stream of peer `who`. */
function streamByte(who: number, offset: number): number {
  return (Math.imul(offset + 1, 0x9e3779b1 + 2 * who) >>> 24) ^ who;
}

/** One end: an application, and the engine in whichever place it is. */
export class Peer {
  readonly who: number;
  /** Where the connection is: the host's record always exists, the target's while it is offloaded. */
  c: TcpConnection;
  p: TcpParameters;
  other: Peer | null = null;
  moves = 0;
  resets = 0;
  sentSegments = 0;
  isTimedOut = false;
  hasEnd = false;
  delivered = 0;
  completedBytes = 0;
  completedLists = 0;
  writtenLists = 0;
  readonly hostParameters: TcpParameters;
  readonly targetParameters: TcpParameters;
  readonly hostSlab: TcpSlab = new TcpSlab(4);
  readonly targetSlab: TcpSlab = new TcpSlab(4);
  readonly #host: TcpConnection;
  readonly #pair: Pair;
  readonly #options: PeerOptions;
  readonly #timer: Timer;
  readonly #appTimer: Timer;
  readonly #moveTimer: Timer;
  readonly #piece: TextPiece = new TextPiece();
  readonly #out: TcpSegment = new TcpSegment();
  #consumed = 0;
  #written = 0;
  #isClosed = false;

  constructor(pair: Pair, who: number, options: PeerOptions) {
    this.#pair = pair;
    this.who = who;
    this.#options = options;
    this.hostParameters = tcpParameters({ ...TEST_PARAMETERS, options: options.options });
    this.targetParameters = tcpParameters({ ...TEST_PARAMETERS, role: 'target', options: options.options });
    this.p = this.hostParameters;
    this.#host = this.hostSlab.allocate();
    this.c = this.#host;
    const { c } = this;
    c.family = 4;
    c.words[c.base + PrivateWord.LOCAL_ADDRESS + 3] = who;
    c.words[c.base + PrivateWord.REMOTE_ADDRESS + 3] = 1 - who;
    c.localPort = 1000 + who;
    c.remotePort = 1001 - who;
    c.localMss = options.mss;
    c.initialRcvWnd = options.receiveBuffer;
    c.cachedFlags = options.isNagling ? 2 : 0;
    c.state = State.CLOSED;
    c.tsDelta = who * 77_777;
    this.#timer = pair.runtime.timer(() => this.#obey(onDeadline(this.c, this.p, this.nowUs), null));
    this.#appTimer = pair.runtime.timer(() => this.#app());
    this.#moveTimer = pair.runtime.timer(() => this.#moveSoon());
  }

  /** The clock of whoever runs the connection: a target's differs from the host's. */
  get nowUs(): number {
    return this.#pair.runtime.nowUs() + (this.c === this.#host ? 0 : 123_456_789_012);
  }

  get isOffloaded(): boolean {
    return this.c !== this.#host;
  }

  connect(): void {
    this.#obey(openActive(this.c, this.p, asSeq(-2000), this.nowUs), null);
  }

  receive(seg: TcpSegment): void {
    if (
      this.c.state === State.CLOSED &&
      (seg.flags & (TcpFlag.SYN | TcpFlag.ACK)) === TcpFlag.SYN &&
      this.writtenLists === 0
    ) {
      this.#obey(openPassive(this.c, this.p, seg, asSeq(0x7fffff00), this.nowUs), seg);
    } else if (this.c.state !== State.CLOSED) {
      if ((seg.flags & TcpFlag.RST) !== 0) this.resets++;
      this.#obey(onSegment(this.c, this.p, seg, this.nowUs), seg);
    }
  }

  /** Whether both directions are done and everything came back. */
  get isDone(): boolean {
    return (
      this.hasEnd &&
      this.delivered === this.#consumed &&
      this.completedLists === this.writtenLists &&
      this.#isClosed &&
      (this.c.state === State.CLOSED || this.c.state === State.TIME_WAIT)
    );
  }

  /** Moves the connection to the other place, as a host and a target do it together. */
  move(): void {
    if (this.isOffloaded) this.#upload();
    else if (this.c.state >= State.ESTABLISHED && this.c.state < State.TIME_WAIT) this.#offload();
  }

  #offload(): void {
    const from = this.#host;
    const state = this.#writeOut(from, this.hostParameters);
    const to = this.targetSlab.allocate();
    to.family = from.family;
    for (let i = PrivateWord.LOCAL_ADDRESS; i < PrivateWord.FAMILY; i++)
      to.words[to.base + i] = from.words[from.base + i]!;
    this.c = to;
    this.p = this.targetParameters;
    adopt(to, this.p, state.constState, state.cached, state.delegated, this.nowUs);
    onPathMtu(to, this.p, this.#options.mss + 40, 20, this.nowUs);
    this.#takeUp(state.chain);
  }

  #upload(): void {
    const from = this.c;
    const state = this.#writeOut(from, this.targetParameters);
    this.c = this.#host;
    this.p = this.hostParameters;
    this.targetSlab.free(from);
    readDelegated(this.c, this.p, state.delegated, this.nowUs);
    this.#takeUp(state.chain);
  }

  #writeOut(from: TcpConnection, p: TcpParameters) {
    this.moves++;
    if ((prepareTransfer(from, p, this.nowUs) & Effect.TRANSMIT) !== 0) this.#pump();
    const constState = new TcpConstState();
    const cached = new TcpCachedState();
    const delegated = new TcpDelegatedState();
    writeConst(from, constState);
    writeCached(from, cached);
    writeDelegated(from, p, delegated, this.nowUs);
    return { constState, cached, delegated, chain: takeSendData(from) };
  }

  #takeUp(chain: NetBufferList | null): void {
    if (chain !== null) restoreSendData(this.c, this.p, chain);
    this.#obey(Effect.TRANSMIT | this.#announce(), null);
  }

  #moveSoon(): void {
    this.move();
    if (!this.isDone) this.#moveTimer.arm(this.#pair.runtime.nowUs() + this.#pair.random(2 * this.#options.moveUs));
  }

  #obey(first: Effects, seg: TcpSegment | null): void {
    let effects = first;
    if ((effects & Effect.TEXT) !== 0) {
      this.#take(seg!.bytes, seg!.textAt, seg!.textLength);
      while (this.c.reassembly?.take(this.#piece)) this.#take(this.#piece.bytes, this.#piece.at, this.#piece.length);
      if (this.#options.readPauseUs === 0) this.#consumed = this.delivered;
      else if (this.#appTimer.atUs === Number.POSITIVE_INFINITY)
        this.#appTimer.arm(this.#pair.runtime.nowUs() + this.#options.readPauseUs);
      effects |= this.#announce();
    }
    if ((effects & Effect.END_OF_STREAM) !== 0) {
      if (this.hasEnd) throw new Error('the end of the stream came twice');
      this.hasEnd = true;
    }
    if ((effects & Effect.ACKED) !== 0) this.#complete();
    if ((effects & Effect.CONNECTED) !== 0) {
      this.#appTimer.arm(this.#pair.runtime.nowUs());
      if (this.#options.moveUs > 0)
        this.#moveTimer.arm(this.#pair.runtime.nowUs() + this.#pair.random(this.#options.moveUs));
    }
    if ((effects & (Effect.TIMED_OUT | Effect.ABORTED)) !== 0) {
      this.isTimedOut = true;
      this.#pair.log.push(`${'ab'[this.who]} gave up: ${effectNames(effects)}`);
    }
    if ((effects & Effect.TRANSMIT) !== 0) this.#pump();
    // A target does not stay in TIME-WAIT (TCP-006), nor in CLOSED.
    if (this.isOffloaded && (this.c.state === State.TIME_WAIT || this.c.state === State.CLOSED)) this.#upload();
    this.#check();
    const skewUs = this.nowUs - this.#pair.runtime.nowUs();
    this.#timer.arm(soonestDeadline(this.c) - skewUs);
  }

  #check(): void {
    const { c } = this;
    if (((c.sndNxt - c.sndUna) | 0) < 0 || ((c.sndMax - c.sndNxt) | 0) < 0)
      throw new Error('SND.UNA <= SND.NXT <= SND.MAX');
    if (c.state >= State.ESTABLISHED && c.cWnd <= 0) throw new Error('CWND is not positive');
  }

  #announce(): Effects {
    const free = Math.max(0, this.#options.receiveBuffer - (this.delivered - this.#consumed));
    return setReceiveSpace(this.c, this.p, free, this.nowUs);
  }

  #take(bytes: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== streamByte(1 - this.who, this.delivered + i))
        throw new Error(`byte ${this.delivered + i} is wrong`);
    }
    this.delivered += length;
  }

  #complete(): void {
    let list = this.c.sendQueue?.takeCompleted() ?? null;
    for (; list !== null; list = list.next) {
      this.completedLists++;
      this.completedBytes += list.protocolReserved as number;
    }
  }

  /** The application's turn: reads a little, writes a little, closes at the end. */
  #app(): void {
    const { readMax, readPauseUs, bytes, writeMax } = this.#options;
    let effects: Effects = Effect.NONE;
    if (this.#consumed < this.delivered) {
      this.#consumed = Math.min(this.delivered, this.#consumed + (readMax || this.delivered));
      effects |= this.#announce();
    }
    for (let i = 0; i < 4 && this.#written < bytes; i++) {
      const n = Math.min(bytes - this.#written, 1 + this.#pair.random(writeMax));
      const memory = new Uint8Array(n);
      for (let k = 0; k < n; k++) memory[k] = streamByte(this.who, this.#written + k);
      const list = netBufferListOver(memory);
      list.protocolReserved = n;
      this.#written += n;
      this.writtenLists++;
      effects |= queueData(this.c, this.p, list, this.nowUs);
    }
    if (this.#written === bytes && !this.#isClosed) {
      this.#isClosed = true;
      effects |= closeSend(this.c, this.p, this.nowUs);
    }
    if (!this.#isClosed || this.#consumed < this.delivered) {
      this.#appTimer.arm(this.#pair.runtime.nowUs() + Math.max(500, readPauseUs));
    }
    this.#obey(effects, null);
  }

  #pump(): void {
    const most = this.#options.tsoSegments * Math.max(1, this.c.effectiveMss);
    for (let n = 0; nextSegment(this.c, this.p, this.#out, this.nowUs, most); n++) {
      if (n > BURST_MAX) throw new Error('the engine sends without end');
      this.sentSegments++;
      this.#pair.carry(this, this.#out);
    }
  }
}

/** Both ends and the wire. */
export class Pair {
  readonly runtime: VirtualRuntime;
  readonly a: Peer;
  readonly b: Peer;
  readonly #wire: WireOptions;
  readonly #random: SeededRandom;
  /** Segments seen on the wire, for whoever must understand a failure. */
  readonly log: string[] = [];

  constructor(seed: number, wire: WireOptions, a: PeerOptions, b: PeerOptions) {
    this.runtime = new VirtualRuntime(seed);
    this.#random = this.runtime.random;
    this.#wire = wire;
    this.a = new Peer(this, 0, a);
    this.b = new Peer(this, 1, b);
    this.a.other = this.b;
    this.b.other = this.a;
  }

  /** 0 <= n < `below`. */
  random(below: number): number {
    return below < 1 ? 0 : this.#random.nextUint32() % Math.floor(below);
  }

  carry(from: Peer, out: TcpSegment): void {
    const { lostPerMille, doubledPerMille, latePerMille, delayUs } = this.#wire;
    const copy = new TcpSegment();
    Object.assign(copy, out, { sackEdges: copy.sackEdges });
    copy.sackEdges.set(out.sackEdges);
    copy.bytes = new Uint8Array(out.textLength);
    copy.textAt = 0;
    if (out.textLength > 0) from.c.sendQueue!.copyOut(out.sendOffset, out.textLength, copy.bytes, 0);
    const isLost = this.random(1000) < lostPerMille;
    this.#note(from, copy, isLost);
    if (isLost) return;
    const lateUs = this.random(1000) < latePerMille ? this.random(3 * delayUs + 1000) : 0;
    this.#deliver(from, copy, delayUs + lateUs);
    if (this.random(1000) < doubledPerMille)
      this.#deliver(from, copyOf(copy), delayUs + this.random(2 * delayUs + 100));
  }

  #deliver(from: Peer, seg: TcpSegment, afterUs: number): void {
    const timer = this.runtime.timer(() => from.other!.receive(seg));
    timer.arm(this.runtime.nowUs() + Math.max(1, afterUs));
  }

  #note(from: Peer, seg: TcpSegment, isLost: boolean): void {
    if (this.log.length > 2000) this.log.splice(0, 1000);
    const place = from.isOffloaded ? 'target' : 'host';
    this.log.push(
      `${(this.runtime.nowUs() / 1e6).toFixed(6)} ${'ab'[from.who]}/${place} flags ${seg.flags} seq ${seg.seq >>> 0}+${seg.textLength} ack ${seg.ack >>> 0} win ${seg.window}${isLost ? ' LOST' : ''}`,
    );
  }

  /** Runs until both are done; answers whether they were within `limitUs`. */
  run(limitUs: number): boolean {
    this.a.connect();
    return this.runtime.runUntil(
      () => (this.a.isDone && this.b.isDone) || this.a.isTimedOut || this.b.isTimedOut,
      limitUs,
    );
  }
}

function copyOf(seg: TcpSegment): TcpSegment {
  const copy = new TcpSegment();
  Object.assign(copy, seg, { sackEdges: copy.sackEdges });
  copy.sackEdges.set(seg.sackEdges);
  return copy;
}
