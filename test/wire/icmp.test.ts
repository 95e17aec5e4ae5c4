import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeIcmp,
  encodeIcmpEcho,
  encodeIcmpError,
  IcmpMessage,
  IcmpType,
  IcmpUnreachable,
  isIcmpError,
  turnIcmpEchoIntoReply,
} from '../../src/wire/icmp.ts';
import {
  decodeIcmpv6,
  encodeIcmpv6Echo,
  encodeIcmpv6Error,
  Icmpv6Message,
  Icmpv6Type,
  Icmpv6Unreachable,
} from '../../src/wire/icmpv6.ts';
import { IpProtocol } from '../../src/wire/protocol.ts';
import { WIRE_BAD_CHECKSUM, WIRE_OK, WIRE_SHORT } from '../../src/wire/status.ts';
import { CAPTURED, placed, toHex } from './captures.ts';

const echoData = Buffer.from('abcdefg').toString('hex');
/** Places in an IPv6 frame. */
const V6 = { at: 54, srcAt: 22, dstAt: 38 };

describe('ICMP', () => {
  test('a captured echo reply', () => {
    const frame = CAPTURED.ICMP_ECHO_REPLY;
    const message = new IcmpMessage();
    const bytes = placed(frame, 1);
    expect(decodeIcmp(bytes, 35, frame.length - 34, message)).toBe(WIRE_OK);
    expect(message).toMatchObject({
      type: IcmpType.ECHO_REPLY,
      code: 0,
      identifier: 0x1234,
      sequence: 1,
      isError: false,
    });
    expect(toHex(bytes, message.dataAt, message.dataLength)).toBe(echoData);
    expect(message.quote.family).toBe(0);
  });

  test('our reply to the same echo is Linux’s', () => {
    const frame = CAPTURED.ICMP_ECHO_REPLY.slice();
    expect(encodeIcmpEcho(frame, 34, IcmpType.ECHO, 0x1234, 1, 7)).toBe(15);
    expect(frame[34]).toBe(8);
    turnIcmpEchoIntoReply(frame, 34, 15);
    expect(toHex(frame)).toBe(toHex(CAPTURED.ICMP_ECHO_REPLY));
  });

  test('a captured port unreachable, and whose datagram it quotes (MUST-54, 1122-C3)', () => {
    const frame = CAPTURED.ICMP_PORT_UNREACHABLE;
    const message = new IcmpMessage();
    const bytes = placed(frame, 2);
    expect(decodeIcmp(bytes, 36, frame.length - 34, message)).toBe(WIRE_OK);
    expect(message).toMatchObject({
      type: IcmpType.DESTINATION_UNREACHABLE,
      code: IcmpUnreachable.PORT,
      isError: true,
    });
    const { quote } = message;
    expect(quote).toMatchObject({ family: 4, protocol: IpProtocol.UDP, hasPorts: true, srcPort: 6000, dstPort: 7 });
    expect(quote).toMatchObject({ at: 44, length: 33, upperAt: 64, upperLength: 13, isLaterFragment: false });
    expect(toHex(bytes, quote.srcAt, 4)).toBe('0a090002');
    expect(toHex(bytes, quote.dstAt, 4)).toBe('0a090001');
  });

  test('our error about the same datagram is Linux’s', () => {
    const frame = CAPTURED.ICMP_PORT_UNREACHABLE.slice();
    frame.fill(0xee, 34, 42);
    expect(encodeIcmpError(frame, 34, IcmpType.DESTINATION_UNREACHABLE, IcmpUnreachable.PORT, 0, 33)).toBe(41);
    expect(toHex(frame)).toBe(toHex(CAPTURED.ICMP_PORT_UNREACHABLE));
  });

  test('the MTU of fragmentation needed and the pointer of a parameter problem are read where they stand', () => {
    const bytes = new Uint8Array(64);
    const message = new IcmpMessage();
    encodeIcmpError(bytes, 0, IcmpType.DESTINATION_UNREACHABLE, IcmpUnreachable.FRAGMENTATION_NEEDED, 1400, 28);
    expect(decodeIcmp(bytes, 0, 36, message)).toBe(WIRE_OK);
    expect(message.mtu).toBe(1400);
    encodeIcmpError(bytes, 0, IcmpType.PARAMETER_PROBLEM, 0, 20 << 24, 28);
    expect(decodeIcmp(bytes, 0, 36, message)).toBe(WIRE_OK);
    expect(message.pointer).toBe(20);
  });

  test('any flipped bit is found out; a checksum of the whole is needed', () => {
    const frame = CAPTURED.ICMP_ECHO_REPLY.slice();
    const message = new IcmpMessage();
    for (let bit = 8 * 34; bit < 8 * frame.length; bit++) {
      frame[bit >> 3] = frame[bit >> 3]! ^ (1 << (bit & 7));
      expect(decodeIcmp(frame, 34, frame.length - 34, message)).toBe(WIRE_BAD_CHECKSUM);
      frame[bit >> 3] = frame[bit >> 3]! ^ (1 << (bit & 7));
    }
    for (let length = 0; length < 8; length++) expect(decodeIcmp(frame, 34, length, message)).toBe(WIRE_SHORT);
  });

  test('every type decodes, and five of them quote (1122-C1)', () => {
    const message = new IcmpMessage();
    const quoting: number[] = [];
    for (let type = 0; type < 256; type++) {
      const bytes = CAPTURED.ICMP_PORT_UNREACHABLE.slice();
      encodeIcmpError(bytes, 34, type, 0, 0, 33);
      expect(decodeIcmp(bytes, 34, 41, message)).toBe(WIRE_OK);
      expect(message.quote.family).toBe(isIcmpError(type) ? 4 : 0);
      if (message.isError) quoting.push(type);
    }
    expect(quoting).toEqual([3, 4, 5, 11, 12]);
  });

  test('a quote cut anywhere has a reading: no addresses below 20 bytes, no ports below 28', () => {
    const message = new IcmpMessage();
    for (let quoted = 0; quoted <= 33; quoted++) {
      const bytes = CAPTURED.ICMP_PORT_UNREACHABLE.slice();
      encodeIcmpError(bytes, 34, IcmpType.TIME_EXCEEDED, 0, 0, quoted);
      expect(decodeIcmp(bytes, 34, 8 + quoted, message)).toBe(WIRE_OK);
      expect(message.quote).toMatchObject({ family: quoted >= 20 ? 4 : 0, hasPorts: quoted >= 28 });
    }
  });

  test('the sequence number of a quoted TCP segment is read; a later fragment has no ports', () => {
    const bytes = new Uint8Array(64);
    bytes.set(CAPTURED.TCP4_SYN.subarray(14, 14 + 28), 8);
    encodeIcmpError(bytes, 0, IcmpType.DESTINATION_UNREACHABLE, 1, 0, 28);
    const message = new IcmpMessage();
    expect(decodeIcmp(bytes, 0, 36, message)).toBe(WIRE_OK);
    expect(message.quote).toMatchObject({ protocol: IpProtocol.TCP, srcPort: 54156, dstPort: 443, seq: 0x15cb8c8c });
    bytes[8 + 7] = 1;
    encodeIcmpError(bytes, 0, IcmpType.DESTINATION_UNREACHABLE, 1, 0, 28);
    expect(decodeIcmp(bytes, 0, 36, message)).toBe(WIRE_OK);
    expect(message.quote).toMatchObject({ family: 4, isLaterFragment: true, hasPorts: false });
  });
});

describe('ICMPv6', () => {
  test('a captured echo reply, and ours', () => {
    const frame = CAPTURED.ICMPV6_ECHO_REPLY.slice();
    const message = new Icmpv6Message();
    expect(decodeIcmpv6(frame, V6.at, 15, V6.srcAt, V6.dstAt, message)).toBe(WIRE_OK);
    expect(message).toMatchObject({ type: Icmpv6Type.ECHO_REPLY, identifier: 0x1234, sequence: 1, isError: false });
    expect(toHex(frame, message.dataAt, message.dataLength)).toBe(echoData);
    frame.fill(0xee, V6.at, V6.at + 8);
    expect(encodeIcmpv6Echo(frame, V6.at, Icmpv6Type.ECHO_REPLY, 0x1234, 1, 7, V6.srcAt, V6.dstAt)).toBe(15);
    expect(toHex(frame)).toBe(toHex(CAPTURED.ICMPV6_ECHO_REPLY));
  });

  test('a captured port unreachable with its quote, and ours', () => {
    const frame = CAPTURED.ICMPV6_PORT_UNREACHABLE.slice();
    const message = new Icmpv6Message();
    const { at, srcAt, dstAt } = V6;
    expect(decodeIcmpv6(frame, at, 61, srcAt, dstAt, message)).toBe(WIRE_OK);
    expect(message).toMatchObject({ type: 1, code: Icmpv6Unreachable.PORT, isError: true });
    expect(message.quote).toMatchObject({ family: 6, protocol: 17, hasPorts: true, srcPort: 6000, dstPort: 7 });
    expect(toHex(frame, message.quote.srcAt, 16)).toBe('fd000009000000000000000000000002');
    frame.fill(0xee, at, at + 8);
    encodeIcmpv6Error(frame, at, Icmpv6Type.DESTINATION_UNREACHABLE, Icmpv6Unreachable.PORT, 0, 53, srcAt, dstAt);
    expect(toHex(frame)).toBe(toHex(CAPTURED.ICMPV6_PORT_UNREACHABLE));
  });

  test('the MTU of packet too big, and the pointer of a parameter problem, are unsigned', () => {
    const frame = CAPTURED.ICMPV6_PORT_UNREACHABLE.slice();
    const message = new Icmpv6Message();
    for (const rest of [1280, 0, 0xffffffff]) {
      encodeIcmpv6Error(frame, V6.at, Icmpv6Type.PACKET_TOO_BIG, 0, rest, 53, V6.srcAt, V6.dstAt);
      expect(decodeIcmpv6(frame, V6.at, 61, V6.srcAt, V6.dstAt, message)).toBe(WIRE_OK);
      expect(message).toMatchObject({ mtu: rest, pointer: rest });
    }
  });

  test('the pseudo-header is covered: another address, another sum', () => {
    const frame = CAPTURED.ICMPV6_ECHO_REPLY.slice();
    for (let bit = 8 * V6.srcAt; bit < 8 * frame.length; bit++) {
      frame[bit >> 3] = frame[bit >> 3]! ^ (1 << (bit & 7));
      expect(decodeIcmpv6(frame, V6.at, 15, V6.srcAt, V6.dstAt, new Icmpv6Message())).toBe(WIRE_BAD_CHECKSUM);
      frame[bit >> 3] = frame[bit >> 3]! ^ (1 << (bit & 7));
    }
  });

  test('a quote behind extension headers is read; one whose chain is cut keeps its addresses only', () => {
    // An IPv6 packet with a destination header in front of UDP, as quoted.
    const quoted = new Uint8Array(56);
    quoted.set(CAPTURED.UDP6.subarray(14, 54));
    quoted[6] = IpProtocol.DESTINATION_OPTIONS;
    quoted.set([IpProtocol.UDP, 0, 1, 4, 0, 0, 0, 0], 40);
    quoted.set(CAPTURED.UDP6.subarray(54, 62), 48);
    const bytes = new Uint8Array(V6.at + 8 + 56);
    bytes.set(CAPTURED.ICMPV6_ECHO_REPLY.subarray(0, V6.at));
    bytes.set(quoted, V6.at + 8);
    const message = new Icmpv6Message();
    for (let length = 0; length <= 56; length++) {
      encodeIcmpv6Error(bytes, V6.at, Icmpv6Type.TIME_EXCEEDED, 0, 0, length, V6.srcAt, V6.dstAt);
      expect(decodeIcmpv6(bytes, V6.at, 8 + length, V6.srcAt, V6.dstAt, message)).toBe(WIRE_OK);
      expect(message.quote).toMatchObject({ family: length >= 40 ? 6 : 0, hasPorts: length >= 56 });
    }
    expect(message.quote).toMatchObject({ protocol: IpProtocol.UDP, srcPort: 4000, dstPort: 5000 });
  });

  test('the quote of a first fragment names its ports wherever it was cut; that of a later one has none', () => {
    const quoted = new Uint8Array(70);
    quoted.set(CAPTURED.UDP6.subarray(14, 54));
    quoted[6] = IpProtocol.FRAGMENT;
    quoted.set([IpProtocol.UDP, 0, 0, 1, 0, 0, 0, 7], 40);
    quoted.set(CAPTURED.UDP6.subarray(54, 62), 48);
    const bytes = new Uint8Array(V6.at + 8 + 70);
    bytes.set(CAPTURED.ICMPV6_ECHO_REPLY.subarray(0, V6.at));
    const message = new Icmpv6Message();
    for (const offset of [0, 64]) {
      quoted[43] = offset | 1;
      bytes.set(quoted, V6.at + 8);
      for (let length = 56; length <= 70; length++) {
        encodeIcmpv6Error(bytes, V6.at, Icmpv6Type.PACKET_TOO_BIG, 0, 1280, length, V6.srcAt, V6.dstAt);
        expect(decodeIcmpv6(bytes, V6.at, 8 + length, V6.srcAt, V6.dstAt, message)).toBe(WIRE_OK);
        expect(message.quote).toMatchObject({ family: 6, protocol: IpProtocol.UDP, hasPorts: offset === 0 });
        expect(message.quote.isLaterFragment).toBe(offset !== 0);
        if (offset === 0) expect(message.quote).toMatchObject({ srcPort: 4000, dstPort: 5000 });
      }
    }
  });

  test('fewer than eight bytes are short', () => {
    for (let length = 0; length < 8; length++) {
      expect(decodeIcmpv6(CAPTURED.NA, V6.at, length, V6.srcAt, V6.dstAt, new Icmpv6Message())).toBe(WIRE_SHORT);
    }
  });

  test('echoes of any content come back as they were written', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffff), fc.uint8Array({ maxLength: 1400 }), (identifier, sequence, data) => {
        const bytes = new Uint8Array(V6.at + 8 + data.length);
        bytes.set(CAPTURED.NA.subarray(0, V6.at));
        bytes.set(data, V6.at + 8);
        const length = encodeIcmpv6Echo(bytes, V6.at, 128, identifier, sequence, data.length, V6.srcAt, V6.dstAt);
        const message = new Icmpv6Message();
        expect(decodeIcmpv6(bytes, V6.at, length, V6.srcAt, V6.dstAt, message)).toBe(WIRE_OK);
        expect(message).toMatchObject({ type: 128, identifier, sequence, dataLength: data.length });
      }),
    );
  });
});
