import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ARP_LENGTH, ArpOperation, ArpPacket, decodeArp, encodeArp } from '../../src/wire/arp.ts';
import {
  decodeEthernet,
  ETHERNET_HEADER_LENGTH,
  EthernetFrame,
  EtherType,
  encodeEthernet,
  NO_VLAN,
  vlanTci,
} from '../../src/wire/ethernet.ts';
import { WIRE_BAD_LENGTH, WIRE_BAD_TYPE, WIRE_OK, WIRE_SHORT } from '../../src/wire/status.ts';
import { CAPTURED, fromHex, placed, toHex } from './captures.ts';

const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });
const ip = fc.uint8Array({ minLength: 4, maxLength: 4 });

describe('Ethernet', () => {
  test('a captured frame: addresses, type, payload', () => {
    const bytes = placed(CAPTURED.UDP4, 5);
    const frame = new EthernetFrame();
    expect(decodeEthernet(bytes, 5, CAPTURED.UDP4.length, frame)).toBe(WIRE_OK);
    expect(toHex(bytes, frame.dstAt, 6)).toBe('020000000002');
    expect(toHex(bytes, frame.srcAt, 6)).toBe('020000000001');
    expect(frame).toMatchObject({ etherType: EtherType.IPV4, tagged: false, vlanId: 0, headerLength: 14 });
    expect(frame).toMatchObject({ payloadAt: 19, payloadLength: 33 });
  });

  test('an 802.1Q tag: VLAN 5, priority 3, and the type behind it', () => {
    const bytes = fromHex('ffffffffffff 020000000001 8100 6005 0806 0001');
    const frame = new EthernetFrame();
    expect(decodeEthernet(bytes, 0, bytes.length, frame)).toBe(WIRE_OK);
    expect(frame).toMatchObject({ etherType: EtherType.ARP, tagged: true, vlanId: 5, priority: 3 });
    expect(frame).toMatchObject({ headerLength: 18, payloadAt: 18, payloadLength: 2 });
  });

  test('a record that held a tagged frame forgets the tag', () => {
    const frame = new EthernetFrame();
    decodeEthernet(fromHex('ffffffffffff0200000000018100ffff0806'), 0, 18, frame);
    expect(frame.vlanId).toBe(0xfff);
    decodeEthernet(CAPTURED.UDP4, 0, CAPTURED.UDP4.length, frame);
    expect(frame).toMatchObject({ tagged: false, vlanId: 0, priority: 0 });
  });

  test('what is written is read back, tagged or not', () => {
    fc.assert(
      fc.property(mac, mac, fc.nat(0xffff), fc.option(fc.tuple(fc.nat(4095), fc.nat(7))), (dst, src, type, tag) => {
        fc.pre(type !== EtherType.VLAN);
        const bytes = new Uint8Array(40).fill(0xee);
        const tci = tag === null ? NO_VLAN : vlanTci(tag[0], tag[1]);
        const headerLength = encodeEthernet(bytes, 3, dst, 0, src, 0, type, tci);
        const frame = new EthernetFrame();
        expect(decodeEthernet(bytes, 3, 30, frame)).toBe(WIRE_OK);
        expect(frame.headerLength).toBe(headerLength);
        expect(toHex(bytes, frame.dstAt, 6) + toHex(bytes, frame.srcAt, 6)).toBe(toHex(dst) + toHex(src));
        expect(frame.etherType).toBe(type);
        expect(frame.tagged).toBe(tag !== null);
        expect([frame.vlanId, frame.priority]).toEqual(tag ?? [0, 0]);
        expect(frame.payloadAt + frame.payloadLength).toBe(33);
        expect(bytes[3 + headerLength]).toBe(0xee);
      }),
    );
  });

  test('a frame shorter than its header is short, tag included', () => {
    const frame = new EthernetFrame();
    for (let length = 0; length < ETHERNET_HEADER_LENGTH; length++) {
      expect(decodeEthernet(CAPTURED.UDP4, 0, length, frame)).toBe(WIRE_SHORT);
    }
    const tagged = fromHex('ffffffffffff 020000000001 8100 6005 0806');
    expect(decodeEthernet(tagged, 0, 17, frame)).toBe(WIRE_SHORT);
    expect(decodeEthernet(tagged, 0, 18, frame)).toBe(WIRE_OK);
    expect(frame.payloadLength).toBe(0);
  });
});

describe('ARP', () => {
  test('a captured request: who has 10.9.0.2? tell 10.9.0.1', () => {
    const bytes = placed(CAPTURED.ARP_REQUEST.subarray(14), 3);
    const arp = new ArpPacket();
    expect(decodeArp(bytes, 3, ARP_LENGTH, arp)).toBe(WIRE_OK);
    expect(arp.operation).toBe(ArpOperation.REQUEST);
    expect(toHex(bytes, arp.senderMacAt, 6)).toBe('020000000001');
    expect(toHex(bytes, arp.senderIpAt, 4)).toBe('0a090001');
    expect(toHex(bytes, arp.targetMacAt, 6)).toBe('000000000000');
    expect(toHex(bytes, arp.targetIpAt, 4)).toBe('0a090002');
  });

  test('the request that Linux sends is the request that we send', () => {
    const bytes = new Uint8Array(ARP_LENGTH);
    const sender = fromHex('020000000001');
    encodeArp(bytes, 0, ArpOperation.REQUEST, sender, fromHex('0a090001'), new Uint8Array(6), fromHex('0a090002'));
    expect(toHex(bytes)).toBe(toHex(CAPTURED.ARP_REQUEST, 14));
  });

  test('what is written is read back', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), mac, ip, mac, ip, (operation, senderMac, senderIp, targetMac, targetIp) => {
        const bytes = new Uint8Array(60).fill(0xee);
        expect(encodeArp(bytes, 7, operation, senderMac, senderIp, targetMac, targetIp)).toBe(ARP_LENGTH);
        const arp = new ArpPacket();
        // Frames are padded: more than the packet arrives.
        expect(decodeArp(bytes, 7, 46, arp)).toBe(WIRE_OK);
        expect(arp.operation).toBe(operation);
        expect(toHex(bytes, arp.senderMacAt, 6)).toBe(toHex(senderMac));
        expect(toHex(bytes, arp.senderIpAt, 4)).toBe(toHex(senderIp));
        expect(toHex(bytes, arp.targetMacAt, 6)).toBe(toHex(targetMac));
        expect(toHex(bytes, arp.targetIpAt, 4)).toBe(toHex(targetIp));
        expect(bytes[7 + ARP_LENGTH]).toBe(0xee);
      }),
    );
  });

  test('hardware type, protocol type and lengths are checked before use (826-1)', () => {
    const good = CAPTURED.ARP_REQUEST.subarray(14);
    const arp = new ArpPacket();
    for (let at = 0; at < 6; at++) {
      for (let value = 0; value < 256; value++) {
        const bytes = good.slice();
        bytes[at] = value;
        const expected = value === good[at] ? WIRE_OK : at < 4 ? WIRE_BAD_TYPE : WIRE_BAD_LENGTH;
        expect(decodeArp(bytes, 0, bytes.length, arp)).toBe(expected);
      }
    }
  });

  test('a cut packet is short', () => {
    const arp = new ArpPacket();
    for (let length = 0; length < ARP_LENGTH; length++) {
      expect(decodeArp(CAPTURED.ARP_REQUEST, 14, length, arp)).toBe(WIRE_SHORT);
    }
  });
});
