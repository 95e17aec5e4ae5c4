/** Many connections that write much: their chunks are sent from where they lie, and are the program's own again when a write is over. */

import { once } from 'node:events';
import type net from 'node:net';
import { expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { HostEndpoint } from '../../src/host/transport/tcp-endpoint.ts';
import { memoryLinkPair } from '../../src/link/memory.ts';
import { SystemRuntime } from '../../src/runtime.ts';
import { SendBuffer } from '../../src/socket/send-buffer.ts';
import { SlabPool } from '../../src/socket/slabs.ts';
import { createStack } from '../../src/stack.ts';

const CONNECTIONS = 90;
const CHUNKS = 24;
const CHUNK = 32_768;

function byteOf(connection: number, chunk: number): number {
  return (connection * 7 + chunk * 3 + 1) & 0xff;
}

test('each byte as it was when it was written, though every chunk is wiped as soon as its write is over', async () => {
  const runtime = new SystemRuntime();
  const wire = memoryLinkPair({ runtime, medium: 'ip', largeSendBytes: 65_535, queueBytes: 8 << 20 });
  await using server = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
  await using client = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
  let wrong = 0;
  let whole = 0;
  const listener = server.net.createServer((socket) => {
    let at = 0;
    let connection = -1;
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => {
      for (const byte of data) {
        if (connection < 0) connection = byte;
        else if (byte !== byteOf(connection, Math.floor((at - 1) / CHUNK))) wrong++;
        at++;
      }
    });
    socket.on('end', () => {
      if (at === 1 + CHUNKS * CHUNK) whole++;
      socket.end();
    });
  });
  listener.listen(80, '10.0.0.1', 1024);
  await once(listener, 'listening');
  const ended: Promise<unknown>[] = [];
  const sockets: net.Socket[] = [];
  // One by one, so that each knows how near its peer is.
  while (sockets.length < CONNECTIONS) {
    const socket = client.net.connect(80, '10.0.0.1') as unknown as net.Socket;
    socket.on('error', () => {});
    await once(socket, 'connect');
    sockets.push(socket);
  }
  for (const [connection, socket] of sockets.entries()) {
    socket.resume();
    ended.push(once(socket, 'close'));
    socket.write(Uint8Array.of(connection));
    const write = (chunk: number): void => {
      if (chunk === CHUNKS) {
        socket.end();
        return;
      }
      const bytes = new Uint8Array(CHUNK).fill(byteOf(connection, chunk));
      socket.write(bytes, () => {
        bytes.fill(0);
        if (!socket.destroyed) write(chunk + 1);
      });
      // Every tenth is destroyed while it writes, and what it wrote changes at once.
      if (connection % 10 !== 9 || chunk !== 12) return;
      socket.destroy();
      bytes.fill(0);
    };
    write(0);
  }
  await Promise.all(ended);
  for (let i = 0; i < 100 && whole < CONNECTIONS - 9; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  listener.close();
  expect(wrong).toBe(0);
  expect(whole).toBe(CONNECTIONS - 9);
}, 60_000);

test('chunks are lent where many connections send to near peers at once, and else copied', () => {
  const pool = new SlabPool();
  const written: { bytes: Uint8Array; done: (error: null) => void }[] = [];
  let minRttUs = 100;
  let progress = 0;
  const endpoint = {
    unacknowledgedBytes: 0,
    info: () => ({ cWnd: 100_000, minRttUs }),
    write: (bytes: Uint8Array, done: (error: null) => void) => written.push({ bytes, done }) - 1,
    moveWrite: (name: number, bytes: Uint8Array) => {
      written[name]!.bytes = bytes;
    },
  };
  const send = new SendBuffer(endpoint as never, pool, () => progress++);
  expect(send.prefersLoans).toBe(false);
  pool.out = 100;
  pool.crowd = 100;
  expect(send.prefersLoans).toBe(true);
  minRttUs = 20_000;
  expect(send.prefersLoans).toBe(false);
  minRttUs = 100;
  const chunk = new Uint8Array(100_000).fill(5);
  send.borrow(chunk);
  expect([written[0]!.bytes === chunk, send.lentBytes, pool.out, send.isDrained]).toEqual([true, 100_000, 102, false]);
  send.endLoans();
  chunk.fill(0);
  expect([written[0]!.bytes[99_999], send.lentBytes]).toEqual([5, 0]);
  written[0]!.done(null);
  expect([pool.out, progress, send.isDrained]).toEqual([100, 1, true]);
});

test.each(['host', 'target'])(
  'a write moves elsewhere while packets with its bytes wait for a full link, at the %s: all arrives as it was',
  async (at) => {
    const runtime = new VirtualRuntime(7);
    // Room for two super-segments: what follows waits for it.
    const impairment = { rateBps: 200_000_000 };
    const wire = memoryLinkPair({ runtime, medium: 'ip', largeSendBytes: 65_535, queueBytes: 70_000, impairment });
    const server = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
    const client = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
    const received: Uint8Array[] = [];
    const told: (string | null)[] = [];
    const quiet = { connected() {}, data: (_b: unknown, _a: number, n: number) => n, dataDone() {}, end() {} };
    const closed = (error: string | null): void => void told.push(error);
    server.transports.listen({ local: { address: '10.0.0.1', port: 80 } }, (endpoint) => {
      endpoint.handler = {
        ...quiet,
        closed,
        data: (bytes, from, length) => {
          received.push(bytes.slice(from, from + length));
          return length;
        },
        end: () => endpoint.shutdown(),
      };
    });
    const endpoint = client.transports.connect({ remote: { address: '10.0.0.1', port: 80 } }, { ...quiet, closed });
    runtime.advance(10_000);
    if (at === 'target') {
      void endpoint.chimney.offload();
      runtime.advance(10_000);
    }
    expect(endpoint.chimney.location).toBe(at);
    const [own, after] = [new Uint8Array(2_000_000), new Uint8Array(200_000)];
    for (let i = 0; i < own.length; i++) own[i] = (i * 7 + (i >> 8)) & 255;
    const expected = own.slice();
    const names = [own, after].map((bytes) => endpoint.write(bytes, null));
    // Until a packet waits, and the window is open a little.
    const isWaiting = (): boolean => (endpoint as HostEndpoint).firstText !== null;
    if (at === 'target') runtime.advance(20_000);
    else runtime.runUntil(() => isWaiting() && endpoint.unacknowledgedBytes < 2_100_000, 10_000_000);
    expect(isWaiting()).toBe(at === 'host');
    // The application has its memory back, and writes into it.
    endpoint.moveWrite(names[0], own.slice());
    own.fill(0xff);
    endpoint.shutdown();
    runtime.advance(5_000_000);
    const all = Buffer.concat(received);
    expect(all.length).toBe(2_200_000);
    expect(all.subarray(0, 2_000_000).equals(expected)).toBe(true);
    expect(told).toEqual([null, null]);
    let isClosed = false;
    void Promise.all([client.close(), server.close()]).then(() => {
      isClosed = true;
    });
    for (let i = 0; i < 1000 && !isClosed; i++) {
      runtime.advance(100_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isClosed).toBe(true);
  },
);

test('a send buffer of which all is acknowledged is half empty, however little each may hold', () => {
  const pool = new SlabPool();
  const endpoint = { unacknowledgedBytes: 0, sendBacklog: 0, info: () => ({ minRttUs: 0 }) };
  const send = new SendBuffer(endpoint as never, pool, () => {});
  for (const out of [0, 4000, 8100, 8190, 20_000]) {
    pool.out = out;
    expect([out, send.isHalfEmpty]).toEqual([out, true]);
    endpoint.unacknowledgedBytes = send.room();
    expect([out, send.room(), send.isHalfEmpty]).toEqual([out, 0, false]);
    endpoint.unacknowledgedBytes = 0;
  }
});

test('a crowd of senders is forgotten when few go on', () => {
  const pool = new SlabPool();
  for (let i = 0; i < 10; i++) pool.senderBegun();
  for (let i = 0; i < 10; i++) pool.senderEnded();
  const again = (): number => {
    pool.senderBegun();
    pool.senderEnded();
    return pool.crowd;
  };
  expect(again()).toBeGreaterThan(9);
  for (let i = 0; i < 1000; i++) again();
  expect(again()).toBe(1);
});
