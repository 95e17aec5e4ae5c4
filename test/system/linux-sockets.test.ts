/**
 * The kernel's sockets against the stack's: every way in which a connection begins, stalls and ends, with the stack's side on
 * the host path and on the offload target, and on the move between them.
 */
import { once } from 'node:events';
import { connect as kernelConnect, createServer as kernelServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StackSocket } from '../../src/socket/socket.ts';
import { describeIf, requires } from '../support/requires.ts';
import { contentHash, digest, pour } from './support/content.ts';
import { type Family, KernelWorld, until } from './support/kernel-world.ts';

const MIB = 1 << 20;
const PLACES = ['host', 'target'] as const;
type Place = (typeof PLACES)[number];

let world: KernelWorld;
const kernelServers: Server[] = [];

beforeEach(() => {
  world = new KernelWorld({ moveEveryMs: 10 });
});

afterEach(async () => {
  for (const server of kernelServers.splice(0)) server.close();
  await world.close();
});

/** A pair: a socket of the kernel and one of the stack, joined. */
interface Pair {
  readonly kernel: Socket;
  readonly ours: StackSocket;
}

/** The kernel connects to us. */
async function kernelConnects(family: Family = 4, options: object = {}): Promise<Pair> {
  const server = world.stack.net.createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '::', resolve));
  const { port } = server.address() as { port: number };
  const kernel = kernelConnect({ port, host: world.stackAddress(family), allowHalfOpen: true, ...options });
  const [ours] = (await once(server, 'connection')) as [StackSocket];
  server.close();
  return { kernel, ours };
}

/** We connect to the kernel. */
async function weConnect(family: Family = 4): Promise<Pair> {
  const server = kernelServer({ allowHalfOpen: true });
  kernelServers.push(server);
  await new Promise<void>((resolve) => server.listen(0, world.kernelAddress(family), resolve));
  const { port } = server.address() as { port: number };
  const ours = world.stack.net.connect({ port, host: world.kernelAddress(family), allowHalfOpen: true });
  const [[kernel]] = (await Promise.all([once(server, 'connection'), once(ours, 'connect')])) as [[Socket], unknown];
  return { kernel, ours };
}

/** Brings our side to the place where the test wants it. */
async function put(ours: StackSocket, place: Place): Promise<void> {
  if (place === 'target') await ours.chimney?.offload();
  expect(ours.chimney?.location).toBe(place);
}

/** The codes of the errors that a socket meets, as they come. */
function errorsOf(socket: Socket | StackSocket): string[] {
  const codes: string[] = [];
  socket.on('error', (error) => codes.push(String((error as NodeJS.ErrnoException).code)));
  return codes;
}

const closed = (socket: Socket | StackSocket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));

describeIf(requires.tun, 'the sockets of the kernel', () => {
  describe.each(PLACES)('our side on the %s', (place) => {
    test('the kernel ends its half first and still gets all of ours', async () => {
      const { kernel, ours } = await kernelConnects();
      await put(ours, place);
      const sent = digest(ours);
      kernel.end('the question');
      expect((await sent).bytes).toBe(12);
      const answer = digest(kernel);
      await pour(ours, 4 * MIB);
      ours.end();
      expect(await answer).toEqual({ bytes: 4 * MIB, hash: contentHash(4 * MIB) });
      await Promise.all([closed(kernel), closed(ours)]);
    });

    test('we end our half first and still get all of the kernel', async () => {
      const { kernel, ours } = await weConnect(6);
      await put(ours, place);
      const asked = digest(kernel);
      ours.end('the question');
      expect((await asked).bytes).toBe(12);
      const answer = digest(ours);
      await pour(kernel, 4 * MIB);
      kernel.end();
      expect(await answer).toEqual({ bytes: 4 * MIB, hash: contentHash(4 * MIB) });
      await Promise.all([closed(kernel), closed(ours)]);
    });

    test('a reset of the kernel is ECONNRESET here', async () => {
      const { kernel, ours } = await kernelConnects();
      await put(ours, place);
      const codes = errorsOf(ours);
      ours.resume();
      kernel.resetAndDestroy();
      await closed(ours);
      expect(codes).toEqual(['ECONNRESET']);
    });

    test('a reset of ours is ECONNRESET in the kernel', async () => {
      const { kernel, ours } = await weConnect();
      await put(ours, place);
      const codes = errorsOf(kernel);
      kernel.resume();
      ours.resetAndDestroy();
      await closed(kernel);
      expect(codes).toEqual(['ECONNRESET']);
    });

    test('a kernel that closes while we write breaks the writes that wait', async () => {
      const { kernel, ours } = await kernelConnects();
      await put(ours, place);
      const codes = errorsOf(ours);
      ours.resume();
      void pour(ours, 8 * MIB);
      await once(kernel, 'readable');
      kernel.destroy();
      await closed(ours);
      // With unread data the kernel resets at once; without, it sends FIN, and answers what still comes with a reset.
      expect(['ECONNRESET', 'EPIPE']).toContain(codes[0]);
      expect(codes.length).toBe(1);
    });

    test('a reader in the kernel that stops for a while closes its window, and loses nothing', async () => {
      const { kernel, ours } = await kernelConnects(6);
      await put(ours, place);
      const poured = pour(ours, 16 * MIB).then(() => ours.end());
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const got = digest(kernel);
      kernel.end();
      expect(await got).toEqual({ bytes: 16 * MIB, hash: contentHash(16 * MIB) });
      await poured;
      await Promise.all([closed(kernel), closed(ours)]);
      const [probes] = await world.capture.count(
        `tcp.analysis.zero_window_probe && ipv6.src==${world.stackAddress(6)}`,
      );
      expect(probes).toBeGreaterThan(0);
    });

    test('a reader here that stops for a while closes our window, and loses nothing', async () => {
      const { kernel, ours } = await kernelConnects();
      await put(ours, place);
      const poured = pour(kernel, 16 * MIB).then(() => kernel.end());
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const got = digest(ours);
      ours.end();
      expect(await got).toEqual({ bytes: 16 * MIB, hash: contentHash(16 * MIB) });
      await poured;
      await Promise.all([closed(kernel), closed(ours)]);
      const [zeroWindows] = await world.capture.count('tcp.analysis.zero_window');
      expect(zeroWindows).toBeGreaterThan(0);
    });

    test('keep-alives of the kernel are answered, and ours are answered by the kernel', async () => {
      const { kernel, ours } = await kernelConnects();
      await put(ours, place);
      kernel.setKeepAlive(true, 1000);
      ours.setKeepAlive(true, 1000);
      await new Promise((resolve) => setTimeout(resolve, 2600));
      expect(ours.destroyed || kernel.destroyed).toBe(false);
      const from = (address: string) => `tcp.analysis.keep_alive && ip.src==${address}`;
      const answered = (address: string) => `tcp.analysis.keep_alive_ack && ip.src==${address}`;
      const [k, o] = [world.kernelAddress(4), world.stackAddress(4)];
      const counts = await world.capture.count(from(k), answered(o), from(o), answered(k));
      for (const count of counts) expect(count).toBeGreaterThan(0);
      kernel.resume().end();
      ours.resume().end();
      await Promise.all([closed(kernel), closed(ours)]);
    });
  });

  test.each([4, 6] as const)('nobody listens: refused in both directions over IPv%i', async (family) => {
    const kernel = kernelConnect({ port: 9, host: world.stackAddress(family) });
    const ours = world.stack.net.connect({ port: 9, host: world.kernelAddress(family) });
    const [inKernel, here] = [errorsOf(kernel), errorsOf(ours)];
    await Promise.all([closed(kernel), closed(ours)]);
    expect([inKernel, here]).toEqual([['ECONNREFUSED'], ['ECONNREFUSED']]);
  });

  test('one byte at a time goes back and forth while the connection moves', async () => {
    const { kernel, ours } = await kernelConnects();
    world.mover.add(ours);
    ours.on('data', (chunk: Buffer) => ours.write(chunk));
    const startMs = performance.now();
    for (let i = 0; i < 1000; i++) {
      kernel.write(Buffer.of(i & 255));
      const [back] = (await once(kernel, 'data')) as [Buffer];
      expect([...back]).toEqual([i & 255]);
    }
    // Were an acknowledgement ever waited for, each round would take a delayed one's 40 ms or more.
    expect(performance.now() - startMs).toBeLessThan(10_000);
    kernel.end();
    ours.end();
    await Promise.all([closed(kernel), closed(ours)]);
  });

  test('both ends send at once while the connection moves', async () => {
    const { kernel, ours } = await weConnect(6);
    world.mover.add(ours);
    const [there, here] = [digest(kernel), digest(ours)];
    await Promise.all([pour(kernel, 24 * MIB).then(() => kernel.end()), pour(ours, 24 * MIB).then(() => ours.end())]);
    const whole = { bytes: 24 * MIB, hash: contentHash(24 * MIB) };
    expect([await there, await here]).toEqual([whole, whole]);
    await Promise.all([closed(kernel), closed(ours)]);
    expect(world.mover.toHost).toBeGreaterThan(3);
  });

  test('a hundred connections at once move while they speak', async () => {
    const server = world.stack.net.createServer((socket) => {
      world.mover.add(socket);
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(7, '::', resolve));
    const one = async (i: number): Promise<void> => {
      const kernel = kernelConnect({ port: 7, host: world.stackAddress(i % 2 === 0 ? 4 : 6) });
      const back = digest(kernel);
      await pour(kernel, 200_000 + i);
      kernel.end();
      expect(await back).toEqual({ bytes: 200_000 + i, hash: contentHash(200_000 + i) });
    };
    await Promise.all(Array.from({ length: 100 }, (_, i) => one(i)));
    expect(world.mover.toTarget).toBeGreaterThan(50);
    server.close();
  }, 60_000);

  test('the kernel comes again from the port that it just left, while we are in TIME-WAIT', async () => {
    const server = world.stack.net.createServer((socket) => socket.end('bye'));
    await new Promise<void>((resolve) => server.listen(7, '::', resolve));
    for (let i = 0; i < 5; i++) {
      const kernel = kernelConnect({
        port: 7,
        host: world.stackAddress(4),
        localPort: 40_123,
        localAddress: world.kernelAddress(4),
      });
      const codes = errorsOf(kernel);
      const back = await digest(kernel);
      await closed(kernel);
      expect([back.bytes, codes]).toEqual([3, []]);
      // Until our last acknowledgement has come, the kernel keeps the port to itself.
      await until(() => world.stack.held().connections === 0, 'TIME-WAIT');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    server.close();
  });

  test('an application of ours that closes mid-stream leaves nothing behind', async () => {
    for (const place of PLACES) {
      const { kernel, ours } = await kernelConnects();
      await put(ours, place);
      const codes = errorsOf(kernel);
      kernel.resume();
      void pour(kernel, 64 * MIB);
      await once(ours, 'data');
      ours.destroy();
      await closed(kernel);
      expect(['EPIPE', 'ECONNRESET']).toContain(codes[0]);
      await until(() => world.stack.held().connections === 0, 'the connection is gone');
    }
  });
});
