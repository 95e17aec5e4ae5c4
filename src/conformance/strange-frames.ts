/** Frames that are not the chimney's, made of an acknowledgment over IPv4: what a target has to hand up untouched. */

import { EtherType } from '../wire/ethernet.ts';
import { writeIpv4Checksum } from '../wire/ipv4.ts';
import { IpProtocol } from '../wire/protocol.ts';

const IP_AT = 14;
const IP_HEADER = 20;

function changed(frame: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = frame.slice();
  change(bytes);
  writeIpv4Checksum(bytes, IP_AT, (bytes[IP_AT]! & 15) * 4);
  return bytes;
}

/** The first of several fragments. */
export function asFragment(frame: Uint8Array): Uint8Array {
  return changed(frame, (bytes) => {
    bytes[IP_AT + 6] = 0x20;
  });
}

/** With four no-operation options behind the header. */
export function withOptions(frame: Uint8Array): Uint8Array {
  const longer = new Uint8Array(frame.length + 4);
  const optionsAt = IP_AT + IP_HEADER;
  longer.set(frame.subarray(0, optionsAt));
  longer.fill(1, optionsAt, optionsAt + 4);
  longer.set(frame.subarray(optionsAt), optionsAt + 4);
  return changed(longer, (bytes) => {
    bytes[IP_AT] = 0x46;
    bytes[IP_AT + 3] = bytes[IP_AT + 3]! + 4;
  });
}

export function asIcmp(frame: Uint8Array): Uint8Array {
  return changed(frame, (bytes) => {
    bytes[IP_AT + 9] = IpProtocol.ICMP;
  });
}

export function asArp(frame: Uint8Array): Uint8Array {
  const bytes = frame.slice();
  bytes[12] = EtherType.ARP >> 8;
  bytes[13] = EtherType.ARP & 255;
  return bytes;
}
