import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WIRE_OK } from '../../src/wire/status.ts';
import { decodeTcp } from '../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';
import { fromHex } from './captures.ts';

/** Decodes a segment with this option list, padded with zeros to a multiple of four, and three bytes of text. */
function optionsOf(hex: string, flags: number = TcpFlag.SYN): TcpSegment {
  const options = fromHex(hex);
  const headerLength = 20 + ((options.length + 3) & ~3);
  expect(headerLength).toBeLessThanOrEqual(60);
  const bytes = new Uint8Array(headerLength + 3);
  bytes[12] = (headerLength >> 2) << 4;
  bytes[13] = flags;
  bytes.set(options, 20);
  bytes.fill(0xff, headerLength);
  const seg = new TcpSegment();
  expect(decodeTcp(bytes, 0, bytes.length, seg)).toBe(WIRE_OK);
  // Whatever the list says, header and text are where the data offset says.
  expect(seg).toMatchObject({ headerLength, textAt: headerLength, textLength: 3 });
  return seg;
}

const NONE = { mss: 0, windowScale: -1, sackPermitted: false, hasTimestamps: false, tsVal: 0, tsEcr: 0, sackCount: 0 };
const MSS = '02 04 05b4';
const TS = '08 0a 00000001 00000002';

describe('where options may stand', () => {
  test('MSS behind NOPs in every position, aligned or not (MUST-4, MUST-64)', () => {
    for (let nops = 0; nops <= 36; nops++)
      expect(optionsOf('01'.repeat(nops) + MSS)).toMatchObject({ ...NONE, mss: 1460 });
  });

  test('all options packed without a NOP, in every order (MUST-64)', () => {
    const all = [MSS, '03 03 07', '04 02', TS, '05 0a 00000010 00000020'];
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: 5 }), (order) => {
        const seg = optionsOf(order.join(''));
        expect(seg).toMatchObject({
          mss: 1460,
          windowScale: 7,
          sackPermitted: true,
          hasTimestamps: true,
          tsVal: 1,
          tsEcr: 2,
        });
        expect(seg.sackCount).toBe(1);
        expect([...seg.sackEdges.subarray(0, 2)]).toEqual([16, 32]);
      }),
    );
  });

  test('in any segment, not only in a SYN (MUST-5)', () => {
    for (const flags of [0, TcpFlag.ACK, TcpFlag.FIN | TcpFlag.ACK, TcpFlag.RST, 0xff]) {
      expect(optionsOf(MSS + TS, flags)).toMatchObject({ mss: 1460, tsVal: 1 });
    }
  });

  test('the list ends at End-of-List, whatever padding follows (MUST-4, MUST-69)', () => {
    expect(optionsOf(`${MSS}00${TS}`)).toMatchObject({ ...NONE, mss: 1460 });
    expect(optionsOf('00ffffff')).toMatchObject(NONE);
    expect(optionsOf('00020405')).toMatchObject(NONE);
  });

  test('the layout that everybody sends is read as any other: NOP NOP timestamps', () => {
    expect(optionsOf(`0101${TS}`)).toMatchObject({ ...NONE, hasTimestamps: true, tsVal: 1, tsEcr: 2 });
    expect(optionsOf(`${TS}0101`)).toMatchObject({ ...NONE, hasTimestamps: true, tsVal: 1, tsEcr: 2 });
    expect(optionsOf('0101080a fffffffe ffffffff')).toMatchObject({ hasTimestamps: true, tsVal: -2, tsEcr: -1 });
  });

  test('of two options of one kind the later counts', () => {
    expect(optionsOf(`${MSS}02040218`)).toMatchObject({ mss: 536 });
  });
});

describe('options that are not known', () => {
  test('are skipped by their length, before and after known ones, every kind (MUST-6)', () => {
    for (let kind = 0; kind < 256; kind++) {
      if ([0, 1, 2, 3, 4, 5, 8].includes(kind)) continue;
      const hex = kind.toString(16).padStart(2, '0');
      for (const unknown of [`${hex}02`, `${hex}03aa`, `${hex}06aabbccdd`]) {
        expect(optionsOf(`${unknown}${MSS}${unknown}${TS}`)).toMatchObject({ mss: 1460, tsVal: 1 });
      }
    }
  });

  test('known ones of another length than theirs are skipped likewise (MUST-6)', () => {
    for (const wrong of [
      '0203aa',
      '020505b400',
      '0302',
      '03040700',
      '0403aa',
      '080900000000000000',
      '0502',
      '0506aabbccdd',
      '050baabbccddeeff001122',
    ]) {
      expect(optionsOf(wrong + MSS)).toMatchObject({ ...NONE, mss: 1460 });
    }
  });
});

describe('options of an impossible length', () => {
  test('0 and 1 end the list; what stood before counts, and the segment is kept (MUST-7)', () => {
    for (const length of ['00', '01']) {
      for (const kind of ['02', '03', '04', '05', '08', '1e', 'fd', 'ff']) {
        expect(optionsOf(`${MSS}${kind}${length}${TS}`)).toMatchObject({ ...NONE, mss: 1460 });
      }
    }
  });

  test('beyond the header ends the list, by one byte as by two hundred (MUST-7)', () => {
    for (const length of ['05', '06', '28', 'ff']) {
      expect(optionsOf(`${MSS}02${length}05b4`)).toMatchObject({ ...NONE, mss: 1460 });
      expect(optionsOf(`${MSS}1e${length}0000`)).toMatchObject({ ...NONE, mss: 1460 });
    }
    expect(optionsOf(`${MSS}02040218`)).toMatchObject({ mss: 536 });
  });

  test('a kind in the last byte of the header has no length byte (MUST-7)', () => {
    for (const kind of ['02', '03', '04', '05', '08', 'ff']) {
      expect(optionsOf(`${MSS}010101${kind}`)).toMatchObject({ ...NONE, mss: 1460 });
    }
  });

  test('the text behind the header is never taken for an option', () => {
    // MSS whose value would lie in the text.
    expect(optionsOf('01010204')).toMatchObject(NONE);
    expect(optionsOf('01010101 01010101 01050a00')).toMatchObject(NONE);
  });
});

describe('what the values may be', () => {
  test('window scale above 14 is handed over as it was sent: judging it is the engine’s (RFC 7323 2.3)', () => {
    for (const [hex, windowScale] of [
      ['030300', 0],
      ['03030e', 14],
      ['03030f', 15],
      ['0303ff', 255],
    ] as const) {
      expect(optionsOf(hex)).toMatchObject({ windowScale });
    }
  });

  test('one to four SACK blocks, and none of the bytes between', () => {
    for (let blocks = 1; blocks <= 4; blocks++) {
      const edges = Array.from({ length: 2 * blocks }, (_, i) => 0xfffffff0 + i);
      const hex = edges.map((edge) => edge.toString(16)).join('');
      const seg = optionsOf(`05${(2 + 8 * blocks).toString(16).padStart(2, '0')}${hex}`, TcpFlag.ACK);
      expect(seg.sackCount).toBe(blocks);
      expect([...seg.sackEdges.subarray(0, 2 * blocks)]).toEqual(edges.map((edge) => edge | 0));
    }
  });

  test('any list at all has a reading, and a second decoding reads the same', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (options) => {
        const hex = Array.from(options, (byte) => byte.toString(16).padStart(2, '0')).join('');
        const { mss, windowScale, sackCount, tsVal, tsEcr } = optionsOf(hex);
        expect(optionsOf(hex)).toMatchObject({ mss, windowScale, sackCount, tsVal, tsEcr });
        expect(sackCount).toBeLessThanOrEqual(4);
      }),
      { numRuns: 2000 },
    );
  });
});
