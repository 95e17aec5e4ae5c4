/** Getting ready for a move: what it leaves behind, which is nothing, and who waits for it, and how long. */
import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { Engine } from '../../src/target/engine/engine.ts';
import { ControlWord, Expected, expectation } from '../../src/target/worker/arena.ts';
import type { Driver } from '../../src/target/worker/driver.ts';
import { Expectations } from '../../src/target/worker/expectations.ts';
import { NicAdapter } from '../../src/target/worker/nic-adapter.ts';
import { RECORD_WORDS } from '../../src/tcp/connection.ts';
import { TcpSlab } from '../../src/tcp/slab.ts';
import { HostObject, subject, World } from '../target/support/world.ts';

const RECORDS = 4;

/** A world whose target is the engine of a NIC half, with its records in shared memory. */
function nicWorld(): { world: World; nic: NicAdapter; engine: Engine; slab: TcpSlab; first: Int32Array } {
  const buffer = new SharedArrayBuffer(RECORDS * RECORD_WORDS * 4);
  const slab = new TcpSlab(undefined, { buffer, at: 0, records: RECORDS });
  let nic: NicAdapter | undefined;
  const before = subject.make;
  subject.make = (options) => {
    // biome-ignore lint/suspicious/noAssignInExpressions: the target is wanted here and there
    return (nic = new NicAdapter({ ...options, slab }));
  };
  try {
    const world = new World();
    return {
      world,
      nic: nic!,
      engine: (nic as unknown as { engine: Engine }).engine,
      slab,
      first: new Int32Array(buffer, 0, RECORD_WORDS),
    };
  } finally {
    subject.make = before;
  }
}

describe('a rehearsal', () => {
  test('leaves the engine as it was: no connection, no record, no deadline, no counter, nothing on the wire', () => {
    const { world, nic, engine, slab } = nicWorld();
    const before = { counters: world.trace.counters(), now: world.runtime.nowUs() };
    for (let i = 0; i < 100; i++) nic.rehearse();
    world.settle();
    world.runtime.advance(3_600_000_000);
    expect(world.link.sentCount).toBe(0);
    expect([engine.connectionCount, slab.live, engine.firstQueued, engine.heap.soonestUs]).toEqual([
      0,
      0,
      null,
      Number.POSITIVE_INFINITY,
    ]);
    expect(world.trace.counters()).toEqual(before.counters);
    expect({ ...engine.statistics4 }).toEqual({ ...nicWorld().engine.statistics4 });
  });

  test('takes the way that connections take, and disturbs none that is offloaded', () => {
    const { world, nic, engine, slab, first } = nicWorld();
    let allocated = 0;
    const take = slab.take.bind(slab);
    slab.take = () => {
      allocated++;
      return take();
    };
    nic.rehearse();
    expect(allocated).toBe(1);

    const [neighbor, path, connection] = [new HostObject(), new HostObject(), new HostObject()];
    const root = world.neighborBlock(neighbor);
    root.dependentBlockList = world.pathBlock(path);
    root.dependentBlockList.dependentBlockList = world.tcpBlock(connection);
    world.initiate(root);
    world.settle();
    expect(engine.connectionCount).toBe(1);
    const record = first.slice();
    expect(record.some((word) => word !== 0)).toBe(true);
    nic.rehearse();
    expect(first).toEqual(record);
    expect([engine.connectionCount, slab.live]).toEqual([1, 1]);
  });

  test('in an engine that is full it is refused like any other connection', () => {
    const { world, nic, engine } = nicWorld();
    engine.capacity = { ...engine.capacity, tcpEntries: 0 };
    nic.rehearse();
    expect([engine.connectionCount, world.link.sentCount]).toEqual([0, 0]);
  });
});

describe('an operation that is expected', () => {
  function scene(): {
    runtime: VirtualRuntime;
    expectations: Expectations;
    control: Int32Array;
    driver: { isDead: boolean };
    rings: () => number;
  } {
    const runtime = new VirtualRuntime('expected');
    const control = new Int32Array(256);
    let rings = 0;
    const driver = {
      runtime,
      arena: { control },
      out: { publish: () => {} },
      port: { attend: () => true, ring: () => rings++ },
      isDead: false,
      isHalted: false,
      isAsleep: false,
    };
    return {
      runtime,
      control,
      driver,
      rings: () => rings,
      expectations: new Expectations(driver as unknown as Driver),
    };
  }

  test('wakes the NIC half, and goes on when that says it is ready: once', () => {
    const { expectations, control, rings, runtime } = scene();
    control[ControlWord.NIC_ASLEEP] = 1;
    let ready = 0;
    expect(expectations.expect(() => ready++)).toBe(true);
    expect([control[ControlWord.EXPECTED], control[ControlWord.NIC_ASLEEP], rings()]).toEqual([
      expectation(1, Expected.NEAR),
      0,
      1,
    ]);
    expectations.ready();
    expectations.ready();
    runtime.advance(10_000);
    expect(ready).toBe(1);
  });

  test('goes on after three milliseconds if that says nothing', () => {
    const { expectations, runtime } = scene();
    let readyAtUs = 0;
    const sinceUs = runtime.nowUs();
    expectations.expect(() => {
      readyAtUs = runtime.nowUs();
    });
    runtime.advance(5_000);
    expect(readyAtUs - sinceUs).toBe(3_000);
  });

  test('is not waited for just after another, nor by one whose NIC half is dead', () => {
    const { expectations, runtime, driver } = scene();
    expectations.announce();
    runtime.advance(1_000);
    expect(expectations.expect(() => {})).toBe(false);
    runtime.advance(2_000);
    driver.isDead = true;
    expect(expectations.expect(() => {})).toBe(false);
    driver.isDead = false;
    expect(expectations.expect(() => {})).toBe(true);
  });
});
