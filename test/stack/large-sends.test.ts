/** Super-segments between two stacks on a wire that carries them: counted and repaired by segments, on the host path and on targets. */
import { expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { findingText } from '../../src/contract/finding.ts';
import { WHOLE_FRAME } from '../../src/link/link.ts';
import { type Impairment, memoryLinkPair } from '../../src/link/memory.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import type { PacketTap } from '../../src/trace/trace.ts';
import { Gate, Lengths } from './gates.ts';
import { connectPeers, type TwoHosts } from './two-hosts.ts';

function largeHosts(seed: number, impairment: Impairment, tap: PacketTap): TwoHosts {
  const runtime = new VirtualRuntime(seed);
  const wire = memoryLinkPair({ runtime, names: ['server', 'client'], impairment, seed, largeSendBytes: 65_535 });
  const stack = (link: typeof wire.a, side: number): Stack =>
    createStack({
      runtime,
      verify: true,
      links: [{ link, addresses: [`10.0.0.${side}/24`, `fd00::${side}/64`], ...(side === 1 ? { capture: tap } : {}) }],
    });
  const server = stack(wire.a, 1);
  const client = stack(wire.b, 2);
  const close = async (): Promise<void> => {
    let isClosed = false;
    void Promise.all([server.close(), client.close()]).then(() => {
      isClosed = true;
    });
    for (let i = 0; i < 10_000 && !isClosed; i++) {
      runtime.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isClosed).toBe(true);
  };
  return { runtime, server, client, wire, close };
}

const WIRES: readonly (readonly [string, Impairment])[] = [
  ['a clean wire', { delayUs: 200 }],
  ['a wire that loses one frame in a hundred', { delayUs: 200, loss: 0.01 }],
  ['a wire that reorders, duplicates and corrupts', { delayUs: 200, reorder: 0.02, duplicate: 0.01, corrupt: 0.01 }],
];

test.each(WIRES.flatMap(([name, wire]) => ([4, 6] as const).map((family) => [name, family, wire] as const)))(
  'megabytes both ways over %s with IPv%i, moving between host and target',
  async (_name, family, wire) => {
    const tap = new Lengths();
    const hosts = largeHosts(7, wire, tap);
    const total = 4 << 20;
    const { server, client } = connectPeers(hosts, total, total, family);
    for (let i = 0; i < 60_000 && !(server.closedWith !== undefined && client.closedWith !== undefined); i++) {
      hosts.runtime.advance(500);
      if (i % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
      const chimney = i % 3 === 0 ? server.endpoint?.chimney : client.endpoint?.chimney;
      if (chimney === undefined || i % 5 !== 0) continue;
      if (chimney.location === 'host') chimney.offload().catch(() => {});
      else if (chimney.location === 'target') chimney.takeBack().catch(() => {});
    }
    expect([server.received, server.wrongBytes, server.closedWith]).toEqual([total, 0, null]);
    expect([client.received, client.wrongBytes, client.closedWith]).toEqual([total, 0, null]);
    expect(tap.long).toBeGreaterThan(50);
    expect(tap.longest).toBeGreaterThan(60_000);
    expect(tap.longest).toBeLessThanOrEqual(65_535 + 14);
    for (const stack of [hosts.server, hosts.client]) {
      expect(stack.findings.map(findingText)).toEqual([]);
      expect(stack.counters().TCP_CHECKSUM_BAD ?? 0).toBe(0);
    }
    await hosts.close();
    expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    expect(hosts.client.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  },
);

test('a device that has joined datagrams hands over each of them; a checksum that was left out is not missed', async () => {
  const hosts = largeHosts(3, {}, new Lengths());
  const got: number[] = [];
  const port = hosts.client.transports.bindUdp(
    { address: '10.0.0.2', port: 4711 },
    {
      message: (_bytes: Uint8Array, _at: number, length: number) => got.push(length),
      error: () => {},
    },
  );
  const send = hosts.server.transports.bindUdp(
    { address: '10.0.0.1', port: 4712 },
    { message: () => {}, error: () => {} },
  );
  // An ordinary datagram teaches the neighbors; its frame is then sent again as a device would hand it over.
  const frames: Uint8Array[] = [];
  const transmit = hosts.wire.a.transmit.bind(hosts.wire.a);
  hosts.wire.a.transmit = (bytes, at, length, segmentBytes) => {
    frames.push(bytes.slice(at, at + length));
    return transmit(bytes, at, length, segmentBytes);
  };
  expect(send.send(new Uint8Array(1400), { address: '10.0.0.2', port: 4711 })).toBe(null);
  hosts.runtime.advance(10_000);
  expect(got).toEqual([1400]);
  const frame = frames.at(-1)!.slice();
  frame.fill(0xab, 40, 42);
  transmit(frame, 0, frame.length, 600);
  transmit(frame, 0, frame.length, WHOLE_FRAME);
  transmit(frame, 0, frame.length, 0);
  hosts.runtime.advance(10_000);
  expect(got).toEqual([1400, 600, 600, 200, 1400]);
  expect(hosts.client.counters().UDP_CHECKSUM_BAD).toBe(1);
  port.close();
  send.close();
  await hosts.close();
});

test('text that waits for a full wire is read from where it lies, and is not given back before it has left', async () => {
  const runtime = new VirtualRuntime(1);
  const wire = memoryLinkPair({ runtime, impairment: { delayUs: 50 }, largeSendBytes: 65_535 });
  const gate = new Gate(wire.a);
  const server = createStack({ runtime, links: [{ link: gate, addresses: ['10.0.0.1/24'] }] });
  const client = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
  const received: Buffer[] = [];
  const handler = {
    connected() {},
    data(bytes: Uint8Array, at: number, length: number): number {
      received.push(Buffer.from(bytes.subarray(at, at + length)));
      return length;
    },
    dataDone() {},
    end() {},
    closed() {},
  };
  client.transports.listen({ local: { address: '10.0.0.2', port: 80 } }, (accepted) => {
    accepted.handler = handler;
  });
  const endpoint = server.transports.connect({ remote: { address: '10.0.0.2', port: 80 } }, handler);
  runtime.advance(100_000);
  // The window opens until all of it goes in one packet.
  const done: (string | null)[] = [];
  for (let i = 0; i < 4; i++) {
    endpoint.write(new Uint8Array(60_000).fill(i), null);
    runtime.advance(100_000);
  }
  expect(gate.gathered).toBeGreaterThan(0);
  gate.isFull = true;
  const last = new Uint8Array(60_000).fill(9);
  endpoint.write(last, (error) => done.push(error));
  runtime.advance(10_000);
  endpoint.abort();
  runtime.advance(100_000);
  expect(done).toEqual([]);
  gate.open();
  runtime.advance(100_000);
  expect(done).toEqual(['ECONNABORTED']);
  last.fill(0);
  const all = Buffer.concat(received);
  expect(all.length).toBeGreaterThan(250_000);
  expect(all.every((byte, i) => byte === [0, 1, 2, 3, 9][Math.floor(i / 60_000)])).toBe(true);
  let isClosed = false;
  void Promise.all([server.close(), client.close()]).then(() => {
    isClosed = true;
  });
  for (let i = 0; i < 1000 && !isClosed; i++) {
    runtime.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
});
