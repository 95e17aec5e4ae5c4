/** Operations of several objects together, in every state, from inside indications, and whom each call names. */
import { describe, expect, test } from 'vitest';
import {
  type NdisOffloadHandle,
  NdisStatus,
  ndisStatusName,
  OffloadBlock,
  OffloadStateType,
  TcpUploadReason,
} from '../../src/ndis/protocol.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpCachedState, TcpConnectionState, type TcpDelegatedState, TcpWord } from '../../src/state/tcp.ts';
import { TcpContext } from '../../src/target/engine/contexts.ts';
import { forest } from './support/forest.ts';
import { ascii, type Connection, HostObject, pattern, subject, World } from './support/world.ts';

function name(block: OffloadBlock): string {
  return ndisStatusName(block.status);
}

describe('operations together', () => {
  test('initiates of other objects are taken while one is in progress (INIT-040)', () => {
    const w = new World();
    const c = w.offload();
    const tree = (localPort: number): OffloadBlock => {
      const root = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
      root.dependentBlockList = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
      root.dependentBlockList.dependentBlockList = w.tcpBlock(new HostObject(), { localPort });
      return root;
    };
    const [one, two] = [tree(81), tree(82)];
    w.initiate(one);
    w.initiate(two);
    expect(w.host.takeLog()).toEqual([]);
    w.settle();
    expect(w.host.completions.slice(-2).map(({ root }) => root)).toEqual([one, two]);
    expect([one, two].map(name)).toEqual(['SUCCESS', 'SUCCESS']);
    expect(w.target.control.held().tcpObjects).toBe(3);
  });

  if (!subject.isApart)
    test('updates of different objects may be in progress together, and are in force when they are complete (UPD-031, UPD-004)', () => {
      const w = new World();
      const f = forest(w);
      const blocks = [f.a, f.b].map((c, i) => {
        const block = new OffloadBlock(OffloadStateType.TCP_CACHED, c.tcp.handle);
        block.cachedState = Object.assign(new TcpCachedState(), { ttlOrHopLimit: 20 + i, initialRcvWnd: 65_536 });
        return block;
      });
      const inForce: number[] = [];
      w.host.updateOffloadComplete = (_context, root) => {
        const context = root.offloadHandle!.miniportOffloadContext as TcpContext;
        inForce.push(context.tcp.words[context.tcp.base + TcpWord.TTL_OR_HOP_LIMIT]!);
        // What the host does with its structure now concerns the target no more.
        (root.cachedState as TcpCachedState).words.fill(0);
      };
      for (const block of blocks) w.update(block);
      w.settle();
      expect(inForce).toEqual([20, 21]);
      for (const c of [f.a, f.b]) c.send(netBufferListOver(ascii('x')));
      w.settle();
      expect(w.sent().map((one) => one.ttl)).toEqual([20, 21]);
    });

  const STATES = [
    TcpConnectionState.ESTABLISHED,
    TcpConnectionState.FIN_WAIT1,
    TcpConnectionState.FIN_WAIT2,
    TcpConnectionState.CLOSE_WAIT,
    TcpConnectionState.CLOSING,
    TcpConnectionState.LAST_ACK,
  ];

  test.each(STATES)('every operation is carried out in state %i (UPD-037, INV-023)', (state) => {
    const w = new World();
    const c = w.offload({ state });
    const cached = new OffloadBlock(OffloadStateType.TCP_CACHED, c.tcp.handle);
    cached.cachedState = Object.assign(new TcpCachedState(), { initialRcvWnd: 65_536, ttlOrHopLimit: 64 });
    w.update(cached);
    w.settle();
    expect([name(cached), c.query().state]).toEqual(['SUCCESS', state]);
    const invalid = new OffloadBlock(OffloadStateType.TCP, c.tcp.handle);
    w.invalidate(invalid);
    w.settle();
    expect(name(invalid)).toBe('SUCCESS');
    expect(w.target.control.held().tcpObjects).toBe(1);
    const block = c.terminate();
    expect([name(block), (block.delegatedState as TcpDelegatedState).state]).toEqual(['SUCCESS', state]);
    expect(w.target.control.held().tcpObjects).toBe(0);
  });

  if (!subject.isApart)
    test('an invalidated connection is terminated like any other and its context freed (TERM-084, INV-011)', () => {
      const w = new World();
      const c = w.offload();
      c.send(netBufferListOver(pattern(1_000, 5_000)));
      w.settle();
      w.invalidate(new OffloadBlock(OffloadStateType.TCP, c.tcp.handle));
      w.settle();
      expect(c.tcp.handle.miniportOffloadContext).toBeInstanceOf(TcpContext);
      expect(c.query().sndMax).toBe(6_000);
      const block = c.terminate();
      expect(name(block)).toBe('SUCCESS');
      expect(block.netBufferListChain).not.toBeNull();
      expect(c.tcp.handle.miniportOffloadContext).toBeNull();
    });

  test('every entry may be called from inside an indication, and completes after it (CTX-025, CTX-026)', () => {
    const w = new World();
    const f = forest(w);
    const reference = (c: Connection): OffloadBlock => new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
    const link = new OffloadBlock(OffloadStateType.NEIGHBOR, f.n1.handle);
    link.dependentBlockList = new OffloadBlock(OffloadStateType.IP4, f.p1.handle);
    link.dependentBlockList.dependentBlockList = w.tcpBlock(new HostObject(), { localPort: 99 });
    w.host.onIndicate = () => {
      w.host.onIndicate = null;
      w.host.log.push('inside');
      w.initiate(link);
      w.query(reference(f.a));
      w.update(reference(f.a));
      w.invalidate(reference(f.c));
      w.terminate(reference(f.d));
      f.a.send(netBufferListOver(ascii('sent')));
      f.a.postBytes(2);
      f.a.forward(netBufferListOver(new Uint8Array(4)));
      f.b.disconnect();
      w.host.log.push('outside');
    };
    f.a.receive(f.a.text('a'));
    w.settle();
    const log = w.host.takeLog();
    expect(log.slice(0, 3)).toEqual(['indicate 1 SUCCESS', 'inside', 'outside']);
    for (const kind of ['initiate', 'query', 'update', 'invalidate', 'terminate']) {
      expect(log.filter((line) => line === `${kind} complete`)).toHaveLength(1);
    }
    expect(log).toContain('forward SUCCESS:0');
    const sent = w.sent();
    expect(sent.map((one) => String.fromCharCode(...one.text))).toContain('sent');
    expect(sent.some((one) => one.srcPort === 81 && one.flags.includes('F'))).toBe(true);
    f.a.returnLists();
    expect(w.target.control.held().indicatedLists).toBe(0);
  });
});

describe('handles', () => {
  test('completions name the miniport, indications the connection, entries the adapter context (CTX-020, CTX-021)', () => {
    const w = new World();
    const seen: [string, unknown][] = [];
    const below = w.ndis as unknown as Record<string, (...args: unknown[]) => unknown>;
    const watch = (method: string): void => {
      const real = below[method]!.bind(w.ndis);
      below[method] = (...args) => {
        seen.push([method, args[0]]);
        return real(...args);
      };
    };
    const COMPLETIONS = [
      'initiateOffloadComplete',
      'queryOffloadStateComplete',
      'updateOffloadComplete',
      'invalidateOffloadComplete',
      'terminateOffloadComplete',
      'tcpOffloadSendComplete',
      'tcpOffloadReceiveComplete',
      'indicateStatusEx',
    ];
    const INDICATIONS = ['tcpOffloadEventHandler', 'tcpOffloadReceiveHandler'];
    for (const method of [...COMPLETIONS, ...INDICATIONS]) watch(method);
    const contexts = new Set<unknown>();
    for (const entry of ['initiateOffload', 'queryOffload', 'tcpOffloadSend', 'tcpOffloadReceive'] as const) {
      const real = (w.target[entry] as (...args: unknown[]) => unknown).bind(w.target);
      (w.target as unknown as Record<string, unknown>)[entry] = (context: unknown, ...args: unknown[]) => {
        contexts.add(context);
        return real(context, ...args);
      };
    }
    const c = w.offload();
    c.receive(c.text('indicated'));
    c.postBytes(3);
    c.receive(c.text('abc'));
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    c.ackTo(1_001);
    c.query();
    w.update(new OffloadBlock(OffloadStateType.TCP_CACHED, c.tcp.handle));
    w.invalidate(new OffloadBlock(OffloadStateType.TCP, c.tcp.handle));
    w.settle();
    w.target.control.pause();
    w.settle();
    c.terminate();
    const firsts = (methods: string[]): Set<unknown> =>
      new Set(seen.filter(([method]) => methods.includes(method)).map(([, first]) => first));
    expect(new Set(seen.map(([method]) => method))).toEqual(new Set([...COMPLETIONS, ...INDICATIONS]));
    expect([...firsts(COMPLETIONS)]).toHaveLength(1);
    expect(firsts(COMPLETIONS)).not.toContain(c.tcp.handle);
    expect([...firsts(INDICATIONS)]).toEqual([c.tcp.handle]);
    // The adapter context is what the driver itself handed to NDIS, the same in each entry.
    expect([...contexts]).toEqual([w.target]);
  });

  test('only a retrieve asks for an upload, once a connection, as often as the target likes (TERM-001, TERM-005, TERM-007)', () => {
    const w = new World();
    const f = forest(w);
    expect(w.target.control.retrieve(null, TcpUploadReason.SMALL_IO)).toBe(4);
    w.settle();
    const all = [f.a, f.b, f.c, f.d];
    const asked = (handle: NdisOffloadHandle): number => all.findIndex((c) => c.tcp.handle === handle);
    expect(w.host.events.map(({ handle }) => asked(handle)).sort()).toEqual([0, 1, 2, 3]);
    expect(w.target.control.retrieve(f.a.tcp.handle, TcpUploadReason.SMALL_IO)).toBe(1);
    w.settle();
    expect(w.host.events.slice(4).map(({ handle }) => asked(handle))).toEqual([0]);
    // Nothing comes up by itself: four connections stay until the host terminates them, without any word before.
    w.runtime.advance(10_000_000);
    expect(w.host.takeLog().every((line) => line.startsWith('event'))).toBe(true);
    expect(w.target.control.held().tcpObjects).toBe(4);
  });

  test('lists of several connections come back in one chain, on the binding (CTX-024)', () => {
    const w = new World();
    const f = forest(w);
    w.link.deliver(f.a.text('one'), f.b.text('two'), f.c.text('three'));
    w.settle();
    const kept = w.host.kept.splice(0);
    expect(kept).toHaveLength(3);
    expect(w.target.control.held().indicatedLists).toBe(3);
    kept[0]!.next = kept[1]!;
    kept[1]!.next = kept[2]!;
    expect(w.ndis.offloadTcpReceiveReturn(w.binding, kept[0]!)).toBe(NdisStatus.SUCCESS);
    expect([w.target.control.held().indicatedLists, w.ndis.listsHeld]).toEqual([0, 0]);
  });

  test('a terminate needs no announcement (TERM-010)', () => {
    const w = new World();
    const c = w.offload();
    const block = c.terminate();
    expect([name(block), w.host.takeLog()]).toEqual(['SUCCESS', ['terminate complete']]);
  });
});
