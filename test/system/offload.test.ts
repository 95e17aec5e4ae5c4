/**
 * Checksums and segmentation left to the kernel: super-segments both ways between the stack and Linux over real devices, on the
 * host path and on the target, while connections move. Root only.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { PacketLink } from '../../src/link/node/packet.ts';
import { createStack } from '../../src/stack.ts';
import { describeIf, requires } from '../support/requires.ts';
import { RETRANSMISSIONS_MAX } from './support/capture.ts';
import { contentHash } from './support/content.ts';
import { serveFiles } from './support/file-server.ts';
import { KernelWorld, type KernelWorldOptions } from './support/kernel-world.ts';
import { run } from './support/programs.ts';

const MIB = 1 << 20;
const NEEDS = [requires.tun, requires.program('curl'), requires.program('tshark')];

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
  ] as const)(
    'leave the stack for the kernel over a %s device with IPv%i',
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
  ] as const)(
    'arrive from the kernel over a %s device with IPv%i',
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

describeIf([requires.netns, ...NEEDS], 'an AF_PACKET link on a veth interface', () => {
  test.each(['all', 'none'] as const)(
    'serves curl in another namespace, offload %s',
    async (offload) => {
      const ns = `chimney-p${process.pid}-${offload}`;
      const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: 'pipe' });
      const [ours, theirs] = [`cp${process.pid % 10_000}a`, `cp${process.pid % 10_000}b`];
      ip('netns', 'add', ns);
      try {
        ip('link', 'add', ours, 'type', 'veth', 'peer', 'name', theirs, 'netns', ns);
        ip('link', 'set', ours, 'up');
        ip('-n', ns, 'link', 'set', theirs, 'up');
        ip('-n', ns, 'addr', 'add', '10.202.3.1/24', 'dev', theirs);
        ip('-n', ns, 'addr', 'add', 'fd00:c42:3::1/64', 'dev', theirs, 'nodad');
        const link = PacketLink.open({ name: ours, offload });
        expect(link.macAddress).toHaveLength(6);
        await using stack = createStack({
          verify: true,
          links: [{ link, addresses: ['10.202.3.2/24', 'fd00:c42:3::2/64'] }],
        });
        const server = await serveFiles(stack, 8080, () => {});
        for (const host of ['10.202.3.2', '[fd00:c42:3::2]']) {
          const line = `curl -sS -g http://${host}:8080/${32 * MIB} | sha256sum`;
          const { stdout } = await run('ip', ['netns', 'exec', ns, 'bash', '-o', 'pipefail', '-c', line]);
          expect(stdout.split(' ')[0]).toBe(contentHash(32 * MIB));
        }
        server.close();
        expect(stack.findings).toEqual([]);
      } finally {
        execFileSync('ip', ['link', 'delete', ours], { stdio: 'pipe' });
        ip('netns', 'delete', ns);
      }
    },
    60_000,
  );
});

describeIf([requires.tun, requires.program('ip')], 'a device that changes under a stack', () => {
  test('goes down and comes up: the interface is down and up, and a transfer goes on', async () => {
    const { stack } = open({ offload: 'all', moveEveryMs: 1000 });
    const server = await serveFiles(stack, 8080, () => {});
    const { name } = world!.device;
    const url = `http://${world!.host(4)}:8080/${64 * MIB}`;
    const download = world!.shell(`curl -sS -g --limit-rate 40M ${url} | sha256sum`, { timeoutMs: 60_000 });
    const iface = stack.host.ip.interfaces.find((one) => one.name === name)!;
    await new Promise((resolve) => setTimeout(resolve, 300));
    execFileSync('ip', ['link', 'set', name, 'down']);
    for (let i = 0; i < 200 && iface.isUp; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(iface.isUp).toBe(false);
    execFileSync('ip', ['link', 'set', name, 'up']);
    for (let i = 0; i < 200 && !iface.isUp; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(iface.isUp).toBe(true);
    expect((await download).stdout.split(' ')[0]).toBe(contentHash(64 * MIB));
    server.close();
  }, 90_000);
});
