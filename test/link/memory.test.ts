/** The wire in memory: what it loses, delays, doubles and bends, and that it does so the same way for the same seed. */
import { expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { LinkReceiver } from '../../src/link/link.ts';
import { type Impairment, type MemoryLinkPair, memoryLinkPair } from '../../src/link/memory.ts';

class Recorder implements LinkReceiver {
  readonly frames: number[][] = [];
  readonly atUs: number[] = [];
  batches = 0;
  states: boolean[] = [];
  writables = 0;
  readonly #runtime: VirtualRuntime;
  constructor(runtime: VirtualRuntime) {
    this.#runtime = runtime;
  }
  receive(bytes: Uint8Array, at: number, length: number): void {
    this.frames.push([...bytes.subarray(at, at + length)]);
    this.atUs.push(this.#runtime.nowUs());
  }
  receiveDone(): void {
    this.batches++;
  }
  linkState(isUp: boolean): void {
    this.states.push(isUp);
  }
  writable(): void {
    this.writables++;
  }
}

function wire(impairment: Impairment, queueBytes?: number, seed = 7) {
  const runtime = new VirtualRuntime(1);
  const options = { runtime, impairment, seed, ...(queueBytes === undefined ? {} : { queueBytes }) };
  const pair: MemoryLinkPair = memoryLinkPair(options);
  const atA = new Recorder(runtime);
  const atB = new Recorder(runtime);
  pair.a.start(atA);
  pair.b.start(atB);
  return { runtime, ...pair, atA, atB };
}

const numbered = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 255, 0xee);

test('a perfect wire hands frames over in order, in one batch, never from inside transmit', () => {
  const { runtime, a, atB } = wire({});
  for (let i = 0; i < 5; i++) a.transmit(numbered(i), 0, 3);
  expect(atB.frames).toEqual([]);
  runtime.settle();
  expect(atB.frames.map((f) => f[1])).toEqual([0, 1, 2, 3, 4]);
  expect(atB.batches).toBe(1);
});

test('the frame is borrowed: what the sender does with its buffer afterwards does not matter', () => {
  const { runtime, a, atB } = wire({});
  const buffer = Uint8Array.of(9, 1, 2, 3, 9);
  a.transmit(buffer, 1, 3);
  buffer.fill(0);
  runtime.settle();
  expect(atB.frames).toEqual([[1, 2, 3]]);
});

test('delay and rate: a 1250-byte frame at 10 Mbit/s takes 1 ms on the line and then the delay', () => {
  const { runtime, a, atB } = wire({ delayUs: 5000, rateBps: 10_000_000 });
  const start = runtime.nowUs();
  const frame = new Uint8Array(1250);
  a.transmit(frame, 0, frame.length);
  a.transmit(frame, 0, frame.length);
  runtime.advance(20_000);
  expect(atB.atUs.map((t) => t - start)).toEqual([6000, 7000]);
});

test('loss, duplication and corruption come at about the rates asked for, and the same for the same seed', () => {
  const run = () => {
    const { runtime, a, atB } = wire({ loss: 0.1, duplicate: 0.05, corrupt: 0.02 });
    for (let i = 0; i < 10_000; i++) {
      a.transmit(numbered(i), 0, 3);
      if (i % 50 === 0) runtime.settle();
    }
    runtime.settle();
    return atB.frames;
  };
  const frames = run();
  expect(frames.length).toBeGreaterThan(9250);
  expect(frames.length).toBeLessThan(9650);
  expect(run()).toEqual(frames);
  let bent = 0;
  let before = -1;
  for (const [high, low, mark] of frames) {
    const number = high! * 256 + low!;
    if (mark !== 0xee || number < before || number > before + 20) bent++;
    else before = number;
  }
  expect(bent).toBeGreaterThan(100);
  expect(bent).toBeLessThan(400);
});

test('a reordered frame is overtaken by those sent within its extra delay', () => {
  const { runtime, a, atB } = wire({ delayUs: 100, reorder: 0.2, reorderDelayUs: 1000 });
  for (let i = 0; i < 200; i++) {
    a.transmit(numbered(i), 0, 3);
    runtime.advance(50);
  }
  runtime.advance(5000);
  const order = atB.frames.map((f) => f[0]! * 256 + f[1]!);
  expect([...order].sort((x, y) => x - y)).toEqual(Array.from({ length: 200 }, (_, i) => i));
  expect(order).not.toEqual([...order].sort((x, y) => x - y));
});

test('a full queue refuses frames without taking them and says when there is room', () => {
  const { runtime, a, atA, atB } = wire({ delayUs: 10 }, 2000);
  const frame = new Uint8Array(700);
  expect([1, 2, 3].map(() => a.transmit(frame, 0, 700))).toEqual([true, true, false]);
  runtime.advance(100);
  expect(atB.frames.length).toBe(2);
  expect(atA.writables).toBe(1);
});

test('a cut wire loses what is on its way, tells both ends, and carries again when mended', () => {
  const { runtime, a, b, atA, atB } = wire({ delayUs: 10 });
  a.transmit(numbered(1), 0, 3);
  b.setUp(false);
  runtime.advance(100);
  a.transmit(numbered(2), 0, 3);
  runtime.advance(100);
  a.setUp(true);
  a.transmit(numbered(3), 0, 3);
  runtime.advance(100);
  expect(atB.frames).toEqual([[0, 3, 0xee]]);
  expect(atA.states).toEqual([false, true]);
  expect(atB.states).toEqual([false, true]);
});

test('options out of range are refused with what was expected', () => {
  const runtime = new VirtualRuntime();
  expect(() => memoryLinkPair({ runtime, mtu: 10 })).toThrow('mtu: expected 68 to 65535, got 10');
  expect(() => memoryLinkPair({ runtime, impairment: { loss: 2 } })).toThrow('loss: expected 0 to 1, got 2');
  expect(() => memoryLinkPair({ runtime, impairment: { rateBps: 0 } })).toThrow(
    'rateBps: expected bits per second > 0',
  );
});

test('a wire that is made narrower tells both ends, and loses what is too long for it now; super-segments by what they stand for', () => {
  const runtime = new VirtualRuntime(1);
  const { a, b } = memoryLinkPair({ runtime, largeSendBytes: 20_000 });
  const mtus: string[] = [];
  const at = (name: string): Recorder & { mtuChanged(mtu: number): void } =>
    Object.assign(new Recorder(runtime), { mtuChanged: (mtu: number) => void mtus.push(`${name}: ${mtu}`) });
  const atB = at('b');
  a.start(at('a'));
  b.start(atB);
  const arrives = (length: number, segmentBytes: number): boolean => {
    const { length: before } = atB.frames;
    expect(a.transmit(new Uint8Array(length), 0, length, segmentBytes)).toBe(true);
    runtime.settle();
    return atB.frames.length > before;
  };
  const seen = (): boolean[] => [arrives(1514, 0), arrives(20_000, 1448), arrives(1000, 1448), arrives(10_000, 1200)];
  expect(seen()).toEqual([true, true, true, true]);
  b.setMtu(1300);
  expect(seen()).toEqual([false, false, true, true]);
  b.setMtu(1500);
  expect(seen()).toEqual([true, true, true, true]);
  expect(mtus).toEqual(['b: 1300', 'a: 1300', 'b: 1500', 'a: 1500']);
  for (const mtu of [67, 1501, 1300.5]) expect(() => a.setMtu(mtu)).toThrow(/mtu: expected 68 to 1500/);
});
