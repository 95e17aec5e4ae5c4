/** Options of a stack: each wrong one is told by its name, with what was expected and what was given, before anything is begun. */
import { expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { explore } from '../../src/conformance/index.ts';
import { memoryLinkPair } from '../../src/link/memory.ts';
import { createStack } from '../../src/stack.ts';
import { StackOptionError } from '../../src/stack-options.ts';

const runtime = new VirtualRuntime(1);

/** As a program without types gives it. */
function made(more: unknown, ofLink: unknown = {}): unknown {
  const link = memoryLinkPair({ runtime }).a;
  return createStack({
    runtime,
    links: [{ link, addresses: ['10.0.0.1/24'], ...(ofLink as object) }],
    ...(more as object),
  } as never);
}

class NoFunction {}

const TARGET = 'a function that makes a miniport driver';

test.each<readonly [string, Record<string, unknown>, Record<string, unknown>?]>([
  ["targets: expected 'engine', 'plain', { kind, ...options } or a function", { targets: null }],
  [
    'targets: expected a function, such as (environment) => new MyTarget(environment), got a class',
    { targets: NoFunction },
  ],
  [`links[0].target: expected ${TARGET}, got null`, { targets: () => null }],
  [`links[0].target: expected ${TARGET}, got an object with no members`, {}, { target: () => ({}) }],
  [
    'links[0].target.capacity.tcp: expected one of tcpEntries',
    {},
    { target: { kind: 'engine', capacity: { tcp: 1 } } },
  ],
  [
    'links[0].target.receiveQueues: expected an integer from 1 to 64, got 0',
    {},
    { target: { kind: 'engine', receiveQueues: 0 } },
  ],
  ['targets.capcity: expected one of macAddress', { targets: { kind: 'engine', capcity: {} } }],
  [
    'links[0].intermediates[0]: expected a function that makes an intermediate driver, got 5',
    {},
    { intermediates: [() => 5] },
  ],
  ['runtime: expected a runtime such as new SystemRuntime(), got an object with no members', { runtime: {} }],
  ['runtime: expected a runtime such as new SystemRuntime(), got 5', { runtime: 5 }],
  ["offloadsAgain: expected true or false, got 'yes'", { offloadsAgain: 'yes' }],
  ['grantsOptionalUploads: expected true or false, got 1', { grantsOptionalUploads: 1 }],
  ['offloadParameters: expected an object, got 5', { offloadParameters: 5 }],
  ['offloadParameters.ticks: expected one of header', { offloadParameters: { ticks: 10 } }],
  ['tcp.parameters.minRto: expected one of role', { tcp: { parameters: { minRto: 1 } } }],
  ["tcp.parameters.rack: expected a boolean, got 'no'", { tcp: { parameters: { rack: 'no' } } }],
  ['tcp.limits.connections: expected an integer from 0 on, got -1', { tcp: { limits: { connections: -1 } } }],
  ['tcp.pushUs: expected microseconds from 0 on, got -1', { tcp: { pushUs: -1 } }],
  [
    'tcp.ephemeralPorts: expected { first, last }, ports from 1 to 65535, got an object with first, last',
    { tcp: { ephemeralPorts: { first: 9, last: 8 } } },
  ],
])('createStack: %s', (message, more, ofLink) => {
  let said: unknown = null;
  try {
    made(more, ofLink);
  } catch (error) {
    said = error;
  }
  expect(said).toBeInstanceOf(StackOptionError);
  expect((said as StackOptionError).message).toContain(`createStack: ${message}`);
  expect((said as StackOptionError).code).toBe('ERR_INVALID_ARG_VALUE');
});

test('ports and other numbers at their bounds are right', () => {
  made({
    tcp: { ephemeralPorts: { first: 1, last: 65_535 }, pushUs: 0, limits: { connections: 0 } },
    targets: undefined,
  });
});

test.each([
  ['explore: subject: expected an object', undefined, {}],
  ['explore: subject.target: expected a function, got undefined', {}, {}],
  ['explore: subject.target: expected a function, got 5', { target: 5 }, {}],
  ['explore: seed: expected an integer from 0 on, got undefined', { target: () => null }, {}],
  [
    'explore: interleavings: expected an integer from 1 on, got 0',
    { target: () => null },
    { seed: 1, interleavings: 0 },
  ],
  ['explore: interleaving: expected one of', { target: () => null }, { seed: 1, interleaving: 5 }],
])('%s', (message, subject, options) => {
  expect(() => explore(subject as never, options as never)).toThrow(message);
});
