/** The send queue: against a model that holds every byte, and its accounts list by list. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  dataLengthOf,
  emptyNetBufferList,
  Mdl,
  NetBuffer,
  NetBufferList,
  netBufferListOver,
} from '../../src/state/net-buffer-list.ts';
import { SendQueue } from '../../src/tcp/send-queue.ts';
import { TextPiece } from '../../src/tcp/text-pool.ts';

let stamp = 0;
/** A list of NET_BUFFERs, each of MDLs with the given lengths, holding bytes 0, 1, 2... of one running stream. */
function listOf(buffers: readonly (readonly number[])[], sink: number[]): NetBufferList {
  let first: NetBuffer | null = null;
  let lastBuffer: NetBuffer | null = null;
  for (const lengths of buffers) {
    let chain: Mdl | null = null;
    let last: Mdl | null = null;
    let total = 0;
    for (const length of lengths) {
      // Three bytes of other matter on both sides of each run.
      const memory = new Uint8Array(length + 6).fill(0xee);
      for (let i = 0; i < length; i++) {
        memory[3 + i] = stamp & 0xff;
        sink.push(stamp & 0xff);
        stamp++;
      }
      const mdl = new Mdl(memory, 3, length);
      if (last === null) chain = mdl;
      else last.next = mdl;
      last = mdl;
      total += length;
    }
    const nb = new NetBuffer(chain, total);
    if (lastBuffer === null) first = nb;
    else lastBuffer.next = nb;
    lastBuffer = nb;
  }
  return new NetBufferList(first);
}

function chainOf(lists: readonly NetBufferList[]): NetBufferList {
  for (let i = 0; i + 1 < lists.length; i++) lists[i]!.next = lists[i + 1]!;
  return lists[0]!;
}

function listsOf(chain: NetBufferList | null): NetBufferList[] {
  const out = [];
  for (let list = chain; list !== null; list = list.next) out.push(list);
  return out;
}

function read(queue: SendQueue, offset: number, length: number): number[] {
  const out = new Uint8Array(length + 2).fill(0xaa);
  queue.copyOut(offset, length, out, 1);
  expect(out[0]).toBe(0xaa);
  expect(out[length + 1]).toBe(0xaa);
  return [...out.subarray(1, length + 1)];
}

/** The bytes of data in a list, from where its data starts now. */
function dataOf(list: NetBufferList): number[] {
  const out: number[] = [];
  for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
    let left = nb.dataLength;
    let mdl = nb.currentMdl;
    let at = nb.currentMdlOffset;
    while (left > 0 && mdl !== null) {
      const n = Math.min(left, mdl.byteCount - at);
      out.push(...mdl.buffer.subarray(mdl.byteOffset + at, mdl.byteOffset + at + n));
      left -= n;
      at = 0;
      mdl = mdl.next;
    }
  }
  return out;
}

describe('accounts of the send queue', () => {
  test('a list acknowledged to its last byte is completed with all its bytes counted and its data start behind them (SEND-017, SEND-024, SEND-025)', () => {
    const queue = new SendQueue();
    const list = listOf([[2, 3], [4]], []);
    expect(queue.append(list)).toBe(9);
    queue.acknowledge(8);
    expect(queue.takeCompleted()).toBeNull();
    queue.acknowledge(1);
    expect(queue.takeCompleted()).toBe(list);
    expect(list.tcpOffloadBytesTransferred).toBe(9);
    expect(dataLengthOf(list)).toBe(0);
    expect(list.firstNetBuffer!.dataOffset).toBe(5);
    expect(queue.isEmpty).toBe(true);
  });

  test('completing frees no MDL: the chain of each NET_BUFFER stays whole (SEND-026)', () => {
    const queue = new SendQueue();
    const list = listOf([[2, 3]], []);
    const first = list.firstNetBuffer!.mdlChain;
    queue.append(list);
    queue.acknowledge(5);
    queue.takeCompleted();
    expect(list.firstNetBuffer!.mdlChain).toBe(first);
    expect(list.firstNetBuffer!.mdlChain!.next).not.toBeNull();
  });

  test('a partly acknowledged list that is taken back reports its bytes and starts at the first unacknowledged one (SEND-024, SEND-025, SEND-034, TERM-052)', () => {
    const queue = new SendQueue();
    const stream: number[] = [];
    const lists = [listOf([[5]], stream), listOf([[2, 4], [3]], stream), listOf([[6]], stream)];
    queue.append(chainOf(lists));
    queue.acknowledge(5 + 7);
    expect(listsOf(queue.takeCompleted())).toEqual([lists[0]]);
    const left = listsOf(queue.takeAll());
    expect(left).toEqual([lists[1], lists[2]]);
    expect(left.map((list) => list.tcpOffloadBytesTransferred)).toEqual([7, 0]);
    expect(left.flatMap(dataOf)).toEqual(stream.slice(12));
    expect(queue.length).toBe(0);
    expect(queue.isEmpty).toBe(true);
  });

  test('at most one list of a chain is partly sent (SEND-020)', () => {
    const queue = new SendQueue();
    queue.append(chainOf([listOf([[4]], []), listOf([[4]], []), listOf([[4]], [])]));
    queue.acknowledge(6);
    queue.takeCompleted();
    const partly = listsOf(queue.takeAll()).filter(
      (list) => list.tcpOffloadBytesTransferred > 0 && dataLengthOf(list) > 0,
    );
    expect(partly.length).toBe(1);
  });

  test('lists of several sends come back in one chain, in the order in which they were posted (SEND-005, SEND-027)', () => {
    const queue = new SendQueue();
    const lists = Array.from({ length: 20 }, () => listOf([[3]], []));
    for (const list of lists) queue.append(list);
    queue.acknowledge(60);
    const back = listsOf(queue.takeCompleted());
    expect(back).toEqual(lists);
    expect(back.at(-1)!.next).toBeNull();
  });

  test('a list without data is finished once everything in front of it is acknowledged, not before', () => {
    const queue = new SendQueue();
    const full = listOf([[3]], []);
    const empty = emptyNetBufferList();
    queue.append(chainOf([full, empty]));
    queue.acknowledge(2);
    expect(queue.hasCompleted).toBe(false);
    queue.acknowledge(1);
    expect(listsOf(queue.takeCompleted())).toEqual([full, empty]);
    expect(empty.tcpOffloadBytesTransferred).toBe(0);
    const alone = emptyNetBufferList();
    queue.append(alone);
    expect(queue.takeCompleted()).toBe(alone);
  });

  test('a list that came with its data start moved on is read from there (SEND-034)', () => {
    const queue = new SendQueue();
    const list = netBufferListOver(Uint8Array.of(9, 1, 2, 3));
    list.firstNetBuffer!.currentMdlOffset = 1;
    list.firstNetBuffer!.dataOffset = 1;
    list.firstNetBuffer!.dataLength = 3;
    queue.append(list);
    expect(read(queue, 0, 3)).toEqual([1, 2, 3]);
  });

  test('PSH belongs to the end of each list, not of each NET_BUFFER (SEND-014)', () => {
    const queue = new SendQueue();
    queue.append(chainOf([listOf([[2], [3]], []), emptyNetBufferList(), listOf([[4]], [])]));
    expect([0, 4, 5, 8, 9, 20].map((offset) => queue.endOfListAfter(offset))).toEqual([5, 5, 9, 9, 9, 9]);
    queue.acknowledge(3);
    expect([0, 1, 2].map((offset) => queue.endOfListAfter(offset))).toEqual([2, 2, 6]);
  });

  test('more data is acknowledged or read than queued: a bug, and said so', () => {
    const queue = new SendQueue();
    queue.append(listOf([[4]], []));
    expect(() => queue.acknowledge(5)).toThrow('only queued data');
    expect(() => queue.copyOut(2, 3, new Uint8Array(9), 0)).toThrow('only queued data');
    expect(queue.runAt(4, 1, new TextPiece())).toBe(false);
  });
});

const shape = fc.array(fc.array(fc.nat({ max: 9 }), { maxLength: 4 }), { minLength: 1, maxLength: 4 });
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      lists: fc.array(shape, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
      most: fc.nat({ max: 40 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('ack' as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('complete' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('takeAll' as const) }) },
);

describe('the send queue as a law', () => {
  test('whatever is posted, read, acknowledged and taken back: completed plus returned is what was posted, byte for byte (SEND-038)', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 50, 1 << 29), (steps, rebaseAt) => {
        const queue = new SendQueue(rebaseAt);
        let stream: number[] = [];
        let posted: { list: NetBufferList; length: number }[] = [];
        let una = 0;
        for (const s of steps) {
          if (s.do === 'append') {
            const lists = s.lists.map((buffers) => listOf(buffers, stream));
            posted.push(...lists.map((list) => ({ list, length: dataLengthOf(list) })));
            queue.append(chainOf(lists));
          } else if (s.do === 'ack') {
            const n = Math.floor((stream.length - una) * s.part);
            queue.acknowledge(n);
            una += n;
          } else if (s.do === 'complete' || s.do === 'takeAll') {
            let done = 0;
            const back = listsOf(queue.takeCompleted());
            for (const list of back) {
              expect(list).toBe(posted[0]!.list);
              expect(list.tcpOffloadBytesTransferred).toBe(posted[0]!.length);
              done += posted.shift()!.length;
            }
            una -= done;
            stream = stream.slice(done);
            expect(una).toBeGreaterThanOrEqual(0);
            if (s.do === 'takeAll') {
              const left = listsOf(queue.takeAll());
              expect(left).toEqual(posted.map((one) => one.list));
              expect(left.reduce((sum, list) => sum + list.tcpOffloadBytesTransferred, 0)).toBe(una);
              expect(left.flatMap(dataOf)).toEqual(stream.slice(una));
              stream = [];
              posted = [];
              una = 0;
              expect(queue.isEmpty).toBe(true);
            }
          } else {
            const from = Math.floor((stream.length - una) * s.from);
            const length = Math.min(s.most, stream.length - una - from);
            expect(read(queue, from, length)).toEqual(stream.slice(una + from, una + from + length));
            const piece = new TextPiece();
            if (queue.runAt(from, s.most, piece)) {
              expect([...piece.bytes.subarray(piece.at, piece.at + piece.length)]).toEqual(
                stream.slice(una + from, una + from + piece.length),
              );
            } else expect(from).toBe(stream.length - una);
            // The model's own list ends.
            let end = -una;
            const ends = posted.map((one) => (end += one.length));
            expect(queue.endOfListAfter(from)).toBe(ends.find((e) => e > from) ?? stream.length - una);
          }
          expect(queue.length).toBe(stream.length - una);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('a retransmission elsewhere does not disturb reading on, and both see the right bytes', () => {
    const queue = new SendQueue(100);
    const stream: number[] = [];
    for (let i = 0; i < 100; i++) queue.append(listOf([[10, 20], [30]], stream));
    for (let at = 0; at + 70 <= stream.length; at += 70) {
      expect(read(queue, at, 70)).toEqual(stream.slice(at, at + 70));
      const back = (at * 7) % (at + 1);
      expect(read(queue, back, 33)).toEqual(stream.slice(back, back + 33));
    }
  });
});
