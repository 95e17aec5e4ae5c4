/** Stacks of drivers over an engine, in an order drawn by the seed, while connections move: nothing is lost or changed. */
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { findingText } from '../../src/contract/finding.ts';
import type { IntermediateChoice } from '../../src/stack-drivers.ts';
import { connectPeers, twoHosts } from '../stack/two-hosts.ts';
import { seed, seedNote } from '../support/seed.ts';

const DRIVERS: readonly IntermediateChoice[] = [
  'pass-through',
  { kind: 'filter', rules: [{ match: 'udp port 9', action: 'deny' }] },
  { kind: 'impair', in: { delayUs: 300, loss: 0.01 }, out: { delayUs: 300, loss: 0.01 }, offload: 'pass' },
  { kind: 'filter', rules: [{ match: 'tcp port 82', action: 'upload' }] },
  { kind: 'capture', write: () => {}, snapLength: 64 },
];

function shuffled(random: SeededRandom): IntermediateChoice[] {
  const left = [...DRIVERS];
  return DRIVERS.map(() => left.splice(random.nextUint32() % left.length, 1)[0]!);
}

describe('five drivers between host and target (IM-064)', () => {
  test.each([0, 1, 2, 3, 4, 5])('order %i', async (n) => {
    const random = new SeededRandom(`${seed}/${n}`);
    const hosts = twoHosts({
      seed: random.nextUint32() % 1_000_000,
      impairment: { delayUs: 500, rateBps: 50_000_000 },
      server: { intermediates: shuffled(random) },
    });
    const pairs = [80, 81, 82].map((port) => connectPeers(hosts, 400_000, 400_000, 4, port));
    const isDone = (): boolean =>
      pairs.every(({ server, client }) => server.closedWith !== undefined && client.closedWith !== undefined);
    const ignore = (): void => {};
    for (let i = 0; i < 400 && !hosts.runtime.runUntil(isDone, random.nextUint32() % 4000); i++) {
      const endpoint = pairs[random.nextUint32() % 3]!.server.endpoint;
      if (endpoint === undefined) continue;
      if (endpoint.chimney.location === 'host') endpoint.chimney.offload().catch(ignore);
      else endpoint.chimney.takeBack().catch(ignore);
      await Promise.resolve();
    }
    hosts.runtime.runUntil(isDone, 600_000_000);
    for (const { server, client } of pairs) {
      expect([server.received, server.wrongBytes, client.received, client.wrongBytes], seedNote).toEqual([
        400_000, 0, 400_000, 0,
      ]);
    }
    expect(hosts.server.counters().CHIMNEY_INITIATED ?? 0, seedNote).toBeGreaterThan(0);
    await hosts.close();
    expect([...hosts.server.findings, ...hosts.client.findings].map(findingText), seedNote).toEqual([]);
    expect(hosts.server.held(), seedNote).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  });
});
