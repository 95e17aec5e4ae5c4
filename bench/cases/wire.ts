/**
 * What the codecs and the checksum cost: nanoseconds and bytes allocated per packet, and gigabytes per second summed.
 *
 * Run with `--expose-gc --min-semi-space-size=64 --max-semi-space-size=64` for the bytes; without them they are left out.
 */
import { checksumOf } from '../../src/base/checksum.ts';
import { asSeq } from '../../src/base/seq.ts';
import { decodeEthernet, EthernetFrame, EtherType, encodeEthernet } from '../../src/wire/ethernet.ts';
import { decodeIpv4, encodeIpv4Header, Ipv4Header } from '../../src/wire/ipv4.ts';
import { decodeIpv6, encodeIpv6Header, Ipv6Header } from '../../src/wire/ipv6.ts';
import { Ipv6Extensions, walkIpv6Extensions } from '../../src/wire/ipv6-extensions.ts';
import { decodeTcp, encodeTcp, isTcpChecksumGood, writeTcpChecksum } from '../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';
import { type Figure, report } from '../measure.ts';

const gc = (globalThis as { gc?: () => void }).gc;

const bytes = new Uint8Array(new ArrayBuffer(70_000));
const addresses = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
const frame = new EthernetFrame();
const ip4 = new Ipv4Header();
const ip6 = new Ipv6Header();
const out4 = Object.assign(new Ipv4Header(), { ttl: 64, protocol: 6, totalLength: 20 + 52 });
const out6 = Object.assign(new Ipv6Header(), { hopLimit: 64, nextHeader: 6, payloadLength: 52 });
const extensions = new Ipv6Extensions();
const received = new TcpSegment();
const sent = new TcpSegment();
sent.srcPort = 80;
sent.dstPort = 1234;
sent.flags = TcpFlag.ACK;
sent.hasTimestamps = true;

/** Keeps answers alive, so that nothing is optimised away. */
let kept = 0;

/** Segment `i` over IPv4, 20 bytes of text: written, read back and verified. */
function roundTrip4(i: number): void {
  sent.seq = asSeq(i);
  sent.tsVal = i;
  const at = encodeEthernet(bytes, 0, addresses, 0, addresses, 6, EtherType.IPV4, -1);
  encodeIpv4Header(bytes, at, out4, addresses, 0, addresses, 4);
  encodeTcp(bytes, at + 20, sent);
  writeTcpChecksum(bytes, at + 20, 52, 4, at + 12, at + 16);
  kept ^= decodeEthernet(bytes, 0, at + 72, frame);
  kept ^= decodeIpv4(bytes, frame.payloadAt, frame.payloadLength, ip4);
  kept ^= isTcpChecksumGood(bytes, ip4.payloadAt, ip4.payloadLength, 4, ip4.srcAt, ip4.dstAt) ? 0 : 1;
  kept ^= decodeTcp(bytes, ip4.payloadAt, ip4.payloadLength, received);
}

/** The same over IPv6, with the walk of the (empty) chain of extension headers. */
function roundTrip6(i: number): void {
  sent.seq = asSeq(i);
  sent.tsVal = i;
  const at = encodeEthernet(bytes, 0, addresses, 0, addresses, 6, EtherType.IPV6, -1);
  encodeIpv6Header(bytes, at, out6, addresses, 0, addresses, 16);
  encodeTcp(bytes, at + 40, sent);
  writeTcpChecksum(bytes, at + 40, 52, 6, at + 8, at + 24);
  kept ^= decodeEthernet(bytes, 0, at + 92, frame);
  kept ^= decodeIpv6(bytes, frame.payloadAt, frame.payloadLength, ip6);
  kept ^= walkIpv6Extensions(bytes, ip6, extensions);
  kept ^= isTcpChecksumGood(bytes, extensions.payloadAt, extensions.payloadLength, 6, ip6.srcAt, ip6.dstAt) ? 0 : 1;
  kept ^= decodeTcp(bytes, extensions.payloadAt, extensions.payloadLength, received);
}

function decodeOnly(): void {
  kept ^= decodeTcp(bytes, ip4.payloadAt, ip4.payloadLength, received);
}

function encodeOnly(i: number): void {
  sent.seq = asSeq(i);
  kept ^= encodeTcp(bytes, 34, sent);
}

function sum1460(i: number): void {
  kept ^= checksumOf(bytes, 54 + (i & 1), 1460);
}

function sum64k(i: number): void {
  kept ^= checksumOf(bytes, 54 + (i & 1), 65495);
}

/** Rounds of a measurement; the least of each figure counts. */
const ROUNDS = 3;

/** What a failing measurement looks like: one object a packet. */
const garbage: unknown[] = [null];
function control(i: number): void {
  garbage[0] = { i };
}

function measure(name: string, step: (i: number) => void, count: number): Figure[] {
  for (let i = 0; i < count; i++) step(i);
  for (let i = 0; i < count; i++) step(i);
  let ns = Number.POSITIVE_INFINITY;
  let allocated = Number.POSITIVE_INFINITY;
  // The compiler and the collector use the same heap at moments of their own: what the step allocates is in every round.
  for (let round = 0; round < ROUNDS; round++) {
    gc?.();
    const before = process.memoryUsage().heapUsed;
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) step(i);
    ns = Math.min(ns, Number(process.hrtime.bigint() - start));
    allocated = Math.min(allocated, process.memoryUsage().heapUsed - before);
  }
  const figures = [{ name: `${name}, time`, value: ns / count, unit: 'ns/packet' }];
  if (gc !== undefined) figures.push({ name: `${name}, allocated`, value: allocated / count, unit: 'B/packet' });
  return figures;
}

const CASES: readonly (readonly [name: string, step: (i: number) => void, count: number])[] = [
  ['IPv4 round trip', roundTrip4, 500_000],
  ['IPv6 round trip', roundTrip6, 500_000],
  ['decodeTcp', decodeOnly, 1_000_000],
  ['encodeTcp', encodeOnly, 1_000_000],
  ['checksum of 1460', sum1460, 300_000],
  ['checksum of 65495', sum64k, 10_000],
  ['control', control, 500_000],
];

const figures = CASES.flatMap(([name, step, count]) => measure(name, step, count));
const speed = (name: string, length: number): Figure => {
  const ns = figures.find((figure) => figure.name === `${name}, time`)!.value;
  return { name: `${name}, speed`, value: length / ns, unit: 'GB/s' };
};
figures.push(speed('checksum of 1460', 1460), speed('checksum of 65495', 65495));
// Never so: it is read only to be used.
if (kept === 0x7fffffff) process.exitCode = 1;
report(figures);
