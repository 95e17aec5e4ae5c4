/** Receiving without a copy: bytes shown where they lie, kept and returned; and the application's own memory filled by the target. */

import { afterEach, describe, expect, test } from 'vitest';
import { KEPT_BYTES_MAX } from '../../src/host/chimney/loans.ts';
import { DataOperation } from '../../src/ndis/tap.ts';
import type { KeptBytes, Loan } from '../../src/socket/on-read.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';
import { expectNothingHeld, settled } from './support.ts';
import { byteAt, Peer, type TwoHosts, type TwoHostsOptions, twoHosts } from './two-hosts.ts';

const KEY = 22;
/** A receive that only lets indications go on. */
const NONE = new Uint8Array(0);

interface Scene {
  readonly hosts: TwoHosts;
  readonly peer: Peer;
  readonly socket: StackSocket;
  /** Names of the data operations below the host, in order. */
  readonly operations: string[];
  /** Memory of posted receives. */
  readonly posted: Uint8Array[];
}

let scene: Scene | null = null;

/** Runs the world until something is so. */
async function until(hosts: TwoHosts, isSo: () => boolean, rounds = 3000): Promise<void> {
  for (let i = 0; i < rounds && !isSo(); i++) {
    hosts.runtime.advance(500);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(isSo()).toBe(true);
}

/** A connection whose client will send so many known bytes, and whose server reads as `begin` arranges when it is accepted. */
async function connected(
  bytes: number,
  begin: (socket: StackSocket) => void,
  options?: TwoHostsOptions,
): Promise<Scene> {
  const hosts = twoHosts(options);
  const operations: string[] = [];
  const posted: Uint8Array[] = [];
  const tap = new Proxy({} as never, {
    get: (_target, name) => (operation: unknown, _handle: unknown, list: NetBufferList) => {
      if (name === 'dataCall' && operation === DataOperation.RECEIVE)
        posted.push(list.firstNetBuffer!.mdlChain?.buffer ?? NONE);
      if (name === 'receiveIndicate' || name === 'receiveReturn') operations.push(name);
    },
  });
  hosts.server.ndis.attachTap('server', tap);
  let socket: StackSocket | null = null;
  const listening = hosts.server.net.createServer((accepted: StackSocket) => {
    socket = accepted;
    accepted.on('error', () => {});
    begin(accepted);
  });
  listening.listen(80, '10.0.0.1');
  const peer = new Peer(bytes, KEY, 11);
  await until(hosts, () => listening.listening);
  peer.endpoint = hosts.client.transports.connect({ remote: { address: '10.0.0.1', port: 80 } }, peer);
  await until(hosts, () => socket !== null);
  listening.close();
  scene = { hosts, peer, socket: socket!, operations, posted };
  return scene;
}

/** Checks bytes of the client's stream from a position on. */
function wrongBytes(bytes: Uint8Array, from: number): number {
  return bytes.reduce((wrong, byte, i) => wrong + (byte === byteAt(from + i, KEY) ? 0 : 1), 0);
}

async function finish({ hosts, socket }: Scene): Promise<void> {
  socket.destroy();
  await expectNothingHeld(hosts);
  scene = null;
}

afterEach(async () => {
  if (scene !== null) await scene.hosts.close();
  scene = null;
});

describe('bytes are shown where they lie', () => {
  test('in order, on the host path, at a target, and while the connection moves', async () => {
    let received = 0;
    let wrong = 0;
    const one = await connected(600_000, (socket) => {
      socket.setOnRead({
        borrow: true,
        callback: (length, bytes) => {
          expect(bytes.length).toBe(length);
          wrong += wrongBytes(bytes, received);
          received += length;
        },
      });
    });
    const { hosts, socket } = one;
    let isEnded = false;
    socket.on('end', () => {
      isEnded = true;
    });
    for (let move = 0; move < 6; move++) {
      await until(hosts, () => received >= 60_000 * (move + 1));
      await settled(hosts, move % 2 === 0 ? socket.chimney!.offload() : socket.chimney!.takeBack());
    }
    await until(hosts, () => isEnded);
    expect([received, wrong, socket.bytesRead]).toEqual([600_000, 0, 600_000]);
    await finish(one);
  });

  test('pause and a callback that answers false stop them, resume lets them come; nothing is lost', async () => {
    for (const isOffloaded of [false, true]) {
      let received = 0;
      let wrong = 0;
      let calls = 0;
      const one = await connected(150_000, (socket) => {
        socket.setOnRead({
          borrow: true,
          callback: (length, bytes) => {
            wrong += wrongBytes(bytes, received);
            received += length;
            calls++;
            if (calls % 3 === 0) socket.pause();
            return calls % 5 !== 0;
          },
        });
      });
      const { hosts, socket } = one;
      if (isOffloaded) await settled(hosts, socket.chimney!.offload());
      for (let rounds = 0; rounds < 2000 && !socket.readableEnded; rounds++) {
        hosts.runtime.advance(1000);
        await new Promise((resolve) => setImmediate(resolve));
        if (calls === 0 || (calls % 3 !== 0 && calls % 5 !== 0)) continue;
        // It is stopped: not called whatever comes.
        const stopped = calls;
        hosts.runtime.advance(2000);
        expect(calls).toBe(stopped);
        socket.resume();
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect([received, wrong, socket.readableEnded]).toEqual([150_000, 0, true]);
      await finish(one);
    }
  });

  test('what is kept at a target is its memory, stays as it was, and goes back when it is released', async () => {
    const kept: { from: number; bytes: KeptBytes }[] = [];
    let received = 0;
    const one = await connected(400_000, (socket) => {
      socket.setOnRead({
        borrow: true,
        callback: (length, _bytes, loan) => {
          if (socket.chimney!.location === 'target' && kept.length < 4)
            kept.push({ from: received, bytes: loan.keep() });
          received += length;
        },
      });
    });
    const { hosts, socket } = one;
    await settled(hosts, socket.chimney!.offload());
    await until(hosts, () => received === 400_000);
    expect(kept.length).toBe(4);
    expect(kept.map(({ bytes }) => bytes.isCopy)).toEqual([false, false, false, false]);
    expect(kept.map(({ from, bytes }) => wrongBytes(bytes.bytes, from))).toEqual([0, 0, 0, 0]);
    const lists = hosts.server.held().buffers;
    expect(lists).toBeGreaterThan(0);
    for (const { bytes } of kept) {
      bytes.release();
      bytes.release();
    }
    hosts.runtime.advance(100);
    expect(hosts.server.held().buffers).toBe(0);
    await finish(one);
  });

  test('a stack does not close while an application keeps bytes of its target', async () => {
    const kept: KeptBytes[] = [];
    const one = await connected(50_000, (socket) => {
      socket.setOnRead({
        borrow: true,
        callback: (_length, _bytes, loan) => {
          if (socket.chimney!.location === 'target') kept.push(loan.keep());
        },
      });
    });
    const { hosts, socket } = one;
    await settled(hosts, socket.chimney!.offload());
    await until(hosts, () => kept.length > 0 && socket.bytesRead === 50_000);
    socket.destroy();
    let isClosed = false;
    const closing = hosts.server.close().then(() => {
      isClosed = true;
    });
    for (let i = 0; i < 200; i++) {
      hosts.runtime.advance(10_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isClosed).toBe(false);
    for (const bytes of kept) bytes.release();
    await until(hosts, () => isClosed);
    await closing;
    expect(hosts.server.held().buffers).toBe(0);
  });

  test('some bytes kept and the rest refused in one indication: the host keeps the rest, and gives it later', async () => {
    const kept: { from: number; bytes: KeptBytes }[] = [];
    let received = 0;
    let wrong = 0;
    let calls = 0;
    const one = await connected(300_000, (socket) => {
      socket.setOnRead({
        borrow: true,
        callback: (length, bytes, loan) => {
          wrong += wrongBytes(bytes, received);
          if (socket.chimney!.location === 'target' && kept.length < 40)
            kept.push({ from: received, bytes: loan.keep() });
          received += length;
          calls++;
          return calls % 3 !== 0;
        },
      });
    });
    const { hosts, socket } = one;
    await settled(hosts, socket.chimney!.offload());
    for (let i = 0; i < 3000 && received < 300_000; i++) {
      hosts.runtime.advance(3000);
      socket.resume();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([received, wrong]).toEqual([300_000, 0]);
    expect(kept.some(({ bytes }) => !bytes.isCopy)).toBe(true);
    expect(kept.reduce((sum, { from, bytes }) => sum + wrongBytes(bytes.bytes, from), 0)).toBe(0);
    for (const { bytes } of kept) bytes.release();
    await finish(one);
  });

  test('kept on the host path they are a copy, and say so', async () => {
    const kept: KeptBytes[] = [];
    const one = await connected(20_000, (socket) => {
      socket.setOnRead({ borrow: true, callback: (_length, _bytes, loan) => kept.push(loan.keep()) > 0 });
    });
    const { hosts, socket } = one;
    await until(hosts, () => socket.bytesRead === 20_000);
    expect(kept.every(({ isCopy }) => isCopy)).toBe(true);
    expect(wrongBytes(Buffer.concat(kept.map(({ bytes }) => bytes)), 0)).toBe(0);
    await finish(one);
  });

  test('more than a connection may keep is copied, so that one application cannot starve the others', async () => {
    const kept: KeptBytes[] = [];
    const one = await connected(5_000_000, (socket) => {
      socket.setOnRead({ borrow: true, callback: (_length, _bytes, loan) => kept.push(loan.keep()) > 0 });
    });
    const { hosts, socket } = one;
    await settled(hosts, socket.chimney!.offload());
    await until(hosts, () => socket.bytesRead === 5_000_000);
    const lent = kept.filter(({ isCopy }) => !isCopy).reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(lent).toBeGreaterThan(4_000_000);
    expect(lent).toBeLessThanOrEqual(KEPT_BYTES_MAX);
    expect(wrongBytes(Buffer.concat(kept.map(({ bytes }) => bytes)), 0)).toBe(0);
    for (const bytes of kept) bytes.release();
    await finish(one);
  });

  test('keeping them after the callback is an error, as is a callback that is none, or one that comes too late', async () => {
    const loans: Loan[] = [];
    const one = await connected(1000, (socket) => {
      expect(() => socket.setOnRead({ borrow: true } as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      );
      socket.setOnRead({ borrow: true, callback: (_length, _bytes, loan) => loans.push(loan) > 0 });
    });
    const { hosts, socket } = one;
    await until(hosts, () => loans.length > 0);
    expect(() => loans[0]!.keep()).toThrow(expect.objectContaining({ code: 'ERR_INVALID_STATE' }));
    expect(() => socket.setOnRead({ borrow: true, callback: () => true })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_STATE' }),
    );
    await finish(one);
  });
});

describe("the application's own memory (onread with a buffer)", () => {
  test('is posted to the target, which fills it: no indication, no copy above', async () => {
    const memory = new Uint8Array(new SharedArrayBuffer(16_384));
    let received = 0;
    let wrong = 0;
    const one = await connected(400_000, (socket) => {
      socket.setOnRead({
        buffer: memory,
        callback: (length, buffer) => {
          expect(buffer).toBe(memory);
          wrong += wrongBytes(buffer.subarray(0, length), received);
          received += length;
          return true;
        },
      });
    });
    const { hosts, socket, operations, posted } = one;
    await settled(hosts, socket.chimney!.offload());
    await until(hosts, () => received === 400_000 && socket.readableEnded);
    expect(wrong).toBe(0);
    expect(posted.filter((buffer) => buffer === memory).length).toBeGreaterThan(15);
    expect(operations.filter((name) => name === 'receiveIndicate').length).toBeLessThanOrEqual(1);
    await finish(one);
  });

  test('comes back with what is in it when the connection is taken back, and every byte is told once', async () => {
    let received = 0;
    let wrong = 0;
    const one = await connected(500_000, (socket) => {
      socket.setOnRead({
        buffer: () => Buffer.alloc(10_000),
        callback: (length, buffer) => {
          wrong += wrongBytes(buffer.subarray(0, length), received);
          received += length;
          return true;
        },
      });
    });
    const { hosts, socket } = one;
    for (let move = 0; move < 8; move++) {
      await until(hosts, () => received >= 50_000 * (move + 1));
      await settled(hosts, move % 2 === 0 ? socket.chimney!.offload() : socket.chimney!.takeBack());
    }
    await until(hosts, () => socket.readableEnded);
    expect([received, wrong, socket.bytesRead]).toEqual([500_000, 0, 500_000]);
    await finish(one);
  });

  test('is not filled any more once the callback has answered false, and again after resume', async () => {
    const memory = Buffer.alloc(4096);
    let received = 0;
    let wrong = 0;
    let calls = 0;
    let isStopped = false;
    const one = await connected(100_000, (socket) => {
      socket.setOnRead({
        buffer: memory,
        callback: (length, buffer) => {
          wrong += wrongBytes(buffer.subarray(0, length), received);
          received += length;
          calls++;
          isStopped = calls % 4 === 0;
          return !isStopped;
        },
      });
    });
    const { hosts, socket } = one;
    await settled(hosts, socket.chimney!.offload());
    while (received < 100_000) {
      await until(hosts, () => isStopped || received === 100_000);
      const stopped = calls;
      const had = Buffer.from(memory);
      hosts.runtime.advance(20_000);
      await new Promise((resolve) => setImmediate(resolve));
      expect([calls, memory.equals(had)]).toEqual([stopped, true]);
      isStopped = false;
      socket.resume();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([received, wrong]).toEqual([100_000, 0]);
    await finish(one);
  });

  test('paused from outside, what the target still put there is told after resume', async () => {
    let received = 0;
    let wrong = 0;
    const one = await connected(200_000, (socket) => {
      socket.setOnRead({
        buffer: Buffer.alloc(8192),
        callback: (length, buffer) => {
          wrong += wrongBytes(buffer.subarray(0, length), received);
          received += length;
          return true;
        },
      });
    });
    const { hosts, socket } = one;
    await settled(hosts, socket.chimney!.offload());
    while (!socket.readableEnded) {
      const before = received;
      await until(hosts, () => received > before || socket.readableEnded);
      socket.pause();
      const paused = received;
      for (let i = 0; i < 5; i++) {
        hosts.runtime.advance(5000);
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(received).toBe(paused);
      socket.resume();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([received, wrong]).toEqual([200_000, 0]);
    await finish(one);
  });

  test('a socket that is destroyed while its memory is posted leaves nothing behind', async () => {
    for (const end of ['destroy', 'resetAndDestroy'] as const) {
      const one = await connected(1 << 30, (socket) => {
        socket.setOnRead({ buffer: Buffer.alloc(8192), callback: () => true });
      });
      const { hosts, socket } = one;
      await settled(hosts, socket.chimney!.offload());
      await until(hosts, () => socket.bytesRead > 50_000);
      socket[end]();
      await until(hosts, () => one.peer.closedWith !== undefined);
      await finish(one);
    }
  });
});
