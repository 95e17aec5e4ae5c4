/**
 * A network interface of this machine as a link, by way of an AF_PACKET socket.
 *
 * Promises: those of {@link DeviceLink}; the interface is left as it was.
 */

import { DeviceLink } from './device-link.ts';
import { openPacket, type PacketOptions } from './open-packet.ts';

/** An AF_PACKET socket. Needs CAP_NET_RAW. */
export class PacketLink extends DeviceLink {
  /** Opens the interface. Throws {@link DeviceError}. */
  static open(options: PacketOptions): PacketLink {
    return new PacketLink(openPacket(options));
  }
}
