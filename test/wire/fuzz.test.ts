import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { ArpPacket, decodeArp } from '../../src/wire/arp.ts';
import { decodeEthernet, EthernetFrame, EtherType } from '../../src/wire/ethernet.ts';
import { decodeIcmp, encodeIcmpError, IcmpMessage } from '../../src/wire/icmp.ts';
import { decodeIcmpv6, Icmpv6Message, writeIcmpv6Checksum } from '../../src/wire/icmpv6.ts';
import { decodeIpv4, Ipv4Header, writeIpv4Checksum } from '../../src/wire/ipv4.ts';
import { Ipv4Options, walkIpv4Options } from '../../src/wire/ipv4-options.ts';
import { decodeIpv6, Ipv6Header } from '../../src/wire/ipv6.ts';
import { Ipv6Extensions, isHeaderChainComplete, walkIpv6Extensions } from '../../src/wire/ipv6-extensions.ts';
import { decodeNd, decodePrefixInformation, isNdAcceptable, NdMessage, PrefixInformation } from '../../src/wire/nd.ts';
import { IpProtocol } from '../../src/wire/protocol.ts';
import { WIRE_OK, WIRE_STATUS_NAMES } from '../../src/wire/status.ts';
import { decodeTcp, isTcpChecksumGood } from '../../src/wire/tcp.ts';
import { TcpSegment } from '../../src/wire/tcp-segment.ts';
import { decodeUdp, isUdpChecksumGood, UdpDatagram } from '../../src/wire/udp.ts';
import { seed, seedNote } from '../support/seed.ts';
import { CAPTURE_NAMES, CAPTURED } from './captures.ts';

/** Every decoder, applied to a frame as a host would, following whatever it claims to be. */
class Reader {
  readonly counts = new Float64Array(WIRE_STATUS_NAMES.length);
  readonly #frame = new EthernetFrame();
  readonly #arp = new ArpPacket();
  readonly #ip4 = new Ipv4Header();
  readonly #options4 = new Ipv4Options();
  readonly #ip6 = new Ipv6Header();
  readonly #extensions = new Ipv6Extensions();
  readonly #icmp = new IcmpMessage();
  readonly #icmp6 = new Icmpv6Message();
  readonly #nd = new NdMessage();
  readonly #prefix = new PrefixInformation();
  readonly #tcp = new TcpSegment();
  readonly #udp = new UdpDatagram();

  /** The end of what a decoder may look at: whatever it points at must lie before it. */
  #end = 0;

  frame(bytes: Uint8Array, at: number, length: number): void {
    this.#end = at + length;
    if (!this.#isGood(decodeEthernet(bytes, at, length, this.#frame))) return;
    const { payloadAt, payloadLength, etherType } = this.#frame;
    this.#inside(payloadAt, payloadLength);
    if (etherType === EtherType.ARP) this.#isGood(decodeArp(bytes, payloadAt, payloadLength, this.#arp));
    else if (etherType === EtherType.IPV6) this.ipv6(bytes, payloadAt, payloadLength);
    else this.ipv4(bytes, payloadAt, payloadLength);
  }

  ipv4(bytes: Uint8Array, at: number, length: number): void {
    const ip = this.#ip4;
    // Fuzzed headers get a right checksum, or nothing behind it would ever be reached.
    if (length >= 20 && 4 * (bytes[at]! & 15) <= length) writeIpv4Checksum(bytes, at, 4 * (bytes[at]! & 15));
    if (!this.#isGood(decodeIpv4(bytes, at, length, ip))) return;
    this.#inside(ip.payloadAt, ip.payloadLength);
    if (ip.hasOptions) {
      this.#isGood(walkIpv4Options(bytes, ip, this.#options4));
      this.#expect(this.#options4.problemAt < ip.payloadAt);
    }
    if (ip.protocol === IpProtocol.ICMP && ip.payloadLength >= 8) {
      encodeIcmpError(bytes, ip.payloadAt, bytes[ip.payloadAt]!, 0, 0, ip.payloadLength - 8);
      this.#isGood(decodeIcmp(bytes, ip.payloadAt, ip.payloadLength, this.#icmp));
      this.#quote(this.#icmp);
    } else this.#transport(bytes, 4, ip.protocol, ip.payloadAt, ip.payloadLength, ip.srcAt, ip.dstAt);
  }

  ipv6(bytes: Uint8Array, at: number, length: number): void {
    const ip = this.#ip6;
    const extensions = this.#extensions;
    if (!this.#isGood(decodeIpv6(bytes, at, length, ip))) return;
    this.#inside(ip.payloadAt, ip.payloadLength);
    const isWalked = this.#isGood(walkIpv6Extensions(bytes, ip, extensions));
    this.#inside(extensions.payloadAt, extensions.payloadLength);
    this.#expect(extensions.problemAt < this.#end && extensions.protocolNamedAt < this.#end);
    if (!isWalked) return;
    const { protocol, payloadAt, payloadLength } = extensions;
    if (extensions.isFragment) {
      isHeaderChainComplete(bytes, extensions);
      return;
    }
    if (protocol !== IpProtocol.ICMPV6 || payloadLength < 8) {
      this.#transport(bytes, 6, protocol, payloadAt, payloadLength, ip.srcAt, ip.dstAt);
      return;
    }
    writeIcmpv6Checksum(bytes, payloadAt, payloadLength, ip.srcAt, ip.dstAt);
    this.#isGood(decodeIcmpv6(bytes, payloadAt, payloadLength, ip.srcAt, ip.dstAt, this.#icmp6));
    this.#quote(this.#icmp6);
    if (!this.#isGood(decodeNd(bytes, payloadAt, payloadLength, this.#nd))) return;
    isNdAcceptable(bytes, ip, this.#nd);
    for (let i = 0; i < this.#nd.prefixCount; i++) {
      this.#inside(this.#nd.prefixAt[i]!, 32);
      decodePrefixInformation(bytes, this.#nd.prefixAt[i]!, this.#prefix);
    }
  }

  #transport(
    bytes: Uint8Array,
    family: number,
    protocol: number,
    at: number,
    length: number,
    srcAt: number,
    dstAt: number,
  ): void {
    if (protocol === IpProtocol.UDP) {
      if (!this.#isGood(decodeUdp(bytes, at, length, this.#udp))) return;
      this.#inside(this.#udp.payloadAt, this.#udp.payloadLength);
      isUdpChecksumGood(bytes, at, this.#udp.length, family, srcAt, dstAt);
      return;
    }
    if (!this.#isGood(decodeTcp(bytes, at, length, this.#tcp))) return;
    this.#inside(this.#tcp.textAt, this.#tcp.textLength);
    this.#expect(this.#tcp.sackCount <= 4 && this.#tcp.windowScale >= -1 && this.#tcp.windowScale <= 255);
    isTcpChecksumGood(bytes, at, length, family, srcAt, dstAt);
  }

  #quote(message: IcmpMessage | Icmpv6Message): void {
    const { quote } = message;
    this.#inside(message.dataAt, message.dataLength);
    if (quote.family === 0) return;
    this.#inside(quote.srcAt, quote.family === 4 ? 4 : 16);
    this.#inside(quote.upperAt, quote.upperLength);
  }

  #isGood(status: number): boolean {
    this.counts[status] = this.counts[status]! + 1;
    return status === WIRE_OK;
  }

  #inside(at: number, length: number): void {
    this.#expect(at >= 0 && length >= 0 && at + length <= this.#end);
  }

  /** As `expect`, which is too slow for a million packets. */
  #expect(holds: boolean): void {
    if (!holds) expect.fail(`a decoder points outside its packet; ${seedNote}`);
  }
}

/** Says which packet it was that threw. */
function guarded(read: () => void, what: () => string): void {
  try {
    read();
  } catch (error) {
    throw new Error(`${what()}; ${seedNote}`, { cause: error });
  }
}

const ROUNDS = 500_000;

describe('half a million mutated packets and half a million of noise', () => {
  test('captured packets with flipped, overwritten and cut bytes: nothing throws, nothing points outside (MUST-7, 768-2)', () => {
    const random = new SeededRandom(seed);
    const reader = new Reader();
    const bytes = new Uint8Array(256);
    for (let round = 0; round < ROUNDS; round++) {
      const name = CAPTURE_NAMES[random.nextUint32() % CAPTURE_NAMES.length]!;
      const packet = CAPTURED[name];
      const at = round & 7;
      bytes.set(packet, at);
      const changes = random.nextUint32() & 3;
      for (let i = 0; i <= changes; i++) {
        const where = at + 12 + (random.nextUint32() % (packet.length - 12));
        const draw = random.nextUint32();
        // Single bits, any byte, and the values that lengths and counts break at.
        bytes[where] =
          (draw & 3) === 0
            ? bytes[where]! ^ (1 << ((draw >> 4) & 7))
            : (draw & 3) === 1
              ? draw >>> 24
              : EDGES[(draw >> 4) & 7]!;
      }
      const cut = random.nextUint32() & 3;
      const length = cut === 0 ? random.nextUint32() % (packet.length + 1) : packet.length;
      guarded(
        () => reader.frame(bytes, at, length),
        () => `${name}, round ${round}`,
      );
    }
    // The fuzz reaches deep: most kinds of answers were given, and often good ones.
    expect(reader.counts[WIRE_OK]).toBeGreaterThan(ROUNDS / 2);
    expect(reader.counts.filter((count) => count > 0).length).toBeGreaterThanOrEqual(8);
  });

  test('noise given a plausible beginning, or none: nothing throws, nothing points outside', () => {
    const random = new SeededRandom(seed + 1);
    const reader = new Reader();
    const bytes = new Uint8Array(160);
    for (let round = 0; round < ROUNDS; round++) {
      const length = random.nextUint32() % 140;
      if ((round & 7) === 0) random.fill(bytes);
      else for (let i = 0; i < 8; i++) bytes[random.nextUint32() % 160] = random.nextUint32() >>> 24;
      const draw = random.nextUint32();
      guarded(
        () => {
          switch (draw & 3) {
            case 0:
              reader.frame(bytes, 1, length);
              return;
            case 1:
              ipv4Header(bytes, 20 + (draw >>> 28), length, draw);
              reader.frame(bytes, 6, length + 14);
              return;
            default:
              ipv6Header(bytes, length, draw);
              reader.frame(bytes, 6, length + 14);
          }
        },
        () => `round ${round}`,
      );
    }
    expect(reader.counts[WIRE_OK]).toBeGreaterThan(ROUNDS / 2);
  });
});

const EDGES = Uint8Array.of(0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 0x45);
const NEXT = Uint8Array.of(0, 43, 44, 60, 6, 17, 58, 59);

/** An IPv4 frame at 6 whose header may be believed: version, lengths, a protocol that is spoken. */
function ipv4Header(bytes: Uint8Array, headerLength: number, length: number, draw: number): void {
  bytes[18] = 0x08;
  bytes[19] = 0x00;
  bytes[20] = 0x40 | Math.max(5, headerLength >> 2);
  bytes[22] = 0;
  bytes[23] = length;
  bytes[29] = Uint8Array.of(1, 6, 17, 6)[(draw >> 3) & 3]!;
}

/** An IPv6 frame at 6 with a chain of extension headers more likely than not. */
function ipv6Header(bytes: Uint8Array, length: number, draw: number): void {
  bytes[18] = 0x86;
  bytes[19] = 0xdd;
  bytes[20] = 0x60;
  bytes[24] = 0;
  bytes[25] = Math.max(0, length - 40);
  bytes[26] = NEXT[(draw >> 4) & 7]!;
  for (let i = 60, shift = 7; i < 100; i += 8, shift += 3) {
    bytes[i] = NEXT[(draw >> shift) & 7]!;
    bytes[i + 1] = (draw >> (shift + 1)) & 1;
    // Padding options, or a router alert, or whatever was there.
    if ((draw >> shift) & 1) bytes.set([1, 4, 0, 0, 0, 0], i + 2);
  }
  if ((draw & 8) !== 0) bytes[60] = 133 + ((draw >>> 8) % 5);
}
