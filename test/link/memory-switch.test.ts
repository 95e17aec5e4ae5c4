/** A switch in memory: learns, floods, forgets what was behind a cut wire. */
import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { MemoryLink } from '../../src/link/memory.ts';
import { memorySwitch } from '../../src/link/memory-switch.ts';

const BROADCAST = 0xff;

/** A switch and what each of its ports has received: the last byte of each frame's source address. */
function stage(count = 3) {
  const runtime = new VirtualRuntime(1);
  const names = Array.from({ length: count }, (_, i) => `port${i}`);
  const ports = memorySwitch({ runtime, ports: names, impairment: { delayUs: 10 } });
  const seen: number[][] = ports.map(() => []);
  ports.forEach((port, i) => {
    port.start({
      receive: (bytes, at) => seen[i]!.push(bytes[at + 11]!),
      receiveDone() {},
      linkState() {},
      writable() {},
    });
  });
  const send = (port: number, to: number, from: number): number[][] => {
    const frame = new Uint8Array(60);
    if (to === BROADCAST) frame.fill(0xff, 0, 6);
    else frame.set([2, 0, 0, 0, 0, to]);
    frame.set([2, 0, 0, 0, 0, from], 6);
    (ports[port] as MemoryLink).transmit(frame, 0, frame.length);
    runtime.advance(100);
    return seen.splice(0, seen.length, ...ports.map(() => []));
  };
  return { ports, send };
}

describe('a switch in memory', () => {
  test('floods what it does not know, and sends what it has learned to its port alone', () => {
    const { send } = stage();
    expect(send(0, 9, 1)).toEqual([[], [1], [1]]);
    expect(send(1, 1, 9)).toEqual([[9], [], []]);
    expect(send(0, 9, 1)).toEqual([[], [1], []]);
    expect(send(2, BROADCAST, 5)).toEqual([[5], [5], []]);
  });

  test('an address that shows up at another port is there from then on', () => {
    const { send } = stage();
    send(0, BROADCAST, 1);
    send(1, BROADCAST, 1);
    expect(send(2, 1, 5)).toEqual([[], [5], []]);
  });

  test('addresses behind a wire that was cut are forgotten: frames for them are flooded', () => {
    const { ports, send } = stage();
    send(0, BROADCAST, 1);
    expect(send(2, 1, 5)).toEqual([[5], [], []]);
    ports[0]!.setUp(false);
    expect(send(2, 1, 5)).toEqual([[], [5], []]);
    ports[0]!.setUp(true);
    expect(send(2, 1, 5)).toEqual([[5], [5], []]);
  });

  test('frames to an address behind the port they came from, and frames too short to have one, go nowhere', () => {
    const { ports, send } = stage();
    send(0, BROADCAST, 1);
    expect(send(0, 1, 2)).toEqual([[], [], []]);
    ports[0]!.transmit(new Uint8Array(8), 0, 8);
    expect(send(2, BROADCAST, 5)).toEqual([[5], [5], []]);
  });
});
