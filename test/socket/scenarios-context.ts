/** Scenarios of the async context: what AsyncLocalStorage holds where a program is told of something. Each answers what was seen. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { closed, shut } from './scenario.ts';
import type { World } from './world.ts';

type Scenario = (world: World) => Promise<unknown>;

const BIG = Buffer.alloc(8_000_000);

/** What a storage held at each place, each answer once. */
class Places {
  readonly storage = new AsyncLocalStorage<string>();
  readonly seen: Record<string, unknown[]> = {};

  at(place: string): void {
    const store = this.storage.getStore() ?? null;
    this.seen[place] ??= [];
    if (!this.seen[place].includes(store)) this.seen[place].push(store);
  }

  watch(place: string, emitter: { on(event: string, listener: () => void): unknown }, events: readonly string[]): void {
    for (const event of events) emitter.on(event, () => this.at(`${place} ${event}`));
  }
}

const CLIENT_EVENTS = ['lookup', 'connect', 'ready', 'data', 'end', 'close', 'error', 'timeout', 'finish'];
const SERVED_EVENTS = ['data', 'end', 'close', 'error', 'timeout', 'finish'];

async function listening(world: World, places: Places, onConnection: (socket: Socket) => void): Promise<Server> {
  const server = places.storage.run('createServer', () => world.server.createServer(onConnection));
  places.watch('server', server, ['listening', 'connection', 'close']);
  places.storage.run('listen', () => server.listen(0, world.host, () => places.at('listen callback')));
  await once(server, 'listening');
  return server;
}

export const contextScenarios: Readonly<Record<string, Scenario>> = {
  'a server’s connections are told of in the context of listen, and what they do in none': async (world) => {
    const places = new Places();
    const { storage } = places;
    const server = await listening(world, places, (socket) => {
      places.watch('served', socket, SERVED_EVENTS);
      storage.run('reply', () => socket.write('hello', () => places.at('reply callback')));
      socket.on('end', () => socket.end());
    });
    const { port } = server.address() as AddressInfo;
    const clients = ['a', 'b', 'c'].map((name) =>
      storage.run(name, () => {
        const client = world.client.connect(port, world.host);
        client.on('data', () => client.end('bye'));
        return client;
      }),
    );
    await Promise.all(clients.map(closed));
    storage.run('closing', () => server.close(() => places.at('close callback')));
    await once(server, 'close');
    return places.seen;
  },

  'a context that a listener of connections enters does not leave it': async (world) => {
    const places = new Places();
    const server = await listening(world, places, (socket) => {
      places.storage.enterWith('entered');
      places.watch('served', socket, SERVED_EVENTS);
      socket.end();
    });
    const { port } = server.address() as AddressInfo;
    for (let i = 0; i < 2; i++) {
      const client = world.client.connect(port, world.host);
      client.resume();
      await closed(client);
    }
    await shut(server);
    return { ...places.seen, 'served close': 0, 'server close': 0, here: places.storage.getStore() };
  },

  'a write is told of in the context of its call, everything else of a client in that of connect': async (world) => {
    const places = new Places();
    const { storage } = places;
    const served: Socket[] = [];
    const server = await listening(world, places, (socket) => {
      served.push(socket);
      socket.pause();
      setTimeout(() => socket.resume(), 50);
    });
    const { port } = server.address() as AddressInfo;
    const client = storage.run('connect', () => world.client.connect({ port, host: world.host }));
    storage.run('listeners', () => places.watch('client', client, CLIENT_EVENTS));
    await once(client, 'connect');
    for (const [name, bytes] of [
      ['small', 'x'],
      ['big', BIG],
    ] as const) {
      const told = new Promise<void>((resolve) => {
        const callback = (): void => {
          places.at(`${name} write`);
          resolve();
        };
        storage.run(name, () => client.write(bytes, callback));
      });
      await told;
    }
    storage.run('setTimeout', () => client.setTimeout(5));
    await once(client, 'timeout');
    storage.run('end', () => client.end(() => places.at('end callback')));
    await closed(client);
    for (const socket of served) socket.destroy();
    await shut(server);
    return places.seen;
  },
};
