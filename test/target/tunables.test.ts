/** Each tunable of OID_TCP_TASK_OFFLOAD and OID_TCP_CONNECTION_OFFLOAD_PARAMETERS shows in what the target does. */
import { describe, expect, test } from 'vitest';
import {
  DEFAULT_OFFLOAD_PARAMETERS,
  NdisEncapsulation,
  NdisStatus,
  ndisStatusName,
  type OffloadEncapsulation,
  OffloadParameter,
  Oid,
  type OidRequest,
  type TcpConnectionOffload,
  type TcpConnectionOffloadParameters,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../src/ndis/protocol.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpCachedFlag, TcpConstFlag } from '../../src/state/tcp.ts';
import { ascii, Connection, pattern, World, type WorldOptions } from './support/world.ts';

type Tunables = Partial<TcpConnectionOffloadParameters>;

function set(w: World, parameters: unknown, oid: number = Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS): number {
  return w.oid({ oid, kind: 'set', information: parameters });
}

function ask<T>(w: World, oid: number): T {
  const request: OidRequest = { oid, kind: 'query', information: null };
  expect(ndisStatusName(w.oid(request))).toBe('SUCCESS');
  return request.information as T;
}

/** A world with an established connection and these tunables. */
function world(parameters: Tunables, options: WorldOptions = {}): { w: World; c: Connection } {
  const w = new World({ ...options, tcp: { quickAckSegments: 0, ...options.tcp }, parameters });
  return { w, c: w.offload() };
}

/** When the next frame leaves, µs from now; it is taken off the link. */
function nextFrameUs(w: World, limitUs: number): number | null {
  const fromUs = w.runtime.nowUs();
  for (let t = 0; t <= limitUs; t += 1000) {
    if (w.link.sentCount > 0 && w.sent().length > 0) return w.runtime.nowUs() - fromUs;
    w.runtime.advance(1000);
  }
  return null;
}

describe('timers and counts', () => {
  test.each([1, 2, 5])('TcpAckFrequency %i: so many segments are answered by one ACK [CAP-027]', (frequency) => {
    const { w, c } = world({ tcpAckFrequency: frequency, tcpDelayedAckTicks: 200 });
    c.postBytes(10_000);
    w.settle();
    w.sent();
    for (let i = 1; i <= frequency; i++) {
      expect(w.sent()).toHaveLength(0);
      c.receive(c.text(100, 'A'));
    }
    expect(w.sent()).toMatchObject([{ ack: c.peerSeq }]);
  });

  test.each([
    [1000, 30],
    [1000, 150],
    [100, 9],
  ])(
    'TcpDelayedAckTicks, at %i ticks a second %i of them: a lone segment is acknowledged so much later [CAP-028, CAP-026, STATE-077]',
    (ticksPerSecond, ticks) => {
      const { w, c } = world({ ticksPerSecond, tcpDelayedAckTicks: ticks, tcpAckFrequency: 2 });
      c.postBytes(10_000);
      w.settle();
      w.sent();
      c.receive(c.text(100, 'A'));
      expect(nextFrameUs(w, 1_000_000)).toBe((ticks * 1_000_000) / ticksPerSecond);
    },
  );

  test.each([10, 100, 1000])(
    'TicksPerSecond %i: the timestamp clock goes at that rate, and times of the state are read and written in such ticks [CAP-026, STATE-077, STATE-078]',
    (ticksPerSecond) => {
      const w = new World({ parameters: { ticksPerSecond } });
      const c = w.offload({
        constFlags: TcpConstFlag.TIMESTAMP_ENABLED,
        cachedFlags: TcpCachedFlag.KEEP_ALIVE_ENABLED,
        keepAliveTimeoutDelta: 10 * ticksPerSecond,
        tsTime: 5_000,
      });
      w.runtime.advance(3_000_000);
      c.send(netBufferListOver(ascii('x')));
      w.settle();
      expect(w.sent()).toMatchObject([{ tsVal: 5_000 + 3 * ticksPerSecond }]);
      expect(c.query()).toMatchObject({
        keepAliveTimeoutDelta: 7 * ticksPerSecond,
        tsTime: 5_000 + 3 * ticksPerSecond,
      });
    },
  );

  test('TicksPerSecond is 1000 where the host sets nothing else [CAP-026, CAP-021]', () => {
    const { w, c } = world({});
    expect(ask<TcpConnectionOffloadParameters>(w, Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS).ticksPerSecond).toBe(1000);
    c.postBytes(10);
    c.receive(c.text('abc', 'A'));
    w.runtime.advance(499_000);
    expect(w.host.takeLog()).toEqual([]);
    w.runtime.advance(1_000);
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3']);
  });

  test.each([2, 4])(
    'TcpMaximumRetransmissions %i: after so many in vain the target wants to be rid of the connection [CAP-029]',
    (most) => {
      const { w, c } = world({ tcpMaximumRetransmissions: most });
      c.send(netBufferListOver(ascii('abc')));
      w.settle();
      for (let i = 0; i < 600 && w.host.events.length === 0; i++) w.runtime.advance(100_000);
      expect(w.host.events).toMatchObject([
        { type: TcpOffloadEventType.INDICATE_RETRIEVE, information: TcpUploadReason.TIMEOUT_EXPIRATION },
      ]);
      expect(w.sent().filter((frame) => frame.text.length === 3)).toHaveLength(1 + most);
    },
  );

  test.each([3, 5])('TcpDoubtReachabilityRetransmissions %i: after so many the path is in doubt [CAP-030]', (count) => {
    const { w, c } = world({ tcpDoubtReachabilityRetransmissions: count, tcpMaximumRetransmissions: 12 });
    c.send(netBufferListOver(ascii('abc')));
    w.settle();
    while (w.trace.countOf('TARGET_PATH_IN_DOUBT') === 0 && w.runtime.nowUs() < 200_000_000) w.runtime.advance(100_000);
    expect(w.sent().filter((frame) => frame.text.length === 3)).toHaveLength(1 + count);
  });

  test.each([100, 300])(
    'TcpSwsPreventionTicks %i: a small segment waits so long for the window to open [CAP-031]',
    (ticks) => {
      const w = new World({ parameters: { tcpSwsPreventionTicks: ticks } });
      const c = w.offload({ sndWnd: 262_140 });
      c.send(netBufferListOver(pattern(0, 1460)));
      w.settle();
      // The peer's window shrinks to less than half of what it was, and less than a segment.
      c.receive(c.frame({ flags: 'A', window: 100, ack: 2460 }));
      w.settle();
      w.sent();
      c.send(netBufferListOver(pattern(0, 5000)));
      w.settle();
      expect(w.sent()).toHaveLength(0);
      expect(nextFrameUs(w, 1_000_000)).toBe(ticks * 1000);
    },
  );

  test.each([2, 3, 6])(
    'TcpDuplicateAckThreshold %i: so many duplicates start a fast retransmission [CAP-032]',
    (threshold) => {
      const w = new World({ parameters: { tcpDuplicateAckThreshold: threshold } });
      const c = w.offload({ constFlags: TcpConstFlag.WINDOW_SCALING_ENABLED });
      c.send(netBufferListOver(pattern(0, 1460 * 12)));
      w.settle();
      expect(w.sent()).toHaveLength(12);
      for (let i = 1; i < threshold; i++) c.receive(c.frame({ flags: 'A' }));
      expect(w.sent().filter((frame) => frame.seq === 1000)).toHaveLength(0);
      c.receive(c.frame({ flags: 'A' }));
      expect(w.sent().filter((frame) => frame.seq === 1000)).toHaveLength(1);
    },
  );

  test.each([50, 250])('TcpPushTicks %i: a partly filled request in push mode waits so long [CAP-033]', (ticks) => {
    const { w, c } = world({ tcpPushTicks: ticks });
    c.postBytes(10);
    c.receive(c.text('abc', 'A'));
    w.runtime.advance(ticks * 1000 - 1000);
    expect(w.host.takeLog()).toEqual([]);
    w.runtime.advance(1000);
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3']);
  });

  test.each([500, 4000])('NceStaleTicks %i: a neighbor not heard of for longer is asked about [CAP-034]', (ticks) => {
    const { w, c } = world({ nceStaleTicks: ticks });
    w.runtime.advance(ticks * 1000 - 1000);
    c.send(netBufferListOver(ascii('a')));
    w.settle();
    expect(w.host.queries).toHaveLength(0);
    w.runtime.advance(2000);
    c.send(netBufferListOver(ascii('b')));
    w.settle();
    expect(w.host.queries).toHaveLength(1);
  });
});

describe('parameters', () => {
  test('come back from a query as they were set, by either OID [CAP-021, CAP-023, CAP-025]', () => {
    const w = new World();
    const encapsulation: OffloadEncapsulation = {
      ipv4: { enabled: true, types: NdisEncapsulation.IEEE_802_3 },
      ipv6: { enabled: false, types: NdisEncapsulation.NOT_SUPPORTED },
    };
    const first = { ...DEFAULT_OFFLOAD_PARAMETERS, tcpPushTicks: 77, encapsulation };
    expect(set(w, first)).toBe(NdisStatus.SUCCESS);
    expect(ask(w, Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS)).toEqual(first);
    const second = { ...DEFAULT_OFFLOAD_PARAMETERS, tcpAckFrequency: 4 };
    expect(set(w, second, Oid.TCP_TASK_OFFLOAD)).toBe(NdisStatus.SUCCESS);
    expect(ask(w, Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS)).toEqual(second);
  });

  test.each([
    ['another type', { type: 1 }],
    ['another revision', { revision: 2 }],
    ['another size', { size: 60 }],
  ])('with %s in the header are not taken [CAP-024]', (_how, change) => {
    const w = new World();
    const { header } = DEFAULT_OFFLOAD_PARAMETERS;
    const wrong = { ...DEFAULT_OFFLOAD_PARAMETERS, tcpPushTicks: 9, header: { ...header, ...change } };
    for (const oid of [Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS, Oid.TCP_TASK_OFFLOAD]) {
      expect(set(w, wrong, oid)).toBe(NdisStatus.INVALID_PARAMETER);
    }
    expect(ask(w, Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS)).toMatchObject({ tcpPushTicks: 500 });
  });

  test('with encapsulation settings that are none are not taken [CAP-025]', () => {
    const w = new World();
    const { ipv4 } = DEFAULT_OFFLOAD_PARAMETERS.encapsulation;
    for (const encapsulation of [
      null,
      {},
      { ipv4 },
      { ipv4, ipv6: { enabled: 1, types: 2 } },
      { ipv4, ipv6: { ...ipv4, types: 99 } },
    ]) {
      expect(set(w, { ...DEFAULT_OFFLOAD_PARAMETERS, encapsulation })).toBe(NdisStatus.INVALID_PARAMETER);
    }
  });

  test('the chimney is off before they were set, and on afterwards [CAP-020, CAP-022]', () => {
    const w = new World({ enable: false });
    expect(() => w.offload()).toThrow('FAILURE');
    expect(w.enable()).toBe(NdisStatus.SUCCESS);
    w.offload();
  });
});

describe('configuration', () => {
  const current = (w: World): TcpConnectionOffload => ask(w, Oid.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG);
  const administer = (w: World, tcpConnectionIPv4: number, tcpConnectionIPv6: number): number =>
    set(w, { tcpConnectionIPv4, tcpConnectionIPv6 }, Oid.TCP_OFFLOAD_PARAMETERS);
  const { NO_CHANGE, CONNECTION_OFFLOAD_DISABLED, CONNECTION_OFFLOAD_ENABLED } = OffloadParameter;

  test('every OID of the chimney is answered, whether anything is offloaded or not [CAP-035, CAP-019]', () => {
    for (const w of [new World(), world({}).w]) {
      expect(ask(w, Oid.TCP_TASK_OFFLOAD)).toMatchObject({ chimneyTypes: [1], ip4: true, ip6: true });
      for (const oid of [Oid.IP4_OFFLOAD_STATS, Oid.IP6_OFFLOAD_STATS])
        expect(ask(w, oid)).toHaveProperty('inReceives');
      for (const oid of [Oid.TCP4_OFFLOAD_STATS, Oid.TCP6_OFFLOAD_STATS])
        expect(ask(w, oid)).toHaveProperty('inSegments');
    }
  });

  test('the hardware can more than the administrator allows; what is in force is told apart [CAP-019, CAP-035]', () => {
    const w = new World({ capacity: { tcpEntries: 40 } });
    const hardware = ask<TcpConnectionOffload>(w, Oid.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES);
    const { IEEE_802_3, IEEE_802_3_P_AND_Q, NULL } = NdisEncapsulation;
    expect(hardware).toMatchObject({
      encapsulation: IEEE_802_3 | IEEE_802_3_P_AND_Q,
      supportIPv4: true,
      supportIPv6: true,
      supportIPv6ExtensionHeaders: false,
      supportSack: true,
      tcpConnectionOffloadCapacity: 40,
    });
    expect(current(w)).toEqual(hardware);
    expect(administer(w, NO_CHANGE, CONNECTION_OFFLOAD_DISABLED)).toBe(NdisStatus.SUCCESS);
    expect(current(w)).toMatchObject({ supportIPv4: true, supportIPv6: false });
    expect(ask(w, Oid.TCP_TASK_OFFLOAD)).toMatchObject({ ip4: true, ip6: false });
    expect(ask(w, Oid.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES)).toEqual(hardware);
    expect(current(new World({ medium: 'ip' })).encapsulation).toBe(NULL);
    for (const oid of [Oid.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG, Oid.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES]) {
      expect(set(w, hardware, oid)).toBe(NdisStatus.NOT_SUPPORTED);
    }
    expect(administer(w, 3, NO_CHANGE)).toBe(NdisStatus.INVALID_PARAMETER);
    expect(set(w, null, Oid.TCP_OFFLOAD_PARAMETERS)).toBe(NdisStatus.INVALID_PARAMETER);
  });

  test('a change is indicated with the configuration; the same again is not; a family that is off is refused [CAP-025, CAP-036]', () => {
    const w = new World();
    administer(w, CONNECTION_OFFLOAD_DISABLED, NO_CHANGE);
    w.settle();
    expect(w.host.statuses).toEqual([NdisStatus.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG]);
    expect(w.host.statusBuffers[0]).toEqual(current(w));
    administer(w, CONNECTION_OFFLOAD_DISABLED, CONNECTION_OFFLOAD_ENABLED);
    w.settle();
    expect(w.host.statuses).toHaveLength(1);
    expect(() => w.offload()).toThrow('FAILURE');
    w.offload({}, { family: 6 });
    administer(w, CONNECTION_OFFLOAD_ENABLED, NO_CHANGE);
    w.settle();
    expect(w.host.statuses).toHaveLength(2);
    w.offload();
  });

  test('other limits of the hardware are indicated, as hardware and as configuration [CAP-019]', () => {
    const w = new World();
    w.target.control.setCapacity({ tcpEntries: 3 });
    w.settle();
    const { TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES, TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG } = NdisStatus;
    expect(w.host.statuses).toEqual([
      TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES,
      TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG,
    ]);
    expect(current(w).tcpConnectionOffloadCapacity).toBe(3);
  });

  test('the encapsulation decides which family is offloaded, and whether frames carry tags [CAP-025]', () => {
    const both = (types: number, ip6 = true): Tunables => ({
      encapsulation: { ipv4: { enabled: true, types }, ipv6: { enabled: ip6, types } },
    });
    const { IEEE_802_3, IEEE_802_3_P_AND_Q, NULL } = NdisEncapsulation;
    const only4 = new World({ parameters: both(IEEE_802_3, false) });
    only4.offload();
    expect(() => only4.offload({}, { family: 6, remote: 9 })).toThrow('FAILURE');
    // Bare packets are not what an Ethernet adapter has.
    expect(() => new World({ parameters: both(NULL) }).offload()).toThrow('FAILURE');
    const tagOf = (types: number): unknown => {
      const w = new World({ parameters: both(types) });
      const c = w.offload({ userPriority: 5 });
      c.send(netBufferListOver(ascii('a')));
      w.settle();
      const { tagged, priority } = w.sent()[0]!;
      return { tagged, priority };
    };
    expect(tagOf(IEEE_802_3 | IEEE_802_3_P_AND_Q)).toEqual({ tagged: true, priority: 5 });
    expect(tagOf(IEEE_802_3)).toEqual({ tagged: false, priority: 0 });
    const untagged = new World({ parameters: both(IEEE_802_3) });
    const root = untagged.neighborBlock(new Connection(untagged, {}, {}).neighbor, { vlanId: 7 });
    untagged.initiate(root);
    untagged.settle();
    expect(ndisStatusName(root.status)).toBe('OFFLOAD_VLAN_ENTRIES');
  });
});

test.each([64 * 1024, 256 * 1024, 8 * 1024 * 1024])(
  'a receive pool of %i bytes does its work [CAP-017]',
  (receivePoolBytes) => {
    const w = new World({ receivePoolBytes });
    const c = w.offload();
    let got = 0;
    w.host.onIndicate = (_handle, bytes) => {
      got += bytes.length;
    };
    for (let i = 0; i < 200; i++) {
      c.receive(c.text(1000));
      c.returnLists();
    }
    expect(got).toBe(200_000);
  },
);
