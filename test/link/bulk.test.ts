/** Super-segments cut and segments joined at a device that does neither, against frames that are taken apart by the codecs. */

import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { checksumAdd, foldChecksum } from '../../src/base/checksum.ts';
import { asSeq } from '../../src/base/seq.ts';
import { Gather, type LinkReceiver, type Medium } from '../../src/link/link.ts';
import { Device, type DeviceDescription, Outcome, READ_BYTES, READ_HEADROOM } from '../../src/link/node/device.ts';
import { FrameMemory } from '../../src/link/node/frame-memory.ts';
import { FrameReader } from '../../src/link/node/frame-reader.ts';
import { libc } from '../../src/link/node/libc.ts';
import { openPair } from '../../src/link/node/open-pair.ts';
import { decodeIpv4, encodeIpv4Header, Ipv4Header } from '../../src/wire/ipv4.ts';
import { decodeIpv6, encodeIpv6Header, Ipv6Header } from '../../src/wire/ipv6.ts';
import { WIRE_OK } from '../../src/wire/status.ts';
import {
  decodeTcp,
  encodeTcp,
  isTcpChecksumGood,
  writeTcpChecksum,
  writeTcpPartialChecksum,
} from '../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';
import { isUdpChecksumGood } from '../../src/wire/udp.ts';
import { describeIf, requires } from '../support/requires.ts';
import { seed } from '../support/seed.ts';

const RUNS = { seed, numRuns: 150 } as const;

/** What a segment says, and where its frame is. */
interface Spoken {
  readonly port: number;
  readonly seq: number;
  readonly flags: number;
  readonly text: string;
}

interface Shape {
  readonly family: 4 | 6;
  readonly medium: Medium;
  readonly port: number;
  readonly hasTimestamps: boolean;
}

/** A whole frame. `isPartial`: its checksum is left to the device. */
function frameOf(shape: Shape, seq: number, flags: number, text: Uint8Array, isPartial: boolean): Uint8Array {
  const link = shape.medium === 'ip' ? 0 : 14;
  const ip = shape.family === 4 ? 20 : 40;
  const seg = new TcpSegment();
  seg.srcPort = shape.port;
  seg.dstPort = 80;
  seg.seq = asSeq(seq | 0);
  seg.ack = asSeq(7);
  seg.window = 500;
  seg.flags = flags;
  seg.hasTimestamps = shape.hasTimestamps;
  seg.tsVal = 11;
  const frame = new Uint8Array(link + ip + 60 + text.length);
  const tcpAt = link + ip;
  const head = encodeTcp(frame, tcpAt, seg);
  frame.set(text, tcpAt + head);
  const upper = head + text.length;
  if (link > 0) frame[12] = shape.family === 4 ? 0x08 : 0x86;
  if (link > 0) frame[13] = shape.family === 4 ? 0x00 : 0xdd;
  const source = new Uint8Array(16).fill(1);
  const destination = new Uint8Array(16).fill(2);
  if (shape.family === 4) {
    const header = Object.assign(new Ipv4Header(), {
      totalLength: 20 + upper,
      id: 0x7ffe,
      flags: 2,
      ttl: 64,
      protocol: 6,
    });
    encodeIpv4Header(frame, link, header, source, 0, destination, 0);
  } else {
    const header = Object.assign(new Ipv6Header(), { payloadLength: upper, nextHeader: 6, hopLimit: 64 });
    encodeIpv6Header(frame, link, header, source, 0, destination, 0);
  }
  const [src, dst] = shape.family === 4 ? [link + 12, link + 16] : [link + 8, link + 24];
  (isPartial ? writeTcpPartialChecksum : writeTcpChecksum)(frame, tcpAt, upper, shape.family, src, dst);
  return frame.subarray(0, tcpAt + upper);
}

/** A frame with one UDP packet, whose checksum is left to the device. */
function datagramOf(family: 4 | 6, medium: Medium, text: Uint8Array): Uint8Array {
  const shape: Shape = { family, medium, port: 1, hasTimestamps: false };
  const link = medium === 'ip' ? 0 : 14;
  const ip = family === 4 ? 20 : 40;
  const upper = 8 + text.length;
  // The headers below UDP are those of a segment of 20 bytes, so far.
  const segment = frameOf(shape, 0, 16, new Uint8Array(0), true);
  const frame = new Uint8Array(link + ip + upper);
  frame.set(segment.subarray(0, link + ip));
  const view = new DataView(frame.buffer);
  if (family === 4) {
    view.setUint16(link + 2, 20 + upper);
    frame[link + 9] = 17;
    view.setUint16(link + 10, 0);
    view.setUint16(link + 10, ~foldChecksum(checksumAdd(0, frame, link, 20)) & 0xffff);
  } else {
    view.setUint16(link + 4, upper);
    frame[link + 6] = 17;
  }
  view.setUint16(link + ip, 53);
  view.setUint16(link + ip + 2, 54);
  view.setUint16(link + ip + 4, upper);
  const addressesAt = family === 4 ? link + 12 : link + 8;
  const pseudo = checksumAdd(17 + upper, frame, addressesAt, family === 4 ? 8 : 32);
  view.setUint16(link + ip + 6, foldChecksum(pseudo));
  frame.set(text, link + ip + 8);
  return frame;
}

/** Takes a frame apart; every length and checksum in it must be right. `segmentBytes` 0: the TCP checksum too. */
function spoken(medium: Medium, bytes: Uint8Array, at: number, length: number, segmentBytes: number): Spoken {
  const ip = at + (medium === 'ip' ? 0 : 14);
  const family = bytes[ip]! >> 4 === 4 ? 4 : 6;
  const seg = new TcpSegment();
  let tcpAt = ip + 40;
  let upper = 0;
  if (family === 4) {
    const header = new Ipv4Header();
    expect(decodeIpv4(bytes, ip, at + length - ip, header)).toBe(WIRE_OK);
    tcpAt = header.payloadAt;
    upper = header.payloadLength;
  } else {
    const header = new Ipv6Header();
    expect(decodeIpv6(bytes, ip, at + length - ip, header)).toBe(WIRE_OK);
    upper = header.payloadLength;
  }
  expect(tcpAt + upper).toBe(at + length);
  const [src, dst] = family === 4 ? [ip + 12, ip + 16] : [ip + 8, ip + 24];
  if (segmentBytes === 0) expect(isTcpChecksumGood(bytes, tcpAt, upper, family, src, dst)).toBe(true);
  else {
    const copy = bytes.slice();
    writeTcpPartialChecksum(copy, tcpAt, upper, family, src, dst);
    expect(bytes.subarray(tcpAt + 16, tcpAt + 18)).toEqual(copy.subarray(tcpAt + 16, tcpAt + 18));
  }
  expect(decodeTcp(bytes, tcpAt, upper, seg)).toBe(WIRE_OK);
  const text = Buffer.from(bytes.subarray(seg.textAt, seg.textAt + seg.textLength)).toString('latin1');
  return { port: seg.srcPort, seq: seg.seq, flags: seg.flags, text };
}

function textOf(length: number, from: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => ((from + i) * 31) & 0xff);
}

const families = fc.constantFrom(4 as const, 6 as const);
const media = fc.constantFrom('ip' as const, 'ethernet' as const);

/** Where a receiver puts what it is given. */
class Received implements LinkReceiver {
  readonly said: Spoken[] = [];
  readonly raw: Uint8Array[] = [];
  batches = 0;
  readonly #medium: Medium;
  constructor(medium: Medium) {
    this.#medium = medium;
  }
  receive(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): void {
    this.raw.push(bytes.slice(at, at + length));
    // One that is not joined is as it was, whatever is wrong with it.
    if (segmentBytes > 0) this.said.push(spoken(this.#medium, bytes, at, length, segmentBytes));
  }
  receiveDone(): void {
    this.batches++;
  }
  linkState(): void {}
  writable(): void {}
}

test('a sum over any part of the memory is the one that base/checksum makes', () => {
  const memory = new FrameMemory(READ_BYTES);
  for (let i = 0; i < memory.bytes.length; i++) memory.bytes[i] = (i * 7919) >> 3;
  fc.assert(
    fc.property(fc.nat(2000), fc.oneof(fc.nat(200), fc.nat(65_535)), fc.boolean(), (at, length, isFull) => {
      if (isFull) memory.bytes.fill(0xff, at, at + 64);
      expect(memory.sum(at, length)).toBe(foldChecksum(checksumAdd(0, memory.bytes, at, length)));
    }),
    RUNS,
  );
});

describeIf([requires.linux, requires.package('koffi')], 'a device that neither cuts nor joins', () => {
  const opened: DeviceDescription[] = [];
  const pairs = new Map<string, [Device, Device]>();
  /** Two devices, of which the first makes checksums or not. */
  const pair = (medium: Medium, checksums: boolean): [Device, Device] => {
    const known = pairs.get(`${medium} ${checksums}`);
    if (known !== undefined) return known;
    const [a, b] = openPair({ medium, offload: 'none', bufferBytes: 4 << 20 });
    opened.push(a, b);
    const made: [Device, Device] = [new Device({ ...a, checksums, hasHeader: checksums }), new Device(b)];
    pairs.set(`${medium} ${checksums}`, made);
    return made;
  };
  afterAll(() => {
    for (const { fd } of opened) libc().close(fd);
  });
  const buffer = new Uint8Array(READ_BYTES);
  const address = libc().addressOf(buffer);

  /** Two devices for a way of writing: a system call for each frame (as to a TUN device), or one for many (as to any socket). */
  const ways = new Map<string, [Device, Device]>();
  const way = (medium: Medium, checksums: boolean, isBatched: boolean): [Device, Device] => {
    const name = `${medium} ${checksums} ${isBatched}`;
    const known = ways.get(name);
    if (known !== undefined) return known;
    const [a, b] = openPair({ medium, offload: 'none', bufferBytes: 4 << 20 });
    opened.push(a, b);
    const kind = isBatched ? 'pair' : 'tun';
    const made: [Device, Device] = [
      new Device({ ...a, kind, checksums, hasHeader: checksums }),
      new Device({ ...b, hasHeader: checksums }),
    ];
    ways.set(name, made);
    return made;
  };

  test.each([
    ['a call for each', false],
    ['many a call', true],
  ])('a super-segment is written as the segments it stands for, each of them whole: %s', (_how, isBatched) => {
    fc.assert(
      fc.property(
        families,
        media,
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: 400, max: 1460 }),
        fc.integer(),
        fc.constantFrom(16, 24, 17, 25, 16 | TcpFlag.CWR),
        fc.nat(5000),
        (family, medium, checksums, hasTimestamps, length, mss, seq, flags, split) => {
          const [device, other] = way(medium, checksums, isBatched);
          const text = textOf(length, seq);
          const frame = frameOf({ family, medium, port: 5000, hasTimestamps }, seq, flags, text, true);
          // Part of the text may lie elsewhere, in several runs.
          const runs = new Gather();
          const outside = Math.min(split, length);
          if (outside > 0) runs.add(frame, frame.length - outside, outside >> 1);
          if (outside > 0) runs.add(frame, frame.length - outside + (outside >> 1), outside - (outside >> 1));
          expect(device.write(frame, 0, frame.length - outside, mss, outside > 0 ? runs : null)).toBe(0);
          let at = 0;
          for (let n = other.read(buffer, 0, address); n > 0; n = other.read(buffer, 0, address)) {
            // What is no longer than a segment may be left to the device as it is.
            expect(other.segmentBytes > 0).toBe(checksums);
            const said = spoken(medium, buffer, READ_HEADROOM, n, checksums ? 1 : 0);
            const isLast = at + said.text.length === length;
            expect(said.seq).toBe((seq + at) | 0);
            expect(said.text.length).toBe(isLast ? length - at : mss);
            expect(said.text).toBe(Buffer.from(text.subarray(at, at + said.text.length)).toString('latin1'));
            const left = isLast ? flags : flags & ~(TcpFlag.FIN | TcpFlag.PSH);
            expect(said.flags).toBe(at > 0 ? left & ~TcpFlag.CWR : left);
            at += said.text.length;
          }
          expect(at).toBe(length);
        },
      ),
      RUNS,
    );
  });

  test.each([
    ['a call for each', false],
    ['many a call', true],
  ])('a super-segment for which there is not room enough goes on where it stopped: %s', (_how, isBatched) => {
    for (const checksums of [false, true]) {
      const [a, b] = openPair({ medium: 'ip', offload: 'none', bufferBytes: 16 << 10 });
      opened.push(a, b);
      const device = new Device({ ...a, kind: isBatched ? 'pair' : 'tun', checksums, hasHeader: checksums });
      const other = new Device({ ...b, hasHeader: checksums });
      const text = textOf(60_000, 5);
      const frame = frameOf({ family: 4, medium: 'ip', port: 1, hasTimestamps: true }, 5, 24, text, true);
      const runs = new Gather();
      for (let i = 0; i < 10; i++) runs.add(frame, frame.length - 50_000 + i * 5000, 5000);
      const seqs: number[] = [];
      let heard = '';
      let stops = 0;
      for (let outcome = -1; outcome !== 0; ) {
        outcome = device.write(frame, 0, frame.length - 50_000, 1000, runs);
        if (outcome !== 0) {
          expect(outcome).toBe(Outcome.AGAIN);
          stops++;
        }
        for (let n = other.read(buffer, 0, address); n > 0; n = other.read(buffer, 0, address)) {
          const said = spoken('ip', buffer, READ_HEADROOM, n, checksums ? 1 : 0);
          seqs.push(said.seq);
          heard += said.text;
        }
      }
      expect(stops).toBeGreaterThan(1);
      expect(seqs).toEqual(Array.from({ length: 60 }, (_, i) => 5 + i * 1000));
      expect(heard).toBe(Buffer.from(text).toString('latin1'));
    }
  });

  test.each([
    ['a call for each', false],
    ['many a call', true],
  ])('many datagrams in one packet are written as the datagrams they are: %s', (_how, isBatched) => {
    fc.assert(
      fc.property(
        families,
        media,
        fc.boolean(),
        fc.integer({ min: 1, max: 30_000 }),
        fc.integer({ min: 300, max: 1472 }),
        (family, medium, checksums, length, each) => {
          const [device, other] = way(medium, checksums, isBatched);
          const text = textOf(length, each);
          const frame = datagramOf(family, medium, text);
          expect(device.write(frame, 0, frame.length, each, null)).toBe(0);
          const ip = READ_HEADROOM + (medium === 'ip' ? 0 : 14);
          const udpAt = ip + (family === 4 ? 20 : 40);
          const [src, dst] = family === 4 ? [ip + 12, ip + 16] : [ip + 8, ip + 24];
          let heard = '';
          for (let n = other.read(buffer, 0, address); n > 0; n = other.read(buffer, 0, address)) {
            const upper = READ_HEADROOM + n - udpAt;
            expect((buffer[udpAt + 4]! << 8) | buffer[udpAt + 5]!).toBe(upper);
            if (family === 4) expect(decodeIpv4(buffer, ip, upper + 20, new Ipv4Header())).toBe(WIRE_OK);
            else expect(decodeIpv6(buffer, ip, upper + 40, new Ipv6Header())).toBe(WIRE_OK);
            if (!checksums) expect(isUdpChecksumGood(buffer, udpAt, upper, family, src, dst)).toBe(true);
            expect(upper - 8).toBe(Math.min(each, length - heard.length));
            heard += Buffer.from(buffer.subarray(udpAt + 8, udpAt + upper)).toString('latin1');
          }
          expect(heard).toBe(Buffer.from(text).toString('latin1'));
        },
      ),
      RUNS,
    );
  });

  test('more frames than go into one call are written by several', () => {
    const [device, other] = way('ip', true, true);
    const text = textOf(40_000, 3);
    const frame = frameOf({ family: 6, medium: 'ip', port: 1, hasTimestamps: false }, 3, 16, text, true);
    expect(device.write(frame, 0, frame.length, 200, null)).toBe(0);
    let heard = '';
    let frames = 0;
    for (let n = other.read(buffer, 0, address); n > 0; n = other.read(buffer, 0, address)) {
      heard += spoken('ip', buffer, READ_HEADROOM, n, 1).text;
      frames++;
    }
    expect(frames).toBe(200);
    expect(heard).toBe(Buffer.from(text).toString('latin1'));
  });

  test('a device that makes checksums gets the sum of the pseudo-header and is told where', () => {
    const [device] = pair('ip', true);
    const [, other] = pair('ip', true);
    const text = textOf(4000, 1);
    expect(
      device.write(
        frameOf({ family: 4, medium: 'ip', port: 1, hasTimestamps: false }, 9, 16, text, true),
        0,
        4040,
        1460,
        null,
      ),
    ).toBe(0);
    for (let n = other.read(buffer, 0, address), at = 0; n > 0; n = other.read(buffer, 0, address)) {
      // The other end has no header of its own: it reads that of this one as the beginning of the packet.
      expect([...buffer.subarray(READ_HEADROOM, READ_HEADROOM + 12)]).toEqual([1, 0, 0, 0, 0, 0, 20, 0, 16, 0, 0, 0]);
      at += spoken('ip', buffer, READ_HEADROOM + 12, n - 12, 1).text.length;
      expect(at <= 4000).toBe(true);
    }
  });

  test('what is read is what was sent, joined where segments follow one another and never otherwise', () => {
    const step = fc.record({
      port: fc.constantFrom(1, 1, 1, 2),
      length: fc.constantFrom(1448, 1448, 1448, 1448, 1447, 100, 0),
      flags: fc.constantFrom(16, 16, 16, 16, 24, 17, 16 | TcpFlag.ECE, 20),
      jump: fc.constantFrom(0, 0, 0, 0, 0, 1448, -1448),
      bend: fc.constantFrom(-1, -1, -1, -1, -1, 0, 4, 10, 15, 24, 36, 45, 70, 900),
    });
    fc.assert(
      fc.property(
        families,
        media,
        fc.boolean(),
        fc.array(step, { maxLength: 60 }),
        (family, medium, hasTimestamps, steps) => {
          const [writer, device] = pair(medium, false);
          const sent: Uint8Array[] = [];
          const nextSeq = new Map<number, number>();
          for (const { port, length, flags, jump, bend } of steps) {
            const seq = (nextSeq.get(port) ?? -3000) + jump;
            nextSeq.set(port, seq + length);
            const frame = frameOf({ family, medium, port, hasTimestamps }, seq, flags, textOf(length, seq), false);
            if (bend >= 0 && bend < frame.length) frame[bend]! ^= 0x10;
            sent.push(frame);
            expect(writer.write(frame, 0, frame.length, 0, null)).toBe(0);
          }
          const receiver = new Received(medium);
          const reader = new FrameReader(device);
          reader.drain(receiver, 0, 1000, 1 << 20);
          // Cut back: each received frame must stand for the next ones that were sent.
          let next = 0;
          let joined = 0;
          for (const got of receiver.raw) {
            const first = sent[next++]!;
            if (got.length === first.length) {
              expect(got).toEqual(first);
              continue;
            }
            const whole = spoken(medium, got, 0, got.length, 1);
            const parts = [spoken(medium, first, 0, first.length, 0)];
            while (parts.reduce((bytes, { text }) => bytes + text.length, 0) < whole.text.length) {
              const frame = sent[next++]!;
              parts.push(spoken(medium, frame, 0, frame.length, 0));
            }
            joined += parts.length - 1;
            expect(parts.map(({ text }) => text).join('')).toBe(whole.text);
            expect(parts[0]!.seq).toBe(whole.seq);
            parts.forEach((part, i) => {
              expect(part.port).toBe(whole.port);
              expect(part.flags).toBe(i < parts.length - 1 ? 16 : whole.flags);
            });
          }
          expect(next).toBe(sent.length);
          expect(joined).toBe(reader.joined);
          expect(receiver.batches).toBe(sent.length > 0 ? 1 : 0);
        },
      ),
      RUNS,
    );
  });

  test('a run of full segments arrives as one, as long as a packet may be', () => {
    const [writer, device] = pair('ip', false);
    for (let i = 0; i < 50; i++) {
      const frame = frameOf(
        { family: 4, medium: 'ip', port: 1, hasTimestamps: true },
        i * 1448,
        16,
        textOf(1448, i * 1448),
        false,
      );
      writer.write(frame, 0, frame.length, 0, null);
    }
    const receiver = new Received('ip');
    new FrameReader(device).drain(receiver, 0, 1000, 1 << 20);
    expect(receiver.said.map(({ text }) => text.length)).toEqual([45 * 1448, 5 * 1448]);
  });

  test('a reader that is stopped in the middle of a batch gives nothing more', () => {
    const [writer, device] = pair('ip', false);
    for (let i = 0; i < 5; i++) {
      const frame = frameOf({ family: 4, medium: 'ip', port: i, hasTimestamps: false }, 0, 24, textOf(100, i), false);
      writer.write(frame, 0, frame.length, 0, null);
    }
    const reader = new FrameReader(device);
    const receiver = new Received('ip');
    const stopping: LinkReceiver = {
      receive: (bytes, at, length, segmentBytes) => {
        receiver.receive(bytes, at, length, segmentBytes);
        if (receiver.raw.length === 2) reader.stop();
      },
      receiveDone: () => receiver.receiveDone(),
      linkState() {},
      writable() {},
    };
    reader.drain(stopping, 0, 1000, 1 << 20);
    expect(receiver.raw.length).toBe(2);
    expect(receiver.batches).toBe(0);
    reader.drain(receiver, 0, 1000, 1 << 20);
    expect(receiver.raw.length).toBeGreaterThan(2);
  });
});
