/** Source and destination address selection: RFC 6724; RFC 1122 3.3.4.3. */
import { describe, expect, test } from 'vitest';
import { type Candidate, orderDestinations, scopeOf, selectSource } from '../../src/host/path/source-selection.ts';
import { AddressState, Interface, InterfaceAddress } from '../../src/host/path/types.ts';
import { parsePrefix } from '../../src/wire/ip-prefix.ts';
import { ip, OUR4, Station } from './station.ts';

/** An interface with these addresses; a '~' in front: deprecated, '?': tentative, '!': optimistic. */
function interfaceWith(...texts: string[]): Interface {
  const iface = new Interface('eth0', 1, 'ethernet', new Uint8Array(6), 1500, { addresses: [] });
  for (const text of texts) {
    const mark = text[0]!;
    const states: Record<string, AddressState> = {
      '~': AddressState.DEPRECATED,
      '?': AddressState.TENTATIVE,
      '!': AddressState.OPTIMISTIC,
    };
    const state = states[mark];
    const entry = new InterfaceAddress(iface, parsePrefix(state === undefined ? text : text.slice(1))!, 'manual');
    if (state !== undefined) entry.state = state;
    iface.addresses.push(entry);
  }
  return iface;
}

const sourceFor = (remote: string, ...texts: string[]): string | null =>
  selectSource(interfaceWith(...texts), ip(remote))?.address.toString() ?? null;

describe('sources (6724-1)', () => {
  test.each([
    // RFC 6724 10.1, and the rules one by one
    ['rule 1, the same address', 'fd00::2', ['fd00::1/64', 'fd00::2/64'], 'fd00::2'],
    ['rule 2, scope', '2001:db8:1::1', ['2001:db8:3::1/64', 'fe80::1/64'], '2001:db8:3::1'],
    ['rule 2, scope, other order', '2001:db8:1::1', ['fe80::1/64', '2001:db8:3::1/64'], '2001:db8:3::1'],
    ['rule 2, a link-local destination', 'fe80::9', ['2001:db8:3::1/64', 'fe80::1/64'], 'fe80::1'],
    ['rule 2, a link-local group', 'ff02::1', ['2001:db8:3::1/64', 'fe80::1/64'], 'fe80::1'],
    ['rule 2, a global group', 'ff0e::1', ['fe80::1/64', '2001:db8:3::1/64'], '2001:db8:3::1'],
    ['rule 3, deprecated', '2001:db8:1::1', ['~2001:db8:1::2/64', '2001:db8:3::1/64'], '2001:db8:3::1'],
    ['rule 3, deprecated is better than none', '2001:db8:1::1', ['~2001:db8:1::2/64'], '2001:db8:1::2'],
    ['rule 3, still tested', '2001:db8:1::1', ['!2001:db8:1::2/64', '2001:db8:3::1/64'], '2001:db8:3::1'],
    [
      'rule 6, label',
      '2002:c633:6401::1',
      ['2001:db8:1::2/64', '2002:c633:6401::d5e3:7953:13eb:22e8/64'],
      '2002:c633:6401:0:d5e3:7953:13eb:22e8',
    ],
    ['rule 6, unique local', 'fd11::1', ['2001:db8:1::2/64', 'fd22::1/64'], 'fd22::1'],
    ['rule 8, longest prefix', '2001:db8:1::1', ['2001:db8:3::2/64', '2001:db8:1::2/64'], '2001:db8:1::2'],
    ['rule 8, no further than the prefix', '2001:db8:1::7', ['2001:db8:1::1/64', '2001:db8:1::6/64'], '2001:db8:1::1'],
    ['rule 8 for IPv4', '10.0.1.1', ['10.0.2.1/24', '10.0.1.9/24'], '10.0.1.9'],
    ['IPv4 scope', '169.254.1.1', ['10.0.0.1/24', '169.254.7.7/16'], '169.254.7.7'],
  ] as const)('%s', (_, remote, texts, expected) => {
    expect(sourceFor(remote, ...texts)).toBe(expected);
  });

  test('tentative addresses and other families are no candidates (6724-2)', () => {
    expect(sourceFor('2001:db8:1::1', '?2001:db8:1::2/64', '10.0.0.1/24')).toBeNull();
  });

  test('an explicit choice is respected if it is ours, an error if it is not (6724-2)', () => {
    const station = new Station({ config: { addresses: ['10.0.0.1/24', '10.0.0.3/24', 'fd00::1/64'] } });
    expect(station.path('10.0.0.2', '10.0.0.3').local.toString()).toBe('10.0.0.3');
    expect(station.layer.routeTo(ip('10.0.0.2'), ip('10.0.0.4'))).toBe('EADDRNOTAVAIL');
    expect(station.layer.routeTo(ip('fd00::2'), ip('ff02::1'))).toBe('EADDRNOTAVAIL');
    expect(station.layer.routeTo(ip('fd00::2'), ip('::'))).toBe('EADDRNOTAVAIL');
    expect(station.layer.routeTo(ip('fd00::2'), ip(OUR4))).toBe('EINVAL');
  });
});

describe('destinations (6724-3)', () => {
  const order = (pairs: readonly (readonly [string, string | null])[]): string[] => {
    const candidates = pairs.map(([remote, source]): Candidate => {
      if (source === null) return { remote: ip(remote), source: null };
      return { remote: ip(remote), source: interfaceWith(source).addresses[0]! };
    });
    return orderDestinations(candidates).map((candidate) => candidate.remote.toString());
  };

  test.each([
    [
      'rule 1, unreachable ones last',
      [
        ['2001:db8:1::1', null],
        ['198.51.100.121', '198.51.100.117/24'],
      ],
      '198.51.100.121',
    ],
    [
      'rule 2, matching scope',
      [
        ['2001:db8:1::1', 'fe80::1/64'],
        ['198.51.100.121', '198.51.100.117/24'],
      ],
      '198.51.100.121',
    ],
    [
      'rule 3, deprecated source',
      [
        ['2001:db8:1::1', '~2001:db8:1::2/64'],
        ['2001:db8:2::1', '2001:db8:2::2/64'],
      ],
      '2001:db8:2::1',
    ],
    [
      'rule 5, matching label',
      [
        ['2002:c633:6401::1', '2001:db8:1::2/64'],
        ['2001:db8:2::1', '2001:db8:2::2/64'],
      ],
      '2001:db8:2::1',
    ],
    [
      'rule 6, precedence: IPv6 before IPv4',
      [
        ['10.1.2.3', '10.1.2.4/24'],
        ['2001:db8:1::1', '2001:db8:1::2/64'],
      ],
      '2001:db8:1::1',
    ],
    [
      'rule 6, unique local behind IPv4',
      [
        ['fd00::1', 'fd00::2/64'],
        ['10.1.2.3', '10.1.2.4/24'],
      ],
      '10.1.2.3',
    ],
    [
      'rule 8, smaller scope',
      [
        ['2001:db8:1::1', '2001:db8:1::2/64'],
        ['fe80::1', 'fe80::2/64'],
      ],
      'fe80::1',
    ],
    [
      'rule 9, longest prefix',
      [
        ['2001:db8:1::1', '2001:db8:9::2/64'],
        ['2001:db8:2::1', '2001:db8:2::2/64'],
      ],
      '2001:db8:2::1',
    ],
    [
      'rule 10, otherwise as given',
      [
        ['10.0.0.5', '10.0.0.1/24'],
        ['10.0.0.6', '10.0.0.1/24'],
      ],
      '10.0.0.5',
    ],
  ] as const)('%s', (_, pairs, first) => {
    expect(order(pairs)[0]).toBe(first);
  });

  test('the layer orders what a name resolved to', () => {
    const station = new Station();
    const ordered = station.layer.orderDestinations([ip('192.0.2.1'), ip('10.0.0.2'), ip('fd00::2'), ip('::1')]);
    expect(ordered.map(String)).toEqual(['::1', '10.0.0.2', 'fd00::2', '192.0.2.1']);
  });

  test('scopes of RFC 4291 2.7', () => {
    expect(
      ['::1', 'fe80::1', 'fec0::1', '2001:db8::1', 'ff01::1', 'ff02::1', 'ff0e::1', '127.0.0.1', '10.0.0.1'].map(
        (text) => scopeOf(ip(text)),
      ),
    ).toEqual([2, 2, 5, 14, 1, 2, 14, 2, 14]);
  });
});
