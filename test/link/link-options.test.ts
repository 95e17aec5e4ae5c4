/** Options of links, of captures and of faulty drivers: a wrong one is told by its name, and none is ignored. */

import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { faulty } from '../../src/faulty.ts';
import { MessagePortLink, WebSocketLink } from '../../src/link/browser/index.ts';
import { memoryLinkPair } from '../../src/link/memory.ts';
import { memorySwitch } from '../../src/link/memory-switch.ts';
import { socketLink } from '../../src/link/node/index.ts';
import { PcapngWriter } from '../../src/link/pcapng.ts';
import { StreamLink } from '../../src/link/stream.ts';
import { SystemRuntime } from '../../src/runtime.ts';
import { createStack } from '../../src/stack.ts';

const runtime = new VirtualRuntime();
const port = new MessageChannel().port1;
const ignore = (): void => {};

describe('a wrong option of', () => {
  test.each<[made: string, make: (options: never) => unknown, options: unknown, sentence: string]>([
    [
      'memoryLinkPair',
      memoryLinkPair,
      undefined,
      'options: expected an object (runtime, medium, mtu, trace, ...), got undefined',
    ],
    [
      'memoryLinkPair',
      memoryLinkPair,
      {},
      "runtime: expected a runtime (the stack's own: new SystemRuntime()), got undefined",
    ],
    ['memoryLinkPair', memoryLinkPair, { runtime, impairments: {} }, 'impairments: expected one of runtime,'],
    [
      'memoryLinkPair',
      memoryLinkPair,
      { runtime, names: ['a'] },
      'names: expected an array of two names, got an array of 1',
    ],
    [
      'memoryLinkPair',
      memoryLinkPair,
      { runtime, medium: 'wifi' },
      "medium: expected one of 'ethernet', 'ip', got 'wifi'",
    ],
    ['impairment', memoryLinkPair, { runtime, impairment: { delayMs: 5 } }, 'delayMs: expected one of loss,'],
    ['impairment', memoryLinkPair, { runtime, impairment: [{}, { losses: 1 }] }, 'losses: expected one of loss,'],
    ['memorySwitch', memorySwitch, { runtime }, 'ports: expected an array of the names of the ports, got undefined'],
    ['memorySwitch', memorySwitch, { runtime, ports: 3 }, 'ports: expected an array of the names of the ports, got 3'],
    ['memorySwitch', memorySwitch, { runtime, ports: ['a'], names: [] }, 'names: expected one of runtime,'],
    [
      'StreamLink',
      (options) => new StreamLink(options),
      { runtime },
      'carrier: expected an object with write and end, got undefined',
    ],
    ['PcapngWriter', (options) => new PcapngWriter(options), {}, 'write: expected a function, got undefined'],
    [
      'PcapngWriter',
      (options) => new PcapngWriter(options),
      { write: ignore, limit: 5 },
      'limit: expected one of write,',
    ],
    [
      'MessagePortLink',
      (options) => new MessagePortLink(options),
      { runtime },
      'port: expected a MessagePort, got undefined',
    ],
    ['MessagePortLink', (options) => new MessagePortLink(options), { port }, 'runtime: expected a runtime'],
    [
      'WebSocketLink',
      (options) => new WebSocketLink(options),
      { runtime, socket: {} },
      'socket: expected a WebSocket, got',
    ],
    [
      'socketLink',
      (options) => socketLink(options, { runtime }),
      {},
      'socket: expected a connected socket, got an object with no members',
    ],
    ['faulty', faulty, 'a rule', "options: expected an object (breaks, ...), got 'a rule'"],
  ])('%s is an error that names it (%#)', (made, make, options, sentence) => {
    const say = (): unknown => make(options as never);
    expect(say).toThrow(`${made}: ${sentence}`);
    expect(say).toThrow(expect.objectContaining({ name: 'OptionError', code: 'ERR_INVALID_ARG_VALUE' }));
  });
});

test('one end of a wire is the link of one stack, and another is told so', async () => {
  const runtime = new SystemRuntime();
  const { a } = memoryLinkPair({ runtime });
  const stack = createStack({ runtime, links: [{ link: a, addresses: ['10.0.0.1/24'] }] });
  expect(() => createStack({ runtime, links: [{ link: a, addresses: [] }] })).toThrow(
    'a link is started once: no two stacks have the same',
  );
  await stack.close();
  runtime.close();
});
