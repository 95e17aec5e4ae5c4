/**
 * A real device that is removed by somebody else while connections flow and move over it: everything comes back, applications hear
 * ENETDOWN, the stack and the process live on. Root only.
 */
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { openTun } from '../../src/link/node/index.ts';
import { createStack } from '../../src/stack.ts';
import { workerTarget } from '../../src/target/worker/index.ts';
import { describeIf, requires } from '../support/requires.ts';
import { serveFiles } from './support/file-server.ts';
import { KernelWorld, until } from './support/kernel-world.ts';

const MIB = 1 << 20;
const DOWNLOADS = 4;

let world: KernelWorld | undefined;

afterEach(async () => {
  await world?.close();
  world = undefined;
});

describeIf([requires.tun, requires.netns, requires.program('curl')], 'a device that vanishes', () => {
  test.each([
    ['tun', 'none'],
    ['tap', 'all'],
    ['packet', 'none'],
    ['packet', 'all'],
  ] as const)(
    'a %s device (offload: %s), in the middle of downloads that move',
    async (kind, offload) => {
      world = new KernelWorld({ kind, offload, moveEveryMs: 5 });
      const { stack, mover, device } = world;
      const errors: string[] = [];
      let begun = 0;
      const server = await serveFiles(stack, 8080, (socket) => {
        begun++;
        mover.add(socket);
        (socket as unknown as { on(event: 'error', listener: (error: { code: string }) => void): void }).on(
          'error',
          (error) => errors.push(error.code),
        );
      });
      const curls = Array.from({ length: DOWNLOADS }, (_, i) =>
        world!
          .shell(`curl -sS -g -o /dev/null -m 6 http://${world!.host(i % 2 === 0 ? 4 : 6)}:8080/${4096 * MIB}`)
          .then(
            () => 'done',
            () => 'failed',
          ),
      );
      await until(() => begun === DOWNLOADS && mover.toTarget >= 3 * DOWNLOADS, 'all connections move');
      execFileSync('ip', ['link', 'delete', device.name]);
      await until(() => errors.length === DOWNLOADS, 'applications hear of it');
      expect(errors).toEqual(Array(DOWNLOADS).fill('ENETDOWN'));
      await until(() => stack.ndis.adapterNames.length === 0, 'the adapter is halted');
      expect(stack.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
      expect(stack.adapter(device.name).isRemoved).toBe(true);
      // What is asked of the stack now is refused, not forgotten.
      const socket = stack.net.connect(80, world.kernelAddress(4));
      const [refusal] = await new Promise<{ code: string }[]>((resolve) => {
        socket.on('error', (error: Error) => resolve([error as unknown as { code: string }]));
      });
      expect(['ENETDOWN', 'ENETUNREACH', 'EADDRNOTAVAIL']).toContain(refusal!.code);
      server.close();
      expect(await Promise.all(curls)).toEqual(Array(DOWNLOADS).fill('failed'));
    },
    60_000,
  );

  test('under a NIC thread, which tells', async () => {
    const [device] = openTun({ addresses: [{ address: Uint8Array.of(10, 231, 77, 1), prefixLength: 24 }] });
    const stack = createStack({ verify: true, links: [{ ...workerTarget(device!), addresses: ['10.231.77.2/24'] }] });
    const errors: string[] = [];
    let isOffloaded = false;
    const server = stack.net.createServer((socket) => {
      socket.on('error', (error: Error) => errors.push((error as NodeJS.ErrnoException).code!));
      socket.resume();
      socket.chimney!.offload().then(() => {
        isOffloaded = true;
      });
    });
    await new Promise<void>((resolve) => void server.listen(8080, '10.231.77.2', () => resolve()));
    const client = connect(8080, '10.231.77.2');
    client.on('error', () => undefined);
    const pour = setInterval(() => client.write(Buffer.alloc(10_000)), 5);
    try {
      await until(() => isOffloaded, 'the connection is at the NIC thread');
      execFileSync('ip', ['link', 'delete', device!.name]);
      await until(() => errors.length > 0, 'the application hears of it');
      expect(errors).toEqual(['ENETDOWN']);
      await until(() => stack.ndis.adapterNames.length === 0, 'the adapter is halted');
      expect(stack.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    } finally {
      clearInterval(pour);
      client.destroy();
      await stack.close();
    }
    expect(stack.findings.map(findingText)).toEqual([]);
  }, 60_000);
});
