/** Memory that sockets write into and a NIC half sends from: given out once, known by its place, and crossed without a copy. */
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { FRAME_MEMORY_BYTES } from '../../src/link/link.ts';
import { memoryLinkPair } from '../../src/link/memory.ts';
import { SystemRuntime } from '../../src/runtime.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack } from '../../src/stack.ts';
import { BLOCK_BYTES } from '../../src/target/engine/receive-pool.ts';
import { Arena, arenaBytes, DEFAULT_SIZES } from '../../src/target/worker/arena.ts';
import { LentMemory } from '../../src/target/worker/lent-memory.ts';
import type { WorkerEnvironment } from '../../src/target/worker/worker-target.ts';
import { MortalAdapter } from './mortal.ts';

const PIECE = 65_536;

describe('the memory', () => {
  test('is given out piece by piece, each once', () => {
    const memory = new LentMemory(new ArrayBuffer(2 * PIECE + 100));
    const [first, second] = [memory.take()!, memory.take()!];
    expect([first.byteOffset, first.length, second.byteOffset, second.length]).toEqual([0, PIECE, PIECE, PIECE]);
    expect(memory.take()).toBe(null);
  });

  test('knows which piece bytes lie in, and only of its own', () => {
    const memory = new LentMemory(new ArrayBuffer(4 * PIECE));
    const all = new Uint8Array(memory.buffer);
    expect(memory.pieceOf(all, 3 * PIECE, PIECE)).toBe(3);
    expect(memory.pieceOf(all.subarray(PIECE + 5), 10, 100)).toBe(1);
    expect(memory.pieceOf(all, PIECE - 1, 2)).toBe(-1); // in two
    expect(memory.pieceOf(new Uint8Array(PIECE), 0, 1)).toBe(-1);
  });

  test('has numbers in the arena that no block of received data has', () => {
    const sizes = { ...DEFAULT_SIZES, receiveBytes: 1 << 20, sendBytes: 1 << 20, stateBytes: 1 << 16 };
    const memory = new LentMemory(new ArrayBuffer(4 * PIECE));
    const arena = new Arena(new ArrayBuffer(arenaBytes(sizes)), sizes, true, null, memory);
    for (const bytes of [memory.piece(0), memory.piece(3), arena.receiveBlock(0), arena.receiveBlock(31)]) {
      const number = arena.keptBlockOf(bytes, 7, 20);
      expect(arena.keptBlock(number)).toBe(bytes);
    }
    expect(arena.keptBlockOf(arena.sendBlock(0), 0, 20)).toBe(-1);
  });

  test('frames that are kept as they were read have numbers between those, and memory that is nobody else’s', () => {
    const sizes = { ...DEFAULT_SIZES, receiveBytes: 1 << 20, sendBytes: 1 << 20, stateBytes: 1 << 16 };
    const memory = new LentMemory(new ArrayBuffer(4 * PIECE));
    const arena = new Arena(new ArrayBuffer(arenaBytes(sizes)), sizes, true, null, memory);
    const { first, count, own } = arena.frames!;
    expect(count).toBeGreaterThan(2);
    const frames = [own(first), own(first + 1), own(first + count - 1)];
    for (const [i, frame] of frames.entries()) {
      expect(frame.length).toBe(FRAME_MEMORY_BYTES);
      const number = arena.keptBlockOf(frame, 60, 65_000);
      expect(number).toBe([first, first + 1, first + count - 1][i]);
      expect(arena.keptBlock(number)).toBe(frame);
    }
    // In two frames, in the last block and the first frame, behind the last frame.
    expect(arena.keptBlockOf(arena.bytes, frames[1]!.byteOffset - 1, 2)).toBe(-1);
    expect(arena.keptBlockOf(arena.bytes, frames[0]!.byteOffset - 1, 2)).toBe(-1);
    expect(arena.keptBlockOf(arena.bytes, frames[2]!.byteOffset + FRAME_MEMORY_BYTES - 1, 2)).toBe(-1);
    const lastBlock = arena.receiveBlock(first - 1);
    expect(lastBlock.byteOffset + lastBlock.length).toBeLessThanOrEqual(frames[0]!.byteOffset);
    expect(arena.sendBlock(0).byteOffset).toBeGreaterThanOrEqual(frames[2]!.byteOffset + FRAME_MEMORY_BYTES);
    expect(arena.keptBlock(arena.keptBlockOf(memory.piece(0), 0, 20))).toBe(memory.piece(0));
  });
});

describe('a socket', () => {
  const BYTES = Buffer.alloc(3 << 20, 'the quick brown fox jumps over the lazy dog; ');

  interface Outcome {
    readonly isWhole: boolean;
    /** Bytes that came before it was lost, or all of them; and whether they are what was sent. */
    readonly received: number;
    readonly isRight: boolean;
    readonly copiedBytes: number;
  }

  /** Sends BYTES through a target that lends so much, with what happens meanwhile. */
  async function send(
    lentBytes: number,
    meanwhile: (adapter: MortalAdapter, socket: StackSocket) => void = () => {},
  ): Promise<Outcome> {
    const runtime = new SystemRuntime();
    const { a: there, b: here } = memoryLinkPair({ runtime });
    const lent = new LentMemory(new ArrayBuffer(lentBytes));
    let adapter!: MortalAdapter;
    const target = (environment: WorkerEnvironment): MortalAdapter => {
      adapter = new MortalAdapter({ ...environment, restart: 1000 }, lent);
      return adapter;
    };
    const server = createStack({
      links: [{ link: here, sendMemory: lent, target, addresses: ['10.0.0.1/24'] }],
      verify: true,
    });
    const client = createStack({ links: [{ link: there, addresses: ['10.0.0.2/24'] }] });
    const listening = server.net.createServer(async (socket) => {
      socket.on('error', () => socketOfClient.resetAndDestroy());
      await socket.chimney!.offload();
      socket.end(BYTES);
      setTimeout(() => meanwhile(adapter, socket), 1);
    });
    listening.listen(80);
    await once(listening, 'listening');
    const chunks: Buffer[] = [];
    const socketOfClient = client.net.connect(80, '10.0.0.1');
    socketOfClient.on('data', (data: Buffer) => chunks.push(data));
    const [isLost] = await once(socketOfClient, 'close');
    const received = Buffer.concat(chunks);
    const { copiedBytes } = adapter;
    await Promise.all([client.close(), server.close()]);
    expect(server.findings.map(findingText)).toEqual([]);
    const isRight = received.equals(BYTES.subarray(0, received.length));
    return { isWhole: !isLost && received.length === BYTES.length, received: received.length, isRight, copiedBytes };
  }

  test('writes where the target sends from, and nothing is copied again', async () => {
    expect(await send(8 << 20)).toEqual({ isWhole: true, received: BYTES.length, isRight: true, copiedBytes: 0 });
  });

  test('is served as well when that memory is full, or there is none: what is not in it is copied', async () => {
    for (const lentBytes of [PIECE, 0]) {
      const { isWhole, isRight, copiedBytes } = await send(lentBytes);
      expect([isWhole, isRight, copiedBytes > 0]).toEqual([true, true, true]);
    }
  });

  test('loses and repeats nothing of it when the connection is moved to and fro', async () => {
    const { isWhole, isRight, copiedBytes } = await send(8 << 20, (_adapter, { chimney }) => {
      const move = (): void => {
        if (chimney!.location === 'closed') return;
        const moved = chimney!.location === 'target' ? chimney!.takeBack() : chimney!.offload();
        moved.then(
          () => setImmediate(move),
          () => {},
        );
      };
      move();
    });
    // Short rests of what a peer has acknowledged are copied: they share a block.
    expect([isWhole, isRight, copiedBytes <= BLOCK_BYTES]).toEqual([true, true, true]);
  });

  test('has nothing wrong of it arrive when the NIC half dies, whether the connection is lost or lives on', async () => {
    const { isRight } = await send(8 << 20, (adapter) => adapter.kill());
    expect(isRight).toBe(true);
  });
});
