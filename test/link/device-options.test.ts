/** Options of devices and of their threads: each wrong one is told before anything is opened; addresses are told as text, too. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { memoryLinkPair } from '../../src/link/memory.ts';
import { readPrefix } from '../../src/link/node/device-options.ts';
import { DeviceLink, openPacket, openPair, openTun, startDeviceThread } from '../../src/link/node/index.ts';
import { SystemRuntime } from '../../src/runtime.ts';
import { spreadTarget, workerTarget } from '../../src/target/worker/index.ts';
import { describeIf, requires } from '../support/requires.ts';

/** As a program without types gives it. */
const any = (value: unknown): never => value as never;
const address = Uint8Array.of(10, 1, 0, 1);
const device = {
  kind: 'pair',
  fd: -1,
  name: 'none',
  medium: 'ip',
  mtu: 1500,
  macAddress: null,
  hasHeader: false,
  largeSendBytes: 0,
  checksums: false,
  segments: false,
  datagrams: false,
  bulk: false,
  index: 0,
} as const;
const wire = memoryLinkPair({ runtime: new SystemRuntime() }).a;

const WRONG: readonly (readonly [string, () => unknown])[] = [
  ["openTun: kind: expected one of 'tun', 'tap', got 'tin'", () => openTun(any({ kind: 'tin' }))],
  ['openTun: name: expected 1 to 15 characters without space or slash, got 5', () => openTun(any({ name: 5 }))],
  ['openTun: mtu: expected an integer from 576 to 65535, got 68', () => openTun({ mtu: 68 })],
  ['openTun: mtu: expected 65521 at most for a TAP device, got 65535', () => openTun({ kind: 'tap', mtu: 65_535 })],
  [
    'openTun: mtu: expected 1280 at least with an IPv6 address, got 576',
    () => openTun({ mtu: 576, addresses: ['fd00::1/64'] }),
  ],
  ["openTun: offload: expected one of 'all', 'checksum', 'none', got 'some'", () => openTun(any({ offload: 'some' }))],
  [
    "openTun: addresses: expected an array like ['10.1.0.1/24'], got '10.1.0.1/24'",
    () => openTun(any({ addresses: '10.1.0.1/24' })),
  ],
  [
    "openTun: addresses[1]: expected '10.1.0.1/24', or 4 or 16 bytes with a prefixLength, got '10.1.0.1'",
    () => openTun({ addresses: ['10.1.0.1/24', '10.1.0.1'] }),
  ],
  ['openTun: addresses[0]: expected', () => openTun({ addresses: [{ address, prefixLength: 33 }] })],
  ['openTun: addresses[0]: expected', () => openTun({ addresses: [any({ address: '10.1.0.1', prefixLength: 24 })] })],
  ['openTun: routes[0]: expected', () => openTun({ routes: [any({ prefix: address })] })],
  ['openTun: txQueueLength: expected an integer from 0 to 2147483647, got -1', () => openTun({ txQueueLength: -1 })],
  ['openTun: adresses: expected one of kind, name, mtu, addresses', () => openTun(any({ adresses: [] }))],
  ['openTun: queues: expected an integer from 1 to 256, got 0', () => openTun({}, 0)],
  ['openPacket: options: expected an object (name, offload', () => openPacket(any(undefined))],
  ['openPacket: name: expected 1 to 15 characters without space or slash, got undefined', () => openPacket(any({}))],
  [
    "openPacket: receiveBufferBytes: expected an integer from 1 to 1073741824, got '8M'",
    () => openPacket(any({ name: 'lo', receiveBufferBytes: '8M' })),
  ],
  ["openPair: medium: expected one of 'ethernet', 'ip', got 'wire'", () => openPair(any({ medium: 'wire' }))],
  ['openPair: names: expected two names, got an array of 1', () => openPair(any({ names: ['a'] }))],
  ['DeviceLink: description: expected a device', () => new DeviceLink(any({ fd: 3 }))],
  [
    'workerTarget: device: expected a device, as openTun, openPacket and openPair answer them, got undefined',
    () => workerTarget(any(undefined)),
  ],
  ['(one of the array), got an array of 1', () => workerTarget(any([device]))],
  ['workerTarget: device: expected a device', () => workerTarget(any(wire))],
  ['workerTarget: spinUs: expected a number from 0 on, got -1', () => workerTarget(device, { spinUs: -1 })],
  ['workerTarget: restart: expected an integer from 0 on, got 1.5', () => workerTarget(device, { restart: 1.5 })],
  [
    'workerTarget: sizes.upBytes: expected a power of two from 4096 to 2^30, got 5000',
    () => workerTarget(device, { sizes: { upBytes: 5000 } }),
  ],
  [
    'workerTarget: sizes.up: expected one of upBytes, downBytes',
    () => workerTarget(device, { sizes: any({ up: 4096 }) }),
  ],
  [
    'workerTarget: capacity.tcpEntries: expected an integer from 0 on, got -1',
    () => workerTarget(device, { capacity: { tcpEntries: -1 } }),
  ],
  ['workerTarget: discretion.quiet: expected one of', () => workerTarget(device, { discretion: any({ quiet: 1 }) })],
  ['workerTarget: tcp.rtoMin: expected one of', () => workerTarget(device, { tcp: any({ rtoMin: 1 }) })],
  ['workerTarget: onDeath: expected a function, got 5', () => workerTarget(device, any({ onDeath: 5 }))],
  [
    'workerTarget: receiveQueues: expected no such option of a NIC thread, got 2',
    () => workerTarget(device, any({ receiveQueues: 2 })),
  ],
  ['workerTarget: restarts: expected one of', () => workerTarget(device, any({ restarts: 3 }))],
  ['spreadTarget: queues: expected an array of the queues of a device', () => spreadTarget([])],
  ['spreadTarget: queues: expected an array of the queues of a device', () => spreadTarget(any(device))],
  ['spreadTarget: queues[1]: expected a device', () => spreadTarget([device, any(null)])],
];

test.each(WRONG)('%s', (message, act) => {
  let said = '';
  try {
    act();
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ERR_INVALID_ARG_VALUE');
    said = (error as Error).message;
  }
  expect(said).toContain(message);
});

test.each([
  [
    undefined,
    { devices: [] },
    'startDeviceThread: application: expected a file URL or an absolute path, got undefined',
  ],
  ['/x.js', undefined, 'startDeviceThread: options: expected an object'],
  ['/x.js', {}, 'startDeviceThread: devices: expected an array'],
  ['/x.js', { devices: [5] }, 'startDeviceThread: devices[0]: expected a device'],
])('startDeviceThread(%o, %o) rejects', async (application, options, message) => {
  await expect(startDeviceThread(any(application), any(options))).rejects.toThrow(message);
});

const zeros = (count: number): number[] => new Array<number>(count).fill(0);

test.each([
  ['10.1.0.2/24', [10, 1, 0, 2], 24],
  ['0.0.0.0/0', [0, 0, 0, 0], 0],
  ['::/0', zeros(16), 0],
  ['fd00::1/64', [0xfd, ...zeros(14), 1], 64],
  ['fe80::1:2/128', [0xfe, 0x80, ...zeros(11), 1, 0, 2], 128],
  ['1:2:3:4:5:6:7:8/16', [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8], 16],
  ['::ffff:10.1.0.2/96', [...zeros(10), 255, 255, 10, 1, 0, 2], 96],
] as const)('the address %s', (text, bytes, prefixLength) => {
  const read = readPrefix('x', text);
  expect([[...read.address], read.prefixLength]).toEqual([[...bytes], prefixLength]);
});

test.each(['10.1.0.2', '10.1.0.2/33', '10.1.0/24', 'fd00::1/129', 'fe80::1%lo/64', '10.1.0.2/24/1', '10.1.0.2/-1', ''])(
  'no address with a prefix: %o',
  (text) => {
    expect(() => readPrefix('x', text)).toThrow(`openTun: x: expected '10.1.0.1/24', or 4 or 16 bytes`);
  },
);

describeIf(requires.tun, 'devices that cannot be had', () => {
  test('say why, and leave nothing open', async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    const before = open();
    expect(() => openTun({ name: 'lo' })).toThrow('an interface of that name is no such device');
    expect(() => openPacket({ name: 'none0' })).toThrow("there is no interface 'none0'");
    const [one] = openTun({
      name: `cho${process.pid % 100_000}`,
      addresses: ['10.202.10.1/24', 'fd00:c45::1/64'],
      routes: ['10.202.11.0/24'],
    });
    const { name } = one!;
    expect(() => openTun({ name })).toThrow('somebody else has this device open');
    expect(() => openPacket({ name })).toThrow(`the interface '${name}' carries no Ethernet frames`);
    await new DeviceLink(one!).close();
    expect(open()).toBe(before);
  });
});
