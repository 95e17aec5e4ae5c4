/** IP_OFFLOAD_STATS and TCP_OFFLOAD_STATS of the target: what counts, what does not, and never both up and counted. */
import { describe, expect, test } from 'vitest';
import { OffloadBlock } from '../../src/ndis/offload-block.ts';
import {
  FamilyStatistics,
  type IpOffloadStats,
  Oid,
  type OidRequest,
  type TcpOffloadStats,
} from '../../src/ndis/protocol.ts';
import { OffloadStateType } from '../../src/ndis/status.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { ascii, type Connection, pattern, World, type WorldOptions } from './support/world.ts';

function ask<T>(w: World, oid: number): T {
  const request: OidRequest = { oid, kind: 'query', information: null };
  expect(w.oid(request)).toBe(0);
  return request.information as T;
}
const ip = (w: World, family = w.family): IpOffloadStats =>
  ask(w, family === 4 ? Oid.IP4_OFFLOAD_STATS : Oid.IP6_OFFLOAD_STATS);
const tcp = (w: World, family = w.family): TcpOffloadStats =>
  ask(w, family === 4 ? Oid.TCP4_OFFLOAD_STATS : Oid.TCP6_OFFLOAD_STATS);

function world(options: WorldOptions = {}): { w: World; c: Connection } {
  const w = new World(options);
  return { w, c: w.offload() };
}

/** A frame of the connection with some bytes of its IP packet changed. */
function spoiled(c: Connection, change: (packet: Uint8Array) => void, keep?: number): Uint8Array {
  const frame = c.frame({ text: ascii('abcd') });
  change(frame.subarray(14));
  return keep === undefined ? frame : frame.slice(0, 14 + keep);
}

/** What arrived at the host as a frame, and the counters that errors move. */
function outcome(w: World, frame: Uint8Array): object {
  const before = w.host.frames.length;
  w.link.deliver(frame);
  const { inHeaderErrors, inTruncatedPackets } = ip(w);
  return { up: w.host.frames.length - before, inHeaderErrors, inTruncatedPackets, inErrors: tcp(w).inErrors };
}

describe.each([4, 6] as const)('counters over IPv%i', (family) => {
  const other = family === 4 ? 6 : 4;

  test('traffic of one family moves its counters and not those of the other [STAT-001, STAT-002, STAT-005, STAT-006, STAT-007, STAT-008, STAT-009, STAT-016]', () => {
    const { w, c } = world({ family });
    c.receive(c.text('hello'), c.text('you'));
    c.send(netBufferListOver(pattern(0, 3000)));
    w.settle();
    const header = family === 4 ? 40 : 60;
    const sent = w.sent();
    expect(ip(w)).toMatchObject({
      inReceives: 2n,
      inOctets: BigInt(2 * header + 8),
      inDelivers: 2n,
      outRequests: BigInt(sent.length),
      outOctets: sent.reduce((sum, frame) => sum + BigInt(frame.bytes.length - 14), 0n),
    });
    expect(tcp(w)).toMatchObject({ inSegments: 2n, outSegments: BigInt(sent.length), currentlyEstablished: 1 });
    const nothing = { inReceives: 0n, inOctets: 0n, inDelivers: 0n, outRequests: 0n, outOctets: 0n };
    expect(ip(w, other)).toMatchObject(nothing);
    expect(tcp(w, other)).toMatchObject({ inSegments: 0n, outSegments: 0n, currentlyEstablished: 0 });
  });

  test('OutResets counts what abortive disconnects send [STAT-022]', () => {
    const w = new World({ family });
    for (let i = 1; i <= 3; i++) {
      w.offload({ localPort: 80 + i }, { remote: 1 + i }).abort();
      w.settle();
      expect(tcp(w).outResets).toBe(i);
    }
    expect(w.sent().filter((frame) => frame.flags.includes('R'))).toHaveLength(3);
  });
});

test('other traffic, and that of another interface, counts for nothing [STAT-003, STAT-004]', () => {
  const { w, c } = world();
  const neighbor = world();
  neighbor.c.receive(neighbor.c.text('abc'));
  // A segment for a port that is not offloaded, ordinary frames both ways.
  const foreign = c.frame({ text: ascii('x'), dstPort: 9999 } as never);
  w.link.deliver(foreign, new Uint8Array(60));
  w.ndis.sendNetBufferLists(w.binding, netBufferListOver(new Uint8Array(60)), 0);
  w.settle();
  expect(ip(w)).toMatchObject({ inReceives: 0n, outRequests: 0n });
  expect(tcp(w)).toMatchObject({ inSegments: 0n, outSegments: 0n });
  expect(ip(neighbor.w)).toMatchObject({ inReceives: 1n });
});

describe('bad packets', () => {
  const HEADER_ERRORS: [string, (packet: Uint8Array) => void, number?][] = [
    ['a wrong IP checksum', (p) => p.set([p[10]! ^ 1], 10)],
    ['another version', (p) => p.set([0x55], 0)],
    ['a header length that is none', (p) => p.set([0x42], 0)],
    ['a total length below the header', (p) => p.set([0, 10], 2)],
    ['fewer bytes than a header', () => undefined, 12],
  ];

  test.each(HEADER_ERRORS)(
    '%s: up and not counted, or dropped and counted [STAT-010, STAT-012, STAT-026, STAT-027]',
    (_how, change, keep) => {
      const up = world();
      expect(outcome(up.w, spoiled(up.c, change, keep))).toEqual({
        up: 1,
        inHeaderErrors: 0,
        inTruncatedPackets: 0,
        inErrors: 0,
      });
      const drop = world({ badPackets: 'drop' });
      expect(outcome(drop.w, spoiled(drop.c, change, keep))).toEqual({
        up: 0,
        inHeaderErrors: 1,
        inTruncatedPackets: 0,
        inErrors: 0,
      });
      expect(ip(drop.w).inReceives).toBe(1n);
      expect(ip(drop.w).inDelivers).toBe(0n);
    },
  );

  test('a good header over a frame that is too short counts as truncated [STAT-011]', () => {
    const { w, c } = world({ badPackets: 'drop' });
    expect(
      outcome(
        w,
        spoiled(c, () => undefined, 41),
      ),
    ).toEqual({ up: 0, inHeaderErrors: 0, inTruncatedPackets: 1, inErrors: 0 });
    const six = world({ badPackets: 'drop', family: 6 });
    expect(
      outcome(
        six.w,
        spoiled(six.c, () => undefined, 61),
      ),
    ).toMatchObject({ up: 0, inTruncatedPackets: 1 });
  });

  test.each([
    ['a wrong TCP checksum', (c: Connection) => c.frame({ text: ascii('ab'), badChecksum: true })],
    ['a TCP header length beyond the end', (c: Connection) => spoiled(c, (p) => p.set([0xf0], 32))],
  ] as const)('%s: up and not counted, or dropped and counted [STAT-021, STAT-028, STAT-029]', (_how, frame) => {
    const up = world();
    expect(outcome(up.w, frame(up.c))).toMatchObject({ up: 1, inErrors: 0 });
    const drop = world({ badPackets: 'drop' });
    expect(outcome(drop.w, frame(drop.c))).toMatchObject({ up: 0, inErrors: 1, inHeaderErrors: 0 });
    expect(tcp(drop.w).inSegments).toBe(1n);
    expect(drop.w.host.takeLog()).toEqual([]);
  });

  test('without an offloaded neighbor or path, or with the chimney off, everything goes up and nothing counts [STAT-027, STAT-029, STAT-030]', () => {
    const { w, c } = world({ badPackets: 'drop' });
    const tcpBad = c.frame({ text: ascii('ab'), badChecksum: true });
    const headerBad = spoiled(c, (p) => p.set([0xf0], 32));
    const ipBad = spoiled(c, (p) => p.set([p[10]! ^ 1], 10));
    const nothing = { inHeaderErrors: 0, inTruncatedPackets: 0, inErrors: 0 };
    w.oid({ oid: Oid.TCP_TASK_OFFLOAD, kind: 'set', information: null });
    for (const frame of [tcpBad, headerBad, ipBad]) expect(outcome(w, frame)).toEqual({ up: 1, ...nothing });
    w.enable();
    c.terminateAll();
    for (const frame of [tcpBad, headerBad, ipBad]) expect(outcome(w, frame)).toEqual({ up: 1, ...nothing });
    // A neighbor alone: bad IP headers are its business, bad TCP headers are not.
    w.initiate(w.neighborBlock(c.neighbor));
    w.settle();
    expect(outcome(w, headerBad)).toEqual({ up: 1, ...nothing });
    expect(outcome(w, ipBad)).toMatchObject({ up: 0, inHeaderErrors: 1 });
  });
});

test('what finds no room on the way out counts as discarded [STAT-014]', () => {
  const w = new World();
  const connections = Array.from({ length: 300 }, (_, i) =>
    w.offload({ localPort: 1000 + i }, { remote: 2, local: 1 }),
  );
  w.link.room = 0;
  // Resets leave even when the link is full: they wait in copies, of which there is a bounded number.
  for (const c of connections) c.abort();
  w.settle();
  expect(ip(w).outDiscards).toBe(w.trace.countOf('TARGET_FRAME_DROPPED'));
  expect(ip(w).outDiscards).toBeGreaterThan(0);
});

test('what is to be sent over an invalidated path has no route [STAT-015]', () => {
  const { w, c } = world();
  w.invalidate(new OffloadBlock(OffloadStateType.IP4, c.path.handle));
  w.settle();
  expect(ip(w).outNoRoutes).toBe(0);
  c.abort();
  w.settle();
  expect(ip(w).outNoRoutes).toBe(1);
  expect(w.sent()).toEqual([]);
});

test('a counter beyond its maximum goes on at zero, at 2^32 or 2^64 [STAT-023]', () => {
  const statistics = new FamilyStatistics();
  statistics.inHeaderErrors = 2 ** 32 + 5;
  statistics.retransmittedSegments = 2 ** 32;
  statistics.inReceives = 2 ** 32 + 5;
  statistics.inOctets = 2 ** 64;
  expect(statistics.ip()).toMatchObject({ inHeaderErrors: 5, inReceives: 4_294_967_301n, inOctets: 0n });
  expect(statistics.tcp(0)).toMatchObject({ retransmittedSegments: 0 });
});
