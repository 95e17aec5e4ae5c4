import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeIpv4,
  decodeQuotedIpv4,
  encodeIpv4Header,
  Ipv4Flag,
  Ipv4Header,
  writeIpv4Checksum,
} from '../../src/wire/ipv4.ts';
import { Ipv4Options, walkIpv4Options } from '../../src/wire/ipv4-options.ts';
import { IpProtocol } from '../../src/wire/protocol.ts';
import {
  WIRE_BAD_CHECKSUM,
  WIRE_BAD_LENGTH,
  WIRE_BAD_OFFSET,
  WIRE_BAD_OPTION,
  WIRE_BAD_VERSION,
  WIRE_OK,
  WIRE_SHORT,
} from '../../src/wire/status.ts';
import { CAPTURED, fromHex, placed, toHex } from './captures.ts';

const address = fc.uint8Array({ minLength: 4, maxLength: 4 });
const udp = CAPTURED.UDP4.subarray(14);

/** A packet with the given options (a multiple of four bytes) and `payload` zero bytes. */
function withOptions(options: Uint8Array, payload = 8): Uint8Array {
  const headerLength = 20 + options.length;
  const bytes = new Uint8Array(headerLength + payload);
  bytes.set(fromHex('45000000000000004011 0000 0a090002 0a090001'));
  bytes[0] = 0x40 | (headerLength >> 2);
  bytes[3] = bytes.length;
  bytes.set(options, 20);
  writeIpv4Checksum(bytes, 0, headerLength);
  return bytes;
}

describe('the IPv4 header', () => {
  test('of a captured datagram', () => {
    const bytes = placed(udp, 11);
    const header = new Ipv4Header();
    expect(decodeIpv4(bytes, 11, udp.length, header)).toBe(WIRE_OK);
    expect(header).toMatchObject({ headerAt: 11, headerLength: 20, hasOptions: false, tos: 0, totalLength: 33 });
    expect(header).toMatchObject({ id: 0x4489, flags: Ipv4Flag.DF, fragmentOffset: 0, ttl: 64 });
    expect(header).toMatchObject({ protocol: IpProtocol.UDP, payloadAt: 31, payloadLength: 13, isFragment: false });
    expect(toHex(bytes, header.srcAt, 4)).toBe('0a090001');
    expect(toHex(bytes, header.dstAt, 4)).toBe('0a090002');
  });

  test('of captured fragments: first, middle, last', () => {
    const header = new Ipv4Header();
    const decode = (hex: string): Ipv4Header => {
      const bytes = new Uint8Array(1500);
      bytes.set(fromHex(hex));
      expect(decodeIpv4(bytes, 0, 1500, header)).toBe(WIRE_OK);
      return header;
    };
    expect(decode('450005dc44da20004011fc220a0900010a090002')).toMatchObject({
      flags: 1,
      fragmentOffset: 0,
      isFragment: true,
    });
    expect(decode('450005dc44da20b94011fb690a0900010a090002')).toMatchObject({
      flags: 1,
      fragmentOffset: 1480,
      isFragment: true,
    });
    expect(decode('4500008c44da0172401120010a0900010a090002')).toMatchObject({
      flags: 0,
      fragmentOffset: 2960,
      isFragment: true,
      payloadLength: 120,
    });
  });

  test('link padding behind the total length is not payload', () => {
    const header = new Ipv4Header();
    const padded = new Uint8Array(46);
    padded.set(udp);
    expect(decodeIpv4(padded, 0, 46, header)).toBe(WIRE_OK);
    expect(header.payloadLength).toBe(13);
  });

  test('what is written is read back, checksum included', () => {
    fc.assert(
      fc.property(
        fc.record({
          tos: fc.nat(255),
          totalLength: fc.integer({ min: 20, max: 1500 }),
          id: fc.nat(0xffff),
          flags: fc.nat(7),
          fragmentOffset: fc.nat(0x1fff).map((units) => units * 8),
          ttl: fc.nat(255),
          protocol: fc.nat(255),
        }),
        address,
        address,
        fc.nat(3),
        (fields, src, dst, at) => {
          const bytes = new Uint8Array(1600).fill(0xee);
          expect(encodeIpv4Header(bytes, at, Object.assign(new Ipv4Header(), fields), src, 0, dst, 0)).toBe(20);
          expect(bytes[at + 20]).toBe(0xee);
          const header = new Ipv4Header();
          expect(decodeIpv4(bytes, at, 1500, header)).toBe(WIRE_OK);
          expect(header).toMatchObject(fields);
          expect(toHex(bytes, header.srcAt, 4) + toHex(bytes, header.dstAt, 4)).toBe(toHex(src) + toHex(dst));
          expect(header.payloadLength).toBe(fields.totalLength - 20);
        },
      ),
    );
  });

  test('a version other than 4 is refused, whatever else there is (1122-I1)', () => {
    const header = new Ipv4Header();
    for (let version = 0; version < 16; version++) {
      const bytes = udp.slice();
      bytes[0] = (version << 4) | 5;
      writeIpv4Checksum(bytes, 0, 20);
      expect(decodeIpv4(bytes, 0, bytes.length, header)).toBe(version === 4 ? WIRE_OK : WIRE_BAD_VERSION);
    }
  });

  test('any flipped bit of a header is found out (1122-I2)', () => {
    const header = new Ipv4Header();
    for (let bit = 0; bit < 160; bit++) {
      const bytes = udp.slice();
      bytes[bit >> 3] = bytes[bit >> 3]! ^ (1 << (bit & 7));
      expect(decodeIpv4(bytes, 0, bytes.length, header)).not.toBe(WIRE_OK);
      if (bit >= 64) expect(decodeIpv4(bytes, 0, bytes.length, header)).toBe(WIRE_BAD_CHECKSUM);
    }
  });

  test('TTL 0 and 1 are handed over: only a router may drop for it (1122-I12)', () => {
    const header = new Ipv4Header();
    for (const ttl of [0, 1]) {
      const bytes = udp.slice();
      bytes[8] = ttl;
      writeIpv4Checksum(bytes, 0, 20);
      expect(decodeIpv4(bytes, 0, bytes.length, header)).toBe(WIRE_OK);
      expect(header.ttl).toBe(ttl);
    }
  });

  test('header lengths that lie: below 20, beyond the packet', () => {
    const header = new Ipv4Header();
    for (let words = 0; words < 16; words++) {
      const bytes = udp.slice();
      bytes[0] = 0x40 | words;
      const isPossible = words >= 5 && 4 * words <= bytes.length;
      if (isPossible) writeIpv4Checksum(bytes, 0, 4 * words);
      expect(decodeIpv4(bytes, 0, bytes.length, header)).toBe(isPossible ? WIRE_OK : WIRE_BAD_OFFSET);
    }
  });

  test('total lengths that lie: below the header, beyond what arrived', () => {
    const header = new Ipv4Header();
    for (const totalLength of [0, 19, 20, 32, 33, 34, 0xffff]) {
      const bytes = udp.slice();
      bytes[2] = totalLength >> 8;
      bytes[3] = totalLength;
      writeIpv4Checksum(bytes, 0, 20);
      const isPossible = totalLength >= 20 && totalLength <= 33;
      expect(decodeIpv4(bytes, 0, 33, header)).toBe(isPossible ? WIRE_OK : WIRE_BAD_LENGTH);
      if (isPossible) expect(header.payloadLength).toBe(totalLength - 20);
    }
  });

  test('fewer than 20 bytes are short', () => {
    for (let length = 0; length < 20; length++) {
      expect(decodeIpv4(udp, 0, length, new Ipv4Header())).toBe(WIRE_SHORT);
    }
  });

  test('a quoted header is read though its checksum and total length do not fit what is there', () => {
    const quote = udp.slice(0, 28);
    quote[8] = 1;
    const header = new Ipv4Header();
    expect(decodeIpv4(quote, 0, 28, header)).toBe(WIRE_BAD_LENGTH);
    expect(decodeQuotedIpv4(quote, 0, 28, header)).toBe(WIRE_OK);
    expect(header).toMatchObject({ totalLength: 33, payloadLength: 8, ttl: 1 });
  });
});

describe('IPv4 options', () => {
  const walk = (bytes: Uint8Array): { status: number; options: Ipv4Options } => {
    const header = new Ipv4Header();
    const options = new Ipv4Options();
    expect(decodeIpv4(bytes, 0, bytes.length, header)).toBe(WIRE_OK);
    return { status: walkIpv4Options(bytes, header, options), options };
  };

  test('the router alert of a captured datagram, and its payload behind it', () => {
    const bytes = CAPTURED.UDP4_ROUTER_ALERT.subarray(14);
    const header = new Ipv4Header();
    expect(decodeIpv4(bytes, 0, bytes.length, header)).toBe(WIRE_OK);
    expect(header).toMatchObject({ hasOptions: true, headerLength: 24, payloadAt: 24, payloadLength: 10 });
    expect(walk(bytes)).toMatchObject({ status: WIRE_OK, options: { hasRouterAlert: true, hasSourceRoute: false } });
  });

  test('source routes and record route are named wherever they stand', () => {
    expect(walk(withOptions(fromHex('01830704 0a090001')))).toMatchObject({ options: { hasSourceRoute: true } });
    expect(walk(withOptions(fromHex('89070401 02030400')))).toMatchObject({ options: { hasSourceRoute: true } });
    expect(walk(withOptions(fromHex('01010701 00000000')))).toMatchObject({ status: WIRE_BAD_OPTION });
    expect(walk(withOptions(fromHex('07030401')))).toMatchObject({ options: { hasRecordRoute: true } });
    expect(walk(withOptions(fromHex('44040500')))).toMatchObject({ options: { hasTimestamp: true } });
  });

  test('a record is filled afresh by each walk', () => {
    const header = new Ipv4Header();
    const options = new Ipv4Options();
    for (const hex of ['8307040a 0a090001', '07030401', '44040500', '94040000', '94000000']) {
      const bytes = withOptions(fromHex(hex));
      decodeIpv4(bytes, 0, bytes.length, header);
      walkIpv4Options(bytes, header, options);
    }
    const plain = withOptions(fromHex('01010101'));
    decodeIpv4(plain, 0, plain.length, header);
    expect(walkIpv4Options(plain, header, options)).toBe(WIRE_OK);
    expect(options).toEqual(new Ipv4Options());
  });

  test('unknown options of any type are skipped by their length (MUST-50, 1122-I15)', () => {
    for (let type = 2; type < 256; type++) {
      if ([7, 68, 131, 137, 148].includes(type)) continue;
      const options = fromHex('00040000 94040000');
      options[0] = type;
      expect(walk(withOptions(options))).toMatchObject({ status: WIRE_OK, options: { hasRouterAlert: true } });
    }
  });

  test('what follows the end of the list is not looked at', () => {
    expect(walk(withOptions(fromHex('00940400')))).toMatchObject({
      status: WIRE_OK,
      options: { hasRouterAlert: false },
    });
  });

  test('impossible lengths are named with their place', () => {
    for (const [options, problemAt] of [
      ['94000000', 21],
      ['94010000', 21],
      ['94050000', 21],
      ['0101ff94', 23],
      ['01949404', 22],
    ] as const) {
      expect(walk(withOptions(fromHex(options)))).toMatchObject({ status: WIRE_BAD_OPTION, options: { problemAt } });
    }
  });
});
