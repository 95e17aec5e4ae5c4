/** Path MTU discovery: RFC 1191, RFC 8201, RFC 5927. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PathEntry } from '../../src/host/path/types.ts';
import { seed } from '../support/seed.ts';
import { arp, count, ethernet, icmp, icmpv6, ipv4, ipv6, join, see, solicitation, u32, ZERO_MAC } from './frames.ts';
import { OUR4, OUR6, PEER_MAC, PEER4, PEER6, Station, type StationOptions } from './station.ts';

function ready(options: StationOptions = {}): Station {
  const station = new Station(options);
  station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
  station.receive(solicitation(PEER6, OUR6));
  station.sent();
  return station;
}

/** A router says that a TCP segment of ours was too big. */
function tooBig(family: 4 | 6, mtu: number, options: { length?: number; src?: string; dst?: string } = {}): Uint8Array {
  if (family === 4) {
    const { length = 1500, src = OUR4, dst = PEER4 } = options;
    const quote = ipv4({ src, dst, protocol: 6, df: true, totalLength: length }, count(7, 28));
    return ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, protocol: 1 }, icmp(3, 4, mtu, quote)));
  }
  const { src = OUR6, dst = PEER6 } = options;
  const quote = ipv6({ src, dst, next: 6 }, count(7, 40));
  const message = icmpv6(PEER6, OUR6, 2, 0, join(u32(mtu), quote));
  return ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6, next: 58 }, message));
}

const MINUTE = 60_000_000;

describe.each([4, 6] as const)('IPv%i', (family) => {
  const remote = family === 4 ? PEER4 : PEER6;

  test('a too-big message lowers the MTU of the path to what it says, and all who use it are told (1191-1, 1191-9, 8201-1, 8201-6, 4443-14)', () => {
    const station = ready();
    const path = station.path(remote);
    const seen: PathEntry[] = [];
    station.layer.observer = {
      neighborMacChanged: () => {},
      neighborResolved: () => {},
      neighborUnreachable: () => {},
      neighborDelayOver: () => false,
      nextHopChanged: () => {},
      pathMtuChanged: (changed) => seen.push(changed),
      hopLimitChanged: () => undefined,
    };
    station.receive(tooBig(family, 1400));
    expect(path.mtu).toBe(1400);
    expect(path.room).toBe(family === 4 ? 1380 : 1360);
    expect(station.tcp.mtuChanges).toEqual([1400]);
    expect(station.udp.mtuChanges).toEqual([1400]);
    expect(seen).toEqual([path]);
    expect(station.tcp.errors[0]).toMatchObject({ mtu: 1400, path, error: 'EMSGSIZE', hard: false });
    expect(station.send(path, count(0, path.room + 1), { df: true })).toBe(false);
  });

  test('repeated messages that lower nothing are told to nobody (1191-7)', () => {
    const station = ready();
    station.path(remote);
    for (let i = 0; i < 10; i++) station.receive(tooBig(family, 1400));
    expect(station.tcp.errors.length).toBe(1);
    expect(station.tcp.mtuChanges).toEqual([1400]);
  });

  test('no message raises it (1191-3, 8201-3)', () => {
    const station = ready();
    const path = station.path(remote);
    station.receive(tooBig(family, 1400));
    for (const mtu of [1400, 1401, 1500, 9000, 65_535]) station.receive(tooBig(family, mtu));
    expect(path.mtu).toBe(1400);
  });

  test('whatever is reported, the MTU only falls, and not below its bound (1191-2, 8201-2, 8201-3)', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 }), (reports) => {
        const station = ready();
        const path = station.path(remote);
        let before = path.mtu;
        for (const mtu of reports) {
          station.receive(tooBig(family, mtu));
          expect(path.mtu).toBeLessThanOrEqual(before);
          expect(path.mtu).toBeGreaterThanOrEqual(family === 4 ? 552 : 1280);
          before = path.mtu;
        }
      }),
      { seed, numRuns: 50 },
    );
  });

  test('a message about a packet that was not sent by the protocol above changes nothing (8201-5, RFC 5927 7)', () => {
    const station = ready();
    const path = station.path(remote);
    station.tcp.believes = false;
    station.receive(tooBig(family, 1400));
    expect(path.mtu).toBe(1500);
    expect(station.count('ICMP_QUOTE_BAD')).toBe(1);
  });

  test('a message about a path that is not known, or from an address that is not ours, changes nothing', () => {
    const station = ready();
    station.receive(tooBig(family, 1400));
    station.path(remote);
    station.receive(tooBig(family, 1400, { src: family === 4 ? '10.0.0.9' : 'fd00::9' }));
    expect(station.path(remote).mtu).toBe(1500);
    expect(station.count('ICMP_QUOTE_BAD')).toBe(2);
  });

  test('the estimate is kept for ten minutes after the last message, then tried again (1191-5, 1191-8, 8201-4)', () => {
    const station = ready();
    const path = station.path(remote);
    path.retain();
    station.receive(tooBig(family, 1400));
    station.runtime.advance(6 * MINUTE);
    station.receive(tooBig(family, 1300));
    station.runtime.advance(9.9 * MINUTE);
    expect(path.mtu).toBe(1300);
    station.runtime.advance(0.2 * MINUTE);
    expect(path.mtu).toBe(1500);
    expect(station.tcp.mtuChanges).toEqual([1400, 1300, 1500]);
    expect(station.count('PATH_MTU_RAISED')).toBe(1);
  });
});

describe('IPv4', () => {
  test('segments carry DF, also after a decrease (1191-10)', () => {
    const station = ready();
    const path = station.path(PEER4);
    station.receive(tooBig(4, 1400));
    station.send(path, count(0, 100), { df: true });
    expect(see(station.sent().at(-1)!).packet[6]).toBe(0x40);
  });

  test.each([
    [1500, 1492],
    [1492, 1006],
    [1006, 552],
    [576, 552],
    [100, 552],
  ])('a router that does not say its MTU: the plateau below the %i bytes it quotes (1191-4)', (length, expected) => {
    const station = ready();
    const path = station.path(PEER4);
    station.receive(tooBig(4, 0, { length }));
    expect(path.mtu).toBe(expected);
  });

  test.each([68, 100, 296, 551])(
    '%i bytes reported: the floor, and no DF below it, so that routers may fragment (1191-2, RFC 5927 7)',
    (mtu) => {
      const station = ready();
      const path = station.path(PEER4);
      station.receive(tooBig(4, mtu));
      expect(path.mtu).toBe(552);
      expect(path.mayFragment).toBe(true);
      station.send(path, count(0, 500), { df: true });
      expect(see(station.sent().at(-1)!).packet[6]).toBe(0);
      station.runtime.advance(11 * MINUTE);
      station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
      station.send(path, count(0, 500), { df: true });
      const last = station
        .sent()
        .map((frame) => see(frame).packet)
        .filter((packet) => packet[9] === 17)
        .at(-1);
      expect(last![6]).toBe(0x40);
    },
  );

  test('at the floor, old routers that say no MTU end in packets without DF, and then in silence (1191-4)', () => {
    const station = ready();
    const path = station.path(PEER4);
    for (const length of [576, 552, 552, 552]) station.receive(tooBig(4, 0, { length }));
    expect(path.mtu).toBe(552);
    expect(path.mayFragment).toBe(true);
    expect(station.tcp.mtuChanges.length).toBe(1);
  });

  test.each([1, 20, 67])('%i bytes are no MTU of any link (1191-2)', (mtu) => {
    const station = ready();
    station.path(PEER4);
    station.receive(tooBig(4, mtu));
    expect(station.path(PEER4).mtu).toBe(1500);
  });

  test('datagrams without DF are cut to the path MTU', () => {
    const station = ready();
    const path = station.path(PEER4);
    station.receive(tooBig(4, 600));
    station.send(path, count(0, 1400));
    const frames = station.sent();
    expect(frames.length).toBe(3);
    for (const frame of frames) expect(frame.length - 14).toBeLessThanOrEqual(600);
  });
});

describe('IPv6', () => {
  test.each([0, 68, 1279])('%i bytes reported: discarded, and no fragment header is added (8201-2, 8201-7)', (mtu) => {
    const station = ready();
    const path = station.path(PEER6);
    station.receive(tooBig(6, mtu));
    expect(path.mtu).toBe(1500);
    station.send(path, count(0, 100));
    expect(see(station.sent().at(-1)!).packet[6]).toBe(17);
  });
});
