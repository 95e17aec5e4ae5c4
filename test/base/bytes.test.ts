import fc from 'fast-check';
import { expect, test } from 'vitest';
import { equalBytes, isZeroBytes, read16, read32, write16, write32 } from '../../src/base/bytes.ts';

test('numbers are big-endian, and come back as they were written', () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(5), (value, at) => {
      const bytes = new Uint8Array(12);
      const view = new DataView(bytes.buffer);
      write32(bytes, at, value);
      expect(view.getInt32(at)).toBe(value);
      expect(read32(bytes, at)).toBe(value);
      write16(bytes, at, value);
      expect(view.getUint16(at)).toBe(value & 0xffff);
      expect(read16(bytes, at)).toBe(value & 0xffff);
    }),
  );
});

test('unsigned 32-bit numbers may be written too, and read back as int32', () => {
  const bytes = new Uint8Array(4);
  write32(bytes, 0, 0xfedcba98);
  expect([...bytes]).toEqual([0xfe, 0xdc, 0xba, 0x98]);
  expect(read32(bytes, 0)).toBe(0xfedcba98 | 0);
});

test('writing touches no byte beside', () => {
  const bytes = new Uint8Array(8).fill(7);
  write16(bytes, 1, 0);
  write32(bytes, 4, 0);
  expect([...bytes]).toEqual([7, 0, 0, 7, 0, 0, 0, 0]);
});

test('ranges are compared over their length only', () => {
  const a = Uint8Array.of(1, 2, 3, 4);
  const b = Uint8Array.of(9, 2, 3, 5);
  expect(equalBytes(a, 1, b, 1, 2)).toBe(true);
  expect(equalBytes(a, 1, b, 1, 3)).toBe(false);
  expect(equalBytes(a, 0, b, 0, 0)).toBe(true);
  expect(isZeroBytes(Uint8Array.of(1, 0, 0, 1), 1, 2)).toBe(true);
  expect(isZeroBytes(Uint8Array.of(1, 0, 0, 1), 1, 3)).toBe(false);
});
