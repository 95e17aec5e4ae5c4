/**
 * Links to real devices: TUN and TAP on Linux. The only part of the package that calls the operating system.
 */

export { DeviceError } from './libc.ts';
export { addAddress, addRoute, deleteLink, setLink } from './rtnetlink.ts';
export { type SocketLinkOptions, socketLink } from './socket-link.ts';
export { TunLink, type TunOptions } from './tun.ts';
