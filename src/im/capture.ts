/**
 * Capture: an intermediate driver that changes nothing and tells everything: each frame, and each operation of the chimney in words.
 *
 * Looks inside frames: only where `match` says which are wanted.
 * Where it sits in the stack of drivers is what it sees: what passes between it and the driver below. Data of offloaded connections
 * passes there as calls, and is told as such. Who writes the file stands outside ({@link CaptureOutput}; a PcapngWriter is one).
 * Promises: with the capture off it costs what a pass-through costs; nothing is allocated per frame.
 */

import { type AdapterAttributes, OperationTrace } from '../ndis/protocol.ts';
import { copyFromNetBuffer, type NetBufferList } from '../state/net-buffer-list.ts';
import { HandledBy, type PacketTap } from '../trace/trace.ts';
import type { IntermediateEnvironment, IntermediateOptions } from './intermediate-driver.ts';
import { Direction, Expression } from './match/expression.ts';
import { PassThrough } from './pass-through.ts';

/** Where a capture goes. */
export interface CaptureOutput extends PacketTap {
  /** Hands on what is buffered; called when the capture is stopped and when the adapter is halted. */
  flush?(): void;
}

export interface CaptureOptions extends IntermediateOptions {
  /** Or what makes one, of the adapter below. */
  readonly output: CaptureOutput | ((attributes: AdapterAttributes) => CaptureOutput);
  /** Which frames are wanted: an expression as of pcap-filter(7), see docs/drivers/filter.md. Default: all. */
  readonly match?: string;
  /** Whether data calls (send, receive, ...) are told, and not only what moves connections. Default true. */
  readonly data?: boolean;
  /** Whether it begins at once. Default true. */
  readonly isOn?: boolean;
}

/** Tells of frames as well as of operations. */
class CaptureTap extends OperationTrace {
  readonly #output: PacketTap;
  readonly #nowUs: () => number;
  readonly #medium: 'ethernet' | 'ip';
  readonly #match: Expression | null;
  /** A frame in several pieces. */
  #gathered: Uint8Array = new Uint8Array(0);
  frames = 0;

  constructor(
    output: PacketTap,
    nowUs: () => number,
    isWithData: boolean,
    medium: 'ethernet' | 'ip',
    match: Expression | null,
  ) {
    super(output, nowUs, { data: isWithData });
    this.#output = output;
    this.#nowUs = nowUs;
    this.#medium = medium;
    this.#match = match;
  }

  override sendFrames(lists: NetBufferList): void {
    this.#show(lists, 1);
  }

  override receiveFrames(lists: NetBufferList): void {
    this.#show(lists, 0);
  }

  #show(lists: NetBufferList, direction: 0 | 1): void {
    const nowUs = this.#nowUs();
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
      for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
        const mdl = nb.currentMdl;
        if (mdl === null) continue;
        const isWanted =
          this.#match?.matchesFrame(nb, this.#medium, direction === 1 ? Direction.OUT : Direction.IN) ?? true;
        if (!isWanted) continue;
        this.frames++;
        const length = nb.dataLength;
        if (length <= mdl.byteCount - nb.currentMdlOffset) {
          const at = mdl.byteOffset + nb.currentMdlOffset;
          this.#output.packet(direction, HandledBy.HOST, mdl.buffer, at, length, nowUs);
          continue;
        }
        if (this.#gathered.length < length) this.#gathered = new Uint8Array(length);
        copyFromNetBuffer(nb, 0, length, this.#gathered, 0);
        this.#output.packet(direction, HandledBy.HOST, this.#gathered, 0, length, nowUs);
      }
    }
  }
}

/** A driver that captures, over the adapter named `adapterBelow`. */
export class Capture extends PassThrough {
  readonly #output: CaptureOutput;
  readonly #tap: CaptureTap;
  #leave: (() => void) | null = null;

  /** Throws FilterSyntaxError on a `match` that cannot be read. */
  constructor(environment: IntermediateEnvironment, adapterBelow: string, options: CaptureOptions) {
    // Before the adapter is opened: a wrong expression leaves nothing behind.
    const match = options.match === undefined ? null : new Expression(options.match);
    super(environment, adapterBelow, options);
    const { output, data = true } = options;
    this.#output = typeof output === 'function' ? output(this.attributes) : output;
    const nowUs = (): number => this.runtime.nowUs();
    this.#tap = new CaptureTap(this.#output, nowUs, data, this.attributes.medium, match);
    if (options.isOn ?? true) this.start();
  }

  /** Whether what passes is told. */
  get isOn(): boolean {
    return this.#leave !== null;
  }

  /** Frames told so far. */
  get frames(): number {
    return this.#tap.frames;
  }

  /** Begins, or goes on, to tell. */
  start(): void {
    this.#leave ??= this.ndis.observe(this.below, this.#tap);
  }

  /** Stops, and hands on what is buffered. */
  stop(): void {
    if (this.#leave === null) return;
    this.#leave();
    this.#leave = null;
    this.#output.flush?.();
  }

  override async haltEx(context: unknown): Promise<void> {
    await super.haltEx(context);
    this.stop();
  }
}
