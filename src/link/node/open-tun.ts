/**
 * Opening a TUN or TAP device of Linux, with virtio-net header and offloads where they are wanted.
 *
 * Promises: a device that was made and could not be set up is gone again. Source: Linux Documentation/networking/tuntap.rst,
 * include/uapi/linux/if_tun.h.
 */

import { release } from 'node:os';
import { OptionError } from '../../base/options.ts';
import type { DeviceDescription } from './device.ts';
import { checkTunOptions, type DevicePrefix, type DeviceRoute, readPrefix } from './device-options.ts';
import { interfaceMtu } from './interface-request.ts';
import { startKernelThread } from './kernel-thread.ts';
import { DeviceError, errnoName, libc } from './libc.ts';
import { whyNoTun, whyNoTunDriver, withSetUpRights } from './privileges.ts';
import { addAddress, addRoute, setLink } from './rtnetlink.ts';
import { VIRTIO_NET_HEADER_BYTES } from './virtio-net-header.ts';

export interface TunOptions {
  /** 'tun' carries IP packets (the default), 'tap' Ethernet frames. */
  readonly kind?: 'tun' | 'tap';
  /** Name of the device, at most 15 characters; absent: the kernel chooses one. */
  readonly name?: string;
  /** Bytes of IP packet; 576 to 65535, of a TAP device to 65521. Default: what the device has, 1500 if it is a new one. */
  readonly mtu?: number;
  /** Addresses of the kernel's end: '10.1.0.1/24'. Empty or absent: somebody else sets the device up, and brings it up. */
  readonly addresses?: readonly DevicePrefix[];
  /** Prefixes the kernel shall reach over the device: '10.2.0.0/16'. */
  readonly routes?: readonly DeviceRoute[];
  /** Packets the kernel queues for us; what does not fit is dropped. Default 50,000. */
  readonly txQueueLength?: number;
  /**
   * What is left to the kernel: 'all' (the default) checksums and segmentation, both ways (TSO for both families, USO for UDP);
   * 'checksum' checksums alone; 'none' nothing, every packet is as on a wire.
   */
  readonly offload?: 'all' | 'checksum' | 'none';
  /**
   * Whether what is not left to the kernel is done here, for many packets at a time: the stack's super-segments are cut just before they are
   * written, and received segments that follow one another are joined as they are read. Default true. False: the stack itself, its
   * captures and drivers see every packet as it is on the wire.
   */
  readonly bulk?: boolean;
  /**
   * Whether what is written is taken in by a thread of the kernel's own (NAPI), which joins segments before the kernel's TCP sees them:
   * a write then costs a third, and a packet by itself arrives some microseconds later. Where the kernel or the rights for it are
   * missing it is done without. Default: where segmentation is not left to the kernel.
   */
  readonly kernelThread?: boolean;
}

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TUN = 1;
const IFF_TAP = 2;
const IFF_NAPI = 0x10;
const IFF_MULTI_QUEUE = 0x100;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const OFFLOAD_CSUM = 1;
/** CSUM, TSO4, TSO6, TSO_ECN; and with both USO. */
const OFFLOAD_TSO = 0xf;
const OFFLOAD_USO = 0x6f;
const NAME_BYTES = 16;
/** A frame is 65,535 bytes at most. */
const TAP_MTU_MOST = 65_521;
/** RFC 8200 5. */
const IPV6_MTU_LEAST = 1280;
/** Enough for the windows of a thousand connections: the queue drops what does not fit, and senders then slow down. */
const TXQUEUE_DEFAULT = 50_000;
const LARGE_SEND_BYTES = 65_535;
/** Why a device of that name cannot be had. */
const WHY_NO_DEVICE: Readonly<Record<string, string>> = {
  EBUSY: 'somebody else has this device open',
  EINVAL: 'an interface of that name is no such device, or has been made with other queues',
  E2BIG: 'there are no more queues of this device to be had',
};
/** Some hundred segments at once: a wakeup of the receiver is shared by them, and their bytes still find room in its caches. */
const BIG_SEND_BYTES = 262_144;
/** From here on the kernel takes IPv4 super-segments that are longer than a header can say (6.3), and devices have room for them (6.6). */
const BIG_SEND_KERNEL = [6, 6] as const;

/**
 * Opens a device with so many queues, each a descriptor of its own; the kernel spreads flows over them. Throws {@link DeviceError}, or
 * OptionError.
 */
export function openTun(options: TunOptions = {}, queues = 1): DeviceDescription[] {
  checkTunOptions(options, queues);
  const { mtu, txQueueLength, name = '' } = options;
  const addresses = (options.addresses ?? []).map((one, i) => readPrefix(`addresses[${i}]`, one));
  if (options.kind === 'tap' && mtu !== undefined && mtu > TAP_MTU_MOST) {
    throw new OptionError('openTun', 'mtu', `${TAP_MTU_MOST} at most for a TAP device`, mtu);
  }
  if (mtu !== undefined && mtu < IPV6_MTU_LEAST && addresses.some(({ address }) => address.length === 16)) {
    throw new OptionError('openTun', 'mtu', `${IPV6_MTU_LEAST} at least with an IPv6 address`, mtu);
  }
  const routes = (options.routes ?? []).map((one, i) => readPrefix(`routes[${i}]`, one));
  const opened: DeviceDescription[] = [];
  try {
    for (let i = 0; i < queues; i++) opened.push(openQueue(options, i === 0 ? name : opened[0]!.name, queues > 1));
    const [first] = opened;
    const isOurs = addresses.length > 0 || routes.length > 0;
    withSetUpRights(first!.name, () => {
      const { index } = first!;
      if (isOurs) setLink(index, true, mtu, txQueueLength ?? TXQUEUE_DEFAULT);
      else if (txQueueLength !== undefined || (mtu !== undefined && mtu !== interfaceMtu(first!.name))) {
        setLink(index, null, mtu, txQueueLength);
      }
      for (const { address, prefixLength } of addresses) addAddress(index, address, prefixLength);
      for (const { address, prefixLength } of routes) addRoute(index, address, prefixLength);
    });
  } catch (error) {
    for (const { fd } of opened) libc().close(fd);
    throw error;
  }
  return opened;
}

function openQueue(options: TunOptions, wanted: string, isMulti: boolean): DeviceDescription {
  const { offload = 'all', kernelThread = offload !== 'all' } = options;
  if (kernelThread) {
    const opened = openWith(options, wanted, IFF_NAPI | (isMulti ? IFF_MULTI_QUEUE : 0));
    if (opened !== null) return opened;
  }
  return openWith(options, wanted, isMulti ? IFF_MULTI_QUEUE : 0)!;
}

/** Null: it was to have a thread of the kernel's, and cannot. */
function openWith(options: TunOptions, wanted: string, flags: number): DeviceDescription | null {
  const c = libc();
  const fd = c.open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    const code = errnoName(c.errno());
    throw new DeviceError(code, 'open', `/dev/net/tun: ${whyNoTunDriver(code)}`);
  }
  try {
    const { kind = 'tun', offload = 'all', bulk = true } = options;
    const hasHeader = offload !== 'none';
    const segments = offload === 'all';
    const name = attach(fd, wanted, kind, (hasHeader ? IFF_VNET_HDR : 0) | flags);
    const index = c.nameToIndex(name);
    const mtu = options.mtu ?? interfaceMtu(name);
    if ((flags & IFF_NAPI) !== 0 && !startKernelThread(name, index)) {
      c.close(fd);
      return null;
    }
    const agreed = hasHeader ? setOffloads(fd, offload) : 0;
    return {
      kind,
      fd,
      name,
      medium: kind === 'tun' ? 'ip' : 'ethernet',
      mtu,
      macAddress: null,
      hasHeader,
      ...(segments && takesBigSends(release()) ? { bigSendBytes: BIG_SEND_BYTES } : {}),
      largeSendBytes: segments || bulk ? LARGE_SEND_BYTES : hasHeader ? mtu : 0,
      checksums: hasHeader,
      segments,
      datagrams: segments ? agreed === OFFLOAD_USO : bulk,
      bulk,
      index,
    };
  } catch (error) {
    c.close(fd);
    // A kernel that knows no NAPI for devices.
    if ((flags & IFF_NAPI) !== 0 && error instanceof DeviceError && error.code === 'EINVAL') return null;
    throw error;
  }
}

/** Whether a kernel of this release ('6.18.5-foo') is new enough for {@link BIG_SEND_BYTES}. */
export function takesBigSends(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  const [least, leastMinor] = BIG_SEND_KERNEL;
  return major > least || (major === least && minor >= leastMinor);
}

function attach(fd: number, name: string, kind: 'tun' | 'tap', flags: number): string {
  const c = libc();
  const request = new Uint8Array(128); // struct ifreq is 40 bytes; larger so that V8 does not move it
  for (let i = 0; i < name.length; i++) request[i] = name.charCodeAt(i);
  new DataView(request.buffer).setUint16(16, (kind === 'tun' ? IFF_TUN : IFF_TAP) | IFF_NO_PI | flags, true);
  if (c.ioctl(fd, TUNSETIFF, c.addressOf(request)) < 0) {
    const code = errnoName(c.errno());
    const isDenied = code === 'EPERM' || code === 'EACCES';
    const why = isDenied ? whyNoTun(name, kind, name !== '' && c.nameToIndex(name) !== 0) : WHY_NO_DEVICE[code];
    throw new DeviceError(code, 'ioctl', `TUNSETIFF ${name}: ${why ?? 'the device cannot be had'}`);
  }
  let out = '';
  for (let i = 0; i < NAME_BYTES && request[i] !== 0; i++) out += String.fromCharCode(request[i]!);
  return out;
}

/** What we take in and what we hand out without its checksum; an older kernel may not know USO. */
/** Answers what the kernel has agreed to. */
function setOffloads(fd: number, offload: 'all' | 'checksum' | 'none'): number {
  const c = libc();
  const size = new Uint8Array(128);
  size[0] = VIRTIO_NET_HEADER_BYTES;
  if (c.ioctl(fd, TUNSETVNETHDRSZ, c.addressOf(size)) < 0) {
    throw new DeviceError(
      errnoName(c.errno()),
      'ioctl',
      'TUNSETVNETHDRSZ: the kernel has no virtio-net header for devices',
    );
  }
  const tried = offload === 'all' ? [OFFLOAD_USO, OFFLOAD_TSO, OFFLOAD_CSUM] : [OFFLOAD_CSUM];
  for (const flags of tried) if (c.ioctl(fd, TUNSETOFFLOAD, flags) >= 0) return flags;
  throw new DeviceError(errnoName(c.errno()), 'ioctl', 'TUNSETOFFLOAD');
}
