/**
 * What an adapter tells about itself: name, medium, MTU, MAC and large sends, taken from its link and from what it was configured with.
 */

import type { Runtime } from '../../base/runtime.ts';
import type { Link } from '../../link/link.ts';
import type { AdapterAttributes } from '../../ndis/miniport.ts';
import { isZeroMac, MAC_LENGTH } from '../../wire/mac-address.ts';

/** Largest IPv4 packet that the link takes with its text in a Gather; at least what it takes otherwise. */
export function bigSendBytesOf({ takesGather, bigSendBytes = 0, largeSendBytes = 0 }: Link): number {
  return takesGather === true && bigSendBytes > largeSendBytes ? bigSendBytes : largeSendBytes;
}

/** The attributes of an adapter that hands on text where it lies: super-segments may be as large as the link takes them. */
export function withBigSends(attributes: AdapterAttributes, link: Link): AdapterAttributes {
  const bigSendBytes = bigSendBytesOf(link);
  return bigSendBytes > (link.largeSendBytes ?? 0) ? { ...attributes, bigSendBytes } : attributes;
}

/** What the attributes are made of. */
export interface AttributeSource {
  readonly link: Link;
  readonly runtime: Runtime;
  /** The adapter's name; default: the link's. */
  readonly name?: string | undefined;
  /** Six bytes; default: the link's own, else one is made up (locally administered, unicast). */
  readonly macAddress?: Uint8Array | undefined;
}

/** The attributes. Throws RangeError when a MAC address has not six bytes or is a group address. */
export function attributesOf(source: AttributeSource): AdapterAttributes {
  const { link, runtime } = source;
  const macAddress = new Uint8Array(MAC_LENGTH);
  if (link.medium === 'ethernet') {
    const given = source.macAddress ?? link.macAddress;
    if (given === undefined) {
      runtime.random.fill(macAddress);
      macAddress[0] = (macAddress[0]! & 0xfc) | 0x02;
    } else {
      if (given.length !== MAC_LENGTH || isZeroMac(given, 0) || (given[0]! & 1) !== 0) {
        throw new RangeError(`macAddress: expected six bytes of a unicast address, got [${given.join(', ')}]`);
      }
      macAddress.set(given);
    }
  }
  const largeSendBytes = link.largeSendBytes ?? 0;
  const largeDatagrams = link.largeDatagrams === true && largeSendBytes > 0;
  const { medium, mtu } = link;
  return {
    name: source.name ?? link.name,
    medium,
    mtu,
    macAddress,
    largeSendBytes,
    ...(largeDatagrams ? { largeDatagrams } : {}),
  };
}
