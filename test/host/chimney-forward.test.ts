/** Segments that reach the host though their connection is the target's: forwarded or kept, and never answered. chimney-sequences 16. */
import { describe, expect, test } from 'vitest';
import { TcpOffloadEventType, TcpUploadReason } from '../../src/ndis/protocol.ts';
import { DataOperation, StateOperation } from '../../src/ndis/tap.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { bytesOf } from '../target/support/fake-host.ts';
import { ChimneyScene, fragmentsOf, packetOf } from './chimney-scene.ts';

const { ACK, PSH, URG, FIN } = TcpFlag;
/** Two no-operations and the end of the list. */
const OPTIONS = [1, 1, 0, 0];

describe('forwarded', () => {
  test('segments that came while the connection was being offloaded, once that is complete (FWD-004, FWD-008, FWD-011)', () => {
    const s = new ChimneyScene();
    const [one, two] = [s.text('one '), s.text('two ')];
    s.door.onState = (operation, _root, isCompletion) => {
      if (operation === StateOperation.INITIATE && !isCompletion) s.links[0]!.deliver(one, two);
    };
    s.offload();
    // (What was written down until then is looked at below, through what was forwarded.)
    expect(s.door.forwarded.map((segment) => [...segment.subarray(0, 4)])).toEqual([
      [4711 >> 8, 4711 & 255, 0, 80],
      [4711 >> 8, 4711 & 255, 0, 80],
    ]);
    expect(s.door.forwarded).toEqual([one.subarray(20), two.subarray(20)]);
    expect(s.got()).toBe('one two ');
  });

  test('in that order: frames up, completion, forward (FWD-004, INIT-048)', () => {
    const s = new ChimneyScene();
    const packet = s.text('early');
    s.door.onState = (operation, _root, isCompletion) => {
      if (operation === StateOperation.INITIATE && !isCompletion) s.links[0]!.deliver(packet);
    };
    s.door.take();
    s.beginOffload();
    s.runtime.settle();
    const lines = s.door.take().filter((line) => !line.startsWith('host'));
    expect(lines).toEqual(['initiate', 'frame', 'initiate complete', 'forward', 'forward SUCCESS', 'indicate SUCCESS']);
  });

  test('segments that arrive by another interface than the offload’s (FWD-005, FWD-003)', () => {
    const s = new ChimneyScene().offload();
    s.deliver(1, s.text('by nic1'));
    expect(s.doors[1]!.take()).toEqual(['frame']);
    expect(s.door.take()).toEqual(['forward', 'forward SUCCESS', 'indicate SUCCESS']);
    expect(s.got()).toBe('by nic1');
    s.runtime.advance(1_000_000);
    // The only acknowledgement is the target's, out of its half of the identifications; the host has sent nothing at all.
    const frames = s.links[0]!.take();
    expect(frames.map((frame) => frame[4]! >= 0x80)).toEqual([true]);
    expect(s.links[1]!.take()).toEqual([]);
    expect(s.door.take()).toEqual([]);
  });

  test('segments out of datagrams with IP options, after the options were processed (FWD-006, TCP-075)', () => {
    const s = new ChimneyScene().offload();
    s.deliver(0, s.text('with options', ACK | PSH, { options: OPTIONS }));
    expect(s.door.take()).toEqual(['frame', 'forward', 'forward SUCCESS', 'indicate SUCCESS']);
    expect(s.got()).toBe('with options');
    // Options that make no sense: the datagram ends with the host's IP, and its segment is not forwarded.
    const bad = packetOf({ flags: ACK | PSH, seq: s.seq, ack: s.ack, text: 'bad', options: [0x44, 200, 5, 0] });
    s.deliver(0, bad);
    expect(s.door.take().filter((line) => line.startsWith('forward'))).toEqual([]);
    expect(s.got()).toBe('with options');
  });

  test('segments out of reassembled fragments: one forward for a datagram, none before it is whole (FWD-007, TCP-073, TCP-074)', () => {
    const s = new ChimneyScene().offload();
    const [first, second] = fragmentsOf(s.text('in two pieces, put together by the host'));
    s.deliver(0, second!);
    expect(s.door.take()).toEqual(['frame']);
    s.deliver(0, first!);
    expect(s.door.take()).toEqual(['frame', 'forward', 'forward SUCCESS', 'indicate SUCCESS']);
    expect(s.got()).toBe('in two pieces, put together by the host');
  });

  test('at once where that can be, and as late as it may come (FWD-009)', () => {
    const s = new ChimneyScene().offload();
    const late = s.text('late');
    s.deliver(1, s.text('more'));
    expect(s.door.take().filter((line) => line.startsWith('indicate'))).toEqual([]); // it waits behind a gap
    s.runtime.advance(3_600_000_000);
    s.door.take();
    s.deliver(1, late);
    expect(s.door.take().filter((line) => !line.startsWith('host'))).toEqual([
      'forward',
      'forward SUCCESS',
      'indicate SUCCESS',
    ]);
    expect(s.got()).toBe('latemore');
  });

  test('lists that the host does not touch until they are back (FWD-016, FWD-017)', () => {
    const s = new ChimneyScene().offload();
    const before = new Map<NetBufferList, Uint8Array>();
    let isInside = false;
    s.door.onPosted = (operation, list) => {
      if (operation !== DataOperation.FORWARD) return;
      before.set(list, bytesOf(list));
      isInside = true;
    };
    s.door.onCompleted = (operation, list) => {
      if (operation !== DataOperation.FORWARD) return;
      expect(isInside).toBe(false); // queued by the target and completed later
      expect(bytesOf(list)).toEqual(before.get(list));
      before.delete(list);
    };
    s.links[1]!.deliver(s.text('one'), s.text('two'));
    isInside = false;
    s.links[1]!.deliver(s.text('three'));
    isInside = false;
    expect(before.size).toBe(3);
    s.runtime.settle();
    expect(before.size).toBe(0);
    expect(s.got()).toBe('onetwothree');
  });
});

describe('not forwarded', () => {
  test('what the target passes up because the connection is on its way back: the host keeps it and processes it then (FWD-022, FWD-010, FWD-020, TERM-062)', () => {
    const s = new ChimneyScene().offload();
    // Stopped by a mandatory reason, the target passes everything up; the terminate follows.
    s.target.control.retrieve(null, TcpUploadReason.UPLOAD_REQUESTED);
    const packets = [s.text('raw, '), s.text('raw '), s.text('again')];
    s.door.onEventDone = () => s.links[0]!.deliver(packets[0]!);
    s.door.onState = (operation, _root, isCompletion) => {
      if (operation === StateOperation.TERMINATE && !isCompletion) s.links[0]!.deliver(packets[1]!);
    };
    s.runtime.settle();
    const lines = s.door.take();
    expect(lines.slice(0, 5)).toEqual([
      `event retrieve ${TcpUploadReason.UPLOAD_REQUESTED}`,
      'frame',
      'terminate',
      'frame',
      'terminate complete',
    ]);
    s.deliver(0, packets[2]!);
    expect([...lines, ...s.door.take()]).not.toContain('forward');
    expect([s.location, s.got()]).toEqual(['host', 'raw, raw again']);
  });

  test('what comes back UPLOAD_IN_PROGRESS is the host’s: kept, and processed once after the terminate (FWD-021, TCP-084)', () => {
    const s = new ChimneyScene().offload();
    const urgent = s.text('!', ACK | URG, { urgentPointer: 1 });
    const after = s.text(' and on');
    s.links[1]!.deliver(urgent, after);
    s.runtime.settle();
    const lines = s.door.take();
    expect(lines.slice(0, 4)).toEqual([
      'forward',
      'forward',
      'forward UPLOAD_IN_PROGRESS UPLOAD_IN_PROGRESS',
      `event retrieve ${TcpUploadReason.RECEIVED_URGENT_DATA}`,
    ]);
    expect(lines.filter((line) => line === 'forward')).toHaveLength(2);
    expect([s.location, s.got()]).toEqual(['host', '! and on']);
  });

  test('nor is anything of it answered by a reset, in either direction of a move (TERM-040)', () => {
    const s = new ChimneyScene();
    s.door.onState = (_operation, _root, isCompletion) => {
      if (!isCompletion) s.links[0]!.deliver(s.text('x'), s.text('y', ACK | PSH));
    };
    s.offload();
    s.beginTakeBack();
    s.runtime.settle();
    s.receive({ flags: ACK | FIN, seq: s.seq, ack: s.ack });
    expect(s.location).toBe('host');
    expect(s.got()).toBe('xyxy');
    expect(s.peer.hasEnded).toBe(true);
    expect(s.sent().every((segment) => (segment.flags & TcpFlag.RST) === 0)).toBe(true);
  });

  test('an event between: the target speaks of an abort, and what arrives later is not forwarded', () => {
    const s = new ChimneyScene().offload();
    s.event(TcpOffloadEventType.INDICATE_ABORT);
    s.deliver(1, s.text('late'));
    expect(s.door.take()).not.toContain('forward');
    expect(s.peer.error).toBe('ECONNRESET');
  });
});
