/**
 * What is said of a device when it is opened is so in the kernel: queue length, MTU, sizes of a socket's buffers. And a device that goes down
 * and comes up again while connections over it are offloaded, to the target in this thread or in one of its own. Root only.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as kernelConnect } from 'node:net';
import { expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { DeviceLink, openPacket, openTun } from '../../src/link/node/index.ts';
import { libc } from '../../src/link/node/libc.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack } from '../../src/stack.ts';
import { workerTarget } from '../../src/target/worker/index.ts';
import { describeIf, requires } from '../support/requires.ts';
import { until } from './support/kernel-world.ts';

const ADDRESSES = ['10.216.9.1/24'];
const BYTES = Buffer.alloc(4 << 20, 'down and up again, and not a byte is lost; ');
const HASH = createHash('sha256').update(BYTES).digest('hex');

/** A number of /sys/class/net. */
const setting = (name: string, what: string): number => Number(readFileSync(`/sys/class/net/${name}/${what}`, 'utf8'));
const isUp = (name: string): boolean => (setting(name, 'flags') & 1) === 1;

describeIf(requires.tun, 'the settings of a device', () => {
  test.each([
    ['of its own', { addresses: ADDRESSES }, { mtu: 1500, tx_queue_len: 50_000, up: true }],
    ['given', { addresses: ADDRESSES, mtu: 1400, txQueueLength: 777 }, { mtu: 1400, tx_queue_len: 777, up: true }],
    ['given without addresses', { mtu: 1300, txQueueLength: 99 }, { mtu: 1300, tx_queue_len: 99, up: false }],
    [
      'for a TAP device',
      { kind: 'tap', addresses: ADDRESSES, mtu: 9000 },
      { mtu: 9000, tx_queue_len: 50_000, up: true },
    ],
  ] as const)('are those that were asked for: %s', (_what, options, expected) => {
    const [device] = openTun(options);
    const { name, mtu } = device!;
    try {
      expect({ mtu: setting(name, 'mtu'), tx_queue_len: setting(name, 'tx_queue_len'), up: isUp(name) }).toEqual(
        expected,
      );
      expect(mtu).toBe(expected.mtu);
    } finally {
      libc().close(device!.fd);
    }
  });

  test.each([
    [{}, 8 << 20, 8 << 20],
    [{ receiveBufferBytes: 1 << 20, sendBufferBytes: 3 << 20 }, 1 << 20, 3 << 20],
    // Beyond what net.core.rmem_max allows others.
    [{ receiveBufferBytes: 64 << 20 }, 64 << 20, 8 << 20],
  ])('buffers of an AF_PACKET socket: %j', (options, receive, send) => {
    const [tap] = openTun({ kind: 'tap', addresses: ADDRESSES });
    const device = openPacket({ name: tap!.name, ...options });
    try {
      const line = execFileSync('ss', ['-0', '-m', '-n']).toString();
      // The kernel tells of twice what was asked for: its own bookkeeping is in it (socket(7)).
      expect(line).toMatch(new RegExp(`${tap!.name}[^\\n]*\\n?[^\\n]*rb${2 * receive},[^\\n]*tb${2 * send},`));
    } finally {
      libc().close(device.fd);
      libc().close(tap!.fd);
    }
  });
});

describeIf(requires.tun, 'a device that goes down and comes up again', () => {
  test.each([
    ['tun', 'this thread'],
    ['tun', 'a NIC thread'],
    ['tap', 'this thread'],
    ['tap', 'a NIC thread'],
  ] as const)(
    'a %s device while a connection is at the target, in %s: it goes on where it is',
    async (kind, where) => {
      const [device] = openTun({ kind, addresses: ADDRESSES });
      const link = where === 'this thread' ? { link: new DeviceLink(device!) } : workerTarget(device!);
      const stack = createStack({ verify: true, links: [{ ...link, addresses: ['10.216.9.2/24'] }] });
      const { name } = device!;
      const iface = stack.host.ip.interfaces.find((one) => one.name === name)!;
      try {
        const server = stack.net.createServer({ allowHalfOpen: true });
        await new Promise<void>((resolve) => server.listen(80, '10.216.9.2', resolve));
        const client = kernelConnect({ port: 80, host: '10.216.9.2', allowHalfOpen: true });
        const [socket] = (await once(server, 'connection')) as [StackSocket];
        await socket.chimney!.offload();
        const hashes = [client, socket].map(async (one) => {
          const hash = createHash('sha256');
          one.on('data', (data: Buffer) => hash.update(data));
          await once(one, 'end');
          return hash.digest('hex');
        });
        const half = BYTES.length >> 1;
        socket.write(BYTES.subarray(0, half));
        client.write(BYTES.subarray(0, half));
        execFileSync('ip', ['link', 'set', name, 'down']);
        await until(() => !iface.isUp, 'it is down');
        socket.end(BYTES.subarray(half));
        client.end(BYTES.subarray(half));
        await new Promise((resolve) => setTimeout(resolve, 100));
        execFileSync('ip', ['link', 'set', name, 'up']);
        await until(() => iface.isUp, 'it is up again');
        expect(socket.chimney!.location).toBe('target');
        expect(await Promise.all(hashes)).toEqual([HASH, HASH]);
        server.close();
        client.destroy();
      } finally {
        await stack.close();
      }
      expect(stack.findings.map(findingText)).toEqual([]);
      expect(stack.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    },
    60_000,
  );
});
