/** A socket piped to another: its bytes pass from TCP to TCP, and nobody can tell. */

import { afterEach, describe, expect, test } from 'vitest';
import { DataOperation } from '../../src/ndis/tap.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';
import { expectNothingHeld, settled } from './support.ts';
import { byteAt, Peer, type TwoHosts, type TwoHostsOptions, twoHosts } from './two-hosts.ts';

const UP = 22;
const DOWN = 11;

/** A program on the server between two connections of the client, and what its clients send and see. */
interface Proxy2 {
  readonly hosts: TwoHosts;
  readonly left: Peer;
  readonly right: Peer;
  readonly from: StackSocket;
  readonly to: StackSocket;
}

let open: TwoHosts | null = null;

afterEach(async () => {
  await open?.close();
  open = null;
});

async function until(hosts: TwoHosts, isSo: () => boolean, rounds = 6000): Promise<void> {
  for (let i = 0; i < rounds && !isSo(); i++) {
    hosts.runtime.advance(500);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(isSo()).toBe(true);
}

/** The left client sends `up` bytes and ends, the right one `down`; each expects what the other sends. */
async function proxy(up: number, down: number, options?: TwoHostsOptions): Promise<Proxy2> {
  const hosts = twoHosts(options);
  open = hosts;
  const sockets: StackSocket[] = [];
  const server = hosts.server.net.createServer({ allowHalfOpen: true }, (socket: StackSocket) => {
    socket.on('error', () => {});
    sockets.push(socket);
  });
  server.listen(80, '10.0.0.1');
  await until(hosts, () => server.listening);
  const left = new Peer(up, UP, DOWN);
  const right = new Peer(down, DOWN, UP);
  for (const peer of [left, right]) {
    peer.endpoint = hosts.client.transports.connect({ remote: { address: '10.0.0.1', port: 80 } }, peer);
    const count = sockets.length;
    await until(hosts, () => sockets.length > count);
  }
  server.close();
  return { hosts, left, right, from: sockets[0]!, to: sockets[1]! };
}

async function finish({ hosts, from, to }: Proxy2): Promise<void> {
  from.destroy();
  to.destroy();
  await expectNothingHeld(hosts);
  open = null;
}

describe('sockets that are piped to one another', () => {
  test('carry every byte and both ends, while both connections move to and fro', async () => {
    const scene = await proxy(700_000, 500_000);
    const { hosts, left, right, from, to } = scene;
    from.pipe(to);
    to.pipe(from);
    for (let move = 0; move < 8; move++) {
      const socket = move % 4 < 2 ? from : to;
      await until(hosts, () => right.received >= 60_000 * (move + 1));
      await settled(hosts, move % 2 === 0 ? socket.chimney!.offload() : socket.chimney!.takeBack());
    }
    await until(hosts, () => left.hasEnded && right.hasEnded);
    expect([left.received, left.wrongBytes, right.received, right.wrongBytes]).toEqual([500_000, 0, 700_000, 0]);
    expect([from.bytesRead, to.bytesWritten, to.bytesRead, from.bytesWritten]).toEqual([
      700_000, 700_000, 500_000, 500_000,
    ]);
    await finish(scene);
  });

  test('an echo is a socket piped to itself', async () => {
    const hosts = twoHosts();
    open = hosts;
    let socket: StackSocket | null = null;
    const server = hosts.server.net.createServer({ allowHalfOpen: true }, (accepted: StackSocket) => {
      socket = accepted;
      accepted.pipe(accepted);
    });
    server.listen(80, '10.0.0.1');
    await until(hosts, () => server.listening);
    const peer = new Peer(300_000, UP, UP);
    peer.endpoint = hosts.client.transports.connect({ remote: { address: '10.0.0.1', port: 80 } }, peer);
    await until(hosts, () => peer.received > 20_000);
    await settled(hosts, socket!.chimney!.offload());
    await until(hosts, () => peer.hasEnded);
    expect([peer.received, peer.wrongBytes]).toEqual([300_000, 0]);
    server.close();
    await expectNothingHeld(hosts);
    open = null;
  });

  test('at a target, bytes are sent on from the memory in which they were indicated', async () => {
    const scene = await proxy(900_000, 0);
    const { hosts, right, from, to } = scene;
    const indicated = new Set<ArrayBufferLike>();
    let sent = 0;
    let sentInPlace = 0;
    const memory = function* (list: NetBufferList): Generator<[ArrayBufferLike, number]> {
      for (let mdl = list.firstNetBuffer!.mdlChain; mdl !== null; mdl = mdl.next)
        yield [mdl.buffer.buffer, mdl.byteCount];
    };
    const tap = new Proxy({} as never, {
      get: (_target, name) => (first: unknown, second: unknown, third: NetBufferList) => {
        if (name === 'receiveIndicate') for (const [buffer] of memory(second as NetBufferList)) indicated.add(buffer);
        if (name !== 'dataCall' || first !== DataOperation.SEND) return;
        for (const [buffer, length] of memory(third)) {
          sent += length;
          if (indicated.has(buffer)) sentInPlace += length;
        }
      },
    });
    from.pipe(to);
    for (const socket of [from, to]) await settled(hosts, socket.chimney!.offload());
    hosts.server.ndis.attachTap('server', tap);
    await until(hosts, () => right.hasEnded);
    expect([right.received, right.wrongBytes]).toEqual([900_000, 0]);
    expect(sent).toBeGreaterThan(500_000);
    expect(sentInPlace).toBeGreaterThan(0.9 * sent);
    await finish(scene);
  });

  test('a sink that does not read stops the source, bounded, and lets it go on', async () => {
    for (const isOffloaded of [false, true]) {
      const scene = await proxy(12_000_000, 0);
      const { hosts, left, right, from, to } = scene;
      from.pipe(to);
      if (isOffloaded) for (const socket of [from, to]) await settled(hosts, socket.chimney!.offload());
      right.appetite = 10_000;
      await until(hosts, () => right.received >= 10_000);
      for (let i = 0; i < 400; i++) {
        hosts.runtime.advance(5000);
        await new Promise((resolve) => setImmediate(resolve));
      }
      const passed = from.bytesRead;
      expect(passed).toBeLessThan(6_000_000);
      expect(left.sent).toBeLessThan(10_000_000);
      hosts.runtime.advance(1_000_000);
      await new Promise((resolve) => setImmediate(resolve));
      expect(from.bytesRead).toBe(passed);
      right.appetite = Number.POSITIVE_INFINITY;
      right.endpoint.resume();
      await until(hosts, () => right.hasEnded, 40_000);
      expect([right.received, right.wrongBytes]).toEqual([12_000_000, 0]);
      await finish(scene);
    }
  });

  test("a listener to 'data' that comes and goes sees all bytes of its time, and the sink all of all times", async () => {
    const scene = await proxy(600_000, 0);
    const { hosts, right, from, to } = scene;
    from.pipe(to);
    await settled(hosts, from.chimney!.offload());
    for (let time = 0; time < 3; time++) {
      await until(hosts, () => right.received > 100_000 * (time + 1));
      // What has been read and not passed on yet is heard, or not, when it is.
      const passedOn = (): number => from.bytesRead - from.readableLength;
      const since = passedOn();
      let heard = 0;
      let wrong = 0;
      const listen = (chunk: Uint8Array): void => {
        for (let i = 0; i < chunk.length; i++) if (chunk[i] !== byteAt(since + heard + i, UP)) wrong++;
        heard += chunk.length;
      };
      from.on('data', listen);
      await until(hosts, () => heard > 30_000);
      from.off('data', listen);
      expect([passedOn() - since, wrong]).toEqual([heard, 0]);
    }
    await until(hosts, () => right.hasEnded);
    expect([right.received, right.wrongBytes]).toEqual([600_000, 0]);
    await finish(scene);
  });

  test('what the program writes itself, corked or not, keeps its place between what passes', async () => {
    const mark = Buffer.from('-- a mark --');
    const scene = await proxy(400_000, 0);
    const { hosts, right, from, to } = scene;
    const seen: Uint8Array[] = [];
    right.data = (bytes, at, length) => {
      seen.push(bytes.slice(at, at + length));
      right.received += length;
      return length;
    };
    /** Where in the stream of the source each mark stands. */
    const marks: number[] = [];
    from.pipe(to);
    for (const socket of [from, to]) await settled(hosts, socket.chimney!.offload());
    for (let i = 1; i <= 20; i++) {
      await until(hosts, () => from.bytesRead > 15_000 * i);
      // What has been read and not passed on yet is in the stream, before the mark.
      marks.push(from.bytesRead - from.readableLength);
      if (i % 3 === 0) to.cork();
      to.write(mark);
      if (i % 3 === 0) to.uncork();
    }
    await until(hosts, () => right.hasEnded);
    const expected: Uint8Array[] = [];
    let at = 0;
    for (const end of [...marks, 400_000]) {
      expected.push(Uint8Array.from({ length: end - at }, (_, i) => byteAt(at + i, UP)));
      if (end < 400_000) expected.push(mark);
      at = end;
    }
    expect(Buffer.concat(seen).equals(Buffer.concat(expected))).toBe(true);
    await finish(scene);
  });

  test('a sink that is destroyed is let go of; the source goes on with whoever reads it', async () => {
    for (const isStalled of [false, true]) {
      const scene = await proxy(3_000_000, 0);
      const { hosts, right, from, to } = scene;
      from.pipe(to);
      for (const socket of [from, to]) await settled(hosts, socket.chimney!.offload());
      await until(hosts, () => right.received > 100_000);
      if (isStalled) {
        right.appetite = 0;
        for (let i = 0; i < 200; i++) {
          hosts.runtime.advance(2000);
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      let isLetGo = false;
      to.on('unpipe', () => {
        isLetGo = true;
      });
      to.destroy();
      await until(hosts, () => isLetGo);
      const passed = from.bytesRead - from.readableLength;
      let heard = 0;
      from.on('data', (chunk: Uint8Array) => {
        heard += chunk.length;
      });
      from.resume();
      await until(hosts, () => from.readableEnded);
      expect(heard).toBeGreaterThan(0);
      expect(passed + heard).toBe(3_000_000);
      await finish(scene);
    }
  });
});
