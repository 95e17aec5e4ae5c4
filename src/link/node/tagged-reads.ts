/**
 * Reads an AF_PACKET socket together with what the kernel has taken off each frame: its 802.1Q tag, of which priority and DEI are nowhere else.
 *
 * Promises: nothing is allocated per frame; the memory that is read into is kept alive by whoever gives it. Sources: packet(7)
 * (PACKET_AUXDATA, struct tpacket_auxdata), recvmsg(2), cmsg(3); layouts of the 64-bit systems that Node runs on, least significant byte
 * first.
 */

import { DeviceError, errnoName, type Libc } from './libc.ts';

const SOL_PACKET = 263;
const PACKET_AUXDATA = 8;
const TP_STATUS_VLAN_VALID = 0x10;
/** struct msghdr at 0: msg_iov, msg_iovlen, msg_control, msg_controllen. */
const MSG_IOV = 16;
const MSG_IOV_COUNT = 24;
const MSG_CONTROL = 32;
const MSG_CONTROL_BYTES = 40;
/** struct iovec: address and length. */
const IOVEC = 64;
/** struct cmsghdr: length, level and type; behind it the data: tp_status, and tp_vlan_tci 16 bytes on. */
const CONTROL = 96;
const CONTROL_BYTES = 96;
const CONTROL_LEVEL = CONTROL + 8;
const CONTROL_TYPE = CONTROL + 12;
const STATUS = CONTROL + 16;
const TCI = CONTROL + 32;
const TWO_TO_32 = 0x1_0000_0000;

/** Has the kernel tell of the tags from now on. Throws {@link DeviceError}. */
export function tellTags(c: Libc, fd: number): void {
  const bytes = new Uint8Array(128);
  bytes[0] = 1;
  if (c.setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, c.addressOf(bytes), 4) < 0) {
    throw new DeviceError(errnoName(c.errno()), 'setsockopt', 'PACKET_AUXDATA');
  }
}

/** The reads of one socket that tells of tags. */
export class TaggedReads {
  /** Tag control information of the frame read last; -1: it had none. */
  tci = -1;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #view: DataView;
  readonly #address: number;

  constructor(c: Libc, fd: number) {
    this.#libc = c;
    this.#fd = fd;
    const bytes = new Uint8Array(CONTROL + CONTROL_BYTES);
    this.#view = new DataView(bytes.buffer);
    this.#address = c.addressOf(bytes);
    this.#putAddress(MSG_IOV, this.#address + IOVEC);
    this.#view.setUint32(MSG_IOV_COUNT, 1, true);
    this.#putAddress(MSG_CONTROL, this.#address + CONTROL);
  }

  /** As read(2). */
  read(address: number, length: number): number {
    const view = this.#view;
    this.#putAddress(IOVEC, address);
    view.setUint32(IOVEC + 8, length, true);
    view.setUint32(MSG_CONTROL_BYTES, CONTROL_BYTES, true);
    view.setUint32(CONTROL, 0, true);
    const n = this.#libc.recvmsg(this.#fd, this.#address, 0);
    const isTold = view.getUint32(CONTROL, true) > 0 && view.getInt32(CONTROL_LEVEL, true) === SOL_PACKET;
    const hasTag = isTold && view.getInt32(CONTROL_TYPE, true) === PACKET_AUXDATA;
    this.tci = hasTag && (view.getUint32(STATUS, true) & TP_STATUS_VLAN_VALID) !== 0 ? view.getUint16(TCI, true) : -1;
    return n;
  }

  #putAddress(at: number, address: number): void {
    this.#view.setUint32(at, address >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(address / TWO_TO_32), true);
  }
}
