/** Live connections go down the chimney and come back on real packets, and no byte is lost, repeated or changed. */
import { describe, expect, test } from 'vitest';
import type { Move } from '../../src/host/api.ts';
import { connectPeers, type TwoHosts, twoHosts } from './two-hosts.ts';

/** Runs the world until `isDone`, moving the server's connection down or up every `everyUs`. */
function runMoving(hosts: TwoHosts, moved: () => void, isDone: () => boolean, everyUs: number): boolean {
  for (let i = 0; i < 20_000; i++) {
    if (hosts.runtime.runUntil(isDone, everyUs)) return true;
    moved();
  }
  return false;
}

describe.each([4, 6] as const)('over IPv%i', (family) => {
  test('a connection on the host path carries megabytes both ways', () => {
    const hosts = twoHosts({ impairment: { delayUs: 1000, loss: 0.01 } });
    const { server, client } = connectPeers(hosts, 2_000_000, 1_000_000, family);
    const done = () => server.closedWith !== undefined && client.closedWith !== undefined;
    hosts.runtime.runUntil(done, 120_000_000);
    expect([client.received, client.wrongBytes, client.hasEnded, client.closedWith]).toEqual([
      2_000_000,
      0,
      true,
      null,
    ]);
    expect([server.received, server.wrongBytes, server.hasEnded, server.closedWith]).toEqual([
      1_000_000,
      0,
      true,
      null,
    ]);
  });

  test('it goes host, target, host again and again while bytes flow (DISC-016, INIT-086, TERM-059, TERM-086)', async () => {
    const hosts = twoHosts({ impairment: { delayUs: 1000, loss: 0.01 } });
    const { server, client } = connectPeers(hosts, 2_000_000, 1_000_000, family);
    hosts.runtime.runUntil(() => server.isConnected, 5_000_000);
    const moves: Move[] = [];
    hosts.server.onMove((move) => moves.push(move));
    const refused: unknown[] = [];
    const done = () => server.closedWith !== undefined && client.closedWith !== undefined;
    const finished = runMoving(
      hosts,
      () => {
        const { chimney } = server.endpoint;
        if (chimney.location === 'host') chimney.offload().catch((error: unknown) => refused.push(String(error)));
        else if (chimney.location === 'target') void chimney.takeBack();
      },
      done,
      7_000,
    );
    expect(finished).toBe(true);
    expect([client.received, client.wrongBytes, client.hasEnded, client.closedWith]).toEqual([
      2_000_000,
      0,
      true,
      null,
    ]);
    expect([server.received, server.wrongBytes, server.hasEnded, server.closedWith]).toEqual([
      1_000_000,
      0,
      true,
      null,
    ]);
    expect(moves.filter((m) => m.kind === 'initiate').length).toBeGreaterThan(10);
    expect(moves.filter((m) => m.kind === 'terminate').length).toBeGreaterThan(10);
    expect(hosts.server.findings).toEqual([]);
    expect(hosts.server.held().buffers).toBe(0);
  });
});
