/** Check-for-hang at the doors: which silence counts, a reset that helps, one that does not, and what comes too late. */
import { beforeEach, describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { Verifier } from '../../src/contract/verifier.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import { NdisOffloadHandle } from '../../src/ndis/offload-block.ts';
import type { NdisBindingHandle, NetPnpEvent } from '../../src/ndis/protocol.ts';
import { NdisStatus, Oid, TcpOffloadEventType } from '../../src/ndis/status.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import { Trace } from '../../src/trace/trace.ts';
import {
  bindHost,
  connectionTree,
  data,
  FakeHost,
  FakeTarget,
  statusesOf,
  tcpBlock,
  terminateTree,
  type World,
} from './fakes.ts';

const LOOK_US = 1_000_000;
const { SUCCESS, FAILURE, REQUEST_ABORTED, PENDING } = NdisStatus;

/** A target that answers nothing by itself, and what it does on a reset. */
class Silent extends FakeTarget {
  resets = 0;
  onReset: () => number = () => SUCCESS;
  resetEx(): number {
    this.resets++;
    return this.onReset();
  }
}

/** A host that gives everything back when it is told to, as far as that is answered. */
class Host extends FakeHost {
  readonly told: string[] = [];
  netPnpEvent(_context: unknown, event: NetPnpEvent): number {
    this.told.push(`pnp ${event.code}`);
    return SUCCESS;
  }
  unbindAdapterEx(_context: unknown, isGone: boolean): void {
    this.told.push(isGone ? 'unbind, gone' : 'unbind');
  }
}

describe('a driver that has stopped answering', () => {
  let world: World;
  let target: Silent;
  let host: Host;
  let binding: NdisBindingHandle;
  let verifier: Verifier;

  beforeEach(() => {
    const runtime = new VirtualRuntime(1);
    const trace = new Trace();
    world = { runtime, trace, ndis: new NdisLibrary(runtime, trace, LOOK_US) };
    target = new Silent(world, 'nic0', false);
    host = new Host();
    world.ndis.registerAdapter(target);
    verifier = new Verifier();
    world.ndis.attachTap('nic0', verifier);
    binding = bindHost(world, host, 'nic0');
  });

  const looks = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      world.runtime.advance(LOOK_US);
      for (let turn = 0; turn < 10; turn++) {
        await Promise.resolve();
        world.runtime.settle();
      }
    }
  };

  const offload = (): ReturnType<typeof connectionTree> => {
    const tree = connectionTree();
    world.ndis.initiateOffload(binding, tree.root);
    target.complete(StateOperation.INITIATE);
    return tree;
  };

  test('is asked nothing while nothing is asked of it, and no timer runs', async () => {
    offload();
    await looks(5);
    expect([target.resets, world.trace.countOf('NDIS_ADAPTER_HUNG')]).toEqual([0, 0]);
    expect(world.runtime.soonestUs).toBe(Number.POSITIVE_INFINITY);
  });

  test('is reset when a request was there at two looks; one that answers then goes on', async () => {
    const { handles } = offload();
    target.onReset = () => {
      world.runtime.defer(() => target.complete(StateOperation.TERMINATE));
      return SUCCESS;
    };
    world.ndis.terminateOffload(binding, terminateTree(handles).root);
    await looks(1);
    expect(target.resets).toBe(0);
    await looks(3);
    expect(target.resets).toBe(1);
    expect(host.statuses).toEqual(expect.arrayContaining([NdisStatus.RESET_START, NdisStatus.RESET_END]));
    // As after any reset: everything was taken back first, and the adapter works again.
    expect(host.told).toEqual(['pnp 1', 'pnp 2']);
    expect(world.ndis.adapterNames).toEqual(['nic0']);
    expect(verifier.findings).toEqual([]);
    offload();
    await looks(3);
    expect(target.resets).toBe(1);
  });

  test.each([
    ['goes on hanging after it', (): number => SUCCESS],
    ['cannot be reset', (): number => FAILURE],
    ['hangs in it, too', (): number => PENDING],
    [
      'throws in it',
      (): number => {
        throw new Error('broken');
      },
    ],
  ])('one that %s is removed: NDIS answers for it (TERM-017, TERM-020, INIT-036)', async (_how, onReset) => {
    const { handles } = offload();
    target.onReset = onReset;
    // Under way: an initiate of which the target has taken a part, an OID, a terminate.
    const other = connectionTree();
    world.ndis.initiateOffload(binding, other.root);
    other.handles.neighbor.miniportOffloadContext = {};
    target.oidAnswer = PENDING;
    world.ndis.oidRequest(binding, { oid: Oid.TCP_TASK_OFFLOAD, kind: 'query', information: null });
    const { root } = terminateTree(handles);
    world.ndis.terminateOffload(binding, root);
    await looks(8);
    expect(world.trace.countOf('NDIS_ADAPTER_GIVEN_UP')).toBe(1);
    expect(statusesOf(other.root)).toEqual([FAILURE, FAILURE, FAILURE]);
    expect(other.handles.neighbor.miniportOffloadContext).toBeNull();
    expect(statusesOf(root)).toEqual([FAILURE, FAILURE, FAILURE]);
    expect(host.completed.map(({ operation }) => operation)).toEqual([
      StateOperation.INITIATE,
      StateOperation.INITIATE,
      StateOperation.TERMINATE,
    ]);
    expect(host.oids).toEqual([`${Oid.TCP_TASK_OFFLOAD} ${REQUEST_ABORTED}`]);
    expect(host.told.at(-1)).toBe('unbind, gone');
    // What is asked of it from here on is answered likewise, later.
    const list = data(10);
    world.ndis.offloadTcpSend(handles.tcp, list);
    expect(host.sent).toEqual([]);
    world.runtime.settle();
    expect([host.sent, list.status]).toEqual([[list], REQUEST_ABORTED]);
    const again = terminateTree(handles);
    world.ndis.terminateOffload(binding, again.root);
    world.runtime.settle();
    // Lost it was at the first; path and neighbor go with it now.
    expect(statusesOf(again.root)).toEqual([SUCCESS, SUCCESS, SUCCESS]);
    expect(handles.tcp.miniportOffloadContext).toBeNull();
    let isClosed = false;
    world.ndis.closeAdapterEx(binding, () => {
      isClosed = true;
    });
    await looks(1);
    expect([isClosed, world.ndis.adapterNames]).toEqual([true, []]);
    // The verifier names what never came, and blames nobody for what NDIS did.
    verifier.finish();
    expect(verifier.findings.map(({ rule }) => rule).sort()).toEqual(['INIT-002', 'TERM-011']);
  });

  test('is not listened to any more once it was given up', async () => {
    const { handles } = offload();
    target.onReset = () => FAILURE;
    const { root } = terminateTree(handles);
    world.ndis.terminateOffload(binding, root);
    await looks(3);
    const before = [host.completed.length, host.events.length, host.sent.length];
    target.complete(StateOperation.TERMINATE);
    target.events.tcpOffloadEventHandler(handles.tcp, TcpOffloadEventType.INDICATE_DISCONNECT, 0);
    target.events.tcpOffloadSendComplete(target.handle, data(1));
    const consumed = { value: 7 };
    const answer = target.events.tcpOffloadReceiveHandler(handles.tcp, data(1), SUCCESS, consumed);
    target.ndisM.indicateStatusEx(target.handle, { statusCode: NdisStatus.UPLOAD_ALL });
    target.ndisM.indicateReceiveNetBufferLists(target.handle, data(60), 0, 0);
    expect([answer, consumed.value]).toEqual([NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, 0]);
    expect([host.completed.length, host.events.length, host.sent.length]).toEqual(before);
    expect(world.trace.countOf('NDIS_LATE_COMPLETION')).toBe(6);
  });

  test('may queue initiates while it is paused (EVT-035)', async () => {
    target.ndisM.indicateStatusEx(target.handle, { statusCode: NdisStatus.OFFLOAD_PAUSE });
    world.ndis.initiateOffload(binding, connectionTree().root);
    await looks(10);
    expect(target.resets).toBe(0);
    target.ndisM.indicateStatusEx(target.handle, { statusCode: NdisStatus.OFFLOAD_RESUME });
    await looks(1);
    expect(target.resets).toBe(0);
    await looks(2);
    expect(target.resets).toBe(1);
  });

  test('may say so itself (MiniportCheckForHangEx)', async () => {
    let isHung = false;
    const honest = new (class extends Silent {
      checkForHangEx(): boolean {
        return isHung;
      }
    })(world, 'nic1', false);
    world.ndis.registerAdapter(honest);
    await looks(3);
    expect(honest.resets).toBe(0);
    isHung = true;
    honest.onReset = () => {
      isHung = false;
      return SUCCESS;
    };
    await looks(3);
    expect([honest.resets, world.ndis.adapterNames]).toEqual([1, ['nic0', 'nic1']]);
  });
});

describe('a tree that is none', () => {
  test.each([
    StateOperation.INITIATE,
    StateOperation.TERMINATE,
    StateOperation.UPDATE,
    StateOperation.QUERY,
    StateOperation.INVALIDATE,
  ])('is completed with FAILURE, later, and no driver sees it (operation %i, TREE-001)', (operation) => {
    const runtime = new VirtualRuntime(1);
    const trace = new Trace();
    const world = { runtime, trace, ndis: new NdisLibrary(runtime, trace) };
    const target = new FakeTarget(world, 'nic0', false);
    world.ndis.registerAdapter(target);
    const verifier = new Verifier();
    world.ndis.attachTap('nic0', verifier);
    const host = new FakeHost();
    const binding = bindHost(world, host, 'nic0');
    const { root, tcp } = connectionTree();
    tcp.nextBlock = tcpBlock(new NdisOffloadHandle('other'), 82);
    tcp.nextBlock.nextBlock = tcp;
    const { ndis } = world;
    if (operation === StateOperation.INITIATE) ndis.initiateOffload(binding, root);
    else if (operation === StateOperation.TERMINATE) ndis.terminateOffload(binding, root);
    else if (operation === StateOperation.UPDATE) ndis.updateOffload(binding, root);
    else if (operation === StateOperation.QUERY) ndis.queryOffloadState(binding, root);
    else ndis.invalidateOffload(binding, root);
    expect([host.completed.length, target.pending.length]).toEqual([0, 0]);
    runtime.settle();
    expect(host.completed).toHaveLength(1);
    expect([root.status, root.dependentBlockList!.status, tcp.status, tcp.nextBlock.status]).toEqual(
      Array(4).fill(FAILURE),
    );
    expect(trace.countOf('NDIS_TREE_BROKEN')).toBe(1);
    expect(verifier.findings.map(({ rule }) => rule)).toContain('TREE-001');
  });
});
