/** Whatever a peer sends, and whatever the user does meanwhile: no throw, no endless sending, no broken variable, no leak. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { asSeq, seqAdd, seqDiff } from '../../src/base/seq.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpConnectionState as State, TcpCachedState, TcpConstState, TcpDelegatedState } from '../../src/state/tcp.ts';
import type { TcpConnection } from '../../src/tcp/connection.ts';
import { Effect } from '../../src/tcp/effects.ts';
import { onIcmpError, onPathMtu } from '../../src/tcp/icmp.ts';
import { tcpStateName } from '../../src/tcp/names.ts';
import { onDeadline, soonestDeadline } from '../../src/tcp/on-deadline.ts';
import { onSegment } from '../../src/tcp/on-segment.ts';
import { abort, closeSend, nextSegment, queueData } from '../../src/tcp/on-send.ts';
import { openActive, openPassive } from '../../src/tcp/open.ts';
import { type TcpParameters, tcpParameters } from '../../src/tcp/parameters.ts';
import { setReceiveSpace } from '../../src/tcp/receive-window.ts';
import { TcpSlab } from '../../src/tcp/slab.ts';
import { TextPiece } from '../../src/tcp/text-pool.ts';
import {
  adopt,
  prepareTransfer,
  restoreSendData,
  takeSendData,
  writeCached,
  writeConst,
  writeDelegated,
} from '../../src/tcp/transfer.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';

const BUFFER = 20_000;
const junk = new Uint8Array(9000);

/** A connection and somebody who wishes it ill. */
class Hostile {
  readonly #random: SeededRandom;
  readonly #slab = new TcpSlab(4);
  readonly #piece = new TextPiece();
  readonly #out = new TcpSegment();
  readonly #in = new TcpSegment();
  readonly states: Set<number> = new Set();
  p: TcpParameters;
  c: TcpConnection;
  #nowUs = 10_000_000_000;
  #delivered = 0;
  #first = asSeq(0);

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.p = tcpParameters({ options: this.#below(8), role: this.#below(4) === 0 ? 'target' : 'host' });
    this.c = this.#open();
  }

  #below(n: number): number {
    return this.#random.nextUint32() % n;
  }

  #chance(percent: number): boolean {
    return this.#below(100) < percent;
  }

  #open(): TcpConnection {
    const c = this.#slab.allocate();
    c.family = 4;
    c.localMss = 1460;
    c.initialRcvWnd = BUFFER;
    c.cachedFlags = this.#below(4);
    c.kaTimeout = 5000;
    c.state = State.CLOSED;
    this.#delivered = 0;
    const iss = asSeq(this.#random.nextUint32());
    if (this.#chance(50)) openActive(c, this.p, iss, this.#nowUs);
    else {
      this.#in.clearOptions();
      this.#in.flags = TcpFlag.SYN;
      this.#in.seq = asSeq(this.#random.nextUint32());
      this.#in.window = 65535;
      this.#options(this.#in);
      openPassive(c, this.p, this.#in, iss, this.#nowUs);
    }
    return c;
  }

  #options(seg: TcpSegment): void {
    seg.clearOptions();
    seg.mss = this.#chance(50) ? this.#below(2000) : 0;
    seg.windowScale = this.#chance(50) ? this.#below(20) : -1;
    seg.sackPermitted = this.#chance(50);
    seg.hasTimestamps = this.#chance(70);
    seg.tsVal = this.#chance(90) ? (this.c?.tsRecent ?? 0) + this.#below(50) : this.#random.nextUint32();
    seg.tsEcr = this.#random.nextUint32();
  }

  /** A number at, near or far from `base`. */
  #near(base: number, span: number): number {
    const kind = this.#below(10);
    if (kind < 6) return base;
    if (kind < 9) return (base + this.#below(2 * span) - span) | 0;
    return this.#random.nextUint32() | 0;
  }

  #segment(): TcpSegment {
    const { c } = this;
    const seg = this.#in;
    this.#options(seg);
    seg.flags = this.#chance(85) ? TcpFlag.ACK : 0;
    if (this.#chance(c.state < State.ESTABLISHED ? 60 : 3)) seg.flags |= TcpFlag.SYN;
    if (this.#chance(4)) seg.flags |= TcpFlag.FIN;
    if (this.#chance(1)) seg.flags |= TcpFlag.RST;
    if (this.#chance(2)) seg.flags |= TcpFlag.URG;
    if (this.#chance(1)) seg.flags = this.#below(256);
    seg.seq = asSeq(this.#near(c.rcvNxt, 30_000));
    seg.ack = asSeq(this.#near(this.#chance(50) ? c.sndMax : c.sndUna + this.#below(3000), 4000));
    seg.window = this.#chance(20) ? this.#below(4) : this.#below(65536);
    seg.urgentPointer = this.#below(65536);
    seg.bytes = junk;
    seg.textAt = this.#below(100);
    seg.textLength = this.#chance(50) ? this.#below(3000) : 0;
    seg.sackCount = this.#below(5);
    for (let i = 0; i < 2 * seg.sackCount; i++) seg.sackEdges[i] = this.#near(c.sndUna + this.#below(20_000), 20_000);
    return seg;
  }

  step(): void {
    const { c, p } = this;
    this.states.add(c.state);
    let effects = 0;
    const before = this.#beyondText();
    switch (this.#below(12)) {
      case 0:
        this.#nowUs += this.#below(300_000);
        break;
      case 1:
        if (soonestDeadline(c) < this.#nowUs + 200_000_000_000) this.#nowUs = Math.max(this.#nowUs, soonestDeadline(c));
        effects = onDeadline(c, p, this.#nowUs);
        break;
      case 2:
        if (c.state === State.ESTABLISHED || c.state === State.CLOSE_WAIT) {
          effects = queueData(c, p, netBufferListOver(new Uint8Array(this.#below(20_000))), this.#nowUs);
        }
        break;
      case 3:
        if (this.#chance(10)) effects = closeSend(c, p, this.#nowUs);
        else if (this.#chance(3)) abort(c, p, this.#out, this.#nowUs);
        else if (this.#chance(5)) effects = onIcmpError(c, p, this.#chance(50), this.#nowUs);
        else if (this.#chance(20)) effects = onPathMtu(c, p, this.#below(9000), 20, this.#nowUs);
        break;
      case 4:
        effects = setReceiveSpace(c, p, this.#below(BUFFER), this.#nowUs);
        break;
      case 5:
        if (this.#chance(10)) this.#move();
        break;
      default:
        effects = onSegment(c, p, this.#segment(), this.#nowUs);
    }
    this.#obey(effects, before);
  }

  /** RCV.NXT counted from the first byte of text, which is after the SYN. */
  #beyondText(): number {
    return seqDiff(this.c.rcvNxt, this.#first);
  }

  #obey(effects: number, before: number): void {
    const { c } = this;
    if ((effects & Effect.TEXT) !== 0) {
      let bytes = this.#in.textLength;
      while (c.reassembly?.take(this.#piece)) bytes += this.#piece.length;
      this.#delivered += bytes;
      const fin = (effects & Effect.END_OF_STREAM) !== 0 ? 1 : 0;
      expect(this.#beyondText() - before, 'RCV.NXT moves by what is delivered').toBe(bytes + fin);
    }
    if ((effects & Effect.ACKED) !== 0) c.sendQueue?.takeCompleted();
    this.#send();
    this.#check();
    if (c.state === State.CLOSED) this.#again();
  }

  #send(): void {
    const { c } = this;
    for (let n = 0; nextSegment(c, this.p, this.#out, this.#nowUs, this.#chance(50) ? 1460 : 65_000); n++) {
      if (n > 3000) throw new Error(`sends without end in ${tcpStateName(c.state)}`);
      const out = this.#out;
      if (out.textLength > 0) {
        expect(out.sendOffset + out.textLength).toBeLessThanOrEqual(c.queuedBytes);
        // MUST NOT 5681-1: nothing beyond the window, but for a probe.
        const beyond = seqDiff(seqAdd(out.seq, out.textLength), seqAdd(c.sndUna, Math.max(1, c.sndWnd)));
        expect(beyond, 'text beyond the window').toBeLessThanOrEqual(0);
        expect(out.headerLength + 20 - 40 + Math.min(out.textLength, 1)).toBeLessThanOrEqual(41);
      }
    }
  }

  #check(): void {
    const { c } = this;
    expect(seqDiff(c.sndNxt, c.sndUna)).toBeGreaterThanOrEqual(0);
    expect(seqDiff(c.sndMax, c.sndNxt)).toBeGreaterThanOrEqual(0);
    expect(c.rcvWnd).toBeGreaterThanOrEqual(0);
    if (c.state >= State.ESTABLISHED) {
      expect(c.cWnd).toBeGreaterThan(0);
      expect(seqDiff(c.rcvAdv, c.rcvNxt)).toBeGreaterThanOrEqual(0);
    }
    expect(c.reassembly === null || c.reassembly.bytesHeld <= 2 * BUFFER + 200_000).toBe(true);
    // Text that is out must have a timer that will see to it.
    const isOut = seqDiff(c.sndMax, c.sndUna) > 0;
    if (isOut && c.state > State.LISTEN && c.state !== State.TIME_WAIT && !c.hasMode(8192)) {
      expect(soonestDeadline(c)).toBeLessThan(Number.POSITIVE_INFINITY);
    }
  }

  #move(): void {
    const from = this.c;
    if (from.state < State.ESTABLISHED || from.state >= State.TIME_WAIT) return;
    prepareTransfer(from, this.p, this.#nowUs);
    this.#send();
    const [constState, cached, delegated] = [new TcpConstState(), new TcpCachedState(), new TcpDelegatedState()];
    writeConst(from, constState);
    writeCached(from, cached);
    writeDelegated(from, this.p, delegated, this.#nowUs);
    from.sendQueue?.takeCompleted();
    const chain = takeSendData(from);
    const to = this.#slab.allocate();
    to.family = 4;
    adopt(to, this.p, constState, cached, delegated, this.#nowUs);
    onPathMtu(to, this.p, 1500, 20, this.#nowUs);
    if (chain !== null) restoreSendData(to, this.p, chain);
    this.#slab.free(from);
    this.c = to;
  }

  /** CLOSED: nothing is left, and another connection begins. */
  #again(): void {
    const { c } = this;
    expect(soonestDeadline(c)).toBe(Number.POSITIVE_INFINITY);
    expect(c.reassembly).toBe(null);
    expect(this.p.spares.textPool.pagesHeld).toBe(0);
    this.#slab.free(c);
    this.c = this.#open();
    this.states.add(State.CLOSED);
  }
}

test('random segments and calls, in every state', () => {
  const states = new Set<number>();
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const hostile = new Hostile(seed);
      for (let i = 0; i < 400; i++) hostile.step();
      for (const state of hostile.states) states.add(state);
    }),
    { numRuns: 150 },
  );
  const missed = Object.values(State).filter((state) => state !== State.LISTEN && !states.has(state));
  expect(missed.map(tcpStateName)).toEqual([]);
}, 60_000);
