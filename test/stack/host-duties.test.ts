/** What the host owes its target: trees as they must be, updates of every change, terminates on demand, one handle an object. */
import { describe, expect, test } from 'vitest';
import {
  type DataOperation as DataOperationType,
  type NdisOffloadHandle,
  NdisStatus,
  type OffloadBlock,
  OffloadStateType,
  TcpUploadReason,
} from '../../src/ndis/protocol.ts';
import { DataOperation, IdleTap, StateOperation } from '../../src/ndis/tap.ts';
import { forEachBlock } from '../../src/ndis/walk.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../src/state/neighbor.ts';
import { dataLengthOf } from '../../src/state/net-buffer-list.ts';
import { PathCachedState, PathConstState, PathDelegatedState } from '../../src/state/path.ts';
import {
  TcpCachedState as TcpCached,
  type TcpCachedState,
  TcpConnectionState,
  TcpConstState,
  TcpDelegatedState,
} from '../../src/state/tcp.ts';
import { expectNothingHeld, OPEN, settled } from './support.ts';
import { connectPeers, type TwoHosts, type TwoHostsOptions, twoHosts } from './two-hosts.ts';

/** Writes down what passes between the host and its adapter. */
class Watcher extends IdleTap {
  readonly calls: string[] = [];
  readonly handles: NdisOffloadHandle[] = [];
  onStateCall: ((operation: StateOperation, root: OffloadBlock) => void) | null = null;
  onStateComplete: ((operation: StateOperation, root: OffloadBlock) => void) | null = null;
  override stateCall(operation: StateOperation, root: OffloadBlock): void {
    this.calls.push(NAMES[operation]!);
    this.onStateCall?.(operation, root);
  }
  override stateComplete(operation: StateOperation, root: OffloadBlock): void {
    this.calls.push(`${NAMES[operation]!} complete`);
    this.onStateComplete?.(operation, root);
  }
  override dataCall(operation: DataOperationType, handle: NdisOffloadHandle): void {
    this.calls.push(`data ${operation}`);
    if (!this.handles.includes(handle)) this.handles.push(handle);
  }
  override tcpEvent(_handle: NdisOffloadHandle, type: number, information: number): void {
    this.calls.push(`event ${type} ${information}`);
  }
  override receiveReturn(): void {
    this.calls.push('return');
  }
}

const NAMES = ['initiate', 'terminate', 'update', 'query', 'invalidate'];
const named = (operation: StateOperation): string => NAMES[operation]!;

function stage(options: TwoHostsOptions = {}, serverBytes = OPEN, clientBytes = OPEN) {
  const hosts = twoHosts({ impairment: { delayUs: 500, rateBps: 50_000_000 }, ...options });
  const peers = connectPeers(hosts, serverBytes, clientBytes);
  hosts.runtime.runUntil(() => peers.server.isConnected && peers.client.isConnected, 5_000_000);
  hosts.runtime.advance(20_000);
  const watcher = new Watcher();
  hosts.server.ndis.attachTap('server', watcher);
  return { hosts, ...peers, watcher, chimney: () => peers.server.endpoint.chimney };
}

function blocksOf(root: OffloadBlock): OffloadBlock[] {
  const blocks: OffloadBlock[] = [];
  forEachBlock(root, (block) => blocks.push(block));
  return blocks;
}

async function end(hosts: TwoHosts, ...peers: { endpoint: { abort(): void } }[]): Promise<void> {
  for (const peer of peers) peer.endpoint.abort();
  await expectNothingHeld(hosts);
}

describe('what the host hands down', () => {
  test('each layer has its own state behind its own handle, on port 0 (STATE-007, STATE-018, TREE-042, CTX-012, CTX-013)', async () => {
    const { hosts, server, watcher, chimney } = stage();
    const seen: OffloadBlock[] = [];
    watcher.onStateCall = (operation, root) => {
      if (operation === StateOperation.INITIATE) seen.push(...blocksOf(root));
    };
    await settled(hosts, chimney().offload());
    expect(seen.map((block) => block.header.type)).toEqual([
      OffloadStateType.NEIGHBOR,
      OffloadStateType.IP4,
      OffloadStateType.TCP,
    ]);
    const structures = [
      [NeighborConstState, NeighborCachedState, NeighborDelegatedState],
      [PathConstState, PathCachedState, PathDelegatedState],
      [TcpConstState, TcpCached, TcpDelegatedState],
    ];
    seen.forEach((block, layer) => {
      [block.constState, block.cachedState, block.delegatedState].forEach((state, i) => {
        expect(state).toBeInstanceOf(structures[layer]![i]!);
      });
      expect(block.portNumber).toBe(0);
      // The handle lives in the host's control block of the object, and is what the target is given for its indications.
      const owner = block.offloadHandle!.owner as { handle: NdisOffloadHandle };
      expect(owner.handle === block.offloadHandle).toBe(true);
      expect(block.ndisOffloadHandle === block.offloadHandle).toBe(true);
    });
    expect(new Set(seen.map((block) => block.offloadHandle)).size).toBe(3);
    const neighbor = seen[0]!.cachedState as NeighborCachedState;
    expect(neighbor.dlDestinationAddress.slice(0, 6).some((byte) => byte !== 0)).toBe(true);
    const path = seen[1]!.constState as PathConstState;
    expect([[...path.sourceAddress], [...path.destinationAddress]]).toEqual([
      [10, 0, 0, 1],
      [10, 0, 0, 2],
    ]);
    expect((seen[2]!.constState as TcpConstState).localPort).toBe(80);
    await end(hosts, server);
  });

  test('send data goes along exactly when there is some (INIT-065)', async () => {
    const chains: { bytes: number; unacknowledged: number; isHead: boolean }[] = [];
    for (const bytes of [0, OPEN]) {
      const { hosts, server, watcher, chimney } = stage({}, bytes, OPEN);
      if (bytes === 0) hosts.runtime.advance(50_000);
      watcher.onStateCall = (operation, root) => {
        if (operation !== StateOperation.INITIATE) return;
        const block = blocksOf(root).at(-1)!;
        const delegated = block.delegatedState as TcpDelegatedState;
        let sum = 0;
        for (let list = block.netBufferListChain; list !== null; list = list.next) sum += dataLengthOf(list);
        const isHead = delegated.sendDataHead === block.netBufferListChain;
        chains.push({ bytes: sum, unacknowledged: server.endpoint.unacknowledgedBytes, isHead });
      };
      await settled(hosts, chimney().offload());
      await end(hosts, server);
    }
    expect(chains.map((one) => one.bytes > 0)).toEqual([false, true]);
    expect(chains.every((one) => one.isHead)).toBe(true);
  });

  test('the send data of a connection that was refused is sent by the host itself (INIT-034)', async () => {
    const refusing = { server: { target: { kind: 'engine', capacity: { tcpEntries: 0 } } } } as const;
    const { hosts, server, client, watcher, chimney } = stage(refusing, OPEN, 0);
    let refusedBytes = 0;
    watcher.onStateComplete = (_operation, root) => {
      for (const block of blocksOf(root)) {
        for (let list = block.netBufferListChain; list !== null; list = list.next) refusedBytes += dataLengthOf(list);
      }
    };
    const before = client.received;
    await settled(
      hosts,
      chimney()
        .offload()
        .catch(() => undefined),
    );
    expect(refusedBytes).toBeGreaterThan(10_000);
    hosts.runtime.advance(1_000_000);
    expect(client.received - before).toBeGreaterThan(refusedBytes);
    expect(client.wrongBytes).toBe(0);
    await end(hosts, server);
  });

  test('no connection goes down before the host has established it (INIT-072, INIT-074)', async () => {
    const hosts = twoHosts({ impairment: { delayUs: 5_000 } });
    const watcher = new Watcher();
    const states: number[] = [];
    watcher.onStateCall = (operation, root) => {
      if (operation !== StateOperation.INITIATE) return;
      for (const block of blocksOf(root)) {
        if (block.header.type === OffloadStateType.TCP) states.push((block.delegatedState as TcpDelegatedState).state);
      }
    };
    hosts.client.ndis.attachTap('client', watcher);
    const { client, server } = connectPeers(hosts, OPEN, OPEN);
    const early = client.endpoint.chimney.offload();
    await expect(settled(hosts, early)).rejects.toMatchObject({ status: 'NOT_OFFLOADABLE' });
    hosts.runtime.runUntil(() => client.isConnected && server.isConnected, 5_000_000);
    await settled(hosts, client.endpoint.chimney.offload());
    expect(states).toEqual([TcpConnectionState.ESTABLISHED]);
    await end(hosts, client, server);
  });

  test('partial success has one name and one number (INIT-025)', () => {
    const names = Object.keys(NdisStatus).filter((name) => name.includes('PARTIAL_SUCCESS'));
    expect(names).toEqual(['OFFLOAD_PARTIAL_SUCCESS']);
  });

  test('every change of a cached variable is followed by an update that carries it (UPD-007)', async () => {
    const { hosts, server, watcher, chimney } = stage();
    await settled(hosts, chimney().offload());
    const { endpoint } = server;
    const updates: TcpCachedState[] = [];
    watcher.onStateCall = (operation, root) => {
      if (operation === StateOperation.UPDATE) updates.push(root.cachedState as TcpCachedState);
    };
    const changes: [() => void, Partial<TcpCachedState>][] = [
      [() => endpoint.setHopLimit(33), { ttlOrHopLimit: 33 }],
      [() => endpoint.setTrafficClass(0x48), { tosOrTrafficClass: 0x48 }],
      [() => endpoint.setKeepAlive(true, 7_000, 300, 4), { kaTimeout: 7_000, kaInterval: 300, kaProbeCount: 4 }],
      [() => endpoint.setReceiveBuffer(300_000), { initialRcvWnd: 300_000 }],
      [() => endpoint.setUserTimeout(9_000), { maxRt: 9_000 }],
    ];
    for (const [change, expected] of changes) {
      updates.length = 0;
      change();
      hosts.runtime.advance(2_000);
      expect(updates.at(-1)).toMatchObject(expected);
      expect((await settled(hosts, chimney().query())).cached).toMatchObject(expected);
    }
    await end(hosts, server);
  });
});

describe('what the host takes back', () => {
  const { HARDWARE_FAILURE, TIMEOUT_EXPIRATION, UPLOAD_REQUESTED } = TcpUploadReason;
  test.each([HARDWARE_FAILURE, TIMEOUT_EXPIRATION, UPLOAD_REQUESTED])(
    'a retrieve for mandatory reason %i is followed by a terminate, whatever the application does (TERM-008)',
    async (reason) => {
      const { hosts, server, watcher, chimney } = stage();
      await settled(hosts, chimney().offload());
      watcher.calls.length = 0;
      hosts.server.target('server').control.retrieve(null, reason);
      hosts.runtime.advance(1_000);
      const calls = watcher.calls.filter((call) => !/data|return/.test(call));
      expect(calls.slice(0, 3)).toEqual([`event 2 ${reason}`, 'terminate', 'terminate complete']);
      expect(chimney().location).toBe('host');
      await end(hosts, server);
    },
  );

  test.each(['close, then upload', 'upload, then close'])('%s: both end in good order (TERM-003)', async (order) => {
    const { hosts, server, client, chimney } = stage({}, 200_000, 100_000);
    await settled(hosts, chimney().offload());
    if (order.startsWith('upload')) await settled(hosts, chimney().takeBack());
    hosts.runtime.runUntil(() => server.sent === 200_000, 60_000_000);
    if (order.startsWith('close')) await settled(hosts, chimney().takeBack());
    hosts.runtime.runUntil(() => server.closedWith !== undefined && client.closedWith !== undefined, 300_000_000);
    expect([server.received, server.wrongBytes, server.closedWith]).toEqual([100_000, 0, null]);
    expect([client.received, client.wrongBytes, client.closedWith]).toEqual([200_000, 0, null]);
    await expectNothingHeld(hosts);
  });

  test('uploaded data is copied and its buffers go back at once, before the application reads it (TERM-049, TERM-050)', async () => {
    const { hosts, server, client, watcher, chimney } = stage({}, 0, 4_000_000);
    server.appetite = 0;
    await settled(hosts, chimney().offload());
    hosts.runtime.advance(50_000);
    const before = server.received;
    let uploaded = 0;
    watcher.onStateComplete = (operation, root) => {
      if (operation !== StateOperation.TERMINATE) return;
      for (const block of blocksOf(root)) {
        const delegated = block.delegatedState;
        if (!(delegated instanceof TcpDelegatedState)) continue;
        for (let list = delegated.bufferedData; list !== null; list = list.next) uploaded += dataLengthOf(list);
      }
    };
    await settled(hosts, chimney().takeBack());
    expect(uploaded).toBeGreaterThan(0);
    expect(server.received).toBe(before);
    expect(hosts.server.target('server').control.held().indicatedLists).toBe(0);
    server.appetite = Number.POSITIVE_INFINITY;
    server.endpoint.resume();
    hosts.runtime.runUntil(() => server.closedWith !== undefined && client.closedWith !== undefined, 200_000_000);
    expect([server.received, server.wrongBytes]).toEqual([4_000_000, 0]);
    await expectNothingHeld(hosts);
  });

  test('a path and a neighbor stay while anything hangs on them, and go with the last (TERM-064)', async () => {
    const { hosts, server, chimney } = stage();
    const second = connectPeers(hosts, OPEN, OPEN, 4, 81);
    hosts.runtime.runUntil(() => second.server.isConnected, 5_000_000);
    await settled(hosts, Promise.all([chimney().offload(), second.server.endpoint.chimney.offload()]));
    const held = (): number[] => {
      const { tcpObjects, pathObjects, neighborObjects } = hosts.server.target('server').control.held();
      return [tcpObjects, pathObjects, neighborObjects];
    };
    expect(held()).toEqual([2, 1, 1]);
    await settled(hosts, chimney().takeBack());
    hosts.runtime.advance(10_000);
    expect(held()).toEqual([1, 1, 1]);
    await settled(hosts, chimney().offload());
    await settled(hosts, second.server.endpoint.chimney.takeBack());
    expect(held()).toEqual([1, 1, 1]);
    await settled(hosts, chimney().takeBack());
    hosts.runtime.advance(10_000);
    expect(held()).toEqual([0, 0, 0]);
    await end(hosts, server, second.server);
  });

  test('whatever stands in the members of the target, before and after, is nothing to the host (TREE-039, TREE-040)', async () => {
    const { hosts, server, client, watcher, chimney } = stage();
    const scribble = (_operation: StateOperation, root: OffloadBlock): void => {
      for (const block of blocksOf(root)) {
        for (const member of [block.miniportReserved, block.scratch]) {
          member[0] = root;
          member[1] = 'left behind';
        }
      }
    };
    watcher.onStateCall = scribble;
    watcher.onStateComplete = scribble;
    for (let i = 0; i < 3; i++) {
      await settled(hosts, chimney().offload());
      await settled(hosts, chimney().query());
      await settled(hosts, chimney().takeBack());
    }
    const before = server.received;
    hosts.runtime.advance(50_000);
    expect(server.received).toBeGreaterThan(before);
    expect(server.wrongBytes + client.wrongBytes).toBe(0);
    for (const operation of [StateOperation.INITIATE, StateOperation.QUERY, StateOperation.TERMINATE]) {
      expect(watcher.calls).toContain(named(operation));
    }
    // These two members are the target's: the verifier, which watches the others, has no word about them.
    await end(hosts, server);
  });
});

test('state goes down on the binding, data on the handle of its connection, received lists come back on the binding (CTX-023)', async () => {
  const { hosts, server, watcher, chimney } = stage({ impairment: { delayUs: 500 } });
  const second = connectPeers(hosts, OPEN, OPEN, 4, 81);
  hosts.runtime.runUntil(() => second.server.isConnected, 5_000_000);
  const first: Record<string, Set<unknown>> = {};
  const ndis = hosts.server.ndis as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const method of [
    'initiateOffload',
    'terminateOffload',
    'queryOffloadState',
    'offloadTcpSend',
    'offloadTcpReceiveReturn',
  ]) {
    const real = ndis[method]!.bind(hosts.server.ndis);
    const seen = new Set<unknown>();
    first[method] = seen;
    ndis[method] = (...args) => {
      seen.add(args[0]);
      return real(...args);
    };
  }
  await settled(hosts, Promise.all([chimney().offload(), second.server.endpoint.chimney.offload()]));
  await settled(hosts, chimney().query());
  hosts.runtime.advance(100_000);
  await settled(hosts, chimney().takeBack());
  const bindings = ['initiateOffload', 'terminateOffload', 'queryOffloadState', 'offloadTcpReceiveReturn'];
  const used = new Set(bindings.flatMap((method) => [...first[method]!]));
  expect(used.size).toBe(1);
  expect([...first['offloadTcpSend']!].every((handle) => watcher.handles.includes(handle as NdisOffloadHandle))).toBe(
    true,
  );
  expect(first['offloadTcpSend']!.size).toBe(2);
  expect(used.has([...first['offloadTcpSend']!][0])).toBe(false);
  expect(watcher.calls).toContain(`data ${DataOperation.SEND}`);
  await end(hosts, server, second.server);
});
