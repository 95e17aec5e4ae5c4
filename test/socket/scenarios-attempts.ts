/** Scenarios of names with several addresses: what is tried, in which order, and what is told. Each answers what was seen. */

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { closed, open, seen, shut, sleep, thrown, watch, withoutPorts } from './scenario.ts';
import type { World } from './world.ts';

type Scenario = (world: World) => Promise<unknown>;

// biome-ignore lint/suspicious/noExplicitAny: wrong arguments are the point
type Any = any;

interface Answer {
  readonly address: unknown;
  readonly family: unknown;
}

/** A lookup that answers as it is told, and notes what it was asked. */
function answering(answers: readonly Answer[], asked: unknown[] = []): Any {
  return (name: string, options: Any, callback: Any) => {
    asked.push([name, { ...options }]);
    if (options.all) process.nextTick(callback, null, answers);
    else process.nextTick(callback, null, answers[0]?.address, answers[0]?.family);
  };
}

/** Connects to a server by a name with these addresses; the log of the client. */
async function tried(
  world: World,
  answers: (host: string) => readonly Answer[],
  options: Any = {},
  isListening = true,
): Promise<unknown> {
  const log: unknown[] = [];
  const asked: unknown[] = [];
  const here = await open(world, (socket) => socket.end());
  if (!isListening) await shut(here.server);
  const socket = here.connect({ host: 'name', lookup: answering(answers(world.host), asked), ...options });
  watch(log, socket);
  socket.resume();
  await closed(socket);
  log.push(socket.autoSelectFamilyAttemptedAddresses, asked, socket.remoteAddress, socket.remoteFamily);
  await shut(here.server);
  return withoutPorts(log, { [here.port]: 'SERVER' });
}

const nobody: Answer = { address: '::1', family: 6 };
const v4 = (address: string): Answer => ({ address, family: 4 });

export const attemptScenarios: Readonly<Record<string, Scenario>> = {
  'several addresses: the first answers': (world) => tried(world, (host) => [v4(host), nobody]),

  'several addresses: the first refuses, the second answers': (world) => tried(world, (host) => [nobody, v4(host)]),

  'several addresses: all refuse': (world) => tried(world, (host) => [nobody, v4(host)], {}, false),

  'several addresses, each named twice': (world) =>
    tried(world, (host) => [nobody, nobody, v4(host), v4(host)], { autoSelectFamilyAttemptTimeout: 500 }),

  'several addresses that are one': (world) => tried(world, (host) => [v4(host), v4(host)]),

  'one address, asked for with all': (world) => tried(world, (host) => [v4(host)]),

  'one address that refuses, asked for with all': (world) => tried(world, (host) => [v4(host)], {}, false),

  'what is no address is passed over': (world) =>
    tried(world, (host) => [{ address: 'nonsense', family: 4 }, { address: host, family: 5 }, v4(host)]),

  'nothing but what is no address': (world) => tried(world, () => [{ address: 'nonsense', family: 4 }]),

  'nothing but addresses of no family': (world) => tried(world, (host) => [{ address: host, family: 7 }]),

  'a family, or autoSelectFamily: false, asks for one address': async (world) => [
    await tried(world, (host) => [v4(host), nobody], { family: 4 }),
    await tried(world, (host) => [v4(host), nobody], { family: 'IPv4' }),
    await tried(world, (host) => [v4(host), nobody], { autoSelectFamily: false }),
    await tried(world, (host) => [v4(host), nobody], { autoSelectFamily: false, hints: 8 }),
    await tried(world, () => [nobody], { family: 6 }),
  ],

  'a local address asks for one address': (world) =>
    tried(world, (host) => [v4(host)], { localAddress: world.clientHost }),

  'several addresses and a local port that is taken': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.end());
    const other = here.connect();
    await once(other, 'connect');
    const socket = here.connect({
      host: 'name',
      lookup: answering([v4(world.host), nobody]),
      localPort: other.localPort,
    } as Any);
    watch(log, socket, ['error', 'close']);
    await closed(socket);
    other.destroy();
    await shut(here.server);
    // Whether the port or the pair is what is taken is the platform's word.
    return [socket.destroyed, log.length > 0];
  },

  'a lookup that fails': async (world) => {
    const log: unknown[] = [];
    for (const autoSelectFamily of [true, false]) {
      const socket = world.client.connect({
        host: 'name',
        port: 80,
        autoSelectFamily,
        lookup: (_name: string, _options: unknown, callback: Any) => callback(new Error('no such name')),
      } as Any);
      watch(log, socket);
      await closed(socket);
    }
    return log;
  },

  'destroyed while it is looked up': async (world) => {
    const log: unknown[] = [];
    for (const autoSelectFamily of [true, false]) {
      const socket = world.client.connect({
        host: 'name',
        port: 80,
        autoSelectFamily,
        lookup: (_name: string, options: Any, callback: Any) =>
          setTimeout(() => (options.all ? callback(null, [v4(world.host)]) : callback(null, world.host, 4)), 5),
      } as Any);
      watch(log, socket);
      socket.destroy();
      await closed(socket);
      await sleep(15);
    }
    return log;
  },

  'destroyed by a listener of lookup': async (world) => {
    const log: unknown[] = [];
    const socket = world.client.connect({ host: 'name', port: 80, lookup: answering([v4(world.host), nobody]) } as Any);
    watch(log, socket);
    socket.on('lookup', () => socket.destroy());
    await closed(socket);
    await sleep(5);
    return log;
  },

  'destroyed while one of several is tried': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.resume());
    const socket = here.connect({ host: 'name', lookup: answering([v4(world.host), nobody]) } as Any);
    watch(log, socket);
    socket.once('connectionAttempt', () => process.nextTick(() => socket.destroy()));
    await closed(socket);
    await sleep(10);
    await shut(here.server);
    return withoutPorts(log, { [here.port]: 'SERVER' });
  },

  'written to before the second address answers': async (world) => {
    const got: string[] = [];
    const here = await open(world, (socket) => {
      socket.on('data', (data) => got.push(String(data)));
      socket.on('end', () => socket.end());
    });
    const socket = here.connect({ host: 'name', lookup: answering([nobody, v4(world.host)]) } as Any);
    socket.write('one');
    socket.write('two');
    socket.once('connect', () => socket.end('three'));
    socket.resume();
    await closed(socket);
    await shut(here.server);
    return [got.join(''), socket.bytesWritten, socket.pending, socket.readyState];
  },

  'the defaults can be asked for and set': async (world) => {
    const client = world.client as Any;
    const before = [client.getDefaultAutoSelectFamily(), client.getDefaultAutoSelectFamilyAttemptTimeout()];
    const log: unknown[] = [...before];
    try {
      client.setDefaultAutoSelectFamily(false);
      client.setDefaultAutoSelectFamilyAttemptTimeout(3);
      log.push(client.getDefaultAutoSelectFamily(), client.getDefaultAutoSelectFamilyAttemptTimeout());
      log.push(await tried(world, (host) => [v4(host), nobody]));
      client.setDefaultAutoSelectFamilyAttemptTimeout(300);
      log.push(client.getDefaultAutoSelectFamilyAttemptTimeout());
      for (const wrong of ['x', 1.5, 0, -1, 2 ** 31, null]) {
        log.push(thrown(() => client.setDefaultAutoSelectFamilyAttemptTimeout(wrong)));
      }
      for (const wrong of ['x', 1, null, undefined]) log.push(thrown(() => client.setDefaultAutoSelectFamily(wrong)));
    } finally {
      client.setDefaultAutoSelectFamily(before[0]);
      client.setDefaultAutoSelectFamilyAttemptTimeout(before[1]);
    }
    return log;
  },

  'wrong options of the attempts': async (world) => {
    const connect = (options: Any): unknown =>
      thrown(() => {
        const socket: Socket = new world.client.Socket();
        socket.on('error', () => {});
        socket.connect({ port: 80, host: 'name', lookup: () => {}, ...options });
      });
    return [
      connect({ autoSelectFamily: 'x' }),
      connect({ autoSelectFamily: 1 }),
      connect({ autoSelectFamilyAttemptTimeout: 'x' }),
      connect({ autoSelectFamilyAttemptTimeout: 0 }),
      connect({ autoSelectFamilyAttemptTimeout: 1.5 }),
      connect({ autoSelectFamilyAttemptTimeout: -5 }),
      connect({ lookup: 'x' }),
      connect({ lookup: {} }),
    ];
  },

  'errors of names are told with what was asked': async (world) => {
    const socket = world.client.connect({
      host: 'name',
      port: 80,
      lookup: (_name: string, _options: unknown, callback: Any) => {
        const error = Object.assign(new Error('getaddrinfo ENOTFOUND name'), { code: 'ENOTFOUND', hostname: 'name' });
        callback(error);
      },
    } as Any);
    const [error] = await once(socket, 'error');
    return seen(error);
  },
};
