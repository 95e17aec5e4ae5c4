/**
 * The primitives of filter expressions as tests of facts: no, maybe or yes.
 *
 * Looks inside frames: addresses and protocol numbers are what the wire has. Of a frame every answer is no or yes; of a
 * connection that has not sent yet some facts are not known, and the answer is maybe. Promises: a test allocates nothing.
 */

import { EtherType } from '../../wire/ethernet.ts';
import { isMulticastAt } from '../../wire/ip-address.ts';
import type { IpPrefix } from '../../wire/ip-prefix.ts';
import { equalMac, isBroadcastMac, isGroupMac } from '../../wire/mac-address.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { ABSENT, type PacketFacts, UNKNOWN } from './facts.ts';

/** An answer: greater is surer. */
export const Answer = { NO: 0, MAYBE: 1, YES: 2 } as const;
export type Answer = (typeof Answer)[keyof typeof Answer];

/** A test of facts. */
export type Test = (facts: PacketFacts) => Answer;

/** Which end of a packet a primitive speaks of. */
export type Side = 'src' | 'dst' | 'either' | 'both';

const { NO, MAYBE, YES } = Answer;

export function not(test: Test): Test {
  return (facts) => (YES - test(facts)) as Answer;
}

/** The less sure of two. */
export function and(a: Test, b: Test): Test {
  return (facts) => {
    const first = a(facts);
    if (first === NO) return NO;
    const second = b(facts);
    return second < first ? second : first;
  };
}

/** The surer of two. */
export function or(a: Test, b: Test): Test {
  return (facts) => {
    const first = a(facts);
    if (first === YES) return YES;
    const second = b(facts);
    return second > first ? second : first;
  };
}

function sided(side: Side, src: Test, dst: Test): Test {
  if (side === 'src') return src;
  if (side === 'dst') return dst;
  return side === 'either' ? or(src, dst) : and(src, dst);
}

const sure = (is: boolean): Answer => (is ? YES : NO);

/** The fact has one of two states: known, and then the predicate decides, or not known. */
function whenKnown(fact: number, is: boolean): Answer {
  return fact === UNKNOWN ? MAYBE : sure(is);
}

export function etherType(type: number): Test {
  return (facts) => whenKnown(facts.etherType, facts.etherType === type);
}

/** `host`, `net`: the address is covered. */
export function address(side: Side, prefix: IpPrefix): Test {
  const { family } = prefix.address;
  return sided(
    side,
    (facts) => sure(facts.family === family && prefix.containsAt(facts.srcAddress, facts.srcAt)),
    (facts) => sure(facts.family === family && prefix.containsAt(facts.dstAddress, facts.dstAt)),
  );
}

/** `port`, `portrange`: TCP or UDP from `first` to `last`. */
export function port(side: Side, first: number, last: number): Test {
  return sided(
    side,
    (facts) => sure(facts.srcPort >= first && facts.srcPort <= last),
    (facts) => sure(facts.dstPort >= first && facts.dstPort <= last),
  );
}

export function mac(side: Side, wanted: Uint8Array): Test {
  return sided(
    side,
    (f) => whenKnown(f.srcMacAt, f.srcMacAt >= 0 && equalMac(f.macs, f.srcMacAt, wanted, 0)),
    (f) => whenKnown(f.dstMacAt, f.dstMacAt >= 0 && equalMac(f.macs, f.dstMacAt, wanted, 0)),
  );
}

/** `tcp`, `ip proto 47`: the protocol behind the IP headers; of one family or (0) of either. */
export function protocol(number: number, family: 0 | 4 | 6): Test {
  return (facts) => sure(facts.protocol === number && (family === 0 || facts.family === family));
}

/** `ip`, `ip6`, `arp`. */
export const isIp4: Test = etherType(EtherType.IPV4);
export const isIp6: Test = etherType(EtherType.IPV6);
export const isArp: Test = etherType(EtherType.ARP);

/** `vlan`, `vlan 7`: tagged, and with this identifier; {@link ABSENT}: with any. */
export function vlan(id: number): Test {
  return (facts) => whenKnown(facts.vlanId, id === ABSENT ? facts.vlanId !== ABSENT : facts.vlanId === id);
}

export const isEtherBroadcast: Test = (f) =>
  whenKnown(f.dstMacAt, f.dstMacAt >= 0 && isBroadcastMac(f.macs, f.dstMacAt));
export const isEtherMulticast: Test = (f) => whenKnown(f.dstMacAt, f.dstMacAt >= 0 && isGroupMac(f.macs, f.dstMacAt));

export function ipMulticast(family: 4 | 6): Test {
  const type = family === 4 ? EtherType.IPV4 : EtherType.IPV6;
  // By the EtherType: the target of an ARP packet is no destination.
  return (facts) => sure(facts.etherType === type && facts.family === family && isGroup(facts, family));
}

function isGroup(facts: PacketFacts, family: 4 | 6): boolean {
  return isMulticastAt(facts.dstAddress, facts.dstAt, family);
}

/** `inbound`, `outbound`: which way the frame goes through the driver. */
export function direction(wanted: number): Test {
  return (facts) => sure(facts.direction === wanted);
}

/** Fields that can be compared: bytes of the frame, `tcp[tcpflags]`, `icmp[icmptype]`. */
export type FieldName = 'length' | 'tcpflags' | 'icmptype' | 'icmp6type';

export type Relation = '==' | '!=' | '<' | '<=' | '>' | '>=';

/** `FIELD & MASK RELATION VALUE`. False of a packet that has no such field. */
export function field(name: FieldName, mask: number, relation: Relation, value: number): Test {
  const read = FIELDS[name];
  return (facts) => {
    const present = read(facts);
    if (present === UNKNOWN) return MAYBE;
    return sure(present !== ABSENT && compare(present & mask, relation, value));
  };
}

const FIELDS: Readonly<Record<FieldName, (facts: PacketFacts) => number>> = {
  length: (facts) => facts.length,
  tcpflags: (facts) => facts.tcpFlags,
  icmptype: (facts) => (facts.protocol === IpProtocol.ICMP ? facts.icmpType : ABSENT),
  icmp6type: (facts) => (facts.protocol === IpProtocol.ICMPV6 ? facts.icmpType : ABSENT),
};

function compare(a: number, relation: Relation, b: number): boolean {
  switch (relation) {
    case '==':
      return a === b;
    case '!=':
      return a !== b;
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    case '>=':
      return a >= b;
  }
}
