/** Moves of which a target is told beforehand, so that it may get ready while connections are still served. */
import { describe, expect, test } from 'vitest';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { expectNothingHeld, OPEN, settled } from './support.ts';
import { connectPeers, twoHosts } from './two-hosts.ts';

type Answer = (onReady: () => void) => boolean;

/** Two hosts, the server's target answering as it is told; `through`: below an intermediate driver. */
function stage(answer: Answer, through = false) {
  const asked: number[] = [];
  class Careful extends EngineAdapter {
    offloadExpected(_context: unknown, onReady: () => void): boolean {
      asked.push(hosts.runtime.nowUs());
      return answer(onReady);
    }
  }
  const hosts = twoHosts({
    server: {
      target: (environment) => new Careful(environment),
      ...(through ? { intermediates: ['pass-through'] } : {}),
    },
  });
  const peers = connectPeers(hosts, OPEN, OPEN);
  hosts.runtime.runUntil(() => peers.server.isConnected && peers.client.isConnected, 5_000_000);
  hosts.runtime.advance(20_000);
  return { hosts, asked, ...peers };
}

async function end({ hosts, server, client }: ReturnType<typeof stage>): Promise<void> {
  server.endpoint.abort();
  client.endpoint.abort();
  await expectNothingHeld(hosts);
}

describe('a target that gets ready for a move', () => {
  for (const through of [false, true]) {
    test(`is asked before each, ${through ? 'through a driver between, ' : ''}and the connection is served until it is ready`, async () => {
      let onReady: (() => void) | null = null;
      const scene = stage((ready) => {
        onReady = ready;
        return true;
      }, through);
      const { hosts, asked, server } = scene;
      const { chimney } = server.endpoint;
      const offloading = chimney.offload();
      const received = server.received;
      hosts.runtime.advance(5_000);
      expect([asked.length, chimney.location]).toEqual([1, 'host']);
      expect(server.received).toBeGreaterThan(received);
      onReady!();
      onReady!();
      await settled(hosts, offloading);
      expect(chimney.location).toBe('target');

      const back = chimney.takeBack();
      expect([asked.length, chimney.location]).toEqual([2, 'target']);
      onReady!();
      await settled(hosts, back);
      expect([chimney.location, server.wrongBytes]).toEqual(['host', 0]);
      await end(scene);
    });
  }

  test('that forgets to say that it is ready keeps nobody waiting for long', async () => {
    const scene = stage(() => true);
    const { hosts, server } = scene;
    const sinceUs = hosts.runtime.nowUs();
    await settled(hosts, server.endpoint.chimney.offload());
    expect(server.endpoint.chimney.location).toBe('target');
    expect(hosts.runtime.nowUs() - sinceUs).toBeLessThan(50_000);
    await end(scene);
  });

  test('that says so from inside, or twice, or although it does not want to be waited for, moves the connection once', async () => {
    for (const isWaitedFor of [true, false]) {
      const scene = stage((ready) => {
        ready();
        ready();
        return isWaitedFor;
      });
      const { hosts, server } = scene;
      const { chimney } = server.endpoint;
      await settled(hosts, chimney.offload());
      await settled(hosts, chimney.takeBack());
      await settled(hosts, chimney.offload());
      expect(chimney.moves.map(({ kind, status }) => [kind, status])).toEqual([
        ['initiate', 'SUCCESS'],
        ['terminate', 'SUCCESS'],
        ['initiate', 'SUCCESS'],
      ]);
      await end(scene);
    }
  });

  test('whose connection has gone when it is ready has nothing to do', async () => {
    let onReady: () => void = () => {};
    const scene = stage((ready) => {
      onReady = ready;
      return true;
    });
    const { hosts, server } = scene;
    const refused = server.endpoint.chimney.offload().then(
      () => 'offloaded',
      (error: Error) => error.message,
    );
    server.endpoint.abort();
    onReady();
    hosts.runtime.advance(20_000);
    expect(await settled(hosts, refused)).toMatch(/^NOT_OFFLOADABLE/);
    await end(scene);
  });
});
