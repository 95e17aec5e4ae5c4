import { describe, expect, test } from 'vitest';
import type { Endpoint, TransportErrorCode, UdpHandler } from '../../src/host/api.ts';
import { parseIp } from '../../src/wire/ip-address.ts';
import { encodeIpv4Header, Ipv4Header } from '../../src/wire/ipv4.ts';
import { pseudoHeaderSum } from '../../src/wire/pseudo-header.ts';
import { encodeUdp } from '../../src/wire/udp.ts';
import { RAW, RawHost } from './raw-host.ts';
import { A4, A6, B4, B6, pattern, same, World } from './two-hosts.ts';

class Box implements UdpHandler {
  readonly got: { bytes: Uint8Array; from: Endpoint }[] = [];
  readonly errors: { code: TransportErrorCode; to: Endpoint }[] = [];
  message(bytes: Uint8Array, at: number, length: number, from: Endpoint): void {
    this.got.push({ bytes: bytes.slice(at, at + length), from });
  }
  error(code: TransportErrorCode, to: Endpoint): void {
    this.errors.push({ code, to });
  }
}

/** A UDP datagram in an IPv4 packet, its checksum as told. */
function datagram(
  dstPort: number,
  payload: Uint8Array,
  checksum: 'right' | 'wrong' | 'none',
  udpLength = 8 + payload.length,
): Uint8Array {
  const packet = new Uint8Array(28 + payload.length);
  const ip = new Ipv4Header();
  ip.totalLength = packet.length;
  ip.ttl = 64;
  ip.protocol = 17;
  encodeIpv4Header(packet, 0, ip, parseIp('10.0.0.2')!.bytes, 0, parseIp(RAW)!.bytes, 0);
  packet.set(payload, 28);
  encodeUdp(packet, 20, 5000, dstPort, payload.length, pseudoHeaderSum(packet, 4, 12, 16, 17, 8 + payload.length));
  packet[24] = udpLength >> 8;
  packet[25] = udpLength;
  if (checksum === 'none') packet.fill(0, 26, 28);
  if (checksum === 'wrong') packet[26]! ^= 0x55;
  return packet;
}

describe('UDP', () => {
  test('sockets that share a port each hear some of the senders, and errors of what they sent', () => {
    const world = new World();
    const boxes = [new Box(), new Box()];
    const local = { address: B4, port: 53 };
    const ports = boxes.map((box) => world.b.bindUdp(local, box, { reusePort: true }));
    const inUse = expect.objectContaining({ code: 'EADDRINUSE' });
    for (const others of [{}, { reuseAddress: true }])
      expect(() => world.b.bindUdp(local, new Box(), others)).toThrow(inUse);
    const say = (): void => {
      for (let port = 6000; port < 6030; port++) {
        const sender = world.a.bindUdp({ address: A4, port }, new Box());
        sender.send(pattern(5), local);
        world.runtime.advance(100_000);
        sender.close();
      }
    };
    const heard = (box: Box): number[] => box.got.splice(0).map(({ from }) => from.port);
    say();
    const first = boxes.map(heard);
    expect(first.flat().sort()).toEqual(Array.from({ length: 30 }, (_, i) => 6000 + i));
    expect(first.map((list) => list.length)).not.toContain(0);
    say();
    expect(boxes.map(heard)).toEqual(first);
    // Nobody is there any more: the one that hears of a remote end hears of its errors too.
    ports[1]!.send(pattern(5), { address: A4, port: first[1]![0]! });
    world.runtime.advance(100_000);
    expect(boxes.map(({ errors }) => errors.length)).toEqual([0, 1]);
    ports[0]!.close();
    say();
    expect(heard(boxes[1]!).length).toBe(30);
  });

  for (const [family, a, b] of [
    [4, A4, B4],
    [6, A6, B6],
  ] as const) {
    test(`datagrams of all sizes arrive whole, also in fragments, and can be answered (IPv${family}, RFC 768)`, () => {
      const world = new World();
      const boxA = new Box();
      const boxB = new Box();
      const portA = world.a.bindUdp({ address: family === 4 ? '0.0.0.0' : '::', port: 0 }, boxA);
      const portB = world.b.bindUdp({ address: b, port: 53 }, boxB);
      // The next hop is resolved first: only a few packets wait for that.
      portA.send(pattern(5), portB.local);
      world.runtime.advance(1_000_000);
      expect(boxB.got.splice(0).length).toBe(1);
      const most = family === 4 ? 65_507 : 65_527;
      for (const size of [0, 1, 2, 1000, 1472, 1473, 9001, most]) {
        expect(portA.send(pattern(size), portB.local)).toBeNull();
      }
      expect(portA.send(pattern(most + 1), portB.local)).toBe('EMSGSIZE');
      world.runtime.advance(1_000_000);
      expect(boxB.got.map((m) => m.bytes.length)).toEqual([0, 1, 2, 1000, 1472, 1473, 9001, most]);
      expect(same(boxB.got[6]!.bytes, pattern(9001))).toBe(true);
      const { from } = boxB.got[0]!;
      expect(from).toEqual({ address: a, port: portA.local.port });
      expect(portB.send(pattern(10), from)).toBeNull();
      world.runtime.advance(1_000_000);
      expect(boxA.got).toEqual([{ bytes: pattern(10), from: { address: b, port: 53 } }]);
    });

    test(`nobody there: port unreachable comes back to the handler (IPv${family}, 1122-U1, 1122-U2, 4443-12)`, () => {
      const world = new World();
      const box = new Box();
      const port = world.a.bindUdp({ address: a, port: 0 }, box);
      port.send(pattern(10), { address: b, port: 7 });
      world.runtime.advance(1_000_000);
      expect(box.errors).toEqual([{ code: 'ECONNREFUSED', to: { address: b, port: 7 } }]);
    });
  }

  test("a port on '::' takes IPv4 too, and shows v4-mapped addresses", () => {
    const world = new World();
    const box = new Box();
    const dual = world.b.bindUdp({ address: '::', port: 53 }, box);
    const sender = new Box();
    const port = world.a.bindUdp({ address: '0.0.0.0', port: 0 }, sender);
    port.send(pattern(3), { address: B4, port: 53 });
    world.runtime.advance(1_000_000);
    expect(box.got[0]!.from).toEqual({ address: `::ffff:${A4}`, port: port.local.port });
    expect(dual.send(pattern(4), box.got[0]!.from)).toBeNull();
    world.runtime.advance(1_000_000);
    expect(sender.got[0]!.bytes).toEqual(pattern(4));
  });

  test('bindings that would share packets are refused; a specific address gets what is for it', () => {
    const { b } = new World();
    const one = b.bindUdp({ address: B4, port: 53 }, new Box());
    expect(() => b.bindUdp({ address: B4, port: 53 }, new Box())).toThrow(
      expect.objectContaining({ code: 'EADDRINUSE' }),
    );
    expect(() => b.bindUdp({ address: '0.0.0.0', port: 53 }, new Box())).toThrow(/in use/);
    expect(() => b.bindUdp({ address: '10.7.7.7', port: 53 }, new Box())).toThrow(
      expect.objectContaining({ code: 'EADDRNOTAVAIL' }),
    );
    b.bindUdp({ address: B6, port: 53 }, new Box());
    one.close();
    b.bindUdp({ address: '0.0.0.0', port: 53 }, new Box());
    expect(one.send(pattern(1), { address: A4, port: 1 })).toBe('EPIPE');
  });

  test('what cannot be sent is said: no route, no such address, no such port', () => {
    const { a } = new World();
    const port = a.bindUdp({ address: '0.0.0.0', port: 0 }, new Box());
    expect(port.send(pattern(1), { address: '192.0.2.1', port: 1 })).toBe('ENETUNREACH');
    expect(port.send(pattern(1), { address: 'nowhere', port: 1 })).toBe('EINVAL');
    expect(port.send(pattern(1), { address: B4, port: 0 })).toBe('EINVAL');
    expect(port.send(pattern(1), { address: B6, port: 1 })).toBe('EADDRNOTAVAIL');
  });

  test('checksums: a wrong one is dropped in silence, none is accepted over IPv4 (1122-U3, 768-1)', () => {
    const raw = new RawHost();
    const box = new Box();
    raw.host.bindUdp({ address: RAW, port: 53 }, box);
    raw.receive(datagram(53, pattern(20), 'right'));
    raw.receive(datagram(53, pattern(20), 'wrong'));
    raw.receive(datagram(53, pattern(20), 'none'));
    expect(box.got.length).toBe(2);
    expect(raw.trace.countOf('UDP_CHECKSUM_BAD')).toBe(1);
    expect(raw.sent.length).toBe(0);
  });

  test('a length field below 8 or beyond the packet is dropped (768-2)', () => {
    const raw = new RawHost();
    const box = new Box();
    raw.host.bindUdp({ address: RAW, port: 53 }, box);
    for (const length of [0, 7, 29, 65_535]) raw.receive(datagram(53, pattern(20), 'none', length));
    expect(box.got.length).toBe(0);
    expect(raw.trace.countOf('UDP_HEADER_BAD')).toBe(4);
    raw.receive(datagram(53, pattern(20), 'none', 18));
    expect(box.got[0]!.bytes.length).toBe(10);
  });
});
