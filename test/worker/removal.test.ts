/** A device that vanishes under a NIC half: the adapter is removed by surprise, as one of the host's own thread is. */
import { expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { OPEN, settled } from '../stack/support.ts';
import { connectPeers, twoHosts } from '../stack/two-hosts.ts';

test.each([
  ['right below the host', []],
  ['below a driver', ['pass-through']],
] as const)(
  'a device that vanishes under a NIC half, %s: everything comes back, applications hear ENETDOWN',
  async (_where, intermediates) => {
    const hosts = twoHosts({
      impairment: { delayUs: 500, rateBps: 10_000_000 },
      server: { intermediates, target: (environment) => new PairedAdapter(environment) },
    });
    const pairs = [80, 81, 82].map((port, i) => connectPeers(hosts, OPEN, OPEN, i === 1 ? 6 : 4, port));
    hosts.runtime.runUntil(
      () => pairs.every(({ server, client }) => server.isConnected && client.isConnected),
      20_000_000,
    );
    hosts.runtime.advance(20_000);
    await settled(hosts, Promise.all(pairs.slice(1).map(({ server }) => server.endpoint.chimney.offload())));
    hosts.runtime.advance(20_000);
    hosts.wire.a.remove();
    for (let i = 0; i < 20; i++) await settled(hosts, Promise.resolve());
    hosts.runtime.advance(100_000);
    expect(pairs.map(({ server }) => server.closedWith)).toEqual(['ENETDOWN', 'ENETDOWN', 'ENETDOWN']);
    expect(hosts.server.adapter('server').isRemoved).toBe(true);
    expect(hosts.server.ndis.adapterNames).toEqual([]);
    for (const { client } of pairs) client.endpoint.abort();
    await hosts.close();
    expect(hosts.server.findings.map(findingText)).toEqual([]);
    expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  },
);
