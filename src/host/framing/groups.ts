/**
 * The multicast groups an interface listens to, and the MLD version 2 reports that tell switches and routers. RFC 3810, RFC 1112.
 *
 * Promises: a group is reported when it is joined, once more within a second (Robustness 2), when it is left, and in answer to a query
 * after a random part of the response time. IPv4: the all-hosts group alone, of which IGMP says nothing (RFC 1112 level 1 and 2
 * without joins). Departure: no fallback to MLD version 1 towards old routers (docs/rfc/exceptions.toml).
 */

import { equalBytes, read16 } from '../../base/bytes.ts';
import { Event } from '../../trace/events.ts';
import {
  IPV6_ALL_NODES,
  IPV6_ANY,
  type IpAddress,
  isLinkLocalAt,
  isUnspecifiedAt,
  parseIp,
} from '../../wire/ip-address.ts';
import { encodeMldReport, encodeRouterAlertHeader, MldRecord, ROUTER_ALERT_HEADER_LENGTH } from '../../wire/mld.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import type { AgendaItem } from '../path/agenda.ts';
import type { IpContext } from '../path/context.ts';
import type { Interface, RxPacket } from '../path/types.ts';
import { CONTROL_AT, CONTROL_DST_AT, CONTROL_SRC_AT, type ControlSender } from './control-sender.ts';

/** Groups of one interface: one for each address, and those that every node is in. */
export const GROUPS_MAX = 64;
/** RFC 3810 9.11 Unsolicited Report Interval. */
const UNSOLICITED_REPORT_US = 1_000_000;
/** RFC 3810 9.1. */
const ROBUSTNESS = 2;
/** Groups in one report: far below any MTU. */
const RECORDS_MAX = 32;

const ALL_MLD2_ROUTERS: IpAddress = parseIp('ff02::16')!;
const IPV4_ALL_HOSTS: IpAddress = parseIp('224.0.0.1')!;
/** ff01::1. */
const NODE_LOCAL_ALL_NODES: IpAddress = parseIp('ff01::1')!;

/** One group of one interface. */
class Group implements AgendaItem {
  readonly address: IpAddress;
  readonly iface: Interface;
  readonly #groups: GroupTable;
  members = 1;
  /** Reports of the change that are still to be sent. */
  changesLeft: number = ROBUSTNESS;
  agendaSlot: number = -1;

  constructor(groups: GroupTable, iface: Interface, address: IpAddress) {
    this.#groups = groups;
    this.iface = iface;
    this.address = address;
  }

  onDue(nowUs: number): void {
    this.#groups.reportDue(this, nowUs);
  }
}

/** The answer to a general query. */
class GeneralResponse implements AgendaItem {
  readonly #groups: GroupTable;
  readonly #iface: Interface;
  agendaSlot: number = -1;

  constructor(groups: GroupTable, iface: Interface) {
    this.#groups = groups;
    this.#iface = iface;
  }

  onDue(): void {
    this.#groups.reportAll(this.#iface);
  }
}

export class GroupTable {
  readonly #context: IpContext;
  readonly #sender: ControlSender;
  /** By `Interface.index`. */
  readonly #groups: Group[][] = [];
  readonly #responses: GeneralResponse[] = [];

  constructor(context: IpContext, sender: ControlSender) {
    this.#context = context;
    this.#sender = sender;
  }

  addInterface(iface: Interface): void {
    this.#groups[iface.index] = [];
    this.#responses[iface.index] = new GeneralResponse(this, iface);
  }

  /** Whether packets to the multicast address in `bytes` at `at` are taken from this interface. */
  isMember(iface: Interface, bytes: Uint8Array, at: number, family: number): boolean {
    if (family === 4) return IPV4_ALL_HOSTS.equalsAt(bytes, at);
    if (IPV6_ALL_NODES.equalsAt(bytes, at) || NODE_LOCAL_ALL_NODES.equalsAt(bytes, at)) return true;
    return this.#find(iface, bytes, at) !== null;
  }

  /** Joins a group, or counts one more member. False: too many groups. */
  join(iface: Interface, address: IpAddress): boolean {
    const known = this.#find(iface, address.bytes, 0);
    if (known !== null) {
      known.members++;
      return true;
    }
    const groups = this.#groups[iface.index]!;
    if (groups.length >= GROUPS_MAX) return false;
    const group = new Group(this, iface, address);
    groups.push(group);
    if (this.#isReported(iface)) this.reportDue(group, this.#context.runtime.nowUs());
    return true;
  }

  leave(iface: Interface, address: IpAddress): void {
    const group = this.#find(iface, address.bytes, 0);
    if (group === null) return;
    group.members--;
    if (group.members > 0) return;
    const groups = this.#groups[iface.index]!;
    groups.splice(groups.indexOf(group), 1);
    this.#context.agenda.clear(group);
    if (this.#isReported(iface)) this.#report(iface, MldRecord.TO_INCLUDE, [group.address.bytes]);
  }

  /** An MLD query, its checksum verified: `at` is the ICMPv6 header. RFC 3810 6.2; `hadRouterAlert` and the rest of 5.1.14. */
  query(rx: RxPacket, hadRouterAlert: boolean): void {
    const { bytes, at, length, iface } = rx;
    if (length < 24 || rx.ttl !== 1 || !hadRouterAlert || !isLinkLocalAt(bytes, rx.srcAt, 6)) {
      this.#context.trace.count(Event.MLD_BAD);
      return;
    }
    if (!this.#isReported(iface)) return;
    const code = read16(bytes, at + 4);
    // RFC 3810 5.1.3: from 32768 on a floating-point number of milliseconds.
    const ms = code < 32_768 ? code : ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3);
    const atUs = this.#context.runtime.nowUs() + (this.#context.runtime.random.nextUint32() % (ms * 1000 + 1));
    if (isUnspecifiedAt(bytes, at + 8, 6)) {
      const response = this.#responses[iface.index]!;
      if (this.#context.agenda.atUs(response) > atUs) this.#context.agenda.set(response, atUs);
      return;
    }
    const group = this.#find(iface, bytes, at + 8);
    if (group !== null && this.#context.agenda.atUs(group) > atUs) this.#context.agenda.set(group, atUs);
  }

  /** Sends what a group owes: a change that is still to be repeated, or the answer to a query. */
  reportDue(group: Group, nowUs: number): void {
    if (group.changesLeft === 0) {
      this.#report(group.iface, MldRecord.IS_EXCLUDE, [group.address.bytes]);
      return;
    }
    group.changesLeft--;
    this.#report(group.iface, MldRecord.TO_EXCLUDE, [group.address.bytes]);
    if (group.changesLeft > 0) {
      this.#context.agenda.set(group, nowUs + (this.#context.runtime.random.nextUint32() % UNSOLICITED_REPORT_US));
    }
  }

  /** Answers a general query. */
  reportAll(iface: Interface): void {
    const groups = this.#groups[iface.index]!;
    for (let i = 0; i < groups.length; i += RECORDS_MAX) {
      const some = groups.slice(i, i + RECORDS_MAX).map((group) => group.address.bytes);
      this.#report(iface, MldRecord.IS_EXCLUDE, some);
    }
  }

  /** The link came up again: switches have forgotten. */
  rejoin(iface: Interface): void {
    if (!this.#isReported(iface)) return;
    for (const group of this.#groups[iface.index]!) {
      group.changesLeft = ROBUSTNESS;
      this.reportDue(group, this.#context.runtime.nowUs());
    }
  }

  #isReported(iface: Interface): boolean {
    return iface.medium === 'ethernet';
  }

  #find(iface: Interface, bytes: Uint8Array, at: number): Group | null {
    const groups = this.#groups[iface.index];
    if (groups === undefined) return null;
    for (let i = 0; i < groups.length; i++) {
      if (equalBytes(groups[i]!.address.bytes, 0, bytes, at, 16)) return groups[i]!;
    }
    return null;
  }

  #report(iface: Interface, record: number, groups: readonly Uint8Array[]): void {
    // RFC 3810 5.2.13, RFC 3590: from a link-local address, or from none while there is none.
    const source = iface.addresses.find(
      (entry) => entry.isUsable && entry.address.family === 6 && entry.address.isLinkLocal,
    );
    const out = this.#sender.open(
      iface,
      source?.address ?? IPV6_ANY,
      ALL_MLD2_ROUTERS.bytes,
      0,
      IpProtocol.HOP_BY_HOP,
      1,
    );
    if (out === null) return;
    encodeRouterAlertHeader(out.bytes, CONTROL_AT, IpProtocol.ICMPV6);
    const at = CONTROL_AT + ROUTER_ALERT_HEADER_LENGTH;
    const length = encodeMldReport(out.bytes, at, record, groups, CONTROL_SRC_AT, CONTROL_DST_AT);
    this.#sender.close(iface, out, ROUTER_ALERT_HEADER_LENGTH + length, null);
  }
}
