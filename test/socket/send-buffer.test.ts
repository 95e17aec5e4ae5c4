/** The send buffer: how much it takes, and in which pieces. */
import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { memoryLinkPair } from '../../src/link/memory.ts';
import { SendBuffer } from '../../src/socket/send-buffer.ts';
import { SlabPool } from '../../src/socket/slabs.ts';
import { createStack } from '../../src/stack.ts';

const KIB = 1 << 10;
const MIB = 1 << 20;

/** What of an endpoint a send buffer asks for. */
function endpointOf(sendBacklog: number) {
  return { unacknowledgedBytes: 0, sendBacklog, info: () => ({ minRttUs: 0 }) };
}

describe('how much it takes', () => {
  test('at first 256 KiB, then as much as is worth having unacknowledged, four megabytes at most', () => {
    const endpoint = endpointOf(100 * KIB);
    const send = new SendBuffer(endpoint as never, new SlabPool(), () => {});
    expect(send.room()).toBe(256 * KIB);
    endpoint.sendBacklog = MIB;
    expect(send.room()).toBe(256 * KIB);
    // Before it is quite full: what is left may be too little to be worth a piece.
    endpoint.unacknowledgedBytes = 200 * KIB;
    expect(send.room()).toBe(MIB - 200 * KIB);
    endpoint.sendBacklog = 64 * MIB;
    endpoint.unacknowledgedBytes = MIB;
    expect(send.room()).toBe(3 * MIB);
  });

  test('of an offloaded connection as much as its target says is best, not what the host knew when it went down', async () => {
    const runtime = new VirtualRuntime(5);
    const wire = memoryLinkPair({ runtime, impairment: { delayUs: 5_000, rateBps: 1e9 } });
    const client = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
    const server = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
    const settle = async (ms: number): Promise<void> => {
      for (let i = 0; i < ms; i++) {
        runtime.advance(1_000);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    server.net.createServer((socket) => socket.resume()).listen({ port: 80, host: '10.0.0.2', receiveBuffer: 4 * MIB });
    await settle(2);
    const socket = client.net.connect(80, '10.0.0.2');
    await settle(30);
    await Promise.all([socket.chimney!.offload(), settle(5)]);
    expect(socket.chimney!.location).toBe('target');
    const chunk = Buffer.alloc(64 * KIB);
    let isOver = false;
    const pour = (): void => {
      while (!isOver && socket.write(chunk));
    };
    socket.on('drain', pour);
    pour();
    let inFlight = 0;
    for (let i = 0; i < 60 && inFlight <= 256 * KIB; i++) {
      await settle(10);
      const { sndMax = 0, sndUna = 0 } = (await Promise.all([socket.chimney!.query(), settle(1)]))[0].delegated;
      inFlight = (sndMax - sndUna) >>> 0;
    }
    expect(inFlight).toBeGreaterThan(256 * KIB);
    isOver = true;
    socket.destroy();
    await settle(20);
    await Promise.all([client.close(), server.close(), settle(50)]);
  });
});

describe('in which pieces', () => {
  test('a write that does not fit waits for room worth a piece', () => {
    const endpoint = endpointOf(0);
    const send = new SendBuffer(endpoint as never, new SlabPool(), () => {});
    endpoint.unacknowledgedBytes = 256 * KIB - 60_000;
    expect(send.roomFor(64 * KIB)).toBe(0);
    expect(send.roomFor(60_000)).toBe(60_000);
    endpoint.unacknowledgedBytes = 256 * KIB - 64 * KIB;
    expect(send.roomFor(100 * KIB)).toBe(64 * KIB);
    endpoint.unacknowledgedBytes = 0;
    expect(send.roomFor(MIB)).toBe(256 * KIB);
  });

  test('writes of 64 KiB leave as such however the bound fits them', () => {
    const endpoint = { ...endpointOf(590_000), write: () => ({}) };
    const pieces: number[] = [];
    const dones: (() => void)[] = [];
    endpoint.write = ((bytes: Uint8Array, done: (error: null) => void) => {
      pieces.push(bytes.length);
      endpoint.unacknowledgedBytes += bytes.length;
      dones.push(() => {
        endpoint.unacknowledgedBytes -= bytes.length;
        done(null);
      });
      return {};
    }) as never;
    const send = new SendBuffer(endpoint as never, new SlabPool(), () => {});
    const chunk = new Uint8Array(64 * KIB);
    let left = chunk.length;
    for (let turn = 0; turn < 400; turn++) {
      for (let room = send.roomFor(left); room > 0; room = send.roomFor(left)) {
        send.begin(room);
        send.append(chunk, 0, room);
        send.flush();
        left = left === room ? chunk.length : left - room;
      }
      dones.shift()?.();
    }
    expect(pieces.length).toBeGreaterThan(300);
    expect(Math.min(...pieces)).toBeGreaterThanOrEqual(64 * KIB);
  });
});
