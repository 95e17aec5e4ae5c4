/** What an intermediate driver may do to a running connection, seen from its ends. */
import { expect, test } from 'vitest';
import type { Move, TcpHandler } from '../../src/host/api.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import { HandledBy, type PacketTap } from '../../src/trace/trace.ts';
import { expectNothingHeld, OPEN, settled } from './support.ts';
import { connectPeers, twoHosts } from './two-hosts.ts';

/** Nobody reads and nobody writes any more. */
const silent: TcpHandler = {
  connected() {},
  data: (_bytes, _at, length) => length,
  dataDone() {},
  end() {},
  closed() {},
};

test('a driver out of memory gives sends back: the host sends them itself, each byte once [IM-042, IM-043, IM-044]', async () => {
  const hosts = twoHosts({
    impairment: { delayUs: 500, rateBps: 50_000_000 },
    server: {
      intermediates: [(environment, below, name) => new PassThrough(environment, below, { name, maxSendLists: 3 })],
    },
  });
  const { server, client } = connectPeers(hosts, 3_000_000, 0);
  hosts.runtime.runUntil(() => server.isConnected, 5_000_000);
  const moves: Move[] = [];
  hosts.server.onMove((move) => moves.push(move));
  await settled(hosts, server.endpoint.chimney.offload()).catch(() => undefined);
  hosts.runtime.advance(50_000);
  for (let i = 0; i < 5; i++) {
    await settled(hosts, server.endpoint.chimney.offload()).catch(() => undefined);
    hosts.runtime.advance(20_000);
  }
  expect(hosts.server.trace.countOf('IM_SEND_REFUSED')).toBeGreaterThan(0);
  hosts.runtime.runUntil(() => client.hasEnded, 60_000_000);
  expect([client.received, client.wrongBytes]).toEqual([3_000_000, 0]);
  expect(moves.some((move) => move.kind === 'terminate')).toBe(true);
  client.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('pause, upload-all, another way, resume: the sequence of a failover leaves the stream whole [IM-065]', async () => {
  const hosts = twoHosts({ server: { intermediates: ['pass-through', 'pass-through'] } });
  const { server, client } = connectPeers(hosts, OPEN, OPEN);
  hosts.runtime.runUntil(() => server.isConnected && client.isConnected, 5_000_000);
  const { chimney } = server.endpoint;
  const { control } = hosts.server.target('server');
  for (let round = 0; round < 5; round++) {
    await settled(hosts, chimney.offload());
    hosts.runtime.advance(30_000);
    control.pause();
    control.uploadAll();
    hosts.runtime.advance(5_000);
    expect(chimney.location).toBe('host');
    expect(control.held().tcpObjects).toBe(0);
    hosts.runtime.advance(30_000);
    control.resume();
    hosts.runtime.advance(1_000);
  }
  expect(server.received).toBeGreaterThan(0);
  expect(client.received).toBeGreaterThan(0);
  expect([server.wrongBytes, client.wrongBytes]).toEqual([0, 0]);
  server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('the switch: data of an offloaded connection goes through the chimney, all other through the host path [CAP-038]', async () => {
  const seen = new Set<string>();
  const capture: PacketTap = {
    packet(direction, handledBy, bytes, at, length) {
      // IPv4 over Ethernet with text behind a TCP header: from which port, and by whom.
      const isTcp = direction === 1 && length > 100 && bytes[at + 23] === 6;
      if (isTcp) seen.add(`${(bytes[at + 34]! << 8) | bytes[at + 35]!} ${handledBy === HandledBy.TARGET}`);
    },
    operation() {},
  };
  const hosts = twoHosts({ impairment: { delayUs: 500, rateBps: 50_000_000 }, server: { capture } });
  const down = connectPeers(hosts, OPEN, 0, 4, 80);
  const up = connectPeers(hosts, OPEN, 0, 4, 81);
  hosts.runtime.runUntil(() => down.server.isConnected && up.server.isConnected, 5_000_000);
  const { chimney } = down.server.endpoint;
  const spoken = (): string[] => {
    seen.clear();
    hosts.runtime.advance(100_000);
    return [...seen].sort();
  };
  expect(spoken()).toEqual(['80 false', '81 false']);
  await settled(hosts, chimney.offload());
  expect(spoken()).toEqual(['80 true', '81 false']);
  await settled(hosts, chimney.takeBack());
  expect(spoken()).toEqual(['80 false', '81 false']);
  down.server.endpoint.abort();
  up.server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('a connection whose peer had finished before it was offloaded comes back once it is closed', async () => {
  const hosts = twoHosts({ server: { intermediates: ['pass-through'] } });
  const { server, client } = connectPeers(hosts, OPEN, 0, 4, 80, true);
  hosts.runtime.runUntil(() => server.hasEnded, 5_000_000);
  server.endpoint.handler = { ...silent, closed: (error) => server.closed(error) };
  await settled(hosts, server.endpoint.chimney.offload());
  expect(server.endpoint.info().state).toBe('CLOSE-WAIT');
  server.endpoint.shutdown();
  hosts.runtime.runUntil(() => server.closedWith !== undefined, 60_000_000);
  expect([server.closedWith, client.closedWith]).toEqual([null, null]);
  await expectNothingHeld(hosts);
});
