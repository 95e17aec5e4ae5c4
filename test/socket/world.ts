/** The worlds in which one behaviour suite runs: node:net over loopback, and ours over whatever transports. */

import * as dgram from 'node:dgram';
import * as net from 'node:net';
import { createNet, type StackNet } from '../../src/socket/net.ts';
import { FakeTransports } from './fake-transports.ts';
import { oneStack, twoStacks } from './two-stacks.ts';

export type NetModule = Pick<
  typeof net,
  'createServer' | 'connect' | 'createConnection' | 'Socket' | 'Server' | 'isIP' | 'isIPv4' | 'isIPv6'
>;

/** Where a test's server listens and its client connects. */
export interface World {
  readonly name: string;
  readonly server: NetModule;
  readonly client: NetModule;
  readonly serverUdp: Pick<typeof dgram, 'createSocket'>;
  readonly clientUdp: Pick<typeof dgram, 'createSocket'>;
  /** Address of the server's host as the client reaches it, and the client's own. */
  readonly host: string;
  readonly clientHost: string;
  close(): Promise<void> | void;
}

export function nodeWorld(): World {
  return {
    name: 'node:net over loopback',
    server: net,
    client: net,
    serverUdp: dgram,
    clientUdp: dgram,
    host: '127.0.0.1',
    clientHost: '127.0.0.1',
    close: () => {},
  };
}

/** Ours is used as if it were Node's: that is what is tested. */
export function asNode(ours: StackNet): NetModule {
  return ours as unknown as NetModule;
}

export function fakeWorld(): World {
  return worldOn('ours over transports in memory', createNet(new FakeTransports()), () => {});
}

/** One stack, through its own loopback interface. */
export function loopbackWorld(): World {
  const { end, close } = oneStack();
  return worldOn('ours through a stack’s loopback', end.net, close);
}

/** Two stacks, with everything in between. */
export function linkWorld(): World {
  const both = twoStacks();
  return {
    ...worldOn('ours over two stacks on a wire', both.server.net, both.close),
    client: asNode(both.client.net),
    clientUdp: asNodeUdp(both.client.net),
    host: both.serverAddress,
    clientHost: both.clientAddress,
  };
}

function worldOn(name: string, ours: StackNet, close: () => Promise<void> | void): World {
  return {
    name,
    server: asNode(ours),
    client: asNode(ours),
    serverUdp: asNodeUdp(ours),
    clientUdp: asNodeUdp(ours),
    host: '127.0.0.1',
    clientHost: '127.0.0.1',
    close,
  };
}

function asNodeUdp(ours: StackNet): Pick<typeof dgram, 'createSocket'> {
  return ours.dgram as unknown as Pick<typeof dgram, 'createSocket'>;
}

/** Addresses differ from world to world; what is said of them does not. */
export function withoutHosts(value: unknown, world: World): unknown {
  if (typeof value === 'string') return value.replaceAll(world.host, 'HOST').replaceAll(world.clientHost, 'HOST');
  if (Array.isArray(value)) return value.map((item) => withoutHosts(item, world));
  if (typeof value !== 'object' || value === null || value instanceof Set) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutHosts(item, world)]));
}

/** Worlds in which ours is to be as Node's. */
export const OUR_WORLDS: readonly (readonly [name: string, make: () => World])[] = [
  ['ours over transports in memory', fakeWorld],
  ['ours through a stack’s loopback', loopbackWorld],
  ['ours over two stacks on a wire', linkWorld],
];
