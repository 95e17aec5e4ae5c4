/**
 * Linux as the peer: curl and nginx over a real device, through the kernel's TCP, while each connection goes down the chimney
 * and comes back again and again. The kernel must not notice: no reset, no retransmission, every byte right.
 */
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { describeIf, requires } from '../support/requires.ts';
import { RETRANSMISSIONS_MAX } from './support/capture.ts';
import { contentHash } from './support/content.ts';
import { serveFiles } from './support/file-server.ts';
import { collect } from './support/http-reply.ts';
import { type Family, KernelWorld, type KernelWorldOptions } from './support/kernel-world.ts';
import { startNginx } from './support/nginx.ts';

const MIB = 1 << 20;
const FAMILIES: readonly Family[] = [4, 6];
const NEEDS = [requires.tun, requires.program('curl'), requires.program('tshark')];

let world: KernelWorld | undefined;

function open(options?: KernelWorldOptions): KernelWorld {
  world = new KernelWorld(options);
  return world;
}

afterEach(async () => {
  await world?.close();
  world = undefined;
});

/** What Wireshark must find in a capture: both engines at work, no reset, and hardly a retransmission on a wire that loses nothing. */
async function expectClean(from: KernelWorld): Promise<void> {
  const [retransmissions, lost, byHost, byTarget] = await from.capture.count(
    'tcp.analysis.retransmission',
    'tcp.analysis.lost_segment',
    'frame.comment contains "host stack"',
    'frame.comment contains "offload target"',
  );
  expect(await from.capture.untimelyResets()).toEqual([]);
  expect(retransmissions, 'retransmissions').toBeLessThanOrEqual(RETRANSMISSIONS_MAX);
  expect(lost, 'lost segments').toBe(0);
  expect(byHost, 'packets handled by the host stack').toBeGreaterThan(0);
  expect(byTarget, 'packets handled by the offload target').toBeGreaterThan(0);
  expect(from.capture.tap.operations, 'operations in the capture').toBeGreaterThan(0);
}

/** Stops the moving and demands so many round trips. */
function expectMoved(of: KernelWorld, atLeast: number): void {
  of.mover.stop();
  expect(of.mover.toTarget).toBeGreaterThanOrEqual(atLeast);
  expect(of.mover.toHost).toBeGreaterThanOrEqual(atLeast);
}

describeIf(NEEDS, 'curl over a TUN device', () => {
  test.each(FAMILIES)(
    'downloads 256 MiB over IPv%i while the connection moves',
    async (family) => {
      const { stack, mover } = open();
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      const url = `http://${world!.host(family)}:8080/${256 * MIB}`;
      const { stdout } = await world!.shell(`curl -sS -g ${url} | sha256sum`, { timeoutMs: 120_000 });
      expect(stdout.split(' ')[0]).toBe(contentHash(256 * MIB));
      expectMoved(world!, 20);
      server.close();
      await expectClean(world!);
    },
    180_000,
  );

  test.each(FAMILIES)(
    'uploads 64 MiB over IPv%i while the connection moves',
    async (family) => {
      const { stack, mover } = open({ moveEveryMs: 15 });
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      const url = `http://${world!.host(family)}:8080/`;
      const { stdout } = await world!.shell(`head -c ${64 * MIB} /dev/zero | curl -sS -g -H Expect: -T - ${url}`);
      const zeros = createHash('sha256')
        .update(Buffer.alloc(64 * MIB))
        .digest('hex');
      expect(stdout).toBe(`${64 * MIB} ${zeros}\n`);
      expectMoved(world!, 10);
      server.close();
      await expectClean(world!);
    },
    120_000,
  );
});

describeIf(NEEDS, 'curl over a TAP device', () => {
  test.each(FAMILIES)(
    'finds the stack by ARP or neighbor discovery and downloads over IPv%i',
    async (family) => {
      const { stack, mover } = open({ kind: 'tap', moveEveryMs: 15 });
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      const url = `http://${world!.host(family)}:8080/${48 * MIB}`;
      const { stdout } = await world!.shell(`curl -sS -g ${url} | sha256sum`);
      expect(stdout.split(' ')[0]).toBe(contentHash(48 * MIB));
      expectMoved(world!, 10);
      server.close();
      await expectClean(world!);
      const asked = family === 4 ? 'arp.opcode==1' : 'icmpv6.type==135';
      const answered = family === 4 ? 'arp.opcode==2' : 'icmpv6.type==136';
      const [requests, answers] = await world!.capture.count(asked, answered);
      expect(requests).toBeGreaterThan(0);
      expect(answers).toBeGreaterThan(0);
    },
    120_000,
  );

  test('uploads over a link of jumbo frames', async () => {
    const { stack, mover } = open({ kind: 'tap', mtu: 9000, moveEveryMs: 10 });
    const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
    const { stdout } = await world!.shell(
      `head -c ${64 * MIB} /dev/zero | curl -sS -H Expect: -T - http://${world!.host(4)}:8080/`,
    );
    expect(Number(stdout.split(' ')[0])).toBe(64 * MIB);
    expectMoved(world!, 5);
    server.close();
    await expectClean(world!);
  }, 120_000);
});

describeIf([...NEEDS, requires.program('nginx')], 'nginx as the server, the stack as the client', () => {
  test.each(FAMILIES)(
    'a download over IPv%i moves while it runs',
    async (family) => {
      open({ moveEveryMs: 15 });
      const nginx = await startNginx(world!.kernelAddress(4), world!.kernelAddress(6), 64 * MIB);
      try {
        const socket = world!.stack.net.connect(nginx.port, world!.kernelAddress(family));
        socket.once('connect', () => world!.mover.add(socket));
        socket.write('GET /file HTTP/1.0\r\n\r\n');
        const reply = await collect(socket);
        expect(reply.head).toContain('200 OK');
        expect(reply.hash).toBe(nginx.hash);
        expectMoved(world!, 10);
        await expectClean(world!);
      } finally {
        await nginx.stop();
      }
    },
    120_000,
  );
});
