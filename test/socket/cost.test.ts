/** What a socket may cost: of these, what is not a matter of time. */

import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import { expect, test } from 'vitest';
import { createNet } from '../../src/socket/net.ts';
import { FakeTransports } from './fake-transports.ts';

/** Whether the engine has given both the same hidden class. */
function shareHiddenClass(a: object, b: object): boolean {
  setFlagsFromString('--allow-natives-syntax');
  return (runInThisContext('(a, b) => %HaveSameMap(a, b)') as (a: object, b: object) => boolean)(a, b);
}

const net = createNet(new FakeTransports());

test('sockets and servers share a hidden class each, so that code which uses them can be fast', () => {
  expect(shareHiddenClass(new net.Socket(), new net.Socket())).toBe(true);
  expect(shareHiddenClass(net.Socket(), new net.Socket())).toBe(true);
  expect(shareHiddenClass(net.createServer(), net.createServer())).toBe(true);
});

test('so do those of a class made of them', () => {
  class Own extends net.Socket {}
  expect(shareHiddenClass(new Own(), new Own())).toBe(true);
  expect(new Own()).toBeInstanceOf(net.Socket);
  expect(shareHiddenClass(new Own(), new net.Socket())).toBe(false);
});
