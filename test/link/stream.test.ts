/** Frames over a byte stream with a 4-byte length in front, in any cut. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { LinkReceiver } from '../../src/link/link.ts';
import { StreamLink } from '../../src/link/stream.ts';

function linkOver(written: Uint8Array[], accept = true) {
  const runtime = new VirtualRuntime();
  const why: string[] = [];
  let ended = 0;
  const carrier = {
    write: (bytes: Uint8Array) => {
      written.push(bytes);
      return accept;
    },
    end: () => {
      ended++;
    },
  };
  const link = new StreamLink({ runtime, carrier, mtu: 1500, onClosed: (text) => why.push(text) });
  const frames: number[][] = [];
  const states: boolean[] = [];
  const counts = { done: 0, writable: 0 };
  const receiver: LinkReceiver = {
    receive: (bytes, at, length) => frames.push([...bytes.subarray(at, at + length)]),
    receiveDone: () => counts.done++,
    linkState: (isUp) => states.push(isUp),
    writable: () => counts.writable++,
  };
  link.start(receiver);
  return { runtime, link, frames, states, why, counts, ended: () => ended };
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(chunks.reduce((n, c) => n + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

test('a frame leaves as QEMU wants it: length in network order, then the frame; one write a turn', () => {
  const written: Uint8Array[] = [];
  const { runtime, link } = linkOver(written);
  link.transmit(Uint8Array.of(0, 1, 2, 3, 0), 1, 3);
  link.transmit(Uint8Array.of(7), 0, 1);
  expect(written).toEqual([]);
  runtime.settle();
  expect(written.map((w) => [...w])).toEqual([[0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 1, 7]]);
});

test('frames come out whole and in order, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 1514 }), { minLength: 1, maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }),
      (frames, cuts) => {
        const written: Uint8Array[] = [];
        const sender = linkOver(written);
        for (const frame of frames) sender.link.transmit(frame, 0, frame.length);
        sender.runtime.settle();
        const stream = joined(written);
        const { link, frames: got } = linkOver([]);
        let at = 0;
        for (let i = 0; at < stream.length; i++) {
          const n = cuts[i % cuts.length]!;
          link.push(stream.slice(at, at + n));
          at += n;
        }
        expect(got).toEqual(frames.map((f) => [...f]));
      },
    ),
  );
});

test.each([
  ['zero', [0, 0, 0, 0, 1, 2], 'a frame length of 0 bytes: expected 1 to 1518'],
  ['beyond the largest frame', [0, 1, 0, 0, 1, 2], 'a frame length of 65536 bytes: expected 1 to 1518'],
  ['absurd', [255, 255, 255, 255], 'a frame length of 4294967295 bytes: expected 1 to 1518'],
])('a length that is %s takes the link down and says why; cut or whole', (_name, bytes, text) => {
  for (const cut of [1, 2, 3, 4, bytes.length]) {
    const { link, states, why, frames, ended } = linkOver([]);
    for (let at = 0; at < bytes.length; at += cut) link.push(Uint8Array.from(bytes.slice(at, at + cut)));
    expect(why).toEqual([text]);
    expect(states).toEqual([false]);
    expect(frames).toEqual([]);
    expect(ended()).toBe(1);
  }
});

test('a carrier that is full makes transmit refuse until it has drained', () => {
  const written: Uint8Array[] = [];
  const { runtime, link, counts } = linkOver(written, false);
  expect(link.transmit(Uint8Array.of(1), 0, 1)).toBe(true);
  runtime.settle();
  expect(link.transmit(Uint8Array.of(2), 0, 1)).toBe(false);
  link.drained();
  expect(counts.writable).toBe(1);
  expect(link.transmit(Uint8Array.of(2), 0, 1)).toBe(true);
});
