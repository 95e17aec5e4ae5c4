/** Frames of all sorts for the tests of filter expressions, drawn from a few addresses and ports so that expressions hit. */
import type { SeededRandom } from '../../src/base/random.ts';
import { arp, ethernet, fragmentHeader, icmp, ipv4, ipv6, join, u16, u32 } from '../host-path/frames.ts';

export const ADDRESSES4: readonly string[] = ['10.0.0.1', '10.0.0.2', '10.0.1.7', '192.168.1.1', '224.0.0.5'];
export const ADDRESSES6: readonly string[] = ['fd00::1', 'fd00::2', 'fd00:0:0:1::7', 'ff02::1'];
export const PORTS: readonly number[] = [22, 80, 443, 8000, 8080];
export const MACS: readonly Uint8Array[] = [
  Uint8Array.of(2, 0, 0, 0, 0, 1),
  Uint8Array.of(2, 0, 0, 0, 0, 2),
  Uint8Array.of(0x33, 0x33, 0, 0, 0, 1),
  new Uint8Array(6).fill(255),
];

export function pick<T>(random: SeededRandom, from: readonly T[]): T {
  return from[random.nextUint32() % from.length]!;
}

export function tcp(src: number, dst: number, flags: number, text = 0): Uint8Array {
  return join(u16(src), u16(dst), u32(1), u32(2), [0x50, flags], u16(65535), u32(0), new Uint8Array(text));
}

export function udp(src: number, dst: number, text = 0): Uint8Array {
  return join(u16(src), u16(dst), u16(8 + text), u16(0), new Uint8Array(text));
}

/** What stands behind an IP header, with its protocol number. */
function upper(random: SeededRandom): { protocol: number; bytes: Uint8Array } {
  const [src, dst] = [pick(random, PORTS), pick(random, PORTS)];
  const text = random.nextUint32() % 100;
  switch (random.nextUint32() % 4) {
    case 0:
    case 1:
      return { protocol: 6, bytes: tcp(src, dst, pick(random, [2, 18, 16, 17, 20, 24]), text) };
    case 2:
      return { protocol: 17, bytes: udp(src, dst, text) };
    default:
      return { protocol: 47, bytes: new Uint8Array(20) };
  }
}

/** One frame, without VLAN tags and extension headers (which pcap treats in ways of its own). */
export function randomFrame(random: SeededRandom): Uint8Array {
  const [from, to] = [pick(random, MACS.slice(0, 2)), pick(random, MACS)];
  const [src, dst] = [pick(random, ADDRESSES4.slice(0, 4)), pick(random, ADDRESSES4)];
  const [src6, dst6] = [pick(random, ADDRESSES6.slice(0, 3)), pick(random, ADDRESSES6)];
  switch (random.nextUint32() % 8) {
    case 0:
      return arp(1 + (random.nextUint32() % 2), from, src, to, dst, to);
    case 1:
      return ethernet(
        0x0800,
        ipv4({ src, dst, protocol: 1 }, icmp(pick(random, [0, 3, 8]), 0, 0, new Uint8Array(8))),
        to,
        from,
      );
    case 2: {
      const { protocol, bytes } = upper(random);
      const offset = pick(random, [0, 8, 1480]);
      return ethernet(0x0800, ipv4({ src, dst, protocol, mf: true, offset }, bytes), to, from);
    }
    case 3:
    case 4: {
      const { protocol, bytes } = upper(random);
      return ethernet(0x86dd, ipv6({ src: src6, dst: dst6, next: protocol }, bytes), to, from);
    }
    default: {
      const { protocol, bytes } = upper(random);
      return ethernet(0x0800, ipv4({ src, dst, protocol }, bytes), to, from);
    }
  }
}

export function fragment6(src: string, dst: string, offset: number, payload: Uint8Array): Uint8Array {
  return ethernet(0x86dd, ipv6({ src, dst, next: 44 }, join(fragmentHeader(6, offset, true, 1), payload)));
}
