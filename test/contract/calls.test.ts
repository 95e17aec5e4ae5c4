/** The history of calls that a finding tells. */
import { describe, expect, test } from 'vitest';
import { CallRing, Told } from '../../src/contract/calls.ts';
import { NdisStatus, TcpDisconnectFlag, TcpOffloadEventType, TcpUploadReason } from '../../src/ndis/protocol.ts';

describe('the calls on an object', () => {
  test('are told with their numbers in words', () => {
    const ring = new CallRing();
    ring.note('a', 1);
    ring.note('b', 2, Told.BLOCKS, 1);
    ring.note('c', 3, Told.STATUS, NdisStatus.FAILURE);
    ring.note('d', 4, Told.LISTS, 2, 1);
    ring.note('e', 5, Told.RESULT, NdisStatus.SUCCESS, 20);
    ring.note('f', 6, Told.DISCONNECT, TcpDisconnectFlag.GRACEFUL_CLOSE, 0);
    ring.note('g', 7, Told.EVENT, TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.HARDWARE_FAILURE);
    ring.note('h', 8, Told.EVENT, TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE, 9);
    ring.note('i', 9, Told.EVENT, 77, 0);
    ring.note('j', 10, Told.INDICATION, 30);
    ring.note('k', 11, Told.OID, 0xfc010201);
    ring.answer(10, NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED, 15);
    ring.answer(99, NdisStatus.SUCCESS, 1);
    expect(ring.list()).toEqual([
      '#1 a',
      '#2 b: 1 block',
      '#3 c: FAILURE',
      '#4 d: 2 lists, 1 byte',
      '#5 e: SUCCESS, 20 bytes',
      '#6 f: GRACEFUL_CLOSE, 0 bytes',
      '#7 g: INDICATE_RETRIEVE, HARDWARE_FAILURE',
      '#8 h: INDICATE_SEND_BACKLOG_CHANGE, 9 bytes',
      '#9 i: 77',
      '#10 j: 30 bytes; OFFLOAD_DATA_PARTIALLY_ACCEPTED, 15 bytes taken',
      '#11 k: 0xfc010201',
    ]);
  });

  test('are the last twenty, the oldest first', () => {
    const ring = new CallRing();
    for (let number = 1; number <= 45; number++) ring.note('x', number, Told.INDICATION, number);
    ring.answer(1, NdisStatus.SUCCESS, 1);
    const list = ring.list();
    expect(list).toHaveLength(20);
    expect(list[0]).toBe('#26 x: 26 bytes');
    expect(list.at(-1)).toBe('#45 x: 45 bytes');
  });
});
