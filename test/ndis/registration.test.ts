import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { HostStack } from '../../src/host/host-stack.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import type { NdisDriverHandle, OptionalHandlers } from '../../src/ndis/characteristics.ts';
import {
  clientGeneric,
  clientTcp,
  NDIS_OBJECT_TYPE_DEFAULT,
  providerGeneric,
  providerTcp,
} from '../../src/ndis/characteristics.ts';
import { copyOffloadHandlers, type NdisM, type TcpOffloadEventHandlers } from '../../src/ndis/miniport.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import { NdisChimneyOffloadType, NdisStatus } from '../../src/ndis/status.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { Trace } from '../../src/trace/trace.ts';
import { TestLink } from '../target/support/test-link.ts';
import { ascii, World } from '../target/support/world.ts';
import { bindHost, connectionTree, FakeHost, FakeTarget, makeWorld } from './fakes.ts';

/** A library that writes down what drivers do while they are set up. */
class Recorder extends NdisLibrary {
  readonly steps: string[] = [];
  readonly structures: { role: string; structure: OptionalHandlers; status: number }[] = [];

  override setOptionalHandlers(handle: NdisDriverHandle, structure: OptionalHandlers): number {
    const status = super.setOptionalHandlers(handle, structure);
    this.steps.push(`setOptionalHandlers ${handle.role}`);
    this.structures.push({ role: handle.role, structure, status });
    return status;
  }
  override setMiniportAttributes(...given: Parameters<NdisM['setMiniportAttributes']>): void {
    this.steps.push('setMiniportAttributes');
    super.setMiniportAttributes(...given);
  }
  override getOffloadHandlers(...given: Parameters<NdisM['getOffloadHandlers']>): TcpOffloadEventHandlers | null {
    this.steps.push(`getOffloadHandlers ${given[1]}`);
    return super.getOffloadHandlers(...given);
  }
}

function recorded(): { ndis: Recorder; runtime: VirtualRuntime; trace: Trace } {
  const runtime = new VirtualRuntime(1);
  const trace = new Trace();
  return { ndis: new Recorder(runtime, trace), runtime, trace };
}

function engineOn(world: ReturnType<typeof recorded>): EngineAdapter {
  const adapter = new EngineAdapter({ link: new TestLink('nic0'), runtime: world.runtime, trace: world.trace });
  world.ndis.registerAdapter(adapter);
  return adapter;
}

const PROVIDER_GENERIC = ['initiateOffload', 'terminateOffload', 'updateOffload', 'invalidateOffload', 'queryOffload'];
const PROVIDER_TCP = [
  ...['tcpOffloadSend', 'tcpOffloadReceive', 'tcpOffloadDisconnect', 'tcpOffloadForward'],
  'tcpOffloadReceiveReturn',
];
const CLIENT_GENERIC = [
  ...['initiateOffloadComplete', 'terminateOffloadComplete', 'updateOffloadComplete', 'invalidateOffloadComplete'],
  ...['queryOffloadComplete', 'indicateOffloadEvent'],
];
const CLIENT_TCP = [
  ...['tcpOffloadSendComplete', 'tcpOffloadReceiveComplete', 'tcpOffloadDisconnectComplete'],
  ...['tcpOffloadForwardComplete', 'tcpOffloadEvent', 'tcpOffloadReceiveIndicate'],
];

function expectNames(structure: OptionalHandlers, names: readonly string[], offloadType?: number): void {
  const functions = structure.handlers as unknown as Record<string, unknown>;
  for (const name of names) expect(functions[name]).toBeTypeOf('function');
  expect('offloadType' in structure ? structure.offloadType : undefined).toBe(offloadType);
}

describe('registration', () => {
  test('a target registers in MiniportSetOptions, then initialises: two structures, attributes, one question for handlers [CAP-001, CAP-002, CAP-009]', () => {
    const world = recorded();
    engineOn(world);
    expect(world.ndis.steps).toEqual([
      'setOptionalHandlers miniport',
      'setOptionalHandlers miniport',
      'setMiniportAttributes',
      `getOffloadHandlers ${NdisChimneyOffloadType.TCP}`,
    ]);
  });

  test('the generic structure names five functions, the TCP structure five more and its type [CAP-003, CAP-004, CAP-005]', () => {
    const world = recorded();
    engineOn(world);
    const [generic, tcp] = world.ndis.structures;
    expectNames(generic!.structure, PROVIDER_GENERIC);
    expectNames(tcp!.structure, PROVIDER_TCP, NdisChimneyOffloadType.TCP);
    expect([generic!.status, tcp!.status]).toEqual([NdisStatus.SUCCESS, NdisStatus.SUCCESS]);
  });

  test('the host registers its client structures before it opens its first adapter [IM-003, IM-004, IM-005]', () => {
    const world = recorded();
    engineOn(world);
    world.ndis.steps.length = 0;
    const host = new HostStack(world.runtime, world.trace, world.ndis);
    host.attachInterface('nic0', { addresses: ['10.0.0.1/24'] });
    const [generic, tcp] = world.ndis.structures.filter(({ role }) => role === 'protocol');
    expectNames(generic!.structure, CLIENT_GENERIC);
    expectNames(tcp!.structure, CLIENT_TCP, NdisChimneyOffloadType.TCP);
    expect(world.ndis.steps).toEqual(['setOptionalHandlers protocol', 'setOptionalHandlers protocol']);
  });

  test('an intermediate driver registers all four structures: as a protocol, then as a miniport, and initialises like one [IM-001, IM-002, IM-003, IM-006, IM-059]', () => {
    const world = recorded();
    engineOn(world);
    world.ndis.steps.length = 0;
    world.ndis.structures.length = 0;
    world.ndis.registerAdapter(new PassThrough(world, 'nic0', { name: 'im0' }));
    expect(world.ndis.steps).toEqual([
      'setOptionalHandlers protocol',
      'setOptionalHandlers protocol',
      'setOptionalHandlers miniport',
      'setOptionalHandlers miniport',
      'setMiniportAttributes',
      `getOffloadHandlers ${NdisChimneyOffloadType.TCP}`,
    ]);
    const [g1, t1, g2, t2] = world.ndis.structures.map(({ structure }) => structure);
    expectNames(g1!, CLIENT_GENERIC);
    expectNames(t1!, CLIENT_TCP, NdisChimneyOffloadType.TCP);
    expectNames(g2!, PROVIDER_GENERIC);
    expectNames(t2!, PROVIDER_TCP, NdisChimneyOffloadType.TCP);
    expect(world.ndis.structures.map(({ status }) => status)).toEqual([0, 0, 0, 0]);
  });

  test('of a header revision and size count and the type does not; the flags are reserved [CAP-006, CAP-007]', () => {
    const target = new FakeTarget(makeWorld());
    const host = new FakeHost();
    const statusOf = (role: 'miniport' | 'protocol', structure: OptionalHandlers): number => {
      let status = -1;
      const { ndis } = makeWorld();
      const setOptions = (handle: NdisDriverHandle): number => {
        status = ndis.setOptionalHandlers(handle, structure);
        return status;
      };
      if (role === 'miniport') ndis.registerAdapter(Object.assign(new FakeTarget(makeWorld()), { setOptions }));
      else {
        ndis.registerAdapter(new FakeTarget(makeWorld()));
        ndis.openAdapterEx(Object.assign(new FakeHost(), { setOptions }), null, 'nic0');
      }
      return status;
    };
    const { SUCCESS, INVALID_PARAMETER, NOT_SUPPORTED } = NdisStatus;
    const all = [
      ['miniport', providerGeneric(target)],
      ['miniport', providerTcp(target)],
      ['protocol', clientGeneric(host)],
      ['protocol', clientTcp(host)],
    ] as const;
    for (const [role, structure] of all) {
      const { header } = structure;
      expect(header).toMatchObject({ type: NDIS_OBJECT_TYPE_DEFAULT, revision: 1 });
      expect(structure.flags).toBe(0);
      expect(statusOf(role, structure)).toBe(SUCCESS);
      expect(statusOf(role, { ...structure, header: { ...header, type: 7 } })).toBe(SUCCESS);
      expect(statusOf(role, { ...structure, header: { ...header, size: header.size - 4 } })).toBe(INVALID_PARAMETER);
      expect(statusOf(role, { ...structure, header: { ...header, revision: 2 } })).toBe(INVALID_PARAMETER);
      expect(statusOf(role, { ...structure, flags: 1 })).toBe(INVALID_PARAMETER);
      expect(statusOf(role, { ...structure, handlers: {} as never })).toBe(INVALID_PARAMETER);
    }
    expect(statusOf('miniport', { ...providerTcp(target), offloadType: 2 })).toBe(NOT_SUPPORTED);
    expect(statusOf('protocol', { ...clientTcp(host), offloadType: 2 })).toBe(NOT_SUPPORTED);
    // A client structure from a miniport is none of its business.
    expect(statusOf('miniport', clientTcp(host))).toBe(INVALID_PARAMETER);
  });

  test('generic functions alone are no TCP chimney: no handlers, no offload [CAP-008, CAP-011]', () => {
    const world = makeWorld();
    const target = Object.assign(new FakeTarget(world), {
      setOptions(this: FakeTarget, handle: NdisDriverHandle): number {
        return world.ndis.setOptionalHandlers(handle, providerGeneric(this));
      },
    });
    world.ndis.registerAdapter(target);
    expect(target.events).toBeUndefined();
    const host = new FakeHost();
    const binding = bindHost(world, host, 'nic0');
    world.ndis.initiateOffload(binding, connectionTree().root);
    world.runtime.settle();
    expect(host.completed[0]!.statuses).toEqual([NdisStatus.FAILURE, NdisStatus.FAILURE, NdisStatus.FAILURE]);
    expect(target.objects).toHaveLength(0);
  });

  test('what a driver named is what is called, wherever it is [CAP-003, CAP-008]', () => {
    const world = makeWorld();
    const calls: string[] = [];
    const handlers = new FakeTarget(world);
    handlers.initiateOffload = (): void => {
      calls.push('initiate');
    };
    const target = Object.assign(new FakeTarget(world), {
      setOptions: (handle: NdisDriverHandle): number => {
        world.ndis.setOptionalHandlers(handle, providerGeneric(handlers));
        return world.ndis.setOptionalHandlers(handle, providerTcp(handlers));
      },
    });
    world.ndis.registerAdapter(target);
    const binding = bindHost(world, new FakeHost(), 'nic0');
    world.ndis.initiateOffload(binding, connectionTree().root);
    expect(calls).toEqual(['initiate']);
    expect(target.pending).toEqual([]);
  });

  test('a protocol that named no chimney functions offloads nothing [IM-003]', () => {
    const world = makeWorld();
    world.ndis.registerAdapter(new FakeTarget(world));
    const host = new FakeHost();
    host.hasChimney = false;
    const binding = world.ndis.openAdapterEx(host, host, 'nic0');
    expect(() => world.ndis.initiateOffload(binding, connectionTree().root)).toThrow('IM-003');
  });
});

describe('the event handlers', () => {
  const NAMES = [
    ...['tcpOffloadEventHandler', 'tcpOffloadReceiveHandler', 'tcpOffloadSendComplete', 'tcpOffloadReceiveComplete'],
    ...['tcpOffloadDisconnectComplete', 'tcpOffloadForwardComplete'],
  ] as const;

  test('are six, behind a header of the type asked for [CAP-010, CAP-014]', () => {
    const world = makeWorld();
    const target = new FakeTarget(world);
    world.ndis.registerAdapter(target);
    const handlers = target.ndisM.getOffloadHandlers(target.handle, NdisChimneyOffloadType.TCP)!;
    expect(handlers.header.type).toBe(NdisChimneyOffloadType.TCP);
    for (const name of NAMES) expect(handlers[name]).toBeTypeOf('function');
  });

  test('are copied: the target works on when the structure is gone [CAP-013]', () => {
    const structures: TcpOffloadEventHandlers[] = [];
    const prototype = NdisLibrary.prototype;
    const original = prototype.getOffloadHandlers;
    prototype.getOffloadHandlers = function (this: NdisLibrary, ...given): TcpOffloadEventHandlers | null {
      const structure = { ...original.apply(this, given)! };
      structures.push(structure);
      return structure;
    };
    let w: World;
    try {
      w = new World();
    } finally {
      prototype.getOffloadHandlers = original;
    }
    for (const structure of structures) for (const name of NAMES) Object.assign(structure, { [name]: null });
    const c = w.offload();
    c.send(netBufferListOver(ascii('abc')));
    c.postBytes(3);
    c.receive(c.text('xyz', 'AP'));
    c.ackTo(1003);
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3', 'send SUCCESS:3']);
    c.receive(c.text('more'));
    expect(w.host.takeLog()).toEqual(['indicate 4 SUCCESS']);
  });

  test.each([
    ['another type', { type: 9, revision: 1, size: 56 }, false],
    ['no revision', { type: 1, revision: 0, size: 56 }, false],
    ['too small a size', { type: 1, revision: 1, size: 48 }, false],
    ['a later revision, which begins with the same six', { type: 1, revision: 2, size: 72 }, true],
  ] as const)('%s in the header: the pointer is used only if it is known [CAP-012]', (_how, header, isUsed) => {
    const world = makeWorld();
    const target = new FakeTarget(world);
    world.ndis.registerAdapter(target);
    const changed = { ...target.events, header };
    expect(copyOffloadHandlers(changed) !== null).toBe(isUsed);
    // The engine target then runs as a NIC without chimney.
    const adapter = new EngineAdapter({ link: new TestLink('x'), runtime: world.runtime, trace: world.trace });
    const ndisM = { setMiniportAttributes() {}, getOffloadHandlers: () => changed } as unknown as NdisM;
    adapter.initializeEx(target.handle, ndisM);
    const query = { oid: 1, kind: 'query', information: null as unknown } as const;
    expect(adapter.oidRequest(adapter, query)).toBe(isUsed ? NdisStatus.SUCCESS : NdisStatus.NOT_SUPPORTED);
  });
});
