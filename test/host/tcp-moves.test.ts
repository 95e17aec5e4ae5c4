import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { seed } from '../support/seed.ts';
import { type Peer, pattern, same, World } from './two-hosts.ts';

const impairments = fc.record({
  loss: fc.constantFrom(0, 0.01, 0.05),
  duplicate: fc.constantFrom(0, 0.02),
  reorder: fc.constantFrom(0, 0.1),
  delayUs: fc.constantFrom(0, 500, 10_000),
  jitterUs: fc.constantFrom(0, 2000),
});

/** Moves the peer's connection to and fro at random moments for as long as it lives. */
function keepMoving(world: World, peer: Peer, random: SeededRandom, everyUs: number): void {
  const timer = world.runtime.timer((nowUs) => {
    if (peer.isClosed) return;
    const { chimney } = peer.endpoint;
    const move = random.nextUint32() % 2 === 0 ? chimney.offload() : chimney.takeBack();
    move.catch(() => {});
    timer.arm(nowUs + 1 + (random.nextUint32() % (2 * everyUs)));
  });
  timer.arm(world.runtime.nowUs() + (random.nextUint32() % everyUs));
}

/** Refuses and takes in fits. */
function readInFits(world: World, peer: Peer, random: SeededRandom): void {
  peer.appetite = 30_000;
  const timer = world.runtime.timer((nowUs) => {
    if (peer.isClosed) return;
    peer.take(random.nextUint32() % 100_000);
    timer.arm(nowUs + (random.nextUint32() % 20_000));
  });
  timer.arm(world.runtime.nowUs() + 1000);
}

describe('connections that move between host and target', () => {
  test('every byte arrives once and in order, and both ends close in good order', () => {
    fc.assert(
      fc.property(impairments, fc.integer({ min: 0, max: 600_000 }), fc.integer(), (impairment, size, salt) => {
        const random = new SeededRandom(`${seed}/${salt}`);
        const world = new World({ seed: `${seed}/${salt}`, impairment, medium: 'ip', hasTargets: true });
        const { client, server } = world.connection(80, random.nextUint32() % 2 === 0 ? 4 : 6);
        keepMoving(world, client, random, 30_000);
        if (random.nextUint32() % 2 === 0) keepMoving(world, server, random, 30_000);
        if (random.nextUint32() % 2 === 0) readInFits(world, server, random);
        const up = pattern(size);
        let done = 0;
        for (let at = 0; at < size; at += 7000) {
          client.endpoint.write(up.subarray(at, at + 7000), (error) => {
            if (error === null) done++;
          });
        }
        server.endpoint.write(pattern(size, 2), null);
        client.endpoint.shutdown();
        server.endpoint.shutdown();
        world.until(() => client.isClosed && server.isClosed, 'both closed', 300);
        expect([client.error, server.error]).toEqual([null, null]);
        expect(same(server.bytes(), up)).toBe(true);
        expect(same(client.bytes(), pattern(size, 2))).toBe(true);
        expect(done).toBe(Math.ceil(size / 7000));
        world.runtime.advance(200_000_000);
        expect(world.a.tcp.connectionCount + world.b.tcp.connectionCount).toBe(0);
        expect(world.a.tcp.writes.outstanding + world.b.tcp.writes.outstanding).toBe(0);
        expect(world.a.tcp.chunks.held + world.b.tcp.chunks.held).toBe(0);
        expect(world.a.chimney.held().connections + world.b.chimney.held().connections).toBe(0);
      }),
      { numRuns: 40, endOnFailure: true },
    );
  }, 120_000);

  test('aborts and closes at random moments leave nothing behind, wherever the connection is', () => {
    fc.assert(
      fc.property(impairments, fc.integer({ min: 0, max: 300_000 }), fc.integer(), (impairment, atUs, salt) => {
        const random = new SeededRandom(`${seed}/${salt}`);
        const world = new World({ seed: `${seed}/${salt}`, impairment, medium: 'ip', hasTargets: true });
        const { client, server } = world.connection();
        keepMoving(world, client, random, 10_000);
        keepMoving(world, server, random, 10_000);
        if (random.nextUint32() % 2 === 0) readInFits(world, server, random);
        client.endpoint.setKeepAlive(true, 60_000, 5000, 5);
        server.endpoint.setKeepAlive(true, 60_000, 5000, 5);
        client.endpoint.write(pattern(2_000_000), null);
        server.endpoint.write(pattern(2_000_000), null);
        world.runtime.advance(atUs);
        if (salt % 2 === 0) client.endpoint.abort();
        else server.endpoint.close();
        world.until(() => client.isClosed && server.isClosed, 'both closed', 300);
        world.runtime.advance(200_000_000);
        expect(world.a.tcp.connectionCount + world.b.tcp.connectionCount).toBe(0);
        expect(world.a.tcp.writes.outstanding + world.b.tcp.writes.outstanding).toBe(0);
        expect(world.a.tcp.chunks.held + world.b.tcp.chunks.held).toBe(0);
        expect(world.a.chimney.held().connections + world.b.chimney.held().connections).toBe(0);
      }),
      { numRuns: 40, endOnFailure: true },
    );
  }, 120_000);
});

test('offload, take back and offload again in one turn: the connection goes down once, and comes back whole (INIT-042)', async () => {
  const world = new World({ medium: 'ip', hasTargets: true });
  const { client, server } = world.connection();
  client.endpoint.write(pattern(100_000), null);
  const first = client.endpoint.chimney.offload();
  const back = client.endpoint.chimney.takeBack();
  const second = client.endpoint.chimney.offload();
  world.until(() => client.endpoint.location === 'target', 'offloaded', 5);
  await expect(first).rejects.toThrow('taken back before it went');
  expect((await back).status).toBe('SUCCESS');
  expect((await second).status).toBe('SUCCESS');
  expect(client.endpoint.chimney.moves.map((move) => `${move.kind} ${move.status}`)).toEqual(['initiate SUCCESS']);
  client.endpoint.chimney.takeBack().catch(() => {});
  world.until(() => server.received === 100_000 && client.endpoint.location === 'host', 'all of it', 60);
  expect(world.a.tcp.writes.outstanding).toBe(0);
});

describe('an application cannot tell where its connection is', () => {
  /** The same story told on the host path and on targets; what the two peers are told must not differ. */
  function story(act: (world: World, client: Peer, server: Peer) => void): void {
    const told = [false, true].map((isOffloaded) => {
      const world = new World({ medium: 'ip', impairment: { delayUs: 1000 }, hasTargets: true });
      const { client, server } = world.connection();
      for (const peer of isOffloaded ? [client, server] : []) {
        peer.endpoint.chimney.offload().catch(() => {});
        world.until(() => peer.endpoint.location === 'target', 'offloaded', 5);
      }
      act(world, client, server);
      world.until(() => client.isClosed && server.isClosed, 'closed', 1000);
      return [client.calls, client.received, server.calls, server.received];
    });
    expect(told[1]).toEqual(told[0]);
  }

  test('orderly close', () => {
    story((world, client, server) => {
      client.endpoint.write(pattern(100_000), null);
      client.endpoint.shutdown();
      world.until(() => server.hasEnded, 'end', 60);
      server.endpoint.write(pattern(50_000), null);
      server.endpoint.shutdown();
    });
  });

  test('abort', () => {
    story((world, client, server) => {
      client.endpoint.write(pattern(10_000), null);
      world.until(() => server.received === 10_000, 'data', 60);
      client.endpoint.abort();
    });
  });

  test('close with data coming in', () => {
    story((world, client, server) => {
      server.endpoint.close();
      world.until(() => client.hasEnded, 'end', 60);
      client.endpoint.write(pattern(10), null);
    });
  });

  test('a peer that is gone: keepalive, user timeout', () => {
    story((world, client, server) => {
      client.endpoint.setKeepAlive(true, 10_000, 1000, 3);
      server.endpoint.setUserTimeout(10_000);
      world.links.a.setUp(false);
      server.endpoint.write(pattern(10), null);
    });
  });

  test('an orphan whose peer never finishes is given up', () => {
    const world = new World({ medium: 'ip', hasTargets: true });
    const { client, server } = world.connection();
    client.endpoint.chimney.offload().catch(() => {});
    world.until(() => client.endpoint.location === 'target', 'offloaded', 5);
    client.endpoint.close();
    world.until(() => client.isClosed && server.isClosed, 'given up', 100);
    expect(server.calls).toEqual(['end', 'closed ECONNRESET']);
  });
});

test('a reader that takes little holds no more than the receive window and one posted receive, however often it moves', async () => {
  const world = new World({ medium: 'ip', hasTargets: true });
  const { client, server } = world.connection();
  const windowBytes = server.endpoint.tcp.initialRcvWnd;
  const postedBytes = 1 << 16;
  let acknowledged = 0;
  for (let i = 0; i < 1000; i++) {
    client.endpoint.write(pattern(10_000, i), (error) => {
      if (error === null) acknowledged += 10_000;
    });
  }
  server.appetite = 0;
  const { chimney } = server.endpoint;
  let mostUnread = 0;
  for (let round = 0; round < 60; round++) {
    const down = chimney.offload();
    world.until(() => server.endpoint.location === 'target', 'offloaded', 5);
    await down;
    server.take(1000);
    world.runtime.advance(300_000);
    const back = chimney.takeBack();
    world.until(() => server.endpoint.location === 'host', 'taken back', 5);
    await back;
    world.runtime.advance(300_000);
    mostUnread = Math.max(mostUnread, acknowledged - server.received);
  }
  expect(server.received).toBe(60_000);
  expect(mostUnread).toBeGreaterThan(windowBytes / 2);
  expect(mostUnread).toBeLessThanOrEqual(windowBytes + postedBytes);
}, 30_000);
