/** Two stacks of one process on a pair of sockets: devices without any privilege, super-segments and back-pressure included. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import type { Link, LinkReceiver } from '../../src/link/link.ts';
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
});
