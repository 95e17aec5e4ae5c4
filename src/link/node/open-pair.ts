/**
 * Two ends of a wire that is a pair of connected sockets: two stacks of one machine, in threads or processes of their own, without
 * any privilege. Frames keep their bounds; super-segments cross as one frame, as between two virtual machines.
 * Source: unix(7), SOCK_SEQPACKET.
 */

import type { Medium } from '../link.ts';
import type { DeviceDescription } from './device.ts';
import { checkPairOptions } from './device-options.ts';
import { DeviceError, errnoName, libc } from './libc.ts';
import { setSize } from './open-packet.ts';

export interface PairOptions {
  /** Names of the two ends. Default 'pair-a' and 'pair-b'. */
  readonly names?: readonly [string, string];
  /** Default 'ethernet'. */
  readonly medium?: Medium;
  /** Bytes of IP packet; 576 to 65535. Default 1500. */
  readonly mtu?: number;
  /** 'all' (the default): checksums and segmentation are left out; 'none': frames as on a wire. */
  readonly offload?: 'all' | 'none';
  /** Bytes of frames on their way in one direction. Default 1 MiB, or what the system allows. */
  readonly bufferBytes?: number;
  /** Whether what is not left to the kernel is done here, for many packets at a time; see `TunOptions.bulk`. Default true. */
  readonly bulk?: boolean;
}

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SO_SNDBUF = 7;
const SO_SNDBUFFORCE = 32;
const BUFFER_DEFAULT = 1 << 20;
const LARGE_SEND_BYTES = 65_535;

/** Makes the pair. Throws {@link DeviceError}, or OptionError. */
export function openPair(options: PairOptions = {}): [DeviceDescription, DeviceDescription] {
  checkPairOptions(options);
  const { mtu = 1500 } = options;
  const c = libc();
  const fds = new Uint8Array(128);
  if (c.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, c.addressOf(fds)) < 0) {
    throw new DeviceError(errnoName(c.errno()), 'socketpair', 'AF_UNIX SOCK_SEQPACKET');
  }
  const view = new DataView(fds.buffer);
  const names = options.names ?? ['pair-a', 'pair-b'];
  const end = (i: 0 | 1): DeviceDescription => {
    const fd = view.getInt32(4 * i, true);
    setSize(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.bufferBytes ?? BUFFER_DEFAULT);
    const hasHeader = options.offload !== 'none';
    const medium = options.medium ?? 'ethernet';
    const { bulk = true } = options;
    return {
      kind: 'pair',
      fd,
      name: names[i],
      medium,
      mtu,
      macAddress: null,
      hasHeader,
      largeSendBytes: hasHeader || bulk ? LARGE_SEND_BYTES : 0,
      checksums: hasHeader,
      segments: hasHeader,
      datagrams: hasHeader || bulk,
      bulk,
      index: 0,
    };
  };
  return [end(0), end(1)];
}
