import { describe, expect, test } from 'vitest';
import { write16 } from '../../src/base/bytes.ts';
import { checksumOf } from '../../src/base/checksum.ts';
import { parseIp } from '../../src/wire/ip-address.ts';
import { encodeIpv4Header, Ipv4Header } from '../../src/wire/ipv4.ts';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { packetOf, RAW, RawHost, segmentIn } from './raw-host.ts';
import { Peer, pattern } from './two-hosts.ts';

const ROUTER = '10.0.0.254';

/** An ICMP error of type and code about `packet`, with the next-hop MTU in its last two bytes of header. */
function icmp(type: number, code: number, packet: Uint8Array, mtu = 0): Uint8Array {
  const quote = packet.subarray(0, 28);
  const out = new Uint8Array(28 + quote.length);
  const ip = new Ipv4Header();
  ip.totalLength = out.length;
  ip.ttl = 64;
  ip.protocol = 1;
  encodeIpv4Header(out, 0, ip, parseIp(ROUTER)!.bytes, 0, parseIp(RAW)!.bytes, 0);
  out[20] = type;
  out[21] = code;
  write16(out, 26, mtu);
  out.set(quote, 28);
  write16(out, 22, checksumOf(out, 20, out.length - 20));
  return out;
}

/** A host that has sent a SYN to 10.0.0.2. */
function opening(): { raw: RawHost; client: Peer; syn: Uint8Array } {
  const raw = new RawHost();
  const client = new Peer();
  client.attach(raw.host.connect({ remote: { address: '10.0.0.2', port: 9 } }, client));
  raw.runtime.settle();
  return { raw, client, syn: raw.sent.at(-1)! };
}

describe('ICMP errors while a connection is opened (RFC 1122 4.2.3.9, RFC 5461)', () => {
  test('port unreachable is a refusal (1122-C12, SHLD-26)', () => {
    const { raw, client, syn } = opening();
    raw.receive(icmp(3, 3, syn));
    expect(client.error).toBe('ECONNREFUSED');
  });

  test('host unreachable is soft: the open goes on, and explains the timeout if there is one (MUST-56, SHLD-25)', () => {
    const { raw, client, syn } = opening();
    raw.receive(icmp(3, 1, syn));
    expect(client.isClosed).toBe(false);
    raw.runtime.advance(1_000_000_000);
    expect(client.error).toBe('EHOSTUNREACH');
  });

  test('what a stranger can guess is not believed: the quoted number must be in flight (5927-1)', () => {
    const { raw, client, syn } = opening();
    const forged = syn.slice();
    forged[24]! ^= 1; // the sequence number
    raw.receive(icmp(3, 3, forged));
    expect(client.isClosed).toBe(false);
    expect(raw.trace.countOf('TCP_ICMP_IGNORED')).toBe(1);
    const otherPort = syn.slice();
    otherPort[21]! ^= 1;
    raw.receive(icmp(3, 3, otherPort));
    expect(client.isClosed).toBe(false);
  });
});

describe('ICMP errors about an established connection', () => {
  const established = (): { raw: RawHost; server: Peer; packet: Uint8Array } => {
    const raw = new RawHost();
    const server = raw.open('10.0.0.2', 1000);
    server.endpoint.write(pattern(5000), null);
    raw.runtime.settle();
    return { raw, server, packet: raw.sent.at(-1)! };
  };

  test('a hard error is soft for it (5927-2)', () => {
    const { raw, server, packet } = established();
    raw.receive(icmp(3, 3, packet));
    raw.receive(icmp(3, 2, packet));
    expect(server.isClosed).toBe(false);
    expect(server.endpoint.info().state).toBe('ESTABLISHED');
  });

  test('source quench is ignored (MUST-55)', () => {
    const { raw, server, packet } = established();
    const { cWnd } = server.endpoint.info();
    raw.receive(icmp(4, 0, packet));
    expect(server.endpoint.info().cWnd).toBe(cWnd);
  });

  test('packet too big makes segments smaller, for every connection of the path (1191-1, 1191-9)', () => {
    const { raw, server, packet } = established();
    const other = raw.open('10.0.0.2', 1001);
    raw.receive(icmp(3, 4, packet, 1000));
    raw.runtime.advance(3_000_000);
    expect(server.endpoint.info().mss).toBe(960);
    expect(other.endpoint.info().mss).toBe(960);
    const first = raw.sent.length;
    other.endpoint.write(pattern(5000), null);
    raw.runtime.settle();
    expect(raw.sent.length).toBeGreaterThan(first);
    for (const sent of raw.sent.slice(first)) expect(sent.length).toBeLessThanOrEqual(1000);
  });
});

describe('segments that belong to nobody', () => {
  test('an ACK for nobody is answered with <SEQ=SEG.ACK>, anything else with an ACK of it; an RST is not answered (9293-SM-1)', () => {
    const raw = new RawHost();
    const from = { from: '10.0.0.2', srcPort: 1, dstPort: 4444 };
    raw.segment({ ...from, flags: TcpFlag.ACK, seq: 5, ack: 77 });
    expect(raw.lastSegment()).toMatchObject({ flags: TcpFlag.RST, seq: 77 });
    raw.segment({ ...from, flags: TcpFlag.SYN, seq: 5 });
    expect(raw.lastSegment()).toMatchObject({ flags: TcpFlag.RST | TcpFlag.ACK, seq: 0, ack: 6 });
    const { length } = raw.sent;
    raw.segment({ ...from, flags: TcpFlag.RST, seq: 5 });
    raw.segment({ ...from, flags: TcpFlag.RST | TcpFlag.ACK, seq: 5, ack: 6 });
    expect(raw.sent.length).toBe(length);
  });

  test('at a listener: RST ignored, ACK answered with RST, neither SYN nor ACK dropped (9293-SM-2)', () => {
    const raw = new RawHost();
    const from = { from: '10.0.0.2', srcPort: 1 };
    raw.segment({ ...from, flags: TcpFlag.RST, seq: 5 });
    raw.segment({ ...from, flags: TcpFlag.FIN, seq: 5 });
    expect(raw.sent.length).toBe(0);
    raw.segment({ ...from, flags: TcpFlag.ACK, seq: 5, ack: 9 });
    expect(raw.lastSegment()).toMatchObject({ flags: TcpFlag.RST, seq: 9 });
    expect(raw.host.tcp.connectionCount).toBe(0);
  });

  test('a wrong checksum, a short header, a lying offset: dropped and counted (MUST-3)', () => {
    const raw = new RawHost();
    const packet = packetOf({ from: '10.0.0.2', srcPort: 1, flags: TcpFlag.SYN, seq: 5 });
    const wrong = packet.slice();
    wrong[36]! ^= 1;
    raw.receive(wrong);
    const lying = packet.slice();
    lying[32] = 0xf0;
    raw.receive(lying);
    expect(raw.trace.countOf('TCP_CHECKSUM_BAD')).toBe(1);
    expect(raw.trace.countOf('TCP_HEADER_BAD')).toBe(1);
    expect(raw.sent.length).toBe(0);
  });
});

describe('batches', () => {
  test('ACKs of a batch are aggregated (MUST-58, MUST-59)', () => {
    const raw = new RawHost();
    const server = raw.open('10.0.0.2', 1000);
    const before = raw.sent.length;
    const text = pattern(100);
    const packets = [0, 1, 2, 3, 4, 5, 6, 7].map((i) =>
      packetOf({
        from: '10.0.0.2',
        srcPort: 1000,
        flags: TcpFlag.ACK,
        seq: 1001 + i * 100,
        ack: segmentIn(raw.sent.at(-1)!).seq + 1,
        text,
      }),
    );
    raw.receiveBatch(packets);
    expect(server.received).toBe(800);
    expect(server.batches).toBe(1);
    expect(raw.sent.length).toBe(before + 1);
    expect(raw.lastSegment().ack).toBe(1801);
  });
});
