/** Whatever the order of segments, posts, answers, losses and moves: each byte once, in order, and every list comes back. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NdisStatus, ndisStatusName, OffloadBlock, OffloadStateType } from '../../src/ndis/protocol.ts';
import { type NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import type { TcpDelegatedState } from '../../src/state/tcp.ts';
import { bytesOf, type Done } from './support/fake-host.ts';
import { segmentOf } from './support/frames.ts';
import { Connection, pattern, patternByte, RCV_NXT, SND_UNA, World } from './support/world.ts';

type Step =
  | {
      readonly kind: 'segments';
      readonly sizes: readonly number[];
      readonly push: boolean;
      readonly shuffle: number;
      readonly forward: boolean;
    }
  | { readonly kind: 'post'; readonly sizes: readonly number[]; readonly noPush: boolean }
  | { readonly kind: 'answer'; readonly how: 'accept' | 'refuse' | 'partly'; readonly postInside: boolean }
  | { readonly kind: 'return' }
  | { readonly kind: 'send'; readonly sizes: readonly number[] }
  | { readonly kind: 'ack'; readonly share: number }
  | { readonly kind: 'lose' }
  | { readonly kind: 'wait'; readonly us: number }
  | { readonly kind: 'move'; readonly keep: number };

const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1_460 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('segments' as const),
      sizes: fc.array(size, { minLength: 1, maxLength: 6 }),
      push: fc.boolean(),
      shuffle: fc.nat(),
      forward: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('post' as const),
      sizes: fc.array(fc.oneof(size, fc.constant(0)), { minLength: 1, maxLength: 4 }),
      noPush: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      how: fc.constantFrom('accept' as const, 'refuse' as const, 'partly' as const),
      postInside: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'return' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('send' as const), sizes: fc.array(size, { minLength: 1, maxLength: 4 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('ack' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'lose' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), us: fc.integer({ min: 1, max: 900_000 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('move' as const), keep: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
);

/** A host, a target and a peer, with the books of both streams. */
class Run {
  readonly w: World;
  c: Connection;
  // What the application got of the peer's stream.
  got = 0;
  bad: string | null = null;
  receivesPosted = 0;
  // What the application sent.
  sendNext = SND_UNA;
  sendsPosted: NetBufferList[] = [];
  sendsDone = 0;
  /** Highest byte of ours that the peer has, in order; and the segments it has beyond. */
  peerHas = SND_UNA;
  beyond: [number, number][] = [];
  how: 'accept' | 'refuse' | 'partly' = 'accept';
  postInside = false;
  rcvIndicationSize: number;

  constructor(rcvIndicationSize: number) {
    this.rcvIndicationSize = rcvIndicationSize;
    this.w = new World({ receivePoolBytes: 1 << 20 });
    this.c = this.w.offload({ rcvIndicationSize });
    const { host } = this.w;
    host.answer = (bytes) => {
      if (this.how === 'accept') this.take(bytes);
      if (this.how === 'accept') return { status: NdisStatus.SUCCESS, consumed: bytes.length };
      if (this.how === 'refuse' || bytes.length < 2)
        return { status: NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, consumed: 0 };
      const consumed = bytes.length >> 1;
      this.take(bytes.subarray(0, consumed));
      return { status: NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED, consumed };
    };
    host.onIndicate = () => {
      if (this.postInside) this.post([13], false);
    };
    host.onReceiveComplete = () => this.takeReceives();
  }

  take(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte !== patternByte(RCV_NXT + this.got)) this.bad ??= `byte ${this.got} is wrong`;
      this.got++;
    }
  }

  takeReceives(): void {
    for (const done of this.w.host.receives.splice(0)) this.takeReceive(done);
  }

  takeReceive(done: Done): void {
    this.receivesPosted--;
    if (done.status !== 'SUCCESS' && done.status !== 'UPLOAD_IN_PROGRESS') this.bad ??= `receive ${done.status}`;
    const mdl = done.list.firstNetBuffer!.mdlChain;
    if (mdl !== null) this.take(mdl.buffer.subarray(0, done.bytes));
  }

  post(sizes: readonly number[], noPush: boolean): void {
    for (const n of sizes) {
      this.c.postBytes(n, noPush);
      this.receivesPosted++;
    }
  }

  /** The peer sends new text, perhaps out of order, with repeats, perhaps by way of the host. */
  segments(sizes: readonly number[], push: boolean, shuffle: number, forward: boolean): void {
    // A peer keeps to the window; what it sends again is the engine's business and tested there.
    if (this.c.peerSeq - RCV_NXT - this.got > 50_000) return;
    const frames = sizes.map((n) => this.c.text(pattern(this.c.peerSeq, n), push ? 'PA' : 'A'));
    const order = frames.map((frame, i) => ({ frame, key: (shuffle >>> (i * 3)) & 7 }));
    if (shuffle % 2 === 1) order.sort((a, b) => a.key - b.key);
    if (shuffle % 3 === 0) order.push(order[0]!);
    if (!forward) {
      this.c.receive(...order.map((o) => o.frame));
      return;
    }
    for (const { frame } of order) this.c.forward(netBufferListOver(segmentOf(frame)));
    this.w.settle();
  }

  send(sizes: readonly number[]): void {
    for (const n of sizes) {
      const list = netBufferListOver(pattern(this.sendNext, n));
      this.sendNext += n;
      this.sendsPosted.push(list);
      this.c.send(list);
    }
    this.w.settle();
    this.collect();
  }

  /** The peer reads what is on the wire. */
  collect(): void {
    for (const frame of this.w.sent()) {
      for (let i = 0; i < frame.text.length; i++) {
        if (frame.text[i] !== patternByte(frame.seq + i)) this.bad ??= `sent byte ${frame.seq + i} is wrong`;
      }
      if (frame.flags.includes('R') || frame.flags.includes('F')) this.bad ??= `a ${frame.flags} left`;
      this.beyond.push([frame.seq, frame.seq + frame.text.length]);
    }
    this.beyond.sort((a, b) => a[0] - b[0]);
    for (const [from, to] of this.beyond) if (from <= this.peerHas) this.peerHas = Math.max(this.peerHas, to);
    this.beyond = this.beyond.filter(([, to]) => to > this.peerHas);
  }

  ack(share: number): void {
    const to = this.c.peerAck + Math.floor((this.peerHas - this.c.peerAck) * share);
    this.c.ackTo(to);
    this.checkSends();
  }

  checkSends(): void {
    for (const done of this.w.host.sends.splice(0)) {
      if (done.status !== 'SUCCESS') this.bad ??= `send ${done.status}`;
      if (done.list !== this.sendsPosted.shift()) this.bad ??= 'a send came back out of order';
      this.sendsDone += done.bytes;
      if (SND_UNA + this.sendsDone > this.c.peerAck) this.bad ??= 'a send was completed before it was acknowledged';
    }
  }

  /** Terminate and offload again; of the data that comes up, a share is consumed above, the rest goes down again. */
  move(keep: number): void {
    const block = this.c.terminate();
    if (block.status !== NdisStatus.SUCCESS) this.bad ??= ndisStatusName(block.status);
    this.takeReceives();
    this.checkSends();
    this.collect();
    const state = block.delegatedState as TcpDelegatedState;
    let data = new Uint8Array(0);
    if (state.bufferedData !== null) {
      data = new Uint8Array(bytesOf(state.bufferedData));
      this.w.ndis.offloadTcpReceiveReturn(this.w.binding, state.bufferedData);
    }
    const consumed = Math.floor(data.length * keep);
    this.take(data.subarray(0, consumed));
    const rest = data.subarray(consumed);
    if (this.receivesPosted !== 0) this.bad ??= 'a request did not come back';
    const again = new Connection(this.w, this.c.spec, {});
    again.peerSeq = this.c.peerSeq;
    again.peerAck = this.c.peerAck;
    const top = new OffloadBlock(OffloadStateType.NEIGHBOR, this.c.neighbor.handle);
    const link = new OffloadBlock(OffloadStateType.IP4, this.c.path.handle);
    const tcp = this.w.tcpBlock(again.tcp, { rcvIndicationSize: this.rcvIndicationSize });
    state.bufferedData = rest.length > 0 ? netBufferListOver(rest) : null;
    tcp.delegatedState = state;
    tcp.netBufferListChain = block.netBufferListChain;
    top.dependentBlockList = link;
    link.dependentBlockList = tcp;
    this.w.initiate(top);
    this.w.settle();
    if (tcp.status !== NdisStatus.SUCCESS) this.bad ??= `again: ${ndisStatusName(tcp.status)}`;
    this.c = Object.assign(again, { neighbor: this.c.neighbor, path: this.c.path });
    this.collect();
  }

  run(steps: readonly Step[]): void {
    for (const s of steps) {
      if (s.kind === 'segments') this.segments(s.sizes, s.push, s.shuffle, s.forward);
      else if (s.kind === 'post') this.post(s.sizes, s.noPush);
      else if (s.kind === 'answer') [this.how, this.postInside] = [s.how, s.postInside];
      else if (s.kind === 'return') this.c.returnLists();
      else if (s.kind === 'send') this.send(s.sizes);
      else if (s.kind === 'ack') this.ack(s.share);
      else if (s.kind === 'lose') this.w.sent();
      else if (s.kind === 'wait') this.w.runtime.advance(s.us);
      else this.move(s.keep);
      this.w.settle();
      this.collect();
      this.takeReceives();
    }
  }

  /** Lets everything come to rest and closes the books. */
  finish(): void {
    [this.how, this.postInside] = ['accept', false];
    this.post([0], false);
    for (let i = 0; i < 60 && this.peerHas < this.sendNext; i++) {
      this.w.runtime.advance(1_000_000);
      this.collect();
      this.ack(1);
      this.c.returnLists();
    }
    this.w.settle();
    this.ack(1);
    this.post([0], false);
    this.w.settle();
    this.takeReceives();
    const block = this.c.terminate();
    const state = block.delegatedState as TcpDelegatedState;
    this.takeReceives();
    if (state.bufferedData !== null) {
      this.take(bytesOf(state.bufferedData));
      this.w.ndis.offloadTcpReceiveReturn(this.w.binding, state.bufferedData);
    }
    this.c.returnLists();
    expect(this.bad).toBeNull();
    expect(this.got).toBe(this.c.peerSeq - RCV_NXT);
    expect(state.rcvNxt).toBe(this.c.peerSeq);
    expect(this.peerHas).toBe(this.sendNext);
    expect(this.sendsPosted).toEqual([]);
    expect(block.netBufferListChain).toBeNull();
    expect(this.receivesPosted).toBe(0);
    expect(this.w.ndis.listsHeld).toBe(0);
    expect(this.w.target.control.held()).toMatchObject({
      tcpObjects: 0,
      indicatedLists: 0,
      receiveBlocks: 0,
      operations: 0,
      frames: 0,
    });
  }
}

describe('streams through the target', () => {
  test('each byte once and in order, both ways, whatever happens and whatever RcvIndicationSize (RECV-014, RECV-018, RECV-090, RECV-091, SEND-005, SEND-038, TCP-135, NBL-009, NBL-020)', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 0, 16, 100),
        fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
        (preferred, steps) => {
          const run = new Run(preferred);
          run.run(steps);
          run.finish();
        },
      ),
      { numRuns: 300 },
    );
  });
});
