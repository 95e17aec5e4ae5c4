/**
 * Checksums and segmentation left to the kernel: super-segments both ways between the stack and Linux over real devices, on the
 * host path and on the target, while connections move. Root only.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { describeIf, requires } from '../support/requires.ts';
import { RETRANSMISSIONS_MAX } from './support/capture.ts';
import { contentHash } from './support/content.ts';
import { serveFiles } from './support/file-server.ts';
import { KernelWorld, type KernelWorldOptions, until } from './support/kernel-world.ts';

const MIB = 1 << 20;
const NEEDS = [requires.tun, requires.netns, requires.program('curl'), requires.program('tshark')];

let world: KernelWorld | undefined;

function open(options: KernelWorldOptions): KernelWorld {
  world = new KernelWorld({ moveEveryMs: 5, ...options });
  return world;
}

afterEach(async () => {
  await world?.close();
  world = undefined;
});

/** Packets longer than the MTU, by direction and by who handled them; and that nothing was reset or sent again. */
async function expectSuperSegments(from: KernelWorld, port: number, isOutward: boolean): Promise<void> {
  const long = `${isOutward ? 'tcp.srcport' : 'tcp.dstport'}==${port} && frame.len > 3000`;
  const [byHost, byTarget, retransmissions] = await from.capture.count(
    `${long} && frame.comment contains "host stack"`,
    `${long} && frame.comment contains "offload target"`,
    'tcp.analysis.retransmission',
  );
  expect(byHost, 'super-segments of the host path').toBeGreaterThan(0);
  expect(byTarget, 'super-segments of the target').toBeGreaterThan(0);
  expect(await from.capture.untimelyResets()).toEqual([]);
  expect(retransmissions, 'retransmissions').toBeLessThanOrEqual(RETRANSMISSIONS_MAX);
  expect(from.device.transmitErrors).toBe(0);
}

describeIf(NEEDS, 'super-segments over a device', () => {
  test.each([
    ['tun', 4],
    ['tun', 6],
    ['tap', 4],
    ['tap', 6],
    ['packet', 4],
    ['packet', 6],
  ] as const)(
    'leave the stack for the kernel by %s with IPv%i',
    async (kind, family) => {
      const { stack, mover } = open({ kind, offload: 'all' });
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      const url = `http://${world!.host(family)}:8080/${256 * MIB}`;
      const { stdout } = await world!.shell(`curl -sS -g ${url} | sha256sum`, { timeoutMs: 120_000 });
      expect(stdout.split(' ')[0]).toBe(contentHash(256 * MIB));
      server.close();
      expect(mover.toTarget).toBeGreaterThanOrEqual(3);
      await expectSuperSegments(world!, 8080, true);
    },
    120_000,
  );

  test.each([
    ['tun', 4],
    ['tun', 6],
    ['tap', 4],
    ['tap', 6],
    ['packet', 4],
    ['packet', 6],
  ] as const)(
    'arrive from the kernel by %s with IPv%i',
    async (kind, family) => {
      const { stack, mover } = open({ kind, offload: 'all' });
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      const url = `http://${world!.host(family)}:8080/`;
      const { stdout } = await world!.shell(`head -c ${256 * MIB} /dev/zero | curl -sS -g -H Expect: -T - ${url}`);
      const zeros = createHash('sha256')
        .update(Buffer.alloc(256 * MIB))
        .digest('hex');
      expect(stdout).toBe(`${256 * MIB} ${zeros}\n`);
      server.close();
      expect(mover.toTarget).toBeGreaterThanOrEqual(3);
      await expectSuperSegments(world!, 8080, false);
    },
    120_000,
  );

  test.each(['checksum', 'none'] as const)(
    'cut and joined here, offload %s: the same bytes both ways, moving',
    async (offload) => {
      const { stack, mover } = open({ offload, bulk: true });
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      const url = `http://${world!.host(4)}:8080/`;
      const down = await world!.shell(`curl -sS -g ${url}${64 * MIB} | sha256sum`);
      expect(down.stdout.split(' ')[0]).toBe(contentHash(64 * MIB));
      const up = await world!.shell(`head -c ${64 * MIB} /dev/zero | curl -sS -g -H Expect: -T - ${url}`);
      const zeros = createHash('sha256')
        .update(Buffer.alloc(64 * MIB))
        .digest('hex');
      expect(up.stdout).toBe(`${64 * MIB} ${zeros}\n`);
      server.close();
      expect(world!.device.transmitErrors).toBe(0);
    },
    60_000,
  );

  test('with checksums alone left to the kernel, and not in bulk, no packet is longer than the MTU', async () => {
    const { stack, mover } = open({ offload: 'checksum' });
    const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
    const url = `http://${world!.host(4)}:8080/${32 * MIB}`;
    const { stdout } = await world!.shell(`curl -sS -g ${url} | sha256sum`);
    expect(stdout.split(' ')[0]).toBe(contentHash(32 * MIB));
    server.close();
    const [long] = await world!.capture.count('frame.len > 1500');
    expect(long).toBe(0);
    expect(world!.device.transmitErrors).toBe(0);
  }, 60_000);
});

/** A wire that does nothing for either end: what is on it is as long as the MTU allows, and each checksum in it is right. */
const PLAIN = { txChecksum: false, tso: false } as const;

/** What the kernel's end has found wrong with what came. */
async function checksumErrors(): Promise<number> {
  const { stdout } = await world!.shell('cat /proc/net/snmp /proc/net/snmp6');
  const lines = stdout.split('\n').map((line) => line.trim().split(/\s+/));
  let errors = 0;
  lines.forEach((names, i) => {
    const at = names.indexOf('InCsumErrors');
    if (at > 0) errors += Number(lines[i + 1]![at]);
    if (names[0]?.endsWith('InCsumErrors')) errors += Number(names[1]);
  });
  return errors;
}

describeIf(NEEDS, 'an AF_PACKET link on a wire without offloads', () => {
  test.each([
    ['all', true],
    ['checksum', true],
    ['none', true],
    ['none', false],
  ] as const)(
    'offload %s, cut and joined at the device %s: the same bytes both ways, moving, over either family',
    async (offload, bulk) => {
      const features = [{ ...PLAIN, gro: !bulk }, PLAIN] as const;
      const { stack, mover } = open({ kind: 'packet', offload, bulk, features });
      expect(world!.device.macAddress).toHaveLength(6);
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      const zeros = createHash('sha256')
        .update(Buffer.alloc(32 * MIB))
        .digest('hex');
      for (const family of [4, 6] as const) {
        const url = `http://${world!.host(family)}:8080/`;
        const down = await world!.shell(`curl -sS -g ${url}${32 * MIB} | sha256sum`);
        expect(down.stdout.split(' ')[0]).toBe(contentHash(32 * MIB));
        const up = await world!.shell(`head -c ${32 * MIB} /dev/zero | curl -sS -g -H Expect: -T - ${url}`);
        expect(up.stdout).toBe(`${32 * MIB} ${zeros}\n`);
      }
      server.close();
      expect(mover.toTarget).toBeGreaterThanOrEqual(3);
      expect(world!.device.transmitErrors).toBe(0);
      expect(await checksumErrors()).toBe(0);
    },
    120_000,
  );
});

describeIf([requires.tun, requires.netns, requires.program('curl')], 'a device that changes under a stack', () => {
  test.each([
    ['a TUN device goes down and comes up', 'tun', 'none', ''],
    ['an interface under AF_PACKET goes down and comes up', 'packet', 'none', ''],
    ['an interface under AF_PACKET loses its carrier and has it again', 'packet', 'none', 'k'],
    ['an interface under AF_PACKET, segmentation left to it, loses its carrier and has it again', 'packet', 'all', 'k'],
  ] as const)(
    '%s: so does the stack’s, and a transfer goes on',
    async (_what, kind, offload, far) => {
      const { stack } = open({ kind, offload, bulk: true, moveEveryMs: 1000 });
      const server = await serveFiles(stack, 8080, () => {});
      const { name } = world!.device;
      const url = `http://${world!.host(4)}:8080/${64 * MIB}`;
      const download = world!.shell(`curl -sS -g --limit-rate 40M ${url} | sha256sum`, { timeoutMs: 60_000 });
      const iface = stack.host.ip.interfaces.find((one) => one.name === name)!;
      const set = async (state: 'up' | 'down'): Promise<void> => {
        if (far === '') execFileSync('ip', ['link', 'set', name, state]);
        else await world!.shell(`ip link set ${name}${far} ${state}`);
      };
      await until(() => iface.isUp, 'it is up');
      await new Promise((resolve) => setTimeout(resolve, 300));
      await set('down');
      await until(() => !iface.isUp, 'it is down');
      await set('up');
      await until(() => iface.isUp, 'it is up again');
      expect((await download).stdout.split(' ')[0]).toBe(contentHash(64 * MIB));
      server.close();
    },
    90_000,
  );
});
