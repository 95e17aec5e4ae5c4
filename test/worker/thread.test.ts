/** A NIC in a thread of its own, over a pair of sockets: connections move at full flow, and its death in each of its forms is survived. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { DeviceLink } from '../../src/link/node/device-link.ts';
import { openPair } from '../../src/link/node/open-pair.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import { ControlWord } from '../../src/target/worker/arena.ts';
import { DeathCause, type NicDeath } from '../../src/target/worker/thread-port.ts';
import { type ThreadAdapter, workerTarget } from '../../src/target/worker/worker-target.ts';
import { describeIf, requires } from '../support/requires.ts';

interface Pair {
  readonly server: Stack;
  readonly client: Stack;
  readonly adapter: ThreadAdapter;
  readonly deaths: NicDeath[];
}

/** A server whose NIC is a thread, and a client that is an ordinary stack. */
function pair(offload: 'all' | 'none' = 'all', medium: 'ethernet' | 'ip' = 'ethernet'): Pair {
  const [a, b] = openPair({ offload, medium, bufferBytes: 256 << 10 });
  const deaths: NicDeath[] = [];
  const server = createStack({
    verify: true,
    links: [{ ...workerTarget(a, { onDeath: (death) => deaths.push(death) }), addresses: ['10.0.0.1/24'] }],
  });
  const client = createStack({ links: [{ link: new DeviceLink(b), addresses: ['10.0.0.2/24'] }] });
  return { server, client, adapter: [...server.targets.values()][0] as ThreadAdapter, deaths };
}

/** Both ends of one connection. */
async function connection({ server, client, adapter }: Pair): Promise<{ accepted: StackSocket; socket: StackSocket }> {
  // A thread takes its time to start where many want the processors; nobody answers before.
  const { control } = adapter.arena;
  while (Atomics.load(control, ControlWord.HEARTBEAT) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const listener = server.net.createServer();
  listener.listen(80);
  await once(listener, 'listening');
  const socket = client.net.connect(80, '10.0.0.1') as StackSocket;
  const [accepted] = (await once(listener, 'connection')) as [StackSocket];
  await Promise.all([socket.readyState === 'open' ? null : once(socket, 'connect')]);
  return { accepted, socket };
}

function hashOf(socket: StackSocket): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (data: Buffer) => hash.update(data));
  return once(socket, 'end').then(() => hash.digest('hex'));
}

/** For a machine that is busy with other things. */
const TIMEOUT_MS = 90_000;
const BYTES = Buffer.alloc(3 << 20, 'the quick brown fox jumps over the lazy dog; ');
const HASH = createHash('sha256').update(BYTES).digest('hex');

const ENDS: readonly (readonly [string, DeathCause, (adapter: ThreadAdapter) => void])[] = [
  ['is ended from outside', DeathCause.ENDED, ({ port }): void => void port.worker?.terminate()],
  ['throws', DeathCause.ERROR, ({ control }): void => control.fail('throw')],
  ['hangs', DeathCause.HANGS, ({ control }): void => control.fail('hang')],
];

describeIf([requires.linux, requires.package('koffi')], 'a NIC in a thread of its own', () => {
  test.each([
    ['all', 'ethernet'],
    ['none', 'ip'],
  ] as const)(
    'carries megabytes both ways while connections move, offload %s, medium %s',
    async (offload, medium) => {
      const both = pair(offload, medium);
      await using server = both.server;
      await using client = both.client;
      const { accepted, socket } = await connection(both);
      let isOver = false;
      let moves = 0;
      const move = async (): Promise<void> => {
        while (!isOver) {
          const chimney = accepted.chimney!;
          const moved: Promise<unknown> = chimney.location === 'host' ? chimney.offload() : chimney.takeBack();
          await moved.then(
            () => {
              moves++;
            },
            () => {},
          );
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      };
      const moving = move();
      const hashes = [hashOf(accepted), hashOf(socket)];
      accepted.end(BYTES);
      socket.end(BYTES);
      expect(await Promise.all(hashes)).toEqual([HASH, HASH]);
      isOver = true;
      await moving;
      expect(moves).toBeGreaterThan(2);
      await client.close();
      await server.close();
      expect(server.findings).toEqual([]);
      expect(server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
      expect(both.deaths).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'that dies with an initiate before it that it may have begun takes the connection with it',
    async () => {
      const both = pair();
      await using server = both.server;
      await using client = both.client;
      const { accepted, socket } = await connection(both);
      socket.on('error', () => {});
      const ended = once(accepted, 'error').then(([error]) => error as NodeJS.ErrnoException);
      both.adapter.control.fail('throw');
      await accepted.chimney!.offload().catch(() => {});
      expect((await ended).code).toBe('ECONNRESET');
      await client.close();
      await server.close();
      expect(server.findings).toEqual([]);
      expect(server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    },
    TIMEOUT_MS,
  );

  test.each(ENDS)(
    'that %s in full flow is noticed; the connection ends, the host lives on and says what happened',
    async (_how, cause, kill) => {
      const both = pair();
      await using server = both.server;
      await using client = both.client;
      const { accepted, socket } = await connection(both);
      await accepted.chimney!.offload();
      socket.resume();
      const ended = once(accepted, 'error').then(([error]) => error as NodeJS.ErrnoException);
      const pump = (): void => {
        while (accepted.writable && accepted.write(BYTES.subarray(0, 65_536)));
      };
      accepted.on('drain', pump);
      socket.once('data', () => kill(both.adapter));
      pump();
      expect((await ended).code).toBe('ECONNRESET');
      expect(both.deaths.map((death) => death.cause)).toEqual([cause]);
      expect(both.adapter.control.death).not.toBe('');
      expect(server.counters().TARGET_NIC_DEAD).toBe(1);
      // Nothing is taken any more; the stack goes on, and ends in good order.
      const late = server.net.connect(81, '10.0.0.9');
      late.on('error', () => {});
      late.destroy();
      await client.close();
      await server.close();
      expect(server.findings).toEqual([]);
      expect(server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    },
    TIMEOUT_MS,
  );
});
