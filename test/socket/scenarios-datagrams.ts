/** Scenarios of the edges of UDP sockets: wrong arguments, errors, groups, shared ports, both families. Each answers what was seen. */

import type { Socket, SocketOptions } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { seen, sleep, thrown, watch, withoutPorts } from './scenario.ts';
import type { World } from './world.ts';

type Scenario = (world: World) => Promise<unknown>;

// biome-ignore lint/suspicious/noExplicitAny: wrong arguments are the point
type Any = any;

const EVENTS = ['listening', 'connect', 'error', 'close'];

/** What each call does, by its text. */
function each(calls: readonly (() => unknown)[]): unknown[] {
  return calls.map((call) => {
    const error = thrown(call);
    return [String(call), seen(error)];
  });
}

async function bound(world: World, options: SocketOptions = { type: 'udp4' }, port = 0): Promise<Socket> {
  const socket = world.serverUdp.createSocket(options);
  socket.bind(port, options.type === 'udp4' ? world.host : undefined);
  await once(socket, 'listening');
  return socket;
}

function portOf(socket: Socket): number {
  return (socket.address() as AddressInfo).port;
}

export const datagramScenarios: Readonly<Record<string, Scenario>> = {
  'wrong options of a UDP socket': async ({ clientUdp }) => {
    const make = clientUdp.createSocket as Any;
    return each([
      () => make({ type: 'udp4', recvBufferSize: 'x' }),
      () => make({ type: 'udp4', recvBufferSize: -1 }),
      () => make({ type: 'udp4', sendBufferSize: 1.5 }),
      () => make({ type: 'udp4', sendBufferSize: 2 ** 33 }),
      () => make({ type: 'x', lookup: 1 }),
    ]);
  },

  'groups and broadcasts: what is judged': async (world) => {
    const fresh: Any = world.clientUdp.createSocket('udp4');
    const log: unknown[] = each([
      () => fresh.setBroadcast(true),
      () => fresh.setMulticastTTL('x'),
      () => fresh.setMulticastTTL(256),
      () => fresh.setMulticastTTL(1),
      () => fresh.setMulticastLoopback(true),
      () => fresh.setTTL(0),
    ]);
    fresh.bind(0);
    await once(fresh, 'listening');
    log.push(fresh.setBroadcast(true), fresh.setMulticastTTL(3), fresh.setMulticastLoopback('as given'));
    log.push(
      each([
        () => fresh.addMembership(),
        () => fresh.addMembership('name'),
        () => fresh.addMembership('10.1.2.3'),
        () => fresh.dropMembership('name'),
        () => fresh.dropMembership('224.0.0.1'),
        () => fresh.addSourceSpecificMembership(1),
        () => fresh.addSourceSpecificMembership('10.1.2.3', 0),
        () => fresh.dropSourceSpecificMembership('10.1.2.3', 0),
        () => fresh.setMulticastInterface(1),
        () => fresh.setMulticastInterface('name'),
      ]),
    );
    fresh.close();
    log.push(each([() => fresh.addMembership('224.0.0.114'), () => fresh.setMulticastInterface('10.99.99.99')]));
    return log;
  },

  'buffer sizes are doubled, and their errors tell all that Node’s tell': async (world) => {
    const fresh = world.clientUdp.createSocket({ type: 'udp4', recvBufferSize: 5000, sendBufferSize: 6000 });
    const { code, info, syscall, message } = raw(() => fresh.getSendBufferSize());
    const log: unknown[] = [code, info, syscall, message];
    fresh.bind(0);
    await once(fresh, 'listening');
    log.push(fresh.getRecvBufferSize(), fresh.getSendBufferSize());
    fresh.setSendBufferSize(10_000);
    log.push(fresh.getSendBufferSize(), ...each([() => fresh.setSendBufferSize(2 ** 31)]));
    fresh.close();
    return log;
  },

  'errors of sends say what the program said': async (world) => {
    const server = await bound(world);
    const port = portOf(server);
    const log: unknown[] = [];
    const client: Any = world.clientUdp.createSocket('udp4');
    const told = (...args: unknown[]): Promise<unknown> =>
      new Promise((resolve) =>
        client.send(...args, (error: unknown) => resolve([seen(error), Object.keys(error ?? {})])),
      );
    const long = Buffer.alloc(65_508);
    log.push(
      await told(long, port, world.host),
      await told(long, port),
      thrown(() => client.send(['a', 5], port)),
    );
    log.push(
      thrown(() => client.send('x', port, 10n)),
      thrown(() => client.sendto('abc', 1, 2, 'x')),
    );
    client.connect(port, world.host);
    await once(client, 'connect');
    log.push(await told(long), client.address().address === world.clientHost);
    client.disconnect();
    const came = once(server, 'message');
    client.sendto('abcdef', 1, 3, port, world.host);
    log.push(String((await came)[0]));
    client.close();
    server.close();
    return withoutPorts(log, { [port]: 'SERVER' });
  },

  'shared ports: the last one that is bound gets what comes': async (world) => {
    const shared: SocketOptions = { type: 'udp4', reuseAddr: true };
    const first = await bound(world, shared);
    const port = portOf(first);
    const second = await bound(world, shared, port);
    const log: string[] = [];
    first.on('message', (message) => log.push(`first got ${message}`));
    second.on('message', (message) => log.push(`second got ${message}`));
    const client = world.clientUdp.createSocket('udp4');
    client.send('1', port, world.host);
    await sleep(30);
    second.close();
    client.send('2', port, world.host);
    await sleep(30);
    const alone = world.serverUdp.createSocket('udp4');
    alone.bind(port, world.host);
    const [error] = await once(alone, 'error');
    for (const socket of [first, alone, client]) socket.close();
    return withoutPorts([log, seen(error)], { [port]: 'SERVER' });
  },

  'IPv6 only leaves the port to IPv4, and addresses are of the socket’s family': async (world) => {
    const six = await bound(world, { type: 'udp6', ipv6Only: true });
    const port = portOf(six);
    const four = await bound(world, { type: 'udp4' }, port);
    const log: unknown[] = [(four.address() as AddressInfo).port === port];
    const sent = await new Promise((resolve) => six.send('x', port, '10.1.2.3', (error) => resolve(seen(error))));
    const wrong = world.clientUdp.createSocket('udp4');
    watch(log, wrong, EVENTS);
    wrong.bind(0, '::1');
    await once(wrong, 'error');
    for (const socket of [six, four, wrong]) socket.close();
    await once(wrong, 'close');
    return withoutPorts([log, sent], { [port]: 'SERVER' });
  },

  'an aborted signal closes at once; lookup is asked with a family': async (world) => {
    const log: unknown[] = [];
    const aborted = world.clientUdp.createSocket({ type: 'udp4', signal: AbortSignal.abort() });
    watch(log, aborted, EVENTS);
    log.push(...each([() => aborted.bind()]));
    await once(aborted, 'close');
    const lookup = (host: unknown, family: unknown, callback: (error: Error | null, address: string) => void): void => {
      log.push([host, family]);
      process.nextTick(callback, null, family === 4 && host === 'some.name' ? world.host : String(host));
    };
    const socket = world.clientUdp.createSocket({ type: 'udp4', lookup: lookup as Any });
    socket.connect(9, 'some.name');
    await once(socket, 'connect');
    socket.close();
    return log;
  },
};

function raw(call: () => unknown): Record<string, unknown> {
  try {
    call();
    return {};
  } catch (error) {
    return error as Record<string, unknown>;
  }
}
