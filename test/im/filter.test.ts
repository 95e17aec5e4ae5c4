import { beforeEach, describe, expect, test } from 'vitest';
import type { Timer } from '../../src/base/runtime.ts';
import { findingText } from '../../src/contract/finding.ts';
import type { TcpEndpoint } from '../../src/host/api.ts';
import { entryOf, type ImOffloadEntry } from '../../src/im/entries.ts';
import { Filter } from '../../src/im/filter.ts';
import type { FilterRule } from '../../src/im/filter-verdict.ts';
import type { IntermediateEnvironment } from '../../src/im/intermediate-driver.ts';
import { FilterSyntaxError } from '../../src/im/match/syntax-error.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import { forEachBlock, type MiniportOffloadBlock } from '../../src/ndis/miniport.ts';
import { NdisOffloadHandle, OffloadBlock } from '../../src/ndis/offload-block.ts';
import type { NdisBindingHandle } from '../../src/ndis/protocol.ts';
import { NdisStatus, OffloadStateType, TcpOffloadEventType, TcpUploadReason } from '../../src/ndis/status.ts';
import { type NetBufferList, netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { PathConstState } from '../../src/state/path.ts';
import { ethernet, ipv4 } from '../host-path/frames.ts';
import { ip } from '../host-path/station.ts';
import {
  bindHost,
  chainOf,
  FakeHost,
  FakeTarget,
  hang,
  makeWorld,
  neighborBlock,
  pathBlock,
  reference,
  tcpBlock,
  type World,
} from '../ndis/fakes.ts';
import { connectPeers, type TwoHosts, twoHosts } from '../stack/two-hosts.ts';
import { seed, seedNote } from '../support/seed.ts';
import { tcp } from './random-frames.ts';

const numeric = [...String(seed)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);

const allDone = ({ server, client }: ReturnType<typeof connectPeers>): boolean =>
  server.closedWith !== undefined && client.closedWith !== undefined;

function filtered(rules: readonly FilterRule[] = []): { hosts: TwoHosts; filter: Filter } {
  const hosts = twoHosts({ server: { intermediates: ['pass-through', { kind: 'filter', rules }, 'pass-through'] } });
  return { hosts, filter: hosts.server.driver(Filter) };
}

function findings(hosts: TwoHosts): string[] {
  return [...hosts.server.findings, ...hosts.client.findings].map(findingText);
}

/** Offloads, and says what became of it. */
async function tryOffload(hosts: TwoHosts, endpoint: TcpEndpoint): Promise<string> {
  const answer = endpoint.chimney.offload().then(
    () => 'target',
    (error: Error) => error.message,
  );
  hosts.runtime.advance(5000);
  return answer;
}

describe('a filter between host and target', () => {
  test('without rules everything passes, offloads too', async () => {
    const { hosts, filter } = filtered();
    const peers = connectPeers(hosts, 1_000_000, 1_000_000);
    hosts.runtime.advance(20_000);
    expect(await tryOffload(hosts, peers.server.endpoint)).toBe('target');
    expect(filter.offloadedConnections).toBe(1);
    hosts.runtime.runUntil(() => allDone(peers), 60_000_000);
    expect([peers.client.received, peers.client.wrongBytes]).toEqual([1_000_000, 0]);
    await hosts.close();
    expect(filter.offloadedConnections).toBe(0);
    expect(findings(hosts)).toEqual([]);
  });

  test('deny drops frames of both directions, and lets go of nothing else', async () => {
    const { hosts, filter } = filtered([{ match: 'tcp port 81', action: 'deny' }]);
    const open = connectPeers(hosts, 1000, 1000, 4, 80);
    const shut = connectPeers(hosts, 1000, 1000, 4, 81);
    hosts.runtime.runUntil(() => allDone(open), 60_000_000);
    expect(open.client.received).toBe(1000);
    expect(shut.client.isConnected).toBe(false);
    expect(filter.rules[0]!.frames).toBeGreaterThan(0);
    expect(hosts.server.counters().IM_FRAME_DENIED).toBe(filter.rules[0]!.frames);
    await hosts.close();
    expect(findings(hosts)).toEqual([]);
  });

  test('a denied connection is refused at initiate, by its addresses and ports, with the reason; others of the tree go down (INIT-024)', async () => {
    const { hosts, filter } = filtered([{ match: 'tcp[tcpflags] & tcp-rst != 0 and port 81', action: 'deny' }]);
    const open = connectPeers(hosts, 100, 100, 4, 80, false);
    const shut = connectPeers(hosts, 100, 100, 4, 81, false);
    hosts.runtime.advance(20_000);
    // One tree: both are asked for in one turn.
    const answers = [tryOffload(hosts, open.server.endpoint), tryOffload(hosts, shut.server.endpoint)];
    expect(await Promise.all(answers)).toEqual(['target', expect.stringContaining('OFFLOAD_CONNECTION_REJECTED')]);
    expect([filter.offloadedConnections, filter.rules[0]!.connections]).toEqual([1, 1]);
    // Alone it is refused as well, over a path that is below already.
    expect(await tryOffload(hosts, shut.server.endpoint)).toContain('OFFLOAD_CONNECTION_REJECTED');
    expect(hosts.server.target('server').control.held().tcpObjects).toBe(1);
    // Its data go on through the host path, where the filter sees its frames.
    shut.client.more(50_000);
    hosts.runtime.advance(1_000_000);
    expect([shut.server.received, shut.server.wrongBytes]).toEqual([50_100, 0]);
    await hosts.close();
    expect(findings(hosts)).toEqual([]);
    expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  });

  test('upload asks offloaded connections back when it comes into force, and keeps them up while it matches', async () => {
    const { hosts, filter } = filtered();
    const wanted = connectPeers(hosts, 6_000_000, 6_000_000, 4, 80);
    const other = connectPeers(hosts, 6_000_000, 6_000_000, 4, 81);
    hosts.runtime.advance(20_000);
    const moves: string[] = [];
    hosts.server.onMove((move) => moves.push(`${move.kind} ${move.cause} ${move.reason}`));
    await Promise.all([tryOffload(hosts, wanted.server.endpoint), tryOffload(hosts, other.server.endpoint)]);
    filter.setRules([{ match: 'ip and tcp port 80', action: 'upload' }]);
    hosts.runtime.advance(5000);
    expect([wanted.server.endpoint.chimney.location, other.server.endpoint.chimney.location]).toEqual([
      'host',
      'target',
    ]);
    expect(moves.slice(2)).toEqual(['terminate retrieve UploadRequested']);
    expect(await tryOffload(hosts, wanted.server.endpoint)).toContain('OFFLOAD_CONNECTION_REJECTED');
    filter.setRules([]);
    expect(await tryOffload(hosts, wanted.server.endpoint)).toBe('target');
    hosts.runtime.runUntil(() => allDone(wanted) && allDone(other), 60_000_000);
    for (const { server, client } of [wanted, other]) {
      expect([server.received, server.wrongBytes, client.received, client.wrongBytes]).toEqual([
        6_000_000, 0, 6_000_000, 0,
      ]);
    }
    await hosts.close();
    expect(findings(hosts)).toEqual([]);
  });

  test('deny that comes into force cuts off a connection that is offloaded: it comes back, and its frames are dropped', async () => {
    const { hosts, filter } = filtered();
    const peers = connectPeers(hosts, 10_000_000, 0, 4, 80);
    hosts.runtime.advance(10_000);
    await tryOffload(hosts, peers.server.endpoint);
    filter.setRules([{ match: 'port 80', action: 'deny' }]);
    hosts.runtime.advance(10_000);
    const { received } = peers.client;
    hosts.runtime.advance(5_000_000);
    expect(peers.server.endpoint.chimney.location).toBe('host');
    expect(peers.client.received).toBe(received);
    filter.setRules([]);
    hosts.runtime.runUntil(() => allDone(peers), 120_000_000);
    expect([peers.client.received, peers.client.wrongBytes]).toEqual([10_000_000, 0]);
    await hosts.close();
    expect(findings(hosts)).toEqual([]);
  });

  test('otherwise: deny turns the rules into a list of what may pass', async () => {
    const hosts = twoHosts({
      server: {
        intermediates: [
          { kind: 'filter', otherwise: 'deny', rules: [{ match: 'arp or icmp6 or tcp port 80', action: 'allow' }] },
        ],
      },
    });
    const open = connectPeers(hosts, 1000, 1000, 4, 80);
    const shut = connectPeers(hosts, 1000, 1000, 4, 81);
    hosts.runtime.runUntil(() => allDone(open), 60_000_000);
    expect([open.client.received, shut.client.isConnected]).toEqual([1000, false]);
    await hosts.close();
  });

  test('a wrong rule changes nothing and says where it is wrong', async () => {
    const { hosts, filter } = filtered([{ match: 'port 81', action: 'deny' }]);
    expect(() => filter.setRules([{ match: 'prot 80', action: 'deny' }])).toThrow(FilterSyntaxError);
    expect(() => filter.setRules([{ match: 'port 80', action: 'drop' as 'deny' }])).toThrow('allow, deny, upload');
    expect(filter.rules.map(({ match }) => match)).toEqual(['port 81']);
    await hosts.close();
    expect(() => filtered([{ match: 'host', action: 'deny' }])).toThrow('expected an IPv4 or IPv6 address');
  });
});

/** Above the filter: tells of a connection that is asked back only later. Until then the host sends, reads and closes as before. */
class SlowAbove extends PassThrough {
  readonly #delayUs: number;
  readonly #untold: Map<ImOffloadEntry, Timer> = new Map();

  constructor(environment: IntermediateEnvironment, below: string, name: string, delayUs: number) {
    super(environment, below, { name });
    this.#delayUs = delayUs;
  }
  override tcpOffloadEvent(handle: NdisOffloadHandle, type: number, information: number): void {
    if (type !== TcpOffloadEventType.INDICATE_RETRIEVE) {
      super.tcpOffloadEvent(handle, type, information);
      return;
    }
    const timer = this.runtime.timer(() => super.tcpOffloadEvent(handle, type, information));
    timer.arm(this.runtime.nowUs() + this.#delayUs);
    this.#untold.set(entryOf(handle), timer);
  }
  override terminateOffload(context: unknown, root: MiniportOffloadBlock): void {
    forEachBlock(root, (block) =>
      this.#untold.get(block.miniportOffloadContext?.miniportOffloadContext as ImOffloadEntry)?.disarm(),
    );
    super.terminateOffload(context, root);
  }
}

describe('connections that a filter has asked back under load', () => {
  const slowly = (delayUs: number) => (environment: IntermediateEnvironment, below: string, name: string) =>
    new SlowAbove(environment, below, name, delayUs);

  test.each([
    ['at once', null, 0.01],
    ['2 ms late', 2000, 0.01],
    ['120 ms late', 120_000, 0.02],
  ])(
    'stand still until they come, %s: data above, in both directions, are none, and no byte is lost [EVT-019, EVT-012]',
    async (_, delayUs, loss) => {
      const hosts = twoHosts({
        impairment: { delayUs: 1000, loss, reorder: 0.01 },
        seed: numeric,
        serverStack: { policy: { afterBytes: 20_000 } },
        server: {
          intermediates: ['pass-through', { kind: 'filter' }, ...(delayUs === null ? [] : [slowly(delayUs)])],
        },
      });
      const filter = hosts.server.driver(Filter);
      const ports = [80, 81, 82];
      const all = ports.map((port) => connectPeers(hosts, 3_000_000, 3_000_000, 4, port));
      let asked = 0;
      for (let round = 0; round < 400 && !all.every(allDone); round++) {
        hosts.runtime.advance(10_000);
        const port = ports[round % 3]!;
        filter.setRules(round % 2 === 0 ? [{ match: `tcp port ${port}`, action: 'upload' }] : []);
        for (const { server } of all)
          if (server.endpoint?.chimney.location === 'host') server.endpoint.chimney.offload().catch(() => {});
        asked = hosts.server.counters().IM_UPLOAD_ASKED ?? 0;
      }
      filter.setRules([]);
      hosts.runtime.runUntil(() => all.every(allDone), 120_000_000);
      expect(asked, seedNote).toBeGreaterThan(10);
      for (const { server, client } of all) {
        expect([server.received, server.wrongBytes, client.received, client.wrongBytes], seedNote).toEqual([
          3_000_000, 0, 3_000_000, 0,
        ]);
      }
      await hosts.close();
      expect(findings(hosts), seedNote).toEqual([]);
      expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    },
  );
});

describe('a filter at its two doors', () => {
  let world: World;
  let host: FakeHost;
  let target: FakeTarget;
  let filter: Filter;
  let binding: NdisBindingHandle;

  beforeEach(() => {
    world = makeWorld();
    host = new FakeHost();
    target = new FakeTarget(world);
    world.ndis.registerAdapter(target);
    const rules: FilterRule[] = [{ match: 'tcp port 81', action: 'deny' }];
    filter = new Filter(world, 'nic0', { name: 'filter', rules });
    world.ndis.registerAdapter(filter);
    binding = bindHost(world, host, 'filter');
  });

  const frame = (port: number): NetBufferList =>
    netBufferListOver(ethernet(0x0800, ipv4({ src: '10.0.0.1', dst: '10.0.0.2', protocol: 6 }, tcp(port, 4711, 16))));

  /** A tree of connections of one new path, by local port. */
  function tree(...ports: number[]): { root: OffloadBlock; handles: NdisOffloadHandle[] } {
    const handles = ['N', 'P', ...ports].map((name) => new NdisOffloadHandle(name));
    const path = pathBlock(handles[1]!);
    path.constState = new PathConstState(ip('10.0.0.1').bytes, ip('10.0.0.2').bytes);
    const blocks = ports.map((port, i) => tcpBlock(handles[i + 2]!, port));
    return { root: hang(neighborBlock(handles[0]!), hang(path, ...blocks)), handles };
  }

  test('a chain of frames is cut: what passes goes on in order, the rest is completed with FAILURE', () => {
    const lists = [80, 81, 81, 82, 81, 83].map(frame);
    world.ndis.sendNetBufferLists(binding, chainOf(lists)!, 0);
    const sent = target.framesSent.flatMap((list) => listsIn(list));
    expect(sent).toEqual([lists[0], lists[3], lists[5]]);
    expect([lists[1]!.status, lists[2]!.status, lists[4]!.status]).toEqual(Array(3).fill(NdisStatus.FAILURE));
    expect(filter.rules[0]!.frames).toBe(3);
  });

  test('a borrowed chain of received frames goes back as it was', () => {
    const lists = [81, 80, 81, 82].map(frame);
    target.ndisM.indicateReceiveNetBufferLists(target.handle, chainOf(lists)!, 0, 1);
    expect(listsIn(lists[0]!)).toEqual(lists);
    expect(filter.rules[0]!.frames).toBe(2);
  });

  test('received frames that are not borrowed are returned when they are dropped', () => {
    const lists = [80, 81, 81].map(frame);
    target.ndisM.indicateReceiveNetBufferLists(target.handle, chainOf(lists)!, 0, 0);
    expect(target.framesReturned.flatMap((list) => listsIn(list))).toEqual(
      expect.arrayContaining([lists[1], lists[2]]),
    );
  });

  test('refused blocks are answered in their places, the tree as it came, statuses one level deep (INIT-009, INIT-024, INIT-027)', () => {
    const { root } = tree(80, 81, 82, 81);
    const blocks = listOf(root.dependentBlockList!.dependentBlockList!);
    world.ndis.initiateOffload(binding, root);
    expect(listOf(root.dependentBlockList!.dependentBlockList!)).toEqual([blocks[0], blocks[2]]);
    world.runtime.settle();
    expect(listOf(root.dependentBlockList!.dependentBlockList!)).toEqual(blocks);
    const { OFFLOAD_PARTIAL_SUCCESS, OFFLOAD_CONNECTION_REJECTED, SUCCESS } = NdisStatus;
    expect(host.completed[0]!.statuses).toEqual([
      SUCCESS,
      OFFLOAD_PARTIAL_SUCCESS,
      SUCCESS,
      OFFLOAD_CONNECTION_REJECTED,
      SUCCESS,
      OFFLOAD_CONNECTION_REJECTED,
    ]);
    expect([filter.offloadEntries, filter.offloadedConnections]).toEqual([4, 2]);
  });

  test('on a path that was not taken a refused connection was not attempted either (INIT-027)', () => {
    target.decide = (block) =>
      block.header.type === OffloadStateType.IP4 ? NdisStatus.OFFLOAD_PATH_ENTRIES : NdisStatus.SUCCESS;
    world.ndis.initiateOffload(binding, tree(80, 81).root);
    world.runtime.settle();
    const { OFFLOAD_PARTIAL_SUCCESS, OFFLOAD_PATH_ENTRIES, FAILURE } = NdisStatus;
    expect(host.completed[0]!.statuses).toEqual([OFFLOAD_PARTIAL_SUCCESS, OFFLOAD_PATH_ENTRIES, FAILURE, FAILURE]);
  });

  test('a tree of which nothing is left is answered by the filter, later, and never seen below', () => {
    const first = tree(80);
    world.ndis.initiateOffload(binding, first.root);
    world.runtime.settle();
    const root = hang(
      reference(first.handles[0]!, OffloadStateType.NEIGHBOR),
      hang(reference(first.handles[1]!, OffloadStateType.IP4), tcpBlock(new NdisOffloadHandle(null), 81)),
    );
    world.ndis.initiateOffload(binding, root);
    expect(host.completed).toHaveLength(1);
    world.runtime.settle();
    const { FAILURE, OFFLOAD_CONNECTION_REJECTED } = NdisStatus;
    expect(host.completed[1]!.statuses).toEqual([FAILURE, FAILURE, OFFLOAD_CONNECTION_REJECTED]);
    expect(target.objects).toHaveLength(3);
  });

  test('a connection is asked back once, with a mandatory reason, and not while it is being terminated (TERM-004, EVT-012)', () => {
    const { root } = tree(80);
    world.ndis.initiateOffload(binding, root);
    world.runtime.settle();
    filter.setRules([{ match: 'port 80', action: 'upload' }]);
    filter.setRules([{ match: 'port 80', action: 'deny' }]);
    expect(host.events).toEqual([]);
    world.runtime.settle();
    expect(host.events).toEqual([`80 ${TcpOffloadEventType.INDICATE_RETRIEVE} ${TcpUploadReason.UPLOAD_REQUESTED}`]);
    const second = tree(80);
    filter.setRules([]);
    world.ndis.initiateOffload(binding, second.root);
    world.runtime.settle();
    const terminate = new OffloadBlock(OffloadStateType.TCP_DELEGATED, second.handles[2]!);
    world.ndis.terminateOffload(binding, terminate);
    filter.setRules([{ match: 'port 80', action: 'upload' }]);
    world.runtime.settle();
    expect(host.events).toHaveLength(1);
  });
});

function listsIn(first: NetBufferList): NetBufferList[] {
  const all: NetBufferList[] = [];
  for (let list: NetBufferList | null = first; list !== null; list = list.next) all.push(list);
  return all;
}

function listOf(first: OffloadBlock): OffloadBlock[] {
  const all: OffloadBlock[] = [];
  for (let block: OffloadBlock | null = first; block !== null; block = block.nextBlock) all.push(block);
  return all;
}
