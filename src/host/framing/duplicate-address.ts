/**
 * Tests of our addresses before (or while) they are used, and what a conflict leads to. RFC 4862 5.4, RFC 4429, RFC 5227.
 *
 * Promises: an address that somebody else has is given up, and the protocols above hear of it; no periodic probes; defence at most once
 * in ten seconds. Departure: by default a manual address is used while it is tested (RFC 4429 for both families), so that a
 * program need not wait for its own stack; 'before-use' is the letter of RFC 4862 and RFC 5227 (docs/rfc/exceptions.toml).
 * RFC 5227's limit of new attempts has no subject here: no other IPv4 address is tried after a conflict.
 */

import { Event } from '../../trace/events.ts';
import { solicitedNodeAddress } from '../../wire/ip-address.ts';
import type { AddressTable } from '../path/address-table.ts';
import type { AgendaItem } from '../path/agenda.ts';
import type { IpContext } from '../path/context.ts';
import { AddressState, type InterfaceAddress } from '../path/types.ts';
import type { Arp } from './arp.ts';
import type { GroupTable } from './groups.ts';
import type { NeighborDiscovery } from './neighbor-discovery.ts';

/** RFC 5227 1.1, microseconds and counts. */
const PROBE_WAIT_US = 1_000_000;
const PROBE_NUM = 3;
const PROBE_MIN_US = 1_000_000;
const PROBE_MAX_US = 2_000_000;
const ANNOUNCE_WAIT_US = 2_000_000;
const ANNOUNCE_NUM = 2;
const ANNOUNCE_INTERVAL_US = 2_000_000;
const DEFEND_INTERVAL_US = 10_000_000;
/** RFC 4862 5.1 DupAddrDetectTransmits, RFC 4861 10 MAX_RTR_SOLICITATION_DELAY. */
const SOLICITATIONS = 1;
const SOLICITATION_WAIT_US = 1_000_000;

/** What follows from the tests. */
export interface AddressEvents {
  /** The address can be used for sending from now on. */
  usable(entry: InterfaceAddress): void;
  /** Somebody else has it. */
  lost(entry: InterfaceAddress): void;
}

/** One address on its way through the tests and announcements. */
class AddressTest implements AgendaItem {
  readonly entry: InterfaceAddress;
  readonly #tester: AddressTester;
  probesLeft: number;
  announcementsLeft = 0;
  agendaSlot: number = -1;

  constructor(tester: AddressTester, entry: InterfaceAddress) {
    this.#tester = tester;
    this.entry = entry;
    this.probesLeft = entry.address.family === 4 ? PROBE_NUM : SOLICITATIONS;
  }

  onDue(nowUs: number): void {
    this.#tester.step(this, nowUs);
  }
}

export class AddressTester {
  readonly #context: IpContext;
  readonly #addresses: AddressTable;
  readonly #arp: Arp;
  readonly #nd: NeighborDiscovery;
  readonly #groups: GroupTable;
  /** Tests that are under way. */
  readonly #tests: AddressTest[] = [];
  events: AddressEvents | null = null;

  constructor(context: IpContext, addresses: AddressTable, arp: Arp, nd: NeighborDiscovery, groups: GroupTable) {
    this.#context = context;
    this.#addresses = addresses;
    this.#arp = arp;
    this.#nd = nd;
    this.#groups = groups;
  }

  /** Begins with an address that stands in the table. */
  start(entry: InterfaceAddress): void {
    const { iface } = entry;
    if (entry.address.family === 6) this.#groups.join(iface, solicitedNodeAddress(entry.address));
    const mode = iface.config.duplicateAddressDetection ?? 'optimistic';
    if (iface.medium !== 'ethernet' || mode === 'off') {
      entry.state = standing(entry, this.#context.runtime.nowUs());
      this.events?.usable(entry);
      return;
    }
    entry.state = mode === 'optimistic' ? AddressState.OPTIMISTIC : AddressState.TENTATIVE;
    const test = new AddressTest(this, entry);
    this.#tests.push(test);
    const waitUs = entry.address.family === 4 ? PROBE_WAIT_US : SOLICITATION_WAIT_US;
    this.#context.agenda.set(test, this.#context.runtime.nowUs() + this.#random(waitUs));
    if (entry.isUsable) this.events?.usable(entry);
  }

  /** The address is being taken away: no more of its probes. */
  stop(entry: InterfaceAddress): void {
    const at = this.#tests.findIndex((test) => test.entry === entry);
    if (at >= 0) this.#context.agenda.clear(this.#tests.splice(at, 1)[0]!);
    if (entry.address.family === 6) this.#groups.leave(entry.iface, solicitedNodeAddress(entry.address));
  }

  /** Announces an address that is in use: the link came up, or the interface has moved. RFC 5227 2.3, RFC 4861 7.2.6. */
  announce(entry: InterfaceAddress): void {
    if (entry.iface.medium !== 'ethernet' || !entry.isUsable) return;
    if (this.#tests.some((test) => test.entry === entry)) return;
    const test = new AddressTest(this, entry);
    test.probesLeft = 0;
    test.announcementsLeft = ANNOUNCE_NUM;
    this.#tests.push(test);
    this.step(test, this.#context.runtime.nowUs());
  }

  /** The next step of a test. */
  step(test: AddressTest, nowUs: number): void {
    const { entry } = test;
    if (test.probesLeft > 0) {
      test.probesLeft--;
      this.#context.agenda.set(test, nowUs + this.#probe(test));
      return;
    }
    if (entry.state === AddressState.TENTATIVE || entry.state === AddressState.OPTIMISTIC) {
      const wasUsable = entry.isUsable;
      entry.state = standing(entry, nowUs);
      test.announcementsLeft = entry.address.family === 4 ? ANNOUNCE_NUM : 0;
      if (!wasUsable) this.events?.usable(entry);
    }
    if (test.announcementsLeft > 0) {
      test.announcementsLeft--;
      if (entry.address.family === 4) this.#arp.announce(entry);
      else this.#nd.announce(entry);
      if (test.announcementsLeft > 0) {
        this.#context.agenda.set(test, nowUs + ANNOUNCE_INTERVAL_US);
        return;
      }
    }
    const at = this.#tests.indexOf(test);
    if (at >= 0) this.#tests.splice(at, 1);
  }

  /** Somebody else claims the address. */
  conflict(entry: InterfaceAddress): void {
    const isTested = entry.state === AddressState.TENTATIVE || entry.state === AddressState.OPTIMISTIC;
    this.#context.trace.count(Event.ADDRESS_CONFLICT);
    // RFC 4862 has nothing to say once an address was assigned; RFC 5227 2.4 has.
    if (!isTested && (entry.address.family === 6 || this.#isDefended(entry))) return;
    this.stop(entry);
    entry.state = AddressState.DUPLICATE;
    this.#context.trace.count(Event.ADDRESS_DUPLICATE);
    if (entry.origin !== 'manual') this.#addresses.remove(entry);
    this.events?.lost(entry);
  }

  /** RFC 5227 2.4 (a) gives up at once, (b) defends once in ten seconds, (c) always, but announces no oftener than that. */
  #isDefended(entry: InterfaceAddress): boolean {
    const policy = entry.iface.config.onConflict ?? 'defend-once';
    if (policy === 'cease') return false;
    const nowUs = this.#context.runtime.nowUs();
    const isRecent = nowUs < entry.defendedUs + DEFEND_INTERVAL_US;
    if (isRecent) return policy === 'defend-always';
    entry.defendedUs = nowUs;
    this.#arp.announce(entry);
    return true;
  }

  /** Sends a probe; answers how long to wait for the next step. */
  #probe(test: AddressTest): number {
    const { entry } = test;
    if (entry.address.family === 6) {
      this.#nd.solicitForDuplicates(entry);
      return entry.iface.retransTimerUs;
    }
    this.#arp.probe(entry);
    if (test.probesLeft === 0) return ANNOUNCE_WAIT_US;
    return PROBE_MIN_US + this.#random(PROBE_MAX_US - PROBE_MIN_US);
  }

  #random(us: number): number {
    return this.#context.runtime.random.nextUint32() % us;
  }
}

/** What an address is once it has passed: its preferred lifetime may be over already. RFC 4862 5.5.4. */
function standing(entry: InterfaceAddress, nowUs: number): AddressState {
  return entry.preferredUntilUs > nowUs ? AddressState.PREFERRED : AddressState.DEPRECATED;
}
