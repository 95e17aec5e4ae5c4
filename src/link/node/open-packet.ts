/**
 * Opening an AF_PACKET socket on a network interface that is there already: frames beside the kernel's own use of it.
 *
 * The kernel goes on to see what arrives; an interface that is to be the stack's alone has no address of the kernel's. Source:
 * packet(7), netdevice(7).
 */

import { release } from 'node:os';
import type { DeviceDescription } from './device.ts';
import { checkPacketOptions } from './device-options.ts';
import { interfaceMtu, interfaceRequest, SIOCGIFHWADDR } from './interface-request.ts';
import { DeviceError, errnoName, libc } from './libc.ts';
import { WHY_NO_PACKET } from './privileges.ts';
import { VIRTIO_NET_HEADER_BYTES } from './virtio-net-header.ts';
import { receiveVlan } from './vlan-filter.ts';

export interface PacketOptions {
  /** Name of the interface. */
  readonly name: string;
  /**
   * What is sent: 'all' (the default) leaves checksums and segmentation to the kernel, 'checksum' checksums alone; 'none' sends
   * complete frames, many a system call. What is received may be joined and lack its checksum either way, as the kernel hands it
   * over so.
   */
  readonly offload?: 'all' | 'checksum' | 'none';
  /** SO_RCVBUF and SO_SNDBUF, bytes; the system's limits are passed where that is allowed. Default 8 MiB. */
  readonly receiveBufferBytes?: number;
  readonly sendBufferBytes?: number;
  /** Whether what is not left to the kernel is done here, for many packets at a time; see `TunOptions.bulk`. Default true. */
  readonly bulk?: boolean;
}

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_ALL_NETWORK_ORDER = 0x0300;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_VNET_HDR_SZ = 24;
const BUFFER_DEFAULT = 8 << 20;
/** ARPHRD_ETHER and ARPHRD_LOOPBACK. */
const ETHERNET: ReadonlySet<number> = new Set([1, 772]);
const LARGE_SEND_BYTES = 65_535;

/** Whether the kernel cuts UDP for a virtio-net header: it cannot be asked for a socket; Linux does so since 6.2. */
function knowsDatagrams(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 2);
}

/** Opens the interface. Throws {@link DeviceError}, or OptionError. */
export function openPacket(options: PacketOptions): DeviceDescription {
  checkPacketOptions(options);
  const c = libc();
  const { name, offload = 'all', bulk = true } = options;
  const index = c.nameToIndex(name);
  if (index === 0) throw new DeviceError('ENODEV', 'if_nametoindex', `there is no interface '${name}'`);
  // Protocol 0: nothing is received before it is bound to the one interface.
  const fd = c.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new DeviceError(errnoName(c.errno()), 'socket', WHY_NO_PACKET);
  try {
    setInt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, 'PACKET_IGNORE_OUTGOING');
    setInt(fd, SOL_PACKET, PACKET_VNET_HDR_SZ, VIRTIO_NET_HEADER_BYTES, 'PACKET_VNET_HDR_SZ');
    setSize(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receiveBufferBytes ?? BUFFER_DEFAULT);
    setSize(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.sendBufferBytes ?? BUFFER_DEFAULT);
    const hardware = interfaceRequest(fd, SIOCGIFHWADDR, name);
    if (!ETHERNET.has(hardware.getUint16(16, true))) {
      throw new DeviceError('EAFNOSUPPORT', 'ioctl', `the interface '${name}' carries no Ethernet frames`);
    }
    receiveVlan(fd, 0);
    bindTo(fd, index, name);
    const mtu = Math.min(65_535, interfaceMtu(name));
    const segments = offload === 'all';
    return {
      kind: 'packet',
      fd,
      name,
      medium: 'ethernet',
      mtu,
      macAddress: new Uint8Array(hardware.buffer.slice(18, 24)),
      hasHeader: true,
      largeSendBytes: segments || bulk ? LARGE_SEND_BYTES : offload === 'none' ? 0 : mtu,
      checksums: offload !== 'none',
      segments,
      datagrams: segments ? knowsDatagrams() : bulk,
      bulk,
      index,
    };
  } catch (error) {
    c.close(fd);
    throw error;
  }
}

function setInt(fd: number, level: number, option: number, value: number, what: string): void {
  const c = libc();
  const bytes = new Uint8Array(128);
  new DataView(bytes.buffer).setInt32(0, value, true);
  if (c.setsockopt(fd, level, option, c.addressOf(bytes), 4) < 0) {
    throw new DeviceError(errnoName(c.errno()), 'setsockopt', what);
  }
}

/** Beyond the system's limit where that is allowed, else as far as the limit. */
export function setSize(fd: number, forced: number, option: number, size: number): void {
  const c = libc();
  const bytes = new Uint8Array(128);
  new DataView(bytes.buffer).setInt32(0, size, true);
  if (c.setsockopt(fd, SOL_SOCKET, forced, c.addressOf(bytes), 4) >= 0) return;
  setInt(fd, SOL_SOCKET, option, size, 'SO_RCVBUF or SO_SNDBUF');
}

function bindTo(fd: number, index: number, name: string): void {
  const c = libc();
  const address = new Uint8Array(128); // struct sockaddr_ll, 20 bytes
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, ETH_P_ALL_NETWORK_ORDER, true);
  view.setInt32(4, index, true);
  if (c.bind(fd, c.addressOf(address), 20) < 0) throw new DeviceError(errnoName(c.errno()), 'bind', name);
}
