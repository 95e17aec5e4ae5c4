/** 802.1Q/p tags of a connection's frames, on the host path, at the target, and across moves. */
import { describe, expect, test } from 'vitest';
import { PassThrough } from '../../src/im/pass-through.ts';
import type { MiniportOffloadBlock } from '../../src/ndis/miniport.ts';
import { forEachBlock, type OffloadBlock } from '../../src/ndis/protocol.ts';
import { NeighborConstState } from '../../src/state/neighbor.ts';
import { TcpCachedState } from '../../src/state/tcp.ts';
import { HandledBy, type PacketTap } from '../../src/trace/trace.ts';
import { decodeEthernet, EthernetFrame, EtherType } from '../../src/wire/ethernet.ts';
import { expectNothingHeld, OPEN, settled } from './support.ts';
import { connectPeers, type Peer, type TwoHosts, type TwoHostsOptions, twoHosts } from './two-hosts.ts';

/** Collects the tags of IP frames that the server sends, apart by who sent them. */
class TagWatch implements PacketTap {
  readonly #frame = new EthernetFrame();
  readonly host: Set<string> = new Set();
  readonly target: Set<string> = new Set();

  packet(direction: 0 | 1, handledBy: number, bytes: Uint8Array, at: number, length: number): void {
    const frame = this.#frame;
    if (direction !== 1 || decodeEthernet(bytes, at, length, frame) !== 0 || frame.etherType !== EtherType.IPV4) return;
    const tci = frame.tagged ? (bytes[at + 14]! << 8) | bytes[at + 15]! : -1;
    const tag = tci < 0 ? 'none' : `vlan ${tci & 0xfff} priority ${tci >> 13} cfi ${(tci >> 12) & 1}`;
    (handledBy === HandledBy.TARGET ? this.target : this.host).add(tag);
  }
  operation(): void {}
  take(): { host: string[]; target: string[] } {
    const seen = { host: [...this.host], target: [...this.target] };
    this.host.clear();
    this.target.clear();
    return seen;
  }
}

function stage(options: TwoHostsOptions = {}): { hosts: TwoHosts; server: Peer; client: Peer; tags: TagWatch } {
  const tags = new TagWatch();
  const hosts = twoHosts({
    impairment: { delayUs: 500, rateBps: 50_000_000 },
    ...options,
    server: { capture: tags, ...options.server },
  });
  const { server, client } = connectPeers(hosts, OPEN, OPEN);
  hosts.runtime.runUntil(() => server.isConnected && client.isConnected, 5_000_000);
  hosts.runtime.advance(20_000);
  return { hosts, server, client, tags };
}

async function over(hosts: TwoHosts, server: Peer): Promise<void> {
  expect(server.wrongBytes).toBe(0);
  server.endpoint.abort();
  await expectNothingHeld(hosts);
}

describe('tags', () => {
  test('the VLAN of an interface goes down with its neighbors: frames of a connection carry it wherever it is [VLAN-001, VLAN-004, VLAN-014, VLAN-017]', async () => {
    const { hosts, server, client, tags } = stage({ server: { vlanId: 5 }, client: { vlanId: 5 } });
    expect(tags.take()).toEqual({ host: ['vlan 5 priority 0 cfi 0'], target: [] });
    await settled(hosts, server.endpoint.chimney.offload());
    tags.take();
    const before = client.received;
    hosts.runtime.advance(50_000);
    expect(tags.take().target).toEqual(['vlan 5 priority 0 cfi 0']);
    expect(client.received).toBeGreaterThan(before);
    await over(hosts, server);
  });

  test('a priority is in the frames of the host path, goes down with the connection, and may change there [VLAN-003, VLAN-004, VLAN-013, VLAN-015, VLAN-020]', async () => {
    const { hosts, server, tags } = stage();
    expect(tags.take().host).toEqual(['none']);
    server.endpoint.setUserPriority(3);
    hosts.runtime.advance(2_000);
    tags.take();
    hosts.runtime.advance(50_000);
    expect(tags.take()).toEqual({ host: ['vlan 0 priority 3 cfi 0'], target: [] });
    const { chimney } = server.endpoint;
    await settled(hosts, chimney.offload());
    tags.take();
    hosts.runtime.advance(50_000);
    expect(tags.take().target).toEqual(['vlan 0 priority 3 cfi 0']);
    server.endpoint.setUserPriority(6);
    hosts.runtime.advance(2_000);
    tags.take();
    hosts.runtime.advance(50_000);
    expect(tags.take().target).toEqual(['vlan 0 priority 6 cfi 0']);
    expect((await settled(hosts, chimney.query())).cached['userPriority']).toBe(6);
    await settled(hosts, chimney.takeBack());
    tags.take();
    hosts.runtime.advance(50_000);
    expect(tags.take().host).toEqual(['vlan 0 priority 6 cfi 0']);
    await over(hosts, server);
  });

  test('a target without 802.1p leaves the priority out [VLAN-003]', async () => {
    const { hosts, server, tags } = stage({ server: { target: { kind: 'engine', supports8021p: false } } });
    server.endpoint.setUserPriority(3);
    await settled(hosts, server.endpoint.chimney.offload());
    tags.take();
    hosts.runtime.advance(50_000);
    expect(tags.take().target).toEqual(['none']);
    await over(hosts, server);
  });

  test('a VLAN that is none of the adapter is refused, and the connection stays on the host path [VLAN-006, VLAN-011]', async () => {
    const { hosts, server, client } = stage({
      server: { vlanId: 5, target: { kind: 'engine', vlanIds: [6, 7] } },
      client: { vlanId: 5 },
    });
    await expect(settled(hosts, server.endpoint.chimney.offload())).rejects.toThrow();
    expect(server.endpoint.chimney.location).toBe('host');
    const before = client.received;
    hosts.runtime.advance(50_000);
    expect(client.received).toBeGreaterThan(before);
    await over(hosts, server);
  });
});

/** Puts a VLAN and a priority of its own into what is offloaded through it. */
class Tagger extends PassThrough {
  override initiateOffload(context: unknown, root: MiniportOffloadBlock): void {
    forEachBlock(root as OffloadBlock, (block) => {
      if (block.constState instanceof NeighborConstState) block.constState.vlanId = 9;
      if (block.cachedState instanceof TcpCachedState) block.cachedState.userPriority = 2;
    });
    super.initiateOffload(context, root);
  }
}

test('a driver between may set VLAN and priority of a passing initiate: the target sees what it set [VLAN-005, IM-066]', async () => {
  const { hosts, server, tags } = stage({
    server: { intermediates: [(environment, below, name) => new Tagger(environment, below, { name })] },
  });
  await settled(hosts, server.endpoint.chimney.offload());
  hosts.runtime.advance(2_000_000);
  expect(tags.take().target).toEqual(['vlan 9 priority 2 cfi 0']);
  await over(hosts, server);
});
