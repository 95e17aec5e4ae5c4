/**
 * The MTU of a link is changed under a running stack: what is too long is sent again in pieces, on the host path and by targets of every
 * kind, and when it is raised again packets become longer. NDIS_STATUS_L2_MTU_SIZE_CHANGE, RFC 1191 6.5, chimney-sequences 9.
 */
import { describe, expect, test } from 'vitest';
import { MyTarget } from '../../examples/my-target.ts';
import type { TcpEndpoint, TcpHandler } from '../../src/host/api.ts';
import type { OffloadBlock } from '../../src/ndis/protocol.ts';
import { IdleTap, StateOperation } from '../../src/ndis/tap.ts';
import type { StackLink } from '../../src/stack-options.ts';
import { PathCachedState } from '../../src/state/path.ts';
import { threadOfFrame } from '../../src/target/worker/flow-hash.ts';
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import type { PacketTap } from '../../src/trace/trace.ts';
import { spread } from '../worker/queues.ts';
import { expectNothingHeld, OPEN, settled } from './support.ts';
import { address, connectPeers, type Peer, type TwoHosts, type TwoHostsOptions, twoHosts } from './two-hosts.ts';

const ETHERNET = 14;
const SOON_US = 500_000;
type Pair = ReturnType<typeof connectPeers>;

/** The longest IP packet that the server has sent since the last look. */
class Longest implements PacketTap {
  bytes = 0;
  packet(direction: 0 | 1, _by: number, _bytes: Uint8Array, _at: number, length: number): void {
    if (direction === 1) this.bytes = Math.max(this.bytes, length - ETHERNET);
  }
  operation(): void {}
  take(): number {
    const { bytes } = this;
    this.bytes = 0;
    return bytes;
  }
}

/** PathMtu of every update that goes down. */
class PathUpdates extends IdleTap {
  readonly mtus: number[] = [];
  /** An initiate has just gone down for the first time. */
  onInitiate: (() => void) | null = null;
  override stateCallDone(operation: StateOperation): void {
    if (operation !== StateOperation.INITIATE) return;
    const { onInitiate } = this;
    this.onInitiate = null;
    onInitiate?.();
  }
  override stateCall(_operation: StateOperation, root: OffloadBlock): void {
    const { cachedState } = root;
    if (cachedState instanceof PathCachedState && root.constState === null) this.mtus.push(cachedState.pathMtu);
  }
}

/** Takes everything. */
class Sink implements TcpHandler {
  endpoint!: TcpEndpoint;
  received = 0;
  connected(): void {}
  data(_bytes: Uint8Array, _at: number, length: number): number {
    this.received += length;
    return length;
  }
  dataDone(): void {}
  end(): void {}
  closed(): void {}
}

const longest = new Longest();

function scene(options: TwoHostsOptions = {}): TwoHosts {
  longest.take();
  const server = { capture: longest, ...options.server };
  return twoHosts({ impairment: { delayUs: 500, rateBps: 10_000_000 }, ...options, server });
}

/** Connections with endless text both ways, over both families. */
function flows(hosts: TwoHosts, count: number): Pair[] {
  const pairs = Array.from({ length: count }, (_, i) => connectPeers(hosts, OPEN, OPEN, i % 2 === 0 ? 4 : 6, 80 + i));
  hosts.runtime.runUntil(() => pairs.every((pair) => pair.server.isConnected && pair.client.isConnected), 20_000_000);
  hosts.runtime.advance(50_000);
  return pairs;
}

const peersOf = (pairs: readonly Pair[]): Peer[] => pairs.flatMap(({ server, client }) => [server, client]);

/** All go on, and, but for a target that knows no better, without waiting for retransmission timeouts one after the other. */
function expectFlow(hosts: TwoHosts, pairs: readonly Pair[], withinUs = SOON_US): void {
  const peers = peersOf(pairs);
  const before = peers.map((peer) => peer.received);
  hosts.runtime.runUntil(() => peers.every((peer, i) => peer.received > before[i]! + 20_000), withinUs);
  expect(peers.map((peer, i) => peer.received > before[i]! + 20_000)).toEqual(peers.map(() => true));
  expect(peers.map((peer) => [peer.wrongBytes, peer.closedWith])).toEqual(peers.map(() => [0, undefined]));
}

async function end(hosts: TwoHosts, pairs: readonly Pair[]): Promise<void> {
  for (const { client } of pairs) client.endpoint.abort();
  hosts.runtime.advance(100_000);
  await expectNothingHeld(hosts);
}

const choose = (bytes: Uint8Array, at: number, length: number): number => threadOfFrame(bytes, at, length, false, 3);
const TARGETS: readonly (readonly [string, NonNullable<StackLink['target']>, number])[] = [
  ['the engine target', 'engine', SOON_US],
  ['a target of one’s own', (environment) => new MyTarget(environment), 20_000_000],
  ['a NIC half behind its rings', (environment) => new PairedAdapter(environment), SOON_US],
  ['three NIC halves', (environment) => spread(environment, 3, choose), SOON_US],
];

describe('an MTU that is lowered and raised again', () => {
  test('under connections on the host path', async () => {
    const hosts = scene({ server: { target: 'plain' } });
    const pairs = flows(hosts, 4);
    expect(longest.take()).toBe(1500);
    hosts.wire.a.setMtu(1300);
    longest.take();
    expectFlow(hosts, pairs);
    expect(longest.take()).toBe(1300);
    hosts.wire.a.setMtu(1500);
    expectFlow(hosts, pairs);
    expect(longest.take()).toBe(1500);
    await end(hosts, pairs);
  });

  test.each(TARGETS)('under connections at %s: they stay there [UPD-012]', async (_name, target, withinUs) => {
    const hosts = scene({ server: { target } });
    const pairs = flows(hosts, 4);
    await settled(hosts, Promise.all(pairs.map((pair) => pair.server.endpoint.chimney.offload())));
    const updates = new PathUpdates();
    hosts.server.ndis.attachTap('server', updates);
    expect(longest.take()).toBe(1500);
    hosts.wire.a.setMtu(1300);
    hosts.runtime.advance(1_000);
    longest.take();
    expectFlow(hosts, pairs, withinUs);
    expect(longest.take()).toBe(1300);
    // One path for each family.
    expect(updates.mtus).toEqual([1300, 1300]);
    hosts.wire.a.setMtu(1500);
    expectFlow(hosts, pairs, withinUs);
    expect(longest.take()).toBe(1500);
    expect(updates.mtus).toEqual([1300, 1300, 1500, 1500]);
    expect(pairs.map((pair) => pair.server.endpoint.chimney.location)).toEqual(pairs.map(() => 'target'));
    await end(hosts, pairs);
  });

  test.each(TARGETS)(
    'while connections are on their way down to %s: it is told when they have arrived [INIT-052, UPD-029]',
    async (_name, target, withinUs) => {
      const hosts = scene({ server: { target } });
      const pairs = flows(hosts, 4);
      const updates = new PathUpdates();
      hosts.server.ndis.attachTap('server', updates);
      updates.onInitiate = () => hosts.wire.a.setMtu(1300);
      const moves = pairs.map((pair) => pair.server.endpoint.chimney.offload());
      await settled(hosts, Promise.all(moves));
      hosts.runtime.advance(1_000);
      longest.take();
      expectFlow(hosts, pairs, withinUs);
      expect(longest.take()).toBe(1300);
      await end(hosts, pairs);
    },
  );
});

describe('a lowered MTU', () => {
  test('is what new connections announce, and what those in the middle of a handshake send', () => {
    const hosts = scene({ impairment: { delayUs: 20_000 } });
    const client = new Sink();
    hosts.client.transports.listen({ local: { address: address('client'), port: 7 } }, (endpoint) => {
      endpoint.handler = new Sink();
    });
    hosts.client.transports.listen({ local: { address: address('client'), port: 8 } }, (endpoint) => {
      endpoint.handler = client;
    });
    const open = (port: number): Sink => {
      const sink = new Sink();
      sink.endpoint = hosts.server.transports.connect({ remote: { address: address('client'), port } }, sink);
      return sink;
    };
    open(7); // so that ARP is done with
    hosts.runtime.advance(200_000);
    const early = open(8);
    hosts.runtime.advance(10_000);
    hosts.wire.a.setMtu(1000);
    hosts.runtime.advance(100_000);
    longest.take();
    early.endpoint.write(new Uint8Array(5_000), null);
    hosts.runtime.advance(200_000);
    expect(client.received).toBe(5_000);
    expect(longest.take()).toBe(1000);
    const late = open(8);
    hosts.runtime.advance(100_000);
    late.endpoint.write(new Uint8Array(5_000), null);
    hosts.runtime.advance(200_000);
    expect(client.received).toBe(10_000);
    expect(longest.take()).toBe(1000);
  });

  test('never becomes more than the interface was given, and what is no MTU is nothing', async () => {
    const hosts = scene({ server: { mtu: 1400 } });
    const pairs = flows(hosts, 2);
    const iface = hosts.server.host.ip.interfaces[1]!;
    const seen = [1450, 1350, 1500, 67, Number.NaN, 1350, 1400].map((mtu) => {
      hosts.server.host.ip.linkMtu(iface, mtu);
      return [iface.linkMtu, iface.mtu];
    });
    expect(seen).toEqual([1400, 1350, 1400, 1400, 1400, 1350, 1400].map((mtu) => [mtu, mtu]));
    await end(hosts, pairs);
  });

  test('below what a router has said of the path bounds it, above it does not', async () => {
    const hosts = scene();
    const pairs = flows(hosts, 1);
    const { path } = (pairs[0]!.server.endpoint as unknown as { path: { mtu: number; mtuUntilUs: number } })!;
    path.mtu = 1400;
    path.mtuUntilUs = hosts.runtime.nowUs() + 60_000_000;
    const seen = [1450, 1300, 1500].map((mtu) => {
      hosts.wire.a.setMtu(mtu);
      hosts.runtime.advance(1_000);
      return path.mtu;
    });
    expect(seen).toEqual([1400, 1300, 1300]);
    await end(hosts, pairs);
  });

  test('bounds what a router has advertised, which holds again when it is raised [RFC 4861 6.3.4]', () => {
    const hosts = scene();
    const iface = hosts.server.host.ip.interfaces[1]!;
    iface.advertisedMtu = 1350;
    const seen = [1400, 1300, 1500].map((mtu) => {
      hosts.wire.a.setMtu(mtu);
      return [iface.linkMtu, iface.mtu];
    });
    expect(seen).toEqual([
      [1400, 1350],
      [1300, 1300],
      [1500, 1350],
    ]);
  });
});
