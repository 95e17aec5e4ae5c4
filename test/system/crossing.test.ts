/**
 * Both ends at once, against the kernel: connections that both open or both close while the other's packet is on its way, and half-closes
 * in every order, with our side on the host path, at the target, and between them at the very moment. RFC 9293 3.5 (figure 7), 3.6. Root only.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect as kernelConnect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StackSocket } from '../../src/socket/socket.ts';
import { describeIf, requires } from '../support/requires.ts';
import { countFlags, HeldLink } from './support/held-link.ts';
import { KernelWorld, until } from './support/kernel-world.ts';

const FIN = 0x01;
const SYN = 0x02;
const PORT = 7071;
const BYTES = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >>> 8)) & 255));
const HASH = createHash('sha256').update(BYTES).digest('hex');
const TIMEOUT_MS = 30_000;

interface Pair {
  readonly kernel: Socket;
  readonly ours: StackSocket;
}

let world: KernelWorld;
let wire: HeldLink;

beforeEach(() => {
  world = new KernelWorld({
    wrap: (link) => {
      wire = new HeldLink(link);
      return wire;
    },
  });
});

afterEach(() => world.close());

async function connection(): Promise<Pair> {
  const server = world.stack.net.createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(PORT, '0.0.0.0', resolve));
  const kernel = kernelConnect({ port: PORT, host: world.stackAddress(4), allowHalfOpen: true });
  const [ours] = (await once(server, 'connection')) as [StackSocket];
  server.close();
  return { kernel, ours };
}

/** Hash of all that comes, once it has ended. */
function hashOf(socket: Socket | StackSocket): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (data: Buffer) => hash.update(data));
  return once(socket, 'end').then(() => hash.digest('hex'));
}

const closed = (socket: Socket | StackSocket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));

/** To the other place, if the connection may go there. */
async function move(ours: StackSocket): Promise<void> {
  const chimney = ours.chimney!;
  if (chimney.location === 'host') await chimney.offload();
  else await chimney.takeBack();
}

const PLACES = ['host', 'target'] as const;
const WHEN = ['never', 'while both are on their way', 'while they are, twice'] as const;

describeIf(requires.tun, 'both ends at once', () => {
  test.each(PLACES.flatMap((place) => WHEN.map((when) => [place, when] as const)))(
    'close, and the FINs cross: our side on the %s, moved %s',
    async (place, when) => {
      const { kernel, ours } = await connection();
      if (place === 'target') await ours.chimney!.offload();
      ours.resume();
      kernel.resume();
      // So that nothing but FINs is on its way.
      await new Promise((resolve) => setTimeout(resolve, 100));
      wire.isHeld = true;
      ours.end();
      kernel.end();
      await until(() => countFlags(wire.out, FIN) > 0 && countFlags(wire.in, FIN) > 0, 'both FINs are on their way');
      if (when !== 'never') await move(ours);
      if (when === 'while they are, twice') await move(ours);
      wire.release();
      await Promise.all([closed(ours), closed(kernel)]);
      expect([ours.errored, kernel.errored]).toEqual([null, null]);
      // TIME-WAIT is the host's, and the target holds nothing of it.
      await until(
        () => world.stack.target(world.device.name).control.held().tcpObjects === 0,
        'the target is rid of it',
      );
      expect(world.stack.trace.countOf('TCP_RESET_BY_PEER')).toBe(0);
    },
    TIMEOUT_MS,
  );

  test.each(PLACES.flatMap((place) => WHEN.map((when) => [place, when] as const)))(
    'send, and close behind it, every byte on its way: our side on the %s, moved %s',
    async (place, when) => {
      const { kernel, ours } = await connection();
      if (place === 'target') await ours.chimney!.offload();
      const hashes = [hashOf(ours), hashOf(kernel)];
      await new Promise((resolve) => setTimeout(resolve, 100));
      wire.isHeld = true;
      // Within the first window, so that both FINs can go.
      ours.end(BYTES.subarray(0, 10_000));
      kernel.end(BYTES.subarray(0, 10_000));
      await until(() => countFlags(wire.out, FIN) > 0 && countFlags(wire.in, FIN) > 0, 'both FINs are on their way');
      if (when !== 'never') await move(ours);
      if (when === 'while they are, twice') await move(ours);
      wire.release();
      const expected = createHash('sha256').update(BYTES.subarray(0, 10_000)).digest('hex');
      expect(await Promise.all(hashes)).toEqual([expected, expected]);
      await Promise.all([closed(ours), closed(kernel)]);
      expect([ours.errored, kernel.errored]).toEqual([null, null]);
    },
    TIMEOUT_MS,
  );

  test.each([['stays with the host'], ['goes to the target at once']])(
    'open, and the SYNs cross: there is one connection, which %s',
    async (what) => {
      const [ourPort, kernelPort] = [PORT + 1, PORT + 2];
      wire.isHeld = true;
      const ours = world.stack.net.connect({
        host: world.kernelAddress(4),
        port: kernelPort,
        localAddress: world.stackAddress(4),
        localPort: ourPort,
        allowHalfOpen: true,
      });
      const kernel = kernelConnect({
        host: world.stackAddress(4),
        port: ourPort,
        localAddress: world.kernelAddress(4),
        localPort: kernelPort,
        allowHalfOpen: true,
      });
      const hashes = [hashOf(ours), hashOf(kernel)];
      await until(() => countFlags(wire.out, SYN) > 0 && countFlags(wire.in, SYN) > 0, 'both SYNs are on their way');
      const connected = [once(ours, 'connect'), once(kernel, 'connect')];
      wire.release();
      await Promise.all(connected);
      expect([ours.localPort, ours.remotePort]).toEqual([ourPort, kernelPort]);
      if (what !== 'stays with the host') await ours.chimney!.offload();
      ours.end(BYTES);
      kernel.end(BYTES);
      expect(await Promise.all(hashes)).toEqual([HASH, HASH]);
      await Promise.all([closed(ours), closed(kernel)]);
    },
    TIMEOUT_MS,
  );
});

/** Who ends first; the other goes on sending. */
const FIRST = ['ours', 'the kernel’s'] as const;
/** When our side moves: the FIN unacknowledged; acknowledged, the other half going on; at both moments. */
const MOMENTS = ['never', 'unacknowledged', 'half closed', 'both'] as const;

describeIf(requires.tun, 'one half after the other', () => {
  test.each(FIRST.flatMap((first) => PLACES.flatMap((place) => MOMENTS.map((at) => [first, place, at] as const))))(
    '%s first, our side on the %s, moved when the FIN is: %s',
    async (first, place, at) => {
      const { kernel, ours } = await connection();
      if (place === 'target') await ours.chimney!.offload();
      const isOurs = first === 'ours';
      const [early, late] = isOurs ? [ours, kernel] : [kernel, ours];
      const hashes = [hashOf(early), hashOf(late)];
      early.write('before');
      late.write('also before');
      await new Promise((resolve) => setTimeout(resolve, 50));
      wire.isHeld = true;
      early.end('; the last of it');
      await until(() => countFlags(isOurs ? wire.out : wire.in, FIN) > 0, 'the FIN is on its way');
      if (at === 'unacknowledged' || at === 'both') await move(ours);
      const heard = late.readableEnded ? null : once(late, 'end');
      wire.release();
      await heard;
      // One half is over. The other goes on.
      if (at === 'half closed' || at === 'both') await move(ours);
      late.write(BYTES);
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (at === 'both') await move(ours);
      late.end();
      const after = createHash('sha256').update('also before').update(BYTES).digest('hex');
      const before = createHash('sha256').update('before; the last of it').digest('hex');
      expect(await Promise.all(hashes)).toEqual([after, before]);
      await Promise.all([closed(ours), closed(kernel)]);
      expect([ours.errored, kernel.errored]).toEqual([null, null]);
      expect(world.stack.trace.countOf('TCP_RESET_BY_PEER')).toBe(0);
    },
    TIMEOUT_MS,
  );
});
