/**
 * The filter: an intermediate driver that lets pass, drops, or wants back, by rules that may be changed at any time.
 *
 * Looks inside frames: through its rules (`filter-verdict.ts`).
 * It is not blind to what is offloaded past it: a connection is judged at initiate by its addresses and ports, a refused one is
 * answered OFFLOAD_CONNECTION_REJECTED (INIT-024) and goes on through the host path, where the filter sees its frames. When rules
 * change, offloaded connections that they no longer let pass are asked back (TcpIndicateRetrieve, UPLOAD_REQUESTED: EVT, TERM-008),
 * each once, and stand still from then on (standstill.ts). Zero allocation per frame.
 */

import {
  BlockKind,
  BlockLayer,
  BlockWalk,
  kindOfBlock,
  layerOf,
  type MiniportOffloadBlock,
  settleInitiateStatuses,
  wasOffloaded,
} from '../ndis/miniport.ts';
import {
  type BytesConsumed,
  DataOperation,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type NdisOffloadHandle,
  NdisStatus,
  type OffloadBlock,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../ndis/protocol.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import type { TcpConstState } from '../state/tcp.ts';
import { Event } from '../trace/events.ts';
import { addressesOfPath, ConnectionBook, OffloadedConnection } from './connections.ts';
import { entryOf, type ImOffloadEntry } from './entries.ts';
import { type FilterAction, type FilterRule, type FilterRuleCount, FilterRules } from './filter-verdict.ts';
import type { IntermediateEnvironment, IntermediateOptions } from './intermediate-driver.ts';
import { Direction } from './match/expression.ts';
import { PassThrough } from './pass-through.ts';
import { Standstill, TurnedAway } from './standstill.ts';

export interface FilterOptions extends IntermediateOptions {
  /** In order; the first that matches decides. Default: none. */
  readonly rules?: readonly FilterRule[];
  /** What becomes of what no rule matches. Default 'allow'. */
  readonly otherwise?: FilterAction;
}

/** A path of an initiate that is below, and the TCP blocks that were taken out of it. */
interface Withheld {
  readonly path: OffloadBlock;
  /** All TCP blocks of the path, in their order. */
  readonly blocks: readonly OffloadBlock[];
  readonly refused: ReadonlySet<OffloadBlock>;
}

/** A driver that filters, over the adapter named `adapterBelow`. */
export class Filter extends PassThrough {
  #rules: FilterRules;
  #otherwise: FilterAction;
  #allowsAll: boolean;
  readonly #walk: BlockWalk<OffloadBlock> = new BlockWalk();
  readonly #book: ConnectionBook = new ConnectionBook(this.#walk);
  readonly #withheld: Map<OffloadBlock, Withheld[]> = new Map();
  readonly #away: TurnedAway;

  /** Throws FilterSyntaxError on a rule that cannot be read. */
  constructor(environment: IntermediateEnvironment, adapterBelow: string, options: FilterOptions) {
    // Before the adapter is opened: a wrong rule leaves nothing behind.
    const rules = new FilterRules(options.rules ?? [], options.otherwise ?? 'allow');
    super(environment, adapterBelow, options);
    this.#away = new TurnedAway(environment.runtime, (as, chain) => this.#completeLists(as, chain));
    this.#otherwise = options.otherwise ?? 'allow';
    this.#rules = rules;
    this.#allowsAll = rules.allowsAll;
  }

  /** The rules in force, with what each has done since it was set. */
  get rules(): FilterRuleCount[] {
    return this.#rules.counts();
  }

  /** Connections that are offloaded past the filter. */
  get offloadedConnections(): number {
    return this.#book.connections.size;
  }

  /**
   * Puts new rules in force, for every frame from now on. Offloaded connections that they do not let pass are asked back.
   * Throws FilterSyntaxError, and changes nothing, on a rule that cannot be read.
   */
  setRules(rules: readonly FilterRule[], otherwise: FilterAction = this.#otherwise): void {
    this.#rules = new FilterRules(rules, otherwise);
    this.#otherwise = otherwise;
    this.#allowsAll = this.#rules.allowsAll;
    // Not from inside whoever calls.
    this.runtime.defer(() => {
      for (const connection of this.#book.connections) this.#review(connection);
    });
  }

  // Frames.

  override sendNetBufferLists(context: unknown, lists: NetBufferList, portNumber: number): void {
    if (this.#allowsAll) {
      super.sendNetBufferLists(context, lists, portNumber);
      return;
    }
    let rest: NetBufferList | null = lists;
    this.#nextPasses = this.#passes(lists, Direction.OUT);
    while (rest !== null) {
      const first: NetBufferList = rest;
      const passes = this.#nextPasses;
      rest = this.#cutRun(first, passes, Direction.OUT);
      const nextPasses = this.#nextPasses;
      if (passes) super.sendNetBufferLists(context, first, portNumber);
      else {
        for (let list: NetBufferList | null = first; list !== null; list = list.next) list.status = NdisStatus.FAILURE;
        this.ndisM.sendNetBufferListsComplete(this.miniportHandle, first);
      }
      this.#nextPasses = nextPasses;
    }
  }

  override receiveNetBufferLists(context: unknown, lists: NetBufferList, portNumber: number, flags: number): void {
    if (this.#allowsAll) {
      super.receiveNetBufferLists(context, lists, portNumber, flags);
      return;
    }
    const isBorrowed = (flags & NDIS_RECEIVE_FLAGS_RESOURCES) !== 0;
    let rest: NetBufferList | null = lists;
    this.#nextPasses = this.#passes(lists, Direction.IN);
    while (rest !== null) {
      const first: NetBufferList = rest;
      const passes = this.#nextPasses;
      rest = this.#cutRun(first, passes, Direction.IN);
      const last = this.#cutAt;
      const nextPasses = this.#nextPasses;
      if (passes) super.receiveNetBufferLists(context, first, portNumber, flags);
      else if (!isBorrowed) this.ndis.returnNetBufferLists(this.below, first);
      // A borrowed chain goes back to its owner as it was.
      if (isBorrowed) last.next = rest;
      this.#nextPasses = nextPasses;
    }
  }

  /** The last list of the run that was cut last, and the verdict on the first one behind it: each is judged once. */
  #cutAt!: NetBufferList;
  #nextPasses = true;

  /** Cuts the chain behind the lists from `first` on that fare alike; answers the rest. */
  #cutRun(first: NetBufferList, passes: boolean, direction: Direction): NetBufferList | null {
    let last = first;
    for (; last.next !== null; last = last.next) {
      this.#nextPasses = this.#passes(last.next, direction);
      if (this.#nextPasses !== passes) break;
    }
    const rest = last.next;
    last.next = null;
    this.#cutAt = last;
    return rest;
  }

  #passes(list: NetBufferList, direction: Direction): boolean {
    const nb = list.firstNetBuffer;
    if (nb === null || this.#rules.passes(nb, this.attributes.medium, direction)) return true;
    this.trace.count(Event.IM_FRAME_DENIED);
    return false;
  }

  // The chimney.

  override initiateOffload(context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    const root = offloadBlockList as OffloadBlock;
    if (this.#allowsAll || !this.#withhold(root) || this.#hasNewObject(root)) {
      super.initiateOffload(context, root);
      return;
    }
    // Nothing is left to be offloaded: the answer is ours, and comes later, as any does.
    this.runtime.defer(() => {
      this.initiateCompleting(root);
      this.ndisM.initiateOffloadComplete(this.miniportHandle, root);
    });
  }

  /** Takes the connections that may not be offloaded out of the tree. False: there are none. */
  #withhold(root: OffloadBlock): boolean {
    const walk = this.#walk;
    const withheld: Withheld[] = [];
    walk.start(root);
    for (let path = walk.next(); path !== null; path = walk.next()) {
      if (layerOf(path.header.type) !== BlockLayer.PATH || path.dependentBlockList === null) continue;
      walk.skipDependents();
      const refused = this.#refusedOf(path);
      if (refused === null) continue;
      const blocks: OffloadBlock[] = [];
      for (let block: OffloadBlock | null = path.dependentBlockList; block !== null; block = block.nextBlock) {
        blocks.push(block);
      }
      withheld.push({ path, blocks, refused });
    }
    if (withheld.length === 0) return false;
    for (const { path, blocks, refused } of withheld) {
      chain(
        path,
        blocks.filter((block) => !refused.has(block)),
      );
    }
    this.#withheld.set(root, withheld);
    return true;
  }

  #refusedOf(path: OffloadBlock): Set<OffloadBlock> | null {
    const addresses = addressesOfPath(path);
    let refused: Set<OffloadBlock> | null = null;
    for (let block: OffloadBlock | null = path.dependentBlockList; block !== null; block = block.nextBlock) {
      if (kindOfBlock(block) !== BlockKind.NEW_OFFLOAD) continue;
      const { localPort, remotePort } = block.constState as TcpConstState;
      const isAllowed =
        addresses !== null &&
        this.#rules.mayOffload({
          localAddress: addresses.sourceAddress,
          localPort,
          remoteAddress: addresses.destinationAddress,
          remotePort,
        });
      if (isAllowed) continue;
      this.trace.count(Event.IM_OFFLOAD_DENIED);
      refused ??= new Set();
      refused.add(block);
    }
    return refused;
  }

  #hasNewObject(root: OffloadBlock): boolean {
    const walk = this.#walk;
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      if (kindOfBlock(block) === BlockKind.NEW_OFFLOAD) return true;
    }
    return false;
  }

  protected override initiateCompleting(root: OffloadBlock): void {
    const withheld = this.#withheld.get(root);
    if (withheld !== undefined) {
      this.#withheld.delete(root);
      for (const { path, blocks, refused } of withheld) {
        // INIT-027: what hangs on an object that was not taken was not attempted.
        const isLost = kindOfBlock(path) === BlockKind.NEW_OFFLOAD && !wasOffloaded(path.status);
        for (const block of refused) {
          block.status = isLost ? NdisStatus.FAILURE : NdisStatus.OFFLOAD_CONNECTION_REJECTED;
        }
        chain(path, blocks);
      }
      settleInitiateStatuses(root);
    }
    this.#book.learn(root, (connection) => {
      // The rules may have changed while it was on its way.
      if (!this.#allowsAll) this.runtime.defer(() => this.#review(connection));
    });
  }

  override terminateOffload(context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.#book.mark(offloadBlockList as OffloadBlock, true);
    super.terminateOffload(context, offloadBlockList);
  }

  protected override terminateCompleting(root: OffloadBlock): void {
    this.#book.forget(root, (connection) => connection.standstill?.end());
  }

  /** Asks an offloaded connection back if the rules do not let it pass. */
  #review(connection: OffloadedConnection): void {
    if (connection.isTerminating || connection.standstill !== null || !this.#book.connections.has(connection)) return;
    if (this.#rules.mayOffload(connection)) return;
    // From before the event on: those above may answer from inside it.
    connection.standstill = new Standstill(this.#away);
    this.trace.count(Event.IM_UPLOAD_ASKED);
    this.events.tcpOffloadEventHandler(
      connection.entry.handleAbove,
      TcpOffloadEventType.INDICATE_RETRIEVE,
      TcpUploadReason.UPLOAD_REQUESTED,
    );
  }

  // Connections that were asked back.

  override tcpOffloadSend(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    const standstill = standstillOf(offloadContext);
    if (standstill?.keeps(DataOperation.SEND, lists)) return NdisStatus.PENDING;
    return super.tcpOffloadSend(context, offloadContext, lists);
  }

  override tcpOffloadReceive(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    const standstill = standstillOf(offloadContext);
    if (standstill?.keeps(DataOperation.RECEIVE, lists)) return NdisStatus.PENDING;
    return super.tcpOffloadReceive(context, offloadContext, lists);
  }

  override tcpOffloadDisconnect(context: unknown, offloadContext: unknown, list: NetBufferList, flags: number): number {
    const standstill = standstillOf(offloadContext);
    if (flags === TcpDisconnectFlag.ABORTIVE_CLOSE) standstill?.aborted();
    else if (standstill?.keeps(DataOperation.DISCONNECT, list)) return NdisStatus.PENDING;
    return super.tcpOffloadDisconnect(context, offloadContext, list, flags);
  }

  override tcpOffloadForward(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    const standstill = standstillOf(offloadContext);
    if (standstill?.keeps(DataOperation.FORWARD, lists)) return NdisStatus.PENDING;
    return super.tcpOffloadForward(context, offloadContext, lists);
  }

  override tcpOffloadReceiveIndicate(
    offloadContext: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    // In the terminate too: receives that were posted in between are still to come back in front of such data.
    if (standstillOf(entryOf(offloadContext)) !== null) {
      bytesConsumed.value = 0;
      return NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED;
    }
    return super.tcpOffloadReceiveIndicate(offloadContext, list, status, bytesConsumed);
  }

  override tcpOffloadEvent(
    offloadContext: NdisOffloadHandle,
    eventType: number,
    eventSpecificInformation: number,
  ): void {
    if (eventType === TcpOffloadEventType.INDICATE_ABORT) standstillOf(entryOf(offloadContext))?.aborted();
    super.tcpOffloadEvent(offloadContext, eventType, eventSpecificInformation);
  }

  override tcpOffloadDisconnectComplete(context: unknown, list: NetBufferList | null): void {
    this.#away.flush();
    super.tcpOffloadDisconnectComplete(context, list);
  }

  #completeLists(as: DataOperation, chain: NetBufferList): void {
    const { events, miniportHandle } = this;
    if (as === DataOperation.SEND) events.tcpOffloadSendComplete(miniportHandle, chain);
    else if (as === DataOperation.RECEIVE) events.tcpOffloadReceiveComplete(miniportHandle, chain);
    else if (as === DataOperation.DISCONNECT) events.tcpOffloadDisconnectComplete(miniportHandle, chain);
    else events.tcpOffloadForwardComplete(miniportHandle, chain);
  }
}

function standstillOf(offloadContext: unknown): Standstill | null {
  const { annotation } = offloadContext as ImOffloadEntry;
  return annotation instanceof OffloadedConnection ? annotation.standstill : null;
}

function chain(path: OffloadBlock, blocks: readonly OffloadBlock[]): void {
  path.dependentBlockList = blocks[0] ?? null;
  blocks.forEach((block, i) => {
    block.nextBlock = blocks[i + 1] ?? null;
  });
}
