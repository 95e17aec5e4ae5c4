/** Scenarios of what differs from one version of Node to the next: ours does as the Node that it runs on. */

import { errorMonitor, once } from 'node:events';
import { closed, open, shut, sleep, watch } from './scenario.ts';
import type { World } from './world.ts';

type Scenario = (world: World) => Promise<unknown>;

// biome-ignore lint/suspicious/noExplicitAny: members that the types of an older Node lack
type Any = any;

export const versionScenarios: Readonly<Record<string, Scenario>> = {
  'a socket that never connected is ended': async (world) => {
    const log: unknown[] = [];
    const socket = new world.client.Socket();
    watch(log, socket, ['finish', 'end', 'error', 'close']);
    socket.end(() => log.push('ended'));
    await sleep(10);
    log.push(socket.writableFinished, socket.destroyed);
    socket.destroy();
    return log;
  },

  'a write that waits when its socket is destroyed, or reset': async (world) => {
    const logs: unknown[] = [];
    for (const leave of ['destroy', 'resetAndDestroy'] as const) {
      const here = await open(world, (socket) => {
        socket.on('error', () => {});
        socket.pause();
      });
      const socket = here.connect();
      await once(socket, 'connect');
      const log: unknown[] = [];
      watch(log, socket, ['finish', 'error', 'close']);
      const written = new Promise<void>((resolve) => {
        socket.write(Buffer.alloc(40_000_000), (error) => {
          log.push(['written', (error as Any)?.code, error?.message]);
          resolve();
        });
      });
      await sleep(20);
      socket[leave]();
      await Promise.all([written, closed(socket)]);
      // Whoever was not accepted yet is let go of with the server.
      here.server.on('connection', (late) => late.destroy());
      logs.push(log);
      here.server.close();
    }
    return logs;
  },

  'none at all may connect': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => {
      log.push('connection');
      socket.end();
    });
    here.server.maxConnections = 0;
    here.server.on('drop', () => log.push('drop'));
    const socket = here.connect();
    socket.resume();
    socket.on('error', () => {});
    await closed(socket);
    (here.server as Any).maxConnections = null;
    const second = here.connect();
    second.resume();
    await closed(second);
    await shut(here.server);
    return log;
  },

  'a callback of bind listens to errors, or watches for them': async (world) => {
    const socket = world.serverUdp.createSocket('udp4');
    const bound = once(socket, 'listening');
    const before = [socket.listenerCount('error'), socket.listenerCount(errorMonitor)];
    socket.bind(0, world.host, () => {});
    const during = [socket.listenerCount('error') - before[0]!, socket.listenerCount(errorMonitor) - before[1]!];
    await bound;
    socket.close();
    return during;
  },
};
