/** Points of the contract that show only where two things meet: found by breaking the target one rule at a time. */
import { describe, expect, test } from 'vitest';
import { FamilyStatistics } from '../../src/ndis/offload-statistics.ts';
import {
  NdisStatus,
  ndisStatusName,
  OffloadBlock,
  OffloadStateType,
  Oid,
  type ProtocolOffloadBlock,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../src/ndis/protocol.ts';
import { NeighborDelegatedState } from '../../src/state/neighbor.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { MAX_RT_NO_LIMIT, TcpCachedFlag, TcpConnectionState } from '../../src/state/tcp.ts';
import { TcpSlab } from '../../src/tcp/slab.ts';
import { Connection, HostObject, pattern, World } from './support/world.ts';

function name(block: OffloadBlock): string {
  return ndisStatusName(block.status);
}

/** References to the path of a connection and its neighbor, for more connections to hang on. */
function linkersTo(c: Connection): [OffloadBlock, OffloadBlock] {
  const neighbor = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
  const path = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
  neighbor.dependentBlockList = path;
  return [neighbor, path];
}

describe('initiate', () => {
  test('a path that fails for another reason than want of resources ends the walk (INIT-028)', () => {
    const asked: unknown[] = [];
    let bad: OffloadBlock | null = null;
    const w = new World({
      refuse: ({ block }) => {
        asked.push(block);
        return block === bad ? NdisStatus.FAILURE : NdisStatus.SUCCESS;
      },
    });
    const n = w.neighborBlock(new HostObject());
    bad = w.pathBlock(new HostObject());
    const next = w.pathBlock(new HostObject(), { remote: 3 });
    n.dependentBlockList = bad;
    bad.nextBlock = next;
    w.initiate(n);
    w.settle();
    expect([n, bad, next].map(name)).toEqual(['OFFLOAD_PARTIAL_SUCCESS', 'FAILURE', 'FAILURE']);
    expect(asked).toEqual([n, bad]);
  });

  test('what was taken before a sibling failed stays, and works (INIT-030, INIT-056)', () => {
    let second: OffloadBlock | null = null;
    const w = new World({ refuse: ({ block }) => (block === second ? NdisStatus.RESOURCES : NdisStatus.SUCCESS) });
    const c = w.offload();
    const [root, path] = linkersTo(c);
    const first = new HostObject();
    path.dependentBlockList = w.tcpBlock(first, { localPort: 81 });
    second = w.tcpBlock(new HostObject(), { localPort: 82 });
    path.dependentBlockList.nextBlock = second;
    w.initiate(root);
    w.settle();
    expect([path.dependentBlockList, second].map(name)).toEqual(['SUCCESS', 'RESOURCES']);
    w.host.takeLog();
    w.link.deliver(new Connection(w, { localPort: 81 }, {}).text('abcd'));
    expect(w.host.takeLog()).toEqual(['indicate 4 SUCCESS']);
    w.sent();
    w.ndis.offloadTcpSend(first.handle, netBufferListOver(pattern(1_000, 10)));
    w.settle();
    expect(w.sent().map(({ text }) => text.length)).toEqual([10]);
  });

  test('a segment that comes while the completion is inside the host is indicated once that has returned (INIT-050, INIT-051)', () => {
    const w = new World();
    const c = w.offload();
    const [root, path] = linkersTo(c);
    path.dependentBlockList = w.tcpBlock(new HostObject(), { localPort: 81 });
    const complete = w.host.initiateOffloadComplete.bind(w.host);
    w.host.initiateOffloadComplete = (context: unknown, tree: ProtocolOffloadBlock): void => {
      complete(context, tree);
      w.link.deliver(new Connection(w, { localPort: 81 }, {}).text('abcdef'));
      w.host.log.push('completion returns');
    };
    w.initiate(root);
    w.settle();
    expect(w.host.takeLog()).toEqual(['initiate complete', 'completion returns', 'indicate 6 SUCCESS']);
  });

  test('between UPLOAD_ALL and RESUME new connections are rejected, new objects fail (INIT-024, EVT-044)', () => {
    const w = new World();
    const c = w.offload();
    w.target.control.uploadAll();
    w.settle();
    const [root, path] = linkersTo(c);
    path.dependentBlockList = w.tcpBlock(new HostObject(), { localPort: 81 });
    w.initiate(root);
    w.settle();
    expect([root, path, path.dependentBlockList].map(name)).toEqual([
      'FAILURE',
      'FAILURE',
      'OFFLOAD_CONNECTION_REJECTED',
    ]);
  });
});

describe('terminates', () => {
  test('the record of a connection is free after its terminate, and the next connection has it (TERM-026)', () => {
    const slab = new TcpSlab();
    const w = new World({ slab });
    for (let round = 0; round < 20; round++) {
      const [one, other] = [w.offload(), w.offload({ localPort: 81 })];
      // An idle one is packed: they have something to do.
      for (const c of [one, other]) c.send(netBufferListOver(pattern(1_000, 10)));
      w.settle();
      expect(slab.live).toBe(2);
      one.terminate();
      expect(slab.live).toBe(1);
      other.terminate();
      expect(slab.live).toBe(0);
    }
  });
});

describe('sends', () => {
  test('PSH is set where a list ends, also where the next one follows at once (SEND-014)', () => {
    const w = new World();
    const c = w.offload();
    const [first, second] = [netBufferListOver(pattern(1_000, 1_460)), netBufferListOver(pattern(2_460, 1_460))];
    first.next = second;
    second.next = netBufferListOver(pattern(3_920, 10));
    c.send(first);
    w.settle();
    expect(w.sent().map((f) => [f.text.length, f.flags])).toEqual([
      [1_460, 'PA'],
      [1_460, 'PA'],
      [10, 'PA'],
    ]);
  });

  test('changes of the backlog are not told in quick succession (EVT-025)', () => {
    const w = new World();
    const c = w.offload({ delegated: { cWnd: 33_000 } });
    const backlogs = (): number[] =>
      w.host.events
        .filter(({ type }) => type === TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE)
        .map(({ information }) => information);
    // Slow start doubles the window, and with it the optimum, well within half a second.
    for (let i = 0; i < 100; i++) c.send(netBufferListOver(pattern(1_000 + 10_000 * i, 10_000)));
    w.settle();
    let acked = 1_000;
    for (let i = 0; i < 4; i++) {
      w.runtime.advance(10_000);
      for (const { seq, text } of w.sent()) {
        acked = seq + text.length;
        c.ackTo(acked);
      }
    }
    expect(c.query().sendBacklogSize).toBeGreaterThanOrEqual(2 * 66_000);
    expect(backlogs()).toEqual([]);
    // Growth is told soon, as the host keeps the target short until it is.
    w.runtime.advance(20_000);
    for (const { seq, text } of w.sent()) c.ackTo(seq + text.length);
    expect(backlogs()).toHaveLength(1);
    expect(backlogs()[0]).toBeGreaterThanOrEqual(2 * 66_000);
  });
});

describe('forwards', () => {
  test('of a connection that was reset come back REQUEST_ABORTED (FWD-019)', () => {
    const w = new World();
    const c = w.offload();
    c.receive(c.frame({ flags: 'R' }));
    w.host.takeLog();
    c.forward(netBufferListOver(new Uint8Array(20)));
    w.settle();
    expect(w.host.forwards.map(({ status }) => status)).toEqual(['REQUEST_ABORTED']);
  });
});

describe('invalidated', () => {
  test.each([
    ['connection', OffloadStateType.TCP, (c: Connection) => c.tcp],
    ['path', OffloadStateType.IP4, (c: Connection) => c.path],
    ['neighbor', OffloadStateType.NEIGHBOR, (c: Connection) => c.neighbor],
  ] as const)(
    '%s: not even the ACK that is owed at the terminate leaves (INV-006, INV-007)',
    (_what, type, objectOf) => {
      const w = new World();
      const c = w.offload();
      c.receive(c.text('owed'));
      w.sent();
      w.invalidate(new OffloadBlock(type, objectOf(c).handle));
      w.settle();
      c.terminate();
      expect(w.sent()).toEqual([]);
    },
  );
});

describe('half-closed', () => {
  test.each([TcpConnectionState.FIN_WAIT1, TcpConnectionState.FIN_WAIT2, TcpConnectionState.CLOSE_WAIT])(
    'in state %i no upload is asked for at discretion (EVT-023)',
    (state) => {
      const w = new World();
      w.offload({ state, ...(state === TcpConnectionState.FIN_WAIT1 ? { sndMax: 1_001, sndNxt: 1_001 } : {}) });
      expect(w.target.control.retrieve(null, TcpUploadReason.LOW_ACTIVITY)).toBe(0);
    },
  );

  test.each([
    [TcpConnectionState.ESTABLISHED, 1],
    [TcpConnectionState.CLOSE_WAIT, 1],
    [TcpConnectionState.FIN_WAIT2, 0],
    [TcpConnectionState.LAST_ACK, 0],
  ])('a connection in state %i counts %i towards CurrentlyEstablished (STAT-018)', (state, count) => {
    const w = new World();
    w.offload({ state });
    const request = { oid: Oid.TCP4_OFFLOAD_STATS, kind: 'query' as const, information: null as unknown };
    w.oid(request);
    expect(request.information).toMatchObject({ currentlyEstablished: count });
  });
});

test('every limit that is published is the one that is kept (CAP-019)', () => {
  const capacity = {
    tcpEntries: 3,
    pathEntries: 4,
    neighborEntries: 5,
    maxRcvWindow: 70_000,
    maxPathMtu: 1_400,
  };
  const w = new World({ capacity });
  const request = { oid: Oid.TCP_TASK_OFFLOAD, kind: 'query' as const, information: null as unknown };
  w.oid(request);
  expect(request.information).toMatchObject({
    maxTcpEntries: 3,
    maxPathEntries: 4,
    maxNeighborEntries: 5,
    maxRcvWindow: 70_000,
    maxPathMtu: 1_400,
  });
});

describe('state variables', () => {
  test('a keepalive timer that did not run does not run here either; one that did goes on (STATE-066, QRY-023)', () => {
    const w = new World();
    const idle = w.offload();
    expect(idle.query().keepAliveTimeoutDelta).toBe(-1);
    const running = new World().offload({
      cachedFlags: TcpCachedFlag.KEEP_ALIVE_ENABLED,
      keepAliveTimeoutDelta: 5_000,
    });
    running.world.runtime.advance(1_000_000);
    expect(running.query().keepAliveTimeoutDelta).toBe(4_000);
  });

  test('RemoteMss caps the text of a segment (STATE-027)', () => {
    const w = new World();
    const c = w.offload({ remoteMss: 500 });
    c.send(netBufferListOver(pattern(1_000, 1_200)));
    w.settle();
    expect(w.sent().map((f) => f.text.length)).toEqual([500, 500, 200]);
  });

  test.each([4, 6] as const)('IPv%i: TosOrTrafficClass stands in the header (STATE-047)', (family) => {
    const w = new World({ family });
    const c = w.offload({ cached: { tosOrTrafficClass: 0x28 } });
    c.send(netBufferListOver(pattern(1_000, 10)));
    w.settle();
    const [frame] = w.link.take();
    expect(family === 4 ? frame![15] : ((frame![14]! & 15) << 4) | (frame![15]! >> 4)).toBe(0x28);
  });

  test('InitialRcvWnd is the window, however much room there is (STATE-033)', () => {
    const w = new World();
    const c = w.offload({ window: 20_000 });
    for (let i = 0; i < 30; i++) c.receive(c.text(1_000));
    w.runtime.advance(500_000);
    const windows = w.sent().map(({ window }) => window << 2);
    expect(Math.max(...windows)).toBeLessThanOrEqual(20_000);
    expect(windows.at(-1)).toBeGreaterThan(19_000);
  });

  test.each([
    ['0: TcpMaximumRetransmissions governs', 'STATE-042', 0, true],
    ['0xffffffff: there is no limit', 'STATE-043', MAX_RT_NO_LIMIT, false],
    ['a time: that time governs', 'STATE-041', 3_000, true],
  ] as const)('MaxRT %s (STATE-041 to STATE-043)', (_what, _rule, maxRt, isGivenUp) => {
    const w = new World({ parameters: { tcpMaximumRetransmissions: maxRt === 3_000 ? 255 : 2 } });
    const c = w.offload({ cached: { maxRt } });
    c.send(netBufferListOver(pattern(1_000, 10)));
    w.runtime.advance(60_000_000);
    const reasons = w.host.events.filter(({ type }) => type === TcpOffloadEventType.INDICATE_RETRIEVE);
    expect(reasons.map(({ information }) => information)).toEqual(
      isGivenUp ? [TcpUploadReason.TIMEOUT_EXPIRATION] : [],
    );
  });

  test('each answered probe of a closed window is a round of SndWndProbeCount (STATE-064)', () => {
    const w = new World();
    const c = w.offload({ sndWnd: 0 });
    c.send(netBufferListOver(pattern(1_000, 10)));
    for (let round = 0; round < 3; round++) {
      expect(c.query().sndWndProbeCount).toBe(round);
      w.sent();
      for (let i = 0; i < 100 && w.sent().length === 0; i++) w.runtime.advance(100_000);
      c.receive(c.frame({ flags: 'A', window: 0 }));
    }
  });

  test('the largest window and the segment of its last update are kept (STATE-055, STATE-056)', () => {
    const w = new World();
    const c = w.offload({ sndWnd: 4_000 });
    c.receive(c.frame({ flags: 'A', window: 2_000 }));
    expect(c.query()).toMatchObject({ sndWnd: 8_000, maxSndWnd: 8_000 });
    c.receive(c.text('abc'), c.frame({ flags: 'A', window: 500 }));
    expect(c.query()).toMatchObject({ sndWnd: 2_000, sndWl1: 5_003 });
    expect(c.query().maxSndWnd).toBeGreaterThanOrEqual(8_000);
  });
});

describe('receives', () => {
  test('a list that was refused, or taken in part, is the target’s again when the call has returned (NBL-006)', () => {
    const w = new World();
    const c = w.offload();
    w.host.answer = () => ({ status: NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, consumed: 0 });
    c.receive(c.text('refused'));
    expect(w.host.indicated).toHaveLength(1);
    expect(w.target.control.held().indicatedLists).toBe(0);
  });

  test('a request of no bytes is complete at once, though there is no data (RECV-042, RECV-043)', () => {
    const w = new World();
    const c = w.offload();
    c.postBytes(0);
    w.settle();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:0']);
  });

  test('a nonpush request behind another is filled on from what it came with (RECV-057)', () => {
    const w = new World();
    const c = w.offload();
    c.postBytes(4);
    const second = c.postBytes(10, true, 3);
    c.receive(c.text('abcdefghijk'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:4 SUCCESS:7']);
    expect(String.fromCharCode(...second.firstNetBuffer!.mdlChain!.buffer.slice(3))).toBe('efghijk');
  });
});

describe('timers', () => {
  test('a connection whose retransmissions are at an end goes up with its timer just expired (TCP-045, TCP-012)', () => {
    const w = new World({ parameters: { tcpMaximumRetransmissions: 2 } });
    const c = w.offload();
    c.send(netBufferListOver(pattern(1_000, 10)));
    w.runtime.advance(60_000_000);
    const block = c.terminate();
    expect(block.delegatedState).toMatchObject({ state: TcpConnectionState.ESTABLISHED, retransmitTimeoutDelta: 0 });
  });

  test('a keepalive that comes sooner is not put off by the defence against blind resets (TCP-100)', () => {
    const w = new World();
    const c = w.offload({ cachedFlags: TcpCachedFlag.KEEP_ALIVE_ENABLED, keepAliveTimeoutDelta: 5_000 });
    c.receive(c.frame({ flags: 'R', seq: c.peerSeq + 10 }));
    expect(c.query().keepAliveTimeoutDelta).toBeLessThanOrEqual(5_000);
  });

  test('each retransmission waits twice as long as the one before (TCP-010)', () => {
    const w = new World();
    const c = w.offload();
    c.send(netBufferListOver(pattern(1_000, 10)));
    w.settle();
    w.sent();
    const at: number[] = [];
    for (let ms = 0; ms < 20_000 && at.length < 4; ms += 10) {
      w.runtime.advance(10_000);
      if (w.sent().length > 0) at.push(ms);
    }
    const waits = at.slice(1).map((ms, i) => ms - at[i]!);
    for (let i = 1; i < waits.length; i++) expect(waits[i]! / waits[i - 1]!).toBeCloseTo(2, 0);
  });
});

test('the backlog is never more than the peer has ever had room for (EVT-026)', () => {
  const w = new World();
  const c = w.offload({ sndWnd: 100_000, delegated: { cWnd: 1_000_000 } });
  expect(c.query().sendBacklogSize).toBe(100_000);
});

describe('neighbors and statistics', () => {
  test("NRD goes down and comes back in the host's ticks (NBR-005)", () => {
    const w = new World({ parameters: { ticksPerSecond: 100 } });
    const c = w.offload({}, {}, { hrd: 50 });
    const block = new OffloadBlock(OffloadStateType.NEIGHBOR_DELEGATED, c.neighbor.handle);
    const delegated = new NeighborDelegatedState();
    block.delegatedState = delegated;
    w.query(block);
    w.settle();
    expect(delegated.nicReachabilityDelta).toBe(50);
  });

  test('a datagram that an invalid neighbor keeps from leaving has no route (STAT-015)', () => {
    const w = new World();
    const c = w.offload();
    w.invalidate(new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle));
    w.settle();
    c.send(netBufferListOver(pattern(1_000, 10)));
    w.settle();
    expect(w.target.control.stats().ip4.outNoRoutes).toBeGreaterThanOrEqual(1);
  });

  test('a counter beyond its maximum goes on at zero (STAT-023)', () => {
    const statistics = new FamilyStatistics();
    statistics.resetEstablished = 2 ** 32 + 3;
    expect(statistics.tcp(0).resetEstablished).toBe(3);
  });
});
