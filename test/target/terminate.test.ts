import { describe, expect, test } from 'vitest';
import {
  NdisStatus,
  ndisStatusName,
  OffloadBlock,
  OffloadStateType,
  TcpUploadReason,
} from '../../src/ndis/protocol.ts';
import { type NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpDelegatedState as Delegated, TcpConnectionState, type TcpDelegatedState } from '../../src/state/tcp.ts';
import { bytesOf } from './support/fake-host.ts';
import { segmentOf } from './support/frames.ts';
import { ascii, type Connection, subject, World } from './support/world.ts';

const REFUSE = { status: NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, consumed: 0 };

function world(options: ConstructorParameters<typeof World>[0] = {}): { w: World; c: Connection } {
  const w = new World(options);
  return { w, c: w.offload() };
}

function delegatedOf(block: OffloadBlock): TcpDelegatedState {
  return block.delegatedState as TcpDelegatedState;
}

function chainTexts(list: NetBufferList | null): string[] {
  const out: string[] = [];
  for (let l = list; l !== null; l = l.next) out.push(String.fromCharCode(...bytesOf(l)));
  return out;
}

describe('terminate', () => {
  test('an idle connection: state goes up, objects are freed, nothing is sent (TERM-002, TERM-011, TERM-012, TERM-015, TERM-018, TERM-026)', () => {
    const { w, c } = world();
    c.receive(c.text('abc'));
    c.returnLists();
    c.send(netBufferListOver(ascii('hello')));
    w.settle();
    c.ackTo(1_005);
    w.runtime.advance(100_000);
    w.sent();
    w.host.takeLog();
    const block = c.terminate();
    expect(ndisStatusName(block.status)).toBe('SUCCESS');
    expect(w.host.takeLog()).toEqual(['terminate complete']);
    expect(w.sent()).toEqual([]);
    expect(delegatedOf(block)).toMatchObject({
      state: TcpConnectionState.ESTABLISHED,
      rcvNxt: 5_003,
      sndUna: 1_005,
      sndNxt: 1_005,
      sndMax: 1_005,
      sendDataHead: null,
      bufferedData: null,
      keepAliveTimeoutDelta: -1, // TCP-034
      retransmitTimeoutDelta: -1, // TCP-018
    });
    expect(block.netBufferListChain).toBeNull(); // TERM-054
    expect(w.target.control.held()).toMatchObject({ tcpObjects: 0, pathObjects: 1, neighborObjects: 1 });
    expect(c.tcp.handle.miniportOffloadContext).toBeNull(); // CTX-015
    // TERM-041: later segments go up raw.
    c.receive(c.text('later'));
    expect(w.host.takeLog()).toEqual(['frame']);
  });

  test('with everything outstanding, all of it comes back before the completion (TERM-031 to TERM-036, TERM-052 to TERM-055, TERM-060, TERM-061, FWD-020)', () => {
    const { w, c } = world();
    const first = netBufferListOver(ascii('first'));
    const second = netBufferListOver(ascii('second'));
    c.send(first);
    w.settle();
    c.receive(c.frame({ flags: 'A', ack: 1_002, window: 0 }));
    c.send(second);
    c.postBytes(4, true);
    c.postBytes(4);
    c.receive(c.text('xy'));
    w.runtime.advance(40_000);
    w.sent();
    w.host.takeLog();
    // All in one turn: a forwarded segment, a query, an update, an invalidate of nothing, a disconnect, the terminate.
    c.forward(netBufferListOver(segmentOf(c.text('z'))));
    const query = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
    query.delegatedState = new Delegated();
    w.query(query);
    c.disconnect();
    const block = c.terminate();
    expect(w.host.takeLog()).toEqual(
      [
        'forward SUCCESS',
        'query complete',
        'receive UPLOAD_IN_PROGRESS:3 UPLOAD_IN_PROGRESS:0',
        'disconnect UPLOAD_IN_PROGRESS:0',
        'terminate complete',
      ].map((line) => (line === 'forward SUCCESS' ? 'forward SUCCESS:0' : line)),
    );
    expect(chainTexts(block.netBufferListChain)).toEqual(['rst', 'second']);
    const state = delegatedOf(block);
    expect(state.sendDataHead).toBe(first); // TERM-052, TERM-053, TERM-055
    expect(state.sendDataTail).toBe(second);
    expect(state).toMatchObject({ sndUna: 1_002, sndWnd: 0, rcvNxt: 5_003, state: TcpConnectionState.FIN_WAIT1 });
    expect(first.tcpOffloadBytesTransferred).toBe(2);
    expect(w.sent().some((f) => f.ack === 5_003)).toBe(true); // TERM-042: the ACK that was owed
    expect(w.target.control.held()).toMatchObject({
      tcpObjects: 0,
      sends: 0,
      receives: 0,
      disconnects: 0,
      forwards: 0,
    });
  });

  test('finished sends are completed, the others chained in order (TERM-051, SEND-038)', () => {
    const { w, c } = world();
    const lists = ['aa', 'bb', 'cc'].map((s) => netBufferListOver(ascii(s)));
    for (const list of lists) c.send(list);
    w.settle();
    w.sent();
    // The ACK is in the same turn as the terminate.
    w.link.receiver!.receive(c.frame({ flags: 'A', ack: 1_002 }), 0, c.frame({ flags: 'A' }).length);
    const block = c.terminate();
    expect(w.host.takeLog()).toEqual(['send SUCCESS:2', 'terminate complete']);
    expect(chainTexts(block.netBufferListChain)).toEqual(['bb', 'cc']);
    expect(delegatedOf(block)).toMatchObject({ sndUna: 1_002, sndNxt: 1_006, sndMax: 1_006 }); // TERM-056
  });

  test('acknowledged data goes through the delivery algorithm, what is refused goes up as BufferedData (TERM-045 to TERM-048, TERM-050)', () => {
    const { w, c } = world();
    w.host.answer = () => REFUSE;
    c.receive(c.text('abcdef'));
    w.host.takeLog();
    const block = c.terminate();
    const state = delegatedOf(block);
    expect(chainTexts(state.bufferedData)).toEqual(['abcdef']);
    expect(state.rcvNxt).toBe(5_006); // INIT-058: the newest bytes, ending right before RcvNxt
    expect(w.target.control.held().indicatedLists).toBe(1);
    w.ndis.offloadTcpReceiveReturn(w.binding, state.bufferedData!);
    expect(w.target.control.held()).toMatchObject({ indicatedLists: 0, receiveBlocks: 0 });
  });

  test('a push request that is partly full is completed with SUCCESS, a nonpush one tells its bytes (TERM-060, RECV-053, NBL-022)', () => {
    const { w, c } = world();
    c.postBytes(10);
    c.receive(c.text('abc', 'A'));
    c.terminate();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3', 'terminate complete']);
  });

  test('what is only held out of order is dropped and not acknowledged (TERM-043, TERM-044)', () => {
    const { w, c } = world();
    c.receive(c.frame({ flags: 'A', seq: 5_010, text: ascii('beyond') }));
    w.sent();
    const block = c.terminate();
    expect(delegatedOf(block)).toMatchObject({ rcvNxt: 5_000, bufferedData: null });
    for (const frame of w.sent()) expect(frame.ack).toBe(5_000);
  });

  test('a delayed ACK leaves before the completion, even through a full link (TERM-042, TERM-076)', () => {
    const { w, c } = world();
    for (let i = 0; i < 12; i++) c.receive(c.text('ab'));
    w.runtime.advance(60_000);
    c.receive(c.text('cd'));
    w.sent();
    w.link.room = 0;
    c.terminate();
    w.link.room = Number.POSITIVE_INFINITY;
    w.link.receiver!.writable();
    expect(w.sent().at(-1)).toMatchObject({ flags: 'A', ack: 5_026 });
    expect(w.target.control.held().frames).toBe(0);
  });

  test('without a delegated structure sends are completed instead of chained (TERM-014, TERM-051, TERM-057)', () => {
    const { w, c } = world();
    c.send(netBufferListOver(ascii('data')));
    w.settle();
    const block = c.terminate(false);
    expect(w.host.takeLog()).toEqual(['send UPLOAD_IN_PROGRESS:0', 'terminate complete']);
    expect(block.netBufferListChain).toBeNull();
  });

  test('timers go up with the time that is left (STATE-067 to STATE-069, TCP-017, TCP-033)', () => {
    const w = new World();
    const c = w.offload({ cachedFlags: 1, keepAliveTimeoutDelta: 5_000 });
    c.send(netBufferListOver(ascii('data')));
    w.settle();
    w.runtime.advance(50_000);
    const state = delegatedOf(c.terminate());
    expect(state.retransmitTimeoutDelta).toBeGreaterThan(0);
    expect(state.retransmitTimeoutDelta).toBeLessThanOrEqual(1_000);
    expect(state.keepAliveTimeoutDelta).toBeGreaterThan(4_000);
    expect(state.keepAliveTimeoutDelta).toBeLessThanOrEqual(5_000);
  });

  test('the timestamp clock goes on across the move (TERM-081, TCP-059 to TCP-061)', () => {
    const w = new World();
    const c = w.offload({ constFlags: 1 | 2 | 4, tsTime: 150 });
    w.runtime.advance(250_000);
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.sent()[0]!.tsVal).toBe(400);
    w.runtime.advance(100_000);
    expect(delegatedOf(c.terminate()).tsTime).toBe(500);
  });

  test("a whole tree, and the neighbor's NicReachabilityDelta (TERM-065, TERM-067, TERM-082, TERM-087)", () => {
    const { w, c } = world();
    w.runtime.advance(3_000_000);
    const root = c.terminateAll();
    expect(
      [root, root.dependentBlockList!, root.dependentBlockList!.dependentBlockList!].map((b) =>
        ndisStatusName(b.status),
      ),
    ).toEqual(['SUCCESS', 'SUCCESS', 'SUCCESS']);
    expect(root.delegatedState).toMatchObject({ nicReachabilityDelta: 3_000 });
    expect(w.target.control.held()).toMatchObject({ tcpObjects: 0, pathObjects: 0, neighborObjects: 0 });
  });

  test('placeholders get a status; a path with connections left is not freed (TERM-085, TERM-063)', () => {
    const { w, c } = world();
    const root = new OffloadBlock(OffloadStateType.NEIGHBOR);
    root.dependentBlockList = new OffloadBlock(OffloadStateType.IP4_DELEGATED, c.path.handle);
    w.terminate(root);
    w.settle();
    expect(ndisStatusName(root.status)).toBe('SUCCESS');
    expect(ndisStatusName(root.dependentBlockList.status)).toBe('FAILURE');
    expect(w.target.control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1 });
  });

  test('in every state the connection may be in (TERM-037)', () => {
    for (const state of [
      TcpConnectionState.ESTABLISHED,
      TcpConnectionState.FIN_WAIT1,
      TcpConnectionState.FIN_WAIT2,
      TcpConnectionState.CLOSE_WAIT,
      TcpConnectionState.CLOSING,
      TcpConnectionState.LAST_ACK,
    ]) {
      const w = new World();
      const c = w.offload({ state });
      expect(delegatedOf(c.terminate())).toMatchObject({ state });
    }
  });

  test('the same connection may be offloaded again at once, from inside the completion (TERM-086)', () => {
    const w = new World();
    const c = w.offload();
    let again: OffloadBlock | null = null;
    w.host.onTerminate = () => {
      again = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
      const link = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
      link.dependentBlockList = w.tcpBlock(c.tcp);
      again.dependentBlockList = link;
      w.initiate(again);
    };
    c.terminate();
    expect(ndisStatusName(again!.status)).toBe('SUCCESS');
    c.receive(c.text('on'));
    expect(w.host.indicated).toHaveLength(1);
  });
});

describe('calls from inside completions', () => {
  test('a request posted there is served before a terminate that follows it (TERM-032, TERM-045)', () => {
    const { w, c } = world();
    w.host.answer = () => REFUSE;
    c.receive(c.text('abcdef'));
    w.host.takeLog();
    const query = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
    query.delegatedState = new Delegated();
    const block = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
    block.delegatedState = new Delegated();
    w.host.onQuery = () => {
      c.postBytes(4);
      w.terminate(block);
    };
    w.query(query);
    w.settle();
    expect(w.host.takeLog()).toEqual([
      'query complete',
      'receive SUCCESS:4',
      'indicate 2 SUCCESS',
      'terminate complete',
    ]);
    expect(chainTexts(delegatedOf(block).bufferedData)).toEqual(['ef']);
  });
});

describe('a host that does not keep still', () => {
  test('what it posts from inside the completions of a terminate comes back all the same (NBL-009, NBL-020)', () => {
    const { w, c } = world();
    c.postBytes(5);
    let isFirst = true;
    w.host.onReceiveComplete = () => {
      if (!isFirst) return;
      isFirst = false;
      c.postBytes(6);
      c.forward(netBufferListOver(segmentOf(c.text('f'))));
      c.send(netBufferListOver(ascii('more')));
    };
    const block = c.terminate();
    expect(w.host.takeLog()).toEqual([
      'receive UPLOAD_IN_PROGRESS:0',
      'receive UPLOAD_IN_PROGRESS:0',
      'forward UPLOAD_IN_PROGRESS:0',
      'terminate complete',
    ]);
    expect(chainTexts(block.netBufferListChain)).toEqual(['more']);
  });

  test('sends given back in the turn of the terminate come before its completion (TERM-035)', () => {
    const { w, c } = world();
    w.target.control.uploadAll();
    const query = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
    query.delegatedState = new Delegated();
    const block = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
    block.delegatedState = new Delegated();
    w.host.onQuery = () => {
      c.send(netBufferListOver(ascii('x')));
      w.terminate(block);
    };
    w.query(query);
    w.settle();
    expect(w.host.takeLog()).toEqual([
      // Statuses come after the operations of a turn (INIT-052).
      'query complete',
      'status UPLOAD_ALL',
      'send UPLOAD_IN_PROGRESS:0',
      'terminate complete',
    ]);
  });

  test('a neighbor with a path that is not terminated with it stays (TERM-063)', () => {
    const { w, c } = world();
    const block = new OffloadBlock(OffloadStateType.NEIGHBOR_DELEGATED, c.neighbor.handle);
    w.terminate(block);
    w.settle();
    expect(ndisStatusName(block.status)).toBe('FAILURE');
    c.receive(c.text('still here'));
    expect(w.host.indicated).toHaveLength(1);
  });
});

describe('an upload that the target asks for', () => {
  test('with a mandatory reason: requests come back, sends and forwards too, segments go up raw (TERM-004, TERM-058, EVT-019, INIT-079, FWD-021)', () => {
    const { w, c } = world();
    c.postBytes(10);
    expect(w.target.control.retrieve(c.tcp.handle, TcpUploadReason.UPLOAD_REQUESTED)).toBe(1);
    expect(w.host.takeLog()).toEqual([]);
    w.settle();
    expect(w.host.takeLog()).toEqual([
      `event retrieve ${TcpUploadReason.UPLOAD_REQUESTED}`,
      'receive UPLOAD_IN_PROGRESS:0',
    ]);
    c.send(netBufferListOver(ascii('x')));
    c.postBytes(3);
    c.forward(netBufferListOver(segmentOf(c.text('f'))));
    c.disconnect();
    w.settle();
    expect(w.host.takeLog().sort()).toEqual([
      'disconnect UPLOAD_IN_PROGRESS:0',
      'forward UPLOAD_IN_PROGRESS:0',
      'receive UPLOAD_IN_PROGRESS:0',
      'send UPLOAD_IN_PROGRESS:0',
    ]);
    c.receive(c.text('raw'));
    expect(w.host.takeLog()).toEqual(['frame']);
    w.runtime.advance(60_000_000); // nothing stirs any more
    expect(w.host.takeLog()).toEqual([]);
    expect(w.target.control.retrieve(null, TcpUploadReason.UPLOAD_REQUESTED)).toBe(0);
    expect(delegatedOf(c.terminate()).state).toBe(TcpConnectionState.ESTABLISHED);
  });

  test('with an optional reason it carries on for ever (EVT-020)', () => {
    const { w, c } = world();
    w.target.control.retrieve(null, TcpUploadReason.LOW_ACTIVITY);
    w.settle();
    expect(w.host.takeLog()).toEqual([`event retrieve ${TcpUploadReason.LOW_ACTIVITY}`]);
    c.receive(c.text('abc'));
    expect(w.host.takeLog()).toEqual(['indicate 3 SUCCESS']);
    w.target.control.retrieve((o) => o.localPort === 80, TcpUploadReason.SMALL_IO); // TERM-007
    w.settle();
    expect(w.host.takeLog()).toEqual([`event retrieve ${TcpUploadReason.SMALL_IO}`]);
  });

  test('a graceful and an abortive disconnect are both given back (DISC-025)', () => {
    const { w, c } = world();
    w.target.control.retrieve(null, TcpUploadReason.UPLOAD_REQUESTED);
    w.settle();
    w.host.takeLog();
    c.disconnect();
    c.abort();
    w.settle();
    expect(w.host.takeLog()).toEqual(['disconnect UPLOAD_IN_PROGRESS:0', 'disconnect UPLOAD_IN_PROGRESS:0']);
  });

  test('a connection that becomes half-closed meanwhile is not asked for (EVT-023)', () => {
    const { w, c } = world();
    w.target.control.retrieve(null, TcpUploadReason.LOW_ACTIVITY);
    c.receive(c.frame({ flags: 'FA' }));
    w.settle();
    expect(w.host.takeLog()).toEqual(['event disconnect 0']);
  });

  test('not for half-closed connections (EVT-023)', () => {
    const w = new World();
    w.offload({ state: TcpConnectionState.CLOSE_WAIT });
    expect(w.target.control.retrieve(null, TcpUploadReason.UPLOAD_REQUESTED)).toBe(0);
  });

  test('data that came before the request is delivered before it (TERM-045)', () => {
    const { w, c } = world();
    w.target.control.retrieve(null, TcpUploadReason.UPLOAD_REQUESTED);
    w.link.receiver!.receive(c.text('abc'), 0, 57);
    w.settle();
    expect(w.host.takeLog()).toEqual(['indicate 3 SUCCESS', `event retrieve ${TcpUploadReason.UPLOAD_REQUESTED}`]);
  });
});

describe('corrupt state', () => {
  if (!subject.isApart)
    test('found at a terminate: FAILURE, Retrieve, Abort, then the second terminate (TERM-019 to TERM-025)', () => {
      const { w, c } = world();
      c.send(netBufferListOver(ascii('lost')));
      c.postBytes(5);
      w.settle();
      w.target.control.corrupt(c.tcp.handle);
      const first = c.terminate();
      expect(ndisStatusName(first.status)).toBe('FAILURE');
      expect(w.host.takeLog()).toEqual([
        'terminate complete',
        `event retrieve ${TcpUploadReason.HARDWARE_FAILURE}`,
        'event abort 0',
      ]);
      const second = c.terminate();
      expect(w.host.takeLog()).toEqual(['send REQUEST_ABORTED:0', 'receive REQUEST_ABORTED:0', 'terminate complete']);
      expect(delegatedOf(second).state).toBe(TcpConnectionState.CLOSED);
      expect(w.target.control.held()).toMatchObject({ tcpObjects: 0, sends: 0, receives: 0 });
    });

  test('found at a query or an invalidate (QRY-011 to QRY-017, INV-019 to INV-021)', () => {
    for (const operation of ['query', 'invalidate'] as const) {
      const { w, c } = world();
      w.target.control.corrupt(null);
      const block = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
      block.delegatedState = operation === 'query' ? new Delegated() : null;
      w[operation](block);
      w.settle();
      expect(ndisStatusName(block.status)).toBe('FAILURE');
      expect(w.host.takeLog()).toEqual([
        `${operation} complete`,
        `event retrieve ${TcpUploadReason.HARDWARE_FAILURE}`,
        'event abort 0',
      ]);
      c.send(netBufferListOver(ascii('x')));
      expect(ndisStatusName(c.terminate().status)).toBe('SUCCESS');
      expect(w.target.control.held().tcpObjects).toBe(0);
    }
  });
});
