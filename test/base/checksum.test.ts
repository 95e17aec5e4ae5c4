import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checksumAdd,
  checksumFinish,
  checksumOf,
  foldChecksum,
  pseudoHeaderSum4,
  pseudoHeaderSum6,
} from '../../src/base/checksum.ts';
import { SeededRandom } from '../../src/base/random.ts';

/** RFC 1071 section 4.1, word by word, with nothing clever in it. */
function reference(bytes: Uint8Array, at: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i += 2) {
    sum += (bytes[at + i]! << 8) | (i + 1 < length ? bytes[at + i + 1]! : 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return ~sum & 0xffff;
}

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g)!, (pair) => Number.parseInt(pair, 16));

describe('known answers', () => {
  test('RFC 1071 section 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2 (1071-1)', () => {
    const bytes = bytesOf('0001f203f4f5f6f7');
    expect(foldChecksum(checksumAdd(0, bytes, 0, 8))).toBe(0xddf2);
    expect(checksumOf(bytes, 0, 8)).toBe(0x220d);
  });

  test('an IPv4 header with its checksum in place sums to zero', () => {
    expect(checksumOf(bytesOf('450000730000400040110000c0a80001c0a800c7'), 0, 20)).toBe(0xb861);
    expect(checksumOf(bytesOf('45000073000040004011b861c0a80001c0a800c7'), 0, 20)).toBe(0);
  });

  test('nothing, and zeros, have the checksum ffff; ones have the checksum 0', () => {
    for (const length of [0, 1, 2, 20, 159, 160, 161, 4096]) {
      expect(checksumOf(new Uint8Array(length), 0, length)).toBe(0xffff);
    }
    for (const length of [2, 20, 158, 160, 164, 4096, 65536]) {
      expect(checksumOf(new Uint8Array(length).fill(0xff), 0, length)).toBe(0);
    }
  });

  test('an odd last byte counts as the high half of a word', () => {
    expect(checksumFinish(checksumAdd(0, bytesOf('01'), 0, 1))).toBe(~0x0100 & 0xffff);
  });
});

describe('any length and alignment', () => {
  test('every length up to 700 at every alignment is as the reference says (1071-1)', () => {
    const bytes = new Uint8Array(1024);
    new SeededRandom(1071).fill(bytes);
    for (let at = 0; at < 8; at++) {
      for (let length = 0; length <= 700; length++) {
        if (checksumOf(bytes, at, length) !== reference(bytes, at, length)) {
          expect.fail(`at ${at}, length ${length}`);
        }
      }
    }
  });

  test('a view that does not begin where its buffer begins, and one whose buffer is no multiple of four (1071-1)', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 160, maxLength: 2000 }),
        fc.nat(9),
        fc.nat(9),
        fc.nat(9),
        (data, before, after, at) => {
          const buffer = new ArrayBuffer(before + data.length + after);
          const view = new Uint8Array(buffer, before, data.length);
          view.set(data);
          const length = data.length - at;
          expect(checksumOf(view, at, length)).toBe(reference(data, at, length));
        },
      ),
    );
  });

  test('buffers of extreme bytes, where carries run furthest (1071-1)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xfe, 0xff), { minLength: 150, maxLength: 600 }),
        fc.nat(3),
        (data, at) => {
          const bytes = Uint8Array.from(data);
          expect(checksumOf(bytes, at, bytes.length - at)).toBe(reference(bytes, at, bytes.length - at));
        },
      ),
    );
  });

  test('a run longer than one float64 sum can hold exactly', () => {
    const bytes = new Uint8Array(9 * 1024 * 1024 + 3).fill(0xff);
    bytes[5_000_001] = 0x12;
    expect(checksumOf(bytes, 1, bytes.length - 1)).toBe(reference(bytes, 1, bytes.length - 1));
  });

  test('shared memory sums as other memory does', () => {
    const data = new Uint8Array(1500);
    new SeededRandom(5).fill(data);
    const shared = new Uint8Array(new SharedArrayBuffer(1500));
    shared.set(data);
    expect(checksumOf(shared, 0, 1500)).toBe(reference(data, 0, 1500));
  });

  test('a buffer that grew after it was first seen', () => {
    const ResizableBuffer = ArrayBuffer as unknown as new (
      length: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer & { resize(length: number): void };
    const buffer = new ResizableBuffer(256, { maxByteLength: 4096 });
    const bytes = new Uint8Array(buffer);
    expect(checksumOf(bytes, 0, 256)).toBe(0xffff);
    buffer.resize(2048);
    bytes.fill(3, 300, 1999);
    expect(checksumOf(bytes, 0, 2048)).toBe(reference(bytes, 0, 2048));
  });
});

describe('sums carried on', () => {
  test('parts of even length sum to what the whole does', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 12 }),
        fc.uint8Array({ maxLength: 401 }),
        (parts, last) => {
          let sum = 0;
          const whole: number[] = [];
          for (const part of parts) {
            const even = part.length & ~1;
            sum = checksumAdd(sum, part, 0, even);
            whole.push(...part.subarray(0, even));
          }
          sum = checksumAdd(sum, last, 0, last.length);
          whole.push(...last);
          expect(checksumFinish(sum)).toBe(reference(Uint8Array.from(whole), 0, whole.length));
        },
      ),
    );
  });

  test('a hundred thousand parts do not overflow the sum', () => {
    const ones = new Uint8Array(256).fill(0xff);
    let sum = 0;
    for (let i = 0; i < 100_000; i++) sum = checksumAdd(sum, ones, 0, (i & 1) === 0 ? 256 : 32);
    expect(sum).toBeLessThan(0x20000);
    expect(checksumFinish(sum)).toBe(0);
  });

  test('any change of one bit shows (MUST-3)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 1600 }), fc.nat(), (data, where) => {
        const before = checksumOf(data, 0, data.length);
        const bit = where % (8 * data.length);
        data[bit >> 3] = data[bit >> 3]! ^ (1 << (bit & 7));
        expect(checksumOf(data, 0, data.length)).not.toBe(before);
      }),
    );
  });
});

describe('pseudo-headers', () => {
  const reply = bytesOf('0a0900010a090002');

  test('IPv4: addresses, zero, protocol and length, as RFC 9293 3.1 draws it', () => {
    const drawn = bytesOf('0a0900010a090002 0006 002c'.replace(/ /g, ''));
    expect(foldChecksum(pseudoHeaderSum4(reply, 0, 4, 6, 44))).toBe(~reference(drawn, 0, 12) & 0xffff);
  });

  test('IPv6: addresses, 32 bits of length, zeros and next header, as RFC 8200 8.1 draws it (8200-19)', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.nat(255),
        fc.nat(0x1_0000),
        (addresses, protocol, length) => {
          const drawn = new Uint8Array(40);
          drawn.set(addresses);
          new DataView(drawn.buffer).setUint32(32, length);
          drawn[39] = protocol;
          const sum = pseudoHeaderSum6(addresses, 0, 16, protocol, length);
          expect(foldChecksum(sum)).toBe(~reference(drawn, 0, 40) & 0xffff);
        },
      ),
    );
  });
});
