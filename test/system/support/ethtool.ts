/** What a network interface of this namespace leaves to its driver: the ioctls of ethtool, whose program is not everywhere. */
import { DeviceError, errnoName, libc } from '../../../src/link/node/libc.ts';

const SIOCETHTOOL = 0x8946;
const AF_INET = 2;
const SOCK_DGRAM = 2;
/** ETHTOOL_STXCSUM and so on, of linux/ethtool.h. */
const COMMANDS = { txChecksum: 0x17, tso: 0x1f, gso: 0x24, gro: 0x2c } as const;

export type Features = { readonly [feature in keyof typeof COMMANDS]?: boolean };

/** Switches features on and off. */
export function setFeatures(name: string, features: Features): void {
  const c = libc();
  const fd = c.socket(AF_INET, SOCK_DGRAM, 0);
  // struct ifreq, and the struct ethtool_value that it points to.
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < name.length; i++) bytes[i] = name.charCodeAt(i);
  view.setBigUint64(16, BigInt(c.addressOf(bytes)) + 64n, true);
  try {
    for (const [feature, isOn] of Object.entries(features)) {
      view.setUint32(64, COMMANDS[feature as keyof typeof COMMANDS], true);
      view.setUint32(68, isOn ? 1 : 0, true);
      if (c.ioctl(fd, SIOCETHTOOL, c.addressOf(bytes)) < 0)
        throw new DeviceError(errnoName(c.errno()), 'ioctl', feature);
    }
  } finally {
    c.close(fd);
  }
}
