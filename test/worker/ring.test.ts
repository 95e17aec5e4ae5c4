/** What of ordinary frames may stand in the ring before a state operation, and what may not. */
import { expect, test } from 'vitest';
import { Mdl, NetBuffer, NetBufferList } from '../../src/state/net-buffer-list.ts';
import type { Driver } from '../../src/target/worker/driver.ts';
import { DriverFrames } from '../../src/target/worker/driver-frames.ts';
import { Outbox } from '../../src/target/worker/outbox.ts';
import { Down } from '../../src/target/worker/records.ts';
import { RingReader, RingWriter } from '../../src/target/worker/ring.ts';

const RING_BYTES = 1 << 20;
const LIMIT = 100_000;
const FRAME = new Uint8Array(20_000).fill(7);

function ring(): { out: Outbox; reader: RingReader } {
  const buffer = new SharedArrayBuffer(RING_BYTES);
  const words = new Int32Array(buffer);
  const control = new Int32Array(new SharedArrayBuffer(128));
  const place = { words, at: 0, capacity: RING_BYTES / 4, control, head: 0, tail: 16 };
  const out = new Outbox(new RingWriter(place), new Uint8Array(buffer), null, () => {}, LIMIT);
  return { out, reader: new RingReader(place) };
}

test('frames are refused while so many bytes of them wait, records are not', () => {
  const { out, reader } = ring();
  let taken = 0;
  while (out.frame(Down.FRAME, 0, 0, FRAME, 0, FRAME.length)) taken++;
  expect(taken).toBe(5);
  out.say(Down.OPERATION, 1, 2);
  expect(out.isWaiting).toBe(false);
  out.publish();

  expect(reader.waitingWords * 4).toBeGreaterThanOrEqual(LIMIT);
  expect(reader.next()).toBe(true);
  expect(out.frame(Down.FRAME, 0, 0, FRAME, 0, FRAME.length)).toBe(false); // read, and not given back yet
  reader.release();
  expect(out.frame(Down.FRAME, 0, 0, FRAME, 0, FRAME.length)).toBe(true);
  out.publish();

  const types: number[] = [];
  while (reader.next()) types.push(reader.type);
  expect(types).toEqual([...Array(4).fill(Down.FRAME), Down.OPERATION, Down.FRAME]);
  expect(reader.waitingWords).toBe(0);
});

/** A list of frames of one byte each. */
function listOf(...frames: readonly number[]): NetBufferList {
  const buffers = frames.map((byte) => new NetBuffer(new Mdl(Uint8Array.of(byte)), 1));
  buffers.forEach((buffer, i) => {
    buffer.next = buffers[i + 1] ?? null;
  });
  return new NetBufferList(buffers[0]!);
}

test('a list for part of which there is no room goes on where it stopped: no frame is sent twice', () => {
  const sent: number[] = [];
  let room = 2;
  let completed = 0;
  const driver = {
    out: { frame: (_t: number, _m: number, _u: number, bytes: Uint8Array) => room-- > 0 && sent.push(bytes[0]!) > 0 },
    ndisM: { sendNetBufferListsComplete: () => completed++ },
    retrySoon: () => {},
    isAsleep: false,
    isDead: false,
  } as unknown as Driver;
  const frames = new DriverFrames(() => driver, { frameBytes: 100, backlogLists: 4, tap: null });
  frames.send(listOf(1, 2, 3, 4));
  frames.send(listOf(5, 6));
  expect([sent, completed, frames.waitingLists]).toEqual([[1, 2], 0, 2]);
  room = 1;
  frames.sendWaiting();
  room = 2;
  frames.sendWaiting();
  expect([sent, completed]).toEqual([[1, 2, 3, 4, 5], 1]);
  room = 9;
  frames.sendWaiting();
  expect([sent, completed, frames.waitingLists]).toEqual([[1, 2, 3, 4, 5, 6], 2, 0]);
});

test('a frame whose data lie in pieces crosses as one', () => {
  const { out, reader } = ring();
  const bytes = Uint8Array.from({ length: 3000 }, (_, i) => i * 7);
  const head = new Mdl(bytes, 10, 54);
  head.next = new Mdl(bytes, 100, 1);
  head.next.next = new Mdl(bytes, 200, 2000);
  expect(out.frameOf(Down.FRAME, 1460, 0, new NetBuffer(head, 54 + 1 + 1500))).toBe(true);
  out.publish();

  expect([reader.next(), reader.type]).toEqual([true, Down.FRAME]);
  const [mss, , skip, length] = reader.words.subarray(reader.at, reader.at + 4) as unknown as number[];
  const from = 4 * (reader.at + 4) + skip!;
  const frame = new Uint8Array(reader.words.buffer).slice(from, from + length!);
  expect(mss).toBe(1460);
  expect([...frame]).toEqual([...bytes.subarray(10, 64), bytes[100], ...bytes.subarray(200, 1700)]);
});
