/**
 * Whole stacks under operations drawn by lot: trees of several neighbors, paths and connections, partial failures of every layer,
 * queries, updates, invalidates and uploads on top of each other, through a driver that takes its time with every operation and
 * completes them in an order of its own. The verifier watches every door; every byte and every object is accounted for.
 */
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import type { Runtime } from '../../src/base/runtime.ts';
import { findingText } from '../../src/contract/finding.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import type { MiniportOffloadBlock } from '../../src/ndis/miniport.ts';
import {
  forEachBlock,
  NdisStatus,
  type OffloadBlock,
  type ProtocolOffloadBlock,
  type StatusIndication,
  TcpUploadReason,
} from '../../src/ndis/protocol.ts';
import type { IntermediateChoice } from '../../src/stack-drivers.ts';
import type { OffloadCandidate } from '../../src/target/engine/capacity.ts';
import { seed, seedNote } from '../support/seed.ts';
import { Peer, type TwoHosts, twoHosts } from './two-hosts.ts';

/**
 * Passes operations down, and completions up, after a while each: other operations overtake. What could not happen in any driver
 * that keeps the contract is not done: an initiate is completed at once, as indications would come before it.
 */
class Dawdler extends PassThrough {
  #late: (task: () => void) => void = (task) => task();

  /** Not before: an update that came before an invalidate must not be overtaken by it (UPD-032). */
  #inOrderUs = 0;
  #inOrder: (task: () => void) => void = (task) => task();

  /** From now on, everything takes up to `mostUs`. */
  dawdle(random: SeededRandom, runtime: Runtime, mostUs: number): this {
    this.#late = (task) => {
      runtime.timer(task).arm(runtime.nowUs() + (random.nextUint32() % mostUs));
    };
    this.#inOrder = (task) => {
      this.#inOrderUs = Math.max(this.#inOrderUs + 1, runtime.nowUs() + (random.nextUint32() % mostUs));
      runtime.timer(task).arm(this.#inOrderUs);
    };
    return this;
  }

  /** What has failed for corruption is told before the events that follow it (TERM-021, QRY-013, INV-020). */
  #lateUnlessFailed(root: ProtocolOffloadBlock, task: () => void): void {
    let hasFailed = false;
    forEachBlock(root, ({ status }) => {
      hasFailed ||= status === NdisStatus.FAILURE;
    });
    if (hasFailed) task();
    else this.#late(task);
  }

  /** Initiates and terminates that are not completed above, and statuses that wait for them (INIT-052, TERM-074). */
  #moves = 0;
  readonly #unsaid: [unknown, StatusIndication][] = [];
  /** Statuses that say something about offloading, so far. */
  #changes = 0;

  override initiateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#moves++;
    const before = this.#unsaid.length > 0 ? -1 : this.#changes;
    this.#late(() => {
      // What a pause or a resume has overtaken, those above not knowing, does not go down any more (EVT-039, EVT-042).
      if (this.#changes !== before) this.refuseOffload(root as OffloadBlock);
      else super.initiateOffload(context, root);
    });
  }
  override initiateCompleting(root: OffloadBlock): void {
    super.initiateCompleting(root);
    this.#moved();
  }
  #moved(): void {
    this.runtime.defer(() => {
      this.#moves--;
      while (this.#moves === 0 && this.#unsaid.length > 0) super.statusEx(...this.#unsaid.shift()!);
    });
  }
  override statusEx(context: unknown, indication: StatusIndication): void {
    const { statusCode } = indication;
    if (statusCode >= NdisStatus.OFFLOAD_PAUSE && statusCode <= NdisStatus.UPLOAD_ALL) this.#changes++;
    if (this.#moves > 0 || this.#unsaid.length > 0) this.#unsaid.push([context, indication]);
    else super.statusEx(context, indication);
  }
  override terminateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#moves++;
    this.#late(() => super.terminateOffload(context, root));
  }
  override updateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#inOrder(() => super.updateOffload(context, root));
  }
  override queryOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#late(() => super.queryOffload(context, root));
  }
  override invalidateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#inOrder(() => super.invalidateOffload(context, root));
  }
  override terminateOffloadComplete(context: unknown, root: ProtocolOffloadBlock): void {
    this.#lateUnlessFailed(root, () => {
      super.terminateOffloadComplete(context, root);
      this.#moved();
    });
  }
  override updateOffloadComplete(context: unknown, root: ProtocolOffloadBlock): void {
    this.#late(() => super.updateOffloadComplete(context, root));
  }
  override queryOffloadComplete(context: unknown, root: ProtocolOffloadBlock): void {
    this.#lateUnlessFailed(root, () => super.queryOffloadComplete(context, root));
  }
  override invalidateOffloadComplete(context: unknown, root: ProtocolOffloadBlock): void {
    this.#lateUnlessFailed(root, () => super.invalidateOffloadComplete(context, root));
  }
}

/** What a target may answer for an object of each layer, beside SUCCESS. */
const REFUSALS: Readonly<Record<string, readonly number[]>> = {
  neighbor: [NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES, NdisStatus.OFFLOAD_VLAN_ENTRIES, NdisStatus.FAILURE],
  path: [NdisStatus.OFFLOAD_PATH_ENTRIES, NdisStatus.OFFLOAD_IP_ADDRESS_ENTRIES, NdisStatus.OFFLOAD_PATH_MTU],
  tcp: [
    NdisStatus.OFFLOAD_TCP_ENTRIES,
    NdisStatus.OFFLOAD_CONNECTION_REJECTED,
    NdisStatus.OFFLOAD_TCP_XMIT_BUFFER,
    NdisStatus.RESOURCES,
  ],
};

const CLIENT_ADDRESSES = ['10.0.0.2', '10.0.0.3', '10.0.0.4', 'fd00::2', 'fd00::3'];

interface Pair {
  readonly server: Peer;
  readonly client: Peer;
  /** Bytes each side was told to send. */
  serverBytes: number;
  clientBytes: number;
  /** Its state at the target was made corrupt: it may end with a reset. */
  isSpoiled: boolean;
}

class Stage {
  readonly random: SeededRandom;
  readonly hosts: TwoHosts;
  pairs: Pair[] = [];
  refusalPercent = 0;

  constructor(key: string, drivers: number) {
    this.random = new SeededRandom(key);
    const { random } = this;
    let runtime: Runtime | null = null;
    const dawdler: IntermediateChoice = (environment, below, name) => {
      runtime = environment.runtime;
      return new Dawdler(environment, below, { name }).dawdle(random, runtime, 1 + this.upTo(3_000));
    };
    this.hosts = twoHosts({
      seed: 1 + this.upTo(1_000_000),
      impairment: { delayUs: 200 + this.upTo(2_000), loss: this.upTo(3) * 0.005 },
      server: {
        intermediates: Array.from({ length: drivers }, (_, i) => (i % 2 === 0 ? dawdler : ('pass-through' as const))),
        target: { kind: 'engine', refuse: (candidate) => this.#refuse(candidate) },
      },
      client: { addresses: CLIENT_ADDRESSES.map((text) => `${text}/${text.includes(':') ? 64 : 24}`) },
    });
    for (let i = 0; i < 8; i++) this.#connect(i);
    const isOpen = (p: Pair): boolean => p.server.isConnected && p.client.isConnected;
    this.hosts.runtime.runUntil(() => this.pairs.every(isOpen), 60_000_000);
    // Where the wire has lost every solicitation there is no connection.
    this.pairs = this.pairs.filter(isOpen);
  }

  /** A reason that may be told of any connection: HardwareFailure and InvalidState say more of it. */
  someReason(): number {
    return TcpUploadReason.RECEIVED_URGENT_DATA + this.upTo(9);
  }

  upTo(n: number): number {
    return this.random.nextUint32() % n;
  }

  one<T>(of: readonly T[]): T {
    return of[this.upTo(of.length)]!;
  }

  #refuse({ layer }: OffloadCandidate): number {
    return this.upTo(100) < this.refusalPercent ? this.one(REFUSALS[layer]!) : NdisStatus.SUCCESS;
  }

  #connect(i: number): void {
    const local = CLIENT_ADDRESSES[i % CLIENT_ADDRESSES.length]!;
    const family = local.includes(':') ? 6 : 4;
    const server = new Peer(0, 11, 22, false);
    const client = new Peer(0, 22, 11, false);
    const address = family === 4 ? '10.0.0.1' : 'fd00::1';
    const listener = this.hosts.server.transports.listen({ local: { address, port: 80 + i } }, (endpoint) => {
      server.endpoint = endpoint;
      endpoint.handler = server;
      listener.close();
      server.connected();
    });
    const options = { remote: { address, port: 80 + i }, local: { address: local } };
    client.endpoint = this.hosts.client.transports.connect(options, client);
    this.pairs.push({ server, client, serverBytes: 0, clientBytes: 0, isSpoiled: false });
  }

  /** One of the things that may happen. */
  step(): void {
    const pair = this.one(this.pairs);
    const { server, client } = pair;
    if (server.closedWith !== undefined || client.closedWith !== undefined) return;
    const { endpoint } = server;
    const { chimney } = endpoint;
    const { control } = this.hosts.server.target('server');
    const ignore = (promise: Promise<unknown>): void => void promise.catch(() => undefined);
    const some = this.pairs.filter((p) => p.server.closedWith === undefined && this.upTo(2) === 0);
    const bytes = this.upTo(20_000);
    const actions: (() => void)[] = [
      () => {
        for (const p of some) ignore(p.server.endpoint.chimney.offload());
      },
      () => {
        for (const p of some) ignore(p.server.endpoint.chimney.offload());
      },
      () => ignore(chimney.offload()),
      () => {
        for (const p of some) ignore(p.server.endpoint.chimney.takeBack());
      },
      () => ignore(chimney.takeBack()),
      () => ignore(chimney.query()),
      () => {
        for (const p of some) ignore(p.server.endpoint.chimney.query());
      },
      () => ignore(chimney.invalidate()),
      () => endpoint.setHopLimit(1 + this.upTo(255)),
      () => endpoint.setKeepAlive(this.upTo(2) === 0, 1_000 + this.upTo(9_000), 500, 3),
      () => endpoint.setReceiveBuffer(8_000 + this.upTo(100_000)),
      () => endpoint.setReceiveLowWater(this.one([0, 1, 100, 5_000])),
      () => {
        pair.serverBytes += bytes;
        server.more(bytes);
      },
      () => {
        pair.clientBytes += bytes;
        client.more(bytes);
      },
      () => {
        server.appetite = this.upTo(5_000);
        endpoint.resume();
      },
      () => {
        server.appetite = Number.POSITIVE_INFINITY;
        endpoint.resume();
      },
      () => control.retrieve((connection) => connection.localPort === endpoint.local.port, this.someReason()),
      () => (this.upTo(4) === 0 ? this.one([() => control.uploadAll(), () => control.pause()])() : control.resume()),
      () =>
        control.resume({
          tcpEntries: 2 + this.upTo(10),
          pathEntries: 2 + this.upTo(4),
          neighborEntries: 2 + this.upTo(4),
        }),
      () => {
        this.refusalPercent = this.one([0, 0, 10, 50]);
      },
      () => {
        if (this.upTo(12) > 0 || chimney.location !== 'target') return;
        pair.isSpoiled = true;
        control.corrupt((connection) => connection.localPort === endpoint.local.port);
        ignore(chimney.query());
      },
    ];
    this.one(actions)();
  }

  /** Everything that was asked for is done; nothing is refused any more. */
  settle(): void {
    this.refusalPercent = 0;
    const { control } = this.hosts.server.target('server');
    control.resume({ tcpEntries: 100, pathEntries: 100, neighborEntries: 100 });
    for (const { server } of this.pairs) {
      server.appetite = Number.POSITIVE_INFINITY;
      if (server.closedWith === undefined) server.endpoint.resume();
    }
    const isWhole = (p: Pair): boolean =>
      p.isSpoiled || (p.server.received === p.clientBytes && p.client.received === p.serverBytes);
    this.hosts.runtime.runUntil(() => this.pairs.every(isWhole), 300_000_000);
    this.hosts.runtime.advance(1_000_000);
  }
}

describe('operations drawn by lot', () => {
  test.each([
    [0, 0],
    [1, 1],
    [2, 1],
    [3, 2],
    [4, 3],
  ])(
    'round %i, through %i drivers: every byte arrives once, every object goes, no rule is broken',
    async (round, drivers) => {
      const s = new Stage(`${seed}/${round}`, drivers);
      for (let i = 0; i < 500; i++) {
        s.step();
        s.hosts.runtime.advance(s.upTo(1_500));
        if (s.upTo(8) === 0) await Promise.resolve();
      }
      s.settle();
      for (const pair of s.pairs) {
        const { server, client } = pair;
        expect([server.wrongBytes, client.wrongBytes], seedNote).toEqual([0, 0]);
        if (pair.isSpoiled) continue;
        expect([server.received, client.received, server.closedWith, client.closedWith], seedNote).toEqual([
          pair.clientBytes,
          pair.serverBytes,
          undefined,
          undefined,
        ]);
      }
      expect([...s.hosts.server.findings, ...s.hosts.client.findings].map(findingText), seedNote).toEqual([]);
      expect(s.hosts.server.counters().CHIMNEY_INITIATED ?? 0, seedNote).toBeGreaterThan(0);
      for (const { server, client } of s.pairs) {
        if (server.closedWith === undefined) server.endpoint.abort();
        if (client.closedWith === undefined) client.endpoint.abort();
      }
      await s.hosts.close();
      expect(s.hosts.server.findings.map(findingText), seedNote).toEqual([]);
      expect(s.hosts.server.held(), seedNote).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    },
  );
});
