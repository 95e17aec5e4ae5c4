import { describe, expect, test } from 'vitest';
import { NdisStatus, TcpOffloadEventType, TcpUploadReason } from '../../src/ndis/protocol.ts';
import { Mdl, NetBuffer, NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpConnectionState } from '../../src/state/tcp.ts';
import { ascii, type Connection, pattern, subject, World } from './support/world.ts';

function world(options: ConstructorParameters<typeof World>[0] = {}): { w: World; c: Connection } {
  const w = new World(options);
  return { w, c: w.offload() };
}

function text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function sentText(w: World): string {
  return w
    .sent()
    .map((f) => text(f.text))
    .join('');
}

describe('sends', () => {
  test('answer PENDING, complete when every byte is acknowledged (SEND-001, SEND-002, SEND-017, SEND-024, SEND-025)', () => {
    const { w, c } = world();
    const list = netBufferListOver(ascii('hello'));
    expect(c.send(list)).toBe(NdisStatus.PENDING);
    w.settle();
    const [frame] = w.sent();
    expect(frame).toMatchObject({ seq: 1_000, ack: 5_000, flags: 'PA', df: true, ttl: 64, srcPort: 80, dstPort: 4711 });
    expect(text(frame!.text)).toBe('hello');
    expect(frame!.ipId).toBeGreaterThanOrEqual(0x8000); // SEND-040
    c.ackTo(1_003);
    expect(w.host.takeLog()).toEqual([]);
    c.ackTo(1_005);
    expect(w.host.takeLog()).toEqual(['send SUCCESS:5']);
    expect(w.host.sends[0]!.list).toBe(list); // NBL-010
    expect(list.firstNetBuffer).toMatchObject({ dataLength: 0, dataOffset: 5 });
  });

  test('lists of several calls leave in order and come back together, one completion a batch (SEND-004, SEND-005, SEND-027)', () => {
    const { w, c } = world();
    const chain = netBufferListOver(ascii('ab'));
    chain.next = netBufferListOver(ascii('cd'));
    c.send(chain);
    c.send(netBufferListOver(ascii('ef')));
    w.settle();
    expect(sentText(w)).toBe('abcdef');
    c.receive(c.frame({ flags: 'A', ack: 1_003 }), c.frame({ flags: 'A', ack: 1_006 }));
    expect(w.host.takeLog()).toEqual(['send SUCCESS:2 SUCCESS:2 SUCCESS:2']);
  });

  test('several NET_BUFFERs of several MDLs in one list (SEND-004, NBL-012)', () => {
    const { w, c } = world();
    const a = new Mdl(ascii('..abc'), 2);
    a.next = new Mdl(ascii('de.'), 0, 2);
    const nb = new NetBuffer(a, 5);
    nb.next = new NetBuffer(new Mdl(ascii('fg')), 2);
    c.send(new NetBufferList(nb));
    w.settle();
    expect(sentText(w)).toBe('abcdefg');
    c.ackTo(1_007);
    expect(w.host.takeLog()).toEqual(['send SUCCESS:7']);
  });

  test('a closed window queues, never refuses (SEND-006, SEND-007)', () => {
    const w = new World();
    const c = w.offload({ sndWnd: 4 });
    c.send(netBufferListOver(ascii('abcdefgh')));
    w.settle();
    c.receive(c.frame({ flags: 'A', ack: 1_000, window: 100 }));
    expect(sentText(w)).toContain('abcdefgh'.slice(0, 4));
    w.runtime.advance(1_000_000);
    expect(w.host.takeLog()).toEqual([]);
  });

  test('PSH stands at the end of a list (SEND-014)', () => {
    const { w, c } = world();
    c.send(netBufferListOver(pattern(1_000, 3_000)));
    w.settle();
    expect(w.sent().map((f) => [f.text.length, f.flags])).toEqual([
      [1_460, 'A'],
      [1_460, 'A'],
      [80, 'PA'],
    ]);
  });

  test('what is lost is sent again (STAT-017, STAT-020)', () => {
    const { w, c } = world();
    c.send(netBufferListOver(ascii('hello')));
    w.settle();
    w.sent();
    w.runtime.advance(2_000_000);
    expect(text(w.sent()[0]!.text)).toBe('hello');
    c.ackTo(1_005);
    expect(w.host.takeLog()[0]).toBe('send SUCCESS:5');
    const { tcp4 } = w.target.control.stats();
    expect(tcp4.retransmittedSegments).toBeGreaterThanOrEqual(1);
    expect(tcp4.outSegments).toBe(1n);
  });

  test('a link that is full holds back; nothing is lost and order is kept', () => {
    const { w, c } = world();
    w.link.room = 2;
    c.send(netBufferListOver(pattern(1_000, 10_000)));
    w.settle();
    expect(w.sent()).toHaveLength(2);
    w.link.room = Number.POSITIVE_INFINITY;
    w.link.receiver!.writable();
    const rest = w.sent();
    expect(rest[0]!.seq).toBe(1_000 + 2 * 1_460);
    expect(rest.reduce((sum, f) => sum + f.text.length, 0)).toBe(10_000 - 2 * 1_460);
    expect(w.target.control.held().frames).toBe(0);
  });

  test('an RST fails this list and all following ones, one of them partly (SEND-018 to SEND-021, SEND-023, DISC-037 to DISC-041, DISC-043)', () => {
    const { w, c } = world();
    const [a, b, d] = ['aaaa', 'bbbb', 'dddd'].map((s) => netBufferListOver(ascii(s)));
    a!.next = b!;
    b!.next = d!;
    c.send(a!);
    c.postBytes(10);
    c.disconnect();
    w.settle();
    c.receive(c.frame({ flags: 'A', ack: 1_006 }));
    expect(w.host.takeLog()).toEqual(['send SUCCESS:4']);
    c.receive(c.frame({ flags: 'RA', ack: 1_006 }));
    expect(w.host.takeLog()).toEqual([
      'event abort 0',
      'send REQUEST_ABORTED:2 REQUEST_ABORTED:0',
      'disconnect REQUEST_ABORTED:0',
      'receive REQUEST_ABORTED:0',
    ]);
    expect(b!.firstNetBuffer!.dataLength).toBe(2);
    expect(w.target.control.held()).toMatchObject({ tcpObjects: 1, sends: 0, receives: 0 }); // DISC-043
    // Later calls fare alike, later segments go up raw (DISC-044).
    c.send(netBufferListOver(ascii('x')));
    c.postBytes(1);
    w.settle();
    expect(w.host.takeLog().sort()).toEqual(['receive REQUEST_ABORTED:0', 'send REQUEST_ABORTED:0']);
    c.receive(c.text('late'));
    expect(w.host.takeLog()).toEqual(['frame']);
    expect(w.target.control.stats().tcp4.resetEstablished).toBe(0); // it was in FIN_WAIT1
  });

  test('an RST in ESTABLISHED is counted, one outside the window raises nothing, and no RST answers (DISC-007, STAT-019, EVT-030, TCP-095, TCP-096)', () => {
    const { w, c } = world();
    c.receive(c.frame({ flags: 'R', seq: 5_000 - 10 }));
    c.receive(c.frame({ flags: 'R', seq: 5_000 + 1_000_000 }));
    expect(w.host.takeLog()).toEqual([]);
    c.receive(c.frame({ flags: 'R', seq: 5_000 }));
    expect(w.host.takeLog()).toEqual(['event abort 0']);
    expect(w.target.control.stats().tcp4.resetEstablished).toBe(1);
    expect(w.link.sentCount).toBe(0); // DISC-007: no RST of ours
  });

  test('once one is given back all later ones are, also when a resume is wanted: the stream gets no hole (SEND-022, SEND-044, SEND-045, EVT-037, TERM-058, TERM-074)', () => {
    const { w, c } = world();
    c.send(netBufferListOver(ascii('aa')));
    w.settle();
    w.target.control.pause();
    w.settle();
    c.send(netBufferListOver(ascii('bb')));
    w.settle(); // SEND-045: a mere pause changes nothing
    expect(sentText(w)).toBe('aabb');
    w.target.control.uploadAll();
    w.settle();
    c.send(netBufferListOver(ascii('cc')));
    w.settle();
    w.target.control.resume();
    w.settle();
    c.send(netBufferListOver(ascii('dd')));
    c.disconnect();
    w.settle();
    expect(w.host.takeLog()).toEqual([
      'status OFFLOAD_PAUSE',
      'status UPLOAD_ALL',
      'send UPLOAD_IN_PROGRESS:0',
      'send UPLOAD_IN_PROGRESS:0',
      'disconnect UPLOAD_IN_PROGRESS:0',
    ]);
    expect(sentText(w)).toBe('');
    c.ackTo(1_004);
    expect(w.host.takeLog()).toEqual(['send SUCCESS:2 SUCCESS:2']);
    // The resume waits for the last connection to go.
    c.terminate();
    expect(w.host.takeLog().at(-1)).toBe('status OFFLOAD_RESUME');
  });

  test('retransmission given up asks for the upload, doubt having been noted on the way (TCP-011, TCP-012, TCP-013, EVT-011)', () => {
    const { w, c } = world({ parameters: { tcpMaximumRetransmissions: 3 } });
    c.send(netBufferListOver(ascii('hello')));
    w.runtime.advance(60_000_000);
    expect(w.host.takeLog()).toEqual([`event retrieve ${TcpUploadReason.TIMEOUT_EXPIRATION}`]);
    const block = c.terminate();
    expect(block.netBufferListChain).not.toBeNull();
    expect(w.trace.countOf('TARGET_PATH_IN_DOUBT')).toBe(1);
  });

  test('the send backlog is told when it has changed by much, and not too often (EVT-006, EVT-024 to EVT-027, STATE-072)', () => {
    const { w, c } = world();
    const before = c.query().sendBacklogSize;
    expect(c.query().sendBacklogSize).toBe(before); // EVT-027, STATE-074: not a matter of what is posted
    c.send(netBufferListOver(ascii('hello')));
    w.settle();
    expect(c.query().sendBacklogSize).toBe(before);
    w.runtime.advance(2_000_000); // lost: the congestion window collapses
    c.ackTo(1_005);
    const backlog = w.host.events.filter((e) => e.type === TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE);
    expect(backlog.map((e) => e.information)).toEqual([c.query().sendBacklogSize]);
    expect(backlog[0]!.information).toBeLessThanOrEqual(before / 2);
    // Small changes are not told.
    for (let i = 0; i < 20; i++) {
      c.send(netBufferListOver(ascii('hello')));
      w.runtime.advance(100_000);
      c.ackTo(1_010 + 5 * i);
    }
    expect(w.host.events).toHaveLength(1);
  });
});

describe('graceful disconnect', () => {
  test('sends are completed first, then FIN acknowledged is SUCCESS (DISC-001, DISC-015, DISC-018, DISC-023, DISC-024)', () => {
    const { w, c } = world();
    c.send(netBufferListOver(ascii('data')));
    expect(c.disconnect()).toBe(NdisStatus.PENDING);
    w.settle();
    const frames = w.sent();
    expect(frames.map((f) => text(f.text)).join('')).toBe('data');
    expect(frames.at(-1)!.flags).toContain('F');
    c.receive(c.frame({ flags: 'A', ack: 1_004 }));
    expect(w.host.takeLog()).toEqual(['send SUCCESS:4']);
    c.ackTo(1_005);
    expect(w.host.takeLog()).toEqual(['disconnect SUCCESS:0']);
    expect(w.target.control.held()).toMatchObject({ tcpObjects: 1, disconnects: 0 }); // DISC-033
  });

  test('data of the disconnect follows all sends and comes back by the disconnect alone (DISC-016, DISC-017, DISC-028 to DISC-030, NBL-011)', () => {
    const { w, c } = world();
    const last = netBufferListOver(ascii('last'));
    c.send(netBufferListOver(ascii('first,')));
    c.disconnect(last);
    w.settle();
    const frames = w.sent();
    expect(frames.map((f) => text(f.text)).join('')).toBe('first,last');
    c.receive(c.frame({ flags: 'A', ack: 1_010 }));
    expect(w.host.takeLog()).toEqual(['send SUCCESS:6']);
    c.ackTo(1_011);
    expect(w.host.takeLog()).toEqual(['disconnect SUCCESS:4']);
    expect(w.host.disconnects[0]!.list).toBe(last);
    expect(last.firstNetBuffer!.dataLength).toBe(0);
  });

  test('the receive half stays open; FIN of the peer leads to TIME_WAIT and an upload request (DISC-020, DISC-021, TCP-006)', () => {
    const { w, c } = world();
    c.disconnect();
    w.settle();
    c.ackTo(1_001);
    w.host.takeLog();
    c.receive(c.text('more'));
    expect(w.host.takeLog()).toEqual(['indicate 4 SUCCESS']);
    w.sent();
    c.receive(c.frame({ flags: 'FA' }));
    expect(w.host.takeLog()).toEqual(['event disconnect 0', `event retrieve ${TcpUploadReason.UPLOAD_REQUESTED}`]);
    expect(w.sent().at(-1)).toMatchObject({ flags: 'A', ack: 5_005 }); // the FIN is acknowledged before that
    const block = c.terminate();
    expect(block.delegatedState).toMatchObject({ state: TcpConnectionState.TIME_WAIT });
  });

  test('FIN_WAIT_2 expires after 120 s: upload in CLOSED (TCP-022, TCP-023, TCP-025, TCP-026, EVT-023)', () => {
    const { w, c } = world();
    c.disconnect();
    w.settle();
    c.ackTo(1_001);
    w.host.takeLog();
    w.runtime.advance(119_000_000);
    expect(w.host.takeLog()).toEqual([]);
    w.runtime.advance(2_000_000);
    expect(w.host.takeLog()).toEqual([`event retrieve ${TcpUploadReason.TIMEOUT_EXPIRATION}`]);
    expect(c.terminate().delegatedState).toMatchObject({ state: TcpConnectionState.CLOSED });
  });

  test('a connection offloaded in LAST_ACK that ends is asked back, as nothing else would tell (STATE-051)', () => {
    const w = new World();
    const c = w.offload({
      state: TcpConnectionState.LAST_ACK,
      sndUna: 1_000,
      sndNxt: 1_001,
      retransmitTimeoutDelta: 500,
    });
    c.ackTo(1_001);
    expect(w.host.takeLog()).toEqual([`event retrieve ${TcpUploadReason.UPLOAD_REQUESTED}`]);
    expect(c.terminate().delegatedState).toMatchObject({ state: TcpConnectionState.CLOSED });
  });
});

describe('abortive disconnect', () => {
  test('RST, sends and receives aborted, then SUCCESS (DISC-006, DISC-008, DISC-009, DISC-014)', () => {
    const { w, c } = world();
    c.send(netBufferListOver(ascii('data')));
    c.postBytes(10);
    w.settle();
    w.sent();
    expect(c.abort()).toBe(NdisStatus.PENDING);
    expect(w.host.takeLog()).toEqual([]);
    w.settle();
    expect(w.sent().map((f) => f.flags)).toEqual(['RA']);
    expect(w.host.takeLog()).toEqual(['send REQUEST_ABORTED:0', 'disconnect SUCCESS:0', 'receive REQUEST_ABORTED:0']);
    expect(w.target.control.stats().tcp4).toMatchObject({ outResets: 1, resetEstablished: 1 });
  });

  test.each([TcpConnectionState.CLOSING, TcpConnectionState.LAST_ACK])(
    'SUCCESS means that the RST was sent, also when both have finished (state %i; DISC-006, DISC-014)',
    (state) => {
      const w = new World();
      const c = w.offload({ state, sndUna: 1_000, sndNxt: 1_001, retransmitTimeoutDelta: 500 });
      w.sent();
      c.abort();
      w.settle();
      expect(w.sent().map((f) => f.flags)).toEqual(['RA']);
      expect(w.host.takeLog()).toEqual(['disconnect SUCCESS:0']);
    },
  );

  if (!subject.isApart)
    test('from the call on nothing received is processed or acknowledged (DISC-011, DISC-012)', () => {
      const { w, c } = world();
      c.abort();
      c.receive(c.text('late'));
      w.settle();
      expect(w.host.indicated).toEqual([]);
      expect(w.host.takeLog()).toContain('frame');
      expect(w.sent().map((f) => f.flags)).toEqual(['RA']);
    });

  test('a graceful one that is open is aborted by it (DISC-026)', () => {
    const { w, c } = world();
    c.disconnect();
    w.settle();
    c.abort();
    w.settle();
    expect(w.host.takeLog()).toEqual(['disconnect REQUEST_ABORTED:0', 'disconnect SUCCESS:0']);
  });

  test('inside a receive indication (DISC-010)', () => {
    const { w, c } = world();
    w.host.onIndicate = () => {
      c.abort();
    };
    c.receive(c.text('abc'));
    w.settle();
    expect(w.host.takeLog()).toEqual(['indicate 3 SUCCESS', 'disconnect SUCCESS:0']);
    expect(w.sent().at(-1)!.flags).toBe('RA');
  });
});
