import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksumOf } from '../../src/base/checksum.ts';
import { pseudoHeaderSum } from '../../src/wire/pseudo-header.ts';
import { WIRE_BAD_LENGTH, WIRE_OK, WIRE_SHORT } from '../../src/wire/status.ts';
import { decodeUdp, encodeUdp, isUdpChecksumGood, UdpDatagram } from '../../src/wire/udp.ts';
import { CAPTURED, placed, toHex } from './captures.ts';

const FRAMES = [
  { name: 'UDP4', frame: CAPTURED.UDP4, family: 4, at: 34, srcAt: 26, dstAt: 30, text: 'hello' },
  { name: 'UDP6', frame: CAPTURED.UDP6, family: 6, at: 54, srcAt: 22, dstAt: 38, text: 'hello6' },
] as const;

describe.each(FRAMES)('the captured datagram $name', ({ frame, family, at, srcAt, dstAt, text }) => {
  const length = frame.length - at;

  test('is decoded', () => {
    const bytes = placed(frame, 3);
    const out = new UdpDatagram();
    expect(decodeUdp(bytes, 3 + at, length, out)).toBe(WIRE_OK);
    expect(out).toMatchObject({
      srcPort: 4000,
      dstPort: 5000,
      length,
      payloadAt: 3 + at + 8,
      payloadLength: text.length,
    });
    expect(Buffer.from(bytes).toString('latin1', out.payloadAt, out.payloadAt + out.payloadLength)).toBe(text);
  });

  test('has a checksum that no flipped bit escapes (1122-U3)', () => {
    const bytes = frame.slice();
    expect(isUdpChecksumGood(bytes, at, length, family, srcAt, dstAt)).toBe(true);
    for (let bit = 8 * srcAt; bit < 8 * frame.length; bit++) {
      bytes[bit >> 3] = bytes[bit >> 3]! ^ (1 << (bit & 7));
      expect(isUdpChecksumGood(bytes, at, length, family, srcAt, dstAt)).toBe(false);
      bytes[bit >> 3] = bytes[bit >> 3]! ^ (1 << (bit & 7));
    }
  });

  test('is encoded again as Linux sent it', () => {
    const bytes = frame.slice();
    bytes.fill(0xee, at, at + 8);
    expect(
      encodeUdp(bytes, at, 4000, 5000, text.length, pseudoHeaderSum(bytes, family, srcAt, dstAt, 17, 8 + text.length)),
    ).toBe(8);
    expect(toHex(bytes)).toBe(toHex(frame));
  });

  test('a checksum field of zero means none over IPv4 and is refused over IPv6 (768-1, 8200-19)', () => {
    const bytes = frame.slice();
    bytes.fill(0, at + 6, at + 8);
    expect(isUdpChecksumGood(bytes, at, length, family, srcAt, dstAt)).toBe(family === 4);
  });

  test('a computed zero is sent as ffff, which verifies (768-1, 8200-19)', () => {
    const bytes = new Uint8Array(frame.length + 2);
    bytes.set(frame);
    // The payload's last word makes the rest of the sum come out as zero.
    const payloadLength = 2;
    bytes.fill(0, at + 8, at + 10);
    encodeUdp(
      bytes,
      at,
      4000,
      5000,
      payloadLength,
      pseudoHeaderSum(bytes, family, srcAt, dstAt, 17, 8 + payloadLength),
    );
    bytes.set(bytes.slice(at + 6, at + 8), at + 8);
    encodeUdp(
      bytes,
      at,
      4000,
      5000,
      payloadLength,
      pseudoHeaderSum(bytes, family, srcAt, dstAt, 17, 8 + payloadLength),
    );
    expect(toHex(bytes, at + 6, 2)).toBe('ffff');
    expect(isUdpChecksumGood(bytes, at, 10, family, srcAt, dstAt)).toBe(true);
  });
});

describe('the length field', () => {
  test('below 8 or beyond the IP payload is refused; less than the payload trims it (768-2)', () => {
    const out = new UdpDatagram();
    for (let udpLength = 0; udpLength < 64; udpLength++) {
      const bytes = new Uint8Array(40);
      bytes[5] = udpLength;
      const isPossible = udpLength >= 8 && udpLength <= 40;
      expect(decodeUdp(bytes, 0, 40, out)).toBe(isPossible ? WIRE_OK : WIRE_BAD_LENGTH);
      if (isPossible) expect(out.payloadLength).toBe(udpLength - 8);
    }
  });

  test('fewer than 8 bytes are short', () => {
    for (let length = 0; length < 8; length++)
      expect(decodeUdp(new Uint8Array(8), 0, length, new UdpDatagram())).toBe(WIRE_SHORT);
  });
});

test('what is written is read back and verifies, for any payload and alignment', () => {
  fc.assert(
    fc.property(
      fc.nat(0xffff),
      fc.nat(0xffff),
      fc.uint8Array({ maxLength: 1500 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.constantFrom(4, 6),
      fc.nat(3),
      (srcPort, dstPort, payload, addresses, family, pad) => {
        const bytes = new Uint8Array(pad + 32 + 8 + payload.length + 4).fill(0xee);
        bytes.set(addresses, pad);
        const at = pad + 32;
        bytes.set(payload, at + 8);
        const dstAt = pad + (family === 4 ? 4 : 16);
        encodeUdp(
          bytes,
          at,
          srcPort,
          dstPort,
          payload.length,
          pseudoHeaderSum(bytes, family, pad, dstAt, 17, 8 + payload.length),
        );
        const out = new UdpDatagram();
        expect(decodeUdp(bytes, at, 8 + payload.length, out)).toBe(WIRE_OK);
        expect(out).toMatchObject({ srcPort, dstPort, payloadLength: payload.length });
        expect(out.checksum).not.toBe(0);
        expect(isUdpChecksumGood(bytes, at, out.length, family, pad, dstAt)).toBe(true);
        expect(toHex(bytes, at + 8, payload.length)).toBe(toHex(payload));
        expect(checksumOf(bytes, at + 8 + payload.length, 4)).toBe(checksumOf(new Uint8Array(4).fill(0xee), 0, 4));
      },
    ),
  );
});
