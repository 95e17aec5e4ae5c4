/** What is asked about a network interface by its name, by ioctl: netdevice(7). */

import { DeviceError, errnoName, libc } from './libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SIOCGIFMTU = 0x8921;
export const SIOCGIFHWADDR = 0x8927;
/** Where the answer stands in a struct ifreq: behind the name. */
export const ANSWER_AT = 16;

/** The struct ifreq that `request` fills, of any socket. Throws {@link DeviceError}. */
export function interfaceRequest(fd: number, request: number, name: string): DataView<ArrayBuffer> {
  const c = libc();
  // More than 64 bytes, so that V8 does not move them.
  const bytes = new Uint8Array(128);
  for (let i = 0; i < name.length && i < ANSWER_AT - 1; i++) bytes[i] = name.charCodeAt(i);
  if (c.ioctl(fd, request, c.addressOf(bytes)) < 0) throw new DeviceError(errnoName(c.errno()), 'ioctl', name);
  return new DataView(bytes.buffer);
}

/** MTU of an interface, bytes; anybody may ask. Throws {@link DeviceError}. */
export function interfaceMtu(name: string): number {
  const c = libc();
  const fd = c.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new DeviceError(errnoName(c.errno()), 'socket', `the MTU of ${name}`);
  try {
    return interfaceRequest(fd, SIOCGIFMTU, name).getInt32(ANSWER_AT, true);
  } finally {
    c.close(fd);
  }
}
