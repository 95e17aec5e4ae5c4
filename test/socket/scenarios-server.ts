/** Scenarios of servers: listening again and again, closing, counting, dropping, telling. Each answers what was seen. */

import diagnostics from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { closed, open, SERVER_EVENTS, seen, shut, sleep, thrown, watch, withoutPorts } from './scenario.ts';
import type { World } from './world.ts';

type Scenario = (world: World) => Promise<unknown>;

// biome-ignore lint/suspicious/noExplicitAny: wrong arguments are the point
type Any = any;

export const serverScenarios: Readonly<Record<string, Scenario>> = {
  'close with and without a callback, running and not': async (world) => {
    const log: unknown[] = [];
    const server = world.server.createServer();
    watch(log, server, SERVER_EVENTS);
    server.close((error) => log.push(['never listened', seen(error)]));
    await sleep(2);
    server.listen(0, world.host);
    await once(server, 'listening');
    log.push(server.close((error) => log.push(['first', seen(error)])) === server);
    server.close((error) => log.push(['second', seen(error)]));
    await sleep(5);
    server.close();
    await sleep(5);
    return log;
  },

  'close waits for the connections': async (world) => {
    const log: unknown[] = [];
    const sockets: Socket[] = [];
    const here = await open(world, (socket) => void sockets.push(socket.resume()));
    watch(log, here.server, ['close']);
    const client = here.connect();
    await once(client, 'connect');
    await sleep(20);
    here.server.close(() => log.push('called back'));
    log.push(here.server.listening, here.server.address());
    await sleep(20);
    log.push('the connection ends');
    client.end();
    await closed(client);
    await sleep(20);
    return log;
  },

  'closed before it listens': async (world) => {
    const log: unknown[] = [];
    const server = world.server.createServer();
    watch(log, server, SERVER_EVENTS);
    server.listen(0, world.host, () => log.push('listens'));
    server.close((error) => log.push(['closed', seen(error)]));
    await sleep(20);
    return log;
  },

  'listen again after close, in the callback of close': async (world) => {
    const log: unknown[] = [];
    const server = world.server.createServer((socket) => socket.end('again'));
    server.listen(0, world.host);
    await once(server, 'listening');
    await new Promise<void>((resolve) => {
      server.close(() => {
        server.listen(0, world.host, () => resolve());
      });
    });
    const { port } = server.address() as AddressInfo;
    const socket = world.client.connect(port, world.host);
    log.push(String((await once(socket, 'data'))[0]));
    socket.destroy();
    await shut(server);
    return log;
  },

  'listen while it listens, with the message': async (world) => {
    const here = await open(world, () => {});
    const error = thrown(() => here.server.listen(0));
    await shut(here.server);
    return error;
  },

  'the sentences of wrong arguments to listen': async (world) => {
    const fresh = (): Any => world.server.createServer();
    return [
      thrown(() => fresh().listen({})),
      thrown(() => fresh().listen({ host: 'somewhere' })),
      thrown(() => fresh().listen(70000)),
      thrown(() => fresh().listen(-1)),
      thrown(() => fresh().listen(1.5)),
      thrown(() => fresh().listen(Number.NaN)),
      thrown(() => fresh().listen({ port: -1 })),
      thrown(() => fresh().listen({ port: '70000' })),
      thrown(() => fresh().listen({ port: true })),
      thrown(() => fresh().listen({ port: {} })),
      thrown(() => fresh().listen(false)),
      thrown(() => fresh().listen(true)),
      thrown(() => fresh().listen({ port: 0, signal: 'x' })),
      thrown(() => (world.server.createServer as Any)('x')),
      thrown(() => (world.server.createServer as Any)(5)),
      thrown(() => (world.server.createServer as Any)({ keepAliveInitialDelay: 'x' })),
      thrown(() => (world.server.createServer as Any)({ highWaterMark: 'x' })),
      thrown(() => (world.server.createServer as Any)({}, 'not a function')),
    ];
  },

  'the sentences of wrong arguments to connect and to Socket': async (world) => {
    const { client } = world;
    const fresh = (): Any => new client.Socket().on('error', () => {});
    const make = (options: Any): unknown => thrown(() => new (client.Socket as Any)(options));
    return [
      thrown(() => fresh().connect({})),
      thrown(() => fresh().connect()),
      thrown(() => fresh().connect({ port: 70000 })),
      thrown(() => fresh().connect({ port: -1 })),
      thrown(() => fresh().connect({ port: 'x1' })),
      thrown(() => fresh().connect({ port: '' })),
      thrown(() => fresh().connect({ port: true })),
      thrown(() => fresh().connect({ port: [80] })),
      thrown(() => fresh().connect({ port: null })),
      thrown(() => fresh().connect({ port: 80, host: '127.0.0.1', localAddress: 'nowhere' })),
      thrown(() => fresh().connect({ port: 80, host: '127.0.0.1', localPort: '8x' })),
      thrown(() => fresh().setTimeout('x')),
      thrown(() => fresh().setTimeout(-1)),
      thrown(() => fresh().setTimeout(Number.NaN)),
      thrown(() => fresh().setTimeout(Number.POSITIVE_INFINITY)),
      thrown(() => fresh().setTimeout(10, 'x')),
      thrown(() => fresh().setTimeout(0, 'x')),
      make({ objectMode: true }),
      make({ readableObjectMode: true }),
      make({ writableObjectMode: 5 }),
      make({ signal: 'x' }),
      make({ keepAliveInitialDelay: 'x' }),
      thrown(() => fresh().write(null)),
      thrown(() => fresh().write({})),
      thrown(() => fresh().write(5)),
      thrown(() => fresh().setEncoding('nonsense')),
      thrown(() => fresh().end({})),
    ];
  },

  'more connections than maxConnections are dropped': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.resume());
    here.server.maxConnections = 1;
    here.server.on('drop', (data) => {
      log.push(['drop', Object.keys(data ?? {}).sort(), data?.localPort === here.port, data?.remoteFamily]);
    });
    const first = here.connect();
    await once(first, 'connect');
    await sleep(20);
    const second = here.connect();
    second.resume();
    second.on('error', () => {});
    await closed(second);
    const count = await new Promise((resolve) => here.server.getConnections((_error, number) => resolve(number)));
    log.push(count, (here.server as Any)._connections);
    first.destroy();
    await closed(first);
    await sleep(20);
    here.server.maxConnections = 0;
    const third = here.connect();
    third.on('error', () => {});
    await once(third, 'connect');
    await sleep(20);
    third.destroy();
    await shut(here.server);
    return log;
  },

  'getConnections calls back later, and answers the server': async (world) => {
    const log: unknown[] = [];
    const server = world.server.createServer();
    log.push(server.getConnections((error, count) => log.push(['called', error, count])) === server);
    log.push('after');
    await sleep(2);
    return log;
  },

  'properties of a server': async (world) => {
    const look = (server: Any): unknown => [
      server.allowHalfOpen,
      server.pauseOnConnect,
      server.noDelay,
      server.keepAlive,
      server.keepAliveInitialDelay,
      server.highWaterMark,
      server.maxConnections,
      server.listening,
      server.address(),
      server._connections,
      server.listenerCount('connection'),
    ];
    const create = world.server.createServer as Any;
    const nothing = (): void => {};
    return [
      look(create()),
      look(create(null)),
      look(create(nothing)),
      look(create(null, nothing)),
      look(create({}, nothing)),
      look(create(nothing, nothing)),
      look(create({ allowHalfOpen: 1, pauseOnConnect: 1, noDelay: 1, keepAlive: 1, keepAliveInitialDelay: 2500 })),
      look(create({ keepAliveInitialDelay: -5, highWaterMark: -5 })),
      look(create({ highWaterMark: 0 })),
      look(create({ highWaterMark: 12345 })),
      look(create({ allowHalfOpen: 'yes' })),
    ];
  },

  'options of a server reach its sockets': async (world) => {
    const log: unknown[] = [];
    const here = await open(
      world,
      (socket) => {
        log.push([socket.allowHalfOpen, socket.readableHighWaterMark, socket.writableHighWaterMark, socket.isPaused()]);
        log.push((socket as Any).server === here.server, socket.connecting, socket.pending, socket.readyState);
        socket.resume().end();
      },
      { allowHalfOpen: true, pauseOnConnect: true, highWaterMark: 1000, noDelay: true, keepAlive: true } as Any,
    );
    const socket = here.connect();
    socket.resume();
    await closed(socket);
    await shut(here.server);
    return log;
  },

  'a listener of connection that rejects destroys its socket': async (world) => {
    const log: unknown[] = [];
    const before = EventEmitter.captureRejections;
    EventEmitter.captureRejections = true;
    try {
      const here = await open(world, async (socket) => {
        watch(log, socket, ['error', 'close']);
        await sleep(1);
        throw new Error('rejected');
      });
      const socket = here.connect();
      socket.on('error', () => {});
      socket.resume();
      await closed(socket);
      await sleep(10);
      await shut(here.server);
    } finally {
      EventEmitter.captureRejections = before;
    }
    return log;
  },

  'diagnostics channels tell of sockets and servers': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.end());
    let accepted: unknown;
    here.server.on('connection', (socket) => {
      accepted = socket;
      log.push('connection');
    });
    const note = (message: Any, name: string | symbol): void => {
      const { socket, server, options, error } = message;
      const isServers = socket !== undefined && socket === accepted;
      log.push([name, Object.keys(message).sort(), isServers, server !== undefined, options, seen(error)]);
    };
    const names = ['net.client.socket', 'net.server.socket', 'tracing:net.server.listen:asyncStart'];
    names.push('tracing:net.server.listen:asyncEnd', 'tracing:net.server.listen:error');
    for (const name of names) diagnostics.subscribe(name, note);
    const socket = here.connect();
    socket.resume();
    await closed(socket);
    const own = new world.client.Socket().resume();
    own.connect(here.port, world.host);
    log.push('connects');
    await closed(own);
    const second = world.server.createServer();
    second.on('error', () => {});
    second.listen({ port: here.port, host: world.host });
    await once(second, 'error');
    await shut(here.server);
    second.listen(here.port, world.host);
    await once(second, 'listening');
    await shut(second);
    for (const name of names) diagnostics.unsubscribe(name, note);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'ref and unref answer the server, and the socket': async (world) => {
    const here = await open(world, (socket) => socket.resume());
    const socket = here.connect();
    const log = [here.server.unref() === here.server, here.server.ref() === here.server];
    log.push(socket.unref() === socket, socket.ref() === socket);
    const fresh = new world.client.Socket();
    log.push(fresh.unref() === fresh, fresh.ref() === fresh, fresh.listenerCount('connect') === 2);
    await once(socket, 'connect');
    socket.destroy();
    await shut(here.server);
    return log;
  },

  'classes may be called, extended and asked for': async (world) => {
    const { Socket: SocketClass, Server: ServerClass } = world.client as Any;
    class Mine extends SocketClass {
      readonly name = 'mine';
    }
    class Shop extends ServerClass {}
    const called = SocketClass();
    const served = ServerClass(() => {});
    const log: unknown[] = [
      called instanceof SocketClass,
      served instanceof ServerClass,
      served.listenerCount('connection'),
      called.constructor === SocketClass,
      new Mine() instanceof SocketClass,
      (new Mine() as Any).name,
      new Shop() instanceof ServerClass,
      new Shop() instanceof EventEmitter,
      SocketClass.name,
      ServerClass.name,
      (world.client as Any).Stream === SocketClass,
      (world.client as Any).connect === (world.client as Any).createConnection,
    ];
    const here = await open(world, (socket) => socket.end('to mine'));
    const mine: Any = new Mine();
    mine.connect(here.port, world.host);
    log.push(String((await once(mine, 'data'))[0]));
    mine.destroy();
    await shut(here.server);
    return log;
  },

  'arguments are normalized once': async (world) => {
    const normalize = (world.client as Any)._normalizeArgs;
    const callback = (): void => {};
    const options = { port: 5 };
    const forms: Any[][] = [
      [],
      [80],
      ['80'],
      ['80', 'host'],
      [80, 'host', callback],
      [80, callback],
      ['/path'],
      ['/path', callback],
      [options, callback],
      [options],
      [null],
      [undefined, 'host'],
    ];
    const log: unknown[] = forms.map((form) => {
      const [given, told] = normalize(form);
      return [{ ...given }, told === callback, told === null];
    });
    log.push(normalize([options])[0] === options);
    const here = await open(world, (socket) => socket.end('hi'));
    const list = normalize([{ port: here.port, host: world.host }]);
    log.push(
      Array.isArray(list),
      list.length,
      thrown(() => (world.client.connect as Any)(list)),
    );
    const other = new world.client.Socket();
    (other as Any).connect(list);
    log.push(String((await once(other, 'data'))[0]));
    other.destroy();
    await shut(here.server);
    return log;
  },

  'two servers on one port of different families': async (world) => {
    const log: unknown[] = [];
    const six: Server = world.server.createServer();
    six.listen({ port: 0, host: '::', ipv6Only: true });
    await once(six, 'listening');
    const { port } = six.address() as AddressInfo;
    const four = world.server.createServer((socket) => socket.end('four'));
    watch(log, four, SERVER_EVENTS.slice(0, 1));
    four.listen(port, '0.0.0.0');
    const [event] = await Promise.race([once(four, 'listening').then(() => ['listening']), once(four, 'error')]);
    log.push(seen(event), four.address(), six.address());
    await shut(four);
    await shut(six);
    return withoutPorts(log, { [port]: 'PORT' });
  },

  'exclusive, backlog and a port that is text': async (world) => {
    const log: unknown[] = [];
    const forms = [{ exclusive: true }, { exclusive: false }, { backlog: 1 }, { backlog: 100_000 }, { backlog: 0 }];
    for (const form of forms) {
      const server = world.server.createServer();
      server.listen({ port: '0' as Any, host: world.host, ...form });
      await once(server, 'listening');
      log.push(server.listening);
      await shut(server);
    }
    return log;
  },
};
