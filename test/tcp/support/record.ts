/** Records in a given state, and segments from their peer, for tests that step the engine by hand. */
import { asSeq, seqAdd } from '../../../src/base/seq.ts';
import { netBufferListOver } from '../../../src/state/net-buffer-list.ts';
import { TcpConnectionState as State } from '../../../src/state/tcp.ts';
import type { TcpConnection } from '../../../src/tcp/connection.ts';
import { onSegment } from '../../../src/tcp/on-segment.ts';
import { nextSegment, queueData } from '../../../src/tcp/on-send.ts';
import { openPassive } from '../../../src/tcp/open.ts';
import { type TcpParameters, tcpParameters } from '../../../src/tcp/parameters.ts';
import { TcpSlab } from '../../../src/tcp/slab.ts';
import { TcpFlag, TcpSegment } from '../../../src/wire/tcp-segment.ts';

export const START_US = 5_000_000_000;

/** What a stepped test needs at hand. */
export class Bench {
  readonly p: TcpParameters;
  readonly slab: TcpSlab = new TcpSlab(4);
  readonly c: TcpConnection;
  readonly out: TcpSegment = new TcpSegment();
  nowUs: number = START_US;

  constructor(changes: Partial<TcpParameters> = {}) {
    this.p = tcpParameters({ quickAckSegments: 0, options: 0, ...changes });
    this.c = this.slab.allocate();
    this.c.family = 4;
    this.c.localMss = 1460;
    this.c.initialRcvWnd = 65535;
    this.c.state = State.CLOSED;
  }

  /** A handshake whose SYN has what `change` puts in. */
  openWith(change: (syn: TcpSegment) => void): this {
    const syn = this.segment(TcpFlag.SYN, 0, 0);
    syn.mss = 1460;
    change(syn);
    openPassive(this.c, this.p, syn, asSeq(-100), this.nowUs);
    this.sent();
    onSegment(this.c, this.p, this.segment(TcpFlag.ACK, 1, 1), this.nowUs);
    return this;
  }

  /** An ACK with one SACK block. */
  receiveSack(ack: number, [left, right]: readonly [number, number]): number {
    const seg = this.segment(TcpFlag.ACK, 1, ack);
    seg.sackCount = 1;
    seg.sackEdges[0] = seqAdd(asSeq(-100), left);
    seg.sackEdges[1] = seqAdd(asSeq(-100), right);
    return onSegment(this.c, this.p, seg, this.nowUs);
  }

  /** Numbers from here on: the peer's next is 1 (relative), ours is 1. */
  establish(window = 65535): this {
    const syn = this.segment(TcpFlag.SYN, 0, 0, 0, window);
    syn.mss = 1460;
    openPassive(this.c, this.p, syn, asSeq(-100), this.nowUs);
    this.sent();
    onSegment(this.c, this.p, this.segment(TcpFlag.ACK, 1, 1, 0, window), this.nowUs);
    return this;
  }

  /** A segment of the peer; `seq` and `ack` relative to its and our initial number. */
  segment(flags: number, seq: number, ack: number, textLength = 0, window = 65535): TcpSegment {
    const seg = new TcpSegment();
    seg.srcPort = 1;
    seg.dstPort = 2;
    seg.flags = flags;
    seg.seq = seqAdd(asSeq(500), seq);
    seg.ack = seqAdd(asSeq(-100), ack);
    seg.window = window;
    seg.bytes = new Uint8Array(textLength);
    seg.textLength = textLength;
    return seg;
  }

  receive(flags: number, seq: number, ack: number, textLength = 0, window = 65535): number {
    return onSegment(this.c, this.p, this.segment(flags, seq, ack, textLength, window), this.nowUs);
  }

  write(bytes: number): number {
    return queueData(this.c, this.p, netBufferListOver(new Uint8Array(bytes)), this.nowUs);
  }

  /** Everything it wants to send now, as 'FLAGS seq+length ack', relative. */
  sent(): string[] {
    const all: string[] = [];
    while (nextSegment(this.c, this.p, this.out, this.nowUs, 1460)) {
      const { flags, seq, textLength, ack } = this.out;
      const letters = `${flags & 2 ? 'S' : ''}${flags & 1 ? 'F' : ''}${flags & 4 ? 'R' : ''}${flags & 8 ? 'P' : ''}${flags & 16 ? '.' : ''}`;
      all.push(`${letters} ${(seq + 100) | 0}+${textLength} ${(ack - 500) | 0}`);
      if (all.length > 1000) throw new Error('it sends without end');
    }
    return all;
  }
}
