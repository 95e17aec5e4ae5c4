import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import {
  Answer,
  type ConnectionEnds,
  Direction,
  Expression,
  FilterSyntaxError,
} from '../../src/im/match/expression.ts';
import { PcapngWriter } from '../../src/link/pcapng.ts';
import { Mdl, NetBuffer, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { arp, ethernet, frame6, icmp, ipv4, ipv6, join, u16 } from '../host-path/frames.ts';
import { ip, OUR_MAC, PEER_MAC } from '../host-path/station.ts';
import { describeIf, requires } from '../support/requires.ts';
import { seed, seedNote } from '../support/seed.ts';
import { ADDRESSES4, ADDRESSES6, fragment6, MACS, PORTS, pick, randomFrame, tcp, udp } from './random-frames.ts';

function matches(
  expression: string,
  frame: Uint8Array,
  direction: Direction = Direction.IN,
  medium: 'ethernet' | 'ip' = 'ethernet',
): boolean {
  return new Expression(expression).matchesFrame(netBufferListOver(frame).firstNetBuffer!, medium, direction);
}

const SYN = 2;
const ACK = 16;
const web = ethernet(0x0800, ipv4({ src: '10.0.0.2', dst: '10.0.0.1', protocol: 6 }, tcp(4711, 80, SYN)));
const answer6 = ethernet(0x86dd, ipv6({ src: 'fd00::1', dst: 'fd00::2', next: 6 }, tcp(443, 5000, SYN | ACK)));
const dns = ethernet(0x0800, ipv4({ src: '10.0.0.2', dst: '10.9.9.9', protocol: 17 }, udp(5353, 53, 30)));
const ping = ethernet(
  0x0800,
  ipv4({ src: '10.0.0.2', dst: '10.0.0.1', protocol: 1 }, icmp(8, 0, 1, new Uint8Array(8))),
);
const who = arp(1, PEER_MAC, '10.0.0.2', new Uint8Array(6), '10.0.0.1');
const solicit = frame6('fd00::2', 'ff02::1', 135, new Uint8Array(20));
const later = ethernet(
  0x0800,
  ipv4({ src: '10.0.0.2', dst: '10.0.0.1', protocol: 6, offset: 1480 }, tcp(4711, 80, ACK)),
);
const tagged = join(OUR_MAC, PEER_MAC, [0x81, 0], u16(7), [8, 0], web.subarray(14));

describe('what a filter expression matches', () => {
  test.each([
    ['', web, true],
    ['tcp', web, true],
    ['tcp', answer6, true],
    ['tcp', dns, false],
    ['udp port 53', dns, true],
    ['port 53', dns, true],
    ['tcp port 53', dns, false],
    ['src port 5353', dns, true],
    ['dst port 5353', dns, false],
    ['portrange 50-60', dns, true],
    ['ip', web, true],
    ['ip', answer6, false],
    ['ip6', answer6, true],
    ['host 10.0.0.1', web, true],
    ['src host 10.0.0.1', web, false],
    ['dst 10.0.0.1', web, true],
    ['src or dst host 10.0.0.2', web, true],
    ['src and dst host 10.0.0.2', web, false],
    ['host fd00::2', answer6, true],
    ['net 10.0.0.0/24', web, true],
    ['dst net 10.9.0.0/16', dns, true],
    ['net fd00::/64', answer6, true],
    ['ip6 net fd00::/64', answer6, true],
    ['ip host 10.0.0.1', who, false],
    ['arp', who, true],
    ['arp host 10.0.0.1', who, true],
    ['host 10.0.0.1', who, true],
    ['icmp', ping, true],
    ['icmp[icmptype] == icmp-echo', ping, true],
    ['icmp[icmptype] = icmp-echoreply', ping, false],
    ['icmp6', solicit, true],
    ['icmp6[icmp6type] == icmp6-neighborsolicit', solicit, true],
    ['ether multicast and ip6 multicast', solicit, true],
    ['broadcast', who, true],
    ['ether src 02:00:00:00:00:02', web, true],
    ['ether host 02:00:00:00:00:03', web, false],
    ['ether proto arp', who, true],
    ['ether proto 0x0806', who, true],
    ['ip proto 6', web, true],
    ['ip6 proto tcp', web, false],
    ['proto udp', dns, true],
    ['tcp[tcpflags] & tcp-syn != 0', web, true],
    ['tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn', web, true],
    ['tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn', answer6, false],
    ['tcp[13] & 2 != 0', dns, false],
    ['less 60', web, true],
    ['greater 60', web, false],
    ['len == 54', web, true],
    ['not tcp', dns, true],
    ['! (host 10.0.0.1 && tcp)', web, false],
    ['udp or tcp and host 1.1.1.1', dns, false],
    ['udp or (tcp and host 1.1.1.1)', dns, true],
    ['not udp and not icmp', web, true],
    ['tcp port 443 or 80', web, true],
    ['dst host 10.0.0.1 and 10.0.0.2', web, false],
    ['host 10.0.0.1 and 10.0.0.2', web, true],
    ['inbound', web, true],
    ['outbound', web, false],
    ['port 80', later, false],
    ['tcp', later, true],
    ['vlan', tagged, true],
    ['vlan 7 and tcp port 80', tagged, true],
    ['vlan 8', tagged, false],
    ['vlan', web, false],
  ] as const)("'%s'", (expression, frame, isMatch) => {
    expect(matches(expression, frame)).toBe(isMatch);
  });

  test('IPv6 extension headers are walked to the ports; a later fragment has none', () => {
    const chain = ethernet(
      0x86dd,
      ipv6({ src: 'fd00::1', dst: 'fd00::2', next: 0 }, join([6, 0, 1, 4, 0, 0, 0, 0], tcp(80, 81, ACK))),
    );
    expect(matches('tcp src port 80', chain)).toBe(true);
    expect(matches('tcp port 80', fragment6('fd00::1', 'fd00::2', 0, tcp(80, 81, ACK)))).toBe(true);
    expect(matches('tcp port 80', fragment6('fd00::1', 'fd00::2', 1480, tcp(80, 81, ACK)))).toBe(false);
  });

  test('a link of bare IP packets has no MACs, and the family is told by the version', () => {
    const packet = answer6.subarray(14);
    expect(matches('ip6 and tcp port 443', packet, Direction.OUT, 'ip')).toBe(true);
    expect(matches('ether host 02:00:00:00:00:02', packet, Direction.OUT, 'ip')).toBe(false);
    expect(matches('not broadcast', packet, Direction.OUT, 'ip')).toBe(true);
  });

  test('a frame in pieces is read as one', () => {
    const last = new Mdl(web.slice(30));
    const middle = new Mdl(web.slice(13, 30));
    const first = new Mdl(web.slice(0, 13));
    first.next = middle;
    middle.next = last;
    const nb = new NetBuffer(first, web.length);
    expect(new Expression('dst port 80').matchesFrame(nb, 'ethernet', Direction.IN)).toBe(true);
    expect(new Expression('len == 54').matchesFrame(nb, 'ethernet', Direction.IN)).toBe(true);
  });

  test('no garbage throws', () => {
    const random = new SeededRandom(seed);
    const all = new Expression('tcp port 80 or icmp6[icmp6type] == 1 or vlan 3 or ether multicast or ip6 multicast');
    for (let i = 0; i < 20_000; i++) {
      const frame = new Uint8Array(random.nextUint32() % 90);
      random.fill(frame);
      if (frame.length > 14)
        frame.set(
          pick(random, [
            [8, 0, 0x45],
            [0x86, 0xdd, 0x60],
            [8, 6, 0],
            [0x81, 0, 0],
          ]),
          12,
        );
      all.matchesFrame(netBufferListOver(frame).firstNetBuffer!, pick(random, ['ethernet', 'ip']), Direction.IN);
    }
  });
});

describe('a wrong expression says where and what was expected', () => {
  test.each([
    ['tcp prot 80', 4, "'and', 'or' or the end", "'prot'"],
    ['host', 4, 'an IPv4 or IPv6 address', 'the end'],
    ['host 10.0.0.256', 5, 'an IPv4 or IPv6 address', "'10.0.0.256'"],
    ['port 65536', 5, 'a number from 0 to 65535', "'65536'"],
    ['portrange 80-22', 10, 'a range of ports', "'80-22'"],
    ['net 10.0.0.1/8', 4, "a network without host bits ('10.0.0.0/8')", "'10.0.0.1/8'"],
    ['(tcp or udp', 11, "')'", 'the end'],
    ['tcp )', 4, "'and', 'or' or the end", "')'"],
    ['tcp and', 7, 'a primitive', 'the end'],
    ['icmp port 80', 0, "'tcp', 'udp' or nothing before 'port'", "'icmp'"],
    ['tcp host 10.0.0.1', 0, "'ip', 'ip6', 'arp', 'ether' or nothing before 'host'", "'tcp'"],
    ['tcp[syn] != 0', 4, 'tcp[tcpflags]', "'syn'"],
    ['tcp[tcpflags] & tcp-sin != 0', 16, "a number, or a name such as 'tcp-syn'", "'tcp-sin'"],
    ['tcp[tcpflags]', 13, 'a comparison', 'the end'],
    ['ether 1', 6, "'host', 'src', 'dst', 'proto', 'broadcast' or 'multicast'", "'1'"],
    ['ether host 02:00', 11, 'a MAC address', "'02:00'"],
    ['tcp # 1', 4, 'a word, a number or an operator', "'#'"],
    [`${'('.repeat(70)}tcp${')'.repeat(70)}`, 64, 'at most 64 levels of nesting', "'('"],
  ])("'%s'", (expression, position, expected, found) => {
    let error: unknown;
    try {
      new Expression(expression);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(FilterSyntaxError);
    const { message, position: at } = error as FilterSyntaxError;
    expect(at).toBe(position);
    expect(message).toContain(`at ${position}: expected ${expected}`);
    expect(message).toContain(`found ${found}`);
    expect(message.split('\n')[2]).toBe(`  ${' '.repeat(position)}^`);
  });
});

const ends: ConnectionEnds = {
  localAddress: ip('10.0.0.1').bytes,
  localPort: 80,
  remoteAddress: ip('10.0.0.2').bytes,
  remotePort: 4711,
};

describe('what is known of a connection that is offloaded past', () => {
  test.each([
    ['tcp port 80', Answer.YES],
    ['host 10.0.0.2', Answer.YES],
    ['src port 80 and outbound', Answer.YES],
    ['src port 80 and inbound', Answer.NO],
    ['udp', Answer.NO],
    ['ip6', Answer.NO],
    ['net 10.1.0.0/16', Answer.NO],
    ['tcp[tcpflags] & tcp-syn != 0', Answer.MAYBE],
    ['port 80 and greater 1000', Answer.MAYBE],
    ['port 81 and greater 1000', Answer.NO],
    ['ether host 02:00:00:00:00:02', Answer.MAYBE],
    ['not port 80', Answer.NO],
    ['not vlan 7', Answer.MAYBE],
  ])("'%s'", (expression, expected) => {
    expect(new Expression(expression).ofConnection(ends)).toBe(expected);
  });

  test('never says no of a connection one of whose segments matches, nor yes of one none of whose segments does', () => {
    const random = new SeededRandom(seed);
    for (let i = 0; i < 3000; i++) {
      const [local, remote] = [pick(random, ADDRESSES4), pick(random, ADDRESSES4)];
      const [localPort, remotePort] = [pick(random, PORTS), pick(random, PORTS)];
      const text = randomExpression(random, 0);
      const expression = new Expression(text);
      const known = expression.ofConnection({
        localAddress: ip(local).bytes,
        localPort,
        remoteAddress: ip(remote).bytes,
        remotePort,
      });
      let hits = 0;
      for (let segment = 0; segment < 8; segment++) {
        const flags = pick(random, [2, 16, 17, 24]);
        const out = segment % 2 === 0;
        const frame = ethernet(
          0x0800,
          ipv4(
            { src: out ? local : remote, dst: out ? remote : local, protocol: 6 },
            out ? tcp(localPort, remotePort, flags, segment * 30) : tcp(remotePort, localPort, flags, segment * 30),
          ),
          pick(random, MACS),
          pick(random, MACS),
        );
        if (matches(text, frame, out ? Direction.OUT : Direction.IN)) hits++;
      }
      if (known === Answer.NO) expect(hits, `${text}; ${seedNote}`).toBe(0);
      if (known === Answer.YES) expect(hits, `${text}; ${seedNote}`).toBeGreaterThan(0);
    }
  });
});

/** An expression of the part of the language that pcap treats alike. */
function randomExpression(random: SeededRandom, depth: number): string {
  const side = (): string => pick(random, ['', 'src ', 'dst ', 'src or dst ', 'src and dst ']);
  const mac = (): string => [...pick(random, MACS)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
  const inner = (): string => randomExpression(random, depth + 1);
  if (depth < 3 && random.nextUint32() % 2 === 0) {
    return pick(random, [
      () => `${inner()} and ${inner()}`,
      () => `${inner()} or ${inner()}`,
      () => `not ${inner()}`,
      () => `(${inner()})`,
      () => `(${inner()} or ${inner()}) and not (${inner()})`,
    ])();
  }
  return pick(random, [
    () =>
      pick(random, [
        'ip',
        'ip6',
        'arp',
        'tcp',
        'udp',
        'icmp',
        'multicast',
        'broadcast',
        'ip multicast',
        'ip6 multicast',
      ]),
    () => `${pick(random, ['', 'tcp ', 'udp '])}${side()}port ${pick(random, PORTS)}`,
    () => `${pick(random, ['', 'tcp ', 'udp '])}${side()}portrange ${pick(random, ['1-79', '80-443', '8000-9000'])}`,
    () => `${pick(random, ['', 'ip ', 'arp '])}${side()}host ${pick(random, ADDRESSES4)}`,
    () => `${side()}host ${pick(random, ADDRESSES6)}`,
    () =>
      `${side()}net ${pick(random, ['10.0.0.0/24', '10.0.0.0/8', '192.168.0.0/16', '0.0.0.0/0', 'fd00::/64', 'fd00::/16'])}`,
    () => `ether ${pick(random, ['src ', 'dst ', ''])}host ${mac()}`,
    () => `ether proto ${pick(random, ['0x0800', '0x86dd', '0x0806', '0x1234'])}`,
    () => `${pick(random, ['ip ', 'ip6 '])}proto ${pick(random, [6, 17, 47])}`,
    () => `(ip and tcp[tcpflags] & (tcp-syn|tcp-fin) ${pick(random, ['!=', '=='])} ${pick(random, ['0', 'tcp-syn'])})`,
    () => `(ip and icmp[icmptype] ${pick(random, ['==', '!=', '>'])} ${pick(random, ['icmp-echo', '0', '3'])})`,
    () => `${pick(random, ['less', 'greater'])} ${pick(random, [60, 80, 100])}`,
    () => `tcp port ${pick(random, PORTS)} or ${pick(random, PORTS)}`,
  ])();
}

describeIf(requires.program('tcpdump'), 'against libpcap', () => {
  test('150 random expressions match the same of 120 random frames as tcpdump says', () => {
    const random = new SeededRandom(seed);
    const frames = Array.from({ length: 120 }, () => randomFrame(random));
    const pieces: Uint8Array[] = [];
    const file = new PcapngWriter({ write: (piece) => pieces.push(piece) });
    frames.forEach((frame, i) => {
      file.packet(0, 0, frame, 0, frame.length, i + 1);
    });
    file.flush();
    const input = Buffer.concat(pieces);
    for (let i = 0; i < 150; i++) {
      const text = randomExpression(random, 0);
      const ours = frames.flatMap((frame, n) => (matches(text, frame) ? [n + 1] : []));
      const run = spawnSync('tcpdump', ['-r', '-', '-n', '-tt', '-q', text], { input, encoding: 'utf8' });
      // An expression that cannot be true of any packet is refused by libpcap with those words.
      if (run.stderr.includes('expression rejects all packets')) {
        expect(ours, `${text}; ${seedNote}`).toEqual([]);
        continue;
      }
      expect(run.status, run.stderr).toBe(0);
      const theirs = [...run.stdout.matchAll(/^0\.(\d{6}) /gm)].map((match) => Number(match[1]));
      expect(ours, `${text}; ${seedNote}`).toEqual(theirs);
    }
  }, 60_000);
});
