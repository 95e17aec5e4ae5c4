/** What ours does and node:net does not, or not yet: block lists, slow addresses, a stack that is closed under its sockets. */

import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { createNet } from '../../src/socket/net.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import { FakeTransports } from './fake-transports.ts';
import { closed, seen, watch } from './scenario.ts';

// biome-ignore lint/suspicious/noExplicitAny: callbacks of lookups, and members that are none
type Any = any;

const stacks: Stack[] = [];

function stack(): Stack {
  const made = createStack({ links: [] });
  stacks.push(made);
  return made;
}

afterEach(async () => {
  for (const made of stacks.splice(0)) await made.close();
});

/** A connection through a stack's loopback. */
async function pair(of: Stack): Promise<{ client: StackSocket; server: StackSocket }> {
  const listening = of.net.createServer();
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const client = of.net.connect((listening.address() as AddressInfo).port, '127.0.0.1');
  const [[server]] = (await Promise.all([once(listening, 'connection'), once(client, 'connect')])) as [
    [StackSocket],
    unknown,
  ];
  return { client, server };
}

describe('options of a connection', () => {
  async function connected(options: object): Promise<{ socket: StackSocket; told: Record<string, unknown> }> {
    const transports = new FakeTransports();
    const fake = createNet(transports);
    const server = fake.createServer((accepted) => accepted.resume()).listen(80);
    await once(server, 'listening');
    const socket = fake.connect({ port: 80, host: '127.0.0.1', ...options });
    await once(socket, 'connect');
    return { socket, told: transports.endpoints[0]!.options };
  }

  test('keepalive is ten probes a second apart once a first delay is given, or what the program says', async () => {
    const { socket, told } = await connected({ keepAlive: true, keepAliveInitialDelay: 5999 });
    expect(told['keepAlive']).toEqual([5000, 1000, 10]);
    socket.setKeepAlive(true, 4999, 2500, 3);
    expect(told['keepAlive']).toEqual([4000, 2000, 3]);
    socket.setKeepAlive({ enable: true, initialDelay: 6000 });
    expect(told['keepAlive']).toEqual([6000, 1000, 10]);
    // Without one everything is as the stack has it.
    socket.setKeepAlive(true);
    expect(told['keepAlive']).toEqual([0, 0, 0]);
    socket.setKeepAlive(false);
    expect(told['keepAlive']).toBe(false);
    socket.destroy();
  });

  test('the type of service is told without the bits of ECN, before the connection and after', async () => {
    const { socket, told } = await connected({ typeOfService: 0x2b });
    expect(told['trafficClass']).toBe(0x28);
    socket.setTypeOfService(0xb8);
    expect(told['trafficClass']).toBe(0xb8);
    socket.destroy();
  });
});

describe('a stack that is closed', () => {
  test('closes its sockets without an error, whatever listens on them', async () => {
    const one = stack();
    const { client, server } = await pair(one);
    const log: unknown[] = [];
    watch(log, client, ['error', 'end', 'close']);
    server.pipe(new PassThrough());
    client.pipe(new PassThrough());
    await one.close();
    await Promise.all([closed(client), server.closed ? null : closed(server)]);
    expect(log).toEqual([['close', false]]);
    expect(server.errored).toBe(null);
  });

  test('ends what is to be read to its end with a premature close, not as if it were whole', async () => {
    const one = stack();
    const { client } = await pair(one);
    const reading = (async () => {
      for await (const _chunk of client);
    })();
    const piping = pipeline(client, new PassThrough());
    await one.close();
    await expect(reading).rejects.toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
    await expect(piping).rejects.toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
  });

  test('closes a socket that waits to write, or to be connected', async () => {
    const one = stack();
    const { client, server } = await pair(one);
    server.pause();
    const log: unknown[] = [];
    watch(log, client, ['error', 'close']);
    client.write(Buffer.alloc(32 << 20), (error) => log.push(['written', seen(error)]));
    await one.close();
    await closed(client);
    expect(log.filter(([event]: Any) => event !== 'written')).toEqual([['close', false]]);
  });

  test('closes its servers and UDP sockets', async () => {
    const one = stack();
    const server = one.net.createServer().listen(0);
    const udp = one.dgram.createSocket('udp4').bind(0);
    await Promise.all([once(server, 'listening'), once(udp, 'listening')]);
    const gone = Promise.all([once(server, 'close'), once(udp, 'close')]);
    await one.close();
    await gone;
    expect(server.listening).toBe(false);
  });
});

describe('several addresses', () => {
  const both = (_name: string, _options: unknown, callback: Any): void =>
    callback(null, [
      { address: '10.0.0.9', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ]);

  test('an address that does not answer is given up after its time, and its late answer is not heard', async () => {
    const transports = new FakeTransports();
    const own = createNet(transports);
    const server = own.createServer((socket) => socket.end('here')).listen(80);
    await once(server, 'listening');
    transports.muteAddress = '10.0.0.9';
    const log: unknown[] = [];
    const socket = own.connect({
      host: 'name',
      port: 80,
      lookup: both,
      autoSelectFamilyAttemptTimeout: 20,
    } as never);
    watch(log, socket, [
      'connectionAttempt',
      'connectionAttemptTimeout',
      'connectionAttemptFailed',
      'connect',
      'close',
    ]);
    const [data] = await once(socket, 'data');
    expect(String(data)).toBe('here');
    await closed(socket);
    expect(log).toEqual([
      // The lookup answered at once: nobody could have listened for the first attempt yet.
      ['connectionAttemptTimeout', '10.0.0.9', 80, 4],
      ['connectionAttempt', '127.0.0.1', 80, 4],
      ['connect'],
      ['close', false],
    ]);
    expect(socket.autoSelectFamilyAttemptedAddresses).toEqual(['10.0.0.9:80', '127.0.0.1:80']);
    server.close();
  });

  test('an end before the second attempt is kept', async () => {
    const transports = new FakeTransports();
    const own = createNet(transports);
    let got = '';
    const server = own.createServer((socket) => {
      socket.on('data', (data) => {
        got += data;
      });
    });
    server.listen(80);
    const first = (_name: string, _options: unknown, callback: Any): void =>
      callback(null, [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ]);
    const socket = own.connect({ host: 'name', port: 80, lookup: first } as never);
    socket.end('all there is');
    socket.resume();
    await closed(socket);
    expect(got).toBe('all there is');
    server.close();
  });
});

describe('block lists', () => {
  const blocked = new net.BlockList();
  blocked.addSubnet('10.0.0.0', 8);
  blocked.addAddress('::1', 'ipv6');

  test('a blocked address is not connected to', async () => {
    const own = createNet(new FakeTransports());
    const socket = own.connect({ host: '10.1.2.3', port: 80, blockList: blocked } as never);
    const [error] = await once(socket, 'error');
    expect(seen(error)).toMatchObject({ code: 'ERR_IP_BLOCKED', message: 'IP(10.1.2.3) is blocked by net.BlockList' });
  });

  test('of several addresses the others are tried', async () => {
    const own = createNet(new FakeTransports());
    const server = own.createServer((socket) => socket.end('here')).listen(80);
    const lookup = (_name: string, _options: unknown, callback: Any): void =>
      callback(null, [
        { address: '10.1.2.3', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ]);
    const socket = own.connect({ host: 'name', port: 80, lookup, blockList: blocked } as never);
    expect(String((await once(socket, 'data'))[0])).toBe('here');
    server.close();
  });

  test('a server does not serve a blocked address, and does not tell of it', async () => {
    const transports = new FakeTransports('10.5.5.5');
    const own = createNet(transports);
    const told: string[] = [];
    const server = own.createServer({ blockList: blocked }, () => told.push('connection')).listen(80);
    server.on('drop', () => told.push('drop'));
    const socket = own.connect(80, '127.0.0.1');
    socket.resume();
    await closed(socket);
    expect(told).toEqual([]);
    server.close();
  });

  test('what is no list is a wrong argument', () => {
    const own = createNet(new FakeTransports());
    expect(() => new own.Socket({ blockList: 'x' as never })).toThrow(/options\.blockList/);
    expect(() => own.createServer({ blockList: 5 as never })).toThrow(/options\.blockList/);
  });
});

describe('descriptors and pipes', () => {
  test('are wrong arguments that say why', () => {
    const own = createNet(new FakeTransports());
    expect(() => new own.Socket({ fd: 5 })).toThrow(/descriptor/);
    expect(() => own.connect('/tmp/a.sock')).toThrow(/pipe/);
    expect(() => own.createServer().listen('/tmp/a.sock')).toThrow(/pipe/);
  });

  test('a function that calls the class on itself is told how to extend it', () => {
    const own = createNet(new FakeTransports());
    const Old = function (this: object) {
      (own.Socket as Any).call(this);
    } as unknown as new () => object;
    Object.setPrototypeOf(Old.prototype, own.Socket.prototype);
    expect(() => new Old()).toThrow(/extends Socket/);
  });
});
