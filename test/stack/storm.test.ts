/**
 * Everything at once, at random moments: connections move by every way there is while data flows over a bad wire, and still
 * no byte is lost, repeated or changed, no rule is broken, and nothing is held when all is over. One seed, one storm.
 */
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { findingText } from '../../src/contract/finding.ts';
import type { Impairment } from '../../src/link/memory.ts';
import { seed, seedNote } from '../support/seed.ts';
import { UPLOAD_REASONS } from './support.ts';
import { connectPeers, type Peer, type TwoHosts, twoHosts } from './two-hosts.ts';

interface Weather {
  readonly name: string;
  readonly impairment: Impairment;
  readonly family: 4 | 6;
  readonly medium: 'ethernet' | 'ip';
  readonly intermediates: readonly 'pass-through'[];
}

const WEATHERS: readonly Weather[] = [
  {
    name: 'a clean wire',
    impairment: { delayUs: 200, rateBps: 50_000_000 },
    family: 4,
    medium: 'ethernet',
    intermediates: [],
  },
  { name: 'loss', impairment: { delayUs: 1000, loss: 0.02 }, family: 6, medium: 'ethernet', intermediates: [] },
  {
    name: 'loss, reordering, duplicates and bent bits, through two drivers',
    impairment: { delayUs: 1000, jitterUs: 300, loss: 0.02, reorder: 0.02, duplicate: 0.02, corrupt: 0.005 },
    family: 4,
    medium: 'ethernet',
    intermediates: ['pass-through', 'pass-through'],
  },
  {
    name: 'a slow bare-IP wire',
    impairment: { delayUs: 5000, rateBps: 20_000_000, loss: 0.005 },
    family: 6,
    medium: 'ip',
    intermediates: ['pass-through'],
  },
];

/** Does one random thing to a random connection of the server, or to its target. */
function strike(hosts: TwoHosts, peers: readonly Peer[], random: SeededRandom): void {
  const pick = peers[random.nextUint32() % peers.length]!;
  const { endpoint } = pick;
  if (endpoint === undefined) return;
  const { chimney } = endpoint;
  const { control } = hosts.server.target('server');
  const ignore = (): void => {};
  const what = random.nextUint32() % 100;
  if (what < 40) {
    if (chimney.location === 'host') chimney.offload().catch(ignore);
    else chimney.takeBack().catch(ignore);
  } else if (what < 50) control.retrieve(null, UPLOAD_REASONS[random.nextUint32() % UPLOAD_REASONS.length]!);
  else if (what < 55) chimney.query().catch(ignore);
  else if (what < 60) endpoint.setKeepAlive(random.nextUint32() % 2 === 0, 1000 + (random.nextUint32() % 5000));
  else if (what < 65) endpoint.setReceiveBuffer(20_000 + (random.nextUint32() % 400_000));
  else if (what < 68) chimney.invalidate().catch(ignore);
  else if (what < 70) control.uploadAll();
  else if (what < 72) control.pause();
  else if (what < 80) control.resume();
  else if (what < 90)
    pick.appetite = random.nextUint32() % 30_000; // refuses the rest, for a while
  else {
    for (const peer of peers) {
      peer.appetite = Number.POSITIVE_INFINITY;
      peer.endpoint?.resume();
    }
  }
}

describe.each(WEATHERS)('$name', (weather) => {
  test.each([0, 1, 2])(
    'storm %i',
    async (n) => {
      const random = new SeededRandom(`${seed}/${weather.name}/${n}`);
      const hosts = twoHosts({
        seed: random.nextUint32() % 1_000_000,
        impairment: weather.impairment,
        medium: weather.medium,
        server: { intermediates: weather.intermediates },
      });
      const pairs = Array.from({ length: 6 }, (_, i) => {
        const bytes = () => random.nextUint32() % 600_000;
        const [down, up] = [bytes(), bytes()];
        return { down, up, ...connectPeers(hosts, down, up, weather.family, 80 + i) };
      });
      const servers = pairs.map((pair) => pair.server);
      const isDone = () => pairs.every((p) => p.server.closedWith !== undefined && p.client.closedWith !== undefined);
      let strikes = 0;
      for (; strikes < 6000 && !hosts.runtime.runUntil(isDone, random.nextUint32() % 6000); strikes++) {
        strike(hosts, servers, random);
        if (strikes % 16 === 0) await Promise.resolve();
      }
      // The storm is over: everything still open may finish in peace.
      hosts.server.target('server').control.resume();
      for (const peer of servers) {
        peer.appetite = Number.POSITIVE_INFINITY;
        peer.endpoint?.resume();
      }
      hosts.runtime.runUntil(isDone, 600_000_000);
      for (const { server, client, down, up } of pairs) {
        expect([client.received, client.wrongBytes, client.hasEnded, client.closedWith], seedNote).toEqual([
          down,
          0,
          true,
          null,
        ]);
        expect([server.received, server.wrongBytes, server.hasEnded, server.closedWith], seedNote).toEqual([
          up,
          0,
          true,
          null,
        ]);
      }
      expect([...hosts.server.findings, ...hosts.client.findings].map(findingText), seedNote).toEqual([]);
      await hosts.close();
      expect(hosts.server.held(), seedNote).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
      expect(hosts.client.held(), seedNote).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
      // A target that has asked for a pause early on refuses all of it.
      const { CHIMNEY_INITIATED = 0, CHIMNEY_OFFLOAD_REFUSED = 0 } = hosts.server.counters();
      expect(CHIMNEY_INITIATED + CHIMNEY_OFFLOAD_REFUSED, seedNote).toBeGreaterThan(0);
    },
    60_000,
  );
});
