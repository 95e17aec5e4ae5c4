/** Receive-side scaling: which queue a connection's frames go to, and in which order they are processed. */
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { NdisStatus, Oid } from '../../src/ndis/protocol.ts';
import { DEFAULT_RSS_KEY } from '../../src/wire/toeplitz.ts';
import { seed, seedNote } from '../support/seed.ts';
import { ascii, patternByte, RCV_NXT, World, type WorldOptions } from './support/world.ts';

/** Processors that run when the test says so, and in its order. */
class Processors {
  readonly #waiting: { queue: number; drain: () => void }[] = [];
  readonly wakeQueue = (queue: number, drain: () => void): void => {
    this.#waiting.push({ queue, drain });
  };
  get waiting(): number[] {
    return this.#waiting.map(({ queue }) => queue);
  }
  run(queue: number): void {
    const at = this.#waiting.findIndex((one) => one.queue === queue);
    this.#waiting.splice(at, 1)[0]!.drain();
  }
  runAny(random: SeededRandom): void {
    if (this.#waiting.length > 0) this.#waiting.splice(random.nextUint32() % this.#waiting.length, 1)[0]!.drain();
  }
}

function scaled(options: WorldOptions = {}): { w: World; processors: Processors } {
  const processors = new Processors();
  const w = new World({ receiveQueues: 4, wakeQueue: processors.wakeQueue, ...options });
  return { w, processors };
}

function setTable(w: World, ...entries: number[]): number {
  const information = { indirectionTable: Uint8Array.from(entries), hashSecretKey: DEFAULT_RSS_KEY };
  return w.oid({ oid: Oid.GEN_RECEIVE_SCALE_PARAMETERS, kind: 'set', information });
}

describe('queues', () => {
  test('all frames of a connection go where its HashValue says, whatever its packets hash to [RSS-001, RSS-003, RSS-004, STATE-028]', () => {
    for (const [hashValue, queue] of [
      [0, 0],
      [1, 1],
      [0x1234_5602, 2],
      [0xffff_ff03, 3],
    ] as const) {
      const { w, processors } = scaled();
      setTable(w, 0, 1, 2, 3);
      const c = w.offload({ hashValue });
      for (let i = 0; i < 5; i++) c.receive(c.text(`part ${i}`));
      expect(processors.waiting).toEqual([queue]);
      expect(w.host.takeLog()).toEqual([]);
      processors.run(queue);
      expect(w.target.control.receiveQueues()).toEqual([0, 1, 2, 3].map((q) => (q === queue ? 5 : 0)));
      expect(Buffer.concat(w.host.indicated).toString()).toBe('part 0part 1part 2part 3part 4');
      for (const list of w.host.kept) expect(list.hashValue).toBe(hashValue >>> 0);
    }
  });

  test('frames of no offloaded connection are spread by the hash of their packet; what is no IP has the first queue [RSS-001]', () => {
    const { w, processors } = scaled();
    setTable(w, 0, 1, 2, 3);
    const c = w.offload({ hashValue: 2 });
    for (let port = 5000; port < 5040; port++) {
      c.receive(c.frame({ text: ascii('x'), srcPort: port } as never));
    }
    w.link.deliver(new Uint8Array(60));
    expect(new Set(processors.waiting)).toEqual(new Set([0, 1, 2, 3]));
    for (const queue of processors.waiting) processors.run(queue);
    expect(w.host.frames).toHaveLength(41);
    expect(w.target.control.receiveQueues().every((frames) => frames > 2)).toBe(true);
  });

  test('one queue, which is the default, has no table to set; with several a wrong one is refused [RSS-001, RSS-007]', () => {
    expect(setTable(new World(), 0)).toBe(NdisStatus.NOT_SUPPORTED);
    const { w } = scaled();
    expect(setTable(w, 0, 1, 3, 2)).toBe(NdisStatus.SUCCESS);
    expect(setTable(w, 0, 1, 2)).toBe(NdisStatus.INVALID_PARAMETER);
    expect(setTable(w, 0, 4)).toBe(NdisStatus.INVALID_PARAMETER);
    expect(setTable(w)).toBe(NdisStatus.INVALID_PARAMETER);
    expect(w.oid({ oid: Oid.GEN_RECEIVE_SCALE_PARAMETERS, kind: 'set', information: null })).toBe(
      NdisStatus.INVALID_PARAMETER,
    );
  });

  test('a full queue loses frames, counts them, and the peer sends them again', () => {
    const { w, processors } = scaled();
    const c = w.offload({ hashValue: 0 });
    for (let i = 0; i < 1100; i++) c.receive(c.text('x'));
    expect(w.trace.countOf('TARGET_QUEUE_FULL')).toBe(76);
    processors.run(0);
    expect(Buffer.concat(w.host.indicated)).toHaveLength(1024);
  });
});

describe('order', () => {
  test('after a table update, what was queued for the old processor comes first, also if the new one is ahead [RSS-005, RSS-006, RSS-007]', () => {
    const { w, processors } = scaled();
    setTable(w, 3);
    const c = w.offload({ hashValue: 77 });
    c.receive(c.text('packet 0 '));
    setTable(w, 1);
    c.receive(c.text('packet 1'));
    expect(processors.waiting).toEqual([3, 1]);
    processors.run(1);
    expect(Buffer.concat(w.host.indicated).toString()).toBe('packet 0 packet 1');
    processors.run(3);
    expect(w.target.control.receiveQueues()).toEqual([0, 1, 0, 1]);
    // In order means: nothing was taken for a loss, so nothing was acknowledged twice.
    expect(new Set(w.sent().map((frame) => frame.ack)).size).toBeLessThanOrEqual(2);
  });

  test('under load, with tables that change all the time and processors that run as they like, every stream stays in order [RSS-005, RSS-006]', () => {
    const random = new SeededRandom(seed);
    const { w, processors } = scaled({ receivePoolBytes: 32 * 1024 * 1024 });
    const connections = [0, 1, 2, 3, 4].map((i) =>
      w.offload({ hashValue: i * 0x01010101, localPort: 80 + i, window: 1 << 20 }, { remote: 2 + i }),
    );
    const got = new Map(connections.map((c) => [c.tcp.handle, 0]));
    let wrong = 0;
    w.host.onIndicate = (handle, bytes) => {
      const at = got.get(handle)!;
      for (let i = 0; i < bytes.length; i++) if (bytes[i] !== patternByte(RCV_NXT + at + i)) wrong++;
      got.set(handle, at + bytes.length);
    };
    const sent = connections.map(() => 0);
    for (let step = 0; step < 4000; step++) {
      const dice = random.nextUint32() % 10;
      if (dice < 6) {
        const i = random.nextUint32() % connections.length;
        const c = connections[i]!;
        const length = 1 + (random.nextUint32() % 100);
        c.receive(c.text(length, 'A'));
        sent[i]! += length;
      } else if (dice < 9) processors.runAny(random);
      else setTable(w, ...Array.from({ length: 8 }, () => random.nextUint32() % 4));
      connections[0]!.returnLists();
    }
    while (processors.waiting.length > 0) processors.runAny(random);
    w.settle();
    expect(wrong, seedNote).toBe(0);
    expect([...got.values()], seedNote).toEqual(sent);
  });
});
