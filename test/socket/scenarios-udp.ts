/** Scenarios of UDP sockets. Each answers what was seen. */

import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { closed, pattern, seen, sleep, thrown, watch, withoutPorts } from './scenario.ts';
import type { World } from './world.ts';

type Scenario = (world: World) => Promise<unknown>;

// biome-ignore lint/suspicious/noExplicitAny: wrong arguments are the point
type Any = any;

const EVENTS = ['listening', 'connect', 'error', 'close'];

function kind(call: () => unknown): unknown {
  const error = thrown(call) as { name?: string; code?: string };
  return typeof error === 'object' ? [error.name, error.code] : error;
}

async function bound(world: World): Promise<{ socket: Socket; port: number }> {
  const socket = world.serverUdp.createSocket('udp4');
  socket.bind(0, world.host);
  await once(socket, 'listening');
  return { socket, port: (socket.address() as AddressInfo).port };
}

export const udpScenarios: Readonly<Record<string, Scenario>> = {
  'a datagram and its answer': async (world) => {
    const log: unknown[] = [];
    const atServer: unknown[] = [];
    const { socket: server, port } = await bound(world);
    server.on('message', (message, from) => {
      atServer.push([String(message), Buffer.isBuffer(message), from.family, from.size, from.address]);
      server.send(`${message} yourself`, from.port, from.address);
    });
    const client = world.clientUdp.createSocket({ type: 'udp4' }, (message, from) => {
      log.push([String(message), from]);
      client.close();
    });
    watch(log, client, EVENTS);
    client.send('hello', port, world.host, (error, bytes) => log.push(['sent', seen(error), bytes]));
    await closed(client);
    server.close(() => atServer.push('closed'));
    await closed(server);
    return withoutPorts({ log, atServer }, { [port]: 'SERVER' });
  },

  'forms of send': async (world) => {
    const { socket: server, port } = await bound(world);
    const got: string[] = [];
    server.on('message', (message) => got.push(String(message)));
    const client = world.clientUdp.createSocket('udp4');
    const bytes = Buffer.from('0123456789');
    const { host } = world;
    const sent: unknown[] = [];
    const note = (error: unknown, count?: number): void => void sent.push([seen(error), count]);
    const forms: Any[][] = [
      ['text', port, host, note],
      [bytes, port, host, note],
      [bytes, 2, 3, port, host, note],
      [new Uint8Array([104, 105]), port, host, note],
      [new DataView(bytes.buffer, bytes.byteOffset, 4), port, host, note],
      [['a', Buffer.from('b'), new Uint8Array([99])], port, host, note],
      [[], port, host, note],
      ['', port, host, note],
    ];
    for (const form of forms) {
      (client.send as Any)(...form);
      await sleep(5);
    }
    (client.send as Any)('no callback', port, host);
    await sleep(10);
    await new Promise<void>((resolve) => client.connect(port, host, resolve));
    (client.send as Any)('connected', note);
    await sleep(5);
    (client.send as Any)(bytes, 5, 2, note);
    await sleep(10);
    client.disconnect();
    client.close();
    server.close();
    return { got, sent };
  },

  connecting: async (world) => {
    const log: unknown[] = [];
    const { socket: server, port } = await bound(world);
    const client = world.clientUdp.createSocket('udp4');
    watch(log, client, EVENTS);
    log.push(
      kind(() => client.remoteAddress()),
      kind(() => client.disconnect()),
    );
    client.connect(port, world.host);
    log.push(kind(() => client.connect(port, world.host)));
    await once(client, 'connect');
    log.push(client.remoteAddress());
    log.push(kind(() => client.send('x', port, world.host)));
    server.on('message', (_message, from) => server.send('back', from.port, from.address));
    client.send('x');
    log.push(String((await once(client, 'message'))[0]));
    client.disconnect();
    log.push(kind(() => client.remoteAddress()));
    client.close();
    await closed(client);
    server.close();
    return withoutPorts(log, { [port]: 'SERVER' });
  },

  'forms of bind': async (world) => {
    const log: unknown[] = [];
    const forms: Any[][] = [[], [0], [0, world.host], [{ port: 0 }], [{ port: 0, address: world.host }], [{}]];
    for (const form of forms) {
      const socket = world.serverUdp.createSocket('udp4');
      let calls = 0;
      (socket.bind as Any)(...form, () => calls++);
      await once(socket, 'listening');
      const { address, family } = socket.address() as AddressInfo;
      log.push([address, family, calls]);
      log.push(kind(() => socket.bind(0)));
      socket.close();
    }
    return log;
  },

  'a port that is taken, an address that is not ours': async (world) => {
    const log: unknown[] = [];
    const { socket: server, port } = await bound(world);
    for (const [wanted, address] of [[port, world.host] as const, [0, '198.51.100.77'] as const]) {
      const second = world.serverUdp.createSocket('udp4');
      let calls = 0;
      second.bind(wanted, address, () => calls++);
      log.push(seen((await once(second, 'error'))[0]), calls);
      second.close();
    }
    server.close();
    return withoutPorts(log, { [port]: 'SERVER' });
  },

  'wrong arguments and wrong moments': async (world) => {
    const fresh = (): Any => world.clientUdp.createSocket('udp4');
    const shut = fresh();
    shut.close();
    const log = [
      kind(() => (world.clientUdp.createSocket as Any)('tcp4')),
      kind(() => (world.clientUdp.createSocket as Any)({})),
      kind(() => fresh().send('x', 70000, 'localhost')),
      kind(() => fresh().send('x', 0, 'localhost')),
      kind(() => fresh().send('x')),
      kind(() => fresh().send(5, 80, 'localhost')),
      kind(() => fresh().send([5], 80, 'localhost')),
      kind(() => fresh().send('x', 80, 5)),
      kind(() => fresh().send(Buffer.alloc(5), 6, 1, 80, 'localhost')),
      kind(() => fresh().send(Buffer.alloc(5), 4, 2, 80, 'localhost')),
      kind(() => fresh().connect(70000)),
      kind(() => shut.close()),
      kind(() => shut.bind(0)),
      kind(() => shut.send('x', 80, 'localhost')),
      kind(() => shut.address()),
    ];
    return log;
  },

  'a datagram that is too long': async (world) => {
    const { socket: server, port } = await bound(world);
    const client = world.clientUdp.createSocket('udp4');
    const error = await new Promise((resolve) => client.send(pattern(66_000), port, world.host, resolve));
    client.close();
    server.close();
    return withoutPorts(seen(error), { [port]: 'SERVER' });
  },

  'nobody is there: a connected socket is told': async (world) => {
    const { socket: server, port } = await bound(world);
    server.close();
    await closed(server);
    const client = world.clientUdp.createSocket('udp4');
    await new Promise<void>((resolve) => client.connect(port, world.host, resolve));
    client.send('x');
    const [error] = await once(client, 'error');
    client.close();
    return withoutPorts(seen(error), { [port]: 'SERVER' });
  },

  'options of a socket, and the moments for them': async (world) => {
    const fresh: Any = world.clientUdp.createSocket({ type: 'udp4', recvBufferSize: 5000 } as Any);
    const log: unknown[] = [
      thrown(() => fresh.getRecvBufferSize()),
      thrown(() => fresh.setSendBufferSize(-1)),
      thrown(() => fresh.setSendBufferSize('x')),
      thrown(() => fresh.setSendBufferSize(5000)),
      thrown(() => fresh.setTTL('x')),
      thrown(() => (world.clientUdp.createSocket as Any)({ type: 'udp4', lookup: 5 })),
      fresh.getSendQueueSize(),
      fresh.getSendQueueCount(),
    ];
    fresh.bind(0);
    await once(fresh, 'listening');
    log.push(
      fresh.setTTL(5),
      kind(() => fresh.setTTL(0)),
      kind(() => fresh.setTTL(256)),
      kind(() => fresh.setTTL('x')),
    );
    fresh.setRecvBufferSize(10_000);
    fresh.setSendBufferSize(10_000);
    log.push(fresh.getRecvBufferSize() >= 10_000, fresh.getSendBufferSize() >= 10_000);
    fresh.close();
    return log;
  },

  'a signal closes a socket': async (world) => {
    const log: unknown[] = [];
    const controller = new AbortController();
    const socket = world.clientUdp.createSocket({ type: 'udp4', signal: controller.signal });
    watch(log, socket, EVENTS);
    socket.bind(0);
    await once(socket, 'listening');
    controller.abort();
    await closed(socket);
    log.push(kind(() => socket.address()));
    return log;
  },

  'large datagrams arrive whole': async (world) => {
    const { socket: server, port } = await bound(world);
    const client = world.clientUdp.createSocket('udp4');
    const log: boolean[] = [];
    for (const length of [1472, 1473, 8000, 60_000]) {
      const sent = pattern(length);
      const got = once(server, 'message');
      client.send(sent, port, world.host);
      log.push(((await got)[0] as Buffer).equals(sent));
    }
    client.close();
    server.close();
    return log;
  },
};
