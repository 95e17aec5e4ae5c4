/** Connections that are not worth being offloaded: the engine finds out itself and asks for their upload, with the reason that fits. */
import { describe, expect, test } from 'vitest';
import type { Move } from '../../src/host/api.ts';
import type { StackLink } from '../../src/stack-options.ts';
import type { Discretion } from '../../src/target/engine/discretion.ts';
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { ChimneyScene, fragmentsOf } from '../host/chimney-scene.ts';
import { expectNothingHeld } from './support.ts';
import { connectPeers, type TwoHosts, type TwoHostsOptions, twoHosts } from './two-hosts.ts';

const { ACK, PSH } = TcpFlag;
const NAMES = [
  '',
  '',
  '',
  '',
  '',
  '',
  'HighDropRate',
  'HighFragmentation',
  'HighOutofOrderPackets',
  'LowActivity',
  'NoBufferPreposting',
  'SmallIO',
];

/** The reasons for which a target asked, in order. */
function asked(s: ChimneyScene): string[] {
  const events = s.door.take().filter((line) => line.startsWith('event retrieve'));
  return events.map((line) => NAMES[Number(line.split(' ')[2])]!);
}

function scene(discretion: Discretion, grants = false): ChimneyScene {
  return new ChimneyScene({ target: { discretion }, host: { grantsOptionalUploads: grants } }).offload();
}

function stage(
  discretion: Discretion,
  options: TwoHostsOptions,
  target: NonNullable<StackLink['target']> = { kind: 'engine', discretion },
): {
  hosts: TwoHosts;
  moves: Move[];
  end: () => Promise<void>;
  server: ReturnType<typeof connectPeers>['server'];
} {
  const hosts = twoHosts({ ...options, server: { target } });
  const { server, client } = connectPeers(hosts, BYTES, BYTES, 4, 80, false);
  hosts.runtime.runUntil(() => server.isConnected && client.isConnected, 10_000_000);
  const moves: Move[] = [];
  hosts.server.onMove((move) => moves.push(move));
  server.endpoint.chimney.offload().catch(() => undefined);
  // (One with a gap in what it has received waits a little for that.)
  hosts.runtime.runUntil(() => server.endpoint.chimney.location === 'target', 1_000_000);
  const end = async (): Promise<void> => {
    expect([server.wrongBytes, client.wrongBytes]).toEqual([0, 0]);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  };
  return { hosts, moves, end, server };
}

/** Enough for several intervals, and not too much for a wire that loses nothing. */
const BYTES = 1_000_000;

describe('on real streams', () => {
  test.each([
    ['the engine', false],
    ['a NIC half', true],
  ])('too much is lost of what is sent, %s: HighDropRate [EVT-013]', async (_name, isApart) => {
    for (const loss of [0, 0.2]) {
      // What is posted above is not for a NIC half to judge.
      const limits = { retransmittedShare: 0.08, leastSegments: 20, intervalUs: 2_000_000 };
      const discretion = isApart ? { ...limits, unpostedBytes: 1 } : limits;
      const impairment = { delayUs: 50_000, loss };
      const s = isApart
        ? stage(discretion, { impairment, seed: 3 }, (parts) => new PairedAdapter({ ...parts, discretion }))
        : stage(discretion, { impairment, seed: 3 });
      s.hosts.runtime.runUntil(
        () => s.moves.some((move) => move.kind === 'terminate'),
        loss === 0 ? 4_000_000 : 30_000_000,
      );
      const back = s.moves.filter((move) => move.kind === 'terminate');
      if (loss === 0) expect(back).toEqual([]);
      else expect(back[0]).toMatchObject({ cause: 'retrieve', reason: 'HighDropRate', status: 'SUCCESS' });
      await s.end();
    }
  });

  test('too much arrives out of order: HighOutofOrderPackets [EVT-015]', async () => {
    for (const reorder of [0, 0.3]) {
      const s = stage(
        { outOfOrderShare: 0.1, leastSegments: 50, intervalUs: 2_000_000 },
        { impairment: { delayUs: 50_000, reorder, reorderDelayUs: 4_000 }, seed: 4 },
      );
      s.hosts.runtime.runUntil(
        () => s.moves.some((move) => move.kind === 'terminate'),
        reorder === 0 ? 3_000_000 : 10_000_000,
      );
      const back = s.moves.filter((move) => move.kind === 'terminate');
      if (reorder === 0) expect(back).toEqual([]);
      else expect(back[0]).toMatchObject({ cause: 'retrieve', reason: 'HighOutofOrderPackets' });
      await s.end();
    }
  });

  test('nobody posts receives, and data is indicated that might have been placed: NoBufferPreposting [EVT-017]', async () => {
    const s = stage({ unpostedBytes: 100_000 }, { impairment: { delayUs: 1_000, rateBps: 3_000_000 } });
    s.hosts.runtime.runUntil(() => s.moves.some((move) => move.kind === 'terminate'), 10_000_000);
    expect(s.moves.at(-1)).toMatchObject({ cause: 'retrieve', reason: 'NoBufferPreposting' });
    s.hosts.runtime.runUntil(() => s.server.received === BYTES, 10_000_000);
    expect(s.server.received).toBe(BYTES);
    await s.end();
  });
});

describe('packet by packet', () => {
  test('too many fragments: HighFragmentation, while the host puts them together and forwards them [EVT-014, TCP-072]', () => {
    const s = scene({ fragmentShare: 0.5, leastSegments: 10 });
    for (let i = 0; i < 8; i++) s.deliver(0, ...fragmentsOf(s.text('this comes in two pieces, and is one')));
    for (let i = 0; i < 6; i++) s.deliver(0, s.text('whole'));
    s.runtime.advance(1_100_000);
    expect(asked(s)).toEqual(['HighFragmentation']);
    for (let i = 0; i < 20; i++) s.deliver(0, s.text('whole'));
    s.deliver(0, ...fragmentsOf(s.text('this comes in two pieces, and is one')));
    s.runtime.advance(61_000_000);
    expect(asked(s)).toEqual([]);
    expect(s.got()).toHaveLength(9 * 36 + 26 * 5);
  });

  test('nothing happens for a long time: LowActivity [EVT-016]', () => {
    const s = scene({ quietUs: 5_000_000 });
    for (let i = 0; i < 10; i++) {
      s.runtime.advance(2_000_000);
      s.deliver(0, s.text('x'));
    }
    expect(asked(s)).toEqual([]);
    s.runtime.advance(7_100_000);
    expect(asked(s)).toEqual(['LowActivity']);
    expect(s.location).toBe('target');
  });

  test('little happens, less than is worth it: LowActivity [EVT-016]', () => {
    const s = scene({ quietUs: 3_000_000, quietSegments: 10 });
    for (let i = 0; i < 5; i++) {
      s.deliver(0, s.text('x'));
      s.runtime.advance(1_000_000);
    }
    expect(asked(s)).toEqual(['LowActivity']);
  });

  test('posted receives are small: SmallIO; large ones are not [EVT-018]', () => {
    for (const bytes of [8, 512]) {
      const s = scene({ smallIoBytes: 64, leastRequests: 10 });
      s.endpoint.setReceiveLowWater(bytes);
      for (let i = 0; i < 12; i++) s.deliver(0, s.text('z'.repeat(bytes)));
      s.runtime.advance(1_100_000);
      expect(asked(s)).toEqual(bytes === 8 ? ['SmallIO'] : []);
      expect(s.got()).toHaveLength(12 * bytes);
    }
  });

  test('received data that nobody takes lies here: NoBufferPreposting [EVT-017]', () => {
    const s = scene({ stuckUs: 4_000_000 });
    s.peer.appetite = 0;
    s.deliver(0, s.text('nobody wants this'));
    s.runtime.advance(3_000_000);
    expect(asked(s)).toEqual([]);
    s.runtime.advance(3_100_000);
    expect(asked(s)).toEqual(['NoBufferPreposting']);
    s.peer.take(100);
    s.runtime.settle();
    expect(s.got()).toBe('nobody wants this');
  });
});

describe('what is asked', () => {
  test('is granted or not; not granted the connection goes on, and is asked for again after a while [EVT-020, EVT-022, EVT-050]', () => {
    const s = scene({ quietUs: 1_000_000, repeatUs: 10_000_000 });
    s.runtime.advance(25_000_000);
    expect(asked(s)).toEqual(['LowActivity', 'LowActivity', 'LowActivity']);
    s.deliver(0, s.text('goes on', ACK | PSH));
    expect([s.location, s.got()]).toEqual(['target', 'goes on']);
    const granted = scene({ quietUs: 1_000_000 }, true);
    granted.runtime.advance(3_000_000);
    expect(granted.location).toBe('host');
    expect(granted.moves.at(-1)).toMatchObject({ cause: 'retrieve', reason: 'LowActivity' });
  });

  test('is not asked of half-closed connections [EVT-023]', () => {
    const s = scene({ quietUs: 1_000_000 });
    s.endpoint.shutdown();
    s.runtime.settle();
    s.runtime.advance(20_000);
    s.door.take();
    s.ack += 1;
    s.receive({ flags: ACK, seq: s.seq, ack: s.ack });
    s.runtime.advance(10_000_000);
    expect(asked(s)).toEqual([]);
  });

  test('is nothing where nothing is set, and nothing runs where nothing is offloaded', () => {
    const none = scene({});
    none.runtime.advance(120_000_000);
    expect(asked(none)).toEqual([]);
    const s = scene({ quietUs: 1_000_000 }, true);
    s.runtime.advance(10_000_000);
    expect(s.location).toBe('host');
    s.runtime.advance(100_000_000);
    expect(asked(s)).toEqual(['LowActivity']);
  });
});
