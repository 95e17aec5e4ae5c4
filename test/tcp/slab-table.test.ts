/** Memory of connections and how a segment finds its own. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NEVER } from '../../src/base/runtime.ts';
import { Moment, PrivateWord, RECORD_WORDS, type TcpConnection } from '../../src/tcp/connection.ts';
import { soonestDeadline } from '../../src/tcp/deadlines.ts';
import { TcpSlab } from '../../src/tcp/slab.ts';
import { TcpTable } from '../../src/tcp/table.ts';

describe('the slab', () => {
  test('gives zeroed records with no deadline armed, whatever was in them before', () => {
    const slab = new TcpSlab(2);
    const c = slab.allocate();
    c.words.fill(-1, c.base, c.base + RECORD_WORDS);
    slab.free(c);
    const again = slab.allocate();
    expect(again).toBe(c);
    expect(Array.from(c.words.subarray(c.base, c.base + 96)).every((word) => word === 0)).toBe(true);
    expect(soonestDeadline(c)).toBe(NEVER);
    expect(c.moments[c.momentBase + Moment.RETRANSMIT]).toBe(NEVER);
  });

  test('counts what is in use, names records by slot, grows by chunks', () => {
    const slab = new TcpSlab(4);
    const all = Array.from({ length: 9 }, () => slab.allocate());
    expect(slab.live).toBe(9);
    expect(slab.byteLength).toBe(12 * RECORD_WORDS * 4);
    expect(new Set(all.map((c) => c.slot)).size).toBe(9);
    for (const c of all) expect(slab.at(c.slot)).toBe(c);
    for (const c of all) slab.free(c);
    expect(slab.live).toBe(0);
  });

  test('a record freed twice, or a slot not in use, is a bug', () => {
    const slab = new TcpSlab(4);
    const c = slab.allocate();
    slab.free(c);
    expect(() => slab.free(c)).toThrow('freed once');
    expect(() => slab.at(c.slot)).toThrow('in use');
  });

  test('moments and words of a record do not overlap those of its neighbor', () => {
    const slab = new TcpSlab(3);
    const [a, b] = [slab.allocate(), slab.allocate()];
    for (let i = 0; i < 16; i++) a.moments[a.momentBase + i] = 1e300;
    a.words.fill(7, a.base, a.base + 96);
    expect(Array.from(b.words.subarray(b.base, b.base + 96)).every((word) => word === 0)).toBe(true);
    expect(soonestDeadline(b)).toBe(NEVER);
    for (let i = 0; i < 16; i++) expect(a.moments[a.momentBase + i]).toBe(1e300);
  });
});

interface Tuple {
  readonly family: 4 | 6;
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly localPort: number;
  readonly remotePort: number;
}

function write(c: TcpConnection, tuple: Tuple): TcpConnection {
  c.family = tuple.family;
  c.localPort = tuple.localPort;
  c.remotePort = tuple.remotePort;
  const put = (word: number, bytes: Uint8Array): void => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const first = tuple.family === 4 ? 3 : 0;
    for (let i = 0; 4 * i < bytes.length; i++) c.words[c.base + word + first + i] = view.getInt32(4 * i);
  };
  put(PrivateWord.LOCAL_ADDRESS, tuple.local);
  put(PrivateWord.REMOTE_ADDRESS, tuple.remote);
  return c;
}

function find(table: TcpTable, { family, local, remote, localPort, remotePort }: Tuple): TcpConnection | null {
  const packet = new Uint8Array(64);
  packet.set(remote, 3);
  packet.set(local, 3 + remote.length);
  return table.find(family, packet, 3 + remote.length, 3, localPort, remotePort);
}

describe('the table', () => {
  // Few values each, so that neighbors in the table and near misses are common.
  const tuple: fc.Arbitrary<Tuple> = fc
    .tuple(fc.constantFrom(4 as const, 6 as const), fc.nat(1), fc.nat(1), fc.nat(1), fc.nat(5))
    .map(([family, a, b, c, d]) => {
      const address = (last: number): Uint8Array => {
        const bytes = new Uint8Array(family === 4 ? 4 : 16).fill(0xfe);
        bytes[bytes.length - 1] = last;
        bytes[0] = last & 1;
        return bytes;
      };
      return { family, local: address(a), remote: address(b), localPort: 60_000 + c, remotePort: 40_000 + d };
    });
  const key = (t: Tuple): string => `${t.family} ${t.local} ${t.remote} ${t.localPort} ${t.remotePort}`;

  test('finds exactly what was put in and not taken out, like a map', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(fc.tuple(tuple, fc.boolean()), { minLength: 100, maxLength: 400, size: 'max' }),
        (secret, steps) => {
          const slab = new TcpSlab(64);
          const table = new TcpTable(secret);
          const model = new Map<string, TcpConnection>();
          for (const [one, isAdded] of steps) {
            const known = model.get(key(one));
            expect(find(table, one)).toBe(known ?? null);
            if (isAdded && known === undefined) {
              const c = write(slab.allocate(), one);
              table.insert(c);
              model.set(key(one), c);
            } else if (!isAdded && known !== undefined) {
              table.remove(known);
              model.delete(key(one));
            }
            expect(table.size).toBe(model.size);
          }
          for (const [one] of steps) expect(find(table, one)).toBe(model.get(key(one)) ?? null);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('local and remote are not the same thing', () => {
    const slab = new TcpSlab(2);
    const table = new TcpTable();
    const there: Tuple = {
      family: 4,
      local: new Uint8Array([10, 0, 0, 1]),
      remote: new Uint8Array([10, 0, 0, 2]),
      localPort: 80,
      remotePort: 4711,
    };
    table.insert(write(slab.allocate(), there));
    expect(find(table, there)).not.toBe(null);
    expect(find(table, { ...there, local: there.remote, remote: there.local })).toBe(null);
    expect(find(table, { ...there, localPort: 4711, remotePort: 80 })).toBe(null);
  });

  test('taking out what is not in it is a bug', () => {
    const slab = new TcpSlab(2);
    const table = new TcpTable();
    expect(() => table.remove(slab.allocate())).toThrow('is in the table');
  });
});
