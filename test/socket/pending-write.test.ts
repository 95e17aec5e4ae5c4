/** A write that goes on piece by piece, over a send buffer that makes room in the midst of being filled. */
import { expect, test } from 'vitest';
import { PendingWrite } from '../../src/socket/pending-write.ts';
import type { SendBuffer } from '../../src/socket/send-buffer.ts';

/** Takes so many bytes at a time; `onAppend` is what happens while it is being filled. */
class Buffering {
  readonly taken: number[] = [];
  prefersLoans = false;
  free: number;
  onAppend: () => void = () => {};

  constructor(free: number) {
    this.free = free;
  }

  roomFor(bytes: number): number {
    return Math.min(this.free, bytes);
  }
  begin(): void {}
  flush(): void {}
  append(bytes: Uint8Array, at: number, length: number): void {
    this.free -= length;
    this.taken.push(...bytes.subarray(at, at + length));
    this.onAppend();
  }
}

const CHUNKS = [Uint8Array.of(1, 2, 3), Uint8Array.of(4), Uint8Array.of(5, 6, 7, 8)];

function filled(buffering: Buffering): { write: PendingWrite; send: SendBuffer } {
  const write = new PendingWrite();
  const send = buffering as unknown as SendBuffer;
  write.begin(CHUNKS, 8);
  return { write, send };
}

test('room that comes while chunks are being moved is used, each byte once and in order', () => {
  const buffering = new Buffering(2);
  const { write, send } = filled(buffering);
  buffering.onAppend = () => {
    buffering.free += 2;
    write.fill(send);
  };
  write.fill(send);
  expect(buffering.taken).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(write.bytes).toBe(0);
});

test('a write that is given up while its chunks are being moved goes no further', () => {
  const buffering = new Buffering(8);
  const { write, send } = filled(buffering);
  buffering.onAppend = () => write.giveUp(null);
  write.fill(send);
  expect(buffering.taken).toEqual([1, 2, 3]);
});
