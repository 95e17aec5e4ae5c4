/** Rules of delivery that the flowcharts only imply: order, nesting, acknowledgement, ownership, and the memory behind it. */
import { describe, expect, test } from 'vitest';
import { NdisStatus, OffloadBlock, OffloadStateType } from '../../src/ndis/protocol.ts';
import { Mdl, NetBuffer, NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpWord } from '../../src/state/tcp.ts';
import { bytesOf } from './support/fake-host.ts';
import { ascii, Connection, pattern, World } from './support/world.ts';

const REFUSE = { status: NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, consumed: 0 };

function world(options: ConstructorParameters<typeof World>[0] = {}): { w: World; c: Connection } {
  const w = new World(options);
  return { w, c: w.offload() };
}

function text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** What stands in a posted request from its start, however far its data start was moved. */
function contents(list: NetBufferList, length: number): string {
  const mdl = list.firstNetBuffer!.mdlChain!;
  return text(mdl.buffer.subarray(mdl.byteOffset, mdl.byteOffset + length));
}

describe('posted requests', () => {
  test('several may wait at once; the first posted is the first filled, across calls and chains (RECV-006, RECV-011)', () => {
    const { w, c } = world();
    const first = c.postBytes(2);
    const chained = [2, 2].map((n) => netBufferListOver(new Uint8Array(n)));
    chained[0]!.next = chained[1]!;
    c.post(chained[0]!);
    const last = c.postBytes(2);
    for (const piece of ['a', 'bc', 'defg', 'h']) c.receive(c.text(piece, 'A'));
    expect([first, ...chained, last].map((list) => contents(list, 2))).toEqual(['ab', 'cd', 'ef', 'gh']);
    expect(w.host.receives.map((done) => done.list)).toEqual([first, ...chained, last]);
  });

  test('requests of both modes work beside each other (RECV-048)', () => {
    const { w, c } = world();
    c.postBytes(4, true);
    c.postBytes(4, false);
    c.receive(c.text('abc', 'PA'));
    expect(w.host.takeLog()).toEqual([]); // nonpush: PSH does not complete it
    c.receive(c.text('de', 'PA'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:4 SUCCESS:1']); // push: PSH does
  });

  test('a request of no bytes leaves the buffered data as it is (RECV-043)', () => {
    const { w, c } = world();
    w.host.answer = () => REFUSE;
    c.receive(c.text('abcdef'));
    expect(c.query().receiveBacklogSize).toBe(6);
    c.postBytes(0);
    w.settle();
    expect(c.query().receiveBacklogSize).toBe(6);
    expect(w.host.takeLog().filter((line) => !line.startsWith('query'))).toEqual([
      'indicate 6 SUCCESS',
      'receive SUCCESS:0',
      'indicate 6 SUCCESS',
    ]);
  });

  test('those that are out when the connection goes up say so, before the terminate completes (RECV-064, RECV-063)', () => {
    const { w, c } = world();
    c.postBytes(5, true);
    c.postBytes(5);
    c.receive(c.text('abc', 'A'));
    c.terminate();
    expect(w.host.takeLog()).toEqual(['receive UPLOAD_IN_PROGRESS:3 UPLOAD_IN_PROGRESS:0', 'terminate complete']);
    // What comes now is nobody's here: it goes up raw and waits for the host to post in its own stack.
    c.receive(c.text('def'));
    expect(w.host.takeLog()).toEqual(['frame']);
  });
});

describe('one delivery at a time', () => {
  test('a segment that comes while an indication is under way is delivered after it (RECV-015, RECV-019, RECV-034)', () => {
    const { w, c } = world();
    const calls: string[] = [];
    w.host.onIndicate = (_handle, bytes) => {
      calls.push(`in ${text(bytes)}`);
      if (calls.length === 1) c.receive(c.text('two'));
      calls.push(`out ${text(bytes)}`);
    };
    c.receive(c.text('one'));
    expect(calls).toEqual(['in one', 'out one', 'in two', 'out two']);
  });

  test('a segment that comes while a completion is under way is delivered after it (RECV-015, RECV-019, RECV-034)', () => {
    const { w, c } = world();
    const calls: string[] = [];
    w.host.onReceiveComplete = () => {
      calls.push('in completion');
      c.receive(c.text('two'));
      calls.push('out of completion');
    };
    w.host.onIndicate = (_handle, bytes) => calls.push(`indicated ${text(bytes)}`);
    c.postBytes(3);
    c.receive(c.text('one'));
    expect(calls).toEqual(['in completion', 'out of completion', 'indicated two']);
  });

  test('an accepted indication that took everything is the last word (RECV-037)', () => {
    const { w, c } = world();
    c.receive(c.text('all'));
    w.settle();
    w.runtime.advance(10_000_000);
    expect(w.host.takeLog()).toEqual(['indicate 3 SUCCESS']);
  });

  test('other connections are served meanwhile: what is posted on one inside an indication on another is filled (RECV-012, RECV-016)', () => {
    const w = new World();
    const a = w.offload();
    const b = w.offload({ localPort: 81 }, { remote: 3 });
    w.host.onIndicate = (handle) => {
      if (handle !== a.tcp.handle) return;
      b.postBytes(2);
      b.receive(b.text('bb'));
    };
    a.receive(a.text('aa'));
    w.settle();
    expect(w.host.takeLog()).toEqual(['indicate 2 SUCCESS', 'receive SUCCESS:2']);
  });
});

describe('acknowledgement and delivery', () => {
  test('data is acknowledged once it is held here, taken or not (RECV-080, RECV-081)', () => {
    const { w, c } = world();
    w.host.answer = () => REFUSE;
    c.receive(c.text(1_000), c.text(1_000));
    expect(w.host.takeLog()).toEqual(['indicate 2000 SUCCESS']);
    expect(w.sent().map((f) => f.ack)).toEqual([7_000]); // refused, and acknowledged all the same
    expect(c.query().receiveBacklogSize).toBe(2_000);
    // The other order is as right: taken at once, and acknowledged when the delayed ACK is due.
    const other = world();
    other.c.receive(other.c.text('x'));
    expect(other.w.host.takeLog()).toEqual(['indicate 1 SUCCESS']);
    expect(other.w.sent()).toEqual([]);
    other.w.runtime.advance(500_000);
    expect(other.w.sent().map((f) => f.ack)).toEqual([5_001]);
  });

  test('a receive may be complete before its ACK has left, or long after (RECV-062)', () => {
    const { w, c } = world();
    c.postBytes(3);
    c.receive(c.text('abc', 'A'));
    expect([w.host.takeLog(), w.sent().length]).toEqual([['receive SUCCESS:3'], 0]);
    c.postBytes(8);
    c.receive(c.text('def', 'A'));
    w.runtime.advance(100_000);
    expect([w.host.takeLog(), w.sent().at(-1)!.ack]).toEqual([[], 5_006]);
    w.runtime.advance(500_000); // the push timer
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3']);
  });
});

describe('the push timer', () => {
  test('is 500 ms unless TcpPushTicks says otherwise (RECV-051, TCP-051)', () => {
    const { w, c } = world();
    c.postBytes(10);
    c.receive(c.text('abc', 'A'));
    w.runtime.advance(499_999);
    expect(w.host.takeLog()).toEqual([]);
    w.runtime.advance(1);
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3']);
  });

  test('is not carried over a move: there is no word for it, and it starts anew at the other side (TCP-050, TCP-052)', () => {
    const { w, c } = world();
    c.postBytes(10);
    c.receive(c.text('abc', 'A'));
    w.runtime.advance(400_000); // a tenth of a second is left of it
    const block = c.terminate();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3', 'terminate complete']);
    expect(Object.keys(TcpWord).filter((word) => /PUSH/i.test(word))).toEqual([]);
    const again = moveBack(w, c, block);
    again.postBytes(10);
    again.receive(again.text('def', 'A'));
    w.runtime.advance(499_999);
    expect(w.host.takeLog()).toEqual(['initiate complete']);
    w.runtime.advance(1);
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3']);
  });
});

/** Offloads a connection anew on the objects that are still there, with the state that came up. */
function moveBack(w: World, c: Connection, block: OffloadBlock): Connection {
  const again = new Connection(w, c.spec, c.pathSpec);
  [again.peerSeq, again.peerAck] = [c.peerSeq, c.peerAck];
  const root = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
  root.dependentBlockList = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
  const tcp = w.tcpBlock(again.tcp, c.spec);
  tcp.delegatedState = block.delegatedState;
  root.dependentBlockList.dependentBlockList = tcp;
  w.initiate(root);
  w.settle();
  return again;
}

describe('memory', () => {
  test('BufferedData of an initiate stays the host’s: only copied, and forgotten with the completion (NBL-008, INIT-059)', () => {
    const w = new World();
    const buffer = ascii('buffered data');
    const list = netBufferListOver(buffer);
    const c = w.offload({ buffered: list });
    buffer.fill(0x2e); // the host uses its buffer for something else
    list.firstNetBuffer = null;
    const request = c.postBytes(8);
    w.settle();
    expect(contents(request, 8)).toBe('buffered');
    expect(text(w.host.indicated[0]!)).toBe(' data');
    expect(w.host.kept).not.toContain(list);
    expect(w.host.receives.map((done) => done.list)).toEqual([request]);
  });

  test('send data is read, and requests are written, within their MDLs and nowhere else (NBL-013)', () => {
    const { w, c } = world();
    const shared = new Uint8Array(new SharedArrayBuffer(64)).fill(0x2e);
    const mdlsOver = (...parts: readonly (readonly [number, number])[]): Mdl => {
      const mdls = parts.map(([at, length]) => new Mdl(shared, at, length));
      for (let i = 1; i < mdls.length; i++) mdls[i - 1]!.next = mdls[i]!;
      return mdls[0]!;
    };
    const request = new NetBufferList(new NetBuffer(mdlsOver([3, 2], [9, 1], [20, 4]), 6));
    c.post(request);
    c.receive(c.text('abcdef'));
    expect(text(shared)).toBe('...ab....c..........def.'.padEnd(64, '.'));
    expect(w.host.receives[0]!.list).toBe(request);
    const before = shared.slice();
    c.send(new NetBufferList(new NetBuffer(mdlsOver([4, 1], [9, 1], [21, 2]), 4)));
    w.settle();
    expect(text(w.sent().at(-1)!.text)).toBe('bcef');
    expect(shared).toEqual(before);
  });

  test('an indication is read through its MDLs: what is described is the data, whatever else the memory holds (NBL-014, RECV-070)', () => {
    const w = new World({ receivePoolBytes: 64 * 1024 });
    const [a, b] = [w.offload(), w.offload({ localPort: 81 }, { remote: 3 })];
    w.host.answer = () => REFUSE;
    // Two streams woven into the same blocks of the pool.
    for (let i = 0; i < 20; i++) {
      a.receive(a.text(pattern(i * 100, 100)));
      b.receive(b.text(pattern(90_000 + i * 100, 100)));
    }
    w.host.answer = (bytes) => ({ status: NdisStatus.SUCCESS, consumed: bytes.length });
    a.postBytes(0);
    b.postBytes(0);
    w.settle();
    const [ofA, ofB] = w.host.kept.slice(-2).map(bytesOf);
    expect(ofA).toEqual(pattern(0, 2_000));
    expect(ofB).toEqual(pattern(90_000, 2_000));
    let mdls = 0;
    for (let mdl = w.host.kept.at(-1)!.firstNetBuffer!.mdlChain; mdl !== null; mdl = mdl.next) mdls++;
    expect(mdls).toBeGreaterThan(1);
    expect(w.host.kept.at(-1)!.firstNetBuffer!.next).toBeNull();
  });

  test('lists of chimney indications and of ordinary frames come from two pools and never cross (NBL-018, NBL-019)', () => {
    const { w, c } = world();
    const ordinary = new Set<NetBufferList>();
    const receive = w.host.receiveNetBufferLists.bind(w.host);
    w.host.receiveNetBufferLists = (context, lists) => {
      for (let list: NetBufferList | null = lists; list !== null; list = list.next) ordinary.add(list);
      receive(context, lists);
    };
    const chimney = new Set<NetBufferList>();
    for (let i = 0; i < 50; i++) {
      c.receive(c.text('for the chimney'), c.frame({ protocol: 17 }), c.text('and more'), c.frame({ ipFlags: 1 }));
      for (const list of w.host.kept) chimney.add(list);
      c.returnLists();
    }
    expect(ordinary.size).toBeGreaterThan(0);
    expect(chimney.size).toBeGreaterThan(0);
    for (const list of ordinary) expect(chimney.has(list)).toBe(false);
  });

  test('a returned list is free when the call returns, and nothing else is called for it (RECV-082, RECV-083)', () => {
    const { w, c } = world();
    c.receive(c.text('abc'));
    expect(w.target.control.held().indicatedLists).toBe(1);
    w.host.takeLog();
    const list = w.host.kept.pop()!;
    expect(w.entry(() => w.ndis.offloadTcpReceiveReturn(w.binding, list))).toBe(NdisStatus.SUCCESS);
    expect(w.target.control.held().indicatedLists).toBe(0);
    w.runtime.advance(5_000_000);
    expect(w.host.takeLog()).toEqual([]);
  });
});
