/** Scenarios of the shape: overloads, properties, wrong arguments, servers and their bookkeeping, signals. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { closed, open, SERVER_EVENTS, seen, shut, sleep, thrown, watch, withoutPorts } from './scenario.ts';
import type { World } from './world.ts';

type Scenario = (world: World) => Promise<unknown>;

// biome-ignore lint/suspicious/noExplicitAny: wrong arguments are the point
type Any = any;

/** name and code of what is thrown: the sentences change from one Node to the next. */
function kind(call: () => unknown): unknown {
  const error = thrown(call) as { name?: string; code?: string };
  return typeof error === 'object' ? [error.name, error.code] : error;
}

export const shapeScenarios: Readonly<Record<string, Scenario>> = {
  'addresses before, during and after': async (world) => {
    const log: unknown[] = [];
    const accepted: unknown[] = [];
    const look = (socket: Socket, into: unknown[] = log): void => {
      into.push({
        own: socket.address(),
        local: [socket.localAddress, socket.localPort, socket.localFamily],
        remote: [socket.remoteAddress, socket.remotePort, socket.remoteFamily],
        state: [socket.readyState, socket.connecting, socket.pending, socket.destroyed],
      });
    };
    const here = await open(world, (socket) => {
      look(socket, accepted);
      socket.resume();
      socket.on('close', () => look(socket, accepted));
    });
    log.push(here.server.address(), here.server.listening);
    const fresh = new world.client.Socket();
    look(fresh);
    fresh.connect(here.port, world.host);
    look(fresh);
    await once(fresh, 'connect');
    look(fresh);
    fresh.end();
    await once(fresh, 'finish');
    look(fresh);
    await closed(fresh);
    look(fresh);
    await shut(here.server);
    log.push(here.server.address(), here.server.listening);
    return withoutPorts({ log, accepted }, { [here.port]: 'SERVER' });
  },

  'local address and port are honoured': async (world) => {
    const here = await open(world, (socket) => socket.end(`${socket.remoteAddress} ${socket.remotePort}`));
    const free = await open(world, () => {});
    await shut(free.server);
    const socket = here.connect({ localAddress: world.clientHost, localPort: free.port });
    const [data] = await once(socket, 'data');
    const isSame = String(data) === `${world.clientHost} ${free.port}`;
    socket.destroy();
    await closed(socket);
    await shut(here.server);
    return [isSame];
  },

  'a local address that is not ours': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, () => {});
    const socket = here.connect({ localAddress: '198.51.100.77' });
    watch(log, socket);
    await closed(socket);
    await shut(here.server);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'forms of connect': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.end('hi'));
    const { port } = here;
    const { host } = world;
    const { client } = world;
    const forms: ((done: () => void) => Socket)[] = [
      (done) => client.connect(port, host, done),
      (done) => client.createConnection({ port, host }, done),
      (done) => client.connect({ port: String(port), host } as Any, done),
      (done) => client.connect(String(port) as Any, host, done),
      (done) => new client.Socket().connect(port, host, done),
      (done) => new client.Socket({ allowHalfOpen: true }).connect({ port, host }, done),
      (done) =>
        new client.Socket().connect({ port, host, noDelay: true, keepAlive: true } as Any).once('connect', done),
    ];
    for (const form of forms) {
      let calls = 0;
      const socket = form(() => calls++);
      const [data] = await once(socket, 'data');
      log.push(String(data), calls, socket.allowHalfOpen);
      socket.destroy();
      await closed(socket);
    }
    await shut(here.server);
    return log;
  },

  'wrong arguments of connect': async (world) => {
    const { client } = world;
    const fresh = (): Any => new client.Socket().on('error', () => {});
    const log = [
      kind(() => fresh().connect({})),
      kind(() => fresh().connect()),
      kind(() => fresh().connect({ port: 70000 })),
      kind(() => fresh().connect({ port: -1 })),
      kind(() => fresh().connect({ port: 'x1' })),
      kind(() => fresh().connect({ port: true })),
      kind(() => fresh().connect({ port: 80, host: '127.0.0.1', localAddress: 'nowhere' })),
      kind(() => fresh().connect({ port: 80, host: '127.0.0.1', localPort: '8x' })),
      kind(() => fresh().connect({ port: 80, host: 'name', lookup: 'x' })),
      kind(() => fresh().setTimeout('x')),
      kind(() => fresh().setTimeout(-1)),
      kind(() => fresh().setTimeout(Number.NaN)),
      kind(() => fresh().setTimeout(10, 'x')),
      kind(() => new (client.Socket as Any)({ objectMode: true })),
      kind(() => new (client.Socket as Any)({ readableObjectMode: true })),
      kind(() => new (client.Socket as Any)({ signal: 'x' })),
      kind(() => new (client.Socket as Any)({ keepAliveInitialDelay: 'x' })),
      kind(() => new (client.Socket as Any)().write(null)),
      kind(() => new (client.Socket as Any)().write({})),
    ];
    return log;
  },

  'wrong arguments of listen and createServer': async (world) => {
    const fresh = (): Any => world.server.createServer();
    return [
      kind(() => fresh().listen({})),
      kind(() => fresh().listen({ host: '127.0.0.1' })),
      kind(() => fresh().listen(70000)),
      kind(() => fresh().listen({ port: -1 })),
      kind(() => fresh().listen({ port: 'x1' })),
      kind(() => fresh().listen({ port: true })),
      kind(() => fresh().listen({ port: 0, signal: 'x' })),
      kind(() => (world.server.createServer as Any)('x')),
      kind(() => (world.server.createServer as Any)({ keepAliveInitialDelay: 'x' })),
      kind(() => (world.server.createServer as Any)({ highWaterMark: 'x' })),
    ];
  },

  'forms of listen': async (world) => {
    const log: unknown[] = [];
    const { host } = world;
    const free = await open(world, () => {});
    await shut(free.server);
    const { port } = free;
    const forms: Any[][] = [
      [],
      [0],
      [null],
      [0, host],
      [0, host, 5],
      [0, 5],
      [{ port: 0 }],
      [{ port: undefined }],
      [{ port: null }],
      [{ port: 0, host, backlog: 3 }],
      [{ port: '0', host }],
      [String(port), host],
      [port, host],
    ];
    for (const form of forms) {
      const server = world.server.createServer();
      let calls = 0;
      server.listen(...(form as []), () => calls++);
      await once(server, 'listening');
      const { address, family } = server.address() as AddressInfo;
      log.push([address, family, calls, server.listening]);
      await shut(server);
    }
    return log;
  },

  'a port that is taken': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, () => {});
    const second = world.server.createServer();
    watch(log, second, SERVER_EVENTS);
    second.listen(here.port, world.host);
    await once(second, 'error');
    log.push(second.listening, second.address());
    log.push(kind(() => here.server.listen(0)));
    await shut(here.server);
    second.listen(here.port, world.host);
    await once(second, 'listening');
    await shut(second);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'an address that is not ours to listen on': async (world) => {
    const server = world.server.createServer();
    server.listen(0, '198.51.100.77');
    const [error] = await once(server, 'error');
    return [seen(error), server.listening];
  },

  'a server waits for its connections before it is closed': async (world) => {
    const log: unknown[] = [];
    const sockets: Socket[] = [];
    const here = await open(world, (socket) => sockets.push(socket));
    watch(log, here.server, SERVER_EVENTS);
    const clients = [here.connect(), here.connect()];
    for (const client of clients) client.on('error', () => {}).resume();
    while (sockets.length < 2) await sleep(2);
    const count = (): Promise<number> =>
      new Promise((resolve, reject) => {
        here.server.getConnections((error, n) => (error ? reject(error) : resolve(n)));
      });
    log.push(await count());
    here.server.close((error) => log.push(['closed', seen(error)]));
    log.push(here.server.listening);
    const refused = here.connect();
    log.push(seen((await once(refused, 'error'))[0]));
    sockets[0]!.destroy();
    await sleep(20);
    log.push(await count());
    sockets[1]!.end();
    await sleep(30);
    log.push(await count());
    here.server.close((error) => log.push(['closed again', seen(error)]));
    await sleep(5);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'more connections than a server wants are dropped': async (world) => {
    const log: unknown[] = [];
    const sockets: Socket[] = [];
    const here = await open(world, (socket) => sockets.push(socket));
    here.server.maxConnections = 1;
    watch(log, here.server, ['connection', 'drop']);
    const first = here.connect();
    await once(first, 'connect');
    await sleep(10);
    const second = here.connect();
    second.resume().on('error', () => {});
    await closed(second);
    sockets[0]!.destroy();
    first.resume();
    await closed(first);
    const third = here.connect();
    await once(third, 'connect');
    await sleep(10);
    for (const socket of [...sockets, third]) socket.destroy();
    await shut(here.server);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'socket options chain, and server options reach the sockets': async (world) => {
    const log: unknown[] = [];
    const accepted: unknown[] = [];
    const here = await open(
      world,
      (socket) => {
        accepted.push(socket.allowHalfOpen, socket.readableHighWaterMark, socket.writableHighWaterMark);
        accepted.push((socket as Any).server === here.server);
        socket.end();
        socket.resume();
      },
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 1000, highWaterMark: 1234 },
    );
    const socket = here.connect();
    const same = [
      socket.setNoDelay(),
      socket.setNoDelay(false),
      socket.setKeepAlive(true, 1000),
      socket.setKeepAlive(),
      socket.ref(),
      socket.unref(),
      socket.ref(),
      socket.setTimeout(0),
      socket.pause(),
      socket.resume(),
      socket.setEncoding('utf8'),
    ];
    log.push(same.every((answer) => answer === socket));
    log.push(here.server.ref() === here.server, here.server.unref() === here.server);
    await once(socket, 'connect');
    log.push(socket.setNoDelay(true) === socket, socket.setKeepAlive(true, 2000) === socket);
    socket.end();
    await closed(socket);
    await shut(here.server);
    return { log, accepted };
  },

  'a signal destroys a socket': async (world) => {
    const here = await open(world, (socket) => socket.resume());
    const logs: unknown[] = [];
    for (const when of ['before', 'connecting', 'connected']) {
      const log: unknown[] = [];
      const controller = new AbortController();
      if (when === 'before') controller.abort();
      const socket = here.connect({ signal: controller.signal } as Any);
      watch(log, socket, ['connect', 'ready', 'end', 'finish', 'error', 'close']);
      if (when === 'connecting') controller.abort();
      if (when === 'connected') {
        await once(socket, 'connect');
        controller.abort();
      }
      await sleep(30);
      log.push(socket.destroyed);
      socket.destroy();
      logs.push(log);
    }
    await shut(here.server);
    return logs;
  },

  'a signal closes a server': async (world) => {
    const log: unknown[] = [];
    const controller = new AbortController();
    const here = await open(world, () => {}, {}, { signal: controller.signal });
    watch(log, here.server, SERVER_EVENTS);
    controller.abort();
    log.push(here.server.listening);
    await sleep(5);
    const aborted = world.server.createServer();
    watch(log, aborted, SERVER_EVENTS);
    aborted.listen({ port: 0, host: world.host, signal: AbortSignal.abort() });
    await sleep(20);
    log.push(aborted.listening);
    return log;
  },

  'a server and a socket are disposable': async (world) => {
    const here = await open(world, (socket) => socket.resume());
    const socket = here.connect();
    await once(socket, 'connect');
    const { asyncDispose } = Symbol as Any;
    await (socket as Any)[asyncDispose]().catch(() => {});
    const destroyed = socket.destroyed;
    await (here.server as Any)[asyncDispose]();
    await (here.server as Any)[asyncDispose]();
    return [destroyed, here.server.listening];
  },

  'a lookup function finds the host': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.end());
    const lookups: Any[] = [
      (_name: string, _options: unknown, callback: Any) => callback(null, world.host, 4),
      (name: string, _options: unknown, callback: Any) => callback(new Error(`no ${name}`)),
      (_name: string, _options: unknown, callback: Any) => callback(null, 'nonsense', 4),
      (_name: string, _options: unknown, callback: Any) => callback(null, world.host, 5),
    ];
    for (const lookup of lookups) {
      const socket = here.connect({ host: 'somewhere', lookup, family: 4 } as Any);
      watch(log, socket);
      socket.resume();
      await closed(socket);
    }
    await shut(here.server);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'what AsyncLocalStorage holds is what it held where the socket was made': async (world) => {
    const storage = new AsyncLocalStorage<string>();
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.on('data', (data) => socket.end(data)));
    const clients = ['a', 'b', 'c'].map((name) =>
      storage.run(name, () => {
        const socket = here.connect();
        for (const event of ['connect', 'data', 'end', 'close']) {
          socket.on(event, () => log.push([name, event, storage.getStore()]));
        }
        return socket;
      }),
    );
    for (const client of clients) client.write('x');
    await Promise.all(clients.map(closed));
    await shut(here.server);
    return (log as [string, string, string][])
      .filter(([name, , store]) => name !== store)
      .concat([['', '', String(log.length)]]);
  },

  'what is and what is not an address': async (world) => {
    const { isIP, isIPv4, isIPv6 } = world.client;
    const texts = [
      ...['1.2.3.4', '255.255.255.255', '256.1.1.1', '01.2.3.4', '1.2.3', '1.2.3.4.5', '', ' 1.2.3.4', '1.2.3.4 '],
      ...[
        '::',
        '::1',
        '1::',
        '1:2:3:4:5:6:7:8',
        '1:2:3:4:5:6:7',
        '1:2:3:4:5:6:7:8:9',
        ':::',
        '1::2::3',
        '::g',
        '12345::',
      ],
      ...['::1.2.3.4', '1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:7:1.2.3.4', '1.2.3.4::', '::ffff:1.2.3.400', 'fe80::1%eth0'],
      ...['fe80::1%', 'fe80::1%eth 0', ':1', '1:', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '1::3:4:5:6:7:8', 'localhost'],
    ];
    return texts.map((text) => [text, isIP(text), isIPv4(text), isIPv6(text)]);
  },
};
