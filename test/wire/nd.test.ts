import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeIcmpv6, Icmpv6Message, Icmpv6Type } from '../../src/wire/icmpv6.ts';
import { decodeIpv6, Ipv6Header } from '../../src/wire/ipv6.ts';
import { encodeMldReport, MldRecord } from '../../src/wire/mld.ts';
import {
  decodeNd,
  decodePrefixInformation,
  isNdAcceptable,
  isNdType,
  ND_LIFETIME_INFINITE,
  ND_PREFIXES_MAX,
  NdMessage,
  NeighborFlag,
  PrefixFlag,
  PrefixInformation,
  RouterFlag,
} from '../../src/wire/nd.ts';
import {
  type AdvertisedPrefix,
  encodeNeighborAdvertisement,
  encodeNeighborSolicitation,
  encodeRedirect,
  encodeRouterAdvertisement,
  encodeRouterSolicitation,
} from '../../src/wire/nd-encode.ts';
import { WIRE_BAD_LENGTH, WIRE_BAD_OPTION, WIRE_BAD_TYPE, WIRE_OK, WIRE_SHORT } from '../../src/wire/status.ts';
import { CAPTURED, fromHex, placed, toHex } from './captures.ts';

const AT = 54;
const SRC_AT = 22;
const DST_AT = 38;
const LINUX_MAC = fromHex('020000000001');

/** Decodes the IPv6 frame at an odd place; checks its checksum on the way. */
function decodeFrame(frame: Uint8Array): { bytes: Uint8Array; ip: Ipv6Header; nd: NdMessage; status: number } {
  const bytes = placed(frame, 3);
  const ip = new Ipv6Header();
  expect(decodeIpv6(bytes, 3 + 14, frame.length - 14, ip)).toBe(WIRE_OK);
  const message = new Icmpv6Message();
  expect(decodeIcmpv6(bytes, ip.payloadAt, ip.payloadLength, ip.srcAt, ip.dstAt, message)).toBe(WIRE_OK);
  const nd = new NdMessage();
  return { bytes, ip, nd, status: decodeNd(bytes, ip.payloadAt, ip.payloadLength, nd) };
}

/** The frame with `message` in place of its payload, written by `encode`, which answers the length. */
function rewritten(frame: Uint8Array, encode: (bytes: Uint8Array) => number): Uint8Array {
  // Not zero before: a reserved field that is not written shows.
  const bytes = new Uint8Array(AT + 1400).fill(0xee);
  bytes.set(frame.subarray(0, AT));
  const length = encode(bytes);
  bytes[14 + 4] = length >> 8;
  bytes[14 + 5] = length;
  return bytes.slice(0, AT + length);
}

describe('captured messages', () => {
  test('a neighbor solicitation with a source link-layer address, and ours', () => {
    const { bytes, ip, nd, status } = decodeFrame(CAPTURED.NS);
    expect(status).toBe(WIRE_OK);
    expect(nd.type).toBe(Icmpv6Type.NEIGHBOR_SOLICITATION);
    expect(toHex(bytes, nd.targetAt, 16)).toBe('fd000009000000000000000000000077');
    expect(toHex(bytes, nd.sourceLinkAt, 6)).toBe('020000000001');
    expect(nd.targetLinkAt).toBe(-1);
    expect(isNdAcceptable(bytes, ip, nd)).toBe(true);
    const target = fromHex('fd000009000000000000000000000077');
    const own = rewritten(CAPTURED.NS, (out) =>
      encodeNeighborSolicitation(out, AT, target, 0, LINUX_MAC, SRC_AT, DST_AT),
    );
    expect(toHex(own)).toBe(toHex(CAPTURED.NS));
  });

  test('duplicate address detection: from nobody, with an unknown option, which is skipped (4861-26)', () => {
    const { bytes, ip, nd, status } = decodeFrame(CAPTURED.NS_DAD);
    expect(status).toBe(WIRE_OK);
    expect(nd).toMatchObject({ sourceLinkAt: -1, targetLinkAt: -1 });
    expect(isNdAcceptable(bytes, ip, nd)).toBe(true);
  });

  test('a solicited advertisement, and ours', () => {
    const { bytes, ip, nd, status } = decodeFrame(CAPTURED.NA);
    expect(status).toBe(WIRE_OK);
    expect(nd).toMatchObject({ type: Icmpv6Type.NEIGHBOR_ADVERTISEMENT, flags: NeighborFlag.SOLICITED });
    expect(toHex(bytes, nd.targetAt, 16)).toBe('fd000009000000000000000000000001');
    expect(isNdAcceptable(bytes, ip, nd)).toBe(true);
    const target = fromHex('fd000009000000000000000000000001');
    const own = rewritten(CAPTURED.NA, (out) =>
      encodeNeighborAdvertisement(out, AT, NeighborFlag.SOLICITED, target, 0, null, SRC_AT, DST_AT),
    );
    expect(toHex(own)).toBe(toHex(CAPTURED.NA));
  });

  test('a router solicitation, and ours', () => {
    const { bytes, ip, nd, status } = decodeFrame(CAPTURED.ROUTER_SOLICITATION);
    expect(status).toBe(WIRE_OK);
    expect(toHex(bytes, nd.sourceLinkAt, 6)).toBe('020000000001');
    expect(isNdAcceptable(bytes, ip, nd)).toBe(true);
    const own = rewritten(CAPTURED.ROUTER_SOLICITATION, (out) =>
      encodeRouterSolicitation(out, AT, LINUX_MAC, SRC_AT, DST_AT),
    );
    expect(toHex(own)).toBe(toHex(CAPTURED.ROUTER_SOLICITATION));
  });

  test('a listener report: ours is Linux’s (4861-12)', () => {
    const bytes = CAPTURED.MLD2_REPORT.slice();
    bytes.fill(0xee, 62);
    const group = fromHex('ff0200000000000000000001ff000001');
    expect(encodeMldReport(bytes, 62, MldRecord.TO_EXCLUDE, [group], SRC_AT, DST_AT)).toBe(28);
    expect(toHex(bytes)).toBe(toHex(CAPTURED.MLD2_REPORT));
  });

  test('a listener report of several groups: one record each, in their order', () => {
    const bytes = new Uint8Array(AT + 8 + 60).fill(0xee);
    bytes.set(CAPTURED.MLD2_REPORT.subarray(0, AT));
    const groups = ['1', '2', '3'].map((last) => fromHex(`ff02000000000000000000000000000${last}`));
    expect(encodeMldReport(bytes, AT, MldRecord.IS_EXCLUDE, groups, SRC_AT, DST_AT)).toBe(68);
    expect(toHex(bytes, AT, 8)).toMatch(/^8f00....00000003$/);
    groups.forEach((group, i) => {
      expect(toHex(bytes, AT + 8 + 20 * i, 20)).toBe(`02000000${toHex(group)}`);
    });
  });
});

describe('router advertisements', () => {
  const prefix: fc.Arbitrary<AdvertisedPrefix> = fc.record({
    prefix: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    prefixLength: fc.nat(128),
    flags: fc.constantFrom(0, PrefixFlag.ON_LINK, PrefixFlag.AUTONOMOUS, PrefixFlag.ON_LINK | PrefixFlag.AUTONOMOUS),
    validLifetimeS: fc.oneof(fc.nat(), fc.constant(ND_LIFETIME_INFINITE)),
    preferredLifetimeS: fc.oneof(fc.nat(), fc.constant(ND_LIFETIME_INFINITE)),
  });

  test('what is written is read back, up to the bound of prefixes (4861-4)', () => {
    fc.assert(
      fc.property(
        fc.record({
          hopLimit: fc.nat(255),
          flags: fc.constantFrom(0, RouterFlag.MANAGED, RouterFlag.OTHER),
          routerLifetimeS: fc.nat(0xffff),
          reachableTimeMs: fc.oneof(fc.nat(), fc.constant(0xffffffff)),
          retransTimerMs: fc.nat(),
          sourceLink: fc.option(fc.uint8Array({ minLength: 6, maxLength: 6 })),
          mtu: fc.oneof(fc.constant(0), fc.nat(65535)),
          prefixes: fc.array(prefix, { maxLength: ND_PREFIXES_MAX + 2 }),
        }),
        (said) => {
          const frame = rewritten(CAPTURED.ROUTER_SOLICITATION, (out) =>
            encodeRouterAdvertisement(out, AT, said, SRC_AT, DST_AT),
          );
          const { bytes, ip, nd, status } = decodeFrame(frame);
          expect(status).toBe(WIRE_OK);
          expect(isNdAcceptable(bytes, ip, nd)).toBe(true);
          const { hopLimit, flags, routerLifetimeS, reachableTimeMs, retransTimerMs, mtu } = said;
          expect(nd).toMatchObject({ hopLimit, flags, routerLifetimeS, reachableTimeMs, retransTimerMs, mtu });
          if (said.sourceLink === null) expect(nd.sourceLinkAt).toBe(-1);
          else expect(toHex(bytes, nd.sourceLinkAt, 6)).toBe(toHex(said.sourceLink));
          expect(nd.prefixCount).toBe(Math.min(said.prefixes.length, ND_PREFIXES_MAX));
          const info = new PrefixInformation();
          for (let i = 0; i < nd.prefixCount; i++) {
            decodePrefixInformation(bytes, nd.prefixAt[i]!, info);
            const { prefix: address, ...rest } = said.prefixes[i]!;
            expect(info).toMatchObject(rest);
            expect(toHex(bytes, info.prefixAt, 16)).toBe(toHex(address));
            // Reserved2 is written as zero. RFC 4861 4.6.2.
            expect(toHex(bytes, info.prefixAt - 4, 4)).toBe('00000000');
          }
        },
      ),
    );
  });
});

describe('redirects', () => {
  const router = fromHex('fe8000000000000000000000000000fe');
  const destination = fromHex('fd000009000000000000000000000099');

  function redirect(target: Uint8Array, to: Uint8Array): { status: number; isAcceptable: boolean } {
    const frame = rewritten(CAPTURED.ROUTER_SOLICITATION, (out) =>
      encodeRedirect(out, AT, target, to, LINUX_MAC, SRC_AT, DST_AT),
    );
    const { bytes, ip, nd, status } = decodeFrame(frame);
    expect(toHex(bytes, nd.targetAt, 16) + toHex(bytes, nd.destinationAt, 16)).toBe(toHex(target) + toHex(to));
    expect(toHex(bytes, nd.targetLinkAt, 6)).toBe('020000000001');
    return { status, isAcceptable: isNdAcceptable(bytes, ip, nd) };
  }

  test('to a router or to the destination itself are sound, all others not (4861-24)', () => {
    expect(redirect(router, destination)).toEqual({ status: WIRE_OK, isAcceptable: true });
    expect(redirect(destination, destination)).toEqual({ status: WIRE_OK, isAcceptable: true });
    expect(redirect(fromHex('fd000009000000000000000000000098'), destination).isAcceptable).toBe(false);
    expect(redirect(router, fromHex('ff020000000000000000000000000001')).isAcceptable).toBe(false);
  });
});

describe('what the packet around a message must be', () => {
  /** Whether the captured message is acceptable after `change` to its bytes (offsets of the frame). */
  function acceptableAfter(frame: Uint8Array, change: (bytes: Uint8Array) => void): boolean {
    const { bytes, ip, nd } = decodeFrame(frame);
    change(bytes.subarray(3));
    ip.hopLimit = bytes[3 + 14 + 7]!;
    return isNdAcceptable(bytes, ip, nd);
  }

  test.each(['NS', 'NS_DAD', 'NA', 'ROUTER_SOLICITATION'] as const)(
    '%s: hop limit 255 and no other (4861-2, 4861-10)',
    (name) => {
      for (const hops of [0, 1, 64, 254]) {
        expect(acceptableAfter(CAPTURED[name], (bytes) => (bytes[21] = hops))).toBe(false);
      }
    },
  );

  test('solicitations and advertisements about a group are refused (4861-10, 4861-11)', () => {
    expect(acceptableAfter(CAPTURED.NS, (bytes) => (bytes[AT + 8] = 0xff))).toBe(false);
    expect(acceptableAfter(CAPTURED.NA, (bytes) => (bytes[AT + 8] = 0xff))).toBe(false);
  });

  test('a solicited advertisement to a group is refused, an unsolicited one not (4861-11)', () => {
    expect(acceptableAfter(CAPTURED.NA, (bytes) => (bytes[DST_AT] = 0xff))).toBe(false);
    const unsolicited = rewritten(CAPTURED.NA, (out) =>
      encodeNeighborAdvertisement(out, AT, NeighborFlag.OVERRIDE, CAPTURED.NA, SRC_AT, LINUX_MAC, SRC_AT, DST_AT),
    );
    expect(acceptableAfter(unsolicited, (bytes) => (bytes[DST_AT] = 0xff))).toBe(true);
  });

  test('from nobody: only to the solicited-node group, and without a link-layer address (4861-10)', () => {
    const fromNobody = (bytes: Uint8Array): void => void bytes.fill(0, SRC_AT, SRC_AT + 16);
    expect(acceptableAfter(CAPTURED.NS, fromNobody)).toBe(false);
    expect(acceptableAfter(CAPTURED.NS_DAD, (bytes) => (bytes[DST_AT + 11] = 0))).toBe(false);
    expect(acceptableAfter(CAPTURED.ROUTER_SOLICITATION, fromNobody)).toBe(false);
    const bare = rewritten(CAPTURED.ROUTER_SOLICITATION, (out) =>
      encodeRouterSolicitation(out, AT, null, SRC_AT, DST_AT),
    );
    expect(acceptableAfter(bare, fromNobody)).toBe(true);
  });

  test('router advertisements come from a link-local address (4861-2)', () => {
    const said = { hopLimit: 64, flags: 0, routerLifetimeS: 1800, reachableTimeMs: 0, retransTimerMs: 0 };
    const frame = rewritten(CAPTURED.ROUTER_SOLICITATION, (out) =>
      encodeRouterAdvertisement(out, AT, { ...said, sourceLink: null, mtu: 0, prefixes: [] }, SRC_AT, DST_AT),
    );
    expect(acceptableAfter(frame, () => {})).toBe(true);
    expect(acceptableAfter(frame, (bytes) => (bytes[SRC_AT] = 0xfd))).toBe(false);
  });
});

describe('messages that lie', () => {
  /** Bytes of each message without options. */
  const LEAST = new Map([
    [133, 8],
    [134, 16],
    [135, 24],
    [136, 24],
    [137, 40],
  ]);

  test('only codes of zero and the five types are read (4861-2, 4861-10, 4861-11)', () => {
    for (let type = 0; type < 256; type++) {
      const length = LEAST.get(type) ?? 40;
      const bytes = new Uint8Array(40);
      bytes[0] = type;
      expect(isNdType(type)).toBe(type >= 133 && type <= 137);
      expect(decodeNd(bytes, 0, length, new NdMessage())).toBe(isNdType(type) ? WIRE_OK : WIRE_BAD_TYPE);
      bytes[1] = 1;
      expect(decodeNd(bytes, 0, length, new NdMessage())).toBe(WIRE_BAD_TYPE);
    }
  });

  test('each type has its least length: 8, 16, 24, 24, 40 (4861-2, 4861-10)', () => {
    for (const [type, least] of LEAST) {
      const bytes = new Uint8Array(48);
      bytes[0] = type;
      for (let length = 0; length < least; length++) {
        expect(decodeNd(bytes, 0, length, new NdMessage())).toBe(length < 8 ? WIRE_SHORT : WIRE_BAD_LENGTH);
      }
      expect(decodeNd(bytes, 0, least, new NdMessage())).toBe(WIRE_OK);
    }
  });

  const withOption = (hex: string): { status: number; nd: NdMessage } => {
    const option = fromHex(hex);
    const bytes = new Uint8Array(8 + option.length);
    bytes[0] = Icmpv6Type.ROUTER_SOLICITATION;
    bytes.set(option, 8);
    const nd = new NdMessage();
    return { status: decodeNd(placed(bytes, 0), 0, bytes.length, nd), nd };
  };

  test('an option of length zero discards the packet, wherever it stands (4861-26)', () => {
    expect(withOption('0100020000000001').status).toBe(WIRE_BAD_OPTION);
    expect(withOption('fd00000000000000').status).toBe(WIRE_BAD_OPTION);
    expect(withOption('01010200000000010500000000000578').status).toBe(WIRE_BAD_OPTION);
  });

  test('an option that runs over the end discards the packet', () => {
    expect(withOption('0102020000000001').status).toBe(WIRE_BAD_OPTION);
    expect(withOption('01').status).toBe(WIRE_BAD_OPTION);
    expect(withOption('01ff020000000001').status).toBe(WIRE_BAD_OPTION);
  });

  test('a known option of another length than its own is skipped', () => {
    expect(withOption(`0102${'00'.repeat(14)}0501000000000578`)).toMatchObject({
      status: WIRE_OK,
      nd: { sourceLinkAt: -1, mtu: 1400 },
    });
    expect(withOption(`0301${'00'.repeat(6)}`).nd.prefixCount).toBe(0);
    expect(withOption(`030481c0${'00'.repeat(28)}`).nd.prefixCount).toBe(0);
    expect(withOption(`030480c0${'00'.repeat(28)}`).nd.prefixCount).toBe(1);
  });
});
