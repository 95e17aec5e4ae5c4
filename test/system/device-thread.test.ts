/** An application in a thread that owns a TUN device: the kernel's own sockets take and give, many at once. Root only. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { type DeviceThread, startDeviceThread } from '../../src/link/node/device-thread.ts';
import { openTun } from '../../src/link/node/open-tun.ts';
import { describeIf, requires } from '../support/requires.ts';
import { type ApplicationData, Port, patternHash } from '../thread/application.ts';

/** The compiled one: threads do not run sources. */
const APPLICATION = new URL('../../dist/test/thread/application.js', import.meta.url);
const TIMEOUT_MS = 120_000;
const MIB = 1 << 20;

async function answerOf(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(chunks);
}

async function heldBy(thread: DeviceThread): Promise<unknown> {
  thread.port.postMessage('what is left');
  const [{ held }] = (await once(thread.port, 'message')) as [{ held: unknown }];
  return held;
}

describeIf(requires.tun, 'an application in a thread that owns a TUN device', () => {
  const six = new Uint8Array(16);
  six.set([0xfd, 0, 0x0c, 0x46, 1, 0]);
  six[15] = 1;
  const addresses = [
    { address: Uint8Array.of(10, 214, 7, 1), prefixLength: 24 },
    { address: six, prefixLength: 64 },
  ];
  const data: ApplicationData = { addresses: ['10.214.7.2/24', 'fd00:c46:100::2/64'] };

  test.each([
    ['all', 16, 1],
    ['none', 2, 1],
    ['all', 16, 2],
  ] as const)(
    'takes and gives every byte of 24 connections of the kernel at once, IPv4 and IPv6, offload %s, %i MiB each, %i threads',
    async (offload, mebibytes, count) => {
      const queues = openTun({ offload, addresses }, count);
      const threads = await Promise.all(
        queues.map((device) => startDeviceThread(APPLICATION, { devices: [device], data })),
      );
      const length = mebibytes * MIB + 1;
      const bytes = Buffer.alloc(length, 'the quick brown fox jumps over the lazy dog; ');
      const taken = `${length} ${createHash('sha256').update(bytes).digest('hex')}`;
      const given = patternHash(length);
      const one = async (_: unknown, i: number): Promise<void> => {
        const host = i % 2 === 0 ? '10.214.7.2' : 'fd00:c46:100::2';
        if (i % 3 === 0) {
          const up = connect(Port.HASH, host);
          up.end(bytes);
          expect((await answerOf(up)).toString()).toBe(taken);
        } else {
          const down = connect(Port.PATTERN, host);
          down.end(`${length}\n`);
          const hash = createHash('sha256').update(await answerOf(down));
          expect(hash.digest('hex')).toBe(given);
        }
      };
      await Promise.all(Array.from({ length: 24 }, one));
      for (const thread of threads) {
        await expect.poll(() => heldBy(thread)).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
      }
      expect(await Promise.all(threads.map((thread) => thread.close()))).toEqual(threads.map(() => null));
    },
    TIMEOUT_MS,
  );

  test(
    'that dies takes its device with it: the kernel has no way to it any more',
    async () => {
      const devices = openTun({ addresses });
      const thread = await startDeviceThread(APPLICATION, { devices, data });
      const socket = connect(Port.THROW, '10.214.7.2');
      const closed = once(socket, 'close');
      socket.on('error', () => {});
      socket.write('x');
      expect((await thread.ended)?.message).toContain('has thrown');
      socket.destroy();
      await closed;
      // Its name and addresses are free.
      const again = await startDeviceThread(APPLICATION, { devices: openTun({ addresses }), data });
      const down = connect(Port.PATTERN, '10.214.7.2');
      down.end('1000\n');
      expect((await answerOf(down)).length).toBe(1000);
      expect(await again.close()).toBeNull();
    },
    TIMEOUT_MS,
  );
});
