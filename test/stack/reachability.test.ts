/** The host's answers when a target asks whether a neighbor can still be reached. */
import { expect, test } from 'vitest';
import type { OffloadBlock } from '../../src/ndis/protocol.ts';
import { IdleTap, StateOperation } from '../../src/ndis/tap.ts';
import type { NeighborCachedState } from '../../src/state/neighbor.ts';
import { expectNothingHeld, settled } from './support.ts';
import { connectPeers, twoHosts } from './two-hosts.ts';

class Watcher extends IdleTap {
  readonly answers: number[] = [];
  readonly queriesAtUs: number[] = [];
  readonly nowUs: () => number;
  constructor(nowUs: () => number) {
    super();
    this.nowUs = nowUs;
  }
  /** What the target supposes is not what the host knows. */
  override offloadEvent(block: OffloadBlock | null): void {
    (block!.cachedState as NeighborCachedState).hostReachabilityDelta = 77;
  }
  override offloadEventDone(block: OffloadBlock | null): void {
    this.answers.push((block!.cachedState as NeighborCachedState).hostReachabilityDelta);
  }
  override stateCall(operation: number): void {
    if (operation === StateOperation.QUERY) this.queriesAtUs.push(this.nowUs());
  }
}

test.each([4, 6] as const)(
  'IPv%i: a REACHABLE neighbor answers when it was confirmed; another answers zero, and NRD is asked after a while (NBR-019, NBR-021, NBR-022, NBR-023, NBR-026, NBR-029)',
  async (family) => {
    const hosts = twoHosts({
      impairment: { delayUs: 500 },
      serverStack: { offloadParameters: { nceStaleTicks: 2_000 } },
    });
    const { server, client } = connectPeers(hosts, 1_000, 0, family, 80, false);
    hosts.runtime.runUntil(() => client.received === 1_000, 5_000_000);
    await settled(hosts, server.endpoint.chimney.offload());
    const watcher = new Watcher(() => hosts.runtime.nowUs());
    hosts.server.ndis.attachTap('server', watcher);
    hosts.runtime.advance(5_000_000);
    server.more(100);
    hosts.runtime.advance(2_000_000);
    expect(Math.min(...watcher.answers.splice(0))).toBeGreaterThanOrEqual(5_000);
    expect(watcher.queriesAtUs).toEqual([]);
    // ReachableTime is at most 45 s: the entry is not REACHABLE any more.
    hosts.runtime.advance(120_000_000);
    const askedUs = hosts.runtime.nowUs();
    server.more(100);
    hosts.runtime.advance(500_000);
    expect(watcher.answers).toEqual([0]);
    expect(watcher.queriesAtUs).toEqual([]);
    hosts.runtime.advance(2_000_000);
    // There was progress: NRD has become smaller, the entry is REACHABLE by it, and the next question is answered so.
    expect(watcher.queriesAtUs).toHaveLength(1);
    expect(watcher.queriesAtUs[0]! - askedUs).toBeGreaterThanOrEqual(1_000_000);
    hosts.runtime.advance(3_000_000);
    server.more(100);
    hosts.runtime.advance(100_000);
    expect(watcher.answers.at(-1)).toBeGreaterThan(0);
    expect(client.received).toBe(1_300);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  },
);
