/**
 * The frames of one VLAN, or those of none, on an AF_PACKET socket.
 *
 * The kernel takes the outer 802.1Q tag off what it receives before a socket sees it, and keeps it beside the frame, where a filter of the
 * socket can look at it (read(2) cannot). So a socket is given the frames of one VLAN only, and whoever reads them knows the tag; one that
 * is of no VLAN is not given those of others, which it could not tell from its own. Sources: packet(7), Linux
 * Documentation/networking/filter.rst (ancillary data), IEEE 802.1Q 9.6 (VLAN 0 is a priority alone).
 */

import type { DeviceDescription } from './device.ts';
import { DeviceError, errnoName, libc } from './libc.ts';
import { tellTags } from './tagged-reads.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const MSG_DONTWAIT = 0x40;
/** BPF_LD | BPF_W | BPF_ABS; BPF_JMP | BPF_JEQ | BPF_K; BPF_ALU | BPF_AND | BPF_K; BPF_RET | BPF_K. */
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const AND = 0x54;
const RETURN = 0x06;
/** SKF_AD_OFF plus SKF_AD_VLAN_TAG and SKF_AD_VLAN_TAG_PRESENT. */
const VLAN_TAG = 0xfffff000 + 44;
const VLAN_TAG_PRESENT = 0xfffff000 + 48;
const WHOLE = 0xffffffff;

/** code, jt, jf, k of each struct sock_filter: has it a tag? then its VLAN is to be the one that is wanted. */
function program(vlanId: number): readonly (readonly [number, number, number, number])[] {
  return [
    [LOAD, 0, 0, VLAN_TAG_PRESENT],
    // Without a tag it is of VLAN 0.
    [JUMP_EQUAL, 3, 0, 0],
    [LOAD, 0, 0, VLAN_TAG],
    [AND, 0, 0, 0xfff],
    [JUMP_EQUAL, 1, 2, vlanId],
    [JUMP_EQUAL, 0, 1, vlanId],
    [RETURN, 0, 0, WHOLE],
    [RETURN, 0, 0, 0],
  ];
}

/** The same device for the frames of one VLAN alone: where the kernel takes tags off, only they are received. Throws {@link DeviceError}. */
export function ofVlan(device: DeviceDescription, vlanId: number): DeviceDescription {
  if (device.kind !== 'packet') return device;
  receiveVlan(device.fd, vlanId);
  tellTags(libc(), device.fd);
  return { ...device, vlanId };
}

/** From now on the socket receives frames of this VLAN; 0: those without. What is in its queue is dropped. Throws {@link DeviceError}. */
export function receiveVlan(fd: number, vlanId: number): void {
  const c = libc();
  const code = program(vlanId);
  // More than 64 bytes, so that V8 does not move them.
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  code.forEach(([operation, whenTrue, whenFalse, k], i) => {
    view.setUint16(16 + 8 * i, operation, true);
    view.setUint8(16 + 8 * i + 2, whenTrue);
    view.setUint8(16 + 8 * i + 3, whenFalse);
    view.setUint32(16 + 8 * i + 4, k, true);
  });
  // struct sock_fprog: count and address.
  view.setUint16(0, code.length, true);
  view.setBigUint64(8, BigInt(c.addressOf(bytes) + 16), true);
  if (c.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, c.addressOf(bytes), 16) < 0) {
    throw new DeviceError(errnoName(c.errno()), 'setsockopt', 'SO_ATTACH_FILTER');
  }
  // What was received before may be of another.
  for (let i = 0; i < DROPPED_MAX && c.recv(fd, c.addressOf(bytes), bytes.length, MSG_DONTWAIT) >= 0; i++);
}

/** Beyond that they are likely to be new ones. */
const DROPPED_MAX = 100_000;
