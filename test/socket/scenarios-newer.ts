/**
 * Scenarios of what node:net and node:dgram have since Node 22 or 24, each with what must be seen: ours has it on every Node, so Node itself
 * cannot always be asked. `has` says whether it can.
 */

import * as dgram from 'node:dgram';
import { once } from 'node:events';
import * as net from 'node:net';
import { closed, open, seen, shut, sleep, thrown, watch, withoutPorts } from './scenario.ts';
import type { World } from './world.ts';

// biome-ignore lint/suspicious/noExplicitAny: members that the types of an older Node lack
type Any = any;

export interface NewerScenario {
  /** Whether this Node has it. */
  readonly has: boolean;
  readonly play: (world: World) => Promise<unknown>;
  readonly wanted: unknown;
}

const hasService = 'setTypeOfService' in net.Socket.prototype;
const hasBound = 'BoundSocket' in net;
const hasSync = 'bindSync' in dgram.Socket.prototype;
/** Also that which has no name of its own came with Node 22. */
const isNode22 = Number.parseInt(process.versions.node, 10) >= 22;

const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
const none = { errno: undefined, syscall: undefined, address: undefined, port: undefined, hostname: undefined };

function blocked(address: string): net.BlockList {
  const list = new net.BlockList();
  list.addAddress(address);
  return list;
}

async function typeOfService(world: World): Promise<unknown> {
  const log: unknown[] = [];
  let accepted: unknown;
  const here = await open(world, (socket) => {
    accepted = (socket as Any).getTypeOfService();
    socket.end();
  });
  const Socket = world.client.Socket as Any;
  const early = new Socket();
  log.push(early.getTypeOfService(), early.setTypeOfService(0x2b) === early, early.getTypeOfService());
  const socket = (here.connect as Any)({ typeOfService: 0x10 });
  socket.resume();
  await once(socket, 'connect');
  log.push(socket.getTypeOfService());
  socket.setTypeOfService(0xff);
  log.push(socket.getTypeOfService());
  for (const wrong of [256, -1, 1.5, Number.NaN, '8']) log.push(thrown(() => socket.setTypeOfService(wrong)));
  log.push(thrown(() => new Socket({ typeOfService: 300 })));
  await closed(socket);
  await shut(here.server);
  return [...log, accepted];
}

async function keepAlive(world: World): Promise<unknown> {
  const here = await open(world, (socket) => socket.end());
  const socket = here.connect() as Any;
  socket.resume();
  const same = [
    socket.setKeepAlive(true, 5000, 2000, 3),
    socket.setKeepAlive({ enable: true, initialDelay: 7000, interval: 1500, count: 4 }),
  ];
  await once(socket, 'connect');
  same.push(socket.setKeepAlive({ enable: false }));
  await closed(socket);
  await shut(here.server);
  return same.map((answer) => answer === socket);
}

async function boundServer(world: World): Promise<unknown> {
  const log: unknown[] = [];
  const Bound = (world.server as Any).BoundSocket;
  const bound = new Bound({ host: world.host });
  const { port, ...rest } = bound.address();
  log.push(rest, port > 0, bound.isPipe);
  log.push(
    thrown(() => new Bound({ host: 'localhost' })),
    thrown(() => new Bound({ port: 70_000 })),
  );
  const server = world.server.createServer((socket) => socket.end('adopted')) as Any;
  watch(log, server, ['listening', 'error', 'close']);
  server.listen({ handle: bound });
  log.push(
    server.address().port === port,
    thrown(() => bound.address()),
    thrown(() => bound.close()),
  );
  bound[Symbol.dispose ?? Symbol.for('none')]?.();
  await once(server, 'listening');
  log.push(thrown(() => new Bound({ host: world.host, port })));
  const socket = world.client.connect(port, world.host).setEncoding('utf8');
  log.push((await once(socket, 'data'))[0]);
  await closed(socket);
  await shut(server);
  const again = new Bound({ host: world.host, port });
  log.push(again.address().port === port);
  again.close();
  return withoutPorts(log, { [port]: 'PORT' });
}

async function boundClient(world: World): Promise<unknown> {
  const log: unknown[] = [];
  let seenPort = 0;
  const here = await open(world, (socket) => {
    seenPort = socket.remotePort ?? 0;
    socket.end();
  });
  const { BoundSocket: Bound, Socket } = world.client as Any;
  const bound = new Bound({ host: world.clientHost });
  const { port } = bound.address();
  const socket = new Socket({ handle: bound });
  log.push(
    thrown(() => bound.address()),
    socket.address().port === port,
    socket.localPort === port,
    socket.pending,
  );
  log.push((thrown(() => socket.connect({ port: here.port, host: world.host, localPort: 5 })) as Any).code);
  socket.connect({ port: here.port, host: world.host });
  socket.resume();
  await once(socket, 'connect');
  log.push(socket.localPort === port);
  await closed(socket);
  log.push(seenPort === port);
  const unused = new Socket({ handle: new Bound() });
  unused.destroy();
  await closed(unused);
  await shut(here.server);
  return log;
}

/** Two servers on one port: each connection is one's, and when one is gone all are the other's. */
async function sharedPort(world: World): Promise<unknown> {
  const counts = [0, 0];
  const serve = (which: number) => (socket: net.Socket) => {
    counts[which]!++;
    socket.end();
  };
  const first = await open(world, serve(0), {}, { reusePort: true } as Any);
  const second = world.server.createServer(serve(1));
  second.listen({ port: first.port, host: world.host, reusePort: true } as Any);
  await once(second, 'listening');
  const third = world.server.createServer();
  third.listen({ port: first.port, host: world.host });
  const [error] = await once(third, 'error');
  const visit = async (): Promise<void> => {
    const socket = first.connect();
    socket.resume();
    await closed(socket);
  };
  for (let i = 0; i < 40; i++) await visit();
  const both = counts[0]! > 0 && counts[1]! > 0 && counts[0]! + counts[1]! === 40;
  await shut(first.server);
  await visit();
  await visit();
  await shut(second);
  return [both, counts[0]! + counts[1]!, error.code];
}

async function sharedUdpPort(world: World): Promise<unknown> {
  const counts = [0, 0];
  const open = (which: number, port: number): dgram.Socket => {
    const socket = world.serverUdp.createSocket({ type: 'udp4', reusePort: true } as Any);
    socket.on('message', () => counts[which]!++);
    return socket.bind(port, world.host);
  };
  const first = open(0, 0);
  await once(first, 'listening');
  const { port } = first.address();
  const second = open(1, port);
  await once(second, 'listening');
  for (let i = 0; i < 40; i++) {
    const client = world.clientUdp.createSocket('udp4');
    await new Promise((resolve) => client.send('x', port, world.host, resolve));
    client.close();
  }
  for (let i = 0; i < 100 && counts[0]! + counts[1]! < 40; i++) await sleep(5);
  first.close();
  second.close();
  return [counts[0]! > 0, counts[1]! > 0, counts[0]! + counts[1]!];
}

async function udpAtOnce(world: World): Promise<unknown> {
  const log: unknown[] = [];
  const server = world.serverUdp.createSocket('udp4') as Any;
  watch(log, server, ['listening', 'error', 'close']);
  const { port } = server.bindSync({ address: world.host });
  log.push(
    server.address().port === port,
    thrown(() => server.bindSync()),
  );
  const other = world.serverUdp.createSocket('udp4') as Any;
  log.push(thrown(() => other.bindSync({ address: world.host, port })));
  log.push(
    thrown(() => other.bindSync({ address: 'localhost' })),
    thrown(() => other.bindSync({ port: -1 })),
  );
  log.push(
    thrown(() => other.bindSync(7)),
    thrown(() => other.bindSync({ address: '::1' })),
  );
  other.bindSync();
  log.push(other.address().address);
  other.close();
  log.push(thrown(() => other.bindSync()));
  const client = world.clientUdp.createSocket('udp4') as Any;
  watch(log, client, ['connect', 'error']);
  log.push(
    thrown(() => client.connectSync(port, 'localhost')),
    thrown(() => client.connectSync(0, world.host)),
  );
  client.connectSync(port, world.host);
  log.push(
    client.remoteAddress().port === port,
    thrown(() => client.connectSync(port, world.host)),
  );
  client.send('at once');
  const [message] = await once(server, 'message');
  log.push(String(message));
  client.close();
  server.close();
  await sleep(5);
  return withoutPorts(log, { [port]: 'SERVER' });
}

/** Nothing is sent to addresses of one list, or heard from those of the other. */
async function udpBlocked(world: World): Promise<unknown> {
  const log: unknown[] = [];
  const create = (options: object): dgram.Socket =>
    world.clientUdp.createSocket({ type: 'udp4', ...options } as dgram.SocketOptions);
  const deaf = world.serverUdp.createSocket({ type: 'udp4', receiveBlockList: blocked(world.clientHost) } as Any);
  const server = world.serverUdp.createSocket('udp4');
  for (const [name, socket] of [
    ['deaf', deaf],
    ['server', server],
  ] as const) {
    socket.on('message', (message) => log.push([name, String(message)]));
    socket.bind(0, world.host);
    await once(socket, 'listening');
  }
  const client = create({ sendBlockList: blocked(world.host) });
  const { port } = server.address();
  const answer = await new Promise((resolve) => client.send('not sent', port, world.host, resolve));
  client.send('neither', port, world.host);
  log.push(seen(answer));
  log.push(seen(await new Promise((resolve) => client.connect(port, world.host, resolve as () => void))));
  const free = create({});
  const heard = once(server, 'message');
  // To the deaf one first: what it does not say now it does not say later.
  for (const socket of [deaf, server]) {
    await new Promise((resolve) => free.send('hello', socket.address().port, world.host, resolve));
  }
  await heard;
  log.push((thrown(() => create({ sendBlockList: 'all' })) as Any).message);
  for (const socket of [deaf, server, client, free]) socket.close();
  return withoutPorts(log, { [port]: 'SERVER' });
}

const adopted = {
  name: 'Error',
  message: 'The bound socket has already been adopted by a server or socket',
  code: 'ERR_SOCKET_HANDLE_ADOPTED',
  ...none,
};
const already = { name: 'Error', message: 'Socket is already bound', code: 'ERR_SOCKET_ALREADY_BOUND', ...none };

function outOfRange(name: string, range: string, shown: string): object {
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${shown}`;
  return { ...RANGE, message, ...none };
}

function wrongType(name: string, expected: string, shown: string): object {
  const message = `The "${name}" argument must be of type ${expected}. Received type ${shown}`;
  return { name: 'TypeError', message, code: 'ERR_INVALID_ARG_TYPE', ...none };
}

function noAddress(name: string, what: string, call: string): object {
  const message = `The ${what} '${name}' must be a numeric IP address; ${call} does not perform DNS resolution. Received 'localhost'`;
  return { name: 'TypeError', message, code: 'ERR_INVALID_ARG_VALUE', ...none };
}

function badPort(name: string, least: string, shown: string): object {
  const message = `${name} should be ${least} 0 and < 65536. Received type number (${shown}).`;
  return { name: 'RangeError', message, code: 'ERR_SOCKET_BAD_PORT', ...none };
}

function unbindable(code: string, errno: number, address: string, port?: string): object {
  const end = port === undefined ? address : `${address}:${port}`;
  const message = `bind ${code} ${end}`;
  return { name: 'Error', message, code, errno, syscall: 'bind', address, port, hostname: undefined };
}

function unsent(): object {
  return { name: 'Error', message: 'IP(HOST) is blocked by net.BlockList', code: 'ERR_IP_BLOCKED', ...none };
}

export const newerScenarios: Readonly<Record<string, NewerScenario>> = {
  'type of service': {
    has: hasService,
    play: typeOfService,
    wanted: [
      0,
      true,
      0x2b,
      0x10,
      0xfc,
      outOfRange('tos', '>= 0 && <= 255', '256'),
      outOfRange('tos', '>= 0 && <= 255', '-1'),
      outOfRange('tos', 'an integer', '1.5'),
      wrongType('tos', 'number', 'number (NaN)'),
      wrongType('tos', 'number', "string ('8')"),
      outOfRange('options.typeOfService', '>= 0 && <= 255', '300'),
      0,
    ],
  },
  'keepalive with interval and count': { has: hasService, play: keepAlive, wanted: [true, true, true] },
  'a bound socket becomes a server': {
    has: hasBound,
    play: boundServer,
    wanted: [
      { address: 'HOST', family: 'IPv4' },
      true,
      false,
      noAddress('options.host', 'property', 'net.BoundSocket'),
      badPort('options.port', '>=', '70000'),
      true,
      adopted,
      adopted,
      ['listening'],
      unbindable('EADDRINUSE', -98, 'HOST', 'PORT'),
      'adopted',
      ['close'],
      true,
    ],
  },
  'a bound socket becomes a client': {
    has: hasBound,
    play: boundClient,
    wanted: [adopted, true, true, false, 'ERR_INVALID_ARG_VALUE', true, true],
  },
  'servers share a port': { has: isNode22, play: sharedPort, wanted: [true, 42, 'EADDRINUSE'] },
  'UDP sockets share a port': { has: isNode22, play: sharedUdpPort, wanted: [true, true, 40] },
  'UDP that is bound and connected at once': {
    has: hasSync,
    play: udpAtOnce,
    wanted: [
      true,
      already,
      unbindable('EADDRINUSE', -98, 'HOST', 'SERVER'),
      noAddress('options.address', 'property', 'bindSync'),
      badPort('options.port', '>=', '-1'),
      wrongType('options', 'object', 'number (7)'),
      unbindable('EINVAL', -22, '::1'),
      '0.0.0.0',
      { name: 'Error', message: 'Not running', code: 'ERR_SOCKET_DGRAM_NOT_RUNNING', ...none },
      noAddress('address', 'argument', 'connectSync'),
      badPort('Port', '>', '0'),
      true,
      { name: 'Error', message: 'Already connected', code: 'ERR_SOCKET_DGRAM_IS_CONNECTED', ...none },
      ['listening'],
      ['connect'],
      'at once',
      ['close'],
    ],
  },
  'UDP with lists of blocked addresses': {
    has: isNode22,
    play: udpBlocked,
    wanted: [
      unsent(),
      unsent(),
      ['server', 'hello'],
      'The "options.sendBlockList" property must be an net.BlockList. Received type string (\'all\')',
    ],
  },
};
