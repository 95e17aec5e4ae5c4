import { BlockList, isIP, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  IPV4_ANY,
  IPV4_BROADCAST,
  IPV6_ALL_NODES,
  IPV6_ALL_ROUTERS,
  IPV6_ANY,
  IpAddress,
  linkLocalAddress,
  parseIp,
  solicitedNodeAddress,
  writeAddressWords,
} from '../../src/wire/ip-address.ts';
import { parsePrefix } from '../../src/wire/ip-prefix.ts';
import {
  equalMac,
  formatMac,
  isBroadcastMac,
  isGroupMac,
  isZeroMac,
  MAC_BROADCAST,
  MAC_ZERO,
  parseMac,
  writeMulticastMac,
} from '../../src/wire/mac-address.ts';
import { fromHex, toHex } from './captures.ts';

const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** IPv6 addresses with runs of zeros, which is where their text is difficult. */
const v6 = fc
  .array(fc.oneof(fc.constant(0), fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])));
const anyAddress = fc.oneof(v4, v6);
const ip = (text: string): IpAddress => {
  const address = parseIp(text);
  if (address === null) throw new Error(`not an address: ${text}`);
  return address;
};

describe('text', () => {
  test.each([
    ['2001:0db8:0000:0000:0000:0000:0002:0001', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::ABCD', '2001:db8::abcd'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:c000:0280', '::ffff:192.0.2.128'],
    ['::ffff:192.0.2.128', '::ffff:192.0.2.128'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7.8.9.10', '1:2:3:4:5:6:708:90a'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['192.0.2.1', '192.0.2.1'],
  ])('%s is %s (RFC 5952 4)', (text, canonical) => {
    expect(ip(text).toString()).toBe(canonical);
  });

  test.each([
    '',
    ' ',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '1..2.3',
    '0x1.2.3.4',
    '1.2.3.-4',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '::1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    ':1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '::ffff:1.2.3.256',
    'fe80::1%eth0',
    '[::1]',
    '::1/64',
    'localhost',
  ])('"%s" is no address', (text) => {
    expect(parseIp(text)).toBeNull();
  });

  test('every address comes back from its text', () => {
    fc.assert(
      fc.property(anyAddress, (bytes) => {
        const address = new IpAddress(bytes);
        expect(toHex(ip(address.toString()).bytes)).toBe(toHex(bytes));
        expect(isIP(address.toString())).toBe(address.family);
      }),
    );
  });

  test('the text is what the system would write', () => {
    fc.assert(
      fc.property(v6, (bytes) => {
        const text = new IpAddress(bytes).toString();
        // inet_ntop writes ::a.b.c.d for IPv4-compatible addresses, which are no more (RFC 4291 2.5.5.1): not compared.
        fc.pre(!/^0{24}/.test(toHex(bytes)));
        expect(new SocketAddress({ address: text, family: 'ipv6' }).address).toBe(text);
      }),
    );
  });

  test('what node takes for an address is what is taken here', () => {
    const letters = fc.string({
      unit: fc.constantFrom('0', '1', '9', 'f', ':', '.', '::', '255', 'ffff', '1.2.3.4'),
      maxLength: 12,
    });
    fc.assert(
      fc.property(letters, (text) => {
        expect(parseIp(text)?.family ?? 0).toBe(isIP(text));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('kinds', () => {
  test.each([
    ['0.0.0.0', 'isUnspecified'],
    ['::', 'isUnspecified'],
    ['127.0.0.1', 'isLoopback'],
    ['127.255.255.254', 'isLoopback'],
    ['::1', 'isLoopback'],
    ['224.0.0.1', 'isMulticast'],
    ['239.255.255.255', 'isMulticast'],
    ['ff02::1', 'isMulticast'],
    ['169.254.7.7', 'isLinkLocal'],
    ['fe80::1', 'isLinkLocal'],
    ['febf::1', 'isLinkLocal'],
    ['255.255.255.255', 'isBroadcast'],
    ['10.0.0.1', null],
    ['223.255.255.255', null],
    ['240.0.0.1', null],
    ['126.255.255.255', null],
    ['169.253.0.1', null],
    ['fec0::1', null],
    ['fe00::1', null],
    ['::2', null],
    ['1::1', null],
    ['fd00::1', null],
  ] as const)('%s: %s and nothing else', (text, kind) => {
    const kinds = ['isUnspecified', 'isLoopback', 'isMulticast', 'isLinkLocal', 'isBroadcast'] as const;
    expect(kinds.filter((one) => ip(text)[one])).toEqual(kind === null ? [] : [kind]);
  });

  test('an IPv4 address goes into an IPv4-mapped one and comes back', () => {
    fc.assert(
      fc.property(v4, (bytes) => {
        const address = new IpAddress(bytes);
        const mapped = address.mapped();
        expect(mapped).toMatchObject({ family: 6, isV4Mapped: true });
        expect(mapped.unmapped().equals(address)).toBe(true);
        expect(mapped.toString()).toBe(`::ffff:${address}`);
      }),
    );
    expect(ip('fd00::1').unmapped().toString()).toBe('fd00::1');
    expect(ip('fd00::1').mapped().toString()).toBe('fd00::1');
    expect(ip('::fffe:1.2.3.4').isV4Mapped).toBe(false);
  });

  test('addresses are equal by family and bytes, also where they stand in a packet', () => {
    expect(ip('10.0.0.1').equals(ip('10.0.0.1'))).toBe(true);
    expect(ip('10.0.0.1').equals(ip('10.0.0.2'))).toBe(false);
    expect(IPV4_ANY.equals(IPV6_ANY)).toBe(false);
    const packet = fromHex('ffff0a000001');
    expect(ip('10.0.0.1').equalsAt(packet, 2)).toBe(true);
    expect(ip('10.0.0.1').equalsAt(packet, 1)).toBe(false);
    expect(IpAddress.fromBytes(packet, 2, 4).toString()).toBe('10.0.0.1');
  });

  test('well-known ones', () => {
    expect([IPV4_ANY, IPV6_ANY, IPV4_BROADCAST, IPV6_ALL_NODES, IPV6_ALL_ROUTERS].map(String)).toEqual([
      '0.0.0.0',
      '::',
      '255.255.255.255',
      'ff02::1',
      'ff02::2',
    ]);
  });

  test('the solicited-node group and the link-local address, as Linux computes them', () => {
    expect(solicitedNodeAddress(ip('fd00:9::77')).toString()).toBe('ff02::1:ff00:77');
    expect(solicitedNodeAddress(ip('4037::01:800:200e:8c6c')).toString()).toBe('ff02::1:ff0e:8c6c');
    expect(linkLocalAddress(fromHex('020000000001')).toString()).toBe('fe80::ff:fe00:1');
    expect(linkLocalAddress(fromHex('34567890abcd')).toString()).toBe('fe80::3656:78ff:fe90:abcd');
  });
});

test('four words hold any address', () => {
  fc.assert(
    fc.property(anyAddress, fc.nat(4), (bytes, base) => {
      const family = bytes.length === 4 ? 4 : 6;
      const words = new Int32Array(12).fill(7);
      const packet = new Uint8Array(40).fill(0xee);
      packet.set(bytes, 3);
      writeAddressWords(packet, 3, family, words, base);
      if (family === 4) expect([...words.subarray(base, base + 3)]).toEqual([0, 0, 0]);
      expect(words[base + 4]).toBe(7);
      const own = new DataView(bytes.buffer, bytes.byteOffset);
      const ownWords = Array.from({ length: bytes.length / 4 }, (_, i) => own.getInt32(4 * i));
      expect([...words.subarray(base + 4 - ownWords.length, base + 4)]).toEqual(ownWords);
    }),
  );
});

describe('prefixes', () => {
  test('cover what Node’s own block list covers', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.infiniteStream(fc.nat(255)),
        fc.nat(128),
        fc.nat(128),
        (isV4, stream, bits, flipped) => {
          const size = isV4 ? 4 : 16;
          const length = bits % (8 * size + 1);
          const base = Uint8Array.from({ length: size }, () => stream.next().value as number);
          const other = base.slice();
          const bit = flipped % (8 * size);
          other[bit >> 3] = other[bit >> 3]! ^ (0x80 >> (bit & 7));
          const prefix = parsePrefix(`${new IpAddress(base)}/${length}`)!;
          expect(prefix.contains(new IpAddress(base))).toBe(true);
          expect(prefix.contains(new IpAddress(other))).toBe(bit >= length);
          if (isV4 && length > 0) {
            const list = new BlockList();
            list.addSubnet(prefix.address.toString(), length, 'ipv4');
            expect(list.check(new IpAddress(other).toString(), 'ipv4')).toBe(prefix.contains(new IpAddress(other)));
          }
        },
      ),
    );
  });

  test('keep the host part, know the network and the broadcast address (1122-I28)', () => {
    const prefix = parsePrefix('10.1.2.3/20')!;
    expect(prefix.toString()).toBe('10.1.2.3/20');
    expect(prefix.network().toString()).toBe('10.1.0.0');
    expect(prefix.broadcast()!.toString()).toBe('10.1.15.255');
    expect(prefix.isBroadcastAt(fromHex('0a010fff'), 0)).toBe(true);
    expect(prefix.isBroadcastAt(fromHex('0a010ffe'), 0)).toBe(false);
    expect(prefix.isBroadcastAt(fromHex('0a011fff'), 0)).toBe(false);
    for (const text of ['10.0.0.0/31', '10.0.0.1/32', 'fd00::/64']) expect(parsePrefix(text)!.broadcast()).toBeNull();
    expect(parsePrefix('10.0.0.0/31')!.isBroadcastAt(fromHex('0a000001'), 0)).toBe(false);
    expect(parsePrefix('0.0.0.0/0')!.broadcast()!.toString()).toBe('255.255.255.255');
  });

  test('an IPv4 prefix covers no IPv6 address, nor the other way about', () => {
    expect(parsePrefix('0.0.0.0/0')!.contains(ip('::1'))).toBe(false);
    expect(parsePrefix('::/0')!.contains(ip('1.2.3.4'))).toBe(false);
  });

  test('without a length all bits count', () => {
    expect(parsePrefix('10.0.0.1')!.length).toBe(32);
    expect(parsePrefix('fd00::1')!.length).toBe(128);
  });

  test.each([
    '10.0.0.1/33',
    '10.0.0.1/',
    '10.0.0.1/-1',
    '10.0.0.1/08',
    '10.0.0.1/2x',
    '10.0.0/24',
    '::/129',
    '/24',
    '10.0.0.1/1/2',
    '10.0.0.1/ 8',
  ])('"%s" is none', (text) => {
    expect(parsePrefix(text)).toBeNull();
  });
});

describe('MAC addresses', () => {
  test('come back from their text, with either separator', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (mac) => {
        const text = formatMac(mac);
        expect(text).toMatch(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
        expect(toHex(parseMac(text)!)).toBe(toHex(mac));
        expect(toHex(parseMac(text.replaceAll(':', '-').toUpperCase())!)).toBe(toHex(mac));
      }),
    );
  });

  test.each([
    '',
    '02:00:00:00:00',
    '02:00:00:00:00:00:00',
    '2:0:0:0:0:1',
    '02:00-00:00:00:01',
    '020000000001',
    'g2:00:00:00:00:01',
  ])('"%s" is none', (text) => {
    expect(parseMac(text)).toBeNull();
  });

  test('groups go to their MAC (RFC 1112 6.4, RFC 2464 7)', () => {
    const out = new Uint8Array(8).fill(0xee);
    writeMulticastMac(ip('224.0.0.251').bytes, 0, 4, out, 1);
    expect(formatMac(out, 1)).toBe('01:00:5e:00:00:fb');
    writeMulticastMac(ip('239.255.1.2').bytes, 0, 4, out, 1);
    expect(formatMac(out, 1)).toBe('01:00:5e:7f:01:02');
    writeMulticastMac(ip('ff02::1:ff00:77').bytes, 0, 6, out, 1);
    expect(formatMac(out, 1)).toBe('33:33:ff:00:00:77');
    expect([out[0], out[7]]).toEqual([0xee, 0xee]);
  });

  test('kinds', () => {
    const macs = fromHex('ffffffffffff 3333ff000077 020000000001 000000000000');
    expect([0, 6, 12, 18].map((at) => isBroadcastMac(macs, at))).toEqual([true, false, false, false]);
    expect([0, 6, 12, 18].map((at) => isGroupMac(macs, at))).toEqual([true, true, false, false]);
    expect([0, 6, 12, 18].map((at) => isZeroMac(macs, at))).toEqual([false, false, false, true]);
    expect(equalMac(macs, 0, MAC_BROADCAST, 0)).toBe(true);
    expect(equalMac(macs, 18, MAC_ZERO, 0)).toBe(true);
    expect(equalMac(macs, 12, MAC_ZERO, 0)).toBe(false);
  });
});
