/** What the host does upon what its target says, and what it sees to before and after a move: found by breaking the host. */
import { describe, expect, test } from 'vitest';
import { setHopLimit } from '../../src/host/transport/endpoint-options.ts';
import { NdisStatus, ndisStatusName, type OffloadBlock, OffloadStateType } from '../../src/ndis/protocol.ts';
import { DataOperation, StateOperation } from '../../src/ndis/tap.ts';
import { forEachBlock } from '../../src/ndis/walk.ts';
import { dataLengthOf, type NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import type { PathCachedState } from '../../src/state/path.ts';
import { TcpConnectionState, type TcpDelegatedState } from '../../src/state/tcp.ts';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { icmp, ipv4 } from '../host-path/frames.ts';
import { ChimneyScene } from './chimney-scene.ts';
import { EtherScene, HOST, ROUTER } from './ether-scene.ts';
import { HOST_MAC, routerMac } from './wire-scene.ts';

const states = (s: ChimneyScene): string[] =>
  s.door.take().filter((line) => /^(query|update|invalid|term|init)/.test(line));

function* chain(lists: NetBufferList): Generator<NetBufferList> {
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) yield list;
}

function connectionIn(root: OffloadBlock): OffloadBlock {
  let block = root;
  while (block.dependentBlockList !== null) block = block.dependentBlockList;
  return block;
}

describe('before a move down', () => {
  test('an ACK that is owed is sent by the host, before the initiate (INIT-075)', () => {
    const s = new ChimneyScene();
    // The first segments are answered at once; sooner or later an ACK waits.
    for (let i = 0; i < 50; i++) {
      s.deliver(0, s.text('delayed'));
      if (s.sent().length === 0) break;
    }
    let acked = -1;
    s.door.onState = (operation, _root, isCompletion) => {
      if (operation === StateOperation.INITIATE && !isCompletion) acked = (s.sent().at(-1)?.ack ?? -1) | 0;
    };
    s.beginOffload();
    s.runtime.settle();
    expect(acked).toBe(s.seq);
    expect(s.sent()).toEqual([]);
  });

  test('what the application has not read travels as BufferedData, its last byte just before RcvNxt (INIT-057, INIT-058)', () => {
    const s = new ChimneyScene();
    s.peer.appetite = 0;
    s.deliver(0, s.text('unread, and '), s.text('acknowledged'));
    let buffered = -1;
    let rcvNxt = 0;
    s.door.onState = (operation, root, isCompletion) => {
      if (operation !== StateOperation.INITIATE || isCompletion) return;
      const delegated = connectionIn(root).delegatedState as TcpDelegatedState;
      buffered = 0;
      for (let list = delegated.bufferedData; list !== null; list = list.next) buffered += dataLengthOf(list);
      rcvNxt = delegated.rcvNxt;
    };
    s.offload();
    expect(buffered).toBe('unread, and acknowledged'.length);
    expect(rcvNxt).toBe(s.seq);
    s.peer.take(1_000);
    s.runtime.settle();
    expect(s.got()).toBe('unread, and acknowledged');
  });
});

test.each([
  ['CLOSED', TcpConnectionState.CLOSED],
  ['LISTEN', TcpConnectionState.LISTEN],
  ['SYN_SENT', TcpConnectionState.SYN_SENT],
  ['SYN_RCVD', TcpConnectionState.SYN_RCVD],
  ['TIME_WAIT', TcpConnectionState.TIME_WAIT],
])('in %s a connection is not offloaded, and the target not asked (INIT-072)', async (_name, state) => {
  const s = new ChimneyScene();
  s.door.take();
  s.endpoint.tcp.state = state;
  const answer = s.endpoint.chimney.offload().catch((error: Error) => error);
  s.runtime.settle();
  expect(states(s)).toEqual([]);
  expect(await answer).toMatchObject({ status: 'NOT_OFFLOADABLE' });
});

describe('data that come up', () => {
  test('are refused whole, with nothing consumed, taken in part, or taken (RECV-074, RECV-075)', () => {
    const answers: [string, number][] = [];
    for (const appetite of [0, 2, 100]) {
      const s = new ChimneyScene().offload();
      s.peer.appetite = appetite;
      const consumed = { value: -1 };
      const list = netBufferListOver(Uint8Array.of(1, 2, 3, 4));
      const answer = s.target.events.tcpOffloadReceiveHandler(s.handle, list, NdisStatus.SUCCESS, consumed);
      answers.push([ndisStatusName(answer), consumed.value]);
    }
    expect(answers).toEqual([
      ['OFFLOAD_DATA_NOT_ACCEPTED', 0],
      ['OFFLOAD_DATA_PARTIALLY_ACCEPTED', 2],
      ['SUCCESS', 4],
    ]);
  });

  test('by several indications go back in one chain, none left out (RECV-084)', () => {
    const s = new ChimneyScene().offload();
    const returned: NetBufferList[][] = [];
    s.target.tcpOffloadReceiveReturn = (_context, lists) => {
      returned.push([...chain(lists)]);
      return NdisStatus.SUCCESS;
    };
    const lists = ['one', 'two', 'three'].map((text) =>
      netBufferListOver(Uint8Array.from(text, (c) => c.charCodeAt(0))),
    );
    for (const list of lists) {
      s.target.events.tcpOffloadReceiveHandler(s.handle, list, NdisStatus.SUCCESS, { value: 0 });
    }
    s.runtime.settle();
    expect(s.got()).toBe('onetwothree');
    expect(returned).toHaveLength(1);
    expect(new Set(returned[0])).toEqual(new Set(lists));
  });
});

describe('before a move up', () => {
  test('a query that is under way is waited for (TERM-028)', () => {
    const s = new ChimneyScene().offload();
    void s.endpoint.chimney.query();
    s.beginTakeBack();
    s.runtime.settle();
    expect(states(s)).toEqual(['query', 'query complete', 'terminate', 'terminate complete']);
  });

  test('however long that takes (TERM-028)', () => {
    const s = new ChimneyScene();
    const query = s.target.queryOffload.bind(s.target);
    const late: (() => void)[] = [];
    s.target.queryOffload = (context, root) => void late.push(() => query(context, root));
    s.offload();
    void s.endpoint.chimney.query();
    s.beginTakeBack();
    s.runtime.advance(1_000_000);
    expect(states(s)).toEqual(['query']);
    late[0]!();
    s.runtime.settle();
    expect(states(s)).toEqual(['query complete', 'terminate', 'terminate complete']);
  });
});

describe('an operation that failed', () => {
  test.each([
    [
      'query',
      StateOperation.QUERY,
      'QRY-012',
      (s: ChimneyScene): void => void s.endpoint.chimney.query().catch(() => undefined),
    ],
    ['update', StateOperation.UPDATE, 'UPD-035', (s: ChimneyScene): void => setHopLimit(s.endpoint, 33)],
  ] as const)(
    '%s: the offload is terminated, the connection goes on [QRY-012, UPD-035]',
    (what, operation, _rule, act) => {
      const s = new ChimneyScene().offload();
      s.door.onState = (seen, root, isCompletion) => {
        if (seen === operation && isCompletion) root.status = NdisStatus.FAILURE;
      };
      act(s);
      s.runtime.settle();
      expect(states(s)).toEqual([what, `${what} complete`, 'terminate', 'terminate complete']);
      expect(s.location).toBe('host');
      s.deliver(0, s.text('goes on', TcpFlag.ACK | TcpFlag.PSH));
      expect(s.got()).toBe('goes on');
    },
  );
});

test('a connection whose state the target has lost, without an event that says so, is told to have failed (TERM-020)', () => {
  const s = new ChimneyScene().offload();
  s.target.terminateOffload = (_context, root) => {
    forEachBlock(root, (block) => {
      const isConnection = block.header.type === OffloadStateType.TCP_DELEGATED;
      block.status = isConnection ? NdisStatus.FAILURE : NdisStatus.SUCCESS;
    });
    s.runtime.defer(() => s.target.ndisM.terminateOffloadComplete(s.target.handle, root));
  };
  s.beginTakeBack();
  s.runtime.settle();
  expect(states(s)).toEqual(['terminate', 'terminate complete', 'terminate', 'terminate complete']);
  expect(s.peer.error).toBe('ECONNABORTED');
});

test('a path and a neighbor whose terminate fails although nothing hangs on them are lost, and not asked for again (TERM-019, TERM-066)', () => {
  const s = new ChimneyScene().offload();
  let asked = 0;
  s.target.terminateOffload = (_context, root) => {
    asked++;
    forEachBlock(root, (block) => {
      block.status = asked > 20 ? NdisStatus.SUCCESS : NdisStatus.FAILURE;
    });
    s.runtime.defer(() => s.target.ndisM.terminateOffloadComplete(s.target.handle, root));
  };
  s.beginTakeBack();
  s.runtime.settle();
  // The tree, the connection once more with its path and neighbor, then each of those alone.
  expect(asked).toBe(4);
  expect(s.host.chimney.held()).toEqual({ connections: 0, paths: 0, neighbors: 0 });
});

test('a close without data is a graceful disconnect with an empty NET_BUFFER (DISC-016)', () => {
  const s = new ChimneyScene().offload();
  const posted: [number, number][] = [];
  s.door.onPosted = (operation, list) => posted.push([operation, dataLengthOf(list)]);
  s.endpoint.shutdown();
  s.runtime.settle();
  expect(posted).toEqual([[DataOperation.DISCONNECT, 0]]);
});

test('a graceful disconnect that came back REQUEST_ABORTED, without any event, is followed by a terminate (DISC-027)', () => {
  const s = new ChimneyScene().offload();
  s.door.onCompleted = (operation, list) => {
    if (operation === DataOperation.DISCONNECT) list.status = NdisStatus.REQUEST_ABORTED;
  };
  s.endpoint.shutdown();
  s.runtime.settle();
  s.ack += 1;
  s.receive({ flags: TcpFlag.ACK, seq: s.seq, ack: s.ack });
  expect(states(s)).toEqual(['terminate', 'terminate complete']);
});

test('a smaller path MTU that a router tells is passed on by an update of PathMtu (UPD-012)', () => {
  const s = new EtherScene().offload();
  const updates: [number, number][] = [];
  s.door.onState = (operation, root, isCompletion) => {
    if (operation !== StateOperation.UPDATE || isCompletion) return;
    updates.push([root.header.type, (root.cachedState as PathCachedState).pathMtu]);
  };
  s.write('too big for somebody', false);
  const quoted = s.frames()[0]!.bytes.slice(14);
  const packet = ipv4({ src: ROUTER, dst: HOST, protocol: 1 }, icmp(3, 4, 1_300, quoted));
  const frame = new Uint8Array(14 + packet.length);
  frame.set(HOST_MAC, 0);
  frame.set(routerMac(254), 6);
  frame.set([0x08, 0x00], 12);
  frame.set(packet, 14);
  s.link.deliver(frame);
  s.run(2_000);
  expect(updates).toEqual([[OffloadStateType.IP4_CACHED, 1_300]]);
  expect(s.findings).toEqual([]);
});
