/**
 * Measures what the TCP engine allocates per segment: two engines, one wire, everything reused, in a process of its own.
 *
 * Run with the flags of test/support/child.ts. Answers with one line of JSON: bytes and nanoseconds a segment, by scenario.
 */
import { asSeq } from '../../src/base/seq.ts';
import { type NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpConnectionState as State } from '../../src/state/tcp.ts';
import type { TcpConnection } from '../../src/tcp/connection.ts';
import { Effect } from '../../src/tcp/effects.ts';
import { onDeadline, soonestDeadline } from '../../src/tcp/on-deadline.ts';
import { onSegment } from '../../src/tcp/on-segment.ts';
import { nextSegment, queueData } from '../../src/tcp/on-send.ts';
import { openActive, openPassive } from '../../src/tcp/open.ts';
import { tcpParameters } from '../../src/tcp/parameters.ts';
import { setReceiveSpace } from '../../src/tcp/receive-window.ts';
import { TcpSlab } from '../../src/tcp/slab.ts';
import { TextPiece } from '../../src/tcp/text-pool.ts';
import { TcpSegment } from '../../src/wire/tcp-segment.ts';
import { leastOf } from '../support/least.ts';

const RECEIVE_BUFFER = 1 << 20;
const WRITE_BYTES = 64 * 1024;
const WRITES = 8;

const p = tcpParameters();
const slab = new TcpSlab(4);
const piece = new TextPiece();

/** One end: a record, and the lists it sends over and over. */
class End {
  readonly c: TcpConnection = slab.allocate();
  readonly out: TcpSegment = new TcpSegment();
  readonly lists: NetBufferList[] = [];
  segments = 0;

  constructor(localPort: number, remotePort: number) {
    const c = this.c;
    c.family = 4;
    c.localPort = localPort;
    c.remotePort = remotePort;
    c.localMss = 1460;
    c.initialRcvWnd = RECEIVE_BUFFER;
    c.state = State.CLOSED;
    for (let i = 0; i < WRITES; i++) this.lists.push(netBufferListOver(new Uint8Array(WRITE_BYTES)));
  }
}

const a = new End(1, 2);
const b = new End(2, 1);
let lossEvery = 0;
let dropped = 0;
let carried = 0;

/** Everything `from` has to send goes to `to`; answers whether `to` now has something to send. */
function carry(from: End, to: End, nowUs: number): boolean {
  let effects = 0;
  while (nextSegment(from.c, p, from.out, nowUs, 1448)) {
    from.segments++;
    const out = from.out;
    if (out.textLength > 0) {
      // Where the text lies is looked up as a sender with writev does; copying it is not the engine's part.
      from.c.sendQueue!.runAt(out.sendOffset, out.textLength, piece);
      out.bytes = piece.bytes;
      out.textAt = piece.at;
      if (lossEvery > 0 && ++carried % lossEvery === 0) {
        dropped++;
        continue;
      }
    }
    effects |= give(to, out, nowUs);
  }
  return (effects & Effect.TRANSMIT) !== 0;
}

function give(to: End, seg: TcpSegment, nowUs: number): number {
  let effects = onSegment(to.c, p, seg, nowUs);
  if ((effects & Effect.TEXT) !== 0) {
    while (to.c.reassembly?.take(piece));
    effects |= setReceiveSpace(to.c, p, RECEIVE_BUFFER, nowUs);
  }
  if ((effects & Effect.ACKED) !== 0) collect(to);
  return effects;
}

function collect(end: End): void {
  let list = end.c.sendQueue === null ? null : end.c.sendQueue.takeCompleted();
  while (list !== null) {
    const next = list.next;
    list.next = null;
    const nb = list.firstNetBuffer!;
    nb.dataLength = nb.mdlChain!.byteCount;
    nb.dataOffset = 0;
    nb.currentMdl = nb.mdlChain;
    nb.currentMdlOffset = 0;
    end.lists.push(list);
    list = next;
  }
}

/** The clock moves once a batch; a number above 2^31 is a heap number, made here and only here. */
const clock = new Float64Array([5_000_000_000]);
function now(stepUs: number): number {
  clock[0] = clock[0]! + stepUs;
  return clock[0]!;
}

function exchange(from: End, to: End, nowUs: number): void {
  for (let i = 0; i < 1000; i++) {
    const isAnswered = carry(from, to, nowUs);
    if (!isAnswered) return;
    if (!carry(to, from, nowUs)) {
      if (from.c.queuedBytes === 0) return;
    }
  }
}

function timers(nowUs: number): void {
  if (soonestDeadline(a.c) <= nowUs) onDeadline(a.c, p, nowUs);
  if (soonestDeadline(b.c) <= nowUs) onDeadline(b.c, p, nowUs);
}

/** Bulk data one way until `segments` more data segments have been sent. */
function bulk(segments: number): void {
  const end = a.segments + segments;
  while (a.segments < end) {
    const nowUs = now(lossEvery > 0 ? 1000 : 10);
    while (a.lists.length > 0) queueData(a.c, p, a.lists.pop()!, nowUs);
    timers(nowUs);
    exchange(a, b, nowUs);
    carry(b, a, nowUs);
  }
}

/** Small questions and answers; the clock stands still for some of them, so that its own garbage does not count. */
function pingPong(segments: number): void {
  const end = a.segments + segments;
  while (a.segments < end) {
    const nowUs = now(640);
    for (let i = 0; i < 64; i++) {
      sendSmall(a, nowUs);
      carry(a, b, nowUs);
      sendSmall(b, nowUs);
      carry(b, a, nowUs);
    }
    timers(nowUs);
  }
}

function sendSmall(end: End, nowUs: number): void {
  const list = end.lists.pop();
  if (list === undefined) return;
  list.firstNetBuffer!.dataLength = 100;
  queueData(end.c, p, list, nowUs);
}

interface Result {
  readonly bytesPerSegment: number;
  readonly nsPerSegment: number;
}

function measure(run: (segments: number) => void, segments: number): Result {
  return leastOf(
    () => measureOnce(run, segments),
    (result) => result.bytesPerSegment,
  );
}

function measureOnce(run: (segments: number) => void, segments: number): Result {
  run(segments);
  run(segments);
  gc!();
  const before = process.memoryUsage().heapUsed;
  const start = process.hrtime.bigint();
  const from = a.segments + b.segments;
  run(segments);
  const count = a.segments + b.segments - from;
  const ns = Number(process.hrtime.bigint() - start);
  const bytes = process.memoryUsage().heapUsed - before;
  return { bytesPerSegment: bytes / count, nsPerSegment: ns / count };
}

function open(): void {
  const nowUs = now(10);
  openActive(a.c, p, asSeq(-500), nowUs);
  nextSegment(a.c, p, a.out, nowUs, 1448);
  openPassive(b.c, p, a.out, asSeq(7), nowUs);
  carry(b, a, nowUs);
  carry(a, b, nowUs);
}

/** One object a segment: what a failing measurement looks like. */
const garbage: unknown[] = [null];
function control(segments: number): void {
  for (let i = 0; i < segments; i++) garbage[0] = { i, segments };
  a.segments += segments;
}

open();
const results: Record<string, Result> = {
  bulk: measure(bulk, 300_000),
  pingPong: measure(pingPong, 300_000),
};
lossEvery = 97;
results['lossy'] = measure(bulk, 100_000);
results['control'] = measure(control, 100_000);
console.log(JSON.stringify({ ...results, dropped, state: a.c.state }));
