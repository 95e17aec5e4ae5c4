/**
 * A TUN or TAP device of Linux as a link: the kernel's own TCP/IP is at the other end of the wire.
 *
 * Promises: those of {@link DeviceLink}; closing removes a device that was made here.
 */

import { DeviceLink } from './device-link.ts';
import { openTun, type TunOptions } from './open-tun.ts';

export type { TunOptions } from './open-tun.ts';

/** A TUN or TAP device. Needs CAP_NET_ADMIN, or a device that was made for this user. */
export class TunLink extends DeviceLink {
  /** Opens (and, where addresses are given, sets up) a device. Throws {@link DeviceError}. */
  static open(options: TunOptions = {}): TunLink {
    return new TunLink(openTun(options)[0]!);
  }
}
