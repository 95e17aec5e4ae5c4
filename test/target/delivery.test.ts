import { describe, expect, test } from 'vitest';
import { NdisStatus, TcpOffloadEventType } from '../../src/ndis/protocol.ts';
import { Mdl, NetBuffer, NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { bytesOf } from './support/fake-host.ts';
import { ascii, type Connection, pattern, subject, World } from './support/world.ts';

const REFUSE = { status: NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, consumed: 0 };

function world(options: ConstructorParameters<typeof World>[0] = {}): { w: World; c: Connection } {
  const w = new World(options);
  return { w, c: w.offload() };
}

/** What stands in a posted request from its start, however far its data start was moved. */
function contents(list: NetBufferList, length: number): string {
  const mdl = list.firstNetBuffer!.mdlChain!;
  return String.fromCharCode(...mdl.buffer.subarray(mdl.byteOffset, mdl.byteOffset + length));
}

function text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

describe('the delivery algorithm: a segment arrives', () => {
  test('without requests and buffered data it is indicated, alone and with SUCCESS (RECV-030, RECV-068, RECV-069, RECV-071)', () => {
    const { w, c } = world();
    c.receive(c.text('hello'));
    expect(w.host.takeLog()).toEqual(['indicate 5 SUCCESS']);
    expect(text(w.host.indicated[0]!)).toBe('hello');
  });

  test('with requests it goes into the oldest, and full ones are completed at once in one call (RECV-008, RECV-013, RECV-020, RECV-021, RECV-052, RECV-058)', () => {
    const { w, c } = world();
    const first = c.postBytes(3);
    const second = c.postBytes(2);
    c.receive(c.text('abcde'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3 SUCCESS:2']);
    expect(contents(first, 3)).toBe('abc');
    expect(contents(second, 2)).toBe('de');
    expect(first.firstNetBuffer!.dataLength).toBe(0); // RECV-067: advanced by what was placed
    expect(w.host.indicated).toEqual([]);
  });

  test('what is left when all requests are used is indicated (RECV-023)', () => {
    const { w, c } = world();
    c.postBytes(4);
    c.receive(c.text('abcdefg'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:4', 'indicate 3 SUCCESS']);
    expect(text(w.host.indicated[0]!)).toBe('efg');
  });

  test('PSH completes a request that is partly full in push mode (RECV-026, RECV-027)', () => {
    const { w, c } = world();
    const list = c.postBytes(10);
    c.receive(c.text('abc', 'PA'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3']);
    expect(list.firstNetBuffer!.dataLength).toBe(7);
    expect(list.firstNetBuffer!.dataOffset).toBe(3);
    w.runtime.advance(2_000_000);
    expect(w.host.takeLog()).toEqual([]);
  });

  test('without PSH the push timer completes it, TcpPushTicks after the first byte (RECV-028, RECV-046, RECV-051, TCP-015)', () => {
    const { w, c } = world({ parameters: { tcpPushTicks: 300 } });
    c.postBytes(10);
    c.receive(c.text('abc', 'A'));
    w.runtime.advance(299_000);
    expect(w.host.takeLog()).toEqual([]);
    w.runtime.advance(1_000);
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3']);
  });

  test('data while the push timer runs restarts it (RECV-055, TCP-053)', () => {
    const { w, c } = world();
    c.postBytes(10);
    c.receive(c.text('abc', 'A'));
    w.runtime.advance(400_000);
    c.receive(c.text('de', 'A'));
    w.runtime.advance(400_000);
    expect(w.host.takeLog()).toEqual([]);
    w.runtime.advance(100_000);
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:5']);
  });

  test('completing a request stops the push timer; its later expiry does nothing (RECV-022, RECV-045)', () => {
    const { w, c } = world();
    c.postBytes(4);
    c.receive(c.text('abc', 'A'));
    w.runtime.advance(100_000);
    c.receive(c.text('d', 'A'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:4']);
    w.runtime.advance(2_000_000);
    expect(w.host.takeLog()).toEqual([]);
  });

  test('a nonpush request waits until it is full, PSH and time notwithstanding (RECV-025, RECV-047 to RECV-049, RECV-053, RECV-054)', () => {
    const { w, c } = world();
    c.postBytes(6, true);
    c.receive(c.text('abc', 'PA'));
    w.runtime.advance(5_000_000);
    expect(w.host.takeLog()).toEqual([]);
    c.receive(c.text('def', 'A'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:6']);
  });

  test('after a refusal data is appended and nothing is indicated until a request comes (RECV-029, RECV-039, RECV-040, RECV-074, RECV-076)', () => {
    const { w, c } = world();
    w.host.answer = () => REFUSE;
    c.receive(c.text('abc'));
    c.receive(c.text('def'));
    w.runtime.advance(3_000_000);
    expect(w.host.takeLog()).toEqual(['indicate 3 SUCCESS']);
    expect(w.target.control.held().indicatedLists).toBe(0);
    expect(c.query().receiveBacklogSize).toBe(6); // QRY-021, STATE-075
  });

  test('requests after a refusal take the data first, then the rest is indicated (RECV-033, RECV-041, RECV-078)', () => {
    const { w, c } = world();
    w.host.answer = () => REFUSE;
    c.receive(c.text('abcdef'));
    w.host.takeLog();
    w.host.answer = (bytes) => ({ status: NdisStatus.SUCCESS, consumed: bytes.length });
    const list = c.postBytes(4);
    expect(w.host.takeLog()).toEqual([]); // never from inside the entry
    w.settle();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:4', 'indicate 2 SUCCESS']);
    expect(contents(list, 4)).toBe('abcd');
    expect(text(w.host.indicated[1]!)).toBe('ef');
  });

  test('buffered data that ended with PSH completes a partly full push request, without PSH the timer does (RECV-026, RECV-028)', () => {
    for (const [flags, waitUs] of [
      ['PA', 0],
      ['A', 500_000],
    ] as const) {
      const { w, c } = world();
      w.host.answer = () => REFUSE;
      c.receive(c.text('abc', flags));
      w.host.takeLog();
      c.postBytes(10);
      w.runtime.advance(waitUs);
      expect(w.host.takeLog()).toEqual(['receive SUCCESS:3']);
    }
  });

  test('a zero-byte request takes nothing, is completed, and lets data be indicated again (RECV-042 to RECV-044)', () => {
    const { w, c } = world();
    w.host.answer = () => REFUSE;
    c.receive(c.text('abc'));
    w.host.takeLog();
    w.host.answer = (bytes) => ({ status: NdisStatus.SUCCESS, consumed: bytes.length });
    c.postBytes(0);
    w.settle();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:0', 'indicate 3 SUCCESS']);
  });

  test('partial acceptance: what was taken is dropped, the rest waits for requests (RECV-075, RECV-079)', () => {
    const { w, c } = world();
    w.host.answer = () => ({ status: NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED, consumed: 2 });
    c.receive(c.text('abcdef'));
    c.receive(c.text('gh'));
    w.settle();
    expect(w.host.takeLog()).toEqual(['indicate 6 SUCCESS']);
    const list = c.postBytes(6);
    w.settle();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:6']);
    expect(contents(list, 6)).toBe('cdefgh');
    expect(w.target.control.held()).toMatchObject({ indicatedLists: 0, receiveBlocks: 0 });
  });

  test('a request posted inside a refused indication takes the data (RECV-031, RECV-038)', () => {
    const { w, c } = world();
    w.host.answer = () => REFUSE;
    let list: NetBufferList | null = null;
    w.host.onIndicate = () => {
      list ??= c.postBytes(3);
    };
    c.receive(c.text('abcde'));
    w.settle();
    expect(w.host.takeLog()).toEqual(['indicate 5 SUCCESS', 'receive SUCCESS:3', 'indicate 2 SUCCESS']);
    expect(contents(list!, 3)).toBe('abc');
  });

  test('a request posted inside an accepted indication gets what follows (RECV-035)', () => {
    const { w, c } = world();
    let list: NetBufferList | null = null;
    w.host.onIndicate = () => {
      list ??= c.postBytes(3);
    };
    c.receive(c.text('abc'));
    c.receive(c.text('def'));
    w.settle();
    expect(w.host.takeLog()).toEqual(['indicate 3 SUCCESS', 'receive SUCCESS:3']);
    expect(contents(list!, 3)).toBe('def');
  });

  test('posting from inside a completion is queued and no completion nests (RECV-015, RECV-017, RECV-031)', () => {
    const { w, c } = world();
    let depth = 0;
    let posted = 0;
    w.host.answer = () => REFUSE;
    c.receive(c.text('abcdef'));
    w.host.takeLog();
    w.host.onReceiveComplete = () => {
      expect(depth).toBe(0);
      depth++;
      if (posted++ < 2) c.postBytes(2);
      depth--;
    };
    c.postBytes(2);
    w.settle();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:2', 'receive SUCCESS:2', 'receive SUCCESS:2']);
  });

  test('segments of one batch are indicated together, as more MDLs or a longer one (RECV-070)', () => {
    const { w, c } = world();
    c.receive(c.text('abc'), c.text('def'), c.text('ghi'));
    expect(w.host.takeLog()).toEqual(['indicate 9 SUCCESS']);
    expect(text(w.host.indicated[0]!)).toBe('abcdefghi');
  });
});

describe('indication size', () => {
  test('RcvIndicationSize is what is indicated; the request posted for the rest gets it (RECV-087, RECV-088, STATE-034)', () => {
    const w = new World();
    const c = w.offload({ rcvIndicationSize: 4 });
    let list: NetBufferList | null = null;
    w.host.onIndicate = () => {
      list ??= c.postBytes(6);
    };
    c.receive(c.text('headbody..'));
    w.settle();
    expect(w.host.takeLog()).toEqual(['indicate 4 SUCCESS', 'receive SUCCESS:6']);
    expect(contents(list!, 6)).toBe('body..');
  });

  if (!subject.isApart)
    test('without a request the rest is indicated in the next turn: it is a hint, nothing gets stuck (RECV-036, STATE-034)', () => {
      const w = new World();
      const c = w.offload({ rcvIndicationSize: 4 });
      c.receive(c.text('abcdefghij'));
      expect(w.host.takeLog()).toEqual(['indicate 4 SUCCESS']);
      w.settle();
      expect(w.host.takeLog()).toEqual(['indicate 4 SUCCESS', 'indicate 2 SUCCESS']);
      expect(w.host.indicated.map(text).join('')).toBe('abcdefghij');
    });

  test('zero means as much as there is (RECV-089, STATE-035)', () => {
    const { w, c } = world({ mtu: 9000 });
    c.receive(c.text(8_000), c.text(8_000), c.text(8_000), c.text(8_000), c.text(8_000));
    expect(w.host.takeLog()).toEqual(['indicate 40000 SUCCESS']);
    expect(w.host.indicated[0]).toEqual(pattern(5_000, 40_000));
  });
});

describe('posted requests', () => {
  test('a post answers PENDING and completes nothing from inside (RECV-001, RECV-003)', () => {
    const { w, c } = world();
    expect(c.post(netBufferListOver(new Uint8Array(5)))).toBe(NdisStatus.PENDING);
    expect(w.host.takeLog()).toEqual([]);
  });

  test('a chain of one post may come back over several completions, and one completion from several posts (RECV-005, RECV-059, RECV-060)', () => {
    const { w, c } = world();
    const lists = [2, 2, 2].map((n) => netBufferListOver(new Uint8Array(n)));
    lists[0]!.next = lists[1]!;
    lists[1]!.next = lists[2]!;
    c.post(lists[0]!);
    c.postBytes(2);
    c.receive(c.text('ab', 'A'));
    c.receive(c.text('cdefgh', 'A'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:2', 'receive SUCCESS:2 SUCCESS:2 SUCCESS:2']);
    expect(w.host.receives.slice(0, 3).map((d) => d.list)).toEqual(lists); // NBL-010, RECV-009
  });

  test('a request over several MDLs is filled across them (RECV-020)', () => {
    const { w, c } = world();
    const buffer = new Uint8Array(20);
    const third = new Mdl(buffer, 10, 4);
    const second = new Mdl(buffer, 5, 2);
    second.next = third;
    const first = new Mdl(buffer, 0, 3);
    first.next = second;
    const list = new NetBufferList(new NetBuffer(first, 9));
    c.post(list);
    c.receive(c.text('abcd', 'A'));
    c.receive(c.text('efghi', 'A'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:9']);
    expect(text(buffer)).toBe('abc\0\0de\0\0\0fghi\0\0\0\0\0\0');
  });

  test('a nonpush buffer that came with data is filled on from there (RECV-056, RECV-057, RECV-067)', () => {
    const { w, c } = world();
    const buffer = new Uint8Array(8);
    buffer.set(ascii('xyz'));
    const list = netBufferListOver(buffer);
    list.tcpReceiveNoPush = true;
    list.tcpReceiveBytesTransferred = 3;
    c.post(list);
    c.receive(c.text('abcde'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:5']);
    expect(text(buffer)).toBe('xyzabcde');
  });

  test('a push buffer that came with data starts the push timer at once (RECV-050)', () => {
    const { w, c } = world();
    c.postBytes(8, false, 3);
    w.runtime.advance(500_000);
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:0']);
  });

  test('requests without any data wait (RECV-032, RECV-024)', () => {
    const { w, c } = world();
    c.postBytes(5);
    c.postBytes(5);
    w.runtime.advance(10_000_000);
    expect(w.host.takeLog()).toEqual([]);
    expect(w.target.control.held().receives).toBe(1);
  });
});

describe('indicated lists', () => {
  test("accepted ones are the host's until they return, in any order and number (RECV-077, RECV-084, NBL-005)", () => {
    const { w, c } = world();
    c.receive(c.text('abc'));
    c.receive(c.text('def'));
    c.receive(c.text('ghi'));
    expect(w.target.control.held().indicatedLists).toBe(3);
    w.host.kept.reverse();
    c.returnLists();
    expect(w.target.control.held()).toMatchObject({ indicatedLists: 0, receiveBlocks: 0 });
  });

  test('their bytes stay what they were while the host holds them (NBL-005)', () => {
    const { w, c } = world({ receivePoolBytes: 256 * 1024 });
    const seen: Uint8Array[] = [];
    for (let i = 0; i < 40; i++) {
      c.receive(c.text(1_000));
      seen.push(w.host.indicated.at(-1)!);
    }
    expect(w.host.kept.map(bytesOf)).toEqual(seen);
    c.returnLists();
    expect(w.host.indicated.reduce((sum, b) => sum + b.length, 0)).toBe(40_000);
  });

  test('a list that comes back twice, or never was out, is counted and does no harm (NBL-009)', () => {
    const { w, c } = world();
    c.receive(c.text('abc'));
    const list = w.host.kept[0]!;
    c.returnLists();
    w.target.tcpOffloadReceiveReturn(w.target, list);
    w.target.tcpOffloadReceiveReturn(w.target, netBufferListOver(new Uint8Array(3)));
    expect(w.trace.countOf('TARGET_RETURN_UNKNOWN')).toBe(2);
    expect(w.target.control.held().indicatedLists).toBe(0);
  });

  test('returned from inside the indication they are used again (RECV-085)', () => {
    const { w, c } = world();
    w.host.onIndicate = () => c.returnLists();
    for (let i = 0; i < 100; i++) c.receive(c.text(1_400));
    expect(w.target.control.held()).toMatchObject({ indicatedLists: 0, receiveBlocks: 0 });
  });
});

describe('window and memory', () => {
  test('the window closes by what is not taken and opens when it is (RECV-091, UPD-016)', () => {
    const w = new World();
    const c = w.offload({ window: 8_000 });
    w.host.answer = () => REFUSE;
    for (let i = 0; i < 5; i++) c.receive(c.text(1_460));
    w.runtime.advance(50_000);
    expect(w.sent().at(-1)!.window << 2).toBe(8_000 - 5 * 1_460);
    c.postBytes(7_300);
    w.settle();
    expect(w.sent().at(-1)!.window << 2).toBeGreaterThanOrEqual(7_000);
  });

  test('text for which there is no memory is dropped unacknowledged, and taken when it comes again (STAT-013)', () => {
    const w = new World({ receivePoolBytes: 32 * 1024 });
    const c = w.offload({ window: 65_536 });
    const frames: Uint8Array[] = [];
    for (let i = 0; i < 30; i++) frames.push(c.text(1_460));
    for (const frame of frames) c.receive(frame); // every indication is kept
    expect(w.trace.countOf('TARGET_NO_ROOM')).toBeGreaterThan(0);
    expect(w.target.control.stats().ip4.inDiscards).toBeGreaterThan(0);
    const got = (): number => w.host.indicated.reduce((sum, b) => sum + b.length, 0);
    const before = got();
    expect(before).toBeLessThanOrEqual(32 * 1024);
    c.returnLists();
    for (const frame of frames) c.receive(frame);
    expect(got()).toBeGreaterThan(before);
    expect(w.host.indicated.flatMap((b) => [...b])).toEqual([...pattern(5_000, got())]);
  });

  test('a window held down by the pool opens when lists come back', () => {
    const w = new World({ receivePoolBytes: 64 * 1024 });
    const c = w.offload({ window: 65_536 });
    for (let i = 0; i < 40; i++) c.receive(c.text(1_460));
    w.runtime.advance(50_000);
    expect(w.sent().at(-1)!.window << 2).toBeLessThan(15_000);
    c.returnLists();
    w.settle();
    expect(w.sent().at(-1)!.window << 2).toBeGreaterThan(60_000);
  });
});

describe("after the peer's FIN", () => {
  test('TcpIndicateDisconnect comes once everything before it was consumed (DISC-034, DISC-035, EVT-029)', () => {
    const { w, c } = world();
    w.host.answer = () => REFUSE;
    c.receive(c.text('abc', 'FPA'));
    expect(w.host.takeLog()).toEqual(['indicate 3 SUCCESS']);
    c.postBytes(2);
    w.settle();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:2', 'indicate 1 SUCCESS']);
    c.postBytes(1);
    w.settle();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:1', 'event disconnect 0']);
    expect(w.host.events[0]!.handle).toBe(c.tcp.handle);
    expect(w.host.events[0]!.type).toBe(TcpOffloadEventType.INDICATE_DISCONNECT);
  });

  test('a request posted after it is answered INVALID_STATE (RECV-065)', () => {
    const { w, c } = world();
    c.receive(c.frame({ flags: 'FA' }));
    expect(w.host.takeLog()).toEqual(['event disconnect 0']);
    c.postBytes(5);
    w.settle();
    expect(w.host.takeLog()).toEqual(['receive INVALID_STATE:0']);
  });

  test('requests that wait are completed with what they have, before the event (DISC-035, RECV-044)', () => {
    const { w, c } = world();
    c.postBytes(10, true);
    c.postBytes(10);
    c.receive(c.text('abc', 'FA'));
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:3 SUCCESS:0', 'event disconnect 0']);
  });

  test('sends still work in CLOSE_WAIT (DISC-036)', () => {
    const { w, c } = world();
    c.receive(c.frame({ flags: 'FA' }));
    w.settle();
    w.sent();
    c.send(netBufferListOver(ascii('bye')));
    w.settle();
    const [frame] = w.sent();
    expect(text(frame!.text)).toBe('bye');
    expect(frame!.ack).toBe(5_001);
  });
});
