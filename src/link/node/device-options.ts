/**
 * What the options of devices are to be, and addresses as their users write them.
 *
 * Promises: see options.ts; nothing was asked of the system before the options are right.
 */

import { isIPv4, isIPv6 } from 'node:net';
import {
  ANY,
  BOOLEAN,
  checkOptions,
  type Expectation,
  type Expectations,
  expectation,
  integer,
  isObject,
  OptionError,
  oneOf,
} from '../../base/options.ts';
import type { DeviceDescription } from './device.ts';

/** Bytes of IP packet that a device may carry. */
export const MTU: Expectation = integer(576, 65_535);
/** As the kernel has it: IFNAMSIZ, dev_valid_name. */
export const INTERFACE_NAME: Expectation = expectation(
  '1 to 15 characters without space or slash',
  (value) => typeof value === 'string' && /^[^\s/]{1,15}$/.test(value),
);
/** Of a socket: SO_RCVBUF, SO_SNDBUF. */
export const BUFFER_BYTES: Expectation = integer(1, 2 ** 30);

/** An address and the length of its prefix: '10.1.0.1/24', or its bytes. */
export type DevicePrefix = string | { readonly address: Uint8Array; readonly prefixLength: number };
/** What is reached: '10.2.0.0/16', or its bytes. */
export type DeviceRoute = string | { readonly prefix: Uint8Array; readonly prefixLength: number };

const TUN: Expectations = {
  kind: oneOf('tun', 'tap'),
  name: INTERFACE_NAME,
  mtu: MTU,
  addresses: expectation("an array like ['10.1.0.1/24']", Array.isArray),
  routes: expectation("an array like ['10.2.0.0/16']", Array.isArray),
  txQueueLength: integer(0, 2 ** 31 - 1),
  offload: oneOf('all', 'checksum', 'none'),
  bulk: BOOLEAN,
  kernelThread: BOOLEAN,
};

const PACKET: Expectations = {
  name: INTERFACE_NAME,
  offload: oneOf('all', 'checksum', 'none'),
  receiveBufferBytes: BUFFER_BYTES,
  sendBufferBytes: BUFFER_BYTES,
  bulk: BOOLEAN,
};

const PAIR: Expectations = {
  names: expectation(
    'two names',
    (value) => Array.isArray(value) && value.length === 2 && value.every((name) => typeof name === 'string'),
  ),
  medium: oneOf('ethernet', 'ip'),
  mtu: MTU,
  offload: oneOf('all', 'none'),
  bufferBytes: BUFFER_BYTES,
  bulk: BOOLEAN,
};

const THREAD: Expectations = {
  devices: expectation('an array of what openTun, openPacket or openPair answer', Array.isArray),
  data: ANY,
  transferList: expectation('an array', Array.isArray),
};

export function checkTunOptions(options: unknown, queues: unknown): void {
  checkOptions('openTun', options, TUN);
  const expected = integer(1, 256);
  if (!expected.holds(queues)) throw new OptionError('openTun', 'queues', expected.words, queues);
}

export function checkPacketOptions(options: unknown): void {
  checkOptions('openPacket', options, PACKET);
  const { name } = options as { name?: unknown };
  if (name === undefined) throw new OptionError('openPacket', 'name', INTERFACE_NAME.words, name);
}

export function checkPairOptions(options: unknown): void {
  checkOptions('openPair', options, PAIR);
}

export function checkThreadOptions(application: unknown, options: unknown): void {
  const where = 'startDeviceThread';
  if (typeof application !== 'string' && !(application instanceof URL)) {
    throw new OptionError(where, 'application', 'a file URL or an absolute path', application);
  }
  checkOptions(where, options, THREAD);
  const { devices } = options as { devices?: unknown };
  if (devices === undefined) throw new OptionError(where, 'devices', THREAD['devices']!.words, devices);
  (devices as unknown[]).forEach((device, i) => {
    checkDevice(where, `devices[${i}]`, device);
  });
}

/** Throws unless it is a description of a device. */
export function checkDevice(where: string, option: string, device: unknown): asserts device is DeviceDescription {
  const isRight =
    isObject(device) &&
    Number.isInteger(device['fd']) &&
    typeof device['name'] === 'string' &&
    (device['medium'] === 'ip' || device['medium'] === 'ethernet') &&
    Number.isInteger(device['mtu']);
  if (isRight) return;
  const isList = Array.isArray(device) && device.length > 0;
  const expected = 'a device, as openTun, openPacket and openPair answer them';
  throw new OptionError(where, option, isList ? `${expected} (one of the array)` : expected, device);
}

/** Bytes and prefix length of `value`, as an option. */
export function readPrefix(option: string, value: unknown): { address: Uint8Array; prefixLength: number } {
  const given = isObject(value) ? readBytes(value) : typeof value === 'string' ? readText(value) : null;
  if (given === null) {
    throw new OptionError('openTun', option, "'10.1.0.1/24', or 4 or 16 bytes with a prefixLength", value);
  }
  return given;
}

function readBytes(value: Record<string, unknown>): { address: Uint8Array; prefixLength: number } | null {
  const address = value['address'] ?? value['prefix'];
  const { prefixLength } = value;
  if (!(address instanceof Uint8Array) || (address.length !== 4 && address.length !== 16)) return null;
  if (!integer(0, 8 * address.length).holds(prefixLength)) return null;
  return { address, prefixLength: prefixLength as number };
}

function readText(text: string): { address: Uint8Array; prefixLength: number } | null {
  const [host = '', bits = '', ...more] = text.split('/');
  if (more.length > 0 || !/^\d{1,3}$/.test(bits)) return null;
  const address = isIPv4(host) ? Uint8Array.from(host.split('.'), Number) : isIPv6(host) ? bytesOfIpv6(host) : null;
  if (address === null || Number(bits) > 8 * address.length) return null;
  return { address, prefixLength: Number(bits) };
}

/** RFC 4291 2.2, of a text that is one. A zone cannot be said here. */
function bytesOfIpv6(text: string): Uint8Array | null {
  if (text.includes('%')) return null;
  const [before = '', after] = text.split('::');
  const head = wordsOf(before);
  const tail = after === undefined ? [] : wordsOf(after);
  const words = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

/** Words between colons; the last two may be an IPv4 address. */
function wordsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((word) => {
    if (!word.includes('.')) return [Number.parseInt(word, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = word.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
