/** Duplicate address detection: RFC 4862 5.4, RFC 4429, RFC 7217 6; redirects: RFC 4861 8. */
import { describe, expect, test } from 'vitest';
import { NeighborState } from '../../src/host/path/types.ts';
import {
  advertisement,
  count,
  ethernet,
  frame6,
  hex,
  ipv6,
  join,
  linkOption,
  OVERRIDE,
  SOLICITED,
  see,
  seeNd,
  solicitation,
  solicitedNode,
  typeOf6,
} from './frames.ts';
import { ip, OUR6, PEER6, ROUTER_MAC, Station, type StationOptions } from './station.ts';

const OTHER_MAC = new Uint8Array([2, 0, 0, 0, 0, 9]);
const ROUTER6 = 'fe80::fe';
const LINK_LOCAL = 'fe80::ff:fe00:1';

const bytesOf = (address: string): string => hex(ip(address).bytes);

function _knowing(options: StationOptions = {}): Station {
  const station = new Station(options);
  station.receive(solicitation(PEER6, OUR6));
  station.sent();
  return station;
}

describe('duplicate address detection', () => {
  const strict = { config: { addresses: [`${OUR6}/64`], duplicateAddressDetection: 'before-use' } } as const;

  test('after the group is joined and up to a second, one solicitation from nowhere; a second later the address is ours (4862-1, 4862-2)', () => {
    const station = new Station(strict);
    expect(see(station.ndis.sent[0]!).dst).toBe('33:33:00:00:00:16');
    expect(station.layer.isOurs(ip(OUR6))).toBe(false);
    station.runtime.advance(1_000_000);
    const questions = station.sent().filter((frame) => typeOf6(frame) === 135);
    expect(questions.length).toBe(1);
    expect(seeNd(questions[0]!)).toMatchObject({
      src: bytesOf('::'),
      dst: bytesOf(solicitedNode(OUR6)),
      target: bytesOf(OUR6),
      options: '',
    });
    station.runtime.advance(1_000_000);
    expect(station.layer.isOurs(ip(OUR6))).toBe(true);
  });

  test('a tentative address is not answered for and receives nothing (4862-3)', () => {
    const station = new Station(strict);
    expect(station.answers(solicitation(PEER6, OUR6))).toEqual([]);
    station.receive(ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6 }, count(0, 8))));
    expect(station.udp.packets).toEqual([]);
  });

  test('our own solicitation, come back from a hub, is no conflict (4862-3)', () => {
    const station = new Station(strict);
    station.runtime.advance(1_000_000);
    for (const frame of station.sent()) station.receive(frame);
    station.runtime.advance(1_000_000);
    expect(station.layer.isOurs(ip(OUR6))).toBe(true);
  });

  test.each([
    ['an advertisement for it', advertisement(OUR6, 'ff02::1', OUR6, OVERRIDE)],
    ['a test of it by another host', solicitation('::', OUR6, { link: null })],
  ])('%s while it is tested: it is not used, now or later (4862-4)', (_, frame) => {
    for (const mode of ['before-use', 'optimistic'] as const) {
      const station = new Station({ config: { ...strict.config, duplicateAddressDetection: mode } });
      station.runtime.advance(900_000);
      station.receive(frame);
      station.runtime.advance(10_000_000);
      expect(station.layer.isOurs(ip(OUR6))).toBe(false);
      expect(station.count('ADDRESS_DUPLICATE')).toBe(1);
      expect(station.udp.lost).toEqual([OUR6]);
    }
  });

  test('once it is ours, another host that claims it is counted, and the address stays', () => {
    const station = new Station(strict);
    station.runtime.advance(3_000_000);
    station.receive(advertisement(OUR6, 'ff02::1', OUR6, OVERRIDE));
    expect(station.layer.isOurs(ip(OUR6))).toBe(true);
    expect(station.count('ADDRESS_CONFLICT')).toBe(1);
    expect(station.answers(solicitation('::', OUR6, { link: null })).map(typeOf6)).toEqual([136]);
  });

  test('optimistic: used at once, but solicitations do not tell our link-layer address and answers do not override (RFC 4429)', () => {
    const station = new Station({ config: { ...strict.config, duplicateAddressDetection: 'optimistic' } });
    const [answer] = station.answers(solicitation(PEER6, OUR6));
    expect(seeNd(answer!).flags).toBe(SOLICITED);
    station.send(station.path('fd00::3'), count(0, 8));
    expect(seeNd(station.sent()[0]!).options).toBe('');
  });

  test('optimistic: who asks without a link-layer address is answered where the frame came from, as he may be testing his own address; later he is asked first (RFC 4429, RFC 4861 7.2.4)', () => {
    const station = new Station({ config: { ...strict.config, duplicateAddressDetection: 'optimistic' } });
    const [answer, ...others] = station.answers(solicitation(PEER6, OUR6, { link: null }));
    expect(others).toEqual([]);
    expect(seeNd(answer!)).toMatchObject({ type: 136, target: bytesOf(OUR6), dst: bytesOf(PEER6) });
    expect(see(answer!).dst).toBe('02:00:00:00:00:02');
    station.runtime.advance(2_000_000);
    station.sent();
    expect(station.answers(solicitation(PEER6, OUR6, { link: null })).map(typeOf6)).toEqual([135]);
  });

  test('a hardware-derived link-local address that is taken disables IPv6 on the interface (4862-4)', () => {
    const station = new Station({
      config: {
        addresses: [`${OUR6}/64`],
        linkLocal: true,
        interfaceIdentifier: 'eui64',
        duplicateAddressDetection: 'optimistic',
      },
    });
    expect(station.iface.addresses.some((entry) => entry.address.toString() === LINK_LOCAL)).toBe(true);
    station.receive(advertisement(LINK_LOCAL, 'ff02::1', LINK_LOCAL, OVERRIDE));
    expect(station.iface.isIpv6Disabled).toBe(true);
    expect(station.answers(solicitation(PEER6, OUR6))).toEqual([]);
  });

  test('a stable identifier that is taken is formed anew, three times at most (RFC 7217 6)', () => {
    const station = new Station({ config: { linkLocal: true, duplicateAddressDetection: 'optimistic' } });
    const seen = new Set<string>();
    for (let i = 0; i < 6; i++) {
      const entry = station.iface.addresses.find((one) => one.address.isLinkLocal);
      if (entry === undefined) break;
      seen.add(entry.address.toString());
      station.receive(advertisement(entry.address.toString(), 'ff02::1', entry.address.toString(), OVERRIDE));
    }
    expect(seen.size).toBe(4);
    expect(station.iface.isIpv6Disabled).toBe(false);
  });
});

describe('redirects', () => {
  const far = '2001:db8::7';
  const config = { routes: [{ to: '::/0', via: ROUTER6 }], linkLocal: true } as const;
  const redirect = (
    options: {
      src?: string;
      dst?: string;
      target?: string;
      about?: string;
      link?: Uint8Array | null;
      hops?: number;
      code?: number;
    } = {},
  ): Uint8Array => {
    const { src = ROUTER6, dst = OUR6, target = 'fe80::fd', about = far, link = OTHER_MAC } = options;
    const body = join([0, 0, 0, 0], ip(target).bytes, ip(about).bytes, link === null ? [] : linkOption(2, link));
    return frame6(src, dst, 137, body, { ...options, mac: ROUTER_MAC });
  };

  test('from the present first hop to another router: followed, with its link-layer address (4861-25)', () => {
    const station = new Station({ config });
    const path = station.path(far);
    expect(path.neighbor!.ip.toString()).toBe(ROUTER6);
    station.receive(redirect());
    expect(path.neighbor!.ip.toString()).toBe('fe80::fd');
    expect(path.neighbor!.state).toBe(NeighborState.STALE);
    expect(path.neighbor!.isRouter).toBe(true);
    station.send(path, count(0, 8));
    expect(see(station.sent()[0]!).dst).toBe(hex(OTHER_MAC));
    expect(station.path('2001:db8::8').neighbor!.ip.toString()).toBe(ROUTER6);
  });

  test('to the destination itself: it is on the link (4861-25)', () => {
    const station = new Station({ config });
    station.receive(redirect({ target: far }));
    expect(station.path(far).neighbor!.ip.toString()).toBe(far);
  });

  test.each([
    ['a hop limit below 255', redirect({ hops: 64 })],
    ['another code', redirect({ code: 1 })],
    ['a source that is not link-local', redirect({ src: PEER6 })],
    ['another router than the first hop as source', redirect({ src: 'fe80::fc' })],
    ['a group as destination', redirect({ about: 'ff02::5' })],
    ['a target that is neither a router nor the destination', redirect({ target: 'fd00::9' })],
    ['our own address as target', redirect({ target: OUR6, about: OUR6 })],
  ])('with %s: refused (4861-24)', (_, frame) => {
    const station = new Station({ config });
    expect(station.answers(frame)).toEqual([]);
    expect(station.path(far).neighbor!.ip.toString()).toBe(ROUTER6);
    expect(station.count('ND_BAD') + station.count('REDIRECT_REFUSED')).toBe(1);
  });
});
