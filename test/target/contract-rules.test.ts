/** Small rules of the target that no other scenario shows: what it never sends, how its events travel, how long its timers reach. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_OFFLOAD_PARAMETERS, NdisStatus, Oid, TcpUploadReason } from '../../src/ndis/protocol.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpCachedFlag, TcpConstFlag, type TcpDelegatedState } from '../../src/state/tcp.ts';
import { bytesOf } from './support/fake-host.ts';
import { ascii, Connection, pattern, World } from './support/world.ts';

function world(options: ConstructorParameters<typeof World>[0] = {}): { w: World; c: Connection } {
  const w = new World(options);
  return { w, c: w.offload() };
}

describe('what a target sends', () => {
  test('is TCP of offloaded connections and nothing else: no SYN, ARP, ICMP or routing, whatever comes (TCP-001, TCP-076)', () => {
    const { w, c } = world();
    const arp = new Uint8Array(60);
    arp.set([...w.link.macAddress, 2, 0, 0, 0, 0, 0x99, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    c.receive(
      arp,
      c.frame({ protocol: 1 }),
      c.frame({ protocol: 17 }),
      c.frame({ flags: 'S', seq: 1, badChecksum: true }),
    );
    expect(w.host.takeLog()).toEqual(['frame', 'frame', 'frame', 'frame']);
    expect(w.link.sent).toEqual([]);
    c.receive(c.frame({ flags: 'S', seq: 100_000 }), c.text('x'));
    c.send(netBufferListOver(pattern(1_000, 5_000)));
    w.runtime.advance(5_000_000);
    c.abort();
    w.settle();
    const sent = w.sent();
    expect(sent.length).toBeGreaterThan(4);
    for (const frame of sent) {
      expect([frame.srcPort, frame.dstPort]).toEqual([80, 4711]);
      expect(frame.flags).not.toContain('S');
    }
    // Its one RST is the one that the host ordered.
    expect(sent.filter((frame) => frame.flags.includes('R'))).toHaveLength(1);
  });

  test('no RST unless the host orders an abortive disconnect: not for giving up, bad numbers, SYNs or a terminate (DISC-007)', () => {
    const { w, c } = world({ parameters: { tcpMaximumRetransmissions: 2 } });
    c.receive(
      c.frame({ flags: 'S', seq: 5_100 }),
      c.frame({ flags: 'A', ack: 999_999 }),
      c.frame({ flags: 'R', seq: 5_100 }),
    );
    c.send(netBufferListOver(ascii('never answered')));
    w.runtime.advance(60_000_000);
    c.terminate();
    c.receive(c.text('late'));
    expect(w.sent().filter((frame) => frame.flags.includes('R'))).toEqual([]);
  });

  test('after a disconnect no data: FIN alone, or on the last of what was queued (DISC-005, DISC-019)', () => {
    const alone = world();
    alone.c.disconnect();
    alone.w.settle();
    expect(alone.w.sent().map((f) => [f.flags, f.text.length])).toEqual([['FA', 0]]);
    const { w, c } = world();
    c.disconnect(netBufferListOver(ascii('last')));
    w.settle();
    expect(w.sent().map((f) => [f.flags, f.text.length])).toEqual([['FPA', 4]]);
    c.ackTo(1_005);
    c.send(netBufferListOver(ascii('too late')));
    w.runtime.advance(3_000_000);
    expect(w.sent().filter((f) => f.text.length > 0)).toEqual([]);
    expect(w.host.takeLog()).toEqual(['disconnect SUCCESS:4', 'send UPLOAD_IN_PROGRESS:0']);
  });

  test('a probe of the peer into a closed window is answered, its byte not taken (TCP-113)', () => {
    const w = new World();
    const c = w.offload({ window: 1_000 });
    w.host.answer = () => ({ status: NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, consumed: 0 });
    c.receive(c.text(1_000));
    w.runtime.advance(100_000);
    expect(w.sent().at(-1)).toMatchObject({ ack: 6_000, window: 0 });
    c.receive(c.frame({ text: ascii('?') }));
    w.runtime.advance(100_000);
    expect(w.sent().at(-1)).toMatchObject({ flags: 'A', ack: 6_000, window: 0 });
    expect(c.query().receiveBacklogSize).toBe(1_000);
  });
});

describe('events', () => {
  test('each travels by its own function: of a connection, of a neighbor, of the adapter (EVT-001)', () => {
    const { w, c } = world({ parameters: { nceStaleTicks: 10 } });
    w.target.control.retrieve(null, TcpUploadReason.LOW_ACTIVITY);
    w.settle();
    expect(w.host.takeLog()).toEqual([`event retrieve ${TcpUploadReason.LOW_ACTIVITY}`]);
    w.runtime.advance(1_000_000);
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.host.takeLog()).toEqual(['reachability query']);
    w.target.control.pause();
    w.settle();
    expect(w.host.takeLog()).toEqual(['status OFFLOAD_PAUSE']);
  });

  test('upload-all may follow a pause, as a team does before it changes over (EVT-036, EVT-045)', () => {
    const { w, c } = world();
    w.target.control.pause();
    w.target.control.uploadAll();
    w.settle();
    expect(w.host.takeLog()).toEqual(['status OFFLOAD_PAUSE', 'status UPLOAD_ALL']);
    expect(c.terminate().status).toBe(NdisStatus.SUCCESS);
    w.target.control.resume();
    w.settle();
    w.host.takeLog();
    w.offload({ localPort: 81 }, { remote: 3 });
    expect(w.target.control.held().tcpObjects).toBe(1);
  });

  test('sends go on in a mere pause (SEND-045)', () => {
    const { w, c } = world();
    c.send(netBufferListOver(ascii('before')));
    w.target.control.pause();
    w.settle();
    c.send(netBufferListOver(ascii('after')));
    w.settle();
    c.ackTo(1_011);
    expect(w.host.takeLog()).toEqual(['status OFFLOAD_PAUSE', 'send SUCCESS:6 SUCCESS:5']);
  });

  test('what a FIN or an RST ends is kept until the terminate: it still answers queries (DISC-043)', () => {
    for (const flags of ['FA', 'R']) {
      const { w, c } = world();
      c.receive(c.frame({ flags }));
      w.runtime.advance(10_000_000);
      expect(w.target.control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1, neighborObjects: 1 });
      expect(c.query().sndUna).toBe(1_000);
      c.terminate();
      expect(w.target.control.held().tcpObjects).toBe(0);
    }
  });
});

describe('options, timers, parameters', () => {
  test('SACK options mean nothing where SACK was not agreed on; the rest of the segment counts (TCP-126)', () => {
    const w = new World();
    const c = w.offload({ constFlags: TcpConstFlag.WINDOW_SCALING_ENABLED });
    c.send(netBufferListOver(pattern(1_000, 1_460 * 4)));
    w.settle();
    w.sent();
    for (let i = 0; i < 2; i++) c.receive(withSack(c.text('abc'), 1_000 + 1_460, 1_000 + 1_460 * 4));
    expect(w.host.indicated).toHaveLength(2);
    w.runtime.advance(3_000_000);
    // Everything is sent again from SndUna on: no byte was taken for reported.
    c.receive(c.frame({ flags: 'A', ack: 1_000 + 1_460 }));
    const seqs = w
      .sent()
      .filter((f) => f.text.length > 0)
      .map((f) => f.seq);
    expect(seqs[0]).toBe(1_000);
    expect(seqs).toContain(1_000 + 1_460);
  });

  test('a timer of seven weeks would wrap; one of three weeks is handed over as it is (TCP-005)', () => {
    const weeks = 21 * 24 * 3_600 * 1_000;
    const w = new World();
    const c = w.offload({
      cachedFlags: TcpCachedFlag.KEEP_ALIVE_ENABLED,
      cached: { kaTimeout: weeks },
      keepAliveTimeoutDelta: weeks,
    });
    w.runtime.advance(1_000_000);
    expect(c.query().keepAliveTimeoutDelta).toBe(weeks - 1_000);
    w.runtime.advance(14 * 24 * 3_600 * 1_000_000);
    expect((c.terminate().delegatedState as TcpDelegatedState).keepAliveTimeoutDelta).toBe(weeks / 3 - 1_000);
  });

  test('urgent data in BufferedData is treated like urgent data off the wire: the event after the offload, no ACK, all of it up again (TCP-086)', () => {
    const w = new World();
    const buffered = netBufferListOver(ascii('urgent!'));
    buffered.hasUrgentData = true;
    const c = new Connection(w, { buffered }, {});
    const root = w.neighborBlock(c.neighbor);
    root.dependentBlockList = w.pathBlock(c.path);
    root.dependentBlockList.dependentBlockList = w.tcpBlock(c.tcp, c.spec);
    w.initiate(root);
    w.settle();
    expect(w.host.takeLog()).toEqual(['initiate complete', `event retrieve ${TcpUploadReason.RECEIVED_URGENT_DATA}`]);
    const later = c.text('later');
    c.receive(later);
    w.runtime.advance(1_000_000);
    expect([w.host.takeLog(), w.sent()]).toEqual([[], []]);
    const { bufferedData, rcvNxt } = c.terminate().delegatedState as TcpDelegatedState;
    expect([String.fromCharCode(...bytesOf(bufferedData!)), rcvNxt]).toEqual(['urgent!', 5_000]);
    expect(w.host.frames).toEqual([later]);
  });

  test('a persist timer that does not run goes up as -1 (TCP-048)', () => {
    const { c } = world();
    expect(c.terminate().delegatedState).toMatchObject({ retransmitTimeoutDelta: -1, sndWndProbeCount: 0 });
  });

  test('the reserved choice of a congestion algorithm is taken and ignored (TCP-136)', () => {
    const { w, c } = world();
    const before = c.query();
    const information = { ...DEFAULT_OFFLOAD_PARAMETERS, congestionAlgorithm: 9 };
    expect(w.oid({ oid: Oid.TCP_TASK_OFFLOAD, kind: 'set', information })).toBe(NdisStatus.SUCCESS);
    expect(c.query()).toMatchObject({ cWnd: before.cWnd, ssThresh: before.ssThresh });
  });
});

/** Puts a SACK option into an IPv4 frame with a plain TCP header, lengths and checksums made right. */
function withSack(frame: Uint8Array, left: number, right: number): Uint8Array {
  const out = new Uint8Array(frame.length + 12);
  out.set(frame.subarray(0, 54));
  out.set(frame.subarray(54), 66);
  const view = new DataView(out.buffer);
  out.set([1, 1, 5, 10], 54);
  view.setUint32(58, left);
  view.setUint32(62, right);
  out[46] = 8 << 4;
  view.setUint16(16, out.length - 14);
  view.setUint16(24, 0);
  view.setUint16(24, ~sum(view, 14, 20, 0) & 0xffff);
  view.setUint16(50, 0);
  const pseudo = sum(view, 26, 8, 6 + out.length - 34);
  view.setUint16(50, ~sum(view, 34, out.length - 34, pseudo) & 0xffff);
  return out;
}

function sum(view: DataView, at: number, length: number, start: number): number {
  let total = start;
  for (let i = 0; i < length; i++) total += view.getUint8(at + i) << (i % 2 === 0 ? 8 : 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}
