/** What of ordinary frames may stand in the ring before a state operation, and what may not. */
import { expect, test } from 'vitest';
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
