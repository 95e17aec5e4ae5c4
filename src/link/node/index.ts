/**
 * Links to real devices: TUN and TAP, AF_PACKET, socket pairs. The only part of the package that calls the operating system.
 */

export type { DeviceDescription } from './device.ts';
export { DeviceLink } from './device-link.ts';
export {
  type DeviceApplication,
  type DeviceApplicationClose,
  type DeviceApplicationContext,
  DeviceThread,
  type DeviceThreadOptions,
  startDeviceThread,
} from './device-thread.ts';
export { DeviceError } from './libc.ts';
export { openPacket, type PacketOptions } from './open-packet.ts';
export { openPair, type PairOptions } from './open-pair.ts';
export { openTun, type TunOptions } from './open-tun.ts';
export { PacketLink } from './packet.ts';
export { addAddress, addRoute, deleteLink, setLink } from './rtnetlink.ts';
export { type SocketLinkOptions, socketLink } from './socket-link.ts';
export { TunLink } from './tun.ts';
