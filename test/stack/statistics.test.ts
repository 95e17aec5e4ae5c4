/** The statistics of a whole stack: host path and target together say what was on the wire. */
import { expect, test } from 'vitest';
import type { PacketTap } from '../../src/trace/trace.ts';
import { expectNothingHeld, OPEN, settled } from './support.ts';
import { connectPeers, twoHosts } from './two-hosts.ts';

/** Counts IP datagrams and TCP segments at the link, for comparison: [received, sent]. */
class WireCount implements PacketTap {
  readonly datagrams: [bigint, bigint] = [0n, 0n];
  readonly octets: [bigint, bigint] = [0n, 0n];
  readonly #ethertype: number;

  constructor(family: 4 | 6) {
    this.#ethertype = family === 4 ? 0x0800 : 0x86dd;
  }

  packet(direction: 0 | 1, _handledBy: number, bytes: Uint8Array, at: number, length: number): void {
    if (((bytes[at + 12]! << 8) | bytes[at + 13]!) !== this.#ethertype) return;
    this.datagrams[direction]++;
    this.octets[direction] += BigInt(length - 14);
  }
  operation(): void {}
}

test.each([4, 6] as const)(
  'IPv%i: over moves the totals are the sum of host and target, and the sum is what was on the wire [STAT-031]',
  async (family) => {
    const wire = new WireCount(family);
    const hosts = twoHosts({
      impairment: { delayUs: 500, rateBps: 50_000_000, loss: 0.01 },
      server: { capture: wire },
    });
    const { server, client } = connectPeers(hosts, OPEN, OPEN, family);
    hosts.runtime.runUntil(() => server.isConnected && client.isConnected, 5_000_000);
    const { chimney } = server.endpoint;
    for (let round = 0; round < 3; round++) {
      hosts.runtime.advance(30_000);
      await settled(hosts, chimney.offload());
      hosts.runtime.advance(30_000);
      await settled(hosts, chimney.takeBack());
    }
    await settled(hosts, chimney.offload());
    const all = await settled(hosts, hosts.server.statistics());
    const [ip, tcp] = family === 4 ? [all.ip4, all.tcp4] : [all.ip6, all.tcp6];
    const target = await settled(hosts, hosts.server.adapter('server').statistics());
    const own = hosts.server.host.statistics();
    const part = family === 4 ? [target.ip4, own.ip4] : [target.ip6, own.ip6];
    expect(part[0]!.inReceives).toBeGreaterThan(0n);
    expect(part[1]!.inReceives).toBeGreaterThan(0n);
    const now = hosts.server.host.statistics();
    expect(now).toEqual(own);
    expect(ip.inReceives).toBeLessThanOrEqual(wire.datagrams[0]);
    const fresh = await hosts.server.statistics();
    const freshIp = family === 4 ? fresh.ip4 : fresh.ip6;
    expect([freshIp.inReceives, freshIp.inOctets]).toEqual([wire.datagrams[0], wire.octets[0]]);
    if (family === 4) expect([freshIp.outRequests, freshIp.outOctets]).toEqual([wire.datagrams[1], wire.octets[1]]);
    expect(tcp.currentlyEstablished).toBe(1);
    expect(tcp.inSegments).toBeGreaterThan(0n);
    expect(tcp.retransmittedSegments).toBeGreaterThan(0);
    await settled(hosts, chimney.takeBack());
    const back = await settled(hosts, hosts.server.statistics());
    expect((family === 4 ? back.tcp4 : back.tcp6).currentlyEstablished).toBe(1);
    server.endpoint.abort();
    hosts.runtime.advance(10_000);
    const over = await settled(hosts, hosts.server.statistics());
    expect((family === 4 ? over.tcp4 : over.tcp6).outResets).toBeGreaterThan(0);
    expect((family === 4 ? over.tcp4 : over.tcp6).currentlyEstablished).toBe(0);
    await expectNothingHeld(hosts);
  },
);
