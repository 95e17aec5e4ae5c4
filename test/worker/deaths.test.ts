/**
 * NIC halves that die at random moments and are replaced, under virtual time: what is not lost goes on whole, what is lost ends with an
 * error, no rule is broken, and offloading goes on; one alone, and several behind one adapter.
 */
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { findingText } from '../../src/contract/finding.ts';
import { expectNothingHeld, settled } from '../stack/support.ts';
import { connectPeers, type TwoHosts, twoHosts } from '../stack/two-hosts.ts';
import { seed, seedNote } from '../support/seed.ts';
import { START_US } from './mortal.ts';
import { expectAllBack, isDone, offloaded, type Pair, pairsOf, type Subject, subjectOf } from './mortal-stacks.ts';

const THREADS = 3;

/** Moves connections, ends NIC halves, and makes the wire narrower or wider. */
function strike(hosts: TwoHosts, { threads }: Subject, pairs: readonly Pair[], random: SeededRandom): void {
  const { endpoint } = pairs[random.nextUint32() % pairs.length]!.server;
  const what = random.nextUint32() % 100;
  if (what < 6) threads[random.nextUint32() % threads.length]!.kill(random.nextUint32() % 4);
  else if (what >= 98) hosts.wire.a.setMtu(1_000 + (random.nextUint32() % 501));
  else if (endpoint === undefined) return;
  else if (what < 60 && endpoint.chimney.location === 'host') endpoint.chimney.offload().catch(() => {});
  else if (what < 70) endpoint.chimney.takeBack().catch(() => {});
  else if (what < 75) endpoint.chimney.query().catch(() => {});
  else if (what < 78) hosts.server.target('server').control.uploadAll();
  else if (what < 80) hosts.server.target('server').control.pause();
  else if (what < 88) hosts.server.target('server').control.resume();
}

describe.each([
  ['one NIC half', 1],
  ['three behind one adapter', THREADS],
])('%s', (_name, count) => {
  test.each([0, 1, 2, 3, 4, 5])(
    'that dies again and again in a storm leaves every byte of what is not lost (%i)',
    async (n) => {
      const random = new SeededRandom(`${seed}/deaths/${count}/${n}`);
      const subject = subjectOf(count, n === 5 ? 2 : 1000);
      const hosts = twoHosts({
        seed: random.nextUint32() % 1_000_000,
        impairment: n % 2 === 0 ? { delayUs: 300, rateBps: 50_000_000 } : { delayUs: 500, loss: 0.01, reorder: 0.01 },
        medium: n % 3 === 2 ? 'ip' : 'ethernet',
        server: { target: (environment) => subject.make(environment) },
        serverStack: { offloadsAgain: n % 2 === 0 },
      });
      const pairs = pairsOf(hosts, random, 6, 600_000);
      const isConnected = (): boolean => pairs.every(({ server, client }) => server.isConnected && client.isConnected);
      expect(hosts.runtime.runUntil(isConnected, 10_000_000), seedNote).toBe(true);
      for (let i = 0; i < 4000; i++) {
        if (hosts.runtime.runUntil(() => isDone(pairs), random.nextUint32() % 6000)) break;
        if (i === 1) subject.threads[0]!.kill();
        strike(hosts, subject, pairs, random);
        for (const { server, client } of pairs) {
          // Whoever has lost it tells its peer.
          if ((server.closedWith ?? null) !== null) client.endpoint.abort();
        }
        if (i % 16 === 0) await Promise.resolve();
      }
      hosts.server.target('server').control.resume();
      hosts.runtime.runUntil(() => isDone(pairs), 600_000_000);
      hosts.runtime.advance(500_000);
      let lost = 0;
      for (const { server, client, down, up } of pairs) {
        expect([server.wrongBytes, client.wrongBytes], seedNote).toEqual([0, 0]);
        if (server.closedWith !== null) {
          expect(server.closedWith, seedNote).toBe('ECONNRESET');
          lost++;
        } else {
          expect([client.received, client.hasEnded, client.closedWith], seedNote).toEqual([down, true, null]);
          expect([server.received, server.hasEnded], seedNote).toEqual([up, true]);
        }
      }
      const told = subject.deaths.reduce((sum, death) => sum + death.lost, 0);
      // One that was lost when all had arrived and been read has ended well.
      expect(told, seedNote).toBeGreaterThanOrEqual(lost);
      expect([...hosts.server.findings, ...hosts.client.findings].map(findingText), seedNote).toEqual([]);
      const replaced = subject.deaths.filter(({ isReplaced }) => isReplaced).length;
      expect(replaced, seedNote).toBeGreaterThan(0);
      const counters = hosts.server.counters();
      expect(counters.TARGET_NIC_RESTARTED ?? 0, seedNote).toBeGreaterThan(0);
      expect(counters.TARGET_NIC_RESTARTED ?? 0, seedNote).toBeLessThanOrEqual(replaced);
      expect(counters.TARGET_NIC_DEAD ?? 0, seedNote).toBe(subject.deaths.length);
      await hosts.close();
      expect(hosts.server.held(), seedNote).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
      expect(hosts.client.held(), seedNote).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    },
    60_000,
  );
});

describe('several NIC halves behind one adapter', () => {
  test('one dies: the others go on meanwhile, and its flows return to the new one', async () => {
    const subject = subjectOf(THREADS, 3);
    const { hosts, pairs } = await offloaded(subject);
    const queues = hosts.server.target('server').control.receiveQueues();
    expect(Math.min(...queues)).toBeGreaterThan(0);
    const { threads } = subject;
    const moves = pairs.map(({ server }) => server.endpoint.chimney.moves.length);
    threads[1]!.kill();
    hosts.runtime.advance(10_000);
    const locations = pairs.map(({ server }) => server.endpoint.chimney.location);
    expect(locations.filter((one) => one === 'host')).toHaveLength(queues[1]!);
    hosts.runtime.advance(100_000);
    await settled(hosts, Promise.resolve());
    expect(subject.deaths).toMatchObject([{ takenBack: queues[1], lost: 0, isReplaced: true }]);
    // Those of the others have not moved; its own have gone up and down.
    const grown = pairs.map(({ server }, i) => server.endpoint.chimney.moves.length - moves[i]!);
    expect(grown).toEqual(locations.map((one) => (one === 'host' ? 2 : 0)));
    await expectAllBack(hosts, pairs, queues);
  });

  test.each([
    ['all die at once', [0, 1, 2]],
    ['the others die while one starts', [1, -1, 0, 2]],
    ['two die, and one again as it gets what the others have', [0, 1, -2, 0]],
  ])('%s: everything is asked back, and returns', async (_name, order) => {
    const subject = subjectOf(THREADS, 9);
    const { hosts, pairs } = await offloaded(subject);
    const queues = hosts.server.target('server').control.receiveQueues();
    for (const which of order) {
      if (which >= 0) subject.threads[which]!.kill();
      else hosts.runtime.advance(which === -1 ? 5_000 : 30_000);
    }
    hosts.runtime.advance(300_000);
    await settled(hosts, Promise.resolve());
    expect(subject.deaths.reduce((sum, { lost }) => sum + lost, 0)).toBe(0);
    await expectAllBack(hosts, pairs, queues);
  });

  test('an initiate that waits for one that starts is in progress: no status before its end, whoever dies [INIT-052]', async () => {
    const subject = subjectOf(THREADS, 9);
    const { hosts, pairs } = await offloaded(subject);
    const { runtime, server } = hosts;
    const late = connectPeers(hosts, 1000, 1000, 4, 200, false);
    runtime.advance(100_000);
    // What the others have takes its time to be told to the new one.
    for (const thread of subject.threads) {
      const query = thread.queryOffload.bind(thread);
      thread.queryOffload = (...given) => runtime.timer(() => query(...given)).arm(runtime.nowUs() + 2_000);
    }
    subject.threads[0]!.kill();
    const { control } = server.target('server');
    control.pause();
    runtime.advance(1_000);
    // An operator does not wait for it.
    control.resume();
    runtime.advance(START_US - 500);
    late.server.endpoint.chimney.offload().catch(() => {});
    runtime.advance(100);
    expect(late.server.endpoint.chimney.location).toBe('initiating');
    for (const thread of subject.threads) thread.kill();
    runtime.advance(500_000);
    await settled(hosts, Promise.resolve());
    // It was answered: nobody was there any more to take it.
    expect(late.server.endpoint.chimney.location).toBe('host');
    for (const { client } of [...pairs, late]) client.endpoint.abort();
    runtime.advance(100_000);
    await expectNothingHeld(hosts);
  });

  test('what the others have taken while one started, which die before they can tell it, is not asked back from that one [TERM-063]', async () => {
    const subject = subjectOf(THREADS, 9);
    const { hosts, pairs } = await offloaded(subject);
    const { runtime, server } = hosts;
    // The first over IPv6: its neighbor and its path are new.
    const six = connectPeers(hosts, 1000, 1000, 6, 200, false);
    runtime.advance(100_000);
    const later = (call: () => void, us: number): void => runtime.timer(call).arm(runtime.nowUs() + us);
    for (const thread of subject.threads.slice(1)) {
      const initiate = thread.initiateOffload.bind(thread);
      thread.initiateOffload = (...given) => later(() => initiate(...given), 2 * START_US);
      const query = thread.queryOffload.bind(thread);
      thread.queryOffload = (...given) => {
        query(...given);
        for (const other of subject.threads.slice(1)) other.kill();
      };
    }
    subject.threads[0]!.kill();
    const { control } = server.target('server');
    control.pause();
    runtime.advance(1_000);
    control.resume();
    runtime.advance(1_000);
    six.server.endpoint.chimney.offload().catch(() => {});
    runtime.advance(500_000);
    await settled(hosts, Promise.resolve());
    expect(subject.deaths).toHaveLength(3);
    expect(six.server.endpoint.chimney.moves.map(({ status }) => status).slice(0, 2)).toEqual(['SUCCESS', 'SUCCESS']);
    for (const { client } of [...pairs, six]) client.endpoint.abort();
    runtime.advance(100_000);
    await expectNothingHeld(hosts);
  });

  test('one is not replaced any more: its flows go to the others', async () => {
    const subject = subjectOf(THREADS, 0);
    const { hosts, pairs } = await offloaded(subject);
    subject.threads[1]!.kill();
    hosts.runtime.advance(100_000);
    const back = pairs.filter(({ server }) => server.endpoint.chimney.location === 'host');
    expect(subject.deaths).toMatchObject([{ takenBack: back.length, lost: 0, isReplaced: false }]);
    await settled(hosts, Promise.all(back.map(({ server }) => server.endpoint.chimney.offload())));
    const queues = hosts.server.target('server').control.receiveQueues();
    expect(queues[1]).toBe(0);
    await expectAllBack(hosts, pairs, queues);
  });
});

describe('a NIC half that has done something with a connection and has not published it', () => {
  test.each([
    ['received data', (pair: ReturnType<typeof connectPeers>) => pair.client.more(1000)],
    ['received the end', (pair: ReturnType<typeof connectPeers>) => pair.client.endpoint.shutdown()],
    ['an acknowledgment', (pair: ReturnType<typeof connectPeers>) => pair.server.more(1000)],
  ])('leaves it marked as it dies, %s: it is lost, and all others are not', async (_what, act) => {
    const subject = subjectOf(1, 3);
    const { hosts, pairs } = await offloaded(subject);
    const [busy, ...idle] = pairs;
    subject.threads[0]!.kill(1);
    act(busy!);
    hosts.runtime.advance(10_000);
    expect(subject.deaths).toMatchObject([{ takenBack: 11, lost: 1 }]);
    expect([busy!.server.received, busy!.server.closedWith]).toEqual([1000, 'ECONNRESET']);
    for (const { client } of idle) client.more(10);
    hosts.runtime.advance(200_000);
    expect(idle.map(({ server }) => [server.received, server.wrongBytes])).toEqual(Array(11).fill([1010, 0]));
    for (const { client } of pairs) client.endpoint.abort();
    hosts.runtime.advance(100_000);
    await expectNothingHeld(hosts);
  });
});

describe('what was set before', () => {
  test('holds with the new NIC half: capacity, families, counters, an operator’s pause', async () => {
    const subject = subjectOf(1, 3);
    const { hosts, pairs } = await offloaded(subject);
    const { control } = hosts.server.target('server');
    const adapter = hosts.server.adapter('server');
    control.setCapacity({ tcpEntries: 99 });
    await settled(hosts, adapter.configure({ ip6: false }));
    for (const { client } of pairs) client.more(1000);
    hosts.runtime.advance(100_000);
    const before = control.stats().tcp4.inSegments;
    expect(before).toBeGreaterThan(0);
    control.pause();
    hosts.runtime.advance(1000);
    subject.threads[0]!.kill();
    hosts.runtime.advance(200_000);
    expect(pairs.map(({ server }) => server.endpoint.chimney.location)).toEqual(Array(12).fill('host'));
    expect(control.stats().tcp4.inSegments).toBeGreaterThanOrEqual(before);
    control.resume();
    hosts.runtime.advance(200_000);
    await settled(hosts, Promise.resolve());
    expect(pairs.map(({ server }) => server.endpoint.chimney.location)).toEqual(Array(12).fill('target'));
    const config = await settled(hosts, adapter.currentConfig());
    expect(config).toMatchObject({ supportIPv4: true, supportIPv6: false, tcpConnectionOffloadCapacity: 99 });
    // The NIC half knows, too: it takes nothing of the other family.
    const six = connectPeers(hosts, 10, 10, 6, 200, false);
    hosts.runtime.advance(100_000);
    await expect(settled(hosts, six.server.endpoint.chimney.offload())).rejects.toThrow();
    for (const { client } of [...pairs, six]) client.endpoint.abort();
    hosts.runtime.advance(100_000);
    await expectNothingHeld(hosts);
  });
});
