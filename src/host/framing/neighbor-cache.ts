/**
 * The neighbor cache and the ARP table: link-layer addresses and whether they still work. RFC 4861 7.2 and 7.3, RFC 1122 2.3.2.
 *
 * Promises: both families go through the same states; one solicitation per neighbor and RetransTimer at most; what waits for
 * an answer is bounded, the newest kept; the number of entries without a path is bounded. Leaves to others: the messages
 * themselves (arp.ts, neighbor-discovery.ts) and the link header (transmitter.ts).
 */

import { equalBytes } from '../../base/bytes.ts';
import { Event } from '../../trace/events.ts';
import { IpAddress, writeAddressWords } from '../../wire/ip-address.ts';
import { equalMac, MAC_BROADCAST, writeMulticastMac } from '../../wire/mac-address.ts';
import type { IpContext } from '../path/context.ts';
import { type Interface, NeighborEntry, type NeighborKeeper, NeighborState, type OutPacket } from '../path/types.ts';

/** RFC 4861 section 10. */
const MAX_MULTICAST_SOLICIT = 3;
const MAX_UNICAST_SOLICIT = 3;
const DELAY_FIRST_PROBE_US = 5_000_000;

/** How often ReachableTime is drawn anew where no router changes it: "at least every few hours" (RFC 4861 6.3.4). */
const REDRAW_US = 7_200_000_000;

/** Packets that wait for one neighbor: enough for the fragments of two datagrams of 64 KiB over a link of 1500 bytes. */
export const PENDING_PER_NEIGHBOR = 128;
/** Packets that wait for neighbors, all together. */
export const PENDING_MAX = 512;

/** What the cache asks of those around it. */
export interface NeighborEvents {
  /** Ask for the link-layer address (multicast or broadcast), or whether it is still there (unicast). */
  solicit(neighbor: NeighborEntry, isUnicast: boolean): void;
  /** The link-layer address is known: send. */
  transmit(neighbor: NeighborEntry, out: OutPacket): void;
  /** Nobody answered; the packet is to be reported and put back. */
  undeliverable(neighbor: NeighborEntry, out: OutPacket): void;
  /** Nobody answered: paths over it are to look for another way. */
  failed(neighbor: NeighborEntry): void;
  /** What advertised itself as a router does so no more. RFC 4861 7.3.3. */
  noLongerRouter(neighbor: NeighborEntry): void;
}

/** Draws ReachableTime: half to one and a half of BaseReachableTime, so that hosts do not probe in step. RFC 4861 6.3.2. */
export function drawReachableTime(context: IpContext, iface: Interface): void {
  const percent = 50 + (context.runtime.random.nextUint32() % 101);
  iface.reachableTimeUs = Math.round((iface.baseReachableTimeUs * percent) / 100);
  iface.reachableDrawnUs = context.runtime.nowUs();
}

export class NeighborCache implements NeighborKeeper {
  readonly #context: IpContext;
  readonly #buckets = new Map<number, NeighborEntry>();
  readonly #words = new Int32Array(4);
  #count = 0;
  #pending = 0;
  events: NeighborEvents | null = null;

  constructor(context: IpContext) {
    this.#context = context;
  }

  get count(): number {
    return this.#count;
  }

  /** Packets that wait for a link-layer address. */
  get pendingCount(): number {
    return this.#pending;
  }

  /** The entry of the address in `bytes` at `at`, or null. */
  find(iface: Interface, bytes: Uint8Array, at: number, family: number): NeighborEntry | null {
    let entry = this.#buckets.get(this.#hash(iface, bytes, at, family)) ?? null;
    while (entry !== null && !isEntry(entry, iface, bytes, at, family)) entry = entry.nextInBucket;
    return entry;
  }

  /** The entry of a next hop; made when it is not there. */
  entryFor(iface: Interface, ip: IpAddress): NeighborEntry {
    const found = this.find(iface, ip.bytes, 0, ip.family);
    if (found !== null) return found;
    this.#makeRoom();
    return this.#add(new NeighborEntry(this, iface, ip));
  }

  /** The entry of a multicast or broadcast address. */
  permanentFor(iface: Interface, ip: IpAddress): NeighborEntry {
    const entry = this.entryFor(iface, ip);
    entry.state = NeighborState.PERMANENT;
    if (ip.isMulticast) writeMulticastMac(ip.bytes, 0, ip.family, entry.mac, 0);
    else entry.mac.set(MAC_BROADCAST);
    return entry;
  }

  /** Sends the packet, or keeps it until the address is known. RFC 4861 7.2.2. */
  send(neighbor: NeighborEntry, out: OutPacket): void {
    if (neighbor.state >= NeighborState.REACHABLE) {
      if (neighbor.state === NeighborState.STALE) this.#delay(neighbor);
      this.events!.transmit(neighbor, out);
      return;
    }
    this.#keep(neighbor, out);
    if (neighbor.state === NeighborState.NONE) this.#resolve(neighbor);
  }

  /**
   * A link-layer address seen in a message that proves nothing about reachability: a solicitation, a router's message, an ARP
   * request. RFC 4861 7.2.3, 6.3.4, RFC 826. Answers the entry; null when there is none and none is to be made.
   */
  learn(
    iface: Interface,
    bytes: Uint8Array,
    ipAt: number,
    family: number,
    mac: Uint8Array,
    macAt: number,
    mayCreate: boolean,
  ): NeighborEntry | null {
    let neighbor = this.find(iface, bytes, ipAt, family);
    if (neighbor === null) {
      if (!mayCreate || !this.#makeRoom()) return null;
      neighbor = this.#add(new NeighborEntry(this, iface, IpAddress.fromBytes(bytes, ipAt, family)));
    }
    if (neighbor.state === NeighborState.PERMANENT) return neighbor;
    if (neighbor.state >= NeighborState.REACHABLE && equalMac(neighbor.mac, 0, mac, macAt)) return neighbor;
    const isFirst = neighbor.state < NeighborState.REACHABLE;
    this.#setMac(neighbor, mac, macAt);
    this.#enter(neighbor, NeighborState.STALE);
    this.#flush(neighbor);
    if (isFirst) this.#context.observer?.neighborResolved(neighbor);
    return neighbor;
  }

  /**
   * An answer: a neighbor advertisement, or an ARP reply. `macAt` -1: it names no link-layer address. RFC 4861 7.2.5.
   */
  answered(
    neighbor: NeighborEntry,
    mac: Uint8Array,
    macAt: number,
    isSolicited: boolean,
    isOverride: boolean,
    isRouter: boolean,
  ): void {
    if (neighbor.state === NeighborState.NONE || neighbor.state === NeighborState.PERMANENT) return;
    if (neighbor.state === NeighborState.INCOMPLETE) {
      if (macAt < 0) return;
      neighbor.isRouter = isRouter;
      this.#setMac(neighbor, mac, macAt);
      this.#enter(neighbor, isSolicited ? NeighborState.REACHABLE : NeighborState.STALE);
      this.#flush(neighbor);
      this.#context.observer?.neighborResolved(neighbor);
      return;
    }
    const isOther = macAt >= 0 && !equalMac(neighbor.mac, 0, mac, macAt);
    if (isOther && !isOverride) {
      if (neighbor.state === NeighborState.REACHABLE) this.#enter(neighbor, NeighborState.STALE);
      return;
    }
    if (isOther) this.#setMac(neighbor, mac, macAt);
    if (isSolicited) this.#enter(neighbor, NeighborState.REACHABLE);
    else if (isOther) this.#enter(neighbor, NeighborState.STALE);
    if (neighbor.isRouter && !isRouter) {
      neighbor.isRouter = false;
      this.events!.noLongerRouter(neighbor);
    }
    neighbor.isRouter = isRouter;
  }

  confirm(neighbor: NeighborEntry, nowUs: number): void {
    if (neighbor.state < NeighborState.STALE || neighbor.state === NeighborState.PERMANENT) return;
    this.#enter(neighbor, NeighborState.REACHABLE, nowUs);
  }

  doubt(neighbor: NeighborEntry, nowUs: number): void {
    if (neighbor.state === NeighborState.REACHABLE || neighbor.state === NeighborState.STALE)
      this.probe(neighbor, nowUs);
  }

  /** Asks for the address of a neighbor that no packet waits for. */
  resolve(neighbor: NeighborEntry): void {
    if (neighbor.state === NeighborState.NONE) this.#resolve(neighbor);
  }

  /** Asks the neighbor by unicast whether it is there; one whose address is not known (any more), for that. */
  probe(neighbor: NeighborEntry, nowUs: number): void {
    // While the link is down silence means nothing.
    if (neighbor.iface.isUp) this.resolve(neighbor);
    const { state } = neighbor;
    if (state < NeighborState.REACHABLE || state === NeighborState.PROBE || state === NeighborState.PERMANENT) return;
    this.#enter(neighbor, NeighborState.PROBE);
    this.#solicit(neighbor, nowUs);
  }

  due(neighbor: NeighborEntry, nowUs: number): void {
    switch (neighbor.state) {
      case NeighborState.REACHABLE:
        this.#reachableDue(neighbor, nowUs);
        return;
      case NeighborState.DELAY:
        this.#delayDue(neighbor, nowUs);
        return;
      case NeighborState.INCOMPLETE:
      case NeighborState.PROBE:
        this.#solicit(neighbor, nowUs);
        return;
    }
  }

  /** Forgets all neighbors of an interface that went down; what waits for them is given up. */
  forget(iface: Interface): void {
    for (const first of [...this.#buckets.values()]) {
      for (let entry: NeighborEntry | null = first; entry !== null; entry = entry.nextInBucket) {
        if (entry.iface !== iface || entry.state === NeighborState.PERMANENT) continue;
        this.#enter(entry, NeighborState.NONE);
        this.#giveUpPending(entry);
      }
    }
  }

  /** The interface was deaf for a while: that its neighbors did not answer means nothing. What is being checked is merely old. */
  doubtSilence(iface: Interface): void {
    for (const first of this.#buckets.values()) {
      for (let entry: NeighborEntry | null = first; entry !== null; entry = entry.nextInBucket) {
        if (entry.iface !== iface) continue;
        if (entry.state === NeighborState.DELAY || entry.state === NeighborState.PROBE) {
          this.#enter(entry, NeighborState.STALE);
        } else if (entry.state === NeighborState.INCOMPLETE) entry.probes = 0;
      }
    }
  }

  #reachableDue(neighbor: NeighborEntry, nowUs: number): void {
    const untilUs = neighbor.confirmedUs + neighbor.iface.reachableTimeUs;
    if (untilUs > nowUs) this.#context.agenda.set(neighbor, untilUs);
    else this.#enter(neighbor, NeighborState.STALE);
  }

  #delayDue(neighbor: NeighborEntry, nowUs: number): void {
    const { observer } = this.#context;
    // Asked once; an observer that then says nothing within a RetransTimer leaves the decision here.
    if (neighbor.probes === 0 && observer?.neighborDelayOver(neighbor) === true) {
      if (neighbor.state !== NeighborState.DELAY) return;
      neighbor.probes = 1;
      this.#context.agenda.set(neighbor, nowUs + neighbor.iface.retransTimerUs);
      return;
    }
    this.#enter(neighbor, NeighborState.PROBE);
    this.#solicit(neighbor, nowUs);
  }

  #delay(neighbor: NeighborEntry): void {
    this.#enter(neighbor, NeighborState.DELAY);
    this.#context.agenda.set(neighbor, this.#context.runtime.nowUs() + DELAY_FIRST_PROBE_US);
  }

  #resolve(neighbor: NeighborEntry): void {
    this.#enter(neighbor, NeighborState.INCOMPLETE);
    this.#solicit(neighbor, this.#context.runtime.nowUs());
  }

  #solicit(neighbor: NeighborEntry, nowUs: number): void {
    const { retransTimerUs } = neighbor.iface;
    const isUnicast = neighbor.state === NeighborState.PROBE;
    // RFC 4861 7.2.2, 7.3.3 and RFC 1122 2.3.2.1: never sooner than RetransTimer after the last one.
    if (nowUs < neighbor.solicitedUs + retransTimerUs) {
      this.#context.agenda.set(neighbor, neighbor.solicitedUs + retransTimerUs);
      return;
    }
    if (neighbor.probes >= (isUnicast ? MAX_UNICAST_SOLICIT : MAX_MULTICAST_SOLICIT)) {
      this.#fail(neighbor, nowUs);
      return;
    }
    neighbor.probes++;
    neighbor.solicitedUs = nowUs;
    this.#context.agenda.set(neighbor, nowUs + retransTimerUs);
    this.events!.solicit(neighbor, isUnicast);
  }

  #fail(neighbor: NeighborEntry, nowUs: number): void {
    this.#context.trace.count(Event.NEIGHBOR_UNREACHABLE);
    this.#enter(neighbor, NeighborState.NONE);
    neighbor.failedUs = nowUs;
    this.#giveUpPending(neighbor);
    this.#context.observer?.neighborUnreachable(neighbor);
    this.events!.failed(neighbor);
    // Entries that packets waited for could not be evicted, so there may be too many.
    const isIdle = neighbor.pathCount === 0 && neighbor.pendingCount === 0;
    if (isIdle && neighbor.state === NeighborState.NONE && this.#count > this.#context.options.neighborsMax) {
      this.#remove(neighbor);
    }
  }

  /** Changes the state; deadlines of the old one are void, and REACHABLE sets its own. */
  #enter(neighbor: NeighborEntry, state: NeighborState, nowUs: number = this.#context.runtime.nowUs()): void {
    neighbor.state = state;
    neighbor.probes = 0;
    if (state === NeighborState.REACHABLE) {
      neighbor.confirmedUs = nowUs;
      neighbor.failedUs = Number.NEGATIVE_INFINITY;
      if (nowUs > neighbor.iface.reachableDrawnUs + REDRAW_US) drawReachableTime(this.#context, neighbor.iface);
      this.#context.agenda.set(neighbor, nowUs + neighbor.iface.reachableTimeUs);
    } else this.#context.agenda.clear(neighbor);
  }

  #setMac(neighbor: NeighborEntry, mac: Uint8Array, macAt: number): void {
    const isChange = neighbor.state >= NeighborState.REACHABLE;
    for (let i = 0; i < 6; i++) neighbor.mac[i] = mac[macAt + i]!;
    if (isChange) this.#context.observer?.neighborMacChanged(neighbor);
  }

  #keep(neighbor: NeighborEntry, out: OutPacket): void {
    if (neighbor.pendingCount >= PENDING_PER_NEIGHBOR) this.#dropOldest(neighbor);
    if (this.#pending >= PENDING_MAX) {
      this.#context.trace.count(Event.NEIGHBOR_QUEUE_FULL);
      out.home.put(out);
      return;
    }
    out.next = null;
    if (neighbor.pendingLast === null) neighbor.pendingFirst = out;
    else neighbor.pendingLast.next = out;
    neighbor.pendingLast = out;
    neighbor.pendingCount++;
    this.#pending++;
  }

  #dropOldest(neighbor: NeighborEntry): void {
    const out = this.#takePending(neighbor);
    if (out === null) return;
    this.#context.trace.count(Event.NEIGHBOR_QUEUE_FULL);
    out.home.put(out);
  }

  #takePending(neighbor: NeighborEntry): OutPacket | null {
    const out = neighbor.pendingFirst;
    if (out === null) return null;
    neighbor.pendingFirst = out.next;
    if (out.next === null) neighbor.pendingLast = null;
    out.next = null;
    neighbor.pendingCount--;
    this.#pending--;
    return out;
  }

  #flush(neighbor: NeighborEntry): void {
    for (let out = this.#takePending(neighbor); out !== null; out = this.#takePending(neighbor)) {
      this.send(neighbor, out);
    }
  }

  #giveUpPending(neighbor: NeighborEntry): void {
    for (let out = this.#takePending(neighbor); out !== null; out = this.#takePending(neighbor)) {
      this.#context.trace.count(Event.NEIGHBOR_UNDELIVERED);
      this.events!.undeliverable(neighbor, out);
    }
  }

  #add(entry: NeighborEntry): NeighborEntry {
    const hash = this.#hash(entry.iface, entry.ip.bytes, 0, entry.ip.family);
    entry.nextInBucket = this.#buckets.get(hash) ?? null;
    entry.usedUs = this.#context.runtime.nowUs();
    this.#buckets.set(hash, entry);
    this.#count++;
    return entry;
  }

  /** Keeps the number of entries bounded: the oldest that nothing uses go. False: all are in use. */
  #makeRoom(): boolean {
    if (this.#count < this.#context.options.neighborsMax) return true;
    this.#context.trace.count(Event.NEIGHBOR_TABLE_FULL);
    const oldest = this.#oldestIdle();
    if (oldest === null) return false;
    this.#remove(oldest);
    return true;
  }

  #oldestIdle(): NeighborEntry | null {
    let oldest: NeighborEntry | null = null;
    for (const first of this.#buckets.values()) {
      for (let entry: NeighborEntry | null = first; entry !== null; entry = entry.nextInBucket) {
        if (entry.pathCount > 0 || entry.pendingCount > 0) continue;
        if (oldest === null || entry.usedUs < oldest.usedUs) oldest = entry;
      }
    }
    return oldest;
  }

  #remove(entry: NeighborEntry): void {
    this.#context.agenda.clear(entry);
    const hash = this.#hash(entry.iface, entry.ip.bytes, 0, entry.ip.family);
    const first = this.#buckets.get(hash)!;
    if (first !== entry) {
      let before = first;
      while (before.nextInBucket !== entry) before = before.nextInBucket!;
      before.nextInBucket = entry.nextInBucket;
    } else if (entry.nextInBucket !== null) this.#buckets.set(hash, entry.nextInBucket);
    else this.#buckets.delete(hash);
    entry.nextInBucket = null;
    this.#count--;
  }

  #hash(iface: Interface, bytes: Uint8Array, at: number, family: number): number {
    const words = this.#words;
    writeAddressWords(bytes, at, family, words, 0);
    let hash = iface.index + family;
    for (let i = 0; i < 4; i++) hash = Math.imul(hash ^ words[i]!, 0x85ebca6b) ^ (hash >>> 15);
    return hash | 0;
  }
}

function isEntry(entry: NeighborEntry, iface: Interface, bytes: Uint8Array, at: number, family: number): boolean {
  const { ip } = entry;
  return entry.iface === iface && ip.family === family && equalBytes(ip.bytes, 0, bytes, at, ip.bytes.length);
}
