import { describe, expect, test } from 'vitest';
import { TcpUploadReason } from '../../src/ndis/protocol.ts';
import { Mdl, NetBuffer, NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpConnectionState } from '../../src/state/tcp.ts';
import { buildFrame, segmentOf } from './support/frames.ts';
import { address, ascii, type Connection, PEER_MAC, World } from './support/world.ts';

function world(options: ConstructorParameters<typeof World>[0] = {}): { w: World; c: Connection } {
  const w = new World(options);
  return { w, c: w.offload() };
}

describe('what goes up the ordinary way', () => {
  test('everything, while nothing is offloaded; frames arrive as they were (NBL-019, CAP-015)', () => {
    const w = new World();
    const arp = new Uint8Array(60).fill(7);
    w.link.deliver(arp, arp);
    expect(w.host.takeLog()).toEqual(['frame', 'frame']);
    expect(w.host.frames[0]).toEqual(arp);
    expect(w.host.receiveDones).toBe(1);
  });

  test('fragments, IP options, other protocols, other connections (TCP-072 to TCP-078)', () => {
    const { w, c } = world();
    const withOptions = c.frame({ text: ascii('x') });
    const longer = new Uint8Array(withOptions.length + 4);
    longer.set(withOptions.subarray(0, 34));
    longer.set([1, 1, 1, 0], 34);
    longer.set(withOptions.subarray(34), 38);
    longer[14] = 0x46;
    longer[17] = longer[17]! + 4;
    fixIpChecksum(longer, 14, 24);
    const others = [
      c.frame({ text: ascii('frag'), ipFlags: 1 }),
      c.frame({ text: ascii('frag'), fragmentOffset: 8 }),
      longer,
      c.frame({ protocol: 17 }),
      buildFrame('ethernet', {
        family: 4,
        source: address(4, 77),
        destination: address(4, 1),
        srcMac: PEER_MAC,
        dstMac: w.link.macAddress,
        srcPort: 4711,
        dstPort: 80,
      }),
    ];
    for (const frame of others) c.receive(frame);
    expect(w.host.takeLog()).toEqual(Array(5).fill('frame'));
    expect(w.host.frames[2]).toEqual(longer);
    expect(w.target.control.stats().ip4.inReceives).toBe(0n);
  });

  test('bad headers and checksums, uncounted (STAT-026, STAT-028)', () => {
    const { w, c } = world();
    const badIp = c.frame({ text: ascii('x') });
    badIp[24]! ^= 1;
    c.receive(badIp, c.frame({ text: ascii('x'), badChecksum: true }));
    expect(w.host.takeLog()).toEqual(['frame', 'frame']);
    const { ip4, tcp4 } = w.target.control.stats();
    expect(ip4).toMatchObject({ inReceives: 0n, inHeaderErrors: 0 });
    expect(tcp4).toMatchObject({ inSegments: 0n, inErrors: 0 });
    expect(w.trace.countOf('TARGET_CHECKSUM_BAD')).toBe(1);
  });

  test('truncated and random frames: no throw, everything goes up', () => {
    const { w, c } = world();
    const whole = c.frame({ text: ascii('hello') });
    for (let length = 0; length < whole.length; length++) c.receive(whole.subarray(0, length));
    expect(w.host.frames).toHaveLength(whole.length);
    for (let i = 0; i < 20_000; i++) {
      const frame = whole.slice();
      for (let n = 0; n < 3; n++) frame[w.runtime.random.nextUint32() % frame.length] = w.runtime.random.nextUint32();
      w.link.receiver!.receive(frame, 0, frame.length);
    }
    w.link.receiver!.receiveDone();
    expect(w.target.control.connections()).toHaveLength(1);
  });
});

function fixIpChecksum(bytes: Uint8Array, at: number, length: number): void {
  bytes[at + 10] = 0;
  bytes[at + 11] = 0;
  let sum = 0;
  for (let i = 0; i < length; i += 2) sum += (bytes[at + i]! << 8) | bytes[at + i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes[at + 10] = (~sum >> 8) & 255;
  bytes[at + 11] = ~sum & 255;
}

describe('link layer', () => {
  test('VLAN of the neighbor: others are dropped, with VLAN 0 all are taken, whatever their priority and in their order [VLAN-016, VLAN-017, VLAN-018, VLAN-019]', () => {
    const w = new World();
    const c = w.offload({}, {}, { vlanId: 5 });
    c.receive(c.frame({ text: ascii('a') }));
    c.receive(c.frame({ text: ascii('a'), vlanTci: 6 }));
    expect(w.host.takeLog()).toEqual([]);
    c.receive(c.frame({ text: ascii('a'), vlanTci: (7 << 13) | 5 }));
    expect(w.host.takeLog()).toEqual(['indicate 1 SUCCESS']);
    expect(w.trace.countOf('TARGET_VLAN_DROPPED')).toBe(2);

    const zero = world();
    for (const vlanTci of [-1, 0, 9]) zero.c.receive(zero.c.frame({ ...nextText(zero.c), vlanTci }));
    expect(zero.w.host.takeLog()).toEqual(Array(3).fill('indicate 1 SUCCESS'));

    // One batch, low priorities before high ones: the connection's order is that of the wire.
    const mixed = world();
    const frames = [0, 7, 3, 6].map((priority, i) => {
      const frame = mixed.c.frame({ text: ascii(String(i)), vlanTci: priority << 13 });
      mixed.c.peerSeq++;
      return frame;
    });
    mixed.c.receive(...frames);
    expect(mixed.w.host.indicated.map((bytes) => String.fromCharCode(...bytes)).join('')).toBe('0123');
  });

  test('tags of frames sent [VLAN-001, VLAN-002, VLAN-003, VLAN-012, VLAN-013, VLAN-014, VLAN-015]', () => {
    const sent = (vlanId: number, userPriority: number, supports8021p = true): object => {
      const w = new World({ supports8021p });
      const c = w.offload({ userPriority }, {}, { vlanId });
      c.send(netBufferListOver(ascii('x')));
      w.settle();
      const { tagged, vlanId: vlan, priority } = w.sent()[0]!;
      return { tagged, vlan, priority };
    };
    expect(sent(0, 0)).toEqual({ tagged: false, vlan: 0, priority: 0 });
    expect(sent(0, 3)).toEqual({ tagged: true, vlan: 0, priority: 3 });
    expect(sent(5, 0)).toEqual({ tagged: true, vlan: 5, priority: 0 });
    expect(sent(5, 3)).toEqual({ tagged: true, vlan: 5, priority: 3 });
    expect(sent(0, 3, false)).toEqual({ tagged: false, vlan: 0, priority: 0 }); // STATE-050
  });

  test("source MAC of the neighbor, or the interface's; frames to another go up raw (STATE-008, STATE-009, STATE-011, STATE-012)", () => {
    const own = new Uint8Array([2, 9, 9, 9, 9, 9]);
    const group = new Uint8Array([1, 0, 0x5e, 1, 1, 1]);
    const w = new World({ multicastAddresses: [group] });
    const c = w.offload({}, {}, { source: own });
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.sent()[0]!.srcMac).toEqual(own);
    c.receive(c.frame({ ...nextText(c), dstMac: own }));
    c.receive(c.frame({ ...nextText(c), dstMac: group }));
    expect(w.host.takeLog()).toEqual(['indicate 1 SUCCESS', 'indicate 1 SUCCESS']);
    c.receive(c.frame({ text: ascii('z') }));
    expect(w.host.takeLog()).toEqual(['frame']);
    const { w: w2, c: c2 } = world();
    c2.send(netBufferListOver(ascii('x')));
    w2.settle();
    expect(w2.sent()[0]!.srcMac).toEqual(w2.link.macAddress);
  });
});

function nextText(c: Connection): { text: Uint8Array; seq: number } {
  const seq = c.peerSeq++;
  return { text: ascii('a'), seq };
}

describe('special segments', () => {
  test('valid urgent data: upload asked for, nothing acknowledged from there on, frames up after the terminate (TCP-079, TCP-081 to TCP-085, TCP-087, EVT-010)', () => {
    const { w, c } = world();
    c.receive(c.text('plain'));
    w.runtime.advance(50_000);
    w.host.takeLog();
    w.sent();
    const urgent = c.text('!', 'UA');
    const after = c.text('after');
    c.receive(urgent, after);
    expect(w.host.takeLog()).toEqual([`event retrieve ${TcpUploadReason.RECEIVED_URGENT_DATA}`]);
    w.runtime.advance(1_000_000);
    expect(w.sent()).toEqual([]);
    const block = c.terminate();
    expect(block.delegatedState).toMatchObject({ rcvNxt: 5_005 });
    expect(w.host.takeLog()).toEqual(['terminate complete', 'frame', 'frame']);
    expect(w.host.frames).toEqual([urgent, after]);
  });

  test('urgent data out of the window is dropped and the connection goes on (TCP-080)', () => {
    const { w, c } = world();
    c.receive(c.frame({ flags: 'UA', seq: 5_000 + 1_000_000, text: ascii('!') }));
    expect(w.host.takeLog()).toEqual([]);
    c.receive(c.text('ok'));
    expect(w.host.takeLog()).toEqual(['indicate 2 SUCCESS']);
  });

  test('what is held behind urgent data is bounded', () => {
    const { w, c } = world();
    c.receive(c.text('!', 'UA'));
    for (let i = 0; i < 400; i++) c.receive(c.text('x'));
    expect(w.trace.countOf('TARGET_HELD')).toBe(256);
    expect(w.trace.countOf('TARGET_HELD_DROPPED')).toBe(145);
  });

  test('a SYN at RcvNxt: upload in CLOSED (TCP-089)', () => {
    const { w, c } = world();
    c.receive(c.frame({ flags: 'S' }));
    expect(w.host.takeLog()).toEqual([`event retrieve ${TcpUploadReason.UPLOAD_REQUESTED}`]);
    expect(c.terminate().delegatedState).toMatchObject({ state: TcpConnectionState.CLOSED });
    expect(w.target.control.stats().tcp4.resetEstablished).toBe(1);
  });

  test('a SYN elsewhere is challenged, at most once in 3 s inside the window (TCP-090 to TCP-094)', () => {
    const { w, c } = world();
    c.receive(c.frame({ flags: 'S', seq: 5_100 }), c.frame({ flags: 'S', seq: 5_200 }));
    w.runtime.advance(100_000);
    expect(w.sent().map((f) => [f.flags, f.ack])).toEqual([['A', 5_000]]);
    w.runtime.advance(3_000_000);
    c.receive(c.frame({ flags: 'S', seq: 5_100 }));
    expect(w.sent()).toHaveLength(1);
    expect(w.host.takeLog()).toEqual([]);
  });

  test('an RST in the window but not at RcvNxt is challenged once (TCP-097)', () => {
    const { w, c } = world();
    c.receive(c.frame({ flags: 'R', seq: 5_100 }), c.frame({ flags: 'R', seq: 5_101 }));
    w.runtime.advance(1_000_000);
    expect(w.sent().map((f) => f.flags)).toEqual(['A']);
    expect(w.host.takeLog()).toEqual([]);
  });

  test('a SYN in TIME_WAIT, and anything in CLOSED, goes up raw (TCP-088, DISC-044)', () => {
    const w = new World();
    const c = w.offload({ state: TcpConnectionState.FIN_WAIT2 });
    c.receive(c.frame({ flags: 'FA' }));
    w.host.takeLog();
    c.receive(c.frame({ flags: 'S', seq: 9_000 }));
    expect(w.host.takeLog()).toEqual(['frame']);
  });

  test('a connection that closed in good order passes up what still comes (DISC-033, DISC-044)', () => {
    const w = new World();
    const c = w.offload({ state: TcpConnectionState.CLOSE_WAIT });
    c.disconnect();
    w.settle();
    c.ackTo(1_001);
    expect(w.host.takeLog()).toEqual(['disconnect SUCCESS:0']);
    c.receive(c.frame({ flags: 'A' }));
    expect(w.host.takeLog()).toEqual(['frame']);
  });

  test('text out of order is kept and delivered once, in order (TCP-120, TCP-135)', () => {
    const { w, c } = world();
    const [a, b, d] = [c.text('aa'), c.text('bb'), c.text('dd')];
    c.receive(d);
    c.receive(b, d);
    c.receive(a, b);
    expect(w.host.indicated.map((x) => String.fromCharCode(...x)).join('')).toBe('aabbdd');
  });
});

describe('acknowledgement', () => {
  test('one ACK answers a batch (TCP-009, TCP-114)', () => {
    const { w, c } = world();
    c.receive(...Array.from({ length: 10 }, () => c.text(1_000)));
    expect(w.sent().map((f) => f.ack)).toEqual([15_000]);
  });

  test('a single segment is acknowledged after TcpDelayedAckTicks (TCP-008)', () => {
    const { w, c } = world({ parameters: { tcpDelayedAckTicks: 100 } });
    c.receive(c.text('x'));
    w.runtime.advance(99_000);
    expect(w.sent()).toEqual([]);
    w.runtime.advance(1_000);
    expect(w.sent()).toHaveLength(1);
  });
});

describe('timers of several connections', () => {
  test('each fires at its own time', () => {
    const w = new World();
    const [a, b] = [w.offload(), w.offload({ localPort: 81 }, { remote: 3 })];
    w.runtime.advance(5_000);
    a.receive(a.text('a'));
    w.runtime.advance(10_000);
    b.receive(b.text('b'));
    w.runtime.advance(29_900);
    expect(w.sent()).toEqual([]);
    w.runtime.advance(100);
    expect(w.sent().map((f) => f.srcPort)).toEqual([80]);
    w.runtime.advance(10_000);
    expect(w.sent().map((f) => f.srcPort)).toEqual([81]);
  });
});

describe('forward', () => {
  test('segments are processed like received ones and come back, several with one call and one completion (FWD-001, FWD-014, FWD-015, FWD-017, FWD-018)', () => {
    const { w, c } = world();
    const lists = ['abc', 'def'].map((s) => netBufferListOver(segmentOf(c.text(s))));
    lists[0]!.next = lists[1]!;
    c.forward(lists[0]!);
    expect(w.host.takeLog()).toEqual([]);
    w.settle();
    expect(w.host.takeLog()).toEqual(['forward SUCCESS:0 SUCCESS:0', 'indicate 6 SUCCESS']);
    expect(w.host.forwards.map((d) => d.list)).toEqual(lists);
    expect(w.sent().at(-1)!.ack).toBe(5_006);
  });

  test('in several MDLs; a bad one is counted and comes back (FWD-012, FWD-019)', () => {
    const { w, c } = world();
    const segment = segmentOf(c.text('hello'));
    const first = new Mdl(segment, 0, 7);
    first.next = new Mdl(segment, 7);
    c.forward(new NetBufferList(new NetBuffer(first, segment.length)));
    c.forward(netBufferListOver(new Uint8Array(5)));
    w.settle();
    expect(w.host.takeLog()).toEqual(['forward SUCCESS:0 SUCCESS:0', 'indicate 5 SUCCESS']);
    expect(w.target.control.stats().tcp4.inErrors).toBe(1);
  });

  test("urgent data that is forwarded stays the host's (TCP-084)", () => {
    const { w, c } = world();
    c.forward(netBufferListOver(segmentOf(c.text('!', 'UA'))));
    w.settle();
    expect(w.host.takeLog()).toEqual([
      'forward UPLOAD_IN_PROGRESS:0',
      `event retrieve ${TcpUploadReason.RECEIVED_URGENT_DATA}`,
    ]);
  });

  test('a segment that was received and is forwarded as well is taken once (TCP-135)', () => {
    const { w, c } = world();
    const frame = c.text('once');
    c.receive(frame);
    c.forward(netBufferListOver(segmentOf(frame)));
    w.settle();
    expect(w.host.indicated).toHaveLength(1);
  });
});
