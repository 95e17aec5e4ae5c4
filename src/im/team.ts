/**
 * The team: several adapters behind one, of which one is in use; when its link goes down the next one takes over.
 *
 * Frames change over at once. Offloaded connections are moved: OFFLOAD_PAUSE, UPLOAD_ALL, and when nothing is below any more the
 * chimney of the other member, OFFLOAD_RESUME (IM-065, EVT-036, EVT-045). The target behind a dead wire is alive, so their state
 * comes back whole. Peers learn the new way from NDIS_STATUS_NETWORK_CHANGE, upon which the host announces its addresses.
 * Promises: everything offloaded is always at one member; a list goes back to the member that it came from; no allocation per data
 * call and frame. Source: chimney-sequences 18, IEEE 802.1AX (once 802.3ad) 5.6.
 */

import type { MiniportOffloadBlock, NdisM, NdisMiniportHandle } from '../ndis/miniport.ts';
import {
  type AdapterAttributes,
  BlockWalk,
  type BytesConsumed,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type NdisBindingHandle,
  type NdisOffloadHandle,
  NdisStatus,
  type NetPnpEvent,
  NetPnpEventCode,
  type OffloadBlock,
  type OidRequest,
  type ProtocolOffloadBlock,
  type StatusIndication,
} from '../ndis/protocol.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import { TcpDelegatedState } from '../state/tcp.ts';
import { Event } from '../trace/events.ts';
import { IntermediateDriver, type IntermediateEnvironment, type IntermediateOptions } from './intermediate-driver.ts';
import { commonAttributes, TeamMember } from './team-member.ts';
import { TeamRequests } from './team-requests.ts';

/** Why a team changed over. */
export type TeamCause = 'link-down' | 'failback' | 'asked';

/** One change-over, told when it is complete. */
export interface TeamChange {
  readonly from: string;
  readonly to: string;
  readonly cause: TeamCause;
  /** From the cause until frames went the new way, microseconds: 0 when the old link was dead. */
  readonly framesUs: number;
  /** From the cause until the new member's chimney could be used, microseconds. */
  readonly chimneyUs: number;
}

export interface TeamOptions extends IntermediateOptions {
  /** Whether the first member (in order) whose link is up is always the one in use; else a change is not undone. Default false. */
  readonly failback?: boolean;
  /** Told of each complete change-over. Not from inside a call. */
  readonly onChange?: (change: TeamChange) => void;
}

/** How long frames may still come by the member that was in use before, microseconds: until everybody has learned. */
const LATE_US = 1_000_000;

/** What a change-over under way was caused by, and when. */
interface Move {
  readonly from: TeamMember;
  readonly cause: TeamCause;
  readonly sinceUs: number;
  framesUs: number;
}

/** A driver over the adapters named `adaptersBelow`, the preferred one first. */
export class Team extends IntermediateDriver {
  readonly attributes: AdapterAttributes;
  readonly #members: readonly TeamMember[];
  readonly #failback: boolean;
  readonly #onChange: ((change: TeamChange) => void) | null;
  readonly #requests: TeamRequests;
  readonly #walk: BlockWalk<OffloadBlock> = new BlockWalk();
  /** Where a list that is with the drivers above came from. Targets reuse their lists, so that this grows with their pools only. */
  readonly #origins: WeakMap<NetBufferList, TeamMember> = new WeakMap();
  /** What every member's link carries, bytes, as it was last said. */
  #mtu: number;
  /** The member by which frames go. */
  #active: TeamMember;
  /** The member at which everything is that is offloaded. */
  #chimney: TeamMember;
  /** The member that is to have both. */
  #wanted: TeamMember;
  /** The member by which frames went before, and until when it is still heard. */
  #former: TeamMember | null = null;
  #formerUntilUs = 0;
  #move: Move | null = null;
  #isSettleDeferred = false;
  /** Initiates that are not completed above, and what is to be indicated after them. */
  #initiates = 0;
  readonly #unsaid: StatusIndication[] = [];
  /** Members that are to be paused once they are empty. */
  readonly #pauses: { readonly member: TeamMember; readonly event: NetPnpEvent }[] = [];
  #isReady = false;

  /** Throws RangeError where the members do not fit together, and leaves nothing open. */
  constructor(environment: IntermediateEnvironment, adaptersBelow: readonly string[], options: TeamOptions) {
    super(environment, options);
    this.#failback = options.failback ?? false;
    this.#onChange = options.onChange ?? null;
    this.#members = adaptersBelow.map((name) => new TeamMember(name));
    const { ndis } = environment;
    for (const member of this.#members) member.binding = ndis.openAdapterEx(this, member, member.name);
    try {
      const all = this.#members.map(({ binding }) => ndis.adapterAttributes(binding));
      this.attributes = commonAttributes(options.name, all);
      this.#members.forEach((member, i) => {
        member.mtu = all[i]!.mtu;
      });
      this.#mtu = this.attributes.mtu;
    } catch (error) {
      for (const { binding } of this.#members) ndis.closeAdapterEx(binding, () => {});
      throw error;
    }
    this.#active = this.#members[0]!;
    this.#chimney = this.#active;
    this.#wanted = this.#active;
    this.#requests = new TeamRequests(ndis, (request, status) => super.oidRequestComplete(this, request, status));
  }

  /** Name of the adapter by which frames go. */
  get active(): string {
    return this.#active.name;
  }

  /** Name of the adapter at which connections are offloaded. Another than {@link active} while a change-over is under way. */
  get chimney(): string {
    return this.#chimney.name;
  }

  /** Whether a change-over is under way. */
  get isChanging(): boolean {
    return this.#move !== null;
  }

  /** The members, preferred first, and whether their links are up. */
  get members(): { name: string; isUp: boolean }[] {
    return this.#members.filter(({ isLeaving }) => !isLeaving).map(({ name, isUp }) => ({ name, isUp }));
  }

  /** Changes over to a member by hand, in good order: its predecessor serves until it is empty. Throws on a name that is none. */
  activate(adapterName: string): void {
    const member = this.#members.find(({ name }) => name === adapterName);
    if (member === undefined) {
      const names = this.#members.map(({ name }) => name).join(', ');
      throw new RangeError(`there is no member '${adapterName}': expected one of ${names}`);
    }
    if (!member.isUsable)
      throw new RangeError(`member '${adapterName}' is ${member.isUp ? 'paused' : 'without a link'}`);
    // Not from inside whoever calls.
    this.runtime.defer(() => {
      if (member.isUsable) this.#want(member, 'asked');
    });
  }

  /** State operations go to the member at which the objects are. */
  protected get below(): NdisBindingHandle {
    return this.#chimney.binding;
  }

  override initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    const status = super.initializeEx(handle, ndisM);
    this.#isReady = status === NdisStatus.SUCCESS;
    return status;
  }

  override async haltEx(_context: unknown): Promise<void> {
    await Promise.all(this.#members.map((member) => this.#close(member)));
  }

  // Links.

  override statusEx(context: unknown, indication: StatusIndication): void {
    const member = context as TeamMember;
    const { statusCode } = indication;
    if (statusCode === NdisStatus.LINK_STATE_UP) this.#linkChanged(member, true, indication);
    else if (statusCode === NdisStatus.LINK_STATE_DOWN) this.#linkChanged(member, false, indication);
    else if (statusCode === NdisStatus.L2_MTU_SIZE_CHANGE) {
      member.mtu = indication.statusBuffer as number;
      this.#mtuChanged();
    } else {
      if (statusCode === NdisStatus.OFFLOAD_PAUSE || statusCode === NdisStatus.UPLOAD_ALL) member.isPaused = true;
      const isResume = statusCode === NdisStatus.OFFLOAD_RESUME;
      if (isResume) member.isPaused = false;
      // What another member says of its chimney is asked for when its time comes; a resume now would end our own pause.
      if (member === this.#chimney && !(isResume && this.#move !== null)) this.#say(indication);
    }
  }

  /** Frames must be such as could leave by any member. */
  #mtuChanged(): void {
    const mtu = Math.min(...this.#members.filter(({ isLeaving }) => !isLeaving).map((member) => member.mtu));
    if (mtu === this.#mtu) return;
    this.#mtu = mtu;
    this.#say({ statusCode: NdisStatus.L2_MTU_SIZE_CHANGE, statusBuffer: mtu });
  }

  #linkChanged(member: TeamMember, isUp: boolean, indication: StatusIndication): void {
    if (member.isUp === isUp) return;
    const wasUp = this.#members.some((one) => one.isUp);
    member.isUp = isUp;
    this.#reconsider('link-down');
    if (wasUp !== this.#members.some((one) => one.isUp)) this.#say(indication);
  }

  /** Whether another member is to be used now, and if so, why: `cause` if the present one cannot be. */
  #reconsider(cause: TeamCause): void {
    const isStaying = !this.#wanted.isLeaving;
    const next =
      this.#members.find((one) => one.isUsable) ?? (isStaying ? null : this.#members.find((one) => !one.isLeaving));
    if (next === null || next === undefined) return;
    const mayStay = this.#wanted.isUsable && !this.#failback;
    if (!mayStay) this.#want(next, this.#wanted.isUsable ? 'failback' : cause);
    // A change that was asked for is under way, and the old link dies meanwhile.
    if (!this.#active.isUp && this.#wanted.isUp) this.#moveFrames();
  }

  /** A member is paused or works again: its connections move to another; only if there is none does the host hear of it. */
  override netPnpEvent(context: unknown, event: NetPnpEvent): number {
    const member = context as TeamMember;
    if (event.code === NetPnpEventCode.MEDIA_DISCONNECT) return NdisStatus.SUCCESS;
    const isRestart = event.code === NetPnpEventCode.RESTART;
    const couldBeUsed = this.#members.some((one) => !one.isStopped);
    member.isStopped = !isRestart;
    const canBeUsed = this.#members.some((one) => !one.isStopped);
    this.#reconsider('asked');
    if (!couldBeUsed || !canBeUsed) return super.netPnpEvent(context, event);
    if (isRestart || member !== this.#chimney || member === this.#wanted) return NdisStatus.SUCCESS;
    this.#pauses.push({ member, event });
    return NdisStatus.PENDING;
  }

  /** A member goes away: when nothing of ours is there any more. With the last one the team goes. */
  override unbindAdapterEx(context: unknown, isGone: boolean): void {
    const member = context as TeamMember;
    member.isStopped = true;
    member.isLeaving = true;
    if (this.#members.every((one) => one.isLeaving)) {
      super.unbindAdapterEx(context, isGone);
      return;
    }
    if (isGone) this.#linkChanged(member, false, { statusCode: NdisStatus.LINK_STATE_DOWN });
    this.#reconsider('asked');
    this.#mtuChanged();
    this.#dismiss();
  }

  /** Answers those who wait for a member to be empty. */
  #dismiss(): void {
    for (const { member, event } of this.#pauses.splice(0)) {
      if (member === this.#chimney) this.#pauses.push({ member, event });
      else this.ndis.completeNetPnpEvent(member.binding, event, NdisStatus.SUCCESS);
    }
    for (const member of this.#members) {
      if (!member.isLeaving || member === this.#chimney || member === this.#active) continue;
      void this.#close(member);
    }
  }

  #close(member: TeamMember): Promise<void> {
    if (member.isClosed) return Promise.resolve();
    member.isClosed = true;
    return new Promise((resolve) => {
      this.ndis.closeAdapterEx(member.binding, resolve);
    });
  }

  /** Makes a member the one in use, if it is not (or about to be). */
  #want(member: TeamMember, cause: TeamCause): void {
    if (member === this.#wanted) return;
    this.#wanted = member;
    if (!this.#isReady || !this.hasChimney) {
      const from = this.#active;
      this.#chimney = member;
      this.#moveFrames();
      this.#tell({ from: from.name, to: member.name, cause, framesUs: 0, chimneyUs: 0 });
      return;
    }
    const isFirst = this.#move === null;
    this.#move ??= { from: this.#chimney, cause, sinceUs: this.runtime.nowUs(), framesUs: 0 };
    if (!this.#active.isUp) this.#moveFrames();
    if (isFirst) {
      this.#say({ statusCode: NdisStatus.OFFLOAD_PAUSE });
      if (!this.#isEmpty) this.#say({ statusCode: NdisStatus.UPLOAD_ALL });
    }
    this.#settleSoon();
  }

  #moveFrames(): void {
    if (this.#active === this.#wanted) return;
    this.#former = this.#active;
    this.#formerUntilUs = this.runtime.nowUs() + LATE_US;
    this.#active = this.#wanted;
    this.trace.count(Event.IM_TEAM_SWITCHED);
    if (this.#move !== null) this.#move.framesUs = this.runtime.nowUs() - this.#move.sinceUs;
    this.#say({ statusCode: NdisStatus.NETWORK_CHANGE });
  }

  /** Whether nothing is offloaded, nor about to be, and nobody below has an operation. */
  get #isEmpty(): boolean {
    return this.offloadEntries === 0 && this.callEntries === 0;
  }

  #settleSoon(): void {
    if (this.#move === null || this.#isSettleDeferred || !this.#isEmpty) return;
    this.#isSettleDeferred = true;
    this.runtime.defer(() => {
      this.#isSettleDeferred = false;
      this.#settle();
    });
  }

  /** The old member's chimney is empty: the new one's is ours. */
  #settle(): void {
    const move = this.#move;
    if (move === null || !this.#isEmpty) return;
    this.#moveFrames();
    this.#chimney = this.#wanted;
    this.#move = null;
    if (!this.#chimney.isPaused) this.#say({ statusCode: NdisStatus.OFFLOAD_RESUME });
    this.#dismiss();
    const { from, cause, framesUs } = move;
    const chimneyUs = this.runtime.nowUs() - move.sinceUs;
    this.#tell({ from: from.name, to: this.#chimney.name, cause, framesUs, chimneyUs });
  }

  /** Indicates a status; one that comes while an initiate is below waits for it (INIT-052). */
  #say(indication: StatusIndication): void {
    if (this.#initiates > 0 || this.#unsaid.length > 0) this.#unsaid.push(indication);
    else super.statusEx(this, indication);
  }

  #sayRest(): void {
    while (this.#initiates === 0 && this.#unsaid.length > 0) super.statusEx(this, this.#unsaid.shift()!);
  }

  #tell(change: TeamChange): void {
    const onChange = this.#onChange;
    if (onChange !== null) this.runtime.defer(() => onChange(change));
  }

  // Requests.

  override oidRequest(context: unknown, request: OidRequest): number {
    if (!this.#requests.isShared(request)) return super.oidRequest(context, request);
    const members = this.#members.filter(({ isLeaving }) => !isLeaving);
    return this.#requests.request(request, members.length > 0 ? members : [this.#chimney], this.#chimney);
  }

  override oidRequestComplete(context: unknown, request: OidRequest, status: number): void {
    if (!this.#requests.completed(request, status)) super.oidRequestComplete(context, request, status);
  }

  // Frames.

  override sendNetBufferLists(_context: unknown, lists: NetBufferList, portNumber: number): void {
    this.ndis.sendNetBufferLists(this.#active.binding, lists, portNumber);
  }

  override receiveNetBufferLists(context: unknown, lists: NetBufferList, portNumber: number, flags: number): void {
    const member = context as TeamMember;
    const isBorrowed = (flags & NDIS_RECEIVE_FLAGS_RESOURCES) !== 0;
    if (this.#isReady && this.#listensTo(member)) {
      if (!isBorrowed) this.#remember(lists, member);
      super.receiveNetBufferLists(context, lists, portNumber, flags);
      return;
    }
    // What a switch floods comes by every member.
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
      this.trace.count(Event.IM_TEAM_FRAME_DROPPED);
    }
    if (!isBorrowed) this.ndis.returnNetBufferLists(member.binding, lists);
  }

  override receiveDone(context: unknown): void {
    if (this.#listensTo(context as TeamMember)) super.receiveDone(context);
  }

  /**
   * While connections are at one member and frames already go by another, both are heard; and for a while the former member,
   * until the switches have learned the new way.
   */
  #listensTo(member: TeamMember): boolean {
    if (member === this.#active || member === this.#chimney) return true;
    return member === this.#former && this.runtime.nowUs() < this.#formerUntilUs;
  }

  override returnNetBufferLists(_context: unknown, lists: NetBufferList): void {
    let rest: NetBufferList | null = lists;
    while (rest !== null) {
      const first: NetBufferList = rest;
      rest = this.#cutRun(first);
      this.ndis.returnNetBufferLists(this.#originOf(first).binding, first);
    }
  }

  // The chimney.

  override initiateOffload(context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.#initiates++;
    // What came now would be at the old member, and nobody would ask for it to be uploaded.
    if (this.#move !== null) this.refuseOffload(offloadBlockList as OffloadBlock);
    else super.initiateOffload(context, offloadBlockList);
  }

  override initiateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    super.initiateOffloadComplete(context, offloadBlockList);
    this.#settleSoon();
  }

  override terminateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    super.terminateOffloadComplete(context, offloadBlockList);
    this.#settleSoon();
  }

  override updateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    super.updateOffloadComplete(context, offloadBlockList);
    this.#settleSoon();
  }

  override queryOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    super.queryOffloadComplete(context, offloadBlockList);
    this.#settleSoon();
  }

  override invalidateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    super.invalidateOffloadComplete(context, offloadBlockList);
    this.#settleSoon();
  }

  override tcpOffloadReceiveIndicate(
    offloadContext: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    // Before the call: what is accepted may come back from inside it.
    this.#remember(list, this.#chimney);
    return super.tcpOffloadReceiveIndicate(offloadContext, list, status, bytesConsumed);
  }

  protected override initiateCompleting(_root: OffloadBlock): void {
    this.#initiates--;
    // Once the completion has returned.
    if (this.#unsaid.length > 0) this.runtime.defer(() => this.#sayRest());
  }

  /** Buffered data that comes up with a terminate is returned as what was indicated is. */
  protected override terminateCompleting(root: OffloadBlock): void {
    const walk = this.#walk;
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      const delegated = block.delegatedState;
      if (delegated instanceof TcpDelegatedState) this.#remember(delegated.bufferedData, this.#chimney);
    }
  }

  override tcpOffloadReceiveReturn(_context: unknown, lists: NetBufferList): number {
    let rest: NetBufferList | null = lists;
    while (rest !== null) {
      const first: NetBufferList = rest;
      rest = this.#cutRun(first);
      this.ndis.offloadTcpReceiveReturn(this.#originOf(first).binding, first);
    }
    return NdisStatus.SUCCESS;
  }

  #remember(lists: NetBufferList | null, member: TeamMember): void {
    for (let list = lists; list !== null; list = list.next) {
      if (this.#origins.get(list) !== member) this.#origins.set(list, member);
    }
  }

  /** Cuts a chain behind the first lists that have one origin; answers the rest. */
  #cutRun(first: NetBufferList): NetBufferList | null {
    const member = this.#originOf(first);
    let last = first;
    while (last.next !== null && this.#originOf(last.next) === member) last = last.next;
    const rest = last.next;
    last.next = null;
    return rest;
  }

  #originOf(list: NetBufferList): TeamMember {
    return this.#origins.get(list) ?? this.#chimney;
  }
}
