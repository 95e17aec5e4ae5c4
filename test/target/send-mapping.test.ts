/** Where the bytes of an offloaded chain stand, what leaves first, and what the datagrams look like. chimney-sequences 5 and 12. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NdisStatus, TcpDisconnectFlag } from '../../src/ndis/protocol.ts';
import {
  dataLengthOf,
  emptyNetBufferList,
  Mdl,
  NetBuffer,
  NetBufferList,
  netBufferListOver,
} from '../../src/state/net-buffer-list.ts';
import type { TcpDelegatedState } from '../../src/state/tcp.ts';
import { ascii, type Connection, pattern, World } from './support/world.ts';

/** A list of one NET_BUFFER over MDLs of these sizes, each filled with its own letter, guards around each. */
function listOf(...parts: readonly (readonly [letter: string, size: number])[]): NetBufferList {
  let first: Mdl | null = null;
  let last: Mdl | null = null;
  let total = 0;
  for (const [letter, size] of parts) {
    const buffer = new Uint8Array(size + 10).fill(0xee);
    buffer.fill(letter.charCodeAt(0), 5, 5 + size);
    const mdl = new Mdl(buffer, 5, size);
    if (last === null) first = mdl;
    else last.next = mdl;
    last = mdl;
    total += size;
  }
  return new NetBufferList(new NetBuffer(first, total));
}

function chain(...lists: NetBufferList[]): NetBufferList {
  for (let i = 1; i < lists.length; i++) lists[i - 1]!.next = lists[i]!;
  return lists[0]!;
}

/** The text of a frame as runs of letters: 'c400' is four hundred times c. */
function runs(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes).replace(/(.)\1*/gs, (run) => `${run[0]}${run.length} `);
}

describe('the mapping of SndUna, SndNxt and SndMax into the chain', () => {
  /** The worked example of the pages: lists of 200+400, 400+400 and 400+200 bytes. */
  const example = (): NetBufferList =>
    chain(listOf(['a', 200], ['b', 400]), listOf(['c', 400], ['d', 400]), listOf(['e', 400], ['f', 200]));

  test('SndUna is the first byte of the first list, SndNxt lies SndNxt - SndUna further along the MDLs, across lists (SEND-034, SEND-035, NBL-013)', () => {
    const w = new World();
    w.offload({ sendData: example(), sndUna: 1_000, sndNxt: 2_000, sndMax: 3_000, retransmitTimeoutDelta: 900 });
    const frames = w.sent();
    // A distance of 1000: the first byte of the second MDL of the second list.
    expect([frames[0]!.seq, runs(frames[0]!.text)]).toEqual([2_000, 'd400 e400 f200 ']);
    expect(frames).toHaveLength(1);
    // A timeout goes back to SndUna: the first byte of the first list.
    w.runtime.advance(1_000_000);
    const again = w.sent()[0]!;
    expect([again.seq, runs(again.text).split(' ')[0]]).toEqual([1_000, 'a200']);
  });

  test('SndUna is a place within the first MDL if its data start was advanced (SEND-034)', () => {
    const w = new World();
    const list = example();
    const nb = list.firstNetBuffer!;
    nb.currentMdlOffset = 150;
    nb.dataOffset = 150;
    nb.dataLength -= 150;
    w.offload({ sendData: list, sndUna: 1_150, sndNxt: 1_150, sndMax: 1_150, remoteMss: 500 });
    expect(w.sent().map((f) => [f.seq, runs(f.text)])).toEqual([
      [1_150, 'a50 b400 c50 '],
      [1_650, 'c350 d150 '],
      [2_150, 'd250 e250 '],
      [2_650, 'e150 f200 '],
    ]);
  });

  test('first SndNxt to SndMax, then the unsent, then later sends; what is in flight is only awaited (SEND-028, SEND-029, SEND-030, SEND-031, SEND-033)', () => {
    const w = new World();
    const c = w.offload({
      sendData: example(),
      sndUna: 1_000,
      sndNxt: 2_000,
      sndMax: 2_400,
      remoteMss: 200,
      retransmitTimeoutDelta: 900,
    });
    c.send(netBufferListOver(ascii('later')));
    w.settle();
    const frames = w.sent();
    expect(frames.map((f) => f.seq)).toEqual([2_000, 2_200, 2_400, 2_600, 2_800, 3_000]);
    expect(frames.map((f) => runs(f.text)).join('')).toBe('d200 d200 e200 e200 f200 l1 a1 t1 e1 r1 ');
    const { tcp4 } = w.target.control.stats();
    expect(tcp4.retransmittedSegments).toBe(2);
    c.ackTo(3_005);
    expect(w.host.takeLog()).toEqual(['send SUCCESS:600 SUCCESS:800 SUCCESS:600 SUCCESS:5']);
  });

  test('with SndNxt at SndMax there is nothing to repeat: the data right of it goes first (SEND-032)', () => {
    const w = new World();
    w.offload({ sendData: example(), sndUna: 1_000, sndNxt: 1_600, sndMax: 1_600, retransmitTimeoutDelta: 900 });
    const frames = w.sent();
    expect([frames[0]!.seq, runs(frames[0]!.text)]).toEqual([1_600, 'c400 d400 e400 f200 ']);
    expect(w.target.control.stats().tcp4.retransmittedSegments).toBe(0);
  });

  test('at a terminate SendDataHead is the chain, its first byte SndUna, and SendDataTail its last list (SEND-037, SEND-036)', () => {
    const w = new World();
    const c = w.offload({ sendData: example(), sndUna: 1_000, remoteMss: 200 });
    c.ackTo(1_850);
    w.sent();
    const block = c.terminate();
    const delegated = block.delegatedState as TcpDelegatedState;
    const second = w.host.sends.length;
    expect(second).toBe(1);
    expect(delegated.sendDataHead).toBe(block.netBufferListChain);
    expect(delegated.sendDataTail).toBe(delegated.sendDataHead!.next);
    expect(delegated.sndUna).toBe(1_850);
    // 250 bytes of the second list are acknowledged: its data starts behind them.
    expect(dataLengthOf(delegated.sendDataHead!)).toBe(550);
    expect(delegated.sendDataHead!.firstNetBuffer!.currentMdlOffset).toBe(250);
  });
});

describe('PSH', () => {
  test('stands in the last segment before the queue runs empty, wherever the lists before it end (SEND-014, SEND-015)', () => {
    const w = new World();
    const c = w.offload({ remoteMss: 1_000 });
    c.send(chain(listOf(['a', 700]), listOf(['b', 700]), listOf(['c', 900])));
    w.settle();
    expect(w.sent().map((f) => [f.text.length, f.flags])).toEqual([
      [1_000, 'A'],
      [1_000, 'A'],
      [300, 'PA'],
    ]);
  });
});

/** What is in the IP header of each datagram sent. */
function ipHeaders(w: World): { flags: number; offset: number; id: number; length: number; protocol: number }[] {
  return w.link.take().map((frame) => {
    const view = new DataView(frame.buffer, frame.byteOffset + 14, frame.length - 14);
    if (view.getUint8(0) >> 4 === 6) {
      return { flags: 0, offset: 0, id: -1, length: 40 + view.getUint16(4), protocol: view.getUint8(6) };
    }
    const fragment = view.getUint16(6);
    const [id, length, protocol] = [view.getUint16(4), view.getUint16(2), view.getUint8(9)];
    return { flags: fragment >> 13, offset: fragment & 0x1fff, id, length, protocol };
  });
}

/** Text, retransmissions, ACKs, a window probe, a FIN and a RST of connections on a path of so many bytes. */
function everyKindOfSegment(w: World, pathMtu: number): void {
  const c = w.offload({}, { pathMtu });
  c.send(netBufferListOver(pattern(1_000, 20_000)));
  w.settle();
  w.runtime.advance(3_000_000);
  c.ackTo(21_000);
  c.receive(c.text(2_000), c.text(100));
  c.receive(c.frame({ flags: 'A', window: 0 }));
  c.send(netBufferListOver(ascii('probe')));
  w.runtime.advance(3_000_000);
  c.receive(c.frame({ flags: 'A', window: 60_000 }));
  c.disconnect();
  w.settle();
  const other = w.offload({ localPort: 81 }, { remote: 3, pathMtu });
  other.abort();
  w.settle();
}

describe('datagrams', () => {
  test('IPv4: DF in each, no fragment, no longer than the path, numbered from the upper half (SEND-039, SEND-040, SEND-043, TCP-109, TCP-123)', () => {
    const w = new World();
    everyKindOfSegment(w, 800);
    const headers = ipHeaders(w);
    expect(headers.length).toBeGreaterThan(30);
    for (const header of headers) {
      expect(header).toMatchObject({ flags: 2, offset: 0, protocol: 6 });
      expect(header.length).toBeLessThanOrEqual(800);
      expect(header.id).toBeGreaterThanOrEqual(0x8000);
    }
    expect(Math.max(...headers.map((h) => h.length))).toBe(800);
  });

  test('the identification runs round within the upper half, 0x8000 to 0xffff (SEND-040)', () => {
    const w = new World();
    const c = w.offload();
    const ids = new Set<number>();
    for (let i = 0; i < 0x8000 + 100; i++) {
      c.receive(c.text('x'), c.text('y'));
      for (const header of ipHeaders(w)) ids.add(header.id);
      c.returnLists();
    }
    expect(Math.min(...ids)).toBe(0x8000);
    expect(Math.max(...ids)).toBe(0xffff);
    expect(ids.size).toBe(0x8000);
  });

  test('IPv6: nothing is ever cut up, so no datagram bears a fragment header or an identification (SEND-039, SEND-041, TCP-110)', () => {
    const w = new World({ family: 6 });
    everyKindOfSegment(w, 1_280);
    const headers = ipHeaders(w);
    expect(headers.length).toBeGreaterThan(20);
    for (const header of headers) {
      expect(header.protocol).toBe(6); // TCP follows at once: no extension header between
      expect(header.length).toBeLessThanOrEqual(1_280);
    }
  });

  test('the TOS octet is the host’s, all eight bits of it: nothing is read into it as RFC 1349 would (TCP-134)', () => {
    for (const tos of [0x00, 0x10, 0x1e, 0xb8, 0xff]) {
      const w = new World();
      const c = w.offload({ cached: { tosOrTrafficClass: tos } });
      c.send(netBufferListOver(ascii('x')));
      w.settle();
      expect(w.link.take().map((frame) => frame[15])).toEqual([tos]);
    }
  });
});

describe('several sends', () => {
  test('a further send may be posted before earlier ones are complete, from inside a completion too (SEND-011, SEND-007)', () => {
    const w = new World();
    const c = w.offload({ sndWnd: 4 });
    for (const text of ['aaaa', 'bbbb', 'cccc']) c.send(netBufferListOver(ascii(text)));
    w.settle();
    expect(w.sent().map((f) => String.fromCharCode(...f.text))).toEqual(['aaaa']);
    expect(w.target.control.held().sends).toBe(1);
    c.ackTo(1_004);
    expect(w.host.takeLog()).toEqual(['send SUCCESS:4']);
    expect(w.sent().map((f) => String.fromCharCode(...f.text))).toContain('bbbbcccc');
  });

  test('calls on different connections do not wait for each other, nor do their lists (SEND-012, RECV-012)', () => {
    const w = new World();
    const a = w.offload({ sndWnd: 1 });
    const b = w.offload({ localPort: 81 }, { remote: 3 });
    // A call on b from inside an indication on a, and while a's own sends are stuck.
    w.host.onIndicate = (handle) => {
      if (handle !== a.tcp.handle) return;
      b.send(netBufferListOver(ascii('bb')));
      b.postBytes(2);
    };
    a.send(netBufferListOver(ascii('aa')));
    w.settle();
    w.sent();
    a.receive(a.text('go'));
    w.settle();
    expect(w.sent().map((f) => [f.srcPort, String.fromCharCode(...f.text)])).toContainEqual([81, 'bb']);
    w.host.takeLog();
    b.receive(b.text('xy'), b.frame({ flags: 'A', ack: 1_002 }));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:2', 'send SUCCESS:2']);
  });
});

interface Posted {
  readonly list: NetBufferList;
  readonly bytes: number;
}

/** The bytes of a run of sends that were taken, came up or were refused, in the order of posting. */
function account(w: World, posted: readonly Posted[], chained: NetBufferList | null): string[] {
  const fates = new Map<NetBufferList, string>();
  const note = (list: NetBufferList, fate: string): void => {
    if (fates.has(list)) throw new Error(`a list came back as ${fates.get(list)} and as ${fate}`);
    fates.set(list, fate);
  };
  for (const done of w.host.sends) note(done.list, done.status);
  for (let list = chained; list !== null; list = list.next) note(list, 'chained');
  if (fates.size !== posted.length) throw new Error(`${posted.length} posted, ${fates.size} back`);
  return posted.map(({ list }) => fates.get(list) ?? 'lost');
}

type Act = { kind: 'send'; bytes: number } | { kind: 'run' } | { kind: 'ack' } | { kind: 'close'; abortive: boolean };

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('send' as const), bytes: fc.integer({ min: 0, max: 3_000 }) }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'run' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'ack' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), abortive: fc.boolean() }) },
);

function perform(w: World, c: Connection, acts: readonly Act[], posted: Posted[]): void {
  let closed = false;
  for (const step of acts) {
    if (step.kind === 'send' && !closed) {
      const list = step.bytes === 0 ? emptyNetBufferList() : netBufferListOver(pattern(0, step.bytes));
      posted.push({ list, bytes: step.bytes });
      c.send(list);
    } else if (step.kind === 'run') w.settle();
    else if (step.kind === 'ack') {
      for (const frame of w.sent()) c.peerAck = Math.max(c.peerAck, frame.seq + frame.text.length);
      c.ackTo(c.peerAck);
    } else if (step.kind === 'close' && !closed) {
      closed = true;
      const flag = step.abortive ? TcpDisconnectFlag.ABORTIVE_CLOSE : TcpDisconnectFlag.GRACEFUL_CLOSE;
      c.disconnect(emptyNetBufferList(), flag);
    }
  }
}

describe('the send queue against everything else that uses it', () => {
  test('sends, disconnects and a terminate in any order: each list comes back once, in order of posting (SEND-013, SEND-009, DISC-008, TERM-051)', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 30 }), (acts) => {
        const w = new World();
        const c = w.offload({ sndWnd: 20_000 });
        const posted: Posted[] = [];
        perform(w, c, acts, posted);
        const block = c.terminate();
        expect(block.status).toBe(NdisStatus.SUCCESS);
        const fates = account(w, posted, block.netBufferListChain);
        // Acknowledged ones first, then those that were not; nothing acknowledged stands behind something that was not.
        const rank = fates.map((fate) => (fate === 'SUCCESS' ? 0 : 1));
        expect(rank).toEqual([...rank].sort());
        expect(w.target.control.held()).toMatchObject({ sends: 0, disconnects: 0, operations: 0 });
      }),
      { numRuns: 300 },
    );
  });
});
