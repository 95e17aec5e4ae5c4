/**
 * What the network does to segments, and what it says about them: IP options, extension headers, fragments in every order and overlapping,
 * headers that lie; ICMP errors of every kind about what was sent, and about what was not. RFC 791, 8200, 5722, 1122, 1191, 8201, 5927.
 */
import { write16, write32 } from '../../../../src/base/bytes.ts';
import { writeIpv4Checksum } from '../../../../src/wire/ipv4.ts';
import { parsePacket } from '../../../support/packet-script/segment-text.ts';
import type { RawPeer } from './raw-peer.ts';
import type { Packets, Script, Step } from './script.ts';
import type { Family } from './subject.ts';

const OPEN: readonly string[] = ['< S 0:0(0) win 65535 <mss 1460>', '< . 1:1(0) ack 1'];
/** What tells whether it was taken, and that nothing was disturbed. */
const TELL: readonly string[] = ['< P. 1:101(100) ack 1', '< P. 101:111(10) ack 1', 'write 10'];
/** The segment that all the packets bring. */
const TEXT = 'P. 1:101(100) ack 1';

const bytes = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
const says = (what: string, make: Packets['make']): Packets => ({ says: `< ${TEXT} ${what}`, make });

/** An IPv4 packet with `options` in its header; `change` bends the header before its checksum is made. */
function withOptions(options: string, change: (header: Uint8Array) => void = () => {}): Packets {
  return says(`with IP options ${options}`, (peer) => {
    const packet = peer.packet(parsePacket(TEXT));
    const more = bytes(options);
    const out = new Uint8Array(packet.length + more.length);
    out.set(packet.subarray(0, 20));
    out.set(more, 20);
    out.set(packet.subarray(20), 20 + more.length);
    out[0] = 0x40 | (5 + more.length / 4);
    write16(out, 2, out.length);
    change(out);
    writeIpv4Checksum(out, 0, 20 + more.length);
    return out;
  });
}

/** The whole packet, bent. */
const bent = (what: string, change: (packet: Uint8Array) => Uint8Array | undefined): Packets =>
  says(what, (peer) => {
    const packet = peer.packet(parsePacket(TEXT));
    return change(packet) ?? packet;
  });

/** One part of a datagram: bytes [from, to) of what is behind the IP header. */
interface Part {
  readonly from: number;
  readonly to: number;
  /** Whether it says that more follow; default: unless it is the end. */
  readonly more?: boolean;
  /** Overwrites what it brings, so that one can see whose bytes were taken. */
  readonly isForged?: boolean;
}

let datagrams = 1;

/** The segment in parts. */
const inParts = (what: string, ...parts: readonly Part[]): Packets =>
  says(`in parts: ${what}`, (peer) => {
    const id = datagrams++;
    const packet = peer.packet(parsePacket(TEXT));
    return parts.map((part) => (peer.family === 4 ? part4(packet, part, id) : part6(packet, part, id)));
  });

function part4(packet: Uint8Array, { from, to, more, isForged }: Part, id: number): Uint8Array {
  const out = new Uint8Array(20 + to - from);
  out.set(packet.subarray(0, 20));
  out.set(packet.subarray(20 + from, 20 + to), 20);
  if (isForged === true) out.fill(0xee, 20);
  write16(out, 2, out.length);
  write16(out, 4, id);
  const hasMore = more ?? 20 + to < packet.length;
  write16(out, 6, (hasMore ? 0x2000 : 0) | (from >> 3));
  writeIpv4Checksum(out, 0, 20);
  return out;
}

function part6(packet: Uint8Array, { from, to, more, isForged }: Part, id: number): Uint8Array {
  const out = new Uint8Array(48 + to - from);
  out.set(packet.subarray(0, 40));
  out.set(packet.subarray(40 + from, 40 + to), 48);
  if (isForged === true) out.fill(0xee, 48);
  write16(out, 4, out.length - 40);
  out[6] = 44;
  out[40] = 6;
  const hasMore = more ?? 40 + to < packet.length;
  write16(out, 42, (from & ~7) | (hasMore ? 1 : 0));
  write32(out, 44, id);
  return out;
}

/** IPv6 with these headers between; `first`: what the fixed header says comes next. */
const withHeaders = (what: string, first: number, hex: string): Packets =>
  says(`with ${what}`, (peer) => {
    const packet = peer.packet(parsePacket(TEXT));
    const more = bytes(hex);
    const out = new Uint8Array(packet.length + more.length);
    out.set(packet.subarray(0, 40));
    out.set(more, 40);
    out.set(packet.subarray(40), 40 + more.length);
    out[6] = first;
    write16(out, 4, out.length - 40);
    return out;
  });

const four = (name: string, ...steps: Step[]): Script => ({
  name: `IPv4: ${name}`,
  steps: [...OPEN, ...steps, ...TELL],
});
const six = (name: string, ...steps: Step[]): Script => ({
  name: `IPv6: ${name}`,
  family: 6,
  steps: [...OPEN, ...steps, ...TELL],
});

/** The segment has 120 bytes. */
const PARTS: readonly (readonly [name: string, ...parts: Part[]])[] = [
  ['two', { from: 0, to: 64 }, { from: 64, to: 120 }],
  ['two, the last first', { from: 64, to: 120 }, { from: 0, to: 64 }],
  ['three, shuffled', { from: 40, to: 80 }, { from: 80, to: 120 }, { from: 0, to: 40 }],
  ['the first twice', { from: 0, to: 64 }, { from: 0, to: 64 }, { from: 64, to: 120 }],
  ['the last twice', { from: 64, to: 120 }, { from: 64, to: 120 }, { from: 0, to: 64 }],
  ['an overlap in the middle', { from: 0, to: 64 }, { from: 56, to: 120 }],
  ['an overlap that is forged', { from: 0, to: 64 }, { from: 32, to: 64, isForged: true }, { from: 64, to: 120 }],
  ['a forged one over the first', { from: 0, to: 64, isForged: true }, { from: 0, to: 64 }, { from: 64, to: 120 }],
  ['a part inside of another', { from: 0, to: 80 }, { from: 16, to: 40 }, { from: 80, to: 120 }],
  ['a part that covers another', { from: 16, to: 40 }, { from: 0, to: 80 }, { from: 80, to: 120 }],
  ['one that is missing', { from: 0, to: 40 }, { from: 80, to: 120 }],
  ['a first part of eight bytes', { from: 0, to: 8 }, { from: 8, to: 120 }],
  ['a part that is no multiple of eight', { from: 0, to: 60, more: true }, { from: 64, to: 120 }],
  ['only one, and no more', { from: 0, to: 120 }],
  ['only one, and more', { from: 0, to: 120, more: true }],
  ['two ends', { from: 64, to: 120 }, { from: 0, to: 64 }, { from: 40, to: 80, more: false }],
  ['text behind the end', { from: 64, to: 104, more: false }, { from: 104, to: 120, more: true }, { from: 0, to: 64 }],
  [
    'an end in front of what came',
    { from: 64, to: 120, more: true },
    { from: 40, to: 80, more: false },
    { from: 0, to: 64 },
  ],
];

const HEADERS: readonly (readonly [name: string, first: number, hex: string])[] = [
  ['a hop-by-hop header of PadN', 0, '0600010400000000'],
  ['a hop-by-hop header of Pad1', 0, '0600000000000000'],
  ['a destination header of PadN', 60, '0600010400000000'],
  ['an option to be skipped', 60, '06000a0400000000'],
  ['an option to be discarded for', 60, '06004a0400000000'],
  ['an option to be discarded for and told of', 60, '06008a0400000000'],
  ['an option to be discarded for and told of unless multicast', 60, '0600ca0400000000'],
  ['a hop-by-hop option to be told of', 0, '06008a0400000000'],
  ['an option that is longer than its header', 60, '06000a0900000000'],
  ['a router alert', 0, '0600050200000100'],
  ['a hop-by-hop header behind another', 60, '0000010400000000' + '0600010400000000'],
  ['two destination headers', 60, '3c00010400000000' + '0600010400000000'],
  ['a routing header of type 0, used up', 43, '0602000000000000' + 'fd000209000000000000000000000002'],
  ['a routing header of type 0, not used up', 43, '0602000100000000' + 'fd000209000000000000000000000002'],
  ['a routing header of an unknown type, used up', 43, '0600fd0000000000'],
  ['a routing header of an unknown type, not used up', 43, '0600fd0100000000'],
  ['a next header that nobody knows', 253, ''],
  ['no next header', 59, ''],
  ['an unknown next header behind an option header', 60, 'fd00010400000000'],
  ['a header that is longer than the packet', 60, '06ff010400000000'],
  ['a fragment header of a whole packet', 44, '0600000000000001'],
  ['a fragment header with reserved bits', 44, '06ff000600000002'],
];

const V4_OPTIONS: readonly (readonly [name: string, hex: string])[] = [
  ['NOPs', '01010101'],
  ['an end', '00000000'],
  ['a record of the route', '0707040000000000'],
  ['a timestamp', '4408050000000000'],
  ['a router alert', '94040000'],
  ['an unknown one', '9e040000'],
  ['an unknown one of length 0', '9e000000'],
  ['an unknown one of length 1', '9e010000'],
  ['an unknown one that is too long', '9e080000'],
  ['a loose source route that is used up', '830708' + '0ad10002' + '00'],
  ['a loose source route that is not', '830704' + '0ad10007' + '00'],
  ['a strict source route that is not', '890704' + '0ad10007' + '00'],
];

function ipScripts(): Script[] {
  return [
    ...V4_OPTIONS.map(([name, hex]) => four(`options: ${name}`, withOptions(hex))),
    four(
      'a header checksum that is wrong',
      bent('header checksum', (p) => void p.fill(p[10]! ^ 1, 10, 11)),
    ),
    four(
      'a total length beyond the packet',
      bent('total length', (p) => {
        write16(p, 2, p.length + 8);
        writeIpv4Checksum(p, 0, 20);
        return p;
      }),
    ),
    four(
      'a total length below the packet',
      bent('padded', (p) => {
        const out = new Uint8Array(p.length + 8).fill(0xaa);
        out.set(p);
        return out;
      }),
    ),
    four(
      'a TTL of 0',
      bent('TTL 0', (p) => {
        p[8] = 0;
        writeIpv4Checksum(p, 0, 20);
        return p;
      }),
    ),
    four(
      'a TTL of 1',
      bent('TTL 1', (p) => {
        p[8] = 1;
        writeIpv4Checksum(p, 0, 20);
        return p;
      }),
    ),
    four(
      'the reserved flag',
      bent('reserved flag', (p) => {
        p[6]! |= 0x80;
        writeIpv4Checksum(p, 0, 20);
        return p;
      }),
    ),
    four(
      'a source that is a broadcast address',
      bent('from a broadcast address', (p) => {
        p.fill(0xff, 12, 16);
        writeIpv4Checksum(p, 0, 20);
        return p;
      }),
    ),
    four(
      'an unknown protocol',
      bent('protocol 253', (p) => {
        p[9] = 253;
        writeIpv4Checksum(p, 0, 20);
        return p;
      }),
    ),
    six(
      'a hop limit of 0',
      bent('hop limit 0', (p) => void p.fill(0, 7, 8)),
    ),
    six(
      'a hop limit of 1',
      bent('hop limit 1', (p) => void p.fill(1, 7, 8)),
    ),
    six(
      'a payload length beyond the packet',
      bent('payload length', (p) => void write16(p, 4, p.length)),
    ),
    six(
      'padding',
      bent('padded', (p) => {
        const out = new Uint8Array(p.length + 8).fill(0xaa);
        out.set(p);
        return out;
      }),
    ),
    six(
      'a flow label and a traffic class',
      bent('flow label', (p) => void write32(p, 0, 0x6ff12345 | 0)),
    ),
    ...HEADERS.map(([name, first, hex]) => six(name, withHeaders(name, first, hex))),
    ...PARTS.flatMap(([name, ...parts]) => [
      four(`fragments: ${name}`, inParts(name, ...parts)),
      six(`fragments: ${name}`, inParts(name, ...parts)),
    ]),
  ];
}

/** Which of the subject's packets an ICMP error quotes. */
interface Quote {
  readonly says: string;
  readonly of: (peer: RawPeer) => Uint8Array;
}

const sent: Quote = { says: 'about what was sent', of: (peer) => peer.lastSent! };
const cut: Quote = {
  says: 'about eight bytes of what was sent',
  of: (peer) => peer.lastSent!.slice(0, (peer.family === 4 ? 20 : 40) + 8),
};
const foreign = (what: string, change: (quoted: Uint8Array, at: number) => void): Quote => ({
  says: `about ${what}`,
  of: (peer) => {
    const quoted = peer.lastSent!.slice();
    change(quoted, peer.family === 4 ? 20 : 40);
    return quoted;
  },
});
const QUOTES: readonly Quote[] = [
  sent,
  cut,
  foreign('a number that was acknowledged', (q, at) =>
    write32(q, at + 4, (((q[at + 4]! << 24) | (q[at + 5]! << 16) | (q[at + 6]! << 8) | q[at + 7]!) - 5000) | 0),
  ),
  foreign('a number that was not sent', (q, at) =>
    write32(q, at + 4, (((q[at + 4]! << 24) | (q[at + 5]! << 16) | (q[at + 6]! << 8) | q[at + 7]!) + 5000) | 0),
  ),
  foreign('another port', (q, at) => write16(q, at, 9)),
];

const icmp = (type: number, code: number, rest: number, quote: Quote): Packets => ({
  says: `< icmp ${type}/${code} (${rest}) ${quote.says}`,
  make: (peer) => peer.icmp(type, code, rest, quote.of(peer)),
});

/** Destination unreachable, time exceeded, parameter problem, source quench. */
const ERRORS: Readonly<Record<Family, readonly (readonly [type: number, code: number])[]>> = {
  4: [
    ...Array.from({ length: 16 }, (_, code) => [3, code] as const).filter(([, code]) => code !== 4),
    [11, 0],
    [11, 1],
    [12, 0],
    [4, 0],
  ],
  6: [...Array.from({ length: 8 }, (_, code) => [1, code] as const), [3, 0], [3, 1], [4, 0], [4, 1], [4, 2]],
};

const MTUS: readonly number[] = [1000, 1492, 1500, 9000, 576, 552, 296, 68, 20, 0];

function icmpScripts(): Script[] {
  const out: Script[] = [];
  for (const family of [4, 6] as const) {
    const tooBig = (mtu: number, quote: Quote): Packets =>
      family === 4 ? icmp(3, 4, mtu, quote) : icmp(2, 0, mtu, quote);
    for (const [type, code] of ERRORS[family]) {
      out.push(
        {
          name: `IPv${family}: an error ${type}/${code} for an open`,
          family,
          steps: ['connect', icmp(type, code, 0, sent), '< S. 0:0(0) ack 1 win 65535 <mss 1460>', 'write 10'],
        },
        {
          name: `IPv${family}: an error ${type}/${code} for what is in flight`,
          family,
          steps: [...OPEN, 'write 100', icmp(type, code, 0, sent), '< . 1:1(0) ack 101', 'write 10'],
        },
      );
    }
    for (const mtu of MTUS) {
      out.push({
        name: `PMTU: IPv${family}, ${mtu}`,
        family,
        steps: [...OPEN, 'write 4000', tooBig(mtu, sent), '< . 1:1(0) ack 4001', 'write 4000'],
      });
    }
    for (const quote of QUOTES) {
      out.push({
        name: `PMTU: IPv${family}, ${quote.says}`,
        family,
        steps: [...OPEN, 'write 4000', tooBig(1300, quote), '< . 1:1(0) ack 4001', 'write 4000'],
      });
    }
    out.push({
      name: `PMTU: IPv${family}, for a SYN`,
      family,
      steps: ['connect', tooBig(1300, sent), '< S. 0:0(0) ack 1 win 65535 <mss 1460>', 'write 4000'],
    });
    out.push({
      name: `PMTU: IPv${family}, smaller and smaller`,
      family,
      steps: [...OPEN, 'write 4000', tooBig(1400, sent), tooBig(1300, sent), '< . 1:1(0) ack 4001', 'write 4000'],
    });
  }
  return out;
}

/** All of them. */
export function networkScripts(): Script[] {
  return [...ipScripts(), ...icmpScripts()];
}
