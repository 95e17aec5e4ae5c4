/** What a host makes of a target's events, and how connections close through the chimney. chimney-sequences 12, 14, 15, 17. */
import { describe, expect, test } from 'vitest';
import { NdisStatus, TcpOffloadEventType, TcpUploadReason } from '../../src/ndis/protocol.ts';
import { DataOperation } from '../../src/ndis/tap.ts';
import { dataLengthOf, type NetBufferList } from '../../src/state/net-buffer-list.ts';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { ChimneyScene } from './chimney-scene.ts';

const { ACK, FIN, RST, URG } = TcpFlag;
const { INDICATE_DISCONNECT, INDICATE_RETRIEVE, INDICATE_ABORT, INDICATE_SEND_BACKLOG_CHANGE } = TcpOffloadEventType;

describe('upload reasons', () => {
  test.each([
    ['HardwareFailure (EVT-008)', TcpUploadReason.HARDWARE_FAILURE],
    ['InvalidState (EVT-009)', TcpUploadReason.INVALID_STATE],
    ['ReceivedUrgentData (EVT-010)', TcpUploadReason.RECEIVED_URGENT_DATA],
    ['TimeoutExpiration (EVT-011)', TcpUploadReason.TIMEOUT_EXPIRATION],
    ['UploadRequested (EVT-012)', TcpUploadReason.UPLOAD_REQUESTED],
  ])('%s is mandatory: the terminate follows whatever the host would rather (EVT-021)', (_name, reason) => {
    const s = new ChimneyScene({ host: { grantsOptionalUploads: false } }).offload();
    s.event(INDICATE_RETRIEVE, reason);
    expect(s.door.take()).toEqual([`event retrieve ${reason}`, 'terminate', 'terminate complete']);
    expect(s.location).toBe('host');
  });

  test.each([
    ['HighDropRate (EVT-013)', TcpUploadReason.HIGH_DROP_RATE],
    ['HighFragmentation (EVT-014)', TcpUploadReason.HIGH_FRAGMENTATION],
    ['HighOutofOrderPackets (EVT-015)', TcpUploadReason.HIGH_OUT_OF_ORDER_PACKETS],
    ['LowActivity (EVT-016)', TcpUploadReason.LOW_ACTIVITY],
    ['NoBufferProposting (EVT-017)', TcpUploadReason.NO_BUFFER_PREPOSTING],
    ['SmallIO (EVT-018)', TcpUploadReason.SMALL_IO],
  ])(
    '%s is optional: the host may upload or leave it, and then the target goes on (EVT-020, EVT-022, EVT-050)',
    (_name, reason) => {
      const granting = new ChimneyScene().offload();
      granting.event(INDICATE_RETRIEVE, reason);
      expect(granting.location).toBe('host');
      const keeping = new ChimneyScene({ host: { grantsOptionalUploads: false } }).offload();
      // The event answers nothing: the target learns by a terminate, or by its absence.
      const answer: unknown = keeping.target.events.tcpOffloadEventHandler(keeping.handle, INDICATE_RETRIEVE, reason);
      keeping.runtime.settle();
      expect([answer, keeping.door.take()]).toEqual([undefined, [`event retrieve ${reason}`]]);
      keeping.deliver(0, keeping.text('goes on'));
      expect([keeping.location, keeping.got()]).toEqual(['target', 'goes on']);
    },
  );
});

describe('other events', () => {
  test.each([0, 1, 77, 0xffffffff])(
    'a disconnect and an abort mean the same with information %d (EVT-003, EVT-004)',
    (information) => {
      const disconnected = new ChimneyScene().offload();
      disconnected.event(INDICATE_DISCONNECT, information);
      expect([disconnected.peer.hasEnded, disconnected.peer.isClosed]).toEqual([true, false]);
      expect(disconnected.door.take()).toEqual([`event disconnect ${information}`]);
      const aborted = new ChimneyScene().offload();
      aborted.event(INDICATE_ABORT, information);
      expect(aborted.peer.error).toBe('ECONNRESET');
      expect(aborted.door.take()).toContain('terminate');
    },
  );

  test('after a backlog event about so many bytes are kept at the target, no more and no fewer (EVT-028)', () => {
    const s = new ChimneyScene().offload();
    let outstanding = 0;
    let most = 0;
    s.door.onPosted = (operation, list) => {
      if (operation !== DataOperation.SEND) return;
      outstanding += dataLengthOf(list);
      most = Math.max(most, outstanding);
    };
    s.door.onCompleted = (operation, list) => {
      if (operation === DataOperation.SEND) outstanding -= list.tcpOffloadBytesTransferred;
    };
    s.event(INDICATE_SEND_BACKLOG_CHANGE, 10_000);
    for (let i = 0; i < 100; i++) s.endpoint.write(new Uint8Array(1_000), null);
    s.runtime.settle();
    expect(outstanding).toBe(10_000);
    s.event(INDICATE_SEND_BACKLOG_CHANGE, 30_000);
    expect(outstanding).toBe(30_000);
    s.event(INDICATE_SEND_BACKLOG_CHANGE, 10_000);
    const left: number[] = [];
    for (let i = 0; i < 3; i++) {
      s.ack += 9_000;
      s.receive({ flags: ACK, seq: s.seq, ack: s.ack });
      left.push(outstanding);
    }
    // Nothing new until it is down to the new value.
    expect([most, left]).toEqual([30_000, [21_000, 12_000, 10_000]]);
  });
});

describe('lists', () => {
  test('MiniportReserved of sends and receives is left to the target while they are out (SEND-008, RECV-007)', () => {
    const s = new ChimneyScene().offload();
    const marks = new Map<NetBufferList, object>();
    let seen = 0;
    s.door.onPosted = (_operation, list) => {
      const mark = {};
      marks.set(list, mark);
      list.miniportReserved = mark;
    };
    s.door.onCompleted = (_operation, list) => {
      expect(list.miniportReserved).toBe(marks.get(list));
      seen++;
    };
    s.endpoint.write(new Uint8Array(10), null);
    s.peer.appetite = 0;
    s.deliver(0, s.text('waits'));
    s.peer.take(100); // the host posts a receive for what it refused
    s.runtime.settle();
    s.ack += 10;
    s.receive({ flags: ACK, seq: s.seq, ack: s.ack });
    expect(s.got()).toBe('waits');
    expect(seen).toBe(2);
  });

  test('urgent data that is unread here goes down as such, comes back, and is lost to nobody (TCP-086)', () => {
    const s = new ChimneyScene();
    s.peer.appetite = 2;
    s.deliver(0, s.text('an urgent word', ACK | URG, { urgentPointer: 9 }));
    s.door.take();
    s.beginOffload();
    s.runtime.settle();
    expect(s.door.take()).toContain(`event retrieve ${TcpUploadReason.RECEIVED_URGENT_DATA}`);
    expect(s.location).toBe('host');
    s.peer.take(100);
    s.runtime.settle();
    expect(s.got()).toBe('an urgent word');
    s.offload(); // read by now: nothing stands in the way
    s.deliver(0, s.text(', and on'));
    expect([s.location, s.got()]).toEqual(['target', 'an urgent word, and on']);
  });

  test('an accepted list goes back after the indication, not inside it (RECV-072, RECV-077)', () => {
    const s = new ChimneyScene().offload();
    let heldInside = -1;
    s.peer.onData = () => {
      heldInside = s.target.control.held().indicatedLists;
    };
    s.deliver(0, s.text('kept for a while'));
    expect(heldInside).toBe(1);
    expect(s.target.control.held().indicatedLists).toBe(0);
  });

  test('nothing that an application can ask for is urgent to a target (SEND-016)', () => {
    const s = new ChimneyScene().offload();
    expect(
      Object.getOwnPropertyNames(Object.getPrototypeOf(s.endpoint)).filter((name) => /urg|oob/i.test(name)),
    ).toEqual([]);
    s.endpoint.setNoDelay(true);
    for (let i = 0; i < 20; i++) s.endpoint.write(new Uint8Array(100), null);
    s.endpoint.shutdown();
    s.runtime.advance(1_000_000);
    const sent = s.sent();
    expect(sent.length).toBeGreaterThan(2);
    for (const segment of sent) expect([segment.flags & URG, segment.urgentPointer]).toEqual([0, 0]);
  });
});

describe('closing', () => {
  test('begun here by a disconnect call; the receive half stays open until the peer ends it (DISC-022, DISC-045, DISC-019, DISC-005)', () => {
    const s = new ChimneyScene().offload();
    s.endpoint.write(new Uint8Array(5), null);
    s.endpoint.shutdown();
    s.runtime.settle();
    expect(s.door.take()).toEqual(['send', 'disconnect']);
    const sent = s.sent();
    expect(sent.at(-1)!.flags & FIN).toBe(FIN);
    s.ack += 6;
    s.receive({ flags: ACK, seq: s.seq, ack: s.ack });
    s.deliver(0, s.text('still '), s.text('heard'));
    expect([s.got(), s.peer.hasEnded]).toEqual(['still heard', false]);
    expect(s.sent().every((segment) => segment.textLength === 0)).toBe(true);
    s.receive({ flags: ACK | FIN, seq: s.seq, ack: s.ack });
    expect(s.peer.hasEnded).toBe(true);
  });

  test('begun by the peer it arrives as an event, and our half is closed by a disconnect call (DISC-045, EVT-029)', () => {
    const s = new ChimneyScene().offload();
    s.receive({ flags: ACK | FIN, seq: s.seq, ack: s.ack });
    expect(s.door.take()).toEqual(['event disconnect 0']);
    expect([s.peer.hasEnded, s.location]).toEqual([true, 'target']);
    s.endpoint.shutdown();
    s.runtime.settle();
    expect(s.door.take()).toEqual(['disconnect']);
  });

  test('a graceful one that a reset overtakes comes back REQUEST_ABORTED, and the terminate follows (DISC-027, DISC-040)', () => {
    const s = new ChimneyScene().offload();
    s.endpoint.shutdown();
    s.runtime.settle();
    s.receive({ flags: RST, seq: s.seq, ack: 0 });
    expect(s.door.take().filter((line) => !line.startsWith('host'))).toEqual([
      'disconnect',
      'event abort 0',
      'disconnect REQUEST_ABORTED',
      'terminate',
      'terminate complete',
    ]);
    expect(s.target.control.held().tcpObjects).toBe(0);
  });

  test('a completion without a list is taken quietly (DISC-046)', () => {
    const s = new ChimneyScene().offload();
    s.target.events.tcpOffloadDisconnectComplete(s.target.handle, null);
    s.runtime.settle();
    expect(s.location).toBe('target');
    s.deliver(0, s.text('as before'));
    expect(s.got()).toBe('as before');
  });

  test('nothing of a disconnect is left behind, however many there were (DISC-047)', () => {
    for (let i = 0; i < 30; i++) {
      const s = new ChimneyScene().offload();
      const lists: NetBufferList[] = [];
      s.door.onPosted = (operation, list) => {
        if (operation === DataOperation.DISCONNECT) lists.push(list);
      };
      if (i % 2 === 0) s.endpoint.shutdown();
      else s.endpoint.abort();
      s.runtime.settle();
      s.receive({ flags: RST, seq: s.seq, ack: 0 });
      expect(lists).toHaveLength(1);
      expect(lists[0]!.context).toBeNull();
      expect(lists[0]!.status).toBe(i % 2 === 0 ? NdisStatus.REQUEST_ABORTED : NdisStatus.SUCCESS);
      expect(s.host.chimney.held().connections).toBe(0);
      expect(s.target.control.held()).toMatchObject({ tcpObjects: 0, disconnects: 0 });
    }
  });
});
