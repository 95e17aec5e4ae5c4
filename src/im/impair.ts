/**
 * Impair: an intermediate driver that makes a good network bad: loss, delay, jitter, reordering, duplicates, bent bits, a rate.
 *
 * Each direction by its own impairment, seeded, changeable at any time. Frames are what it impairs. Data of offloaded connections
 * does not pass as frames, so unless told otherwise it lets nothing be offloaded through it (the capability query is answered
 * NOT_SUPPORTED, IM-057); with `offload: 'pass'` it impairs the host path only, and says so here.
 * Promises: bounded queues; every list goes back at once; nothing is allocated per frame once its pool has grown.
 */

import { copyBytes } from '../base/copy-bytes.ts';
import { checkImpairment, ImpairedLine, type Impairment, isPerfect } from '../base/impaired-line.ts';
import { SeededRandom } from '../base/random.ts';
import type { NdisM, NdisMiniportHandle } from '../ndis/miniport.ts';
import { NDIS_RECEIVE_FLAGS_RESOURCES, NdisStatus } from '../ndis/protocol.ts';
import { copyFromNetBuffer, Mdl, NetBuffer, NetBufferList } from '../state/net-buffer-list.ts';
import { Event } from '../trace/events.ts';
import type { IntermediateEnvironment, IntermediateOptions } from './intermediate-driver.ts';
import { PassThrough } from './pass-through.ts';

export interface ImpairOptions extends IntermediateOptions {
  /** What becomes of frames to the wire. Default: nothing. */
  readonly out?: Impairment;
  /** What becomes of frames to the host. Default: nothing. */
  readonly in?: Impairment;
  /** Seed of all chance. Default 1. */
  readonly seed?: number | string;
  /**
   * 'refuse': nothing is offloaded through it, so that all traffic is impaired. 'pass': offloads pass, and the traffic of offloaded
   * connections is not impaired. Default 'refuse'.
   */
  readonly offload?: 'refuse' | 'pass';
  /** Bytes that may be on their way in either direction; frames beyond it are dropped, as by a router. Default 4 MiB. */
  readonly queueBytes?: number;
}

const QUEUE_BYTES_DEFAULT = 4 << 20;
const LINK_HEADER_MAX = 18;
/** Frames of our own that may be with the driver below: more than any target lets wait for a full link. */
const OWN_FRAMES_MAX = 32_768;
const EMPTY: Uint8Array = new Uint8Array(0);

/** A frame that was on its way through the driver and is now below. */
class OwnFrame extends NetBufferList {
  readonly mdl: Mdl;

  constructor(bytes: number) {
    const mdl = new Mdl(new Uint8Array(bytes));
    super(new NetBuffer(mdl, 0));
    this.mdl = mdl;
  }

  fill(bytes: Uint8Array, length: number): void {
    copyBytes(bytes, 0, length, this.mdl.buffer, 0);
    this.next = null;
    this.status = 0;
    this.mdl.byteCount = length;
    const nb = this.firstNetBuffer!;
    nb.currentMdl = this.mdl;
    nb.currentMdlOffset = 0;
    nb.dataOffset = 0;
    nb.dataLength = length;
  }
}

/** A driver that impairs frames, over the adapter named `adapterBelow`. */
export class Impair extends PassThrough {
  readonly #frameBytes: number;
  readonly #out: ImpairedLine;
  readonly #in: ImpairedLine;
  readonly #free: OwnFrame[] = [];
  #ownFramesBelow = 0;
  readonly #gathered: Uint8Array;
  readonly #inMdl = new Mdl(EMPTY);
  readonly #inList = new NetBufferList(new NetBuffer(this.#inMdl, 0));
  #isReady = false;

  /** Throws RangeError on an impairment out of range. */
  constructor(environment: IntermediateEnvironment, adapterBelow: string, options: ImpairOptions) {
    checkImpairment(options.out ?? {});
    checkImpairment(options.in ?? {});
    const allowOffload = (options.offload ?? 'refuse') === 'pass' && (options.allowOffload ?? true);
    super(environment, adapterBelow, { ...options, allowOffload });
    this.#frameBytes = Math.max(this.attributes.mtu, this.attributes.largeSendBytes ?? 0) + LINK_HEADER_MAX;
    this.#gathered = new Uint8Array(this.#frameBytes);
    const line = {
      runtime: this.runtime,
      random: new SeededRandom(options.seed ?? 1),
      frameBytes: this.#frameBytes,
      queueBytes: options.queueBytes ?? QUEUE_BYTES_DEFAULT,
    };
    const lost = (): void => this.trace.count(Event.IM_FRAME_LOST);
    const roomAgain = (): void => {};
    this.#out = new ImpairedLine(
      { ...line, impairment: options.out ?? {} },
      {
        deliver: (bytes, length, segmentBytes) => this.#deliverOut(bytes, length, segmentBytes),
        delivered: () => {},
        lost,
        roomAgain,
      },
    );
    this.#in = new ImpairedLine(
      { ...line, impairment: options.in ?? {} },
      {
        deliver: (bytes, length, segmentBytes) => this.#deliverIn(bytes, length, segmentBytes),
        delivered: () => super.receiveDone(this),
        lost,
        roomAgain,
      },
    );
  }

  /** What becomes of frames to the wire. Assign to change it from the next frame on. */
  get out(): Impairment {
    return this.#out.impairment;
  }
  set out(impairment: Impairment) {
    checkImpairment(impairment);
    this.#out.impairment = impairment;
  }

  /** What becomes of frames to the host. Assign to change it from the next frame on. */
  get in(): Impairment {
    return this.#in.impairment;
  }
  set in(impairment: Impairment) {
    checkImpairment(impairment);
    this.#in.impairment = impairment;
  }

  /** Frames on their way through the driver, either direction. */
  get framesInFlight(): number {
    return this.#out.framesInFlight + this.#in.framesInFlight;
  }

  override initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    const status = super.initializeEx(handle, ndisM);
    this.#isReady = status === NdisStatus.SUCCESS;
    return status;
  }

  /** What is on its way is lost. */
  override haltEx(context: unknown): void | Promise<void> {
    this.#isReady = false;
    this.#out.clear();
    this.#in.clear();
    return super.haltEx(context);
  }

  override sendNetBufferLists(context: unknown, lists: NetBufferList, portNumber: number): void {
    if (isIdle(this.#out)) {
      super.sendNetBufferLists(context, lists, portNumber);
      return;
    }
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
      this.#offer(this.#out, list);
      list.status = NdisStatus.SUCCESS;
    }
    this.ndisM.sendNetBufferListsComplete(this.miniportHandle, lists);
  }

  override receiveNetBufferLists(context: unknown, lists: NetBufferList, portNumber: number, flags: number): void {
    if (!this.#isReady || isIdle(this.#in)) {
      super.receiveNetBufferLists(context, lists, portNumber, flags);
      return;
    }
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) this.#offer(this.#in, list);
    if ((flags & NDIS_RECEIVE_FLAGS_RESOURCES) === 0) this.ndis.returnNetBufferLists(this.below, lists);
  }

  override sendNetBufferListsComplete(context: unknown, lists: NetBufferList): void {
    // Almost always a chain is all ours or all theirs.
    let rest: NetBufferList | null = lists;
    while (rest !== null) {
      const first: NetBufferList = rest;
      const isOwn = first instanceof OwnFrame;
      let last = first;
      while (last.next !== null && last.next instanceof OwnFrame === isOwn) last = last.next;
      rest = last.next;
      last.next = null;
      if (isOwn) this.#takeBack(first);
      else super.sendNetBufferListsComplete(context, first);
    }
  }

  #takeBack(lists: NetBufferList): void {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      this.#ownFramesBelow--;
      this.#free.push(list as OwnFrame);
      list = next;
    }
  }

  /** Puts the frames of a list on a line; what does not fit is dropped. */
  #offer(line: ImpairedLine, list: NetBufferList): void {
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
      const mdl = nb.currentMdl;
      if (mdl === null || nb.dataLength > this.#frameBytes) continue;
      let isTaken: boolean;
      if (nb.dataLength <= mdl.byteCount - nb.currentMdlOffset) {
        isTaken = line.offer(mdl.buffer, mdl.byteOffset + nb.currentMdlOffset, nb.dataLength, list.largeSendMss);
      } else {
        copyFromNetBuffer(nb, 0, nb.dataLength, this.#gathered, 0);
        isTaken = line.offer(this.#gathered, 0, nb.dataLength, list.largeSendMss);
      }
      if (!isTaken) this.trace.count(Event.IM_QUEUE_FULL);
    }
  }

  #deliverOut(bytes: Uint8Array, length: number, segmentBytes: number): void {
    if (this.#ownFramesBelow >= OWN_FRAMES_MAX) {
      this.trace.count(Event.IM_QUEUE_FULL);
      return;
    }
    const frame = this.#free.pop() ?? new OwnFrame(this.#frameBytes);
    frame.fill(bytes, length);
    frame.largeSendMss = segmentBytes;
    this.#ownFramesBelow++;
    this.ndis.sendNetBufferLists(this.below, frame, 0);
  }

  /** Shown from where the line has it: borrowed for the call. */
  #deliverIn(bytes: Uint8Array, length: number, segmentBytes: number): void {
    const mdl = this.#inMdl;
    const list = this.#inList;
    const nb = list.firstNetBuffer!;
    mdl.buffer = bytes;
    mdl.byteCount = length;
    mdl.next = null;
    nb.currentMdl = mdl;
    nb.currentMdlOffset = 0;
    nb.dataOffset = 0;
    nb.dataLength = length;
    list.next = null;
    list.largeSendMss = segmentBytes;
    this.ndisM.indicateReceiveNetBufferLists(this.miniportHandle, list, 0, NDIS_RECEIVE_FLAGS_RESOURCES);
    mdl.buffer = EMPTY;
  }
}

/** Whether frames may go past the line: it changes nothing and holds nothing. */
function isIdle(line: ImpairedLine): boolean {
  return line.framesInFlight === 0 && isPerfect(line.impairment);
}
