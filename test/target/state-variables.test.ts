/** What each variable of the TCP state means to the target, where one behaviour shows it. */
import { describe, expect, test } from 'vitest';
import { NdisStatus, ndisStatusName, OffloadBlock, OffloadStateType } from '../../src/ndis/protocol.ts';
import { NeighborCachedState, NeighborDelegatedState } from '../../src/state/neighbor.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import {
  TcpCachedFlag,
  TcpCachedState,
  TcpConstFlag,
  TcpConstState,
  type TcpDelegatedState,
  TcpWord,
} from '../../src/state/tcp.ts';
import { decodeTcp } from '../../src/wire/tcp.ts';
import { TcpSegment } from '../../src/wire/tcp-segment.ts';
import type { Frame } from './support/frames.ts';
import { ascii, Connection, type ConnectionSpec, HostObject, pattern, World } from './support/world.ts';

const { TIMESTAMP_ENABLED, SACK_ENABLED, WINDOW_SCALING_ENABLED } = TcpConstFlag;
const { KEEP_ALIVE_ENABLED, NAGLING_ENABLED } = TcpCachedFlag;

/** The structures of a connection as the target has them now. */
function variables(w: World, c: Connection): { constant: TcpConstState; cached: TcpCachedState } {
  const block = new OffloadBlock(OffloadStateType.TCP, c.tcp.handle);
  const constant = new TcpConstState();
  const cached = new TcpCachedState();
  block.constState = constant;
  block.cachedState = cached;
  w.query(block);
  w.settle();
  expect(ndisStatusName(block.status)).toBe('SUCCESS');
  return { constant, cached };
}

function update(w: World, c: Connection, change: Partial<TcpCachedState>): void {
  const block = new OffloadBlock(OffloadStateType.TCP_CACHED, c.tcp.handle);
  block.cachedState = Object.assign(variables(w, c).cached, change);
  w.update(block);
  w.settle();
  expect(ndisStatusName(block.status)).toBe('SUCCESS');
}

/** Data both ways, a loss, and time. */
function traffic(w: World, c: Connection): void {
  for (let i = 0; i < 5; i++) {
    c.receive(c.text(500));
    c.send(netBufferListOver(pattern(i, 3_000)));
    w.settle();
    w.runtime.advance(30_000);
    c.ackTo(c.peerAck + 3_000);
    c.returnLists();
  }
  c.receive(c.frame({ seq: c.peerSeq + 100, text: ascii('hole') }));
  w.settle();
}

function sackBlocks(frame: Frame): number {
  const seg = new TcpSegment();
  decodeTcp(frame.bytes, frame.tcpAt, frame.bytes.length - frame.tcpAt, seg);
  return seg.sackCount;
}

describe('the three classes', () => {
  test('constant and cached variables are the same at offload, later and at the end, whatever the traffic (STATE-001, STATE-002)', () => {
    const w = new World();
    const c = w.offload({
      cachedFlags: KEEP_ALIVE_ENABLED,
      cached: { maxRt: 77, rcvIndicationSize: 300, userPriority: 3 },
    });
    const words = (): number[] => {
      const { constant, cached } = variables(w, c);
      return [...constant.words, ...cached.words];
    };
    const first = words();
    traffic(w, c);
    expect(words()).toEqual(first);
    w.runtime.advance(5_000_000);
    expect(words()).toEqual(first);
  });

  test('an update changes the cached variables that it names, and no constant or delegated one (UPD-005, STATE-002)', () => {
    const w = new World();
    const c = w.offload();
    traffic(w, c);
    w.runtime.advance(1_000_000);
    const before = { constant: [...variables(w, c).constant.words], delegated: [...c.query().words] };
    update(w, c, { ttlOrHopLimit: 5, kaProbeCount: 9, rcvIndicationSize: 100, maxRt: 1_000 });
    const after = variables(w, c);
    expect(after.cached).toMatchObject({ ttlOrHopLimit: 5, kaProbeCount: 9, rcvIndicationSize: 100, maxRt: 1_000 });
    expect([...after.constant.words]).toEqual(before.constant);
    expect([...c.query().words]).toEqual(before.delegated);
  });

  test('a change of a delegated variable raises nothing: the host learns it by asking (STATE-004)', () => {
    const w = new World();
    const c = w.offload();
    const before = c.query();
    w.host.takeLog();
    c.send(netBufferListOver(pattern(1_000, 3_000)));
    w.settle();
    w.runtime.advance(40_000);
    c.ackTo(4_000);
    const log = w.host.takeLog();
    expect(log).toEqual(['send SUCCESS:3000']);
    const after = c.query();
    for (const key of ['sndUna', 'sndMax', 'sndNxt', 'sRtt'] as const) expect(after[key]).not.toBe(before[key]);
  });

  test('reserved and undocumented variables have no effect: delegated Flags, DWnd (STATE-052, STATE-080)', () => {
    const run = (delegated: NonNullable<ConnectionSpec['delegated']>, dWnd: number): [string[], string[]] => {
      const w = new World();
      const c = new Connection(w, {}, {});
      const root = w.neighborBlock(c.neighbor);
      root.dependentBlockList = w.pathBlock(c.path);
      const tcp = w.tcpBlock(c.tcp, { delegated });
      (tcp.delegatedState as TcpDelegatedState).words[TcpWord.D_WND] = dWnd;
      root.dependentBlockList.dependentBlockList = tcp;
      w.initiate(root);
      w.settle();
      traffic(w, c);
      return [w.host.takeLog(), w.sent().map((one) => [...one.bytes].join())];
    };
    expect(run({ flags: 0xffff }, -1)).toEqual(run({ flags: 0 }, 0));
  });
});

describe('constant flags', () => {
  const combination = (flags: number): { w: World; c: Connection } => {
    const w = new World();
    return { w, c: w.offload({ constFlags: flags, tsTime: 5_000 }) };
  };

  test.each([0, 1, 2, 3, 4, 5, 6, 7])(
    '%i: each option is used if and only if its bit is set (STATE-021 to STATE-024)',
    (flags) => {
      const { w, c } = combination(flags);
      const ts = (flags & TIMESTAMP_ENABLED) === 0 ? {} : { ts: [77, 5_000] as const };
      // What the peer offers is scaled by two, or not: 1,000 of its units are 4,000 bytes or 1,000.
      c.receive(c.frame({ flags: 'A', window: 1_000, ...ts }));
      c.send(netBufferListOver(new Uint8Array(9_000)));
      w.settle();
      const sent = w.sent();
      const isScaled = (flags & WINDOW_SCALING_ENABLED) !== 0;
      const bytes = sent.reduce((sum, one) => sum + one.text.length, 0);
      if (isScaled) expect(bytes).toBeGreaterThan(2_000);
      expect(bytes).toBeLessThanOrEqual(isScaled ? 4_000 : 1_000);
      c.receive(c.frame({ seq: c.peerSeq + 100, text: ascii('out of order'), ...ts }));
      const answers = w.sent();
      expect(Math.max(...answers.map(sackBlocks))).toBe((flags & SACK_ENABLED) === 0 ? 0 : 1);
      // Our own window: 65,536 scaled by two, or as much of it as fits unscaled.
      expect(answers.at(-1)!.window).toBe(isScaled ? 65_536 >> 2 : 65_535);
      c.disconnect();
      w.runtime.advance(3_000_000);
      const all = [...sent, ...answers, ...w.sent()];
      expect(new Set(all.map((one) => one.hasTimestamps))).toEqual(new Set([(flags & TIMESTAMP_ENABLED) !== 0]));
    },
  );

  test.each([0, 7, 14])('scales of %i are honoured in both directions (STATE-026)', (scale) => {
    const w = new World({ capacity: { maxRcvWindow: 1 << 30 }, receivePoolBytes: 1 << 30 });
    const window = Math.min(65_535 << scale, 1 << 29) & -(1 << scale);
    const c = w.offload({ constant: { sndWindScale: scale, rcvWindScale: scale }, window, sndWnd: 0 });
    c.receive(c.text('x'), c.frame({ flags: 'A', window: 3 }));
    w.runtime.advance(300_000);
    expect(c.query().sndWnd).toBe(3 << scale);
    const acks = w.sent().filter((one) => one.ack === 5_001);
    expect(acks.at(-1)!.window << scale).toBeGreaterThan(window - 2 * (1 << scale) - 2_000);
    expect(acks.at(-1)!.window << scale).toBeLessThanOrEqual(window);
  });
});

describe('cached variables', () => {
  test('all thirty-two combinations of the flags are taken, at offload and by update (STATE-029)', () => {
    const w = new World();
    const MODES = KEEP_ALIVE_ENABLED | NAGLING_ENABLED;
    for (let flags = 0; flags < 32; flags++) {
      const c = w.offload({ cachedFlags: flags, localPort: 100 + flags }, { remote: 2 + flags });
      expect(variables(w, c).cached.flags & MODES).toBe(flags & MODES);
      const other = flags ^ 31;
      update(w, c, { flags: other });
      expect(variables(w, c).cached.flags & MODES).toBe(other & MODES);
      w.sent();
      c.send(netBufferListOver(ascii('x')));
      w.settle();
      expect(w.sent().at(-1)!.text).toHaveLength(1);
    }
  });

  test('with NAGLING_ENABLED small writes wait for the ACK and go together, without they do not (STATE-031)', () => {
    const sizes = (cachedFlags: number): { w: World; c: Connection; sent: () => number[] } => {
      const w = new World();
      const c = w.offload({ cachedFlags });
      for (const text of ['a', 'bc', 'def']) {
        c.send(netBufferListOver(ascii(text)));
        w.settle();
      }
      return { w, c, sent: () => w.sent().map((one) => one.text.length) };
    };
    expect(sizes(0).sent()).toEqual([1, 2, 3]);
    const nagling = sizes(NAGLING_ENABLED);
    expect(nagling.sent()).toEqual([1]);
    nagling.c.ackTo(1_001);
    expect(nagling.sent()).toEqual([5]);
    // Switched off by an update, what waits leaves at once.
    nagling.c.send(netBufferListOver(ascii('ghi')));
    nagling.w.settle();
    expect(nagling.sent()).toEqual([]);
    update(nagling.w, nagling.c, { flags: 0 });
    expect(nagling.sent()).toEqual([3]);
  });

  test('the first keepalive probe comes after KaTimeout of silence, more each KaInterval, KaProbeCount in all (STATE-037 to STATE-039)', () => {
    const w = new World();
    const c = w.offload({
      cachedFlags: KEEP_ALIVE_ENABLED,
      cached: { kaTimeout: 2_000, kaInterval: 300, kaProbeCount: 4 },
      keepAliveTimeoutDelta: 2_000,
    });
    const probesAt: number[] = [];
    let eventAt = 0;
    for (let ms = 1; ms <= 6_000 && eventAt === 0; ms++) {
      w.runtime.advance(1_000);
      for (const frame of w.sent()) {
        expect([frame.seq, frame.text.length]).toEqual([999, 0]);
        probesAt.push(ms);
      }
      if (w.host.events.length > 0) eventAt = ms;
    }
    expect(probesAt).toEqual([2_000, 2_300, 2_600, 2_900]);
    expect(eventAt).toBe(3_200);
    expect(w.host.takeLog().at(-1)).toMatch(/^event retrieve/);
    expect(c.query().keepAliveProbeCount).toBe(4);
  });

  test('FlowLabel and traffic class stand in IPv6 headers; an IPv4 header has no label (STATE-045)', () => {
    const six = new World({ family: 6 });
    const c = six.offload({ cached: { flowLabel: 0xabcde, tosOrTrafficClass: 0x2e } });
    c.send(netBufferListOver(ascii('x')));
    six.settle();
    const [frame] = six.sent();
    const first = new DataView(frame!.bytes.buffer, frame!.tcpAt - 40).getUint32(0);
    expect(first).toBe(((6 << 28) | (0x2e << 20) | 0xabcde) >>> 0);
    update(six, c, { flowLabel: 0x12345 });
    c.send(netBufferListOver(ascii('y')));
    six.settle();
    const second = six.sent().at(-1)!;
    expect(new DataView(second.bytes.buffer, second.tcpAt - 40).getUint32(0) & 0xfffff).toBe(0x12345);

    const bytes = (flowLabel: number): number[] => {
      const four = new World();
      const connection = four.offload({ cached: { flowLabel } });
      connection.send(netBufferListOver(ascii('x')));
      four.settle();
      return [...four.sent()[0]!.bytes];
    };
    expect(bytes(0xabcde)).toEqual(bytes(0));
  });

  test('a target without 802.1p leaves UserPriority out of frames and takes the connection all the same (STATE-050)', () => {
    for (const w of [new World({ supports8021p: false }), new World({ medium: 'ip' })]) {
      const c = w.offload({ userPriority: 6 }, {}, { destination: new Uint8Array(6) });
      c.send(netBufferListOver(ascii('x')));
      w.settle();
      expect(w.sent()[0]!.tagged).toBe(false);
      expect(variables(w, c).cached.userPriority).toBe(6);
    }
  });

  test('with VlanId zero whatever VLANs the interface has apply: any frame of them is taken (STATE-014, STATE-013)', () => {
    const w = new World({ vlanIds: [7, 4095] });
    const c = w.offload({}, {}, { vlanId: 0 });
    const other = w.offload({ localPort: 81 }, { remote: 3 }, { vlanId: 4095 });
    for (const vlanTci of [7, 4095]) {
      c.receive(c.frame({ text: ascii('x'), flags: 'PA', vlanTci }));
      c.peerSeq++;
    }
    expect(w.host.takeLog()).toEqual(['indicate 1 SUCCESS', 'indicate 1 SUCCESS']);
    // The other neighbor's VLAN concerns its own connections only.
    c.send(netBufferListOver(ascii('x')));
    other.send(netBufferListOver(ascii('y')));
    w.settle();
    const text = w.sent().filter((one) => one.text.length > 0);
    expect(text.map((one) => [one.srcPort, one.tagged ? one.vlanId : -1])).toEqual([
      [80, -1],
      [81, 4095],
    ]);
    const tooLarge = w.neighborBlock(new HostObject(), { vlanId: 4096 });
    w.initiate(tooLarge);
    w.settle();
    expect(ndisStatusName(tooLarge.status)).toBe('OFFLOAD_VLAN_MISMATCH');
  });
});

describe('delegated variables', () => {
  test('the persist procedure goes on at the round that SndWndProbeCount names (STATE-064)', () => {
    const probesAt = (round: number): number[] => {
      const w = new World();
      const c = w.offload({
        sndWnd: 0,
        sendData: netBufferListOver(ascii('waits for a window')),
        delegated: { sndWndProbeCount: round },
        retransmitTimeoutDelta: 1,
      });
      const times: number[] = [];
      for (let ms = 1; ms <= 60_000 && times.length < 2; ms++) {
        w.runtime.advance(1_000);
        if (!w.sent().some((one) => one.text.length > 0)) continue;
        times.push(ms);
        c.receive(c.frame({ flags: 'A', window: 0 }));
      }
      return times;
    };
    const early = probesAt(0);
    const late = probesAt(3);
    expect([early[0], late[0]]).toEqual([1, 1]);
    // Each answered probe begins a round that waits twice as long as the one before: three rounds further on, eight times.
    const firstWait = early[1]! - early[0]!;
    expect(late[1]! - late[0]!).toBeGreaterThanOrEqual(firstWait * 7);
    expect(late[1]! - late[0]!).toBeLessThanOrEqual(firstWait * 9);
  });

  test('SendBacklogSize follows the path and not what happens to be posted; ReceiveBacklogSize is what waits (STATE-073 to STATE-075, QRY-020, QRY-021)', () => {
    const size = (cWnd: number, posted: number): number => {
      const w = new World();
      const c = w.offload({ delegated: { cWnd } });
      if (posted > 0) c.send(netBufferListOver(new Uint8Array(posted)));
      w.settle();
      return c.query().sendBacklogSize;
    };
    // Enough to fill the congestion window while it grows for a round trip, and no more than that.
    expect(size(100_000, 0)).toBe(200_000);
    expect(size(120_000, 0)).toBe(240_000);
    expect(size(100_000, 50_000)).toBe(200_000);

    const w = new World();
    const c = w.offload();
    w.host.answer = () => ({ status: NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, consumed: 0 });
    expect(c.query().receiveBacklogSize).toBe(0);
    c.receive(c.text(700));
    c.receive(c.text(50));
    expect(c.query().receiveBacklogSize).toBe(750);
    c.postBytes(600);
    w.settle();
    expect(c.query().receiveBacklogSize).toBe(150);
  });

  test('a timer that does not run is -1 in a query, one that runs tells its ticks (QRY-023, QRY-024)', () => {
    const w = new World();
    const c = w.offload({ cached: { kaTimeout: 10_000 } });
    expect(c.query()).toMatchObject({ keepAliveTimeoutDelta: -1, retransmitTimeoutDelta: -1 });
    update(w, c, { flags: KEEP_ALIVE_ENABLED });
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    w.runtime.advance(100_000);
    const { keepAliveTimeoutDelta, retransmitTimeoutDelta } = c.query();
    expect(keepAliveTimeoutDelta).toBe(9_900);
    expect(retransmitTimeoutDelta).toBeGreaterThan(0);
    expect(retransmitTimeoutDelta).toBeLessThan(1_000);
    c.ackTo(1_001);
    expect(c.query().retransmitTimeoutDelta).toBe(-1);
  });

  test('HRD and NRD are ticks before now: both grow with time, NRD falls with forward progress, HRD with an update (STATE-016, STATE-017, QRY-026)', () => {
    const w = new World();
    const c = w.offload({}, {}, { hrd: 40 });
    const deltas = (): [number, number] => {
      const block = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
      const cached = new NeighborCachedState();
      const delegated = new NeighborDelegatedState();
      block.cachedState = cached;
      block.delegatedState = delegated;
      w.query(block);
      w.settle();
      return [cached.hostReachabilityDelta, delegated.nicReachabilityDelta];
    };
    expect(deltas()).toEqual([40, 40]);
    w.runtime.advance(300_000);
    expect(deltas()).toEqual([340, 340]);
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    c.ackTo(1_001);
    w.runtime.advance(7_000);
    expect(deltas()).toEqual([347, 7]);
    const block = new OffloadBlock(OffloadStateType.NEIGHBOR_CACHED, c.neighbor.handle);
    block.cachedState = Object.assign(new NeighborCachedState(), { hostReachabilityDelta: 2 });
    w.update(block);
    w.settle();
    expect(deltas()).toEqual([2, 7]);
  });
});
