/** Packed records: what is unpacked is what was packed, and memory is used again. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { MOMENT_AT_WORD, RECORD_WORDS } from '../../src/tcp/connection.ts';
import { RecordStore } from '../../src/tcp/record-store.ts';
import { TcpSlab } from '../../src/tcp/slab.ts';
import { connectPeers, twoHosts } from '../stack/two-hosts.ts';

describe('packed records', () => {
  test('come back word for word, whatever is in them and in whatever order they are asked for', () => {
    const word = fc.oneof(fc.constant(0), fc.integer(), fc.constant(0x7ff00000));
    const record = fc.oneof(
      fc.array(word, { minLength: RECORD_WORDS, maxLength: RECORD_WORDS }),
      // Mostly empty, as those of idle connections are.
      fc.array(fc.tuple(fc.nat(RECORD_WORDS - 1), word), { maxLength: 12 }).map((pairs) => {
        const words = new Array<number>(RECORD_WORDS).fill(0);
        for (const [i, value] of pairs) words[i] = value;
        return words;
      }),
    );
    fc.assert(
      fc.property(fc.array(record, { maxLength: 40 }), fc.infiniteStream(fc.nat()), (records, order) => {
        const store = new RecordStore();
        const packed: { number: number; words: readonly number[] }[] = [];
        const takeOne = (): void => {
          const at = order.next().value % packed.length;
          const [{ number, words }] = packed.splice(at, 1) as [(typeof packed)[number]];
          const into = new Int32Array(RECORD_WORDS + 3).fill(-1);
          store.unpack(number, into, 2);
          expect([...into.subarray(2, 2 + RECORD_WORDS)]).toEqual(words);
          expect([into[1], into[2 + RECORD_WORDS]]).toEqual([-1, -1]);
        };
        for (const words of records) {
          const from = Int32Array.from([9, ...words, 9]);
          packed.push({ number: store.pack(from, 1), words: [...from.subarray(1, 1 + RECORD_WORDS)] });
          if (order.next().value % 3 === 0) takeOne();
        }
        expect(store.held).toBe(packed.length);
        while (packed.length > 0) takeOne();
        expect(store.held).toBe(0);
      }),
    );
  });

  test('are told apart by their numbers, and a number is used again', () => {
    const store = new RecordStore();
    const slab = new TcpSlab();
    const c = slab.allocate();
    const numbers = Array.from({ length: 5000 }, (_, i) => {
      c.words[c.base + 5] = i + 1;
      return store.pack(c.words, c.base);
    });
    expect(new Set(numbers).size).toBe(5000);
    for (const [i, number] of numbers.entries()) {
      store.unpack(number, c.words, c.base);
      expect(c.words[c.base + 5]).toBe(i + 1);
    }
    const again = Array.from({ length: 5000 }, () => store.pack(c.words, c.base));
    expect(new Set(again)).toEqual(new Set(numbers));
  });

  test('a slab gives memory back when its records are free, and has it again when they are wanted', () => {
    const slab = new TcpSlab(64);
    const all = Array.from({ length: 1000 }, () => slab.allocate());
    const most = slab.byteLength;
    for (const c of all.splice(0, 900)) slab.free(c);
    expect(slab.byteLength).toBeLessThan(most / 2);
    expect(slab.live).toBe(100);
    for (const c of all) expect(slab.at(c.slot)).toBe(c);
    const more = Array.from({ length: 900 }, () => slab.allocate());
    expect(slab.byteLength).toBe(most);
    for (const c of [...all, ...more]) expect(slab.at(c.slot)).toBe(c);
    expect(new Set([...all, ...more].map((c) => c.slot)).size).toBe(1000);
    expect(more.every((c) => c.words[c.base + MOMENT_AT_WORD - 1] === 0)).toBe(true);
    for (const c of [...all, ...more]) slab.free(c);
    expect(slab.live).toBe(0);
  });
});

describe('a connection whose record is packed', () => {
  test('is found by its segments, tells of itself, takes options, and comes back as it was', async () => {
    const hosts = twoHosts({});
    expect(hosts.runtime).toBeInstanceOf(VirtualRuntime);
    const { server, client } = connectPeers(hosts, 1000, 1000, 4, 80, false);
    hosts.runtime.advance(100_000);
    const before = server.endpoint.info();
    void server.endpoint.chimney.offload();
    hosts.runtime.advance(10_000);
    expect(server.endpoint.chimney.location).toBe('target');
    const endpoint = server.endpoint as unknown as { isPacked: boolean };
    expect(endpoint.isPacked).toBe(true);
    expect(server.endpoint.info()).toEqual({ ...before, location: 'target' });
    expect(endpoint.isPacked).toBe(false);
    hosts.runtime.advance(1000);
    expect(endpoint.isPacked).toBe(true);
    server.endpoint.setKeepAlive(true, 5000);
    server.more(5000);
    client.more(5000);
    hosts.runtime.advance(100_000);
    expect([server.received, client.received]).toEqual([6000, 6000]);
    void server.endpoint.chimney.takeBack();
    hosts.runtime.advance(10_000);
    expect(server.endpoint.chimney.location).toBe('host');
    server.more(5000);
    client.more(5000);
    hosts.runtime.advance(100_000);
    expect([server.received, client.received, server.wrongBytes, client.wrongBytes]).toEqual([11_000, 11_000, 0, 0]);
    client.endpoint.abort();
    hosts.runtime.advance(100_000);
    expect(hosts.server.findings).toEqual([]);
    await hosts.close();
    expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  });
});
