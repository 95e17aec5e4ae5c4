import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import {
  DEFAULT_OFFLOAD_PARAMETERS,
  IndicateOffloadEvent,
  NdisStatus,
  OffloadBlock,
  OffloadStateType,
  Oid,
  type OidRequest,
  type TcpConnectionOffloadCapabilities,
} from '../../src/ndis/protocol.ts';
import { Mdl, NetBuffer, NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { PlainAdapter } from '../../src/target/plain/plain-adapter.ts';
import { HandledBy, Trace } from '../../src/trace/trace.ts';
import { FakeHost } from './support/fake-host.ts';
import { TestLink } from './support/test-link.ts';
import { ascii, type Connection, subject, World } from './support/world.ts';

function world(options: ConstructorParameters<typeof World>[0] = {}): { w: World; c: Connection } {
  const w = new World(options);
  return { w, c: w.offload() };
}

function ask(w: World, oid: number): unknown {
  const request: OidRequest = { oid, kind: 'query', information: null };
  expect(w.oid(request)).toBe(NdisStatus.SUCCESS);
  return request.information;
}

describe('neighbor reachability', () => {
  test('a stale neighbor is asked about before a datagram leaves, and the answer becomes HRT (NBR-009 to NBR-017, NBR-020, NBR-021)', () => {
    const { w, c } = world({ parameters: { nceStaleTicks: 1_000 } });
    w.runtime.advance(1_500_000);
    const send = (): void => {
      c.send(netBufferListOver(ascii('x')));
      w.settle();
    };
    send();
    expect(w.host.queries).toHaveLength(1);
    const { block, code, nrd, hrd } = w.host.queries[0]!;
    expect(code).toBe(IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY);
    expect([nrd, hrd]).toEqual([1_500, 1_500]);
    expect(block).toMatchObject({
      status: NdisStatus.SUCCESS,
      nextBlock: null,
      dependentBlockList: null,
      header: { type: OffloadStateType.NEIGHBOR },
    });
    expect(block!.offloadHandle).toBe(c.neighbor.handle); // CTX-018
    expect(w.sent()).toHaveLength(1);
    w.runtime.advance(900_000);
    send();
    expect(w.host.queries).toHaveLength(1); // HRD 0: no other question for NceStaleTicks
    w.runtime.advance(200_000);
    send();
    expect(w.host.queries).toHaveLength(2);
  });

  test('forward progress keeps it fresh (NBR-001, NBR-002, NBR-006 to NBR-008)', () => {
    const { w, c } = world({ parameters: { nceStaleTicks: 1_000 } });
    for (let i = 1; i <= 10; i++) {
      w.runtime.advance(700_000);
      c.send(netBufferListOver(ascii('x')));
      w.settle();
      c.ackTo(1_000 + i);
    }
    expect(w.host.queries).toEqual([]);
  });

  test('HRD and NRD at offload count from the past (NBR-003 to NBR-005)', () => {
    const w = new World({ parameters: { nceStaleTicks: 1_000 } });
    const c = w.offload({}, {}, { hrd: 5_000 });
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.host.queries[0]).toMatchObject({ nrd: 5_000, hrd: 5_000 });
  });
});

describe('OIDs', () => {
  test('capabilities are published and may change at a resume (CAP-018, CAP-019, EVT-039, EVT-040)', () => {
    const w = new World({ capacity: { tcpEntries: 12, maxRcvWindow: 1_000_000 }, allowSourceMac: false });
    const told = ask(w, Oid.TCP_TASK_OFFLOAD) as TcpConnectionOffloadCapabilities;
    expect(told).toMatchObject({ maxTcpEntries: 12, maxRcvWindow: 1_000_000, canSetSourceMac: false, ip6: true });
    expect(told.chimneyTypes).toHaveLength(1);
    w.target.control.resume({ tcpEntries: 5 });
    w.settle();
    expect(ask(w, Oid.TCP_TASK_OFFLOAD)).toMatchObject({ maxTcpEntries: 5 });
  });

  test('tunables are set, queried and checked (CAP-021, CAP-023, CAP-026 to CAP-034)', () => {
    const w = new World();
    const parameters = { ...DEFAULT_OFFLOAD_PARAMETERS, ticksPerSecond: 100, tcpPushTicks: 33 };
    const set = (information: unknown): number =>
      w.oid({ oid: Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS, kind: 'set', information });
    expect(set(parameters)).toBe(NdisStatus.SUCCESS);
    expect(ask(w, Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS)).toEqual(parameters);
    for (const bad of [{ ...parameters, ticksPerSecond: 50 }, { ...parameters, tcpAckFrequency: 0 }, null, 7]) {
      expect(set(bad)).toBe(NdisStatus.INVALID_PARAMETER);
    }
    expect(ask(w, Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS)).toEqual(parameters);
  });

  test("the push timer counts the host's ticks (STATE-077, STATE-078, TCP-003)", () => {
    const { w, c } = world({ parameters: { ticksPerSecond: 10, tcpPushTicks: 3, tcpDelayedAckTicks: 1 } });
    c.postBytes(10);
    c.receive(c.text('abc', 'A'));
    w.runtime.advance(299_000);
    expect(w.host.takeLog()).toEqual([]);
    w.runtime.advance(1_000);
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3']);
  });

  test('statistics count offloaded connections only, by family, and are reset (STAT-001 to STAT-009, STAT-016 to STAT-018, STAT-024, STAT-025)', () => {
    const { w, c } = world();
    w.link.deliver(new Uint8Array(60));
    c.receive(c.text('hello'), c.text('world'));
    c.send(netBufferListOver(ascii('abc')));
    w.settle();
    const frames = w.sent();
    const outOctets = frames.reduce((sum, f) => sum + BigInt(f.bytes.length - 14), 0n);
    expect(ask(w, Oid.IP4_OFFLOAD_STATS)).toMatchObject({
      inReceives: 2n,
      inOctets: 90n,
      inDelivers: 2n,
      outRequests: BigInt(frames.length),
      outOctets,
    });
    expect(ask(w, Oid.TCP4_OFFLOAD_STATS)).toMatchObject({ inSegments: 2n, currentlyEstablished: 1, inErrors: 0 });
    expect(ask(w, Oid.IP6_OFFLOAD_STATS)).toMatchObject({ inReceives: 0n });
    w.oid({ oid: Oid.IP4_OFFLOAD_STATS, kind: 'set', information: null });
    w.oid({ oid: Oid.TCP4_OFFLOAD_STATS, kind: 'set', information: null });
    expect(ask(w, Oid.IP4_OFFLOAD_STATS)).toMatchObject({ inReceives: 0n, outOctets: 0n });
    expect(ask(w, Oid.TCP4_OFFLOAD_STATS)).toMatchObject({ inSegments: 0n, currentlyEstablished: 1 });
    expect(ask(w, Oid.TCP6_OFFLOAD_STATS)).toMatchObject({ currentlyEstablished: 0 });
  });

  test('power down waits for the last terminate [PWR-002, PWR-003, PWR-004, PWR-005]', () => {
    const { w, c } = world();
    const other = w.offload({ localPort: 81 }, { remote: 3 });
    const request: OidRequest = { oid: Oid.PNP_SET_POWER, kind: 'set', information: 4 };
    expect(w.oid(request)).toBe(NdisStatus.PENDING);
    other.terminateAll();
    expect(w.host.oidCompletions).toEqual([]);
    c.terminateAll();
    expect(w.host.oidCompletions).toEqual([{ request, status: NdisStatus.SUCCESS }]);
    expect(() => w.offload()).toThrow(/FAILURE/);
    expect(w.oid({ oid: Oid.PNP_SET_POWER, kind: 'set', information: 1 })).toBe(NdisStatus.SUCCESS);
    w.offload();
    expect(w.oid({ oid: Oid.PNP_SET_POWER, kind: 'set', information: 9 })).toBe(NdisStatus.INVALID_PARAMETER);
    expect(w.oid({ oid: Oid.GEN_RECEIVE_SCALE_PARAMETERS, kind: 'set', information: null })).toBe(
      NdisStatus.NOT_SUPPORTED,
    );
  });
});

describe('closing', () => {
  test('the adapter does not close while indicated buffers are out (RECV-086)', async () => {
    const { w, c } = world();
    c.receive(c.text('abc'));
    c.terminateAll();
    let isClosed = false;
    w.ndis.closeAdapterEx(w.binding, () => {
      isClosed = true;
    });
    w.settle();
    expect(isClosed).toBe(false);
    c.returnLists();
    w.settle();
    expect(isClosed).toBe(true);
    await w.ndis.haltAdapter('nic0');
    expect(w.link.isClosed).toBe(true);
  });

  test('MiniportHaltEx itself waits for them too', async () => {
    const { w, c } = world();
    c.receive(c.text('abc'));
    let isHalted = false;
    const halted = Promise.resolve(w.target.haltEx(w.target)).then(() => {
      isHalted = true;
    });
    await Promise.resolve();
    await Promise.resolve();
    expect(isHalted).toBe(false);
    w.target.tcpOffloadReceiveReturn(w.target, w.host.kept[0]!);
    await halted;
    expect(isHalted).toBe(true);
    w.link.deliver(new Uint8Array(60));
    expect(w.host.frames).toEqual([]);
  });
});

describe('ordinary frames beside the chimney', () => {
  if (!subject.isApart)
    test('are sent and completed; a full link delays them, a full backlog refuses them', () => {
      const w = new World({ backlogLists: 2 });
      const frame = (n: number): NetBufferList => netBufferListOver(new Uint8Array(60).fill(n));
      w.ndis.sendNetBufferLists(w.binding, frame(1), 0);
      expect(w.host.takeLog()).toEqual(['frame sent SUCCESS:0']);
      w.link.room = 0;
      for (const n of [2, 3, 4]) w.ndis.sendNetBufferLists(w.binding, frame(n), 0);
      expect(w.host.takeLog()).toEqual(['frame sent RESOURCES:0']);
      expect(w.target.control.held().frames).toBe(2);
      w.link.room = 10;
      w.link.receiver!.writable();
      expect(w.host.takeLog()).toEqual(['frame sent SUCCESS:0 SUCCESS:0']);
      expect(w.link.take().map((f) => f[0])).toEqual([1, 2, 3]);
    });

  test("link state is reported; whether connections go up is the host's decision (TERM-069)", () => {
    const { w } = world();
    w.link.receiver!.linkState(false);
    w.link.receiver!.linkState(true);
    w.settle();
    expect(w.host.statuses).toEqual([NdisStatus.LINK_STATE_DOWN, NdisStatus.LINK_STATE_UP]);
    expect(w.target.control.held().tcpObjects).toBe(1);
  });

  if (!subject.isApart)
    test('a tap sees every packet and who handled it', () => {
      const seen: [number, number][] = [];
      const w = new World({
        packetTap: { packet: (direction, handledBy) => seen.push([direction, handledBy]), operation: () => undefined },
      });
      const c = w.offload();
      c.receive(c.text('a'), c.text('b'));
      w.link.deliver(new Uint8Array(60));
      w.ndis.sendNetBufferLists(w.binding, netBufferListOver(new Uint8Array(60)), 0);
      expect(seen).toEqual([
        [0, HandledBy.TARGET],
        [0, HandledBy.TARGET],
        [1, HandledBy.TARGET],
        [0, HandledBy.HOST],
        [1, HandledBy.HOST],
      ]);
    });
});

describe('the plain adapter', () => {
  function plain(): {
    host: FakeHost;
    link: TestLink;
    ndis: NdisLibrary;
    binding: ReturnType<NdisLibrary['openAdapterEx']>;
    trace: Trace;
    adapter: PlainAdapter;
    runtime: VirtualRuntime;
  } {
    const runtime = new VirtualRuntime(1);
    const trace = new Trace();
    const ndis = new NdisLibrary(runtime, trace);
    const link = new TestLink('plain0');
    const adapter = new PlainAdapter({ link, runtime, trace, backlogLists: 2 });
    ndis.registerAdapter(adapter);
    const host = new FakeHost();
    return { host, link, ndis, binding: ndis.openAdapterEx(host, null, 'plain0'), trace, adapter, runtime };
  }

  test('frames go up borrowed and in batches, and down without a copy or gathered', () => {
    const { host, link, ndis, binding } = plain();
    link.deliver(new Uint8Array([1, 2, 3]), new Uint8Array([4]));
    expect(host.frames).toEqual([new Uint8Array([1, 2, 3]), new Uint8Array([4])]);
    expect(host.receiveDones).toBe(1);
    const first = new Mdl(new Uint8Array([9, 1, 2]), 1);
    first.next = new Mdl(new Uint8Array([3, 4, 9]), 0, 2);
    const list = new NetBufferList(new NetBuffer(first, 4));
    list.next = netBufferListOver(new Uint8Array([5, 6]));
    ndis.sendNetBufferLists(binding, list, 0);
    expect(link.take()).toEqual([new Uint8Array([1, 2, 3, 4]), new Uint8Array([5, 6])]);
    expect(host.takeLog().at(-1)).toBe('frame sent SUCCESS:0 SUCCESS:0');
  });

  test('it has no chimney: capabilities NOT_SUPPORTED, an initiate is refused by the library (IM-056)', () => {
    const { host, ndis, binding, adapter, runtime } = plain();
    expect(adapter.hasChimney).toBe(false);
    const request: OidRequest = { oid: Oid.TCP_TASK_OFFLOAD, kind: 'query', information: null };
    expect(ndis.oidRequest(binding, request)).toBe(NdisStatus.NOT_SUPPORTED);
    const block = new OffloadBlock(OffloadStateType.NEIGHBOR);
    ndis.initiateOffload(binding, block);
    runtime.settle();
    expect(host.takeLog()).toEqual(['initiate complete']);
  });

  test('a bounded backlog waits for a full link, in order', () => {
    const { host, link, ndis, binding, adapter, trace } = plain();
    link.room = 1;
    for (let i = 1; i <= 4; i++) ndis.sendNetBufferLists(binding, netBufferListOver(new Uint8Array([i])), 0);
    expect(trace.countOf('TARGET_SEND_BACKLOG_FULL')).toBe(1);
    link.room = 1;
    adapter.writable();
    link.room = 5;
    adapter.writable();
    expect(link.take()).toEqual([1, 2, 3].map((i) => new Uint8Array([i])));
    expect(host.frameSends.map((d) => d.status)).toEqual(['SUCCESS', 'RESOURCES', 'SUCCESS', 'SUCCESS']);
  });

  test('a MAC is made up where there is none, and a bad one is refused', () => {
    const runtime = new VirtualRuntime(1);
    const bare = { name: 'x', medium: 'ethernet', mtu: 1500, start() {}, transmit: () => true, close() {} } as const;
    const { attributes } = new PlainAdapter({ link: bare, runtime, trace: new Trace() });
    expect(attributes.macAddress[0]! & 3).toBe(2);
    const macAddress = new Uint8Array([1, 0, 0, 0, 0, 0]);
    expect(() => new PlainAdapter({ link: bare, runtime, trace: new Trace(), macAddress })).toThrow(RangeError);
  });
});
