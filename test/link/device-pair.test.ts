/** Two stacks of one process on a pair of sockets: devices without any privilege, super-segments and back-pressure included. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { checksumAdd, foldChecksum } from '../../src/base/checksum.ts';
import { Gather, type Link, type LinkReceiver } from '../../src/link/link.ts';
import { Device, Outcome, READ_BYTES, READ_HEADROOM } from '../../src/link/node/device.ts';
import { DeviceLink } from '../../src/link/node/device-link.ts';
import { openPair } from '../../src/link/node/open-pair.ts';
import { createStack } from '../../src/stack.ts';
import { describeIf, requires } from '../support/requires.ts';

describeIf([requires.linux, requires.package('koffi')], 'a pair of sockets as a wire', () => {
  test.each([
    ['all', 'ethernet'],
    ['all', 'ip'],
    ['none', 'ethernet'],
  ] as const)('carries megabytes between two stacks, offload %s, medium %s', async (offload, medium) => {
    const [a, b] = openPair({ offload, medium, bufferBytes: 256 << 10 });
    await using server = createStack({
      verify: true,
      links: [{ link: new DeviceLink(a), addresses: ['10.0.0.1/24'] }],
    });
    await using client = createStack({
      verify: true,
      links: [{ link: new DeviceLink(b), addresses: ['10.0.0.2/24'] }],
    });
    const bytes = Buffer.alloc(8 << 20, 'how now brown cow ');
    const hash = createHash('sha256');
    let received = 0;
    const listener = server.net.createServer((socket) => {
      void socket.chimney?.offload().catch(() => {});
      socket.on('data', (data: Buffer) => {
        hash.update(data);
        received += data.length;
      });
      socket.on('end', () => socket.end());
    });
    listener.listen(80, '10.0.0.1');
    await once(listener, 'listening');
    const socket = client.net.connect(80, '10.0.0.1');
    await once(socket, 'connect');
    socket.resume();
    socket.end(bytes);
    await once(socket, 'close');
    expect(received).toBe(bytes.length);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
    listener.close();
    expect([...server.findings, ...client.findings]).toEqual([]);
  });

  test('received bytes stay what they were however long they are kept, and long ones come in the memory that they were read into', async () => {
    const [a, b] = openPair({ bufferBytes: 1 << 20 });
    await using server = createStack({ links: [{ link: new DeviceLink(a), addresses: ['10.0.0.1/24'] }] });
    await using client = createStack({ links: [{ link: new DeviceLink(b), addresses: ['10.0.0.2/24'] }] });
    const kept: Buffer[] = [];
    const listener = server.net.createServer((socket) => {
      socket.on('data', (data: Buffer) => kept.push(data));
      socket.on('end', () => socket.end());
    });
    listener.listen(80, '10.0.0.1');
    await once(listener, 'listening');
    const socket = client.net.connect(80, '10.0.0.1');
    await once(socket, 'connect');
    socket.resume();
    const bytes = Buffer.from({ length: 4 << 20 } as ArrayLike<number>).map((_, i) => (i * 31) >> 7);
    socket.end(bytes);
    await once(socket, 'close');
    listener.close();
    expect(Buffer.concat(kept).equals(bytes)).toBe(true);
    const taken = kept.filter(({ length, byteOffset }) => length > 32_768 && byteOffset > 0);
    expect(taken.length).toBeGreaterThan(10);
    expect(new Set(taken.map(({ buffer }) => buffer)).size).toBe(taken.length);
  });

  test('a full wire refuses a frame and says when there is room; a closed other end is a link that went down', async () => {
    const [a, b] = openPair({ bufferBytes: 64 << 10 });
    const [full, other]: Link[] = [new DeviceLink(a), new DeviceLink(b)];
    let writables = 0;
    const states: boolean[] = [];
    const sink = (more: Partial<LinkReceiver>): LinkReceiver => ({
      receive() {},
      receiveDone() {},
      linkState() {},
      writable() {},
      ...more,
    });
    full!.start(sink({ writable: () => writables++, linkState: (isUp) => states.push(isUp) }));
    const frame = new Uint8Array(1514);
    let taken = 0;
    while (full!.transmit(frame, 0, frame.length)) taken++;
    expect(taken).toBeGreaterThan(10);
    let got = 0;
    other!.start(sink({ receive: () => got++ }));
    for (let i = 0; i < 500 && (writables === 0 || got < taken); i++) await new Promise((r) => setTimeout(r, 10));
    expect(got).toBe(taken);
    expect(writables).toBe(1);
    await other!.close();
    for (let i = 0; i < 500 && states.length === 0; i++) await new Promise((r) => setTimeout(r, 10));
    expect(states).toEqual([false]);
    expect(full!.transmit(frame, 0, frame.length)).toBe(true);
    await full!.close();
  });

  test.each(['ip', 'ethernet'] as const)(
    'a super-segment that the kernel has no room for in one piece is written in several, medium %s',
    (medium) => {
      // Longer than the socket takes at once (EMSGSIZE); and it is full before all pieces are in it.
      const [a, b] = openPair({ medium, bufferBytes: 100_000 });
      const device = new Device(a);
      const other = new Device(b);
      const linkBytes = medium === 'ip' ? 0 : 14;
      const head = new Uint8Array(linkBytes + 20 + 32 + 10).fill(5);
      head.set([0x45, 0, 0, 0, 0, 9, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], linkBytes);
      // Ports, sequence number close to its end, ACK; 32 bytes of header, PSH and ACK.
      head.set([0, 80, 0x12, 0x34, 0xff, 0xff, 0xff, 0, 0, 0, 0, 7, 0x80, 0x18, 1, 0, 0, 0, 0, 0], linkBytes + 20);
      if (linkBytes > 0) head.set([8, 0], 12);
      const runs = [100_000, 1024, 150_000].map((length, k) => Uint8Array.from({ length }, (_, i) => i * 7 + k));
      const text = new Gather();
      for (const run of runs) text.add(run, 0, run.length);
      const into = new Uint8Array(READ_BYTES);
      const address = other.addressOf(into);
      // The second goes the same way without being tried.
      for (let round = 0; round < 2; round++) {
        const got: Uint8Array[] = [];
        let outcome: number = Outcome.AGAIN;
        const next = (): number => {
          if (outcome !== 0) outcome = device.write(head, 0, head.length, 1448, text);
          return other.read(into, 0, address);
        };
        for (let n = next(); n > 0; n = next()) {
          const frame = Buffer.from(into.slice(READ_HEADROOM, READ_HEADROOM + n));
          const ip = frame.subarray(linkBytes);
          expect(other.segmentBytes).toBe(1448);
          expect(ip.readUInt16BE(2)).toBe(ip.length);
          expect(foldChecksum(checksumAdd(0, ip, 0, 20))).toBe(0xffff);
          const before = got.reduce((sum, { length }) => sum + length, 0);
          expect(ip.readInt32BE(24)).toBe((0xffffff00 + before) | 0);
          expect(ip.readUInt16BE(36)).toBe(foldChecksum(6 + ip.length - 20 + checksumAdd(0, ip, 12, 8)));
          got.push(ip.subarray(52));
          const isLast = before + ip.length - 52 === 251_034;
          expect(ip[33]).toBe(isLast ? 0x18 : 0x10);
          if (!isLast) expect((ip.length - 52) % 1448).toBe(0);
        }
        expect(outcome).toBe(0);
        expect(got.length).toBe(4);
        expect(Buffer.concat(got).equals(Buffer.concat([head.subarray(linkBytes + 52), ...runs]))).toBe(true);
      }
      expect(device.writeErrors).toBe(0);
      device.close();
      other.close();
    },
  );
});
