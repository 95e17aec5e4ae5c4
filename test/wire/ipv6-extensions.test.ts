import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeIpv6, encodeIpv6Header, Ipv6Header } from '../../src/wire/ipv6.ts';
import {
  encodeIpv6FragmentHeader,
  IPV6_EXTENSIONS_MAX,
  IPV6_OPTIONS_MAX,
  Ipv6Extensions,
  isHeaderChainComplete,
  ParameterProblem,
  walkIpv6Extensions,
} from '../../src/wire/ipv6-extensions.ts';
import { encodeRouterAlertHeader } from '../../src/wire/mld.ts';
import { IpProtocol } from '../../src/wire/protocol.ts';
import {
  WIRE_DISCARD,
  WIRE_OK,
  WIRE_PARAMETER_PROBLEM,
  WIRE_SHORT,
  WIRE_TOO_MANY,
  type WireStatus,
} from '../../src/wire/status.ts';
import { CAPTURED, fromHex } from './captures.ts';

const { HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS, TCP, UDP, NO_NEXT_HEADER, ICMPV6 } = IpProtocol;

/** One extension header without its next-header byte. */
interface Extension {
  readonly protocol: number;
  /** The header from its second byte on. */
  readonly rest: string;
}

const padding = (protocol: number): Extension => ({ protocol, rest: '00 0104 00000000' });
const fragment = (offset: number, more: boolean, id = '00000007'): Extension => ({
  protocol: FRAGMENT,
  rest: `00 ${(offset | (more ? 1 : 0)).toString(16).padStart(4, '0')} ${id}`,
});

/** A packet at offset 2 of its bytes: the extensions in their order, then `upper` and `payload` bytes of 0xab. */
function packet(
  extensions: readonly Extension[],
  upper: number,
  payload = 24,
): { bytes: Uint8Array; header: Ipv6Header } {
  const chain: number[] = [];
  extensions.forEach((extension, i) => {
    chain.push(extensions[i + 1]?.protocol ?? upper, ...fromHex(extension.rest));
  });
  const header = new Ipv6Header();
  header.nextHeader = extensions[0]?.protocol ?? upper;
  header.payloadLength = chain.length + payload;
  const bytes = new Uint8Array(2 + 40 + chain.length + payload + 5).fill(0xab);
  encodeIpv6Header(bytes, 2, header, new Uint8Array(16), 0, new Uint8Array(16), 0);
  bytes.set(chain, 42);
  expect(decodeIpv6(bytes, 2, bytes.length - 2, header)).toBe(WIRE_OK);
  return { bytes, header };
}

function walk(
  extensions: readonly Extension[],
  upper = UDP as number,
  payload = 24,
): { status: WireStatus; out: Ipv6Extensions } {
  const { bytes, header } = packet(extensions, upper, payload);
  const out = new Ipv6Extensions();
  return { status: walkIpv6Extensions(bytes, header, out), out };
}

describe('walking the chain', () => {
  test('of a captured listener report: hop-by-hop with a router alert, then ICMPv6', () => {
    const bytes = CAPTURED.MLD2_REPORT.subarray(14);
    const header = new Ipv6Header();
    const out = new Ipv6Extensions();
    expect(decodeIpv6(bytes, 0, bytes.length, header)).toBe(WIRE_OK);
    expect(walkIpv6Extensions(bytes, header, out)).toBe(WIRE_OK);
    expect(out).toMatchObject({ protocol: ICMPV6, protocolNamedAt: 40, payloadAt: 48, payloadLength: 28 });
    expect(out.hasRouterAlert).toBe(true);
    const own = new Uint8Array(8);
    encodeRouterAlertHeader(own, 0, ICMPV6);
    expect(own).toEqual(bytes.slice(40, 48));
  });

  test('without extensions it ends where it began, and the header itself names the protocol', () => {
    const { status, out } = walk([], TCP);
    expect(status).toBe(WIRE_OK);
    expect(out).toMatchObject({ protocol: TCP, protocolNamedAt: 8, payloadAt: 42, payloadLength: 24 });
  });

  test('headers in any order and number, hop-by-hop first, lead to the same end (8200-2, 8200-5)', () => {
    const kind = fc.constantFrom(padding(DESTINATION_OPTIONS), padding(ROUTING), fragment(0, false));
    fc.assert(
      fc.property(fc.boolean(), fc.array(kind, { maxLength: IPV6_EXTENSIONS_MAX - 1 }), (hopByHop, rest) => {
        // A routing header with nothing left to visit: its second word's last byte is zero.
        const chain = (hopByHop ? [padding(HOP_BY_HOP)] : []).concat(
          rest.map((one) => (one.protocol === ROUTING ? { protocol: ROUTING, rest: '00 0000 00000000' } : one)),
        );
        const { status, out } = walk(chain);
        expect(status).toBe(WIRE_OK);
        expect(out).toMatchObject({ protocol: UDP, payloadAt: 42 + 8 * chain.length, payloadLength: 24 });
      }),
    );
  });

  test('more headers than the bound are given up (8200-5)', () => {
    const headers = (count: number): Extension[] => new Array<Extension>(count).fill(padding(DESTINATION_OPTIONS));
    expect(walk(headers(IPV6_EXTENSIONS_MAX)).status).toBe(WIRE_OK);
    expect(walk(headers(IPV6_EXTENSIONS_MAX + 1)).status).toBe(WIRE_TOO_MANY);
  });

  test('hop-by-hop anywhere but first is a next header that is not known, code 1 (8200-4)', () => {
    const { status, out } = walk([padding(DESTINATION_OPTIONS), padding(HOP_BY_HOP)]);
    expect(status).toBe(WIRE_PARAMETER_PROBLEM);
    expect(out).toMatchObject({
      problemCode: ParameterProblem.NEXT_HEADER,
      problemAt: 42,
      isProblemForMulticast: false,
    });
  });

  test('every other protocol ends the walk, and the place that names it is known (8200-3, 8200-22)', () => {
    for (let protocol = 0; protocol < 256; protocol++) {
      if ([HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS].includes(protocol as never)) continue;
      const { status, out } = walk([padding(DESTINATION_OPTIONS)], protocol);
      expect(status).toBe(WIRE_OK);
      expect(out).toMatchObject({ protocol, protocolNamedAt: 42 });
    }
    expect(walk([], NO_NEXT_HEADER).out.protocol).toBe(NO_NEXT_HEADER);
  });

  test('a header that runs over the end is short, at every cut', () => {
    for (const length of ['00', '01', '02', 'ff']) {
      const { bytes, header } = packet([{ protocol: DESTINATION_OPTIONS, rest: `${length} 0104 00000000` }], UDP, 0);
      for (let cut = 0; cut < 8; cut++) {
        header.payloadLength = cut;
        expect(walkIpv6Extensions(bytes, header, new Ipv6Extensions())).toBe(WIRE_SHORT);
      }
      header.payloadLength = 8;
      expect(walkIpv6Extensions(bytes, header, new Ipv6Extensions())).toBe(length === '00' ? WIRE_OK : WIRE_SHORT);
    }
  });

  test('a record is filled afresh by each walk', () => {
    const out = new Ipv6Extensions();
    const first = packet([padding(HOP_BY_HOP), fragment(8, true)], UDP);
    walkIpv6Extensions(first.bytes, first.header, out);
    const second = packet([], TCP);
    walkIpv6Extensions(second.bytes, second.header, out);
    const fresh = new Ipv6Extensions();
    walkIpv6Extensions(second.bytes, second.header, fresh);
    expect(out).toEqual(fresh);
  });
});

describe('routing headers', () => {
  test.each([0, 1, 2, 3, 4, 253])(
    'type %i: skipped with nothing left to visit, else code 0 at the type (8200-8, 5095-1)',
    (type) => {
      const hex = type.toString(16).padStart(2, '0');
      expect(walk([{ protocol: ROUTING, rest: `00 ${hex}00 00000000` }]).status).toBe(WIRE_OK);
      const { status, out } = walk([{ protocol: ROUTING, rest: `00 ${hex}01 00000000` }]);
      expect(status).toBe(WIRE_PARAMETER_PROBLEM);
      expect(out).toMatchObject({ problemCode: ParameterProblem.HEADER, problemAt: 44 });
    },
  );
});

describe('options', () => {
  const option = (type: number): Extension => ({
    protocol: DESTINATION_OPTIONS,
    rest: `00 ${type.toString(16).padStart(2, '0')}02 0000 0100`,
  });

  test('unknown ones: 00 skips, 01 drops, 10 reports always, 11 reports unless to a group (8200-6)', () => {
    for (let type = 0; type < 256; type++) {
      if ([0, 1, 5].includes(type)) continue;
      const { status, out } = walk([option(type)]);
      if (type >> 6 === 0) expect(status).toBe(WIRE_OK);
      else if (type >> 6 === 1) expect(status).toBe(WIRE_DISCARD);
      else {
        expect(status).toBe(WIRE_PARAMETER_PROBLEM);
        expect(out).toMatchObject({ problemCode: ParameterProblem.OPTION, problemAt: 44 });
        expect(out.isProblemForMulticast).toBe(type >> 6 === 2);
      }
    }
  });

  test('Pad1 and PadN in all forms are skipped (8200-7)', () => {
    for (const rest of [
      '00 0000 00000000',
      '00 0100 0100 0100',
      '00 0104 00000000',
      '00 0001 0300 0000',
      `01 010c${'00'.repeat(12)}`,
    ]) {
      expect(walk([{ protocol: DESTINATION_OPTIONS, rest }]).status).toBe(WIRE_OK);
    }
  });

  test('one that runs over the end of its header is a problem with its length, code 0', () => {
    const { status, out } = walk([{ protocol: HOP_BY_HOP, rest: '00 0105 00000000' }]);
    expect(status).toBe(WIRE_PARAMETER_PROBLEM);
    expect(out).toMatchObject({ problemCode: ParameterProblem.HEADER, problemAt: 45 });
    expect(walk([{ protocol: HOP_BY_HOP, rest: '00 0000 00000005' }]).status).toBe(WIRE_PARAMETER_PROBLEM);
  });

  test('more of them than the bound are given up', () => {
    const flood = (bytes: number): Extension => ({
      protocol: DESTINATION_OPTIONS,
      rest: ((bytes + 2) / 8 - 1).toString(16).padStart(2, '0') + '00'.repeat(bytes),
    });
    expect(walk([flood(30)]).status).toBe(WIRE_OK);
    expect(walk([flood(30), flood(6)]).status).toBe(WIRE_TOO_MANY);
    expect(IPV6_OPTIONS_MAX).toBe(32);
  });
});

describe('fragment headers', () => {
  test('a fragment ends the walk, with all that reassembly needs', () => {
    const { status, out } = walk([padding(HOP_BY_HOP), fragment(1448, true, 'fedcba98')], UDP);
    expect(status).toBe(WIRE_OK);
    expect(out).toMatchObject({ isFragment: true, hasFragmentHeader: true, fragmentHeaderAt: 50, fragmentNamedAt: 42 });
    expect(out).toMatchObject({ fragmentOffset: 1448, moreFragments: true, fragmentId: 0xfedcba98 | 0 });
    expect(out).toMatchObject({ protocol: UDP, payloadAt: 58, payloadLength: 24 });
  });

  test('a captured one', () => {
    const bytes = new Uint8Array(40 + 0xc0);
    bytes.set(
      fromHex(
        '6007589200c02c40fd000009000000000000000000000001fd000009000000000000000000000002 11000b5049537d57 48494a4b',
      ),
    );
    const header = new Ipv6Header();
    const out = new Ipv6Extensions();
    expect(decodeIpv6(bytes, 0, bytes.length, header)).toBe(WIRE_OK);
    expect(walkIpv6Extensions(bytes, header, out)).toBe(WIRE_OK);
    expect(out).toMatchObject({ fragmentOffset: 2896, moreFragments: false, fragmentId: 0x49537d57, isFragment: true });
    expect(out.payloadLength).toBe(0xc0 - 8);
  });

  test('an atomic fragment is a whole packet, and the chain goes on behind it (8200-16, 6946-1)', () => {
    const { status, out } = walk([fragment(0, false), padding(DESTINATION_OPTIONS)], TCP);
    expect(status).toBe(WIRE_OK);
    expect(out).toMatchObject({ isFragment: false, hasFragmentHeader: true, protocol: TCP, payloadAt: 58 });
  });

  test('one that is not the last and no multiple of eight long: code 0 at the payload length (8200-12)', () => {
    for (let payload = 16; payload <= 24; payload++) {
      const { status, out } = walk([fragment(8, true)], UDP, payload);
      expect(status).toBe(payload % 8 === 0 ? WIRE_OK : WIRE_PARAMETER_PROBLEM);
      if (payload % 8 !== 0) expect(out).toMatchObject({ problemCode: ParameterProblem.HEADER, problemAt: 2 + 4 });
      expect(walk([fragment(8, false)], UDP, payload).status).toBe(WIRE_OK);
    }
  });

  test('one that ends beyond 65535 bytes: code 0 at the fragment offset (8200-13)', () => {
    expect(walk([fragment(65504, true)], UDP, 24).status).toBe(WIRE_OK);
    expect(walk([fragment(65512, false)], UDP, 23).status).toBe(WIRE_OK);
    const { status, out } = walk([fragment(65512, false)], UDP, 24);
    expect(status).toBe(WIRE_PARAMETER_PROBLEM);
    expect(out).toMatchObject({ problemCode: ParameterProblem.HEADER, problemAt: 44 });
    // The headers in front of it count too.
    expect(walk([padding(HOP_BY_HOP), fragment(65512, false)], UDP, 16).status).toBe(WIRE_PARAMETER_PROBLEM);
    expect(walk([padding(HOP_BY_HOP), fragment(65512, false)], UDP, 15).status).toBe(WIRE_OK);
  });

  test('what is written is read back', () => {
    fc.assert(
      fc.property(fc.nat(0x1fff), fc.boolean(), fc.integer(), fc.nat(255), (units, more, id, next) => {
        fc.pre(units > 0 || more);
        const { bytes, header } = packet([fragment(0, false)], UDP, 0);
        encodeIpv6FragmentHeader(bytes, 42, next, 8 * units, more, id);
        const out = new Ipv6Extensions();
        expect(walkIpv6Extensions(bytes, header, out)).toBe(WIRE_OK);
        expect(out).toMatchObject({ fragmentOffset: 8 * units, moreFragments: more, fragmentId: id, protocol: next });
      }),
    );
  });
});

describe('the header chain in a first fragment (8200-14, 7112-1)', () => {
  const first = (behind: readonly Extension[], upper: number, payload: number): boolean => {
    const { bytes, header } = packet([fragment(0, true), ...behind], upper, payload);
    const out = new Ipv6Extensions();
    header.payloadLength &= ~7;
    expect(walkIpv6Extensions(bytes, header, out)).toBe(WIRE_OK);
    return isHeaderChainComplete(bytes, out);
  };

  test('is whole with the upper-layer header in it, and not without', () => {
    expect(first([], TCP, 24)).toBe(true);
    expect(first([], TCP, 16)).toBe(false);
    expect(first([], UDP, 8)).toBe(true);
    expect(first([], UDP, 0)).toBe(false);
    expect(first([], ICMPV6, 8)).toBe(true);
    expect(first([], 253, 0)).toBe(true);
  });

  test('is not whole when an extension header runs out of it', () => {
    expect(first([padding(DESTINATION_OPTIONS)], UDP, 8)).toBe(true);
    expect(first([padding(DESTINATION_OPTIONS)], UDP, 0)).toBe(false);
    expect(first([{ protocol: DESTINATION_OPTIONS, rest: '02 0104 00000000' }], UDP, 8)).toBe(false);
  });
});
