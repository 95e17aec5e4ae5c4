/** What happens while an initiate or a terminate is in progress: what is live already, what waits, what is the host's. */
import { describe, expect, test } from 'vitest';
import {
  NdisStatus,
  ndisStatusName,
  OffloadBlock,
  OffloadStateType,
  TcpUploadReason,
} from '../../src/ndis/protocol.ts';
import { NeighborConstState } from '../../src/state/neighbor.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { PathConstState } from '../../src/state/path.ts';
import { TcpCachedState, TcpConnectionState, TcpConstState, TcpDelegatedState } from '../../src/state/tcp.ts';
import type { EngineAdapterOptions } from '../../src/target/engine/engine.ts';
import { forest } from './support/forest.ts';
import { ascii, Connection, HostObject, pattern, subject, World } from './support/world.ts';

function name(block: OffloadBlock): string {
  return ndisStatusName(block.status);
}

/** A tree of two connections, T1 and T2; `between` is called when T2 is looked at, T1 having been taken. */
function pair(between: () => void, first: ConstructorParameters<typeof Connection>[1] = {}) {
  let second: OffloadBlock | null = null;
  const w: World = new World({
    refuse: ({ block }) => {
      if (block === second) between();
      return NdisStatus.SUCCESS;
    },
  });
  const t1 = new Connection(w, first, {});
  const t2 = new Connection(w, { localPort: 81 }, {});
  const root = w.neighborBlock(t1.neighbor);
  root.dependentBlockList = w.pathBlock(t1.path);
  root.dependentBlockList.dependentBlockList = w.tcpBlock(t1.tcp, first);
  second = w.tcpBlock(t2.tcp, { localPort: 81 });
  root.dependentBlockList.dependentBlockList.nextBlock = second;
  return { w, t1, t2, root };
}

describe('initiate', () => {
  if (!subject.isApart)
    test('a connection is live as soon as it is taken, its siblings not yet (INIT-049, INIT-056)', () => {
      let rawInside = -1;
      const p = pair(() => {
        p.w.link.deliver(p.t1.text('for T1'));
        p.w.link.deliver(p.t2.frame({ text: ascii('for T2'), flags: 'PA' }));
        rawInside = p.w.host.frames.length;
      });
      p.w.initiate(p.root);
      p.w.settle();
      expect(rawInside).toBe(1); // T2's alone
      expect(p.w.host.takeLog()).toEqual(['frame', 'initiate complete', 'indicate 6 SUCCESS']);
      expect(p.w.sent().map((one) => [one.srcPort, one.ack])).toEqual([]);
      p.w.runtime.advance(300_000);
      expect(p.w.sent().map((one) => [one.srcPort, one.ack])).toEqual([[80, 5_006]]);
    });

  test('its timers run from then on (INIT-056)', () => {
    // What is in flight was sent by the host and is lost; one tick is left of its timer.
    const data = netBufferListOver(ascii('lost'));
    const spec = { sendData: data, sndUna: 1_000, sndNxt: 1_004, retransmitTimeoutDelta: 1 };
    const p = pair(() => undefined, spec);
    p.w.initiate(p.root);
    p.w.settle();
    p.w.sent();
    p.w.runtime.advance(1_100);
    expect(p.w.sent().map((one) => [one.srcPort, one.seq, String.fromCharCode(...one.text)])).toEqual([
      [80, 1_000, 'lost'],
    ]);
  });

  test('it is in progress until the call to the completion has returned (INIT-041, INIT-050, INIT-052)', () => {
    const p = pair(() => undefined);
    const { w, t1 } = p;
    const complete = w.host.initiateOffloadComplete.bind(w.host);
    w.host.initiateOffloadComplete = (context, root) => {
      complete(context, root);
      t1.receive(t1.text('early'));
      w.target.control.pause();
      w.target.control.retrieve((one) => one.localPort === 80, TcpUploadReason.SMALL_IO);
      w.host.log.push('returned');
    };
    w.initiate(p.root);
    w.settle();
    const log = w.host.takeLog();
    expect(log.slice(0, 2)).toEqual(['initiate complete', 'returned']);
    expect([...log.slice(2)].sort()).toEqual([
      `event retrieve ${TcpUploadReason.SMALL_IO}`,
      'indicate 5 SUCCESS',
      'status OFFLOAD_PAUSE',
    ]);
  });

  if (!subject.isApart)
    test("data leaves straight from the host's buffers, which stay what they are until they are completed (INIT-069)", () => {
      const w = new World();
      const memory = pattern(1_000, 4_000);
      const c = w.offload({ sndWnd: 0, sendData: netBufferListOver(memory) });
      expect(w.sent()).toEqual([]);
      // No copy was made: what stands in the buffer when the window opens is what is sent.
      memory.fill(0x5a);
      c.receive(c.frame({ flags: 'A', window: 16_000 }));
      w.settle();
      const sent = w.sent().flatMap((one) => [...one.text]);
      expect(sent.length).toBe(4_000);
      expect(sent.every((byte) => byte === 0x5a)).toBe(true);
    });

  test('want of memory afterwards asks back that connection alone (INIT-078)', () => {
    const allocateSends: EngineAdapterOptions['allocateSends'] = (lists) => lists.firstNetBuffer!.dataLength < 100;
    const w = new World({ allocateSends });
    const f = forest(w);
    f.a.send(netBufferListOver(ascii('small')));
    f.b.send(netBufferListOver(new Uint8Array(100)));
    f.b.send(netBufferListOver(ascii('behind it')));
    w.settle();
    expect(w.host.events).toMatchObject([{ type: 2, information: TcpUploadReason.UPLOAD_REQUESTED }]);
    expect(w.host.events[0]!.handle === f.b.tcp.handle).toBe(true);
    expect(w.host.sends.map(({ status, bytes }) => [status, bytes])).toEqual([
      ['UPLOAD_IN_PROGRESS', 0],
      ['UPLOAD_IN_PROGRESS', 0],
    ]);
    expect(w.sent().map((one) => one.srcPort)).toEqual([80]);
    expect(name(f.b.terminate())).toBe('SUCCESS');
    f.a.send(netBufferListOver(ascii('more')));
    w.settle();
    expect(w.sent().map((one) => one.srcPort)).toEqual([80]);
  });

  test('state of a revision that it does not know is not taken, asked or written (TREE-034)', () => {
    const w = new World();
    const c = w.offload();
    const root = w.neighborBlock(new HostObject());
    root.header.revision = 2;
    w.initiate(root);
    const query = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
    query.delegatedState = new TcpDelegatedState();
    query.header.revision = 2;
    w.query(query);
    const update = new OffloadBlock(OffloadStateType.TCP_CACHED, c.tcp.handle);
    update.cachedState = Object.assign(new TcpCachedState(), { ttlOrHopLimit: 3, initialRcvWnd: 65_536 });
    update.header.revision = 0;
    w.update(update);
    w.settle();
    expect([root, query, update].map(name)).toEqual(['FAILURE', 'FAILURE', 'FAILURE']);
    expect(query.delegatedState.words.every((word) => word === 0)).toBe(true);
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.sent()[0]!.ttl).toBe(64);
  });
});

describe('terminate', () => {
  if (!subject.isApart)
    test('segments that arrive before it is complete are not processed, they go up raw, and so do later ones (TERM-038, TERM-039, TERM-041)', () => {
      const w = new World();
      const c = w.offload();
      c.receive(c.text('before'));
      const block = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
      block.delegatedState = new TcpDelegatedState();
      w.terminate(block);
      c.receive(c.text('while'));
      expect(w.host.takeLog()).toEqual(['indicate 6 SUCCESS', 'frame']);
      w.settle();
      expect(w.host.takeLog()).toEqual(['terminate complete']);
      expect(block.delegatedState.rcvNxt).toBe(5_006);
      c.receive(c.text('after'));
      expect(w.host.takeLog()).toEqual(['frame']);
    });

  test('constant and cached structures behind its block stay as they were (TERM-016, STATE-005)', () => {
    const w = new World();
    const c = w.offload();
    const root = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
    const path = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
    const tcp = new OffloadBlock(OffloadStateType.TCP, c.tcp.handle);
    root.constState = new NeighborConstState();
    path.constState = new PathConstState(new Uint8Array(4), new Uint8Array(4));
    tcp.constState = new TcpConstState();
    tcp.cachedState = new TcpCachedState();
    tcp.delegatedState = new TcpDelegatedState();
    root.dependentBlockList = path;
    path.dependentBlockList = tcp;
    w.terminate(root);
    w.settle();
    expect([root, path, tcp].map(name)).toEqual(['SUCCESS', 'SUCCESS', 'SUCCESS']);
    expect(root.constState).toEqual(new NeighborConstState());
    expect(path.constState.sourceAddress).toEqual(new Uint8Array(4));
    expect([...tcp.constState.words, ...tcp.cachedState.words].every((word) => word === 0)).toBe(true);
    expect(tcp.delegatedState.rcvNxt).toBe(5_000);
  });

  test.each(['RST', 'FIN'] as const)(
    'a connection that has received %s keeps its resources until then (TERM-027)',
    (flag) => {
      const w = new World();
      const c = w.offload();
      if (flag === 'RST') c.receive(c.frame({ flags: 'R' }));
      else {
        c.disconnect();
        w.settle();
        c.ackTo(1_001);
        c.receive(c.frame({ flags: 'FA' }));
      }
      w.runtime.advance(60_000_000);
      const { state } = c.query();
      expect(state).toBe(flag === 'RST' ? TcpConnectionState.CLOSED : TcpConnectionState.TIME_WAIT);
      expect(w.target.control.held().tcpObjects).toBe(1);
      expect(name(c.terminate())).toBe('SUCCESS');
      expect(w.target.control.held().tcpObjects).toBe(0);
    },
  );

  test('its push timer ends with it: a request that waited comes back by the terminate and nothing comes later (TERM-077)', () => {
    const w = new World();
    const c = w.offload();
    c.postBytes(100);
    c.receive(c.text('part', 'A'));
    expect(w.host.takeLog()).toEqual([]);
    c.terminate();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:4', 'terminate complete']);
    w.runtime.advance(10_000_000);
    expect(w.host.takeLog()).toEqual([]);
  });

  test('the union holds the send lists there and the backlog sizes in a query (TERM-083, STATE-070, STATE-071, STATE-076, QRY-022)', () => {
    const w = new World();
    const c = w.offload();
    w.host.answer = () => ({ status: NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, consumed: 0 });
    c.receive(c.text('unread'));
    const list = netBufferListOver(ascii('unsent'));
    c.send(list);
    w.settle();
    const asked = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
    const answer = new TcpDelegatedState();
    // What stands there on a query is no pointer for the target: a list of somebody's is neither read nor kept.
    const nobodys = netBufferListOver(ascii('nobody'));
    Object.assign(answer, { sendDataHead: nobodys, sendDataTail: nobodys, bufferedData: nobodys });
    asked.delegatedState = answer;
    w.query(asked);
    w.settle();
    expect(answer).toMatchObject({ sendDataHead: null, sendDataTail: null, bufferedData: null });
    expect(answer.sendBacklogSize).toBeGreaterThan(0);
    expect(answer.receiveBacklogSize).toBe(6);
    expect([nobodys.status, nobodys.next, nobodys.firstNetBuffer!.dataLength]).toEqual([0, null, 6]);
    const block = c.terminate();
    const state = block.delegatedState as TcpDelegatedState;
    expect([state.sendDataHead === list, state.sendDataTail === list]).toEqual([true, true]);
    expect(state.bufferedData!.firstNetBuffer!.dataLength).toBe(6);
    expect([state.sendBacklogSize, state.receiveBacklogSize]).toEqual([0, 0]);
  });
});
