/**
 * Which of several NIC threads a flow belongs to: the same for both of its directions, and for connection and frame.
 *
 * A sum over addresses and ports, mixed. No secret is in it: who can choose his ports can choose his thread, and gains nothing by it.
 */

import { EtherType } from '../../wire/ethernet.ts';
import { IpProtocol } from '../../wire/protocol.ts';

/** The thread, 0 to `count - 1`, of a connection. */
export function threadOfFlow(a: Uint8Array, b: Uint8Array, portA: number, portB: number, count: number): number {
  return mix(sum(a, 0, a.length) + sum(b, 0, b.length) + portA + portB, count);
}

/** The thread of a frame; 0 for all that is no TCP. */
export function threadOfFrame(bytes: Uint8Array, at: number, length: number, isIp: boolean, count: number): number {
  let ip = at;
  if (!isIp) {
    let type = ((bytes[at + 12] ?? 0) << 8) | (bytes[at + 13] ?? 0);
    ip = at + 14;
    if (type === EtherType.VLAN) {
      type = ((bytes[at + 16] ?? 0) << 8) | (bytes[at + 17] ?? 0);
      ip = at + 18;
    }
    if (type !== EtherType.IPV4 && type !== EtherType.IPV6) return 0;
  }
  const end = at + length;
  const version = (bytes[ip] ?? 0) >> 4;
  const tcp = version === 4 ? ip + ((bytes[ip]! & 15) << 2) : ip + 40;
  if (tcp + 4 > end || (version !== 4 && version !== 6)) return 0;
  if (bytes[ip + (version === 4 ? 9 : 6)] !== IpProtocol.TCP) return 0;
  const addresses = version === 4 ? sum(bytes, ip + 12, 8) : sum(bytes, ip + 8, 32);
  return mix(addresses + sum(bytes, tcp, 4), count);
}

/** Sum of 16-bit words. */
function sum(bytes: Uint8Array, at: number, length: number): number {
  let total = 0;
  for (let i = at; i < at + length; i += 2) total += (bytes[i]! << 8) | bytes[i + 1]!;
  return total;
}

function mix(value: number, count: number): number {
  return (Math.imul(value, 0x9e3779b1) >>> 16) % count;
}
