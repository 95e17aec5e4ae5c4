import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { seed } from '../support/seed.ts';
import { pattern, type Peer, same, World } from './two-hosts.ts';

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
  test('every byte arrives once and in order, and both ends close in good order (issue 2)', () => {
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
