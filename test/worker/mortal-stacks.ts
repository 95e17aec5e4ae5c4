/** Two stacks, the server's with NIC halves that can die: what the tests of deaths have in common. */
import { expect } from 'vitest';
import type { SeededRandom } from '../../src/base/random.ts';
import type { Link } from '../../src/link/link.ts';
import { threadOfFrame } from '../../src/target/worker/flow-hash.ts';
import { SpreadAdapter } from '../../src/target/worker/spread-adapter.ts';
import type { NicDeath } from '../../src/target/worker/thread-port.ts';
import type { WorkerAdapterOptions } from '../../src/target/worker/worker-adapter.ts';
import { expectNothingHeld, settled } from '../stack/support.ts';
import { connectPeers, type Peer, type TwoHosts, twoHosts } from '../stack/two-hosts.ts';
import { MortalAdapter } from './mortal.ts';
import { queuesOf } from './queues.ts';

/** The server's target, its threads, and what was told of them. */
export interface Subject {
  threads: MortalAdapter[];
  readonly deaths: NicDeath[];
  make(options: WorkerAdapterOptions): MortalAdapter | SpreadAdapter;
}

export function subjectOf(count: number, restart: number): Subject {
  const deaths: NicDeath[] = [];
  const subject: Subject = {
    threads: [],
    deaths,
    make: (environment) => {
      const onDeath = (death: NicDeath): void => void deaths.push(death);
      const macAddress = Uint8Array.of(2, 0, 0, 0, 0, 9);
      const options = { ...environment, onDeath, restart, macAddress };
      const { link } = options;
      const isIp = link.medium === 'ip';
      const choose = (bytes: Uint8Array, at: number, length: number): number =>
        threadOfFrame(bytes, at, length, isIp, count);
      const queues: Link[] = count === 1 ? [link] : queuesOf(link, count, choose);
      subject.threads = queues.map((queue) => new MortalAdapter({ ...options, link: queue }));
      return count === 1 ? subject.threads[0]! : new SpreadAdapter(subject.threads, link);
    },
  };
  return subject;
}

export interface Pair {
  readonly server: Peer;
  readonly client: Peer;
  readonly down: number;
  readonly up: number;
}

export function pairsOf(hosts: TwoHosts, random: SeededRandom, count: number, most: number): Pair[] {
  return Array.from({ length: count }, (_, i) => {
    const [down, up] = [most / 4 + (random.nextUint32() % most), most / 4 + (random.nextUint32() % most)];
    return { down, up, ...connectPeers(hosts, down, up, i % 2 === 0 ? 4 : 6, 80 + i) };
  });
}

export const isDone: (pairs: readonly Pair[]) => boolean = (pairs) =>
  pairs.every((p) => p.server.closedWith !== undefined && p.client.closedWith !== undefined);

/** Twelve connections without an end, all of them offloaded. */
export async function offloaded(
  subject: Subject,
): Promise<{ hosts: TwoHosts; pairs: ReturnType<typeof connectPeers>[] }> {
  const hosts = twoHosts({
    server: { target: (environment) => subject.make(environment) },
    serverStack: { offloadsAgain: true },
  });
  const pairs = Array.from({ length: 12 }, (_, i) => connectPeers(hosts, 1000, 1000, 4, 80 + i, false));
  hosts.runtime.advance(100_000);
  await settled(hosts, Promise.all(pairs.map(({ server }) => server.endpoint.chimney.offload())));
  return { hosts, pairs };
}

/** Everything is where it was before, and works. */
export async function expectAllBack(
  hosts: TwoHosts,
  pairs: readonly ReturnType<typeof connectPeers>[],
  queues: readonly number[],
  already = 1000,
): Promise<void> {
  const { control } = hosts.server.target('server');
  expect(pairs.map(({ server }) => server.endpoint.chimney.location)).toEqual(Array(12).fill('target'));
  expect(control.receiveQueues()).toEqual(queues);
  for (const { server, client } of pairs) {
    server.more(50_000);
    client.more(50_000);
  }
  hosts.runtime.advance(2_000_000);
  for (const { server, client } of pairs) {
    expect([server.received, server.wrongBytes, client.received, client.wrongBytes]).toEqual([
      already + 50_000,
      0,
      already + 50_000,
      0,
    ]);
  }
  for (const { client } of pairs) client.endpoint.abort();
  hosts.runtime.advance(100_000);
  await expectNothingHeld(hosts);
}
