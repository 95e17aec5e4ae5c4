/**
 * The way to a NIC half in a thread of its own: starts it, rings for it, listens to its bell, and notices when it is dead.
 *
 * The thread keeps the process alive until its stack is closed, as a device does that is read by the event loop.
 *
 * Promises: neither start nor stop nor the end of the process waits for the thread longer than its longest wait; a thread that
 * ends, throws or shows no sign of life is told once, within a second, and is gone afterwards.
 */

import { availableParallelism } from 'node:os';
import { type ResourceLimits, Worker } from 'node:worker_threads';
import type { Runtime, Timer } from '../../base/runtime.ts';
import type { DeviceDescription } from '../../link/node/device.ts';
import { DeviceLink } from '../../link/node/device-link.ts';
import { type Libc, libc } from '../../link/node/libc.ts';
import { type Arena, ControlWord } from './arena.ts';
import type { NicPort } from './driver.ts';
import type { DeviceLeft } from './frames-without-nic.ts';
import { LifeSigns, LOOK_US } from './life-signs.ts';
import type { NicConfig } from './nic-half.ts';
import type { NicThreadData } from './nic-thread.ts';

/** Why a NIC thread is dead. */
export const DeathCause = {
  /** It has ended, or was ended. */
  ENDED: 1,
  /** It has thrown. */
  ERROR: 2,
  /** It shows no sign of life. */
  HANGS: 3,
} as const;
export type DeathCause = (typeof DeathCause)[keyof typeof DeathCause];

/** What happened to a NIC thread. */
export interface NicDeath {
  readonly cause: DeathCause;
  /** In words. */
  readonly message: string;
  /** Connections that the host goes on with, and those that ended with the thread. */
  readonly takenBack: number;
  readonly lost: number;
  /** Another thread takes its place. */
  readonly isReplaced: boolean;
}

export interface ThreadPortOptions {
  readonly arena: Arena;
  readonly config: NicConfig;
  readonly device: DeviceDescription;
  readonly runtime: Runtime;
  readonly spinUs: number;
  /** What memory the thread may have; see `WorkerTargetOptions`. */
  readonly resourceLimits: ResourceLimits | undefined;
  /** See {@link NicThreadData}. */
  readonly isRestart: boolean;
  /** How much longer than usual a round may take, for what the thread was given to do, µs. */
  readonly allowanceUs: () => number;
  /** It is over: nothing is done with the device or the arena any more. */
  readonly onDeath: (death: Pick<NicDeath, 'cause' | 'message'>) => void;
}

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
/**
 * How long is looked whether the NIC thread begins with an operation, and how long for its answer from then on, µs; and how often between
 * two looks at the clock. One that does not begin waits for a processor, perhaps for this one.
 */
const LOOK_FOR_BEGIN_US = 30;
const LOOK_FOR_ANSWER_US = 300;
const LOOKS = 64;
const HAS_TWO_PROCESSORS = availableParallelism() > 1;
/** Longest wait for the answer to an operation, milliseconds. */
const ATTEND_MS = 1;
/** How long a stop may take before the thread is ended, milliseconds. */
const STOP_MS = 1_000;
/** How often a thread that starts is looked for, µs. */
const START_LOOK_US = 5_000;

/** One NIC thread, seen from the host's. */
export class ThreadPort implements NicPort {
  readonly #options: ThreadPortOptions;
  readonly #libc: Libc = libc();
  readonly #control: Int32Array;
  readonly #wakeFd: number;
  /** Eight bytes for the eventfd, more so that V8 does not move them. */
  readonly #one: Uint8Array = new Uint8Array(128);
  readonly #oneAddress: number;
  readonly #timer: Timer;
  #worker: Worker | null = null;
  #onBell: () => void = () => {};
  #onUp: () => void = () => {};
  #isUp = false;
  #isListening = false;
  #isClosing = false;
  #isDead = false;
  #ended: Promise<void> = Promise.resolve();
  #life: LifeSigns | null = null;

  constructor(options: ThreadPortOptions) {
    this.#options = options;
    this.#control = options.arena.control;
    this.#wakeFd = this.#libc.eventfd(0, O_NONBLOCK | O_CLOEXEC);
    this.#one[0] = 1;
    this.#oneAddress = this.#libc.addressOf(this.#one);
    this.#timer = options.runtime.timer((nowUs) => this.#look(nowUs));
  }

  /** For tests: the thread itself. */
  get worker(): Worker | null {
    return this.#worker;
  }

  start(onBell: () => void, _onRoom: () => void, onUp: () => void): void {
    const { arena, config, device, runtime, spinUs, isRestart, resourceLimits } = this.#options;
    this.#onBell = onBell;
    this.#onUp = onUp;
    const data: NicThreadData = {
      buffer: arena.buffer as SharedArrayBuffer,
      sizes: arena.sizes,
      lent: (arena.lent?.buffer as SharedArrayBuffer | undefined) ?? null,
      config,
      device,
      wakeFd: this.#wakeFd,
      timeOrigin: performance.timeOrigin,
      spinUs,
      isRestart,
    };
    // Whatever this program was started with is not for the thread.
    const name = `chimney ${device.name}`;
    const worker = new Worker(threadFile(), {
      workerData: data,
      name,
      execArgv: [],
      ...(resourceLimits && { resourceLimits }),
    });
    worker.on('error', (error: Error) => this.#died(DeathCause.ERROR, error.stack ?? String(error)));
    this.#ended = new Promise((resolve) => {
      worker.on('exit', (code) => {
        this.#worker = null;
        resolve();
        if (!this.#isClosing) this.#died(DeathCause.ENDED, `the NIC thread ended (exit code ${code})`);
      });
    });
    this.#worker = worker;
    this.#life = new LifeSigns(this.#control, runtime.nowUs());
    this.#timer.arm(runtime.nowUs() + START_LOOK_US);
    process.once('exit', this.#onExit);
  }

  ring(): void {
    if (!this.#isDead) this.#libc.write(this.#wakeFd, this.#oneAddress, 8);
  }

  /**
   * The answer is nearer than the next turn of the event loop would be: this thread sleeps for it, and leaves the processor to the other
   * where there is but one for both. Where connections stand still until it goes on, it looks for the answer a while before it sleeps, as
   * waking up takes as long as everything else together.
   */
  attend(answered: number, isAwaited: boolean): boolean {
    if (isAwaited && HAS_TWO_PROCESSORS && this.#seesAnswer(answered)) return true;
    return !this.#isDead && Atomics.wait(this.#control, ControlWord.ANSWERED, answered, ATTEND_MS) !== 'timed-out';
  }

  #seesAnswer(answered: number): boolean {
    const { runtime } = this.#options;
    const control = this.#control;
    const asked = Atomics.load(control, ControlWord.ASKED);
    let untilUs = runtime.nowUs() + LOOK_FOR_BEGIN_US;
    for (let hasBegun = false; !this.#isDead && runtime.nowUs() < untilUs; ) {
      for (let i = 0; i < LOOKS; i++) if (Atomics.load(control, ControlWord.ANSWERED) !== answered) return true;
      if (hasBegun || Atomics.load(control, ControlWord.BEGUN) !== asked) continue;
      hasBegun = true;
      untilUs += LOOK_FOR_ANSWER_US;
    }
    return false;
  }

  refresh(): void {}

  /** The driver half sleeps: the thread's bell wakes it. */
  sleep(): void {
    if (this.#isListening || this.#isDead || this.#isClosing) return;
    const wait = Atomics.waitAsync(this.#control, ControlWord.DRIVER_ASLEEP, 1);
    this.#isListening = true;
    if (wait.async) void wait.value.then(this.#onRung);
    else queueMicrotask(this.#onRung);
  }

  readonly #onRung = (): void => {
    this.#isListening = false;
    if (!this.#isDead && !this.#isClosing) this.#onBell();
  };

  /** The thread does not go on blocking when the process ends. */
  readonly #onExit = (): void => {
    Atomics.store(this.#control, ControlWord.STOP, 1);
    this.ring();
  };

  #look(nowUs: number): void {
    if (this.#isDead || this.#isClosing) return;
    const death = this.#life!.look(nowUs, this.#options.allowanceUs());
    if (death !== null) this.#died(DeathCause.HANGS, death);
    else {
      if (!this.#isUp && Atomics.load(this.#control, ControlWord.HEARTBEAT) > 0) {
        this.#isUp = true;
        this.#onUp();
      }
      this.#timer.arm(nowUs + (this.#isUp ? LOOK_US : START_LOOK_US));
      // Should a bell ever be missed, nothing waits longer than this.
      this.#onBell();
    }
  }

  /** Nothing is told before the thread is gone: until then it may still do something with the device. */
  #died(cause: DeathCause, message: string): void {
    if (this.#isDead || this.#isClosing) return;
    this.#isDead = true;
    this.#timer.disarm();
    process.off('exit', this.#onExit);
    const worker = this.#worker;
    if (worker !== null) void worker.terminate();
    void this.#ended.then(() => {
      this.#libc.close(this.#wakeFd);
      if (this.#isClosing) this.#libc.close(this.#options.device.fd);
      else this.#options.onDeath({ cause, message });
    });
  }

  /** The thread is gone, and its device somebody else's. */
  takeOver(): DeviceLeft {
    const link = new DeviceLink(this.#options.device, true, null);
    return { link, release: () => link.release() };
  }

  /** Ends the thread; resolves when it is over and its device is closed. */
  async close(): Promise<void> {
    if (this.#isClosing) return this.#ended;
    this.#isClosing = true;
    this.#timer.disarm();
    if (!this.#isDead) {
      process.off('exit', this.#onExit);
      await this.#stop();
      this.#release();
    } else await this.#ended;
    // Whoever still waits on the word is let go.
    Atomics.store(this.#control, ControlWord.DRIVER_ASLEEP, 0);
    Atomics.notify(this.#control, ControlWord.DRIVER_ASLEEP);
  }

  async #stop(): Promise<void> {
    const worker = this.#worker;
    if (worker === null) return;
    Atomics.store(this.#control, ControlWord.STOP, 1);
    this.ring();
    const late = setTimeout(() => void worker.terminate(), STOP_MS);
    await this.#ended;
    clearTimeout(late);
  }

  #release(): void {
    this.#libc.close(this.#options.device.fd);
    this.#libc.close(this.#wakeFd);
  }
}

/** The thread's program; from the sources, as a test runner has them, it is the compiled one. */
function threadFile(): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(isSource ? '../../../dist/src/target/worker/nic-thread.js' : './nic-thread.js', import.meta.url);
}
