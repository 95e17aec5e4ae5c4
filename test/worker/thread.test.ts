/** A NIC in a thread of its own, over a pair of sockets: connections move at full flow, and its death in each of its forms is survived. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { expect, test, vi } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
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

/** Little, so that it is soon used up. */
const HEAP = { maxOldGenerationSizeMb: 64 };

/** A server whose NIC is a thread, and a client that is an ordinary stack. */
function pair(offload: 'all' | 'none' = 'all', medium: 'ethernet' | 'ip' = 'ethernet', restart = 0): Pair {
  const [a, b] = openPair({ offload, medium, bufferBytes: 256 << 10 });
  const deaths: NicDeath[] = [];
  const onDeath = (death: NicDeath): void => void deaths.push(death);
  const server = createStack({
    verify: true,
    offloadsAgain: true,
    links: [{ ...workerTarget(a, { onDeath, restart, resourceLimits: HEAP }), addresses: ['10.0.0.1/24'] }],
  });
  const client = createStack({ links: [{ link: new DeviceLink(b), addresses: ['10.0.0.2/24'] }] });
  return { server, client, adapter: [...server.targets.values()][0] as ThreadAdapter, deaths };
}

interface Ends {
  readonly accepted: StackSocket;
  readonly socket: StackSocket;
}

/** Both ends of one connection. */
async function connection({ server, client, adapter }: Pair, port = 80): Promise<Ends> {
  // A thread takes its time to start where many want the processors; nobody answers before.
  const { control } = adapter.arena;
  while (Atomics.load(control, ControlWord.HEARTBEAT) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const listener = server.net.createServer({ allowHalfOpen: true });
  listener.listen(port);
  await once(listener, 'listening');
  const socket = client.net.connect({ port, host: '10.0.0.1', allowHalfOpen: true }) as StackSocket;
  const [accepted] = (await once(listener, 'connection')) as [StackSocket];
  await Promise.all([socket.readyState === 'open' ? null : once(socket, 'connect')]);
  return { accepted, socket };
}

async function connections(both: Pair, count: number): Promise<Ends[]> {
  const all: Ends[] = [];
  for (let i = 0; i < count; i++) all.push(await connection(both, 100 + i));
  return all;
}

/** Nothing is held, no rule was broken. */
async function over({ server, client }: Pair): Promise<void> {
  await client.close();
  await server.close();
  expect(server.findings.map(findingText)).toEqual([]);
  expect(server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
}

/** Until there is room again, or never will be. */
function room(socket: StackSocket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

/** The hash of what comes, also of a connection that does not end well. */
function hashUntilClose(socket: StackSocket): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (data: Buffer) => hash.update(data));
  return new Promise((resolve) => socket.once('close', () => resolve(hash.digest('hex'))));
}

function hashOf(socket: StackSocket): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (data: Buffer) => hash.update(data));
  return once(socket, 'end').then(() => hash.digest('hex'));
}

/** Until a new thread works in place of one that has died, for the `count`-th time. */
async function restarted({ adapter }: Pair, count = 1): Promise<void> {
  await vi.waitFor(() => expect(adapter.control.restarts).toBe(count), TIMEOUT_MS);
}

/** For a machine that is busy with other things. */
const TIMEOUT_MS = 90_000;
const BYTES = Buffer.alloc(3 << 20, 'the quick brown fox jumps over the lazy dog; ');
const HASH = createHash('sha256').update(BYTES).digest('hex');

/** The causes that it may have: whoever is at the end of his memory looks through it for so long that he may be taken for one who hangs. */
const ENDS: readonly (readonly [string, readonly DeathCause[], (adapter: ThreadAdapter) => void])[] = [
  ['is ended from outside', [DeathCause.ENDED], ({ port }): void => void port.worker?.terminate()],
  ['throws', [DeathCause.ERROR], ({ control }): void => control.fail('throw')],
  ['hangs', [DeathCause.HANGS], ({ control }): void => control.fail('hang')],
  ['calls process.exit()', [DeathCause.ENDED], ({ control }): void => control.fail('exit')],
  ['runs out of memory', [DeathCause.ERROR, DeathCause.HANGS], ({ control }): void => control.fail('memory')],
];

/** What each of these deaths says of itself. */
const WORDS: Readonly<Record<string, RegExp>> = {
  'is ended from outside': /the NIC thread ended \(exit code 1\)/,
  throws: /Error: the NIC half was told to fail/,
  hangs: /shows no sign of life for \d+ ms: it works without end/,
  'calls process.exit()': /the NIC thread ended \(exit code 9\)/,
  'runs out of memory': /memory limit: JS heap out of memory|works without end/,
};

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
    'that dies with an initiate before it leaves the connection with the host, which goes on by itself',
    async () => {
      const both = pair();
      await using _server = both.server;
      await using _client = both.client;
      const { accepted, socket } = await connection(both);
      both.adapter.control.fail('throw');
      await expect(accepted.chimney!.offload()).rejects.toMatchObject({ code: 'ERR_CHIMNEY' });
      const hashes = [hashOf(accepted), hashOf(socket)];
      accepted.end(BYTES);
      socket.end(BYTES);
      expect(await Promise.all(hashes)).toEqual([HASH, HASH]);
      await over(both);
    },
    TIMEOUT_MS,
  );

  test.each(ENDS)(
    'that %s leaves idle connections whole, and says so: the host takes them back and goes on, over the same device',
    async (how, causes, kill) => {
      const both = pair();
      await using _server = both.server;
      await using _client = both.client;
      const all = await connections(both, 5);
      // One has bytes that nobody has read, one a peer that has finished.
      all[1]!.accepted.pause();
      all[1]!.socket.write('unread');
      all[2]!.socket.end();
      await once(all[2]!.accepted.resume(), 'end');
      for (const { accepted } of all.slice(0, 4)) await accepted.chimney!.offload();
      await new Promise((resolve) => setTimeout(resolve, 50));
      kill(both.adapter);
      await vi.waitFor(() => expect(both.deaths).toHaveLength(1), TIMEOUT_MS);
      expect(both.deaths[0]).toMatchObject({ takenBack: 4, lost: 0 });
      expect(causes).toContain(both.deaths[0]!.cause);
      expect(both.deaths[0]!.message).toMatch(WORDS[how]!);
      await vi.waitFor(() =>
        expect(all.map(({ accepted }) => accepted.chimney!.location)).toEqual(Array(5).fill('host')),
      );
      expect(all[0]!.accepted.chimney!.moves.at(-1)).toMatchObject({ kind: 'terminate', status: 'SUCCESS' });
      const sent = all.map(async ({ accepted, socket }, i) => {
        const unread = i === 1 ? 'unread' : '';
        const up = i === 2 ? null : hashOf(accepted);
        const down = hashOf(socket);
        accepted.resume().end(BYTES);
        if (i !== 2) socket.end(BYTES);
        expect(await down).toBe(HASH);
        if (up !== null) expect(await up).toBe(createHash('sha256').update(unread).update(BYTES).digest('hex'));
      });
      await Promise.all(sent);
      // Nothing is taken any more.
      const { accepted } = await connection(both, 81);
      await expect(accepted.chimney!.offload()).rejects.toMatchObject({ code: 'ERR_CHIMNEY' });
      accepted.destroy();
      await over(both);
    },
    TIMEOUT_MS,
  );

  test.each(ENDS)(
    'that %s in full flow: what is taken back goes on with every byte, what is lost ends with an error, and both are counted',
    async (_how, causes, kill) => {
      const both = pair();
      await using server = both.server;
      await using _client = both.client;
      const all = await connections(both, 12);
      for (const { accepted } of all) await accepted.chimney!.offload();
      const errors: string[] = [];
      const outcomes = all.map(async ({ accepted, socket }) => {
        let error = '';
        accepted.on('error', (why: NodeJS.ErrnoException) => {
          error = why.code ?? '';
          errors.push(error);
          socket.destroy();
        });
        socket.on('error', () => {});
        const hashes = [hashUntilClose(accepted), hashUntilClose(socket)];
        accepted.end(BYTES);
        socket.end(BYTES);
        const both = await Promise.all(hashes);
        expect(error === '' ? both : error).toEqual(error === '' ? [HASH, HASH] : 'ECONNRESET');
        return error === '';
      });
      all[0]!.socket.once('data', () => kill(both.adapter));
      const kept = (await Promise.all(outcomes)).filter((isKept) => isKept).length;
      await vi.waitFor(() => expect(both.deaths).toHaveLength(1), TIMEOUT_MS);
      const [death] = both.deaths;
      expect(causes).toContain(death!.cause);
      expect(death!.lost).toBe(errors.length);
      expect(kept).toBe(12 - errors.length);
      expect(both.adapter.control.death).not.toBe('');
      expect(server.counters().TARGET_NIC_DEAD).toBe(1);
      await over(both);
    },
    TIMEOUT_MS,
  );

  test(
    'that dies between what it has told a peer and what it has told the host loses that connection, and no other',
    async () => {
      const both = pair();
      await using server = both.server;
      await using _client = both.client;
      const [busy, idle] = await connections(both, 2);
      for (const { accepted } of [busy!, idle!]) await accepted.chimney!.offload();
      const seen: string[] = [];
      busy!.accepted.on('data', (data: Buffer) => seen.push(data.toString()));
      busy!.socket.on('error', () => {});
      busy!.socket.write('told');
      await once(busy!.accepted, 'data');
      // Until nothing is done with it any more.
      await new Promise((resolve) => setTimeout(resolve, 200));
      both.adapter.control.fail('throw-unpublished');
      await new Promise((resolve) => setTimeout(resolve, 100));
      const ended = once(busy!.accepted, 'error') as Promise<NodeJS.ErrnoException[]>;
      busy!.socket.write('acknowledged, and never told');
      expect((await ended)[0]!.code).toBe('ECONNRESET');
      await vi.waitFor(() => expect(both.deaths).toHaveLength(1), TIMEOUT_MS);
      expect(both.deaths[0]).toMatchObject({ cause: DeathCause.ERROR, takenBack: 1, lost: 1 });
      expect(seen).toEqual(['told']);
      const hash = hashOf(idle!.socket);
      idle!.accepted.end(BYTES);
      expect(await hash).toBe(HASH);
      idle!.accepted.resume();
      idle!.socket.end();
      await over(both);
      expect(server.held().connections).toBe(0);
    },
    TIMEOUT_MS,
  );

  test.each(ENDS)(
    'that %s is replaced by another, to which idle connections go down again, and new ones too',
    async (_how, causes, kill) => {
      const both = pair('all', 'ethernet', 3);
      await using server = both.server;
      await using _client = both.client;
      const all = await connections(both, 4);
      for (const { accepted } of all.slice(0, 3)) await accepted.chimney!.offload();
      await new Promise((resolve) => setTimeout(resolve, 50));
      kill(both.adapter);
      await restarted(both);
      expect(both.deaths).toMatchObject([{ takenBack: 3, lost: 0, isReplaced: true }]);
      expect(causes).toContain(both.deaths[0]!.cause);
      expect(both.adapter.control.death).toBe('');
      expect(server.counters()).toMatchObject({ TARGET_NIC_DEAD: 1, TARGET_NIC_RESTARTED: 1 });
      // Those that were down go down again; the fourth was not, and is asked for.
      await vi.waitFor(() =>
        expect(all.map(({ accepted }) => accepted.chimney!.location)).toEqual(['target', 'target', 'target', 'host']),
      );
      await all[3]!.accepted.chimney!.offload();
      const late = await connection(both, 81);
      await late.accepted.chimney!.offload();
      const sent = [...all, late].map(async ({ accepted, socket }) => {
        const hashes = [hashOf(accepted), hashOf(socket)];
        accepted.end(BYTES);
        socket.end(BYTES);
        expect(await Promise.all(hashes)).toEqual([HASH, HASH]);
      });
      await Promise.all(sent);
      await over(both);
    },
    TIMEOUT_MS,
  );

  test(
    'that dies again and again under flow is replaced as often as is allowed, and what is not lost arrives whole',
    async () => {
      const both = pair('all', 'ethernet', 3);
      await using server = both.server;
      await using _client = both.client;
      const all = await connections(both, 8);
      for (const { accepted } of all) await accepted.chimney!.offload();
      let lost = 0;
      let isOver = false;
      // Each stream as it is sent and as it comes, compared as far as it came.
      const streams = all.map(async ({ accepted, socket }) => {
        let error = '';
        accepted.on('error', (why: NodeJS.ErrnoException) => {
          error = why.code ?? '';
          lost++;
          socket.destroy();
        });
        socket.on('error', () => {});
        const hashes = [hashUntilClose(accepted), hashUntilClose(socket)];
        const sent = [createHash('sha256'), createHash('sha256')];
        const pumps = [accepted, socket].map(async (from, i) => {
          while (!isOver && error === '' && !from.destroyed) {
            sent[i]!.update(BYTES.subarray(0, 256 << 10));
            if (!from.write(BYTES.subarray(0, 256 << 10))) await room(from);
          }
          from.end();
        });
        await Promise.all(pumps);
        const received = await Promise.all(hashes);
        if (error === '') expect(received).toEqual([sent[1]!.digest('hex'), sent[0]!.digest('hex')]);
        else expect(error).toBe('ECONNRESET');
      });
      const kills = [ENDS[0]![2], ENDS[1]![2], ENDS[0]![2], ENDS[1]![2]];
      for (const [i, kill] of kills.entries()) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        kill(both.adapter);
        await vi.waitFor(() => expect(both.deaths).toHaveLength(i + 1), TIMEOUT_MS);
        if (i < 3) await restarted(both, i + 1);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
      isOver = true;
      await Promise.all(streams);
      expect(both.deaths.map(({ isReplaced }) => isReplaced)).toEqual([true, true, true, false]);
      expect(both.deaths.reduce((sum, death) => sum + death.lost, 0)).toBe(lost);
      expect(server.counters()).toMatchObject({ TARGET_NIC_DEAD: 4, TARGET_NIC_RESTARTED: 3 });
      await over(both);
    },
    TIMEOUT_MS,
  );
});
