/** Scenarios of a connection's life: opening, ending, half-open, destroying, failing. Each answers what was seen. */

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { closed, open, SERVER_EVENTS, seen, shut, sleep, watch, withoutPorts } from './scenario.ts';
import type { World } from './world.ts';

type Scenario = (world: World) => Promise<unknown>;

/** Both sides' logs of one connection between `onServer` and `onClient`. */
async function both(
  world: World,
  onServer: (socket: Socket) => void,
  onClient: (socket: Socket) => void,
  options: { serverHalfOpen?: boolean; clientHalfOpen?: boolean } = {},
): Promise<unknown> {
  const server: unknown[] = [];
  const accepted: unknown[] = [];
  const client: unknown[] = [];
  let other: Socket | null = null;
  const here = await open(
    world,
    (socket) => {
      other = socket;
      watch(accepted, socket);
      onServer(socket);
    },
    { allowHalfOpen: options.serverHalfOpen ?? false },
  );
  watch(server, here.server, SERVER_EVENTS);
  const socket = here.connect({ allowHalfOpen: options.clientHalfOpen ?? false });
  watch(client, socket);
  onClient(socket);
  await closed(socket);
  await sleep(20);
  const last = other as Socket | null;
  if (last !== null && !last.closed && !last.destroyed) last.destroy();
  await shut(here.server);
  await sleep(5);
  return withoutPorts({ server, accepted, client }, { [here.port]: 'SERVER' });
}

export const lifeScenarios: Readonly<Record<string, Scenario>> = {
  'a request and its answer, ended by the client': (world) =>
    both(
      world,
      (socket) => socket.on('data', (data) => socket.write(data)),
      (socket) => {
        socket.write('hello');
        socket.on('data', () => socket.end());
      },
    ),

  'a greeting, ended by the server': (world) =>
    both(
      world,
      (socket) => {
        socket.resume();
        socket.end('bye');
      },
      (socket) => socket.resume(),
    ),

  'both end at once': (world) =>
    both(
      world,
      (socket) => {
        socket.resume();
        socket.end();
      },
      (socket) => {
        socket.resume();
        socket.end();
      },
    ),

  'a half-open client goes on writing after the server has ended': (world) =>
    both(
      world,
      (socket) => {
        socket.resume();
        socket.end('that was all');
      },
      (socket) => {
        socket.resume();
        socket.on('end', () => setTimeout(() => socket.end('not for me'), 10));
      },
      { serverHalfOpen: true, clientHalfOpen: true },
    ),

  'a half-open server answers after the client has ended': (world) =>
    both(
      world,
      (socket) => {
        const parts: Buffer[] = [];
        socket.on('data', (data) => parts.push(data));
        socket.on('end', () => socket.end(`${Buffer.concat(parts)} yourself`));
      },
      (socket) => {
        socket.end('hello');
        socket.resume();
      },
      { serverHalfOpen: true },
    ),

  'nobody reads: the end is not seen before the data is': (world) =>
    both(
      world,
      (socket) => socket.end('unread'),
      (socket) => setTimeout(() => socket.resume(), 30),
    ),

  'the client is destroyed': (world) =>
    both(
      world,
      (socket) => socket.resume(),
      (socket) => socket.on('connect', () => socket.destroy()),
    ),

  'the client is destroyed with an error': (world) =>
    both(
      world,
      (socket) => socket.resume(),
      (socket) => socket.on('connect', () => socket.destroy(new Error('enough'))),
    ),

  'the client is destroyed before it is connected': (world) =>
    both(
      world,
      (socket) => socket.resume(),
      (socket) => {
        socket.write('never sent', (error) => socket.emit('lookup', seen(error)));
        socket.destroy();
      },
    ),

  'destroySoon writes what there is': (world) =>
    both(
      world,
      (socket) => socket.on('data', (data) => socket.emit('ready', data.toString())),
      (socket) => {
        socket.write('last words');
        socket.destroySoon();
      },
    ),

  'end before the connection is there': (world) =>
    both(
      world,
      (socket) => {
        socket.on('data', (data) => socket.emit('ready', data.toString()));
      },
      (socket) => {
        socket.resume();
        socket.end('early');
      },
    ),

  'a reset by the server is a read error at the client': (world) =>
    both(
      world,
      (socket) => {
        socket.on('data', () => socket.resetAndDestroy());
      },
      (socket) => {
        socket.resume();
        socket.write('x');
      },
    ),

  'a reset while connecting waits for the connection': (world) =>
    both(
      world,
      (socket) => socket.resume(),
      (socket) => socket.resetAndDestroy(),
    ),

  'a reset of a socket that was never connected': async (world) => {
    const log: unknown[] = [];
    const socket = new world.client.Socket();
    watch(log, socket);
    socket.resetAndDestroy();
    await closed(socket);
    return log;
  },

  'the server closes while the client writes on': async (world) => {
    const here = await open(world, (socket) => socket.on('data', () => socket.destroy()));
    const socket = here.connect();
    // Whether the reset meets a read or a write, or nothing any more, is the scheduler's choice.
    socket.on('error', () => {});
    socket.resume();
    socket.write('x');
    const timer = setInterval(() => socket.write('y'), 2);
    await closed(socket);
    clearInterval(timer);
    await shut(here.server);
    return [socket.destroyed, socket.readable, socket.writable, socket.readyState];
  },

  'nobody listens: refused': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, () => {});
    await shut(here.server);
    const socket = here.connect();
    log.push(socket.connecting, socket.readyState, socket.pending);
    watch(log, socket);
    await closed(socket);
    log.push(socket.connecting, socket.readyState, socket.destroyed, socket.pending);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'a failed connect errors the writes that waited for it': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, () => {});
    await shut(here.server);
    const socket = here.connect();
    watch(log, socket);
    socket.write('one', (error) => log.push(['one', seen(error)]));
    socket.write('two', (error) => log.push(['two', seen(error)]));
    socket.end('three', () => log.push(['three']));
    await closed(socket);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'a socket connects again after it was closed': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => {
      socket.on('data', (data) => socket.end(data));
    });
    const socket = new world.client.Socket();
    watch(log, socket);
    for (const word of ['first', 'second']) {
      socket.connect(here.port, world.host);
      socket.setEncoding('utf8');
      socket.write(word);
      const [data] = await once(socket, 'data');
      log.push(data);
      await closed(socket);
    }
    await shut(here.server);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'each event can be awaited before the next is listened for': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => {
      socket.write('one');
      socket.end();
    });
    const socket = here.connect();
    await once(socket, 'connect');
    log.push('connected');
    const [data] = await once(socket, 'data');
    log.push(String(data));
    await once(socket, 'end');
    log.push('ended');
    const [hadError] = await once(socket, 'close');
    log.push(hadError);
    await shut(here.server);
    return log;
  },

  'write after end, write after destroy, write after the peer has ended': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => {
      socket.on('error', () => {});
      socket.resume();
      socket.end('bye');
    });
    for (const misdeed of ['end', 'destroy', 'peer'] as const) {
      const socket = here.connect();
      watch(log, socket);
      if (misdeed === 'end') {
        socket.end();
        log.push(socket.write('x', (error) => log.push(seen(error))));
      } else if (misdeed === 'destroy') {
        await once(socket, 'connect');
        socket.destroy();
        log.push(socket.write('x', (error) => log.push(seen(error))));
      } else {
        socket.resume();
        await once(socket, 'finish');
        log.push(socket.write('x', (error) => log.push(seen(error))));
      }
      await closed(socket);
    }
    await shut(here.server);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },
};
