/** A connection of high priority for which another makes room at a full target, and that is taken back in the middle of it. TERM-068. */
import { expect, test } from 'vitest';
import { IdleTap, StateOperation } from '../../src/ndis/tap.ts';
import { expectNothingHeld, OPEN, settled } from './support.ts';
import { connectPeers, twoHosts } from './two-hosts.ts';

/** Does something once, right after a call that begins a move. */
class Striker extends IdleTap {
  readonly #operation: StateOperation;
  #strike: (() => void) | null;
  constructor(operation: StateOperation, strike: () => void) {
    super();
    this.#operation = operation;
    this.#strike = strike;
  }
  override stateCallDone(operation: StateOperation): void {
    if (operation !== this.#operation) return;
    const strike = this.#strike;
    this.#strike = null;
    strike?.();
  }
}

test.each([
  ['on its way down', StateOperation.INITIATE, 'initiating', /OFFLOAD_TCP_ENTRIES/, 'target'],
  ['waiting for the room', StateOperation.TERMINATE, 'host', /taken back/, 'host'],
] as const)(
  'one that is taken back while it is %s stays where it is, and displaces nobody more',
  async (_what, operation, place, why, loser) => {
    const hosts = twoHosts({
      impairment: { delayUs: 500, rateBps: 50_000_000 },
      server: { target: { kind: 'engine', capacity: { tcpEntries: 1 } } },
      serverStack: { takeBack: { byPriority: true } },
    });
    const [low, high] = [80, 81].map((port) => connectPeers(hosts, OPEN, OPEN, 4, port).server);
    hosts.runtime.runUntil(() => low!.isConnected && high!.isConnected, 5_000_000);
    high!.endpoint.setUserPriority(5);
    const [one, other] = [low!.endpoint.chimney, high!.endpoint.chimney];
    await settled(hosts, one.offload());
    let answer: Promise<unknown> | null = null;
    const strike = (): void => {
      expect(other.location).toBe(place);
      answer = other.takeBack();
    };
    hosts.server.ndis.attachTap('server', new Striker(operation, strike));
    await expect(settled(hosts, other.offload())).rejects.toThrow(why);
    await settled(hosts, answer!);
    hosts.runtime.advance(50_000);
    expect([one.location, other.location]).toEqual([loser, 'host']);
    for (const { endpoint } of [low!, high!]) endpoint.abort();
    await expectNothingHeld(hosts);
  },
);
