import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asSeq } from '../../src/base/seq.ts';
import { WIRE_BAD_OFFSET, WIRE_OK, WIRE_SHORT } from '../../src/wire/status.ts';
import {
  decodeTcp,
  encodeTcp,
  isTcpChecksumGood,
  tcpHeaderLength,
  writeTcpChecksum,
  writeTcpPartialChecksum,
} from '../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';
import { CAPTURED, type CaptureName, placed, toHex } from './captures.ts';

const { FIN, SYN, RST, PSH, ACK } = TcpFlag;
const int32 = fc.oneof(fc.integer(), fc.constantFrom(0, -1, 0x7fffffff, -0x80000000));

/** Where things stand in a captured frame: TCP over IPv4 without options, or over IPv6. */
function places(name: CaptureName): { family: 4 | 6; tcpAt: number; srcAt: number; dstAt: number; tcpLength: number } {
  const frame = CAPTURED[name];
  return name.startsWith('TCP4')
    ? { family: 4, tcpAt: 34, srcAt: 26, dstAt: 30, tcpLength: frame.length - 34 }
    : { family: 6, tcpAt: 54, srcAt: 22, dstAt: 38, tcpLength: frame.length - 54 };
}

function decoded(name: CaptureName): TcpSegment {
  const { tcpAt, tcpLength } = places(name);
  const seg = new TcpSegment();
  expect(decodeTcp(placed(CAPTURED[name], 1), 1 + tcpAt, tcpLength, seg)).toBe(WIRE_OK);
  return seg;
}

const TCP_CAPTURES = ['TCP4_SYN', 'TCP6_SYN', 'TCP4_SYN_ACK', 'TCP4_SACK', 'TCP4_DATA', 'TCP4_RST'] as const;

describe('captured segments', () => {
  test('a SYN with MSS, SACK-permitted, timestamps and window scale (MUST-4, MUST-14)', () => {
    const seg = decoded('TCP4_SYN');
    expect(seg).toMatchObject({ srcPort: 54156, dstPort: 443, seq: 0x15cb8c8c, ack: 0, flags: SYN, window: 64240 });
    expect(seg).toMatchObject({ headerLength: 40, textLength: 0, seqLength: 1, urgentPointer: 0 });
    expect(seg).toMatchObject({ mss: 1460, windowScale: 10, sackPermitted: true, sackCount: 0 });
    expect(seg).toMatchObject({ hasTimestamps: true, tsVal: 2595926667 | 0, tsEcr: 0 });
    expect(decoded('TCP6_SYN')).toMatchObject({ mss: 1440, windowScale: 10, sackPermitted: true, hasTimestamps: true });
  });

  test('SACK blocks beside timestamps, in the order in which they stand', () => {
    const seg = decoded('TCP4_SACK');
    expect(seg).toMatchObject({ sackCount: 2, hasTimestamps: true, tsVal: 0x5d43e357, tsEcr: 2, headerLength: 52 });
    expect([...seg.sackEdges.subarray(0, 4)]).toEqual([1031, 1041, 1011, 1021]);
  });

  test('text behind the options', () => {
    const seg = decoded('TCP4_DATA');
    expect(seg).toMatchObject({
      flags: PSH | ACK,
      textLength: 16,
      sackCount: 1,
      seqLength: 16,
      mss: 0,
      windowScale: -1,
    });
    expect(Buffer.from(seg.bytes).toString('latin1', seg.textAt, seg.textAt + 16)).toBe('GET / HTTP/1.1\r\n');
  });

  test('a reset without options', () => {
    expect(decoded('TCP4_RST')).toMatchObject({ flags: RST | ACK, seq: 0, ack: 100, window: 0, headerLength: 20 });
  });

  test.each(TCP_CAPTURES)('%s is encoded again byte for byte as Linux sent it, checksum included (MUST-2)', (name) => {
    const { family, tcpAt, tcpLength, srcAt, dstAt } = places(name);
    const seg = decoded(name);
    const frame = CAPTURED[name].slice();
    frame.fill(0xee, tcpAt, tcpAt + seg.headerLength);
    expect(encodeTcp(frame, tcpAt, seg)).toBe(seg.headerLength);
    expect(toHex(frame, tcpAt + 16, 2)).toBe('0000');
    writeTcpChecksum(frame, tcpAt, tcpLength, family, srcAt, dstAt);
    expect(toHex(frame)).toBe(toHex(CAPTURED[name]));
  });
});

describe('the checksum', () => {
  test.each(TCP_CAPTURES)('of %s is right, and no flipped bit goes unseen (MUST-3)', (name) => {
    const { family, tcpAt, tcpLength, srcAt, dstAt } = places(name);
    const frame = CAPTURED[name].slice();
    expect(isTcpChecksumGood(frame, tcpAt, tcpLength, family, srcAt, dstAt)).toBe(true);
    for (let bit = 8 * srcAt; bit < 8 * frame.length; bit++) {
      frame[bit >> 3] = frame[bit >> 3]! ^ (1 << (bit & 7));
      expect(isTcpChecksumGood(frame, tcpAt, tcpLength, family, srcAt, dstAt)).toBe(false);
      frame[bit >> 3] = frame[bit >> 3]! ^ (1 << (bit & 7));
    }
  });

  test('covers the length and the protocol of the pseudo-header', () => {
    const { tcpAt, tcpLength, srcAt, dstAt } = places('TCP4_DATA');
    const frame = placed(CAPTURED.TCP4_DATA, 0);
    frame.fill(0, CAPTURED.TCP4_DATA.length);
    expect(isTcpChecksumGood(frame, tcpAt, tcpLength + 2, 4, srcAt, dstAt)).toBe(false);
  });

  test('a device that finishes a partial checksum comes to the whole one', () => {
    for (const name of TCP_CAPTURES) {
      const { family, tcpAt, tcpLength, srcAt, dstAt } = places(name);
      const frame = CAPTURED[name].slice();
      writeTcpPartialChecksum(frame, tcpAt, tcpLength, family, srcAt, dstAt);
      // What virtio-net and its kin do: sum from the TCP header on, field included, and write the inverted sum.
      let sum = 0;
      for (let i = 0; i < tcpLength; i += 2)
        sum += (frame[tcpAt + i]! << 8) | (i + 1 < tcpLength ? frame[tcpAt + i + 1]! : 0);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      expect((~sum & 0xffff).toString(16).padStart(4, '0')).toBe(toHex(CAPTURED[name], tcpAt + 16, 2));
    }
  });
});

describe('what is written is read back', () => {
  const common = {
    srcPort: fc.nat(0xffff),
    dstPort: fc.nat(0xffff),
    seq: int32.map(asSeq),
    ack: int32.map(asSeq),
    window: fc.nat(0xffff),
    urgentPointer: fc.nat(0xffff),
    hasTimestamps: fc.boolean(),
    tsVal: int32,
    tsEcr: int32,
  };

  /** Encodes `seg` with `text` zero bytes behind it, at an odd place among 0xee, and decodes that. */
  function roundTrip(seg: TcpSegment, text: number): TcpSegment {
    const bytes = new Uint8Array(1600).fill(0xee);
    const headerLength = encodeTcp(bytes, 9, seg);
    expect(headerLength).toBe(tcpHeaderLength(seg));
    expect(headerLength % 4).toBe(0);
    expect(headerLength).toBeLessThanOrEqual(60);
    expect(bytes[9 + headerLength]).toBe(0xee);
    expect(bytes[8]).toBe(0xee);
    const out = new TcpSegment();
    // Full of other things, all of which must go.
    Object.assign(out, {
      mss: 9,
      windowScale: 9,
      sackPermitted: true,
      hasTimestamps: true,
      tsVal: 9,
      tsEcr: 9,
      sackCount: 3,
    });
    expect(decodeTcp(bytes, 9, headerLength + text, out)).toBe(WIRE_OK);
    expect(out).toMatchObject({ headerLength, textAt: 9 + headerLength, textLength: text });
    return out;
  }

  test('SYN segments, with any set of options', () => {
    fc.assert(
      fc.property(
        fc.record({
          ...common,
          flags: fc.nat(255).map((flags) => flags | SYN),
          mss: fc.oneof(fc.constant(0), fc.nat(0xffff)),
          windowScale: fc.integer({ min: -1, max: 255 }),
          sackPermitted: fc.boolean(),
        }),
        fc.nat(1400),
        (fields, text) => {
          const out = roundTrip(Object.assign(new TcpSegment(), fields), text);
          const timestamps = fields.hasTimestamps ? {} : { tsVal: 0, tsEcr: 0 };
          expect(out).toMatchObject({ ...fields, ...timestamps, sackCount: 0 });
          expect(out.seqLength).toBe(text + 1 + (fields.flags & FIN));
        },
      ),
    );
  });

  test('other segments: options of the handshake are left out, SACK blocks kept as far as they fit (MUST-65)', () => {
    fc.assert(
      fc.property(
        fc.record({
          ...common,
          flags: fc.nat(255).map((flags) => flags & ~SYN),
          mss: fc.nat(0xffff),
          windowScale: fc.integer({ min: -1, max: 14 }),
          sackPermitted: fc.boolean(),
          sackCount: fc.nat(4),
        }),
        fc.array(int32, { minLength: 8, maxLength: 8 }),
        fc.nat(1400),
        (fields, edges, text) => {
          const seg = Object.assign(new TcpSegment(), fields);
          seg.sackEdges.set(edges);
          const out = roundTrip(seg, text);
          const timestamps = fields.hasTimestamps ? {} : { tsVal: 0, tsEcr: 0 };
          const sackCount = Math.min(fields.sackCount, fields.hasTimestamps ? 3 : 4);
          expect(out).toMatchObject({
            ...fields,
            ...timestamps,
            mss: 0,
            windowScale: -1,
            sackPermitted: false,
            sackCount,
          });
          expect([...out.sackEdges.subarray(0, 2 * sackCount)]).toEqual(edges.slice(0, 2 * sackCount));
        },
      ),
    );
  });

  test('every emitted option has a length that covers it, and the list fills the header exactly (MUST-68, MUST-69)', () => {
    for (let set = 0; set < 64; set++) {
      const seg = new TcpSegment();
      seg.flags = (set & 1) !== 0 ? SYN : ACK;
      seg.mss = (set & 2) !== 0 ? 1460 : 0;
      seg.windowScale = (set & 4) !== 0 ? 7 : -1;
      seg.sackPermitted = (set & 8) !== 0;
      seg.hasTimestamps = (set & 16) !== 0;
      seg.sackCount = (set & 32) !== 0 ? 4 : 0;
      const bytes = new Uint8Array(60).fill(0xee);
      const headerLength = encodeTcp(bytes, 0, seg);
      expect(bytes[12]! >> 2).toBe(headerLength);
      let i = 20;
      while (i < headerLength) {
        expect(bytes[i]).not.toBe(0);
        i += bytes[i] === 1 ? 1 : bytes[i + 1]!;
      }
      expect(i).toBe(headerLength);
    }
  });
});

describe('headers that lie', () => {
  test('fewer than 20 bytes are short', () => {
    for (let length = 0; length < 20; length++) {
      expect(decodeTcp(CAPTURED.TCP4_SYN, 34, length, new TcpSegment())).toBe(WIRE_SHORT);
    }
  });

  test('a data offset below 5 or beyond the segment is refused, any other taken', () => {
    for (let offset = 0; offset < 16; offset++) {
      for (const length of [20, 24, 40, 59, 60, 100]) {
        const bytes = new Uint8Array(100);
        bytes[12] = offset << 4;
        const isPossible = offset >= 5 && 4 * offset <= length;
        const seg = new TcpSegment();
        expect(decodeTcp(bytes, 0, length, seg)).toBe(isPossible ? WIRE_OK : WIRE_BAD_OFFSET);
        if (isPossible) expect(seg.textLength).toBe(length - 4 * offset);
      }
    }
  });

  test('reserved bits beside the data offset do not change its reading', () => {
    const bytes = CAPTURED.TCP4_SYN.slice();
    bytes[34 + 12] = bytes[34 + 12]! | 0x0f;
    const seg = new TcpSegment();
    expect(decodeTcp(bytes, 34, 40, seg)).toBe(WIRE_OK);
    expect(seg).toMatchObject({ headerLength: 40, mss: 1460 });
  });
});
