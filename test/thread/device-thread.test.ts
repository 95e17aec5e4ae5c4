/** An application in a thread that owns a device, over a pair of sockets; at the other end an ordinary stack. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DeviceLink } from '../../src/link/node/device-link.ts';
import { type DeviceThread, startDeviceThread } from '../../src/link/node/device-thread.ts';
import { openPair } from '../../src/link/node/open-pair.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import { describeIf, requires } from '../support/requires.ts';
import { type ApplicationData, Port, patternHash } from './application.ts';

/** The compiled one: threads do not run sources. */
const APPLICATION = new URL('../../dist/test/thread/application.js', import.meta.url);
/** For a machine that is busy with other things. */
const TIMEOUT_MS = 60_000;

interface World {
  readonly thread: DeviceThread;
  readonly client: Stack;
  readonly fd: number;
}

async function open(offload: 'all' | 'none' = 'all'): Promise<World> {
  const [a, b] = openPair({ offload, bufferBytes: 256 << 10 });
  const data: ApplicationData = { addresses: ['10.0.0.1/24'] };
  const client = createStack({ links: [{ link: new DeviceLink(b), addresses: ['10.0.0.2/24'] }] });
  return { thread: await startDeviceThread(APPLICATION, { devices: [a], data }), client, fd: a.fd };
}

async function connect({ client }: World, port: number): Promise<StackSocket> {
  const socket = client.net.connect(port, '10.0.0.1') as StackSocket;
  await once(socket, 'connect');
  return socket;
}

async function read(socket: StackSocket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(chunks);
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describeIf([requires.linux, requires.package('koffi')], 'an application in a thread that owns a device', () => {
  test.each(['all', 'none'] as const)(
    'takes and gives every byte of 16 connections at once by callbacks, and by streams; offload %s',
    async (offload) => {
      const world = await open(offload);
      const bytes = Buffer.alloc(200_001, 'the quick brown fox jumps over the lazy dog; ');
      const one = async (): Promise<void> => {
        const up = await connect(world, Port.HASH);
        up.end(bytes);
        expect((await read(up)).toString()).toBe(`${bytes.length} ${sha256(bytes)}`);
        const down = await connect(world, Port.PATTERN);
        down.end('200003\n');
        expect(sha256(await read(down))).toBe(patternHash(200_003));
        const both = await connect(world, Port.STREAM);
        both.end(bytes);
        expect(sha256(await read(both))).toBe(sha256(bytes));
      };
      await Promise.all(Array.from({ length: 16 }, one));
      await world.client.close();
      expect(await world.thread.close()).toBeNull();
      expect(isOpen(world.fd)).toBe(false);
    },
    TIMEOUT_MS,
  );

  test('talks to the thread that started it', async () => {
    const world = await open();
    world.thread.port.postMessage('how are you');
    const [answer] = (await once(world.thread.port, 'message')) as [unknown];
    expect(answer).toEqual({ message: 'how are you', held: { buffers: 0, stateObjects: 0, connections: 0 } });
    expect(await world.thread.close()).toBeNull();
    await world.client.close();
  });

  test('that aborts a connection resets it, and serves the others', async () => {
    const world = await open();
    const socket = await connect(world, Port.ABORT);
    socket.write('x');
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
    const other = await connect(world, Port.PATTERN);
    other.end('5\n');
    expect(sha256(await read(other))).toBe(patternHash(5));
    expect(await world.thread.close()).toBeNull();
    await world.client.close();
  });

  test('that throws in a callback ends the thread, which says so and closes the device', async () => {
    const world = await open();
    const socket = await connect(world, Port.THROW);
    socket.on('error', () => {});
    socket.write('x');
    const error = await world.thread.ended;
    expect(error?.message).toBe('a callback of the application has thrown');
    expect(isOpen(world.fd)).toBe(false);
    // A close afterwards has nothing to do, and says the same.
    expect(await world.thread.close()).toBe(error);
    await world.client.close();
  });

  test('that hangs is ended by a close, which says so', async () => {
    const world = await open();
    const socket = await connect(world, Port.HANG);
    socket.on('error', () => {});
    socket.write('x');
    await once(world.thread.port, 'message');
    const error = await world.thread.close(200);
    expect(error?.message).toContain('did not close within 200 ms');
    expect(isOpen(world.fd)).toBe(false);
    await world.client.close();
  });

  test('whose thread is ended from outside is told, and its device closed', async () => {
    const world = await open();
    void world.thread.worker.terminate();
    expect((await world.thread.ended)?.message).toContain('the device thread ended');
    expect(isOpen(world.fd)).toBe(false);
    await world.client.close();
  });

  test.each([
    ['whose module is not there', new URL('../nowhere.js', APPLICATION), {}, 'nowhere.js'],
    ['whose module has no start', new URL('../support/least.js', APPLICATION), {}, "an exported function 'start'"],
    ['that throws at its start', APPLICATION, { addresses: [], fails: 'not today' }, 'not today'],
    [
      'with options of a stack that are wrong',
      APPLICATION,
      { addresses: ['nonsense'] },
      'createStack: links[0].addresses',
    ],
  ] as const)(
    '%s does not start: the reason is told, and the device closed',
    async (_name, application, data, words) => {
      const [a, b] = openPair();
      const started = startDeviceThread(application, { devices: [a], data });
      await expect(started).rejects.toThrow(words);
      expect(isOpen(a.fd)).toBe(false);
      await createStack({ links: [{ link: new DeviceLink(b), addresses: ['10.0.0.2/24'] }] }).close();
    },
  );
});
