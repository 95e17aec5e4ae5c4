/** The members of node:net and node:dgram, as this Node has them, against ours: what is missing stands in docs/node-net.md. */

import dgram from 'node:dgram';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { describe, expect, test } from 'vitest';
import { createNet } from '../../src/socket/net.ts';
import { FakeTransports } from './fake-transports.ts';

const ours = createNet(new FakeTransports());
const whole = readFileSync(new URL('../../docs/node-net.md', import.meta.url), 'utf8');
const page = whole.slice(whole.indexOf('## What is left out'));

/** The members that the page lists as left out, 'socket._handle', with the version of Node that has them last, if that is said. */
const leftOut = new Map(
  [...page.matchAll(/^\| `((?:net|socket|server|dgram|udp)\.\w+)` \|([^|]*)\|/gm)].map((match) => [
    match[1]!,
    Number(/up to Node (\d+)/.exec(match[2]!)?.[1] ?? Number.POSITIVE_INFINITY),
  ]),
);
/** And those that only a newer Node has. */
const tooNew = new Set(
  [...page.matchAll(/^\| `(\w+\.\w+)` \|[^|]*since Node (\d+) \|/gm)]
    .filter((match) => !isNewerThan(Number(match[2]) - 1))
    .map((match) => match[1]!),
);

function isNewerThan(version: number): boolean {
  return Number.parseInt(process.versions.node, 10) > version;
}

const nodeUdp = dgram.createSocket('udp4');
const pairs: readonly (readonly [name: string, theirs: readonly object[], ours: object])[] = [
  ['net', [net], ours],
  ['socket', [net.Socket.prototype, new net.Socket()], new ours.Socket()],
  ['server', [net.Server.prototype, new net.Server()], new ours.Server()],
  ['dgram', [dgram], ours.dgram],
  ['udp', [dgram.Socket.prototype, nodeUdp], ours.dgram.createSocket('udp4')],
];
nodeUdp.close();

function namesOf(things: readonly object[]): Set<string> {
  return new Set(things.flatMap((thing) => Object.getOwnPropertyNames(thing)));
}

describe('members of node:net and node:dgram', () => {
  test.each(pairs)('%s: each is here, or listed with a reason', (name, theirs, mine) => {
    const missing = [...namesOf(theirs)].filter((member) => !(member in mine)).map((member) => `${name}.${member}`);
    expect(missing.filter((member) => !leftOut.has(member))).toEqual([]);
  });

  test('nothing is listed as left out that is here, or that Node has not', () => {
    const stale = [...leftOut.keys()].filter((listed) => {
      const [name, member] = listed.split('.') as [string, string];
      const [, theirs, mine] = pairs.find(([of]) => of === name)!;
      return (
        member in mine || (!namesOf(theirs).has(member) && !tooNew.has(listed) && !isNewerThan(leftOut.get(listed)!))
      );
    });
    expect(stale).toEqual([]);
  });

  test('functions take as many arguments as they are documented to, as getters are read-only where Node’s are', () => {
    for (const name of ['listening', 'readyState', 'pending', 'bufferSize', 'bytesRead', 'remoteAddress'] as const) {
      const mine = name === 'listening' ? new ours.Server() : new ours.Socket();
      const theirs = name === 'listening' ? new net.Server() : new net.Socket();
      const set = (thing: object): boolean => Reflect.set(thing, name, 'x');
      expect([name, set(mine)]).toEqual([name, set(theirs)]);
    }
  });

  test('what is about addresses is Node’s own', () => {
    expect(ours.BlockList).toBe(net.BlockList);
    expect(ours.SocketAddress).toBe(net.SocketAddress);
  });
});
