/**
 * The way out of an adapter: ordinary frames from above and, where there is a chimney, its own, onto one link that may be full.
 *
 * Promises: frames leave in the order in which they were given, chimney frames before ordinary ones when both wait; what waits
 * is bounded; every ordinary list is completed exactly once; a frame in one MDL is not copied. Nothing is allocated per frame.
 * Leaves to others: what frames say. Source: link/link.ts (transmit, writable), MiniportSendNetBufferLists.
 */

import { copyBytes } from '../../base/copy-bytes.ts';
import type { Runtime } from '../../base/runtime.ts';
import { GATHER_MAX, GATHER_RUN_LEAST, Gather, type Link } from '../../link/link.ts';
import { type NdisM, type NdisMiniportHandle, NdisStatus } from '../../ndis/miniport.ts';
import { copyFromNetBuffer, type NetBuffer, type NetBufferList } from '../../state/net-buffer-list.ts';
import { Event } from '../../trace/events.ts';
import { HandledBy, type PacketTap, type Trace } from '../../trace/trace.ts';
import { FrameRing, gather } from './frame-ring.ts';

/** Bytes in front of an IP packet at most: Ethernet with a tag. */
const LINK_HEADER_MAX = 18;
/** Ordinary lists that wait for the link at most. */
const BACKLOG_LISTS_DEFAULT = 16_384;
/** Chimney frames that wait for the link at most: ACKs and resets that were due when it was full. */
const KEPT_FRAMES = 256;

export interface FrameOutletOptions {
  readonly link: Link;
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly packetTap: PacketTap | null;
  /** Ordinary lists that may wait for a full link. Default 16,384: more than a host has packet buffers. */
  readonly backlogLists?: number | undefined;
}

/** Frames on their way to the link. */
export class FrameOutlet {
  readonly #link: Link;
  readonly #runtime: Runtime;
  readonly #trace: Trace;
  readonly #tap: PacketTap | null;
  readonly #backlogMax: number;
  #ndisM: NdisM | null = null;
  #handle: NdisMiniportHandle | null = null;
  #isFull = false;
  #isGone = false;
  readonly #kept = new FrameRing(KEPT_FRAMES);
  #firstList: NetBufferList | null = null;
  #lastList: NetBufferList | null = null;
  #waiting = 0;
  readonly #text = new Gather();
  /** Where a frame in several MDLs is put together. */
  readonly #gathered: Uint8Array;

  constructor(options: FrameOutletOptions) {
    this.#link = options.link;
    this.#runtime = options.runtime;
    this.#trace = options.trace;
    this.#tap = options.packetTap;
    this.#backlogMax = options.backlogLists ?? BACKLOG_LISTS_DEFAULT;
    const { mtu, largeSendBytes = 0, bigSendBytes = 0 } = options.link;
    this.#gathered = new Uint8Array(LINK_HEADER_MAX + Math.max(mtu, largeSendBytes, bigSendBytes));
  }

  /** Who the completions go to. */
  attach(ndisM: NdisM, handle: NdisMiniportHandle): void {
    this.#ndisM = ndisM;
    this.#handle = handle;
  }

  /** Whether the link takes frames now. */
  get isOpen(): boolean {
    return !this.#isFull;
  }

  /** Ordinary lists that wait for the link. */
  get waitingLists(): number {
    return this.#waiting;
  }

  /** Chimney frames that wait for the link. */
  get waitingFrames(): number {
    return this.#kept.count;
  }

  /** MiniportSendNetBufferLists: sends each list, keeps it while the link is full, or gives it back with RESOURCES. */
  sendLists(lists: NetBufferList): void {
    let doneFirst: NetBufferList | null = null;
    let doneLast: NetBufferList | null = null;
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      if (!this.#isFull && this.#sendList(list)) list.status = NdisStatus.SUCCESS;
      else if (this.#waiting < this.#backlogMax) {
        this.#queue(list);
        list = next;
        continue;
      } else {
        this.#trace.count(Event.TARGET_SEND_BACKLOG_FULL);
        list.status = NdisStatus.RESOURCES;
      }
      if (doneLast === null) doneFirst = list;
      else doneLast.next = list;
      doneLast = list;
      list = next;
    }
    if (doneFirst !== null) this.#ndisM!.sendNetBufferListsComplete(this.#handle!, doneFirst);
  }

  /**
   * Sends a chimney frame; while the link is full it is kept in a copy, as the engine counts it as sent. `segmentBytes` and `text`: as
   * in `Link.transmit`.
   */
  emit(bytes: Uint8Array, at: number, length: number, segmentBytes: number, text: Gather | null): boolean {
    if (!this.#isFull && this.#transmit(bytes, at, length, HandledBy.TARGET, segmentBytes, text)) return true;
    if (this.#kept.push(bytes, at, length, segmentBytes, text)) return true;
    this.#trace.count(Event.TARGET_FRAME_DROPPED);
    return false;
  }

  /** The link has room again: what waits leaves. Answers {@link isOpen} afterwards. */
  writable(): boolean {
    this.#isFull = false;
    while (this.#kept.count > 0) {
      const { first, firstLength, firstSegmentBytes, firstText } = this.#kept;
      if (!this.#transmit(first, 0, firstLength, HandledBy.TARGET, firstSegmentBytes, firstText)) return false;
      this.#kept.shift();
    }
    let doneFirst: NetBufferList | null = null;
    let doneLast: NetBufferList | null = null;
    while (this.#firstList !== null) {
      const list = this.#firstList;
      if (!this.#sendList(list)) break;
      this.#unqueueFirst();
      list.status = NdisStatus.SUCCESS;
      if (doneLast === null) doneFirst = list;
      else doneLast.next = list;
      doneLast = list;
    }
    if (doneFirst !== null) this.#ndisM!.sendNetBufferListsComplete(this.#handle!, doneFirst);
    return !this.#isFull;
  }

  /** The adapter goes away: lists that wait come back with `status`. */
  flush(status: number): void {
    const lists = this.#firstList;
    this.#firstList = null;
    this.#lastList = null;
    this.#waiting = 0;
    if (lists !== null) this.giveBack(lists, status);
  }

  /** Chimney frames that wait are forgotten: the hardware starts anew. */
  dropKept(): void {
    while (this.#kept.count > 0) this.#kept.shift();
    this.#isFull = false;
  }

  /** The device is gone: what waits comes back, and whatever is sent from here on is lost. */
  gone(): void {
    this.#isGone = true;
    this.dropKept();
    this.flush(NdisStatus.ADAPTER_REMOVED);
  }

  /** Completes lists that are not sent at all. */
  giveBack(lists: NetBufferList, status: number): void {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) list.status = status;
    this.#ndisM!.sendNetBufferListsComplete(this.#handle!, lists);
  }

  #queue(list: NetBufferList): void {
    if (this.#lastList === null) this.#firstList = list;
    else this.#lastList.next = list;
    this.#lastList = list;
    this.#waiting++;
  }

  #unqueueFirst(): void {
    const list = this.#firstList!;
    this.#firstList = list.next;
    if (this.#firstList === null) this.#lastList = null;
    list.next = null;
    this.#waiting--;
  }

  /** Each buffer is a frame; a list that is cut short by a full link is sent again from its first frame, as a link may. */
  #sendList(list: NetBufferList): boolean {
    const mss = list.largeSendMss;
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) if (!this.#sendBuffer(nb, mss)) return false;
    return true;
  }

  #sendBuffer(nb: NetBuffer, mss: number): boolean {
    const mdl = nb.currentMdl;
    if (mdl === null || nb.dataLength === 0) return true;
    if (nb.dataLength <= mdl.byteCount - nb.currentMdlOffset) {
      const at = mdl.byteOffset + nb.currentMdlOffset;
      return this.#transmit(mdl.buffer, at, nb.dataLength, HandledBy.HOST, mss, null);
    }
    // The headers of a large send are in its first MDL.
    if (mss > 0 && this.#link.takesGather === true && this.#gatherBehind(nb)) {
      const at = mdl.byteOffset + nb.currentMdlOffset;
      return this.#transmit(mdl.buffer, at, nb.dataLength - this.#text.length, HandledBy.HOST, mss, this.#text);
    }
    if (nb.dataLength > this.#gathered.length) {
      this.#trace.count(Event.TARGET_FRAME_DROPPED);
      return true;
    }
    copyFromNetBuffer(nb, 0, nb.dataLength, this.#gathered, 0);
    return this.#transmit(this.#gathered, 0, nb.dataLength, HandledBy.HOST, mss, null);
  }

  /** Names what is behind the buffer's first MDL. False: it is in too many pieces, or they are too short. */
  #gatherBehind(nb: NetBuffer): boolean {
    const first = nb.currentMdl!;
    const text = this.#text;
    text.clear();
    let left = nb.dataLength - (first.byteCount - nb.currentMdlOffset);
    for (let mdl = first.next; mdl !== null && left > 0; mdl = mdl.next) {
      const length = Math.min(left, mdl.byteCount);
      // A short run in large memory is the sender's own choice.
      const isShort = length < GATHER_RUN_LEAST && mdl.buffer.length < GATHER_RUN_LEAST;
      if (text.count === GATHER_MAX || isShort) return false;
      text.add(mdl.buffer, mdl.byteOffset, length);
      left -= length;
    }
    return left === 0;
  }

  #transmit(
    bytes: Uint8Array,
    at: number,
    length: number,
    handledBy: HandledBy,
    segmentBytes: number,
    text: Gather | null,
  ): boolean {
    if (this.#isGone) return true;
    if (!this.#link.transmit(bytes, at, length, segmentBytes, text)) {
      this.#isFull = true;
      return false;
    }
    if (this.#tap !== null) this.#show(this.#tap, bytes, at, length, handledBy, text);
    return true;
  }

  /** A frame whose text lies elsewhere is put together for those who look at it. */
  #show(
    tap: PacketTap,
    bytes: Uint8Array,
    at: number,
    length: number,
    handledBy: HandledBy,
    text: Gather | null,
  ): void {
    const nowUs = this.#runtime.nowUs();
    if (text === null || text.count === 0) {
      tap.packet(1, handledBy, bytes, at, length, nowUs);
      return;
    }
    copyBytes(bytes, at, length, this.#gathered, 0);
    gather(text, this.#gathered, length);
    tap.packet(1, handledBy, this.#gathered, 0, length + text.length, nowUs);
  }
}
