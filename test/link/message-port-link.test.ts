/** Frames over a MessagePort: together, in transferred buffers that come back, bounded by those that have not. */
import { MessageChannel, Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { createStack, SystemRuntime } from '../../src/index.ts';
import { type FramePort, MessagePortLink, type MessagePortLinkOptions } from '../../src/link/browser/index.ts';
import type { LinkReceiver } from '../../src/link/link.ts';
import { Trace } from '../../src/trace/trace.ts';
import { seed } from '../support/seed.ts';
import { content, receiveOne, sendAll, sha256 } from '../system/browser/transfer.ts';

/** A port whose messages wait until the test lets them through; transferred buffers are gone from the sender, as in a browser. */
class HandPort implements FramePort {
  peer: HandPort | null = null;
  onmessage: ((event: never) => void) | null = null;
  onClose: () => void = () => {};
  readonly waiting: unknown[] = [];
  isClosed = false;

  postMessage(message: unknown, transfer: ArrayBuffer[]): void {
    this.peer!.waiting.push(structuredClone(message, { transfer }));
  }
  addEventListener(_type: 'close', listener: () => void): void {
    this.onClose = listener;
  }
  close(): void {
    this.isClosed = true;
  }
  /** Delivers what waits here; answers how many messages. */
  deliver(): number {
    const all = this.waiting.splice(0);
    for (const data of all) this.onmessage?.({ data } as never);
    return all.length;
  }
}

class Collector implements LinkReceiver {
  readonly frames: { bytes: number[]; segmentBytes: number }[] = [];
  readonly states: boolean[] = [];
  done = 0;
  writables = 0;
  receive(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): void {
    this.frames.push({ bytes: [...bytes.subarray(at, at + length)], segmentBytes });
  }
  receiveDone(): void {
    this.done++;
  }
  linkState(isUp: boolean): void {
    this.states.push(isUp);
  }
  writable(): void {
    this.writables++;
  }
}

function pair(options: Partial<MessagePortLinkOptions> = {}) {
  const runtime = new VirtualRuntime();
  const trace = new Trace();
  const ports = [new HandPort(), new HandPort()] as const;
  ports[0].peer = ports[1];
  ports[1].peer = ports[0];
  const links = ports.map((port) => new MessagePortLink({ runtime, trace, port, ...options }));
  const [a, b] = [links[0]!, links[1]!];
  const [atA, atB] = [new Collector(), new Collector()];
  a.start(atA);
  b.start(atB);
  return { runtime, trace, a, b, atA, atB, portA: ports[0], portB: ports[1] };
}

describe('a link over a MessagePort', () => {
  test('carries the frames of a turn in one message, whole and in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 1518 }), { minLength: 1, maxLength: 30 }),
        (frames) => {
          const { runtime, a, atB, portB } = pair();
          for (const frame of frames) {
            // What is given is borrowed: it changes as soon as the call is over.
            const lent = Uint8Array.of(0, ...frame, 0);
            expect(a.transmit(lent, 1, frame.length)).toBe(true);
            lent.fill(0xee);
          }
          expect(portB.waiting.length).toBe(0);
          runtime.settle();
          expect(portB.deliver()).toBe(1);
          expect(atB.frames.map((one) => one.bytes)).toEqual(frames.map((frame) => [...frame]));
          expect(atB.done).toBe(1);
        },
      ),
      { seed, numRuns: 30 },
    );
  });

  test('uses its buffers again when they have come back', () => {
    const { runtime, a, portA, portB } = pair();
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) {
      a.transmit(new Uint8Array(100), 0, 100);
      runtime.settle();
      seen.push((portB.waiting[0] as { frames: ArrayBuffer }).frames.byteLength);
      portB.deliver();
      expect(portA.waiting).toEqual([{ taken: expect.any(ArrayBuffer) }]);
      portA.deliver();
    }
    expect(new Set(seen).size).toBe(1);
  });

  test('says no when as many buffers as may be are on their way, loses nothing, and says when there is room', () => {
    const { runtime, trace, a, atA, atB, portA, portB } = pair({ buffersMax: 2 });
    const frame = new Uint8Array(1500);
    let taken = 0;
    while (a.transmit(frame, 0, frame.length)) taken++;
    runtime.settle();
    // Two on their way and one that is full.
    expect(taken).toBeGreaterThan((2 * 65536) / 1508);
    expect(taken).toBeLessThan((4 * 65536) / 1508);
    expect(portB.waiting.length).toBe(2);
    expect(trace.counters()).toEqual({ LINK_QUEUE_FULL: 1 });
    expect(atA.writables).toBe(0);
    portB.deliver();
    portA.deliver();
    expect(atA.writables).toBe(1);
    portB.deliver();
    expect(atB.frames.length).toBe(taken);
    expect(a.transmit(frame, 0, frame.length)).toBe(true);
  });

  test('what was held back for want of a buffer goes when one comes back, unasked', () => {
    const { runtime, a, atB, portA, portB } = pair({ buffersMax: 1 });
    a.transmit(Uint8Array.of(1), 0, 1);
    runtime.settle();
    a.transmit(Uint8Array.of(2), 0, 1);
    runtime.settle();
    expect(portB.deliver()).toBe(1);
    portA.deliver();
    expect(portB.deliver()).toBe(1);
    expect(atB.frames.map((one) => one.bytes)).toEqual([[1], [2]]);
  });

  test('carries super-segments as far as it was asked to, and no giants', () => {
    const { runtime, trace, a, atB, portB } = pair({ largeSendBytes: 65535 });
    expect(a.largeSendBytes).toBe(65535);
    a.transmit(new Uint8Array(65549), 0, 65549, 1448);
    a.transmit(new Uint8Array(1519), 0, 1519);
    a.transmit(new Uint8Array(65554), 0, 65554, 1448);
    runtime.settle();
    portB.deliver();
    expect(atB.frames.map((one) => [one.bytes.length, one.segmentBytes])).toEqual([[65549, 1448]]);
    expect(trace.counters()).toEqual({ LINK_FRAME_LOST: 2 });
  });

  const buffer = (...words: number[]): ArrayBuffer => {
    const bytes = new Uint8Array(16 + 8 * words.length);
    for (const [i, word] of words.entries()) new DataView(bytes.buffer).setUint32(4 * i, word);
    return bytes.buffer;
  };
  test.each([
    ['nothing', null],
    ['a string', 'frames'],
    ['another object', { hello: 1 }],
    ['a buffer in the wrong form', { frames: new Uint8Array(4) }],
    ['more than the buffer has', { frames: buffer(1, 0), length: 4000 }],
    ['a length that is none', { frames: buffer(1, 0), length: 'x' }],
    ['a negative length', { frames: buffer(1, 0), length: -1 }],
    ['a frame of no bytes', { frames: buffer(0, 0), length: 8 }],
    ['a frame beyond the largest', { frames: buffer(70_000, 0), length: 16 }],
    ['a frame cut short', { frames: buffer(9, 0), length: 12 }],
    ['half a head', { frames: buffer(1, 0), length: 7 }],
    ['an impossible segment size', { frames: buffer(1, 0x10000), length: 9 }],
    ['a buffer that was never sent', { taken: new ArrayBuffer(8) }],
  ])('a message that makes no sense (%s) is counted, and the next one is taken', (_, message) => {
    const { runtime, trace, a, b, atA, atB, portA, portB } = pair();
    portB.waiting.push(message);
    portB.deliver();
    expect(trace.counters()).toEqual({ LINK_MESSAGE_BAD: 1 });
    expect(atB.frames).toEqual([]);
    a.transmit(Uint8Array.of(7), 0, 1);
    b.transmit(Uint8Array.of(8), 0, 1);
    runtime.settle();
    portA.waiting.shift(); // what answered the bad one
    portB.deliver();
    portA.deliver();
    expect(atB.frames.map((one) => one.bytes)).toEqual([[7]]);
    expect([...atA.states, ...atB.states]).toEqual([]);
  });

  test('closing sends what is there, and takes the other end down once', () => {
    const { a, b, atA, atB, portA, portB, runtime } = pair();
    a.transmit(Uint8Array.of(1), 0, 1);
    a.close();
    a.close();
    expect(portA.isClosed).toBe(true);
    portB.deliver();
    portB.onClose();
    expect(atB.frames.map((one) => one.bytes)).toEqual([[1]]);
    expect(atB.states).toEqual([false]);
    // Taken and lost, as on a dead wire; and whoever closed hears nothing more.
    expect(b.transmit(Uint8Array.of(2), 0, 1)).toBe(true);
    expect(a.transmit(Uint8Array.of(2), 0, 1)).toBe(true);
    runtime.settle();
    expect(atA.states).toEqual([]);
    expect(portA.waiting.filter((one) => (one as { frames?: unknown }).frames !== undefined)).toEqual([]);
    b.close();
  });

  test('the port of a thread that is gone is a link that went down', () => {
    const { atB, portB } = pair();
    portB.onClose();
    expect(atB.states).toEqual([false]);
  });

  test.each([
    [{ mtu: 67 }, 'mtu: expected 68 to 65535, got 67'],
    [{ mtu: 1500, largeSendBytes: 1499 }, 'largeSendBytes: expected 1500 to 65535, got 1499'],
    [{ buffersMax: 0 }, 'buffersMax: expected 1 to 4096, got 0'],
  ])('a wrong option is told: %j', (options, message) => {
    const runtime = new VirtualRuntime();
    expect(() => new MessagePortLink({ runtime, port: new HandPort(), ...options })).toThrow(message);
  });
});

test('the thread at the other end is terminated: Node says so, and the link is down', async () => {
  const runtime = new SystemRuntime();
  const { port1, port2 } = new MessageChannel();
  const link = new MessagePortLink({ runtime, port: port1 as unknown as FramePort });
  const down = new Promise<boolean>((resolve) => {
    link.start({ receive: () => {}, receiveDone: () => {}, linkState: resolve, writable: () => {} });
  });
  const worker = new Worker("require('node:worker_threads').workerData.on('message', () => {})", {
    eval: true,
    workerData: port2,
    transferList: [port2],
  });
  await new Promise((resolve) => worker.once('online', resolve));
  await worker.terminate();
  expect(await down).toBe(false);
  link.close();
  runtime.close();
});

describe('two stacks over the ports of a MessageChannel of Node', () => {
  const channel = new MessageChannel();
  const runtime = new SystemRuntime();
  afterEach(() => runtime.close());

  test('exchange 8 MiB in super-segments, offloaded at both ends', async () => {
    const [a, b] = [channel.port1, channel.port2].map(
      (port) => new MessagePortLink({ runtime, port: port as unknown as FramePort, largeSendBytes: 65535 }),
    );
    const left = createStack({ runtime, verify: true, links: [{ link: a!, addresses: ['10.0.0.1/24'] }] });
    const right = createStack({ runtime, verify: true, links: [{ link: b!, addresses: ['10.0.0.2/24'] }] });
    const sent = content(8 << 20, 5);
    const moves: Promise<unknown>[] = [];
    const arriving = receiveOne(left, { address: '10.0.0.1', port: 9 }, sent.length, (one) => {
      moves.push(one.chimney.offload());
    });
    const sending = sendAll(right, { address: '10.0.0.1', port: 9 }, sent, (one) => {
      moves.push(one.chimney.offload());
    });
    const [arrived] = await Promise.all([arriving, sending]);
    await Promise.all(moves);
    expect(arrived).toEqual({ bytes: sent.length, sha256: await sha256(sent) });
    await Promise.all([left.close(), right.close()]);
    expect([...left.findings, ...right.findings]).toEqual([]);
  });
});
