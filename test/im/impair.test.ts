import { describe, expect, test } from 'vitest';
import type { Impairment } from '../../src/base/impaired-line.ts';
import { findingText } from '../../src/contract/finding.ts';
import { Impair, type ImpairOptions } from '../../src/im/impair.ts';
import { type NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { bindHost, chainOf, FakeHost, FakeTarget, makeWorld } from '../ndis/fakes.ts';
import { connectPeers, twoHosts } from '../stack/two-hosts.ts';
import { seed, seedNote } from '../support/seed.ts';

function scene(options: Partial<ImpairOptions>) {
  const world = makeWorld();
  const target = new FakeTarget(world);
  world.ndis.registerAdapter(target);
  const driver = new Impair(world, 'nic0', { name: 'impair', ...options });
  world.ndis.registerAdapter(driver);
  const host = new FakeHost();
  const binding = bindHost(world, host, 'impair');
  const numbersOut = (): number[] => target.framesSent.flatMap(numbersIn);
  const indicate = (first: number, count: number, flags = 1): NetBufferList[] => {
    const lists = Array.from({ length: count }, (_, i) => frame(first + i));
    target.ndisM.indicateReceiveNetBufferLists(target.handle, chainOf(lists)!, 0, flags);
    return lists;
  };
  return { world, target, driver, host, binding, numbersOut, indicate };
}

function frame(number: number): NetBufferList {
  return netBufferListOver(Uint8Array.of(number >> 8, number, 1, 2, 3));
}

function numbersIn(first: NetBufferList): number[] {
  const numbers: number[] = [];
  for (let list: NetBufferList | null = first; list !== null; list = list.next) {
    const { buffer, byteOffset } = list.firstNetBuffer!.currentMdl!;
    numbers.push((buffer[byteOffset]! << 8) | buffer[byteOffset + 1]!);
  }
  return numbers;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('impair at its two doors', () => {
  test('without an impairment lists pass as they are', () => {
    const { world, target, binding } = scene({});
    const list = frame(1);
    world.ndis.sendNetBufferLists(binding, list, 0);
    expect(target.framesSent).toEqual([list]);
  });

  test('a delayed send comes back to its sender at once and leaves later, in order', () => {
    const { world, host, binding, numbersOut } = scene({ out: { delayUs: 500, jitterUs: 300 } });
    const lists = range(20).map(frame);
    world.ndis.sendNetBufferLists(binding, chainOf(lists)!, 0);
    expect(host.framesSent.length).toBeGreaterThan(0);
    expect(numbersOut()).toEqual([]);
    world.runtime.advance(499);
    expect(numbersOut()).toEqual([]);
    world.runtime.advance(301);
    expect(numbersOut()).toEqual(range(20));
  });

  test('frames of its own that come back from below are used again and shown to nobody above', () => {
    const { world, target, host, binding } = scene({ out: { delayUs: 1 } });
    world.ndis.sendNetBufferLists(binding, frame(1), 0);
    world.runtime.advance(10);
    const before = host.framesSent.length;
    const own = target.framesSent[0]!;
    target.ndisM.sendNetBufferListsComplete(target.handle, own);
    expect(host.framesSent.length).toBe(before);
    world.ndis.sendNetBufferLists(binding, frame(2), 0);
    world.runtime.advance(10);
    expect(target.framesSent[1]).toBe(own);
  });

  test('received frames are copied, and given back at once when they were not borrowed', () => {
    const { world, target, host, indicate } = scene({ in: { delayUs: 100 } });
    const lists = indicate(0, 3, 0);
    expect(target.framesReturned.flatMap((list) => numbersIn(list))).toEqual([0, 1, 2]);
    for (const list of lists) list.firstNetBuffer!.currentMdl!.buffer.fill(0xff);
    world.runtime.advance(100);
    expect(host.frames.length).toBe(3);
    expect(host.receiveDones).toBe(1);
  });

  test.each<[string, Impairment, (numbers: number[]) => void]>([
    ['loss', { loss: 0.25 }, (n) => expect(n.length / 4000).toBeCloseTo(0.75, 1)],
    ['duplicate', { duplicate: 0.25 }, (n) => expect(n.length / 4000).toBeCloseTo(1.25, 1)],
    [
      'reorder',
      { reorder: 0.1, reorderDelayUs: 1000 },
      (n) => {
        expect(n.length).toBe(4000);
        expect(n.filter((number, i) => number < (n[i - 1] ?? -1)).length).toBeGreaterThan(100);
      },
    ],
  ])('%s happens as often as it is asked for', (_name, out, check) => {
    const { world, binding, numbersOut } = scene({ out, seed: seed % 1000 });
    for (let i = 0; i < 4000; i++) {
      world.ndis.sendNetBufferLists(binding, frame(i), 0);
      if (i % 10 === 0) world.runtime.advance(100);
    }
    world.runtime.advance(10_000);
    check(numbersOut());
  });

  test('corrupt bends one bit of a frame', () => {
    const { world, target, binding } = scene({ out: { corrupt: 1 } });
    world.ndis.sendNetBufferLists(binding, frame(0x0f0f), 0);
    world.runtime.settle();
    const { buffer } = target.framesSent[0]!.firstNetBuffer!.currentMdl!;
    const original = [0x0f, 0x0f, 1, 2, 3];
    const bits = original.reduce((sum, byte, i) => sum + (byte ^ buffer[i]!).toString(2).replaceAll('0', '').length, 0);
    expect(bits).toBe(1);
  });

  test('a rate spaces frames; what does not fit into the queue is dropped and counted', () => {
    // 5 bytes at 40,000 bit/s: one frame a millisecond; room for ten.
    const { world, binding, numbersOut } = scene({ out: { rateBps: 40_000 }, queueBytes: 50 });
    for (const number of range(15)) world.ndis.sendNetBufferLists(binding, frame(number), 0);
    world.runtime.advance(3000);
    expect(numbersOut()).toEqual([0, 1, 2]);
    world.runtime.advance(100_000);
    expect(numbersOut()).toEqual(range(10));
    expect(world.trace.countOf('IM_QUEUE_FULL')).toBe(5);
  });

  test('the same seed does the same, another seed something else', () => {
    const run = (withSeed: number): number[] => {
      const { world, binding, numbersOut } = scene({ out: { loss: 0.5 }, seed: withSeed });
      for (const number of range(64)) world.ndis.sendNetBufferLists(binding, frame(number), 0);
      world.runtime.settle();
      return numbersOut();
    };
    expect(run(5)).toEqual(run(5));
    expect(run(5)).not.toEqual(run(6));
  });

  test('changed while frames are on their way: those keep their moment, and the next do not overtake them', () => {
    const { world, driver, binding, numbersOut } = scene({ out: { delayUs: 1000 } });
    world.ndis.sendNetBufferLists(binding, frame(1), 0);
    driver.out = {};
    world.ndis.sendNetBufferLists(binding, frame(2), 0);
    world.runtime.advance(1000);
    expect(numbersOut()).toEqual([1, 2]);
    expect(() => {
      driver.in = { loss: 2 };
    }).toThrow('loss: expected 0 to 1, got 2');
  });
});

describe('impair between host and target', () => {
  const done =
    ({ server, client }: ReturnType<typeof connectPeers>) =>
    () =>
      server.closedWith !== undefined && client.closedWith !== undefined;
  const bad: Impairment = { loss: 0.03, duplicate: 0.02, reorder: 0.03, delayUs: 500, jitterUs: 500, corrupt: 0.005 };

  test('TCP comes through all of it; nothing is offloaded unless that was asked for (IM-057)', async () => {
    const hosts = twoHosts({ server: { intermediates: [{ kind: 'impair', in: bad, out: bad, seed }] } });
    const peers = connectPeers(hosts, 400_000, 400_000);
    hosts.runtime.runUntil(() => peers.server.isConnected && peers.client.isConnected, 60_000_000);
    await expect(peers.server.endpoint.chimney.offload()).rejects.toThrow(/offload|chimney/i);
    hosts.runtime.runUntil(done(peers), 600_000_000);
    expect(
      [peers.client.received, peers.client.wrongBytes, peers.server.received, peers.server.wrongBytes],
      seedNote,
    ).toEqual([400_000, 0, 400_000, 0]);
    expect(hosts.server.counters().IM_FRAME_LOST).toBeGreaterThan(0);
    await hosts.close();
    expect([...hosts.server.findings].map(findingText)).toEqual([]);
  });

  test("with offload: 'pass' late segments meet their connection below, and are forwarded (FWD-001)", async () => {
    const hosts = twoHosts({
      impairment: { delayUs: 1000, rateBps: 50_000_000 },
      server: { intermediates: [{ kind: 'impair', in: { delayUs: 3000 }, out: { delayUs: 3000 }, offload: 'pass' }] },
    });
    const peers = connectPeers(hosts, 3_000_000, 3_000_000);
    hosts.runtime.advance(60_000);
    const ignore = (): void => {};
    for (let i = 0; i < 20; i++) {
      peers.server.endpoint.chimney.offload().catch(ignore);
      hosts.runtime.advance(7000);
      peers.server.endpoint.chimney.takeBack().catch(ignore);
      hosts.runtime.advance(13_000);
    }
    hosts.runtime.runUntil(done(peers), 600_000_000);
    expect([peers.client.received, peers.client.wrongBytes, peers.server.received, peers.server.wrongBytes]).toEqual([
      3_000_000, 0, 3_000_000, 0,
    ]);
    expect(hosts.server.counters().CHIMNEY_SEGMENT_FORWARDED).toBeGreaterThan(0);
    await hosts.close();
    expect([...hosts.server.findings, ...hosts.client.findings].map(findingText)).toEqual([]);
    expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  });
});
