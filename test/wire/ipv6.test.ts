import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeIpv6, decodeQuotedIpv6, encodeIpv6Header, Ipv6Header } from '../../src/wire/ipv6.ts';
import { IpProtocol } from '../../src/wire/protocol.ts';
import { WIRE_BAD_LENGTH, WIRE_BAD_VERSION, WIRE_OK, WIRE_SHORT } from '../../src/wire/status.ts';
import { CAPTURED, placed, toHex } from './captures.ts';

const udp = CAPTURED.UDP6.subarray(14);
const address = fc.uint8Array({ minLength: 16, maxLength: 16 });

describe('the IPv6 header', () => {
  test('of a captured datagram', () => {
    const bytes = placed(udp, 7);
    const header = new Ipv6Header();
    expect(decodeIpv6(bytes, 7, udp.length, header)).toBe(WIRE_OK);
    expect(header).toMatchObject({ headerAt: 7, trafficClass: 0, flowLabel: 0x75892, payloadLength: 14 });
    expect(header).toMatchObject({ nextHeader: IpProtocol.UDP, hopLimit: 64, payloadAt: 47 });
    expect(toHex(bytes, header.srcAt, 16)).toBe('fd000009000000000000000000000001');
    expect(toHex(bytes, header.dstAt, 16)).toBe('fd000009000000000000000000000002');
  });

  test('what is written is read back', () => {
    fc.assert(
      fc.property(
        fc.record({
          trafficClass: fc.nat(255),
          flowLabel: fc.nat(0xfffff),
          payloadLength: fc.nat(1460),
          nextHeader: fc.nat(255),
          hopLimit: fc.nat(255),
        }),
        address,
        address,
        fc.nat(3),
        (fields, src, dst, at) => {
          const bytes = new Uint8Array(1600).fill(0xee);
          expect(encodeIpv6Header(bytes, at, Object.assign(new Ipv6Header(), fields), src, 0, dst, 0)).toBe(40);
          expect(bytes[at + 40]).toBe(0xee);
          const header = new Ipv6Header();
          expect(decodeIpv6(bytes, at, 1500, header)).toBe(WIRE_OK);
          expect(header).toMatchObject(fields);
          expect(toHex(bytes, header.srcAt, 16) + toHex(bytes, header.dstAt, 16)).toBe(toHex(src) + toHex(dst));
        },
      ),
    );
  });

  test('a version other than 6 is refused (8200-23)', () => {
    for (let version = 0; version < 16; version++) {
      const bytes = udp.slice();
      bytes[0] = version << 4;
      expect(decodeIpv6(bytes, 0, bytes.length, new Ipv6Header())).toBe(version === 6 ? WIRE_OK : WIRE_BAD_VERSION);
    }
  });

  test('a payload length beyond what arrived is refused; less is trimmed to it', () => {
    const header = new Ipv6Header();
    expect(decodeIpv6(udp, 0, udp.length - 1, header)).toBe(WIRE_BAD_LENGTH);
    expect(decodeIpv6(placed(udp, 0), 0, udp.length + 9, header)).toBe(WIRE_OK);
    expect(header.payloadLength).toBe(14);
  });

  test('hop limit 0 is handed over (8200-1)', () => {
    const bytes = udp.slice();
    bytes[7] = 0;
    expect(decodeIpv6(bytes, 0, bytes.length, new Ipv6Header())).toBe(WIRE_OK);
  });

  test('fewer than 40 bytes are short, and a quoted header is read with what is there', () => {
    const header = new Ipv6Header();
    for (let length = 0; length < 40; length++) expect(decodeIpv6(udp, 0, length, header)).toBe(WIRE_SHORT);
    expect(decodeQuotedIpv6(udp, 0, 48, header)).toBe(WIRE_OK);
    expect(header.payloadLength).toBe(8);
  });
});
