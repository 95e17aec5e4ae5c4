/** The pool of received data: frames that are kept where the link has read them, in memory of this thread and in shared memory. */
import { describe, expect, test } from 'vitest';
import { MemoryOffer } from '../../src/base/memory-offer.ts';
import { FRAME_MEMORY_BYTES } from '../../src/link/link.ts';
import { copyFromNetBuffer, type NetBufferList } from '../../src/state/net-buffer-list.ts';
import { BufferedData, ReceivePool } from '../../src/target/engine/receive-pool.ts';

const LONG = 40_000;
const MIB = 1 << 20;

/** A frame, filled so that each byte tells which it is and where in it it is. */
function frame(number: number, memory = new Uint8Array(FRAME_MEMORY_BYTES)): Uint8Array {
  for (let i = 0; i < memory.length; i++) memory[i] = (i ^ (i >> 8)) + number;
  return memory;
}

/** The pool takes a frame's text, which is offered with it; answers whether it has kept it. */
function receive(pool: ReceivePool, data: BufferedData, bytes: Uint8Array, at = 100, length = LONG): boolean {
  const offer = new MemoryOffer();
  pool.receiving(bytes, offer);
  pool.append(data, bytes, at, length);
  pool.receiving(null, null);
  return offer.isTaken;
}

function text(list: NetBufferList): Uint8Array {
  const nb = list.firstNetBuffer!;
  const out = new Uint8Array(nb.dataLength);
  copyFromNetBuffer(nb, 0, nb.dataLength, out, 0);
  return out;
}

describe('in memory of this thread', () => {
  test('a long text stays in the frame that it came in, and its memory is offered upward', () => {
    const pool = new ReceivePool(MIB);
    const data = new BufferedData();
    const bytes = frame(1);
    expect(receive(pool, data, bytes)).toBe(true);
    expect([data.length, pool.blocksHeld]).toEqual([LONG, 1]);
    const list = pool.detach(data, LONG);
    const mdl = list.firstNetBuffer!.mdlChain!;
    expect([mdl.buffer === bytes, mdl.byteOffset, mdl.byteCount]).toEqual([true, 100, LONG]);
    expect(mdl.memoryOffer).toMatchObject({ isTaken: false });
    expect(pool.takeBack(list)).toBe(true);
    expect([pool.blocksHeld, pool.freeBytes]).toEqual([0, MIB]);
  });

  test('a short one is copied, and so is one of which the frame was not offered', () => {
    const pool = new ReceivePool(MIB);
    const data = new BufferedData();
    expect(receive(pool, data, frame(1), 0, 32_767)).toBe(false);
    const bytes = frame(2);
    pool.append(data, bytes, 0, LONG);
    pool.receiving(frame(3), new MemoryOffer());
    pool.append(data, bytes, 0, LONG);
    pool.receiving(null, null);
    bytes.fill(0);
    const list = pool.detach(data, data.length);
    for (let mdl = list.firstNetBuffer!.mdlChain; mdl !== null; mdl = mdl.next) expect(mdl.memoryOffer).toBe(null);
    expect(text(list).subarray(32_767, 32_767 + LONG)).toEqual(frame(2).subarray(0, LONG));
  });

  test('memory that comes back is lent to the link again, the warmest first; what somebody has taken is not', () => {
    const pool = new ReceivePool(MIB);
    const data = new BufferedData();
    expect(pool.lendFrame()).toBe(null);
    const frames = [frame(1), frame(2), frame(3)];
    const lists = frames.map((bytes) => {
      receive(pool, data, bytes);
      return pool.detach(data, data.length);
    });
    lists[1]!.firstNetBuffer!.mdlChain!.memoryOffer!.isTaken = true;
    for (const list of lists) pool.takeBack(list);
    expect(pool.lendFrame()).toBe(frames[2]);
    expect(pool.lendFrame()).toBe(frames[0]);
    expect(pool.lendFrame()).toBe(null);
    // Lent, it is kept as it is when a frame has been read into it.
    expect(receive(pool, data, frames[0]!)).toBe(true);
    expect(pool.blocksHeld).toBe(1);
  });

  test('memory of which two lists hold a part is nobody’s to keep', () => {
    const pool = new ReceivePool(MIB);
    const data = new BufferedData();
    receive(pool, data, frame(1));
    const first = pool.detach(data, 10_000);
    const rest = pool.detach(data, data.length);
    for (const list of [first, rest]) expect(list.firstNetBuffer!.mdlChain!.memoryOffer).toBe(null);
    expect(text(rest)).toEqual(frame(1).subarray(10_100, 100 + LONG));
    pool.takeBack(first);
    expect(pool.blocksHeld).toBe(1);
    pool.takeBack(rest);
    expect(pool.blocksHeld).toBe(0);
  });

  test('what is kept counts against the bound, and nothing is kept beyond it', () => {
    const pool = new ReceivePool(4 * FRAME_MEMORY_BYTES);
    const data = new BufferedData();
    const before = pool.freeBytes;
    let kept = 0;
    while (pool.freeBytes >= LONG) {
      if (receive(pool, data, frame(kept))) kept++;
    }
    expect(kept).toBeGreaterThan(2);
    expect(data.length).toBeLessThanOrEqual(4 * FRAME_MEMORY_BYTES);
    pool.clear(data);
    expect([pool.blocksHeld, pool.freeBytes]).toEqual([0, before]);
  });
});

describe('in memory that is shared with another thread', () => {
  const slots = [new Uint8Array(FRAME_MEMORY_BYTES), new Uint8Array(FRAME_MEMORY_BYTES)];

  function shared(): ReceivePool {
    return new ReceivePool(MIB, {
      own: () => new Uint8Array(32 * 1024),
      copy: null,
      foreign: null,
      onForeignFree: null,
      frames: { first: 33, count: 2, own: (index) => slots[index - 33]! },
    });
  }

  test('the link is lent frames of it, as many as there are, and only those are kept', () => {
    const pool = shared();
    const data = new BufferedData();
    expect(receive(pool, data, frame(9))).toBe(false);
    expect(pool.lendFrame()).toBe(slots[0]);
    expect(receive(pool, data, frame(1, slots[0]))).toBe(true);
    expect(pool.lendFrame()).toBe(slots[1]);
    expect(receive(pool, data, frame(2, slots[1]))).toBe(true);
    expect(pool.lendFrame()).toBe(null);
    const list = pool.detach(data, data.length);
    const whole = text(list);
    expect(whole.subarray(LONG, 2 * LONG)).toEqual(frame(1).subarray(100, 100 + LONG));
    expect(whole.subarray(2 * LONG)).toEqual(frame(2).subarray(100, 100 + LONG));
    for (let mdl = list.firstNetBuffer!.mdlChain; mdl !== null; mdl = mdl.next) expect(mdl.memoryOffer).toBe(null);
  });

  test('they go to the other thread by number, and come back when it has freed all of their pieces', () => {
    const pool = shared();
    const data = new BufferedData();
    pool.lendFrame();
    receive(pool, data, frame(1, slots[0]));
    const told: [number, number, number][] = [];
    const tell = (block: number, at: number, length: number): void => {
      told.push([block, at, length]);
    };
    pool.ship(pool.detach(data, 10_000), tell);
    pool.ship(pool.detach(data, data.length), tell);
    expect(told).toEqual([
      [33, 100, 10_000],
      [33, 10_100, LONG - 10_000],
    ]);
    expect(pool.lendFrame()).toBe(slots[1]);
    pool.dropReferences(33, 1);
    // What was lent and not kept is lent again.
    expect(pool.blocksHeld).toBe(1);
    expect(pool.lendFrame()).toBe(slots[1]);
    receive(pool, data, frame(2, slots[1]));
    expect(pool.lendFrame()).toBe(null);
    pool.dropReferences(33, 1);
    expect(pool.lendFrame()).toBe(slots[0]);
    pool.clear(data);
    expect(pool.blocksHeld).toBe(0);
  });
});
