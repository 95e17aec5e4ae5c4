/**
 * The kernel with other settings: each option of TCP on its side switched off, on, or made small, in a network namespace of
 * its own. Downloads and uploads must be right with every one of them while the connection moves.
 */
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { describeIf, requires } from '../support/requires.ts';
import { RETRANSMISSIONS_MAX } from './support/capture.ts';
import { contentHash } from './support/content.ts';
import { serveFiles } from './support/file-server.ts';
import { KernelWorld, type KernelWorldOptions } from './support/kernel-world.ts';

const MIB = 1 << 20;

interface Case extends KernelWorldOptions {
  readonly name: string;
  readonly downMib?: number;
  readonly upMib?: number;
  /** Display filter of frames that show the setting at work: how many there must be. */
  readonly seen?: readonly [filter: string, atLeast: number];
  readonly unseen?: string;
}

const CASES: readonly Case[] = [
  {
    name: 'without timestamps',
    settings: { 'ipv4.tcp_timestamps': 0 },
    unseen: 'tcp.options.timestamp.tsval && tcp.flags.syn==0',
  },
  { name: 'without SACK', settings: { 'ipv4.tcp_sack': 0 }, unseen: 'tcp.options.sack_perm && tcp.flags.ack==1' },
  { name: 'without window scaling', settings: { 'ipv4.tcp_window_scaling': 0 }, downMib: 8, upMib: 8 },
  {
    name: 'without any option but the MSS',
    settings: { 'ipv4.tcp_timestamps': 0, 'ipv4.tcp_sack': 0, 'ipv4.tcp_window_scaling': 0 },
    downMib: 8,
    upMib: 8,
    unseen: 'tcp.options.timestamp.tsval && tcp.flags.syn==0',
  },
  { name: 'asking for ECN', settings: { 'ipv4.tcp_ecn': 1 }, seen: ['tcp.flags.syn==1 && tcp.flags.ece==1', 1] },
  { name: 'with Reno', settings: { 'ipv4.tcp_congestion_control': 'reno' } },
  {
    name: 'with a receive buffer of 8 KiB',
    settings: { 'ipv4.tcp_rmem': '4096 8192 8192' },
    downMib: 4,
    upMib: 4,
  },
  {
    name: 'that shrinks its window',
    settings: { 'ipv4.tcp_shrink_window': 1, 'ipv4.tcp_rmem': '4096 16384 65536' },
    downMib: 8,
    upMib: 8,
  },
  { name: 'probing for the MTU of the path', settings: { 'ipv4.tcp_mtu_probing': 2, 'ipv4.tcp_base_mss': 600 } },
  { name: 'on a link of 576 bytes', settings: {}, mtu: 576, downMib: 8, upMib: 8 },
  { name: 'on a link of 1280 bytes', settings: {}, mtu: 1280 },
  { name: 'on a link of 65535 bytes', settings: {}, mtu: 65_535, moveEveryMs: 3 },
];

let world: KernelWorld | undefined;

afterEach(async () => {
  await world?.close();
  world = undefined;
});

const NEEDS = [requires.tun, requires.netns, requires.program('curl'), requires.program('tshark')];

describeIf(NEEDS, 'the kernel', () => {
  test.each(CASES)(
    '$name',
    async ({ name: _name, downMib = 24, upMib = 24, seen, unseen, ...options }) => {
      world = new KernelWorld({ moveEveryMs: 10, ...options });
      const server = await serveFiles(world.stack, 8080, (socket) => world!.mover.add(socket));
      for (const family of options.mtu === 576 ? ([4] as const) : ([4, 6] as const)) {
        const url = `http://${world.host(family)}:8080`;
        const down = await world.shell(`curl -sS -g ${url}/${downMib * MIB} | sha256sum`);
        expect(down.stdout.split(' ')[0]).toBe(contentHash(downMib * MIB));
        const up = await world.shell(`head -c ${upMib * MIB} /dev/zero | curl -sS -g -H Expect: -T - ${url}/`);
        const zeros = createHash('sha256')
          .update(Buffer.alloc(upMib * MIB))
          .digest('hex');
        expect(up.stdout).toBe(`${upMib * MIB} ${zeros}\n`);
      }
      world.mover.stop();
      server.close();
      expect(world.mover.toHost).toBeGreaterThan(2);
      const [retransmissions, good, bad] = await world.capture.count(
        'tcp.analysis.retransmission',
        seen?.[0] ?? 'tcp',
        unseen ?? 'tcp.flags.urg==1',
      );
      expect(await world.capture.untimelyResets()).toEqual([]);
      expect(retransmissions).toBeLessThanOrEqual(RETRANSMISSIONS_MAX);
      expect(good).toBeGreaterThanOrEqual(seen?.[1] ?? 1);
      expect(bad).toBe(0);
    },
    60_000,
  );
});
