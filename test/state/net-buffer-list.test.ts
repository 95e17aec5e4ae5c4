import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { copyBytes } from '../../src/base/copy-bytes.ts';
import {
  advanceNetBufferDataStart,
  copyFromNetBuffer,
  copyIntoNetBuffer,
  dataLengthOf,
  emptyNetBufferList,
  Mdl,
  NetBuffer,
  NetBufferList,
  netBufferListOver,
} from '../../src/state/net-buffer-list.ts';

/** A run of memory: bytes before it in its buffer, its own, and bytes behind it. */
interface Piece {
  readonly before: number;
  readonly data: Uint8Array;
  readonly after: number;
}

const piece: fc.Arbitrary<Piece> = fc.record({
  before: fc.nat(5),
  data: fc.oneof(fc.uint8Array({ maxLength: 9 }), fc.uint8Array({ minLength: 60, maxLength: 150 })),
  after: fc.nat(5),
});
const pieces = fc.array(piece, { maxLength: 6 });

/** A net buffer over a chain of MDLs, one a piece. The bytes that are not its own are 0xee. */
function chainOf(parts: readonly Piece[]): NetBuffer {
  let head: Mdl | null = null;
  let tail: Mdl | null = null;
  let length = 0;
  for (const part of parts) {
    const buffer = new Uint8Array(part.before + part.data.length + part.after).fill(0xee);
    buffer.set(part.data, part.before);
    const mdl = new Mdl(buffer, part.before, part.data.length);
    if (tail === null) head = mdl;
    else tail.next = mdl;
    tail = mdl;
    length += part.data.length;
  }
  return new NetBuffer(head, length);
}

const flat = (parts: readonly Piece[]): number[] => parts.flatMap((part) => [...part.data]);

/** Everything a chain describes from its start on, and whether a byte outside was touched. */
function read(nb: NetBuffer): number[] {
  const out: number[] = [];
  for (let mdl = nb.mdlChain; mdl !== null; mdl = mdl.next) {
    const { buffer, byteOffset, byteCount } = mdl;
    for (let i = 0; i < buffer.length; i++) {
      if (i >= byteOffset && i < byteOffset + byteCount) out.push(buffer[i]!);
      else expect(buffer[i]).toBe(0xee);
    }
  }
  return out;
}

describe('copying out of a chain', () => {
  test('gives what the flat bytes give, from anywhere, for any length', () => {
    fc.assert(
      fc.property(pieces, fc.nat(), fc.nat(400), fc.nat(4), (parts, where, length, at) => {
        const model = flat(parts);
        const nb = chainOf(parts);
        const from = where % (model.length + 1);
        const out = new Uint8Array(at + 420).fill(0xee);
        const expected = model.slice(from, from + length);
        expect(copyFromNetBuffer(nb, from, length, out, at)).toBe(expected.length);
        expect([...out.subarray(at, at + expected.length)]).toEqual(expected);
        expect(out.subarray(at + expected.length).every((byte) => byte === 0xee)).toBe(true);
        expect(out.subarray(0, at).every((byte) => byte === 0xee)).toBe(true);
      }),
    );
  });

  test('after the data start has moved on, any number of times, gives what is left', () => {
    fc.assert(
      fc.property(pieces, fc.array(fc.nat(), { maxLength: 5 }), (parts, steps) => {
        const nb = chainOf(parts);
        let model = flat(parts);
        let moved = 0;
        for (const step of steps) {
          const bytes = step % (model.length + 1);
          advanceNetBufferDataStart(nb, bytes);
          model = model.slice(bytes);
          moved += bytes;
          expect(nb.dataLength).toBe(model.length);
          expect(nb.dataOffset).toBe(moved);
          const out = new Uint8Array(model.length);
          expect(copyFromNetBuffer(nb, 0, model.length, out, 0)).toBe(model.length);
          expect([...out]).toEqual(model);
        }
      }),
    );
  });

  test('moving the data start unlinks no MDL and moves no byte', () => {
    const nb = chainOf([
      { before: 1, data: Uint8Array.of(1, 2), after: 1 },
      { before: 0, data: Uint8Array.of(3), after: 0 },
    ]);
    const first = nb.mdlChain;
    advanceNetBufferDataStart(nb, 3);
    expect(nb.mdlChain).toBe(first);
    expect(read(nb)).toEqual([1, 2, 3]);
    expect(copyFromNetBuffer(nb, 0, 10, new Uint8Array(10), 0)).toBe(0);
  });

  test('never reads beyond the data length, where the memory goes on', () => {
    const nb = new NetBuffer(new Mdl(Uint8Array.of(1, 2, 3, 4, 5)), 3);
    const out = new Uint8Array(5);
    expect(copyFromNetBuffer(nb, 1, 5, out, 0)).toBe(2);
    expect([...out]).toEqual([2, 3, 0, 0, 0]);
  });
});

describe('copying into a chain', () => {
  test('fills what the flat bytes would fill, and touches nothing else', () => {
    fc.assert(
      fc.property(pieces, fc.nat(), fc.uint8Array({ maxLength: 400 }), fc.nat(4), (parts, where, bytes, skip) => {
        const model = flat(parts);
        const nb = chainOf(parts);
        const from = where % (model.length + 1);
        const at = Math.min(skip, bytes.length);
        const length = bytes.length - at;
        const fitted = Math.min(length, model.length - from);
        expect(copyIntoNetBuffer(nb, from, bytes, at, length)).toBe(fitted);
        for (let i = 0; i < fitted; i++) model[from + i] = bytes[at + i]!;
        expect(read(nb)).toEqual(model);
      }),
    );
  });
});

describe('lists', () => {
  test('count the data of all their buffers, and not of the lists behind them', () => {
    const list = netBufferListOver(new Uint8Array(10), 3);
    const second = new NetBuffer(new Mdl(new Uint8Array(4)), 4);
    list.firstNetBuffer!.next = second;
    list.next = netBufferListOver(new Uint8Array(100));
    expect(dataLengthOf(list)).toBe(11);
    expect(dataLengthOf(emptyNetBufferList())).toBe(0);
    expect(dataLengthOf(new NetBufferList(null))).toBe(0);
  });

  test('an empty one can be copied from and into, which does nothing', () => {
    const nb = emptyNetBufferList().firstNetBuffer!;
    expect(copyFromNetBuffer(nb, 0, 10, new Uint8Array(10), 0)).toBe(0);
    expect(copyIntoNetBuffer(nb, 0, new Uint8Array(10), 0, 10)).toBe(0);
    advanceNetBufferDataStart(nb, 0);
    expect(nb.dataLength).toBe(0);
  });
});

test('bytes are copied alike, whether few or many, whole or in part', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), fc.nat(9), (from, where, toAt) => {
      const fromAt = where % (from.length + 1);
      const length = from.length - fromAt;
      const to = new Uint8Array(toAt + length + 2).fill(0xee);
      copyBytes(from, fromAt, length, to, toAt);
      expect([...to.subarray(toAt, toAt + length)]).toEqual([...from.subarray(fromAt)]);
      expect([...to.subarray(0, toAt), ...to.subarray(toAt + length)].every((byte) => byte === 0xee)).toBe(true);
    }),
  );
});
