import { expect, test } from 'vitest';
import type { HostEndpoint } from '../../src/host/transport/tcp-endpoint.ts';
import { TcpWord } from '../../src/state/tcp.ts';
import { parseIp } from '../../src/wire/ip-address.ts';
import { DEFAULT_RSS_KEY, Toeplitz } from '../../src/wire/toeplitz.ts';
import { expectNothingHeld, OPEN, settled } from './support.ts';
import { address, connectPeers, twoHosts } from './two-hosts.ts';

test.each([4, 6] as const)(
  'IPv%i: the host hashes a connection when it is established and supplies the hash at offload [RSS-002, RSS-004]',
  async (family) => {
    const hosts = twoHosts({
      impairment: { delayUs: 500, rateBps: 50_000_000 },
      server: { target: { kind: 'engine', receiveQueues: 4 } },
    });
    const key = DEFAULT_RSS_KEY.map((byte) => byte ^ 0x5a);
    await settled(
      hosts,
      hosts.server
        .adapter('server')
        .setReceiveScaling({ indirectionTable: Uint8Array.of(3, 1, 2, 0), hashSecretKey: key }),
    );
    const { server, client } = connectPeers(hosts, OPEN, OPEN, family);
    hosts.runtime.runUntil(() => server.isConnected && client.isConnected, 5_000_000);
    const { tcp } = server.endpoint as HostEndpoint;
    const [remote, local] = [parseIp(address('client', family))!.bytes, parseIp(address('server', family))!.bytes];
    const hash = new Toeplitz(key).begin().add(remote, 0, remote.length).add(local, 0, local.length);
    const expected = hash.addPort(server.endpoint.remote.port).addPort(80).end();
    expect(tcp.words[tcp.base + TcpWord.HASH_VALUE]! >>> 0).toBe(expected);
    const queue = [3, 1, 2, 0][expected & 3]!;
    const { control } = hosts.server.target('server');
    hosts.runtime.advance(50_000);
    const before = control.receiveQueues();
    await settled(hosts, server.endpoint.chimney.offload());
    const had = server.received;
    hosts.runtime.advance(100_000);
    const after = control.receiveQueues();
    // On the host path and at the target alike: all of it in one queue.
    expect(after[queue]).toBeGreaterThan(before[queue]!);
    expect(server.received).toBeGreaterThan(had);
    for (let round = 0; round < 6; round++) {
      const indirectionTable = Uint8Array.from({ length: 4 }, (_, i) => (i + round) % 4);
      await settled(hosts, hosts.server.adapter('server').setReceiveScaling({ indirectionTable, hashSecretKey: key }));
      hosts.runtime.advance(20_000);
    }
    expect([server.wrongBytes, client.wrongBytes]).toEqual([0, 0]);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  },
);
